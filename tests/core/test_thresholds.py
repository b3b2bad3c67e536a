"""Thresholds: one message for each crossing, none for standing still."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest
from prepaid.core.money import Money
from prepaid.core.thresholds import Thresholds, crossings

UNITS = st.integers(-1000, 1000)


class TestCrossings:
    @given(UNITS, st.integers(0, 1000), st.lists(UNITS, max_size=30))
    def test_messages_alternate_and_tell_where_the_balance_stands(self, start: int, low: int, path: list[int]) -> None:
        told: list[str] = []
        before = start
        for after in path:
            told.extend(crossings(before=before, after=after, low=low))
            before = after

        assert all(a != b for a, b in itertools.pairwise(told))
        if told:
            assert told[-1] == ("credit-low" if before < low else "credit-recovered")
            assert told[0] == ("credit-low" if start >= low else "credit-recovered")
        else:
            assert (start < low) == (before < low)

    @given(UNITS, UNITS)
    def test_without_a_level_nothing_is_told(self, before: int, after: int) -> None:
        assert crossings(before=before, after=after, low=None) == ()

    @pytest.mark.parametrize(
        ("before", "after", "told"),
        [
            (500, 499, ("credit-low",)),
            (501, 500, ()),
            (499, 500, ("credit-recovered",)),
            (499, 499, ()),
            (500, 500, ()),
            (1000, -1000, ("credit-low",)),
        ],
    )
    def test_the_level_itself_is_not_low(self, before: int, after: int, told: tuple[str, ...]) -> None:
        assert crossings(before=before, after=after, low=500) == told


class TestLevels:
    @pytest.mark.parametrize(
        ("low", "levels"),
        [
            (None, {}),
            ((), {}),
            (Money.zero("EUR"), {"EUR": 0}),
            (Money.of("5.00", "EUR"), {"EUR": 5_000_000}),
            ((Money.of("5.00", "EUR"), Money.of("500", "JPY")), {"EUR": 5_000_000, "JPY": 5_000_000}),
        ],
    )
    def test_there_is_one_level_for_each_currency(self, low: Any, levels: dict[str, int]) -> None:
        assert Thresholds(low=low).low_by_currency() == levels

    @pytest.mark.parametrize(
        "low",
        [
            Money(-1, "EUR"),
            (Money.of("5.00", "EUR"), Money.of("6.00", "EUR")),
            (Money.of("5.00", "EUR"), None),
            [Money.of("5.00", "EUR")],
            {"EUR": 5},
            "5.00",
            5,
            5.0,
            True,
            False,
            0,
        ],
        ids=ascii,
    )
    def test_other_levels_are_refused(self, low: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            Thresholds(low=low).low_by_currency()

        assert refusal.value.field == "low"
