"""What gateways tell of refunds and disputes: read from them, recorded as facts, and booked.

A refund of ours goes on to where the gateway has it. One that was made in the
gateway's dashboard, and a dispute, are kept with their state and booked in the
same transaction, if their top-up was credited: the money moved, whether we were
asked or not.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from attrs import evolve, frozen

from . import audit, documents, outbox, repayment, returning
from .config import Context
from .core.clawback import by_gross
from .core.errors import GatewayError, NotFound
from .core.money import Money
from .core.refunds import LOST_REFUNDS, Dispute, Refund, dispute_steps, money_of
from .core.topups import Topup
from .documents import Changes
from .ports import DisputeSnapshot, Gateway, PaymentRef, RefundSnapshot
from .store import Duplicate, Tx, disputes, refunds, topups
from .store.topups import StoredTopup

CLOSED = ("won", "lost")

MOST_TURNS: Final = 3
"""How often others may record the same while a gateway is asked, before a look is left for later."""


@frozen(kw_only=True)
class TopupFacts:
    """A top-up with what was paid for it, what of that was given back and what is disputed, oldest first.

    Attributes:
        topup: The top-up as it is.
        captured: What its payment took, which may differ from what was asked for; None before it is paid.
        refunds: Ours, and those made at the gateway.
        disputes: Open and closed ones.
    """

    topup: Topup
    captured: Money | None
    refunds: tuple[Refund, ...]
    disputes: tuple[Dispute, ...]


def facts_of(context: Context, topup_id: str) -> TopupFacts:
    """Read what is recorded of a top-up, without asking its gateway.

    Raises:
        NotFound: There is none of that id.
    """

    def read(tx: Tx) -> TopupFacts:
        stored = topups.find(tx, topup_id)
        if stored is None:
            raise NotFound("There is no such top-up.", field="topup")
        return TopupFacts(
            topup=stored.topup,
            captured=stored.captured,
            refunds=tuple(refunds.of_topup(tx, topup_id)),
            disputes=tuple(disputes.of_topup(tx, topup_id)),
        )

    return context.database.read(read)


class _Overtaken(Exception):
    """Another worker recorded something of the same meanwhile; nobody knows whose answer is the newer one."""


def record(context: Context, gateway: Gateway, topup: Topup, *, refunded: Money | None = None) -> None:
    """Ask a gateway for the refunds and disputes of a paid top-up, and record what is new.

    Args:
        context: The billing system.
        gateway: The gateway.
        topup: The top-up.
        refunded: What the payment itself says was given back of it in all; more than
            its refunds come to is told to operators.

    Raises:
        GatewayError: It cannot be asked, or tells of a refund of ours what cannot be;
            or others record the same again and again (``overtaken``).
    """
    ref = context.database.read(lambda tx: topups.payment_ref(tx, topup.id))
    if ref is None:
        return
    for _ in range(MOST_TURNS):
        try:
            _record(context, gateway, topup, ref)
        except (Duplicate, _Overtaken):
            continue
        return _compare(context, topup, refunded)
    raise GatewayError("Others record the same at this moment.", retryable=True, code="overtaken")


def _record(context: Context, gateway: Gateway, topup: Topup, ref: PaymentRef) -> None:
    # As they are before the gateway is asked: what changes meanwhile may be told by a newer answer.
    known = {dispute.dispute_id: dispute for dispute in facts_of(context, topup.id).disputes}
    odd: GatewayError | None = None
    for refund in gateway.refunds_of(ref):
        if refund.payment_id == ref.payment_id and refund.mode in (None, context.mode):
            try:
                _record_refund(context, topup, refund)
            except GatewayError as error:
                odd = error  # it must not keep the others from being recorded
    for dispute in gateway.disputes_of(ref):
        if dispute.payment_id == ref.payment_id and dispute.mode in (None, context.mode):
            _record_dispute(context, topup, dispute, known=known.get(dispute.dispute_id))
    if odd is not None:
        raise odd


def _compare(context: Context, topup: Topup, refunded: Money | None) -> None:
    """Tell of money that a payment gave back and that no refund its gateway lists accounts for."""
    if not refunded:
        return
    known = facts_of(context, topup.id).refunds
    listed = [each for each in known if each.origin != "outside" and each.state not in LOST_REFUNDS]
    if sum(each.amount.units for each in listed if each.amount.currency == refunded.currency) >= refunded.units:
        return
    about, reason = f"{topup.id}/refund-unlisted/{refunded}", "refund-unlisted"

    def work(tx: Tx) -> None:
        if not audit.is_told(tx, about):
            topups.mark_paid(tx, topup.id, reason)
            audit.security(
                tx,
                context,
                gateway=topup.gateway,
                reason=reason,
                target=topup.id,
                about=about,
                customer=topup.customer,
            )

    with suppress(Duplicate):  # told by another worker at the same moment
        context.database.write(work)


def _record_refund(context: Context, topup: Topup, told: RefundSnapshot) -> None:
    known = context.database.read(lambda tx: refunds.find_at_gateway(tx, topup.gateway, told.gateway_refund_id))
    ours = known or (told.refund_id and context.database.read(lambda tx: refunds.find(tx, told.refund_id or "")))
    if ours and (ours.refund.origin != "gateway" or ours.refund.is_of_credit):
        repayment.apply(context, ours.refund, told)
    elif ours:
        context.database.write(lambda tx: _change_refund(tx, context, topup, ours.refund, told=told))
    else:
        prepared = returning.prepare(context, topup.gateway, told.amount.currency)
        context.database.write(lambda tx: _add_refund(tx, context, topup, told, prepared=prepared))


def _add_refund(tx: Tx, context: Context, topup: Topup, told: RefundSnapshot, *, prepared: returning.Prepared) -> None:
    """Keep a refund that was made at the gateway, and book it if its top-up was credited."""
    stored, now = returning.hold_topup(tx, topup.customer, topup.id), context.now()
    refund = Refund(
        id=context.ids.new("ref"),
        topup_id=topup.id,
        gateway=topup.gateway,
        payment_id=told.payment_id,
        amount=told.amount,
        origin="gateway",
        state=told.state,
        gateway_refund_id=told.gateway_refund_id,
        actor=f"gateway:{topup.gateway}",
        reason="",
        failure=told.failure[:32],
        created_at=now,
        settled_at=now if told.state == "succeeded" else None,
    )
    went_back = told.state not in LOST_REFUNDS and told.amount.currency == topup.total.currency
    held = returning.hold_sold(tx, context, stored) if went_back else None
    if held is not None:
        part = by_gross(held.sold.bought, told.amount.minor, held.sold.before)
        refund = evolve(refund, is_of_credit=True, **money_of(part, told.amount.currency))
    refunds.add(tx, refund, gateway_key="", next_look_at=None)
    _audit(tx, context, refund, "refund-at-gateway", customer=topup.customer)
    if held is not None:
        changes = _book_refund(tx, context, refund, held=held, prepared=prepared)
        changes += returning.rebalance(tx, context, stored, prepared=prepared)
        documents.issue_changes(tx, context, changes, series=prepared.series)
    elif told.state not in LOST_REFUNDS and stored.topup.state == "credited":
        _look_into(tx, context, refund, "refund-currency")


def _book_refund(
    tx: Tx, context: Context, refund: Refund, *, held: returning.Held, prepared: returning.Prepared
) -> Changes:
    returning.take_for_refund(tx, context, refund, held=held, prepared=prepared, own_only=False)
    changes: Changes = ()
    if refund.settled_at is not None:
        customer = held.stored.topup.customer
        changes = returning.settle_refund(tx, context, refund, customer=customer, prepared=prepared)
        repayment.tell(tx, context, refund, "refund-settled")
    if refund.net + refund.tax != refund.amount:
        _look_into(tx, context, refund, "refund-exceeds-payment")
    return changes


def _look_into(tx: Tx, context: Context, refund: Refund, reason: str) -> None:
    """Have an operator look at a refund that does not go with its payment."""
    topups.mark_paid(tx, refund.topup_id, reason)
    audit.security(tx, context, gateway=refund.gateway, reason=reason, target=refund.id, about=f"{refund.id}/{reason}")


def _change_refund(tx: Tx, context: Context, topup: Topup, refund: Refund, *, told: RefundSnapshot) -> None:
    values = {"failure": told.failure[:32]}
    settled = {"settled_at": context.now()} if told.state == "succeeded" else {}
    if told.state != refund.state and refunds.step(tx, refund.id, told.state, **values, **settled):
        _audit(tx, context, refund, f"refund-{told.state}", customer=topup.customer)


def _audit(tx: Tx, context: Context, about: Refund | Dispute, action: str, *, customer: str) -> None:
    actor, after = f"gateway:{about.gateway}", {"amount": str(about.amount), "topup": about.topup_id}
    audit.record(tx, context, actor=actor, action=action, target=about.id, customer=customer, after=after)


def _record_dispute(context: Context, topup: Topup, told: DisputeSnapshot, *, known: Dispute | None) -> None:
    if known is not None and _is_as_told(known, told) and not dispute_steps(known):
        return
    currency = None if told.fee is None else told.fee.currency
    prepared = returning.prepare(context, topup.gateway, told.amount.currency, fee_currency=currency)

    def work(tx: Tx) -> None:
        stored = returning.hold_topup(tx, topup.customer, topup.id)
        dispute_id = _keep_dispute(tx, context, topup, told, known=known)
        _book_dispute(tx, context, dispute_id, topup=stored, prepared=prepared)

    context.database.write(work)


def _keep_dispute(tx: Tx, context: Context, topup: Topup, told: DisputeSnapshot, *, known: Dispute | None) -> str:
    """Keep what is told of a dispute, and name it."""
    if known is None:
        return _add_dispute(tx, context, topup, told)
    if not _is_as_told(known, told):  # one that is lost may be opened again, by an appeal
        _change_dispute(tx, context, known, told, customer=topup.customer)
    return known.id


def _is_as_told(known: Dispute, told: DisputeSnapshot) -> bool:
    fee = known.fee if told.fee is None else told.fee
    return (known.state, known.amount, known.fee) == (told.state, told.amount, fee)


def _add_dispute(tx: Tx, context: Context, topup: Topup, told: DisputeSnapshot) -> str:
    now = context.now()
    dispute = Dispute(
        id=context.ids.new("dis"),
        topup_id=topup.id,
        gateway=topup.gateway,
        dispute_id=told.dispute_id,
        payment_id=told.payment_id,
        amount=told.amount,
        state=told.state,
        reason=told.reason[:32],
        opened_at=told.created_at,
        created_at=now,
        changed_at=now,
        fee=told.fee,
    )
    disputes.add(tx, dispute)
    _tell(tx, context, dispute, "dispute-opened", customer=topup.customer)
    if told.state in CLOSED:
        _tell(tx, context, dispute, "dispute-closed", customer=topup.customer)
    return dispute.id


def _change_dispute(tx: Tx, context: Context, known: Dispute, told: DisputeSnapshot, *, customer: str) -> None:
    fee = known.fee if told.fee is None else told.fee
    if not disputes.change(tx, known, state=told.state, amount=told.amount, fee=fee, now=context.now()):
        raise _Overtaken
    told_before = outbox.exists(tx, "dispute-closed", f"{known.id}/{told.state}")
    if told.state in CLOSED and not told_before:
        _tell(tx, context, evolve(known, state=told.state, amount=told.amount), "dispute-closed", customer=customer)


def book_disputes(context: Context, topup: Topup) -> None:
    """Book the disputes of a top-up that was credited after they were recorded."""
    for known in facts_of(context, topup.id).disputes:
        currency = None if known.fee is None else known.fee.currency
        prepared = returning.prepare(context, known.gateway, known.amount.currency, fee_currency=currency)

        def work(tx: Tx, known: Dispute = known, prepared: returning.Prepared = prepared) -> None:
            stored = returning.hold_topup(tx, topup.customer, topup.id)
            _book_dispute(tx, context, known.id, topup=stored, prepared=prepared)

        context.database.write(work)


def _book_dispute(
    tx: Tx, context: Context, dispute_id: str, *, topup: StoredTopup, prepared: returning.Prepared
) -> None:
    """Post what is still to be posted of a dispute, and share anew what that leaves of its payment."""
    changes = returning.book_dispute(tx, context, dispute_id, topup=topup, prepared=prepared)
    if changes is not None:
        changes += returning.rebalance(tx, context, topup, prepared=prepared)
        documents.issue_changes(tx, context, changes, series=prepared.series)


def _tell(tx: Tx, context: Context, dispute: Dispute, event: str, *, customer: str) -> None:
    _audit(tx, context, dispute, event, customer=customer)
    outbox.emit(
        tx,
        context,
        event,
        about=f"{dispute.id}/{dispute.state}",
        customer=customer,
        amount=dispute.amount,
        dispute=dispute.id,
        topup=dispute.topup_id,
        state=dispute.state,
    )
