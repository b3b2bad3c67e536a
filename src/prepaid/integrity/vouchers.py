"""Proving vouchers: each was redeemed once at most, for its own amount, and each batch is what its act made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from ..core import keys as formulas
from ..store import Tx
from ..store.proofs import vouchers as stored
from ..store.proofs.audits import acts
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, record_of, unless_equal, written

_MICROS: Final = 1_000_000


def vouchers(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every redeemed voucher by its transaction, every such transaction by its voucher, batches by the audit."""
    for row in stored.redeemed(tx, scope):
        yield from _redeemed(tx.book_id, row)
    for row in stored.postings_without_voucher(tx, scope):
        expected = f"the one transfer of {row.cause_id}, which names its transaction"
        yield contradiction("B4", ("transfer", row.id), expected, "not so")
    for row in stored.impossible(tx, scope):
        expected = "redeemed or ended while it was open, or neither"
        yield contradiction("B4", ("voucher", row.id), expected, tuple(row)[1:])
    if scope.is_whole:
        yield from _batches(tx)


def _redeemed(book: int, row: Any) -> Iterator[Finding]:
    keys, customer = ("voucher", row.id), row.redeemed_by
    until = "" if row.credit_valid_s is None else str((row.redeemed_at or 0) + row.credit_valid_s * _MICROS)
    expected = ("voucher", "voucher", row.id, row.amount, row.currency, customer, f"customer:{customer}"[:191])
    found = (row.posted_kind, row.posted_cause_type, row.posted_cause_id, row.posted_amount, row.posted_currency)
    yield from unless_equal("B4", keys, expected, (*found, row.owner, row.posted_actor))
    at = (row.posted_effective_at, row.posted_posted_at)
    yield from unless_equal("B4", keys, (row.redeemed_at, row.redeemed_at), at)
    amount = written(row.amount, row.currency)
    identity = formulas.voucher(book, row.id, customer=customer, amount=amount, expires_at=until)
    if (identity.key_hash, identity.fingerprint) != (row.posted_key_hash, row.posted_fingerprint):
        yield contradiction("L5", keys, f"the key and fingerprint of {row.id} for {customer}", "another")
    given = record_of(row.posting or "")
    yield from unless_equal("L3", keys, (row.id, until), (given.get("voucher"), given.get("expires_at")))


def _batches(tx: Tx) -> Iterator[Finding]:
    """Prove what all vouchers of a batch are by the act that made them; so none is added, changed or taken away."""
    made: dict[str, tuple[object, ...]] = {}
    ended: Counter[str] = Counter()
    for act in acts(tx, ("create-vouchers", "end-vouchers")):
        told = record_of(act.state_after)
        if act.action == "create-vouchers":
            named = (told.get(name) for name in ("count", "amount", "expires_at", "credit_valid_s", "created_at"))
            made[act.target] = (*named, act.actor)
        else:
            ended[str(told.get("batch"))] += _number(told.get("count"))
    for row in stored.batches(tx):
        keys, amount = ("batch", row.batch), written(row.amount, row.currency)
        found = (row.vouchers, amount, row.expires_at, row.credit_valid_s, row.created_at, row.actor)
        yield from unless_equal("B4", keys, made.pop(row.batch, None), found)
        yield from unless_equal("B4", keys, f"{ended[row.batch]} ended", f"{int(row.ended)} ended")
    for batch, lost in made.items():
        yield contradiction("B4", ("batch", batch), lost, "no vouchers")


def _number(value: object) -> int:
    return value if type(value) is int else 0
