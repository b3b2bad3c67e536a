"""Documents whose tax rests on a tax id that its register had not confirmed: watched until it answers.

An issued document is never changed. When the answer shows that its tax was not right, a correction is offered, for
an operator to make with the customer or to leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from .. import audit, outbox
from ..config import Context, object_id, page_limit
from ..core.documents import Invoice
from ..core.errors import InvalidRequest, NotFound, WrongState
from ..core.pages import Page, make_cursor, read_cursor
from ..core.tax_ids import ANSWERED, tax_id_key
from ..core.taxation import TaxDecision
from ..store import Tx, tax_entries, tax_facts, tax_ids
from ..store.tax_entries import CHARGED, CLOSED, OFFERED, UNCHARGED, WAITING, TaxCorrection
from ..store.tax_facts import Approval

OFFERED_FOR: Final = timedelta(days=90)
"""Up to what age of a document its correction is offered."""


def watch(tx: Tx, context: Context, invoice: Invoice) -> None:
    """Remember a document whose tax depended on a tax id that was not confirmed.

    Days may pass between the decision and the payment: what the register said
    meanwhile counts at once, since it may not be asked again.
    """
    tax = invoice.tax
    if not tax.policy:
        return
    kind = UNCHARGED if tax.tax_id_counted else CHARGED
    number = tax_id_key(tax.tax_id_country, tax.tax_id)
    tax_entries.watch(tx, id=context.ids.new("cor"), invoice_id=invoice.id, number=number, kind=kind, now=context.now())
    if any(given.kind == tax_facts.TAX_ID and given.number == number for given in _approvals(tx, context, invoice)):
        answered(tx, context, number, is_valid=True, customer=invoice.customer)
        return
    stored = tax_ids.find(tx, number, lock=True)
    if stored is None:
        return
    if stored.answered_at != tax.checked_at and stored.state in ANSWERED:
        answered(tx, context, number, is_valid=stored.state == "valid")
    elif stored.next_at is None:  # it was nobody's any more
        tax_ids.schedule(tx, stored, context.now(), now=context.now())


def hold(tx: Tx, tax: TaxDecision) -> None:
    """Wait for who keeps an answer on the tax id of a document, before its number is taken and others wait for that."""
    if tax.policy:
        tax_ids.find(tx, tax_id_key(tax.tax_id_country, tax.tax_id), lock=True)


def _approvals(tx: Tx, context: Context, invoice: Invoice) -> list[Approval]:
    day = context.current_day()
    return [approval for approval in tax_facts.approvals(tx, invoice.customer) if approval.covers(day)]


def answered(tx: Tx, context: Context, number: str, *, is_valid: bool, customer: str | None = None) -> None:
    """Offer or close the corrections that waited for word on a number: a register's, or an operator's on a customer."""
    now = context.now()
    for waiting in _waiting(tx, number):
        if customer is not None and waiting.customer != customer:
            continue
        if is_valid == (waiting.kind == UNCHARGED):
            _close(tx, context, waiting, "the tax was right")
        elif now - waiting.created_at > OFFERED_FOR:
            _close(tx, context, waiting, "too late")
        elif tax_entries.offer(tx, waiting.id, now):
            outbox.emit(
                tx,
                context,
                "tax-correction",
                about=waiting.id,
                customer=waiting.customer,
                amount=waiting.tax,
                correction=waiting.id,
                invoice=waiting.invoice_id,
                kind=waiting.kind,
            )


def _waiting(tx: Tx, number: str) -> Iterator[TaxCorrection]:
    after: str | None = None
    while found := tax_entries.corrections(tx, state=WAITING, number=number, after=after):
        yield from found
        after = found[-1].id


def _close(tx: Tx, context: Context, waiting: TaxCorrection, reason: str) -> None:
    tax_entries.close(tx, waiting.id, start=WAITING, reason=reason, actor="system", now=context.now())


def listed(context: Context, *, state: str, cursor: str | None, limit: int) -> Page[TaxCorrection]:
    """List corrections of a state, oldest first.

    Raises:
        InvalidRequest: Not a state, a foreign cursor, or a limit out of range.
    """
    if state not in (WAITING, OFFERED, CLOSED):
        raise InvalidRequest("state is one of waiting, offered, closed.", field="state")
    size, after = page_limit(limit), read_cursor("c", cursor)
    found = context.database.read(lambda tx: tax_entries.corrections(tx, state=state, after=after, limit=size + 1))
    following = make_cursor("c", found[size - 1].id) if len(found) > size else None
    return Page(tuple(found[:size]), following)


def close(context: Context, correction_id: str, *, reason: str, actor: str) -> None:
    """Close a correction that is offered: it was made elsewhere, or the customer does not want it.

    Raises:
        InvalidRequest: No reason.
        NotFound: There is none of that id.
        WrongState: It is not offered.
    """
    wanted, why, now = object_id(correction_id, field="correction"), audit.check_reason(reason), context.now()

    def work(tx: Tx) -> None:
        if tax_entries.close(tx, wanted, start=OFFERED, reason=why, actor=actor, now=now):
            whose = tax_entries.customer_of(tx, wanted)
            action = "tax-correction-close"
            audit.record(tx, context, actor=actor, action=action, target=wanted, customer=whose, reason=why)
            return
        state = tax_entries.correction_state(tx, wanted)
        if state is None:
            raise NotFound("There is no such correction.", field="correction")
        if state != (CLOSED, actor):  # else the commit was made, its answer lost, or they closed it before
            raise WrongState("This correction is not offered.", field="correction", state=state[0])

    context.database.write(work)
