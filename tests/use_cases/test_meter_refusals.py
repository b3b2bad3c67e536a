"""Meters: what cannot be right is refused, and leaves nothing behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from prepaid import InvalidAmount, InvalidRequest, NotFound, Rate, RequestRefused, WrongState
from tests.use_cases.steps import RATE, SQLITE, counts, eur, run

# Refusals


@SQLITE
@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("resource", {"resource": ""}),
        ("resource", {"resource": "a" * 192}),
        ("resource", {"resource": " vm"}),
        ("resource", {"resource": "v\nm"}),
        ("resource", {"resource": None}),
        ("resource", {"resource": b"vm"}),
        ("rate", {"rate": None}),
        ("rate", {"rate": "0.01"}),
        ("rate", {"rate": eur("0.01")}),
        ("rate", {"rate": Decimal("0.01")}),
        ("currency", {"rate": Rate.hourly("0.01", "GBP")}),
        ("kind", {"kind": "k" * 121}),
        ("kind", {"kind": None}),
        ("project", {"project": "a\x00b"}),
        ("project", {"project": 5}),
        ("at", {"at": datetime(2026, 11, 23, 12)}),  # noqa: DTZ001 - naive on purpose
        ("at", {"at": "now"}),
        ("at", {"at": 0}),
    ],
)
def test_a_meter_that_cannot_be_right_is_refused(billing, field, wrong):
    before = counts(billing)

    with pytest.raises(RequestRefused) as refused:
        run(billing, **wrong)

    assert refused.value.field == field
    assert counts(billing) == before


@SQLITE
def test_a_meter_cannot_begin_or_end_in_the_future(billing, clock):
    later = clock.now() + timedelta(microseconds=1)
    with pytest.raises(InvalidRequest) as refused:
        run(billing, at=later)
    assert refused.value.field == "at"
    run(billing)
    with pytest.raises(InvalidRequest) as refused:
        billing.meters.stop("vm-1", at=later)
    assert refused.value.field == "at"
    with pytest.raises(InvalidRequest) as refused:
        billing.meters.stop("vm-1", at=clock.now() - timedelta(seconds=1))
    assert refused.value.field == "at"


@SQLITE
def test_what_happened_more_than_a_year_ago_is_not_told_any_more(billing, clock):
    """Every hour since would be charged; and far enough back there are no dates."""
    for at in (clock.now() - timedelta(days=366, microseconds=1), datetime(1, 1, 1, tzinfo=UTC)):
        with pytest.raises(InvalidRequest) as refused:
            run(billing, at=at)
        assert refused.value.field == "at"
    began = clock.now() - timedelta(days=366)
    assert run(billing, at=began).started_at == began
    with pytest.raises(InvalidRequest) as refused:
        billing.meters.stop("vm-1", at=began - timedelta(seconds=1))
    assert refused.value.field == "at"


@SQLITE
def test_a_stop_is_not_told_of_a_time_before_the_meter_stopped_and_ran_again(billing, clock):
    began = clock.now()
    run(billing)
    clock.set(began + timedelta(minutes=10))
    billing.meters.stop("vm-1")
    clock.set(began + timedelta(minutes=20))
    run(billing)
    clock.set(began + timedelta(minutes=30))

    with pytest.raises(InvalidRequest) as refused:
        billing.meters.stop("vm-1", at=began + timedelta(minutes=5))

    assert refused.value.field == "at"
    assert billing.meters.stop("vm-1", at=began + timedelta(minutes=25)).stopped_at == began + timedelta(minutes=25)


@SQLITE
def test_a_start_whose_answer_was_lost_does_not_revive_what_was_stopped_at_that_instant(billing, clock):
    began = clock.now()
    run(billing, at=began)
    billing.meters.stop("vm-1", at=began)

    with pytest.raises(WrongState) as refused:
        run(billing, at=began)

    assert refused.value.field == "at"


@SQLITE
def test_a_restart_by_the_second_is_not_told_of_time_that_was_counted_as_stopped(billing, clock):
    began, by_second = clock.now(), Rate.hourly("3.60", "EUR", increment="second")
    run(billing, rate=by_second)
    clock.set(began + timedelta(minutes=10))
    billing.meters.stop("vm-1")
    clock.set(began + timedelta(minutes=65))
    billing.meters.bill()

    with pytest.raises(WrongState) as refused:
        run(billing, rate=by_second, at=began + timedelta(minutes=50))

    assert refused.value.field == "at"
    run(billing, rate=by_second, at=began + timedelta(minutes=60))
    assert billing.check().ok


@SQLITE
def test_what_does_not_run_cannot_be_stopped(billing, clock):
    run(billing)
    billing.meters.stop("vm-1")
    clock.advance(seconds=1)
    for resource in ("vm-1", "vm-2"):
        with pytest.raises(NotFound) as refused:
            billing.meters.stop(resource)
        assert refused.value.field == "resource"
    for resource in ("", None, "v\nm"):
        with pytest.raises(InvalidRequest) as refused:
            billing.meters.stop(resource)
        assert refused.value.field == "resource"


@SQLITE
def test_an_unregistered_customer_runs_nothing(billing):
    with pytest.raises(NotFound) as refused:
        billing.meters.start("nobody", resource="vm-1", rate=RATE)
    assert refused.value.field == "customer"


@SQLITE
@pytest.mark.parametrize("until", [datetime(2026, 11, 23), "now", 5])  # noqa: DTZ001 - naive on purpose
def test_billing_until_something_that_is_no_instant_is_refused(billing, until):
    with pytest.raises(InvalidRequest) as refused:
        billing.meters.bill(until=until)
    assert refused.value.field == "until"


@pytest.mark.parametrize("amount", ["0", "-1", "1e5", "0.0000000000001", "1000000001", 0.1, 1, True, None, b"1", "NaN"])
def test_a_rate_that_is_no_exact_price_is_refused(amount):
    with pytest.raises(InvalidAmount) as refused:
        Rate.hourly(amount, "EUR")
    assert refused.value.field == "rate"
