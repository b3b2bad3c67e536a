"""A host's transaction that the engine gave up: nothing of it is ever committed, and all of it can be run again."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager, suppress

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.orm import Session

from prepaid import TransactionAborted
from prepaid.store import Tx
from prepaid.store.joined import JoinedDatabase
from tests import engines
from tests.use_cases.panel import HOSTS, SESSIONS, Panel, dialect_of

from .world import eur

ADA, EVE = "ada", "eve"
SERVERS = pytest.mark.parametrize("url", engines.SERVERS, indirect=True)
MARIADB = pytest.mark.parametrize("url", [pytest.param("mariadb", marks=pytest.mark.mariadb)], indirect=True)


def settled(billing):
    return {customer: str(billing.customer(customer).balance().settled.amount) for customer in (ADA, EVE)}


def charge(door, customer, key="k"):
    return door.usage.charge(customer, eur("1"), key=key)


UNCHARGED = {ADA: "10.00", EVE: "10.00"}


# The trap: an engine that rolls back more than the savepoint


WAITING = {
    "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    # Not the table of transactions: MariaDB keeps it for as long as somebody looks at it often.
    "mariadb": "SELECT variable_value FROM information_schema.global_status "
    "WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'",
}


class Rival:
    """A transaction with much to lose, so that in a deadlock the engine gives up the other."""

    def __init__(self, url, book):
        self._book = book
        self._engine = create_engine(url, isolation_level="READ COMMITTED")
        self._connection = self._engine.connect()
        with self._engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS ballast (id INT PRIMARY KEY)"))
        if dialect_of(self._engine) == "postgresql":
            self._connection.execute(text("SET LOCAL deadlock_timeout = '60s'"))
        for number in range(300):
            self._connection.execute(text("INSERT INTO ballast VALUES (:id)"), {"id": number})
        self._thread = None

    def lock(self, customer):
        """Take a customer's wallet."""
        wanted = "SELECT a.id FROM prepaid_account a JOIN prepaid_book b ON b.id = a.book_id "
        wanted += "WHERE b.name = :book AND a.kind = 'wallet' AND a.owner = :owner"
        number = self._connection.execute(text(wanted), {"book": self._book, "owner": customer}).scalar()
        self._connection.execute(text("UPDATE prepaid_account SET floor = floor WHERE id = :id"), {"id": number})

    def wait_for(self, customer):
        """Want a wallet that the other holds; comes back as soon as the engine lets it wait."""
        self._thread = threading.Thread(target=self.lock, args=(customer,))
        self._thread.start()
        wanted, deadline = text(WAITING[dialect_of(self._engine)]), time.monotonic() + 20
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not int(connection.execute(wanted).scalar()):
                assert time.monotonic() < deadline, "nobody waits"
                time.sleep(0.01)

    def close(self):
        """Give everything back; a second call does nothing."""
        if self._thread is not None:
            self._thread.join(20)
            assert not self._thread.is_alive()
        self._connection.close()
        self._engine.dispose()


@pytest.fixture
def rival(url, book):
    with closing(Rival(url, book)) as rival:
        yield rival


@contextmanager
def deadlocked(panel, billing, host, rival):
    """Let a host write a row and charge, until its next charge of Eve is sure to end in a deadlock that it loses."""
    rival.lock(EVE)
    if panel.dialect == "postgresql":
        host.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
    panel.rent(host, "A")
    if isinstance(host, Session):
        host.flush()
    with billing.joined(host) as joined:
        charge(joined, ADA)
        rival.wait_for(ADA)
        yield joined


@SERVERS
@HOSTS
def test_a_deadlock_in_a_charge_leaves_nothing_of_the_hosts_transaction_to_commit(panel, billing, rival, kind):
    with panel.opened(kind) as host:
        with deadlocked(panel, billing, host, rival) as joined:
            with pytest.raises(TransactionAborted) as lost:
                charge(joined, EVE)
            assert lost.value.retry_whole
            for use in (lambda: charge(joined, EVE), lambda: joined.balance(EVE)):
                with pytest.raises(TransactionAborted):
                    use()
        with pytest.raises(PendingRollbackError):
            host.execute(text("SELECT 1"))
        with suppress(PendingRollbackError):  # a session only notes it down
            panel.rent(host, "B")
        with pytest.raises(PendingRollbackError):
            host.commit()

        host.rollback()
        rival.close()
        assert (panel.servers(), settled(billing)) == ([], UNCHARGED)

        for name, customer in (("A", ADA), ("B", EVE)):
            panel.rent(host, name)
            with billing.joined(host) as joined:
                assert charge(joined, customer).status == "posted"
        host.commit()

    assert (panel.servers(), settled(billing)) == (["A", "B"], {ADA: "9.00", EVE: "9.00"})
    assert billing.check().ok


def trusts_the_savepoint(self, work):
    """What anybody would write first."""
    with self._connection.begin_nested():
        return work(Tx(self._connection, self.book_id))


@SERVERS
def test_the_deadlock_shows_what_a_savepoint_is_worth_on_each_engine(panel, billing, rival, monkeypatch):
    monkeypatch.setattr(JoinedDatabase, "write", trusts_the_savepoint)
    with panel.opened("connection") as host:
        with deadlocked(panel, billing, host, rival) as joined, suppress(DBAPIError):
            charge(joined, EVE)
        panel.rent(host, "B")
        host.commit()
        rival.close()

    kept = {"postgresql": (["A", "B"], "9.00"), "mariadb": (["B"], "10.00")}
    assert (panel.servers(), settled(billing)[ADA]) == kept[panel.dialect]


# Other ways in which a transaction is lost


def assert_lost(panel, billing, host):
    """Nothing of the transaction can be committed; after its end the host goes on as if it had never been."""
    with pytest.raises(PendingRollbackError):
        host.commit()
    host.rollback()
    assert (panel.servers(), settled(billing)) == ([], UNCHARGED)

    panel.rent(host, "again")
    with billing.joined(host) as joined:
        charge(joined, ADA)
    host.commit()
    assert (panel.servers(), settled(billing)) == (["again"], {ADA: "9.00", EVE: "10.00"})
    assert billing.check().ok


def ends_unseen(monkeypatch, then):
    """Let the transaction end in the middle of a posting, as an engine does, and then go on or fail."""

    def spend(tx, *_):
        tx.connection.exec_driver_sql("ROLLBACK")
        then()

    monkeypatch.setattr("prepaid.wallets.posting.grants.spend", spend)
    monkeypatch.setattr("prepaid.wallets.posting.ledger.add_transfers", lambda *_, **__: None)


def fails():
    raise ValueError("something else")


@SESSIONS
@pytest.mark.parametrize("then", [fails, lambda: None], ids=["fails", "goes-on"])
def test_a_transaction_that_ended_unseen_is_found_lost(panel, billing, monkeypatch, kind, then):
    with panel.opened(kind) as host:
        panel.rent(host, "A")
        with billing.joined(host) as joined, monkeypatch.context() as patched:
            ends_unseen(patched, then)
            with pytest.raises(TransactionAborted):
                charge(joined, ADA)

        assert_lost(panel, billing, host)


def kill_connection(panel, host):
    ask, kill = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend(:id)"),
        "mariadb": ("SELECT connection_id()", "KILL :id"),
    }[panel.dialect]
    number = host.execute(text(ask)).scalar()
    with panel.engine.connect() as other:
        other.execute(text(kill), {"id": number})


@SERVERS
@SESSIONS
@pytest.mark.parametrize("call", ["charge", "balance"])
def test_a_connection_that_is_lost_inside_the_block(panel, billing, kind, call):
    with panel.opened(kind) as host:
        panel.rent(host, "A")
        with billing.joined(host) as joined:
            charge(joined, ADA)
            kill_connection(panel, host)
            with pytest.raises(TransactionAborted):
                charge(joined, ADA, "k2") if call == "charge" else joined.balance(ADA)

        assert_lost(panel, billing, host)


@SERVERS
@SESSIONS
def test_a_connection_that_is_lost_before_the_block(url, panel, billing, kind):
    with panel.opened(kind) as host:
        kill_connection(panel, host)
        with pytest.raises(TransactionAborted), billing.joined(host):
            pytest.fail("there is nothing to join")

        assert_lost(panel, billing, host)


@SERVERS
def test_a_wallet_that_stays_locked_is_a_transaction_to_be_run_again(panel, billing, rival):
    rival.lock(EVE)
    patience = {
        "postgresql": "SET LOCAL lock_timeout = '50ms'",
        "mariadb": "SET SESSION innodb_lock_wait_timeout = 1",
    }
    with panel.opened("connection") as host:
        host.execute(text(patience[panel.dialect]))
        panel.rent(host, "A")
        with billing.joined(host) as joined:
            charge(joined, ADA)
            with pytest.raises(TransactionAborted):
                charge(joined, EVE)
        rival.close()

        assert_lost(panel, billing, host)


@pytest.mark.postgresql
@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_that_is_too_old_for_postgresql(panel, billing, level):
    with panel.opened("connection") as host:
        host.execution_options(isolation_level=level)
        panel.rent(host, "A")
        billing.usage.charge(ADA, eur("2"), key="elsewhere")
        with billing.joined(host) as joined, pytest.raises(TransactionAborted):
            charge(joined, ADA)
        with pytest.raises(PendingRollbackError):
            host.commit()

    assert (panel.servers(), settled(billing)[ADA]) == ([], "8.00")


@MARIADB
def test_a_snapshot_that_is_too_old_for_a_strict_mariadb(panel, billing):
    with panel.opened("connection") as host:
        host.execute(text("SET SESSION innodb_snapshot_isolation = ON"))
        host.execute(text("SELECT count(*) FROM prepaid_account"))
        billing.usage.charge(ADA, eur("2"), key="elsewhere")
        panel.rent(host, "A")
        with billing.joined(host) as joined, pytest.raises(TransactionAborted) as lost:
            charge(joined, ADA)
        assert lost.value.__cause__.orig.args[0] == 1020
        with pytest.raises(PendingRollbackError):
            host.commit()

    assert (panel.servers(), settled(billing)[ADA]) == ([], "8.00")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_read_that_turns_into_a_write_too_late_on_sqlite(panel, billing):
    with panel.opened("connection") as host:
        host.execution_options(prepaid_read=True)
        host.execute(text("SELECT count(*) FROM prepaid_account"))
        billing.usage.charge(ADA, eur("2"), key="elsewhere")
        host.execution_options(prepaid_read=False)  # and the transaction still only reads
        with billing.joined(host) as joined, pytest.raises(TransactionAborted):
            charge(joined, ADA)
        with pytest.raises(PendingRollbackError):
            host.commit()

    assert settled(billing)[ADA] == "8.00"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@SESSIONS
def test_a_file_that_another_writes_for_too_long_on_sqlite(panel, billing, kind):
    event.listen(panel.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 30").close())
    panel.engine.dispose()
    with panel.engine.begin(), panel.opened(kind) as host, pytest.raises(TransactionAborted), billing.joined(host):
        pytest.fail("there is nothing to join")

    with panel.opened(kind) as host, billing.joined(host) as joined:
        charge(joined, ADA)
        host.commit()
    assert settled(billing)[ADA] == "9.00"


@pytest.mark.postgresql
@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_an_error_of_the_hosts_own_that_postgresql_waits_to_be_rolled_back(panel, billing):
    with panel.opened("connection") as host:
        panel.rent(host, "A")
        with pytest.raises(DBAPIError):
            host.execute(text("SELECT nothing"))
        with pytest.raises(TransactionAborted), billing.joined(host) as joined:
            charge(joined, ADA)

        # Without this, PostgreSQL would answer COMMIT with a rollback, and no error.
        assert_lost(panel, billing, host)


@SESSIONS
def test_an_interruption_in_the_middle_leaves_nothing_to_commit(panel, billing, monkeypatch, kind):
    def interrupted(*_):
        raise KeyboardInterrupt

    with panel.opened(kind) as host:
        panel.rent(host, "A")
        with billing.joined(host) as joined, monkeypatch.context() as patched:
            patched.setattr("prepaid.wallets.posting.grants.spend", interrupted)
            with pytest.raises(KeyboardInterrupt):
                charge(joined, ADA)

        assert_lost(panel, billing, host)


@SERVERS
@SESSIONS
def test_a_loss_inside_savepoints_of_the_hosts_own(panel, billing, kind):
    with panel.opened(kind) as host:
        panel.rent(host, "A")
        with billing.joined(host) as joined, pytest.raises(PendingRollbackError), host.begin_nested():
            charge_in_a_savepoint(panel, host, joined)

        assert_lost(panel, billing, host)


def charge_in_a_savepoint(panel, host, joined):
    panel.rent(host, "B")
    with suppress(TransactionAborted), host.begin_nested():
        kill_connection(panel, host)
        charge(joined, ADA)


@SERVERS
@SESSIONS
def test_a_pool_of_one_connection_is_as_good_as_new_after_a_loss(url, billing, kind):
    with closing(Panel(url, pool_size=1, max_overflow=0, pool_timeout=1)) as panel:
        with panel.opened(kind) as host:
            panel.rent(host, "A")
            with billing.joined(host) as joined, pytest.raises(TransactionAborted):
                joined._context.database.write(lose)
        assert panel.engine.pool.checkedout() == 0

        for number in range(3):
            with panel.opened(kind) as host, billing.joined(host) as joined:
                panel.rent(host, f"server-{number}")
                charge(joined, ADA, f"k{number}")
                host.commit()
        assert panel.engine.pool.checkedout() == 0
        assert len(panel.servers()) == 3
    assert settled(billing)[ADA] == "7.00"


def lose(tx):
    tx.connection.exec_driver_sql("ROLLBACK")
