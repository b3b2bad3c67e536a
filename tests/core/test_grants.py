"""Grants: the order they burn in, and that no unit is burned twice or forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest
from prepaid.core.grants import (
    MAX_PRIORITY,
    NEVER,
    PAID_KINDS,
    Burn,
    BurnOrder,
    GrantKind,
    OpenGrant,
    burn,
    burn_order,
    check_priority,
    lapsing,
    pay_debt,
)

USUAL = BurnOrder()
SOON = datetime(2026, 12, 31, tzinfo=UTC)
SIZES = st.lists(st.integers(0, 10**15), max_size=8)
AMOUNTS = st.integers(0, 10**16)


def _grants(sizes: list[int]) -> tuple[OpenGrant, ...]:
    return tuple(OpenGrant(f"gra_{number}", size) for number, size in enumerate(sizes))


class TestBurn:
    @given(AMOUNTS, SIZES)
    def test_the_parts_add_up_and_none_is_empty(self, amount: int, sizes: list[int]) -> None:
        parts = burn(amount, _grants(sizes))

        assert sum(part.amount for part in parts) == amount
        assert all(part.amount > 0 for part in parts)

    @given(AMOUNTS, SIZES)
    def test_a_grant_is_touched_only_when_those_before_it_are_used_up(self, amount: int, sizes: list[int]) -> None:
        taken = {part.grant: part.amount for part in burn(amount, _grants(sizes))}

        left = amount
        for grant in _grants(sizes):
            expected = min(left, grant.remaining)
            assert taken.get(grant.id, 0) == expected
            left -= expected
        assert taken.get(None, 0) == left == max(0, amount - sum(sizes))

    @given(AMOUNTS, SIZES)
    def test_debt_comes_last_and_once(self, amount: int, sizes: list[int]) -> None:
        grants = [part.grant for part in burn(amount, _grants(sizes))]

        assert None not in grants[:-1]
        assert len(set(grants)) == len(grants)

    @given(AMOUNTS, AMOUNTS, SIZES)
    def test_two_charges_burn_what_one_of_their_sum_burns(self, first: int, second: int, sizes: list[int]) -> None:
        grants = _grants(sizes)
        taken = {part.grant: part.amount for part in burn(first, grants)}
        rest = [OpenGrant(grant.id, grant.remaining - taken.get(grant.id, 0)) for grant in grants]
        for part in burn(second, rest):
            taken[part.grant] = taken.get(part.grant, 0) + part.amount

        assert taken == {part.grant: part.amount for part in burn(first + second, grants)}

    def test_grants_are_read_no_further_than_needed(self) -> None:
        grants = iter(_grants([10, 10, 10]))

        assert burn(10, grants) == (Burn("gra_0", 10),)
        assert next(grants).id == "gra_2"


class TestPriority:
    def test_credit_burns_in_the_promised_order(self) -> None:
        order = [
            USUAL.priority("promotional", SOON),
            USUAL.priority("promotional", NEVER),
            USUAL.priority("external", SOON),
            USUAL.priority("migrated", NEVER),
            USUAL.priority("paid", SOON),
        ]

        assert order == sorted(set(order))

    @pytest.mark.parametrize("expires_at", [NEVER, SOON])
    def test_goodwill_burns_with_promotional_credit_that_stays(self, expires_at: datetime) -> None:
        assert USUAL.priority("goodwill", expires_at) == USUAL.priority("promotional", NEVER)

    def test_what_counts_as_paid_burns_after_what_does_not(self) -> None:
        kinds: tuple[GrantKind, ...] = get_args(GrantKind)
        paid = [USUAL.priority(kind, NEVER) for kind in PAID_KINDS]
        free = [USUAL.priority(kind, NEVER) for kind in kinds if kind not in PAID_KINDS]

        assert max(free) < min(paid)

    def test_never_is_after_every_real_date(self) -> None:
        assert datetime(9999, 12, 30, 23, 59, tzinfo=UTC) < NEVER


class TestPayDebt:
    @given(st.integers(-(10**16), 10**16), SIZES)
    def test_arriving_credit_pays_the_debt_in_order_and_no_more(self, balance: int, sizes: list[int]) -> None:
        paid = pay_debt(balance, *sizes)

        debt = max(0, -balance)
        assert sum(paid) == min(debt, sum(sizes))
        for part, size in zip(paid, sizes, strict=True):
            assert part == min(debt, size)
            debt -= part

    @given(st.integers(-(10**16), 10**16), SIZES)
    def test_debt_and_open_grants_never_stand_together(self, balance: int, sizes: list[int]) -> None:
        remaining = sum(sizes) - sum(pay_debt(balance, *sizes))
        after = balance + sum(sizes)

        assert max(0, balance) + remaining == max(0, after)


class TestLapsing:
    @given(st.integers(-(10**16), 10**16), SIZES)
    def test_what_lapses_is_never_more_than_holds_leave(self, spendable: int, sizes: list[int]) -> None:
        parts = lapsing(spendable, _grants(sizes))

        assert sum(part.amount for part in parts) == min(max(0, spendable), sum(sizes))
        assert all(part.grant is not None and part.amount > 0 for part in parts)

    def test_credit_lapses_in_the_order_in_which_it_would_burn(self) -> None:
        assert lapsing(15, _grants([10, 10, 10])) == (Burn("gra_0", 10), Burn("gra_1", 5))

    @pytest.mark.parametrize("spendable", [0, -1])
    def test_credit_that_is_held_or_a_debt_lapses_not_at_all(self, spendable: int) -> None:
        assert lapsing(spendable, _grants([10])) == ()


class TestBurnOrderSetting:
    def test_a_book_may_burn_paid_credit_first(self) -> None:
        order = BurnOrder(paid=1, expiring_promotional=MAX_PRIORITY)

        assert order.priority("paid", NEVER) < order.priority("promotional", NEVER)
        assert order.priority("promotional", SOON) == MAX_PRIORITY

    def test_what_the_setting_keeps_is_read_back(self) -> None:
        order = BurnOrder(goodwill=0, external=7)

        assert order.record()["goodwill"] == 0
        assert burn_order(order.record()) == order
        assert burn_order(None) == burn_order({}) == USUAL

    @pytest.mark.parametrize("value", [-1, MAX_PRIORITY + 1, True, None, 1.0, "1"], ids=ascii)
    def test_a_priority_is_a_whole_number_in_range(self, value: Any) -> None:
        for name in ("expiring_promotional", "promotional", "goodwill", "external", "migrated", "paid"):
            with pytest.raises(InvalidRequest) as refusal:
                BurnOrder(**{name: value})
            assert refusal.value.field == name
        with pytest.raises(InvalidRequest) as refusal:
            check_priority(value)
        assert refusal.value.field == "priority"

    @pytest.mark.parametrize("value", [0, MAX_PRIORITY])
    def test_the_ends_of_the_range_are_priorities(self, value: int) -> None:
        assert check_priority(value) == value
