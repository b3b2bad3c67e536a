"""Rates: exact prices of an hour, whose parts always add up to the whole."""

from __future__ import annotations

import itertools
import time
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidAmount
from prepaid.core.money import MINOR_DIGITS, Money, scale_of
from prepaid.core.rates import Rate

CURRENCIES = st.sampled_from(sorted(MINOR_DIGITS))
RATES = st.builds(
    lambda digits, currency: Rate.hourly(Decimal(digits).scaleb(-12), currency), st.integers(1, 10**15), CURRENCIES
)
FINE_RATES = st.builds(
    lambda digits, currency: Rate.hourly(Decimal(digits).scaleb(-12), currency), st.integers(1, 10**8), CURRENCIES
)


class TestTelescoping:
    @given(RATES, st.integers(0, 400))
    @example(Rate.hourly("0.0000004", "EUR"), 400)
    @example(Rate.hourly("0.000000000001", "JPY"), 400)
    def test_hours_charged_one_by_one_cost_what_they_cost_together(self, rate: Rate, hours: int) -> None:
        charged = sum((rate.cost_of_hour(number).units for number in range(hours)), 0)

        assert charged == rate.cost_of(hours=hours).units

    @given(FINE_RATES, st.lists(st.integers(0, 10_000), min_size=1, max_size=8))
    def test_any_cut_of_a_run_costs_the_same(self, rate: Rate, cuts: list[int]) -> None:
        marks = sorted({0, *cuts})

        parts = [rate.cost_of(hours=end) - rate.cost_of(hours=start) for start, end in itertools.pairwise(marks)]

        assert sum((part.units for part in parts), 0) == rate.cost_of(hours=marks[-1]).units
        assert all(part.units >= 0 for part in parts)

    @given(RATES, st.integers(0, 100_000))
    def test_the_cost_is_the_exact_one_rounded_half_even_once(self, rate: Rate, hours: int) -> None:
        exact = Fraction(rate.amount) * hours * 10 ** scale_of(rate.currency)

        assert rate.cost_of(hours=hours).units == round(exact)  # Fraction rounds half to even

    def test_a_rate_finer_than_a_ledger_unit_is_charged_when_it_adds_up(self) -> None:
        rate = Rate.hourly("0.0000004", "EUR")

        assert [rate.cost_of_hour(number).units for number in range(5)] == [0, 1, 0, 1, 0]
        assert rate.cost_of(hours=0) == Money.zero("EUR")


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
        assert time.perf_counter() - began < 0.5

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
