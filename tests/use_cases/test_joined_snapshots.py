"""A host's snapshot that is older than what is charged: the right grants are burned, or it is told to begin again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import PendingRollbackError

from prepaid import (
    Charge,
    CustomerFrozen,
    InsufficientCredit,
    KeyConflict,
    Money,
    NotFound,
    TransactionAborted,
    WrongState,
)
from prepaid.store import bulk
from prepaid.testing.clock import START
from tests.use_cases.panel import MARIADB, POSTGRESQL, given, of, old_snapshot
from tests.use_cases.steps import (
    ADA,
    EVE,
    charge,
    eur,
    give,
    hold,
    operator,
    rows,
)


@pytest.fixture
def billing(billing):
    give(billing, "10")
    give(billing, "10", customer=EVE)
    return billing


# Snapshots that are older than what is charged


def grants(billing):
    found = rows(billing, "SELECT kind, remaining FROM prepaid_grant WHERE book_id = :book ORDER BY id")
    return [(kind, int(left) // 1_000_000) for kind, left in found]


@MARIADB
def test_grants_are_burned_as_they_are_and_not_as_an_old_snapshot_shows_them(billing, panel):
    give(billing, "10", kind="goodwill")
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        charge(billing, "8", key="elsewhere")
        with billing.joined(host) as joined:
            outcome = charge(joined, "5", key="here")
        host.commit()

    assert outcome.balance_after == eur("7")
    assert (of(billing), sum(left for _, left in grants(billing))) == ("7.00", 7 + 10)
    assert billing.check().ok


@MARIADB
def test_a_key_posted_after_the_snapshot_is_no_lack_of_credit(billing, panel):
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        first = charge(billing, "10", key="all")
        with billing.joined(host) as joined:
            again = charge(joined, "10", key="all")
            assert (again.status, again.transaction_id) == ("duplicate", first.transaction_id)
            with pytest.raises(KeyConflict):
                charge(joined, "9", key="all")
            with pytest.raises(InsufficientCredit) as refused:
                charge(joined, "1", key="more")
            assert refused.value.available == eur("0")
        host.commit()

    assert of(billing) == "0.00"


@MARIADB
@pytest.mark.parametrize("elsewhere", ["10", "4"], ids=["emptied", "left"])
def test_a_key_that_was_posted_after_the_snapshot_is_a_duplicate_in_a_batch_too(billing, panel, elsewhere):
    wanted = [Charge(ADA, eur(elsewhere), "all"), Charge(ADA, eur("9"), "all"), Charge(ADA, eur("1"), "more")]
    period = {"resource": "vm-1", "period": (START, START + timedelta(hours=1))}
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        first = charge(billing, elsewhere, key="all")
        charge(billing, "1", key="hour", customer=EVE, **period)
        with billing.joined(host) as joined:
            outcomes = joined.usage.charge_many([*wanted, Charge(EVE, eur("1"), "again", **period)])
        host.commit()

    last = "insufficient" if elsewhere == "10" else "posted"
    assert [outcome.status for outcome in outcomes] == ["duplicate", "conflict", last, "conflict"]
    assert outcomes[0].transaction_id == first.transaction_id
    assert billing.check().ok


@MARIADB
@pytest.mark.parametrize("driver", ["its own way", "by rows"])
def test_a_wallet_that_was_opened_after_the_snapshot_is_charged_in_a_batch_too(billing, panel, monkeypatch, driver):
    if driver == "by rows":
        monkeypatch.setattr(bulk, "MODULES", {})
    yen = Money.of("500", "JPY")
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        operator(billing).customers.grant(ADA, yen, kind="goodwill", reason="hello", key="yen")
        with billing.joined(host) as joined:
            outcomes = joined.usage.charge_many(
                [
                    Charge(ADA, Money.of("200", "JPY"), "a"),
                    Charge(ADA, Money.of("400", "JPY"), "b", allow_negative=True),
                ]
            )
        host.commit()

    assert [str(outcome.balance_after.amount) for outcome in outcomes] == ["300", "-100"]
    assert billing.check().ok


@MARIADB
def test_credit_given_after_the_snapshot_can_be_charged(billing, panel):
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        give(billing, "10")
        with billing.joined(host) as joined:
            with pytest.raises(InsufficientCredit) as refused:
                charge(joined, "21", key="too-much")
            assert refused.value.available == eur("20")
            assert charge(joined, "15", key="k").balance_after == eur("5")
        host.commit()

    assert billing.check().ok


@MARIADB
def test_a_hold_made_after_the_snapshot_is_the_keys_answer(billing, panel):
    """Also if it took all the credit, so that the key looks like one that is refused."""
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        made = hold(billing, "10", key="all")
        with billing.joined(host) as joined:
            assert hold(joined, "10", key="all") == made
            with pytest.raises(KeyConflict):
                hold(joined, "9", key="all")
            with pytest.raises(InsufficientCredit):
                hold(joined, "1", key="more")
        host.commit()

    assert billing.customer(ADA).balance().held == eur("10")
    assert billing.check().ok


@MARIADB
def test_a_hold_made_after_the_snapshot_is_not_made_twice(billing, panel):
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        made = hold(billing, "4", key="some")
        with billing.joined(host) as joined:
            assert hold(joined, "4", key="some") == made
        host.commit()

    assert billing.customer(ADA).balance().held == eur("4")


@MARIADB
def test_what_was_forbidden_after_the_snapshot_is_refused(billing, panel):
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        billing.meters.assign("vm-1", "elsewhere")
        operator(billing).customers.freeze(EVE, reason="a dispute")
        with billing.joined(host) as joined:
            with pytest.raises(WrongState):
                charge(joined, "1", resource="vm-1")
            with pytest.raises(CustomerFrozen):
                hold(joined, "1", customer=EVE)
        host.commit()

    assert (of(billing), of(billing, EVE)) == ("10.00", "10.00")


@MARIADB
def test_credit_that_expires_soon_and_came_after_the_snapshot_is_not_forgotten(billing, panel, clock):
    """What was due at the charge is dealt with by what is there now: it finds when the next is due."""
    give(billing, "1", expires_at=clock.now() + timedelta(hours=1))
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        give(billing, "3", expires_at=clock.now() + timedelta(hours=2))
        clock.advance(minutes=90)
        with billing.joined(host) as joined:
            charge(joined, "1", key="k")
        host.commit()
    clock.advance(hours=1)

    assert charge(billing, "1", key="after").balance_after == billing.customer(ADA).balance().settled
    assert billing.check().ok
    expired = [str(line.amount) for line in billing.customer(ADA).transactions(kind="expiry").items]
    assert expired == ["-2.00 EUR", "-1.00 EUR"]


@MARIADB
def test_accounts_opened_after_the_snapshot_are_found(billing, panel, open_billing, place):
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        charge(billing, "1", key="opens-revenue")
        billing.usage.charge(ADA, Money.of("1", "USD"), key="opens-a-wallet", allow_negative=True)
        fresh = open_billing()  # knows no account yet
        with fresh.joined(host) as joined:
            charge(joined, "1", key="k")
            outcome = joined.usage.charge(ADA, Money.of("1", "USD"), key="usd", allow_negative=True)
        host.commit()

    assert outcome.balance_after == Money.of("-2", "USD")
    assert of(billing) == "8.00"
    assert billing.check().ok


@POSTGRESQL
def test_postgresql_says_that_a_snapshot_is_too_old_to_refuse_from(billing, panel):
    """Credit came and a key was charged after the snapshot: neither refusal nor answer may rest on it."""
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        give(billing, "10")
        charge(billing, "15", key="k")
        with billing.joined(host) as joined, pytest.raises(TransactionAborted):
            charge(joined, "15", key="k")
        host.rollback()
        with billing.joined(host) as joined:
            assert charge(joined, "15", key="k").status == "duplicate"
        host.commit()


@POSTGRESQL
def test_postgresql_says_that_a_snapshot_is_too_old_to_see_an_account(billing, panel):
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        billing.usage.charge(ADA, Money.of("1", "USD"), key="opens-a-wallet", allow_negative=True)
        with billing.joined(host) as joined, pytest.raises(TransactionAborted):
            joined.usage.charge(ADA, Money.of("1", "USD"), key="usd", allow_negative=True)


# Books that are opened in the host's transaction


def test_a_new_book_is_opened_in_the_hosts_transaction(open_billing, panel, place):
    name = f"{place.book}-new"
    for end, books in (("rollback", 0), ("commit", 1)):
        billing = open_billing(book=name)
        with panel.opened("connection") as host:
            with billing.joined(host) as joined, pytest.raises(NotFound):
                charge(joined, "1")
            getattr(host, end)()
        with panel.engine.connect().execution_options(prepaid_read=True) as connection:
            found = connection.execute(text("SELECT count(*) FROM prepaid_book WHERE name = :name"), {"name": name})
            assert found.scalar() == books

    billing.customers.register(ADA)
    give(billing, "10")
    with panel.engine.begin() as connection, billing.joined(connection) as joined:
        charge(joined, "1")
    assert of(billing) == "9.00"


@MARIADB
def test_a_book_opened_after_the_snapshot_is_found(open_billing, panel, place):
    name = f"{place.book}-later"
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        given(open_billing(book=name))
        with open_billing(book=name).joined(host) as joined:
            assert charge(joined, "1").balance_after == eur("9")
        host.commit()


@POSTGRESQL
def test_a_book_opened_after_the_snapshot_asks_postgresqls_host_to_begin_again(open_billing, panel, place):
    name = f"{place.book}-later"
    with panel.opened("connection") as host:
        old_snapshot(panel, host)
        given(open_billing(book=name))
        with pytest.raises(TransactionAborted), open_billing(book=name).joined(host):
            pytest.fail("the book cannot be seen")
        with pytest.raises(PendingRollbackError):
            host.commit()
