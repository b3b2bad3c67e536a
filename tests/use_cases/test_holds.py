"""Holds: credit set aside, charged once in whole or in part, given back, or lapsed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import AmountOutOfRange, CustomerFrozen, InsufficientCredit, KeyConflict, Money, NotFound, WrongState
from tests.use_cases.steps import (
    ADA,
    EVE,
    charge,
    counts,
    eur,
    flow,
    give,
    hold,
    kept,
    lines,
    operator,
    reverse,
    top_up,
    value,
)

HOUR = timedelta(hours=1)


def capture(billing, held, amount):
    return billing.usage.capture(held.id, eur(amount))


def release(billing, held):
    return billing.usage.release(held.id)


def again(billing, held):
    """Ask for a hold by its key once more: its state as it is now."""
    [row] = [value(billing, "SELECT state FROM prepaid_hold WHERE book_id = :book AND id = :id", id=held.id)]
    return row


# Reserve


def test_a_hold_keeps_credit_from_charges_and_other_holds(billing, ada):
    give(billing, "10")

    held = hold(billing, "6", key="build-7", resource="ci", kind="build", project="web", description="CI build")

    assert kept(ada.balance()) == ("10.00", "6.00", "4.00")
    assert ada.holds() == (held,)
    assert (held.customer, held.amount, held.state, held.captured) == (ADA, eur("6"), "open", eur("0"))
    for refused_one in (lambda: charge(billing, "4.000001"), lambda: hold(billing, "4.000001")):
        with pytest.raises(InsufficientCredit) as refused:
            refused_one()
        assert refused.value.available == eur("4")
    charge(billing, "4")
    assert kept(ada.balance()) == ("6.00", "6.00", "0.00")
    assert lines(ada) == [("bonus", "10.00"), ("charge", "-4.00")]  # a hold is no movement
    assert billing.check().ok


def test_performed_usage_is_posted_though_holds_reserve_the_rest(billing, ada):
    give(billing, "10")
    held = hold(billing, "6")

    charge(billing, "9", allow_negative=True)

    assert kept(ada.balance()) == ("1.00", "6.00", "-5.00")
    assert capture(billing, held, "6").balance_after == eur("-5")
    assert billing.check().ok


def test_a_hold_may_use_the_overdraft(billing, ada):
    give(billing, "5")
    operator(billing).customers.overdraft(ADA, eur("20"), reason="invoiced")

    held = hold(billing, "25")

    assert kept(ada.balance()) == ("5.00", "25.00", "0.00")
    assert capture(billing, held, "25").balance_after == eur("-20")
    assert billing.check().ok


def test_the_same_key_gives_the_same_hold_as_it_is_now(billing, ada):
    give(billing, "10")
    wanted = {"key": "build-7", "resource": "ci", "kind": "build"}
    first = hold(billing, "6", **wanted)

    assert hold(billing, "6", **wanted) == first
    assert hold(billing, "6", **wanted, hours=9, description="other words") == first
    assert kept(ada.balance()) == ("10.00", "6.00", "4.00")
    capture(billing, first, "2")
    now = hold(billing, "6", **wanted)
    assert (now.id, now.state, now.captured) == (first.id, "captured", eur("2"))
    assert kept(ada.balance()) == ("8.00", "0.00", "8.00")


def test_a_key_that_reserved_something_else_is_a_conflict(billing):
    give(billing, "10")
    hold(billing, "6", key="k", resource="ci")

    for amount, options in (
        ("5", {"resource": "ci"}),
        ("6", {"resource": "vm"}),
        ("6", {"resource": "ci", "kind": "x"}),
    ):
        with pytest.raises(KeyConflict) as refused:
            hold(billing, amount, key="k", **options)
        assert refused.value.field == "key"


def test_keys_of_holds_are_apart_from_those_of_charges_and_of_other_customers(billing):
    for customer in (ADA, EVE):
        give(billing, "10", customer=customer)
        assert hold(billing, "1", key="k", customer=customer).state == "open"
        assert charge(billing, "1", key="k", customer=customer).status == "posted"


def test_nothing_can_be_held_in_a_wallet_that_was_never_used(billing):
    with pytest.raises(InsufficientCredit) as refused:
        billing.usage.hold(ADA, Money.of("1", "USD"), key="k", expires_in=HOUR)
    assert refused.value.available == Money.zero("USD")
    with pytest.raises(NotFound):
        hold(billing, "1", customer="nobody")


def test_a_freeze_refuses_new_holds_and_lets_open_ones_go_on(billing, ada):
    give(billing, "10")
    first, second = hold(billing, "2", key="one"), hold(billing, "3", key="two")
    operator(billing).customers.freeze(ADA, reason="chargeback")
    before = counts(billing)

    with pytest.raises(CustomerFrozen) as refused:
        hold(billing, "1")

    assert (refused.value.field, counts(billing)) == ("customer", before)
    assert hold(billing, "2", key="one") == first  # what was made is made
    assert capture(billing, first, "2").status == "posted"
    assert release(billing, second).state == "released"
    operator(billing).customers.unfreeze(ADA, reason="settled")
    assert hold(billing, "1").state == "open"
    assert billing.check().ok


# Capture


def test_a_part_is_charged_and_the_rest_is_free_again(billing, ada, simulated):
    top_up(billing, simulated, "10.00")
    give(billing, "1")
    held = hold(billing, "6", resource="ci", kind="build", project="web", description="CI build")

    outcome = capture(billing, held, "2.5")

    assert (outcome.status, outcome.balance_after, outcome.key) == ("posted", eur("8.5"), held.id)
    assert kept(ada.balance()) == ("8.50", "0.00", "8.50")
    assert ada.holds() == ()
    [line] = ada.transactions(kind="charge").items
    assert (line.id, line.amount, line.description, line.resource) == (
        outcome.transaction_id,
        eur("-2.5"),
        "CI build",
        "ci",
    )
    assert (line.credit.promotional, line.credit.paid) == (eur("-1"), eur("-1.5"))
    assert ada.transactions(project="web").items == (line,)
    assert flow(billing, "wallet", "revenue") == "2.50"
    assert billing.check().ok


def test_a_hold_is_captured_whole_and_once(billing, ada):
    give(billing, "6")
    held = hold(billing, "6")

    first = capture(billing, held, "6")
    second = capture(billing, held, "6")

    assert (first.status, second.status) == ("posted", "duplicate")
    assert (second.transaction_id, second.balance_after) == (first.transaction_id, eur("0"))
    with pytest.raises(KeyConflict) as refused:
        capture(billing, held, "5")
    assert refused.value.field == "amount"
    assert lines(ada) == [("bonus", "6.00"), ("charge", "-6.00")]
    assert billing.check().ok


def test_more_than_was_reserved_is_not_captured(billing, ada):
    give(billing, "10")
    held = hold(billing, "6")
    before = counts(billing)

    with pytest.raises(AmountOutOfRange) as refused:
        capture(billing, held, "6.000001")

    assert (refused.value.field, refused.value.params["held"]) == ("amount", "6.00 EUR")
    assert counts(billing) == before
    assert kept(ada.balance()) == ("10.00", "6.00", "4.00")


# Release


def test_a_release_gives_all_of_it_back_once(billing, ada):
    give(billing, "10")
    held = hold(billing, "6")

    released = release(billing, held)

    assert (released.state, released.captured, released.transaction_id) == ("released", eur("0"), None)
    assert released.closed_at is not None
    assert release(billing, held) == released
    assert kept(ada.balance()) == ("10.00", "0.00", "10.00")
    with pytest.raises(WrongState) as refused:
        capture(billing, held, "1")
    assert (refused.value.field, refused.value.params["state"]) == ("hold", "released")
    assert lines(ada) == [("bonus", "10.00")]
    assert billing.check().ok


def test_what_was_captured_cannot_be_released(billing, ada):
    give(billing, "10")
    held = hold(billing, "6")
    capture(billing, held, "1")

    with pytest.raises(WrongState) as refused:
        release(billing, held)

    assert (refused.value.field, refused.value.params["state"]) == ("hold", "captured")
    assert kept(ada.balance()) == ("9.00", "0.00", "9.00")


# Lapse


def test_a_hold_lapses_by_itself_and_is_not_captured_after(billing, ada, clock):
    give(billing, "10")
    held = hold(billing, "6", hours=2)
    clock.set(held.expires_at - timedelta(microseconds=1))
    assert kept(ada.balance()) == ("10.00", "6.00", "4.00")

    clock.set(held.expires_at)
    before = counts(billing)
    assert kept(ada.balance()) == ("10.00", "0.00", "10.00")
    assert counts(billing) == before
    assert again(billing, held) == "open"  # reading writes nothing
    with pytest.raises(WrongState) as refused:
        capture(billing, held, "6")

    assert (refused.value.field, refused.value.params["state"]) == ("hold", "expired")
    assert again(billing, held) == "expired"
    assert release(billing, held).state == "expired"
    assert lines(ada) == [("bonus", "10.00")]
    assert billing.check().ok


def test_a_hold_whose_time_is_over_is_listed_no_more(billing, ada, clock):
    give(billing, "5")
    held = hold(billing, "4", hours=2)
    clock.set(held.expires_at - timedelta(microseconds=1))
    assert ada.holds() == (held,)

    clock.set(held.expires_at)

    assert ada.holds() == ()


def test_the_job_lets_holds_lapse_and_a_charge_finds_their_credit(billing, ada, clock):
    give(billing, "10")
    for number, hours in enumerate((1, 2, 3)):
        hold(billing, "3", key=f"h{number}", hours=hours)
    clock.advance(hours=1)
    billing.run_due(only="credit")
    assert kept(ada.balance()) == ("10.00", "6.00", "4.00")

    clock.advance(hours=1)
    assert charge(billing, "7").balance_after == eur("3")
    assert kept(ada.balance()) == ("3.00", "3.00", "0.00")
    assert [held.state for held in ada.holds()] == ["open"]
    assert billing.check().ok


# Against credit that lapses


def test_credit_lapses_down_to_what_is_held_and_the_hold_captures_it(billing, ada, clock):
    give(billing, "10", expires_at=clock.now() + HOUR)
    held = hold(billing, "4", hours=2)
    clock.advance(hours=1)
    assert kept(ada.balance()) == ("4.00", "4.00", "0.00")
    billing.run_due(only="credit")
    assert kept(ada.balance()) == ("4.00", "4.00", "0.00")

    outcome = capture(billing, held, "3")

    assert outcome.balance_after == eur("1")  # the rest lapses with the hold, in a line of its own
    assert kept(ada.balance()) == ("0.00", "0.00", "0.00")
    assert lines(ada) == [("bonus", "10.00"), ("expiry", "-6.00"), ("charge", "-3.00"), ("expiry", "-1.00")]
    assert billing.check().ok


@pytest.mark.parametrize("end", ["release", "lapse"])
def test_credit_that_a_hold_kept_lapses_when_the_hold_ends(billing, ada, clock, end):
    give(billing, "10", expires_at=clock.now() + HOUR)
    held = hold(billing, "4", hours=2)
    clock.advance(hours=1)
    billing.run_due(only="credit")

    if end == "release":
        release(billing, held)
    else:
        clock.advance(hours=1)
        assert kept(ada.balance()) == ("0.00", "0.00", "0.00")
        billing.run_due(only="credit")

    assert kept(ada.balance()) == ("0.00", "0.00", "0.00")
    assert lines(ada) == [("bonus", "10.00"), ("expiry", "-6.00"), ("expiry", "-4.00")]
    assert flow(billing, "wallet", "breakage") == "10.00"
    assert billing.check().ok


def test_credit_lapses_although_something_is_held_if_other_credit_covers_it(billing, ada, clock, simulated):
    top_up(billing, simulated, "10.00")
    give(billing, "5", expires_at=clock.now() + HOUR)
    held = hold(billing, "8", hours=2)
    clock.advance(hours=1)

    assert kept(ada.balance()) == ("10.00", "8.00", "2.00")
    assert capture(billing, held, "8").balance_after == eur("2")
    assert lines(ada) == [("topup", "10.00"), ("bonus", "5.00"), ("expiry", "-5.00"), ("charge", "-8.00")]
    assert billing.check().ok


def test_credit_that_a_hold_keeps_past_its_expiry_burns_like_any_other(billing, ada, clock):
    give(billing, "5", expires_at=clock.now() + HOUR)
    hold(billing, "5", hours=2)
    clock.advance(hours=1)
    billing.run_due(only="credit")
    give(billing, "5", kind="migrated")

    charge(billing, "3")

    left = [(grant.kind, str(grant.remaining.amount)) for grant in ada.grants()]
    assert left == [("promotional", "2.00"), ("migrated", "5.00")]
    assert kept(ada.balance()) == ("7.00", "5.00", "2.00")
    clock.advance(hours=1)
    assert kept(ada.balance()) == ("5.00", "0.00", "5.00")
    billing.run_due(only="credit")
    assert billing.check().ok


def test_a_hold_and_the_credit_below_it_that_end_together_leave_nothing(billing, ada, clock):
    give(billing, "5", expires_at=clock.now() + HOUR)
    held = hold(billing, "5", hours=1)
    clock.advance(hours=1)

    with pytest.raises(WrongState):
        capture(billing, held, "5")

    assert kept(ada.balance()) == ("0.00", "0.00", "0.00")
    assert lines(ada) == [("bonus", "5.00"), ("expiry", "-5.00")]
    assert billing.check().ok


@pytest.mark.parametrize("refused", ["capture", "hold", "frozen", "reverse"])
def test_credit_that_lapsed_stays_lapsed_when_the_act_that_found_it_is_refused(billing, ada, clock, refused):
    give(billing, "9", kind="migrated")
    give(billing, "3", expires_at=clock.now() + HOUR)
    held = hold(billing, "2", key="build-7", hours=9)
    capture(billing, held, "2")
    charged = charge(billing, "4")
    give(billing, "5", expires_at=clock.now() + HOUR)
    clock.advance(hours=2)
    if refused == "frozen":
        operator(billing).customers.freeze(ADA, reason="chargeback")
    acts = {
        "capture": lambda: capture(billing, held, "1"),
        "hold": lambda: hold(billing, "1", key="build-7", hours=9),
        "frozen": lambda: hold(billing, "1"),
        "reverse": lambda: reverse(billing, charged, "4.01"),
    }

    with pytest.raises((KeyConflict, CustomerFrozen, AmountOutOfRange)):
        acts[refused]()

    assert lines(ada)[-1] == ("expiry", "-5.00")
    assert billing.check().ok
