"""Issuing an invoice: frozen content, the next number, inside the settling transaction."""

from __future__ import annotations

from datetime import date

from attrs import evolve, frozen

from . import outbox
from .config import Context
from .core.documents import (
    INVOICE_PREFIX,
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
from .core.topups import Topup
from .store import Tx, documents, tax_entries
from .tax import corrections

INVOICE = "invoice"
_MISSED = {"lost": "Paid too late for the promotion", "released": "Credited without the promotion"}
"""What a document says of a promotion that its top-up was started with, and did not get."""


@frozen
class Series:
    """Where a document of today goes: the fiscal year of its series, and the date."""

    year: int
    today: date


def open_series(context: Context) -> Series:
    """Give today's series, begun in a transaction of its own if it is new."""
    today = local_day(context.now(), context.seller.timezone)
    series = Series(fiscal_year(today, context.seller.fiscal_year_start), today)
    documents.ensure_series(context.database, INVOICE, series.year, today)
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
    now, seller = context.now(), context.seller
    draft = check_figures(
        Invoice(
            id=invoice_id,
            number="",
            issued_at=now,
            issued_on=series.today,
            customer=customer.id,
            buyer=buyer_party(customer, profile, topup.tax),
            seller=seller_party(seller),
            lines=lines_of(topup),
            tax=topup.tax,
            net=topup.net,
            total=topup.total,
            currency=topup.total.currency,
            mode=context.mode,
            locale=customer.locale,
            topup_id=topup.id,
            payment=(context.label_of(topup.gateway), payment_id),
        )
    )
    _announce(tx, context, draft, customer)
    corrections.hold(tx, draft.tax)
    place = documents.take_number(tx, INVOICE, series.year, series.today)
    number = number_in_series(
        INVOICE_PREFIX, place.issued_on, place.sequence, mode=context.mode, start=seller.fiscal_year_start
    )
    invoice = evolve(draft, number=number, issued_on=place.issued_on)
    issued = documents.add_invoice(tx, invoice, year=series.year, sequence=place.sequence)
    tax_entries.add_invoice(tx, issued)
    corrections.watch(tx, context, issued)
    return issued


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
    )
