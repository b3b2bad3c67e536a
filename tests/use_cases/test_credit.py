"""Credit with dates and priorities: what burns first, what begins later, what lapses, what is taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import AmountOutOfRange, BurnOrder, InsufficientCredit, KeyConflict, Money, NotFound, WrongState
from prepaid.core.money import MAX_UNITS
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    charge,
    counts,
    eur,
    flow,
    give,
    grant_ids,
    hold,
    kept,
    lines,
    operator,
    parts,
    reverse,
    rows,
    told,
    top_up,
    value,
)

DAY = timedelta(days=1)


def given(billing, *, all=False, customer=ADA):
    """Give kind and what is left of a customer's credit, in burn order."""
    found = operator(billing).customers.grants(customer, all=all)
    return [(grant.kind, str(grant.remaining.amount)) for grant in found]


def grant_id(billing, number=0):
    """Give the id of the grant that was made first, second, …"""
    return grant_ids(billing)[number]


def burned(billing):
    """Give the kinds of the grants that charges touched, in the order of the ledger."""
    found = rows(
        billing,
        "SELECT g.kind FROM prepaid_transfer t JOIN prepaid_grant g ON g.id = t.grant_id"
        " WHERE t.book_id = :book AND t.kind = 'charge' ORDER BY t.wallet_seq",
    )
    return [kind for (kind,) in found]


def void(billing, grant, reason="given twice"):
    return operator(billing).customers.void_grant(grant, reason=reason)


# What burns first


def one_of_each(billing, simulated, clock):
    """Give one euro of every kind, in an order that is not the one they burn in; five are paid for."""
    top_up(billing, simulated, "5.00")
    for kind, options in (
        ("migrated", {}),
        ("external", {"system": "partner"}),
        ("goodwill", {}),
        ("promotional", {}),
        ("promotional", {"expires_at": clock.now() + 30 * DAY}),
    ):
        clock.advance(seconds=1)
        give(billing, "1", kind=kind, **options)


def test_every_kind_burns_in_its_turn(billing, ada, simulated, clock):
    one_of_each(billing, simulated, clock)
    assert parts(ada.balance()) == ("10.00", "7.00", "3.00")

    for number in range(10):
        charge(billing, "1", key=f"k{number}")

    # Goodwill and promotional credit have one priority; the goodwill is older.
    assert burned(billing) == ["promotional", "goodwill", "promotional", "external", "migrated", *["paid"] * 5]
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    assert billing.check().ok


def test_a_book_may_choose_another_order_for_credit_given_from_then_on(billing, ada, clock):
    give(billing, "1", kind="goodwill")
    operator(billing).settings.burn_order(BurnOrder(goodwill=60, migrated=5))
    clock.advance(seconds=1)
    give(billing, "1", kind="goodwill")
    give(billing, "1", kind="promotional")
    give(billing, "1", kind="migrated")

    assert [grant.priority for grant in ada.grants()] == [5, 20, 20, 60]
    charge(billing, "4")
    assert burned(billing) == ["migrated", "goodwill", "promotional", "goodwill"]
    assert billing.check().ok


def test_the_order_counts_for_credit_that_is_bought_too(billing, ada, simulated):
    operator(billing).settings.burn_order(BurnOrder(paid=1))
    give(billing, "5")
    top_up(billing, simulated, "5.00")

    charge(billing, "5")

    assert parts(ada.balance()) == ("5.00", "0.00", "5.00")


def test_a_priority_puts_one_grant_elsewhere(billing, ada, clock):
    give(billing, "1", kind="promotional", expires_at=clock.now() + DAY)
    give(billing, "1", kind="migrated", priority=0)
    give(billing, "1", kind="promotional", priority=1_000_000)

    assert given(billing) == [("migrated", "1.00"), ("promotional", "1.00"), ("promotional", "1.00")]
    charge(billing, "1")
    assert burned(billing) == ["migrated"]


def test_among_equals_what_lapses_first_burns_first_then_what_is_older(billing, ada, clock):
    now = clock.now()
    for amount, expires_at in (("1", None), ("2", now + 3 * DAY), ("3", now + DAY), ("4", now + DAY)):
        give(billing, amount, kind="goodwill", expires_at=expires_at)
        clock.advance(seconds=1)

    assert [str(grant.size.amount) for grant in ada.grants()] == ["3.00", "4.00", "2.00", "1.00"]
    charge(billing, "8")
    assert given(billing) == [("goodwill", "1.00"), ("goodwill", "1.00")]
    assert billing.check().ok


def test_credit_comes_from_the_account_that_pays_for_it(billing, ada, simulated, clock):
    one_of_each(billing, simulated, clock)

    sources = ("clearing", "migration", "external", "goodwill", "promotion")
    assert {source: flow(billing, source, "wallet") for source in sources} == {
        "clearing": "5.00",
        "migration": "1.00",
        "external": "1.00",
        "goodwill": "1.00",
        "promotion": "2.00",
    }
    assert value(billing, "SELECT owner FROM prepaid_account WHERE book_id = :book AND kind = 'external'") == "partner"
    assert [kind for kind, _ in lines(ada)] == ["topup", "migration", "external", "goodwill", "bonus", "bonus"]


def test_grants_tell_what_they_are(billing, ada, clock):
    effective, expiry = clock.now() + DAY, clock.now() + 2 * DAY
    give(billing, "3", kind="external", system="partner", priority=7, effective_at=effective, expires_at=expiry)

    [grant] = ada.grants()

    assert (grant.kind, grant.size, grant.remaining, grant.priority) == ("external", eur("3"), eur("3"), 7)
    assert (grant.effective_at, grant.expires_at, grant.topup_id) == (effective, expiry, None)


# What begins later


def test_credit_that_begins_later_moves_nothing_before(billing, ada, clock):
    start = clock.now() + DAY
    give(billing, "5", kind="goodwill", effective_at=start)
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    assert lines(ada) == []
    with pytest.raises(InsufficientCredit):
        charge(billing, "1")
    assert billing.check().ok

    clock.set(start - timedelta(microseconds=1))
    assert ada.balance().available == eur("0")
    clock.set(start)
    before = counts(billing)
    assert parts(ada.balance()) == ("5.00", "0.00", "5.00")
    assert counts(billing) == before  # reading writes nothing

    assert charge(billing, "1").balance_after == eur("4")
    assert lines(ada) == [("goodwill", "5.00"), ("charge", "-1.00")]
    assert flow(billing, "goodwill", "wallet") == "5.00"
    assert billing.check().ok


def test_the_job_posts_what_begins_though_nobody_charges(billing, ada, clock):
    transaction = give(billing, "5", kind="goodwill", effective_at=clock.now() + DAY)
    clock.advance(days=3)

    billing.run_due(only="credit")
    billing.run_due(only="credit")

    [line] = ada.transactions().items
    assert (line.id, line.description, line.balance_after) == (transaction, "welcome", eur("5"))
    effective = value(billing, "SELECT effective_at FROM prepaid_transfer WHERE book_id = :book")
    assert effective == int((clock.now() - 2 * DAY).timestamp()) * 1_000_000
    assert billing.check().ok


def test_later_credit_is_given_once_whenever_it_is_asked_for_again(billing, ada, clock):
    start = clock.now() + DAY
    wanted = {"kind": "goodwill", "key": "k", "effective_at": start, "expires_at": start + DAY}
    first = give(billing, "5", **wanted)
    assert give(billing, "5", **wanted) == first
    for other in ({"effective_at": start + DAY / 2}, {"expires_at": None}, {"priority": 3}, {"kind": "promotional"}):
        with pytest.raises(KeyConflict) as refused:
            give(billing, "5", **{**wanted, **other})
        assert refused.value.field == "key"

    clock.set(start)
    assert give(billing, "5", **wanted) == first
    charge(billing, "1")
    assert give(billing, "5", **wanted) == first
    # A host may come back with its key after the dates have passed.
    clock.advance(days=5)
    assert give(billing, "5", **wanted) == first
    assert lines(ada) == [("goodwill", "5.00"), ("charge", "-1.00")]
    assert ada.balance().settled == eur("0")
    assert billing.check().ok


def test_later_credit_pays_the_debt_that_it_finds(billing, ada, clock):
    give(billing, "5", kind="goodwill", effective_at=clock.now() + 2 * DAY)
    give(billing, "4", kind="promotional", effective_at=clock.now() + DAY)
    charge(billing, "7", allow_negative=True)
    clock.advance(days=2)

    assert parts(ada.balance()) == ("2.00", "0.00", "2.00")
    billing.run_due(only="credit")

    assert parts(ada.balance()) == ("2.00", "0.00", "2.00")
    assert given(billing) == [("goodwill", "2.00")]
    assert lines(ada) == [("charge", "-7.00"), ("bonus", "4.00"), ("goodwill", "5.00")]
    assert billing.check().ok


def test_a_charge_finds_credit_whose_time_came_since_and_refuses_beyond_it(billing, clock):
    give(billing, "2", effective_at=clock.now() + DAY)
    give(billing, "3", effective_at=clock.now() + 2 * DAY)
    clock.advance(days=1)

    with pytest.raises(InsufficientCredit) as refused:
        charge(billing, "2.000001")

    assert refused.value.available == eur("2")
    assert charge(billing, "2").balance_after == eur("0")
    assert billing.check().ok


# What lapses


def test_what_lapses_is_posted_to_breakage_and_the_customer_sees_it(billing, ada, clock):
    expiry = clock.now() + DAY
    give(billing, "5", expires_at=expiry)
    charge(billing, "2")
    clock.set(expiry - timedelta(microseconds=1))
    assert parts(ada.balance()) == ("3.00", "0.00", "3.00")

    clock.set(expiry)
    before = counts(billing)
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    assert given(billing) == []
    assert counts(billing) == before
    with pytest.raises(InsufficientCredit) as refused:
        charge(billing, "1")

    assert refused.value.available == eur("0")
    assert lines(ada) == [("bonus", "5.00"), ("charge", "-2.00"), ("expiry", "-3.00")]
    assert ada.transactions(kind="expiry").items[0].description == "Expired credit"
    assert flow(billing, "wallet", "breakage") == "3.00"
    assert given(billing, all=True) == [("promotional", "0.00")]
    assert billing.check().ok


def test_the_job_lets_credit_lapse_once(billing, ada, clock):
    for customer in (ADA, EVE):
        give(billing, "5", customer=customer, expires_at=clock.now() + DAY)
    give(billing, "1", expires_at=clock.now() + 2 * DAY)
    clock.advance(days=1)

    [first] = billing.run_due(only="credit")
    [second] = billing.run_due(only="credit")

    assert second.count == 0 < first.count
    assert flow(billing, "wallet", "breakage") == "10.00"
    assert parts(ada.balance()) == ("1.00", "0.00", "1.00")
    assert billing.check().ok


def test_its_customer_is_told_a_week_before_credit_lapses_once(billing, clock):
    expiry = clock.now() + 30 * DAY
    give(billing, "5", expires_at=expiry)
    give(billing, "5", expires_at=expiry, key="spent", priority=0)
    charge(billing, "5")  # of this, nothing is left to warn of
    clock.set(expiry - 7 * DAY - timedelta(seconds=1))
    billing.run_due(only="credit")
    assert told(billing, "grant-expiring") == []

    clock.advance(seconds=1)
    for _ in range(2):
        billing.run_due(only="credit")

    assert told(billing, "grant-expiring") == [{"grant": grant_of(billing, "5.00"), "expires_at": expiry.isoformat()}]


def grant_of(billing, remaining):
    [found] = [g.id for g in operator(billing).customers.grants(ADA) if str(g.remaining.amount) == remaining]
    return found


def test_credit_that_begins_and_lapses_while_nobody_looks_leaves_both_lines(billing, ada, clock):
    now = clock.now()
    give(billing, "5", effective_at=now + DAY, expires_at=now + 2 * DAY)
    give(billing, "7", effective_at=now + 2 * DAY, expires_at=now + 9 * DAY)
    clock.advance(days=5)
    assert parts(ada.balance()) == ("7.00", "0.00", "7.00")

    charge(billing, "1")

    assert lines(ada) == [("bonus", "5.00"), ("bonus", "7.00"), ("expiry", "-5.00"), ("charge", "-1.00")]
    assert billing.check().ok


def test_a_debt_takes_credit_before_it_can_lapse(billing, ada, clock):
    charge(billing, "3", allow_negative=True)
    give(billing, "5", expires_at=clock.now() + DAY)
    clock.advance(days=1)
    billing.run_due(only="credit")

    assert lines(ada) == [("charge", "-3.00"), ("bonus", "5.00"), ("expiry", "-2.00")]
    assert ada.balance().settled == eur("0")
    assert billing.check().ok


def test_nothing_lapses_where_nothing_is_left(billing, ada, clock):
    give(billing, "5", expires_at=clock.now() + DAY)
    charge(billing, "5")
    clock.advance(days=2)
    billing.run_due(only="credit")

    assert lines(ada) == [("bonus", "5.00"), ("charge", "-5.00")]
    assert given(billing) == []


# What is taken back


@pytest.mark.parametrize(
    ("kind", "options", "account"),
    [
        ("promotional", {}, "promotion"),
        ("goodwill", {}, "goodwill"),
        ("migrated", {}, "migration"),
        ("external", {"system": "partner"}, "external"),
    ],
)
def test_what_is_left_of_given_credit_goes_back_where_it_came_from(billing, ada, kind, options, account):
    give(billing, "5", kind=kind, **options)
    charge(billing, "2")

    transaction = void(billing, grant_id(billing))

    assert flow(billing, "wallet", account) == "3.00"
    assert ada.balance().settled == eur("0")
    [line] = ada.transactions(kind="adjustment").items
    assert (line.id, line.amount, line.description) == (transaction, eur("-3"), "given twice")
    assert void(billing, grant_id(billing)) == transaction  # again changes nothing
    assert void(billing, grant_id(billing), reason="other words") == transaction
    assert len(lines(ada)) == 3
    entries = [e for e in operator(billing).audit.list().items if e.action == "void-grant"]
    assert [(entry.actor, entry.reason) for entry in entries] == [("alice@nimbus.example", "given twice")]
    assert billing.check().ok


def test_credit_that_has_not_begun_is_taken_back_without_a_line(billing, ada, clock):
    give(billing, "5", effective_at=clock.now() + DAY)

    assert void(billing, grant_id(billing)) is None
    assert void(billing, grant_id(billing)) is None
    clock.advance(days=2)
    billing.run_due(only="credit")

    assert (lines(ada), ada.balance().settled) == ([], eur("0"))
    assert [entry.action for entry in operator(billing).audit.list().items].count("void-grant") == 1
    assert billing.check().ok


def test_a_void_finds_credit_that_has_begun_since(billing, ada, clock):
    give(billing, "5", effective_at=clock.now() + DAY)
    clock.advance(days=1)

    assert void(billing, grant_id(billing)) is not None

    assert lines(ada) == [("bonus", "5.00"), ("adjustment", "-5.00")]
    assert billing.check().ok


def test_credit_that_lapsed_since_cannot_be_taken_back(billing, ada, clock):
    give(billing, "5", expires_at=clock.now() + DAY)
    clock.advance(days=1)

    with pytest.raises(WrongState) as refused:
        void(billing, grant_id(billing))

    assert refused.value.field == "grant"
    assert ada.balance().settled == eur("0")
    assert billing.check().ok


def test_paid_credit_is_refunded_and_never_voided(billing, ada, simulated):
    top_up(billing, simulated, "5.00")
    before = counts(billing)

    with pytest.raises(WrongState) as refused:
        void(billing, grant_id(billing))

    assert (refused.value.field, counts(billing)) == ("grant", before)


def test_credit_that_holds_reserve_is_not_taken_back(billing, ada):
    give(billing, "5")
    hold(billing, "3")
    before = counts(billing)

    with pytest.raises(InsufficientCredit) as refused:
        void(billing, grant_id(billing))

    assert (refused.value.available, counts(billing)) == (eur("2"), before)
    assert kept(ada.balance()) == ("5.00", "3.00", "2.00")


def test_what_is_used_up_cannot_be_taken_back(billing, ada):
    give(billing, "5")
    charge(billing, "5")
    before = counts(billing)

    with pytest.raises(WrongState):
        void(billing, grant_id(billing))

    assert counts(billing) == before


def test_a_grant_of_another_book_is_not_found(billing, open_billing):
    give(billing, "5")
    other = open_billing(book="other-" + str(database_book(billing)))

    with pytest.raises(NotFound) as refused:
        void(other, grant_id(billing))
    assert refused.value.field == "grant"


def database_book(billing):
    return value(billing, "SELECT id FROM prepaid_book WHERE id = :book")


def test_a_void_is_no_usage_and_is_not_given_back_as_usage(billing, ada):
    give(billing, "5")
    transaction = void(billing, grant_id(billing))

    with pytest.raises(WrongState) as refused:
        billing.usage.reverse(transaction, key="r", reason="oops")

    assert refused.value.field == "transaction"
    assert flow(billing, "revenue", "wallet") == "0.00"
    assert billing.check().ok


@SQLITE
def test_credit_that_came_back_to_a_voided_grant_can_be_spent(billing, ada):
    give(billing, "5")
    used = charge(billing, "2")
    void(billing, grant_id(billing))

    reverse(billing, used)

    assert parts(ada.balance()) == ("2.00", "0.00", "2.00")
    assert charge(billing, "2").balance_after == eur("0")
    assert billing.check().ok


def test_credit_that_came_back_to_a_voided_grant_is_voided_again(billing, ada):
    give(billing, "10")
    used = charge(billing, "4")
    first = void(billing, grant_id(billing))
    reverse(billing, used)

    second = void(billing, grant_id(billing), reason="fraud again")

    assert second not in (None, first)
    assert lines(ada)[-1] == ("adjustment", "-4.00")
    assert kept(ada.balance()) == ("0.00", "0.00", "0.00")
    assert void(billing, grant_id(billing)) == first  # nothing is left
    assert len(lines(ada)) == 5
    assert billing.check().ok


@SQLITE
def test_credit_that_would_find_no_room_when_it_begins_is_refused_when_it_is_given(billing, ada, clock):
    most = Money(MAX_UNITS, "EUR")
    half = Money(MAX_UNITS // 2 + 1, "EUR")
    later = clock.now() + timedelta(hours=1)
    grant = operator(billing).customers.grant
    grant(ADA, half, kind="goodwill", reason="huge", key="one", effective_at=later)
    before = counts(billing)

    for amount, begins in ((half, later), (half, None), (most, later)):
        with pytest.raises(AmountOutOfRange) as refused:
            grant(ADA, amount, kind="goodwill", reason="huge", key="two", effective_at=begins)
        assert refused.value.field == "amount"

    assert counts(billing) == before
    clock.advance(hours=2)
    billing.run_due(only="credit")
    assert ada.balance().settled == half
    assert billing.check().ok
