"""Vouchers: made by an operator, told once, redeemed once, and never found in anything that is kept."""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import closing
from datetime import date, timedelta

import pytest

from prepaid import (
    AmountOutOfRange,
    CustomerFrozen,
    IntegrityFault,
    InvalidAmount,
    InvalidRequest,
    KeyConflict,
    Money,
    NotFound,
    PromotionRefused,
    RedeemedVoucher,
    RequestRefused,
)
from prepaid.core.money import MAX_UNITS
from prepaid.core.vouchers import ALPHABET
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    change,
    charge,
    counts,
    eur,
    flow,
    give,
    lines,
    operator,
    parts,
    rows,
    told,
    value,
    walk,
)
from tests.use_cases.test_bad_credit import PAST
from tests.use_cases.test_bad_input import (
    NOT_CURSORS,
    NOT_IN_USE,
    NOT_INSTANTS,
    NOT_LIMITS,
    NOT_MONEY,
    NOT_POSITIVE,
    NOT_WHOLE,
    not_texts,
)

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
NO_VOUCHER, NO_BATCH = (f"{kind}_01m82v7m000000000000000000" for kind in ("vou", "bat"))


def make(billing, amount="10.00", **options):
    return operator(billing).vouchers.create(eur(amount), **options)


def one(billing, amount="10.00", **options):
    [made] = make(billing, amount, **options)
    return made


def redeem(billing, code, customer=ADA):
    return billing.customer(customer).vouchers.redeem(code)


def refusal(billing, code, customer=ADA):
    """Give why a code was refused; it is of the field ``code``."""
    with pytest.raises(PromotionRefused) as refused:
        redeem(billing, code, customer)
    assert (refused.value.code, refused.value.field) == ("promotion-refused", "code")
    assert refused.value.params["reason"] == refused.value.reason
    return refused.value.reason


def states(billing, **options):
    return [voucher.state for voucher in operator(billing).vouchers.list(**options).items]


# Making


def test_a_voucher_is_told_once_and_listed_without_its_code(billing, clock):
    made = one(billing, "10.00", expires_at=clock.now() + DAY, prefix="gift")

    [listed] = operator(billing).vouchers.list().items

    assert re.fullmatch(rf"GIFT(-[{ALPHABET}]{{4}}){{4}}", made.code)
    assert (listed.id, listed.batch, listed.amount) == (made.id, made.batch, made.amount)
    assert (listed.state, listed.ending, listed.expires_at) == ("open", made.code[-2:], clock.now() + DAY)
    assert (listed.created_at, listed.actor) == (clock.now(), "alice@nimbus.example")
    assert (listed.redeemed_by, listed.redeemed_at, listed.transaction_id) == (None, None, None)
    assert made.code not in repr(made)
    assert billing.check().ok


def test_one_act_makes_a_batch_and_the_audit_names_it_without_a_code(billing):
    made = make(billing, "2.50", count=40, prefix="X", reason="a fair")

    [act] = operator(billing).audit.list().items

    assert (act.actor, act.action, act.reason) == ("alice@nimbus.example", "create-vouchers", "a fair")
    assert act.target == made[0].batch
    assert (act.after["count"], act.after["amount"], act.after["total"]) == (40, "2.50 EUR", "100.00 EUR")
    assert not [voucher for voucher in made if voucher.code in str(act) or voucher.code[-4:] in str(act)]
    assert {voucher.batch for voucher in made} == {act.target}
    assert [voucher.id for voucher in made] == sorted(voucher.id for voucher in made)
    assert billing.check().ok


def test_ten_thousand_at_once_are_all_different(billing):
    made = make(billing, "1.00", count=10_000)

    assert len({voucher.code for voucher in made}) == len({voucher.id for voucher in made}) == 10_000
    assert {len(voucher.code) for voucher in made} == {19}
    assert set("".join(voucher.code for voucher in made)) == {*ALPHABET, "-"}
    assert value(billing, "SELECT count(*) FROM prepaid_voucher WHERE book_id = :book") == 10_000
    assert redeem(billing, made[7777].code).amount == eur("1")
    assert billing.check().ok


def test_codes_of_two_batches_have_nothing_in_common(billing):
    first, second = make(billing, count=50), make(billing, count=50)

    assert not {voucher.code for voucher in first} & {voucher.code for voucher in second}
    assert first[0].batch != second[0].batch


def test_what_cannot_be_a_voucher_is_refused_by_name_before_anything_is_written(billing):
    give(billing, "1")
    before, wrong = counts(billing), []
    for options, kinds, field in [
        *(({"amount": bad}, InvalidAmount, "amount") for bad in [*NOT_MONEY, *NOT_POSITIVE, *NOT_WHOLE]),
        *(({"amount": bad}, InvalidRequest, "currency") for bad in NOT_IN_USE),
        ({"amount": Money(MAX_UNITS // 10_000 * 10_000, "EUR"), "count": 2}, AmountOutOfRange, "amount"),
        *(({"count": bad}, InvalidRequest, "count") for bad in [0, -1, 10_001, 1.0, "1", True, None, []]),
        *(({"expires_at": bad}, InvalidRequest, "expires_at") for bad in [*NOT_INSTANTS, *PAST]),
        *(
            ({"credit_valid_for": bad}, InvalidRequest, "credit_valid_for")
            for bad in [timedelta(0), timedelta(seconds=59), -DAY, timedelta.max, 60, 60.0, "1 d", True, []]
        ),
        *(({"prefix": bad}, InvalidRequest, "prefix") for bad in ["x" * 17, "-", "a b", "\x00", 0, 5, b"", []]),
        *(({"reason": bad}, InvalidRequest, "reason") for bad in not_texts(500)),
    ]:
        wanted = {"amount": eur("10"), **options}
        try:
            operator(billing).vouchers.create(wanted.pop("amount"), **wanted)
        except RequestRefused as refused:
            if type(refused) is not kinds or refused.field != field:
                wrong.append(f"{options}: {type(refused).__name__} of {refused.field}")
        else:
            wrong.append(f"{options}: was taken")

    assert not wrong, "\n".join(wrong)
    assert counts(billing) == before
    assert billing.check().ok


# Redeeming


def test_a_code_is_promotional_credit_at_once_and_without_end(billing, ada, clock):
    made = one(billing, "10.00")

    got = redeem(billing, made.code)

    assert got == RedeemedVoucher(ada.transactions().items[0].id, eur("10"), None)
    assert parts(ada.balance()) == ("10.00", "0.00", "10.00")
    assert lines(ada) == [("voucher", "10.00")]
    assert ada.transactions(kind="voucher").items[0].description == f"Voucher …{made.code[-2:]}"
    assert flow(billing, "promotion", "wallet") == "10.00"
    [grant] = ada.grants()
    assert (grant.kind, grant.size, grant.expires_at, grant.topup_id) == ("promotional", eur("10"), None, None)
    [listed] = operator(billing).vouchers.list().items
    assert (listed.state, listed.redeemed_by, listed.redeemed_at) == ("redeemed", ADA, clock.now())
    assert listed.transaction_id == got.transaction_id
    assert billing.check().ok


def test_its_credit_lasts_from_the_moment_it_is_redeemed(billing, ada, clock):
    made = one(billing, "10.00", credit_valid_for=3 * DAY)
    clock.advance(days=100)

    got = redeem(billing, made.code)

    assert got.expires_at == clock.now() + 3 * DAY
    clock.set(got.expires_at - TICK)
    assert parts(ada.balance()) == ("10.00", "0.00", "10.00")
    clock.set(got.expires_at)
    assert parts(ada.balance()) == ("0.00", "0.00", "0.00")
    billing.run_due()
    assert lines(ada) == [("voucher", "10.00"), ("expiry", "-10.00")]
    assert redeem(billing, made.code) == got  # also after all this
    assert billing.check().ok


def test_the_same_customer_gets_the_first_answer_again_and_no_second_credit(billing, ada, clock):
    made = one(billing, credit_valid_for=DAY, expires_at=clock.now() + DAY)
    first = redeem(billing, made.code)
    before = counts(billing)
    for _ in range(12):  # more than may be tried in vain
        clock.advance(hours=3)
        assert redeem(billing, made.code) == first

    assert counts(billing) == before
    assert lines(ada) == [("voucher", "10.00")]
    assert billing.check().ok


def test_another_customer_hears_that_it_is_used(billing):
    made = one(billing)
    redeem(billing, made.code)

    assert refusal(billing, made.code, EVE) == "already-used"
    assert billing.customer(EVE).balance().settled == eur("0")
    assert counts(billing)["code_attempt"] == 0
    assert billing.check().ok


@pytest.mark.parametrize(
    ("after", "outcome"), [(-TICK, "credit"), (timedelta(0), "expired"), (TICK, "expired"), (900 * DAY, "expired")]
)
@SQLITE
def test_a_voucher_counts_until_just_before_it_expires(billing, clock, after, outcome):
    expiry = clock.now() + DAY
    made = one(billing, expires_at=expiry)
    clock.set(expiry + after)

    if outcome == "credit":
        assert states(billing) == states(billing, state="open") == ["open"]
        assert redeem(billing, made.code).amount == eur("10")
    else:
        assert states(billing) == states(billing, state="expired") == ["expired"]
        assert refusal(billing, made.code) == "expired"
        assert counts(billing)["code_attempt"] == 0
    assert billing.check().ok


def test_a_code_that_expired_says_when_in_the_days_of_the_seller(billing, clock):
    expiry = clock.now().replace(hour=23, minute=30)  # half past midnight in Berlin
    made = one(billing, expires_at=expiry)
    clock.set(expiry)

    with pytest.raises(PromotionRefused, match=r"^This code expired on 2026-11-24\.$") as refused:
        redeem(billing, made.code)

    assert refused.value.params == {"reason": "expired", "expires_at": expiry}
    assert date(2026, 11, 23) == expiry.date()


@pytest.mark.parametrize(
    "typed",
    [
        str.lower,
        lambda code: f" {code}\n",
        lambda code: code.replace("-", ""),
        lambda code: "".join(chr(ord(symbol) + 0xFEE0) for symbol in code),
        lambda code: code.replace("GIFT-", "gift").title(),
    ],
)
@SQLITE
def test_a_code_may_be_typed_in_many_ways(billing, typed):
    made = one(billing, prefix="GIFT")
    first = redeem(billing, typed(made.code))

    assert redeem(billing, made.code) == first


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        " ",
        "GIFT",
        "2345-6789-ABCD-EFGH",
        "2345 6789 ABCD EFGH",
        "x" * 65,
        "9" * 100_000,
        "\ud800",
        "a\x00b",
        "' OR 1=1 --",
        "%",
    ],
)
@SQLITE
def test_what_is_no_code_is_like_one_that_nobody_knows(billing, wrong):
    one(billing)

    with pytest.raises(PromotionRefused, match=r"^This code is not known or does not apply to you\.$") as refused:
        redeem(billing, wrong)

    assert refused.value.reason == "unknown"
    assert value(billing, "SELECT misses FROM prepaid_code_attempt WHERE book_id = :book") == 1
    assert states(billing) == ["open"]
    assert billing.check().ok


@pytest.mark.parametrize("change_one", [lambda code: code[:-1], lambda code: f"{code}\u200b", lambda code: f"{code}2"])
@SQLITE
def test_nearly_the_code_is_not_the_code(billing, change_one):
    assert refusal(billing, change_one(one(billing).code)) == "unknown"


@pytest.mark.parametrize("code", [None, 0, False, 5, 5.0, b"", b"GIFT", [], {}, object()])
@SQLITE
def test_what_is_no_text_is_no_code_and_no_attempt(billing, code):
    with pytest.raises(InvalidRequest) as refused:
        redeem(billing, code)

    assert refused.value.field == "code"
    assert counts(billing)["code_attempt"] == 0


def test_a_customer_who_is_not_registered_is_not_found(billing):
    made = one(billing)

    with pytest.raises(NotFound) as refused:
        redeem(billing, made.code, "nobody")

    assert refused.value.field == "customer"
    assert states(billing) == ["open"]


def test_a_frozen_customer_redeems_nothing_and_learns_nothing(billing):
    made = one(billing)
    operator(billing).customers.freeze(ADA, reason="odd")
    for code in (made.code, "2345-6789-ABCD-EFGH", ""):
        with pytest.raises(CustomerFrozen):
            redeem(billing, code)
    assert (states(billing), counts(billing)["code_attempt"]) == (["open"], 0)

    operator(billing).customers.unfreeze(ADA, reason="all is well")
    assert redeem(billing, made.code).amount == eur("10")
    assert billing.check().ok


def test_a_customer_who_is_frozen_just_then_has_no_credit(billing, monkeypatch):
    """The freeze comes between the look and the turn."""
    from prepaid.store import accounts

    made, opened = one(billing), accounts.ensure_wallet

    def freeze_first(*arguments):
        operator(billing).customers.freeze(ADA, reason="odd")
        opened(*arguments)

    monkeypatch.setattr(accounts, "ensure_wallet", freeze_first)
    with pytest.raises(CustomerFrozen):
        redeem(billing, made.code)

    assert states(billing) == ["open"]
    assert billing.check().ok


@pytest.mark.parametrize("how", ["ended", "used"])
def test_what_happens_to_a_voucher_just_then_is_what_counts(billing, clock, monkeypatch, how):
    """Between the look and the turn it is ended, or somebody else has it."""
    from prepaid.store import accounts

    made, opened = one(billing, expires_at=clock.now() + DAY), accounts.ensure_wallet

    def be_first(*arguments):
        monkeypatch.setattr(accounts, "ensure_wallet", opened)
        if how == "ended":
            operator(billing).vouchers.end(made.id, reason="lost")
        else:
            redeem(billing, made.code, EVE)
        opened(*arguments)

    monkeypatch.setattr(accounts, "ensure_wallet", be_first)
    assert refusal(billing, made.code) == {"ended": "unknown", "used": "already-used"}[how]
    assert billing.customer(ADA).transactions().items == ()
    assert counts(billing)["code_attempt"] == (1 if how == "ended" else 0)
    assert billing.check().ok


def test_a_balance_without_room_leaves_the_voucher_open(billing, ada):
    made = one(billing, "10.00")
    give(billing, str(Money(MAX_UNITS - 5_000_000, "EUR").amount), kind="goodwill", key="huge")
    before = counts(billing)

    with pytest.raises(AmountOutOfRange) as refused:
        redeem(billing, made.code)

    assert refused.value.field == "amount"
    # The account that it would have come from is open now, and nothing else.
    assert (states(billing), counts(billing)) == (["open"], {**before, "account": before["account"] + 1})
    charge(billing, "20")
    assert redeem(billing, made.code).amount == eur("10")
    assert billing.check().ok


def test_a_voucher_of_a_currency_nobody_uses_any_more_stays_open(billing, open_billing):
    [made] = operator(billing).vouchers.create(Money.of("5.00", "USD"))
    euros = open_billing(currencies=("EUR",))

    with pytest.raises(InvalidRequest) as refused:
        redeem(euros, made.code)

    assert (refused.value.field, states(billing)) == ("currency", ["open"])
    assert redeem(billing, made.code).amount == Money.of("5.00", "USD")
    assert str(billing.customer(ADA).balance("USD").promotional) == "5.00 USD"


def test_credit_of_a_voucher_pays_a_debt_and_tells_that_a_level_is_recovered(billing, ada):
    from prepaid import Thresholds

    operator(billing).settings.thresholds(Thresholds(low=eur("5")))
    charge(billing, "4", allow_negative=True)
    redeem(billing, one(billing, "10.00").code)

    assert parts(ada.balance()) == ("6.00", "0.00", "6.00")
    assert len(told(billing, "credit-recovered")) == 1
    assert billing.check().ok


def test_credit_of_a_voucher_is_taken_back_like_any_that_was_given(billing, ada):
    redeem(billing, one(billing, "10.00").code)
    charge(billing, "3")
    [grant] = ada.grants()

    operator(billing).customers.void_grant(grant.id, reason="stolen")

    assert lines(ada) == [("voucher", "10.00"), ("charge", "-3.00"), ("adjustment", "-7.00")]
    assert flow(billing, "wallet", "promotion") == "7.00"
    assert billing.check().ok


def test_a_charge_that_a_voucher_paid_goes_back_to_it(billing, ada):
    redeem(billing, one(billing, "10.00", credit_valid_for=DAY).code)
    used = charge(billing, "3")

    billing.usage.reverse(used.transaction_id, key="back", reason="outage")

    assert parts(ada.balance()) == ("10.00", "0.00", "10.00")
    assert billing.check().ok


def test_the_dashboard_shows_vouchers_apart_from_bonus_and_goodwill(billing, clock):
    give(billing, "1", kind="goodwill")
    redeem(billing, one(billing, "10.00").code)
    make(billing, "99.00", count=3)  # what nobody redeemed is no credit yet

    figures = operator(billing).reports.summary(clock.now() - DAY, clock.now() + DAY)

    assert (figures.vouchers, figures.goodwill, figures.bonus_granted) == (eur("10"), eur("1"), eur("0"))
    assert figures.liability == eur("11")


def test_a_voucher_put_back_by_hand_is_not_credited_twice(billing, ada):
    made = one(billing)
    redeem(billing, made.code)
    gone = "redeemed_by = NULL, redeemed_at = NULL, transaction_id = NULL"
    change(billing, f"UPDATE prepaid_voucher SET {gone} WHERE id = :id", id=made.id)

    for customer in (EVE, ADA):
        with pytest.raises(IntegrityFault):
            redeem(billing, made.code, customer)

    assert billing.customer(EVE).transactions().items == ()
    assert lines(ada) == [("voucher", "10.00")]


@SQLITE
def test_a_voucher_that_is_open_and_yet_cannot_be_had_is_a_fault(billing, monkeypatch):
    from prepaid.store import vouchers

    made = one(billing)
    monkeypatch.setattr(vouchers, "redeem", lambda *_, **__: False)

    with pytest.raises(IntegrityFault):
        redeem(billing, made.code)

    assert billing.customer(ADA).transactions().items == ()


@SQLITE
def test_a_code_that_is_made_twice_by_chance_is_kept_for_neither(billing, monkeypatch):
    monkeypatch.setattr("prepaid.vouchers.secret_numbers", lambda count, *, below: [7] * count)
    first = one(billing)
    for count in (1, 2):
        with pytest.raises(IntegrityFault):
            make(billing, count=count)

    assert states(billing) == ["open"]
    assert redeem(billing, first.code).amount == eur("10")
    assert billing.check().ok


# Ending and listing


def test_an_ended_voucher_is_like_one_that_nobody_knows(billing):
    first, second = make(billing, count=2)

    assert operator(billing).vouchers.end(first.id, reason="lost") == 1
    assert operator(billing).vouchers.end(first.id, reason="lost again") == 0

    assert refusal(billing, first.code) == "unknown"
    assert redeem(billing, second.code).amount == eur("10")
    acts = [act for act in operator(billing).audit.list().items if act.action == "end-vouchers"]
    assert [(act.target, act.reason, act.after["count"]) for act in acts] == [(first.id, "lost", 1)]
    assert billing.check().ok


def test_the_end_of_a_batch_leaves_what_was_redeemed_or_expired(billing, ada, clock):
    made = make(billing, count=4, expires_at=clock.now() + DAY)
    other = one(billing)
    redeem(billing, made[0].code)
    operator(billing).vouchers.end(made[1].id, reason="lost")

    assert operator(billing).vouchers.end(made[0].batch, reason="the fair is over") == 2
    assert operator(billing).vouchers.end(made[0].batch, reason="once more") == 0

    assert states(billing, batch=made[0].batch) == ["ended", "ended", "ended", "redeemed"]
    assert refusal(billing, made[3].code, EVE) == "unknown"
    assert redeem(billing, made[0].code).amount == eur("10")
    assert redeem(billing, other.code).amount == eur("10")
    clock.advance(days=2)
    late = one(billing, expires_at=clock.now() + DAY)
    clock.advance(days=1)
    assert operator(billing).vouchers.end(late.id, reason="late") == 0
    assert refusal(billing, late.code) == "expired"
    assert billing.check().ok


@pytest.mark.parametrize("wanted", [NO_VOUCHER, NO_BATCH, "", "x", "vou_\x00", "x" * 999, None, 5, True, b"", []])
@SQLITE
def test_what_does_not_exist_is_not_ended(billing, wanted):
    with pytest.raises(NotFound) as refused:
        operator(billing).vouchers.end(wanted, reason="lost")

    assert refused.value.field == "voucher"


@pytest.mark.parametrize("reason", ["", "  ", *not_texts(500)])
@SQLITE
def test_an_end_needs_a_reason(billing, reason):
    made = one(billing)

    with pytest.raises(InvalidRequest) as refused:
        operator(billing).vouchers.end(made.id, reason=reason)

    assert (refused.value.field, states(billing)) == ("reason", ["open"])


def test_vouchers_are_listed_newest_first_by_batch_and_state(billing, clock):
    first = make(billing, count=3, expires_at=clock.now() + DAY)
    second = make(billing, count=4)
    redeem(billing, first[1].code)
    operator(billing).vouchers.end(second[0].id, reason="lost")
    clock.advance(days=1)
    everything = walk(operator(billing).vouchers.list)

    assert [each.id for each in everything] == [each.id for each in reversed(first + second)]
    for size in (1, 2, 6, 7, 200):
        assert walk(operator(billing).vouchers.list, limit=size) == everything
    assert states(billing, batch=first[0].batch) == ["expired", "redeemed", "expired"]
    assert states(billing, batch=second[0].batch) == ["open", "open", "open", "ended"]
    for state in ("open", "redeemed", "expired", "ended"):
        found = walk(operator(billing).vouchers.list, state=state, limit=1)
        assert found == [each for each in everything if each.state == state]
        assert found
    assert operator(billing).vouchers.list(batch=NO_BATCH).items == ()


@SQLITE
def test_lists_are_asked_for_properly(billing):
    listed = operator(billing).vouchers.list
    for field, options in [
        *(("limit", {"limit": bad}) for bad in NOT_LIMITS),
        *(("cursor", {"cursor": bad}) for bad in [*NOT_CURSORS, "g.x", "g.1"]),
        *(("state", {"state": bad}) for bad in ["", "OPEN", "used", 5, True, b"open", []]),
        *(("batch", {"batch": bad}) for bad in ["", "x", 5, True, b"", []]),
    ]:
        with pytest.raises(RequestRefused) as refused:
            listed(**options)
        assert refused.value.field == field, options


# What a check sees that goes on from where another one ended


def test_a_voucher_that_was_redeemed_since_is_proved_by_a_check_of_what_is_new(billing, clock):
    first, second = make(billing, count=2)
    redeem(billing, first.code)
    clock.advance(hours=3)
    place = billing.check().place
    clock.advance(hours=3)
    redeem(billing, second.code)
    assert billing.check(since=place).ok

    set_owner = "UPDATE prepaid_voucher SET redeemed_by = :owner WHERE id = :id"
    change(billing, set_owner, owner=EVE, id=second.id)
    [finding] = billing.check(since=place).findings[:1]
    assert (finding.invariant, finding.keys) == ("B4", ("voucher", second.id))

    change(billing, set_owner, owner=ADA, id=second.id)
    change(billing, set_owner, owner=EVE, id=first.id)
    assert billing.check(since=place).ok  # nothing new touches it
    assert not billing.check().ok


# Books, modes, and what is kept


def test_books_and_modes_share_no_voucher(billing, open_billing, place):
    made = one(billing)
    for changes in ({"mode": "live", "gateways": ()}, {"book": f"{place.book}-2"}):
        other = open_billing(**changes)
        other.customers.register(ADA)
        assert refusal(other, made.code) == "unknown"
        assert operator(other).vouchers.list().items == ()
        with pytest.raises(NotFound):
            operator(other).vouchers.end(made.id, reason="not mine")
        with pytest.raises(NotFound):
            operator(other).vouchers.end(made.batch, reason="not mine")
        assert other.check().ok

    assert counts(billing)["code_attempt"] == 0
    assert redeem(billing, made.code).amount == eur("10")


@SQLITE
def test_the_same_code_in_two_books_has_two_hashes(billing, open_billing, place):
    from prepaid.core.vouchers import voucher_hash

    made = one(billing)
    [(kept, book)] = rows(billing, "SELECT code_hash, book_id FROM prepaid_voucher WHERE book_id = :book")
    identity = made.code.replace("-", "").lower()

    assert kept == voucher_hash(book, identity) != voucher_hash(book + 1, identity)


@SQLITE
def test_no_code_is_found_in_the_database_or_in_any_log(billing, place, caplog):
    caplog.set_level(logging.DEBUG)
    made = make(billing, count=30, prefix="SECRETPREFIX")
    redeem(billing, made[0].code)
    refusal(billing, made[0].code, EVE)
    operator(billing).vouchers.end(made[1].id, reason="lost")
    refusal(billing, made[1].code)
    refusal(billing, f"{made[2].code}9")
    billing.run_due()
    kept = []
    with closing(sqlite3.connect(place.url.removeprefix("sqlite:///"))) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            kept += [str(cell) for row in connection.execute(f'SELECT * FROM "{table}"') for cell in row]
    haystack = "\n".join([*kept, caplog.text, repr(made), repr(operator(billing).vouchers.list())]).lower()

    assert "prepaid_voucher" in tables
    assert made[0].id in haystack
    for voucher in made:
        for piece in (voucher.code, voucher.code.replace("-", ""), voucher.code[13:27]):
            assert piece.lower() not in haystack
    assert "secretprefix" not in haystack


def test_a_key_of_an_operator_is_never_that_of_a_voucher(billing):
    """A grant under the voucher's id as its key is another operation, and does not stand in its way."""
    made = one(billing)
    give(billing, "1", key=made.id)
    redeem(billing, made.code)

    with pytest.raises(KeyConflict):
        give(billing, "2", key=made.id)
    assert billing.check().ok
