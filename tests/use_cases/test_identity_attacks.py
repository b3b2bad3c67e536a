"""Ways around a verification, and ways in which money that waits for one would wait for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import IdentityPolicy
from tests.use_cases.steps import (
    ADA,
    EVE,
    checkout_of,
    deliver,
    eur,
    operator,
    top_up,
)
from tests.use_cases.verifiers import (
    FIRST,
    Verifier,
    approve,
    ask,
    begin,
    hear,
    held,
    paid,
    settle,
    verify,
)


@pytest.fixture
def verifier(tmp_path):
    return Verifier(tmp_path / "verifier.json")


@pytest.fixture
def billing(open_billing, verifier):
    billing = open_billing(identity=verifier)
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR", email=f"{customer}@example.com")
    return billing


def revoke(billing):
    operator(billing).identity.revoke(ADA, reason="forged")


# Credited though it should not be


@pytest.mark.parametrize(("end", "credited"), [(None, False), ("lose", False), ("win", True)])
def test_a_held_payment_that_is_disputed_is_not_credited_by_itself(billing, simulated, ada, end, credited):
    topup = paid(billing, simulated)
    ask(billing, FIRST)
    settle(billing, topup)
    dispute = simulated.dispute(checkout_of(topup))
    if end:
        getattr(simulated, end)(dispute)
    operator(billing).topups.recheck(topup.id)

    approve(billing)
    billing.run_due("identity")

    assert ada.topups.get(topup.id).state == ("credited" if credited else "review")
    assert ada.balance().settled == eur("50" if credited else "0")
    assert billing.check().ok


def test_a_dispute_that_is_won_later_lets_the_job_credit_what_waited(billing, simulated, ada):
    topup = paid(billing, simulated)
    ask(billing, FIRST)
    settle(billing, topup)
    dispute = simulated.dispute(checkout_of(topup))
    operator(billing).topups.recheck(topup.id)
    approve(billing)
    simulated.win(dispute)
    for event in simulated.events():
        deliver(billing, event)

    billing.run_due("identity")

    assert ada.topups.get(topup.id).state == "credited"


def test_what_waited_is_not_credited_all_at_once_when_the_period_has_passed(billing, simulated, ada, clock):
    month = IdentityPolicy(above=eur("100"), period=timedelta(days=30))
    ask(billing, month)
    waiting = [paid(billing, simulated, "60.00") for _ in range(4)]
    for topup in waiting:
        settle(billing, topup)
    credited = []
    for _ in range(4):
        credited.append(ada.balance().settled)
        clock.advance(days=31)
        billing.run_due("identity")

    # Nobody has more than 100 within any 30 days without being verified.
    assert credited == [eur("60"), eur("120"), eur("180"), eur("240")]
    assert billing.check().ok


def test_a_review_that_was_ended_by_an_operator_counts_from_when_it_was_credited(billing, simulated, clock):
    topup = paid(billing, simulated, "60.00")
    ask(billing, FIRST)
    settle(billing, topup)
    clock.advance(days=31)
    ask(billing, IdentityPolicy(above=eur("100"), period=timedelta(days=30)))
    operator(billing).topups.resolve(topup.id, action="credit_received", reason="agreed", key="act")

    assert billing.customer(ADA).topups.quote(eur("60")).identity.required


# Verified though it was taken back


def test_a_session_begun_before_a_verification_was_taken_back_does_not_restore_it(billing, verifier, clock, simulated):
    approve(billing)
    case = begin(billing)
    verifier.set(case.reference, "verified")  # its provider does not say when
    clock.advance(minutes=1)
    revoke(billing)
    waiting = held(billing, simulated)

    hear(billing, case.reference)
    clock.advance(minutes=2)
    billing.run_due("identity")

    assert billing.customer(ADA).identity.status().state == "revoked"
    assert billing.customer(ADA).topups.get(waiting.id).state == "review"
    assert billing.check().ok


def test_who_begins_after_a_verification_was_taken_back_gets_a_case_that_counts(billing, verifier, clock):
    approve(billing)
    old = begin(billing)
    clock.advance(minutes=1)
    revoke(billing)
    clock.advance(minutes=1)

    case = verify(billing, verifier)

    assert case.id != old.id
    assert verifier._sessions()[old.reference]["state"] == "canceled"
    assert billing.customer(ADA).identity.status().state == "verified"
    assert billing.check().ok


def test_an_operators_approval_of_a_case_begun_before_counts(billing, clock):
    approve(billing)
    begin(billing)
    clock.advance(minutes=1)
    revoke(billing)
    clock.advance(minutes=1)

    assert approve(billing).state == "verified"


# Money that would wait for ever


def test_an_approval_counts_although_the_last_one_still_does_for_another_policy(billing, simulated, ada, clock):
    plain = IdentityPolicy(before_first_topup=True)
    fresh = IdentityPolicy(above=eur("100"), valid_for=timedelta(days=30))
    ask(billing, plain, fresh)
    approve(billing)
    top_up(billing, simulated, "90.00")
    topup = paid(billing, simulated, "60.00")
    clock.advance(days=60)
    assert settle(billing, topup).failure == "identity-required"

    approve(billing)

    assert ada.topups.get(topup.id).state == "credited"
    assert billing.check().ok
