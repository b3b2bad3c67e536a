"""SQLite through sqlite3: BEGIN IMMEDIATE, two statements and COMMIT; `executemany` for a batch."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import make_url

from . import REVENUE, START, Item, Refused, balances_after

_TABLES: Final = """
CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, floor INTEGER NOT NULL);
CREATE TABLE transfer (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,
    debit_id INTEGER NOT NULL, credit_id INTEGER NOT NULL, wallet_id INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0), wallet_after INTEGER NOT NULL,
    kind INTEGER NOT NULL, posted_at INTEGER NOT NULL
);
CREATE INDEX transfer_of_wallet ON transfer (wallet_id, id);
"""

_GUARD: Final = "UPDATE account SET balance = balance - ?1 WHERE id = ?2 AND balance - ?1 >= floor RETURNING balance"
_INSERT: Final = (
    "INSERT INTO transfer (key, debit_id, credit_id, wallet_id, amount, wallet_after, kind, posted_at) "  # noqa: S608
    f"VALUES (?1, ?2, {REVENUE}, ?2, ?3, ?4, 1, ?5)"
)
_READ: Final = "SELECT id, balance, floor FROM account WHERE id IN (SELECT value FROM json_each(?))"
_SET: Final = "UPDATE account SET balance = ? WHERE id = ?"


class SQLiteLimit:
    """Charges at the limit of SQLite, synchronised in full."""

    def __init__(self, url: str) -> None:
        """Open the file."""
        path = make_url(url).database or ""
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._cursor = self._connection.cursor()

    def prepare(self, wallets: int) -> None:
        """Make the tables, and wallets with money in them."""
        self._connection.executescript(_TABLES)
        self._cursor.execute("BEGIN IMMEDIATE")
        rows = ((wallet, START) for wallet in range(1, wallets + 1))
        self._cursor.executemany("INSERT INTO account VALUES (?, ?, 0)", rows)
        self._cursor.execute("COMMIT")

    def charge(self, wallet: int, amount: int, key: UUID) -> None:
        """Charge one wallet."""
        execute = self._cursor.execute
        execute("BEGIN IMMEDIATE")
        try:
            row = execute(_GUARD, (amount, wallet)).fetchone()
            if row is None:
                raise Refused(wallet)
            execute(_INSERT, (key.bytes, wallet, amount, row[0], time.time_ns() // 1000))
        except BaseException:
            execute("ROLLBACK")
            raise
        execute("COMMIT")

    def charge_many(self, items: Sequence[Item]) -> None:
        """Charge many in one transaction."""
        self._cursor.execute("BEGIN IMMEDIATE")
        try:
            self._post(items)
        except BaseException:
            self._cursor.execute("ROLLBACK")
            raise
        self._cursor.execute("COMMIT")

    def _post(self, items: Sequence[Item]) -> None:
        at, cursor = time.time_ns() // 1000, self._cursor
        cursor.execute(_READ, (json.dumps(list({wallet for wallet, _, _ in items})),))
        balances = {wallet: (balance, floor) for wallet, balance, floor in cursor}
        after = balances_after(items, balances)
        cursor.executemany(
            _INSERT,
            [(key.bytes, wallet, amount, left, at) for (wallet, amount, key), left in zip(items, after, strict=True)],
        )
        cursor.executemany(_SET, [(balance, wallet) for wallet, (balance, _) in balances.items()])

    def engine(self) -> str:
        """Name the engine with its version and its durability."""
        journal, synchronous = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        )
        shown = {1: "NORMAL", 2: "FULL", 3: "EXTRA"}.get(synchronous, synchronous)
        return f"SQLite {sqlite3.sqlite_version} (journal {journal}, synchronous {shown})"

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
