"""The common charge on PostgreSQL: one prepared statement, which is a transaction of its own.

The parts of a statement share one snapshot, which is older than the lock it
waits for. So the wallet is changed only if it is still the row of the snapshot,
and its first grant with it: every change of a grant goes along with one of its
wallet. That the grant was lowered is proved once more, in case somebody changed
it by hand: without it the amount is NULL, which the table refuses, and nothing
of the statement stays.

Sources: PostgreSQL manual, chapter 13.2 (read committed), 7.8.2 (data-modifying
statements in WITH), 5.5 (system columns).
"""

from __future__ import annotations

from typing import Any, Final

from psycopg.errors import NotNullViolation
from sqlalchemy import PoolProxiedConnection

from . import raw
from .fast import COLUMNS, COVERED, COVERED_BY

_TYPES: Final = {"amount": "bigint", "posted_at": "bigint", "book_id": "int", "resource": "varchar"}
_COVERED: Final = COVERED.format_map({name: f"%({name})s::{_TYPES[name]}" for name in COVERED_BY})

_DEBIT: Final = f"""
WITH head AS (
    SELECT wallet.id AS wallet_id, wallet.xmin AS version, first.id AS grant_id
    FROM prepaid_account AS wallet CROSS JOIN LATERAL (
        SELECT id, remaining FROM prepaid_grant WHERE wallet_id = wallet.id AND open = 1
        ORDER BY priority, expires_at, id LIMIT 1
    ) AS first
    WHERE wallet.book_id = %(book_id)s::int AND wallet.kind = 'wallet' AND wallet.owner = %(customer)s
        AND wallet.currency = %(currency)s AND first.remaining >= %(amount)s::bigint
),
taken AS (
    UPDATE prepaid_account AS wallet SET balance = balance - %(amount)s::bigint, seq = seq + 1 FROM head
    WHERE wallet.id = head.wallet_id AND wallet.xmin = head.version AND {_COVERED}
    RETURNING wallet.id, balance, seq, head.grant_id
),
burned AS (
    UPDATE prepaid_grant AS spent
    SET open = CASE WHEN remaining > %(amount)s::bigint THEN 1 ELSE 0 END, remaining = remaining - %(amount)s::bigint
    FROM taken WHERE spent.id = taken.grant_id AND spent.open = 1 AND spent.remaining >= %(amount)s::bigint
    RETURNING spent.id
)
INSERT INTO prepaid_transfer ({COLUMNS})
SELECT %(book_id)s::int, %(transaction_id)s, 0, %(currency)s, taken.id, %(credit_id)s::bigint,
    CASE WHEN burned.id IS NOT NULL THEN %(amount)s::bigint END, taken.id, taken.seq, taken.balance,
    burned.id, %(kind)s, %(cause_type)s, %(cause_id)s, %(key_hash)s, %(fingerprint)s, %(actor)s,
    %(effective_at)s::bigint, %(posted_at)s::bigint, %(description)s, %(resource)s, %(resource_kind)s, %(project)s,
    %(period_start)s::bigint, %(period_end)s::bigint, %(charge_period_key)s
FROM taken LEFT JOIN burned ON burned.id = taken.grant_id
RETURNING wallet_after
"""  # noqa: S608 - names of ours; values are bound


def debit(pooled: PoolProxiedConnection, values: dict[str, Any]) -> int | None:
    """Post a debit and give the balance after it; None, with nothing written, if it is not the common case."""
    connection: Any = pooled.driver_connection
    cursor = raw.cursor_of(pooled)
    # Who has turned preparing off talks through a pooler that cannot keep statements.
    prepare = None if connection.prepare_threshold is None else True
    connection.autocommit = True
    try:
        raw.execute(cursor, _DEBIT, values, commits=True, prepare=prepare)
        row = cursor.fetchone()
    except NotNullViolation:
        return None
    finally:
        if not connection.closed:
            connection.autocommit = False
    return None if row is None else int(row[0])
