"""The machine sees mistakes that are planted: each of them moves or shows somebody's money wrongly."""

from __future__ import annotations

from importlib import import_module

import pytest
from attrs import evolve

from prepaid import adjustments
from prepaid.core import reversals
from prepaid.store import accounts, grants, holds, ledger
from prepaid.usage import holds as hold_acts
from prepaid.wallets import due, moving, posting, reversing

from .planting import params, require_seen

LIVES = 200


def newest_credit_burns_first(patch):
    found = grants.open_grants
    patch.setattr(grants, "open_grants", lambda tx, wallet: found(tx, wallet)[::-1])


def holds_look_at_no_floor(patch):
    patch.setattr(ledger, "reserve", lambda tx, wallet, amount: ledger.take(tx, wallet, 0, rows=0, unhold=-amount))


def credit_lapses_below_what_is_held(patch):
    lapsing = due.lapsing
    patch.setattr(due, "lapsing", lambda spendable, lapsed: lapsing(10**15, lapsed))


def credit_never_lapses(patch):
    patch.setattr(due, "lapsing", lambda spendable, lapsed: ())


def a_debt_is_not_paid_by_the_next_credit(patch):
    patch.setattr(posting, "pay_debt", lambda balance, *sizes: tuple(0 for _ in sizes))


def a_debt_is_not_paid_by_credit_that_begins(patch):
    patch.setattr(due, "pay_debt", lambda balance, *sizes: tuple(0 for _ in sizes))


def what_burned_first_comes_back_first(patch):
    take_back = reversals.take_back
    patch.setattr(reversing, "take_back", lambda parts, amount: take_back(parts[::-1], amount))


def a_reversal_pays_no_debt(patch):
    give_back = reversals.give_back
    patch.setattr(moving, "give_back", lambda parts, *, balance, debtors: give_back(parts, balance=balance, debtors=()))


def a_reversal_forgets_those_before(patch):
    patch.setattr(ledger, "given_back", lambda tx, transaction: {})


def credit_that_comes_back_to_an_expired_grant_stays(patch):
    sweep = due.sweep

    def deaf(tx, context, wallet, *, now=None):
        return sweep(tx, context, wallet, now=now) if now is not None else wallet

    patch.setattr(moving.due, "sweep", deaf)


def a_capture_keeps_the_rest_reserved(patch):
    take = ledger.take

    def hasty(tx, wallet, amount, *, rows=1, unhold=0):
        return take(tx, wallet, amount, rows=rows, unhold=min(amount, unhold))

    patch.setattr(ledger, "take", hasty)


def a_hold_can_be_captured_after_its_time(patch):
    def held(tx, context, found):
        return accounts.hold_wallet(tx, found.customer, found.amount.currency), holds.read_held(tx, found.id)

    patch.setattr(hold_acts, "_held", held)


def a_release_leaves_what_it_kept_alive(patch):
    patch.setattr(hold_acts, "_settle", lambda tx, context, wallet: None)


def a_void_takes_what_holds_reserve(patch):
    take_back = adjustments._take_back

    def greedy(tx, context, header, left, *, wallet, reason):
        take_back(tx, context, header, left, wallet=evolve(wallet, held=0), reason=reason)

    patch.setattr(adjustments, "_take_back", greedy)


def a_balance_is_shown_without_what_is_due(patch):
    # By its name: the package has a function of that name.
    balances = import_module("prepaid.wallets.balances")
    patch.setattr(balances, "lapsing", lambda spendable, lapsed: ())


def a_frozen_customer_reserves(patch):
    patch.setattr(hold_acts.customer_rows, "frozen_at", lambda tx, customer: None)


DEFECTS = [
    newest_credit_burns_first,
    holds_look_at_no_floor,
    credit_lapses_below_what_is_held,
    credit_never_lapses,
    a_debt_is_not_paid_by_the_next_credit,
    a_debt_is_not_paid_by_credit_that_begins,
    what_burned_first_comes_back_first,
    a_reversal_pays_no_debt,
    a_reversal_forgets_those_before,
    credit_that_comes_back_to_an_expired_grant_stays,
    a_capture_keeps_the_rest_reserved,
    a_hold_can_be_captured_after_its_time,
    a_release_leaves_what_it_kept_alive,
    a_void_takes_what_holds_reserve,
    a_balance_is_shown_without_what_is_due,
    a_frozen_customer_reserves,
]
IN_EVERY_RUN = {newest_credit_burns_first, credit_never_lapses, a_reversal_forgets_those_before}


@pytest.mark.parametrize("defect", params(DEFECTS, in_every_run=IN_EVERY_RUN))
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_planted_defect_is_seen(engine, tmp_path, monkeypatch, defect):
    require_seen(defect, engine, tmp_path, monkeypatch, lives=LIVES)
