"""Proving the books: every invariant, on one snapshot, without writing anything.

A finding names the invariant, the rows, what was expected and what was found;
nothing is ever mended silently.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from attrs import field, frozen

from .config import Context
from .core.documents import invoice_from_record
from .core.errors import InvalidRequest
from .core.hashing import sha256
from .core.money import scale_of
from .store import Tx, outbox, proofs


@frozen(kw_only=True)
class Finding:
    """One contradiction.

    Attributes:
        invariant: Which invariant is broken, such as ``"L2"``.
        keys: The rows it is about.
        expected: What should stand there.
        found: What stands there.
    """

    invariant: str
    keys: tuple[str, ...]
    expected: str
    found: str


@frozen(kw_only=True)
class IntegrityReport:
    """The result of a check.

    Attributes:
        ok: Nothing contradicts itself.
        findings: What does.
        counted: Rows looked at, by table.
    """

    ok: bool
    findings: tuple[Finding, ...]
    counted: dict[str, int] = field(factory=dict)


def check(context: Context, on_step: Callable[[str], None] | None = None) -> IntegrityReport:
    """Prove a book on one snapshot.

    Args:
        context: The billing system.
        on_step: Told what is being proved, for a progress display.

    Raises:
        InvalidRequest: ``on_step`` cannot be called.
    """
    if on_step is not None and not callable(on_step):
        raise InvalidRequest("on_step is a function of one word.", field="on_step")

    def work(tx: Tx) -> IntegrityReport:
        findings: list[Finding] = []
        for name, proof in PROOFS.items():
            if on_step is not None:
                on_step(name)
            findings.extend(proof(tx))
            if name == "numbers" and findings:
                break  # nothing can be summed over what is no number
        counted = {name: proofs.count(tx, name) for name in ("transfer", "grant", "topup", "payment", "invoice")}
        return IntegrityReport(ok=not findings, findings=tuple(findings), counted=counted)

    return context.database.read(work)


def health(context: Context) -> dict[str, Any]:
    """Say whether the database answers and how many effects wait or are parked."""
    waiting = context.database.read(outbox.counts)
    return {
        "ok": not waiting.get("dead", 0),
        "mode": context.mode,
        "outbox_pending": waiting.get("pending", 0),
        "outbox_parked": waiting.get("dead", 0),
        "gateways": tuple(context.gateways),
    }


def _finding(invariant: str, keys: tuple[object, ...], expected: object, found: object) -> Finding:
    return Finding(invariant=invariant, keys=tuple(str(key) for key in keys), expected=str(expected), found=str(found))


def _transfers(tx: Tx) -> Iterator[Finding]:
    for row in proofs.impossible_transfers(tx):
        yield _finding(
            "L1", ("transfer", row.id), "two accounts of its book and currency, at most one wallet", "not so"
        )


def _chains(tx: Tx) -> Iterator[Finding]:
    left = proofs.wallets(tx)
    state: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in proofs.wallet_rows(tx):
        seq, balance = state[row.wallet_id]
        after = balance + row.sign * row.amount
        if row.wallet_seq != seq + 1:
            yield _finding("L2", ("transfer", row.id), f"wallet_seq {seq + 1}", row.wallet_seq)
        if row.wallet_after != after:
            yield _finding("L2", ("transfer", row.id), f"wallet_after {after}", row.wallet_after)
        state[row.wallet_id] = (row.wallet_seq, row.wallet_after)
    for wallet_id, (balance, seq, held) in left.items():
        if state[wallet_id] != (seq, balance):
            yield _finding("L2", ("account", wallet_id), f"seq and balance {state[wallet_id]}", (seq, balance))
        if held < 0:
            yield _finding("L4", ("account", wallet_id), "held of zero or more", held)


def _grants(tx: Tx) -> Iterator[Finding]:
    remaining: dict[int, int] = defaultdict(int)
    for row in proofs.grant_rows(tx):
        if row.open:
            remaining[row.wallet_id] += row.remaining
        if int(row.put) != row.size:
            yield _finding("L3", ("grant", row.id), f"size {int(row.put)}", row.size)
        left = row.size - row.debt_paid - int(row.took)
        if row.remaining != left or row.open != (1 if row.remaining else 0):
            yield _finding("L3", ("grant", row.id), f"remaining {left}", row.remaining)
    for wallet_id, (balance, _, _) in proofs.wallets(tx).items():
        if remaining[wallet_id] != max(0, balance):
            yield _finding("L3", ("account", wallet_id), f"open grants {max(0, balance)}", remaining[wallet_id])


def _keys(tx: Tx) -> Iterator[Finding]:
    for row in proofs.broken_keys(tx):
        yield _finding("L5", ("key", row.key_hash), "one transaction and fingerprint, parts from 0", "not so")


def _numbers(tx: Tx) -> Iterator[Finding]:
    for table, column, rows in proofs.not_integers(tx):
        yield _finding("L7", (table, column), "integers", f"{rows} others")
    for row in proofs.currencies(tx):
        if row.scale != scale_of(row.code):
            yield _finding("L7", ("currency", row.code), f"scale {scale_of(row.code)}", row.scale)


def _topups(tx: Tx) -> Iterator[Finding]:
    for row in proofs.paid_topups(tx):
        paid = row.captured is not None
        credited, parked = row.state == "credited", row.state == "review"
        keys = ("topup", row.id)
        if paid != (credited or parked or row.state == "refunded"):
            yield _finding("B1", keys, "a payment exactly when credited, in review or refunded", row.state)
        elif credited and (row.captured, row.paid_currency) != (row.total, row.currency):
            yield _finding("B1", keys, f"a payment of {row.total} {row.currency}", (row.captured, row.paid_currency))
        elif int(row.cleared) != (row.captured or 0):
            yield _finding("B1", keys, f"{row.captured} out of clearing", int(row.cleared))
        if int(row.invoices) != (1 if credited else 0):
            yield _finding("B5", keys, "one invoice exactly when credited", int(row.invoices))
    for row in proofs.unknown_states(tx):
        yield _finding("B6", ("topup", row.id), "a state of the table", row.state)
    for row in proofs.untold_topups(tx):
        yield _finding("B9", ("topup", row.id), "an outbox row", "none")


def _documents(tx: Tx) -> Iterator[Finding]:
    last: dict[tuple[str, int], tuple[int, str]] = {}
    for row in proofs.invoice_rows(tx):
        series = (row.kind, row.year)
        number, day = last.get(series, (0, ""))
        if row.sequence != number + 1:
            yield _finding("B5", ("invoice", row.number), f"sequence {number + 1}", row.sequence)
        if row.issued_on < day:
            yield _finding("B5", ("invoice", row.number), f"a date from {day} on", row.issued_on)
        if row.net + row.tax != row.total:
            yield _finding("B5", ("invoice", row.number), "net + tax = total", (row.net, row.tax, row.total))
        if sha256(row.snapshot) != row.sha256:
            yield _finding("B5", ("invoice", row.number), "the hash it was issued with", "another")
        elif (differing := _unlike_snapshot(row)) is not None:
            yield _finding("B5", ("invoice", row.number), *differing)
        last[series] = (row.sequence, row.issued_on)
    for row in proofs.series_rows(tx):
        number, _ = last.get((row.kind, row.year), (0, ""))
        if row.last != number:
            yield _finding("B5", ("series", row.kind, row.year), f"last number {number}", row.last)
    for row in proofs.file_rows(tx):
        if sha256(bytes(row.content)) != row.sha256:
            yield _finding("B5", ("file", row.invoice_id), "the hash it was rendered with", "another")


def _unlike_snapshot(row: Any) -> tuple[object, object] | None:
    """Give what was frozen and what its row says, where the two differ."""
    invoice = invoice_from_record(json.loads(row.snapshot), sha256=row.sha256)
    issued_on, units = invoice.issued_on.isoformat(), (invoice.net.units, invoice.total.units)
    frozen = (invoice.id, invoice.kind, invoice.number, invoice.customer, invoice.topup_id, issued_on, *units)
    shown = (row.id, row.kind, row.number, row.customer, row.topup_id, row.issued_on, row.net, row.total)
    return None if frozen == shown else (frozen, shown)


PROOFS: Final[dict[str, Callable[[Tx], Iterator[Finding]]]] = {
    "numbers": _numbers,
    "transfers": _transfers,
    "wallet chains": _chains,
    "grants": _grants,
    "keys": _keys,
    "top-ups": _topups,
    "documents": _documents,
}
