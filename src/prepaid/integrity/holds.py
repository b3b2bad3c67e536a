"""Proving holds: what a wallet reserves, what became of each hold, and what is due on wallets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..core import keys as formulas
from ..store import Tx
from ..store.proofs import holds as stored
from ..store.proofs.reading import joined_halves
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, record_of, unless_equal, written

_CLOSED: Final = ("captured", "released", "expired")


def holds(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove what every wallet holds, and every hold by its capture."""
    for row in stored.held_by_wallets(tx, scope):
        reserved = f"held {joined_halves(row, 'reserved')} by open holds"
        yield from unless_equal("L4", ("account", row.id), reserved, f"held {row.held} by open holds")
    for row in stored.hold_rows(tx, scope):
        yield from _hold(tx.book_id, row)
    for row in stored.captures_without_hold(tx, scope):
        yield contradiction("L4", ("transfer", row.id), f"the hold {row.cause_id}, captured by it", "none")
    for row in stored.due_too_late(tx, scope):
        due = min(at for at in (row.begins_at, row.lapses_at, row.hold_at) if at is not None)
        yield contradiction("L4", ("account", row.id), f"due by {due}", f"due at {row.due_at}")


def _of_dispute(book: int, row: Any, keys: tuple[str, str]) -> Iterator[Finding]:
    """Prove that a hold of a dispute has a key of it."""
    known = {formulas.disputed(book, "hold", row.dispute_id, turn) for turn in range(row.dispute_turn or 0)}
    if (row.key_hash, row.fingerprint) not in known:
        yield contradiction("L5", keys, f"a key of {row.dispute_id}", "another")


def _hold(book: int, row: Any) -> Iterator[Finding]:
    keys, label = ("hold", row.id), record_of(row.label)
    amount = written(row.amount, row.currency or "")
    if row.dispute_id is not None:
        yield from _of_dispute(book, row, keys)
    elif formulas.held(amount, str(label.get("resource")), str(label.get("kind"))) != row.fingerprint:
        yield contradiction("L5", keys, f"the fingerprint of {amount} for {label.get('resource')}", "another")
    if row.kind != "wallet" or not 0 <= row.captured <= row.amount or row.amount <= 0 or not _is_timed(row):
        expected = "an amount above zero on a wallet, captured within it, with dates as its state has them"
        yield contradiction("L4", keys, expected, tuple(row)[1:4])
    yield from unless_equal("L4", keys, _expected(row, label), _found(row))


def _is_timed(row: Any) -> bool:
    if row.expires_at <= row.created_at or row.state not in ("open", *_CLOSED):
        return False
    if row.state == "expired" and (row.closed_at is None or row.closed_at < row.expires_at):
        return False
    return bool((row.closed_at is None) == (row.state == "open"))


def _expected(row: Any, label: dict[str, Any]) -> tuple[object, ...]:
    """Give what the capture of a hold charges and shows; nothing where it was not captured."""
    if row.state != "captured":
        return (0, None, None)
    shown = tuple(label.get(name) or None for name in ("description", "resource", "kind", "project"))
    return (row.captured, row.captured, ("hold", row.id, True, *shown))


def _found(row: Any) -> tuple[object, ...]:
    charged = None if row.charged is None else int(row.charged)
    if row.transaction_id is None:
        return (row.captured, charged, None)
    names = ("description", "resource", "resource_kind", "project")
    shown = tuple(getattr(row, f"capture_{name}") for name in names)
    return (row.captured, charged, (row.capture_cause_type, row.capture_cause_id, bool(row.same_wallet), *shown))
