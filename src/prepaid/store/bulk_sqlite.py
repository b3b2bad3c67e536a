"""Many rows on SQLite: the driver's own loop over one prepared statement, in the transaction that is open.

Building and typing each row's parameters anew would take longer than the
database takes to write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .bulk import TRANSFER, GrantChange, TransferRow, WalletChange, Writers
from .database import Tx

_ADD: Final = f"INSERT INTO prepaid_transfer ({', '.join(TRANSFER)}) VALUES ({', '.join('?' * len(TRANSFER))})"  # noqa: S608

_WALLET: Final = (
    "UPDATE prepaid_account SET balance = balance - ?, seq = seq + ? WHERE book_id = ? AND id = ? AND seq = ?"
)

_GRANT: Final = """
UPDATE prepaid_grant SET open = CASE WHEN remaining > ? THEN 1 ELSE 0 END, remaining = remaining - ?
WHERE book_id = ? AND id = ? AND remaining = ?
"""


def _add_transfers(tx: Tx, rows: Sequence[TransferRow]) -> int:
    return tx.connection.exec_driver_sql(_ADD, list(rows)).rowcount


def _lower_wallets(tx: Tx, changes: Iterable[WalletChange]) -> int:
    values = [(taken, numbers, tx.book_id, wallet, before) for wallet, taken, numbers, before in changes]
    return tx.connection.exec_driver_sql(_WALLET, values).rowcount


def _lower_grants(tx: Tx, changes: Iterable[GrantChange]) -> int:
    values = [(taken, taken, tx.book_id, grant, before) for grant, taken, before in changes]
    return tx.connection.exec_driver_sql(_GRANT, values).rowcount


WRITERS: Final = Writers(_add_transfers, _lower_wallets, _lower_grants)
