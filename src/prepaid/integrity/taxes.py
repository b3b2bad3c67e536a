"""Proving the taxes of documents: row by row what was frozen, and a correction watched for where it may be due."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

from ..core.tax_ids import tax_id_key
from ..store import Tx
from ..store.proofs import taxes as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, record_of, units_of, unless_equal


def taxes(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove the rows of tax of every document."""
    for _, rows in groupby(stored.entry_rows(tx, scope), key=attrgetter("id")):
        yield from _document(list(rows))
    for row in stored.stray_entries(tx):
        yield contradiction("B5", ("tax", row.invoice_id), "its document", "none")


def _document(rows: list[Any]) -> Iterator[Finding]:
    [first, *_] = rows
    frozen = record_of(first.snapshot).get("tax")
    tax = frozen if isinstance(frozen, dict) else {}
    keys = ("tax", first.number)
    yield from unless_equal("B5", keys, _expected(tax, first), [_entry(row) for row in rows])
    watched = (first.correction_kind, first.correction_number)
    is_sale = (first.kind, first.cause_id) == ("invoice", first.topup_id)
    yield from unless_equal("B9", ("correction", first.number), _watched(tax) if is_sale else (None, None), watched)


def _entry(row: Any) -> tuple[object, ...]:
    names = "place jurisdiction treatment category name percent currency base amount issued_on".split()
    return tuple(getattr(row, f"entry_{name}") for name in names)


def _expected(tax: dict[str, Any], row: Any) -> list[tuple[object, ...]]:
    shared = tuple(tax.get(name) for name in ("treatment", "category"))
    lines = tax.get("lines")
    found = [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    bare = {"name": "", "percent": "0", "base": tax.get("net"), "amount": 0}
    return [
        (
            place,
            line.get("jurisdiction") or tax.get("jurisdiction"),
            *shared,
            line.get("name"),
            line.get("percent"),
            row.currency,
            _signed(line.get("base"), row),
            _signed(line.get("amount"), row),
            row.issued_on,
        )
        for place, line in enumerate(found or [bare])
    ]


def _signed(minor: object, row: Any) -> int | None:
    """Give an amount as the row has it: what a credit note takes back is negative."""
    units = units_of(minor, row.currency)
    return -units if units is not None and row.kind == "credit-note" else units


def _key(tax: dict[str, Any]) -> str | None:
    country, number = tax.get("tax_id_country"), tax.get("tax_id")
    return tax_id_key(country, number) if isinstance(country, str) and isinstance(number, str) else None


def _watched(tax: dict[str, Any]) -> tuple[object, object]:
    if not tax.get("policy"):
        return None, None
    return "tax-missing" if tax.get("tax_id_counted") else "tax-to-return", _key(tax)
