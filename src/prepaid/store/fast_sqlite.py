"""The common charge on SQLite: three statements in a transaction that keeps every other writer out.

Nothing can change between them, so that each is decided by what it finds; a
charge that one of them does not cover is rolled back before the next.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import PoolProxiedConnection

from . import raw
from .fast import COLUMNS, COVERED, COVERED_BY

_TAKE: Final = f"""
UPDATE prepaid_account SET balance = balance - :amount, seq = seq + 1
WHERE book_id = :book_id AND kind = 'wallet' AND owner = :customer AND currency = :currency
    AND {COVERED.format_map({name: f":{name}" for name in COVERED_BY})}
RETURNING id, seq, balance
"""  # noqa: S608 - names of ours; values are bound

_BURN: Final = """
UPDATE prepaid_grant SET open = CASE WHEN remaining > :amount THEN 1 ELSE 0 END, remaining = remaining - :amount
WHERE remaining >= :amount AND id = (
    SELECT id FROM prepaid_grant WHERE wallet_id = :wallet_id AND open = 1 ORDER BY priority, expires_at, id LIMIT 1
)
RETURNING id
"""

_ADD: Final = f"""
INSERT INTO prepaid_transfer ({COLUMNS})
VALUES (:book_id, :transaction_id, 0, :currency, :wallet_id, :credit_id, :amount, :wallet_id, :wallet_seq,
    :wallet_after, :grant_id, :kind, :cause_type, :cause_id, :key_hash, :fingerprint, :actor, :effective_at, :posted_at,
    :description, :resource, :resource_kind, :project, :period_start, :period_end, :charge_period_key)
"""  # noqa: S608 - names of ours; values are bound


def debit(pooled: PoolProxiedConnection, values: dict[str, Any]) -> int | None:
    """Post a debit and give the balance after it; None, with nothing written, if it is not the common case."""
    cursor = raw.cursor_of(pooled)
    raw.execute(cursor, "BEGIN IMMEDIATE")
    posted = values.copy()  # what is found is of this try alone: the whole may be run again
    raw.execute(cursor, _TAKE, posted)
    if (taken := cursor.fetchone()) is not None:
        posted["wallet_id"], posted["wallet_seq"], posted["wallet_after"] = taken
        raw.execute(cursor, _BURN, posted)
        if (burned := cursor.fetchone()) is not None:
            posted["grant_id"] = burned[0]
            raw.execute(cursor, _ADD, posted)
            raw.execute(cursor, "COMMIT", commits=True)
            return int(posted["wallet_after"])
    raw.execute(cursor, "ROLLBACK")
    return None
