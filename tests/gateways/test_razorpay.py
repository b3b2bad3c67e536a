"""The Razorpay adapter: the real SDK over a real socket against the simulator, in every state."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import attrs
import pytest

from prepaid.core.errors import GatewayError
from prepaid.core.money import Money
from prepaid.gateways.razorpay_currencies import LIMITS, from_wire, to_wire
from prepaid.ports import PaymentRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault, rewriting
from tests.gateways.razorpay_world import (
    EMAIL,
    KEY_ID,
    KEY_SECRET,
    NOW,
    TOPUP,
    a_refund,
    a_request,
    bound,
    created,
    paid,
    posted,
    refused,
    sent,
    simulated,
)

FIVE_HUNDRED = Money.of("500.00", "INR")


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


# Creating a checkout


def test_the_customer_gets_the_public_options_of_checkout(gateway):
    checkout = gateway.create_checkout(a_request())
    assert checkout.redirect_url is None
    assert checkout.widget == {
        "script_url": "https://checkout.razorpay.com/v1/checkout.js",
        "key": KEY_ID,
        "order_id": checkout.checkout_id,
        "amount": 50_000,
        "currency": "INR",
        "name": "Nimbus",
        "description": "Credit for Nimbus",
        "prefill": {"email": EMAIL},
        "notes": {"topup_id": TOPUP},
        "callback_url": f"https://panel.example/back?topup={TOPUP}",
        "redirect": True,
    }
    assert KEY_SECRET not in json.dumps(checkout.widget)


def test_a_form_without_brand_or_email_has_the_label_and_no_prefill(simulator, clock):
    gateway = bound(simulator, clock, brand="", label="UPI or card")
    widget = gateway.create_checkout(a_request(customer_email="")).widget
    assert (widget["name"], widget["prefill"]) == ("UPI or card", {})


def test_an_order_is_looked_up_by_our_reference_before_it_is_created(gateway, simulator):
    gateway.create_checkout(a_request())
    look_up, creation = simulator.requests
    assert (look_up.method, look_up.path, look_up.query["receipt"]) == ("GET", "/v1/orders", TOPUP)
    assert (creation.method, creation.path) == ("POST", "/v1/orders")
    assert creation.json() == {
        "amount": 50_000,
        "currency": "INR",
        "receipt": TOPUP,
        "notes": {"topup_id": TOPUP, "customer_id": "user-42", "env": "test"},
    }
    given = base64.b64decode(creation.headers["authorization"].removeprefix("Basic ")).decode()
    assert given == f"{KEY_ID}:{KEY_SECRET}"


def test_the_same_request_gives_the_same_order_however_much_later(gateway, simulator, clock):
    first = gateway.create_checkout(a_request())
    clock.advance(days=400)
    assert gateway.create_checkout(a_request()) == first
    assert len(posted(simulator)) == 1
    assert gateway.capabilities().create_key_valid_s > 400 * 86_400


def test_of_two_orders_made_at_once_the_older_is_everyones(gateway, simulator, clock):
    lonely = rewriting(lambda found: found.update(items=[], count=0))
    first = gateway.create_checkout(a_request())
    clock.advance(seconds=2)
    simulator.fault_next(lonely)
    second = gateway.create_checkout(a_request())
    assert second.checkout_id != first.checkout_id
    assert gateway.create_checkout(a_request()).checkout_id == first.checkout_id


@pytest.mark.parametrize("amount", [Money.of("500.01", "INR"), Money.of("500.00", "USD")])
def test_an_order_of_our_reference_and_of_another_amount_is_a_conflict_and_no_second_one_is_made(
    gateway, simulator, amount
):
    gateway.create_checkout(a_request(amount=amount))
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("conflict", False, False)
    assert len(posted(simulator)) == 1


@pytest.mark.parametrize("notes", [{}, {"topup_id": "another"}])
def test_an_order_of_our_receipt_that_is_not_of_our_topup_is_no_conflict(gateway, simulator, notes):
    theirs = gateway.create_checkout(a_request(amount=Money.of("7.00", "INR")))
    simulator.rewrite_next(lambda found: found["items"][0].update(notes=notes))
    assert gateway.create_checkout(a_request()).checkout_id != theirs.checkout_id


def test_an_order_of_our_reference_that_is_not_exactly_ours_is_not_taken(gateway, simulator):
    other = gateway.create_checkout(a_request(customer_id="another"))
    ours = gateway.create_checkout(a_request())
    assert ours.checkout_id != other.checkout_id
    assert simulator.one(ours.checkout_id)["amount"] == 50_000


def test_a_receipt_that_is_taken_leaves_the_outcome_open(clock):
    with simulated(clock, unique_receipts=True) as simulator:
        gateway = bound(simulator, clock)
        first = gateway.create_checkout(a_request())
        simulator.fault_next(rewriting(lambda found: found.update(items=[], count=0)))
        error = refused(gateway.create_checkout, a_request())
        assert (error.code, error.retryable, error.outcome_unknown) == ("receipt-used", True, True)
        assert gateway.create_checkout(a_request()) == first


@pytest.mark.parametrize("topup_id", ["", "x" * 41, "top 1", "top/1", "tóp"])
def test_a_reference_that_is_no_receipt_is_refused_before_anything_is_sent(gateway, simulator, topup_id):
    error = refused(gateway.create_checkout, a_request(topup_id=topup_id))
    assert (error.code, error.retryable, error.outcome_unknown) == ("invalid-request", False, False)
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("amount", "currency", "number"),
    [
        ("1.00", "INR", 100),
        ("10.00", "USD", 1000),
        ("295", "JPY", 295),
        ("295.990", "KWD", 295_990),
        ("99.990", "BHD", 99_990),
        ("1.500", "OMR", 1500),
        ("500", "ISK", 500),
        ("20.00", "MGA", 2000),
    ],
)
def test_amounts_are_written_and_read_by_razorpays_own_table(gateway, simulator, amount, currency, number):
    money = Money.of(amount, currency)
    ref = created(gateway, amount=money)
    assert posted(simulator)[0].json()["amount"] == number
    simulator.pay(ref.checkout_id)
    assert gateway.fetch_payment(ref).captured == money


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("99.991", "KWD", "amount-too-fine"),
        ("5.001", "INR", "amount-too-fine"),
        ("5.5", "JPY", "amount-too-fine"),
        ("0.99", "INR", "amount-invalid"),
        ("10000000000.00", "INR", "amount-invalid"),
        ("5.00", "KPW", "currency-not-supported"),
    ],
)
def test_an_amount_that_razorpay_cannot_write_is_refused_before_anything_is_sent(
    gateway, simulator, amount, currency, code
):
    error = refused(gateway.create_checkout, a_request(amount=Money.of(amount, currency)))
    assert (error.code, error.retryable, error.outcome_unknown) == (code, False, False)
    assert simulator.requests == []


def test_an_amount_that_razorpay_itself_refuses_is_a_refusal_for_good(gateway, simulator):
    ref = paid(gateway, simulator)
    error = refused(gateway.refund, a_refund(ref, "0.99"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("invalid-request", False, False)
    assert "input_validation_failed, amount" in str(error)


def test_every_limit_can_be_written_on_the_wire_and_read_back():
    for currency, limits in LIMITS.items():
        for money in (limits.minimum, limits.maximum, limits.step):
            assert from_wire(to_wire(money), currency) == money
        assert limits.step <= limits.minimum < limits.maximum


def test_limits_are_those_that_razorpay_documents():
    assert LIMITS["INR"].minimum == Money.of("1.00", "INR")
    assert LIMITS["JPY"].step == Money.of("1", "JPY")
    assert LIMITS["KWD"].step == Money.of("0.010", "KWD")


@pytest.mark.parametrize("code", ["IN", "inr", "XXX", "HRK", "\u0131NR"])
def test_a_currency_code_that_is_not_razorpays_is_not_read(code):
    with pytest.raises(GatewayError):
        from_wire(100, code)


# States


def test_an_order_that_nobody_tried_to_pay_is_open(gateway):
    snapshot = gateway.fetch_payment(created(gateway))
    assert (snapshot.state, snapshot.payment_id, snapshot.topup_id) == ("open", None, TOPUP)
    assert (snapshot.captured, snapshot.authorised, snapshot.refunded, snapshot.mode) == (None, None, None, None)
    assert snapshot.created_at == NOW


def test_a_payment_without_an_answer_of_the_bank_is_processing(gateway, simulator):
    ref = created(gateway)
    payment_id = simulator.attempt(ref.checkout_id)
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.state, snapshot.payment_id, snapshot.captured) == ("processing", payment_id, None)


def test_an_order_with_failed_payments_can_still_be_paid(gateway, simulator, clock):
    ref = created(gateway)
    simulator.fail(ref.checkout_id, reason="incorrect_otp")
    clock.advance(minutes=1)
    simulator.fail(ref.checkout_id, reason="payment_cancelled")
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.state, snapshot.payment_id, snapshot.failure) == ("open", None, "payment_cancelled")
    simulator.pay(ref.checkout_id)
    assert gateway.fetch_payment(ref).state == "captured"


def test_an_authorised_payment_waits_to_be_captured(gateway, simulator):
    ref = created(gateway)
    payment_id = simulator.authorise(ref.checkout_id)
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.state, snapshot.payment_id, snapshot.authorised) == ("authorised", payment_id, FIVE_HUNDRED)
    assert (snapshot.captured, snapshot.fee) == (None, None)


def test_a_captured_payment_is_told_with_its_amount_fee_and_method(gateway, simulator):
    ref = paid(gateway, simulator)
    assert gateway.fetch_payment(ref) == gateway.fetch_payment(attrs.evolve(ref, payment_id=None))
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.state, snapshot.payment_id, snapshot.topup_id) == ("captured", ref.payment_id, TOPUP)
    assert (snapshot.captured, snapshot.refunded) == (FIVE_HUNDRED, Money.of("0.00", "INR"))
    assert snapshot.fee == Money.of("11.80", "INR"), "2 % and the tax on it"
    assert (snapshot.method, snapshot.failure, snapshot.disputed, snapshot.further) == ("upi", "", False, ())
    assert (snapshot.mode, snapshot.account, snapshot.created_at) == (None, None, NOW)


def test_a_fee_that_is_not_known_yet_is_none(gateway, simulator):
    ref = paid(gateway, simulator)
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.rewrite_next(lambda payments: payments["items"][0].update(fee=None, tax=None))
    unknown, known = gateway.fetch_payment(ref), gateway.fetch_payment(ref)
    assert (unknown.fee, unknown.fee_follows, known.fee_follows) == (None, True, False)


def test_the_fee_of_an_international_payment_is_in_the_merchants_currency(gateway, simulator):
    ref = paid(gateway, simulator, amount=Money.of("20.00", "USD"))
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.rewrite_next(lambda payments: payments["items"][0].update(fee=4_130, base_currency="INR"))
    assert gateway.fetch_payment(ref).fee == Money.of("41.30", "INR")


@pytest.mark.parametrize(("amount", "left"), [(20_000, "200.00"), (50_000, "500.00")])
def test_a_refunded_payment_stays_captured_and_tells_what_was_given_back(gateway, simulator, amount, left):
    ref = paid(gateway, simulator)
    simulator.refund(ref.payment_id, amount)
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.state, snapshot.captured) == ("captured", FIVE_HUNDRED)
    assert snapshot.refunded == Money.of(left, "INR")


def test_a_payment_given_back_because_nobody_captured_it_was_never_ours(gateway, simulator):
    ref = created(gateway)
    simulator.give_back(simulator.authorise(ref.checkout_id))
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.state, snapshot.captured, snapshot.refunded) == ("open", None, None)


@pytest.mark.parametrize("phase", ["chargeback", "fraud"])
def test_a_disputed_payment_says_so_also_after_the_dispute(gateway, simulator, clock, phase):
    ref, other = paid(gateway, simulator), paid(gateway, simulator, topup_id="another")
    clock.advance(days=20)
    dispute_id = simulator.dispute(ref.payment_id, phase=phase)
    assert gateway.fetch_payment(ref).disputed
    assert not gateway.fetch_payment(other).disputed
    simulator.change_dispute(dispute_id, "won")
    assert gateway.fetch_payment(ref).disputed


def test_an_order_paid_twice_tells_both_payments(gateway, simulator, clock):
    ref = created(gateway)
    simulator.fail(ref.checkout_id)
    first = simulator.pay(ref.checkout_id)
    clock.advance(seconds=9)
    second = simulator.pay(ref.checkout_id, method="card")
    simulator.refund(second, 1000)
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.payment_id, [one.payment_id for one in snapshot.further]) == (first, [second])
    (further,) = snapshot.further
    assert (further.state, further.captured, further.refunded) == ("captured", FIVE_HUNDRED, Money.of("10.00", "INR"))
    assert (further.checkout_id, further.topup_id, further.further) == (ref.checkout_id, TOPUP, ())
    asked = gateway.fetch_payment(attrs.evolve(ref, payment_id=second))
    assert (asked.payment_id, [one.payment_id for one in asked.further]) == (second, [first])


def test_a_second_payment_that_is_only_authorised_is_not_ours(gateway, simulator):
    ref = paid(gateway, simulator)
    simulator.authorise(ref.checkout_id)
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.state, snapshot.payment_id, snapshot.authorised, snapshot.further) == (
        "captured",
        ref.payment_id,
        None,
        (),
    )


def test_a_payment_that_is_not_among_those_of_the_order_is_not_replaced_by_another(gateway, simulator):
    ref, other = paid(gateway, simulator), paid(gateway, simulator, topup_id="another")
    assert refused(gateway.fetch_payment, attrs.evolve(ref, payment_id=other.payment_id)).code == "unusable-reply"


@pytest.mark.parametrize(
    "lie", [{"amount": 51_180}, {"amount": 100}, {"currency": "USD"}], ids=["more", "less", "currency"]
)
def test_a_payment_of_another_sum_than_the_order_is_reported_for_the_core_to_judge(gateway, simulator, lie):
    ref = created(gateway)
    simulator.pay(ref.checkout_id, **lie)
    captured = gateway.fetch_payment(ref).captured
    assert captured == from_wire(lie.get("amount", 50_000), lie.get("currency", "INR"))
    assert captured != FIVE_HUNDRED


def test_a_payment_captured_between_two_of_our_requests_is_no_contradiction(gateway, simulator):
    ref = created(gateway)
    payment_id = simulator.authorise(ref.checkout_id)

    def capture_now(answer):
        simulator.capture(payment_id)
        return answer

    simulator.fault_next(Fault(spoil=capture_now))
    assert gateway.fetch_payment(ref).state == "captured"


def test_an_order_that_does_not_echo_us_twice_names_no_topup(gateway, simulator):
    ref = created(gateway)
    for change in ({"receipt": "another"}, {"receipt": None}, {"notes": []}, {"notes": {"topup_id": "another"}}):
        simulator.rewrite_next(lambda order, change=change: order.update(change))
        assert gateway.fetch_payment(ref).topup_id is None


def test_what_the_payers_browser_wrote_into_the_payment_is_not_believed(gateway, simulator):
    ref = paid(gateway, simulator)
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.rewrite_next(lambda payments: payments["items"][0].update(notes={"topup_id": "somebody-elses"}))
    assert gateway.fetch_payment(ref).topup_id == TOPUP


@pytest.mark.parametrize(
    "checkout_id", ["", "order_", "order_x/../y", "order_x?expand[]=payments", "pay_1", "cs_test_1", "order_é"]
)
def test_an_id_that_is_no_order_is_not_sent(gateway, simulator, checkout_id):
    error = refused(gateway.fetch_payment, PaymentRef(topup_id=TOPUP, checkout_id=checkout_id))
    assert (error.code, error.retryable) == ("unknown-id", False)
    assert simulator.requests == []


def test_an_order_that_razorpay_does_not_know_is_not_found(gateway):
    error = refused(gateway.fetch_payment, PaymentRef(topup_id=TOPUP, checkout_id="order_unknown"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("not-found", False, False)


# Late payments, captures, cancelling


def test_a_late_authorised_payment_is_captured(gateway, simulator, clock):
    ref = created(gateway)
    payment_id = simulator.attempt(ref.checkout_id)
    clock.advance(minutes=11)
    simulator.time_out(payment_id)
    assert gateway.cancel(ref).state == "canceled"
    clock.advance(days=2)
    simulator.answer_of_bank(payment_id)
    assert gateway.fetch_payment(ref).state == "authorised"
    snapshot = gateway.capture(ref, FIVE_HUNDRED, key="k")
    assert (snapshot.state, snapshot.payment_id, snapshot.captured) == ("captured", payment_id, FIVE_HUNDRED)
    assert posted(simulator)[-1].path == f"/v1/payments/{payment_id}/capture"
    assert posted(simulator)[-1].json() == {"amount": 50_000, "currency": "INR"}


def test_failed_is_final_after_three_days(gateway):
    assert timedelta(seconds=gateway.capabilities().failed_final_after_s) == timedelta(days=3)


def test_a_payment_captured_before_counts_as_captured(gateway, simulator):
    ref = paid(gateway, simulator)
    assert gateway.capture(ref, FIVE_HUNDRED, key="k").state == "captured"
    assert len(posted(simulator)) == 1, "only the order was posted"


def test_a_payment_that_razorpay_captures_first_counts_as_captured(gateway, simulator):
    ref = created(gateway)
    payment_id = simulator.authorise(ref.checkout_id)

    def capture_now(answer):
        simulator.capture(payment_id)
        return answer

    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.fault_next(Fault(spoil=capture_now))
    snapshot = gateway.capture(ref, FIVE_HUNDRED, key="k")
    assert (snapshot.state, snapshot.captured) == ("captured", FIVE_HUNDRED)
    assert len(posted(simulator)) == 2, "it was tried, and refused"


@pytest.mark.parametrize("amount", ["499.99", "500.01"])
def test_only_the_whole_of_what_is_authorised_is_captured(gateway, simulator, amount):
    ref = created(gateway)
    simulator.authorise(ref.checkout_id)
    error = refused(gateway.capture, ref, Money.of(amount, "INR"), key="k")
    assert (error.code, error.retryable, error.outcome_unknown) == ("amount-differs", False, False)
    assert len(posted(simulator)) == 1


@pytest.mark.parametrize("state", ["open", "processing", "failed"])
def test_what_is_not_authorised_is_not_captured(gateway, simulator, state):
    ref = created(gateway)
    if state != "open":
        payment_id = simulator.attempt(ref.checkout_id)
        if state == "failed":
            simulator.time_out(payment_id)
    error = refused(gateway.capture, ref, FIVE_HUNDRED, key="k")
    assert (error.code, error.retryable, error.outcome_unknown) == ("not-authorised", False, False)


def test_a_refused_capture_that_did_not_happen_is_an_error(gateway, simulator):
    ref = created(gateway)
    payment_id = simulator.authorise(ref.checkout_id)

    def give_back_now(answer):
        simulator.give_back(payment_id)
        return answer

    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.fault_next(Fault(spoil=give_back_now))
    error = refused(gateway.capture, ref, FIVE_HUNDRED, key="k")
    assert (error.code, error.retryable, error.outcome_unknown) == ("invalid-request", False, False)


def test_of_several_authorised_payments_the_one_that_is_named_is_captured(gateway, simulator, clock):
    ref = created(gateway)
    first = simulator.authorise(ref.checkout_id)
    clock.advance(seconds=1)
    second = simulator.authorise(ref.checkout_id)
    assert gateway.fetch_payment(ref).payment_id == first
    assert gateway.capture(attrs.evolve(ref, payment_id=second), FIVE_HUNDRED, key="k").payment_id == second


def test_an_unpaid_order_that_is_given_up_is_canceled_until_it_is_paid_after_all(gateway, simulator):
    ref = created(gateway)
    simulator.fail(ref.checkout_id, reason="payment_cancelled")
    snapshot = gateway.cancel(ref)
    assert (snapshot.state, snapshot.failure, snapshot.topup_id) == ("canceled", "payment_cancelled", TOPUP)
    simulator.pay(ref.checkout_id)
    assert gateway.fetch_payment(ref).state == "captured"


@pytest.mark.parametrize("state", ["processing", "authorised", "captured"])
def test_what_is_being_paid_is_not_canceled(gateway, simulator, state):
    ref = created(gateway)
    {"processing": simulator.attempt, "authorised": simulator.authorise, "captured": simulator.pay}[state](
        ref.checkout_id
    )
    assert gateway.cancel(ref).state == state
    assert len(sent(simulator, "POST")) == 1
