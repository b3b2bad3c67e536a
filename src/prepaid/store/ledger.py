"""The statements that move money: guarded update, grants, transfers.

A wallet's balance changes only by `debit` and `credit`, each one UPDATE that
locks the row; grants are read after it, by a new statement, so that they are
seen as the lock found them. Nothing here decides; it writes what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import bindparam, insert, select, update

from ..core.grants import Burn, OpenGrant
from ..core.money import MAX_UNITS
from . import schema
from .database import Tx

_account = schema.account
_grant = schema.grant
_transfer = schema.transfer


@frozen(kw_only=True)
class NewGrant:
    """A grant to open: amounts in ledger units, costs in minor units."""

    id: str
    wallet_id: int
    kind: str
    size: int
    debt_paid: int
    priority: int
    source_topup: str | None
    cost_net_minor: int
    cost_tax_minor: int
    effective_at: datetime
    expires_at: datetime


@frozen(kw_only=True)
class Header:
    """What all transfers of one transaction share."""

    transaction_id: str
    kind: str
    cause_type: str
    cause_id: str
    key_hash: str
    fingerprint: str
    actor: str
    effective_at: datetime
    posted_at: datetime


@frozen(kw_only=True)
class Label:
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


def _one_wallet(tx: Tx, customer: str, currency: str) -> Any:
    return update(_account).where(
        _account.c.book_id == tx.book_id,
        _account.c.kind == "wallet",
        _account.c.owner == customer,
        _account.c.currency == currency,
    )


def debit(tx: Tx, customer: str, currency: str, amount: int) -> bool:
    """Take ``amount`` ledger units if the floor allows it, and lock the wallet.

    Guard and lock are one statement: two charges can never both see the same
    balance. The next ``wallet_seq`` is taken with it. Written so that no side of
    the comparison can leave 64 bits.
    """
    guarded = _one_wallet(tx, customer, currency).where(
        _account.c.balance - _account.c.held >= _account.c.floor + amount
    )
    changed = tx.execute(guarded.values(balance=_account.c.balance - amount, seq=_account.c.seq + 1))
    return bool(changed.rowcount)


def debit_performed(tx: Tx, customer: str, currency: str, amount: int) -> bool:
    """Take ``amount`` for usage that happened, whatever the balance.

    False if there is no wallet, or its balance would leave what 64 bits hold:
    SQLite would turn it into a float without a word.
    """
    statement = _one_wallet(tx, customer, currency).where(_account.c.balance >= amount - MAX_UNITS)
    changed = tx.execute(statement.values(balance=_account.c.balance - amount, seq=_account.c.seq + 1))
    return bool(changed.rowcount)


def credit(tx: Tx, customer: str, currency: str, amount: int, *, rows: int) -> bool:
    """Add ``amount`` ledger units, lock the wallet and take ``rows`` sequence numbers.

    False if there is no wallet, or its balance would leave what 64 bits hold.
    """
    statement = _one_wallet(tx, customer, currency).where(_account.c.balance <= MAX_UNITS - amount)
    changed = tx.execute(statement.values(balance=_account.c.balance + amount, seq=_account.c.seq + rows))
    return bool(changed.rowcount)


def take_sequence(tx: Tx, wallet_id: int, rows: int) -> None:
    """Take further sequence numbers of a wallet that this transaction holds."""
    statement = update(_account).where(_account.c.book_id == tx.book_id, _account.c.id == wallet_id)
    tx.execute(statement.values(seq=_account.c.seq + rows))


def mark_replayed(tx: Tx, wallet_id: int, now: datetime) -> None:
    """Write durably that a key was asked for again, before the first answer is given once more.

    Without a write the answer could rest on a commit that a failing primary
    never passed on (measured: acknowledged keys lost after a failover).
    """
    statement = update(_account).where(_account.c.book_id == tx.book_id, _account.c.id == wallet_id)
    tx.execute(statement.values(replayed_at=now))


def open_grants(tx: Tx, wallet_id: int) -> list[OpenGrant]:
    """Read the grants with credit left, in burn order; the wallet must be held.

    A locking read: a host may run at an isolation level whose plain reads are
    older than the lock.
    """
    wanted = (
        select(_grant.c.id, _grant.c.remaining)
        .where(_grant.c.wallet_id == wallet_id, _grant.c.open == 1)
        .order_by(_grant.c.priority, _grant.c.expires_at, _grant.c.id)
        .with_for_update()
    )
    return [OpenGrant(*row) for row in tx.execute(wanted)]


_SPEND = (
    update(_grant)
    .where(_grant.c.book_id == bindparam("in_book"), _grant.c.id == bindparam("grant_id"))
    # ``open`` first: MariaDB evaluates assignments from left to right with the new values.
    .ordered_values(
        (_grant.c.open, bindparam("still_open")),
        (_grant.c.remaining, bindparam("left")),
    )
)


def spend(tx: Tx, parts: Sequence[Burn], grants: Sequence[OpenGrant]) -> None:
    """Lower the grants that a charge touched; they are held through their wallet."""
    before = {grant.id: grant.remaining for grant in grants}
    rows = []
    for part in parts:
        if part.grant is not None:
            left = before[part.grant] - part.amount
            rows.append({"in_book": tx.book_id, "grant_id": part.grant, "left": left, "still_open": 1 if left else 0})
    if rows:
        tx.execute(_SPEND, rows)


def add_grants(tx: Tx, grants: Sequence[NewGrant], *, now: datetime) -> None:
    """Open one or more grants; what pays a debt is gone from them at once."""
    rows = [
        {
            "book_id": tx.book_id,
            "id": grant.id,
            "wallet_id": grant.wallet_id,
            "kind": grant.kind,
            "size": grant.size,
            "remaining": grant.size - grant.debt_paid,
            "debt_paid": grant.debt_paid,
            "open": 1 if grant.size > grant.debt_paid else 0,
            "priority": grant.priority,
            "tax_state": "taxed",
            "source_topup": grant.source_topup,
            "cost_net_minor": grant.cost_net_minor,
            "cost_tax_minor": grant.cost_tax_minor,
            "effective_at": grant.effective_at,
            "expires_at": grant.expires_at,
            "created_at": now,
        }
        for grant in grants
    ]
    tx.execute(insert(_grant), rows)


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
    """Find the transaction of a key, with the balance after its last wallet transfer."""
    wanted = (
        select(_transfer.c.transaction_id, _transfer.c.fingerprint, _transfer.c.wallet_id, _transfer.c.wallet_after)
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.key_hash == key_hash)
        .order_by(_transfer.c.part)
    )
    rows = tx.execute(wanted).all()
    if not rows:
        return None
    wallet_rows = [row for row in rows if row.wallet_id is not None]
    last = wallet_rows[-1] if wallet_rows else rows[-1]
    return Posted(last.transaction_id, last.fingerprint, last.wallet_id, last.wallet_after)


def grant_sums(tx: Tx, wallet_id: int) -> dict[str, int]:
    """Sum what is left of open grants by kind, in ledger units."""
    wanted = select(_grant.c.kind, _grant.c.remaining).where(_grant.c.wallet_id == wallet_id, _grant.c.open == 1)
    sums: dict[str, int] = {}
    for kind, remaining in tx.execute(wanted):
        sums[kind] = sums.get(kind, 0) + int(remaining)
    return sums
