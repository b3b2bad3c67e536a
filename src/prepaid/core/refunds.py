"""A refund and a dispute, as the library remembers them, and the steps of a refund's states.

A refund begins as an intent of ours (``starting``), may be of ``unknown``
outcome, and moves where the gateway says it is. One that succeeded may still
fail later: the money comes back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from attrs import field, frozen

from .money import Money
from .payments import DisputeState

RefundStep = Literal["starting", "unknown", "pending", "succeeded", "failed", "canceled"]
RefundOrigin = Literal["review", "gateway"]

REFUND_STEPS: Final[dict[RefundStep, frozenset[RefundStep]]] = {
    "starting": frozenset({"unknown", "pending", "succeeded", "failed", "canceled"}),
    "unknown": frozenset({"pending", "succeeded", "failed", "canceled"}),
    "pending": frozenset({"succeeded", "failed", "canceled"}),
    "succeeded": frozenset({"failed", "canceled"}),
    "failed": frozenset(),
    "canceled": frozenset(),
}

OPEN_REFUNDS: Final[tuple[RefundStep, ...]] = ("starting", "unknown", "pending")
"""The gateway has not said yet whether the money goes back."""

LOST_REFUNDS: Final[tuple[RefundStep, ...]] = ("failed", "canceled")
"""The money did not go back, or came back to us."""


def refund_sources(target: RefundStep) -> tuple[RefundStep, ...]:
    """Give the states from which ``target`` may be reached, sorted."""
    return tuple(sorted(source for source, targets in REFUND_STEPS.items() if target in targets))


@frozen(kw_only=True)
class Refund:
    """Money given back at a gateway.

    Attributes:
        id: ``ref_…``.
        topup_id: The top-up that it belongs to.
        gateway: Name of the gateway.
        payment_id: The gateway's id of the payment that it comes from.
        amount: How much.
        origin: ``"review"`` for what went back out of suspense;
            ``"gateway"`` for a fact that nothing is posted for.
        state: How far it is.
        gateway_refund_id: The gateway's id of it, once known.
        actor: Who made it.
        reason: Why.
        failure: Why it failed, in a machine word, or empty.
        created_at: When it was intended, or first seen.
        settled_at: When the gateway said that it succeeded, or None.
    """

    id: str
    topup_id: str
    gateway: str
    payment_id: str
    amount: Money
    origin: RefundOrigin
    state: RefundStep
    gateway_refund_id: str | None = None
    actor: str
    reason: str = field(repr=False)
    failure: str = ""
    created_at: datetime
    settled_at: datetime | None = None

    @property
    def is_made_at_gateway(self) -> bool:
        """It was made in the gateway's dashboard, and only told to us."""
        return self.actor == f"gateway:{self.gateway}"


@frozen(kw_only=True)
class Dispute:
    """A payment that its customer disputes.

    Attributes:
        id: ``dis_…``.
        topup_id: The top-up that it belongs to.
        gateway: Name of the gateway.
        dispute_id: The gateway's id of it.
        payment_id: The gateway's id of the payment.
        amount: What is disputed.
        state: How far it is.
        reason: Why, in the gateway's word.
        opened_at: When it was opened, if the gateway says.
        created_at: When it was first seen here.
        changed_at: When its state was last seen to change.
    """

    id: str
    topup_id: str
    gateway: str
    dispute_id: str
    payment_id: str
    amount: Money
    state: DisputeState
    reason: str = ""
    opened_at: datetime | None = None
    created_at: datetime
    changed_at: datetime
