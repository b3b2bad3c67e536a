"""What `check` reads of the taxes of documents, and of the corrections that may be due."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, select

from .. import schema
from ..database import Tx
from .reading import named, stream
from .scope import Scope, new_objects

_invoice = schema.invoice
_entry = schema.tax_entry
_correction = schema.tax_correction


def entry_rows(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every document with its rows of tax, those of one document together, and its correction."""
    of_entry = and_(_entry.c.book_id == _invoice.c.book_id, _entry.c.invoice_id == _invoice.c.id)
    of_correction = and_(_correction.c.book_id == _invoice.c.book_id, _correction.c.invoice_id == _invoice.c.id)
    wanted = (
        select(
            *named(_invoice, "id number currency snapshot issued_on kind cause_id topup_id"),
            *named(
                _entry,
                "place jurisdiction treatment category name percent currency base amount issued_on",
                prefix="entry_",
            ),
            *named(_correction, "kind number", prefix="correction_"),
        )
        .select_from(_invoice.outerjoin(_entry, of_entry).outerjoin(_correction, of_correction))
        .where(_invoice.c.book_id == tx.book_id, *new_objects(scope, _invoice.c.id, "inv"))
    )
    return stream(tx, wanted.order_by(_invoice.c.id, _entry.c.place))


def stray_entries(tx: Tx) -> Iterator[Any]:
    """Give rows of tax and corrections whose document is not there."""
    for table in (_entry, _correction):
        is_its = and_(_invoice.c.book_id == table.c.book_id, _invoice.c.id == table.c.invoice_id)
        wanted = select(table.c.invoice_id).select_from(table.outerjoin(_invoice, is_its))
        yield from stream(tx, wanted.where(table.c.book_id == tx.book_id, _invoice.c.id.is_(None)))
