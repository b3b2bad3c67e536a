"""A refund and a dispute, as the library remembers them, and the steps of their states.

A refund begins as an intent of ours (``starting``), may be of ``unknown``
outcome, and moves where the gateway says it is. One that succeeded may still
fail later: the money comes back. A dispute moves where its gateway says it is,
to and fro; what was posted for it is remembered beside what was told.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from attrs import field, frozen

from .clawback import Returned
from .money import Money
from .payments import DisputeState

RefundStep = Literal["starting", "unknown", "pending", "succeeded", "failed", "canceled"]
RefundOrigin = Literal["review", "gateway", "request", "outside"]
"""Out of suspense, made at the gateway, approved here, or made by the seller outside any gateway."""

DisputeBooked = Literal["", "withdrawn", "won", "lost"]
"""What is posted of a dispute: nothing yet, that the money left, that it came back, that it is lost."""

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
        amount: The money that goes back.
        origin: ``"review"`` for what goes back out of suspense, ``"gateway"`` for
            one made in the gateway's dashboard, ``"request"`` for one approved
            here, ``"outside"`` for one that the seller made by other means.
        state: How far it is.
        credit: Credit that left the wallet for it; zero if none did.
        clawback: Bonus that was taken back with it.
        net: What of the amount was paid for that credit without tax.
        tax: Tax of that.
        is_of_credit: It is of a top-up that was credited: posted as what left the
            wallet and what of it is net and tax, with a credit note once it succeeded.
        request_id: The customer's request that it answers, or None.
        gateway_refund_id: The gateway's id of it, once known.
        actor: Who made it.
        reason: Why.
        failure: Why it failed, in a machine word, or empty.
        created_at: When it was intended, or first seen.
        settled_at: When the gateway said that it succeeded, or None.
        turn: How often what it takes was posted anew, because more of the payment was there for it.
    """

    id: str
    topup_id: str
    gateway: str
    payment_id: str
    amount: Money
    origin: RefundOrigin
    state: RefundStep
    credit: Money = field()
    clawback: Money = field()
    net: Money = field()
    tax: Money = field()
    is_of_credit: bool = False
    request_id: str | None = None
    gateway_refund_id: str | None = None
    actor: str
    reason: str = field(repr=False)
    failure: str = ""
    created_at: datetime
    settled_at: datetime | None = None
    turn: int = 0

    @credit.default
    @clawback.default
    @net.default
    @tax.default
    def _nothing(self) -> Money:
        return Money.zero(self.amount.currency)

    @property
    def returned(self) -> Returned:
        """What of its top-up goes back with it."""
        return returned_of(self)

    @property
    def is_short(self) -> bool:
        """It is of credit, counts, and found less of the payment than it is."""
        return self.is_of_credit and self.state not in LOST_REFUNDS and self.net + self.tax < self.amount

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
        booked: What is posted of it.
        withdrawn: Money that is posted as taken by the gateway for it.
        credit: Credit that left the wallet because it was lost.
        clawback: Bonus that was taken back with it.
        net: What of the money was paid for that credit without tax.
        tax: Tax of that.
        fee: What the gateway keeps for it, in its own currency, or None.
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
    booked: DisputeBooked = ""
    withdrawn: Money = field()
    credit: Money = field()
    clawback: Money = field()
    net: Money = field()
    tax: Money = field()
    fee: Money | None = None

    @withdrawn.default
    @credit.default
    @clawback.default
    @net.default
    @tax.default
    def _nothing(self) -> Money:
        return Money.zero(self.amount.currency)

    @property
    def returned(self) -> Returned:
        """What of its top-up is lost with it."""
        return returned_of(self)


DisputeStep = Literal["restored", "regained", "withdrawn", "lost"]
"""What is posted of a dispute: credit given back, money returned, money taken, credit taken; in this order."""


def dispute_steps(dispute: Dispute) -> tuple[DisputeStep, ...]:
    """Say what is still to be posted of a dispute for the books to be where its gateway is.

    One that was lost and is open again, by an appeal, stays lost until that is won.
    One about another amount than was posted is undone and posted anew.
    """
    booked, state = dispute.booked, dispute.state
    was_taken, was_lost = booked in ("withdrawn", "lost"), booked == "lost"
    is_appealed = was_lost and state in ("open", "inquiry")
    is_taken = state in ("open", "lost") or (was_taken and state == "inquiry")
    is_lost = state == "lost" or is_appealed
    changed = was_taken and not is_appealed and dispute.withdrawn != dispute.amount
    steps: list[DisputeStep] = []
    if was_lost and (changed or not is_lost):
        steps.append("restored")
    if was_taken and (changed or not is_taken):
        steps.append("regained")
    if is_taken and (changed or not was_taken):
        steps.append("withdrawn")
    if is_lost and (changed or not was_lost):
        steps.append("lost")
    return tuple(steps)


def returned_of(fact: Refund | Dispute) -> Returned:
    """Give what a refund or a lost dispute takes of its top-up."""
    return Returned(
        credit=fact.credit.units,
        net_minor=fact.net.minor,
        tax_minor=fact.tax.minor,
        clawed_back=fact.clawback.units,
    )


def money_of(returned: Returned, currency: str) -> dict[str, Any]:
    """Give the fields of a refund or a dispute that say what it takes of its top-up."""
    return {
        "credit": Money(returned.credit, currency),
        "clawback": Money(returned.clawed_back, currency),
        "net": Money.from_minor(returned.net_minor, currency),
        "tax": Money.from_minor(returned.tax_minor, currency),
    }
