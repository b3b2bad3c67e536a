"""The Stripe adapter: the real SDK over a real socket against the simulator, in every state."""

from __future__ import annotations

import json
from datetime import timedelta

import attrs
import pytest

from prepaid.core.errors import GatewayError
from prepaid.core.money import Money
from prepaid.gateways.stripe_currencies import LIMITS, from_wire, to_wire
from prepaid.gateways.stripe_requests import expiry, locale_of, session_params
from prepaid.ports import PaymentRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_world import (
    EMAIL,
    KEY,
    NOW,
    TOPUP,
    a_request,
    bound,
    created,
    refused,
    shorten_waits,
)


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
def quick_retries(monkeypatch):
    shorten_waits(monkeypatch)


def posted(simulator):
    return [request for request in simulator.requests if request.method == "POST"]


# Creating a checkout


def test_the_customer_is_sent_to_the_page_of_a_new_session(gateway, simulator):
    checkout = gateway.create_checkout(a_request())
    session = simulator.session(checkout.checkout_id)
    assert checkout.redirect_url == session["url"]
    assert checkout.widget is None
    assert (session["amount_total"], session["currency"]) == (5000, "eur")
    assert session["client_reference_id"] == session["metadata"]["topup_id"] == TOPUP
    assert session["customer_email"] == EMAIL
    assert session["adaptive_pricing"] == {"enabled": False}


def test_the_request_on_the_wire_is_the_documented_one_under_our_key_and_pinned_version(gateway, simulator):
    gateway.create_checkout(a_request())
    request = simulator.requests[0]
    metadata = {"topup_id": TOPUP, "customer_id": "user-42", "env": "test"}
    assert request.form() == {
        "mode": "payment",
        "line_items": [
            {
                "quantity": "1",
                "price_data": {
                    "currency": "eur",
                    "unit_amount": "5000",
                    "product_data": {"name": "Credit for Nimbus"},
                },
            }
        ],
        "client_reference_id": TOPUP,
        "metadata": metadata,
        "payment_intent_data": {"metadata": {**metadata, "flow": "checkout"}},
        "success_url": f"https://panel.example/back?topup={TOPUP}",
        "cancel_url": f"https://panel.example/billing?topup={TOPUP}",
        "expires_at": str(int((NOW + timedelta(hours=1)).timestamp())),
        "adaptive_pricing": {"enabled": "false"},
        "submit_type": "pay",
        "locale": "en",
        "customer_email": EMAIL,
    }
    assert request.headers["idempotency-key"] == f"prepaid:{TOPUP}:checkout"
    assert request.headers["stripe-version"] == "2026-10-28.endive"
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_no_telemetry_is_sent(gateway, simulator):
    ref = created(gateway)
    gateway.fetch_payment(ref)
    for request in simulator.requests:
        assert "x-stripe-client-telemetry" not in request.headers
        assert "telemetry_id" not in json.loads(request.headers["x-stripe-client-user-agent"])


def test_a_customer_without_email_is_asked_for_it_by_stripe():
    assert "customer_email" not in session_params(a_request(customer_email=""), mode="test")


@pytest.mark.parametrize(
    ("amount", "currency", "number"),
    [
        ("10.00", "USD", 1000),
        ("500", "JPY", 500),
        ("5.120", "KWD", 5120),
        ("500", "ISK", 50_000),
        ("5000", "UGX", 500_000),
        ("175.00", "HUF", 17_500),
        ("20.00", "MGA", 20),
    ],
)
def test_amounts_are_written_and_read_by_stripes_own_table(gateway, simulator, amount, currency, number):
    money = Money.of(amount, currency)
    ref = created(gateway, amount=money)
    price = simulator.requests[0].form()["line_items"][0]["price_data"]
    assert price["unit_amount"] == str(number)
    assert price["currency"] == currency.lower()
    simulator.pay(ref.checkout_id)
    assert gateway.fetch_payment(ref).captured == money


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("5.125", "KWD", "amount-too-fine"),
        ("20.50", "MGA", "amount-too-fine"),
        ("5.5", "ISK", "amount-too-fine"),
        ("5.001", "USD", "amount-too-fine"),
        ("5.00", "CUP", "currency-not-supported"),
    ],
)
def test_an_amount_that_stripe_cannot_write_is_refused_before_anything_is_sent(
    gateway, simulator, amount, currency, code
):
    error = refused(gateway.create_checkout, a_request(amount=Money.of(amount, currency)))
    assert (error.code, error.retryable, error.outcome_unknown) == (code, False, False)
    assert simulator.requests == []


@pytest.mark.parametrize("code", ["US", "usd ", "EUR", "xxx", "\u0131sk"])
def test_a_currency_code_that_is_not_stripes_is_not_read(code):
    with pytest.raises(GatewayError):
        from_wire(100, code)


def test_every_limit_can_be_written_on_the_wire_and_read_back():
    for currency, limits in LIMITS.items():
        for money in (limits.minimum, limits.maximum, limits.step):
            assert from_wire(to_wire(money), currency.lower()) == money
        assert limits.step <= limits.minimum < limits.maximum


def test_limits_are_those_that_stripe_documents():
    assert LIMITS["USD"].minimum == Money.of("0.50", "USD")
    assert LIMITS["USD"].maximum == Money.of("999999.99", "USD")
    assert LIMITS["JPY"].minimum == Money.of("50", "JPY")
    assert LIMITS["KWD"].step == Money.of("0.010", "KWD")
    assert LIMITS["ISK"].maximum == Money.of("999999", "ISK")
    assert LIMITS["IDR"].maximum == Money.of("9999999999.99", "IDR")


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (timedelta(minutes=5), timedelta(minutes=32)),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=3), timedelta(hours=23, minutes=58)),
    ],
)
def test_the_expiry_is_moved_into_what_stripe_allows(gateway, simulator, wanted, sent):
    ref = created(gateway, expires_at=NOW + wanted)
    assert simulator.session(ref.checkout_id)["expires_at"] == int((NOW + sent).timestamp())


def test_a_request_sent_again_later_has_the_same_content(gateway, simulator, clock):
    first = gateway.create_checkout(a_request(expires_at=NOW))
    clock.advance(minutes=20)
    assert gateway.create_checkout(a_request(expires_at=NOW)) == first
    assert posted(simulator)[0].body == posted(simulator)[1].body
    assert len(simulator.sessions()) == 1


@pytest.mark.parametrize("topup_id", ["order-7", "top_zzzzzzzzzzzzzzzzzzzzzzzzzz", "top_0iloui0000000000000000000u"])
def test_an_id_that_holds_no_time_leaves_the_expiry_alone(topup_id):
    request = a_request(topup_id=topup_id, expires_at=NOW)
    assert expiry(request) == NOW


@pytest.mark.parametrize(
    ("locale", "sent"),
    [
        ("en", "en"),
        ("en_GB", "en-GB"),
        ("de-AT", "de"),
        ("hi", "hi-IN"),
        ("nn-NO", "nb"),
        ("zh-TW", "zh-TW"),
        ("tlh", "auto"),
        ("", "auto"),
    ],
)
def test_the_page_speaks_the_customers_language_if_stripe_knows_it(locale, sent):
    assert locale_of(locale) == sent


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"amount": Money.of("0.10", "EUR")}, "amount_too_small"), ({"return_url": ""}, "parameter_missing")],
)
def test_a_refusal_of_stripe_is_final_and_keeps_its_code(gateway, changes, code):
    error = refused(gateway.create_checkout, a_request(**changes))
    assert (error.code, error.retryable, error.outcome_unknown) == (code, False, False)


def test_the_key_with_other_content_is_an_outcome_only_a_look_up_can_tell(gateway):
    created(gateway)
    error = refused(gateway.create_checkout, a_request(description="Other words"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("idempotency", False, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.update(id="pi_1"),
        lambda session: session.update(object="payment_intent"),
        lambda session: session.update(livemode=True),
        lambda session: session.update(amount_total=5001),
        lambda session: session.update(currency="usd"),
        lambda session: session.update(client_reference_id="top_other"),
        lambda session: session["metadata"].update(topup_id="top_other"),
        lambda session: session.update(metadata=None),
        lambda session: session.update(metadata=[]),
        lambda session: session.update(url=None),
        lambda session: session.update(url="http://checkout.example/pay"),
        lambda session: session.update(url="javascript:alert(1)"),
        lambda session: session.update(url="https://x/" + "y" * 5000),
        lambda session: session.pop("livemode"),
    ],
)
def test_a_reply_that_is_not_the_session_asked_for_leaves_the_outcome_open(gateway, simulator, change):
    simulator.rewrite_next(change)
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)


# States


def leave(simulator, session_id):
    pass


def decline_twice(simulator, session_id):
    simulator.decline(session_id)
    simulator.decline(session_id)


def come_back(simulator, session_id):
    simulator.complete_later(session_id)
    simulator.fail(session_id)


def come_in(simulator, session_id):
    simulator.complete_later(session_id)
    simulator.succeed(session_id)


def cancel_after_completion(simulator, session_id):
    simulator.complete_later(session_id)
    simulator.cancel_payment(session_id)


def expire_after_decline(simulator, session_id):
    simulator.decline(session_id)
    simulator.expire(session_id)


def expire_after_cancel(simulator, session_id):
    simulator.cancel_payment(session_id)
    simulator.expire(session_id)


@pytest.mark.parametrize(
    ("happening", "state", "failure"),
    [
        (leave, "open", ""),
        (decline_twice, "open", ""),
        (StripeSimulator.cancel_payment, "canceled", ""),
        (StripeSimulator.complete_later, "processing", ""),
        (lambda sim, at: sim.complete_later(at, waits_for_customer=True), "processing", ""),
        (StripeSimulator.authorise, "authorised", ""),
        (come_back, "failed", "debit_not_authorized"),
        (cancel_after_completion, "canceled", ""),
        (StripeSimulator.pay, "captured", ""),
        (come_in, "captured", ""),
        (StripeSimulator.expire, "expired", ""),
        (expire_after_decline, "expired", ""),
        (expire_after_cancel, "expired", ""),
    ],
)
def test_what_happened_at_stripe_is_the_state_that_is_read(gateway, simulator, happening, state, failure):
    ref = created(gateway)
    happening(simulator, ref.checkout_id)
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.state, snapshot.failure) == (state, failure)
    assert (snapshot.checkout_id, snapshot.topup_id, snapshot.mode) == (ref.checkout_id, TOPUP, "test")
    assert (snapshot.captured is not None) == (state == "captured")
    assert snapshot.authorised == (Money.of("50.00", "EUR") if state == "authorised" else None)
    assert (snapshot.created_at, snapshot.further) == (NOW, ())


def test_a_captured_payment_is_read_with_amount_fee_and_method(gateway, simulator):
    ref = created(gateway)
    intent_id = simulator.pay(ref.checkout_id)
    snapshot = gateway.fetch_payment(ref)
    assert snapshot.payment_id == intent_id
    assert snapshot.captured == Money.of("50.00", "EUR")
    assert snapshot.fee == Money.of("1.75", "EUR")
    assert snapshot.refunded == Money.zero("EUR")
    assert (snapshot.method, snapshot.disputed, snapshot.account) == ("card", False, None)


def test_what_was_refunded_or_disputed_since_is_read_too(gateway, simulator):
    ref = created(gateway)
    simulator.pay(ref.checkout_id)
    simulator.refund(ref.checkout_id, 1200)
    simulator.dispute(ref.checkout_id)
    snapshot = gateway.fetch_payment(ref)
    assert snapshot.state == "captured"
    assert snapshot.refunded == Money.of("12.00", "EUR")
    assert snapshot.disputed is True


def test_what_the_customer_really_paid_is_read_even_if_it_is_not_what_was_asked(gateway, simulator):
    ref = created(gateway)
    simulator.pay(ref.checkout_id, amount=100, currency="usd", livemode=True, method="link")
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.captured, snapshot.mode, snapshot.method) == (Money.of("1.00", "USD"), "live", "link")


def test_an_open_session_expires_at_its_time(gateway, clock):
    ref = created(gateway)
    clock.advance(hours=1)
    assert gateway.fetch_payment(ref).state == "expired"


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.update(client_reference_id="top_other"),
        lambda session: session.update(client_reference_id=None),
        lambda session: session["metadata"].update(topup_id="top_other"),
        lambda session: session["metadata"].clear(),
    ],
)
def test_a_reference_that_is_not_echoed_twice_is_not_echoed(gateway, simulator, change):
    ref = created(gateway)
    simulator.rewrite_next(change)
    assert gateway.fetch_payment(ref).topup_id is None


@pytest.mark.parametrize(("status", "state"), [("open", "open"), ("complete", "failed"), ("expired", "expired")])
def test_a_session_that_needs_no_payment_is_never_captured(gateway, simulator, status, state):
    ref = created(gateway)
    simulator.rewrite_next(lambda session: session.update(status=status, payment_status="no_payment_required"))
    snapshot = gateway.fetch_payment(ref)
    assert snapshot.state == state
    assert snapshot.captured is None


def test_a_failure_without_a_reason_has_none(gateway, simulator):
    ref = created(gateway)
    come_back(simulator, ref.checkout_id)
    simulator.rewrite_next(lambda session: session["payment_intent"].update(last_payment_error=None))
    assert gateway.fetch_payment(ref).failure == ""


def test_the_fee_follows_until_the_charge_has_its_entry(gateway, simulator):
    ref = created(gateway)
    simulator.book_later()
    simulator.pay(ref.checkout_id)
    before = gateway.fetch_payment(ref)
    simulator.book_charges()
    after = gateway.fetch_payment(ref)
    assert [(each.state, each.fee, each.fee_follows) for each in (before, after)] == [
        ("captured", None, True),
        ("captured", Money.of("1.75", "EUR"), False),
    ]


@pytest.mark.parametrize(
    "checkout_id",
    ["", "pi_", "cs_", "cs_test_1/expire", "pi_1/cancel", "pi_1_secret_x", "../balance", "cs_test_ü", "ch_1"],
)
def test_an_id_that_is_no_checkouts_is_never_asked_for(gateway, simulator, checkout_id):
    ref = PaymentRef(topup_id=TOPUP, checkout_id=checkout_id)
    for call in (gateway.fetch_payment, gateway.cancel):
        assert refused(call, ref).code == "unknown-checkout"
    assert simulator.requests == []


def test_an_unknown_session_is_refused_for_good(gateway):
    error = refused(gateway.fetch_payment, PaymentRef(topup_id=TOPUP, checkout_id="cs_test_unknown"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("resource_missing", False, False)


# Cancelling


def test_a_canceled_session_is_expired_and_cannot_be_paid(gateway, simulator):
    ref = created(gateway)
    assert gateway.cancel(ref).state == "expired"
    with pytest.raises(ValueError, match="expired"):
        simulator.pay(ref.checkout_id)


def test_canceling_twice_gives_the_same(gateway):
    ref = created(gateway)
    assert gateway.cancel(ref) == gateway.cancel(ref)


def test_canceling_a_paid_session_finds_the_money(gateway, simulator):
    ref = created(gateway)
    simulator.pay(ref.checkout_id)
    assert gateway.cancel(ref).captured == Money.of("50.00", "EUR")


def test_a_refused_cancellation_of_a_session_that_stays_open_is_told(gateway, simulator):
    ref = created(gateway)
    body = b'{"error": {"type": "invalid_request_error", "message": "no", "code": "locked"}}'
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=body, status=400), executed=False))
    assert refused(gateway.cancel, ref).code == "locked"


def test_a_cancellation_without_answer_is_told_and_can_be_repeated(gateway, simulator, quick_retries):
    ref = created(gateway)
    simulator.fault_next("accept-then-drop", times=3)
    error = refused(gateway.cancel, ref)
    assert (error.retryable, error.outcome_unknown) == (True, True)
    assert gateway.cancel(ref).state == "expired"
