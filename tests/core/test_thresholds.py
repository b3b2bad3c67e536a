"""Thresholds: one message for each crossing, none for standing still or hovering."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest
from prepaid.core.money import MAX_UNITS, Money
from prepaid.core.thresholds import (
    BITS,
    NO_ALERT,
    Thresholds,
    alert_below,
    counts_hours,
    currencies_of,
    judge,
    levels_of,
)

UNITS = st.integers(-1000, 1000)
LEVELS = st.dictionaries(st.sampled_from(sorted(BITS)), UNITS)


class TestJudge:
    @given(LEVELS, st.lists(UNITS, max_size=40))
    def test_each_level_is_told_once_per_crossing(self, levels: dict[str, int], path: list[int]) -> None:
        told, below = 0, dict.fromkeys(BITS, False)
        for balance in path:
            verdict = judge(balance, told=told, levels=levels)
            told = verdict.told
            for name in verdict.crossed:
                assert not below[name]
                assert balance < levels[name]
                below[name] = True
            for name in verdict.recovered:
                assert below[name]
                assert balance >= levels[name]
                below[name] = False
            assert {name for name in below if below[name]} == {name for name, bit in BITS.items() if told & bit}

    @given(LEVELS, UNITS)
    def test_what_is_below_a_level_is_told(self, levels: dict[str, int], balance: int) -> None:
        verdict = judge(balance, told=0, levels=levels)

        assert set(verdict.crossed) == {name for name, level in levels.items() if balance < level}

    @given(LEVELS, UNITS, st.integers(0, 15))
    def test_a_fall_that_stays_above_the_alert_tells_nothing(
        self, levels: dict[str, int], balance: int, told: int
    ) -> None:
        if balance >= alert_below(levels, told=told):
            assert judge(balance, told=told, levels=levels).crossed == ()

    def test_hovering_around_a_level_is_told_once(self) -> None:
        levels, told, events = {"low": 500}, 0, 0
        for balance in (499, 501, 499, 520, 480, 549, 499):
            verdict = judge(balance, told=told, levels=levels)
            told, events = verdict.told, events + len(verdict.crossed) + len(verdict.recovered)

        assert events == 1

    @pytest.mark.parametrize(
        ("level", "balance", "recovered"),
        [(500, 549, False), (500, 550, True), (0, 0, True), (-100, -91, False), (-100, -90, True)],
    )
    def test_a_level_is_armed_again_a_tenth_above_it(self, level: int, balance: int, recovered: bool) -> None:
        assert bool(judge(balance, told=BITS["low"], levels={"low": level}).recovered) is recovered

    def test_a_level_that_is_gone_counts_as_recovered(self) -> None:
        assert judge(-5, told=BITS["suspend"], levels={}).recovered == ("suspend",)

    def test_without_levels_there_is_no_alert(self) -> None:
        assert alert_below({}, told=0) == NO_ALERT
        assert alert_below({"low": 5}, told=BITS["low"]) == NO_ALERT


class TestLevels:
    def test_nothing_left_is_always_told(self) -> None:
        levels = levels_of({}, "EUR", per_hour=Decimal(0))

        assert judge(1, told=0, levels=levels).crossed == ()
        assert judge(0, told=0, levels=levels).crossed == ("exhausted",)

    def test_hours_are_priced_at_the_rates_that_run_and_rounded_up(self) -> None:
        record = Thresholds(low=48, suspend=Money.of("-5.00", "EUR")).record()

        assert levels_of(record, "EUR", per_hour=Decimal("0.0000001")) == {
            "exhausted": 1,
            "low": 5,
            "suspend": -5_000_000,
        }
        assert counts_hours(record)

    def test_hours_count_only_while_something_runs(self) -> None:
        assert "low" not in levels_of(Thresholds(low=48).record(), "EUR", per_hour=Decimal(0))

    def test_a_level_never_leaves_what_a_balance_can_be(self) -> None:
        levels = levels_of(Thresholds(low=100_000).record(), "EUR", per_hour=Decimal(10) ** 9)

        assert levels["low"] == MAX_UNITS

    def test_a_level_of_another_currency_is_no_level(self) -> None:
        record = Thresholds(low=Money.of("5.00", "USD")).record()

        assert "low" not in levels_of(record, "EUR", per_hour=Decimal(1))
        assert currencies_of(record) == {"USD"}
        assert not counts_hours(record)


class TestThresholds:
    @pytest.mark.parametrize(
        ("low", "kept"),
        [
            (None, {}),
            ((), {}),
            (Money.zero("EUR"), {"EUR": 0}),
            (Money.of("5.00", "EUR"), {"EUR": 5_000_000}),
            ((Money.of("5.00", "EUR"), Money.of("500", "JPY")), {"EUR": 5_000_000, "JPY": 5_000_000}),
            (48, {"hours": 48}),
        ],
    )
    def test_a_level_is_money_for_each_currency_or_hours(self, low: Any, kept: dict[str, int]) -> None:
        assert Thresholds(low=low).record()["low"] == kept

    @pytest.mark.parametrize("name", ["low", "negative", "suspend"])
    @pytest.mark.parametrize(
        "level",
        [
            (Money.of("5.00", "EUR"), Money.of("6.00", "EUR")),
            (Money.of("5.00", "EUR"), None),
            [Money.of("5.00", "EUR")],
            {"EUR": 5},
            "5.00",
            5.0,
            True,
            False,
            0,
            -1,
            100_001,
        ],
        ids=ascii,
    )
    def test_other_levels_are_refused(self, name: str, level: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            Thresholds(**{name: level}).record()

        assert refusal.value.field == name

    @pytest.mark.parametrize(
        ("field", "thresholds"),
        [
            ("low", Thresholds(low=Money(-1, "EUR"))),
            ("negative", Thresholds(negative=Money(1, "EUR"))),
            ("negative", Thresholds(negative=5)),
            ("grace", Thresholds(grace=timedelta(seconds=-1))),
            ("grace", Thresholds(grace=timedelta(days=367))),
            ("grace", Thresholds(grace=60)),  # type: ignore[arg-type]
            ("start_when_negative", Thresholds(start_when_negative=1)),  # type: ignore[arg-type]
        ],
    )
    def test_what_makes_no_sense_is_refused(self, field: str, thresholds: Thresholds) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            thresholds.record()

        assert refusal.value.field == field
