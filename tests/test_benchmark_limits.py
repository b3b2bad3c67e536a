"""The limits that the library is measured against do the work that they claim: every way of every engine."""

from __future__ import annotations

from contextlib import closing
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from benchmarks.engines import LIMITS
from benchmarks.limits import START, Refused, other_ways

WALLETS = 3
PRICE = 7440
BALANCES = "SELECT balance FROM account ORDER BY id"
COUNT = "SELECT count(*) FROM transfer"
TRANSFERS = "SELECT wallet_id, debit_id, credit_id, amount, wallet_after, kind FROM transfer ORDER BY id"

_NAMES = {"postgresql": "pg", "mysql": "mariadb", "mariadb": "mariadb", "sqlite": "sqlite"}


@pytest.fixture
def limit(database_url):
    name = _NAMES[make_url(database_url).get_backend_name()]
    with closing(LIMITS[name](database_url)) as limit:
        limit.prepare(WALLETS)
        yield limit


@pytest.fixture
def read(database_url, limit):
    """Read by another connection, which sees only what was committed."""
    engine = create_engine(database_url)

    def rows(statement):
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    yield rows
    engine.dispose()


def ways(limit, act):
    return [getattr(limit, act), *other_ways(limit, act).values()]


def items(*wallets, amount=PRICE):
    return [(wallet, amount, uuid4()) for wallet in wallets]


def test_every_charge_lowers_a_balance_and_leaves_a_row(limit, read):
    charges = ways(limit, "charge")
    for charge in charges:
        charge(2, PRICE, uuid4())

    left = [START - PRICE * number for number in range(1, len(charges) + 1)]
    assert read(TRANSFERS) == [(2, 2, 0, PRICE, after, 1) for after in left]
    assert read(BALANCES) == [(START,), (left[-1],), (START,)]


def test_every_batch_carries_balances_from_item_to_item(limit, read):
    charges = ways(limit, "charge_many")
    for charge_many in charges:
        charge_many(items(1, 2, 1, 1))

    found, of_first = read(TRANSFERS), 3 * len(charges)
    assert len(found) == 4 * len(charges)
    assert [row[4] for row in found if row[0] == 1] == [START - PRICE * number for number in range(1, of_first + 1)]
    assert {row[1:4] + row[5:] for row in found if row[0] == 2} == {(2, 0, PRICE, 1)}
    assert read(BALANCES) == [(START - PRICE * of_first,), (START - PRICE * len(charges),), (START,)]


@pytest.mark.parametrize("act", ["charge", "charge_many"])
def test_a_key_counts_once(limit, read, act):
    for way in ways(limit, act):
        key, before = uuid4(), read(BALANCES)
        given = (1, PRICE, key) if act == "charge" else ([(1, PRICE, key)],)
        way(*given)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            way(*given)
        assert read(BALANCES) == [(before[0][0] - PRICE,), *before[1:]]

    assert read(COUNT) == [(len(ways(limit, act)),)]


@pytest.mark.parametrize("act", ["charge", "charge_many"])
def test_nothing_falls_below_its_floor(limit, read, act):
    for way in ways(limit, act):
        # The second item of wallet 1 is one too many, and takes its neighbours with it.
        many = items(2, 1, amount=START // 2 + 1) + items(1, amount=START // 2)
        given = (1, START + 1, uuid4()) if act == "charge" else (many,)
        with pytest.raises(Refused):
            way(*given)

    assert read(COUNT) == [(0,)]
    assert read(BALANCES) == [(START,)] * WALLETS
