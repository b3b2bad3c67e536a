"""What cannot be right about credit, holds, reversals and levels: refused by class and name, without a row."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from prepaid import (
    AmountOutOfRange,
    BurnOrder,
    CurrencyMismatch,
    InsufficientCredit,
    InvalidAmount,
    InvalidRequest,
    KeyConflict,
    Money,
    NotFound,
    Rate,
    RequestRefused,
    Thresholds,
    WrongState,
)
from prepaid.core.money import MAX_UNITS
from prepaid.core.thresholds import MAX_GRACE
from tests.use_cases.steps import (
    ADA,
    charge,
    counts,
    eur,
    give,
    hold,
    operator,
    reverse,
    run,
    top_up,
)
from tests.use_cases.test_bad_input import (
    NAIVE,
    NOT_CURRENCIES,
    NOT_IN_USE,
    NOT_INSTANTS,
    NOT_KEYS,
    NOT_MONEY,
    NOT_POSITIVE,
    not_texts,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOLD, TRANSACTION, GRANT = (f"{kind}_01m82v7m000000000000000000" for kind in ("hld", "txn", "grt"))
NOT_THERE = ["", "x", "x" * 1000, "../etc", "a\x00", None, True, 5, 5.0, b"x", [], {}]
PAST = [NOW, NOW - timedelta(microseconds=1), NOW - 900 * HOUR, datetime(1, 1, 1, tzinfo=UTC)]
NOT_DURATIONS = [timedelta(0), -HOUR, 367 * 24 * HOUR, timedelta.max, 3600, 3600.0, "2h", None, True, NOW, []]
OUTSIDE_64_BITS = [eur("1") + Money(MAX_UNITS - 1_000_000, "EUR")]
WRONG_ORDERS = [(NOW, NOW), (NOW, NOW - HOUR), (NOW + HOUR, NOW)]
NOT_PERIODS = [None, (), (NOW,), (NOW, None), (NOW, NAIVE), [NOW, NOW + HOUR], "2026", 5, True, NOW, *WRONG_ORDERS]


GRANTS = (("paid", "35"), ("promotional", "0"), ("promotional", "5"))


class Stage:
    """A billing system with one of everything, and its two doors."""

    def __init__(self, billing, simulated):
        self.billing, self.ada, self.ops = billing, billing.customer(ADA), operator(billing)
        top_up(billing, simulated, "50.00")
        give(billing, "5")
        give(billing, "5", effective_at=NOW + HOUR, key="taken", expires_at=NOW + 9 * HOUR)
        # The book's own accounts stay open once they are asked for, also by a request that is refused.
        give(billing, "1", kind="goodwill", effective_at=NOW + HOUR)
        self.used = charge(billing, "20")
        reverse(billing, self.used, "1")
        self.reversed = charge(billing, "1")
        self.reversal = reverse(billing, self.reversed, key="taken")
        self.hold = hold(billing, "6", key="taken")
        self.captured, self.released = hold(billing, "2"), hold(billing, "2")
        billing.usage.capture(self.captured.id, eur("1"))
        billing.usage.release(self.released.id)
        self.paid, self.spent, self.waiting = (self.grant_of(*which) for which in GRANTS)
        run(billing)
        billing.usage.adjust(ADA, eur("1"), key="taken", period=(NOW - HOUR, NOW))

    def grant_of(self, kind, remaining):
        [found] = [
            grant.id
            for grant in self.ops.customers.grants(ADA, all=True)
            if (grant.kind, grant.remaining) == (kind, eur(remaining))
        ]
        return found

    def reserve(self, customer=ADA, amount=None, **options):
        wanted = {"key": "bad", "expires_in": HOUR, **options}
        return self.billing.usage.hold(customer, eur("1") if amount is None else amount, **wanted)

    def capture(self, held=None, amount=None):
        return self.billing.usage.capture((held or self.hold).id, eur("1") if amount is None else amount)

    def give_back(self, transaction=None, amount=None, **options):
        wanted = {"key": "bad", "reason": "oops", **options}
        return self.billing.usage.reverse(transaction or self.used.transaction_id, amount, **wanted)

    def adjust(self, customer=ADA, amount=None, **options):
        wanted = {"key": "bad", "period": (NOW - HOUR, NOW), **options}
        return self.billing.usage.adjust(customer, eur("1") if amount is None else amount, **wanted)

    def grant(self, amount=None, **options):
        wanted = {"kind": "goodwill", "reason": "because", "key": "bad", **options}
        return self.ops.customers.grant(ADA, eur("1") if amount is None else amount, **wanted)

    def usage(self, **options):
        return self.ada.usage(**{"since": NOW - HOUR, "until": NOW, **options})


def each(values, act):
    return [lambda stage, value=value: act(stage, value) for value in values]


REFUSED = {
    # Reserve
    "hold customer": (InvalidRequest, "customer", each(NOT_KEYS, lambda s, v: s.reserve(v))),
    "hold stranger": (NotFound, "customer", each(["nobody"], lambda s, v: s.reserve(v))),
    "hold amount": (
        InvalidAmount,
        "amount",
        each([*NOT_MONEY[1:], *NOT_POSITIVE], lambda s, v: s.reserve(amount=v)),
    ),
    "hold currency": (InvalidRequest, "currency", each(NOT_IN_USE, lambda s, v: s.reserve(amount=v))),
    "hold too much": (
        InsufficientCredit,
        "amount",
        each([eur("1000"), *OUTSIDE_64_BITS, Money.of("1", "USD")], lambda s, v: s.reserve(amount=v)),
    ),
    "hold key": (InvalidRequest, "key", each(NOT_KEYS, lambda s, v: s.reserve(key=v))),
    "hold duration": (InvalidRequest, "expires_in", each(NOT_DURATIONS, lambda s, v: s.reserve(expires_in=v))),
    "hold description": (InvalidRequest, "description", each(not_texts(200), lambda s, v: s.reserve(description=v))),
    "hold resource": (
        InvalidRequest,
        "resource",
        each([*not_texts(191), " vm-1", "vm-1 ", " "], lambda s, v: s.reserve(resource=v)),
    ),
    "hold kind": (InvalidRequest, "kind", each(not_texts(120), lambda s, v: s.reserve(kind=v))),
    "hold project": (InvalidRequest, "project", each(not_texts(120), lambda s, v: s.reserve(project=v))),
    "hold other content": (
        KeyConflict,
        "key",
        each([{"amount": eur("5")}, {"resource": "x"}, {"kind": "x"}], lambda s, v: s.reserve(key="taken", **v)),
    ),
    # Capture and release
    "capture id": (NotFound, "hold", each([*NOT_THERE, HOLD], lambda s, v: s.billing.usage.capture(v, eur("1")))),
    "release id": (NotFound, "hold", each([*NOT_THERE, HOLD], lambda s, v: s.billing.usage.release(v))),
    "capture amount": (
        InvalidAmount,
        "amount",
        each([*NOT_MONEY[1:], *NOT_POSITIVE], lambda s, v: s.capture(amount=v)),
    ),
    "capture currency": (
        CurrencyMismatch,
        "amount",
        each([Money.of("1", "USD"), *NOT_IN_USE], lambda s, v: s.capture(amount=v)),
    ),
    "capture above": (
        AmountOutOfRange,
        "amount",
        each([eur("6.000001"), eur("7"), *OUTSIDE_64_BITS], lambda s, v: s.capture(amount=v)),
    ),
    "capture other amount": (
        KeyConflict,
        "amount",
        each(["0.5", "2"], lambda s, v: s.capture(s.captured, eur(v))),
    ),
    "capture released": (WrongState, "hold", each(["1", "2"], lambda s, v: s.capture(s.released, eur(v)))),
    "release captured": (WrongState, "hold", [lambda s: s.billing.usage.release(s.captured.id)]),
    # Give back
    "reverse id": (
        NotFound,
        "transaction",
        each([*NOT_THERE[1:], TRANSACTION], lambda s, v: s.billing.usage.reverse(v, key="bad", reason="oops")),
    ),
    "reverse amount": (
        InvalidAmount,
        "amount",
        each([*NOT_MONEY[1:], *NOT_POSITIVE], lambda s, v: s.give_back(amount=v)),
    ),
    "reverse currency": (
        CurrencyMismatch,
        "amount",
        each([Money.of("1", "USD"), *NOT_IN_USE], lambda s, v: s.give_back(amount=v)),
    ),
    "reverse above": (
        AmountOutOfRange,
        "amount",
        each([eur("19.000001"), eur("20"), *OUTSIDE_64_BITS], lambda s, v: s.give_back(amount=v)),
    ),
    "reverse twice": (
        WrongState,
        "transaction",
        each([None, eur("1")], lambda s, v: s.give_back(s.reversed.transaction_id, v)),
    ),
    "reverse a reversal": (
        (NotFound, WrongState),
        "transaction",
        [lambda s: s.give_back(s.reversal.transaction_id)],
    ),
    "reverse key": (InvalidRequest, "key", each(NOT_KEYS, lambda s, v: s.give_back(key=v))),
    "reverse reason": (InvalidRequest, "reason", each(["", " ", *not_texts(200)], lambda s, v: s.give_back(reason=v))),
    "reverse expiry": (
        InvalidRequest,
        "expires_at",
        each([*PAST, *NOT_INSTANTS], lambda s, v: s.give_back(expires_at=v)),
    ),
    "reverse other content": (
        KeyConflict,
        "key",
        each([None, eur("1")], lambda s, v: s.give_back(amount=v, key="taken")),
    ),
    # Adjust
    "adjust customer": (InvalidRequest, "customer", each(NOT_KEYS, lambda s, v: s.adjust(v))),
    "adjust stranger": (NotFound, "customer", each(["nobody"], lambda s, v: s.adjust(v))),
    "adjust amount": (
        InvalidAmount,
        "amount",
        each([*NOT_MONEY[1:], *NOT_POSITIVE], lambda s, v: s.adjust(amount=v)),
    ),
    "adjust currency": (InvalidRequest, "currency", each(NOT_IN_USE, lambda s, v: s.adjust(amount=v))),
    "adjust key": (InvalidRequest, "key", each(NOT_KEYS, lambda s, v: s.adjust(key=v))),
    "adjust period": (InvalidRequest, "period", each(NOT_PERIODS, lambda s, v: s.adjust(period=v))),
    "adjust resource": (
        InvalidRequest,
        "resource",
        each([*not_texts(191), "vm-1 "], lambda s, v: s.adjust(resource=v)),
    ),
    "adjust other content": (
        KeyConflict,
        "key",
        each(
            [{"amount": eur("2")}, {"resource": "x"}, {"period": (NOW - 2 * HOUR, NOW)}],
            lambda s, v: s.adjust(key="taken", **v),
        ),
    ),
    # Grant and void
    "grant amount": (
        InvalidAmount,
        "amount",
        each([*NOT_MONEY[1:], *NOT_POSITIVE], lambda s, v: s.grant(v)),
    ),
    "grant too much": (AmountOutOfRange, "amount", each(OUTSIDE_64_BITS, lambda s, v: s.grant(v))),
    "grant begins": (
        InvalidRequest,
        "effective_at",
        each([*PAST[1:], *NOT_INSTANTS], lambda s, v: s.grant(effective_at=v)),
    ),
    "grant lapses": (
        InvalidRequest,
        "expires_at",
        each([*PAST, *NOT_INSTANTS], lambda s, v: s.grant(expires_at=v)),
    ),
    "grant lapses before it begins": (
        InvalidRequest,
        "expires_at",
        each([NOW + HOUR, NOW + 2 * HOUR], lambda s, v: s.grant(effective_at=NOW + 2 * HOUR, expires_at=v)),
    ),
    "grant priority": (
        InvalidRequest,
        "priority",
        each([-1, 1_000_001, 5.0, True, "5", b"5", []], lambda s, v: s.grant(priority=v)),
    ),
    "grant system": (
        InvalidRequest,
        "system",
        [
            *each(["", " ", *not_texts(32)], lambda s, v: s.grant(kind="external", system=v)),
            *each(["partner"], lambda s, v: s.grant(system=v)),
        ],
    ),
    "grant key": (InvalidRequest, "key", each(NOT_KEYS, lambda s, v: s.grant(key=v))),
    "grant other content": (
        KeyConflict,
        "key",
        each(
            [
                {"amount": eur("6"), "kind": "promotional"},
                {"amount": eur("5"), "kind": "goodwill"},
                {"amount": eur("5"), "kind": "promotional", "effective_at": NOW + HOUR},
            ],
            lambda s, v: s.grant(key="taken", **v),
        ),
    ),
    "grant past with a key of other content": (
        KeyConflict,
        "key",
        each(
            [{"effective_at": NOW - HOUR}, {"expires_at": NOW - HOUR}],
            lambda s, v: s.grant(eur("5"), kind="promotional", key="taken", **v),
        ),
    ),
    "void id": (
        NotFound,
        "grant",
        each([*NOT_THERE, GRANT], lambda s, v: s.ops.customers.void_grant(v, reason="oops")),
    ),
    "void paid": (WrongState, "grant", [lambda s: s.ops.customers.void_grant(s.paid, reason="oops")]),
    "void spent": (WrongState, "grant", [lambda s: s.ops.customers.void_grant(s.spent, reason="oops")]),
    "void reason": (
        InvalidRequest,
        "reason",
        each(["", " ", *not_texts(500)], lambda s, v: s.ops.customers.void_grant(s.waiting, reason=v)),
    ),
    "grants of": (InvalidRequest, "customer", each(NOT_KEYS, lambda s, v: s.ops.customers.grants(v))),
    "grants of a stranger": (NotFound, "customer", each(["nobody"], lambda s, v: s.ops.customers.grants(v))),
    # Overdraft and freeze
    "overdraft amount": (
        InvalidAmount,
        "amount",
        each([*NOT_MONEY, eur("-0.000001")], lambda s, v: s.ops.customers.overdraft(ADA, v, reason="oops")),
    ),
    "overdraft too much": (
        AmountOutOfRange,
        "amount",
        each(OUTSIDE_64_BITS, lambda s, v: s.ops.customers.overdraft(ADA, v, reason="oops")),
    ),
    "overdraft reason": (
        InvalidRequest,
        "reason",
        each(["", " ", *not_texts(500)], lambda s, v: s.ops.customers.overdraft(ADA, eur("1"), reason=v)),
    ),
    "freeze": (InvalidRequest, "customer", each(NOT_KEYS, lambda s, v: s.ops.customers.freeze(v, reason="oops"))),
    "freeze a stranger": (
        NotFound,
        "customer",
        each(["nobody"], lambda s, v: s.ops.customers.unfreeze(v, reason="oops")),
    ),
    "freeze reason": (
        InvalidRequest,
        "reason",
        each(["", " ", *not_texts(500)], lambda s, v: s.ops.customers.freeze(ADA, reason=v)),
    ),
    # Settings
    "burn order": (
        InvalidRequest,
        "order",
        each([None, {}, "paid", 5, True, ("paid",)], lambda s, v: s.ops.settings.burn_order(v)),
    ),
    "burn priority": (
        InvalidRequest,
        "paid",
        each([-1, 1_000_001, 1.0, True, "1", None], lambda s, v: s.ops.settings.burn_order(BurnOrder(paid=v))),
    ),
    "grace": (
        InvalidRequest,
        "grace",
        each(
            [-HOUR, MAX_GRACE + HOUR, 5, 5.0, "1h", None, True],
            lambda s, v: s.ops.settings.thresholds(Thresholds(grace=v)),
        ),
    ),
    "negative above zero": (
        InvalidRequest,
        "negative",
        each([eur("0.000001"), 48], lambda s, v: s.ops.settings.thresholds(Thresholds(negative=v))),
    ),
    "suspend": (
        InvalidRequest,
        "suspend",
        each(
            [0, -1, 5.0, "5", True, (eur("5"), eur("6")), [eur("5")]],
            lambda s, v: s.ops.settings.thresholds(Thresholds(suspend=v)),
        ),
    ),
    "start_when_negative": (
        InvalidRequest,
        "start_when_negative",
        each([None, 0, 1, "yes"], lambda s, v: s.ops.settings.thresholds(Thresholds(start_when_negative=v))),
    ),
    # Questions
    "may_start customer": (InvalidRequest, "customer", each(NOT_KEYS, lambda s, v: s.billing.may_start(v))),
    "may_start stranger": (NotFound, "customer", each(["nobody"], lambda s, v: s.billing.may_start(v))),
    "may_start rate": (
        InvalidRequest,
        "rate",
        each([5, "0.01", eur("1"), True, {}], lambda s, v: s.billing.may_start(ADA, rate=v)),
    ),
    "may_start currency": (
        InvalidRequest,
        "currency",
        each(["GBP"], lambda s, v: s.billing.may_start(ADA, rate=Rate.hourly("1", v))),
    ),
    "may_start hours": (
        InvalidRequest,
        "hours",
        each([0, -1, 100_001, 5.0, True, "5", None], lambda s, v: s.billing.may_start(ADA, hours=v)),
    ),
    "balance at": (
        InvalidRequest,
        "at",
        each([v for v in NOT_INSTANTS if v is not None], lambda s, v: s.ada.balance(at=v)),
    ),
    "usage since": (InvalidRequest, "since", each([*NOT_INSTANTS, None], lambda s, v: s.usage(since=v))),
    "usage until": (InvalidRequest, "until", each([*NOT_INSTANTS, None], lambda s, v: s.usage(until=v))),
    "usage turned round": (
        InvalidRequest,
        "until",
        each([NOW - HOUR, NOW - 2 * HOUR], lambda s, v: s.usage(until=v)),
    ),
    "usage by": (InvalidRequest, "by", each(["", "customer", "DAY", 5, None, True, []], lambda s, v: s.usage(by=v))),
    "usage currency": (
        (InvalidAmount, InvalidRequest),
        "currency",
        each(NOT_CURRENCIES, lambda s, v: s.usage(currency=v)),
    ),
    "history resource": (
        InvalidRequest,
        "resource",
        each([v for v in not_texts(191) if v is not None], lambda s, v: s.ada.transactions(resource=v)),
    ),
    "history project": (
        InvalidRequest,
        "project",
        each([v for v in not_texts(120) if v is not None], lambda s, v: s.ada.transactions(project=v)),
    ),
    "history day": (InvalidRequest, "since", each([date(2026, 11, 23)], lambda s, v: s.ada.transactions(since=v))),
}


@pytest.fixture
def stage(billing, simulated, clock):
    assert clock.now() == NOW
    return Stage(billing, simulated)


def wrong_about(stage, act, kind, field):
    """Say what is wrong with how an act was refused; nothing if it was refused as it should be."""
    try:
        act(stage)
    except RequestRefused as refused:
        if not isinstance(refused, kind) or refused.field != field:
            return f"is {type(refused).__name__} of {refused.field}"
        if len(refused.message) > 400 or "\x00" in refused.message or not refused.code:
            return "is not fit to show"
        return ""
    except Exception as error:  # what this test is about
        return f"{type(error).__name__}: {str(error)[:80]}"
    return "was taken"


def test_what_cannot_be_right_is_refused_by_class_and_name_and_leaves_no_row(stage):
    before, balance = counts(stage.billing), stage.ada.balance()

    wrong = [
        f"{name} {number}: {problem}"
        for name, (kind, field, acts) in REFUSED.items()
        for number, act in enumerate(acts)
        if (problem := wrong_about(stage, act, kind, field))
    ]

    assert not wrong, "\n".join(wrong)
    assert counts(stage.billing) == before
    assert (stage.ada.balance(), stage.ada.holds()) == (balance, (stage.hold,))
    assert stage.billing.check().ok


def test_a_hold_whose_time_is_over_is_not_captured(stage, clock):
    clock.set(stage.hold.expires_at)

    assert wrong_about(stage, lambda s: s.capture(), WrongState, "hold") == ""
    assert wrong_about(stage, lambda s: s.capture(amount=eur("7")), AmountOutOfRange, "amount") == ""
    assert stage.billing.check().ok


@pytest.mark.parametrize("length", [1, 191])
def test_the_longest_and_the_shortest_key_are_keys(stage, length):
    key = "k" * length

    assert stage.reserve(key=key).state == "open"
    assert stage.give_back(key=key, amount=eur("1")).key == key
    assert stage.adjust(key=key).key == key
    assert stage.grant(key=key) == stage.grant(key=key)
