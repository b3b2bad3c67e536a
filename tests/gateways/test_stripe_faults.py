"""What goes wrong between us and Stripe, and what a failed call tells."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import attrs
import pytest
import stripe

from prepaid.core.errors import GatewayError
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
    configured,
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
        ("500", 3, "replayed-failure", False, True),
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
    for _ in range(2):
        error = refused(gateway.create_checkout, a_request())
        assert (error.code, error.retryable, error.outcome_unknown) == ("replayed-failure", False, True)
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


@pytest.fixture
def silent_port():
    """A port whose connections are made and never served."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda gateway: gateway.check_credentials(),
        lambda gateway: gateway.create_checkout(a_request()),
        lambda gateway: gateway.cancel(PaymentRef(topup_id=TOPUP, checkout_id="pi_1")),
        lambda gateway: gateway.refunds_of(PaymentRef(topup_id=TOPUP, checkout_id="pi_1", payment_id="pi_1")),
    ],
)
def test_a_peer_that_never_answers_holds_no_call_longer_than_its_timeout(silent_port, clock, call):
    gateway = configured(api_base=f"http://127.0.0.1:{silent_port}", timeout_s=1).bind("test", clock)
    started = time.monotonic()
    with suppress(GatewayError):
        assert not call(gateway).ok
    assert time.monotonic() - started < 2


def test_the_requests_of_one_call_share_one_timeout(simulator, clock):
    gateway = bound(simulator, clock, timeout_s=2)
    ref = created(gateway)
    simulator.pay(ref.checkout_id)
    simulator.fault_next(Fault(spoil=lambda answer: answer, stall_s=1.3))  # the refusal to expire it
    simulator.fault_next(Fault(spoil=lambda answer: answer, stall_s=1.3))  # the look afterwards
    started = time.monotonic()
    assert refused(gateway.cancel, ref).code == "connection"
    assert time.monotonic() - started < 3


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


def test_a_failure_that_stripe_replays_for_a_key_of_the_sdks_own_may_be_tried_again(gateway, simulator, quick_retries):
    ref = created(gateway)
    simulator.fault_next("500")
    error = refused(gateway.cancel, ref)
    assert (error.code, error.retryable, error.outcome_unknown) == ("api-error", True, True)
    assert gateway.cancel(ref).state == "expired"


@pytest.mark.parametrize(
    ("written", "wait_s"),
    [
        ("7", 7),
        ("0", 0),
        ("99999", 86_400),
        ("-1", None),
        ("1.5", None),
        ("9" * 5000, None),
        ("", None),
        ("soon", None),
    ],
)
def test_a_wait_that_stripe_asks_for_is_told_if_it_is_a_number_of_seconds(gateway, simulator, written, wait_s):
    body = b'{"error": {"type": "invalid_request_error", "message": "no"}}'
    simulator.fault_next(
        Fault(spoil=lambda a: attrs.evolve(a, status=429, body=body, headers={"Retry-After": written}), executed=False)
    )
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retry_after_s) == ("rate-limit", wait_s)


@pytest.mark.parametrize("body", [b"{}", b"<html>", b""])
def test_an_answer_that_asks_us_to_slow_down_in_other_words_is_one_all_the_same(gateway, simulator, body):
    simulator.fault_next(Fault(spoil=lambda a: attrs.evolve(a, status=429, body=body), executed=False))
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("rate-limit", True, False)


def test_only_an_answer_that_asks_us_to_slow_down_asks_for_a_wait(gateway, simulator):
    simulator.fault_next("429")
    assert refused(gateway.create_checkout, a_request()).retry_after_s == 7
    body = b'{"error": {"type": "invalid_request_error", "message": "no"}}'
    spoil = lambda a: attrs.evolve(a, status=400, body=body, headers={"Retry-After": "7"})  # noqa: E731
    simulator.fault_next(Fault(spoil=spoil, executed=False))
    assert refused(gateway.create_checkout, a_request()).retry_after_s is None


def test_an_error_names_the_request_for_stripes_support():
    problem = stripe.APIError("x", headers={"request-id": "req_8sTq"})
    assert str(explain(problem, writes=False, in_doubt=False)).endswith("(api-error, req_8sTq).")
