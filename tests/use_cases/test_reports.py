"""Figures: what a book took in and owes, equal to an independent sum over its transfers."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest

from prepaid import InsufficientCredit, Money, Rate, RequestRefused
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
@pytest.mark.parametrize("currency", ["GBP", "eur", "", 5, b"EUR"])
def test_a_currency_not_in_use_is_refused(billing, currency):
    with pytest.raises(RequestRefused) as refused:
        operator(billing).reports.summary(date(2026, 11, 23), date(2026, 11, 24), currency=currency)
    assert refused.value.field == "currency"
