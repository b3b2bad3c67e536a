"""Giving back: no unit more than was taken, the last burned first, and debts before credit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import IntegrityFault
from prepaid.core.reversals import Change, ChargedPart, Debtor, Returned, give_back, take_back

AMOUNTS = st.integers(0, 10**15)
SIZES = st.lists(AMOUNTS, max_size=6)


def _charged(sizes: list[int], debt: int = 0) -> tuple[ChargedPart, ...]:
    """Give the parts of a charge in burn order, the part below zero last."""
    of_grants = tuple(ChargedPart(f"grt_{number}", size, priority=number) for number, size in enumerate(sizes))
    return (*of_grants, ChargedPart(None, debt)) if debt else of_grants


@st.composite
def _ledgers(draw: st.DrawFn) -> tuple[tuple[ChargedPart, ...], int, tuple[Debtor, ...]]:
    """Draw what is given back, a balance, and debtors that paid at least what is not debt any more."""
    sizes, debt, balance = draw(SIZES), draw(AMOUNTS), draw(st.integers(-(10**15), 10**15))
    debtors = draw(st.lists(AMOUNTS, max_size=4))
    missing = debt - max(0, -balance) - sum(debtors)
    paid = (*debtors, max(0, missing))
    return _charged(sizes, debt), balance, tuple(Debtor(f"grt_d{number}", units) for number, units in enumerate(paid))


class TestTakeBack:
    @given(SIZES, AMOUNTS, st.data())
    def test_what_is_taken_adds_up_and_is_the_end_of_the_charge(
        self, sizes: list[int], debt: int, data: st.DataObject
    ) -> None:
        parts = _charged(sizes, debt)
        amount = data.draw(st.integers(0, sum(part.amount for part in parts)))

        taken = {part.grant: part.amount for part in take_back(parts, amount)}

        left = amount
        for part in reversed(parts):
            assert taken.get(part.grant, 0) == min(left, part.amount)
            left -= taken.get(part.grant, 0)
        assert left == 0
        assert 0 not in taken.values()

    @given(SIZES, AMOUNTS)
    def test_all_of_a_charge_gives_back_every_part(self, sizes: list[int], debt: int) -> None:
        parts = _charged(sizes, debt)

        whole = take_back(parts, sum(part.amount for part in parts))

        assert whole == tuple(part for part in parts if part.amount)

    @given(SIZES, st.integers(1, 10**15))
    def test_never_more_than_was_charged(self, sizes: list[int], more: int) -> None:
        with pytest.raises(IntegrityFault, match="More would be given back"):
            take_back(_charged(sizes), sum(sizes) + more)

    def test_two_parts_of_a_charge_give_what_the_whole_gives(self) -> None:
        parts = _charged([30, 50], debt=20)

        first = take_back(parts, 45)
        left = (ChargedPart("grt_0", 30, priority=0), ChargedPart("grt_1", 25, priority=1))

        assert first == (ChargedPart("grt_1", 25, priority=1), ChargedPart(None, 20))
        assert take_back(left, 55) == left


class TestGiveBack:
    @given(_ledgers())
    def test_what_is_given_is_what_was_taken_and_the_books_keep_their_balance(
        self, ledger: tuple[tuple[ChargedPart, ...], int, tuple[Debtor, ...]]
    ) -> None:
        """Credit left of grants, less the debt, moves by exactly what comes back."""
        parts, balance, debtors = ledger
        returned = give_back(parts, balance=balance, debtors=debtors)

        total = sum(part.amount for part in parts)
        more = sum(change.remaining for each in returned for change in each.changes)
        paid = sum(change.debt_paid for each in returned for change in each.changes)
        debt_left = max(0, -(balance + total))
        assert sum(each.amount for each in returned) == total
        assert more == max(0, balance + total) - max(0, balance)
        without_grant = sum(part.amount for part in parts if part.grant is None)
        # What was taken below zero is undone: debts that are left and debts that are paid are that much less.
        assert paid == max(0, -balance) - without_grant - debt_left

    @given(_ledgers())
    def test_each_part_goes_to_its_own_grant(
        self, ledger: tuple[tuple[ChargedPart, ...], int, tuple[Debtor, ...]]
    ) -> None:
        parts, balance, debtors = ledger
        for each in give_back(parts, balance=balance, debtors=debtors):
            if each.grant is not None:
                [change] = each.changes
                assert change.grant == each.grant
                assert change.remaining + change.debt_paid == each.amount
                assert change.remaining >= 0
                assert change.debt_paid >= 0
            for change in each.changes:
                assert each.grant is not None or change.debt_paid == -change.remaining < 0

    def test_credit_goes_back_to_the_grants_in_the_order_they_burned(self) -> None:
        parts = (ChargedPart("bonus", 20, priority=10), ChargedPart("paid", 30, priority=50))

        assert give_back(parts, balance=5, debtors=()) == (
            Returned("bonus", 20, (Change("bonus", 20, 0),)),
            Returned("paid", 30, (Change("paid", 30, 0),)),
        )

    def test_what_had_no_grant_lowers_the_debt_that_is_left(self) -> None:
        assert give_back((ChargedPart(None, 30),), balance=-40, debtors=(Debtor("grt_1", 99),)) == (
            Returned(None, 30, ()),
        )

    def test_then_it_goes_to_the_credit_that_paid_the_debt_the_latest_first(self) -> None:
        debtors = (Debtor("latest", 8), Debtor("nothing", 0), Debtor("earlier", 50))

        assert give_back((ChargedPart(None, 30),), balance=-10, debtors=debtors) == (
            Returned(None, 30, (Change("latest", 8, -8), Change("earlier", 12, -12))),
        )

    def test_the_part_below_zero_comes_first_so_that_credit_finds_no_debt(self) -> None:
        parts = (ChargedPart("paid", 30, priority=50), ChargedPart(None, 20))

        assert give_back(parts, balance=-20, debtors=()) == (
            Returned(None, 20, ()),
            Returned("paid", 30, (Change("paid", 30, 0),)),
        )

    def test_credit_that_returns_to_a_debt_pays_it_promotional_credit_first(self) -> None:
        parts = (ChargedPart("bonus", 20, priority=10), ChargedPart("paid", 30, priority=50))

        assert give_back(parts, balance=-35, debtors=()) == (
            Returned("bonus", 20, (Change("bonus", 0, 20),)),
            Returned("paid", 30, (Change("paid", 15, 15),)),
        )

    def test_a_debt_that_nobody_paid_is_a_contradiction(self) -> None:
        with pytest.raises(IntegrityFault, match="no grant paid"):
            give_back((ChargedPart(None, 30),), balance=-10, debtors=(Debtor("grt_1", 19),))
