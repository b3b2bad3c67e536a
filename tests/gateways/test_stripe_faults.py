"""What goes wrong between us and Stripe, and what a failed call tells."""

from __future__ import annotations

import time

import attrs
import pytest
import stripe

from prepaid.core.money import Money
from prepaid.gateways.stripe_client import explain
from prepaid.ports import PaymentRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_world import (
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


@pytest.mark.parametrize(
    ("fault", "times", "code", "retryable", "unknown"),
    [
        ("drop", 3, "connection", True, True),
        ("accept-then-drop", 3, "connection", True, True),
        ("500", 3, "api-error", True, True),
        ("html", 3, "api-error", True, True),
        ("truncated", 1, "api-error", True, True),
        ("429", 1, "rate-limit", True, False),
        ("wrong-id", 1, None, None, None),
        ("wrong-amount", 1, "unusable-reply", True, True),
        ("wrong-mode", 1, "unusable-reply", True, True),
    ],
)
def test_a_fault_while_creating_never_makes_two_sessions(
    gateway, simulator, quick_retries, fault, times, code, retryable, unknown
):
    simulator.fault_next(fault, times=times)
    if fault == "wrong-id":  # nothing to compare it with yet: the later look-up fails
        ref = created(gateway)
        assert refused(gateway.fetch_payment, ref).code == "resource_missing"
    else:
        error = refused(gateway.create_checkout, a_request())
        assert (error.code, error.retryable, error.outcome_unknown) == (code, retryable, unknown)
        assert len({request.headers["idempotency-key"] for request in simulator.requests}) == 1
    if fault != "500":
        created(gateway)
        assert len(simulator.sessions()) == 1


@pytest.mark.parametrize(
    ("fault", "times", "code"),
    [
        ("drop", 3, "connection"),
        ("500", 3, "api-error"),
        ("html", 3, "api-error"),
        ("truncated", 1, "api-error"),
        ("429", 1, "rate-limit"),
        ("wrong-id", 1, "unusable-reply"),
    ],
)
def test_a_fault_while_reading_can_be_tried_again_and_changes_nothing(
    gateway, simulator, quick_retries, fault, times, code
):
    ref = created(gateway)
    simulator.pay(ref.checkout_id)
    simulator.fault_next(fault, times=times)
    error = refused(gateway.fetch_payment, ref)
    assert (error.code, error.retryable, error.outcome_unknown) == (code, True, False)
    assert gateway.fetch_payment(ref).state == "captured"


def test_a_lie_about_amount_or_mode_is_reported_for_the_core_to_judge(gateway, simulator):
    ref = created(gateway)
    simulator.pay(ref.checkout_id)
    simulator.fault_next("wrong-amount")
    assert gateway.fetch_payment(ref).captured == Money.of("50.01", "EUR")
    simulator.fault_next("wrong-mode")
    assert gateway.fetch_payment(ref).mode == "live"


def test_one_lost_answer_is_repaired_by_the_same_key(gateway, simulator):
    simulator.fault_next("accept-then-drop")
    ref = created(gateway)
    assert gateway.fetch_payment(ref).state == "open"
    assert len(posted(simulator)) == 2
    assert len(simulator.sessions()) == 1


def test_a_stored_failure_is_replayed_for_the_same_key_but_not_for_another(gateway, simulator, quick_retries):
    simulator.fault_next("500")
    assert refused(gateway.create_checkout, a_request()).outcome_unknown
    assert refused(gateway.create_checkout, a_request()).outcome_unknown
    assert gateway.create_checkout(a_request(key="another-key"))


@pytest.mark.parametrize("later", ["429", "unauthorised"])
def test_a_clear_refusal_after_a_lost_answer_does_not_settle_the_outcome(gateway, simulator, quick_retries, later):
    simulator.fault_next("accept-then-drop")
    body = b'{"error": {"type": "invalid_request_error", "message": "no"}}'
    unauthorised = Fault(spoil=lambda answer: attrs.evolve(answer, body=body, status=401), executed=False)
    simulator.fault_next("429" if later == "429" else unauthorised)
    assert refused(gateway.create_checkout, a_request()).outcome_unknown
    assert len(simulator.sessions()) == 1


def test_a_concurrent_request_under_the_same_key_leaves_the_outcome_open(gateway, simulator, quick_retries):
    body = b'{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "no"}}'
    simulator.fault_next(Fault(spoil=lambda a: attrs.evolve(a, body=body, status=409), executed=False), times=3)
    error = refused(gateway.create_checkout, a_request())
    assert (error.retryable, error.outcome_unknown) == (True, True)


@pytest.mark.parametrize("fault", ["stall", "drop"])
def test_a_call_ends_within_its_timeout_whatever_stripe_does(simulator, clock, fault):
    gateway = bound(simulator, clock, timeout_s=1)
    simulator.fault_next(fault, times=3)
    started = time.monotonic()
    error = refused(gateway.create_checkout, a_request())
    assert time.monotonic() - started < 2.9, "each of three attempts had a second of its own"
    assert (error.code, error.retryable, error.outcome_unknown) == ("connection", True, True)


def test_all_attempts_of_a_call_share_one_timeout(simulator, clock):
    gateway = bound(simulator, clock, timeout_s=2)
    simulator.fault_next(Fault(spoil=lambda answer: None, stall_s=1.2))
    simulator.fault_next("stall", times=2)
    started = time.monotonic()
    assert refused(gateway.create_checkout, a_request()).outcome_unknown
    assert time.monotonic() - started < 5, "the later attempts had two seconds of their own"
    assert len(simulator.requests) == 2


def test_a_stall_while_reading_ends_within_the_timeout(simulator, clock):
    gateway = bound(simulator, clock, timeout_s=1)
    ref = created(gateway)
    simulator.fault_next("stall", times=3)
    started = time.monotonic()
    assert refused(gateway.fetch_payment, ref).outcome_unknown is False
    assert time.monotonic() - started < 2.9, "each of three attempts had a second of its own"


def test_a_stripe_that_is_not_there_is_a_retryable_error(clock, quick_retries):
    with StripeSimulator(secret_key=KEY, clock=clock) as simulator:
        gateway = bound(simulator, clock)
    error = refused(gateway.fetch_payment, PaymentRef(topup_id=TOPUP, checkout_id="cs_test_1"))
    assert (error.code, error.retryable) == ("connection", True)


def test_a_proxy_of_the_environment_is_not_asked_for_a_simulator(gateway, simulator, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert gateway.check_credentials().ok


def test_a_redirect_is_not_followed_with_our_key(gateway, simulator):
    elsewhere = {"Location": f"{simulator.url}/v1/balance"}
    simulator.fault_next(Fault(spoil=lambda a: attrs.evolve(a, status=307, body=b"", headers=elsewhere)))
    ref = PaymentRef(topup_id=TOPUP, checkout_id="cs_test_1")
    assert refused(gateway.fetch_payment, ref).code == "api-error"
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    ("problem", "code", "retryable", "unknown"),
    [
        (stripe.CardError("x", None, "card_declined"), "card_declined", False, False),
        (stripe.PermissionError("x"), "permission", False, False),
        (stripe.AuthenticationError("x"), "authentication", False, False),
        (stripe.RateLimitError("x"), "rate-limit", True, False),
        (stripe.IdempotencyError("x"), "idempotency", False, True),
        (stripe.InvalidRequestError("x", None, "Not A Word"), "invalid-request", False, False),
        (stripe.APIConnectionError("x"), "connection", True, True),
        (stripe.APIError("x"), "api-error", True, True),
        (RecursionError("x"), "unusable-reply", True, True),
    ],
)
def test_each_kind_of_error_of_the_sdk_has_its_meaning(problem, code, retryable, unknown):
    writing = explain(problem, writes=True, in_doubt=False)
    assert (writing.code, writing.retryable, writing.outcome_unknown) == (code, retryable, unknown)
    assert explain(problem, writes=True, in_doubt=True).outcome_unknown
    assert not explain(problem, writes=False, in_doubt=True).outcome_unknown


def test_an_error_names_the_request_for_stripes_support():
    problem = stripe.APIError("x", headers={"request-id": "req_8sTq"})
    assert str(explain(problem, writes=False, in_doubt=False)).endswith("(api-error, req_8sTq).")
