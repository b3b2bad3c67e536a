"""The PayPal adapter: the real SDK over a real socket against the simulator, in every state."""

from __future__ import annotations

import json
from datetime import timedelta

import attrs
import pytest

from prepaid.core.errors import GatewayError
from prepaid.core.money import Money
from prepaid.gateways.paypal_currencies import LIMITS, from_wire, to_wire
from prepaid.gateways.paypal_requests import locale_of, order_body, request_id
from prepaid.gateways.processes import PerProcess
from prepaid.ports import PaymentRef
from prepaid.testing.clock import MovableClock
from tests.gateways.paypal_world import (
    EMAIL,
    MERCHANT_ID,
    NOW,
    TEN,
    TOPUP,
    a_request,
    answering,
    bound,
    created,
    paid,
    refused,
    sent,
    simulated,
)

CAPTURE_KEY = f"prepaid:{TOPUP}:capture"


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with simulated(clock) as running:
        yield running


@pytest.fixture
def gateway(simulator, clock):
    return bound(simulator, clock, brand_name="Nimbus")


# Creating a checkout


def test_the_customer_is_sent_to_the_page_of_a_new_order(gateway, simulator):
    checkout = gateway.create_checkout(a_request())
    order = simulator.order(checkout.checkout_id)
    assert checkout.redirect_url == f"{simulator.url}/checkoutnow?token={order['id']}"
    assert (checkout.widget, checkout.instructions) == (None, None)


def test_the_request_on_the_wire_is_the_documented_one_under_our_key(gateway, simulator):
    gateway.create_checkout(a_request())
    [request] = sent(simulator)
    assert request.json() == {
        "intent": "CAPTURE",
        "purchase_units": [
            {
                "reference_id": "default",
                "custom_id": TOPUP,
                "invoice_id": TOPUP,
                "amount": {"currency_code": "EUR", "value": "10.00"},
                "description": "Credit for Nimbus",
            }
        ],
        "payment_source": {
            "paypal": {
                "experience_context": {
                    "return_url": f"https://panel.example/back?topup={TOPUP}",
                    "cancel_url": f"https://panel.example/billing?topup={TOPUP}",
                    "user_action": "PAY_NOW",
                    "shipping_preference": "NO_SHIPPING",
                    "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
                    "brand_name": "Nimbus",
                    "locale": "en",
                }
            }
        },
    }
    assert (request.method, request.path) == ("POST", "/v2/checkout/orders")
    assert request.headers["paypal-request-id"] == f"prepaid:{TOPUP}:checkout"
    assert request.headers["prefer"] == "return=representation"
    assert request.headers["content-type"] == request.headers["accept"] == "application/json"
    assert request.headers["authorization"].startswith("Bearer A21.")


def test_no_personal_data_is_sent(gateway, simulator):
    gateway.create_checkout(a_request())
    assert all(EMAIL.encode() not in request.body for request in simulator.requests)


def test_what_is_empty_or_too_long_is_left_out_or_cut():
    body = order_body(a_request(description="x" * 300, locale="tlh"), brand_name="")
    assert body["purchase_units"][0]["description"] == "x" * 127
    assert not {"brand_name", "locale"} & set(body["payment_source"]["paypal"]["experience_context"])
    assert "description" not in order_body(a_request(description=""), brand_name="")["purchase_units"][0]


@pytest.mark.parametrize(
    ("key", "same"), [("k", True), ("k" * 108, True), ("k" * 109, False), ("", False), ("ké", False)]
)
def test_a_key_that_paypal_would_not_take_is_sent_as_its_hash(key, same):
    sent_as = request_id(key)
    assert (sent_as == key) is same
    assert 1 <= len(sent_as) <= 108
    assert sent_as == request_id(key)


@pytest.mark.parametrize(
    ("amount", "currency", "value"),
    [
        ("10.00", "USD", "10.00"),
        ("0.01", "EUR", "0.01"),
        ("1234.50", "GBP", "1234.50"),
        ("500", "JPY", "500"),
        ("4500", "HUF", "4500"),
        ("300", "TWD", "300"),
    ],
)
def test_amounts_are_written_and_read_by_paypals_own_table(gateway, simulator, amount, currency, value):
    money = Money.of(amount, currency)
    ref = created(gateway, amount=money)
    unit = sent(simulator)[0].json()["purchase_units"][0]
    assert unit["amount"] == {"currency_code": currency, "value": value}
    simulator.pay(ref.checkout_id)
    assert gateway.fetch_payment(ref).captured == money


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("10.50", "HUF", "amount-too-fine"),
        ("10.5", "TWD", "amount-too-fine"),
        ("5.001", "USD", "amount-too-fine"),
        ("0.00", "USD", "amount-invalid"),
        ("-5.00", "USD", "amount-invalid"),
        ("10000000.00", "USD", "amount-invalid"),
        ("10000000", "JPY", "amount-invalid"),
        ("5.00", "INR", "currency-not-supported"),
        ("5.00", "RUB", "currency-not-supported"),
        ("5.000", "KWD", "currency-not-supported"),
    ],
)
def test_an_amount_that_paypal_cannot_take_is_refused_before_anything_is_sent(
    gateway, simulator, amount, currency, code
):
    error = refused(gateway.create_checkout, a_request(amount=Money.of(amount, currency)))
    assert (error.code, error.retryable, error.outcome_unknown) == (code, False, False)
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("value", "currency"),
    [
        ("10.00", "usd"),
        ("10.00", "KWD"),
        ("10.00", "ＵＳＤ"),
        ("-10.00", "USD"),
        ("10.001", "USD"),
        ("10.5", "JPY"),
        ("1e3", "USD"),
        (" 10.00", "USD"),
        ("10,00", "USD"),
        ("10.", "USD"),
        (".5", "USD"),
        ("", "USD"),
        ("١٠", "USD"),
        ("1" * 13, "USD"),
        ("NaN", "USD"),
    ],
)
def test_an_amount_that_is_not_paypals_is_not_read(value, currency):
    with pytest.raises(GatewayError):
        from_wire(value, currency)


@pytest.mark.parametrize(
    ("value", "currency", "amount"),
    [("10", "USD", "10.00"), ("10.5", "USD", "10.50"), ("500.00", "JPY", "500"), ("0.0000", "EUR", "0.00")],
)
def test_equal_decimals_are_equal_however_they_are_written(value, currency, amount):
    assert from_wire(value, currency) == Money.of(amount, currency)


def test_every_limit_can_be_written_on_the_wire_and_read_back():
    for currency, limits in LIMITS.items():
        for money in (limits.minimum, limits.maximum, limits.step):
            assert from_wire(to_wire(money), currency) == money
        assert limits.step <= limits.minimum < limits.maximum
    assert len(LIMITS) == 24
    assert LIMITS["HUF"].step == Money.of("1", "HUF")


@pytest.mark.parametrize(
    ("locale", "as_sent"),
    [("en", "en"), ("en_GB", "en-GB"), ("de-AT", "de-AT"), ("zh_Hant_TW", "zh-Hant-TW"), ("tlh", ""), ("", "")],
)
def test_the_page_speaks_the_customers_language_if_it_can_be_written(locale, as_sent):
    assert locale_of(locale) == as_sent


def test_the_same_request_gives_the_same_order_for_six_hours(gateway, simulator, clock):
    first = gateway.create_checkout(a_request())
    clock.advance(hours=5, minutes=59)
    assert gateway.create_checkout(a_request()) == first
    assert len({request.body for request in sent(simulator)}) == 1
    clock.advance(minutes=2)
    assert gateway.create_checkout(a_request()) != first


def test_a_request_sent_again_after_approval_or_payment_gives_the_order_without_a_page(gateway, simulator):
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    assert gateway.create_checkout(a_request()).redirect_url is None
    simulator.pay(ref.checkout_id)
    again = gateway.create_checkout(a_request())
    assert (again.checkout_id, again.redirect_url) == (ref.checkout_id, None)


def test_a_refusal_of_paypal_is_final_and_keeps_its_issue(gateway):
    error = refused(gateway.create_checkout, a_request(return_url=""))
    assert (error.code, error.retryable, error.outcome_unknown) == ("INVALID_PARAMETER_VALUE", False, False)


def unit_of(order):
    return order["purchase_units"][0]


@pytest.mark.parametrize(
    "change",
    [
        lambda order: order.update(id="not an id"),
        lambda order: order.pop("id"),
        lambda order: order.update(intent="AUTHORIZE"),
        lambda order: order.update(status="PAID"),
        lambda order: order.update(purchase_units=[]),
        lambda order: order.update(purchase_units=[unit_of(order)] * 2),
        lambda order: order.update(purchase_units={}),
        lambda order: unit_of(order).update(custom_id="top_other"),
        lambda order: unit_of(order).update(invoice_id="top_other"),
        lambda order: unit_of(order).pop("custom_id"),
        lambda order: unit_of(order)["amount"].update(value="10.01"),
        lambda order: unit_of(order)["amount"].update(value=10.0),
        lambda order: unit_of(order)["amount"].update(currency_code="USD"),
        lambda order: unit_of(order)["payee"].update(merchant_id="ANTHERACCT333"),
        lambda order: order.update(links=[]),
        lambda order: order.update(links=None),
        lambda order: order["links"].append(order["links"][-1]),
        lambda order: order["links"][1].update(href="http://www.paypal.example/checkoutnow"),
        lambda order: order["links"][1].update(href="javascript:alert(1)"),
        lambda order: order["links"][1].update(href="https://x/" + "y" * 5000),
        lambda order: order["links"][1].update(href=7),
    ],
)
def test_a_reply_that_is_not_the_order_asked_for_leaves_the_outcome_open(gateway, simulator, change):
    simulator.rewrite_next(change)
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)


def test_a_link_to_approve_an_order_is_as_good_as_one_to_act(gateway, simulator):
    simulator.rewrite_next(lambda order: order["links"][1].update(rel="approve"))
    assert gateway.create_checkout(a_request()).redirect_url


# States


def leave(simulator, order_id):
    pass


def pend(simulator, order_id):
    simulator.pend_next_capture(order_id)
    simulator.pay(order_id)


def complete(simulator, order_id):
    pend(simulator, order_id)
    simulator.complete(order_id)


def deny(simulator, order_id):
    pend(simulator, order_id)
    simulator.deny(order_id)


def fail(simulator, order_id):
    pend(simulator, order_id)
    simulator.deny(order_id, status="FAILED", reason="OTHER")


def refund_part(simulator, order_id):
    simulator.pay(order_id)
    simulator.refund(order_id, "4.00")


def refund_all(simulator, order_id):
    refund_part(simulator, order_id)
    simulator.refund(order_id, "6.00")


@pytest.mark.parametrize(
    ("happening", "state", "failure", "refunded"),
    [
        (leave, "open", "", None),
        (lambda sim, at: sim.set_status(at, "CREATED"), "open", "", None),
        (lambda sim, at: sim.set_status(at, "SAVED"), "open", "", None),
        (lambda sim, at: sim.approve(at), "authorised", "", None),
        (lambda sim, at: sim.void(at), "canceled", "", None),
        (lambda sim, at: sim.vanish(at), "expired", "", None),
        (pend, "processing", "", None),
        (complete, "captured", "", "0.00"),
        (deny, "failed", "ECHECK", None),
        (fail, "failed", "OTHER", None),
        (lambda sim, at: sim.pay(at), "captured", "", "0.00"),
        (refund_part, "captured", "", "4.00"),
        (refund_all, "captured", "", "10.00"),
    ],
)
def test_what_happened_at_paypal_is_the_state_that_is_read(gateway, simulator, happening, state, failure, refunded):
    ref = created(gateway)
    happening(simulator, ref.checkout_id)
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.state, snapshot.failure) == (state, failure)
    assert (snapshot.checkout_id, snapshot.topup_id, snapshot.mode) == (ref.checkout_id, TOPUP, None)
    assert snapshot.captured == (TEN if state == "captured" else None)
    assert snapshot.authorised == (TEN if state == "authorised" else None)
    assert snapshot.refunded == (Money.of(refunded, "EUR") if refunded else None)
    assert (snapshot.payment_id is None) == (state not in {"processing", "captured", "failed"})


def test_a_captured_payment_is_read_with_amount_fee_account_method_and_time(gateway, simulator):
    ref = created(gateway)
    capture_id = simulator.pay(ref.checkout_id)
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.payment_id, snapshot.captured) == (capture_id, TEN)
    assert snapshot.fee == Money.of("0.84", "EUR")
    assert (snapshot.account, snapshot.method, snapshot.created_at) == (MERCHANT_ID, "paypal", NOW)
    assert snapshot.account == gateway.account


@pytest.mark.parametrize(("reason", "disputed"), [("ECHECK", False), ("BUYER_COMPLAINT", True), ("CHARGEBACK", True)])
def test_money_that_is_held_for_a_complaint_is_disputed(gateway, simulator, reason, disputed):
    ref = created(gateway)
    simulator.pend_next_capture(ref.checkout_id, reason)
    simulator.pay(ref.checkout_id)
    assert gateway.fetch_payment(ref).disputed is disputed


def test_an_order_that_vanished_is_expired_only_by_paypals_own_word_and_only_without_money(gateway, simulator):
    ref = created(gateway)
    simulator.vanish(ref.checkout_id)
    assert gateway.fetch_payment(ref).state == "expired"
    simulator.fault_next(answering(404, b"<html>Not Found</html>"))
    assert refused(gateway.fetch_payment, ref).retryable
    simulator.fault_next(answering(404, b'{"name": "NOT_FOUND"}'))
    assert refused(gateway.fetch_payment, ref).code == "NOT_FOUND"
    error = refused(gateway.fetch_payment, attrs.evolve(ref, payment_id="2GG279541U471931P"))
    assert (error.code, error.outcome_unknown) == ("INVALID_RESOURCE_ID", False)


@pytest.mark.parametrize(
    "change",
    [
        lambda order: unit_of(order).update(custom_id="top_other"),
        lambda order: unit_of(order).update(invoice_id="top_other"),
        lambda order: unit_of(order).pop("custom_id"),
        lambda order: unit_of(order).pop("invoice_id"),
    ],
)
def test_a_reference_that_is_not_echoed_twice_is_not_echoed(gateway, simulator, change):
    ref = created(gateway)
    simulator.rewrite_next(change)
    assert gateway.fetch_payment(ref).topup_id is None


def test_an_order_paid_after_a_declined_attempt_counts_the_one_that_is_alive(gateway, simulator):
    ref = paid(gateway, simulator)

    def add_declined(order):
        captures = unit_of(order)["payments"]["captures"]
        captures.insert(0, {**captures[0], "id": "DEAD", "status": "DECLINED"})

    simulator.rewrite_next(add_declined)
    assert gateway.fetch_payment(ref).payment_id == ref.payment_id


def test_an_approved_order_with_a_declined_attempt_may_still_be_captured(gateway, simulator):
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    dead = {"id": "DEAD", "status": "DECLINED", "amount": {"currency_code": "EUR", "value": "10.00"}}
    simulator.rewrite_next(lambda order: unit_of(order).update(payments={"captures": [dead]}))
    assert gateway.fetch_payment(ref).state == "authorised"


def test_a_lie_about_amount_or_account_is_reported_for_the_core_to_judge(gateway, simulator):
    ref = paid(gateway, simulator)
    simulator.fault_next("wrong-amount")
    assert gateway.fetch_payment(ref).captured == Money.of("11.00", "EUR")
    simulator.fault_next("wrong-merchant")
    assert gateway.fetch_payment(ref).account == "ANTHERACCT333"


@pytest.mark.parametrize("checkout_id", ["", "abc", "A/capture", "../v1", "5O1Ü", "A" * 37, "A?b=1"])
def test_an_id_that_is_not_paypals_is_never_asked_for(gateway, simulator, checkout_id):
    ref = PaymentRef(topup_id=TOPUP, checkout_id=checkout_id, payment_id=checkout_id)
    calls = [gateway.fetch_payment, gateway.cancel, gateway.refunds_of, gateway.disputes_of]
    for call in (*calls, lambda ref: gateway.capture(ref, TEN, key="k")):
        assert refused(call, ref).code == "unknown-checkout"
    assert simulator.requests == []


# Capturing


def test_an_approved_order_is_captured_under_our_key(gateway, simulator):
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    snapshot = gateway.capture(ref, TEN, key=CAPTURE_KEY)
    assert (snapshot.state, snapshot.captured, snapshot.account) == ("captured", TEN, MERCHANT_ID)
    request = sent(simulator)[-1]
    assert request.path == f"/v2/checkout/orders/{ref.checkout_id}/capture"
    assert request.headers["paypal-request-id"] == CAPTURE_KEY
    assert request.body == b"{}"
    assert gateway.fetch_payment(ref) == snapshot


def test_capturing_twice_takes_the_money_once(gateway, simulator):
    ref = paid(gateway, simulator)
    captures = [request for request in sent(simulator) if request.path.endswith("/capture")]
    assert gateway.capture(ref, TEN, key="another-key").payment_id == ref.payment_id
    assert [request for request in sent(simulator) if request.path.endswith("/capture")] == captures


def test_what_is_pending_after_a_capture_is_processing_and_not_captured_again(gateway, simulator):
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    simulator.pend_next_capture(ref.checkout_id, "ECHECK")
    assert gateway.capture(ref, TEN, key=CAPTURE_KEY).state == "processing"
    assert gateway.capture(ref, TEN, key=CAPTURE_KEY).state == "processing"


@pytest.mark.parametrize("amount", ["9.99", "10.01"])
def test_an_approval_of_another_amount_is_not_captured(gateway, simulator, amount):
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    error = refused(gateway.capture, ref, Money.of(amount, "EUR"), key=CAPTURE_KEY)
    assert (error.code, error.retryable, error.outcome_unknown) == ("not-authorised", False, False)
    assert simulator.order(ref.checkout_id)["status"] == "APPROVED"


def test_an_order_that_is_not_approved_is_not_captured(gateway, simulator):
    ref = created(gateway)
    assert refused(gateway.capture, ref, TEN, key=CAPTURE_KEY).code == "not-authorised"
    assert all(not request.path.endswith("/capture") for request in sent(simulator))


def approved(gateway, simulator):
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    return ref


def meanwhile(gateway, happens):
    """Give a gateway to which something happens between its look at an order and its capture."""
    transport = gateway.binding.link.get(gateway._connect)

    class Interrupted:
        def begin(self):
            transport.begin()

        def request(self, method, path, **options):
            if method == "POST":
                happens()
            return transport.request(method, path, **options)

    slower = attrs.evolve(gateway, binding=attrs.evolve(gateway.binding, link=PerProcess()))
    slower.binding.link.get(Interrupted)
    return slower


def test_a_capture_that_another_caller_was_faster_with_gives_the_payment(gateway, simulator):
    ref = approved(gateway, simulator)
    slower = meanwhile(gateway, lambda: simulator.pay(ref.checkout_id))
    snapshot = slower.capture(ref, TEN, key=CAPTURE_KEY)
    assert (snapshot.state, snapshot.captured) == ("captured", TEN)


@pytest.mark.parametrize(
    ("status", "issue"),
    [
        (422, "ORDER_ALREADY_CAPTURED"),
        (422, "ORDER_COMPLETION_IN_PROGRESS"),
        (409, "PREVIOUS_REQUEST_IN_PROGRESS"),
        (422, "DUPLICATE_REQUEST_ID"),
    ],
)
def test_a_capture_that_is_under_way_elsewhere_leaves_the_outcome_open(gateway, simulator, status, issue):
    ref = approved(gateway, simulator)
    body = json.dumps({"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": issue}]}).encode()
    interrupted = meanwhile(gateway, lambda: simulator.fault_next(answering(status, body)))
    error = refused(interrupted.capture, ref, TEN, key=CAPTURE_KEY)
    assert (error.code, error.retryable, error.outcome_unknown) == (issue, True, True)


def test_a_capture_under_way_whose_order_cannot_be_read_leaves_the_outcome_open(gateway, simulator):
    ref = approved(gateway, simulator)
    body = b'{"name": "X", "details": [{"issue": "ORDER_COMPLETION_IN_PROGRESS"}]}'

    def both_fail():
        simulator.fault_next(answering(422, body))
        simulator.fault_next("drop")

    error = refused(meanwhile(gateway, both_fail).capture, ref, TEN, key=CAPTURE_KEY)
    assert (error.code, error.retryable, error.outcome_unknown) == ("connection", True, True)


@pytest.mark.parametrize(
    "issue",
    ["INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED", "ORDER_NOT_APPROVED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"],
)
def test_a_declined_instrument_sends_the_payer_back_and_another_one_pays(gateway, simulator, issue):
    ref = approved(gateway, simulator)
    simulator.decline_next_capture(ref.checkout_id, issue)
    snapshot = gateway.capture(ref, TEN, key=CAPTURE_KEY)
    assert (snapshot.state, snapshot.failure, snapshot.authorised, snapshot.captured) == ("open", issue, None, None)
    simulator.approve(ref.checkout_id)
    assert gateway.capture(ref, TEN, key=CAPTURE_KEY).captured == TEN


def test_a_decline_that_another_caller_overtook_gives_the_payment(gateway, simulator):
    ref = approved(gateway, simulator)

    def overtaken():
        body = b'{"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": "INSTRUMENT_DECLINED"}]}'
        simulator.pay(ref.checkout_id)
        simulator.fault_next(answering(422, body))

    assert meanwhile(gateway, overtaken).capture(ref, TEN, key=CAPTURE_KEY).captured == TEN


@pytest.mark.parametrize(
    "issue", ["TRANSACTION_REFUSED", "PAYER_CANNOT_PAY", "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED", "ORDER_EXPIRED"]
)
def test_a_capture_refused_for_good_is_told_with_its_issue(gateway, simulator, issue):
    ref = approved(gateway, simulator)
    simulator.decline_next_capture(ref.checkout_id, issue)
    error = refused(gateway.capture, ref, TEN, key=CAPTURE_KEY)
    assert (error.code, error.retryable, error.outcome_unknown) == (issue, False, False)


def test_paypal_itself_refuses_to_capture_a_second_order_for_one_top_up(gateway, simulator, clock):
    first = created(gateway)
    clock.advance(hours=7)  # the key is forgotten
    second = created(gateway)
    assert first != second
    for ref in (first, second):
        simulator.approve(ref.checkout_id)
    assert gateway.capture(first, TEN, key="one").state == "captured"
    assert refused(gateway.capture, second, TEN, key="two").code == "DUPLICATE_INVOICE_ID"


def test_an_unreadable_answer_to_a_capture_leaves_the_outcome_open_and_is_repaired(gateway, simulator):
    ref = approved(gateway, simulator)
    interrupted = meanwhile(gateway, lambda: simulator.fault_next("truncated"))
    error = refused(interrupted.capture, ref, TEN, key=CAPTURE_KEY)
    assert (error.retryable, error.outcome_unknown) == (True, True)
    assert gateway.fetch_payment(ref).captured == TEN


# Cancelling


def test_an_order_nobody_approved_is_given_up(gateway, simulator):
    ref = created(gateway)
    assert gateway.cancel(ref).state == "canceled"
    assert gateway.cancel(ref) == gateway.cancel(ref)


@pytest.mark.parametrize(
    ("happening", "state"),
    [(lambda sim, at: sim.approve(at), "authorised"), (lambda sim, at: sim.pay(at), "captured"), (pend, "processing")],
)
def test_what_was_approved_or_taken_is_told_and_not_called_canceled(gateway, simulator, happening, state):
    ref = created(gateway)
    happening(simulator, ref.checkout_id)
    assert gateway.cancel(ref).state == state


def test_what_it_can_do_is_told_without_network(gateway, simulator):
    able = gateway.capabilities()
    assert able.currencies is LIMITS
    assert (able.create_key_valid_s, able.refund_key_valid_s) == (21_600, 45 * 86_400)
    assert (able.needs_capture, able.asynchronous, able.partial_refund, able.multiple_refunds) == (True,) * 4
    assert (able.lists_payments, able.lists_refunds, able.lists_disputes) == (True,) * 3
    assert (able.reports_mode, able.reports_account, able.signed_timestamp) == (False, True, True)
    assert (able.refund_window_days, able.list_delay_s, able.interaction) == (180, 10_800, "redirect")
    assert simulator.requests == []


def test_an_order_is_not_expired_by_our_clock(gateway, clock):
    ref = created(gateway)
    clock.set(NOW + timedelta(hours=5))
    assert gateway.fetch_payment(ref).state == "open"
