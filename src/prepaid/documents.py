"""Issuing documents: frozen content, the next number, inside the transaction that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from attrs import evolve, frozen

from . import outbox
from .config import Context
from .core.documents import (
    PREFIXES,
    DocumentKind,
    Invoice,
    InvoiceLine,
    buyer_party,
    check_figures,
    fiscal_year,
    number_in_series,
    seller_party,
)
from .core.instants import local_day
from .core.money import Money
from .core.parties import Customer, TaxProfile
from .core.taxation import TaxDecision, refunded_part
from .core.topups import Topup
from .store import Tx, documents, tax_entries
from .tax import corrections

INVOICE: Final[DocumentKind] = "invoice"
CREDIT_NOTE: Final[DocumentKind] = "credit-note"
_MISSED = {"lost": "Paid too late for the promotion", "released": "Credited without the promotion"}
"""What a document says of a promotion that its top-up was started with, and did not get."""


@frozen
class Series:
    """Where a document of today goes: its kind, the fiscal year of its series, and the date."""

    kind: DocumentKind
    year: int
    today: date


def open_series(context: Context, kind: DocumentKind = INVOICE) -> Series:
    """Give today's series of a kind, begun in a transaction of its own if it is new."""
    today = local_day(context.now(), context.seller.timezone)
    series = Series(kind, fiscal_year(today, context.seller.fiscal_year_start), today)
    documents.ensure_series(context.database, kind, series.year, today)
    return series


def lines_of(topup: Topup) -> tuple[InvoiceLine, ...]:
    """Give the lines of a top-up's invoice: credit at its price, a discount, a free bonus, a promotion it missed."""
    free, code = Money.zero(topup.credit.currency), f" ({topup.code})" if topup.code else ""
    lines = [InvoiceLine(description=f"Account credit {topup.credit}", net=topup.net + topup.discount)]
    if topup.discount:
        lines.append(InvoiceLine(description=f"Promotion discount{code}", net=-topup.discount))
    if topup.bonus:
        lines.append(InvoiceLine(description=f"Bonus credit {topup.bonus}{code}", net=free))
    if topup.promotion in _MISSED:
        lines.append(InvoiceLine(description=f"{_MISSED[topup.promotion]}{code}", net=free))
    return tuple(lines)


def issue(
    tx: Tx,
    context: Context,
    topup: Topup,
    *,
    customer: Customer,
    profile: TaxProfile | None,
    series: Series,
    invoice_id: str,
    payment_id: str,
) -> Invoice:
    """Freeze the invoice of a credited top-up under the next number, and let it be mailed.

    The number is taken by the last statements but those that write the document
    and its taxes: the counter row stays locked until the commit.
    """
    draft = Invoice(
        id=invoice_id,
        number="",
        issued_at=context.now(),
        issued_on=series.today,
        customer=customer.id,
        buyer=buyer_party(customer, profile, topup.tax),
        seller=seller_party(context.seller),
        lines=lines_of(topup),
        tax=topup.tax,
        net=topup.net,
        total=topup.total,
        currency=topup.total.currency,
        mode=context.mode,
        locale=customer.locale,
        topup_id=topup.id,
        cause_id=topup.id,
        payment=(context.label_of(topup.gateway), payment_id),
    )
    _announce(tx, context, draft, customer)
    corrections.hold(tx, draft.tax)
    issued = _under_next_number(tx, context, draft, series=series)
    corrections.watch(tx, context, issued)
    return issued


def _under_next_number(tx: Tx, context: Context, draft: Invoice, *, series: Series, turn: int = 0) -> Invoice:
    check_figures(draft)
    place = documents.take_number(tx, series.kind, series.year, series.today)
    start = context.seller.fiscal_year_start
    number = number_in_series(PREFIXES[series.kind], place.issued_on, place.sequence, mode=context.mode, start=start)
    invoice = evolve(draft, number=number, issued_on=place.issued_on)
    issued = documents.add_invoice(tx, invoice, year=series.year, sequence=place.sequence, turn=turn)
    tax_entries.add_invoice(tx, issued)
    return issued


@frozen(kw_only=True)
class Change:
    """What a later document says of a part of a top-up: that it went back, or came again.

    Attributes:
        kind: A credit note over what went back, or an invoice over what came again.
        topup_id: The top-up.
        cause_id: The refund or dispute.
        turn: Which turn of it.
        net: What of the net it is about.
        tax: What of the tax.
        lines: What it says, each with what of the net.
        customer: Who is told, as they are now.
    """

    kind: DocumentKind
    topup_id: str
    cause_id: str
    turn: int = 0
    net: Money
    tax: Money
    lines: tuple[InvoiceLine, ...]
    customer: Customer


SeriesByKind = Mapping[DocumentKind, Series]
"""Where documents of each kind go."""

Changes = tuple[Change, ...]
"""What a transaction has posted and still has to document, in order: its steps give it, its end issues it."""


def issue_changes(tx: Tx, context: Context, changes: Changes, *, series: SeriesByKind) -> None:
    """Issue what a transaction has to document, in order, by its last statements.

    The counters stay locked until the commit, so whoever waits for one must not hold
    what this transaction still needs. Several are locked in one order, whichever
    document comes first.
    """
    kinds = {change.kind for change in changes}
    if len(kinds) > 1:
        for kind in sorted(kinds):
            documents.hold_series(tx, kind, series[kind].year)
    for change in changes:
        issue_change = issue_credit_note if change.kind == CREDIT_NOTE else issue_again
        issue_change(tx, context, change, series=series[change.kind])


def issue_credit_note(tx: Tx, context: Context, change: Change, *, series: Series) -> Invoice:
    """Freeze a credit note over what went back: the invoice's tax decision and buyer, what is left of each tax."""
    known = documents.of_topup(tx, change.topup_id)
    sold = _invoice_of(known, change.topup_id)
    again = {(each.cause_id, turn) for each, turn in known if each.kind == INVOICE}
    before = [each.tax for each, turn in known if each.kind == CREDIT_NOTE and (each.cause_id, turn) not in again]
    tax = refunded_part(sold.tax, net=change.net, tax=change.tax, before=before, rounding=context.seller.rounding)
    return _follow(tx, context, change, of=sold, tax=tax, corrects=sold.number, series=series)


def issue_again(tx: Tx, context: Context, change: Change, *, series: Series) -> Invoice:
    """Freeze an invoice over what a credit note was about, because that part did not go back after all."""
    known = documents.of_topup(tx, change.topup_id)
    note = next(
        each for each, turn in known if (each.kind, each.cause_id, turn) == (CREDIT_NOTE, change.cause_id, change.turn)
    )
    return _follow(tx, context, change, of=note, tax=note.tax, corrects=note.number, series=series)


def _invoice_of(known: list[tuple[Invoice, int]], topup_id: str) -> Invoice:
    return next(each for each, _ in known if each.kind == INVOICE and each.cause_id == topup_id)


def _follow(
    tx: Tx,
    context: Context,
    change: Change,
    *,
    of: Invoice,
    tax: TaxDecision,
    corrects: str,
    series: Series,
) -> Invoice:
    draft = evolve(
        of,
        id=context.ids.new("inv"),
        number="",
        kind=series.kind,
        issued_at=context.now(),
        issued_on=series.today,
        seller=seller_party(context.seller),
        lines=change.lines,
        tax=tax,
        net=change.net,
        total=change.net + change.tax,
        locale=change.customer.locale,
        cause_id=change.cause_id,
        corrects=corrects,
        sha256="",
    )
    _announce(tx, context, draft, change.customer)
    return _under_next_number(tx, context, draft, series=series, turn=change.turn)


def _announce(tx: Tx, context: Context, invoice: Invoice, customer: Customer) -> None:
    if customer.email and context.mailer is not None:
        payload = {"invoice": invoice.id, "to": customer.email}
        outbox.add(tx, context, outbox.INVOICE_MAIL, dedupe_key=invoice.id, payload=payload)
    outbox.emit(
        tx,
        context,
        "invoice-issued",
        about=invoice.id,
        customer=customer.id,
        amount=invoice.total,
        invoice=invoice.id,
        topup=invoice.topup_id,
        kind=invoice.kind,
    )
