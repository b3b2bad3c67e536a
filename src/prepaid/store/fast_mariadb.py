"""The common charge on MariaDB: one compound statement, which commits or rolls back itself.

The wallet is lowered, and so locked, first; what follows reads with locks, so
that it is seen as it is now whatever isolation a connection has. A round trip
to the server costs more than any of it.

Sources: MariaDB documentation, BEGIN END (BEGIN NOT ATOMIC), SELECT ... FOR
UPDATE, DECLARE HANDLER, InnoDB lock modes.
"""

from __future__ import annotations

from typing import Any, Final

from pymysql.cursors import Cursor
from sqlalchemy import PoolProxiedConnection

from . import raw
from .fast import COLUMNS, COVERED, COVERED_BY

_WALLET: Final = "book_id = %(book_id)s AND kind = 'wallet' AND owner = %(customer)s AND currency = %(currency)s"

_DEBIT: Final = f"""
BEGIN NOT ATOMIC
    DECLARE wallet, number, after BIGINT;
    DECLARE first VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    UPDATE prepaid_account SET balance = balance - %(amount)s, seq = seq + 1
        WHERE {_WALLET} AND {COVERED.format_map({name: f"%({name})s" for name in COVERED_BY})};
    IF ROW_COUNT() = 1 THEN
        SELECT id, seq, balance INTO wallet, number, after FROM prepaid_account WHERE {_WALLET} FOR UPDATE;
        SELECT IF(remaining >= %(amount)s, id, NULL) INTO first FROM prepaid_grant
            WHERE wallet_id = wallet AND open = 1 ORDER BY priority, expires_at, id LIMIT 1 FOR UPDATE;
        IF first IS NOT NULL THEN
            UPDATE prepaid_grant SET open = remaining > %(amount)s, remaining = remaining - %(amount)s
                WHERE id = first AND open = 1 AND remaining >= %(amount)s;
            IF ROW_COUNT() = 1 THEN
                INSERT INTO prepaid_transfer ({COLUMNS})
                VALUES (%(book_id)s, %(transaction_id)s, 0, %(currency)s, wallet, %(credit_id)s, %(amount)s, wallet,
                    number, after, first, %(kind)s, %(cause_type)s, %(cause_id)s, %(key_hash)s, %(fingerprint)s,
                    %(actor)s, %(effective_at)s, %(posted_at)s, %(description)s, %(resource)s, %(resource_kind)s,
                    %(project)s, %(period_start)s, %(period_end)s, %(charge_period_key)s);
            ELSE
                SET first = NULL;
            END IF;
        END IF;
    END IF;
    IF first IS NULL THEN ROLLBACK; SELECT NULL; ELSE COMMIT; SELECT after; END IF;
END
"""  # noqa: S608 - names of ours; the driver quotes the values


def debit(pooled: PoolProxiedConnection, values: dict[str, Any]) -> int | None:
    """Post a debit and give the balance after it; None, with nothing written, if it is not the common case."""
    connection: Any = pooled.driver_connection
    with connection.cursor(Cursor) as cursor:
        raw.execute(cursor, _DEBIT, values, commits=True)
        after = cursor.fetchone()[0]
    return None if after is None else int(after)
