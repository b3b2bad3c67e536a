"""MariaDB through PyMySQL: two statements and a commit a charge, the driver's `executemany` twice for a batch.

The other ways are faster: a stored procedure is one round trip a charge, and
numbers and hexadecimal need no quoting, so that a batch can be written out here;
the driver's own way of putting values into a statement costs a third of it.

PyMySQL sends many rows in one statement only if every value in VALUES is a bare
``%s``: one literal among them, and it sends row by row, at a tenth of the speed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import pymysql
from sqlalchemy import make_url

from . import REVENUE, START, Item, Refused, balances_after

_TABLES: Final = (
    "CREATE TABLE account (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL, floor BIGINT NOT NULL) ENGINE = InnoDB",
    """
    CREATE TABLE transfer (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, key_hash BINARY(16) NOT NULL UNIQUE,
        debit_id BIGINT NOT NULL, credit_id BIGINT NOT NULL, wallet_id BIGINT NOT NULL,
        amount BIGINT NOT NULL CHECK (amount > 0), wallet_after BIGINT NOT NULL,
        kind SMALLINT NOT NULL, posted_at BIGINT NOT NULL,
        KEY of_wallet (wallet_id, id)
    ) ENGINE = InnoDB
    """,
)

_PROCEDURE: Final = """
CREATE PROCEDURE charge(a_key BINARY(16), wallet BIGINT, charged BIGINT, at BIGINT) MODIFIES SQL DATA
BEGIN
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    START TRANSACTION;
    UPDATE account SET balance = balance - charged WHERE id = wallet AND balance - charged >= floor;
    IF ROW_COUNT() = 1 THEN
        INSERT INTO transfer (key_hash, debit_id, credit_id, wallet_id, amount, wallet_after, kind, posted_at)
            SELECT a_key, id, 0, id, charged, balance, 1, at FROM account WHERE id = wallet;
        COMMIT;
    ELSE
        ROLLBACK;
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused';
    END IF;
END
"""

_SIGNALLED: Final = 1644

_COLUMNS: Final = "(key_hash, debit_id, credit_id, wallet_id, amount, wallet_after, kind, posted_at)"
_GUARD: Final = "UPDATE account SET balance = balance - %s WHERE id = %s AND balance - %s >= floor"
_INSERT: Final = f"INSERT INTO transfer {_COLUMNS} SELECT %s, id, %s, id, %s, balance, 1, %s FROM account WHERE id = %s"  # noqa: S608
_INSERT_MANY: Final = f"INSERT INTO transfer {_COLUMNS} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"  # noqa: S608
_LOCK: Final = "SELECT id, balance, floor FROM account WHERE id IN ({}) ORDER BY id FOR UPDATE"
_SET: Final = "INSERT INTO account (id, balance, floor) VALUES {} ON DUPLICATE KEY UPDATE balance = VALUES(balance)"


class MariaDBLimit:
    """Charges at the limit of MariaDB."""

    def __init__(self, url: str) -> None:
        """Connect, at the isolation that the library uses."""
        parts = make_url(url)
        self._connection: Any = pymysql.connect(
            host=parts.host, port=parts.port or 3306, user=parts.username, database=parts.database
        )
        self._cursor = self._connection.cursor()
        self._cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def prepare(self, wallets: int) -> None:
        """Make the tables, and wallets with money in them."""
        for statement in (*_TABLES, _PROCEDURE):
            self._cursor.execute(statement)
        rows = [(wallet, START, 0) for wallet in range(1, wallets + 1)]
        self._cursor.executemany("INSERT INTO account (id, balance, floor) VALUES (%s, %s, %s)", rows)
        self._connection.commit()

    def charge(self, wallet: int, amount: int, key: UUID) -> None:
        """Charge one wallet by two statements and a commit."""
        execute = self._cursor.execute
        with self._transaction():
            if not execute(_GUARD, (amount, wallet, amount)):
                raise Refused(wallet)
            execute(_INSERT, (key.bytes, REVENUE, amount, time.time_ns() // 1000, wallet))

    def charge_by_procedure(self, wallet: int, amount: int, key: UUID) -> None:
        """Charge one wallet by a stored procedure: one round trip."""
        try:
            self._cursor.execute(f"CALL charge(x'{key.hex}', {wallet}, {amount}, {time.time_ns() // 1000})")
        except pymysql.err.OperationalError as signal:
            if signal.args[0] == _SIGNALLED:
                raise Refused(wallet) from None
            raise

    def charge_many(self, items: Sequence[Item]) -> None:
        """Charge many in one transaction by the driver's `executemany`."""
        with self._transaction():
            at, (after, balances) = time.time_ns() // 1000, self._carry(items)
            rows = [
                (key.bytes, wallet, REVENUE, wallet, amount, left, 1, at)
                for (wallet, amount, key), left in zip(items, after, strict=True)
            ]
            self._cursor.executemany(_INSERT_MANY, rows)
            wallets = [(wallet, *balance) for wallet, balance in balances.items()]
            self._cursor.executemany(_SET.format("(%s, %s, %s)"), wallets)

    def charge_many_by_text(self, items: Sequence[Item]) -> None:
        """Charge many in one transaction, the rows written out here, without the driver's quoting."""
        with self._transaction():
            at, (after, balances) = time.time_ns() // 1000, self._carry(items)
            rows = [
                f"(x'{key.hex}',{wallet},{REVENUE},{wallet},{amount},{left},1,{at})"
                for (wallet, amount, key), left in zip(items, after, strict=True)
            ]
            wallets = [f"({wallet},{balance},{floor})" for wallet, (balance, floor) in balances.items()]
            self._cursor.execute(f"INSERT INTO transfer {_COLUMNS} VALUES {','.join(rows)}")  # noqa: S608 - numbers
            self._cursor.execute(_SET.format(",".join(wallets)))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    def _carry(self, items: Sequence[Item]) -> tuple[list[int], dict[int, tuple[int, int]]]:
        """Lock the wallets, and give the balance after each item and what every wallet then holds."""
        wallets = sorted({wallet for wallet, _, _ in items})
        self._cursor.execute(_LOCK.format(",".join(map(str, wallets))))
        balances = {wallet: (balance, floor) for wallet, balance, floor in self._cursor.fetchall()}
        return balances_after(items, balances), balances

    def engine(self) -> str:
        """Name the engine with its version and its durability."""
        self._cursor.execute("SELECT VERSION(), @@innodb_flush_log_at_trx_commit, @@log_bin, @@innodb_buffer_pool_size")
        version, flush, log_bin, pool = self._cursor.fetchone()
        shown = f"innodb_flush_log_at_trx_commit {flush}, log_bin {log_bin}, buffer pool {pool // 2**20} MiB"
        return f"MariaDB {str(version).split('-')[0]} ({shown})"

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()
