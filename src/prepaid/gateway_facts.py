"""What gateways tell of refunds and disputes: read from them, and recorded as facts.

A refund of ours goes on to where the gateway has it. One that was made in the
gateway's dashboard, and a dispute, are kept with their state and shown to
operators; nothing is posted for them here.
"""

from __future__ import annotations

from contextlib import suppress

from attrs import evolve, frozen

from . import audit, outbox, repayment
from .config import Context
from .core.errors import GatewayError, NotFound
from .core.money import Money
from .core.refunds import Dispute, Refund
from .core.topups import Topup
from .ports import DisputeSnapshot, Gateway, RefundSnapshot
from .store import Duplicate, Tx, disputes, refunds, topups

CLOSED = ("won", "lost")


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


def record(context: Context, gateway: Gateway, topup: Topup) -> None:
    """Ask a gateway for the refunds and disputes of a paid top-up, and record what is new.

    Raises:
        GatewayError: It cannot be asked, or tells of a refund of ours what cannot be.
    """
    ref = context.database.read(lambda tx: topups.payment_ref(tx, topup.id))
    if ref is None:
        return
    # As they are before the gateway is asked: what changes meanwhile was told by a newer answer.
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


def _record_refund(context: Context, topup: Topup, told: RefundSnapshot) -> None:
    known = context.database.read(lambda tx: refunds.find_at_gateway(tx, topup.gateway, told.gateway_refund_id))
    ours = known or (told.refund_id and context.database.read(lambda tx: refunds.find(tx, told.refund_id or "")))
    if ours and ours.refund.origin != "gateway":
        repayment.apply(context, ours.refund, told)
    elif ours:
        context.database.write(lambda tx: _change_refund(tx, context, topup, ours.refund, told=told))
    else:
        with suppress(Duplicate):  # recorded by another worker at the same moment
            context.database.write(lambda tx: _add_refund(tx, context, topup, told))


def _add_refund(tx: Tx, context: Context, topup: Topup, told: RefundSnapshot) -> None:
    now = context.now()
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
    refunds.add(tx, refund, gateway_key="", next_look_at=None)
    _audit(tx, context, refund, "refund-at-gateway", customer=topup.customer)


def _change_refund(tx: Tx, context: Context, topup: Topup, refund: Refund, *, told: RefundSnapshot) -> None:
    values = {"failure": told.failure[:32]}
    settled = {"settled_at": context.now()} if told.state == "succeeded" else {}
    if told.state != refund.state and refunds.step(tx, refund.id, told.state, **values, **settled):
        _audit(tx, context, refund, f"refund-{told.state}", customer=topup.customer)


def _audit(tx: Tx, context: Context, about: Refund | Dispute, action: str, *, customer: str) -> None:
    actor, after = f"gateway:{about.gateway}", {"amount": str(about.amount), "topup": about.topup_id}
    audit.record(tx, context, actor=actor, action=action, target=about.id, customer=customer, after=after)


def _record_dispute(context: Context, topup: Topup, told: DisputeSnapshot, *, known: Dispute | None) -> None:
    if known is None:
        with suppress(Duplicate):
            context.database.write(lambda tx: _add_dispute(tx, context, topup, told))
    elif (known.state, known.amount) != (told.state, told.amount):  # one that is lost may be opened again, by an appeal
        context.database.write(lambda tx: _change_dispute(tx, context, known, told, customer=topup.customer))


def _add_dispute(tx: Tx, context: Context, topup: Topup, told: DisputeSnapshot) -> None:
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
    )
    disputes.add(tx, dispute)
    _tell(tx, context, dispute, "dispute-opened", customer=topup.customer)
    if told.state in CLOSED:
        _tell(tx, context, dispute, "dispute-closed", customer=topup.customer)


def _change_dispute(tx: Tx, context: Context, known: Dispute, told: DisputeSnapshot, *, customer: str) -> None:
    changed = disputes.change(tx, known, state=told.state, amount=told.amount, now=context.now())
    told_before = outbox.exists(tx, "dispute-closed", f"{known.id}/{told.state}")
    if changed and told.state in CLOSED and not told_before:
        _tell(tx, context, evolve(known, state=told.state, amount=told.amount), "dispute-closed", customer=customer)


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
