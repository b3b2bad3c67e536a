"""The memory of the simulated gateway: a SQLite file that processes and threads share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from attrs import frozen

from ..core.hashing import fingerprint
from .state_file import StateForm, transaction

_VERSION: Final = 2
# Columns told_* are what the gateway says of a payment; a scripted lie changes only those.
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS checkout (
    id TEXT PRIMARY KEY, gateway TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
    minor INTEGER NOT NULL, currency TEXT NOT NULL, description TEXT NOT NULL, return_url TEXT NOT NULL,
    cancel_url TEXT NOT NULL, expires_at INTEGER NOT NULL, created INTEGER NOT NULL,
    told_minor INTEGER NOT NULL, told_currency TEXT NOT NULL, told_topup TEXT NOT NULL,
    told_mode TEXT NOT NULL, told_account TEXT NOT NULL, UNIQUE (gateway, key));
CREATE TABLE IF NOT EXISTS payment (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, gateway TEXT NOT NULL, checkout TEXT NOT NULL,
    state TEXT NOT NULL, minor INTEGER NOT NULL, currency TEXT NOT NULL, topup TEXT NOT NULL, mode TEXT NOT NULL,
    account TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refund (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, gateway TEXT NOT NULL, payment TEXT NOT NULL,
    key TEXT, request TEXT, reference TEXT, state TEXT NOT NULL, minor INTEGER NOT NULL, currency TEXT NOT NULL,
    mode TEXT NOT NULL, created INTEGER NOT NULL, UNIQUE (gateway, key));
CREATE TABLE IF NOT EXISTS dispute (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, gateway TEXT NOT NULL, payment TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, minor INTEGER NOT NULL, currency TEXT NOT NULL, mode TEXT NOT NULL,
    created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, type TEXT NOT NULL, checkout TEXT NOT NULL,
    payment TEXT, topup TEXT NOT NULL, mode TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS script (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, operation TEXT NOT NULL, kind TEXT NOT NULL);
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_ADD_CHECKOUT: Final = """
INSERT INTO checkout VALUES (
    :id, :gateway, :key, :request, 'open', :minor, :currency, :description, :return_url, :cancel_url, :expires_at,
    :created, :minor, :currency, :topup, :mode, :account)
ON CONFLICT (gateway, key) DO NOTHING
"""
_TELL: Final = """
UPDATE checkout SET told_minor = coalesce(:minor, told_minor), told_currency = coalesce(:currency, told_currency),
    told_topup = coalesce(:topup, told_topup), told_mode = coalesce(:mode, told_mode),
    told_account = coalesce(:account, told_account)
WHERE id = :id
"""
_ADD_PAYMENT: Final = """
INSERT INTO payment (id, gateway, checkout, state, minor, currency, topup, mode, account, created)
SELECT :id, gateway, id, :state, told_minor, told_currency, told_topup, told_mode, told_account, :created
FROM checkout WHERE id = :checkout
"""
_ADD_EVENT: Final = """
INSERT INTO event (gateway, type, checkout, payment, topup, mode, created)
SELECT gateway, :type, id, :payment, told_topup, told_mode, :created FROM checkout WHERE id = :checkout
"""
_REFUNDED: Final = """
SELECT coalesce(sum(minor), 0) FROM refund WHERE payment = ? AND state IN ('pending', 'succeeded')
"""
_DISPUTED: Final = "SELECT coalesce(sum(minor), 0) FROM dispute WHERE payment = ? AND state IN ('open', 'lost')"
_TAKE_SCRIPT: Final = """
DELETE FROM script WHERE seq = (SELECT min(seq) FROM script WHERE gateway = ? AND operation = ?) RETURNING kind
"""
_FORM: Final = StateForm(owner="The simulated gateway", schema=_SCHEMA, version=_VERSION)


def event_id(row: sqlite3.Row) -> str:
    """Give the id of an event, which no other event of any state file has."""
    return f"evt_{fingerprint(row['checkout'], row['seq'])}"


@frozen
class StateSession:
    """One transaction on the state of one gateway; times are microseconds since 1970."""

    db: sqlite3.Connection
    gateway: str

    def find(self, table: str, object_id: str | None) -> sqlite3.Row | None:
        """Give a row of ``table`` by its id, or None."""
        if object_id is None or not object_id.isascii():
            return None  # no id of ours; half a surrogate pair could not even be asked for
        return self._one(f"SELECT * FROM {table} WHERE gateway = ? AND id = ?", self.gateway, object_id)  # noqa: S608

    def add_checkout(self, checkout: Mapping[str, Any]) -> None:
        """Add a checkout unless its key has one."""
        self.db.execute(_ADD_CHECKOUT, {**checkout, "gateway": self.gateway})

    def tell(self, checkout_id: str, told: Mapping[str, str | int | None]) -> None:
        """Change what the gateway will say of a payment that comes; None leaves it."""
        self.db.execute(_TELL, {**told, "id": checkout_id})

    def enter(self, checkout_id: str, state: str) -> None:
        """Move a checkout to ``state``; money that was only authorised is let go unless it is captured now."""
        self.db.execute("UPDATE checkout SET state = ? WHERE id = ?", (state, checkout_id))
        money = "captured" if state == "captured" else "canceled"
        self.db.execute(
            "UPDATE payment SET state = ? WHERE checkout = ? AND state = 'authorised'", (money, checkout_id)
        )

    def add_payment(self, checkout_id: str, state: str, *, created: int) -> str:
        """Add a payment of a checkout, as it is told, and give its id."""
        number = self._one("SELECT count(*) AS n FROM payment WHERE checkout = ?", checkout_id)
        payment_id = f"pay_{fingerprint(checkout_id, number and number['n'])}"
        row = {"id": payment_id, "checkout": checkout_id, "state": state, "created": created}
        self.db.execute(_ADD_PAYMENT, row)
        return payment_id

    def payments(self, checkout_id: str) -> Sequence[sqlite3.Row]:
        """Give the payments of a checkout that were not let go, in the order in which they came."""
        wanted = "SELECT * FROM payment WHERE checkout = ? AND state <> 'canceled' ORDER BY seq"
        return self.db.execute(wanted, (checkout_id,)).fetchall()

    def add_refund(self, refund: Mapping[str, Any]) -> sqlite3.Row:
        """Add a refund and give it; one of its key that is there is given instead."""
        return self._add("refund", refund, " ON CONFLICT (gateway, key) DO NOTHING")

    def add_dispute(self, dispute: Mapping[str, Any]) -> sqlite3.Row:
        """Add a dispute and give it."""
        return self._add("dispute", dispute)

    def refund_by_key(self, key: str) -> sqlite3.Row | None:
        """Give the refund that was made under a key."""
        return self._one("SELECT * FROM refund WHERE gateway = ? AND key = ?", self.gateway, key)

    def move(self, table: str, object_id: str, state: str) -> None:
        """Set the state of a refund or dispute."""
        self.db.execute(f"UPDATE {table} SET state = ? WHERE id = ?", (state, object_id))  # noqa: S608

    def of_payment(self, table: str, payment_id: str) -> Sequence[sqlite3.Row]:
        """Give the refunds or disputes of a payment, in the order in which they came."""
        return self.db.execute(
            f"SELECT * FROM {table} WHERE payment = ? ORDER BY seq",  # noqa: S608
            (payment_id,),
        ).fetchall()

    def page(self, table: str, since: int, until: int, *, after: int, limit: int) -> Sequence[sqlite3.Row]:
        """Give up to ``limit`` rows made in ``[since, until)``, following the row numbered ``after``."""
        money = " AND state = 'captured'" if table == "payment" else ""
        wanted = (
            f"SELECT * FROM {table} WHERE gateway = ? AND created >= ? AND created < ? AND seq > ?{money}"  # noqa: S608
            " ORDER BY seq LIMIT ?"
        )
        return self.db.execute(wanted, (self.gateway, since, until, after, limit)).fetchall()

    def refunded(self, payment_id: str) -> int:
        """Sum what was given back of a payment, in minor units; what came back is not in it."""
        return int(self.db.execute(_REFUNDED, (payment_id,)).fetchone()[0])

    def disputed(self, payment_id: str) -> int:
        """Sum what disputes have taken of a payment, in minor units."""
        return int(self.db.execute(_DISPUTED, (payment_id,)).fetchone()[0])

    def add_event(self, event_type: str, checkout_id: str, payment_id: str | None, *, created: int) -> None:
        """Leave an event that tells of something at a time."""
        values = {"type": event_type, "checkout": checkout_id, "payment": payment_id, "created": created}
        self.db.execute(_ADD_EVENT, values)

    def events(self) -> list[sqlite3.Row]:
        """Give all events, oldest first."""
        return self.db.execute("SELECT * FROM event WHERE gateway = ? ORDER BY seq", (self.gateway,)).fetchall()

    def add_script(self, operation: str, kind: str, times: int) -> None:
        """Queue what happens at the next calls of ``operation``."""
        rows = [(self.gateway, operation, kind)] * times
        self.db.executemany("INSERT INTO script (gateway, operation, kind) VALUES (?, ?, ?)", rows)

    def take_script(self, operation: str) -> str | None:
        """Give what is to happen at this call of ``operation`` and forget it."""
        taken = self.db.execute(_TAKE_SCRIPT, (self.gateway, operation)).fetchall()
        return taken[0]["kind"] if taken else None

    def _add(self, table: str, values: Mapping[str, Any], rest: str = "") -> sqlite3.Row:
        row = {**values, "gateway": self.gateway}
        places = ", ".join(f":{name}" for name in row)
        self.db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places}){rest}", row)  # noqa: S608
        added = self.find(table, str(row["id"]))
        assert added is not None  # noqa: S101 - tells the type checker
        return added

    def _one(self, statement: str, *values: object) -> sqlite3.Row | None:
        found = self.db.execute(statement, values).fetchone()
        assert found is None or isinstance(found, sqlite3.Row)  # noqa: S101 - tells the type checker
        return found


@contextmanager
def session(path: str, gateway: str, *, timeout_s: int) -> Iterator[StateSession]:
    """Open the state file for one transaction, making it at first use.

    Raises:
        GatewayError: The file cannot be used, or is locked for longer than
            ``timeout_s``: to the host, the gateway is not available.
        ConfigurationError: The file was made by another version of the library.
    """
    with transaction(path, _FORM, timeout_s=timeout_s) as db:
        yield StateSession(db, gateway)
