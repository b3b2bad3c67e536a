"""Refunds, disputes and lists of Razorpay."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from prepaid.core.money import Money
from prepaid.gateways.razorpay_requests import refund_key
from prepaid.ports import PaymentRef, RefundRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault, rewriting
from tests.gateways.razorpay_world import (
    NOW,
    TOPUP,
    a_refund,
    bound,
    created,
    paid,
    posted,
    refused,
    simulated,
)

DAY = timedelta(days=1)


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with simulated(clock) as running:
        yield running


@pytest.fixture
def gateway(simulator, clock):
    return bound(simulator, clock)


@pytest.fixture
def ref(gateway, simulator):
    return paid(gateway, simulator)


def found(ref, **changes):
    return RefundRef(**{"payment": ref, "refund_id": "ref_1", **changes})


# Refunds


def test_a_refund_is_sent_as_documented_under_a_key_in_razorpays_form(gateway, simulator, ref):
    snapshot = gateway.refund(a_refund(ref))
    request = posted(simulator)[-1]
    assert request.path == f"/v1/payments/{ref.payment_id}/refund"
    assert request.json() == {
        "amount": 10_000,
        "speed": "normal",
        "receipt": "ref_1",
        "notes": {"refund_id": "ref_1", "topup_id": TOPUP, "reason": "as agreed"},
    }
    assert request.headers["x-refund-idempotency"] == refund_key("prepaid:ref_1:refund")
    assert (snapshot.payment_id, snapshot.refund_id, snapshot.state) == (ref.payment_id, "ref_1", "pending")
    assert (snapshot.amount, snapshot.created_at, snapshot.mode) == (Money.of("100.00", "INR"), NOW, None)


def test_a_key_of_any_form_becomes_one_that_razorpay_takes():
    keys = ["", "k", "prepaid:ref_1:refund", "é" * 300]
    assert all(len(refund_key(key)) == 48 and refund_key(key).replace("-", "").isalnum() for key in keys)
    assert len({refund_key(key) for key in keys}) == len(keys)


def test_a_reason_that_is_too_long_for_a_note_is_cut_and_none_is_left_out(gateway, simulator, ref):
    gateway.refund(a_refund(ref, reason="x" * 300))
    gateway.refund(a_refund(ref, refund_id="ref_2", key="2", reason=""))
    long, none = (request.json()["notes"] for request in posted(simulator)[-2:])
    assert len(long["reason"]) == 256
    assert "reason" not in none


def test_the_same_refund_again_is_the_same_refund_however_much_later(gateway, simulator, ref, clock):
    first = gateway.refund(a_refund(ref))
    simulator.finish_refund(first.gateway_refund_id)
    clock.advance(days=100)
    again = gateway.refund(a_refund(ref))
    assert again == attrs.evolve(first, state="succeeded")
    assert len(simulator.all_of("refund")) == 1
    assert gateway.capabilities().refund_key_valid_s > 100 * 86_400


def test_a_refund_that_a_look_up_does_not_show_yet_is_not_made_twice(gateway, simulator, ref):
    first = gateway.refund(a_refund(ref))
    simulator.fault_next(rewriting(lambda refunds: refunds.update(items=[], count=0)))
    assert gateway.refund(a_refund(ref)) == first
    assert len(simulator.all_of("refund")) == 1


def test_a_refund_whose_answer_was_lost_is_found_again(gateway, simulator, ref):
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.fault_next("accept-then-drop")
    error = refused(gateway.refund, a_refund(ref))
    assert (error.code, error.retryable, error.outcome_unknown) == ("connection", True, True)
    assert gateway.fetch_refund(found(ref)).refund_id == "ref_1"
    assert gateway.refund(a_refund(ref)).refund_id == "ref_1"
    assert len(simulator.all_of("refund")) == 1


def test_a_reference_used_for_another_amount_is_a_conflict(gateway, simulator, ref):
    gateway.refund(a_refund(ref))
    error = refused(gateway.refund, a_refund(ref, "50.00"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("conflict", False, True)
    simulator.fault_next(rewriting(lambda refunds: refunds.update(items=[], count=0)))
    error = refused(gateway.refund, a_refund(ref, "50.00"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("idempotency", False, True)
    assert len(simulator.all_of("refund")) == 1


def test_several_refunds_add_up_to_the_payment_and_no_more(gateway, ref):
    gateway.refund(a_refund(ref, "300.00"))
    gateway.refund(a_refund(ref, "200.00", refund_id="ref_2", key="2"))
    error = refused(gateway.refund, a_refund(ref, "0.01", refund_id="ref_3", key="3"))
    assert (error.retryable, error.outcome_unknown) == (False, False)
    assert gateway.fetch_payment(ref).refunded == Money.of("500.00", "INR")
    assert {one.refund_id: one.amount for one in gateway.refunds_of(ref)} == {
        "ref_1": Money.of("300.00", "INR"),
        "ref_2": Money.of("200.00", "INR"),
    }


def test_a_refund_of_more_than_was_paid_is_refused(gateway, ref):
    error = refused(gateway.refund, a_refund(ref, "500.01"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("invalid-request", False, False)


def test_a_refund_may_fail_later_and_the_payment_is_whole_again(gateway, simulator, ref):
    made = gateway.refund(a_refund(ref))
    simulator.finish_refund(made.gateway_refund_id, status="failed")
    known = gateway.fetch_refund(found(ref, gateway_refund_id=made.gateway_refund_id))
    assert (known.state, known.refund_id) == ("failed", "ref_1")
    assert gateway.fetch_payment(ref).refunded == Money.of("0.00", "INR")


def test_a_refund_made_in_the_dashboard_is_listed_without_a_reference(gateway, simulator, ref):
    by_hand = simulator.refund(ref.payment_id, 1000)
    (snapshot,) = gateway.refunds_of(ref)
    assert (snapshot.gateway_refund_id, snapshot.refund_id) == (by_hand, None)
    assert gateway.fetch_refund(found(ref)) is None
    assert gateway.fetch_refund(found(ref, gateway_refund_id=by_hand)) == snapshot


def test_a_refund_that_razorpay_does_not_know_is_none_only_if_the_payment_is_known(gateway, ref):
    assert gateway.fetch_refund(found(ref, gateway_refund_id="rfnd_unknown")) is None
    stranger = attrs.evolve(ref, payment_id="pay_unknown")
    for gateway_refund_id in (None, "rfnd_unknown"):
        error = refused(gateway.fetch_refund, found(stranger, gateway_refund_id=gateway_refund_id))
        assert error.code == "not-found"


@pytest.mark.parametrize("fault", ["drop", "html", "429", "500"])
def test_a_look_up_that_fails_is_never_taken_for_no_refund(gateway, simulator, ref, fault):
    made = gateway.refund(a_refund(ref))
    for known in (None, made.gateway_refund_id):
        simulator.fault_next(fault)
        error = refused(gateway.fetch_refund, found(ref, gateway_refund_id=known))
        assert (error.retryable, error.outcome_unknown) == (True, False)


def test_a_page_not_found_by_something_between_us_is_not_taken_for_no_refund(gateway, simulator, ref):
    nowhere = Fault(spoil=lambda a: attrs.evolve(a, status=404, body=b"<html>not found</html>"), executed=False)
    simulator.fault_next(nowhere)
    error = refused(gateway.fetch_refund, found(ref, gateway_refund_id="rfnd_1"))
    assert (error.code, error.retryable) == ("unusable-reply", True)


def test_a_refund_still_being_made_leaves_the_outcome_open(gateway, simulator, ref):
    busy = Fault(spoil=lambda answer: attrs.evolve(answer, status=409), executed=False)
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.fault_next(busy)
    error = refused(gateway.refund, a_refund(ref))
    assert (error.code, error.retryable, error.outcome_unknown) == ("in-progress", True, True)


@pytest.mark.parametrize("fault", ["wrong-id", "wrong-amount"])
def test_the_answer_about_another_refund_leaves_the_outcome_open(gateway, simulator, ref, fault):
    def spoil(refund):
        refund.update({"payment_id": "pay_other"} if fault == "wrong-id" else {"amount": refund["amount"] + 1})

    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.rewrite_next(spoil)
    error = refused(gateway.refund, a_refund(ref))
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)


@pytest.mark.parametrize("change", [{"id": "rfnd_other"}, {"payment_id": "pay_other"}])
def test_another_refund_than_the_one_asked_for_is_not_taken(gateway, simulator, ref, change):
    by_hand = simulator.refund(ref.payment_id, 1000)
    simulator.rewrite_next(lambda refund: refund.update(change))
    error = refused(gateway.fetch_refund, found(ref, gateway_refund_id=by_hand))
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, False)


def test_a_refund_of_another_payment_among_those_of_ours_is_not_taken(gateway, simulator, ref):
    simulator.refund(ref.payment_id, 1000)
    simulator.fault_next("wrong-id")
    assert refused(gateway.refunds_of, ref).code == "unusable-reply"


def test_all_pages_of_refunds_are_read(gateway, simulator, ref):
    for _ in range(205):
        simulator.refund(ref.payment_id, 100)
    assert len(gateway.refunds_of(ref)) == 205


@pytest.mark.parametrize("payment_id", [None, "", "pay_", "pay_1/refunds", "order_1"])
def test_an_id_that_is_no_payment_is_not_sent(gateway, simulator, payment_id):
    stranger = PaymentRef(topup_id=TOPUP, checkout_id="order_1", payment_id=payment_id)
    for call, argument in (
        (gateway.refund, a_refund(stranger)),
        (gateway.fetch_refund, found(stranger)),
        (gateway.refunds_of, stranger),
        (gateway.disputes_of, stranger),
    ):
        assert refused(call, argument).code == "unknown-id"
    assert simulator.requests == []


def test_ids_of_a_refund_in_another_form_are_not_sent(gateway, simulator, ref):
    before = len(posted(simulator))
    assert refused(gateway.refund, a_refund(ref, refund_id="x" * 41)).code == "invalid-request"
    assert refused(gateway.fetch_refund, found(ref, gateway_refund_id="rfnd_1/..")).code == "unknown-id"
    assert len(posted(simulator)) == before


# Disputes


@pytest.mark.parametrize(
    ("phase", "status", "state"),
    [
        ("fraud", "open", "inquiry"),
        ("retrieval", "under_review", "inquiry"),
        ("chargeback", "open", "open"),
        ("pre_arbitration", "under_review", "open"),
        ("arbitration", "open", "open"),
        ("chargeback", "won", "won"),
        ("arbitration", "lost", "lost"),
        ("fraud", "closed", "won"),
        ("fraud", "lost", "lost"),
    ],
)
def test_each_dispute_has_its_state(gateway, simulator, ref, phase, status, state):
    dispute_id = simulator.dispute(ref.payment_id, amount=20_000, phase=phase)
    simulator.change_dispute(dispute_id, status)
    (dispute,) = gateway.disputes_of(ref)
    assert (dispute.dispute_id, dispute.payment_id, dispute.state) == (dispute_id, ref.payment_id, state)
    assert (dispute.amount, dispute.created_at) == (Money.of("200.00", "INR"), NOW)
    assert dispute.reason == "goods_or_services_not_received_or_partially_received"


def test_disputes_of_other_payments_are_left_out_on_every_page(gateway, simulator, ref, clock):
    other = paid(gateway, simulator, topup_id="another")
    clock.advance(days=30)
    ours = [simulator.dispute(ref.payment_id)]
    for _ in range(120):
        simulator.dispute(other.payment_id)
    ours.append(simulator.dispute(ref.payment_id))
    assert {dispute.dispute_id for dispute in gateway.disputes_of(ref)} == set(ours)


def test_a_list_without_end_is_not_read_for_ever(gateway, simulator, ref, monkeypatch):
    monkeypatch.setattr("prepaid.gateways.razorpay_lookups.MAX_PAGES", 2)
    for _ in range(201):
        simulator.dispute(ref.payment_id)
    error = refused(gateway.disputes_of, ref)
    assert (error.code, error.retryable) == ("too-many", True)


@pytest.mark.parametrize("change", [{"status": "appealed"}, {"phase": "mediation"}, {"payment_id": "x"}])
def test_a_dispute_in_words_that_are_not_known_is_not_guessed_at(gateway, simulator, ref, change):
    simulator.dispute(ref.payment_id)
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.rewrite_next(lambda disputes: disputes["items"][0].update(change))
    assert refused(gateway.disputes_of, ref).code == "unusable-reply"


def test_the_answer_about_another_payment_is_not_taken(gateway, simulator, ref):
    simulator.fault_next("wrong-id")
    assert refused(gateway.disputes_of, ref).code == "unusable-reply"


# Lists


def all_pages(list_of, since, until):
    items, cursor = [], None
    while True:
        page = list_of(since, until, cursor=cursor)
        items += page.items
        cursor = page.next
        if cursor is None:
            return items


def test_captured_payments_of_a_time_are_listed_ours_and_others(gateway, simulator, clock):
    early = paid(gateway, simulator, topup_id="early")
    clock.advance(days=1)
    ours = paid(gateway, simulator)
    simulator.fail(created(gateway, topup_id="failed").checkout_id)
    simulator.authorise(created(gateway, topup_id="authorised").checkout_id)
    clock.advance(days=1)
    late = paid(gateway, simulator, topup_id="late")
    (listed,) = gateway.list_payments(NOW + DAY, NOW + 2 * DAY).items
    assert listed == gateway.fetch_payment(ours)
    told = {one.payment_id for one in gateway.list_payments(NOW, NOW + 2 * DAY + timedelta(microseconds=1)).items}
    assert told == {early.payment_id, ours.payment_id, late.payment_id}


def test_a_listed_payment_is_disputed_or_not(gateway, simulator, ref):
    paid(gateway, simulator, topup_id="another")
    simulator.dispute(ref.payment_id)
    listed = gateway.list_payments(NOW, NOW + DAY).items
    assert {one.payment_id: one.disputed for one in listed}[ref.payment_id]
    assert sum(one.disputed for one in listed) == 1


def test_a_payment_without_an_order_is_a_checkout_of_its_own(gateway, simulator, ref):
    simulator.rewrite_next(lambda payments: payments["items"][0].update(order_id=None, notes={"topup_id": 7}))
    (listed,) = gateway.list_payments(NOW, NOW + DAY).items
    assert (listed.checkout_id, listed.topup_id) == (ref.payment_id, None)


def test_lists_go_on_where_their_cursor_says(gateway, simulator, ref):
    for number in range(130):
        simulator.pay(created(gateway, topup_id=f"top-{number}").checkout_id)
        simulator.refund(ref.payment_id, 100)
        simulator.dispute(ref.payment_id)
    for list_of, count in (
        (gateway.list_payments, 131),
        (gateway.list_refunds, 130),
        (gateway.list_disputes, 130),
    ):
        first = list_of(NOW, NOW + DAY)
        assert (len(first.items), first.next) == (100, "100")
        listed = all_pages(list_of, NOW, NOW + DAY)
        assert len(listed) == len(set(listed)) == count


def test_refunds_and_disputes_of_a_time_are_listed(gateway, simulator, ref, clock):
    simulator.refund(ref.payment_id, 100)
    simulator.dispute(ref.payment_id)
    clock.advance(days=1)
    gateway.refund(a_refund(ref))
    dispute_id = simulator.dispute(ref.payment_id)
    (refund,) = gateway.list_refunds(NOW + DAY, NOW + 2 * DAY).items
    (dispute,) = gateway.list_disputes(NOW + DAY, NOW + 2 * DAY).items
    assert (refund.refund_id, refund.payment_id) == ("ref_1", ref.payment_id)
    assert dispute.dispute_id == dispute_id
    for list_of in (gateway.list_refunds, gateway.list_disputes):
        assert len(list_of(NOW, NOW + DAY).items) == 1
        assert list_of(NOW + 2 * DAY, NOW + 3 * DAY).items == ()


def test_a_notes_field_that_others_wrote_does_not_spoil_a_list(gateway, simulator, ref):
    simulator.refund(ref.payment_id, 100)
    for notes in ([], None, {}, {"refund_id": 7}, {"refund_id": "x" * 41}, {"refund_id": {"a": 1}}):
        simulator.rewrite_next(lambda refunds, notes=notes: refunds["items"][0].update(notes=notes))
        (refund,) = gateway.list_refunds(NOW, NOW + DAY).items
        assert refund.refund_id is None


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1 ", "9999999999", "１"])
def test_a_cursor_that_is_none_of_ours_is_refused(gateway, simulator, cursor):
    for list_of in (gateway.list_payments, gateway.list_refunds, gateway.list_disputes):
        assert refused(list_of, NOW, NOW + DAY, cursor=cursor).code == "invalid-cursor"
    assert simulator.requests == []


def test_a_list_that_names_something_twice_is_not_believed(gateway, simulator, ref):
    simulator.fault_next("duplicate")
    assert refused(gateway.list_payments, NOW, NOW + DAY).code == "unusable-reply"
