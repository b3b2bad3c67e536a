"""What the kit asks of a provider: acts of payers, banks and the provider itself, and faults on the wire.

A driver is a few lines over a simulator or a sandbox. It offers what the
provider can be made to do; rules that need more are skipped and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NoReturn
from unittest import SkipTest

from ...core.money import Money

FaultKind = Literal["unreachable", "lost-answer", "unreadable", "foreign", "stall", "rate-limit"]
"""How a call may go wrong on the wire.

``unreachable``: nothing arrives at the provider. ``lost-answer``: it is carried
out, and the connection ends without an answer. ``unreadable``: the answer is no
JSON, or cut off. ``foreign``: the answer is well-formed, and about another
object than asked for. ``stall``: no answer within the timeout. ``rate-limit``:
the provider asks to slow down.
"""


class NotOffered(SkipTest):
    """The provider cannot be made to do this; the rule that needs it is skipped."""


class ProviderDriver:
    """Base of drivers; a subclass writes `pay`, and whatever else its provider can be made to do."""

    def close(self) -> None:
        """Stop what was started."""

    # Payers and their banks.

    def pay(self, checkout_id: str) -> None:
        """Let the customer pay all of a checkout; the money is captured, or waits for our call if it needs one.

        May raise anything for a checkout that cannot be paid.
        """
        self._missing("pay")

    def pay_other(self, checkout_id: str, amount: Money) -> None:
        """Let another amount be paid than was asked for."""
        self._missing("pay_other")

    def pay_again(self, checkout_id: str) -> None:
        """Let a paid checkout be paid once more."""
        self._missing("pay_again")

    def pay_later(self, checkout_id: str) -> None:
        """Let the customer pay by a method whose money comes in days."""
        self._missing("pay_later")

    def authorise(self, checkout_id: str) -> None:
        """Let the customer pay, so that the money waits for our call to capture it."""
        self._missing("authorise")

    def fail(self, checkout_id: str) -> None:
        """Let the payment be declined."""
        self._missing("fail")

    def dispute(self, checkout_id: str) -> None:
        """Let the payer's bank dispute a paid checkout."""
        self._missing("dispute")

    # The provider.

    def refund_at_provider(self, checkout_id: str, amount: Money) -> None:
        """Give money back as somebody may in the provider's dashboard."""
        self._missing("refund_at_provider")

    def webhook(
        self, checkout_id: str, *, at: datetime | None = None, forged: bool = False, other_mode: bool = False
    ) -> tuple[Mapping[str, str], bytes]:
        """Give headers (names in lower case) and body of a delivery about a checkout as it is now.

        Asked twice about one happening, it is one event. Options that the
        provider cannot follow raise `NotOffered`.

        Args:
            checkout_id: What it is about.
            at: Another signing time than now.
            forged: Signed by somebody else.
            other_mode: Signed well, and about the other mode.
        """
        self._missing("webhook")

    def sign(self, body: bytes) -> Mapping[str, str]:
        """Give the headers with which any body would be genuine."""
        self._missing("sign")

    def return_params(self, checkout_id: str) -> Mapping[str, str]:
        """Give what the browser brings back from a paid checkout, for a provider that signs it."""
        self._missing("return_params")

    def confirmation(self, checkout_id: str) -> Mapping[str, Any] | None:
        """Give ``received``, ``evidence`` and ``at`` of a confirmation, for a gateway that an operator confirms."""
        return None

    def break_next(self, kind: FaultKind, operation: str) -> None:
        """Let the next call of the port's method ``operation`` go wrong, with all its retries.

        A kind that cannot be played raises `NotOffered`.
        """
        self._missing("break_next")

    def _missing(self, act: str) -> NoReturn:
        raise NotOffered(f"{type(self).__name__} offers no {act}()")


def offers(driver: ProviderDriver, act: str) -> bool:
    """Tell whether a driver has an act of its own."""
    return getattr(type(driver), act) is not getattr(ProviderDriver, act)
