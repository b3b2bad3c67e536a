"""What operators do with top-ups that need a look: ask again, confirm a transfer, end a review."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from . import audit, gateway_facts, identity, objections, promotions, repayment, settlement, wallets
from .config import Context, object_id, page_limit
from .core.errors import InvalidRequest, KeyConflict, WrongState
from .core.hashing import fingerprint, key_hash
from .core.ids import check_key, check_text
from .core.instants import to_micros
from .core.money import Money, require_whole_minor
from .core.pages import Page, make_cursor, read_cursor
from .core.refunds import LOST_REFUNDS, OPEN_REFUNDS, Refund
from .core.resolution import Resolution, ResolveAction, check_action
from .core.resolution import resolve as resolved_as
from .core.states import PAID_STATES
from .core.topups import NO_GATEWAY, Topup
from .core.transfers import SUSPENSE
from .gateway_facts import TopupFacts, facts_of
from .objection_ports import RefundQuestion
from .ports import ConfirmedByOperator, Gateway, PaymentRef
from .settlement import selling
from .store import Tx, payments, refunds, topups
from .store import customers as customer_rows
from .store.topups import StoredTopup

MAX_EVIDENCE = 100
_ACT_NAMES = ("key", "print", "earlier")


def for_review(context: Context, *, cursor: str | None, limit: int) -> Page[Topup]:
    """List what an operator should look at, oldest first.

    Paid top-ups in review, open ones with something wrong, and settled ones of
    which a part could not be given back.

    Raises:
        InvalidRequest: A cursor of another list, or a limit out of range.
    """
    size, after = page_limit(limit), read_cursor("v", cursor)
    rows = context.database.read(lambda tx: topups.for_review(tx, after=after, limit=size + 1))
    return Page(tuple(rows[:size]), make_cursor("v", rows[size - 1].id) if len(rows) > size else None)


def facts(context: Context, topup_id: object) -> TopupFacts:
    """Read a top-up, what was paid for it, what of that went back and what is disputed.

    Raises:
        NotFound: There is none of that id.
    """
    return facts_of(context, object_id(topup_id, field="topup"))


def recheck(context: Context, topup_id: object, *, actor: str, reason: object = "") -> Topup:
    """Ask the gateway about a top-up again and settle it, with its refunds and disputes.

    Raises:
        NotFound: There is none of that id.
        InvalidRequest: A reason that is no text, or too long.
        GatewayError: The gateway cannot be asked.
    """
    why, stored = audit.optional_reason(reason), _load(context, topup_id)
    wanted, customer, now = stored.topup.id, stored.topup.customer, context.now()

    def work(tx: Tx) -> None:
        audit.record(tx, context, actor=actor, action="recheck", target=wanted, customer=customer, reason=why)
        topups.schedule_facts(tx, wanted, now, stored.polls)

    context.database.write(work)
    return settlement.settle(context, wanted).topup


def confirm_transfer(
    context: Context, topup_id: object, *, received: object, reference: object, actor: str, reason: object = ""
) -> Topup:
    """Say what came in for a top-up that nobody can ask about, and settle it.

    Args:
        context: The billing system.
        topup_id: The top-up.
        received: What came in, in whole minor units; it may differ from what was asked for.
        reference: The line of the bank statement, which settles one top-up only.
        actor: The operator.
        reason: Why, for the audit.

    Raises:
        NotFound: There is none of that id.
        InvalidRequest: Its gateway is asked, not told; the reference settled another top-up; or a reason that is
            no text, or too long.
        InvalidAmount: Not positive whole minor units.
        KeyConflict: Something else was confirmed, and settled.
    """
    amount, why = require_whole_minor(received), audit.optional_reason(reason)
    evidence = check_text(reference, field="reference", longest=MAX_EVIDENCE, empty=False)
    stored = _load(context, topup_id)
    if stored.topup.gateway == NO_GATEWAY:
        raise InvalidRequest("Nothing is to be paid for this top-up.", field="topup")
    gateway = settlement.gateway_of(context, stored.topup)
    if not isinstance(gateway, ConfirmedByOperator):
        raise InvalidRequest("What was paid at this gateway is asked of the gateway.", field="topup")
    content = {"units": str(amount.units), "currency": amount.currency, "evidence": evidence}
    told = {name: value for name, value in (stored.confirmation or {}).items() if name in content}
    if stored.topup.state in PAID_STATES:
        if told != content:
            raise KeyConflict("Another receipt was confirmed for this top-up.", field="received")
        return stored.topup
    if told != content and not _keep_confirmation(
        context, gateway, stored, content, received=amount, actor=actor, reason=why
    ):  # somebody else confirmed something at the same moment: look again
        return confirm_transfer(context, topup_id, received=received, reference=reference, actor=actor, reason=reason)
    settled = settlement.settle(context, stored.topup.id)
    if settled.outcome == "mismatch" and settled.topup.failure == settlement.OTHERS_PAYMENT:
        raise _settled_another()  # since it was looked for
    return settled.topup


def _settled_another() -> InvalidRequest:
    return InvalidRequest("This reference settled another top-up.", field="reference")


def _keep_confirmation(
    context: Context,
    gateway: ConfirmedByOperator,
    stored: StoredTopup,
    content: dict[str, Any],
    *,
    received: Money,
    actor: str,
    reason: str,
) -> bool:
    """Keep what came in; False if the top-up is not as it was any more.

    Raises:
        InvalidRequest: It settled another top-up.
    """
    topup, now = stored.topup, context.now()
    ref = PaymentRef(topup_id=topup.id, checkout_id=stored.checkout_id or "")
    payment = gateway.confirmed(ref, received=received, evidence=content["evidence"], at=now)

    def work(tx: Tx) -> bool:
        owner = payments.owner(tx, topup.gateway, payment.payment_id or "")
        if owner is not None and owner != topup.id:
            raise _settled_another()
        told = {**content, "at": to_micros(now), "actor": actor}
        if not topups.confirm(tx, topup.id, told, before=stored.confirmation):
            return False
        audit.record(
            tx,
            context,
            actor=actor,
            action="confirm-transfer",
            target=topup.id,
            customer=topup.customer,
            reason=reason,
            before=dict(stored.confirmation or {}),
            after={**content, "received": str(received)},
        )
        return True

    return context.database.write(work)


def resolve(context: Context, topup_id: object, *, action: object, reason: object, key: object, actor: str) -> Topup:
    """End the review of a payment: credit what came, credit what was quoted, or give it back.

    What was given back and came back to us, after the review had ended too,
    can be given back again.

    Args:
        context: The billing system.
        topup_id: The top-up in review.
        action: ``"credit_received"``, ``"credit_quoted"`` or ``"refund"``.
        reason: Why, for the audit.
        key: The operator's key of this act.
        actor: The operator.

    Raises:
        NotFound: There is none of that id.
        InvalidRequest: No such action, no reason, or a key of the wrong form.
        WrongState: It is not in review, or this cannot be done with its payment;
            or it would be credited to a customer who has to be verified first.
        KeyConflict: The key ended this review in another way.
        AmountOutOfRange: The balance would be larger than the ledger can hold.
        RefundRefused: Plugins object to what would go back.
    """
    wanted, why = check_action(action), audit.check_reason(reason)
    hashed = key_hash(context.database.book_id, "resolve", actor, check_key(key))
    stored = _load(context, topup_id)
    act = _Act(key=hashed, print=fingerprint("resolve", stored.topup.id, wanted))
    if act.is_among(stored):
        return stored.topup
    waiting, made = _require_waiting(context, stored, wanted)
    resolution = resolved_as(stored.topup, waiting, wanted, rounding=context.seller.rounding)
    _require_refunds(context, stored, resolution)
    _require_unopposed(context, stored, resolution, act=act, actor=actor)
    record = act.record(stored) | _record(stored, resolution, wanted, actor=actor)
    try:
        done = _end(context, stored, resolution, record, action=wanted, actor=actor, reason=why, made=made)
    except WrongState:
        ended = settlement.load(context, stored.topup.id)
        if act.is_among(ended):  # the same act, at the same moment
            return ended.topup
        raise
    for refund in done:
        repayment.try_pursue(context, refund.id)
    gateway_facts.book_disputes(context, stored.topup)
    return settlement.load(context, stored.topup.id).topup


@frozen
class _Act:
    """What an operator does under a key, to be known again."""

    key: str
    print: str

    def is_among(self, stored: StoredTopup) -> bool:
        """Tell whether it was done already.

        Raises:
            KeyConflict: Something else was, under its key.
        """
        known = _acts(stored).get(self.key)
        if known not in (None, self.print):
            raise KeyConflict("This key ended the review in another way.", field="key")
        return known is not None

    def record(self, stored: StoredTopup) -> dict[str, Any]:
        """Give what is kept of it, and of those before."""
        earlier = _acts(stored)
        return {"key": self.key, "print": self.print} | ({"earlier": earlier} if earlier else {})


def _acts(stored: StoredTopup) -> dict[str, str]:
    last = stored.resolved
    # One that ended because its customer was verified is nobody's act.
    return {} if last is None or "key" not in last else {**last.get("earlier", {}), last["key"]: last["print"]}


def _load(context: Context, topup_id: object) -> StoredTopup:
    return settlement.load(context, object_id(topup_id, field="topup"))


def _require_waiting(context: Context, stored: StoredTopup, action: ResolveAction) -> tuple[Money, list[Refund]]:
    """Give what waits in suspense for an operator, and what of it was given back at the gateway meanwhile.

    Raises:
        WrongState: Nothing does, or not for this.
    """
    waiting, topup = _in_suspense(stored), stored.topup
    back = context.database.read(lambda tx: refunds.of_topup(tx, topup.id))
    # What a gateway's dashboard gave back of a credited payment is no part of what is in suspense.
    out = [
        refund
        for refund in back
        if refund.state not in LOST_REFUNDS and (refund.origin == "review" or topup.state != "credited")
    ]
    made = [refund for refund in out if refund.origin == "gateway"]
    is_sent = any(refund.state in OPEN_REFUNDS and not refund.is_made_at_gateway for refund in out)
    left = None if waiting is None else waiting - sum((each.amount for each in out), Money.zero(waiting.currency))
    is_waiting = left is not None and (left.units > 0 or (left.units == 0 and bool(made)))
    if left is None or not is_waiting or is_sent or (topup.state != "review" and action != "refund"):
        raise WrongState("This top-up does not wait in review.", field="topup", state=topup.state)
    if out and action != "refund":
        raise WrongState("A part of this payment went back at its gateway; the rest can only follow.", field="action")
    return left, made


def _in_suspense(stored: StoredTopup) -> Money | None:
    """Give what stands in suspense of a payment while nothing of it is out."""
    captured = stored.captured
    if captured is None or stored.topup.state != "credited":
        return captured
    surplus = (stored.resolved or {}).get("refund")
    return Money(surplus, captured.currency) if surplus else None


def _require_refunds(context: Context, stored: StoredTopup, resolution: Resolution) -> None:
    if not resolution.refund:
        return  # nobody need be asked: also what came by a gateway that is gone can be credited
    gateway: Gateway = settlement.gateway_of(context, stored.topup)
    claims = gateway.capabilities()
    if not claims.refunds:
        raise WrongState(f"{gateway.label} cannot give money back by itself.", field="action")
    if resolution.refund != stored.captured and not claims.partial_refund:
        raise WrongState(f"{gateway.label} cannot give a part of a payment back.", field="action")


def _require_unopposed(context: Context, stored: StoredTopup, resolution: Resolution, *, act: _Act, actor: str) -> None:
    """Ask plugins about what would go back.

    Raises:
        RefundRefused: They object, and the act was not done while they were asked.
    """
    if not resolution.refund:
        return
    topup = stored.topup
    question = RefundQuestion(
        customer_id=topup.customer,
        moment="review",
        kind="topup",
        subject_id=topup.id,
        amount=resolution.refund,
        actor=actor,
    )
    opposed = objections.to_refund(context, question)
    if opposed is not None and not act.is_among(settlement.load(context, topup.id)):
        raise opposed


def _record(stored: StoredTopup, resolution: Resolution, action: ResolveAction, *, actor: str) -> dict[str, Any]:
    topup, ended = stored.topup, stored.resolved
    if ended is not None and topup.state != "review":  # what was sold stays as it was
        return {name: amount for name, amount in ended.items() if name not in _ACT_NAMES}
    ordered = {name: getattr(topup, name).units for name in ("credit", "bonus", "discount", "net", "total")}
    return {
        "action": action,
        "actor": actor,
        "ordered": ordered | {"tax": topup.tax.total.units, "currency": topup.total.currency},
        "goodwill": resolution.goodwill.units,
        "refund": resolution.refund.units,
    }


def _end(
    context: Context,
    stored: StoredTopup,
    resolution: Resolution,
    record: dict[str, Any],
    *,
    action: ResolveAction,
    actor: str,
    reason: str,
    made: list[Refund],
) -> list[Refund]:
    """Post a resolution in one transaction, and give the refunds that it intends.

    What was ``made`` at the gateway meanwhile is taken out of suspense with it.
    """
    topup, before = stored.topup, stored.resolved
    sold = topup if action == "refund" else _sold(topup, resolution)
    back = repayment.open_accounts(context, topup.gateway, resolution.refund.currency)
    prepared, asked = None, ""
    if action != "refund":
        asked = identity.asked_of_payment(context, sold)
        prepared = selling.prepare(
            context, sold, SUSPENSE, profile_version=stored.profile_version, goodwill=resolution.goodwill
        )

    def work(tx: Tx) -> list[Refund]:
        customer_rows.hold(tx, topup.customer)
        if action != "refund" and identity.is_unmet(tx, context, sold, asked=asked):
            raise WrongState("The customer has to be verified before this is credited; or refund it.", field="action")
        ended = (
            topups.intend_refund(tx, topup, resolved=record, before=before)
            if prepared is None
            else topups.resolve(tx, sold, resolved=record, before=before, invoice_id=prepared.invoice_id)
        )
        if not ended:
            raise WrongState("This top-up does not wait in review.", field="topup")
        if action == "credit_quoted":
            promotions.redeem_as_quoted(tx, context, topup)
        else:
            promotions.release(tx, context, topup, action)
        audit.record(
            tx,
            context,
            actor=actor,
            action=f"resolve-{action}",
            target=topup.id,
            customer=topup.customer,
            reason=reason,
            after=record,
        )
        amount = resolution.refund
        intended = _give_back(tx, context, stored, amount, made=made, actor=actor, reason=reason, system=back)
        if prepared is not None:
            became = topup.promotion and ("redeemed" if action == "credit_quoted" else "released")
            said = evolve(sold, promotion=became)
            selling.post(tx, context, said, prepared, actor=actor, payment_id=stored.payment_id or "")
        return intended

    return context.database.write(work)


def _give_back(
    tx: Tx,
    context: Context,
    stored: StoredTopup,
    amount: Money,
    *,
    made: list[Refund],
    actor: str,
    reason: str,
    system: wallets.Accounts,
) -> list[Refund]:
    """Take out of suspense what was given back at the gateway, and what is to be given back now."""
    topup = stored.topup
    if not all(repayment.adopt(tx, context, refund, system=system) for refund in made):
        raise WrongState("A refund at the gateway changed just now; look again.", field="topup")
    if not amount:
        if made:
            repayment.end_review(tx, topup.id)
        return []
    refund = repayment.intend(
        tx,
        context,
        topup,
        payment_id=stored.payment_id or "",
        amount=amount,
        actor=actor,
        reason=reason,
        system=system,
    )
    return [refund]


def _sold(topup: Topup, resolution: Resolution) -> Topup:
    """Give the top-up with the figures that are really sold."""
    decision = resolution.decision
    return evolve(
        topup,
        credit=resolution.credit,
        bonus=resolution.bonus,
        discount=resolution.discount,
        net=decision.net,
        total=decision.gross,
        tax=decision,
    )
