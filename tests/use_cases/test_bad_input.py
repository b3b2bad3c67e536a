"""Whatever a host passes on from outside is taken or refused by name, and a refusal leaves no row."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import partial

import pytest

from prepaid import Address, Charge, Money, Rate, RequestRefused, TaxProfile, TaxRule, Thresholds
from tests.use_cases.steps import (
    ADA,
    BACK,
    BILLING,
    SQLITE,
    charge,
    checkout_of,
    counts,
    eur,
    give,
    operator,
    start,
    top_up,
)

NAIVE = datetime(2026, 11, 23, 12)  # noqa: DTZ001 - naive on purpose
UNKNOWN_ID = "top_01m82v7m000000000000000000"

NOT_MONEY = [None, True, 5, 5.0, "5.00", b"5", Decimal("5"), ("5", "EUR"), [], {}]
NOT_POSITIVE = [eur("0"), eur("-5"), eur("-0.000001")]
NOT_WHOLE = [eur("5.001"), eur("0.000001"), Money.of("5.5", "JPY")]
NOT_IN_USE = [Money.of("5", "GBP"), Money.of("5", "BHD")]
NOT_KEYS = ["", " k", "k ", "a\nb", "a\x00b", "\x7f", "\ud800", "k" * 192, None, True, 5, 5.0, b"k", []]
NOT_CURRENCIES = ["GBP", "eur", "EURO", "", "E\x00R", 5, True, b"EUR", []]
NOT_INSTANTS = [NAIVE, "2026-11-23T12:00:00Z", 0, True, 5.0, b"", date(2026, 11, 23), []]
NOT_IDS = ["", "top_", "x" * 1000, "top_\x00", "../etc", UNKNOWN_ID, UNKNOWN_ID.upper(), None, True, 5, b"top_", []]
NOT_LIMITS = [0, -1, 201, True, 5.0, "5", None, b"5", []]
NOT_CURSORS = ["", "x", "z.1", "h.", "h.\x00", "h." + "9" * 99, 5, True, b"h.1", []]


def not_texts(longest, *, line=True):
    return [
        "x" * (longest + 1),
        "a\x00b",
        "\ud800",
        "a\u202eb",
        None,
        True,
        5,
        b"text",
        [],
        *(["a\nb"] if line else []),
    ]


def each(values, act):
    return [lambda billing, value=value: act(billing, value) for value in values]


AWARE = datetime.fromisoformat("2026-11-23T12:00+00:00")


def report(name, field, billing, value):
    """Ask for a report with one argument that cannot be."""
    arguments = {"since": date(2026, 11, 23), "until": date(2026, 11, 24)} | {field: value}
    return getattr(operator(billing).reports, name)(**arguments)


def door(billing):
    return billing.customer(ADA)


def use(billing, amount=None, **options):
    return billing.usage.charge(ADA, eur("1") if amount is None else amount, **{"key": "bad", **options})


def use_money(billing, amount):
    return billing.usage.charge(ADA, amount, key="bad")


def begin(billing, **options):
    quote = options.pop("quote") if "quote" in options else door(billing).topups.quote(eur("50"))
    return door(billing).topups.start(quote, **{"return_url": BACK, "cancel_url": BILLING, "key": "bad", **options})


def grant(billing, customer=ADA, amount=None, **options):
    wanted = {"kind": "goodwill", "reason": "because", "key": "bad", **options}
    return operator(billing).customers.grant(customer, eur("1") if amount is None else amount, **wanted)


def grant_money(billing, amount):
    return operator(billing).customers.grant(ADA, amount, kind="goodwill", reason="because", key="bad")


def register(billing, customer="bad", **options):
    return billing.customers.register(customer, **options)


def register_sellers(values, name):
    return each(values, lambda b, value: register(b, **{name: value}))


BAD_PERIODS = [
    (),
    (NAIVE, NAIVE),
    (None, None),
    "ab",
    5,
    ["2026", "2027"],
    (datetime.fromisoformat("2026-11-23T12:00+00:00"),) * 2,
    (datetime.fromisoformat("2026-11-23T12:00+00:00"), datetime.fromisoformat("2026-11-23T11:00+00:00")),
    (datetime.fromisoformat("2026-11-23T12:00+00:00"), NAIVE),
]

MISSES = {
    # The customer's door
    "customer": ("customer", each(NOT_KEYS, lambda b, v: b.customer(v))),
    "balance currency": ("currency", each(NOT_CURRENCIES, lambda b, v: door(b).balance(v))),
    "runway currency": ("currency", each(NOT_CURRENCIES, lambda b, v: door(b).runway(v))),
    "history currency": ("currency", each(NOT_CURRENCIES, lambda b, v: door(b).transactions(currency=v))),
    "history kind": (
        "kind",
        each(["x", "", "CHARGE", 5, True, b"charge", []], lambda b, v: door(b).transactions(kind=v)),
    ),
    "history since": ("since", each(NOT_INSTANTS, lambda b, v: door(b).transactions(since=v))),
    "history until": ("until", each(NOT_INSTANTS, lambda b, v: door(b).transactions(until=v))),
    "history cursor": ("cursor", each(NOT_CURSORS, lambda b, v: door(b).transactions(cursor=v))),
    "history limit": ("limit", each(NOT_LIMITS, lambda b, v: door(b).transactions(limit=v))),
    "quote amount": (
        "amount",
        each([*NOT_MONEY, *NOT_POSITIVE, *NOT_WHOLE], lambda b, v: door(b).topups.quote(v)),
    ),
    "quote too much": ("amount", each([eur("999999.99") + eur("0.01")], lambda b, v: door(b).topups.quote(v))),
    "quote currency": ("currency", each(NOT_IN_USE, lambda b, v: door(b).topups.quote(v))),
    "quote gateway": (
        "gateway",
        each(
            ["", "stripe", "x" * 999, "\x00", 5, True, b"simulated", []],
            lambda b, v: door(b).topups.quote(eur("5"), gateway=v),
        ),
    ),
    "quote code": (
        "code",
        each(["X", "x" * 999, "\x00", 5, b"X", []], lambda b, v: door(b).topups.quote(eur("5"), code=v)),
    ),
    "offers amount": (
        "amount",
        each([*NOT_MONEY, *NOT_POSITIVE, *NOT_WHOLE], lambda b, v: door(b).topups.gateways(v)),
    ),
    "offers currency": ("currency", each(NOT_IN_USE, lambda b, v: door(b).topups.gateways(v))),
    "start quote": (
        "quote",
        each(
            ["x", "{}", "[]", "null", "5", "x" * 5000, '{"amount":"5"}', "[" * 1999, 5, True, b"{}", eur("5"), []],
            lambda b, v: begin(b, quote=v),
        ),
    ),
    "start key": ("key", each(NOT_KEYS, lambda b, v: begin(b, key=v))),
    "start return_url": ("return_url", each(["x", "", None, 5, b"https://x", []], lambda b, v: begin(b, return_url=v))),
    "start cancel_url": ("cancel_url", each(["x", "", None, 5, b"https://x", []], lambda b, v: begin(b, cancel_url=v))),
    "topup get": ("topup", each(NOT_IDS, lambda b, v: door(b).topups.get(v))),
    "topup confirm": ("topup", each(NOT_IDS, lambda b, v: door(b).topups.confirm(v))),
    "topup cancel": ("topup", each(NOT_IDS, lambda b, v: door(b).topups.cancel(v))),
    "topup cursor": ("cursor", each(NOT_CURSORS, lambda b, v: door(b).topups.list(cursor=v))),
    "topup limit": ("limit", each(NOT_LIMITS, lambda b, v: door(b).topups.list(limit=v))),
    "invoice get": ("invoice", each(NOT_IDS, lambda b, v: door(b).invoices.get(v))),
    "invoice pdf": ("invoice", each(NOT_IDS, lambda b, v: door(b).invoices.pdf(v))),
    "invoice cursor": ("cursor", each(NOT_CURSORS, lambda b, v: door(b).invoices.list(cursor=v))),
    "invoice limit": ("limit", each(NOT_LIMITS, lambda b, v: door(b).invoices.list(limit=v))),
    "tax profile": ("profile", each([None, {}, "FR", 5, b"", []], lambda b, v: door(b).tax_profile.set(v))),
    # The host's
    "register id": ("customer", each(NOT_KEYS, register)),
    "register email": (
        "email",
        register_sellers(["x", "a@b, c@d", "a@b\nBcc: c@d", "a" * 300 + "@b", 5, b"a@b", []], "email"),
    ),
    "register name": ("name", register_sellers([text for text in not_texts(120) if text is not None], "name")),
    "register locale": (
        "locale",
        register_sellers(["", *(text for text in not_texts(16) if text is not None)], "locale"),
    ),
    "register currency": ("currency", register_sellers(NOT_CURRENCIES, "currency")),
    "register groups": (
        "groups",
        register_sellers(["vip", ("",), ("x" * 65,), (5,), (None,), ("a\x00",), 5, True, b"vip"], "groups"),
    ),
    "register since": ("since", register_sellers(NOT_INSTANTS, "since")),
    "get customer": ("customer", each([*NOT_KEYS, "nobody"], lambda b, v: b.customers.get(v))),
    "charge customer": ("customer", each([*NOT_KEYS, "nobody"], lambda b, v: b.usage.charge(v, eur("1"), key="bad"))),
    "charge amount": ("amount", each([*NOT_MONEY, *NOT_POSITIVE], use_money)),
    "charge currency": ("currency", each(NOT_IN_USE, use_money)),
    "charge key": ("key", each(NOT_KEYS, lambda b, v: use(b, key=v))),
    "charge description": ("description", each(not_texts(200), lambda b, v: use(b, description=v))),
    "charge resource": ("resource", each([*not_texts(191), " vm-1", "vm-1 ", " "], lambda b, v: use(b, resource=v))),
    "charge kind": ("kind", each(not_texts(120), lambda b, v: use(b, kind=v))),
    "charge project": ("project", each(not_texts(120), lambda b, v: use(b, project=v))),
    "charge period": ("period", each(BAD_PERIODS, lambda b, v: use(b, resource="vm-1", period=v))),
    "charge allow_negative": ("allow_negative", each([None, 1, "yes", b"", []], lambda b, v: use(b, allow_negative=v))),
    "meter customer": (
        "customer",
        each([*NOT_KEYS, "nobody"], lambda b, v: b.meters.start(v, resource="vm-1", rate=Rate.hourly("1", "EUR"))),
    ),
    "meter resource": (
        "resource",
        each(NOT_KEYS, lambda b, v: b.meters.start(ADA, resource=v, rate=Rate.hourly("1", "EUR"))),
    ),
    "meter stop": ("resource", each([*NOT_KEYS, "vm-9"], lambda b, v: b.meters.stop(v))),
    "meter stop at": ("at", each(NOT_INSTANTS, lambda b, v: b.meters.stop("vm-1", at=v))),
    "bill until": ("until", each(NOT_INSTANTS, lambda b, v: b.meters.bill(until=v))),
    "return params": ("params", each([None, 5, True, "topup=x", b"", []], lambda b, v: b.returns.receive(v))),
    "job": ("only", each(["", "x", 5, True, b"meters", []], lambda b, v: b.run_due(only=v))),
    "budget": ("budget_s", each([0, -1, True, 5.0, "5", b"5", []], lambda b, v: b.run_due(budget_s=v))),
    "event": ("event", each(["", "x", None, 5, b"security", []], lambda b, v: b.on(v, print))),
    "function": ("function", each([None, 5, "print", []], lambda b, v: b.on("security", v))),
    # The operator's
    "grant customer": ("customer", each([*NOT_KEYS, "nobody"], grant)),
    "grant amount": ("amount", each([*NOT_MONEY, *NOT_POSITIVE], grant_money)),
    "grant currency": ("currency", each(NOT_IN_USE, grant_money)),
    "grant kind": ("kind", each(["paid", "", None, 5, b"goodwill", []], lambda b, v: grant(b, kind=v))),
    "grant reason": ("reason", each(["", " ", *not_texts(500)], lambda b, v: grant(b, reason=v))),
    "grant key": ("key", each(NOT_KEYS, lambda b, v: grant(b, key=v))),
    "overdraft customer": (
        "customer",
        each([*NOT_KEYS, "nobody"], lambda b, v: operator(b).customers.overdraft(v, eur("1"), reason="because")),
    ),
    "overdraft amount": (
        "amount",
        each([*NOT_MONEY, eur("-1")], lambda b, v: operator(b).customers.overdraft(ADA, v, reason="because")),
    ),
    "overdraft currency": (
        "currency",
        each(NOT_IN_USE, lambda b, v: operator(b).customers.overdraft(ADA, v, reason="because")),
    ),
    "search": ("words", each(["", *not_texts(100)], lambda b, v: operator(b).customers.search(v))),
    "search limit": ("limit", each(NOT_LIMITS, lambda b, v: operator(b).customers.search("ada", limit=v))),
    "operator get": ("customer", each([*NOT_KEYS, "nobody"], lambda b, v: operator(b).customers.get(v))),
    "review limit": ("limit", each(NOT_LIMITS, lambda b, v: operator(b).topups.review(limit=v))),
    "recheck": ("topup", each(NOT_IDS, lambda b, v: operator(b).topups.recheck(v))),
    "audit limit": ("limit", each(NOT_LIMITS, lambda b, v: operator(b).audit.list(limit=v))),
    "audit cursor": ("cursor", each(NOT_CURSORS, lambda b, v: operator(b).audit.list(cursor=v))),
    "retire": ("rule_id", each(NOT_IDS, lambda b, v: operator(b).tax.retire(v))),
    "explain amount": (
        "amount",
        each([*NOT_MONEY, *NOT_POSITIVE, *NOT_WHOLE], lambda b, v: operator(b).tax.explain(None, v)),
    ),
    "explain profile": (
        "profile",
        each([{}, "FR", 5, b"", []], lambda b, v: operator(b).tax.explain(v, eur("5"))),
    ),
    "summary before time": (
        "since",
        each([date(1969, 12, 31), date(9999, 12, 31)], lambda b, v: operator(b).reports.summary(v, date(2026, 11, 24))),
    ),
    "thresholds": (
        "thresholds",
        each([None, {}, eur("5"), 5, b"", []], lambda b, v: operator(b).settings.thresholds(v)),
    ),
    "thresholds low": (
        "low",
        each(
            [0, -5, 5.0, "5", eur("-1"), (eur("5"), eur("6")), (5,), [eur("5")]],
            lambda b, v: operator(b).settings.thresholds(Thresholds(low=v)),
        ),
    ),
    "thresholds currency": (
        "currency",
        each(NOT_IN_USE, lambda b, v: operator(b).settings.thresholds(Thresholds(low=v))),
    ),
    "summary since": (
        "since",
        each([NAIVE, "x", 5, None, b"", []], lambda b, v: operator(b).reports.summary(v, date(2026, 11, 24))),
    ),
    "summary until": (
        "until",
        each([NAIVE, "x", 5, None, b"", []], lambda b, v: operator(b).reports.summary(date(2026, 11, 23), v)),
    ),
    "summary compare": (
        "compare",
        each(
            [None, 1, "yes", b"", []],
            lambda b, v: operator(b).reports.summary(date(2026, 11, 23), date(2026, 11, 24), compare=v),
        ),
    ),
    **{
        f"{name} {field}": (field, each(values, partial(report, name, field)))
        for name, not_a_day in {
            "daily": [NAIVE, "2026-11-23", 5, None, True, b"", [], AWARE, date(1969, 12, 31), date(9000, 1, 2)],
            "by_gateway": [NAIVE, "2026-11-23", 5, None, True, b"", [], date(1969, 12, 31), date(9000, 1, 2)],
            "roll_forward": [NAIVE, "2026-11-23", 5, None, True, b"", [], date(1969, 12, 31), date(9000, 1, 2)],
        }.items()
        for field, values in {"since": not_a_day, "until": not_a_day, "currency": NOT_CURRENCIES}.items()
    },
    "daily too long": ("until", [lambda b: report("daily", "until", b, date(2036, 12, 1))]),
    "rebuild reason": ("reason", each(not_texts(500), lambda b, v: operator(b).reports.rebuild(reason=v))),
    "summary currency": (
        "currency",
        each(
            NOT_CURRENCIES,
            lambda b, v: operator(b).reports.summary(date(2026, 11, 23), date(2026, 11, 24), currency=v),
        ),
    ),
}


@pytest.fixture
def busy(billing, simulated):
    """Give a billing system in which something has happened, so that every table may be spoilt."""
    top_up(billing, simulated)
    give(billing, "5")
    charge(billing, "1")
    billing.meters.start(ADA, resource="vm-1", rate=Rate.hourly("0.01", "EUR"))
    door(billing).tax_profile.set(TaxProfile(address=Address(country="FR")))
    return billing


def test_every_bad_argument_is_refused_by_name_and_leaves_no_row(busy):
    before, balance = counts(busy), door(busy).balance()
    wrong = []
    for name, (field, acts) in MISSES.items():
        for number, act in enumerate(acts):
            try:
                act(busy)
            except RequestRefused as refused:
                if refused.field != field:
                    wrong.append(f"{name} {number}: names {refused.field}, not {field}")
                elif len(refused.message) > 400 or "\x00" in refused.message or not refused.code:
                    wrong.append(f"{name} {number}: not fit to show")
            except Exception as error:  # what this test is about
                wrong.append(f"{name} {number}: {type(error).__name__}: {str(error)[:80]}")
            else:
                wrong.append(f"{name} {number}: was taken")

    assert not wrong, "\n".join(wrong)
    assert counts(busy) == before | {"code_attempt": 1}  # codes that are not known are counted as tried in vain
    assert door(busy).balance() == balance
    assert busy.check().ok


@pytest.mark.parametrize("amount", ["", " 5", "5 ", "1e5", "+5", "5,00", "5.", ".5", "٥", "0x5", "NaN", "inf", "5_0"])
def test_money_is_written_in_plain_digits(amount):
    for act in (lambda: Money.of(amount, "EUR"), lambda: Rate.hourly(amount, "EUR")):
        with pytest.raises(RequestRefused) as refused:
            act()
        assert refused.value.field in ("amount", "rate")


@pytest.mark.parametrize("amount", [5, 5.0, True, None, b"5", Decimal("NaN"), Decimal("inf"), Decimal("1e50")])
def test_money_is_made_of_strings_and_finite_decimals(amount):
    with pytest.raises(RequestRefused) as refused:
        Money.of(amount, "EUR")
    assert refused.value.field == "amount"


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("0.0000001", "EUR"), ("0.00001", "JPY"), ("9223372036854.775808", "EUR"), ("-9223372036854.775808", "EUR")],
)
def test_money_that_the_ledger_cannot_hold_is_refused(amount, currency):
    with pytest.raises(RequestRefused) as refused:
        Money.of(amount, currency)
    assert refused.value.field == "amount"


@SQLITE
def test_the_largest_amounts_are_taken(billing):
    most = "9223372036854.775807"
    give(billing, most)

    assert charge(billing, most).balance_after == eur("0")


@SQLITE
def test_a_topup_of_more_than_any_gateway_takes_starts_nothing(billing):
    with pytest.raises(RequestRefused) as refused:
        door(billing).topups.quote(Money.of("9223372036854.77", "EUR"))
    assert refused.value.field == "amount"


def test_values_are_checked_when_they_are_made():
    for field, make in (
        ("key", lambda: Charge(customer=ADA, amount=eur("1"), key="")),
        ("customer", lambda: Charge(customer="", amount=eur("1"), key="k")),
        ("country", lambda: Address(country="FRA")),
        ("subdivision", lambda: Address(country="FR", subdivision="US-TX")),
        ("line1", lambda: Address(country="FR", line1="a\nb")),
        ("company", lambda: TaxProfile(kind="business", address=Address(country="FR"))),
        ("kind", lambda: TaxProfile(kind="person", address=Address(country="FR"))),
        ("address", lambda: TaxProfile(address="FR")),
        ("tax_id", lambda: TaxProfile(address=Address(country="FR"), tax_id="x" * 41)),
        ("valid_from", lambda: TaxRule(country="FR", components=(("A", "1"),), valid_from=NAIVE)),
    ):
        with pytest.raises(RequestRefused) as refused:
            make()
        assert refused.value.field == field


def test_texts_of_every_script_come_back_as_they_went_in(billing, simulated):
    name = "Łukasz Ünïcode 山田 太郎 🦊"
    billing.customers.register("客户-1", name=name, groups=("größe",))
    give(billing, "5", customer="客户-1", key="ключ")
    billing.usage.charge("客户-1", eur("1"), key="clé é", description=name, resource="ресурс")

    door_ = billing.customer("客户-1")
    assert door_.profile().name == name
    assert door_.transactions().items[0].description == name
    topup = start(billing, customer="客户-1")
    simulated.pay(checkout_of(topup))
    assert door_.topups.confirm(topup.id).state == "credited"
    assert door_.invoices.list().items[0].buyer.name == name


@pytest.mark.parametrize("twin", ["KEY", "key ", "kéy", "ke\u0301y"])
def test_keys_that_look_alike_are_not_the_same(billing, twin):
    give(billing, "5")
    charge(billing, "1", key="key")
    if twin == "key ":
        with pytest.raises(RequestRefused):
            charge(billing, "1", key=twin)
    else:
        assert charge(billing, "1", key=twin).status == "posted"
        assert charge(billing, "1", key=twin).status == "duplicate"
