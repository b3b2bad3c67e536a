"""Proving grants: what is left of each by what its transfers put in and took out, and what it was given for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..core import keys as formulas
from ..store import Tx
from ..store.proofs import grants as stored
from ..store.proofs.grants import RETURNS
from ..store.proofs.reading import joined_halves
from ..store.proofs.scope import Scope
from ..wallets.posting import NOTICE_BEFORE
from .findings import Finding, contradiction, record_of, unless_equal, written

_GRANTED: Final = (
    ("topup", "paid"),
    ("bonus", "promotional"),
    ("goodwill", "goodwill"),
    ("external", "external"),
    ("migration", "migrated"),
    ("voucher", "promotional"),
    *((back, kind) for back in RETURNS for kind in ("paid", "promotional", "goodwill", "external", "migrated")),
)
"""Kind of a transfer that gives credit, and of the grant it opens or gives it back to."""

_KINDS: Final = {"goodwill": "goodwill", "promotional": "bonus", "external": "external", "migrated": "migration"}
"""Kind of a grant that an operator gives, and of the transaction that opens it."""

_TERMS: Final = ("kind_given", "source", "source_owner", "effective_at", "expires_at", "priority")
_ANNOUNCED: Final = ("transaction_id", "kind", "cause_type", "cause_id", "fingerprint", "actor")

WAITING: Final = 2


def grants(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove what is left of every grant, and of all open ones of a wallet."""
    for row in stored.grant_rows(tx, scope):
        yield from _grant(row)
    for row in stored.left_of_wallets(tx, scope):
        left, due = joined_halves(row, "left"), max(0, row.balance)
        yield from unless_equal("L3", ("account", row.id), f"open grants {due}", f"open grants {left}")
    for row in stored.misplaced_grants(tx, scope, _GRANTED):
        yield contradiction("L3", ("transfer", row.id), "a grant of its wallet, kind and source", row.grant_id)
    for row in stored.impossible_grants(tx, scope, notice_before=NOTICE_BEFORE):
        expected = "figures within its size, dates in order, a source, and a price only if it was paid for"
        yield contradiction("L3", ("grant", row.id), expected, tuple(row)[1:])
    for row in stored.voids_elsewhere(tx, scope):
        yield contradiction("L8", ("transfer", row.id), f"back to where {row.grant_id} came from", "elsewhere")
    for row in stored.given_grants(tx, scope):
        yield from _given(tx.book_id, row)


def _grant(row: Any) -> Iterator[Finding]:
    keys = ("grant", row.id)
    put, took, opened, gone = (joined_halves(row, name) for name in ("put", "took", "opened", "gone"))
    if row.wallet_kind != "wallet":
        yield contradiction("L3", keys, "a grant of a wallet", f"a grant of a {row.wallet_kind}")
    if row.open == WAITING:
        yield from unless_equal("L3", keys, "no transfers before it begins", _moved(put, took))
        return
    left = put - row.debt_paid - took
    expected, found = (left, int(left != 0)), (row.remaining, row.open)
    yield from unless_equal("L3", keys, f"remaining, open {expected}", f"remaining, open {found}")
    yield from unless_equal("L3", keys, f"{gone} expired or voided", f"{row.gone} expired or voided")
    # One that was taken back before it began was never posted.
    was_voided = not row.open and not put and not took and "transaction_id" in record_of(row.posting or "")
    if opened != row.size and not was_voided:
        yield contradiction("L3", keys, f"opened with {row.size}", f"opened with {opened}")


def _moved(put: int, took: int) -> str:
    return f"{put} put in, {took} taken out" if put or took else "no transfers before it begins"


def _given(book: int, row: Any) -> Iterator[Finding]:
    """Prove a gift by what was written when it was given, and that by the key and fingerprint it was given under."""
    keys, given = ("grant", row.id), record_of(row.posting or "")
    if "voucher" in given:
        yield from _of_voucher(book, row, given)
        return
    terms, is_posted = {name: str(given.get(name)) for name in _TERMS}, row.opening_id is not None
    cause = row.opening_cause_id if is_posted else str(given.get("cause_id"))
    fingerprint = row.opening_fingerprint if is_posted else given.get("fingerprint")
    amount = written(row.size, row.currency or "")
    identity = formulas.given(book, customer=row.owner or "", key=cause, amount=amount, terms=terms)
    if (identity.key_hash, identity.fingerprint) != (row.key_hash, fingerprint):
        yield contradiction("L5", keys, f"the key and fingerprint of {cause} of {row.owner} for {amount}", "another")
    yield from unless_equal("L3", keys, _agreed(terms, row), (row.kind, row.effective_at, row.priority))
    if is_posted:
        yield from _opening(keys, row, given)
    elif row.open == 1 or "transaction_id" not in given:
        yield contradiction("L3", keys, "the transfer that opened it", "none")


def _of_voucher(book: int, row: Any, given: dict[str, Any]) -> Iterator[Finding]:
    """Prove the credit of a voucher by the voucher and the expiry that are written with it; what posted it is known."""
    keys, (voucher, expires_at) = ("grant", row.id), (str(given.get(name)) for name in ("voucher", "expires_at"))
    amount, owner = written(row.size, row.currency or ""), row.owner or ""
    identity = formulas.voucher(book, voucher, customer=owner, amount=amount, expires_at=expires_at)
    if (identity.key_hash, identity.fingerprint) != (row.key_hash, row.opening_fingerprint):
        yield contradiction("L5", keys, f"the key and fingerprint of {voucher} of {owner} for {amount}", "another")
    expected = (row.id, "promotional", "voucher", "voucher", "promotion", "", row.effective_at)
    source = (row.source_kind, row.source_owner, row.opening_effective_at)
    found = (row.opening_grant_id, row.kind, row.opening_kind, row.opening_cause_type, *source)
    yield from unless_equal("L3", keys, expected, found)


def _agreed(terms: dict[str, str], row: Any) -> tuple[object, ...]:
    """Give kind, beginning and priority that the terms name; what they leave open is as it stands."""
    begins, priority = terms["effective_at"], terms["priority"]
    return (
        terms["kind_given"],
        int(begins) if begins.isdecimal() else row.effective_at,
        int(priority) if priority.isdecimal() else row.priority,
    )


def _opening(keys: tuple[str, str], row: Any, given: dict[str, Any]) -> Iterator[Finding]:
    expected = (row.id, _KINDS.get(row.kind), "operator", given.get("source"), given.get("source_owner"))
    found = (row.opening_grant_id, row.opening_kind, row.opening_cause_type, row.source_kind, row.source_owner)
    yield from unless_equal("L3", keys, (*expected, row.effective_at), (*found, row.opening_effective_at))
    if "transaction_id" in given:  # it began later, and what to post was written before
        announced = (*(given.get(name) for name in _ANNOUNCED), given.get("description") or None)
        posted = (*(getattr(row, f"opening_{name}") for name in _ANNOUNCED), row.opening_description)
        yield from unless_equal("L3", keys, announced, posted)
