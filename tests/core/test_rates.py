"""Rates: exact prices of an hour, whose parts always add up to the whole."""

from __future__ import annotations

import time
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidAmount, InvalidRequest
from prepaid.core.money import MINOR_DIGITS, Money, scale_of
from prepaid.core.rates import Rate, read_rate, stored_rate

CURRENCIES = st.sampled_from(sorted(MINOR_DIGITS))
RATES = st.builds(
    lambda digits, currency: Rate.hourly(Decimal(digits).scaleb(-12), currency), st.integers(1, 10**15), CURRENCIES
)


class TestCost:
    @given(RATES, st.integers(0, 100_000))
    @example(Rate.hourly("0.000000000001", "JPY"), 400)
    def test_the_cost_is_the_exact_one_rounded_half_even_once(self, rate: Rate, hours: int) -> None:
        exact = Fraction(rate.amount) * hours * 10 ** scale_of(rate.currency)

        assert rate.cost_of(hours=hours).units == round(exact)  # Fraction rounds half to even

    def test_no_hours_cost_nothing(self) -> None:
        assert Rate.hourly("0.0000004", "EUR").cost_of(hours=0) == Money.zero("EUR")


class TestWhatIsARate:
    @pytest.mark.parametrize("amount", ["0.00744", "0.000000000001", "1000000000", Decimal("1E+3"), "0.1000000000000"])
    def test_plain_decimals_above_zero_are_kept_exactly(self, amount: str | Decimal) -> None:
        assert Rate.hourly(amount, "EUR").amount == Decimal(amount)

    @pytest.mark.parametrize(
        "amount",
        [
            "0",
            "-0",
            "-0.01",
            "0.0000000000001",
            "1000000000.000000000001",
            "1e5",
            "1_0",
            "\uff11",
            " 1",
            "",
            "NaN",
            "\ud800",
            None,
            True,
            1,
            1.5,
            float("nan"),
            b"1",
            ("1",),
            Decimal("NaN"),
            Decimal("Infinity"),
            Decimal("1E+999999"),
            Decimal("1E-999999"),
            Decimal("1E-13"),
        ],
        ids=ascii,
    )
    def test_everything_else_is_refused_at_once(self, amount: Any) -> None:
        began = time.perf_counter()

        with pytest.raises(InvalidAmount) as refusal:
            Rate.hourly(amount, "EUR")

        assert refusal.value.field == "rate"
        assert time.perf_counter() - began < 5

    @pytest.mark.parametrize(
        "amount",
        [0.5, True, 1, "1", None, Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1E-999999")],
        ids=ascii,
    )
    def test_the_value_itself_takes_finite_decimals_only(self, amount: Any) -> None:
        with pytest.raises(InvalidAmount):
            Rate(amount, "EUR")

    @pytest.mark.parametrize("currency", ["eur", "", None, "BTC", 1])
    def test_the_currency_is_of_iso_4217(self, currency: Any) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            Rate.hourly("1", currency)

        assert refusal.value.field == "currency"


class TestTerms:
    @pytest.mark.parametrize(
        ("cap", "currency"),
        [
            ("5.00", "EUR"),
            ("0.000001", "EUR"),
            ("9223372036854.775807", "EUR"),
            (Decimal("5E+2"), "JPY"),
            ("0.0001", "JPY"),
        ],
    )
    def test_a_cap_is_an_amount_that_the_ledger_can_hold(self, cap: str | Decimal, currency: str) -> None:
        assert Rate.hourly("1", currency, monthly_cap=cap).monthly_cap == Decimal(cap)

    @pytest.mark.parametrize(
        ("cap", "currency"),
        [
            ("0", "EUR"),
            ("-5", "EUR"),
            ("0.0000001", "EUR"),
            ("0.00001", "JPY"),
            ("9223372036854.775808", "EUR"),
            ("5,00", "EUR"),
            (5, "EUR"),
            (5.0, "EUR"),
            (True, "EUR"),
            (Money.of("5", "EUR"), "EUR"),
            (Decimal("NaN"), "EUR"),
            (Decimal("1E-999999"), "EUR"),
        ],
        ids=ascii,
    )
    def test_any_other_cap_is_refused(self, cap: Any, currency: str) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            Rate.hourly("1", currency, monthly_cap=cap)

        assert refusal.value.field == "monthly_cap"

    @pytest.mark.parametrize("cap", ["5", 5, 5.0, True, Decimal("Infinity"), Decimal("0.0000001")], ids=ascii)
    def test_the_value_itself_takes_a_finite_decimal_as_cap_only(self, cap: Any) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            Rate(Decimal(1), "EUR", monthly_cap=cap)

        assert refusal.value.field == "monthly_cap"

    @pytest.mark.parametrize("increment", ["minute", "Hour", "", None, 3600, b"hour", ["hour"]], ids=ascii)
    def test_an_increment_is_an_hour_or_a_second(self, increment: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            Rate.hourly("1", "EUR", increment=increment)

        assert refusal.value.field == "increment"

    @pytest.mark.parametrize("minimum", [0, 1, 60, 3600])
    def test_a_minimum_is_seconds_of_an_hour(self, minimum: int) -> None:
        assert Rate.hourly("1", "EUR", increment="second", minimum_s=minimum).minimum_s == minimum

    @pytest.mark.parametrize("minimum", [-1, 3601, 1.0, True, None, "60", Decimal(60)], ids=ascii)
    def test_any_other_minimum_is_refused(self, minimum: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            Rate.hourly("1", "EUR", increment="second", minimum_s=minimum)

        assert refusal.value.field == "minimum_s"

    def test_a_minimum_goes_with_seconds_only(self) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            Rate.hourly("1", "EUR", minimum_s=60)

        assert refusal.value.field == "minimum_s"

    @given(RATES, st.sampled_from([None, "5", "0.01", "500.000"]), st.integers(0, 3600))
    def test_what_is_stored_is_read_back(self, rate: Rate, cap: str | None, minimum: int) -> None:
        same = Rate.hourly(rate.amount, rate.currency, monthly_cap=cap, increment="second", minimum_s=minimum)

        assert read_rate(rate.currency, stored_rate(same)) == same

    @pytest.mark.parametrize(
        "rate",
        [
            Rate(Decimal("0.0100000000000000000000000000000000000000"), "EUR"),
            Rate(Decimal("999999999.999999999999"), "EUR", monthly_cap=Decimal("9223372036854.775807")),
            Rate(Decimal("1E+9"), "EUR", monthly_cap=Decimal("1E+12")),
        ],
    )
    def test_however_it_was_written_it_fits_its_columns(self, rate: Rate) -> None:
        amount, increment, cap, _ = stored_rate(rate)

        assert max(len(amount), len(increment), len(cap or "")) <= 32
        assert "E" not in amount + (cap or "")


class TestHours:
    @pytest.mark.parametrize("hours", [-1, 1.0, True, None, "1", Decimal(1), float("nan")], ids=ascii)
    def test_hours_are_whole_and_not_negative(self, hours: Any) -> None:
        with pytest.raises(InvalidAmount) as refusal:
            Rate.hourly("1", "EUR").cost_of(hours=hours)

        assert refusal.value.field == "hours"

    @pytest.mark.parametrize("hours", [2**63, 10**19, 10**400])
    def test_a_cost_beyond_the_ledger_is_refused(self, hours: int) -> None:
        with pytest.raises(InvalidAmount, match="larger than the ledger can hold"):
            Rate.hourly("0.000001", "EUR").cost_of(hours=hours)

    def test_the_largest_cost_is_still_exact(self) -> None:
        assert Rate.hourly("0.000001", "EUR").cost_of(hours=2**63 - 1).units == 2**63 - 1

    def test_the_hosts_decimal_context_does_not_round_a_cost(self) -> None:
        with localcontext(Context(prec=3)):
            cost = Rate.hourly("0.123456789012", "EUR").cost_of(hours=1_000_000)

        assert cost == Money.of("123456.789012", "EUR")
