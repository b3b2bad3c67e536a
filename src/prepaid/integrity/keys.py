"""Proving transactions: each by the key, fingerprint and period that its content gives."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from ..core.hashing import fingerprint, key_hash
from ..core.metering import HOUR
from ..store import Tx
from ..store.proofs import chains as stored
from .findings import Finding, contradiction, written

_SHARED: Final = attrgetter(
    "transaction_id", "fingerprint", "kind", "cause_type", "cause_id", "currency", "actor", "effective_at", "posted_at"
)


_LABEL: Final = attrgetter("resource", "period_start", "period_end", "charge_period_key", "resource_kind")


def transactions(tx: Tx) -> Iterator[Finding]:
    """Prove every transaction by its own content."""
    for key, rows in groupby(stored.rows_by_key(tx), key=attrgetter("key_hash")):
        yield from _key(tx.book_id, ("key", key), list(rows))
    for row in stored.shared_transactions(tx):
        yield contradiction("L5", ("transaction", row.transaction_id), "one key", "several")


def _key(book: int, keys: tuple[str, str], rows: list[Any]) -> Iterator[Finding]:
    head = rows[0]
    if head.part or (len(rows) > 1 and not _are_parts(rows)):
        expected = "one transaction, cause and fingerprint, parts from 0, a label on part 0"
        yield contradiction("L5", keys, expected, "not so")
        return
    owner = next((row.owner for row in rows if row.owner is not None), None)
    if (head.kind, head.cause_type) in _UNREAD:
        return
    operation, own_key, content = _meaning(head, owner, written(sum(row.amount for row in rows), head.currency))
    if owner is not None and key_hash(book, operation, owner, own_key) != keys[1]:
        yield contradiction("L5", keys, "the key of its wallet's owner and cause", (owner, head.cause_id))
    if fingerprint(*content) != head.fingerprint:
        yield contradiction("L5", keys, f"the fingerprint of {content}", "another")
    yield from _period(book, keys, head)


_UNREAD: Final = {
    *((kind, "operator") for kind in ("bonus", "goodwill", "external", "migration")),
    ("charge", "hold"),
    ("reversal", "reversal"),
    ("expiry", "grant"),
    ("adjustment", "grant"),
}


def _meaning(head: Any, owner: str | None, amount: str) -> tuple[str, str, tuple[str, ...]]:
    """Give operation and key of a transaction as its caller named them, and what its fingerprint is made of."""
    cause, resource = head.cause_id, head.resource or ""
    start, end = ("" if at is None else str(at) for at in (head.period_start, head.period_end))
    match head.cause_type:
        case "usage":
            return head.kind, cause, (head.kind, amount, resource, head.resource_kind or "", start, end)
        case "meter":
            return "meter", f"{cause}/{start}", ("meter", cause, start, amount)
        case _:
            operation = head.kind if owner is not None else f"{head.kind}-suspense"
            return operation, cause, (operation, cause)


def _are_parts(rows: list[Any]) -> bool:
    first, unlabelled = _SHARED(rows[0]), (None,) * 5
    return all(
        row.part == part and _SHARED(row) == first and (part == 0 or _LABEL(row) == unlabelled)
        for part, row in enumerate(rows)
    )


def _period(book: int, keys: tuple[str, str], head: Any) -> Iterator[Finding]:
    """Prove that what was charged for a period is found under that period, and nothing else."""
    resource, start, end, charged, _ = _LABEL(head)
    dated = head.kind == "charge" and resource is not None and start is not None
    if charged != (key_hash(book, "period", resource, str(start)) if dated else None):
        yield contradiction("B3", keys, "the period of its resource", (resource, start, charged))
    if end is not None and (head.effective_at != end or start is None):
        yield contradiction("B3", keys, f"effective at its period's end {end}", (start, head.effective_at))
    if head.cause_type == "meter" and (resource != head.cause_id or start is None or end != start + HOUR):
        yield contradiction("B3", keys, f"an hour of {head.cause_id}", (resource, start, end))
    if head.cause_type == "meter" and head.posted_at < head.effective_at:
        yield contradiction("B3", keys, f"charged when it had ended, at {head.effective_at}", head.posted_at)
