"""Many rows on PostgreSQL: COPY for transfers, and one update each of wallets and grants by arrays.

Nothing is prepared: a plan that is made once for arrays of every length takes them for short.

Sources: PostgreSQL manual, COPY; chapter 9.19 (unnest).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from ..core.batches import GrantChange, WalletChange
from . import arrays, raw
from .bulk import FirstGrant, HeldWallet, MeterChange, TransferRows, Ways
from .database import Tx

_HOLD: Final = """
SELECT id, owner, currency, balance, held, floor, seq, next_due_at, alert_at FROM prepaid_account
WHERE book_id = %s AND kind = 'wallet' AND owner = ANY(%s::varchar[]) AND currency = ANY(%s::varchar[])
ORDER BY id FOR UPDATE
"""

_FIRST: Final = """
SELECT wallet.id, first.id, first.remaining FROM unnest(%s::bigint[]) AS wallet (id) CROSS JOIN LATERAL (
    SELECT id, remaining FROM prepaid_grant WHERE wallet_id = wallet.id AND open = 1
    ORDER BY priority, expires_at, id LIMIT 1
) AS first
"""

_COPY: Final = "COPY prepaid_transfer ({}) FROM STDIN"
"""As text: of rows in binary form the server keeps a thousand before it writes any."""

_WALLETS: Final = """
UPDATE prepaid_account AS wallet SET balance = balance - new.taken, seq = seq + new.numbers
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS new (id, taken, numbers, before)
WHERE wallet.book_id = %s AND wallet.id = new.id AND wallet.seq = new.before
"""

_GRANTS: Final = """
UPDATE prepaid_grant AS spent
SET open = CASE WHEN remaining > new.taken THEN 1 ELSE 0 END, remaining = remaining - new.taken
FROM unnest(%s::varchar[], %s::bigint[], %s::bigint[]) AS new (id, taken, before)
WHERE spent.book_id = %s AND spent.id = new.id AND spent.remaining = new.before
"""

_METERS: Final = """
UPDATE prepaid_meter AS counted
SET billed_until = new.until, residue = new.residue, month = new.month, month_cost = new.month_cost,
    due_at = new.due_at, open = CASE WHEN new.due_at IS NULL THEN 0 ELSE 1 END
FROM unnest(
    %s::varchar[], %s::bigint[], %s::bigint[], %s::bigint[], %s::varchar[], %s::varchar[], %s::bigint[]
) AS new (id, before, until, residue, month, month_cost, due_at)
WHERE counted.book_id = %s AND counted.id = new.id AND counted.billed_until = new.before
"""


def _hold_wallets(tx: Tx, owners: Collection[str], currencies: Collection[str]) -> list[HeldWallet]:
    names = (arrays.literal(owners), arrays.literal(currencies))
    return list(map(HeldWallet._make, raw.read(tx.connection, _HOLD, (tx.book_id, *names), prepare=False)))


def _first_grants(tx: Tx, wallet_ids: Collection[int]) -> list[FirstGrant]:
    return raw.read(tx.connection, _FIRST, (arrays.literal(wallet_ids),), prepare=False)


def _add_transfers(tx: Tx, new: TransferRows) -> int:
    return raw.copy(tx.connection, _COPY.format(", ".join(new.columns)), new.rows)


def _lower_wallets(tx: Tx, changes: Iterable[WalletChange]) -> int:
    return _changed(tx, _WALLETS, changes)


def _lower_grants(tx: Tx, changes: Iterable[GrantChange]) -> int:
    return _changed(tx, _GRANTS, changes)


def _move_meters(tx: Tx, changes: Iterable[MeterChange]) -> int:
    return _changed(tx, _METERS, changes)


def _changed(tx: Tx, statement: str, changes: Iterable[tuple[Any, ...]]) -> int:
    columns = [arrays.literal(values) for values in zip(*changes, strict=True)]
    return raw.change(tx.connection, statement, (*columns, tx.book_id), prepare=False)


WAYS: Final = Ways(_hold_wallets, _first_grants, _add_transfers, _lower_wallets, _lower_grants, _move_meters)
