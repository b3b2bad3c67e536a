"""Usage values: a charge that could not be posted or printed cannot even be made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from prepaid.core.errors import InvalidAmount, InvalidRequest, RequestRefused
from prepaid.core.money import MAX_UNITS, Money
from prepaid.core.usage import Charge

START = datetime(2026, 11, 22, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


def _charge(**fields: Any) -> Charge:
    return Charge(
        **{"customer": "user-42", "amount": Money.of("0.00744", "EUR"), "key": "vm-1/2026-11-22T05", **fields}
    )


def test_a_charge_keeps_what_it_was_given() -> None:
    charge = _charge(
        description="vm-1, 1 h",
        resource="vm-1",
        kind="instance",
        project="web",
        period=(START, START + HOUR),
        allow_negative=True,
    )

    assert (charge.customer, charge.key, charge.period) == ("user-42", "vm-1/2026-11-22T05", (START, START + HOUR))
    assert charge == _charge(
        description="vm-1, 1 h",
        resource="vm-1",
        kind="instance",
        project="web",
        period=(START, START + HOUR),
        allow_negative=True,
    )


@pytest.mark.parametrize("units", [1, MAX_UNITS])
def test_a_charge_may_be_as_fine_or_as_large_as_the_ledger(units: int) -> None:
    assert _charge(amount=Money(units, "EUR")).amount.units == units


@pytest.mark.parametrize(
    "amount",
    [Money.zero("EUR"), Money(-1, "EUR"), None, "1.00", 1, 1.0, float("nan"), True, Decimal(1), (1, "EUR")],
    ids=ascii,
)
def test_only_money_above_zero_is_charged(amount: Any) -> None:
    with pytest.raises(InvalidAmount) as refusal:
        _charge(amount=amount)

    assert refusal.value.field == "amount"


@pytest.mark.parametrize(("name", "longest"), [("customer", 191), ("key", 191)])
def test_customer_and_key_are_keys(name: str, longest: int) -> None:
    for value in ("", " ", " a", "a\x00", "a\u200b", "\ud800", "x" * (longest + 1), None, 5, True, b"x", ("x",)):
        with pytest.raises(InvalidRequest) as refusal:
            _charge(**{name: value})
        assert refusal.value.field == name
    assert getattr(_charge(**{name: "x" * longest}), name) == "x" * longest


@pytest.mark.parametrize(
    ("name", "longest"), [("description", 200), ("resource", 191), ("kind", 120), ("project", 120)]
)
def test_what_is_printed_is_bounded_text(name: str, longest: int) -> None:
    for value in ("a\x00", "a\nb", "a\u202e", "\ud800", "x" * (longest + 1), None, 5, True, b"x", ("x",)):
        with pytest.raises(InvalidRequest) as refusal:
            _charge(**{name: value})
        assert refusal.value.field == name
    assert getattr(_charge(**{name: "x" * longest}), name) == "x" * longest


@pytest.mark.parametrize(
    "period",
    [
        (),
        (START,),
        (START, START + HOUR, START),
        [START, START + HOUR],
        START,
        "2026",
        (START, None),
        (None, START),
        ("2026-11-22", "2026-11-23"),
        (START.date(), START),
        (START.replace(tzinfo=None), START + HOUR),
        (START, (START + HOUR).replace(tzinfo=None)),
        (START, START),
        (START + HOUR, START),
        (START, START.astimezone(BERLIN)),
        # By the clock on the wall the end is later; the instant is the same or before.
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN)),
        (datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo")), START),
        (datetime(1969, 12, 31, 23, tzinfo=UTC), START),
        (START, datetime(9999, 12, 31, 23, 30, tzinfo=UTC)),
    ],
    ids=ascii,
)
def test_a_period_is_two_aware_instants_the_second_later(period: Any) -> None:
    with pytest.raises(RequestRefused) as refusal:
        _charge(period=period)

    assert refusal.value.field == "period"


def test_an_hour_that_comes_twice_is_a_period() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)

    assert _charge(period=(first, first.replace(fold=1))).period == (
        first.astimezone(UTC),
        first.astimezone(UTC) + HOUR,
    )


@pytest.mark.parametrize("value", [None, 0, 1, "", "yes", "False", ()], ids=ascii)
def test_going_below_the_floor_is_said_with_a_bool(value: Any) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        _charge(allow_negative=value)

    assert refusal.value.field == "allow_negative"
