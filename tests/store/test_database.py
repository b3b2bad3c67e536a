"""The schema and its versions: checked at first use, upgraded when told to, the same by every road."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import date, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from prepaid import (
    Address,
    ConfigurationError,
    Evidence,
    InsufficientCredit,
    Money,
    Prepaid,
    Rate,
    Seller,
    TaxProfile,
    TaxRule,
)
from prepaid import permissions as may
from prepaid.gateways import SimulatedGateway
from prepaid.store import configure_sqlite, schema, schema_status, upgrade_schema
from prepaid.store.migrate import HEAD, VERSION_TABLE
from prepaid.testing.clock import START, MovableClock
from prepaid.testing.mail import RecordingMailer
from prepaid.testing.registers import ScriptedRegister
from tests.use_cases.steps import PlainRenderer, checkout_of, start, top_up

SELLER = Seller(name="Nimbus GmbH", address=Address(country="DE"))
EUR = {amount: Money.of(amount, "EUR") for amount in ("1", "2", "10")}


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def simulated(tmp_path, clock):
    return SimulatedGateway(state=tmp_path / "simulated.db", clock=clock)


@pytest.fixture
def open_on(clock, simulated):
    """Give a function that wires a `Prepaid` on a database."""
    opened = []

    def open_one(database, **changes):
        options = {"mode": "test", "seller": SELLER, "gateways": [simulated], "renderer": PlainRenderer()}
        options |= {"clock": clock, "load_plugins": False, "tax_id_registers": (), "webhook_budget_s": 60}
        opened.append(Prepaid(database=database, **{**options, **changes}))
        return opened[-1]

    yield open_one
    for billing in opened:
        billing.close()


@pytest.fixture
def engine(database_url):
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def set_version(engine, version):
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :version"), {"version": version})


# Versions


def test_nothing_is_touched_before_first_use(open_on, tmp_path):
    path = tmp_path / "never.db"
    billing = open_on(f"sqlite:///{path}")
    open_on("postgresql+psycopg://nobody:secret@127.0.0.1:1/nowhere")

    assert not path.exists()
    assert "secret" not in repr(billing)


def test_a_database_without_tables_says_what_to_run(open_on, database_url):
    billing = open_on(database_url)
    for use in (
        billing.check,
        billing.health,
        billing.run_due,
        lambda: billing.customers.register("u"),
        lambda: billing.usage.charge("u", EUR["1"], key="k"),
        lambda: billing.customer("u").balance(),
    ):
        with pytest.raises(ConfigurationError, match=r"has no prepaid tables.*upgrade_database.*prepaid db upgrade"):
            use()

    billing.upgrade_database()

    assert billing.check().ok


def test_an_upgrade_can_be_repeated(open_on, database_url):
    assert schema_status(database_url) == (None, HEAD)
    assert upgrade_schema(database_url) == (None, HEAD)
    assert upgrade_schema(database_url) == (HEAD, HEAD)
    billing = open_on(database_url)
    billing.customers.register("u")

    billing.upgrade_database()

    assert billing.customers.get("u").id == "u"


def test_an_older_database_says_what_to_run(open_on, engine, database_url):
    upgrade_schema(database_url)
    set_version(engine, "0000")

    with pytest.raises(ConfigurationError, match=f"has schema 0000, this library needs {HEAD}.*upgrade_database"):
        open_on(database_url).check()


def test_a_newer_database_asks_for_a_newer_library_and_is_left_alone(open_on, engine, database_url):
    upgrade_schema(database_url)
    set_version(engine, "9999")
    billing = open_on(database_url)

    for use in (billing.check, billing.upgrade_database):
        with pytest.raises(ConfigurationError, match="9999, newer"):
            use()

    assert schema_status(database_url) == ("9999", HEAD)


def test_three_processes_that_upgrade_at_once_all_succeed(open_on, database_url):
    program = "import sys; from prepaid.store import upgrade_schema; upgrade_schema(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, database_url], env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]

    said = [process.communicate(timeout=60)[1] for process in running]

    assert [process.returncode for process in running] == [0, 0, 0], said
    assert open_on(database_url).check().ok


def test_a_hosts_own_tables_and_versions_are_left_alone(engine, database_url):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('the host''s')"))

    upgrade_schema(database_url)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "the host's"
    names = set(inspect(engine).get_table_names()) - {"alembic_version"}
    assert all(name.startswith("prepaid_") for name in names)


# The migrations make what the schema says


def test_migrations_make_the_schema_by_alembics_own_comparison(engine, database_url):
    upgrade_schema(database_url)

    with engine.connect() as connection:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_object": lambda thing, name, kind, *_: not (kind == "table" and name == VERSION_TABLE),
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []


def shape(engine):
    """Describe every table down to its checks, which Alembic does not compare."""
    found = inspect(engine)

    def written(value):
        # Conditions of partial indexes are objects that are written as their address.
        return str({key: str(each) for key, each in value.items()}) if isinstance(value, dict) else str(value)

    def by_name(rows):
        return sorted(
            (str(row.get("name")), sorted((key, written(value)) for key, value in row.items())) for row in rows
        )

    return {
        name: {
            "columns": by_name(found.get_columns(name)),
            "key": str(found.get_pk_constraint(name)),
            "foreign": by_name(found.get_foreign_keys(name)),
            "unique": by_name(found.get_unique_constraints(name)),
            "checks": by_name(found.get_check_constraints(name)),
            "indexes": by_name(found.get_indexes(name)),
        }
        for name in sorted(found.get_table_names())
        if name != VERSION_TABLE
    }


def test_migrations_and_schema_make_the_same_tables_checks_and_indexes(engine, database_url):
    schema.metadata.create_all(engine)
    said = shape(engine)
    schema.metadata.drop_all(engine)

    upgrade_schema(database_url)

    assert shape(engine) == said
    assert set(said) == set(schema.metadata.tables)


# What was written stays


@pytest.fixture
def written(open_on, database_url, simulated):
    """Give an upgraded database with a row in every table that may only grow."""
    upgrade_schema(database_url)
    billing = open_on(database_url, tax_id_registers=[ScriptedRegister()], mailer=RecordingMailer())
    billing.customers.register("user-42", email="ada@example.com")
    billing.customers.evidence("user-42", Evidence(kind="ip", country="FR"))
    ada = billing.customer("user-42")
    ada.tax_profile.set(TaxProfile(address=Address(country="FR"), tax_id="FR40303265045"))
    top_up(billing, simulated)
    alice = billing.operator("alice", permissions=may.ALL)
    alice.customers.overdraft("user-42", EUR["1"], reason="because")
    alice.digest.settings(email="cfo@example.com")
    billing.run_due("digest")
    ada.invoices.pdf("TINV26-000001")
    alice.reconcile("simulated", START, START + timedelta(days=1))
    return billing


def test_no_row_of_an_append_only_table_can_be_changed_or_removed(written, engine):
    before = {}
    for table in schema.APPEND_ONLY:
        with engine.connect() as connection:
            before[table] = connection.execute(text(f"SELECT * FROM {table}")).all()
        assert before[table], table
        for statement in (f"UPDATE {table} SET book_id = book_id", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
                connection.execute(text(statement))

    for table, rows in before.items():
        with engine.connect() as connection:
            assert connection.execute(text(f"SELECT * FROM {table}")).all() == rows


@pytest.mark.postgresql
def test_postgresql_cannot_empty_a_table_that_may_only_grow(postgres_cluster):
    url = postgres_cluster.new_database()
    upgrade_schema(url)
    engine = create_engine(url)
    for table in schema.APPEND_ONLY:
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {table} CASCADE"))
    engine.dispose()
    postgres_cluster.drop_database(url)


IMPOSSIBLE = (
    "UPDATE prepaid_account SET balance = 1 WHERE kind = 'clearing'",
    "UPDATE prepaid_account SET held = -1",
    "UPDATE prepaid_grant SET remaining = size + 1",
    "UPDATE prepaid_grant SET open = 0",
    "UPDATE prepaid_topup SET tax = tax + 1",
    "UPDATE prepaid_topup SET customer = 'nobody'",
    "UPDATE prepaid_payment SET captured = 0",
    "UPDATE prepaid_grant SET wallet_id = 999999",
    "DELETE FROM prepaid_customer",
)


def test_the_engine_itself_refuses_what_cannot_be(written, engine):
    if engine.dialect.name == "sqlite":
        configure_sqlite(engine)
    for statement in IMPOSSIBLE:
        with pytest.raises(DBAPIError), engine.begin() as connection:
            connection.execute(text(statement))

    assert written.check().ok


# Books and modes


def live_through(billing, simulated):
    """Do the same things, under the same names, that every other book does."""
    ops = billing.operator("alice", permissions=may.ALL)
    billing.customers.register("user-42", email="ada@example.com", currency="EUR")
    ops.tax.add(TaxRule(country="FR", components=(("TVA", "20"),), valid_from=date(2014, 1, 1)))
    billing.customer("user-42").tax_profile.set(TaxProfile(address=Address(country="FR")))
    ops.customers.grant("user-42", EUR["10"], kind="goodwill", reason="welcome", key="k")
    billing.usage.charge("user-42", EUR["1"], key="k")
    billing.meters.start("user-42", resource="vm-1", rate=Rate.hourly("1", "EUR"))
    if simulated is not None:
        topup = start(billing, key="form-1")
        simulated.pay(checkout_of(topup))
        headers, body = simulated.events()[-1].request()
        assert billing.webhooks.receive("simulated", body=body, headers=headers).outcome == "credited"
    billing.run_due()


def seen(billing):
    ada, ops = billing.customer("user-42"), billing.operator("alice", permissions=may.ALL)
    summary = ops.reports.summary(date(2026, 11, 23), date(2026, 11, 24))
    return {
        "balance": ada.balance().settled,
        "lines": len(ada.transactions().items),
        "invoices": [invoice.number for invoice in ada.invoices.list().items],
        "topups": len(ada.topups.list().items),
        "meters": len(ada.meters()),
        "rules": len(ops.tax.list()),
        "audit": len(ops.audit.list().items),
        "liability": summary.liability,
        "funds_in": summary.funds_in,
        "consumed": summary.credit_consumed,
    }


def test_two_books_and_two_modes_in_one_database_share_nothing(open_on, database_url, simulated):
    upgrade_schema(database_url)
    one = open_on(database_url, book="one")
    live_through(one, simulated)
    before = seen(one)
    assert before["balance"] == Money.of("59", "EUR")
    assert before["invoices"] == ["TINV26-000001"]

    others = [
        (open_on(database_url, book="two"), simulated),
        (open_on(database_url, book="one", mode="live", gateways=[]), None),
    ]
    for other, gateway in others:
        assert other.operator("alice", permissions=may.ALL).customers.search("ada") == ()
        live_through(other, gateway)
        with pytest.raises(InsufficientCredit):
            other.usage.charge("user-42", Money.of("60", "EUR"), key="more")

    assert seen(one) == before
    assert seen(others[0][0]) == before
    live = seen(others[1][0])
    assert (live["balance"], live["invoices"], live["funds_in"]) == (Money.of("9", "EUR"), [], Money.zero("EUR"))
    assert all(billing.check().ok for billing in (one, *(other for other, _ in others)))


def test_an_object_of_one_book_is_not_found_in_another(open_on, database_url, simulated):
    upgrade_schema(database_url)
    one, two = (open_on(database_url, book=name) for name in ("one", "two"))
    for billing in (one, two):
        billing.customers.register("user-42")
    topup = top_up(one, simulated)

    assert two.returns.receive({"topup": topup.id}).topup_id is None
    headers, body = simulated.events()[-1].request()
    assert two.webhooks.receive("simulated", body=body, headers=headers).outcome == "parked"
    assert two.customer("user-42").topups.list().items == ()


def test_four_workers_may_open_a_new_book_at_the_same_moment(open_on, database_url):
    upgrade_schema(database_url)
    workers, barrier = [open_on(database_url, book="new") for _ in range(4)], threading.Barrier(4)

    def register(number, billing):
        barrier.wait()
        billing.customers.register(f"user-{number}", currency="EUR")

    threads = [threading.Thread(target=register, args=pair) for pair in enumerate(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for billing in workers:
        assert [billing.customers.get(f"user-{number}").id for number in range(4)]


FORKED = """
import os, sys
from prepaid import Address, Money, Prepaid, Seller
billing = Prepaid(
    database=sys.argv[1], mode="test", seller=Seller(name="N", address=Address(country="DE")), load_plugins=False
)
billing.customers.register("user-42")
child = os.fork()
for number in range(20):
    billing.usage.charge("user-42", Money.of("1", "EUR"), key=f"{child > 0}-{number}", allow_negative=True)
if child == 0:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(billing.customer("user-42").balance().settled, billing.check().ok)
billing.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_does_not_talk_over_its_parents_connection(database_url):
    upgrade_schema(database_url)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    done = subprocess.run(
        [sys.executable, "-c", FORKED, database_url],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "-40.00 EUR True\n"), done.stderr
