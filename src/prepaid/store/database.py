"""One book in one database: transactions that are run whole, and run again.

A `Database` is bound to a book (a seller's accounts in one mode). The schema is
checked when it is first used, never when it is made: constructing touches
neither disk nor network.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, TypeVarTuple

from attrs import frozen
from sqlalchemy import Connection, CursorResult, Engine, Executable, Select, insert, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from ..core.errors import ConfigurationError, TransactionAborted
from ..core.money import Money
from ..core.transfers import AccountRef
from . import fast, migrate, raw, schema, servers
from .engines import READ_ONLY, Duplicate, is_duplicate, is_retryable, open_engine, refuse_autocommit

if TYPE_CHECKING:
    from .ledger import Header, Label

T = TypeVar("T")
Row = TypeVarTuple("Row")

MAX_ATTEMPTS: Final = 12
MAX_RETRY_S: Final = 30.0


@frozen
class Tx:
    """An open transaction on one book; passed down to the modules of SQL.

    Attributes:
        connection: The SQLAlchemy connection it runs on.
        book_id: The book every statement is limited to.
        snapshot: Plain reads may be older than what is locked: a host's
            transaction, on an engine that lets it write all the same.
    """

    connection: Connection
    book_id: int
    snapshot: bool = False

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        """Run one statement."""
        return self.connection.execute(statement, parameters)

    def current(self, wanted: Select[*Row]) -> Select[*Row]:
        """Let a read see what is committed now where the transaction's snapshot may be older."""
        return wanted.with_for_update(read=True) if self.snapshot else wanted

    @property
    def dialect(self) -> str:
        """Name of the engine's dialect."""
        return self.connection.dialect.name


class BookDatabase(Protocol):
    """What a use case asks of a book's database, whoever begins and commits.

    A `Database` opens a transaction for each piece of work; a `JoinedDatabase`
    does the work in a transaction that its host has opened.
    """

    @property
    def book_id(self) -> int:
        """Row id of the book."""
        ...

    @property
    def account_ids(self) -> dict[tuple[AccountRef, str], int]:
        """Ids of the book's own accounts that are known to be committed."""
        ...

    @property
    def dialect(self) -> str:
        """Name of the engine's dialect."""
        ...

    @property
    def commits(self) -> bool:
        """What `write` did is committed when it returns."""
        ...

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` and keep all of it, or nothing."""
        ...

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run ``work``, which only reads."""
        ...

    def debit_at_once(self, customer: str, amount: Money, *, header: Header, label: Label, to: int) -> int | None:
        """Post a debit by the engine's fast path; None if nothing was posted and the portable path must be taken."""
        ...


class Database:
    """Runs functions in transactions on one book."""

    def __init__(self, database: str | URL | Engine, *, book: str, mode: str, now: Callable[[], datetime]) -> None:
        """Bind a book; nothing is opened yet.

        Raises:
            ConfigurationError: The database cannot be used at all.
        """
        self.engine = open_engine(database)
        self._given = database
        self._own_engine = not isinstance(database, Engine)
        self.book = book
        self.mode = mode
        self.now = now
        self._book_id: int | None = None
        self._opening = threading.Lock()
        self._fast = fast.path_of(self.engine)
        self.account_ids: dict[tuple[AccountRef, str], int] = {}

    def __repr__(self) -> str:
        return f"<Database {self.engine.dialect.name} book={self.book!r} mode={self.mode!r}>"

    def close(self) -> None:
        """Close the pooled connections of an engine that was made here."""
        if self._own_engine:
            self.engine.dispose()

    @property
    def dialect(self) -> str:
        """Name of the engine's dialect."""
        return self.engine.dialect.name

    @property
    def commits(self) -> bool:
        """Always: each `write` is a transaction of its own."""
        return True

    @property
    def book_id(self) -> int:
        """Row id of the book; opens the database at first use.

        Raises:
            ConfigurationError: The schema is not the one of this library.
        """
        return self._open()

    @property
    def known_book_id(self) -> int | None:
        """Row id of the book if it was looked up already; opens nothing."""
        return self._book_id

    def upgrade(self) -> None:
        """Bring the schema to the version of this library; safe to run at the same time elsewhere.

        Raises:
            ConfigurationError: The database cannot be opened, or is newer.
            TransactionAborted: It is away.
        """
        self._opening_errors(lambda: migrate.upgrade_schema(self._given))

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` in one transaction and commit it; run it again when the engine says so.

        ``work`` must do nothing but read and write through its `Tx`: it may run
        several times, and a commit whose answer was lost is run again too, so
        every write in it rests on a key or a guarded state.

        Raises:
            Duplicate: A unique key exists already; nothing was kept.
            TransactionAborted: The engine refused it again and again.
            ConfigurationError: The schema is not the one of this library.
        """
        book_id = self._open()
        return self._retrying(lambda: self._once(work, book_id))

    def debit_at_once(self, customer: str, amount: Money, *, header: Header, label: Label, to: int) -> int | None:
        """Post a debit in a transaction of its own by the engine's fast path, if it covers it.

        Gives the balance after it in ledger units; None if nothing was posted and the
        portable path must be taken. Runs again as `write` does.

        Args:
            customer: Whose wallet is lowered.
            amount: By what.
            header: Key, cause and times.
            label: What the customer reads.
            to: Row id of the account that it is posted to.

        Raises:
            Duplicate: The key, or the charged period, exists; nothing was kept.
            TransactionAborted: The engine refused it again and again.
            ConfigurationError: The schema is not the one of this library.
        """
        path = self._fast
        if path is None:
            return None
        values = fast.values_of(self._open(), customer, amount, header=header, label=label, to=to)
        return self._retrying(lambda: raw.run(self.engine, lambda pooled: path(pooled, values)))

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` on one snapshot without locking anything.

        Raises:
            ConfigurationError: The schema is not the one of this library.
        """
        book_id = self._open()

        def run() -> T:
            with self._snapshot() as connection:
                return work(Tx(connection, book_id))

        return self._retrying(run)

    def _once(self, work: Callable[[Tx], T], book_id: int) -> T:
        with self.engine.begin() as connection:
            if not self._own_engine and servers.is_mariadb(connection.dialect.name):
                servers.begin_write(connection)
            return work(Tx(connection, book_id))

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            dialect = connection.dialect.name
            options: dict[str, Any] = {READ_ONLY: True}
            if dialect == "postgresql":
                options["isolation_level"] = "REPEATABLE READ"
            with connection.execution_options(**options).begin():
                if servers.is_mariadb(dialect):
                    servers.begin_snapshot(connection)
                yield connection

    def _retrying(self, run: Callable[[], T]) -> T:
        deadline = time.monotonic() + MAX_RETRY_S
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return run()
            except DBAPIError as error:
                error.hide_parameters = True  # also on a host's own engine: they hold customers' data
                if is_duplicate(error):
                    raise Duplicate("A unique key exists already.") from error
                if not is_retryable(error):
                    raise
                if attempt == MAX_ATTEMPTS or time.monotonic() > deadline:
                    raise TransactionAborted("The database refused the transaction again and again.") from error
            time.sleep(random.uniform(0, min(0.5, 0.005 * 2**attempt)))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")  # pragma: no cover

    def _open(self) -> int:
        if self._book_id is None:
            with self._opening:
                if self._book_id is None:
                    self._opening_errors(self._check_engine)
                    self._book_id = self._retrying(self._find_or_make_book)
        return self._book_id

    def _opening_errors(self, run: Callable[[], object]) -> None:
        try:
            self._retrying(run)
        except DBAPIError as error:
            raise ConfigurationError(f"The database cannot be opened: {type(error.orig).__name__}.") from error

    def _check_engine(self) -> None:
        refuse_autocommit(self.engine)
        migrate.check(self.engine)

    def _find_or_make_book(self) -> int:
        with self._snapshot() as connection:
            found = self.find_book(connection)
        if found is not None:
            return found
        try:
            with self.engine.begin() as connection:
                self.add_book(connection)
        except DBAPIError as error:
            if not is_duplicate(error):
                raise
        return self._find_or_make_book()

    def find_book(self, connection: Connection, *, lock: bool = False) -> int | None:
        """Look the book up on a connection.

        Args:
            connection: Where.
            lock: Read what is committed now, though the transaction's snapshot be older.
        """
        book = schema.book
        wanted = select(book.c.id).where(book.c.name == self.book, book.c.mode == self.mode)
        found = connection.execute(wanted.with_for_update(read=True) if lock else wanted).scalar()
        return None if found is None else int(found)

    def add_book(self, connection: Connection) -> None:
        """Open the book in the transaction of a connection.

        Raises:
            sqlalchemy.exc.IntegrityError: It is open already.
        """
        row = {"name": self.book, "mode": self.mode, "created_at": self.now()}
        connection.execute(insert(schema.book).values(row))
