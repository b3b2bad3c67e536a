"""Money: what becomes an amount, what never does, and that arithmetic is exact.

Sources: ISO 4217 list one (minor units), https://www.six-group.com/en/products-services/financial-information/data-standards.html
"""

from __future__ import annotations

import re
import time
from decimal import Context, Decimal, Inexact, localcontext
from enum import Enum
from fractions import Fraction
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import assume, example, given
from hypothesis import strategies as st

from prepaid.core.errors import CurrencyMismatch, IntegrityFault, InvalidAmount
from prepaid.core.money import (
    MAX_UNITS,
    MINOR_DIGITS,
    Money,
    check_currency,
    largest_remainder,
    minor_unit,
    parse_decimal,
    require_positive,
    require_whole_minor,
    scale_of,
)

CURRENCIES = st.sampled_from(sorted(MINOR_DIGITS))
UNITS = st.integers(-MAX_UNITS, MAX_UNITS)
SMALL = st.integers(-(10**15), 10**15)
MONEY = st.builds(Money, UNITS, CURRENCIES)

NOT_PLAIN = [
    "",
    " ",
    "50 ",
    " 50",
    "50\n",
    "\t50",
    "+50",
    "--50",
    "- 50",
    "50.",
    ".5",
    "5.0.0",
    "5,00",
    "1 000",
    "1_000",
    "1'000",
    "1e5",
    "1E5",
    "0x10",
    "inf",
    "-inf",
    "Infinity",
    "nan",
    "NaN",
    "sNaN",
    "50 EUR",
    "€50",
    "\uff15\uff10",  # full-width digits
    "\u0665\u0660",  # Arabic-Indic digits
    "५०",  # Devanagari digits
    "²",
    "½",
    "\u221250",  # minus sign U+2212
    "50\x00",
    "50\u200b",
    "\ufeff50",
    "\ud800",
    "1" * 20,
    "0." + "0" * 19,
    "9" * 100_000,
]

NOT_STRINGS: list[Any] = [
    None,
    True,
    False,
    0,
    50,
    10**19,
    50.0,
    float("nan"),
    float("inf"),
    float("-inf"),
    1j,
    b"50",
    bytearray(b"50"),
    ("50",),
    ["50"],
    {"amount": "50"},
    Fraction(1, 2),
    NotImplemented,
]

HOSTILE_DECIMALS = [
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("-NaN123"),
    Decimal("Infinity"),
    Decimal("-Infinity"),
    Decimal("1E+999999"),
    Decimal("-1E+999999"),
    Decimal("1E-999999"),
    Decimal("0E+999999"),
    Decimal("0E-999999"),
    Decimal("1E+40"),
    Decimal("1E-19"),
]


class TestWhatBecomesMoney:
    @pytest.mark.parametrize(
        ("amount", "currency", "units", "shown"),
        [
            ("50.00", "EUR", 50_000_000, "50.00 EUR"),
            ("50", "EUR", 50_000_000, "50.00 EUR"),
            ("0050.1", "EUR", 50_100_000, "50.10 EUR"),
            ("-0", "EUR", 0, "0.00 EUR"),
            ("-0.000001", "EUR", -1, "-0.000001 EUR"),
            ("0.00744", "EUR", 7_440, "0.00744 EUR"),
            ("1.000000000000000000", "EUR", 1_000_000, "1.00 EUR"),
            ("1.234", "KWD", 1_234_000, "1.234 KWD"),
            ("500", "JPY", 5_000_000, "500 JPY"),
            ("500.0001", "JPY", 5_000_001, "500.0001 JPY"),
            ("1.5", "IDR", 15_000, "1.50 IDR"),
            (Decimal("1E+3"), "EUR", 1_000_000_000, "1000.00 EUR"),
            (Decimal("-0"), "EUR", 0, "0.00 EUR"),
            (Decimal("0E+39"), "EUR", 0, "0.00 EUR"),
            ("9223372036854.775807", "EUR", MAX_UNITS, "9223372036854.775807 EUR"),
            ("-9223372036854.775807", "EUR", -MAX_UNITS, "-9223372036854.775807 EUR"),
            ("922337203685477.5807", "JPY", MAX_UNITS, "922337203685477.5807 JPY"),
        ],
    )
    def test_plain_decimals_become_whole_ledger_units(
        self, amount: str | Decimal, currency: str, units: int, shown: str
    ) -> None:
        money = Money.of(amount, currency)

        assert (money.units, money.currency, str(money)) == (units, currency, shown)

    @given(MONEY)
    @example(Money(0, "EUR"))
    @example(Money(MAX_UNITS, "EUR"))
    @example(Money(-MAX_UNITS, "JPY"))
    @example(Money(10**18, "KWD"))
    def test_amount_and_written_form_lead_back_to_the_same_money(self, money: Money) -> None:
        number, currency = str(money).split()

        assert Money.of(money.amount, money.currency) == money
        assert Money.of(number, currency) == money
        assert eval(repr(money), {"Money": Money}) == money

    @given(MONEY)
    def test_amount_is_exact_and_shows_at_least_the_minor_digits(self, money: Money) -> None:
        exponent = money.amount.as_tuple().exponent

        assert Fraction(money.amount) == Fraction(money.units, 10 ** scale_of(money.currency))
        assert isinstance(exponent, int)
        assert -exponent >= MINOR_DIGITS[money.currency]

    def test_a_string_subclass_is_read_by_its_characters(self) -> None:
        class Loud(str):
            def __str__(self) -> str:
                return "999"

        assert Money.of(Loud("50.00"), "EUR") == Money.of("50.00", "EUR")


class TestWhatNeverBecomesMoney:
    @pytest.mark.parametrize("amount", NOT_PLAIN, ids=lambda text: ascii(text[:20]))
    def test_text_that_is_not_a_plain_decimal_is_refused(self, amount: str) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            Money.of(amount, "EUR")

        assert refusal.value.field == "amount"

    @pytest.mark.parametrize("amount", NOT_STRINGS, ids=lambda value: type(value).__name__)
    def test_other_types_are_refused_whatever_their_value(self, amount: Any) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            Money.of(amount, "EUR")

        assert refusal.value.field == "amount"

    @pytest.mark.parametrize("amount", HOSTILE_DECIMALS, ids=str)
    def test_decimals_that_are_no_amount_are_refused_without_being_written_out(self, amount: Decimal) -> None:
        began = time.perf_counter()

        with pytest.raises(InvalidAmount):
            Money.of(amount, "EUR")

        assert time.perf_counter() - began < 5

    @pytest.mark.parametrize(
        ("amount", "currency"),
        [
            ("9223372036854.775808", "EUR"),
            ("-9223372036854.775808", "EUR"),
            ("10000000000000000000"[:19], "EUR"),
            ("9999999999999999999", "JPY"),
            ("922337203685477.5808", "JPY"),
        ],
    )
    def test_what_64_bits_cannot_hold_is_refused(self, amount: str, currency: str) -> None:
        with pytest.raises(InvalidAmount, match="larger than the ledger can hold"):
            Money.of(amount, currency)

    @pytest.mark.parametrize(
        ("amount", "currency"),
        [
            ("0.0000001", "EUR"),
            ("0.00001", "JPY"),
            ("0.00001", "IDR"),
            # More digits than the usual 28 of decimal arithmetic: rounding them away would accept the amount.
            ("9000000000000.000001000000000001", "EUR"),
            ("1234567890123.000000000000000001", "EUR"),
            ("900000000000000.000100000000000001", "JPY"),
        ],
    )
    def test_more_digits_than_the_ledger_keeps_are_refused_not_rounded(self, amount: str, currency: str) -> None:
        with pytest.raises(InvalidAmount, match="decimal digits"):
            Money.of(amount, currency)

    @given(st.text())
    def test_any_text_is_either_read_exactly_or_refused(self, text: str) -> None:
        try:
            money = Money.of(text, "EUR")
        except InvalidAmount:
            return

        assert money.amount == Decimal(text)
        assert text.isascii()

    @given(st.decimals())
    def test_any_decimal_is_either_kept_exactly_or_refused(self, value: Decimal) -> None:
        try:
            money = Money.of(value, "EUR")
        except InvalidAmount:
            return

        assert money.amount == value

    @pytest.mark.parametrize(
        "units", [1.0, True, "1", None, Decimal(1), MAX_UNITS + 1, -MAX_UNITS - 1, 2**63, -(2**63)]
    )
    def test_units_are_a_64_bit_int_of_either_sign(self, units: Any) -> None:
        with pytest.raises(InvalidAmount):
            Money(units, "EUR")

    def test_money_cannot_be_changed(self) -> None:
        money = Money.of("1", "EUR")

        with pytest.raises(FrozenInstanceError):
            money.units = 2  # type: ignore[misc]


class TestCurrencies:
    @pytest.mark.parametrize(
        "currency",
        [
            "",
            "eur",
            "EURO",
            "EU",
            "XXX",
            "XTS",
            "XAU",
            "BTC",
            "\uff25\uff35\uff32",
            " EUR",
            "EUR\n",
            "E\ud800R",
            None,
            978,
            b"EUR",
            ("EUR",),
        ],
        ids=ascii,
    )
    def test_only_upper_case_codes_of_iso_4217_are_currencies(self, currency: Any) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            check_currency(currency)

        assert refusal.value.field == "currency"
        for make in (lambda: Money.of("1", currency), lambda: Money(1, currency), lambda: scale_of(currency)):
            with pytest.raises(InvalidAmount):
                make()

    def test_a_refusal_does_not_repeat_long_input(self) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            check_currency("<script>" * 100, field="price")

        assert "script" not in refusal.value.message
        assert refusal.value.field == "price"

    @pytest.mark.parametrize(
        ("currency", "minor_digits", "scale"),
        [
            ("EUR", 2, 6),
            ("KWD", 3, 6),
            ("JPY", 0, 4),
            ("ISK", 0, 4),
            ("UGX", 0, 4),
            ("IDR", 2, 4),
            ("XCG", 2, 6),
            ("VED", 2, 6),
        ],
    )
    def test_minor_units_follow_iso_4217_and_scale_the_ledger(
        self, currency: str, minor_digits: int, scale: int
    ) -> None:
        assert (MINOR_DIGITS[currency], scale_of(currency)) == (minor_digits, scale)
        assert minor_unit(currency) == 10 ** (scale - minor_digits)

    @given(CURRENCIES)
    def test_every_minor_unit_is_a_whole_number_of_ledger_units(self, currency: str) -> None:
        assert minor_unit(currency) * 10 ** MINOR_DIGITS[currency] == 10 ** scale_of(currency)


class TestMinorUnits:
    @given(SMALL.map(lambda n: n // 10**6), CURRENCIES)
    def test_minor_units_round_trip(self, minor: int, currency: str) -> None:
        money = Money.from_minor(minor, currency)

        assert money.minor == money.floor_minor() == minor

    @given(MONEY)
    def test_minor_refuses_to_lose_a_part_and_floor_goes_towards_minus_infinity(self, money: Money) -> None:
        unit = minor_unit(money.currency)

        assert money.floor_minor() * unit <= money.units < (money.floor_minor() + 1) * unit
        if money.units % unit:
            with pytest.raises(InvalidAmount, match="not a whole number of minor units"):
                _ = money.minor
        else:
            assert money.minor * unit == money.units

    @pytest.mark.parametrize("minor", [1.0, True, "1", None, Decimal(1), 2**63, 10**19])
    def test_minor_units_are_an_int_in_range(self, minor: Any) -> None:
        with pytest.raises(InvalidAmount):
            Money.from_minor(minor, "EUR")


class TestArithmetic:
    @given(SMALL, SMALL, CURRENCIES)
    def test_money_of_one_currency_adds_and_orders_like_its_units(self, a: int, b: int, currency: str) -> None:
        x, y = Money(a, currency), Money(b, currency)

        assert (x + y).units == a + b
        assert (x - y).units == a - b
        assert ((-x).units, abs(x).units, bool(x)) == (-a, abs(a), a != 0)
        assert (x < y, x <= y, x > y, x >= y, x == y, x != y) == (a < b, a <= b, a > b, a >= b, a == b, a != b)
        assert x + Money.zero(currency) == x

    @given(MONEY, MONEY)
    def test_two_currencies_never_mix(self, x: Money, y: Money) -> None:
        assume(x.currency != y.currency)

        assert x != y
        for mix in (
            lambda: x + y,
            lambda: x - y,
            lambda: x < y,
            lambda: x <= y,
            lambda: x > y,
            lambda: x >= y,
        ):
            with pytest.raises(CurrencyMismatch):
                mix()

    @pytest.mark.parametrize("other", [1, 1.0, "1.00", Decimal(1), None, (1, "EUR")], ids=repr)
    def test_money_mixes_with_nothing_but_money(self, other: Any) -> None:
        money = Money.of("1", "EUR")

        assert money != other
        for mix in (lambda: money + other, lambda: money - other, lambda: money < other, lambda: money >= other):
            with pytest.raises(InvalidAmount):
                mix()

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_sum_out_of_range_is_refused_not_wrapped(self, sign: int) -> None:
        edge = Money(sign * MAX_UNITS, "EUR")

        with pytest.raises(InvalidAmount, match="larger than the ledger can hold"):
            edge + Money(sign, "EUR")

    @given(MONEY)
    def test_equal_money_hashes_equally(self, money: Money) -> None:
        assert hash(money) == hash(Money(money.units, money.currency))


class TestTheHostsDecimalContext:
    @pytest.mark.parametrize("context", [Context(prec=3), Context(prec=28, traps=[Inexact]), Context(prec=2, Emax=5)])
    def test_neither_precision_nor_traps_of_the_host_reach_money(self, context: Context) -> None:
        with localcontext(context):
            money = Money.of("9223372036854.775807", "EUR")
            amount, shown = money.amount, str(money)

        assert money.units == MAX_UNITS
        assert (amount, shown) == (Decimal("9223372036854.775807"), "9223372036854.775807 EUR")


class TestFormat:
    @pytest.mark.parametrize(
        ("amount", "currency", "locale", "shown"),
        [
            ("1234567.50", "EUR", "en", "€1,234,567.50"),
            ("1234567.50", "EUR", "de", "1.234.567,50\u00a0€"),
            ("1234567.50", "INR", "hi", "₹12,34,567.50"),
            ("1234567.50", "EUR", "ar", "\u200f1,234,567.50\u00a0€"),
            ("1.50", "KWD", "ar", "\u200f1.500\u00a0د.ك.\u200f"),
            ("-3.20", "EUR", "en", "-€3.20"),
            ("-3.20", "EUR", "de", "-3,20\u00a0€"),
            ("5", "JPY", "en", "¥5"),
            ("5.5", "JPY", "en", "¥5.5"),
            ("0.00744", "EUR", "de", "0,00744\u00a0€"),
            ("0.000001", "EUR", "en", "€0.000001"),
            ("1", "EUR", "de-DE", "1,00\u00a0€"),
            ("1", "EUR", "de_DE", "1,00\u00a0€"),
        ],
    )
    def test_amounts_are_written_as_readers_of_the_locale_expect(
        self, amount: str, currency: str, locale: str, shown: str
    ) -> None:
        assert Money.of(amount, currency).format(locale) == shown

    @pytest.mark.parametrize(
        ("amount", "currency", "digits"),
        [("10.50", "RSD", "10.50"), ("1.500", "IQD", "1.500"), ("0.99", "ALL", "0.99"), ("10.99", "LBP", "10.99")],
    )
    def test_minor_units_that_people_seldom_use_are_still_shown(self, amount: str, currency: str, digits: str) -> None:
        assert digits in Money.of(amount, currency).format("en")

    @pytest.mark.parametrize("locale", ["zz", "", "not a locale", "../../etc", "x" * 16], ids=ascii)
    def test_an_unknown_locale_is_written_in_english(self, locale: str) -> None:
        assert Money.of("1.50", "EUR").format(locale) == "€1.50"

    @given(MONEY)
    def test_no_digit_is_lost(self, money: Money) -> None:
        shown = money.format("en")

        digits = re.search(r"[0-9,]+(\.[0-9]+)?$", shown)
        assert digits is not None
        assert Decimal(digits[0].replace(",", "")) == abs(money.amount)
        assert shown.startswith("-") == (money.units < 0)


class TestRequirements:
    @pytest.mark.parametrize("amount", [None, 5, 5.0, "5.00", Decimal(5), True, NotImplemented], ids=repr)
    @pytest.mark.parametrize("require", [require_positive, require_whole_minor])
    def test_only_money_is_accepted(self, require: Any, amount: Any) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            require(amount, field="price")

        assert refusal.value.field == "price"

    @given(MONEY)
    def test_only_amounts_above_zero_are_positive(self, money: Money) -> None:
        if money.units > 0:
            assert require_positive(money) is money
        else:
            with pytest.raises(InvalidAmount, match="above zero"):
                require_positive(money)

    def test_zero_is_not_positive(self) -> None:
        with pytest.raises(InvalidAmount):
            require_positive(Money.zero("EUR"))

    @pytest.mark.parametrize(
        ("amount", "currency", "whole"),
        [
            ("0.01", "EUR", True),
            ("0.001", "EUR", False),
            ("1", "JPY", True),
            ("0.1", "JPY", False),
            ("0.001", "KWD", True),
        ],
    )
    def test_top_ups_are_whole_minor_units(self, amount: str, currency: str, whole: bool) -> None:
        money = Money.of(amount, currency)

        if whole:
            assert require_whole_minor(money) is money
        else:
            with pytest.raises(InvalidAmount, match="decimal digits here"):
                require_whole_minor(money)


class TestParseDecimal:
    def test_the_field_is_named(self) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            parse_decimal("1e5", field="percent")

        assert refusal.value.field == "percent"

    @given(st.integers(-(10**18), 10**18), st.integers(0, 18))
    def test_plain_decimals_are_kept_exactly(self, digits: int, exponent: int) -> None:
        text = format(Decimal(digits).scaleb(-exponent), "f")

        assert parse_decimal(text) == Decimal(digits).scaleb(-exponent)

    @pytest.mark.parametrize("text", ["1" * 20, "-" + "1" * 20, "0." + "1" * 19])
    def test_more_digits_than_64_bits_or_a_rate_need_are_not_read(self, text: str) -> None:
        with pytest.raises(InvalidAmount, match="plain digits"):
            parse_decimal(text)


class TestLargestRemainder:
    @given(SMALL, st.lists(st.integers(0, 10**9), min_size=1, max_size=12).map(tuple))
    @example(100, (0, 0, 0))
    @example(-1, (1, 1, 1))
    def test_parts_add_up_and_each_is_within_one_of_its_exact_share(self, total: int, weights: tuple[int, ...]) -> None:
        parts = largest_remainder(total, weights)

        assert sum(parts) == total
        assert len(parts) == len(weights)
        whole = sum(weights)
        if whole:
            assert all(
                abs(part - Fraction(total * weight, whole)) < 1 for part, weight in zip(parts, weights, strict=True)
            )

    @given(st.integers(0, 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=12).map(tuple))
    def test_a_part_without_weight_gets_nothing_while_others_have_some(
        self, total: int, weights: tuple[int, ...]
    ) -> None:
        assume(any(weights))

        parts = largest_remainder(total, weights)

        assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)

    @pytest.mark.parametrize(
        ("total", "weights", "parts"),
        [
            (100, (1, 1, 1), (34, 33, 33)),
            (101, (1, 1, 1), (34, 34, 33)),
            (1, (1, 2), (0, 1)),
            (7, (0, 0), (7, 0)),
            (0, (), ()),
            (0, (1, 2), (0, 0)),
        ],
    )
    def test_ties_go_to_the_earlier_part(self, total: int, weights: tuple[int, ...], parts: tuple[int, ...]) -> None:
        assert largest_remainder(total, weights) == parts

    @pytest.mark.parametrize(("total", "weights"), [(1, ()), (1, (2, -1)), (0, (-1, 1))])
    def test_money_is_never_split_over_nothing_or_over_debts(self, total: int, weights: tuple[int, ...]) -> None:
        with pytest.raises(IntegrityFault):
            largest_remainder(total, weights)


class Listed(str, Enum):  # noqa: UP042 - a StrEnum is written as its value
    EUR = "EUR"


@pytest.mark.parametrize("make", [lambda: Money.of("5.03", Listed.EUR), lambda: Money(5030000, Listed.EUR)])
def test_a_currency_that_is_listed_somewhere_is_plain_text_from_then_on(make):
    money = make()

    assert (type(money.currency), str(money)) == (str, "5.03 EUR")
    assert str(Money.of("5.03", "EUR")) == "5.03 EUR"
    assert money == Money.of("5.03", "EUR")
