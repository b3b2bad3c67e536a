"""An invoice as it is frozen when issued, and the numbers of a series.

The record made here is what the hash covers and what a PDF is rendered from;
no later change of seller, buyer or rule reaches it.

Sources: Directive 2006/112/EC Art. 226 (content), Art. 63 and 65 (tax point).

>>> from datetime import date
>>> number_in_series("INV", date(2026, 11, 23), 7, mode="live")
'INV26-000007'
>>> number_in_series("INV", date(2026, 11, 23), 7, mode="test")
'TINV26-000007'
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final, Literal

from attrs import field, frozen

from .errors import IntegrityFault
from .instants import from_micros, to_micros
from .money import Money
from .parties import Customer, Seller, TaxProfile
from .taxation import TaxDecision, decision_from_record, decision_record

DocumentKind = Literal["invoice", "credit-note"]

PREFIXES: Final[dict[DocumentKind, str]] = {"invoice": "INV", "credit-note": "CN"}
"""What the numbers of each series begin with."""

SNAPSHOT_VERSION: Final = 1


@frozen(kw_only=True)
class Party:
    """One side of a document, as printed.

    Attributes:
        name: Legal name or a person's name.
        address: Address lines.
        tax_ids: Tax identification numbers.
        email: Mail address, or empty.
        phone: Telephone number, or empty.
        website: Web address, or empty.
    """

    name: str = field(repr=False)
    address: tuple[str, ...] = field(default=(), repr=False)
    tax_ids: tuple[str, ...] = field(default=(), repr=False)
    email: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    website: str = ""


@frozen(kw_only=True)
class InvoiceLine:
    """One line of a document: what it is and its net amount."""

    description: str
    quantity: int = 1
    net: Money


@frozen(kw_only=True)
class Invoice:
    """An issued document; never changed afterwards.

    Attributes:
        id: ``inv_…``, safe in URLs.
        number: Number in its series, without gaps.
        kind: ``"invoice"`` or ``"credit-note"``; amounts are above zero in both.
        issued_at: Instant of issue.
        issued_on: Date printed, in the seller's zone.
        customer: The host's customer id.
        buyer: The customer as known when it was issued.
        seller: The seller as configured when it was issued.
        lines: What was sold.
        tax: The frozen tax decision.
        net: Sum without tax.
        total: Sum with tax.
        currency: ISO 4217 code.
        mode: ``"test"`` documents say so and are worth nothing.
        locale: Language and number format.
        topup_id: The top-up it is about.
        cause_id: What it documents: the top-up, or the refund or dispute that took
            a part of it back.
        payment: Gateway label and payment id, for the line *paid by*.
        corrects: Number of the document it corrects, or None.
        sha256: Hash of the frozen record.
    """

    id: str
    number: str
    kind: DocumentKind = "invoice"
    issued_at: datetime
    issued_on: date
    customer: str
    buyer: Party
    seller: Party
    lines: tuple[InvoiceLine, ...]
    tax: TaxDecision
    net: Money
    total: Money
    currency: str
    mode: str
    locale: str = "en"
    topup_id: str
    cause_id: str
    payment: tuple[str, str]
    corrects: str | None = None
    sha256: str = ""


def check_figures(invoice: Invoice) -> Invoice:
    """Return a document whose lines, tax and sums agree; the last look before it gets a number.

    Raises:
        IntegrityFault: They do not.
    """
    lines = Money(sum(line.net.units for line in invoice.lines), invoice.currency)
    sums = (invoice.net, invoice.total) == (invoice.tax.net, invoice.tax.gross)
    if not sums or lines != invoice.net or any(line.net.currency != invoice.currency for line in invoice.lines):
        raise IntegrityFault("The figures of a document do not agree with each other.")
    return invoice


def seller_party(seller: Seller) -> Party:
    """Give the seller as a document prints them."""
    return Party(
        name=seller.name,
        address=seller.address.lines(),
        tax_ids=tuple(seller.tax_ids),
        email=seller.email,
        phone=seller.phone,
        website=seller.website,
    )


def buyer_party(customer: Customer, profile: TaxProfile | None, tax: TaxDecision) -> Party:
    """Give the buyer as a document prints them: tax profile first, then registration."""
    if profile is None:
        return Party(name=customer.name or customer.id, email=customer.email)
    name = profile.company or profile.name or customer.name or customer.id
    person = (profile.name,) if profile.company and profile.name else ()
    # A number that its register does not know would look like a reason.
    own = "" if tax.tax_id_state == "invalid" else tax.tax_id or profile.tax_id
    tax_ids = (*((own,) if own else ()), *profile.further_tax_ids)
    return Party(name=name, address=person + profile.address.lines(), tax_ids=tax_ids, email=customer.email)


def fiscal_year(day: date, start: tuple[int, int]) -> int:
    """Give the year in which the fiscal year of ``day`` began."""
    return day.year if (day.month, day.day) >= start else day.year - 1


def number_in_series(prefix: str, day: date, sequence: int, *, mode: str, start: tuple[int, int] = (1, 1)) -> str:
    """Write a document number of at most 16 characters; test mode is marked with a T."""
    year = fiscal_year(day, start) % 100
    return f"{'T' if mode == 'test' else ''}{prefix}{year:02d}-{sequence:06d}"


def _party_record(party: Party) -> dict[str, Any]:
    return {
        "name": party.name,
        "address": list(party.address),
        "tax_ids": list(party.tax_ids),
        "email": party.email,
        "phone": party.phone,
        "website": party.website,
    }


def _party_from(record: dict[str, Any]) -> Party:
    return Party(**{**record, "address": tuple(record["address"]), "tax_ids": tuple(record["tax_ids"])})


def invoice_record(invoice: Invoice) -> dict[str, Any]:
    """Give an invoice as plain values: what the hash covers."""
    return {
        "version": SNAPSHOT_VERSION,
        "id": invoice.id,
        "number": invoice.number,
        "kind": invoice.kind,
        "issued_at": to_micros(invoice.issued_at),
        "issued_on": invoice.issued_on.isoformat(),
        "customer": invoice.customer,
        "buyer": _party_record(invoice.buyer),
        "seller": _party_record(invoice.seller),
        "lines": [
            {"description": line.description, "quantity": line.quantity, "net": line.net.minor}
            for line in invoice.lines
        ],
        "tax": decision_record(invoice.tax),
        "net": invoice.net.minor,
        "total": invoice.total.minor,
        "currency": invoice.currency,
        "mode": invoice.mode,
        "locale": invoice.locale,
        "topup_id": invoice.topup_id,
        "cause_id": invoice.cause_id,
        "payment": list(invoice.payment),
        "corrects": invoice.corrects,
    }


def invoice_from_record(record: dict[str, Any], *, sha256: str) -> Invoice:
    """Undo `invoice_record`."""
    currency = record["currency"]
    return Invoice(
        id=record["id"],
        number=record["number"],
        kind=record["kind"],
        issued_at=from_micros(record["issued_at"]),
        issued_on=date.fromisoformat(record["issued_on"]),
        customer=record["customer"],
        buyer=_party_from(record["buyer"]),
        seller=_party_from(record["seller"]),
        lines=tuple(
            InvoiceLine(
                description=line["description"],
                quantity=line["quantity"],
                net=Money.from_minor(line["net"], currency),
            )
            for line in record["lines"]
        ),
        tax=decision_from_record(record["tax"]),
        net=Money.from_minor(record["net"], currency),
        total=Money.from_minor(record["total"], currency),
        currency=currency,
        mode=record["mode"],
        locale=record["locale"],
        topup_id=record["topup_id"],
        cause_id=record["cause_id"],
        payment=(record["payment"][0], record["payment"][1]),
        corrects=record["corrects"],
        sha256=sha256,
    )
