"""The machine sees mistakes about money that goes back: too much, too little, or shown wrongly."""

from __future__ import annotations

import pytest
from attrs import evolve

from prepaid import Money, documents, repayment
from prepaid.core import clawback, refund_requests
from prepaid.core.clawback import NOTHING
from prepaid.core.taking import Own
from prepaid.core.taking import take as take_parts
from prepaid.refund_desk import decisions, recording
from prepaid.returning import again, disputes, refunds, steps
from prepaid.store import standings
from prepaid.wallets import freed

from .planting import params, require_seen
from .returns_machine import Returns

LIVES = 200


def the_bonus_stays(patch):
    patch.setattr(clawback, "claw_back", lambda bought, amount, before=NOTHING: 0)


def each_part_is_rounded_by_itself(patch):
    by_credit = clawback.by_credit
    patch.setattr(decisions, "by_credit", lambda bought, amount, before: by_credit(bought, amount))


def what_went_back_before_is_forgotten(patch):
    patch.setattr(standings, "_returned", lambda tx, topups: {})


def what_holds_reserve_is_given_back(patch):
    refundable = refund_requests.refundable
    patch.setattr(
        refund_requests, "refundable", lambda bought, **figures: refundable(bought, **{**figures, "free": None})
    )


def a_disputed_payment_is_given_back(patch):
    patch.setattr(standings, "_withdrawn", lambda tx, topups: set())


def a_refund_that_fails_keeps_the_credit(patch):
    patch.setattr(refunds, "_givings", lambda tx, context, refund, *, actor: [])


def a_refund_that_fails_keeps_the_bonus(patch):
    givings = refunds._givings

    def without_bonus(tx, context, refund, *, actor):
        return [each for each in givings(tx, context, refund, actor=actor) if each.header.kind != "clawback"]

    patch.setattr(refunds, "_givings", without_bonus)


def a_refund_that_came_back_stays_booked(patch):
    give_back = refunds.give_back_refund

    def forgetful(tx, context, refund, **named):
        return give_back(tx, context, evolve(refund, settled_at=None), **named)

    patch.setattr(repayment.returning, "give_back_refund", forgetful)


def nothing_is_taken_of_what_comes_back(patch):
    patch.setattr(repayment.returning, "rebalance", lambda tx, context, topup, *, prepared: ())


def a_refund_at_the_gateway_takes_nothing_of_what_comes_back(patch):
    patch.setattr(again, "rebook_refund", lambda tx, context, refund, **named: ())


def a_lost_dispute_takes_nothing_of_what_comes_back(patch):
    patch.setattr(again, "rebook_dispute", lambda tx, context, dispute_id, **named: ())


def what_comes_back_to_a_disputed_payment_is_free(patch):
    patch.setattr(again, "hold_again", lambda tx, context, dispute_id, **named: None)


def credit_that_comes_free_stays_free(patch):
    patch.setattr(freed, "tell", lambda tx, context, customer, *, about: False)


def an_open_dispute_holds_nothing(patch):
    patch.setattr(disputes, "_keep", lambda tx, context, act, after: after)


def a_dispute_keeps_its_hold(patch):
    patch.setattr(disputes, "_let_go", lambda tx, context, act, before: None)


def a_lost_dispute_takes_no_credit(patch):
    patch.setattr(disputes, "by_gross", lambda bought, gross, before: NOTHING)


def the_tax_of_a_lost_dispute_is_still_owed(patch):
    patch.setattr(disputes, "_post_tax", lambda tx, context, act, figures, *, step, sign: None)


def credit_is_returned_from_the_bonus_first(patch):
    def take(credit, clawed_back, *, own, others=()):
        return take_parts(credit, clawed_back, own=Own(own.bonus, own.paid), others=others)

    patch.setattr(steps, "take", take)


def one_operator_is_enough(patch):
    patch.setattr(decisions, "waits_for_another", lambda tx, context, held, act: False)


def parts_get_around_the_limit(patch):
    for module in (decisions, recording):
        patch.setattr(module, "given_back", lambda tx, kind, subject_id, currency: Money.zero(currency))


def a_credit_note_is_forgotten(patch):
    patch.setattr(documents, "issue_credit_note", lambda tx, context, change, *, series: None)


DEFECTS = [
    the_bonus_stays,
    each_part_is_rounded_by_itself,
    what_went_back_before_is_forgotten,
    what_holds_reserve_is_given_back,
    a_disputed_payment_is_given_back,
    a_refund_that_fails_keeps_the_credit,
    a_refund_that_fails_keeps_the_bonus,
    a_refund_that_came_back_stays_booked,
    nothing_is_taken_of_what_comes_back,
    a_refund_at_the_gateway_takes_nothing_of_what_comes_back,
    a_lost_dispute_takes_nothing_of_what_comes_back,
    what_comes_back_to_a_disputed_payment_is_free,
    credit_that_comes_free_stays_free,
    an_open_dispute_holds_nothing,
    a_dispute_keeps_its_hold,
    a_lost_dispute_takes_no_credit,
    the_tax_of_a_lost_dispute_is_still_owed,
    credit_is_returned_from_the_bonus_first,
    one_operator_is_enough,
    parts_get_around_the_limit,
    a_credit_note_is_forgotten,
]
IN_EVERY_RUN = {the_bonus_stays, an_open_dispute_holds_nothing}


@pytest.mark.parametrize("defect", params(DEFECTS, in_every_run=IN_EVERY_RUN))
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_planted_defect_is_seen(engine, tmp_path, monkeypatch, defect):
    require_seen(defect, engine, tmp_path, monkeypatch, lives=LIVES, kind=Returns)
