"""Grants: the order they burn in, and that no unit is burned twice or forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.grants import NEVER, PAID_KINDS, Burn, BurnOrder, GrantKind, OpenGrant, burn, pay_debt

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
