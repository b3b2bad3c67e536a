"""One book in a host's own transaction: savepoints for refusals, and no way on after a loss.

Whoever began the transaction commits it, so that the host's rows and the
ledger's stand or fall together. What an engine has rolled back whole cannot be
brought back by a savepoint: MariaDB would go on with an empty transaction and
commit what the host does next, without what it did before. The connection is
therefore made unusable, so that even a host that passes the error over cannot
commit a part.

Sources: MariaDB manual, InnoDB error handling (a deadlock rolls back the whole
transaction); PostgreSQL manual, chapter 13 (serialization failures).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn, TypeVar

from sqlalchemy import Connection, NestedTransaction
from sqlalchemy.exc import DBAPIError, InvalidRequestError, PendingRollbackError, SQLAlchemyError, UnboundExecutionError

from ..core.errors import ConfigurationError, TransactionAborted
from ..core.money import Money
from ..core.transfers import AccountRef
from . import servers
from .database import Database, Tx
from .engines import CONFIGURED, READ_ONLY, Duplicate, commits_by_itself, is_duplicate, is_fatal
from .migrate import check_through

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from .ledger import Header, Label

T = TypeVar("T")

_WANTED = "joined takes an open SQLAlchemy Connection or Session, as from engine.begin() or Session.begin()"
_GIVEN_UP = "The database gave the host's transaction up, and its connection is closed: run all of it again."

_ROLL_BACK = "The host's transaction has failed before and waits to be rolled back: run all of it again."


@contextmanager
def joined_database(database: Database, host: object) -> Iterator[JoinedDatabase]:
    """Take part in the transaction of a host's connection or session until the block ends.

    Nothing is committed or rolled back at the end.

    Raises:
        ConfigurationError: Not an open, synchronous connection or session, or
            one that cannot keep money: another database, no transaction, no
            tables of this library.
        TransactionAborted: The host's transaction is lost already.
    """
    try:
        session = _session_of(host)
        connection = _connection_of(host, session)
        _begin(connection)
    except DBAPIError as error:
        error.hide_parameters = True
        if is_fatal(error):
            raise TransactionAborted("The database could not begin a transaction.") from error
        raise
    _check(database, connection)
    joined = JoinedDatabase(database, connection, session)
    try:
        yield joined
    finally:
        joined.leave()


class JoinedDatabase:
    """Runs functions in a transaction that a host has opened and will end."""

    def __init__(self, database: Database, connection: Connection, session: Session | None = None) -> None:
        """Join a transaction that is open and was checked; looks up the book, or opens it.

        Args:
            database: Of the book.
            connection: The transaction's.
            session: Whose connection it is, if it is a session's.

        Raises:
            ConfigurationError: It is not the database of ``database``.
            TransactionAborted: The transaction is lost.
        """
        self._database = database
        self._connection = connection
        self._session = session
        self._transaction = connection.get_transaction()
        self._left = False
        self.book_id = self._known_book() or self._find_or_open_book()

    def __repr__(self) -> str:
        return f"<JoinedDatabase of {self._database!r}>"

    @property
    def dialect(self) -> str:
        """Name of the dialect of the host's connection."""
        return self._connection.dialect.name

    @property
    def commits(self) -> bool:
        """Never: whoever began the transaction commits it."""
        return False

    @property
    def account_ids(self) -> dict[tuple[AccountRef, str], int]:
        """A copy, made anew each time: what is opened here is gone if the host rolls back, be it to a savepoint."""
        return dict(self._database.account_ids)

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` once inside a savepoint: all of it stays in the host's transaction, or nothing.

        Raises:
            Duplicate: A unique key exists already; nothing of ``work`` was kept.
            TransactionAborted: The host's transaction is lost, and its connection closed.
            ConfigurationError: The block, or the transaction it joined, has ended.
        """
        return self._keeping(lambda connection: work(self._tx(connection)))

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` on what the host's transaction sees.

        Raises:
            TransactionAborted: The host's transaction is lost, and its connection closed.
            ConfigurationError: The block, or the transaction it joined, has ended.
        """
        return self._looking(lambda connection: work(self._tx(connection)))

    def debit_at_once(self, customer: str, amount: Money, *, header: Header, label: Label, to: int) -> int | None:
        """Post nothing: a fast path commits by itself, and the host has not decided yet."""
        return None

    def _tx(self, connection: Connection) -> Tx:
        # PostgreSQL refuses to lock what changed after its snapshot; SQLite lets nobody else write.
        return Tx(connection, self.book_id, snapshot=servers.is_mariadb(connection.dialect.name))

    def leave(self) -> None:
        """Refuse every further use; the host's transaction goes on."""
        self._left = True

    def _keeping(self, work: Callable[[Connection], T]) -> T:
        self._require_joined()
        savepoint = self._step(self._connection.begin_nested)
        try:
            result = work(self._connection)
        except BaseException as error:
            self._take_back(savepoint, error)
            raise
        self._step(savepoint.commit, savepoint)
        return result

    def _looking(self, work: Callable[[Connection], T]) -> T:
        self._require_joined()
        try:
            return work(self._connection)
        except DBAPIError as error:
            error.hide_parameters = True
            if is_fatal(error):
                self._give_up(error)
            raise

    def _step(self, run: Callable[[], T], savepoint: NestedTransaction | None = None) -> T:
        # A savepoint cannot be set or released where there is no transaction any more.
        try:
            return run()
        except SQLAlchemyError as error:
            self._give_up(error, savepoint)

    def _take_back(self, savepoint: NestedTransaction, error: BaseException) -> None:
        if isinstance(error, DBAPIError):
            error.hide_parameters = True
            if is_fatal(error):
                self._give_up(error, savepoint)
        if isinstance(error, TransactionAborted) or not isinstance(error, Exception):
            # After an interruption nobody knows what the driver has sent and read.
            _destroy(self._connection, savepoint)
            return
        try:
            savepoint.rollback()
        except SQLAlchemyError:
            self._give_up(error, savepoint)
        if isinstance(error, DBAPIError) and is_duplicate(error):
            raise Duplicate("A unique key exists already.") from error

    def _give_up(self, error: Exception, savepoint: NestedTransaction | None = None) -> NoReturn:
        if isinstance(error, DBAPIError):
            error.hide_parameters = True
        _destroy(self._connection, savepoint)
        raise TransactionAborted(_GIVEN_UP) from error

    def _require_joined(self) -> None:
        if self._left:
            raise ConfigurationError("This block of billing.joined(...) has ended; open another one.")
        if self._connection.get_transaction() is not self._transaction:
            raise ConfigurationError(
                "The transaction that billing.joined(...) took part in has ended; open another block in the next one."
            )
        if self._connection.invalidated:
            raise TransactionAborted(_GIVEN_UP)
        if self._session is not None:
            self._set_savepoints(self._session)

    def _set_savepoints(self, session: Session) -> None:
        # A session sets the savepoint of its begin_nested() only when its connection is asked for:
        # what is charged before would stay when the host rolls back to it.
        if self._step(lambda: _connection_of_session(session)) is not self._connection:
            raise ConfigurationError("The session has another connection now; open another block.")

    def _known_book(self) -> int | None:
        # All connections of one engine share its dialect: what the library knows of its own needs no look.
        own = self._connection.dialect is self._database.engine.dialect
        return self._database.known_book_id if own else None

    def _find_or_open_book(self) -> int:
        self._looking(servers.refuse_lax)
        self._looking(check_through)
        found = self._looking(self._database.find_book)
        if found is None:
            found = self._open_book()
        if self._database.known_book_id not in (None, found):
            raise ConfigurationError(_ELSEWHERE)
        return found

    def _open_book(self) -> int:
        with suppress(Duplicate):  # somebody else opened it, perhaps after the host's snapshot
            self._keeping(self._add_book)
        return self._keeping(self._opened_book)

    def _add_book(self, connection: Connection) -> None:
        self._database.add_book(connection)
        if self._database.known_book_id is not None:
            raise ConfigurationError(_ELSEWHERE)

    def _opened_book(self, connection: Connection) -> int:
        found = self._database.find_book(connection, lock=True)
        if found is None:
            raise TransactionAborted("The transaction cannot see the book, which was opened after it began.")
        return found


_ELSEWHERE = "The connection leads to another database than the one of this Prepaid, where the book is another."


def _destroy(connection: Connection, savepoint: NestedTransaction | None = None) -> None:
    """Make sure that nothing of the transaction can be committed, and that its locks are gone."""
    if not connection.invalidated and not connection.closed:
        with suppress(Exception):  # it is closed all the same
            connection.connection.rollback()
        connection.invalidate()
    if savepoint is not None:
        savepoint.close()  # sends nothing any more, and leaves the host's own savepoint the current one


def _session_of(host: object) -> Session | None:
    from sqlalchemy.orm import Session, scoped_session  # loaded already by whoever has a session

    if isinstance(host, scoped_session):
        host = host()
    return host if isinstance(host, Session) else None


def _connection_of(host: object, session: Session | None) -> Connection:
    if session is not None:
        host = _connection_of_session(session)
    if not isinstance(host, Connection):
        raise ConfigurationError(f"{_WANTED}, not {_kind(host)}.")
    if host.dialect.is_async:
        raise ConfigurationError(f"{_WANTED}, with a synchronous driver; in async code, charge after the commit.")
    if host.closed:
        raise ConfigurationError(f"{_WANTED}; this connection is closed.")
    return host


def _kind(host: object) -> str:
    name = type(host).__name__
    return f"an {name}" if name[0] in "AEIOUaeiou" else f"a {name}"


def _connection_of_session(session: Session) -> Connection:
    try:
        return session.connection()
    except PendingRollbackError as error:
        raise TransactionAborted(_ROLL_BACK) from error
    except UnboundExecutionError as error:
        raise ConfigurationError(
            "The session has no engine of its own, or several; pass session.connection(bind_arguments=...)."
        ) from error
    except InvalidRequestError as error:
        raise ConfigurationError(f"{_WANTED}; of this session SQLAlchemy says: {error.args[0]}") from error


def _begin(connection: Connection) -> None:
    transaction = connection.get_transaction()
    if transaction is None:
        connection.begin()
    elif not transaction.is_valid:
        raise TransactionAborted(_ROLL_BACK)


def _check(database: Database, connection: Connection) -> None:
    ours, theirs = (_family(name) for name in (database.engine.dialect.name, connection.dialect.name))
    if ours != theirs:
        raise ConfigurationError(f"The connection is to {theirs}, the books of this Prepaid are in {ours}.")
    if theirs == "sqlite":
        _check_sqlite(connection)
    elif commits_by_itself(connection):
        raise ConfigurationError(
            "The connection commits each statement by itself (isolation_level AUTOCOMMIT); money needs transactions."
        )


def _family(dialect: str) -> str:
    return "mysql" if servers.is_mariadb(dialect) else dialect


def _check_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(READ_ONLY):
        raise ConfigurationError(f"The connection only reads (execution option {READ_ONLY}); join one that writes.")
    driver = connection.connection.dbapi_connection
    if not connection.info.get(CONFIGURED) or not getattr(driver, "in_transaction", False):
        raise ConfigurationError("Give the SQLite engine to prepaid.configure_sqlite(engine) before it is connected.")
