"""PostgreSQL through psycopg: one prepared statement a charge, one set-based statement a batch.

Sources: PostgreSQL manual, COPY, "Binary Format".
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from struct import Struct
from typing import Final
from uuid import UUID

import psycopg
from sqlalchemy import make_url

from . import REVENUE, START, Item, Refused, balances_after

_TABLES: Final = """
CREATE TABLE account (
    id bigint PRIMARY KEY, balance bigint NOT NULL, floor bigint NOT NULL
) WITH (fillfactor = 45);
CREATE TABLE transfer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key uuid NOT NULL UNIQUE,
    debit_id bigint NOT NULL, credit_id bigint NOT NULL, wallet_id bigint NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0), wallet_after bigint NOT NULL,
    kind smallint NOT NULL, posted_at bigint NOT NULL
);
CREATE INDEX ON transfer (wallet_id, id);
"""

_CHARGE: Final = f"""
WITH held AS (
    UPDATE account SET balance = balance - %(amount)s
    WHERE id = %(wallet)s AND balance - %(amount)s >= floor RETURNING id, balance
)
INSERT INTO transfer (key, debit_id, credit_id, wallet_id, amount, wallet_after, kind, posted_at)
SELECT %(key)s, id, {REVENUE}, id, %(amount)s, balance, 1, %(at)s FROM held RETURNING id
"""  # noqa: S608 - no value of anybody's

_LOCK: Final = "SELECT id, balance, floor FROM account WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
_COPY: Final = (
    "COPY transfer (key, debit_id, credit_id, wallet_id, amount, wallet_after, kind, posted_at) "
    "FROM STDIN (FORMAT binary)"
)
_COPY_BEGINS: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS: Final = b"\xff\xff"
_PACK: Final = Struct(">h i16s iq iq iq iq iq ih iq").pack
"""Makes a row: the number of its values, then each with its length before it."""
_SET: Final = (
    "UPDATE account SET balance = new.balance "
    "FROM unnest(%s::bigint[], %s::bigint[]) AS new (id, balance) WHERE account.id = new.id"
)

_STATEMENT: Final = f"""
WITH item AS (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::uuid[]) WITH ORDINALITY AS given (wallet, amount, key, place)
),
run AS (
    SELECT item.*, account.floor,
        account.balance - (sum(amount) OVER (PARTITION BY wallet ORDER BY place))::bigint AS after
    FROM item JOIN account ON account.id = wallet
),
posted AS (
    INSERT INTO transfer (key, debit_id, credit_id, wallet_id, amount, wallet_after, kind, posted_at)
    SELECT key, wallet, {REVENUE}, wallet, amount, after, 1, %s FROM run WHERE after >= floor ORDER BY place
    RETURNING wallet_id, amount
),
taken AS (
    UPDATE account SET balance = balance - total
    FROM (SELECT wallet_id, sum(amount)::bigint AS total FROM posted GROUP BY wallet_id) AS sums
    WHERE id = sums.wallet_id
)
SELECT count(*) FROM posted
"""  # noqa: S608 - no value of anybody's


class PostgresLimit:
    """Charges at the limit of PostgreSQL."""

    def __init__(self, url: str) -> None:
        """Connect; each statement commits unless a transaction was begun."""
        parts = make_url(url)
        self._connection = psycopg.connect(
            host=parts.host, port=parts.port, user=parts.username, dbname=parts.database, autocommit=True
        )
        self._cursor = self._connection.cursor()
        self._reader = self._connection.cursor(binary=True)

    def prepare(self, wallets: int) -> None:
        """Make the tables, and wallets with money in them."""
        self._cursor.execute(_TABLES.encode())
        self._cursor.execute("INSERT INTO account SELECT id, %s, 0 FROM generate_series(1, %s) AS id", (START, wallets))
        self._cursor.execute("VACUUM ANALYZE account")

    def charge(self, wallet: int, amount: int, key: UUID) -> None:
        """Charge one wallet."""
        at = time.time_ns() // 1000
        self._cursor.execute(_CHARGE, {"wallet": wallet, "amount": amount, "key": key, "at": at})
        if self._cursor.fetchone() is None:
            raise Refused(wallet)

    def charge_many(self, items: Sequence[Item]) -> None:
        """Charge many in one set-based statement, to which arrays are given."""
        columns = [list(column) for column in zip(*items, strict=True)]
        with self._connection.transaction():
            self._cursor.execute(_LOCK, (list(set(columns[0])),))
            self._cursor.execute(_STATEMENT, (*columns, time.time_ns() // 1000))
            posted = self._cursor.fetchone()
            if posted != (len(items),):
                raise Refused(f"{posted} of {len(items)}")

    def charge_many_by_copy(self, items: Sequence[Item]) -> None:
        """Charge many in one transaction, the rows packed here for a COPY."""
        at = time.time_ns() // 1000
        with self._connection.transaction():
            self._reader.execute(_LOCK, (list({wallet for wallet, _, _ in items}),))
            balances = {wallet: (balance, floor) for wallet, balance, floor in self._reader.fetchall()}
            after = balances_after(items, balances)
            rows = [
                _PACK(8, 16, key.bytes, 8, wallet, 8, REVENUE, 8, wallet, 8, amount, 8, left, 2, 1, 8, at)
                for (wallet, amount, key), left in zip(items, after, strict=True)
            ]
            with self._cursor.copy(_COPY) as copy:
                copy.write(b"".join((_COPY_BEGINS, *rows, _COPY_ENDS)))
            self._cursor.execute(_SET, (list(balances), [balance for balance, _ in balances.values()]))

    def engine(self) -> str:
        """Name the engine with its version and its durability."""
        settings = ("fsync", "synchronous_commit", "shared_buffers")
        shown = [f"{name} {self._connection.execute(f'SHOW {name}').fetchone()[0]}" for name in settings]  # type: ignore[index]
        version = self._connection.info.parameter_status("server_version") or "?"
        return f"PostgreSQL {version.split()[0]} ({', '.join(shown)})"

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()
