"""The memory of the simulated gateway: a SQLite file that processes and threads share.

Every transaction opens a connection of its own and takes the write lock at
once, so that two callers follow each other and a crash leaves whole steps only.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, Final, cast

from attrs import frozen

from ..core.errors import GatewayError
from ..core.hashing import fingerprint
from ..core.instants import from_micros
from ..core.money import Money
from ..ports import PaymentSnapshot, PaymentState

# Columns told_* are what the gateway says of a payment; a scripted lie changes only those.
_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS checkout (
    id TEXT PRIMARY KEY, gateway TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
    minor INTEGER NOT NULL, currency TEXT NOT NULL, description TEXT NOT NULL,
    return_url TEXT NOT NULL, cancel_url TEXT NOT NULL, expires_at INTEGER NOT NULL,
    told_minor INTEGER NOT NULL, told_currency TEXT NOT NULL, told_topup TEXT NOT NULL,
    told_mode TEXT NOT NULL, told_account TEXT NOT NULL, UNIQUE (gateway, key));
CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, checkout TEXT NOT NULL,
    state TEXT NOT NULL, topup TEXT NOT NULL, mode TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS fault (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, operation TEXT NOT NULL, kind TEXT NOT NULL);
PRAGMA user_version = 1;
COMMIT;
"""
_ADD_CHECKOUT: Final = """
INSERT INTO checkout VALUES (
    :id, :gateway, :key, :request, 'open', :minor, :currency, :description, :return_url, :cancel_url, :expires_at,
    :minor, :currency, :topup, :mode, :account)
ON CONFLICT (gateway, key) DO NOTHING
"""
_TELL: Final = """
UPDATE checkout SET told_minor = coalesce(:minor, told_minor), told_currency = coalesce(:currency, told_currency),
    told_topup = coalesce(:topup, told_topup), told_mode = coalesce(:mode, told_mode),
    told_account = coalesce(:account, told_account)
WHERE id = :id
"""
_ADD_EVENT: Final = """
INSERT INTO event (gateway, checkout, state, topup, mode, created)
SELECT gateway, id, state, told_topup, told_mode, ? FROM checkout WHERE id = ?
"""
_TAKE_FAULT: Final = """
DELETE FROM fault WHERE seq = (SELECT min(seq) FROM fault WHERE gateway = ? AND operation = ?) RETURNING kind
"""
_TRIES_PER_S: Final = 50


def event_id(row: sqlite3.Row) -> str:
    """Give the id of an event, which no other event of any state file has."""
    return f"evt_{fingerprint(row['checkout'], row['seq'])}"


def state_at(row: sqlite3.Row, now: datetime) -> PaymentState:
    """Give the state of a checkout; an open one past its time has expired."""
    if row["state"] == "open" and from_micros(row["expires_at"]) <= now:
        return "expired"
    return cast(PaymentState, row["state"])


def snapshot(row: sqlite3.Row, now: datetime) -> PaymentSnapshot:
    """Give what the gateway says of a payment."""
    state = state_at(row, now)
    paid = state == "captured"
    return PaymentSnapshot(
        checkout_id=row["id"],
        # One checkout is captured at most once, so its id tells payments apart.
        payment_id=f"pay_{fingerprint(row['id'])}" if paid else None,
        topup_id=row["told_topup"] or None,
        state=state,
        captured=Money.from_minor(row["told_minor"], row["told_currency"]) if paid else None,
        mode=row["told_mode"] or None,
        account=row["told_account"] or None,
        method="simulated" if paid else "",
        failure="declined" if state == "failed" else "",
    )


@frozen
class StateSession:
    """One transaction on the state of one gateway."""

    db: sqlite3.Connection
    gateway: str

    def find(self, checkout_id: str) -> sqlite3.Row | None:
        """Give a checkout, or None."""
        if not checkout_id.isascii():
            return None  # no id of ours; half a surrogate pair could not even be asked for
        found = self.db.execute(
            "SELECT * FROM checkout WHERE gateway = ? AND id = ?", (self.gateway, checkout_id)
        ).fetchone()
        assert found is None or isinstance(found, sqlite3.Row)  # noqa: S101 - tells the type checker
        return found

    def add(self, checkout: Mapping[str, Any]) -> None:
        """Add a checkout unless its key has one."""
        self.db.execute(_ADD_CHECKOUT, {**checkout, "gateway": self.gateway})

    def tell(self, checkout_id: str, told: Mapping[str, str | int | None]) -> None:
        """Change what the gateway will say of a payment; None leaves it."""
        self.db.execute(_TELL, {**told, "id": checkout_id})

    def enter(self, checkout_id: str, state: str, *, created: int) -> None:
        """Move a checkout to ``state`` and leave an event that tells of it at a Unix time."""
        self.db.execute("UPDATE checkout SET state = ? WHERE id = ?", (state, checkout_id))
        self.db.execute(_ADD_EVENT, (created, checkout_id))

    def events(self) -> list[sqlite3.Row]:
        """Give all events, oldest first."""
        return self.db.execute("SELECT * FROM event WHERE gateway = ? ORDER BY seq", (self.gateway,)).fetchall()

    def add_faults(self, operation: str, kind: str, times: int) -> None:
        """Queue a fault for the next calls of ``operation``."""
        rows = [(self.gateway, operation, kind)] * times
        self.db.executemany("INSERT INTO fault (gateway, operation, kind) VALUES (?, ?, ?)", rows)

    def take_fault(self, operation: str) -> str | None:
        """Give the fault that is due for this call of ``operation`` and forget it."""
        taken = self.db.execute(_TAKE_FAULT, (self.gateway, operation)).fetchall()
        return taken[0]["kind"] if taken else None


@contextmanager
def session(path: str, gateway: str, *, timeout_s: int) -> Iterator[StateSession]:
    """Open the state file for one transaction, making it at first use.

    Raises:
        GatewayError: The file cannot be used, or is locked for longer than
            ``timeout_s``: to the host, the gateway is not available.
    """
    try:
        with closing(sqlite3.connect(path, timeout=timeout_s, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            _prepare(db, timeout_s)
            db.execute("BEGIN IMMEDIATE")
            with db:
                yield StateSession(db, gateway)
    except sqlite3.Error as failure:
        raise GatewayError(
            "The simulated gateway's state file cannot be used.",
            retryable=True,
            outcome_unknown=True,
            code="unavailable",
        ) from failure


def _prepare(db: sqlite3.Connection, timeout_s: int) -> None:
    db.execute("PRAGMA synchronous = NORMAL")
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        _switch_to_wal(db, timeout_s)
        db.executescript(_SCHEMA)


def _switch_to_wal(db: sqlite3.Connection, timeout_s: int) -> None:
    # SQLite may refuse this switch without the wait it grants a transaction: of several first users, all but one.
    db.execute("PRAGMA busy_timeout = 0")
    tries_left = timeout_s * _TRIES_PER_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            if not tries_left:
                raise
            tries_left -= 1
            time.sleep(1 / _TRIES_PER_S)
    db.execute(f"PRAGMA busy_timeout = {timeout_s * 1000:d}")
