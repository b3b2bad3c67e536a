"""Wallets: what burns first, what a debt does to the next credit, and a history that adds up."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from prepaid import (
    AmountOutOfRange,
    ConfigurationError,
    InsufficientCredit,
    IntegrityFault,
    KeyConflict,
    Money,
    NotFound,
    RequestRefused,
    Thresholds,
)
from prepaid.core.money import MAX_UNITS
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    change,
    charge,
    counts,
    eur,
    give,
    operator,
    parts,
    rows,
    start,
    told,
    top_up,
    walk,
)


def grants(billing):
    """Give kind, remaining units and debt paid of the grants, oldest first."""
    found = rows(billing, "SELECT kind, remaining, debt_paid FROM prepaid_grant WHERE book_id = :book ORDER BY id")
    return [tuple(row) for row in found]


# Burn order


def test_promotional_credit_burns_before_paid_credit(billing, ada, simulated):
    top_up(billing, simulated, "50.00")
    give(billing, "10")

    charge(billing, "4")
    assert parts(ada.balance()) == ("56.00", "50.00", "6.00")
    charge(billing, "9")
    assert parts(ada.balance()) == ("47.00", "47.00", "0.00")


def test_a_charge_spans_as_many_grants_as_it_needs_and_stays_one_line(billing, ada, simulated, clock):
    top_up(billing, simulated, "50.00")
    for amount in ("1", "2", "3"):
        give(billing, amount)
        clock.advance(minutes=1)

    outcome = charge(billing, "10.5", key="big")

    assert outcome.balance_after == eur("45.5")
    [line] = ada.transactions(kind="charge").items
    assert (line.id, line.amount, line.balance_after) == (outcome.transaction_id, eur("-10.5"), eur("45.5"))
    assert (line.credit.paid, line.credit.promotional) == (eur("-4.5"), eur("-6"))
    found = rows(
        billing,
        "SELECT g.kind, t.amount, t.part, t.wallet_after FROM prepaid_transfer t"
        " JOIN prepaid_grant g ON g.id = t.grant_id WHERE t.book_id = :book AND t.kind = 'charge' ORDER BY t.part",
    )
    assert [tuple(row) for row in found] == [
        ("promotional", 1_000_000, 0, 55_000_000),
        ("promotional", 2_000_000, 1, 53_000_000),
        ("promotional", 3_000_000, 2, 50_000_000),
        ("paid", 4_500_000, 3, 45_500_000),
    ]
    assert billing.check().ok


def test_goodwill_counts_as_promotional(billing, ada):
    give(billing, "5", kind="goodwill")

    assert parts(ada.balance()) == ("5.00", "0.00", "5.00")
    assert [line.kind for line in ada.transactions().items] == ["goodwill"]


# The floor


def test_a_charge_that_is_not_covered_posts_nothing_and_says_what_is_there(billing, ada):
    give(billing, "7")
    charge(billing, "2")  # the account of revenue is open from here on
    before = counts(billing)

    with pytest.raises(InsufficientCredit) as refused:
        charge(billing, "5.000001")

    assert refused.value.available == eur("5")
    assert (refused.value.code, refused.value.field) == ("insufficient-credit", "amount")
    assert refused.value.params["available"] == "5.00 EUR"
    assert counts(billing) == before
    assert charge(billing, "5").balance_after == eur("0")


def test_an_overdraft_lowers_the_floor_and_shows_as_available(billing, ada):
    give(billing, "5")
    operator(billing).customers.overdraft(ADA, eur("20"), reason="good customer")

    assert ada.balance().available == eur("25")
    assert charge(billing, "25").balance_after == eur("-20")
    with pytest.raises(InsufficientCredit) as refused:
        charge(billing, "0.000001")
    assert refused.value.available == eur("0")
    operator(billing).customers.overdraft(ADA, eur("0"), reason="not any more")
    assert ada.balance().available == eur("-20")
    assert billing.check().ok


def test_performed_usage_is_posted_below_the_floor_and_has_no_grant(billing, ada):
    give(billing, "5")

    outcome = charge(billing, "12", allow_negative=True)

    assert (outcome.status, outcome.balance_after) == ("posted", eur("-7"))
    assert parts(ada.balance()) == ("-7.00", "0.00", "0.00")
    assert ada.balance().available == eur("-7")
    [line] = ada.transactions(kind="charge").items
    assert (line.credit.promotional, line.credit.paid) == (eur("-5"), eur("-7"))
    assert billing.check().ok


def test_performed_usage_is_posted_to_a_wallet_that_was_never_used(billing):
    billing.customers.register("new", currency="EUR")

    assert billing.usage.charge("new", Money.of("3", "USD"), key="k", allow_negative=True).status == "posted"

    balances = {balance.currency: balance.settled for balance in billing.customer("new").wallets()}
    assert balances == {"EUR": eur("0"), "USD": Money.of("-3", "USD")}


def test_a_wallet_that_was_never_used_is_zero_and_covers_nothing(billing, ada):
    assert parts(ada.balance("USD")) == ("0.00", "0.00", "0.00")
    assert ada.transactions(currency="USD").items == ()
    with pytest.raises(InsufficientCredit) as refused:
        billing.usage.charge(ADA, Money.of("1", "USD"), key="k")
    assert refused.value.available == Money.zero("USD")
    assert [balance.currency for balance in ada.wallets()] == ["EUR"]


# Credit that arrives on a debt


def test_the_next_credit_pays_the_debt_first(billing, ada, simulated):
    charge(billing, "30", allow_negative=True)

    top_up(billing, simulated, "50.00")

    assert parts(ada.balance()) == ("20.00", "20.00", "0.00")
    assert grants(billing) == [("paid", 20_000_000, 30_000_000)]
    assert billing.check().ok


def test_a_debt_larger_than_the_credit_swallows_it_whole(billing, ada):
    charge(billing, "30", allow_negative=True)

    give(billing, "10")

    assert parts(ada.balance()) == ("-20.00", "0.00", "0.00")
    assert grants(billing) == [("promotional", 0, 10_000_000)]
    assert billing.check().ok


# Keys


def test_the_same_charge_again_gives_the_first_answer(billing, ada):
    give(billing, "10")
    first = charge(billing, "3", key="vm-1/05", resource="vm-1")
    charge(billing, "2")

    again = charge(billing, "3", key="vm-1/05", resource="vm-1")

    assert (first.status, again.status) == ("posted", "duplicate")
    assert (again.transaction_id, again.balance_after, again.key) == (first.transaction_id, eur("7"), "vm-1/05")
    assert ada.balance().settled == eur("5")


def test_a_replay_is_recognised_although_the_charge_emptied_the_wallet(billing, ada):
    give(billing, "10")
    first = charge(billing, "10", key="all")

    again = charge(billing, "10", key="all")

    assert (again.status, again.transaction_id, again.balance_after) == ("duplicate", first.transaction_id, eur("0"))


def test_a_replay_leaves_a_durable_trace(billing, clock):
    give(billing, "10")
    for amount in ("3", "7"):
        charge(billing, amount, key=amount)
    clock.advance(hours=1)
    wallet = "SELECT replayed_at FROM prepaid_account WHERE book_id = :book AND kind = 'wallet' AND owner = 'user-42'"
    assert rows(billing, wallet) == [(None,)]

    charge(billing, "3", key="3")  # found after the guard failed

    [(replayed_at,)] = rows(billing, wallet)
    assert replayed_at == int(clock.now().timestamp()) * 1_000_000


@pytest.mark.parametrize("left", ["10", "0"])
def test_a_key_used_with_other_content_is_a_conflict_whatever_is_left(billing, ada, left):
    give(billing, "10")
    charge(billing, "10", key="k", resource="vm-1")
    if left != "0":
        give(billing, left)

    for other in ({"amount": "9"}, {"resource": "vm-2"}, {"kind": "disk"}):
        with pytest.raises(KeyConflict) as refused:
            charge(billing, **{"amount": "10", "resource": "vm-1", "key": "k", **other})
        assert refused.value.field == "key"

    assert ada.balance().settled == eur(left)


def test_words_that_only_explain_do_not_make_a_conflict(billing):
    give(billing, "10")
    charge(billing, "1", key="k", description="an hour")

    assert charge(billing, "1", key="k", description="one hour", project="web").status == "duplicate"


def test_the_same_key_of_two_customers_are_two_charges(billing):
    for customer in (ADA, EVE):
        give(billing, "10", customer=customer, key="gift")
        assert charge(billing, "1", key="k", customer=customer).status == "posted"


def test_keys_of_charges_and_of_gifts_are_apart(billing, ada):
    give(billing, "10", key="k")
    charge(billing, "1", key="k")

    assert ada.balance().settled == eur("9")


def test_a_gift_with_the_same_key_is_given_once(billing, ada):
    first = give(billing, "10", key="k")

    assert give(billing, "10", key="k") == first
    with pytest.raises(KeyConflict) as refused:
        give(billing, "11", key="k")
    assert refused.value.field == "key"
    with pytest.raises(KeyConflict):
        give(billing, "10", key="k", kind="goodwill")
    assert ada.balance().settled == eur("10")


def test_one_period_of_a_resource_is_charged_once_whatever_the_key(billing, ada, clock):
    give(billing, "10")
    hour = (clock.now() - timedelta(hours=1), clock.now())
    charge(billing, "1", key="a", resource="vm-1", period=hour)

    with pytest.raises(KeyConflict) as refused:
        charge(billing, "1", key="b", resource="vm-1", period=hour)
    assert refused.value.field == "period"
    assert charge(billing, "1", key="a", resource="vm-1", period=hour).status == "duplicate"
    assert charge(billing, "1", key="c", resource="vm-2", period=hour).status == "posted"
    assert charge(billing, "1", key="d", period=hour).status == "posted"  # no resource, no period to guard
    assert ada.balance().settled == eur("7")
    assert ada.transactions(kind="charge").items[-1].period == hour


def test_a_charge_to_a_customer_who_is_not_registered_is_not_found(billing):
    for allow_negative in (False, True):
        with pytest.raises(NotFound) as refused:
            charge(billing, "1", customer="nobody", allow_negative=allow_negative)
        assert refused.value.field == "customer"


# Amounts


def test_amounts_are_exact_to_six_decimals(billing, ada):
    give(billing, "1")
    for _ in range(3):
        charge(billing, "0.000001")
    charge(billing, "0.333333")

    assert ada.balance().settled == eur("0.666664")
    assert billing.check().ok


def test_yen_have_four_decimals_and_no_minor_unit(billing, ada, simulated):
    top_up(billing, simulated, "500", currency="JPY")

    billing.usage.charge(ADA, Money.of("0.0001", "JPY"), key="k")

    assert ada.balance("JPY").settled == Money.of("499.9999", "JPY")
    assert str(ada.balance("JPY").settled) == "499.9999 JPY"
    assert ada.balance().settled == eur("0")
    [invoice] = ada.invoices.list().items
    assert (invoice.total, invoice.currency) == (Money.of("500", "JPY"), "JPY")
    assert [balance.currency for balance in ada.wallets()] == ["EUR", "JPY"]
    assert billing.check().ok


def test_a_balance_never_leaves_what_64_bits_hold(billing, ada):
    most = Money(MAX_UNITS, "EUR")
    give(billing, str(most.amount))

    with pytest.raises(AmountOutOfRange):
        give(billing, "0.000001")
    charge(billing, str(most.amount))
    charge(billing, str(most.amount), allow_negative=True)
    with pytest.raises(InsufficientCredit):
        charge(billing, "0.000001", allow_negative=True)

    assert ada.balance().settled == -most
    assert billing.check().ok


# History


def test_each_line_carries_the_balance_after_it(billing, ada, simulated):
    top_up(billing, simulated, "50.00")
    give(billing, "10")
    for number in range(4):
        charge(billing, "12.5", key=f"k{number}", description=f"job {number}")

    lines = ada.transactions().items

    assert lines[0].balance_after == ada.balance().settled
    for newer, older in pairwise(lines):
        assert newer.balance_after == older.balance_after + newer.amount
    assert lines[-1].balance_after == lines[-1].amount
    assert [line.description for line in lines[:2]] == ["job 3", "job 2"]
    assert [line.kind for line in lines] == ["charge"] * 4 + ["bonus", "topup"]


def test_every_page_size_gives_the_same_history(billing, ada, simulated):
    top_up(billing, simulated, "50.00")
    for number in range(3):
        give(billing, "1")
        charge(billing, "1.5", key=f"k{number}")  # spans two grants: a page never cuts it
    whole = list(ada.transactions(limit=200).items)
    assert len(whole) == 7

    for size in range(1, 8):
        assert walk(ada.transactions, limit=size) == whole
    assert walk(ada.transactions, limit=2, kind="charge") == [line for line in whole if line.kind == "charge"]


def test_pages_stay_put_while_new_charges_come_in(billing, ada):
    give(billing, "10")
    for number in range(5):
        charge(billing, "1", key=f"k{number}")
    whole = list(ada.transactions(limit=200).items)

    seen, cursor = [], None
    for number in range(100, 200):
        page = ada.transactions(limit=2, cursor=cursor)
        seen.extend(page.items)
        cursor = page.next
        if cursor is None:
            break
        charge(billing, "0.5", key=f"k{number}")

    assert seen == whole


def test_a_history_is_filtered_by_kind_and_by_half_open_spans(billing, ada, clock):
    noon = clock.now()
    give(billing, "10")
    clock.set(noon + timedelta(hours=1))
    charge(billing, "1", key="a")
    clock.set(noon + timedelta(hours=2))
    charge(billing, "2", key="b")

    def amounts(**wanted):
        return [str(line.amount.amount) for line in ada.transactions(**wanted).items]

    assert amounts(kind="charge") == ["-2.00", "-1.00"]
    assert amounts(kind="refund") == []
    assert amounts(since=noon + timedelta(hours=1)) == ["-2.00", "-1.00"]
    assert amounts(until=noon + timedelta(hours=1)) == ["10.00"]
    assert amounts(since=noon, until=noon + timedelta(hours=2)) == ["-1.00", "10.00"]
    assert amounts(since=noon + timedelta(hours=3)) == []


@SQLITE
@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("kind", {"kind": "Charge"}),
        ("kind", {"kind": 5}),
        ("limit", {"limit": 0}),
        ("limit", {"limit": 201}),
        ("limit", {"limit": True}),
        ("limit", {"limit": "50"}),
        ("cursor", {"cursor": "t.top_1"}),
        ("cursor", {"cursor": "h.x"}),
        ("cursor", {"cursor": "h." + "9" * 30}),
        ("cursor", {"cursor": 5}),
        ("cursor", {"cursor": ""}),
        ("since", {"since": "2026-11-23"}),
        ("until", {"until": 5}),
        ("currency", {"currency": "GBP"}),
        ("currency", {"currency": "eur"}),
    ],
)
def test_a_history_asked_for_wrongly_is_refused(ada, field, wanted):
    with pytest.raises(RequestRefused) as refused:
        ada.transactions(**wanted)

    assert refused.value.field == field


# Levels


def test_crossing_the_low_level_is_told_once_each_way(billing, ada):
    operator(billing).settings.thresholds(Thresholds(low=(eur("5"), Money.of("1", "USD"))))
    give(billing, "10")
    charge(billing, "5")
    assert told(billing, "credit-low") == []  # not below it yet
    charge(billing, "0.000001")
    charge(billing, "1")
    assert told(billing, "credit-low") == [{}]
    give(billing, "1.1")
    assert told(billing, "credit-recovered") == []  # not a tenth above it yet
    give(billing, "0.400001")
    assert told(billing, "credit-recovered") == [{"levels": "low"}]
    charge(billing, "20", allow_negative=True)
    assert told(billing, "credit-low") == [{}, {}]
    assert told(billing, "credit-exhausted") == [{}]


@SQLITE
def test_without_a_level_nothing_is_told(billing):
    operator(billing).settings.thresholds(Thresholds(low=eur("5")))
    operator(billing).settings.thresholds(Thresholds())
    give(billing, "10")
    charge(billing, "9")

    assert told(billing, "credit-low") == told(billing, "credit-recovered") == []


# Books that contradict themselves stop the library


@SQLITE
def test_a_currency_kept_at_another_scale_is_refused_before_anything_is_posted(billing, open_billing):
    change(billing, "UPDATE prepaid_currency SET scale = 2 WHERE code = 'EUR'")
    fresh = open_billing()  # another process, which has opened no account yet

    with pytest.raises(ConfigurationError, match="2 decimal digits"):
        fresh.customers.register("new", currency="EUR")


@SQLITE
def test_a_key_posted_without_a_wallet_is_a_fault(billing, simulated):
    """A parked payment has no wallet; a charge that met its key must not answer with it."""
    topup = start(billing)
    simulated.pay(topup.checkout.redirect_url.rsplit("/", 1)[1], amount=eur("1"))
    billing.customer(ADA).topups.confirm(topup.id)
    give(billing, "10")
    charge(billing, "10", key="k")
    change(billing, "DROP TRIGGER prepaid_transfer_keep_update")
    change(
        billing,
        "UPDATE prepaid_transfer SET wallet_id = NULL, wallet_seq = NULL, wallet_after = NULL WHERE kind = 'charge'",
    )

    with pytest.raises(IntegrityFault):
        charge(billing, "10", key="k")


@SQLITE
def test_a_wallet_that_vanishes_in_the_middle_stops_the_posting(billing, monkeypatch):
    give(billing, "10")
    give(billing, "10")
    monkeypatch.setattr("prepaid.store.accounts.find_wallet", lambda *_: None)
    before = counts(billing)

    with pytest.raises(IntegrityFault):
        charge(billing, "11")

    assert counts(billing)["transfer"] == before["transfer"]
