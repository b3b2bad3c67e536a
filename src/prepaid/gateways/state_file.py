"""A SQLite file in which something simulated remembers: shared by processes and threads, lost in no crash.

Every transaction opens a connection of its own and takes the write lock at
once, so that two callers follow each other and a crash leaves whole steps only.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from attrs import frozen

from ..core.errors import ConfigurationError, GatewayError

_TRIES_PER_S: Final = 50


@frozen(kw_only=True)
class StateForm:
    """What a kind of state file holds.

    Attributes:
        owner: Whose file it is, in words, such as ``The simulated gateway``.
        schema: Script that makes its tables and sets ``user_version``, in one transaction.
        version: That version; a file of another is refused.
    """

    owner: str
    schema: str
    version: int


def state_path(state: str | os.PathLike[str]) -> str:
    """Give the path of a state file, which is no memory of one process.

    Raises:
        ConfigurationError: It names no file.
    """
    path = os.fspath(state)
    if path in ("", ":memory:"):
        raise ConfigurationError("state names a file: what is simulated remembers outside the process.")
    return path


@contextmanager
def transaction(path: str, form: StateForm, *, timeout_s: int) -> Iterator[sqlite3.Connection]:
    """Open a state file for one transaction, making it at first use.

    Raises:
        GatewayError: The file cannot be used, or is locked for longer than
            ``timeout_s``: to the host, what it simulates is not available.
        ConfigurationError: The file was made by another version of the library.
    """
    try:
        with closing(sqlite3.connect(path, timeout=timeout_s, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            _prepare(db, form, timeout_s)
            db.execute("BEGIN IMMEDIATE")
            with db:
                yield db
    except sqlite3.Error as failure:
        raise GatewayError(
            f"{form.owner}'s state file cannot be used.",
            retryable=True,
            outcome_unknown=True,
            code="unavailable",
        ) from failure


def _prepare(db: sqlite3.Connection, form: StateForm, timeout_s: int) -> None:
    db.execute("PRAGMA synchronous = NORMAL")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        _switch_to_wal(db, timeout_s)
        db.executescript(form.schema)
    elif version != form.version:
        raise ConfigurationError(
            f"{form.owner}'s state file is of version {version}, not {form.version}: "
            "remove it, or name another in state."
        )


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
