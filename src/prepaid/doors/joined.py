"""The host's door into its own transaction: what may be done there, and nothing else.

No gateway, no mail: what has to follow is written to the outbox in the host's
transaction, and had after its commit.
"""

from __future__ import annotations

from ..config import Context
from ..core.usage import Balance
from .customer import CustomerDoor
from .host import HostUsage


class JoinedUsage(HostUsage):
    """Usage, posted once and only if the host commits; its methods are those of `HostUsage`.

    Each may also raise `TransactionAborted` (the host's transaction is lost; run
    all of it again) and `ConfigurationError` (the block, or the transaction it
    joined, has ended).
    """


class JoinedDoor:
    """What may be done in a host's transaction.

    Attributes:
        usage: Charges, adjustments, holds and reversals.
    """

    def __init__(self, context: Context) -> None:
        """Bind a context whose database is the host's transaction."""
        self._context = context
        self.usage = JoinedUsage(context)

    def balance(self, customer_id: str, currency: str | None = None) -> Balance:
        """Give a balance in a currency, or in the customer's own, as the host's transaction sees it.

        Raises:
            NotFound: The customer is not registered.
            InvalidRequest: Not a customer id, or a currency that is not in use.
            TransactionAborted: The host's transaction is lost; run all of it again.
            ConfigurationError: The block, or the transaction it joined, has ended.
        """
        return CustomerDoor(self._context, customer_id).balance(currency)
