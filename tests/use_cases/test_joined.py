"""Charges in a host's own transaction: kept with the host's rows, or gone with them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from prepaid import (
    ConfigurationError,
    InsufficientCredit,
    InvalidAmount,
    InvalidRequest,
    KeyConflict,
    Money,
    NotFound,
    Thresholds,
    TransactionAborted,
)
from prepaid.store import joined_database
from tests.use_cases.panel import HOSTS, SQLITE, given, of
from tests.use_cases.steps import (
    ADA,
    EVE,
    at,
    charge,
    counts,
    database,
    eur,
    give,
    hold,
    operator,
    reverse,
    rows,
    told,
    value,
)


@pytest.fixture
def billing(billing):
    give(billing, "10")
    give(billing, "10", customer=EVE)
    return billing


# Both or neither


@HOSTS
def test_what_the_host_commits_is_kept_with_the_charge(billing, panel, kind):
    with panel.opened(kind) as host:
        panel.rent(host, "vm-1")
        with billing.joined(host) as joined:
            outcome = charge(joined, "1.50", key="vm-1")
            assert (outcome.status, outcome.balance_after, outcome.key) == ("posted", eur("8.50"), "vm-1")
            panel.rent(host, "vm-2")
            assert joined.balance(ADA).settled == eur("8.50")
        panel.rent(host, "vm-3")
        assert (of(billing), panel_sees(panel)) == ("10.00", [])
        host.commit()

    assert (of(billing), panel.servers()) == ("8.50", ["vm-1", "vm-2", "vm-3"])
    assert billing.customer(ADA).transactions().items[0].id == outcome.transaction_id
    assert billing.check().ok


def panel_sees(panel):
    """Give what is committed, without waiting for a writer."""
    with panel.engine.connect().execution_options(prepaid_read=True) as connection:
        return connection.execute(text(f"SELECT name FROM {panel.table.name}")).scalars().all()


@HOSTS
def test_what_the_host_rolls_back_was_never_charged(billing, panel, kind):
    before = counts(billing)
    with panel.opened(kind) as host:
        panel.rent(host, "vm-1")
        with billing.joined(host) as joined:
            charge(joined, "1.50", key="vm-1")
            charge(joined, "1", key="new-wallet", customer=ADA, allow_negative=True)
        host.rollback()

    assert (of(billing), panel.servers(), counts(billing)) == ("10.00", [], before)
    assert charge(billing, "1.50", key="vm-1").status == "posted"
    assert billing.check().ok


def test_the_hosts_with_statement_commits_at_its_end_and_rolls_back_at_an_error(billing, panel):
    with panel.engine.begin() as connection, billing.joined(connection) as joined:
        panel.rent(connection, "vm-1")
        charge(joined, "1", key="vm-1")
    with suppress(RuntimeError), Session(panel.engine) as session, session.begin(), billing.joined(session) as joined:
        panel.rent(session, "vm-2")
        charge(joined, "1", key="vm-2")
        raise RuntimeError

    assert (of(billing), panel.servers()) == ("9.00", ["vm-1"])


def test_the_end_of_the_block_neither_commits_nor_rolls_back(billing, panel):
    with panel.opened("connection") as host:
        with billing.joined(host) as joined:
            charge(joined, "1", key="a")
        with suppress(RuntimeError), billing.joined(host) as joined:
            charge(joined, "1", key="b")
            raise RuntimeError
        assert (host.in_transaction(), of(billing)) == (True, "10.00")
        host.commit()

    assert of(billing) == "8.00"


def test_an_event_waits_in_the_outbox_for_the_hosts_commit(billing, panel):
    operator(billing).settings.thresholds(Thresholds(low=eur("5")))
    heard = []
    billing.on("credit-low", heard.append)
    for end in ("rollback", "commit"):
        with panel.opened("connection") as host:
            with billing.joined(host) as joined:
                charge(joined, "6", key="k")
            getattr(host, end)()
        billing.run_due()
        assert len(told(billing, "credit-low")) == len(heard) == (end == "commit")


def test_the_librarys_own_engine_may_be_the_hosts(open_billing, panel):
    billing = given(open_billing(database=panel.engine))
    for kind in ("connection", "session"):
        with panel.opened(kind) as host, billing.joined(host) as joined:
            panel.rent(host, kind)
            charge(joined, "1", key=kind)
            host.commit()

    assert (of(billing), panel.servers()) == ("8.00", ["connection", "session"])


@HOSTS
def test_blocks_may_lie_in_each_other_and_follow_each_other(billing, panel, kind):
    with panel.opened(kind) as host:
        with billing.joined(host) as outer:
            charge(outer, "1", key="a")
            with billing.joined(host) as inner:
                assert inner.balance(ADA).settled == eur("9")
                charge(inner, "1", key="b")
            with pytest.raises(ConfigurationError, match="has ended"):
                charge(inner, "1", key="c")
            assert charge(outer, "1", key="b").status == "duplicate"
        with billing.joined(host) as next_one:
            charge(next_one, "1", key="c")
        host.commit()

    assert of(billing) == "7.00"
    assert billing.check().ok


@HOSTS
def test_a_savepoint_of_the_hosts_own_takes_its_charges_back(billing, panel, kind):
    with panel.opened(kind) as host:
        with billing.joined(host) as joined:
            for name in ("a", "b", "c"):
                savepoint = host.begin_nested()
                panel.rent(host, name)
                # The first opens the account of revenue, which is gone with the savepoint.
                charge(joined, "1", key=name)
                savepoint.commit() if name == "b" else savepoint.rollback()
        host.commit()

    assert (of(billing), panel.servers()) == ("9.00", ["b"])
    assert billing.check().ok


def test_two_books_may_be_charged_in_one_transaction(billing, open_billing, panel, place):
    other = open_billing(book=f"{place.book}-2")
    other.customers.register(ADA)
    give(other, "5")

    with panel.engine.begin() as connection, billing.joined(connection) as one, other.joined(connection) as two:
        charge(one, "1", key="k")
        charge(two, "1", key="k")

    assert (of(billing), of(other)) == ("9.00", "4.00")
    assert billing.check().ok
    assert other.check().ok


# Refusals leave the host's transaction usable


@HOSTS
def test_credit_that_does_not_cover_it_leaves_the_hosts_rows(billing, panel, kind):
    with panel.opened(kind) as host:
        panel.rent(host, "before")
        with billing.joined(host) as joined:
            charge(joined, "4", key="a")
            with pytest.raises(InsufficientCredit) as refused:
                charge(joined, "6.01", key="b")
            assert refused.value.available == eur("6")
            panel.rent(host, "after")
            charge(joined, "6", key="c")
        host.commit()

    assert (of(billing), panel.servers()) == ("0.00", ["after", "before"])
    assert billing.check().ok


@HOSTS
def test_a_key_gives_its_first_answer_wherever_it_was_charged_first(billing, panel, kind):
    first = charge(billing, "1", key="before")
    with panel.opened(kind) as host:
        panel.rent(host, "vm-1")
        with billing.joined(host) as joined:
            inside = charge(joined, "1", key="inside")
            for answer in (first, inside):
                again = charge(joined, "1", key=answer.key)
                assert (again.status, again.transaction_id) == ("duplicate", answer.transaction_id)
                assert again.balance_after == answer.balance_after
        host.commit()

    assert charge(billing, "1", key="inside").status == "duplicate"
    assert (of(billing), panel.servers()) == ("8.00", ["vm-1"])
    assert billing.check().ok


def test_a_key_that_emptied_the_wallet_gives_its_first_answer(billing, panel):
    first = charge(billing, "10", key="all")
    with panel.opened("connection") as host, billing.joined(host) as joined:
        again = charge(joined, "10", key="all")
        host.commit()

    assert (again.status, again.transaction_id) == ("duplicate", first.transaction_id)


def test_a_replay_is_made_durable_by_the_hosts_commit(billing, panel):
    charge(billing, "1", key="k")
    asked = "SELECT count(*) FROM prepaid_account WHERE book_id = :book AND replayed_at IS NOT NULL"
    with panel.opened("connection") as host, billing.joined(host) as joined:
        charge(joined, "1", key="k")
        assert value(billing, asked) == 0
        host.commit()

    assert value(billing, asked) == 1


@HOSTS
def test_other_content_under_a_key_is_a_conflict(billing, panel, kind):
    period = (at(2026, 11, 23, 5), at(2026, 11, 23, 6))
    charge(billing, "1", key="k")
    charge(billing, "1", key="hour", resource="vm-1", period=period)
    with panel.opened(kind) as host:
        panel.rent(host, "vm-1")
        with billing.joined(host) as joined:
            with pytest.raises(KeyConflict):
                charge(joined, "2", key="k")
            with pytest.raises(KeyConflict, match="period"):
                charge(joined, "1", key="other", resource="vm-1", period=period)
            charge(joined, "1", key="l")
        host.commit()

    assert (of(billing), panel.servers()) == ("7.00", ["vm-1"])
    assert billing.check().ok


@HOSTS
def test_what_is_no_charge_at_all_is_refused_before_anything_is_sent(billing, panel, kind):
    with panel.opened(kind) as host:
        panel.rent(host, "vm-1")
        with billing.joined(host) as joined:
            with pytest.raises(NotFound):
                charge(joined, "1", customer="nobody")
            with pytest.raises(NotFound):
                charge(joined, "1", customer="nobody", allow_negative=True)
            with pytest.raises(InvalidRequest):
                joined.usage.charge(ADA, eur("1"), key="")
            with pytest.raises(InvalidAmount):
                charge(joined, "0")
            with pytest.raises(InvalidRequest):
                joined.balance(ADA, "GBP")
            with pytest.raises(NotFound):
                joined.balance("nobody")
        host.commit()

    assert (of(billing), panel.servers()) == ("10.00", ["vm-1"])


def test_usage_that_happened_is_posted_to_a_wallet_opened_in_the_hosts_transaction(billing, panel):
    for end in ("rollback", "commit"):
        with panel.opened("connection") as host, billing.joined(host) as joined:
            outcome = joined.usage.charge(ADA, Money.of("3", "USD"), key="k", allow_negative=True)
            assert outcome.balance_after == Money.of("-3", "USD")
            assert joined.balance(ADA, "USD").settled == Money.of("-3", "USD")
            getattr(host, end)()
        assert len(billing.customer(ADA).wallets()) == (2 if end == "commit" else 1)

    assert billing.check().ok


def test_accounts_opened_in_a_transaction_that_is_rolled_back_are_not_remembered(billing, panel):
    known = dict(database(billing).account_ids)
    with panel.opened("connection") as host:
        with billing.joined(host) as joined:
            charge(joined, "1", key="a")
        host.rollback()
    assert database(billing).account_ids == known

    # On SQLite the number of the account is free again, and becomes that of a wallet.
    billing.customers.register("zoe", currency="EUR")
    assert charge(billing, "1", key="a").status == "posted"
    with panel.engine.begin() as connection, billing.joined(connection) as joined:
        assert charge(joined, "1", key="b").status == "posted"

    kinds = "SELECT DISTINCT kind FROM prepaid_account WHERE id IN (SELECT credit_id FROM prepaid_transfer t "
    kinds += "WHERE t.book_id = :book AND t.kind = 'charge')"
    assert rows(billing, kinds) == [("revenue",)]
    assert billing.check().ok


# The door


def acts(door, first, holds):
    """Do each act of the door once; gives what the customer was left with."""
    charged, (kept, freed) = charge(door, "1", key="new"), holds
    door.usage.adjust(ADA, eur("0.50"), key="late", period=(at(2026, 11, 23, 5), at(2026, 11, 23, 6)))
    reverse(door, first, "0.25", key="back")
    reverse(door, charged, key="all-back")
    made = hold(door, "2", key="inside")
    assert hold(door, "2", key="inside").id == made.id
    door.usage.capture(made.id, eur("1"))
    door.usage.capture(kept.id, eur("2"))
    assert door.usage.capture(kept.id, eur("2")).status == "duplicate"
    assert door.usage.release(freed.id).state == "released"
    return door.balance(ADA)


def test_what_else_the_door_does_is_kept_or_gone_with_the_host_as_well(billing, panel):
    first, holds = charge(billing, "1", key="first"), [hold(billing, "3", key=name) for name in ("a", "b")]
    before, untouched = counts(billing), billing.customer(ADA).balance()
    for end in ("rollback", "commit"):
        with panel.opened("session") as host:
            panel.rent(host, "vm-1")
            with billing.joined(host) as joined:
                seen = acts(joined, first, holds)
                with pytest.raises(InsufficientCredit):
                    hold(joined, "100", key="too-much")
                with pytest.raises(KeyConflict):
                    hold(joined, "1", key="inside")
                with pytest.raises(NotFound):
                    joined.usage.release("hld_none")
            getattr(host, end)()
        if end == "rollback":
            assert (counts(billing), billing.customer(ADA).balance(), panel.servers()) == (before, untouched, [])

    assert seen == billing.customer(ADA).balance()
    assert (of(billing), seen.held, panel.servers()) == ("5.75", eur("0"), ["vm-1"])
    assert billing.check().ok


def test_a_key_of_four_threads_is_charged_once_with_the_rows_of_one(billing, panel):
    """Each rents a server of its own and asks for the same key; who was no first takes its row back."""
    gate = threading.Barrier(4, timeout=30)

    def rent(number):
        gate.wait()
        while True:
            try:
                with panel.opened("connection") as host, billing.joined(host) as joined:
                    panel.rent(host, f"vm-{number}")
                    status = charge(joined, "1", key="vm").status
                    host.commit() if status == "posted" else host.rollback()
                    return status
            except (TransactionAborted, OperationalError):
                continue  # run again, as it says

    with ThreadPoolExecutor(4) as pool:
        found = sorted(pool.map(rent, range(4)))

    assert found == ["duplicate"] * 3 + ["posted"]
    assert (of(billing), len(panel.servers())) == ("9.00", 1)
    assert billing.check().ok


@SQLITE
def test_it_shows_nothing_that_is_nobodys_business(billing, panel):
    with panel.opened("connection") as host, joined_database(database(billing), host) as joined:
        assert repr(joined) == f"<JoinedDatabase of {database(billing)!r}>"
