"""Books of random lives raise no alarm, and no random change of one row of them goes unseen."""

from __future__ import annotations

import random
from contextlib import closing, suppress

import pytest
from sqlalchemy import make_url

from prepaid.store import upgrade_schema
from tests.conftest import server_of
from tests.engines import SERVERS
from tests.faults.world import open_quickly
from tests.store.intruders import INTRUDERS, unlock
from tests.store.lives import live
from tests.store.shops import shop_in
from tests.store.tampers import KINDS, ON_SQLITE, Refused, Tables, any_tamper

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
ON_SERVERS = pytest.mark.parametrize("engine", SERVERS, indirect=True)

STEPS = 120


@pytest.fixture(scope="module")
def engine(request, tmp_path_factory):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('lives') / 'billing.db'}"
    else:
        url = server_of(request, request.param).new_database()
    upgrade_schema(url)
    engine = open_quickly(url)
    yield engine
    engine.dispose()


def live_cleanly(engine, folder, seed, steps):
    """Live a life, and prove it in full and, from its middle on, as what is new."""
    chance = random.Random(seed)
    shop = shop_in(engine, folder, f"life-{seed}")
    live(shop, chance, steps=steps // 2)
    middle = shop.billing.check()
    assert middle.findings == ()
    shop.clock.advance(hours=chance.choice((0, 5)))
    live(shop, chance, steps=steps // 2)
    assert shop.billing.check(since=middle.place).findings == ()
    report = shop.billing.check()
    assert report.findings == ()
    assert report.is_complete
    assert report.counted["transfer"] > steps // 4


@SQLITE
@pytest.mark.parametrize("seed", range(5))
def test_a_random_life_raises_no_alarm(engine, tmp_path, seed):
    live_cleanly(engine, tmp_path, seed, STEPS)


@pytest.mark.full
@SQLITE
@pytest.mark.parametrize("seed", range(5, 20))
def test_a_random_life_raises_no_alarm_in_full(engine, tmp_path, seed):
    live_cleanly(engine, tmp_path, seed, STEPS * 3)


@ON_SERVERS
def test_a_random_life_raises_no_alarm_on_a_server(engine, tmp_path):
    live_cleanly(engine, tmp_path, 20, STEPS // 2)


@pytest.mark.full
@ON_SERVERS
@pytest.mark.parametrize("seed", range(21, 40))
def test_a_random_life_raises_no_alarm_on_a_server_in_full(engine, tmp_path, seed):
    live_cleanly(engine, tmp_path, seed, STEPS)


# One row changed


@pytest.fixture(scope="module")
def book(request, engine, tmp_path_factory):
    """Give a clean book with a long life behind it, and its tables to somebody whom nothing holds back."""
    shop = shop_in(engine, tmp_path_factory.mktemp("tampered"), "tampered")
    live(shop, random.Random(4711), steps=STEPS)
    assert shop.billing.check().findings == ()
    dialect = engine.dialect.name
    with closing(INTRUDERS[dialect](make_url(engine.url))) as intruder:
        unlock(intruder, dialect)
        yield shop.billing, Tables(intruder, shop.billing._context.database.book_id, dialect)


def assert_every_tamper_is_found(book, seed, count, kinds):
    """Tamper so many times; what the database itself refuses, by a unique key or a range, does not count."""
    billing, tables = book
    chance, done, unseen = random.Random(seed), 0, []
    while done < count:
        tamper = any_tamper(tables, chance, kinds)
        with suppress(Refused), tables.tampered(tamper):
            done += 1
            if billing.check().ok:
                unseen.append(str(tamper))
    assert unseen == []
    assert billing.check().findings == ()


@SQLITE
def test_random_tampers_are_found(book):
    assert_every_tamper_is_found(book, 0, 60, ON_SQLITE)


@pytest.mark.full
@SQLITE
def test_random_tampers_are_found_in_full(book):
    assert_every_tamper_is_found(book, 1, 300, ON_SQLITE)


@ON_SERVERS
def test_random_tampers_are_found_on_a_server(book):
    assert_every_tamper_is_found(book, 2, 10, KINDS)


@pytest.mark.full
@ON_SERVERS
def test_random_tampers_are_found_on_a_server_in_full(book):
    assert_every_tamper_is_found(book, 3, 300, KINDS)
