"""Usage given back, to the credit it came from; usage learned late, in the period it belongs to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import AmountOutOfRange, CurrencyMismatch, IntegrityFault, KeyConflict, Money, NotFound, WrongState
from prepaid.store import accounts, ledger
from tests.use_cases.steps import (
    ADA,
    SQLITE,
    charge,
    counts,
    eur,
    flow,
    give,
    hold,
    kept,
    lines,
    operator,
    parts,
    reverse,
    rows,
    run,
    told,
    top_up,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def grants(billing):
    """Give kind, units left and debt paid of the grants, oldest first."""
    found = rows(billing, "SELECT kind, remaining, debt_paid FROM prepaid_grant WHERE book_id = :book ORDER BY id")
    return [
        (kind, str(Money(int(left), "EUR").amount), str(Money(int(paid), "EUR").amount)) for kind, left, paid in found
    ]


def adjust(billing, amount, period, *, key="late", **options):
    return billing.usage.adjust(ADA, eur(amount), key=key, period=period, **options)


# Back to where it came from


def test_a_whole_charge_goes_back_to_the_grants_it_came_from(billing, ada, simulated):
    top_up(billing, simulated, "10.00")
    give(billing, "3")
    used = charge(billing, "5", resource="vm-1", kind="instance", project="web")
    assert parts(ada.balance()) == ("8.00", "8.00", "0.00")

    outcome = reverse(billing, used, reason="outage of Monday")

    assert (outcome.status, outcome.balance_after) == ("posted", eur("13"))
    assert parts(ada.balance()) == ("13.00", "10.00", "3.00")
    [line] = ada.transactions(kind="reversal").items
    assert (line.id, line.amount, line.description) == (outcome.transaction_id, eur("5"), "outage of Monday")
    assert (line.credit.promotional, line.credit.paid) == (eur("3"), eur("2"))
    assert ada.transactions(project="web", resource="vm-1", kind="reversal").items == (line,)
    assert flow(billing, "revenue", "wallet") == "5.00"
    assert billing.check().ok


def test_a_part_goes_back_to_what_burned_last(billing, ada, simulated):
    top_up(billing, simulated, "10.00")
    give(billing, "3")
    used = charge(billing, "5")

    reverse(billing, used, "1.5")
    assert parts(ada.balance()) == ("9.50", "9.50", "0.00")
    reverse(billing, used, "1.5")
    assert parts(ada.balance()) == ("11.00", "10.00", "1.00")
    reverse(billing, used)  # all that is left of it

    assert parts(ada.balance()) == ("13.00", "10.00", "3.00")
    assert lines(ada, kind="reversal") == [("reversal", "1.50"), ("reversal", "1.50"), ("reversal", "2.00")]
    with pytest.raises(WrongState) as refused:
        reverse(billing, used)
    assert refused.value.field == "transaction"
    assert billing.check().ok


def test_never_more_than_is_left_of_a_charge(billing, ada):
    give(billing, "10")
    used = charge(billing, "5")
    reverse(billing, used, "3")
    before = counts(billing)

    with pytest.raises(AmountOutOfRange) as refused:
        reverse(billing, used, "2.000001")

    assert (refused.value.field, refused.value.params["left"]) == ("amount", "2.00 EUR")
    assert counts(billing) == before
    assert ada.balance().settled == eur("8")


def test_the_same_key_gives_back_once(billing, ada):
    give(billing, "10")
    used, other = charge(billing, "5"), charge(billing, "1")
    first = reverse(billing, used, "2", key="ticket-9")
    charge(billing, "3")

    second = reverse(billing, used, "2", key="ticket-9", reason="other words")

    assert (second.status, second.transaction_id) == ("duplicate", first.transaction_id)
    assert (second.balance_after, second.key) == (eur("6"), "ticket-9")
    for conflict in (
        lambda: reverse(billing, used, "1", key="ticket-9"),
        lambda: reverse(billing, used, key="ticket-9"),
        lambda: reverse(billing, other, key="ticket-9"),
    ):
        with pytest.raises(KeyConflict) as refused:
            conflict()
        assert refused.value.field == "key"
    assert ada.balance().settled == eur("3")
    assert billing.check().ok


def test_a_whole_reversal_is_repeated_although_nothing_is_left(billing, ada):
    give(billing, "10")
    used = charge(billing, "5")
    first = reverse(billing, used, key="k")

    assert reverse(billing, used, key="k").transaction_id == first.transaction_id
    assert ada.balance().settled == eur("10")


# Credit that has lapsed meanwhile


def test_credit_of_a_lapsed_grant_comes_back_and_lapses_at_once(billing, ada, clock):
    give(billing, "5", expires_at=clock.now() + DAY)
    used = charge(billing, "2")
    clock.advance(days=2)

    outcome = reverse(billing, used)

    assert outcome.balance_after == eur("2")
    assert lines(ada) == [
        ("bonus", "5.00"),
        ("charge", "-2.00"),
        ("expiry", "-3.00"),
        ("reversal", "2.00"),
        ("expiry", "-2.00"),
    ]
    assert ada.balance().settled == eur("0")
    assert billing.check().ok


def test_a_grant_may_lapse_as_often_as_credit_comes_back_to_it(billing, ada, clock):
    give(billing, "5", expires_at=clock.now() + DAY)
    used = charge(billing, "4")
    clock.advance(days=2)

    for _ in range(3):
        reverse(billing, used, "1")

    assert flow(billing, "wallet", "breakage") == "4.00"
    assert ada.balance().settled == eur("0")
    assert billing.check().ok


def test_an_operator_may_give_lapsed_credit_a_new_expiry(billing, ada, clock):
    give(billing, "5", expires_at=clock.now() + DAY)
    used = charge(billing, "2")
    clock.advance(days=2)
    expiry = clock.now() + 30 * DAY

    reverse(billing, used, key="k", expires_at=expiry)

    assert parts(ada.balance()) == ("2.00", "0.00", "2.00")
    assert [(grant.expires_at, grant.remaining) for grant in ada.grants()] == [(expiry, eur("2"))]
    clock.set(expiry - 7 * DAY)
    billing.run_due(only="credit")
    assert [event["expires_at"] for event in told(billing, "grant-expiring")][-1] == expiry.isoformat()
    clock.set(expiry)
    assert ada.balance().settled == eur("0")
    # The same key again, after the new expiry has passed as well.
    assert reverse(billing, used, key="k", expires_at=expiry).status == "duplicate"
    billing.run_due(only="credit")
    assert flow(billing, "wallet", "breakage") == "5.00"
    assert billing.check().ok


def test_a_new_expiry_is_for_lapsed_credit_only(billing, ada, clock):
    expiry = clock.now() + 9 * DAY
    give(billing, "5", expires_at=expiry)
    used = charge(billing, "2")

    reverse(billing, used, expires_at=clock.now() + DAY)

    assert [grant.expires_at for grant in ada.grants()] == [expiry]


# Below zero


def test_the_part_without_a_grant_lowers_the_debt_that_is_left(billing, ada):
    give(billing, "5")
    used = charge(billing, "12", allow_negative=True)

    reverse(billing, used, "4")
    assert (parts(ada.balance()), grants(billing)) == (("-3.00", "0.00", "0.00"), [("promotional", "0.00", "0.00")])
    reverse(billing, used)

    assert parts(ada.balance()) == ("5.00", "0.00", "5.00")
    assert grants(billing) == [("promotional", "5.00", "0.00")]
    assert billing.check().ok


def test_then_it_goes_to_the_credit_that_paid_the_debt_the_latest_first(billing, ada, clock):
    used = charge(billing, "12", allow_negative=True)
    for amount in ("4", "5", "6"):
        clock.advance(seconds=1)
        give(billing, amount)
    assert grants(billing) == [
        ("promotional", "0.00", "4.00"),
        ("promotional", "0.00", "5.00"),
        ("promotional", "3.00", "3.00"),
    ]

    reverse(billing, used, "7")

    assert grants(billing) == [
        ("promotional", "0.00", "4.00"),
        ("promotional", "4.00", "1.00"),
        ("promotional", "6.00", "0.00"),
    ]
    assert parts(ada.balance()) == ("10.00", "0.00", "10.00")
    assert billing.check().ok


def test_credit_that_comes_back_to_a_debt_pays_it(billing, ada, simulated, clock):
    top_up(billing, simulated, "10.00")
    clock.advance(seconds=1)
    give(billing, "3")
    used = charge(billing, "5")
    charge(billing, "12", allow_negative=True)
    assert ada.balance().settled == eur("-4")

    reverse(billing, used)

    assert parts(ada.balance()) == ("1.00", "1.00", "0.00")
    assert grants(billing) == [("paid", "1.00", "1.00"), ("promotional", "0.00", "3.00")]
    assert billing.check().ok


# What can be given back


def test_captures_adjustments_and_metered_hours_are_given_back_too(billing, ada, clock):
    give(billing, "10")
    captured = billing.usage.capture(hold(billing, "2").id, eur("1"))
    late = adjust(billing, "2", (clock.now() - DAY, clock.now()))
    run(billing)
    clock.advance(hours=1)
    billing.meters.bill()
    [metered] = ada.transactions(resource="vm-1").items

    for transaction_id in (captured.transaction_id, late.transaction_id, metered.id):
        assert billing.usage.reverse(transaction_id, key=transaction_id, reason="oops").status == "posted"

    assert ada.balance().settled == eur("10")
    assert flow(billing, "revenue", "wallet") == flow(billing, "wallet", "revenue") == "3.01"
    assert billing.check().ok


def test_nothing_else_is_given_back(billing, ada, simulated, clock):
    top_up(billing, simulated, "10.00")
    give(billing, "1", expires_at=clock.now() + DAY)
    used = charge(billing, "2")
    clock.advance(days=1)
    reverse(billing, used, "1")
    assert [kind for kind, _ in lines(ada)] == ["topup", "bonus", "charge", "reversal"]
    kinds = {line.kind: line.id for line in ada.transactions().items}
    before = counts(billing)

    for kind in ("topup", "bonus", "reversal"):
        with pytest.raises((NotFound, WrongState)) as refused:
            billing.usage.reverse(kinds[kind], key="k", reason="oops")
        assert refused.value.field == "transaction"
    with pytest.raises(CurrencyMismatch) as refused:
        billing.usage.reverse(used.transaction_id, Money.of("1", "USD"), key="k", reason="oops")

    assert (refused.value.field, counts(billing)) == ("amount", before)


def test_what_lapsed_is_not_given_back(billing, ada, clock):
    give(billing, "1", expires_at=clock.now() + DAY)
    clock.advance(days=1)
    billing.run_due(only="credit")
    [expiry] = ada.transactions(kind="expiry").items

    with pytest.raises(WrongState) as refused:
        billing.usage.reverse(expiry.id, key="k", reason="oops")

    assert refused.value.field == "transaction"


@SQLITE
def test_a_charge_of_another_book_is_not_found(billing, open_billing):
    give(billing, "1")
    used = charge(billing, "1")
    other = open_billing(book="other")

    with pytest.raises(NotFound):
        reverse(other, used)


def test_a_reversal_leaves_what_is_held(billing, ada, clock):
    give(billing, "5", expires_at=clock.now() + HOUR)
    used = charge(billing, "2")
    hold(billing, "3", hours=2)
    clock.advance(hours=1)

    reverse(billing, used)

    # Of the credit that lapsed, what the hold reserves stays; what came back lapses.
    assert kept(ada.balance()) == ("3.00", "3.00", "0.00")
    assert flow(billing, "wallet", "breakage") == "2.00"
    assert billing.check().ok


# Usage that became known late


def test_late_usage_is_posted_beside_its_period_and_below_zero(billing, ada, clock):
    give(billing, "1")
    hour = (clock.now() - 9 * HOUR, clock.now() - 8 * HOUR)
    charge(billing, "1", resource="vm-1", period=hour)

    outcome = adjust(billing, "2", hour, resource="vm-1", kind="instance", project="web", description="traffic")

    assert (outcome.status, outcome.balance_after) == ("posted", eur("-2"))
    assert adjust(billing, "2", hour, resource="vm-1", kind="instance").status == "duplicate"
    with pytest.raises(KeyConflict):
        adjust(billing, "3", hour, resource="vm-1", kind="instance")
    [line] = ada.transactions(kind="adjustment").items
    assert (line.amount, line.period, line.resource, line.description) == (eur("-2"), hour, "vm-1", "traffic")
    statement = ada.usage(since=hour[0], until=hour[1])
    assert [(each.name, str(each.amount.amount), each.charges) for each in statement.lines] == [("vm-1", "3.00", 2)]
    assert billing.check().ok


def test_late_usage_of_a_customer_without_a_wallet_is_posted(billing, clock):
    billing.customers.register("new", currency="EUR")

    billing.usage.adjust("new", Money.of("2", "USD"), key="k", period=(clock.now() - DAY, clock.now()))

    assert billing.customer("new").balance("USD").settled == Money.of("-2", "USD")
    with pytest.raises(NotFound):
        billing.usage.adjust("nobody", eur("2"), key="k", period=(clock.now() - DAY, clock.now()))


def test_an_overdraft_and_a_freeze_change_nothing_of_what_is_given_back(billing, ada):
    give(billing, "5")
    operator(billing).customers.overdraft(ADA, eur("20"), reason="invoiced")
    used = charge(billing, "15")
    operator(billing).customers.freeze(ADA, reason="chargeback")

    reverse(billing, used)

    assert kept(ada.balance()) == ("5.00", "0.00", "25.00")
    assert billing.check().ok


# What is no state of a book


def test_a_reversal_that_no_ledger_holds_is_refused_whole(billing, ada, monkeypatch):
    give(billing, "5")
    used = charge(billing, "2")
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "credit", lambda tx, wallet, amount, *, rows: False)
        with pytest.raises(AmountOutOfRange) as refused:
            reverse(billing, used)
    assert refused.value.field == "amount"
    assert ada.balance().settled == eur("3")
    assert reverse(billing, used).balance_after == eur("5")


def test_a_charge_without_a_wallet_is_an_alarm(billing, ada, monkeypatch):
    give(billing, "5")
    used = charge(billing, "2")
    with monkeypatch.context() as patched:
        patched.setattr(accounts, "hold_wallet_by_id", lambda tx, wallet: None)
        with pytest.raises(IntegrityFault):
            reverse(billing, used)
    assert ada.balance().settled == eur("3")
