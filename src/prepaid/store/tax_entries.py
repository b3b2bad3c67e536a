"""The taxes of issued documents, row by row, and documents whose tax may have to be corrected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from attrs import frozen
from sqlalchemy import func, insert, select, update

from ..core.documents import Invoice
from ..core.money import Money
from . import schema
from .database import Tx

_entry = schema.tax_entry
_correction = schema.tax_correction
_invoice = schema.invoice

CHARGED, UNCHARGED = "tax-to-return", "tax-missing"
WAITING, OFFERED, CLOSED = "waiting", "offered", "closed"


def add_invoice(tx: Tx, invoice: Invoice) -> None:
    """Write a row for each tax of a document, or one if it bears none; what a credit note takes back is negative."""
    tax, currency, sign = invoice.tax, invoice.currency, -1 if invoice.kind == "credit-note" else 1
    shared = {
        "book_id": tx.book_id,
        "invoice_id": invoice.id,
        "treatment": tax.treatment,
        "category": tax.category,
        "currency": currency,
        "issued_on": invoice.issued_on.isoformat(),
    }
    lines = [
        (line.jurisdiction or tax.jurisdiction, line.name, str(line.rate_percent), line.base.units, line.amount.units)
        for line in tax.lines
    ]
    names = ("place", "jurisdiction", "name", "percent", "base", "amount")
    rows = [
        {**shared, **dict(zip(names, (place, *words, sign * base, sign * amount), strict=True))}
        for place, (*words, base, amount) in enumerate(lines or [(tax.jurisdiction, "", "0", tax.net.units, 0)])
    ]
    tx.execute(insert(_entry), rows)


@frozen(kw_only=True)
class TaxSum:
    """What the documents of some days bear of one tax.

    Attributes:
        jurisdiction: Country, state or territory whose tax it is, or empty.
        treatment: How it was treated.
        category: EN 16931 category code.
        name: Name of the tax, or empty.
        percent: Its rate in percent.
        currency: ISO 4217 code.
        documents: How many documents bear it.
        base: What it was applied to.
        amount: The tax.
    """

    jurisdiction: str
    treatment: str
    category: str
    name: str
    percent: Decimal
    currency: str
    documents: int
    base: Money
    amount: Money


_BY = (_entry.c.jurisdiction, _entry.c.treatment, _entry.c.category, _entry.c.name, _entry.c.percent, _entry.c.currency)


def sums(tx: Tx, since: date, until: date) -> Iterator[TaxSum]:
    """Sum the taxes of documents issued on the days from ``since`` to before ``until``."""
    wanted = select(
        *_BY,
        func.count().label("documents"),
        func.sum(_entry.c.base).label("base"),
        func.sum(_entry.c.amount).label("amount"),
    ).where(
        _entry.c.book_id == tx.book_id,
        _entry.c.issued_on >= since.isoformat(),
        _entry.c.issued_on < until.isoformat(),
    )
    for row in tx.execute(wanted.group_by(*_BY).order_by(*_BY)):
        yield TaxSum(
            jurisdiction=row.jurisdiction,
            treatment=row.treatment,
            category=row.category,
            name=row.name,
            percent=Decimal(row.percent),
            currency=row.currency,
            documents=row.documents,
            base=Money(int(row.base), row.currency),
            amount=Money(int(row.amount), row.currency),
        )


@frozen(kw_only=True)
class TaxCorrection:
    """A document whose tax rests on a tax id that was not verified when it was issued.

    Attributes:
        id: ``cor_…``.
        invoice_id: The document, which stays as it is.
        invoice_number: Its number.
        customer: The host's customer id.
        topup_id: The top-up that it documents.
        tax: The tax it bears.
        kind: ``"tax-to-return"`` if it was charged and, as it turned out, was not owed; ``"tax-missing"`` the other
            way round.
        state: ``"waiting"`` for the register, ``"offered"``, or ``"closed"``.
        reason: Why it was closed, or empty.
        created_at: When the document was issued.
        found_at: When the register answered, or None.
    """

    id: str
    invoice_id: str
    invoice_number: str
    customer: str
    topup_id: str
    tax: Money
    kind: str
    state: str
    reason: str
    created_at: datetime
    found_at: datetime | None


def watch(tx: Tx, *, id: str, invoice_id: str, number: str, kind: str, now: datetime) -> None:
    """Remember a document until the register of a tax id has answered."""
    row = {
        "id": id,
        "book_id": tx.book_id,
        "invoice_id": invoice_id,
        "number": number,
        "kind": kind,
        "state": WAITING,
        "reason": "",
        "actor": "",
        "created_at": now,
    }
    tx.execute(insert(_correction).values(row))


def corrections(
    tx: Tx, *, state: str | None = None, number: str | None = None, after: str | None = None, limit: int = 1000
) -> list[TaxCorrection]:
    """Read corrections, oldest first."""
    wanted = select(
        _correction, _invoice.c.number.label("invoice_number"), _invoice.c.customer, _invoice.c.topup_id,
        _invoice.c.tax, _invoice.c.currency,
    ).join(
        _invoice, (_invoice.c.book_id == _correction.c.book_id) & (_invoice.c.id == _correction.c.invoice_id)
    )  # fmt: skip
    wanted = wanted.where(_correction.c.book_id == tx.book_id)
    if state is not None:
        wanted = wanted.where(_correction.c.state == state)
    if number is not None:
        wanted = wanted.where(_correction.c.number == number)
    if after is not None:
        wanted = wanted.where(_correction.c.id > after)
    return [_from_row(row) for row in tx.execute(wanted.order_by(_correction.c.id).limit(limit))]


def _from_row(row: Any) -> TaxCorrection:
    names = "id invoice_id invoice_number customer topup_id kind state reason created_at found_at".split()
    return TaxCorrection(tax=Money(row.tax, row.currency), **{name: getattr(row, name) for name in names})


def offer(tx: Tx, correction_id: str, now: datetime) -> bool:
    """Offer a correction that waited; False if it does not wait any more."""
    return _step(tx, correction_id, WAITING, state=OFFERED, found_at=now)


def close(tx: Tx, correction_id: str, *, start: str, reason: str, actor: str, now: datetime) -> bool:
    """Close a correction; False if it is not where it was."""
    return _step(tx, correction_id, start, state=CLOSED, reason=reason, actor=actor, closed_at=now)


def _step(tx: Tx, correction_id: str, start: str, **values: Any) -> bool:
    statement = update(_correction).where(
        _correction.c.book_id == tx.book_id, _correction.c.id == correction_id, _correction.c.state == start
    )
    return bool(tx.execute(statement.values(values)).rowcount)


def correction_state(tx: Tx, correction_id: str) -> tuple[str, str] | None:
    """Give where a correction is, and who closed it; None if there is none."""
    wanted = select(_correction.c.state, _correction.c.actor)
    row = tx.execute(wanted.where(_correction.c.book_id == tx.book_id, _correction.c.id == correction_id)).first()
    return None if row is None else (row.state, row.actor)


def customer_of(tx: Tx, correction_id: str) -> str | None:
    """Give whose document a correction is about; None if there is none."""
    its = (_invoice.c.book_id == _correction.c.book_id) & (_invoice.c.id == _correction.c.invoice_id)
    wanted = select(_invoice.c.customer).select_from(_correction.join(_invoice, its))
    found: str | None = tx.execute(
        wanted.where(_correction.c.book_id == tx.book_id, _correction.c.id == correction_id)
    ).scalar()
    return found
