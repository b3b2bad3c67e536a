"""The memory of simulated identity verification: a SQLite file that processes and threads share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from ..core.hashing import fingerprint
from ..gateways.state_file import StateForm, transaction

if TYPE_CHECKING:
    from sqlite3 import Connection, Row

_VERSION: Final = 1
# Columns told_* are what the provider says of a verification; a scripted lie changes only those.
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS verification (
    reference TEXT PRIMARY KEY, provider TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL, return_url TEXT NOT NULL, decided_at INTEGER, told_case TEXT NOT NULL,
    told_customer TEXT NOT NULL, told_mode TEXT NOT NULL, UNIQUE (provider, key));
CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, reference TEXT NOT NULL, type TEXT NOT NULL,
    created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS script (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, kind TEXT NOT NULL);
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_FORM: Final = StateForm(owner="The simulated identity provider", schema=_SCHEMA, version=_VERSION)
_ADD: Final = """
INSERT INTO verification VALUES (
    :reference, :provider, :key, :request, 'pending', '', :return_url, NULL, :case_id, :customer_id, :mode)
ON CONFLICT (provider, key) DO NOTHING
"""
_TELL: Final = """
UPDATE verification SET told_case = coalesce(:case_id, told_case), told_mode = coalesce(:mode, told_mode),
    told_customer = coalesce(:customer_id, told_customer)
WHERE reference = :reference
"""
_TAKE_SCRIPT: Final = """
DELETE FROM script WHERE seq = (SELECT min(seq) FROM script WHERE provider = ?) RETURNING kind
"""


def event_id(row: Row) -> str:
    """Give the id of an event, which no other event of any state file has."""
    return f"evt_{fingerprint(row['reference'], row['seq'])}"


@frozen
class Records:
    """One transaction on the state of one provider; times are microseconds since 1970."""

    db: Connection
    provider: str

    def find(self, reference: str) -> Row | None:
        """Give a verification, or None."""
        if not isinstance(reference, str) or not reference.isascii():
            return None  # no reference of ours; half a surrogate pair could not even be asked for
        wanted = "SELECT * FROM verification WHERE provider = ? AND reference = ?"
        found: Row | None = self.db.execute(wanted, (self.provider, reference)).fetchone()
        return found

    def add(self, verification: Mapping[str, Any], *, created: int) -> None:
        """Add a verification and the event that tells of it, unless its key has one."""
        if self.db.execute(_ADD, {**verification, "provider": self.provider}).rowcount:
            self._add_event(verification["reference"], "verification.created", created)

    def enter(self, reference: str, state: str, *, reason: str, at: int, decided: bool) -> None:
        """Move a verification to a state, and leave the event that tells of it."""
        self.db.execute(
            "UPDATE verification SET state = ?, reason = ?, decided_at = ? WHERE reference = ?",
            (state, reason, at if decided else None, reference),
        )
        self._add_event(reference, f"verification.{state}", at)

    def tell(self, reference: str, told: Mapping[str, str | None]) -> None:
        """Change what the provider will say of a verification; None leaves it."""
        self.db.execute(_TELL, {**told, "reference": reference})

    def last_event(self, reference: str) -> Row:
        """Give the latest event that tells of a verification."""
        wanted = "SELECT * FROM event WHERE provider = ? AND reference = ? ORDER BY seq DESC LIMIT 1"
        event: Row = self.db.execute(wanted, (self.provider, reference)).fetchone()
        return event

    def add_script(self, kind: str, times: int) -> None:
        """Queue what happens at the next calls."""
        rows = [(self.provider, kind)] * times
        self.db.executemany("INSERT INTO script (provider, kind) VALUES (?, ?)", rows)

    def take_script(self) -> str | None:
        """Give what is to happen at this call and forget it."""
        taken = self.db.execute(_TAKE_SCRIPT, (self.provider,)).fetchall()
        return taken[0]["kind"] if taken else None

    def _add_event(self, reference: str, event_type: str, created: int) -> None:
        self.db.execute(
            "INSERT INTO event (provider, reference, type, created) VALUES (?, ?, ?, ?)",
            (self.provider, reference, event_type, created),
        )


@contextmanager
def records(path: str, provider: str, *, timeout_s: int) -> Iterator[Records]:
    """Open the state file for one transaction, making it at first use.

    Raises:
        GatewayError: The file cannot be used, or is locked for longer than ``timeout_s``.
        ConfigurationError: The file was made by another version of the library.
    """
    with transaction(path, _FORM, timeout_s=timeout_s) as db:
        yield Records(db, provider)
