"""Invoice series, issued invoices and the files rendered from them."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date, datetime

from attrs import frozen
from sqlalchemy import insert, select, update

from ..core.documents import Invoice, invoice_from_record, invoice_record
from ..core.errors import IntegrityFault
from ..core.hashing import canonical_json, sha256
from . import schema
from .database import BookDatabase, Tx
from .engines import Duplicate

_series = schema.invoice_series
_invoice = schema.invoice
_file = schema.document_file


@frozen
class Place:
    """A place taken in a series: its sequence number and the date to print."""

    sequence: int
    issued_on: date


def take_number(tx: Tx, kind: str, year: int, today: date) -> Place:
    """Take the next number of a series; nothing follows in its transaction but documents and their taxes.

    The counter row is locked until commit, so numbers have no gap and dates
    never go back, even when the clock does.
    """
    scope = (_series.c.book_id == tx.book_id, _series.c.kind == kind, _series.c.year == year)
    if not tx.execute(update(_series).where(*scope).values(last=_series.c.last + 1)).rowcount:
        raise IntegrityFault("The invoice series was not opened before its first document.")
    last, last_on = tx.execute(select(_series.c.last, _series.c.last_on).where(*scope)).one()
    issued_on = max(today, date.fromisoformat(last_on))
    tx.execute(update(_series).where(*scope).values(last_on=issued_on.isoformat()))
    return Place(int(last), issued_on)


def hold_series(tx: Tx, kind: str, year: int) -> None:
    """Lock the counter row of a series, before one of its numbers is taken."""
    scope = (_series.c.book_id == tx.book_id, _series.c.kind == kind, _series.c.year == year)
    tx.execute(select(_series.c.last).where(*scope).with_for_update())


def ensure_series(database: BookDatabase, kind: str, year: int, today: date) -> None:
    """Begin a series at 0 unless it exists; in a transaction of its own, before the first document."""

    def exists(tx: Tx) -> bool:
        scope = (_series.c.book_id == tx.book_id, _series.c.kind == kind, _series.c.year == year)
        return tx.execute(select(_series.c.last).where(*scope)).first() is not None

    if database.read(exists):
        return
    row = {"kind": kind, "year": year, "last": 0, "last_on": today.isoformat()}
    with suppress(Duplicate):  # somebody else began it meanwhile
        database.write(lambda tx: tx.execute(insert(_series).values(book_id=tx.book_id, **row)))


def add_invoice(tx: Tx, invoice: Invoice, *, year: int, sequence: int, turn: int = 0) -> Invoice:
    """Freeze a document with its hash and give it with the hash.

    Args:
        tx: The transaction.
        invoice: The document under its number.
        year: Of its series.
        sequence: Its place there.
        turn: Which of several documents of its kind about the same dispute.

    Raises:
        sqlalchemy.exc.IntegrityError: What it documents has such a document already.
    """
    snapshot = canonical_json(invoice_record(invoice))
    digest = sha256(snapshot)
    row = {
        "book_id": tx.book_id,
        "id": invoice.id,
        "kind": invoice.kind,
        "year": year,
        "sequence": sequence,
        "number": invoice.number,
        "customer": invoice.customer,
        "topup_id": invoice.topup_id,
        "cause_id": invoice.cause_id,
        "turn": turn,
        "currency": invoice.currency,
        "net": invoice.net.units,
        "tax": invoice.tax.total.units,
        "total": invoice.total.units,
        "issued_on": invoice.issued_on.isoformat(),
        "issued_at": invoice.issued_at,
        "snapshot": snapshot,
        "sha256": digest,
    }
    tx.execute(insert(_invoice).values(row))
    return invoice_from_record(json.loads(snapshot), sha256=digest)


def find(tx: Tx, number_or_id: str, *, customer: str | None = None) -> Invoice | None:
    """Read an invoice by id or number, of one customer if one is given."""
    wanted = select(_invoice.c.snapshot, _invoice.c.sha256).where(
        _invoice.c.book_id == tx.book_id, (_invoice.c.id == number_or_id) | (_invoice.c.number == number_or_id)
    )
    if customer is not None:
        wanted = wanted.where(_invoice.c.customer == customer)
    row = tx.execute(wanted).first()
    return None if row is None else invoice_from_record(json.loads(row.snapshot), sha256=row.sha256)


def of_topup(tx: Tx, topup_id: str) -> list[tuple[Invoice, int]]:
    """Read the documents about a top-up with their turns, in the order in which they were issued, as they are now."""
    wanted = select(_invoice.c.snapshot, _invoice.c.sha256, _invoice.c.turn).where(
        _invoice.c.book_id == tx.book_id, _invoice.c.topup_id == topup_id
    )
    rows = tx.execute(tx.current(wanted.order_by(_invoice.c.issued_at, _invoice.c.id)))
    return [(invoice_from_record(json.loads(row.snapshot), sha256=row.sha256), row.turn) for row in rows]


def of_customer(tx: Tx, customer: str, *, before: str | None, limit: int) -> list[Invoice]:
    """Read a customer's invoices, newest first, below an id."""
    wanted = select(_invoice.c.snapshot, _invoice.c.sha256).where(
        _invoice.c.book_id == tx.book_id, _invoice.c.customer == customer
    )
    if before is not None:
        wanted = wanted.where(_invoice.c.id < before)
    rows = tx.execute(wanted.order_by(_invoice.c.id.desc()).limit(limit))
    return [invoice_from_record(json.loads(row.snapshot), sha256=row.sha256) for row in rows]


def find_file(tx: Tx, invoice_id: str, media_type: str) -> tuple[bytes, str] | None:
    """Read a rendered file and its hash."""
    row = tx.execute(
        select(_file.c.content, _file.c.sha256).where(
            _file.c.book_id == tx.book_id, _file.c.invoice_id == invoice_id, _file.c.media_type == media_type
        )
    ).first()
    return None if row is None else (bytes(row.content), row.sha256)


def add_file(tx: Tx, invoice_id: str, media_type: str, content: bytes, *, renderer: str, now: datetime) -> None:
    """Keep a file as it was first rendered.

    Raises:
        sqlalchemy.exc.IntegrityError: There is one already.
    """
    row = {
        "book_id": tx.book_id,
        "invoice_id": invoice_id,
        "media_type": media_type,
        "content": content,
        "sha256": sha256(content),
        "renderer": renderer,
        "created_at": now,
    }
    tx.execute(insert(_file).values(row))
