"""Forms on our own page: PaymentIntents, in every state, and captures of either flow."""

from __future__ import annotations

import attrs
import pytest

from prepaid.core.errors import ConfigurationError
from prepaid.core.money import Money
from prepaid.gateways.stripe_requests import intent_params
from prepaid.ports import PaymentRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_world import (
    FLOWS,
    FORM,
    KEY,
    NOW,
    PK,
    TOPUP,
    a_request,
    bound,
    configured,
    created,
    paid,
    refused,
    shorten_waits,
)

FIFTY = Money.of("50.00", "EUR")


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


@pytest.fixture
def gateway(simulator, clock):
    return bound(simulator, clock, **FORM)


@pytest.fixture
def quick_retries(monkeypatch):
    shorten_waits(monkeypatch)


def intents(simulator):
    return simulator.all_of("payment_intent")


# Creating


def test_the_form_gets_what_it_needs_to_take_the_payment(gateway, simulator):
    checkout = gateway.create_checkout(a_request(locale="de-AT"))
    (intent,) = intents(simulator)
    assert checkout.checkout_id == intent["id"]
    assert checkout.redirect_url is None
    assert checkout.widget == {
        "client_secret": intent["client_secret"],
        "publishable_key": PK,
        "return_url": f"https://panel.example/back?topup={TOPUP}",
        "locale": "de",
    }


def test_the_request_on_the_wire_is_the_documented_one_under_our_key(gateway, simulator):
    gateway.create_checkout(a_request())
    request = simulator.requests[0]
    assert request.path == "/v1/payment_intents"
    assert request.form() == {
        "amount": "5000",
        "currency": "eur",
        "automatic_payment_methods": {"enabled": "true"},
        "description": "Credit for Nimbus",
        "metadata": {"topup_id": TOPUP, "customer_id": "user-42", "env": "test"},
    }
    assert request.headers["idempotency-key"] == f"prepaid:{TOPUP}:checkout"
    assert request.headers["stripe-version"] == "2026-10-28.endive"


def test_the_customers_secret_is_shown_to_nobody_else(gateway, simulator):
    checkout = gateway.create_checkout(a_request())
    assert "secret" not in repr(checkout)
    simulator.pay(checkout.checkout_id)
    snapshot = gateway.fetch_payment(PaymentRef(topup_id=TOPUP, checkout_id=checkout.checkout_id))
    assert "secret" not in repr(attrs.asdict(snapshot))


def test_the_same_request_gives_the_same_payment_for_a_day_and_then_another(gateway, simulator, clock):
    first = gateway.create_checkout(a_request())
    clock.advance(hours=23)
    assert gateway.create_checkout(a_request()) == first
    assert len(intents(simulator)) == 1
    clock.advance(hours=1)
    assert gateway.create_checkout(a_request()) != first
    assert gateway.capabilities().create_key_valid_s == 24 * 3600


def test_a_session_asked_for_after_a_day_is_refused_because_it_would_be_over(simulator, clock):
    gateway = bound(simulator, clock)
    created(gateway)
    clock.advance(days=1)
    assert refused(gateway.create_checkout, a_request()).code == "invalid-request"
    assert len(simulator.sessions()) == 1


def test_an_amount_that_stripe_cannot_write_is_refused_before_anything_is_sent(gateway, simulator):
    assert refused(gateway.create_checkout, a_request(amount=Money.of("5.5", "ISK"))).code == "amount-too-fine"
    assert simulator.requests == []


def test_whole_units_that_are_sent_in_hundredths_are_read_as_they_were(gateway, simulator):
    money = Money.of("500", "ISK")
    assert intent_params(a_request(amount=money), mode="test")["amount"] == 50_000
    assert gateway.fetch_payment(paid(gateway, simulator, amount=money)).captured == money


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Money.of("0.10", "EUR")}, "amount_too_small"),
        ({"amount": Money.zero("EUR")}, "parameter_invalid_integer"),
    ],
)
def test_a_refusal_of_stripe_is_final(gateway, changes, code):
    error = refused(gateway.create_checkout, a_request(**changes))
    assert (error.code, error.retryable, error.outcome_unknown) == (code, False, False)


@pytest.mark.parametrize(
    "change",
    [
        lambda intent: intent.update(id="pi_other"),
        lambda intent: intent.update(id="cs_test_1"),
        lambda intent: intent.update(object="setup_intent"),
        lambda intent: intent.update(livemode=True),
        lambda intent: intent.update(amount=5001),
        lambda intent: intent.update(amount=5000.0),
        lambda intent: intent.update(currency="usd"),
        lambda intent: intent["metadata"].update(topup_id="top_other"),
        lambda intent: intent.update(metadata=None),
        lambda intent: intent.update(client_secret=None),
        lambda intent: intent.update(client_secret="pi_other_secret_x"),
        lambda intent: intent.pop("livemode"),
    ],
)
def test_a_reply_that_is_not_the_payment_asked_for_leaves_the_outcome_open(gateway, simulator, change):
    simulator.rewrite_next(change)
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)
    assert "secret_" not in str(error)


@pytest.mark.parametrize(
    ("fault", "times", "code", "retryable", "unknown"),
    [
        ("drop", 3, "connection", True, True),
        ("accept-then-drop", 3, "connection", True, True),
        ("500", 3, "replayed-failure", False, True),
        ("html", 3, "api-error", True, True),
        ("truncated", 1, "api-error", True, True),
        ("429", 1, "rate-limit", True, False),
        ("wrong-id", 1, "unusable-reply", True, True),
        ("wrong-amount", 1, "unusable-reply", True, True),
        ("wrong-mode", 1, "unusable-reply", True, True),
    ],
)
def test_a_fault_while_creating_never_makes_two_payments(
    gateway, simulator, quick_retries, fault, times, code, retryable, unknown
):
    simulator.fault_next(fault, times=times)
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == (code, retryable, unknown)
    if fault != "500":
        created(gateway)
        assert len(intents(simulator)) == 1


# States


def leave(simulator, intent_id):
    pass


def come_back(simulator, intent_id):
    simulator.complete_later(intent_id)
    simulator.fail(intent_id)


def come_in(simulator, intent_id):
    simulator.complete_later(intent_id)
    simulator.succeed(intent_id)


def pay_after_decline(simulator, intent_id):
    simulator.decline(intent_id)
    simulator.pay(intent_id)


@pytest.mark.parametrize(
    ("happening", "state"),
    [
        (leave, "open"),
        (StripeSimulator.decline, "open"),
        (StripeSimulator.challenge, "open"),
        (StripeSimulator.complete_later, "processing"),
        (lambda sim, at: sim.complete_later(at, waits_for_customer=True), "processing"),
        (come_back, "open"),
        (StripeSimulator.authorise, "authorised"),
        (StripeSimulator.cancel_payment, "canceled"),
        (StripeSimulator.pay, "captured"),
        (pay_after_decline, "captured"),
        (come_in, "captured"),
    ],
)
def test_what_happened_at_stripe_is_the_state_that_is_read(gateway, simulator, happening, state):
    ref = created(gateway)
    happening(simulator, ref.checkout_id)
    snapshot = gateway.fetch_payment(ref)
    assert snapshot.state == state
    assert (snapshot.checkout_id, snapshot.payment_id) == (ref.checkout_id, ref.checkout_id)
    assert (snapshot.topup_id, snapshot.mode, snapshot.created_at) == (TOPUP, "test", NOW)
    assert snapshot.captured == (FIFTY if state == "captured" else None)
    assert snapshot.authorised == (FIFTY if state == "authorised" else None)


def test_a_payment_that_waits_for_its_confirmation_is_open(gateway, simulator):
    ref = created(gateway)
    simulator.rewrite_next(lambda intent: intent.update(status="requires_confirmation"))
    assert gateway.fetch_payment(ref).state == "open"


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("redirect_to_url", "open"),
        ("use_stripe_sdk", "open"),
        ("pix_display_qr_code", "open"),
        ("something_new", "open"),
        ("multibanco_display_details", "processing"),
        ("boleto_display_details", "processing"),
        ("konbini_display_details", "processing"),
        ("oxxo_display_details", "processing"),
        ("display_bank_transfer_instructions", "processing"),
        ("verify_with_microdeposits", "processing"),
    ],
)
def test_what_is_done_in_days_is_under_way_and_what_is_done_at_once_is_open(gateway, simulator, action, state):
    ref = created(gateway)
    simulator.challenge(ref.checkout_id)
    simulator.rewrite_next(lambda intent: intent.update(next_action={"type": action}))
    assert gateway.fetch_payment(ref).state == state


def test_a_captured_payment_is_read_with_amount_fee_and_method(gateway, simulator):
    ref = paid(gateway, simulator)
    snapshot = gateway.fetch_payment(ref)
    assert (snapshot.captured, snapshot.fee) == (FIFTY, Money.of("1.75", "EUR"))
    assert (snapshot.refunded, snapshot.disputed, snapshot.method) == (Money.zero("EUR"), False, "card")
    assert (snapshot.account, snapshot.further) == (None, ())


def test_a_payment_stays_payable_after_its_expiry_until_it_is_canceled(gateway, simulator, clock):
    ref = created(gateway)
    clock.advance(days=3)
    assert gateway.fetch_payment(ref).state == "open"
    assert gateway.cancel(ref).state == "canceled"
    with pytest.raises(ValueError, match="canceled"):
        simulator.pay(ref.checkout_id)


@pytest.mark.parametrize("change", [lambda i: i.update(metadata={}), lambda i: i.update(metadata=None)])
def test_a_payment_that_does_not_name_our_topup_names_none(gateway, simulator, change):
    ref = created(gateway)
    simulator.rewrite_next(change)
    assert gateway.fetch_payment(ref).topup_id is None


def test_a_flow_that_was_changed_still_reads_what_the_other_made(simulator, clock):
    page, form = bound(simulator, clock), bound(simulator, clock, **FORM)
    by_page, by_form = created(page), created(form, key="another")
    assert form.fetch_payment(by_page).state == page.fetch_payment(by_form).state == "open"
    assert (form.cancel(by_page).state, page.cancel(by_form).state) == ("expired", "canceled")


# Cancelling


def test_canceling_twice_gives_the_same(gateway):
    ref = created(gateway)
    assert gateway.cancel(ref) == gateway.cancel(ref)


def test_canceling_a_paid_payment_finds_the_money(gateway, simulator):
    assert gateway.cancel(paid(gateway, simulator)).captured == FIFTY


def test_a_refused_cancellation_of_what_stays_open_is_told(gateway, simulator):
    ref = created(gateway)
    body = b'{"error": {"type": "invalid_request_error", "message": "no", "code": "locked"}}'
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=body, status=400), executed=False))
    assert refused(gateway.cancel, ref).code == "locked"


@FLOWS
@pytest.mark.parametrize(("fault", "times"), [("accept-then-drop", 3), ("truncated", 1), ("wrong-id", 1)])
def test_a_cancellation_whose_answer_is_lost_or_unusable_leaves_the_outcome_open(
    simulator, clock, quick_retries, flow, fault, times
):
    gateway = bound(simulator, clock, **flow)
    ref = created(gateway)
    simulator.fault_next(fault, times=times)
    error = refused(gateway.cancel, ref)
    assert (error.retryable, error.outcome_unknown) == (True, True)
    assert gateway.cancel(ref).state in {"expired", "canceled"}


# Capturing


def authorised(simulator, clock, flow):
    gateway = bound(simulator, clock, **flow)
    ref = created(gateway)
    simulator.authorise(ref.checkout_id)
    return gateway, ref


@FLOWS
def test_an_authorised_payment_is_captured_under_our_key(simulator, clock, flow):
    gateway, ref = authorised(simulator, clock, flow)
    snapshot = gateway.capture(ref, FIFTY, key="capture-key")
    assert (snapshot.state, snapshot.captured) == ("captured", FIFTY)
    (request,) = (request for request in simulator.requests if request.path.endswith("/capture"))
    assert request.form() == {"amount_to_capture": "5000"}
    assert request.headers["idempotency-key"] == "capture-key"


@FLOWS
def test_what_was_captured_before_counts_as_captured(simulator, clock, flow):
    gateway, ref = authorised(simulator, clock, flow)
    first = gateway.capture(ref, FIFTY, key="capture-key")
    assert gateway.capture(ref, FIFTY, key="another-key") == first
    assert sum(request.path.endswith("/capture") for request in simulator.requests) == 1


@FLOWS
def test_what_somebody_else_captures_at_the_same_moment_counts_as_captured(simulator, clock, flow):
    gateway, ref = authorised(simulator, clock, flow)
    as_it_was = simulator.session(ref.checkout_id)
    gateway.capture(ref, FIFTY, key="capture-key")
    simulator.rewrite_next(lambda content: content.update(as_it_was))
    assert gateway.capture(ref, FIFTY, key="another-key").captured == FIFTY
    assert sum(request.path.endswith("/capture") for request in simulator.requests) == 2


@pytest.mark.parametrize(("amount", "currency"), [("49.99", "EUR"), ("50.01", "EUR"), ("50.00", "USD")])
def test_only_the_whole_of_what_was_authorised_is_captured(simulator, clock, amount, currency):
    gateway, ref = authorised(simulator, clock, FORM)
    error = refused(gateway.capture, ref, Money.of(amount, currency), key="capture-key")
    assert (error.code, error.retryable, error.outcome_unknown) == ("amount-differs", False, False)
    assert gateway.fetch_payment(ref).state == "authorised"


@FLOWS
def test_what_is_not_authorised_is_not_captured(simulator, clock, flow):
    gateway = bound(simulator, clock, **flow)
    assert refused(gateway.capture, created(gateway), FIFTY, key="capture-key").code == "not-authorised"


def test_a_capture_refused_because_the_authorisation_lapsed_is_refused_for_good(simulator, clock):
    gateway, ref = authorised(simulator, clock, FORM)
    as_it_was = simulator.session(ref.checkout_id)
    simulator.cancel_payment(ref.checkout_id)
    simulator.rewrite_next(lambda content: content.update(as_it_was))
    error = refused(gateway.capture, ref, FIFTY, key="capture-key")
    assert (error.code, error.retryable, error.outcome_unknown) == ("payment_intent_unexpected_state", False, False)


@FLOWS
@pytest.mark.parametrize(
    ("fault", "times", "retryable", "unknown"),
    [
        ("accept-then-drop", 3, True, True),
        ("html", 3, True, True),
        ("truncated", 1, True, True),
        ("500", 1, False, True),
        ("429", 1, True, False),
    ],
)
def test_a_capture_without_a_usable_answer_is_told_as_such(
    simulator, clock, quick_retries, flow, fault, times, retryable, unknown
):
    gateway, ref = authorised(simulator, clock, flow)
    if fault == "500":
        simulator.rewrite_next(lambda content: simulator.fault_next("500"))  # after the look
    else:
        simulator.fault_next(Fault(spoil=lambda answer: answer))  # the look
        simulator.fault_next(fault, times=times)
    error = refused(gateway.capture, ref, FIFTY, key="capture-key")
    assert (error.retryable, error.outcome_unknown) == (retryable, unknown)


def test_a_capture_whose_later_look_fails_leaves_the_outcome_open(simulator, clock, quick_retries):
    gateway, ref = authorised(simulator, clock, FORM)
    for _ in range(2):
        simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.fault_next("wrong-id")
    error = refused(gateway.capture, ref, FIFTY, key="capture-key")
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)
    assert gateway.fetch_payment(ref).state == "captured"


# Configuration


@pytest.mark.parametrize(
    "key", [None, "", "pk_test_", "sk_test_x", "pk_live", "PK_TEST_x", "pk_test_x\n", "pk_test_x y", 7, b"pk_test_x"]
)
def test_a_form_without_a_publishable_key_is_refused(clock, key):
    with pytest.raises(ConfigurationError, match="publishable_key"):
        configured(flow="payment_intent", publishable_key=key).bind("test", clock)


@FLOWS
def test_a_publishable_key_of_the_other_mode_is_refused(clock, flow):
    gateway = configured(**{**flow, "publishable_key": "pk_live_x"})
    with pytest.raises(ConfigurationError, match="live key, but the mode is test"):
        gateway.bind("test", clock)
    live = configured(**{**flow, "publishable_key": PK, "secret_key": "rk_live_x"})
    with pytest.raises(ConfigurationError, match="test key, but the mode is live"):
        live.bind("live", clock)


def test_a_secret_key_given_as_the_publishable_one_is_neither_shown_nor_sent(clock):
    gateway = configured(flow="payment_intent", publishable_key=KEY)
    assert KEY not in repr(gateway)
    with pytest.raises(ConfigurationError) as caught:
        gateway.bind("test", clock)
    assert KEY not in str(caught.value)


def test_how_the_customer_pays_is_told(clock):
    assert configured().capabilities().interaction == "redirect"
    assert configured(**FORM).capabilities().interaction == "widget"
