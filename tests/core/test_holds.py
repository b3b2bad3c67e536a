"""Holds: how long one may last."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from prepaid.core.errors import InvalidRequest
from prepaid.core.holds import LONGEST_HOLD, check_duration


@pytest.mark.parametrize("duration", [timedelta(microseconds=1), timedelta(hours=2), LONGEST_HOLD], ids=str)
def test_a_hold_lasts_more_than_nothing_and_a_year_at_most(duration: timedelta) -> None:
    assert check_duration(duration) == duration


@pytest.mark.parametrize(
    "value",
    [
        timedelta(0),
        timedelta(microseconds=-1),
        LONGEST_HOLD + timedelta(microseconds=1),
        timedelta.max,
        timedelta.min,
        None,
        0,
        3600,
        3600.0,
        True,
        "PT2H",
    ],
    ids=ascii,
)
def test_any_other_duration_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="at most 366 days") as refusal:
        check_duration(value)

    assert refusal.value.field == "expires_in"
