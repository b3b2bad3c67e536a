"""What approving, rejecting and recording share: a decision, checked in its transaction, and the refund it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import frozen

from .. import audit, outbox, returning
from ..config import Context, object_id
from ..core.clawback import by_credit
from ..core.errors import (
    AmountOutOfRange,
    CurrencyMismatch,
    KeyConflict,
    NotAllowed,
    NotFound,
    RefundRefused,
    WrongState,
)
from ..core.ids import check_text
from ..core.money import Money, require_positive, require_whole_minor
from ..core.refund_requests import (
    APPROVALS_SETTING,
    MAX_WORDS,
    REASONS,
    Approvals,
    RequestedRefund,
    RequestState,
    Subject,
    approvals,
)
from ..core.refunds import LOST_REFUNDS, Refund, RefundOrigin, money_of
from ..objection_ports import RefundQuestion
from ..store import Tx, operations, refund_requests, refunds, topups
from ..store.refund_requests import StoredRequest
from ..store.topups import StoredTopup

DECIDED_HERE: Final[tuple[RefundOrigin, ...]] = ("request", "outside")

Allows = Callable[[str], object]
"""Refuses an operator who may not decide about a customer's money."""


def unknown() -> NotFound:
    """Make the refusal of a request that is not there."""
    return NotFound("There is no such refund.", field="refund")


def load(context: Context, request_id: object) -> RequestedRefund:
    """Read a request.

    Raises:
        NotFound: There is none of that id.
    """
    wanted = object_id(request_id, field="refund")
    found = context.database.read(lambda tx: refund_requests.find(tx, wanted))
    if found is None:
        raise unknown()
    return found


def find_topup(context: Context, topup_id: str) -> StoredTopup:
    """Read a top-up.

    Raises:
        NotFound: There is none of that id.
    """
    stored = context.database.read(lambda tx: topups.find(tx, topup_id))
    if stored is None:
        raise NotFound("There is no such top-up.", field="topup")
    return stored


@frozen
class Decision:
    """What an operator decides about a request, checked but for what the database says.

    Attributes:
        request: The request as it was.
        amount: Credit to give back.
        reason: Why, for the audit.
        note: What the customer reads.
        actor: The operator.
        opposed: The refusal of plugins that were asked, or None.
    """

    request: RequestedRefund
    amount: Money
    reason: str
    note: str
    actor: str
    opposed: RefundRefused | None = None

    @property
    def question(self) -> RefundQuestion:
        """What plugins are asked about its approval."""
        return RefundQuestion(
            customer_id=self.request.customer,
            moment="approval",
            kind=self.request.kind,
            subject_id=self.request.subject_id,
            amount=self.amount,
            actor=self.actor,
            request_id=self.request.id,
        )


def decision(
    context: Context, case: RequestedRefund, amount: object, *, reason: object, note: object, actor: str
) -> Decision:
    """Check what an operator decides about a request.

    Raises:
        CurrencyMismatch: Another currency than was asked for.
        AmountOutOfRange: More than was asked for.
        NotAllowed: It is the operator's own account.
        InvalidRequest: No reason, or words that are too long.
        InvalidAmount: Not money above zero, in whole minor units for a top-up.
    """
    require = require_whole_minor if case.kind == "topup" else require_positive
    wanted = case.amount if amount is None else require(amount)
    if wanted.currency != case.amount.currency:
        raise CurrencyMismatch(f"The request is in {case.amount.currency}.", field="amount")
    if wanted > case.amount:
        raise AmountOutOfRange(f"{case.amount} was asked for.", field="amount", asked=str(case.amount))
    if actor == case.customer:
        raise NotAllowed("Nobody decides about their own account.", field="customer")
    words = check_text(note, field="note", longest=MAX_WORDS)
    return Decision(case, wanted, audit.check_reason(reason), words, actor)


def hold(tx: Tx, act: Decision) -> StoredRequest | RequestedRefund:
    """Hold a request that is open, or give it as it is if the same was approved already.

    Raises:
        WrongState: It was rejected or withdrawn.
        KeyConflict: Another amount was approved.
    """
    held = refund_requests.hold(tx, act.request.id)
    assert held is not None  # noqa: S101 - a request never goes away
    request = held.request
    if request.state in ("rejected", "withdrawn"):
        raise WrongState(f"This request was {request.state}.", field="refund", state=request.state)
    if request.approved not in (None, act.amount):
        raise KeyConflict(f"{request.approved} was approved of this request.", field="amount")
    return held if request.is_open else request


def goes_ahead(tx: Tx, context: Context, act: Decision) -> bool:
    """Hold a request that is open, and tell whether this approval gives its money back.

    Raises:
        WrongState: It was rejected or withdrawn.
        KeyConflict: Another amount was approved.
        RefundRefused: Plugins object to an approval that was not given before.
    """
    held = hold(tx, act)
    return not isinstance(held, RequestedRefund) and not waits_for_another(tx, context, held, act)


def waits_for_another(tx: Tx, context: Context, held: StoredRequest, act: Decision) -> bool:
    """Record the first of two approvals, or tell that it is still the only one.

    Raises:
        RefundRefused: Plugins object, and it was not given before.
    """
    in_all = act.amount + given_back(tx, act.request.kind, act.request.subject_id, act.amount.currency)
    takes_two = rule(tx).needs_two(in_all)
    if takes_two and held.confirmed_by == act.actor:
        return True
    if act.opposed is not None:
        raise act.opposed
    if not takes_two or held.confirmed_by:
        return False
    values = {"approved": act.amount.units, "confirmed_by": act.actor, "note": act.note}
    refund_requests.step(tx, held.request.id, "confirming", **values)
    _note(tx, context, act, "refund-confirm")
    return True


def given_back(tx: Tx, kind: Subject, subject_id: str, currency: str) -> Money:
    """Sum what operators gave back of a top-up or a charge so far, in credit: parts are no way around a limit."""
    if kind == "topup":
        known = refunds.of_topup(tx, subject_id)
        found = [each.credit for each in known if each.origin in DECIDED_HERE and each.state not in LOST_REFUNDS]
    else:
        found = refund_requests.approved_of(tx, subject_id)
    return sum(found, Money.zero(currency))


def rule(tx: Tx) -> Approvals:
    """Read above which amounts two operators approve."""
    return approvals(operations.read_setting(tx, APPROVALS_SETTING))


def decided(tx: Tx, context: Context, act: Decision, target: RequestState, **answer: str) -> RequestedRefund:
    """Move a request to where it was decided to, write it down and tell of it."""
    values = {
        "decided_by": act.actor,
        "decided_at": context.now(),
        "note": act.note,
        "approved": None if target == "rejected" else act.amount.units,
    }
    stepped = refund_requests.step(tx, act.request.id, target, **values, **answer)
    assert stepped  # noqa: S101 - its row is held, and it was open
    _note(tx, context, act, "refund-reject" if target == "rejected" else "refund-approve", **answer)
    outbox.emit(
        tx,
        context,
        "refund-decided",
        about=act.request.id,
        customer=act.request.customer,
        amount=act.request.amount if target == "rejected" else act.amount,
        request=act.request.id,
        subject=act.request.subject_id,
        decision="rejected" if target == "rejected" else "approved",
    )
    return refund_requests.find(tx, act.request.id) or act.request


def _note(tx: Tx, context: Context, act: Decision, action: str, **answer: str) -> None:
    after = {"amount": str(act.amount), "customer": act.request.customer, "subject": act.request.subject_id, **answer}
    audit.record(
        tx,
        context,
        actor=act.actor,
        action=action,
        target=act.request.id,
        customer=act.request.customer,
        reason=act.reason,
        after=after,
    )


def refund_of(
    context: Context, amount: Money, held: returning.Held | None, *, origin: RefundOrigin, actor: str, reason: str
) -> Refund:
    """Work out a refund of a part of a top-up's credit.

    Raises:
        RefundRefused: So much cannot be given back.
        WrongState: Its gateway cannot give money back, and ``origin`` is that it should.
    """
    if held is None:
        raise RefundRefused(REASONS["review"], reason="review", field="refund")
    wallet, sold = held.wallet, held.sold
    by_hand = origin == "outside"
    found = returning.topup_eligible(context, sold, free=wallet.balance - wallet.held, by_hand=by_hand)
    if found.by_hand and origin == "request":
        label = context.label_of(sold.gateway)
        raise WrongState(f"{label} cannot give money back by itself; record what you gave back.", field="refund")
    if amount > found.credit:
        text = f"Of this {found.credit} can be given back. {found.message or REASONS['spent']}"
        raise RefundRefused(text, reason=found.reason or "spent", eligible=str(found.credit))
    part = by_credit(sold.bought, amount.units, sold.before)
    returning.require_givable(context, sold, gross_minor=part.gross_minor, by_hand=by_hand)
    figures = money_of(part, amount.currency)
    return Refund(
        id=context.ids.new("ref"),
        topup_id=sold.topup_id,
        gateway=sold.gateway,
        payment_id=held.stored.payment_id or "",
        amount=figures["net"] + figures["tax"],
        origin=origin,
        state="starting",
        is_of_credit=True,
        actor=actor,
        reason=reason,
        created_at=context.now(),
        **figures,
    )


def take(
    tx: Tx, context: Context, refund: Refund, held: returning.Held | None, *, prepared: returning.Prepared
) -> None:
    """Take the credit of a refund that was worked out, all of it from the top-up's own grants."""
    assert held is not None  # noqa: S101 - a refund of it was worked out
    returning.take_for_refund(tx, context, refund, held=held, prepared=prepared, own_only=True)
