"""What the simulated provider shows to a payer, and what it sends to a host."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from attrs import field, frozen

from ..core.instants import to_micros
from ..core.money import Money
from ..ports import Clock, PaymentState
from .credentials import Secret
from .signed import sign

SIGNATURE_HEADER: Final = "simulated-signature"


@frozen(kw_only=True)
class SimulatedPage:
    """What a payment page shows, for the host to draw.

    Attributes:
        checkout_id: The checkout that the page pays.
        description: What is paid for.
        amount: What is to be paid.
        return_url: Where the browser goes after paying.
        cancel_url: Where the browser goes when the customer gives up.
        state: Only ``open`` can be paid.
    """

    checkout_id: str
    description: str
    amount: Money
    return_url: str
    cancel_url: str
    state: PaymentState


@frozen(kw_only=True)
class SimulatedDelivery:
    """A webhook to deliver, any number of times.

    Attributes:
        event_id: The same on every delivery.
        checkout_id: Checkout it is about.
        type: The gateway's word for what happened.
        body: The raw bytes, the same on every delivery.
    """

    event_id: str
    checkout_id: str
    type: str
    body: bytes = field(repr=False)
    _secret: Secret = field(repr=False)
    _clock: Clock = field(repr=False)

    def request(self, secret: str | None = None, at: datetime | None = None) -> tuple[dict[str, str], bytes]:
        """Give headers (names in lower case) and body of a delivery.

        Args:
            secret: Another signing secret than the gateway's first.
            at: Another signing time than now.
        """
        signed_at = to_micros(at or self._clock.now()) // 1_000_000
        signature = sign(self.body, secret or self._secret.reveal(), at=signed_at)
        return {"content-type": "application/json", SIGNATURE_HEADER: signature}, self.body
