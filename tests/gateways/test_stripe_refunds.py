"""Money that goes back by Stripe: refunds in every state, whoever made them, and disputes."""

from __future__ import annotations

import attrs
import pytest

from prepaid.core.money import Money
from prepaid.ports import PaymentRef, RefundRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_world import (
    FLOWS,
    KEY,
    NOW,
    TOPUP,
    a_refund,
    bound,
    configured,
    created,
    paid,
    refused,
    shorten_waits,
)

TWENTY = Money.of("20.00", "EUR")


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


@pytest.fixture
def gateway(simulator, clock):
    return bound(simulator, clock)


@pytest.fixture
def ref(gateway, simulator):
    return paid(gateway, simulator)


@pytest.fixture
def quick_retries(monkeypatch):
    shorten_waits(monkeypatch)


def refund_ref(ref, refund_id="ref_1", *, at_stripe=None):
    return RefundRef(payment=ref, refund_id=refund_id, gateway_refund_id=at_stripe)


# Refunding


@FLOWS
def test_money_is_given_back_under_our_key_and_names_us(simulator, clock, flow):
    gateway = bound(simulator, clock, **flow)
    ref = paid(gateway, simulator)
    refund = gateway.refund(a_refund(ref, reason="unused"))
    assert (refund.payment_id, refund.refund_id, refund.amount) == (ref.payment_id, "ref_1", TWENTY)
    assert (refund.state, refund.failure, refund.mode, refund.created_at) == ("succeeded", "", "test", NOW)
    request = simulator.requests[-1]
    assert request.form() == {
        "payment_intent": ref.payment_id,
        "amount": "2000",
        "metadata": {"refund_id": "ref_1", "topup_id": TOPUP, "env": "test", "reason": "unused"},
        "expand": ["payment_intent"],
    }
    assert request.headers["idempotency-key"] == "refund-key-1"
    assert gateway.fetch_payment(ref).refunded == TWENTY


def test_a_reason_is_left_out_if_there_is_none_and_cut_if_it_is_long(gateway, simulator, ref):
    gateway.refund(a_refund(ref))
    assert "reason" not in simulator.requests[-1].form()["metadata"]
    gateway.refund(a_refund(ref, key="another", refund_id="ref_2", reason="x" * 900))
    assert simulator.requests[-1].form()["metadata"]["reason"] == "x" * 500


def test_the_same_request_gives_the_same_refund(gateway, simulator, ref, clock):
    first = gateway.refund(a_refund(ref))
    clock.advance(hours=23)
    assert gateway.refund(a_refund(ref)) == first
    assert len(simulator.all_of("refund")) == 1
    assert gateway.capabilities().refund_key_valid_s == 24 * 3600


def test_after_a_day_the_key_gives_another_refund_but_the_first_is_found_by_our_reference(gateway, ref, clock):
    first = gateway.refund(a_refund(ref))
    clock.advance(hours=24)
    assert gateway.fetch_refund(refund_ref(ref)) == first
    assert gateway.refund(a_refund(ref)).gateway_refund_id != first.gateway_refund_id


def test_a_payment_is_refunded_in_parts_and_never_beyond_its_amount(gateway, simulator, ref):
    for part in ("20.00", "20.00", "10.00"):
        gateway.refund(a_refund(ref, amount=Money.of(part, "EUR"), key=f"key-{len(simulator.requests)}"))
    assert gateway.fetch_payment(ref).refunded == Money.of("50.00", "EUR")
    assert gateway.fetch_payment(ref).state == "captured"
    error = refused(gateway.refund, a_refund(ref, key="one-more"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("charge_already_refunded", False, False)


def test_more_than_is_left_is_refused_for_good(gateway, ref):
    gateway.refund(a_refund(ref))
    error = refused(gateway.refund, a_refund(ref, amount=Money.of("30.01", "EUR"), key="more"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("invalid-request", False, False)


def test_the_key_with_another_amount_is_an_outcome_only_a_look_up_can_tell(gateway, simulator, ref):
    gateway.refund(a_refund(ref))
    error = refused(gateway.refund, a_refund(ref, amount=Money.of("1.00", "EUR")))
    assert (error.code, error.retryable, error.outcome_unknown) == ("idempotency", False, True)
    assert len(simulator.all_of("refund")) == 1


def test_what_was_not_paid_is_not_refunded(gateway, simulator):
    ref = created(gateway)
    simulator.authorise(ref.checkout_id)
    payment_id = gateway.fetch_payment(ref).payment_id
    error = refused(gateway.refund, a_refund(attrs.evolve(ref, payment_id=payment_id)))
    assert (error.code, error.outcome_unknown) == ("payment_intent_unexpected_state", False)


@pytest.mark.parametrize("payment_id", [None, "", "pi_", "cs_test_1", "ch_1", "pi_1_secret_x", "pi_1/capture"])
def test_without_the_id_of_a_payment_nothing_is_asked(gateway, simulator, payment_id):
    ref = PaymentRef(topup_id=TOPUP, checkout_id="cs_test_1", payment_id=payment_id)
    for call, asked in (
        (gateway.refund, a_refund(ref)),
        (gateway.fetch_refund, refund_ref(ref)),
        (gateway.refunds_of, ref),
        (gateway.disputes_of, ref),
    ):
        assert refused(call, asked).code == "unknown-payment"
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("fault", "times", "code", "retryable", "unknown"),
    [
        ("drop", 3, "connection", True, True),
        ("accept-then-drop", 3, "connection", True, True),
        ("500", 3, "replayed-failure", False, True),
        ("html", 3, "api-error", True, True),
        ("truncated", 1, "api-error", True, True),
        ("429", 1, "rate-limit", True, False),
        ("wrong-amount", 1, "unusable-reply", True, True),
        ("wrong-mode", 1, "unusable-reply", True, True),
    ],
)
def test_a_fault_while_refunding_never_gives_money_back_twice(
    gateway, simulator, ref, quick_retries, fault, times, code, retryable, unknown
):
    simulator.fault_next(fault, times=times)
    error = refused(gateway.refund, a_refund(ref))
    assert (error.code, error.retryable, error.outcome_unknown) == (code, retryable, unknown)
    found = gateway.fetch_refund(refund_ref(ref))
    if fault == "500":
        assert found is None
        return
    assert (found is None) == (fault in {"drop", "429"})
    again = gateway.refund(a_refund(ref))
    assert found in {None, again}
    assert len(simulator.all_of("refund")) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda refund: refund["metadata"].update(refund_id="ref_2"),
        lambda refund: refund.update(metadata=None),
        lambda refund: refund.update(amount=1),
        lambda refund: refund["payment_intent"].update(id="pi_other"),
        lambda refund: refund.update(payment_intent="pi_other"),
        lambda refund: (refund.update(currency="usd"), refund["payment_intent"].update(currency="usd")),
    ],
)
def test_a_reply_that_is_not_the_refund_asked_for_leaves_the_outcome_open(gateway, simulator, ref, change):
    simulator.rewrite_next(change)
    error = refused(gateway.refund, a_refund(ref))
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)


# Looking refunds up


@pytest.mark.parametrize(
    ("status", "reason", "state", "failure"),
    [
        ("pending", None, "pending", ""),
        ("requires_action", None, "pending", ""),
        ("succeeded", None, "succeeded", ""),
        ("failed", "lost_or_stolen_card", "failed", "lost_or_stolen_card"),
        ("failed", "charge_for_pending_refund_disputed", "failed", "charge_for_pending_refund_disputed"),
        ("canceled", None, "canceled", ""),
    ],
)
def test_every_state_of_a_refund_is_read(gateway, simulator, ref, status, reason, state, failure):
    made = gateway.refund(a_refund(ref))
    simulator.settle_refund(made.gateway_refund_id, status, reason=reason)
    expected = attrs.evolve(made, state=state, failure=failure)
    assert gateway.fetch_refund(refund_ref(ref, at_stripe=made.gateway_refund_id)) == expected
    assert gateway.fetch_refund(refund_ref(ref)) == expected
    assert gateway.refunds_of(ref) == [expected]
    assert gateway.fetch_payment(ref).refunded == (Money.zero("EUR") if state in {"failed", "canceled"} else TWENTY)


def test_a_refund_that_went_through_may_fail_later_and_be_made_anew(gateway, simulator, ref):
    first = gateway.refund(a_refund(ref))
    assert first.state == "succeeded"
    simulator.settle_refund(first.gateway_refund_id, "failed", reason="expired_or_canceled_card")
    assert gateway.fetch_refund(refund_ref(ref)).state == "failed"
    second = gateway.refund(a_refund(ref, key="another-key"))
    assert gateway.fetch_refund(refund_ref(ref)) == second
    simulator.settle_refund(second.gateway_refund_id, "canceled")
    assert gateway.fetch_refund(refund_ref(ref)).state == "canceled"


def test_of_two_refunds_that_name_us_the_one_that_goes_through_is_ours(gateway, simulator, ref):
    first = gateway.refund(a_refund(ref))
    second = gateway.refund(a_refund(ref, key="another-key"))
    simulator.settle_refund(second.gateway_refund_id, "failed")
    assert gateway.fetch_refund(refund_ref(ref)) == first


def test_a_refund_that_stripe_does_not_know_is_none(gateway, ref):
    gateway.refund(a_refund(ref))
    assert gateway.fetch_refund(refund_ref(ref, "ref_2")) is None
    assert gateway.fetch_refund(refund_ref(ref, at_stripe="re_unknown")) is None


@pytest.mark.parametrize("refund_id", ["", "re_", "pi_1", "re_1/cancel", "re_ü"])
def test_an_id_that_is_no_refunds_is_never_asked_for(gateway, simulator, ref, refund_id):
    before = len(simulator.requests)
    assert refused(gateway.fetch_refund, refund_ref(ref, at_stripe=refund_id)).code == "unknown-refund"
    assert len(simulator.requests) == before


def test_a_refund_of_another_payment_is_not_taken_for_ours(gateway, simulator, ref):
    other = paid(gateway, simulator, key="another")
    made = gateway.refund(a_refund(other))
    error = refused(gateway.fetch_refund, refund_ref(ref, at_stripe=made.gateway_refund_id))
    assert (error.code, error.retryable) == ("unusable-reply", True)


def test_the_reply_about_another_refund_is_not_taken(gateway, simulator, ref):
    first = gateway.refund(a_refund(ref))
    gateway.refund(a_refund(ref, key="another", refund_id="ref_2"))
    simulator.fault_next("wrong-id")
    assert refused(gateway.fetch_refund, refund_ref(ref, at_stripe=first.gateway_refund_id)).code == "unusable-reply"


def test_a_list_with_a_refund_of_another_payment_is_unusable(gateway, simulator, ref):
    gateway.refund(a_refund(ref))
    simulator.rewrite_next(lambda page: page["data"][0]["payment_intent"].update(id="pi_other"))
    assert refused(gateway.refunds_of, ref).code == "unusable-reply"


@pytest.mark.parametrize("fault", ["drop", "html", "500"])
def test_a_refund_that_cannot_be_looked_up_is_not_said_to_be_missing(gateway, simulator, ref, quick_retries, fault):
    made = gateway.refund(a_refund(ref))
    for look in (refund_ref(ref), refund_ref(ref, at_stripe=made.gateway_refund_id)):
        simulator.fault_next(fault, times=3)
        error = refused(gateway.fetch_refund, look)
        assert (error.retryable, error.outcome_unknown) == (True, False)


@FLOWS
def test_refunds_that_others_made_are_read_as_well_over_all_pages(simulator, clock, flow):
    gateway = bound(simulator, clock, **flow)
    ref = paid(gateway, simulator, amount=Money.of("200.00", "EUR"))
    ours = gateway.refund(a_refund(ref))
    for _ in range(120):
        simulator.refund(ref.checkout_id, 100)
    refunds = gateway.refunds_of(ref)
    assert len(refunds) == 121
    assert refunds[-1] == ours
    assert {refund.refund_id for refund in refunds[:-1]} == {None}
    assert gateway.fetch_refund(refund_ref(ref)) == ours


def test_a_payment_without_refunds_and_disputes_has_none(gateway, ref):
    assert gateway.refunds_of(ref) == []
    assert gateway.disputes_of(ref) == []
    assert gateway.fetch_refund(refund_ref(ref)) is None


def test_a_list_that_goes_round_is_unusable(gateway, simulator, ref):
    simulator.refund(ref.checkout_id, 100)
    pages = []
    simulator.rewrite_next(lambda page: (page.update(has_more=True), pages.append(page)))
    simulator.rewrite_next(lambda page: page.update(pages[0]))
    assert "repeats" in str(refused(gateway.refunds_of, ref))


def test_a_list_that_ends_in_nothing_but_goes_on_is_unusable(gateway, simulator, ref):
    simulator.rewrite_next(lambda page: page.update(has_more=True))
    assert refused(gateway.disputes_of, ref).code == "unusable-reply"


# Disputes


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("warning_needs_response", "inquiry"),
        ("warning_under_review", "inquiry"),
        ("warning_closed", "inquiry"),
        ("needs_response", "open"),
        ("under_review", "open"),
        ("appeal_needs_response", "open"),
        ("appeal_under_review", "open"),
        ("won", "won"),
        ("lost", "lost"),
    ],
)
def test_every_state_of_a_dispute_is_read(gateway, simulator, ref, status, state):
    first = "warning_needs_response" if state == "inquiry" else "needs_response"
    dispute_id = simulator.dispute(ref.checkout_id, status=first, reason="product_not_received")
    simulator.advance_dispute(dispute_id, status)
    (dispute,) = gateway.disputes_of(ref)
    assert (dispute.dispute_id, dispute.payment_id, dispute.state) == (dispute_id, ref.payment_id, state)
    assert (dispute.amount, dispute.reason) == (Money.of("50.00", "EUR"), "product_not_received")
    assert (dispute.mode, dispute.created_at) == ("test", NOW)
    assert gateway.fetch_payment(ref).disputed


def test_a_prevented_dispute_is_lost_if_it_took_money_and_won_if_not(gateway, simulator, ref):
    blocked = simulator.dispute(ref.checkout_id, status="warning_needs_response")
    simulator.advance_dispute(blocked, "prevented")
    settled = simulator.dispute(ref.checkout_id, amount=1000)
    simulator.advance_dispute(settled, "prevented")
    assert [(dispute.dispute_id, dispute.state) for dispute in gateway.disputes_of(ref)] == [
        (settled, "lost"),
        (blocked, "won"),
    ]


def test_a_dispute_of_a_part_is_of_that_part(gateway, simulator, ref):
    simulator.dispute(ref.checkout_id, amount=1234)
    (dispute,) = gateway.disputes_of(ref)
    assert dispute.amount == Money.of("12.34", "EUR")


EUR_15, EUR_0 = Money.of("15.00", "EUR"), Money.zero("EUR")


@pytest.mark.parametrize(
    ("first", "happening", "fee"),
    [
        ("warning_needs_response", lambda sim, at: None, None),
        ("warning_needs_response", lambda sim, at: sim.advance_dispute(at, "needs_response"), EUR_15),
        ("needs_response", lambda sim, at: None, EUR_15),
        ("needs_response", lambda sim, at: sim.advance_dispute(at, "lost"), EUR_15),
        ("needs_response", lambda sim, at: sim.advance_dispute(at, "won"), EUR_15),
        ("needs_response", lambda sim, at: sim.advance_dispute(at, "won", returns_fee=True), EUR_0),
    ],
)
def test_the_fee_of_a_dispute_is_what_is_kept_of_all_that_it_moved(gateway, simulator, ref, first, happening, fee):
    dispute_id = simulator.dispute(ref.checkout_id, status=first)
    happening(simulator, dispute_id)
    (dispute,) = gateway.disputes_of(ref)
    assert dispute.fee == fee


WITHDRAWN = {
    "id": "txn_18Fc4eJR1yx79QblApRwUxm7",
    "object": "balance_transaction",
    "amount": -3000,
    "available_on": 1464912000,
    "created": 1464321348,
    "currency": "usd",
    "description": "Chargeback withdrawal for ch_18Fc4dJR1yx79QblWx3qJ1j6",
    "fee": 1500,
    "fee_details": [
        {"amount": 1500, "application": None, "currency": "usd", "description": "Dispute fee", "type": "stripe_fee"}
    ],
    "net": -4500,
}
"""As Stripe itself sent it in a ``charge.dispute.created`` of test mode.

Source: https://gist.github.com/kennethjohnbalgos/391a0eaff48cb4231f20f5165bb84f2a
"""


def test_a_fee_is_read_from_what_stripe_itself_once_sent_in_the_currency_of_the_balance(gateway, simulator, ref):
    simulator.dispute(ref.checkout_id)
    simulator.rewrite_next(lambda page: page["data"][0].update(balance_transactions=[WITHDRAWN]))
    (dispute,) = gateway.disputes_of(ref)
    assert dispute.fee == Money.of("15.00", "USD")
    assert dispute.amount == Money.of("50.00", "EUR")
    assert WITHDRAWN["net"] == WITHDRAWN["amount"] - WITHDRAWN["fee"]


def test_fees_in_two_currencies_are_told_by_no_one_amount(gateway, simulator, ref):
    dispute_id = simulator.dispute(ref.checkout_id)
    simulator.advance_dispute(dispute_id, "won")
    simulator.rewrite_next(lambda page: page["data"][0]["balance_transactions"][0].update(currency="usd"))
    (dispute,) = gateway.disputes_of(ref)
    assert (dispute.state, dispute.fee) == ("won", None)


def test_disputes_of_one_payment_are_read_over_all_pages(gateway, simulator, ref):
    ids = [simulator.dispute(ref.checkout_id, amount=100) for _ in range(23)]
    assert [dispute.dispute_id for dispute in gateway.disputes_of(ref)] == ids[::-1]


def test_a_disputed_payment_is_not_refunded_until_the_dispute_is_won(gateway, simulator, ref):
    dispute_id = simulator.dispute(ref.checkout_id)
    error = refused(gateway.refund, a_refund(ref))
    assert (error.code, error.retryable, error.outcome_unknown) == ("charge_disputed", False, False)
    simulator.advance_dispute(dispute_id, "won")
    assert gateway.refund(a_refund(ref)).state == "succeeded"


def test_a_list_with_a_dispute_of_another_payment_is_unusable(gateway, simulator, ref):
    simulator.dispute(ref.checkout_id)
    simulator.rewrite_next(lambda page: page["data"][0].update(payment_intent="pi_other"))
    assert refused(gateway.disputes_of, ref).code == "unusable-reply"


def test_a_live_dispute_is_reported_as_such(gateway, simulator, ref):
    simulator.dispute(ref.checkout_id)
    simulator.fault_next("wrong-mode")
    assert gateway.disputes_of(ref)[0].mode == "live"


def test_what_can_be_given_back_is_told():
    able = configured().capabilities()
    assert (able.refunds, able.partial_refund, able.multiple_refunds, able.refund_window_days) == (
        True,
        True,
        True,
        None,
    )
