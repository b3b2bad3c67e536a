"""Figures: which movement counts where, and that the roll-forward leaves nothing out."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.figures import (
    FIGURES,
    GATEWAY_FIGURES,
    ROLL_FORWARD,
    Moved,
    figures,
    gateway_of,
    roll_forward,
    wallets_net,
)
from prepaid.core.transfers import (
    BREAKAGE,
    FEES,
    IN_TRANSIT,
    PROMOTION,
    REVENUE,
    SUSPENSE,
    TAX_PAYABLE,
    TRANSACTION_KINDS,
    WALLET,
    clearing,
    disputed,
)

ACME = clearing("acme")
LOST = disputed("acme")
ACCOUNTS = (WALLET, ACME, LOST, FEES, BREAKAGE, IN_TRANSIT, PROMOTION, REVENUE, SUSPENSE, TAX_PAYABLE)
KINDS = (*TRANSACTION_KINDS, "fee", "suspense-refund")
PAIRS = [(a, b) for a, b in product(ACCOUNTS, ACCOUNTS) if a != b]
MOVED = st.builds(
    lambda pair, kind, amount: Moved(*pair, kind, amount),
    st.sampled_from(PAIRS),
    st.sampled_from(KINDS),
    st.integers(1, 9_000_000),
)


def test_each_figure_of_a_life_of_one_top_up() -> None:
    life = [
        Moved(ACME, WALLET, "topup", 90),
        Moved(PROMOTION, WALLET, "topup", 10),
        Moved(ACME, TAX_PAYABLE, "topup", 18),
        Moved(PROMOTION, WALLET, "bonus", 20),
        Moved(FEES, ACME, "fee", 3),
        Moved(WALLET, REVENUE, "charge", 40),
        Moved(REVENUE, WALLET, "reversal", 5),
        Moved(WALLET, IN_TRANSIT, "refund", 50),
        Moved(WALLET, PROMOTION, "clawback", 10),
        Moved(IN_TRANSIT, ACME, "refund", 45),
        Moved(IN_TRANSIT, PROMOTION, "refund", 5),
        Moved(TAX_PAYABLE, ACME, "refund", 9),
        Moved(WALLET, BREAKAGE, "expiry", 2),
        Moved(ACME, SUSPENSE, "topup", 30),
        Moved(SUSPENSE, IN_TRANSIT, "suspense-refund", 30),
        Moved(IN_TRANSIT, ACME, "suspense-refund", 30),
    ]
    found = {name: amount for name, amount in figures(life).items() if amount}
    assert found == {
        "funds_in": 108,
        "credit_consumed": 35,
        "tax_collected": 9,
        "refunds_issued": 54,
        "bonus_granted": 10,
        "discount": 5,
        "breakage": 2,
        "fees": 3,
        "suspense_in": 30,
        "suspense_out": 30,
    }
    lines = {name: amount for name, amount in roll_forward(life).items() if amount}
    assert lines == {
        "topups": 100,
        "bonus": 20,
        "consumed": -35,
        "expired": -2,
        "refunds": -50,
        "clawbacks": -10,
    }


def test_a_refund_that_failed_after_it_was_settled_is_as_if_it_had_not_been() -> None:
    there = [
        Moved(WALLET, IN_TRANSIT, "refund", 50),
        Moved(WALLET, PROMOTION, "clawback", 10),
        Moved(IN_TRANSIT, ACME, "refund", 45),
        Moved(IN_TRANSIT, PROMOTION, "refund", 5),
        Moved(TAX_PAYABLE, ACME, "refund", 9),
    ]
    back = [
        Moved(ACME, IN_TRANSIT, "refund-reversal", 45),
        Moved(PROMOTION, IN_TRANSIT, "refund-reversal", 5),
        Moved(ACME, TAX_PAYABLE, "refund-reversal", 9),
        Moved(IN_TRANSIT, WALLET, "refund-reversal", 50),
        Moved(PROMOTION, WALLET, "clawback", 10),
    ]
    assert not any(figures(there + back).values())
    assert wallets_net(there + back) == 0


def test_a_dispute_is_money_that_left_until_it_is_won_and_takes_from_wallet_tax_and_promotion_when_lost() -> None:
    withdrawn = [Moved(LOST, ACME, "dispute", 108)]
    won = [Moved(ACME, LOST, "dispute-reversal", 108)]
    lost = [
        Moved(WALLET, LOST, "dispute", 90),
        Moved(WALLET, PROMOTION, "dispute", 10),
        Moved(WALLET, PROMOTION, "clawback", 20),
        Moved(TAX_PAYABLE, LOST, "dispute", 18),
    ]
    assert figures(withdrawn)["disputed"] == 108
    assert not any(figures(withdrawn + won).values())
    found = {name: amount for name, amount in figures(withdrawn + lost).items() if amount}
    assert found == {"disputed": 108, "tax_collected": -18, "bonus_granted": -20, "discount": -10}
    assert roll_forward(lost)["disputes"] == -100


@given(st.lists(MOVED))
def test_the_roll_forward_adds_up_whatever_moved(moved: list[Moved]) -> None:
    assert sum(roll_forward(moved).values()) == wallets_net(moved)


@given(st.lists(MOVED), st.lists(MOVED))
def test_the_figures_of_two_days_are_the_sum_of_theirs(first: list[Moved], second: list[Moved]) -> None:
    whole, parts = figures(first + second), (figures(first), figures(second))
    assert whole == {name: sum(part[name] for part in parts) for name in FIGURES}
    assert set(roll_forward(first)) == {*ROLL_FORWARD, "adjustments"}


def test_money_of_a_gateway_is_told_by_its_accounts_and_what_leaves_suspense_is_nobodys() -> None:
    of = {
        "acme": [Moved(ACME, WALLET, "topup", 1), Moved(FEES, ACME, "fee", 1), Moved(LOST, ACME, "dispute", 1)],
        None: [Moved(SUSPENSE, WALLET, "topup", 1), Moved(WALLET, REVENUE, "charge", 1)],
    }
    assert {gateway: {gateway_of(moved) for moved in each} for gateway, each in of.items()} == {
        "acme": {"acme"},
        None: {None},
    }
    assert gateway_of(Moved(TAX_PAYABLE, disputed("other"), "dispute", 1)) == "other"


@given(st.lists(MOVED))
def test_the_figures_of_gateways_are_those_of_the_book(moved: list[Moved]) -> None:
    parts = [figures(each for each in moved if gateway_of(each) == name) for name in ("acme", None)]
    whole = figures(moved)

    assert {name: sum(part[name] for part in parts) for name in GATEWAY_FIGURES} == {
        name: whole[name] for name in GATEWAY_FIGURES
    }
