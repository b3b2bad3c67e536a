"""Figures: what a book took in and owes, equal to an independent sum over its transfers."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from itertools import pairwise

import attrs
import pytest

from prepaid import GatewayFigures, InsufficientCredit, Money, Rate, RequestRefused, RollForward
from prepaid.core.figures import FIGURES, GATEWAY_FIGURES, ROLL_FORWARD
from prepaid.reporting.figures import Figures
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    add_rule,
    at,
    charge,
    checkout_of,
    eur,
    give,
    live_in,
    operator,
    rows,
    start,
    top_up,
)

# One look at the accounting rules, written down without the library's own words.
SUMS = """
SELECT d.kind, c.kind, t.kind, sum(t.amount)
FROM prepaid_transfer t
JOIN prepaid_account d ON d.id = t.debit_id JOIN prepaid_account c ON c.id = t.credit_id
WHERE t.book_id = :book AND t.currency = :currency AND t.posted_at >= :since AND t.posted_at < :until
GROUP BY d.kind, c.kind, t.kind
"""


def micros(instant):
    return int(instant.timestamp()) * 1_000_000


def independent(billing, since, until, currency="EUR"):
    found = rows(billing, SUMS, since=micros(since), until=micros(until), currency=currency)
    sums = {(debit, credit, kind): int(amount) for debit, credit, kind, amount in found}

    def flow(debit=None, credit=None, kind=None):
        return sum(
            amount
            for (d, c, k), amount in sums.items()
            if debit in (None, d) and credit in (None, c) and kind in (None, k)
        )

    return {
        "funds_in": flow("clearing", "wallet") + flow("clearing", "tax_payable"),
        "credit_consumed": flow(credit="revenue") - flow(debit="revenue"),
        "tax_collected": flow(credit="tax_payable") - flow(debit="tax_payable"),
        "bonus_granted": flow(kind="bonus"),
        "goodwill": flow(kind="goodwill"),
        "in_review": flow(credit="suspense") - flow(debit="suspense"),
    }


def figures(billing, since, until, currency="EUR"):
    summary = operator(billing).reports.summary(since, until, currency=currency)
    names = ("funds_in", "credit_consumed", "tax_collected", "bonus_granted", "goodwill", "in_review")
    return {name: getattr(summary, name).units for name in names}


def live_a_little(billing, simulated, clock, *, days):
    """Let three weeks of an ordinary panel pass, the same way in every run."""
    dice = random.Random(20261123)
    add_rule(billing)
    live_in(billing, "FR")
    billing.meters.start(ADA, resource="vm-1", rate=Rate.hourly("0.007", "EUR"))
    for _ in range(days):
        clock.advance(hours=dice.randint(5, 30), minutes=dice.randint(0, 59))
        match dice.randint(0, 4):
            case 0:
                top_up(billing, simulated, f"{dice.randint(5, 80)}.00")
            case 1:
                topup = start(billing, "20.00")
                simulated.pay(checkout_of(topup), amount=eur("19.00"))
                billing.customer(ADA).topups.confirm(topup.id)
            case 2:
                give(billing, "3", kind=dice.choice(["goodwill", "promotional"]), customer=dice.choice([ADA, EVE]))
            case 3:
                try:
                    charge(billing, f"{dice.randint(1, 30)}.123456")
                except InsufficientCredit:
                    charge(billing, "0.5", allow_negative=True, customer=EVE)
            case _:
                billing.meters.bill()


def test_every_figure_equals_an_independent_sum_over_the_transfers(billing, simulated, clock):
    began = clock.now()
    live_a_little(billing, simulated, clock, days=25)
    ended = clock.now() + timedelta(seconds=1)

    whole = figures(billing, began, ended)

    assert whole == independent(billing, began, ended)
    assert all(whole.values())  # each of them was put to the test
    parts = [began + (ended - began) / 7 * n for n in range(8)]
    slices = [figures(billing, *span) for span in pairwise(parts)]
    assert {name: sum(part[name] for part in slices) for name in whole} == whole
    assert billing.check().ok


def test_liability_and_debts_are_the_balances_of_all_wallets_now(billing, simulated):
    top_up(billing, simulated, "50.00")
    charge(billing, "7", allow_negative=True, customer=EVE)

    summary = operator(billing).reports.summary(date(2026, 11, 23), date(2026, 11, 24))

    assert (summary.liability, summary.debts) == (eur("50"), eur("-7"))
    assert summary.liability + summary.debts == eur(str(50 - 7))


def test_every_figure_has_a_field_and_no_other_is_called_one():
    assert [field.name for field in attrs.fields(Figures)] == list(FIGURES)
    assert {field.name for field in attrs.fields(RollForward)} >= {*ROLL_FORWARD, "adjustments"}
    assert {field.name for field in attrs.fields(GatewayFigures)} == {"gateway", *GATEWAY_FIGURES}


def test_the_liability_is_told_by_what_was_paid_and_what_was_given(billing, simulated):
    top_up(billing, simulated, "50.00")
    give(billing, "3", kind="goodwill")
    give(billing, "4", customer=EVE)
    give(billing, "5", customer=EVE, kind="external", system="partner")
    give(billing, "6", customer=EVE, kind="migrated")
    charge(billing, "1")  # of the goodwill
    charge(billing, "0.5", customer=EVE)  # of the promotional credit

    summary = operator(billing).reports.summary(date(2026, 11, 23), date(2026, 11, 24))

    assert (summary.liability_paid, summary.liability_promotional) == (eur("61"), eur("5.5"))
    assert summary.liability_paid + summary.liability_promotional == summary.liability == eur("66.5")
    assert summary.debts == eur("0")


def test_currencies_are_summed_apart(billing, simulated):
    top_up(billing, simulated, "50.00")
    top_up(billing, simulated, "500", currency="JPY")
    reports = operator(billing).reports
    day = (date(2026, 11, 23), date(2026, 11, 24))

    assert reports.summary(*day).funds_in == eur("50")
    assert reports.summary(*day, currency="JPY").funds_in == Money.of("500", "JPY")
    assert reports.summary(*day, currency="USD").funds_in == Money.zero("USD")


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2026, 11, 23), at(2026, 11, 22, 23), at(2026, 11, 23, 22, 59, 59)),
        (date(2026, 10, 25), at(2026, 10, 24, 22), at(2026, 10, 25, 22, 59, 59)),  # 25 hours
        (date(2027, 3, 28), at(2027, 3, 27, 23), at(2027, 3, 28, 21, 59, 59)),  # 23 hours
    ],
)
@SQLITE
def test_days_are_the_sellers_also_when_clocks_change(billing, clock, day, first, last):
    give(billing, "100")
    for number, instant in enumerate(
        (first - timedelta(seconds=1), first, first + timedelta(hours=12), last, last + timedelta(seconds=1))
    ):
        clock.set(instant)
        charge(billing, str(10**number) + ".00", allow_negative=True)

    summary = operator(billing).reports.summary(day, day + timedelta(days=1))

    assert summary.credit_consumed == eur("1110")
    assert (summary.since, summary.until) == (first, last + timedelta(seconds=1))


@SQLITE
def test_a_fact_counts_when_it_was_posted_not_when_it_was_used(billing, clock):
    give(billing, "10")
    used = clock.now() - timedelta(days=40)
    charge(billing, "1", resource="vm-1", period=(used, used + timedelta(hours=1)))

    reports = operator(billing).reports
    assert reports.summary(used.date(), used.date() + timedelta(days=2)).credit_consumed == eur("0")
    assert reports.summary(date(2026, 11, 23), date(2026, 11, 24)).credit_consumed == eur("1")


@SQLITE
@pytest.mark.parametrize(
    ("field", "since", "until"),
    [
        ("until", date(2026, 11, 23), date(2026, 11, 23)),
        ("until", date(2026, 11, 24), date(2026, 11, 23)),
        ("since", "2026-11-23", date(2026, 11, 24)),
        ("until", date(2026, 11, 23), None),
        ("since", 5, date(2026, 11, 24)),
        ("since", datetime(2026, 11, 23), date(2026, 11, 24)),  # noqa: DTZ001 - naive on purpose
    ],
)
def test_a_span_that_is_none_is_refused(billing, field, since, until):
    with pytest.raises(RequestRefused) as refused:
        operator(billing).reports.summary(since, until)
    assert refused.value.field == field


@SQLITE
@pytest.mark.parametrize("name", ["summary", "daily", "by_gateway", "roll_forward"])
@pytest.mark.parametrize("until", [date(2026, 11, 23), date(2026, 11, 22)])
def test_a_span_that_ends_before_it_begins_is_refused_by_every_report(billing, name, until):
    with pytest.raises(RequestRefused) as refused:
        getattr(operator(billing).reports, name)(date(2026, 11, 23), until)
    assert refused.value.field == "until"


@SQLITE
@pytest.mark.parametrize("currency", ["GBP", "eur", "", 5, b"EUR"])
def test_a_currency_not_in_use_is_refused(billing, currency):
    with pytest.raises(RequestRefused) as refused:
        operator(billing).reports.summary(date(2026, 11, 23), date(2026, 11, 24), currency=currency)
    assert refused.value.field == "currency"


# Compared with the time before


def spend_on(billing, clock, days):
    """Charge a number of euros on each of some days, at noon."""
    for day, amount in days.items():
        clock.set(at(day.year, day.month, day.day, 11))
        charge(billing, amount, allow_negative=True)


@SQLITE
@pytest.mark.parametrize(
    ("since", "until", "previous"),
    [
        (date(2026, 11, 1), date(2026, 12, 1), (at(2026, 10, 1, 22), at(2026, 10, 31, 23))),
        (date(2026, 10, 26), date(2026, 10, 27), (at(2026, 10, 24, 22), at(2026, 10, 25, 23))),
        (at(2026, 10, 25, 23), at(2026, 10, 26, 23), (at(2026, 10, 24, 22), at(2026, 10, 25, 23))),
        (at(2026, 11, 3, 12), at(2026, 11, 3, 15), (at(2026, 11, 3, 9), at(2026, 11, 3, 12))),
        (date(2026, 11, 3), at(2026, 11, 3, 15), (at(2026, 11, 2, 7), at(2026, 11, 2, 23))),
    ],
)
def test_the_time_before_is_as_many_days_if_it_is_of_whole_days_and_else_as_long(
    billing, clock, since, until, previous
):
    days = {date(2026, 10, 1) + timedelta(days=n): f"{n + 1}.00" for n in range(50)}
    spend_on(billing, clock, days)
    reports = operator(billing).reports

    summary = reports.summary(since, until, compare=True)

    assert (summary.previous.since, summary.previous.until) == previous
    assert summary.previous.credit_consumed == reports.summary(*previous).credit_consumed
    assert summary == attrs.evolve(reports.summary(since, until), previous=summary.previous)
    assert summary.previous.previous is None
    assert summary.previous.debts == summary.debts != eur("0")


@SQLITE
def test_there_is_nothing_to_compare_with_before_1970(billing):
    reports = operator(billing).reports
    for since, until in ((date(1970, 1, 1), date(1970, 1, 2)), (date(1971, 1, 1), date(9000, 1, 1))):
        assert reports.summary(since, until).previous is None
        with pytest.raises(RequestRefused) as refused:
            reports.summary(since, until, compare=True)
        assert refused.value.field == "compare"
    assert reports.summary(date(1970, 1, 2), date(1970, 1, 3), compare=True).previous.since == at(1969, 12, 31, 23)


@SQLITE
@pytest.mark.parametrize("instant", [at(1, 1, 1), at(1969, 12, 31), at(9000, 1, 2), at(9999, 12, 31, 23)])
def test_an_instant_without_a_day_is_refused(billing, instant):
    for name in ("since", "until"):
        with pytest.raises(RequestRefused) as refused:
            operator(billing).reports.summary(**{"since": at(2026, 11, 23), "until": at(2026, 11, 24), name: instant})
        assert refused.value.field == name


# By gateway


def test_figures_of_gateways_leave_out_what_was_credited_out_of_review(shop, gateway):
    top_up(shop, gateway, "50.00")
    parked = start(shop, "30.00")
    gateway.pay(checkout_of(parked), amount=eur("20.00"))
    shop.customer(ADA).topups.confirm(parked.id)
    operator(shop).topups.resolve(parked.id, action="credit_received", reason="paid so much", key="k")
    day = (date(2026, 11, 23), date(2026, 11, 24))

    told = operator(shop).reports.by_gateway(*day)

    zero = eur("0")
    assert told == (
        GatewayFigures(gateway="simulated", funds_in=eur("50"), refunds_issued=zero, fees=zero, disputed=zero),
        GatewayFigures(gateway=None, funds_in=eur("20"), refunds_issued=zero, fees=zero, disputed=zero),
    )
    assert operator(shop).reports.summary(*day).funds_in == eur("70")
    assert operator(shop).reports.by_gateway(*day, currency="USD") == ()


# Rolled forward


def test_balances_roll_forward_from_what_they_were_to_what_they_are(billing, simulated, clock):
    top_up(billing, simulated, "50.00")
    give(billing, "3", kind="goodwill")
    began = clock.advance(days=1)
    held = [sum(billing.customer(name).balance(at=began).settled.units for name in (ADA, EVE))]
    top_up(billing, simulated, "20.00")
    give(billing, "4", expires_at=clock.now() + timedelta(hours=3))
    charge(billing, "7.5")
    charge(billing, "2", customer=EVE, allow_negative=True)
    clock.advance(hours=5)
    billing.run_due()
    ended = clock.advance(hours=1)
    held.append(sum(billing.customer(name).balance(at=ended).settled.units for name in (ADA, EVE)))

    forward = operator(billing).reports.roll_forward(began, ended)

    lines = {name: str(money.amount) for name, money in forward.lines.items() if money}
    assert lines == {"topups": "20.00", "bonus": "4.00", "consumed": "-9.50"}
    assert [forward.opening.units, forward.closing.units] == held
    assert forward.opening + sum(forward.lines.values(), eur("0")) == forward.closing
    assert forward.suspense_closing == eur("0")
