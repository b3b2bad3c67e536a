"""Terms of meters through the whole library: increments, changes of rate, caps, and what they add up to exactly."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from prepaid import InvalidRequest, KeyConflict, Money, NotFound, Rate, RequestRefused, Thresholds, WrongState
from prepaid.core.money import scale_of
from tests.use_cases.steps import ADA, EVE, RATE, SQLITE, counts, eur, give, operator, rows, run, told, value

HOUR = timedelta(hours=1)
BY_SECOND = Rate.hourly("0.36", "EUR", increment="second")


def amounts(billing, resource="vm-1"):
    """Give what was charged for a resource, hour by hour, in ledger units."""
    found = rows(
        billing,
        "SELECT period_start, sum(amount) FROM prepaid_transfer"
        " WHERE book_id = :book AND resource = :resource GROUP BY period_start ORDER BY period_start",
        resource=resource,
    )
    return [int(amount) for _, amount in found]


def charged(billing, resource="vm-1"):
    return sum(amounts(billing, resource))


# Changes of rate


def test_the_hour_in_which_a_rate_changes_costs_the_higher_one(billing, ada, clock):
    run(billing)
    changed = billing.meters.change("vm-1", rate=Rate.hourly("0.04", "EUR"), at=clock.advance(minutes=90))
    assert ada.meters() == (changed,)
    assert changed.rate == Rate.hourly("0.04", "EUR")
    billing.meters.change("vm-1", rate=Rate.hourly("0.02", "EUR"), at=clock.advance(minutes=60))
    clock.advance(hours=2)
    billing.meters.bill()

    assert amounts(billing) == [10_000, 40_000, 40_000, 20_000]
    assert billing.check().ok


def test_by_the_second_a_change_splits_its_hour_exactly(billing, clock):
    run(billing, rate=BY_SECOND)
    dearer = Rate.hourly("0.72", "EUR", increment="second")
    billing.meters.change("vm-1", rate=dearer, at=clock.advance(minutes=10, seconds=1))
    billing.meters.stop("vm-1", at=clock.advance(minutes=20))
    clock.advance(hours=1)
    billing.meters.bill()

    assert amounts(billing) == [601 * 100 + 1200 * 200]
    assert billing.check().ok


def test_the_same_change_again_changes_nothing_and_another_at_its_instant_is_refused(billing, clock):
    run(billing)
    at, dearer = clock.advance(minutes=5), Rate.hourly("0.04", "EUR")
    first = billing.meters.change("vm-1", rate=dearer, at=at)
    clock.advance(hours=3)
    billing.meters.bill()
    before = counts(billing)

    again = billing.meters.change("vm-1", rate=dearer, at=at)

    assert (again.rate, again.started_at) == (first.rate, first.started_at)
    with pytest.raises(KeyConflict) as refused:
        billing.meters.change("vm-1", rate=RATE, at=at)
    assert refused.value.field == "at"
    assert counts(billing) == before


@SQLITE
@pytest.mark.parametrize(
    ("error", "field", "rate", "minutes"),
    [
        (InvalidRequest, "rate", Rate.hourly("1", "JPY"), 0),
        (InvalidRequest, "rate", Rate.hourly("0.01", "USD"), 0),
        (InvalidRequest, "rate", BY_SECOND, 0),
        (InvalidRequest, "rate", "0.02", 0),
        (InvalidRequest, "at", Rate.hourly("0.02", "EUR"), 1),
        (InvalidRequest, "at", Rate.hourly("0.02", "EUR"), -600),
        (WrongState, "at", Rate.hourly("0.02", "EUR"), -100),
    ],
)
def test_a_change_that_cannot_be_right_is_refused(billing, clock, error, field, rate, minutes):
    run(billing)
    clock.advance(hours=2)
    billing.meters.bill()
    before = counts(billing)

    with pytest.raises(error) as refused:
        billing.meters.change("vm-1", rate=rate, at=clock.now() + timedelta(minutes=minutes))

    assert refused.value.field == field
    assert counts(billing) == before
    assert billing.check().ok


@SQLITE
def test_a_change_before_an_earlier_one_or_of_what_does_not_run_is_refused(billing, clock):
    run(billing)
    billing.meters.change("vm-1", rate=Rate.hourly("0.04", "EUR"), at=clock.advance(minutes=30))
    with pytest.raises(InvalidRequest) as refused:
        billing.meters.change("vm-1", rate=Rate.hourly("0.03", "EUR"), at=clock.now() - timedelta(minutes=1))
    assert refused.value.field == "at"
    billing.meters.stop("vm-1", at=clock.advance(minutes=1))
    for resource in ("vm-1", "vm-2"):
        with pytest.raises(NotFound) as refused:
            billing.meters.change(resource, rate=Rate.hourly("0.03", "EUR"))
        assert refused.value.field == "resource"


# By the second


def test_a_minimum_is_charged_once_from_the_start(billing, clock):
    brief = Rate.hourly("0.36", "EUR", increment="second", minimum_s=60)
    for resource, seconds in (("vm-1", 20), ("vm-2", 61)):
        run(billing, resource, rate=brief)
        billing.meters.stop(resource, at=clock.advance(seconds=seconds))
    clock.advance(hours=3)
    billing.meters.bill()

    assert (amounts(billing), amounts(billing, "vm-2")) == ([6_000], [6_100])


@pytest.mark.parametrize("increment", ["hour", "second"])
def test_a_day_of_starts_and_stops_costs_exactly_what_ran(billing, clock, increment):
    """Compared with sums of fractions, over the stretches that were told."""
    chance, began = random.Random(7), clock.now()
    rate = Rate.hourly("0.0077777", "EUR", increment=increment)
    spans, at = [], began
    while at < began + timedelta(days=1):
        start = at + timedelta(seconds=chance.randint(0, 1800))
        at = start + timedelta(seconds=chance.randint(1, 2400))
        clock.set(start)
        run(billing, rate=rate)
        clock.set(at)
        billing.meters.stop("vm-1")
        spans.append((start, at))
        if chance.random() < 0.3:
            billing.meters.bill()
    clock.advance(hours=2)
    billing.meters.bill()

    seconds = sum((end - start) // timedelta(seconds=1) for start, end in spans)
    paid_s = seconds if increment == "second" else 3600 * len(begun_hours(spans))
    exact = Fraction("0.0077777") * paid_s / 3600 * 10**6
    # Each new count rounds by half a unit at most; not by the hour, nor by the stop.
    meters = value(billing, "SELECT count(*) FROM prepaid_meter WHERE book_id = :book")
    assert abs(charged(billing) - exact) <= Fraction(meters, 2)
    assert billing.check().ok


def begun_hours(spans):
    """Give the starts of the hours begun: from a start, or going on in the hour that was begun before."""
    begun = []
    for start, end in spans:
        if not begun or start >= begun[-1] + HOUR:
            begun.append(start)
        while begun[-1] + HOUR < end:
            begun.append(begun[-1] + HOUR)
    return begun


# Caps


@SQLITE
def test_a_month_of_745_hours_costs_its_cap_and_the_next_begins_anew(billing, clock):
    """October in Berlin, where the clocks are set back; most of it is caught up in one run."""
    berlin = ZoneInfo("Europe/Berlin")
    began = datetime(2026, 10, 1, tzinfo=berlin).astimezone(UTC)
    ends = datetime(2026, 11, 1, tzinfo=berlin).astimezone(UTC)
    assert (ends - began) // HOUR == 745
    clock.set(began)
    run(billing, rate=Rate.hourly("0.0067", "EUR", monthly_cap="4.99"))  # reached in the very last hour
    run(billing, "vm-2", rate=Rate.hourly("0.10", "EUR", monthly_cap="0.25"))
    clock.set(ends + 3 * HOUR)
    done = billing.meters.bill()

    assert sum(amounts(billing)[:745]) == 4_990_000
    assert amounts(billing)[743:] == [6_700, 5_200, *[6_700] * 3]
    assert amounts(billing, "vm-2") == [100_000, 100_000, 50_000, 100_000, 100_000, 50_000]
    # Hours that cost nothing wrote nothing, and are counted.
    assert done.charges == 748 + 6
    assert billing.meters.bill().charges == 0
    assert billing.check().ok


def test_a_restart_in_the_month_goes_on_below_its_cap_and_one_of_another_customer_does_not(billing, clock):
    capped = Rate.hourly("0.10", "EUR", monthly_cap="0.25")
    for customer, hours in ((ADA, 2), (EVE, 5), (ADA, 4)):
        billing.meters.start(customer, resource="vm-1", rate=capped)
        billing.meters.stop("vm-1", at=clock.advance(hours=hours))
        clock.advance(minutes=30)
    clock.advance(hours=1)

    billing.meters.bill()

    assert amounts(billing) == [100_000, 100_000, 100_000, 100_000, 50_000, 50_000]
    assert billing.customer(EVE).balance().settled == eur("-0.25")
    assert billing.customer(ADA).balance().settled == eur("-0.25")
    assert billing.check().ok


# Sums


@pytest.mark.parametrize(
    ("resources", "hours"), [(8, 24), pytest.param(1000, 720, marks=pytest.mark.full)], ids=["slice", "month"]
)
def test_a_rate_of_seven_hundredths_of_a_cent_adds_up_over_many_resources(billing, ada, clock, resources, hours):
    rate = Rate.hourly("0.0007", "EUR")
    for number in range(resources):
        run(billing, f"vm-{number}", rate=rate)
    for part in (1, hours // 3, hours - 1 - hours // 3):
        clock.advance(hours=part)
        billing.meters.bill()

    assert ada.balance().settled == Money(-700 * resources * hours, "EUR")
    assert value(billing, "SELECT count(*) FROM prepaid_transfer WHERE book_id = :book") == resources * hours


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(3, 150))])
@SQLITE
def test_what_customers_are_charged_differs_from_the_exact_cost_by_less_than_a_cents_hundredth(billing, clock, seed):
    """Whatever is started, changed, stopped and billed in whichever order; the model knows no hours or chunks."""
    chance, model = random.Random(seed), {}
    clock.set(datetime(2026, chance.choice((3, 10)), 30, 12, chance.randint(0, 59), tzinfo=UTC))
    for _ in range(60):
        clock.advance(
            seconds=chance.choice((1, 59, 600, 1800, 3600, 9000)), microseconds=chance.choice((0, 1, 999_999))
        )
        resource = f"vm-{chance.randint(1, 3)}"
        act = chance.choice((begin, begin, alter, end, end, lambda *_: billing.meters.bill()))
        try:
            act(billing, model.setdefault(resource, []), resource, chance, clock.now())
        except RequestRefused:
            continue
    for resource, lives in model.items():
        try:
            end(billing, lives, resource, chance, clock.now())
        except RequestRefused:
            continue
    clock.advance(hours=3)
    billing.meters.bill()

    exact = sum((exactly(lives) for lives in model.values()), Fraction(0)) * 10 ** scale_of("EUR")
    meters = value(billing, "SELECT count(*) FROM prepaid_meter WHERE book_id = :book")
    total = sum(charged(billing, resource) for resource in model)
    assert meters > 1
    assert abs(total - exact) <= Fraction(meters, 2) < 100
    assert billing.customer(ADA).balance().settled == Money(-total, "EUR")
    assert billing.check().ok


def begin(billing, lives, resource, chance, now):
    rate = some_rate(chance, lives[-1][-1][2].increment if lives else chance.choice(("hour", "second")))
    begun = billing.meters.start(ADA, resource=resource, rate=rate)
    if begun.started_at == now:
        lives.append([])
    elif lives[-1][-1][1] is None:
        return  # the same start again
    lives[-1].append((now, None, rate))


def alter(billing, lives, resource, chance, now):
    rate = some_rate(chance, lives[-1][-1][2].increment if lives else "hour")
    billing.meters.change(resource, rate=rate)
    start, _, old = lives[-1].pop()
    lives[-1] += [(start, now, old), (now, None, rate)]


def end(billing, lives, resource, chance, now):
    billing.meters.stop(resource)
    start, _, rate = lives[-1].pop()
    lives[-1].append((start, now, rate))


def some_rate(chance, increment):
    return Rate.hourly(chance.choice(("0.0000004", "0.00744", "0.0007", "1.2345678")), "EUR", increment=increment)


def exactly(lives):
    """Give the exact cost of a resource's lives, each a list of stretches and their rates, in major units."""
    return sum((by_second(life) if life[0][2].increment == "second" else by_hour(life) for life in lives), Fraction(0))


def by_second(life):
    # A second belongs to what was in force when it began, counted from the start.
    first = life[0][0]
    whole = [
        (-((first - start) // timedelta(seconds=1)), -((first - stop) // timedelta(seconds=1)), rate)
        for start, stop, rate in life
    ]
    return sum((Fraction(rate.amount) * (stop - start) / 3600 for start, stop, rate in whole), Fraction(0))


def by_hour(life):
    cost, start, stop = Fraction(0), life[0][0], life[-1][1]
    while start < stop or start == life[0][0]:
        met = [rate for begins, ends, rate in life if begins < start + HOUR and max(begins, start) < ends]
        cost += max(
            (Fraction(rate.amount) for rate in met), default=Fraction(life[0][2].amount) if start == stop else 0
        )
        start += HOUR
    return cost


# Runs


def test_progress_is_told_after_each_transaction(billing, clock, monkeypatch):
    monkeypatch.setattr("prepaid.usage.billing.CHARGES_A_TRANSACTION", 4)
    for number in range(6):
        run(billing, f"vm-{number}")
    billing.meters.stop("vm-5", at=clock.advance(minutes=30))
    clock.advance(minutes=90)
    heard = []

    done = billing.meters.bill(on_progress=lambda *numbers: heard.append(numbers))

    assert done.charges == 5 * 2 + 1
    assert [due for _, due in heard] == [11] * len(heard)
    counted = [hours for hours, _ in heard]
    assert counted == sorted(counted)
    assert counted[-1] == 11
    assert len(counted) >= 3
    with pytest.raises(InvalidRequest) as refused:
        billing.meters.bill(on_progress="loud")
    assert refused.value.field == "on_progress"


def test_a_level_that_a_run_crosses_is_told_once(billing, clock):
    operator(billing).settings.thresholds(Thresholds(low=eur("0.03"), negative=eur("0")))
    give(billing, "0.055")
    run(billing)
    run(billing, "vm-2")
    for _ in range(3):
        clock.advance(hours=2)
        billing.meters.bill()
        billing.meters.bill()

    assert [len(told(billing, name)) for name in ("credit-low", "credit-negative")] == [1, 1]
    assert billing.check().ok
