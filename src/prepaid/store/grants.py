"""Grant rows: opened, spent, given back to, lapsed; always while their wallet's row is held."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import and_, bindparam, case, func, insert, or_, select, update

from ..core.grants import NEVER, Burn, CreditGrant, GrantKind, OpenGrant, TaxState
from ..core.hashing import canonical_json
from ..core.money import Money
from ..core.reversals import Change, Debtor
from ..core.transfers import AccountRef
from . import schema
from .database import Tx

_grant = schema.grant
_account = schema.account
_transfer = schema.transfer

USED_UP, OPEN, WAITING = 0, 1, 2
"""What the column ``open`` says."""


@frozen(kw_only=True)
class NewGrant:
    """A grant to open: amounts in ledger units, costs in minor units.

    One that was given by a key carries ``posting``: what it was given as, and what
    is posted when it begins, if that is later.
    """

    id: str
    wallet_id: int
    kind: GrantKind
    size: int
    debt_paid: int
    priority: int
    source_topup: str | None
    cost_net_minor: int
    cost_tax_minor: int
    tax_state: TaxState
    effective_at: datetime
    expires_at: datetime
    notice_at: datetime | None = None
    key_hash: str | None = None
    posting: dict[str, Any] | None = None
    waiting: bool = False


@frozen(kw_only=True)
class StoredGrant:
    """A grant row: amounts in ledger units."""

    id: str
    wallet_id: int
    kind: GrantKind
    size: int
    remaining: int
    debt_paid: int
    open: int
    priority: int
    effective_at: datetime
    expires_at: datetime
    key_hash: str | None
    posting: dict[str, Any] | None


_STORED = select(
    _grant.c.id,
    _grant.c.wallet_id,
    _grant.c.kind,
    _grant.c.size,
    _grant.c.remaining,
    _grant.c.debt_paid,
    _grant.c.open,
    _grant.c.priority,
    _grant.c.effective_at,
    _grant.c.expires_at,
    _grant.c.key_hash,
    _grant.c.posting,
)


def _stored(row: Any) -> StoredGrant:
    values = dict(row._mapping)
    values["posting"] = None if row.posting is None else dict(json.loads(row.posting))
    return StoredGrant(**values)


def add(tx: Tx, grants: Sequence[NewGrant], *, now: datetime) -> None:
    """Open one or more grants; what pays a debt is gone from them at once.

    Raises:
        sqlalchemy.exc.IntegrityError: The key of another grant exists.
    """
    rows = [
        {
            "book_id": tx.book_id,
            "id": grant.id,
            "wallet_id": grant.wallet_id,
            "kind": grant.kind,
            "size": grant.size,
            "remaining": grant.size - grant.debt_paid,
            "debt_paid": grant.debt_paid,
            "gone": 0,
            "open": WAITING if grant.waiting else OPEN if grant.size > grant.debt_paid else USED_UP,
            "priority": grant.priority,
            "tax_state": grant.tax_state,
            "source_topup": grant.source_topup,
            "cost_net_minor": grant.cost_net_minor,
            "cost_tax_minor": grant.cost_tax_minor,
            "effective_at": grant.effective_at,
            "expires_at": grant.expires_at,
            "notice_at": grant.notice_at,
            "key_hash": grant.key_hash,
            "posting": None if grant.posting is None else canonical_json(grant.posting),
            "created_at": now,
        }
        for grant in grants
    ]
    tx.execute(insert(_grant), rows)


def _of_wallet(wallet_id: int, open: int) -> Any:
    return (_grant.c.wallet_id == wallet_id, _grant.c.open == open)


BURN_ORDER = (_grant.c.priority, _grant.c.expires_at, _grant.c.id)


def open_grants(tx: Tx, wallet_id: int) -> list[OpenGrant]:
    """Read the grants with credit left, in burn order; the wallet must be held.

    A locking read: a host may run at an isolation level whose plain reads are
    older than the lock.
    """
    wanted = select(_grant.c.id, _grant.c.remaining).where(*_of_wallet(wallet_id, OPEN))
    return [OpenGrant(*row) for row in tx.execute(wanted.order_by(*BURN_ORDER).with_for_update())]


def lapsed(tx: Tx, wallet_id: int, now: datetime) -> list[OpenGrant]:
    """Read the grants with credit left whose expiry has come, in burn order; the wallet must be held."""
    wanted = select(_grant.c.id, _grant.c.remaining).where(*_of_wallet(wallet_id, OPEN), _grant.c.expires_at <= now)
    return [OpenGrant(*row) for row in tx.execute(wanted.order_by(*BURN_ORDER).with_for_update())]


def begun(tx: Tx, wallet_id: int, now: datetime) -> list[StoredGrant]:
    """Read the waiting grants whose time has come, the earliest first; the wallet must be held."""
    wanted = _STORED.where(*_of_wallet(wallet_id, WAITING), _grant.c.effective_at <= now)
    return [_stored(row) for row in tx.execute(wanted.order_by(_grant.c.effective_at, _grant.c.id).with_for_update())]


def waiting(tx: Tx, wallet_id: int) -> int:
    """Sum what grants that have not begun will bring, in ledger units."""
    wanted = select(func.coalesce(func.sum(_grant.c.size), 0)).where(*_of_wallet(wallet_id, WAITING))
    return int(tx.execute(wanted).scalar_one())


def open_or_begun(tx: Tx, wallet_id: int, now: datetime) -> list[StoredGrant]:
    """Read the grants that can be spent by now, waiting ones whose time has come among them, in burn order."""
    wanted = _STORED.where(
        _grant.c.wallet_id == wallet_id,
        or_(_grant.c.open == OPEN, and_(_grant.c.open == WAITING, _grant.c.effective_at <= now)),
    )
    return [_stored(row) for row in tx.execute(wanted.order_by(*BURN_ORDER))]


def next_instant(tx: Tx, wallet_id: int, now: datetime) -> datetime:
    """Give when the next grant of a wallet begins, or lapses after now; `NEVER` if none does."""
    lapse = select(_grant.c.expires_at).where(*_of_wallet(wallet_id, OPEN), _grant.c.expires_at > now)
    begin = select(_grant.c.effective_at).where(*_of_wallet(wallet_id, WAITING))
    # The first row rather than a minimum: it can be read with a lock.
    lapses = tx.execute(tx.current(lapse.order_by(_grant.c.expires_at).limit(1))).scalar()
    begins = tx.execute(tx.current(begin.order_by(_grant.c.effective_at).limit(1))).scalar()
    return min(found for found in (lapses, begins, NEVER) if found is not None)


def find(tx: Tx, grant_id: str) -> StoredGrant | None:
    """Read a grant."""
    row = tx.execute(_STORED.where(_grant.c.book_id == tx.book_id, _grant.c.id == grant_id)).first()
    return None if row is None else _stored(row)


def hold(tx: Tx, grant_id: str) -> StoredGrant | None:
    """Read a grant and keep its row from others until the commit."""
    wanted = _STORED.where(_grant.c.book_id == tx.book_id, _grant.c.id == grant_id).with_for_update()
    row = tx.execute(wanted).first()
    return None if row is None else _stored(row)


def find_by_key(tx: Tx, key_hash: str) -> StoredGrant | None:
    """Find a grant by the key it was given by."""
    row = tx.execute(_STORED.where(_grant.c.book_id == tx.book_id, _grant.c.key_hash == key_hash)).first()
    return None if row is None else _stored(row)


_SPEND = (
    update(_grant)
    .where(_grant.c.book_id == bindparam("in_book"), _grant.c.id == bindparam("grant_id"))
    # ``open`` first: MariaDB evaluates assignments from left to right with the new values.
    .ordered_values(
        (_grant.c.open, bindparam("still_open")),
        (_grant.c.remaining, bindparam("left")),
    )
)


def spend(tx: Tx, parts: Iterable[Burn], grants: Iterable[OpenGrant]) -> None:
    """Lower the grants that a debit touched; they are held through their wallet."""
    before = {grant.id: grant.remaining for grant in grants}
    rows = []
    for part in parts:
        if part.grant is not None:
            left = before[part.grant] - part.amount
            rows.append({"in_book": tx.book_id, "grant_id": part.grant, "left": left, "still_open": 1 if left else 0})
    if rows:
        tx.execute(_SPEND, rows)


def take(tx: Tx, parts: Iterable[Burn]) -> None:
    """Lower grants by what is taken of each; they are held through their wallet."""
    change(tx, [Change(part.grant, -part.amount, 0) for part in parts if part.grant is not None])


def change(tx: Tx, changes: Iterable[Change]) -> None:
    """Raise or lower what is left of grants, or what they paid of a debt; they are held through their wallet."""
    rows = [
        {"in_book": tx.book_id, "grant_id": each.grant, "more": each.remaining, "more_paid": each.debt_paid}
        for each in changes
    ]
    if rows:
        tx.execute(_CHANGE, rows)


_CHANGE = (
    update(_grant)
    .where(_grant.c.book_id == bindparam("in_book"), _grant.c.id == bindparam("grant_id"))
    .ordered_values(
        (_grant.c.open, case((_grant.c.remaining + bindparam("more") > 0, OPEN), else_=USED_UP)),
        (_grant.c.remaining, _grant.c.remaining + bindparam("more")),
        (_grant.c.debt_paid, _grant.c.debt_paid + bindparam("more_paid")),
    )
)


def begin(tx: Tx, grant: StoredGrant, *, debt_paid: int) -> None:
    """Let a waiting grant be spent from now on, less what it pays of a debt at once."""
    left = grant.size - debt_paid
    values = ((_grant.c.open, OPEN if left else USED_UP), (_grant.c.remaining, left), (_grant.c.debt_paid, debt_paid))
    tx.execute(_one(tx, grant.id).ordered_values(*values))


def lower(tx: Tx, grant_id: str, left: int, *, gone: int = 0) -> None:
    """Leave ``left`` ledger units of a grant of which ``gone`` expires or is voided; it is held through its wallet."""
    values = (
        (_grant.c.open, OPEN if left else USED_UP),
        (_grant.c.remaining, left),
        (_grant.c.gone, _grant.c.gone + gone),
    )
    tx.execute(_one(tx, grant_id).ordered_values(*values))


def set_expiry(tx: Tx, grant_ids: Iterable[str], expires_at: datetime, *, notice_at: datetime | None) -> None:
    """Give grants another expiry."""
    for grant_id in grant_ids:
        tx.execute(_one(tx, grant_id).values(expires_at=expires_at, notice_at=notice_at))


def _one(tx: Tx, grant_id: str) -> Any:
    return update(_grant).where(_grant.c.book_id == tx.book_id, _grant.c.id == grant_id)


def debtors(tx: Tx, wallet_id: int) -> list[Debtor]:
    """Read the grants that paid debts of a held wallet, the latest first."""
    wanted = select(_grant.c.id, _grant.c.debt_paid).where(_grant.c.wallet_id == wallet_id, _grant.c.debt_paid > 0)
    return [Debtor(*row) for row in tx.execute(wanted.order_by(_grant.c.id.desc()).with_for_update())]


def facts(tx: Tx, grant_ids: Iterable[str]) -> dict[str, tuple[int, datetime]]:
    """Read priority and expiry of grants by id."""
    wanted = select(_grant.c.id, _grant.c.priority, _grant.c.expires_at).where(
        _grant.c.book_id == tx.book_id, _grant.c.id.in_(list(grant_ids))
    )
    return {row.id: (int(row.priority), row.expires_at) for row in tx.execute(tx.current(wanted))}


def sums(tx: Tx, wallet_id: int) -> dict[str, int]:
    """Sum what is left of open grants by kind, in ledger units."""
    wanted = select(_grant.c.kind, _grant.c.remaining).where(*_of_wallet(wallet_id, OPEN))
    found: dict[str, int] = {}
    for kind, remaining in tx.execute(wanted):
        found[kind] = found.get(kind, 0) + int(remaining)
    return found


def origin(tx: Tx, key_hash: str) -> AccountRef:
    """Give the account that a grant was posted from, by the key it was given by."""
    wanted = (
        select(_account.c.kind, _account.c.owner)
        .join_from(_transfer, _account, _account.c.id == _transfer.c.debit_id)
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.key_hash == key_hash, _transfer.c.part == 0)
    )
    row = tx.execute(wanted).one()
    return AccountRef(row.kind, row.owner)


@frozen
class Notice:
    """A grant whose customer is to be told that it will lapse."""

    grant: str
    customer: str
    left: Money
    expires_at: datetime


def notices(tx: Tx, now: datetime, *, limit: int) -> list[Notice]:
    """Read grants with credit left of whose expiry it is time to tell, the earliest first."""
    wanted = (
        select(_grant.c.id, _account.c.owner, _grant.c.remaining, _account.c.currency, _grant.c.expires_at)
        .join_from(_grant, _account, _account.c.id == _grant.c.wallet_id)
        .where(_grant.c.book_id == tx.book_id, _grant.c.notice_at <= now, _grant.c.open == OPEN)
        .order_by(_grant.c.notice_at, _grant.c.id)
        .limit(limit)
    )
    rows = tx.execute(wanted)
    return [Notice(row.id, row.owner, Money(row.remaining, row.currency), row.expires_at) for row in rows]


def mark_noticed(tx: Tx, grant_id: str) -> bool:
    """Record that an expiry was told; False if somebody else did."""
    return bool(tx.execute(_one(tx, grant_id).where(_grant.c.notice_at.is_not(None)).values(notice_at=None)).rowcount)


def of_customer(tx: Tx, customer: str, *, all: bool) -> list[CreditGrant]:
    """Read a customer's grants, in burn order within each currency; those used up only if all are wanted."""
    wanted = (
        select(_grant, _account.c.currency)
        .join_from(_grant, _account, _account.c.id == _grant.c.wallet_id)
        .where(_account.c.book_id == tx.book_id, _account.c.kind == "wallet", _account.c.owner == customer)
        .order_by(_account.c.currency, *BURN_ORDER)
    )
    if not all:
        wanted = wanted.where(_grant.c.open != USED_UP)
    return [_shown(row) for row in tx.execute(wanted)]


def _shown(row: Any) -> CreditGrant:
    return CreditGrant(
        id=row.id,
        kind=row.kind,
        size=Money(row.size, row.currency),
        remaining=Money(row.remaining, row.currency),
        priority=row.priority,
        effective_at=row.effective_at,
        expires_at=None if row.expires_at == NEVER else row.expires_at,
        tax_state=row.tax_state,
        topup_id=row.source_topup,
    )
