"""Many rows on SQLite: read as the driver gives them, written by its own loop over one prepared statement.

Building and typing each row's parameters anew would take longer than the
database takes to write it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Final

from ..core.batches import GrantChange, WalletChange
from . import raw
from .bulk import FirstGrant, HeldWallet, MeterChange, TransferRows, Ways
from .database import Tx

_HOLD: Final = """
SELECT id, owner, currency, balance, held, floor, seq, next_due_at, alert_at FROM prepaid_account
WHERE book_id = ? AND kind = 'wallet' AND owner IN (SELECT value FROM json_each(?))
AND currency IN (SELECT value FROM json_each(?)) ORDER BY id
"""

_FIRST: Final = """
SELECT wallet.value, first.id, first.remaining FROM json_each(?) AS wallet
JOIN prepaid_grant AS first ON first.id = (
    SELECT other.id FROM prepaid_grant AS other WHERE other.wallet_id = wallet.value AND other.open = 1
    ORDER BY other.priority, other.expires_at, other.id LIMIT 1
)
"""

_ADD: Final = "INSERT INTO prepaid_transfer ({}) VALUES ({})"

_WALLET: Final = (
    "UPDATE prepaid_account SET balance = balance - ?, seq = seq + ? WHERE book_id = ? AND id = ? AND seq = ?"
)

_GRANT: Final = "UPDATE prepaid_grant SET remaining = remaining - ? WHERE book_id = ? AND id = ? AND remaining = ?"

_USED_UP: Final = "UPDATE prepaid_grant SET open = 0, remaining = 0 WHERE book_id = ? AND id = ? AND remaining = ?"
"""A statement of its own: SQLite writes the indexes of every column that is set, whether its value changes or not."""


_METER: Final = """
UPDATE prepaid_meter SET billed_until = ?, residue = ?, month = ?, month_cost = ?, due_at = ?
WHERE book_id = ? AND id = ? AND billed_until = ?
"""

_COUNTED: Final = """
UPDATE prepaid_meter SET billed_until = ?, residue = ?, month = ?, month_cost = ?, due_at = ?, open = 0
WHERE book_id = ? AND id = ? AND billed_until = ?
"""
"""One that has no further hour; apart for the same reason."""


def _hold_wallets(tx: Tx, owners: Collection[str], currencies: Collection[str]) -> list[HeldWallet]:
    # The one writer of the file holds them all.
    found = raw.read(tx.connection, _HOLD, (tx.book_id, _json(owners), _json(currencies)))
    return list(map(HeldWallet._make, found))


def _first_grants(tx: Tx, wallet_ids: Collection[int]) -> list[FirstGrant]:
    return raw.read(tx.connection, _FIRST, (_json(wallet_ids),))


def _json(values: Collection[int | str]) -> str:
    return json.dumps(list(values))


def _add_transfers(tx: Tx, new: TransferRows) -> int:
    statement = _ADD.format(", ".join(new.columns), ", ".join("?" * len(new.columns)))
    rows = list(new.rows)
    return tx.connection.exec_driver_sql(statement, rows).rowcount if rows else 0


def _lower_wallets(tx: Tx, changes: Iterable[WalletChange]) -> int:
    values = [(taken, numbers, tx.book_id, wallet, before) for wallet, taken, numbers, before in sorted(changes)]
    return tx.connection.exec_driver_sql(_WALLET, values).rowcount


def _lower_grants(tx: Tx, changes: Iterable[GrantChange]) -> int:
    book, execute, changed = tx.book_id, tx.connection.exec_driver_sql, sorted(changes)
    spent = [(taken, book, grant, before) for grant, taken, before in changed if taken < before]
    used_up = [(book, grant, before) for grant, taken, before in changed if taken == before]
    return sum(execute(sql, values).rowcount for sql, values in ((_GRANT, spent), (_USED_UP, used_up)) if values)


def _move_meters(tx: Tx, changes: Iterable[MeterChange]) -> int:
    execute, by_id = tx.connection.exec_driver_sql, sorted(changes)
    values = [(*counted, tx.book_id, meter, before) for meter, before, *counted in by_id]
    going_on, ended = [row for row in values if row[4] is not None], [row for row in values if row[4] is None]
    return sum(execute(sql, rows).rowcount for sql, rows in ((_METER, going_on), (_COUNTED, ended)) if rows)


WAYS: Final = Ways(_hold_wallets, _first_grants, _add_transfers, _lower_wallets, _lower_grants, _move_meters)
