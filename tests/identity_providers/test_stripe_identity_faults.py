"""What goes wrong between us and Stripe Identity, and what a failed call tells."""

from __future__ import annotations

import socket
import time

import attrs
import pytest

from prepaid.core.errors import GatewayError
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_world import shorten_waits
from tests.identity_providers.identity_world import KEY, NOW, a_request, begun, bound, configured, refused


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


@pytest.fixture
def provider(simulator, clock):
    return bound(simulator, clock)


@pytest.fixture
def quick_retries(monkeypatch):
    shorten_waits(monkeypatch)


def sessions(simulator):
    return simulator.all_of("identity.verification_session")


@pytest.mark.parametrize(
    ("fault", "times", "code", "retryable", "unknown"),
    [
        ("drop", 3, "connection", True, True),
        ("accept-then-drop", 3, "connection", True, True),
        ("500", 3, "replayed-failure", False, True),
        ("html", 3, "api-error", True, True),
        ("truncated", 1, "api-error", True, True),
        ("429", 1, "rate-limit", True, False),
        ("wrong-mode", 1, "unusable-reply", True, True),
    ],
)
def test_a_fault_while_beginning_never_makes_two_sessions(
    provider, simulator, quick_retries, fault, times, code, retryable, unknown
):
    simulator.fault_next(fault, times=times)
    error = refused(provider.begin, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == (code, retryable, unknown)
    assert {request.headers["idempotency-key"] for request in simulator.requests} == {a_request().key}
    if fault != "500":
        begun(provider)
        assert len(sessions(simulator)) == 1


def test_a_session_of_another_id_is_found_out_when_it_is_looked_at(provider, simulator):
    simulator.fault_next("wrong-id")
    assert refused(provider.fetch, begun(provider)).code == "resource_missing"


@pytest.mark.parametrize("look", ["fetch", "resume"])
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
    provider, simulator, quick_retries, look, fault, times, code
):
    reference = begun(provider)
    simulator.fault_next(fault, times=times)
    error = refused(getattr(provider, look), reference)
    assert (error.code, error.retryable, error.outcome_unknown) == (code, True, False)
    assert provider.fetch(reference).state == "pending"


@pytest.mark.parametrize(
    ("fault", "times", "code", "unknown"),
    [
        ("drop", 3, "connection", True),
        ("accept-then-drop", 3, "connection", True),
        ("500", 3, "api-error", True),
        ("html", 3, "api-error", True),
        ("truncated", 1, "api-error", True),
        ("429", 1, "rate-limit", False),
        ("wrong-id", 1, "unusable-reply", True),
    ],
)
def test_a_fault_while_canceling_can_be_tried_again(provider, simulator, quick_retries, fault, times, code, unknown):
    reference = begun(provider)
    simulator.fault_next(fault, times=times)
    error = refused(provider.cancel, reference)
    assert (error.code, error.retryable, error.outcome_unknown) == (code, True, unknown)
    assert provider.cancel(reference).state == "canceled"


def test_a_stored_failure_is_replayed_for_the_same_key_but_not_for_another(provider, simulator, quick_retries):
    simulator.fault_next("500")
    for _ in range(2):
        error = refused(provider.begin, a_request())
        assert (error.code, error.retryable, error.outcome_unknown) == ("replayed-failure", False, True)
    assert begun(provider, key="another-key")


def test_a_clear_refusal_after_a_lost_answer_does_not_settle_the_outcome(provider, simulator, quick_retries):
    simulator.fault_next("accept-then-drop")
    body = b'{"error": {"type": "invalid_request_error", "message": "no"}}'
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=body, status=401), executed=False))
    assert refused(provider.begin, a_request()).outcome_unknown
    assert len(sessions(simulator)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "not an address"},
        {"return_url": "javascript:alert(1)"},
        {"customer_id": "x" * 501},
    ],
)
def test_what_stripe_refuses_is_refused_for_good_and_nothing_was_done(provider, simulator, changes):
    error = refused(provider.begin, a_request(**changes))
    assert (error.retryable, error.outcome_unknown) == (False, False)
    assert sessions(simulator) == []


@pytest.fixture
def silent_port():
    """A port whose connections are made and never served."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda provider: provider.begin(a_request()),
        lambda provider: provider.resume("vs_1"),
        lambda provider: provider.fetch("vs_1"),
        lambda provider: provider.cancel("vs_1"),
    ],
)
def test_a_peer_that_never_answers_holds_no_call_longer_than_its_timeout(silent_port, clock, call):
    provider = configured(api_base=f"http://127.0.0.1:{silent_port}", timeout_s=1).bind("test", clock)
    started = time.monotonic()
    with pytest.raises(GatewayError) as caught:
        call(provider)
    assert time.monotonic() - started < 2
    assert (caught.value.code, caught.value.retryable) == ("connection", True)


def test_the_requests_of_one_call_share_one_timeout(simulator, clock):
    provider = bound(simulator, clock, timeout_s=2)
    begun(provider)
    simulator.fault_next(Fault(spoil=lambda answer: answer, stall_s=1.3))  # the replay
    simulator.fault_next(Fault(spoil=lambda answer: answer, stall_s=1.3))  # the look at its page
    started = time.monotonic()
    error = refused(provider.begin, a_request())
    assert (error.code, error.outcome_unknown) == ("connection", True)
    assert time.monotonic() - started < 3


def test_a_stripe_that_is_not_there_is_a_retryable_error(clock, quick_retries):
    with StripeSimulator(secret_key=KEY, clock=clock) as simulator:
        provider = bound(simulator, clock)
    error = refused(provider.fetch, "vs_1")
    assert (error.code, error.retryable, error.outcome_unknown) == ("connection", True, False)


def test_a_redirect_is_not_followed_with_our_key(provider, simulator):
    elsewhere = {"Location": f"{simulator.url}/v1/balance"}
    simulator.fault_next(Fault(spoil=lambda a: attrs.evolve(a, status=307, body=b"", headers=elsewhere)))
    assert refused(provider.fetch, "vs_1").code == "api-error"
    assert len(simulator.requests) == 1
