"""The fast path of a charge: row for row what the portable path writes, and nothing where it does not cover."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from prepaid import KeyConflict, RequestRefused, Thresholds
from prepaid.store import fast, fast_postgresql, raw
from tests.use_cases.steps import ADA, SQLITE, charge, eur, everything, give, operator, rows, value

HOUR = timedelta(hours=1)

_books = itertools.count(1)

ON_SERVERS = pytest.mark.parametrize(
    "place",
    [
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
    indirect=True,
)
POSTGRESQL = pytest.mark.parametrize("place", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)


class Counted:
    """Counts what the fast path of a billing system was asked for, and what of it it did."""

    def __init__(self, billing):
        self.asked = self.done = 0
        self._path = billing._context.database._fast
        billing._context.database._fast = self

    def __call__(self, pooled, values):
        self.asked += 1
        after = self._path(pooled, values)
        self.done += after is not None
        return after


@pytest.fixture
def counted(billing):
    return Counted(billing)


@contextmanager
def only_portable():
    """Let billing systems that are wired meanwhile have no fast path."""
    modules = fast.MODULES.copy()
    fast.MODULES.clear()
    yield
    fast.MODULES.update(modules)


# The same rows


EUROS = st.sampled_from(["0.5", "1", "2", "3", "5"])
HOURS = st.one_of(st.none(), st.sampled_from([1, 2, 30]))
STEP = st.one_of(
    st.tuples(st.just("give"), EUROS, st.sampled_from(["promotional", "goodwill"]), HOURS),
    *[st.tuples(st.just("charge"), EUROS, st.integers(1, 12), st.sampled_from(["", "", "vm-1"]))] * 3,
    st.tuples(st.just("performed"), EUROS, st.integers(1, 12)),
    st.tuples(st.just("hold"), EUROS, st.integers(1, 3)),
    st.tuples(st.just("wait"), st.sampled_from([1, 45, 90])),
    st.tuples(st.just("overdraft"), EUROS),
    st.tuples(st.just("levels"), EUROS),
    st.tuples(st.just("assign"), st.sampled_from(["another", "prepaid"])),
)


class Book:
    """A book that stories are told in."""

    def __init__(self, open_billing, clock):
        self.billing, self.clock = open_billing(book=f"twin-{next(_books)}"), clock
        self.billing.customers.register(ADA, currency="EUR")
        self._gifts = itertools.count(1)

    def tell(self, step):
        """Let one thing happen and give the answer in words."""
        name, *what = step
        try:
            return getattr(self, name)(*what)
        except RequestRefused as refused:
            return type(refused).__name__, str(refused)

    def give(self, amount, kind, hours):
        expires_at = None if hours is None else self.clock.now() + hours * HOUR
        self._operator.customers.grant(
            ADA, eur(amount), kind=kind, reason="a gift", key=f"gift-{next(self._gifts)}", expires_at=expires_at
        )

    def charge(self, amount, key, resource, **options):
        now = self.clock.now().replace(minute=0, second=0, microsecond=0)
        period = (now - HOUR, now) if resource else None
        outcome = self.billing.usage.charge(
            ADA, eur(amount), key=f"use-{key}", description="an hour", resource=resource, period=period, **options
        )
        return outcome.status, str(outcome.balance_after)

    def performed(self, amount, key):
        return self.charge(amount, key, "", allow_negative=True)

    def hold(self, amount, key):
        self.billing.usage.hold(ADA, eur(amount), key=f"hold-{key}", expires_in=HOUR)

    def overdraft(self, amount):
        self._operator.customers.overdraft(ADA, eur(amount), reason="trust")

    def assign(self, biller):
        self.billing.meters.assign("vm-1", biller)

    def levels(self, amount):
        self._operator.settings.thresholds(Thresholds(low=eur(amount), negative=eur("0")))

    @property
    def _operator(self):
        return operator(self.billing)


def test_any_story_leaves_the_rows_that_the_portable_path_leaves(open_billing, clock, place, request):
    did = Counter()

    @settings(
        max_examples=400 if request.config.getoption("markexpr") == "full" else 10,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.lists(STEP, min_size=12, max_size=24))
    def stories(steps):
        quick = Book(open_billing, clock)
        counted = Counted(quick.billing)
        with only_portable():
            portable = Book(open_billing, clock)
        assert portable.billing._context.database._fast is None
        for step in [("give", "20", "goodwill", None), *steps]:
            if step[0] == "wait":
                clock.advance(minutes=step[1])
            else:
                assert quick.tell(step) == portable.tell(step), step
        assert everything(quick.billing) == everything(portable.billing)
        assert quick.billing.check().findings == ()
        did.update(asked=counted.asked, done=counted.done)
        for book in (quick, portable):
            book.billing.close()

    stories()

    assert did["done"] >= 10, did
    assert did["asked"] - did["done"] >= 10, did


# What it covers


def grants(billing):
    found = rows(billing, "SELECT kind, remaining, open FROM prepaid_grant WHERE book_id = :book ORDER BY id")
    return [tuple(row) for row in found]


def test_a_charge_that_uses_its_grant_up_closes_it(billing, counted):
    give(billing, "5", kind="goodwill")

    outcome = charge(billing, "4", key="a")
    assert (counted.done, outcome.balance_after) == (1, eur("1"))
    assert grants(billing) == [("goodwill", 1_000_000, 1)]

    give(billing, "3")
    charge(billing, "1", key="b")
    assert counted.done == 2
    assert grants(billing) == [("goodwill", 0, 0), ("promotional", 3_000_000, 1)]

    # Below one unit an event is due, which is not for the fast path.
    charge(billing, "3", key="c")
    assert counted.done == 2
    assert grants(billing) == [("goodwill", 0, 0), ("promotional", 0, 0)]
    assert billing.check().findings == ()


def due(billing, clock):
    operator(billing).customers.grant(
        ADA, eur("1"), kind="promotional", reason="soon gone", key="soon", expires_at=clock.now() + HOUR
    )
    clock.advance(minutes=61)
    return "3"


def below_a_level(billing, clock):
    operator(billing).settings.thresholds(Thresholds(low=eur("3")))
    charge(billing, "0.5")  # works out anew below what is told
    return "2"


def all_held(billing, clock):
    billing.usage.hold(ADA, eur("4"), key="hold", expires_in=HOUR)
    return "2"


def two_grants(billing, clock):
    give(billing, "1")
    return "5.5"


def billed_elsewhere(billing, clock):
    billing.meters.assign("vm-1", "another")
    return "1"


@pytest.mark.parametrize(
    ("prepare", "answer", "left"),
    [
        (due, "posted", "2"),
        (below_a_level, "posted", "2.5"),
        (all_held, "refused", "5"),
        (two_grants, "posted", "0.5"),
        (billed_elsewhere, "refused", "5"),
    ],
)
def test_what_it_does_not_cover_the_portable_path_does(billing, ada, clock, counted, prepare, answer, left):
    give(billing, "5", kind="goodwill")
    amount = prepare(billing, clock)
    done = counted.done

    try:
        status = charge(billing, amount, resource="vm-1").status
    except RequestRefused:
        status = "refused"

    assert (status, ada.balance().settled, counted.done) == (answer, eur(left), done)
    assert billing.check().findings == ()


def test_a_key_that_comes_again_is_answered_as_the_first_time(billing, counted, clock):
    give(billing, "5")
    hour = (clock.now() - HOUR, clock.now())
    first = charge(billing, "1", key="a", resource="vm-1", period=hour)

    again = charge(billing, "1", key="a", resource="vm-1", period=hour)

    assert counted.done == 1
    assert (again.status, again.transaction_id) == ("duplicate", first.transaction_id)
    assert again.balance_after == first.balance_after
    for other in ({"amount": "2", "key": "a"}, {"amount": "1", "key": "b"}):
        with pytest.raises(KeyConflict):
            charge(billing, resource="vm-1", period=hour, **other)
    assert value(billing, "SELECT count(*) FROM prepaid_transfer WHERE book_id = :book AND kind = 'charge'") == 1
    assert value(billing, "SELECT seq FROM prepaid_account WHERE book_id = :book AND owner = :owner", owner=ADA) == 2


def test_other_drivers_have_no_fast_path():
    assert fast.path_of(create_engine("sqlite+pysqlite:///x.db")) is not None
    unknown = create_engine("sqlite+pysqlite:///x.db")
    unknown.dialect.driver = "another"
    assert fast.path_of(unknown) is None


# Others at the same time


@pytest.fixture
def other_charges(billing):
    """Give a function that charges in a thread; ended at the end."""
    threads, answers = [], []

    def begin(amount):
        thread = threading.Thread(target=lambda: answers.append(charge(billing, amount)))
        thread.start()
        threads.append(thread)
        time.sleep(0.3)  # by now it waits for the lock
        return answers

    yield begin
    for thread in threads:
        thread.join(30)


@ON_SERVERS
def test_credit_that_is_given_while_a_charge_waits_burns_first(billing, counted, other_charges, monkeypatch):
    """The charge has seen the grants before the lock; it must burn what is first when it has the lock."""
    give(billing, "5", kind="goodwill")
    waiting = []
    tell = "prepaid.wallets.levels.after_credit"

    def charge_meanwhile(*_, **__):
        waiting.append(other_charges("1"))
        monkeypatch.undo()

    monkeypatch.setattr(tell, charge_meanwhile)
    operator(billing).customers.grant(ADA, eur("2"), kind="promotional", reason="a gift", key="now", priority=1)
    while not waiting[0]:
        time.sleep(0.01)

    assert waiting[0][0].balance_after == eur("6")
    assert grants(billing) == [("goodwill", 5_000_000, 1), ("promotional", 1_000_000, 1)]
    assert billing.check().findings == ()


@POSTGRESQL
def test_a_charge_whose_grant_was_taken_by_hand_is_not_half_posted(billing, ada, counted, other_charges, place):
    """Somebody changes a grant without its wallet: then the statement has lowered the wallet, and nothing else."""
    give(billing, "5")
    engine = create_engine(place.url, poolclass=NullPool)
    mine = {"book": billing._context.database.book_id}

    with engine.begin() as intruder:
        intruder.execute(text("UPDATE prepaid_grant SET remaining = 0, open = 0 WHERE book_id = :book"), mine)
        answers = other_charges("1")
        assert (counted.asked, answers) == (1, [])
    while not answers:
        time.sleep(0.01)

    assert counted.done == 0
    posted = rows(
        billing,
        "SELECT amount, grant_id, wallet_seq FROM prepaid_transfer WHERE book_id = :book AND kind = 'charge'",
    )
    assert [tuple(row) for row in posted] == [(1_000_000, None, 2)]
    assert ada.balance().settled == eur("4")


# The driver's connection


def test_a_connection_comes_back_as_it_was(billing, counted):
    give(billing, "5")
    charge(billing, "1", key="a")
    with pytest.raises(KeyConflict):
        charge(billing, "2", key="a")
    engine = billing._context.database.engine
    before = value(billing, "SELECT count(*) FROM prepaid_transfer WHERE book_id = :book")

    with engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("UPDATE prepaid_account SET replayed_at = 1"))
        transaction.rollback()

    assert value(billing, "SELECT count(*) FROM prepaid_account WHERE replayed_at = 1") == 0
    assert value(billing, "SELECT count(*) FROM prepaid_transfer WHERE book_id = :book") == before
    assert engine.pool.checkedout() == 0


def _end_sessions(place, engine):
    victims = create_engine(place.url, poolclass=NullPool)
    with victims.connect() as connection:
        if engine == "postgresql":
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        else:
            for row in connection.execute(text("SHOW PROCESSLIST")).all():
                if row[3] == connection.engine.url.database and row[4] == "Sleep":
                    connection.execute(text(f"KILL {row[0]}"))
    time.sleep(0.05)


@ON_SERVERS
def test_a_session_that_was_ended_in_the_pool_is_not_noticed_by_the_host(billing, counted, place):
    give(billing, "5")
    charge(billing, "1")
    _end_sessions(place, billing._context.database.engine.dialect.name)

    outcome = charge(billing, "1")

    assert (outcome.status, outcome.balance_after) == ("posted", eur("3"))
    assert (counted.asked, counted.done) == (3, 2)


@SQLITE
def test_an_interrupted_charge_leaves_no_transaction_behind(billing, counted, monkeypatch):
    give(billing, "5")
    execute = raw.execute

    def interrupted(cursor, statement, *parameters, **options):
        execute(cursor, statement, *parameters, **options)
        if "prepaid_account" in statement:
            raise KeyboardInterrupt

    monkeypatch.setattr(raw, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        charge(billing, "1", key="a")
    monkeypatch.setattr(raw, "execute", execute)

    assert charge(billing, "1", key="a").balance_after == eur("4")
    assert billing._context.database.engine.pool.checkedout() == 0


@POSTGRESQL
def test_a_pooler_that_keeps_no_statements_is_respected(open_billing, place):
    engine = create_engine(place.url, connect_args={"prepare_threshold": None})
    billing = open_billing(database=engine, book=f"pooled-{next(_books)}")
    counted = Counted(billing)
    billing.customers.register(ADA, currency="EUR")
    give(billing, "50")

    for _ in range(8):
        charge(billing, "1")

    assert counted.done == 8
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar() == 0
    engine.dispose()


# What it rests on


@POSTGRESQL
def test_without_the_look_at_the_version_the_wrong_grant_would_burn(billing, counted, other_charges, monkeypatch):
    """Proves that the race above is one, and that the condition is what wins it."""
    careless = fast_postgresql._DEBIT.replace("wallet.xmin = head.version", "TRUE")
    assert careless != fast_postgresql._DEBIT
    with monkeypatch.context() as patch:
        patch.setattr(fast_postgresql, "_DEBIT", careless)
        with pytest.raises(AssertionError):
            test_credit_that_is_given_while_a_charge_waits_burns_first(billing, counted, other_charges, monkeypatch)
