"""Credit that comes free, given back or reserved no more: told to open disputes, which hold what is theirs of it.

They hold it after the commit: top-ups are locked before wallets, and who sets credit free holds the wallet.
"""

from __future__ import annotations

from .. import outbox
from ..config import Context
from ..store import Tx, disputes


def tell(tx: Tx, context: Context, customer: str, *, about: str, beside: str | None = None) -> bool:
    """Have the disputes of a customer look at what they hold, after commit; False if no money is withdrawn for any.

    Args:
        tx: The transaction that set credit free.
        context: The billing system.
        customer: Whose wallet.
        about: The hold that ended, or the transaction that gave credit back; each sets credit free once.
        beside: A top-up whose disputes look at it in this transaction.
    """
    # A host's snapshot may be older than a dispute, and to read what is there now would lock it: then look later.
    if not tx.snapshot and not disputes.is_any_withdrawn(tx, customer, beside=beside):
        return False
    outbox.add(tx, context, outbox.FREED_CREDIT, dedupe_key=about, payload={"customer": customer})
    return True
