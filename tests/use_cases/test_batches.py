"""Charges in batches: what they would be one by one, whatever is in the batch and whoever else posts."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from prepaid import Charge, InsufficientCredit, InvalidRequest, KeyConflict, Money, RequestRefused, Thresholds
from prepaid.core.instants import to_micros
from prepaid.store import bulk, raw
from prepaid.usage import batches
from prepaid.wallets import levels
from tests.use_cases.panel import POSTGRESQL
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    charge,
    database,
    eur,
    everything,
    give,
    hold,
    operator,
    rows,
    told,
    value,
)

HOUR = timedelta(hours=1)

_books = itertools.count(1)


def use(amount="1", key="a", customer=ADA, **options):
    return Charge(customer, eur(amount), key, **options)


def said(outcomes):
    return [(outcome.status, str(outcome.balance_after.amount)) for outcome in outcomes]


# The same as one by one


def one_by_one(billing, charges):
    """Post charges without a batch and give what a batch would answer."""
    answers = []
    for wanted in charges:
        options = {name: getattr(wanted, name) for name in ("resource", "period", "allow_negative", "description")}
        try:
            outcome = billing.usage.charge(wanted.customer, wanted.amount, key=wanted.key, **options)
            answers.append((outcome.status, outcome.balance_after, "", ""))
        except RequestRefused as refused:
            status = {InsufficientCredit: "insufficient", KeyConflict: "conflict"}.get(type(refused), "refused")
            known = status != "refused"
            balance = (
                billing.customer(wanted.customer).balance(wanted.amount.currency).settled
                if known
                else Money.zero(wanted.amount.currency)
            )
            answers.append((status, balance, refused.code, refused.field))
    return answers


def at_once(billing, charges):
    return [
        (outcome.status, outcome.balance_after, outcome.code, outcome.field)
        for outcome in billing.usage.charge_many(iter(charges))
    ]


class Book:
    """A book that stories are told in, in batches or one by one."""

    def __init__(self, open_billing, clock, post):
        self.billing, self.clock, self._post = open_billing(book=f"batch-{next(_books)}"), clock, post
        for customer in (ADA, EVE):
            self.billing.customers.register(customer, currency="EUR")
        self._numbers = itertools.count(1)

    def tell(self, step):
        """Let one thing happen and give the answer in words."""
        name, *what = step
        try:
            return getattr(self, name)(*what)
        except RequestRefused as refused:
            return type(refused).__name__, str(refused)

    def give(self, customer, amount, kind, hours):
        expires_at = None if hours is None else self.clock.now() + hours * HOUR
        give(self.billing, amount, customer=customer, kind=kind, key=f"g{next(self._numbers)}", expires_at=expires_at)

    def charges(self, items):
        now = self.clock.now().replace(minute=0, second=0, microsecond=0)
        charges = []
        for customer, amount, key, resource, performed in items:
            more = {"resource": resource, "period": (now - HOUR, now)} if resource else {}
            money = (
                Money.of("7", "JPY") if amount == "yen" else Money.of("2", "GBP") if amount == "gbp" else eur(amount)
            )
            charges.append(Charge(customer, money, f"k{key}", description="h", allow_negative=performed, **more))
        return self._post(self.billing, charges)

    def hold(self, customer, amount):
        hold(self.billing, amount, customer=customer, key=f"h{next(self._numbers)}", hours=1)

    def overdraft(self, customer, amount):
        operator(self.billing).customers.overdraft(customer, eur(amount), reason="trust")

    def levels(self, amount, grace):
        operator(self.billing).settings.thresholds(
            Thresholds(low=eur(amount), negative=eur("0"), suspend=eur("-2"), grace=timedelta(hours=grace))
        )


CUSTOMERS = st.sampled_from([ADA, ADA, ADA, EVE])
EUROS = st.sampled_from(["0.5", "1", "2", "3", "5"])
ITEM = st.tuples(
    st.sampled_from([ADA, ADA, ADA, EVE, EVE, "nobody"]),
    st.one_of(EUROS, EUROS, st.sampled_from(["yen", "gbp", "20"])),
    st.integers(1, 25),
    st.sampled_from(["", "", "", "vm-1", "vm-2"]),
    st.sampled_from([False, False, False, True]),
)
STEP = st.one_of(
    st.tuples(
        st.just("give"),
        CUSTOMERS,
        EUROS,
        st.sampled_from(["promotional", "goodwill"]),
        st.sampled_from([None, 1, 2, 30]),
    ),
    st.tuples(st.just("charges"), st.lists(ITEM, min_size=2, max_size=12)),
    st.tuples(st.just("charges"), st.lists(ITEM, min_size=1, max_size=6)),
    st.tuples(st.just("hold"), CUSTOMERS, EUROS),
    st.tuples(st.just("wait"), st.sampled_from([1, 45, 90])),
    st.tuples(st.just("overdraft"), CUSTOMERS, EUROS),
    st.tuples(st.just("levels"), EUROS, st.sampled_from([0, 1])),
)


def story_rows(billing):
    """Give the rows of a book in an order that batches keep: that of each wallet."""
    found = everything(
        billing, order="(SELECT owner FROM prepaid_account a WHERE a.id = wallet_id), wallet_id, wallet_seq"
    )
    found["account"].sort(key=lambda row: (row["kind"], row["owner"], row["currency"]))
    found["outbox"].sort(key=lambda row: str(row["payload"]))
    return found


def same_stories(open_billing, clock, examples, steps=(5, 10)):
    @settings(
        max_examples=examples,
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.lists(STEP, min_size=steps[0], max_size=steps[1]))
    def stories(steps):
        batched = Book(open_billing, clock, at_once)
        single = Book(open_billing, clock, one_by_one)
        for step in [("give", ADA, "20", "goodwill", None), *steps]:
            if step[0] == "wait":
                clock.advance(minutes=step[1])
            else:
                assert batched.tell(step) == single.tell(step), step
                # A batch deals with what is due also where all of it was posted before; a charge answers at once then.
                batched.billing.run_due(only="credit")
                single.billing.run_due(only="credit")
        for book in (batched, single):
            assert book.billing.check().findings == ()
        assert story_rows(batched.billing) == story_rows(single.billing)
        for book in (batched, single):
            book.billing.close()

    stories()


@pytest.mark.parametrize("examples", [3, pytest.param(300, marks=pytest.mark.full)])
def test_any_story_in_batches_leaves_what_it_leaves_one_by_one(open_billing, clock, examples):
    same_stories(open_billing, clock, examples)


@SQLITE
def test_a_driver_without_a_way_of_its_own_writes_the_same(open_billing, clock, monkeypatch):
    monkeypatch.setattr(bulk, "MODULES", {})
    same_stories(open_billing, clock, 2)


# What an item is answered


def test_each_item_is_answered_in_its_place(billing):
    give(billing, "5")
    wanted = [
        use("4", "a"),
        use("4", "a"),
        use("1", "a"),
        use("2", "b"),
        "no charge",
        use("1", "c", "nobody"),
        Charge(ADA, Money.of("1", "GBP"), "d"),
        use("1", "e", "nobody", allow_negative=True),
        use("1", "f", EVE),
        use("2", "g", EVE, allow_negative=True),
        use("0.5", "h"),
    ]

    outcomes = billing.usage.charge_many(wanted)

    assert [(outcome.status, outcome.code, outcome.field) for outcome in outcomes] == [
        ("posted", "", ""),
        ("duplicate", "", ""),
        ("conflict", "key-conflict", "key"),
        ("insufficient", "insufficient-credit", "amount"),
        ("refused", "invalid-request", "charges"),
        ("refused", "not-found", "customer"),
        ("refused", "invalid-request", "currency"),
        ("refused", "not-found", "customer"),
        ("insufficient", "insufficient-credit", "amount"),
        ("posted", "", ""),
        ("posted", "", ""),
    ]
    assert [outcome.key for outcome in outcomes] == ["a", "a", "a", "b", "", "c", "d", "e", "f", "g", "h"]
    assert [str(outcomes[place].balance_after) for place in (0, 1, 2, 3, 9, 10)] == [
        "1.00 EUR",
        "1.00 EUR",
        "1.00 EUR",
        "1.00 EUR",
        "-2.00 EUR",
        "0.50 EUR",
    ]
    assert outcomes[1].transaction_id == outcomes[0].transaction_id != ""
    assert billing.check().findings == ()


def test_a_batch_that_is_given_again_answers_what_it_answered(billing):
    give(billing, "5")
    first = billing.usage.charge_many([use("1", "a"), use("3", "b"), use("9", "c")])

    again = billing.usage.charge_many([use("9", "c"), use("3", "b"), use("1", "d"), use("1", "a")])

    assert said(again) == [("insufficient", "1.00"), ("duplicate", "1.00"), ("posted", "0.00"), ("duplicate", "4.00")]
    assert (again[1].transaction_id, again[3].transaction_id) == (first[1].transaction_id, first[0].transaction_id)
    assert value(billing, "SELECT count(*) FROM prepaid_transfer WHERE book_id = :book AND kind = 'charge'") == 3


def test_a_key_that_emptied_its_wallet_is_no_refusal(billing):
    give(billing, "5")
    charge(billing, "5", key="a")

    assert [outcome.status for outcome in billing.usage.charge_many([use("5", "a"), use("1", "b")])] == [
        "duplicate",
        "insufficient",
    ]


def test_a_period_is_charged_once_by_batch_and_by_charge(billing, clock):
    give(billing, "5")
    hour = (clock.now() - HOUR, clock.now())
    mine = {"resource": "vm-1", "period": hour}

    [first, second] = billing.usage.charge_many([use("1", "a", **mine), use("1", "b", **mine)])
    [third] = billing.usage.charge_many([use("1", "c", **mine)])

    assert (first.status, second.status, second.field) == ("posted", "conflict", "period")
    assert (third.status, third.field, third.balance_after) == ("conflict", "period", eur("4"))
    with pytest.raises(KeyConflict):
        charge(billing, "1", key="d", **mine)


def test_the_hour_that_autumn_repeats_is_two_hours(billing):
    give(billing, "5")
    twice = datetime(2026, 10, 25, 2, tzinfo=ZoneInfo("Europe/Berlin"))
    begins = [twice.replace(hour=1), twice, twice.replace(fold=1), twice.replace(hour=3)]

    outcomes = billing.usage.charge_many(
        use("1", f"hour-{number}", resource="vm-1", period=hour)
        for number, hour in enumerate(itertools.pairwise(begins))
    )

    assert said(outcomes) == [("posted", "4.00"), ("posted", "3.00"), ("posted", "2.00")]
    hours = (
        "SELECT period_start, period_end FROM prepaid_transfer WHERE kind = 'charge' AND book_id = :book ORDER BY id"
    )
    assert rows(billing, hours) == [(to_micros(begin), to_micros(end)) for begin, end in itertools.pairwise(begins)]
    assert billing.check().findings == ()


def test_a_batch_that_posts_nothing_writes_nothing(billing):
    give(billing, "5")
    charge(billing, "1")  # the account of revenue is open
    before = everything(billing)

    billing.usage.charge_many([use("9", "a"), use("1", "b", EVE), use("1", "c", "nobody"), 7])
    assert billing.usage.charge_many([]) == ()

    assert everything(billing) == before


@SQLITE
def test_a_generator_is_read_chunk_by_chunk(billing, monkeypatch):
    give(billing, "5")
    monkeypatch.setattr("prepaid.wallets.MOST", 2)
    seen = []

    def source():
        for number in range(5):
            seen.append(value(billing, "SELECT count(*) FROM prepaid_transfer WHERE kind = 'charge'"))
            yield use("1", f"k{number}")

    outcomes = billing.usage.charge_many(source())

    assert [outcome.status for outcome in outcomes] == ["posted"] * 5
    assert seen == [0, 0, 2, 2, 4]


@SQLITE
@pytest.mark.parametrize("wrong", [None, 5, "charges", use()])
def test_what_is_no_list_of_charges_is_refused(billing, wrong):
    if wrong == "charges":
        assert {outcome.status for outcome in billing.usage.charge_many(wrong)} == {"refused"}
    else:
        with pytest.raises(InvalidRequest) as refused:
            billing.usage.charge_many(wrong)
        assert refused.value.field == "charges"


def test_levels_are_told_once_each_with_the_charge_that_crossed(billing):
    operator(billing).settings.thresholds(Thresholds(low=eur("3"), negative=eur("0")))
    give(billing, "5")

    outcomes = billing.usage.charge_many([use("1", f"k{number}", allow_negative=True) for number in range(8)])

    assert len(told(billing, "credit-low")) == 1
    assert len(told(billing, "credit-negative")) == 1
    about = rows(
        billing, "SELECT dedupe_key FROM prepaid_outbox WHERE book_id = :book AND dedupe_key LIKE 'credit-low/%'"
    )
    assert [tuple(row) for row in about] == [(f"credit-low/{outcomes[2].transaction_id}",)]


def test_wallets_that_cross_nothing_cost_no_question(billing, monkeypatch):
    give(billing, "50")
    charge(billing, "1")
    asked = []
    monkeypatch.setattr(levels, "after_debits", lambda *_: asked.append(1))
    billing.usage.charge_many([use("1", f"k{number}") for number in range(5)])

    assert asked == []


@pytest.mark.parametrize("words", ["\\N", "\\.", "NULL", "\\", "%s", "50 % \N{GRINNING FACE}", "<given>"])
def test_words_that_mean_something_to_an_engine_come_back_as_they_were(billing, ada, words):
    give(billing, "5")

    [outcome] = billing.usage.charge_many([use("1", description=words, resource=words)])

    line = ada.transactions().items[0]
    assert (outcome.status, line.description, line.resource) == ("posted", words, words)


def test_text_comes_back_as_it_was(billing, ada):
    give(billing, "5")
    words = "Ünïcode \\ \"quoted\" 'single' %s :x ✓ 😀"

    billing.usage.charge_many(
        [use("1", "naïve\\key", description=words, resource="vm'1", project='p"2'), use("1", "b")]
    )

    [plain, line] = ada.transactions().items[:2]
    assert (line.description, line.resource, plain.description) == (words, "vm'1", "")
    assert (
        billing.usage.charge_many([use("1", "naïve\\key", description=words, resource="vm'1", project='p"2')])[0].status
        == "duplicate"
    )


@POSTGRESQL
def test_charges_are_made_while_those_before_them_are_on_their_way(billing, ada, monkeypatch):
    give(billing, "10")
    made, sent = [], []
    describe, send = batches.described, raw.send

    def describing(context, charged, **options):
        made.append(charged.key)
        return describe(context, charged, **options)

    def sending(cursor, statement, rows):
        def noting():
            for row in rows:
                sent.append(len(made))
                yield row

        send(cursor, statement, noting())

    monkeypatch.setattr(batches, "described", describing)
    monkeypatch.setattr(raw, "send", sending)

    assert said(billing.usage.charge_many([use(key=key) for key in "abc"])) == [
        ("posted", "9.00"),
        ("posted", "8.00"),
        ("posted", "7.00"),
    ]

    assert sent == [1, 2, 3]


@POSTGRESQL
def test_a_charge_that_cannot_be_made_takes_those_before_it_back(billing, ada, monkeypatch):
    give(billing, "10")
    describe, charges = batches.described, [use(key=key) for key in "abc"]

    def describing(context, charged, **options):
        if charged.key == "b":
            raise ZeroDivisionError
        return describe(context, charged, **options)

    with monkeypatch.context() as patched:
        patched.setattr(batches, "described", describing)
        with pytest.raises(ZeroDivisionError):
            billing.usage.charge_many(charges)

    assert ada.balance().available == eur("10")
    assert said(billing.usage.charge_many(charges)) == [("posted", "9.00"), ("posted", "8.00"), ("posted", "7.00")]
    assert billing.check().ok


@POSTGRESQL
def test_a_batch_that_is_given_up_half_way_is_run_again_whole(billing, ada, monkeypatch):
    from psycopg.errors import SerializationFailure

    give(billing, "10")
    send, failures = raw.send, [SerializationFailure("could not serialize access")]

    def failing(rows):
        yield from itertools.islice(rows, 2)
        if failures:
            raise failures.pop()
        yield from rows

    monkeypatch.setattr(raw, "send", lambda cursor, statement, rows: send(cursor, statement, failing(iter(rows))))

    outcomes = billing.usage.charge_many([use(key=key) for key in "abc"])

    assert said(outcomes) == [("posted", "9.00"), ("posted", "8.00"), ("posted", "7.00")]
    assert failures == []
    assert len(rows(billing, "SELECT id FROM prepaid_transfer WHERE kind = 'charge' AND book_id = :book")) == 3
    assert billing.check().ok


def test_an_interrupted_batch_gives_its_connection_up(billing, ada, monkeypatch):
    give(billing, "10")
    given_up, execute = [], raw.execute
    event.listen(database(billing).engine, "invalidate", lambda *_: given_up.append(True))

    def interrupted(*parts, **options):
        execute(*parts, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(raw, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            billing.usage.charge_many([use()])

    assert given_up == [True]
    assert said(billing.usage.charge_many([use()])) == [("posted", "9.00")]
