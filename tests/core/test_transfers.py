"""What events post: every line moves money above zero between two accounts, as the tables of the ledger say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import IntegrityFault
from prepaid.core.money import MAX_UNITS
from prepaid.core.transfers import (
    BREAKAGE,
    GOODWILL,
    PROMOTION,
    REVENUE,
    SUSPENSE,
    TAX_PAYABLE,
    TRANSACTION_KINDS,
    WALLET,
    AccountRef,
    Line,
    bonus_lines,
    charge_lines,
    clearing,
    expiry_lines,
    external,
    given_lines,
    moving_lines,
    suspense_lines,
    topup_lines,
    void_lines,
)

UNITS = st.integers(0, 10**17)
STRIPE = clearing("stripe")


def _moved(lines: tuple[Line, ...], account: AccountRef) -> int:
    return sum(line.amount * ((line.credit == account) - (line.debit == account)) for line in lines)


class TestTopup:
    @given(UNITS, UNITS, UNITS)
    def test_the_wallet_gets_net_and_discount_and_the_gateway_owes_net_and_tax(
        self, net: int, discount: int, tax: int
    ) -> None:
        lines = topup_lines(clearing("stripe"), net=net, discount=discount, tax=tax)

        assert _moved(lines, WALLET) == net + discount
        assert _moved(lines, STRIPE) == -(net + tax)
        assert _moved(lines, PROMOTION) == -discount
        assert _moved(lines, TAX_PAYABLE) == tax

    def test_the_lines_stand_in_a_fixed_order(self) -> None:
        lines = topup_lines(clearing("stripe"), net=45, discount=5, tax=9)

        assert [(str(line.debit), str(line.credit), line.amount) for line in lines] == [
            ("clearing:stripe", "wallet", 45),
            ("promotion", "wallet", 5),
            ("clearing:stripe", "tax_payable", 9),
        ]

    def test_nothing_is_posted_for_nothing(self) -> None:
        assert topup_lines(clearing("stripe"), net=0, discount=0, tax=0) == ()
        assert topup_lines(clearing("stripe"), net=0, discount=50, tax=0) == (Line(PROMOTION, WALLET, 50),)

    @pytest.mark.parametrize("amounts", [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])
    def test_no_part_is_below_zero(self, amounts: tuple[int, int, int]) -> None:
        net, discount, tax = amounts

        with pytest.raises(IntegrityFault):
            topup_lines(clearing("stripe"), net=net, discount=discount, tax=tax)


class TestOtherEvents:
    @pytest.mark.parametrize(
        ("lines", "debit", "credit"),
        [
            (bonus_lines(7), PROMOTION, WALLET),
            (given_lines(GOODWILL, 7), GOODWILL, WALLET),
            (suspense_lines("stripe", 7), STRIPE, SUSPENSE),
            (charge_lines((7,)), WALLET, REVENUE),
            (moving_lines([(REVENUE, WALLET, 7)]), REVENUE, WALLET),
            (expiry_lines(7), WALLET, BREAKAGE),
            (void_lines(external("partner"), 7), WALLET, external("partner")),
        ],
        ids=["bonus", "goodwill", "suspense", "charge", "reversal", "expiry", "void"],
    )
    def test_one_line_joins_the_two_accounts(
        self, lines: tuple[Line, ...], debit: AccountRef, credit: AccountRef
    ) -> None:
        assert lines == (Line(debit, credit, 7),)

    @pytest.mark.parametrize(
        "lines",
        [
            bonus_lines(0),
            given_lines(GOODWILL, 0),
            suspense_lines("stripe", 0),
            charge_lines(()),
            moving_lines([(REVENUE, WALLET, 0)]),
            expiry_lines(0),
            void_lines(GOODWILL, 0),
        ],
    )
    def test_zero_posts_nothing(self, lines: tuple[Line, ...]) -> None:
        assert lines == ()

    @given(st.lists(st.integers(1, 10**12), max_size=8).map(tuple))
    def test_a_charge_has_one_line_for_each_grant_in_order(self, parts: tuple[int, ...]) -> None:
        lines = charge_lines(parts)

        assert tuple(line.amount for line in lines) == parts
        assert _moved(lines, WALLET) == -sum(parts)
        assert _moved(lines, REVENUE) == sum(parts)

    @given(st.lists(st.integers(1, 10**12), max_size=8).map(tuple))
    def test_a_reversal_undoes_a_charge_line_by_line(self, parts: tuple[int, ...]) -> None:
        undone = [
            (line.credit, line.debit, line.amount) for line in moving_lines((REVENUE, WALLET, part) for part in parts)
        ]

        assert undone == [(line.debit, line.credit, line.amount) for line in charge_lines(parts)]


class TestLine:
    @pytest.mark.parametrize(
        "amount", [0, -1, MAX_UNITS + 1, 2**63, 10**19, True, 1.0, float("nan"), "1", None], ids=ascii
    )
    def test_a_line_moves_a_positive_64_bit_amount(self, amount: Any) -> None:
        with pytest.raises(IntegrityFault, match="positive 64-bit"):
            Line(WALLET, REVENUE, amount)

    def test_the_largest_amount_fits(self) -> None:
        assert Line(WALLET, REVENUE, MAX_UNITS).amount == MAX_UNITS

    def test_a_line_joins_two_accounts(self) -> None:
        with pytest.raises(IntegrityFault, match="two different accounts"):
            Line(STRIPE, clearing("stripe"), 1)
        with pytest.raises(IntegrityFault, match="two different accounts"):
            Line(AccountRef("wallet", "ada"), AccountRef("wallet", "bob"), 1)

        assert Line(STRIPE, clearing("paypal"), 1).wallet_sign == 0

    @pytest.mark.parametrize(
        ("line", "sign"),
        [(Line(PROMOTION, WALLET, 1), 1), (Line(WALLET, REVENUE, 1), -1), (Line(STRIPE, SUSPENSE, 1), 0)],
    )
    def test_the_sign_is_the_wallets(self, line: Line, sign: int) -> None:
        assert line.wallet_sign == sign


def test_accounts_of_a_gateway_carry_its_name() -> None:
    assert (str(STRIPE), str(WALLET)) == ("clearing:stripe", "wallet")
    assert clearing("paypal") != STRIPE
    assert str(external("partner")) == "external:partner"


def test_the_kinds_are_those_customers_read() -> None:
    assert len(set(TRANSACTION_KINDS)) == len(TRANSACTION_KINDS) == 15
    assert {"topup", "bonus", "charge", "reversal", "refund-reversal", "clawback"} <= set(TRANSACTION_KINDS)
