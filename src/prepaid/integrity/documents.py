"""Proving documents: numbers, hashes, and what was frozen against the top-up it is about."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final

from ..core.hashing import sha256
from ..store import Tx
from ..store.proofs import documents as stored
from ..store.proofs.reading import orphans
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, decided, record_of, units_of, unless_equal


def documents(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every document, its file and its place in its series."""
    last: dict[tuple[str, int], tuple[int, str]] = {}
    for row in stored.invoice_rows(tx, scope):
        keys, series = ("invoice", row.number), (row.kind, row.year)
        if series in last or scope.is_new(row.id):  # else the one before the first new one
            number, day = last.get(series, (0, row.issued_on))
            yield from unless_equal("B5", keys, f"sequence {number + 1}", f"sequence {row.sequence}")
            yield from unless_equal("B5", keys, max(day, row.issued_on), row.issued_on)
            yield from _invoice(keys, row)
        last[series] = (row.sequence, row.issued_on)
    for row in stored.series_rows(tx):
        if scope.is_whole or (row.kind, row.year) in last:
            number, day = last.pop((row.kind, row.year), (0, row.last_on))
            yield from unless_equal("B5", ("series", row.kind, row.year), (number, day), (row.last, row.last_on))
    for series in last:
        yield contradiction("B5", ("series", *series), "a counter", "none")
    if scope.is_whole:
        for row in stored.uncredited(tx):
            yield contradiction("B5", ("refund", row.id), "a credit note", "none")
        for row in stored.unbilled_again(tx):
            yield contradiction("B5", ("invoice", row.number), "an invoice over what did not go back", "none")
    yield from _files(tx, scope)


def _files(tx: Tx, scope: Scope) -> Iterator[Finding]:
    for row in stored.file_rows(tx, scope):
        yield from unless_equal("B5", ("file", row.invoice_id), row.sha256, sha256(bytes(row.content)))
    for table, column in (("invoice", "topup_id"), ("document_file", "invoice_id")):
        for named in orphans(tx, table, column):
            yield contradiction("B5", (table, named), f"the row of its {column}", "none")
    for row in stored.untold_invoices(tx, scope):
        yield contradiction("B9", ("invoice", row.number), f"the event {row.key}", "none")


def _invoice(keys: tuple[str, str], row: Any) -> Iterator[Finding]:
    """Prove a document by its hash, its row by what was frozen, and that by the top-up and its payment."""
    if sha256(row.snapshot) != row.sha256:
        yield contradiction("B5", keys, "the hash it was issued with", "another")
        return
    frozen = record_of(row.snapshot)
    names = ("id", "kind", "number", "customer", "topup_id", "cause_id", "currency", "issued_on", "issued_at")
    yield from unless_equal("B5", keys, tuple(map(frozen.get, names)), attrgetter(*names)(row))
    if not row.number.endswith(f"{row.year % 100:02d}-{row.sequence:06d}"):
        yield contradiction("B5", keys, "a number of its place in its series", (row.year, row.sequence))
    tax = frozen.get("tax")
    figures = decided(tax if isinstance(tax, dict) else {}, row.currency)
    yield from unless_equal("B5", keys, figures, (row.net, row.tax, row.total, row.currency))
    sums = tuple(units_of(frozen.get(name), row.currency) for name in ("net", "total"))
    yield from unless_equal("B5", keys, sums, (row.net, row.total))
    if row.kind == "invoice" and row.cause_id == row.topup_id:
        yield from _of_topup(keys, row, frozen)
    else:
        yield from _of_change(keys, row, frozen)
    payment = frozen.get("payment")
    if not isinstance(payment, list) or payment[-1:] != [
        row.payment_id or ""
    ]:  # nothing is paid where a discount takes all
        yield contradiction("B5", keys, f"paid by {payment}", f"paid by {row.payment_id}")


def _of_topup(keys: tuple[str, str], row: Any, frozen: dict[str, Any]) -> Iterator[Finding]:
    """Prove the invoice of a top-up by its figures and its tax decision."""
    names = ("customer", "currency", "net", "tax", "total", "invoice_id")
    topup = tuple(getattr(row, f"topup_{name}") for name in names)
    yield from unless_equal("B5", keys, topup, (row.customer, row.currency, row.net, row.tax, row.total, row.id))
    if frozen.get("tax") != record_of(row.topup_decision or "") or frozen.get("corrects") is not None:
        yield contradiction("B5", keys, "the tax decision of its top-up, and nothing corrected", "another")


_FIGURES: Final = ("net", "total", "gross", "lines")


def _of_change(keys: tuple[str, str], row: Any, frozen: dict[str, Any]) -> Iterator[Finding]:
    """Prove a document about a part of a top-up by the refund or dispute that took it, or brought it back."""
    whose = (row.topup_customer, row.topup_currency)
    yield from unless_equal("B5", keys, whose, (row.customer, row.currency))
    kept = frozen.get("tax")
    tax, sold = kept if isinstance(kept, dict) else {}, record_of(row.topup_decision or "")
    words = [{name: value for name, value in each.items() if name not in _FIGURES} for each in (sold, tax)]
    if words[0] != words[1] or len(tax.get("lines", ())) != len(sold.get("lines", ())):
        yield contradiction("B5", keys, "the tax decision of its top-up, over a part", "another")
    corrects = row.sale_number if row.kind == "credit-note" else row.note_number
    yield from unless_equal("B5", keys, f"corrects {corrects}", f"corrects {frozen.get('corrects')}")
    figures = (row.net, row.tax)
    if row.kind == "invoice":
        yield from unless_equal("B5", keys, (row.note_net, row.note_tax), figures)
    elif row.refund_is_of_credit:
        if row.turn == row.refund_turn:
            yield from unless_equal("B5", keys, (row.refund_net, row.refund_tax), figures)
        if row.refund_settled_at is None or row.turn > row.refund_turn:
            yield contradiction("B5", keys, "a refund that was settled", "one that was not")
    elif row.dispute_booked is None or row.turn >= row.dispute_turn:
        yield contradiction("B5", keys, "a refund or dispute that it is about", "none")
    elif row.dispute_booked == "lost" and row.turn == row.dispute_lost_turn:
        yield from unless_equal("B5", keys, (row.dispute_net, row.dispute_tax), figures)
