"""Wiring: what cannot work is refused when a `Prepaid` is made, and two who do the same at once agree."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest

from prepaid import (
    Address,
    AmountOutOfRange,
    ConfigurationError,
    InvalidRequest,
    TaxProfile,
    Thresholds,
    TransactionAborted,
)
from prepaid.testing.clock import MovableClock
from tests.engines import SERVERS
from tests.use_cases.steps import ADA, SQLITE, at, counts, eur, operator, start

ON_SERVERS = pytest.mark.parametrize("place", SERVERS, indirect=True)


class Naive:
    def now(self):
        return datetime(2026, 11, 23)  # noqa: DTZ001 - naive on purpose


@SQLITE
@pytest.mark.parametrize(
    "changes",
    [
        {"seller": None},
        {"seller": "Nimbus GmbH"},
        {"mode": "production"},
        {"mode": None},
        {"currencies": ()},
        {"currencies": "EUR"},
        {"currencies": None},
        {"currencies": ("EUR", "EUR")},
        {"currencies": ("EUR", "euro")},
        {"gateways": None},
        {"gateways": "stripe"},
        {"plugins": None},
        {"clock": "noon"},
        {"database": None},
    ],
)
def test_a_set_up_that_cannot_work_is_refused_at_once(open_billing, changes):
    with pytest.raises(ConfigurationError):
        open_billing(**changes)


@SQLITE
@pytest.mark.parametrize("book", ["", None, 5, "a\nb", "b" * 192])
def test_a_book_has_a_name(open_billing, book):
    with pytest.raises(InvalidRequest) as refused:
        open_billing(book=book)
    assert refused.value.field == "book"


@SQLITE
def test_a_clock_that_gives_naive_instants_is_refused_at_first_use(open_billing):
    with pytest.raises(ConfigurationError, match="aware"):
        open_billing(clock=Naive()).customers.register(ADA)


@SQLITE
def test_a_clock_of_another_zone_tells_the_same_instants(open_billing, clock):
    class Tokyo:
        def now(self):
            return clock.now().astimezone(timezone(timedelta(hours=9)))

    billing = open_billing(clock=Tokyo())
    billing.customers.register(ADA)

    topup = start(billing)

    assert (topup.created_at, topup.created_at.tzinfo) == (at(2026, 11, 23, 12), UTC)


@SQLITE
def test_the_machines_own_clock_is_used_without_one(open_billing):
    billing = open_billing(clock=None)
    billing.customers.register(ADA)

    assert abs(start(billing).created_at - datetime.now(UTC)) < timedelta(minutes=1)


@SQLITE
def test_progress_is_told_to_a_function_only(billing):
    with pytest.raises(InvalidRequest) as refused:
        billing.check(on_progress="loud")
    assert refused.value.field == "on_progress"


@SQLITE
def test_an_overdraft_larger_than_any_balance_could_bear_is_refused(billing):
    with pytest.raises(AmountOutOfRange) as refused:
        operator(billing).customers.overdraft(ADA, eur("9000000000000"), reason="generous")
    assert refused.value.field == "amount"


# Two at once: the second finds what the first has just written, and goes on from there


class Meanwhile(MovableClock):
    """A clock that lets somebody else act, once, in the middle of what asks for the time."""

    def __init__(self):
        super().__init__()
        self.acts = []

    def now(self):
        if self.acts:
            countdown, act = self.acts[0]
            if countdown:
                self.acts[0] = (countdown - 1, act)
            else:
                self.acts.clear()
                act()
        return super().now()


@pytest.fixture
def at_every_moment(open_billing, place, monkeypatch):
    """Give a function that runs ``mine`` with ``theirs`` at its first look at the clock, then at its second, and so on.

    Where ``mine`` holds a lock by then, ``theirs`` would wait for it, and gives up instead.
    """

    def interfere(other, theirs):
        with monkeypatch.context() as impatient, suppress(TransactionAborted):
            impatient.setattr("prepaid.store.database.MAX_ATTEMPTS", 1)
            theirs(other)

    def open_impatient(book):
        if "postgresql" in place.url:
            return open_billing(database=f"{place.url}?options=-c%20lock_timeout%3D20", book=book)
        with monkeypatch.context() as patched:
            patched.setattr("prepaid.store.servers.LOCK_TIMEOUT_S", 0)  # MariaDB counts whole seconds; zero is at once
            return open_billing(book=book)

    def run_all(mine, theirs):
        for moment in range(6):
            clock, book = Meanwhile(), f"{place.book}-{moment}"
            billing = open_billing(clock=clock, book=book)
            other = open_impatient(book)
            for opened in (billing, other):
                opened.customers.register(ADA, currency="EUR")
            clock.acts.append((moment, partial(interfere, other, theirs)))
            mine(billing)
            clock.acts.clear()
            yield billing

    return run_all


@ON_SERVERS
def test_a_level_set_for_the_first_time_by_two_is_the_last_ones(at_every_moment):
    def set_to(amount):
        return lambda billing: operator(billing).settings.thresholds(Thresholds(low=eur(amount)))

    for billing in at_every_moment(set_to("5"), set_to("6")):
        assert counts(billing)["setting"] == 1


@ON_SERVERS
def test_a_customer_registered_by_two_is_registered_once(at_every_moment):
    def register(name):
        return lambda billing: billing.customers.register("new", name=name)

    for billing in at_every_moment(register("mine"), register("theirs")):
        assert counts(billing)["customer"] == 2
        assert billing.customers.get("new").name in ("mine", "theirs")


@ON_SERVERS
def test_a_profile_kept_by_two_has_two_versions(at_every_moment):
    def live_in(country):
        return lambda billing: billing.customer(ADA).tax_profile.set(TaxProfile(address=Address(country=country)))

    for billing in at_every_moment(live_in("FR"), live_in("IT")):
        assert counts(billing)["tax_profile"] in (1, 2)
        assert billing.customer(ADA).tax_profile.get().address.country in ("FR", "IT")


@ON_SERVERS
def test_a_job_run_for_the_first_time_by_two_is_done_by_one(at_every_moment):
    for billing in at_every_moment(
        lambda billing: billing.run_due(only="outbox"), lambda other: other.run_due(only="outbox")
    ):
        assert counts(billing)["job_lease"] == 1
        assert billing.run_due(only="outbox")[0].status == "done"
