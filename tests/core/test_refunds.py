"""What is still to be posted of a dispute, and the steps of a request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from attrs import evolve

from prepaid import InvalidRequest, Money
from prepaid.core.clawback import NOTHING, Bought, Returned
from prepaid.core.refund_requests import (
    REASONS,
    REQUEST_STEPS,
    Approvals,
    RefundPolicy,
    Standing,
    approvals,
    refund_policy,
    request_sources,
)
from prepaid.core.refunds import Dispute, dispute_steps, money_of

NOW = datetime(2026, 11, 23, tzinfo=UTC)
EURO = 1_000_000


def eur(amount):
    return Money.of(amount, "EUR")


def dispute(state, booked="", *, amount="100", withdrawn="0"):
    return Dispute(
        id="dis_1",
        topup_id="top_1",
        gateway="acme",
        dispute_id="dp_1",
        payment_id="pay_1",
        amount=eur(amount),
        state=state,
        created_at=NOW,
        changed_at=NOW,
        booked=booked,
        withdrawn=eur(withdrawn),
    )


STEPS = [
    ("inquiry", "", ()),
    ("open", "", ("withdrawn",)),
    ("won", "", ()),
    ("lost", "", ("withdrawn", "lost")),
    ("inquiry", "withdrawn", ()),
    ("open", "withdrawn", ()),
    ("won", "withdrawn", ("regained",)),
    ("lost", "withdrawn", ("lost",)),
    ("open", "won", ("withdrawn",)),
    ("won", "won", ()),
    ("lost", "won", ("withdrawn", "lost")),
    ("open", "lost", ()),
    ("inquiry", "lost", ()),
    ("lost", "lost", ()),
    ("won", "lost", ("restored", "regained")),
]


@pytest.mark.parametrize(("state", "booked", "steps"), STEPS)
def test_the_books_follow_the_gateway(state, booked, steps):
    withdrawn = "100" if booked in ("withdrawn", "lost") else "0"
    assert dispute_steps(dispute(state, booked, withdrawn=withdrawn)) == steps


CHANGED = [
    ("open", "withdrawn", ("regained", "withdrawn")),
    ("lost", "withdrawn", ("regained", "withdrawn", "lost")),
    ("lost", "lost", ("restored", "regained", "withdrawn", "lost")),
    ("open", "lost", ()),
]


@pytest.mark.parametrize(("state", "booked", "steps"), CHANGED)
def test_another_amount_is_undone_and_posted_anew(state, booked, steps):
    assert dispute_steps(dispute(state, booked, withdrawn="60")) == steps


def test_every_pair_of_states_ends_where_the_gateway_is():
    after = {"restored": "withdrawn", "regained": "won", "withdrawn": "withdrawn", "lost": "lost"}
    for state, booked in product(("inquiry", "open", "won", "lost"), ("", "withdrawn", "won", "lost")):
        withdrawn = "100" if booked in ("withdrawn", "lost") else "0"
        told = dispute(state, booked, withdrawn=withdrawn)
        for step in dispute_steps(told):
            told = evolve(told, booked=after[step], withdrawn=eur("0" if step == "regained" else "100"))
        assert dispute_steps(told) == ()


def test_the_money_of_what_goes_back_is_ledger_units_and_minor_units():
    part = Returned(credit=5 * EURO, net_minor=450, tax_minor=85, clawed_back=EURO)
    assert money_of(part, "EUR") == {"credit": eur("5"), "net": eur("4.50"), "tax": eur("0.85"), "clawback": eur("1")}


def test_a_request_that_is_answered_is_answered_for_good():
    assert request_sources("withdrawn") == ("confirming", "requested")
    assert request_sources("failed") == ("approved", "refunded")
    assert all(not REQUEST_STEPS[state] for state in ("failed", "rejected", "withdrawn"))


def standing(**changes):
    values = {
        "bought": Bought(credit=100 * EURO, bonus=20 * EURO, net_minor=10_000, tax_minor=1_900),
        "paid_left": 100 * EURO,
        "bonus_left": 20 * EURO,
        "free": 120 * EURO,
        "before": NOTHING,
        "cash_left": 11_900,
        "currency": "EUR",
    }
    return Standing(**{**values, **changes})


WHY = [
    ("", {}, "100"),
    ("promotional", {"bonus_left": 0, "free": 100 * EURO}, "83.33"),
    ("spent", {"paid_left": 0, "bonus_left": 0, "free": 0}, "0"),
    ("spent", {"paid_left": 40 * EURO, "bonus_left": 20 * EURO, "free": 60 * EURO}, "40"),
    ("held", {"free": 60 * EURO}, "50"),
    (
        "refunded",
        {
            "before": Returned(credit=30 * EURO, net_minor=3_000, tax_minor=570, clawed_back=6 * EURO),
            "paid_left": 70 * EURO,
            "bonus_left": 14 * EURO,
            "free": 84 * EURO,
        },
        "70",
    ),
    ("refunded", {"cash_left": 5_950}, "50"),
]


@pytest.mark.parametrize(("reason", "changes", "most"), WHY, ids=[f"{why}-{most}" for why, _, most in WHY])
def test_why_not_more_may_be_asked_for(reason, changes, most):
    found = standing(**changes)
    assert found.most() == eur(most).units
    assert found.why_not_more() == reason
    assert not reason or REASONS[reason]


def test_policies_are_read_back_as_they_were_written():
    policy = RefundPolicy(topups_within=timedelta(days=90))
    assert refund_policy(policy.record()) == policy
    assert refund_policy(None) == RefundPolicy()
    rule = Approvals([eur("500"), Money.of("600", "USD")])
    assert approvals(rule.record()) == rule
    assert rule.needs_two(eur("500.01"))
    assert not rule.needs_two(eur("500"))
    assert not rule.needs_two(Money.of("1000", "JPY"))
    assert not approvals(None).needs_two(eur("9999"))


@pytest.mark.parametrize("value", [timedelta(0), timedelta(days=4000), 5, "week"])
def test_a_time_to_ask_within_is_above_zero_and_at_most_ten_years(value):
    with pytest.raises(InvalidRequest) as refused:
        RefundPolicy(charges_within=value)
    assert refused.value.field == "charges_within"
