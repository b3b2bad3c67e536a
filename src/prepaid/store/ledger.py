"""The statements that move money: guarded updates of wallets, and transfers.

A wallet's balance changes only here, each time by one UPDATE that locks the
row; grants are read after it, by a new statement, so that they are seen as the
lock found them. Nothing here decides; it writes what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from attrs import frozen
from sqlalchemy import Update, insert, select, update

from ..core.grants import Burn
from ..core.money import MAX_UNITS
from . import schema
from .database import Tx

_account = schema.account
_transfer = schema.transfer


class Header(NamedTuple):
    """What all transfers of one transaction share; a named tuple, as `Label`, because a batch makes thousands."""

    transaction_id: str
    kind: str
    cause_type: str
    cause_id: str
    key_hash: str
    fingerprint: str
    actor: str
    effective_at: datetime
    posted_at: datetime
    reverses: str | None = None


class Label(NamedTuple):
    """What a customer reads of a transaction; kept on its first transfer."""

    description: str = ""
    resource: str | None = None
    resource_kind: str | None = None
    project: str | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    charge_period_key: str | None = None


@frozen(kw_only=True)
class Row:
    """One transfer between accounts by id; ``wallet_*`` where a wallet takes part."""

    debit_id: int
    credit_id: int
    amount: int
    wallet_id: int | None = None
    wallet_seq: int | None = None
    wallet_after: int | None = None
    grant_id: str | None = None


@frozen
class Posted:
    """A transaction found by its key."""

    transaction_id: str
    fingerprint: str
    wallet_id: int | None
    wallet_after: int | None


def _one_wallet(tx: Tx, customer: str, currency: str) -> Update:
    return update(_account).where(
        _account.c.book_id == tx.book_id,
        _account.c.kind == "wallet",
        _account.c.owner == customer,
        _account.c.currency == currency,
    )


def debit(tx: Tx, customer: str, currency: str, amount: int, *, now: datetime) -> bool:
    """Take ``amount`` ledger units if the floor allows it and nothing is due first, and lock the wallet.

    Guard and lock are one statement: two charges can never both see the same
    balance. The next ``wallet_seq`` is taken with it. Written so that no side of
    the comparison can leave 64 bits.
    """
    covered = _account.c.balance - _account.c.held >= _account.c.floor + amount
    return _lower(tx, _one_wallet(tx, customer, currency).where(covered, _account.c.next_due_at > now), amount)


def debit_performed(tx: Tx, customer: str, currency: str, amount: int, *, now: datetime) -> bool:
    """Take ``amount`` for usage that happened, whatever the balance, unless something is due first.

    False also if there is no wallet, or its balance would leave what 64 bits hold:
    SQLite would turn it into a float without a word.
    """
    fits = _account.c.balance >= amount - MAX_UNITS
    return _lower(tx, _one_wallet(tx, customer, currency).where(fits, _account.c.next_due_at > now), amount)


def _lower(tx: Tx, guarded: Update, amount: int) -> bool:
    changed = tx.execute(guarded.values(balance=_account.c.balance - amount, seq=_account.c.seq + 1))
    return bool(changed.rowcount)


def credit(tx: Tx, wallet_id: int, amount: int, *, rows: int) -> bool:
    """Add ``amount`` ledger units to a held wallet and take ``rows`` sequence numbers.

    False if its balance would leave what 64 bits hold.
    """
    statement = _by_id(tx, wallet_id).where(_account.c.balance <= MAX_UNITS - amount)
    changed = tx.execute(statement.values(balance=_account.c.balance + amount, seq=_account.c.seq + rows))
    return bool(changed.rowcount)


def take(tx: Tx, wallet_id: int, amount: int, *, rows: int = 1, unhold: int = 0) -> bool:
    """Take ``amount`` ledger units from a held wallet, and of what holds reserve ``unhold``.

    False if less than that is reserved, or the balance would leave what 64 bits hold.
    """
    statement = _by_id(tx, wallet_id).where(_account.c.held >= unhold, _account.c.balance >= amount - MAX_UNITS)
    changed = tx.execute(
        statement.values(balance=_account.c.balance - amount, held=_account.c.held - unhold, seq=_account.c.seq + rows)
    )
    return bool(changed.rowcount)


def take_free(tx: Tx, wallet_id: int, amount: int, *, rows: int) -> bool:
    """Take ``amount`` ledger units that no hold reserves, and never of an overdraft; False without so much."""
    statement = _by_id(tx, wallet_id).where(_account.c.balance - _account.c.held >= amount)
    changed = tx.execute(statement.values(balance=_account.c.balance - amount, seq=_account.c.seq + rows))
    return bool(changed.rowcount)


def reserve(tx: Tx, wallet_id: int, amount: int) -> bool:
    """Reserve ``amount`` ledger units of a held wallet; False if the floor does not allow it."""
    covered = _account.c.balance - _account.c.held >= _account.c.floor + amount
    changed = tx.execute(_by_id(tx, wallet_id).where(covered).values(held=_account.c.held + amount))
    return bool(changed.rowcount)


def set_due(tx: Tx, wallet_id: int, due_at: datetime) -> None:
    """Record when the next grant or hold of a held wallet begins or lapses."""
    tx.execute(_by_id(tx, wallet_id).values(next_due_at=due_at))


def due_by(tx: Tx, wallet_id: int, due_at: datetime) -> None:
    """Make sure that a held wallet is looked at by an instant."""
    tx.execute(_by_id(tx, wallet_id).where(_account.c.next_due_at > due_at).values(next_due_at=due_at))


def _by_id(tx: Tx, wallet_id: int) -> Update:
    return update(_account).where(_account.c.book_id == tx.book_id, _account.c.id == wallet_id)


def take_sequence(tx: Tx, wallet_id: int, rows: int) -> None:
    """Take further sequence numbers of a wallet that this transaction holds."""
    tx.execute(_by_id(tx, wallet_id).values(seq=_account.c.seq + rows))


def mark_replayed(tx: Tx, wallet_id: int, now: datetime) -> None:
    """Write durably that a key was asked for again, before the first answer is given once more.

    Without a write the answer could rest on a commit that a failing primary
    never passed on (measured: acknowledged keys lost after a failover).
    """
    tx.execute(_by_id(tx, wallet_id).values(replayed_at=now))


def add_transfers(tx: Tx, header: Header, label: Label, *, currency: str, rows: Sequence[Row]) -> None:
    """Write the transfers of one transaction; part 0 carries the label.

    Raises:
        sqlalchemy.exc.IntegrityError: The key, or the charged period, exists.
    """
    values = []
    for part, row in enumerate(rows):
        shown = label if part == 0 else _NO_LABEL
        values.append(
            {
                "book_id": tx.book_id,
                "transaction_id": header.transaction_id,
                "part": part,
                "currency": currency,
                "debit_id": row.debit_id,
                "credit_id": row.credit_id,
                "amount": row.amount,
                "wallet_id": row.wallet_id,
                "wallet_seq": row.wallet_seq,
                "wallet_after": row.wallet_after,
                "grant_id": row.grant_id,
                "kind": header.kind,
                "cause_type": header.cause_type,
                "cause_id": header.cause_id,
                "reverses": header.reverses,
                "key_hash": header.key_hash,
                "fingerprint": header.fingerprint,
                "actor": header.actor,
                "effective_at": header.effective_at,
                "posted_at": header.posted_at,
                "description": shown.description or None,
                "resource": shown.resource,
                "resource_kind": shown.resource_kind,
                "project": shown.project,
                "period_start": shown.period_start,
                "period_end": shown.period_end,
                "charge_period_key": shown.charge_period_key,
            }
        )
    # One statement of several rows: a unique violation then fails once and whole, also in psycopg's pipeline mode.
    tx.execute(insert(_transfer).values(values))


_NO_LABEL = Label()


def find_posted(tx: Tx, key_hash: str) -> Posted | None:
    """Find the transaction of a key, with the balance after its last wallet transfer.

    A host's snapshot may be older than the transaction: then with a lock.
    """
    wanted = (
        select(_transfer.c.transaction_id, _transfer.c.fingerprint, _transfer.c.wallet_id, _transfer.c.wallet_after)
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.key_hash == key_hash)
        .order_by(_transfer.c.part)
    )
    rows = tx.execute(tx.current(wanted)).all()
    if not rows:
        return None
    wallet_rows = [row for row in rows if row.wallet_id is not None]
    last = wallet_rows[-1] if wallet_rows else rows[-1]
    return Posted(last.transaction_id, last.fingerprint, last.wallet_id, last.wallet_after)


@frozen(kw_only=True)
class PostedPart:
    """One wallet transfer of a transaction that may be given back: ledger units."""

    part: int
    wallet_id: int
    grant_id: str | None
    amount: int


@frozen(kw_only=True)
class PostedCharge:
    """A transaction that took credit, as its reversal reads it."""

    transaction_id: str
    kind: str
    cause_type: str
    owner: str
    currency: str
    wallet_id: int
    effective_at: datetime
    posted_at: datetime
    label: Label
    parts: tuple[PostedPart, ...]


def find_charge(tx: Tx, transaction_id: str) -> PostedCharge | None:
    """Read a transaction by its id, if a wallet takes part in all of its transfers as the debit."""
    wanted = (
        select(_transfer, _account.c.owner)
        .join_from(_transfer, _account, _account.c.id == _transfer.c.wallet_id)
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.transaction_id == transaction_id)
        .order_by(_transfer.c.part)
    )
    rows = tx.execute(wanted).all()
    if not rows or any(row.debit_id != row.wallet_id for row in rows):
        return None
    head = rows[0]
    names = ("resource", "resource_kind", "project", "period_start", "period_end")
    return PostedCharge(
        transaction_id=transaction_id,
        kind=head.kind,
        cause_type=head.cause_type,
        owner=head.owner,
        currency=head.currency,
        wallet_id=head.wallet_id,
        effective_at=head.effective_at,
        posted_at=head.posted_at,
        label=Label(description=head.description or "", **{name: getattr(head, name) for name in names}),
        parts=tuple(
            PostedPart(part=row.part, wallet_id=row.wallet_id, grant_id=row.grant_id, amount=row.amount) for row in rows
        ),
    )


def taken_parts(tx: Tx, key_hash: str) -> list[Burn]:
    """Read what the transaction of a key took from a wallet, part by part; nothing if it was not posted."""
    wanted = select(_transfer.c.grant_id, _transfer.c.amount).where(
        _transfer.c.book_id == tx.book_id,
        _transfer.c.key_hash == key_hash,
        _transfer.c.debit_id == _transfer.c.wallet_id,
    )
    rows = tx.execute(tx.current(wanted.order_by(_transfer.c.part)))
    return [Burn(row.grant_id, int(row.amount)) for row in rows]


def sums_given_back(tx: Tx, transaction_ids: Sequence[str]) -> dict[str, int]:
    """Sum what was given back of some transactions, in ledger units."""
    wanted = select(_transfer.c.reverses, _transfer.c.amount).where(
        _transfer.c.book_id == tx.book_id,
        _transfer.c.reverses.in_(list(transaction_ids)),
        _transfer.c.credit_id == _transfer.c.wallet_id,
    )
    sums: dict[str, int] = {}
    for transaction_id, amount in tx.execute(wanted):
        sums[transaction_id] = sums.get(transaction_id, 0) + int(amount)
    return sums


def given_back(tx: Tx, transaction_id: str) -> dict[str | None, int]:
    """Sum what was given back of a transaction by the grant it came from, in ledger units; the wallet must be held."""
    wanted = select(_transfer.c.grant_id, _transfer.c.amount).where(
        _transfer.c.book_id == tx.book_id,
        _transfer.c.reverses == transaction_id,
        _transfer.c.credit_id == _transfer.c.wallet_id,
    )
    sums: dict[str | None, int] = {}
    for grant_id, amount in tx.execute(wanted.with_for_update(read=True)):
        sums[grant_id] = sums.get(grant_id, 0) + int(amount)
    return sums
