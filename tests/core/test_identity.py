"""Policies as values, the steps of a case, and what is decided from what is known of a customer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid import IdentityPolicy, InvalidAmount, InvalidRequest, Money
from prepaid.core.hashing import canonical_json
from prepaid.core.identity import CASE_STEPS, OPEN_CASES, Verification, case_sources, policies_from_record
from prepaid.core.identity_status import IdentityFacts, status_of

NOW = datetime(2026, 11, 30, tzinfo=UTC)
DAY = timedelta(days=1)
SPANS = st.none() | st.integers(1, 10_000).map(lambda hours: timedelta(hours=hours))


def eur(units):
    return Money(units, "EUR")


policies = st.builds(
    IdentityPolicy,
    before_first_topup=st.just(True) | st.just(False),
    above=st.lists(st.sampled_from(["EUR", "USD", "JPY"]), min_size=1, max_size=3, unique=True).map(
        lambda codes: tuple(Money.of("7", code) for code in codes)
    ),
    basis=st.sampled_from(["topups", "usage"]),
    period=SPANS,
    countries=st.none() | st.lists(st.sampled_from(["DE", "FR", "IT"]), min_size=1, max_size=3).map(tuple),
    level=st.integers(1, 9),
    valid_for=SPANS,
)


@given(st.lists(policies, max_size=4).map(tuple))
def test_policies_are_read_back_as_they_were_kept(several):
    kept = canonical_json({"policies": [policy.record() for policy in several]})

    assert policies_from_record(json.loads(kept)) == several


def test_without_a_setting_there_is_no_policy():
    assert policies_from_record(None) == ()


def test_a_policy_without_an_amount_is_never_exceeded():
    assert not IdentityPolicy(before_first_topup=True).exceeded(eur(10**12))


@given(limit=st.integers(0, 10**9), total=st.integers(0, 10**9))
def test_exactly_the_limit_is_not_above_it(limit, total):
    policy = IdentityPolicy(above=Money.from_minor(limit, "EUR"))

    assert policy.exceeded(Money.from_minor(total, "EUR")) == (total > limit)


def test_a_decided_case_goes_nowhere_and_every_open_one_may_be_decided():
    for state, targets in CASE_STEPS.items():
        assert bool(targets) == (state in OPEN_CASES)
    for decided in ("verified", "rejected", "canceled"):
        assert set(case_sources(decided)) == set(OPEN_CASES)


@given(level=st.integers(1, 9), needed=st.integers(1, 9), age=st.integers(0, 10), lasts=st.integers(1, 10))
def test_only_a_fresh_verification_of_the_level_is_enough(level, needed, age, lasts):
    policy = IdentityPolicy(before_first_topup=True, level=needed, valid_for=lasts * DAY)
    facts = IdentityFacts(verification=Verification(level=level, verified_at=NOW - age * DAY))

    status = status_of([policy], facts, totals=[eur(0)], now=NOW)

    assert status.required == (level < needed or age >= lasts)
    assert bool(status.message) == status.required
    assert status.expires_at == NOW + (lasts - age) * DAY


@given(several=st.lists(policies, min_size=1, max_size=4), country=st.sampled_from(["DE", "US", None]))
def test_a_further_policy_never_asks_for_less(several, country):
    facts = IdentityFacts(country=country)
    totals = [eur(8_000_000)] * len(several)

    fewer = status_of(several[1:], facts, totals=totals[1:], now=NOW)
    all_of_them = status_of(several, facts, totals=totals, now=NOW)

    assert all_of_them.required_level >= fewer.required_level


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (IdentityFacts(), "unverified"),
        (IdentityFacts(open_case="idc_1", last_case="pending"), "pending"),
        (IdentityFacts(last_case="rejected"), "rejected"),
        (IdentityFacts(last_case="canceled"), "unverified"),
        (IdentityFacts(verification=Verification(level=1, verified_at=NOW - 2 * DAY)), "expired"),
        (IdentityFacts(verification=Verification(level=1, verified_at=NOW, revoked=True)), "revoked"),
        (IdentityFacts(verification=Verification(level=1, verified_at=NOW)), "verified"),
    ],
)
def test_the_state_says_what_is_known(facts, state):
    policy = IdentityPolicy(before_first_topup=True, valid_for=DAY)

    assert status_of([policy], facts, totals=[eur(0)], now=NOW).state == state


def test_an_amount_finer_than_a_minor_unit_is_refused_with_its_field():
    with pytest.raises(InvalidAmount) as error:
        IdentityPolicy(above=eur(5))
    assert error.value.field == "above"


@pytest.mark.parametrize("value", ["100", [1], 5, ("100",)])
def test_an_amount_that_is_none_is_refused(value):
    with pytest.raises(InvalidRequest):
        IdentityPolicy(above=value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"before_first_topup": 1},
        {"before_first_topup": "yes"},
        {"above": "100"},
        {"above": [1]},
        {"above": {eur(50_000)}},
        {"above": (eur(50_000), eur(60_000))},
        {"above": eur(-50_000)},
        {"basis": "spending"},
        {"basis": ["topups"]},
        {"period": 30},
        {"period": timedelta(0)},
        {"period": timedelta.max},
        {"countries": "FR"},
        {"countries": ()},
        {"countries": (5,)},
        {"countries": ("France",)},
        {"level": 0},
        {"level": 1.0},
        {"level": None},
        {"valid_for": -timedelta(days=1)},
        {"valid_for": "1y"},
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_its_field(wrong):
    with pytest.raises(InvalidRequest) as error:
        IdentityPolicy(**{"before_first_topup": True, **wrong})
    assert error.value.field == next(iter(wrong)) or error.value.field == "country"
