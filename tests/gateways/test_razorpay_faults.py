"""What goes wrong between us and Razorpay, what a failed call tells, and the SDK's own defects."""

from __future__ import annotations

import json
import time
import warnings

import attrs
import certifi
import pytest
import requests

from prepaid.core.money import Money
from prepaid.gateways.bounded import BoundedReply
from prepaid.gateways.razorpay_client import explain
from prepaid.ports import PaymentRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from tests.gateways.peers import a_peer, drips_its_body, drips_its_headers, says_nothing
from tests.gateways.razorpay_world import (
    NOW,
    TOPUP,
    a_refund,
    a_request,
    bound,
    configured,
    created,
    paid,
    posted,
    refused,
    simulated,
)

HONEST = Fault(spoil=lambda answer: answer)
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


FAULTS = [
    ("drop", "connection", True, True),
    ("accept-then-drop", "connection", True, True),
    ("500", "api-error", True, True),
    ("html", "api-error", True, True),
    ("truncated", "unusable-reply", True, True),
    ("429", "rate-limit", True, False),
    ("wrong-amount", "unusable-reply", True, True),
]


@pytest.mark.parametrize(("fault", "code", "retryable", "unknown"), FAULTS)
def test_a_fault_while_creating_never_makes_two_orders(gateway, simulator, fault, code, retryable, unknown):
    simulator.fault_next(HONEST)  # the look-up
    simulator.fault_next(fault)
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == (code, retryable, unknown)
    assert len(posted(simulator)) == 1, "nothing is sent again by itself"
    created(gateway)
    assert len(simulator.all_of("order")) == 1


@pytest.mark.parametrize(("fault", "code", "retryable", "unknown"), FAULTS[:-1])
def test_a_fault_while_looking_for_the_order_creates_none(gateway, simulator, fault, code, retryable, unknown):
    simulator.fault_next(fault)
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == (code, True, False)
    assert posted(simulator) == []


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize(("fault", "code", "retryable", "unknown"), FAULTS[:-1])
def test_a_fault_while_reading_can_be_tried_again_and_changes_nothing(
    gateway, simulator, fault, code, retryable, unknown, after
):
    ref = paid(gateway, simulator)
    for _ in range(after):
        simulator.fault_next(HONEST)
    simulator.fault_next(fault)
    error = refused(gateway.fetch_payment, ref)
    assert (error.code, error.retryable, error.outcome_unknown) == (code, True, False)
    assert gateway.fetch_payment(ref).state == "captured"


@pytest.mark.parametrize(("fault", "code", "retryable", "unknown"), FAULTS[:-1])
def test_a_fault_while_capturing_takes_the_money_once(gateway, simulator, fault, code, retryable, unknown):
    ref = created(gateway)
    simulator.authorise(ref.checkout_id)
    for _ in range(2):
        simulator.fault_next(HONEST)
    simulator.fault_next(fault)
    error = refused(gateway.capture, ref, FIVE_HUNDRED, key="k")
    assert (error.code, error.retryable, error.outcome_unknown) == (code, retryable, unknown)
    assert gateway.capture(ref, FIVE_HUNDRED, key="k").captured == FIVE_HUNDRED


def test_a_capture_that_cannot_be_read_again_leaves_the_outcome_open(gateway, simulator):
    ref = created(gateway)
    simulator.authorise(ref.checkout_id)
    for _ in range(3):
        simulator.fault_next(HONEST)
    simulator.fault_next("429")
    error = refused(gateway.capture, ref, FIVE_HUNDRED, key="k")
    assert (error.code, error.retryable, error.outcome_unknown) == ("rate-limit", True, True)
    assert error.retry_after_s == 7
    assert gateway.fetch_payment(ref).state == "captured"


@pytest.mark.parametrize(("fault", "code", "retryable", "unknown"), FAULTS)
def test_a_fault_while_refunding_gives_the_money_back_once(gateway, simulator, fault, code, retryable, unknown):
    ref = paid(gateway, simulator)
    simulator.fault_next(HONEST)
    simulator.fault_next(fault)
    error = refused(gateway.refund, a_refund(ref))
    assert (error.code, error.retryable, error.outcome_unknown) == (code, retryable, unknown)
    assert gateway.refund(a_refund(ref)).refund_id == "ref_1"
    assert len(simulator.all_of("refund")) == 1


def test_a_lie_about_the_amount_is_reported_for_the_core_to_judge(gateway, simulator):
    ref = paid(gateway, simulator)
    for _ in range(2):
        simulator.fault_next("wrong-amount")
    assert gateway.fetch_payment(ref).captured == Money.of("500.01", "INR")


def test_razorpay_says_how_long_to_wait(gateway, simulator):
    simulator.fault_next("429")
    assert refused(gateway.create_checkout, a_request()).retry_after_s == 7


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("999999999", 86_400),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("１", None),
    ],
)
def test_a_wait_is_whole_seconds_of_at_most_a_day(told, seconds):
    error = explain(BoundedReply(429, {"Retry-After": told}, b"{}"), writes=False)
    assert error.retry_after_s == seconds


def a_refusal(description, *, code="BAD_REQUEST_ERROR", **more):
    return json.dumps({"error": {"code": code, "description": description, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable", "unknown"),
    [
        (400, a_refusal("The amount is invalid"), "invalid-request", False, False),
        (400, a_refusal("The api key provided is invalid"), "authentication", False, False),
        (400, a_refusal("Authentication failed"), "authentication", False, False),
        (400, a_refusal("The id provided does not exist"), "not-found", False, False),
        (400, a_refusal("pay_1 is not a valid id"), "not-found", False, False),
        (400, a_refusal("Payment failed", code="GATEWAY_ERROR"), "api-error", True, True),
        (400, a_refusal("Oops", code="SERVER_ERROR"), "api-error", True, True),
        (400, a_refusal("Taken", field="receipt"), "receipt-used", True, True),
        (400, a_refusal(None), "invalid-request", False, False),
        (400, b"<html>", "unusable-reply", True, True),
        (400, b'{"error": []}', "unusable-reply", True, True),
        (401, b"", "authentication", False, False),
        (403, a_refusal("No"), "permission", False, False),
        (404, a_refusal("The requested URL was not found on the server."), "invalid-request", False, False),
        (404, b"<html>", "unusable-reply", True, True),
        (409, a_refusal("Busy"), "in-progress", True, True),
        (429, b"", "rate-limit", True, False),
        (301, b"", "api-error", True, True),
        (500, b"", "api-error", True, True),
        (502, b"<html>", "api-error", True, True),
        (503, a_refusal("Down"), "api-error", True, True),
        (200, b"[]", "unusable-reply", True, True),
        (204, b"", "unusable-reply", True, True),
    ],
)
def test_each_answer_has_its_meaning(status, body, code, retryable, unknown):
    writing = explain(BoundedReply(status, {}, body), writes=True)
    assert (writing.code, writing.retryable, writing.outcome_unknown) == (code, retryable, unknown)
    reading = explain(BoundedReply(status, {}, body), writes=False)
    assert (reading.code, reading.retryable, reading.outcome_unknown) == (code, retryable, False)


def test_no_answer_has_its_meaning():
    error = explain(None, writes=True)
    assert (error.code, error.retryable, error.outcome_unknown) == ("connection", True, True)


def test_an_error_names_reason_and_field_if_they_are_words():
    body = a_refusal("x", reason="input_validation_failed", field="amount")
    told = explain(BoundedReply(400, {}, body), writes=True)
    assert str(told) == "Razorpay refused the request (invalid-request, input_validation_failed, amount)."
    kept = explain(BoundedReply(400, {}, a_refusal("x", reason="Ada <ada@example.com>", field=7)), writes=True)
    assert str(kept) == "Razorpay refused the request (invalid-request)."


# Time


CALLS = {
    "create_checkout": lambda gateway, ref: gateway.create_checkout(a_request(topup_id="another")),
    "fetch_payment": lambda gateway, ref: gateway.fetch_payment(ref),
    "capture": lambda gateway, ref: gateway.capture(ref, FIVE_HUNDRED, key="k"),
    "refund": lambda gateway, ref: gateway.refund(a_refund(ref)),
    "check_credentials": lambda gateway, ref: gateway.check_credentials(),
}


@pytest.mark.parametrize("serve", [says_nothing, drips_its_headers, drips_its_body], ids=lambda serve: serve.__name__)
def test_a_call_ends_within_its_timeout_whatever_razorpay_does(clock, serve):
    ref = PaymentRef(topup_id=TOPUP, checkout_id="order_1", payment_id="pay_1")
    with a_peer(serve) as url:
        gateway = configured(api_base=url, timeout_s=1).bind("test", clock)
        started = time.monotonic()
        assert refused(gateway.fetch_payment, ref).code == "connection"
        assert time.monotonic() - started < 1.9


@pytest.mark.parametrize("name", CALLS)
def test_all_requests_of_a_call_share_one_timeout(simulator, clock, name):
    gateway = bound(simulator, clock, timeout_s=1)
    ref = paid(gateway, simulator)
    simulator.requests.clear()
    simulator.fault_next(Fault(spoil=lambda answer: answer, stall_s=0.6), times=6)
    started = time.monotonic()
    if name == "check_credentials":
        assert not gateway.check_credentials().ok
    else:
        assert refused(CALLS[name], gateway, ref).retryable
    assert time.monotonic() - started < 1.4, "the second request had a second of its own"
    assert len(simulator.requests) == 2


def test_a_razorpay_that_is_not_there_is_a_retryable_error(clock):
    with simulated(clock) as simulator:
        gateway = bound(simulator, clock)
    error = refused(gateway.fetch_payment, PaymentRef(topup_id=TOPUP, checkout_id="order_1"))
    assert (error.code, error.retryable) == ("connection", True)


def test_a_proxy_of_the_environment_is_not_asked_for_a_simulator(gateway, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert gateway.check_credentials().ok


# The SDK's own defects


def test_certificates_are_checked_by_certifis_list_and_not_by_the_sdks_of_2015(gateway, monkeypatch):
    import razorpay

    assert razorpay.Client(auth=("a", "b")).cert_path.endswith("razorpay/ca-bundle.crt")
    seen = []
    honest = requests.Session.request

    def spy(session, method, url, **options):
        seen.append(options["verify"])
        return honest(session, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", spy)
    gateway.create_checkout(a_request())
    assert seen == [certifi.where()] * 2
    assert gateway.binding.link.api(gateway)._client.cert_path == certifi.where()


@pytest.mark.parametrize("fault", ["drop", "html", "truncated", "500", "429"])
def test_nothing_is_printed_whatever_goes_wrong(gateway, simulator, capfd, fault):
    ref = created(gateway)
    simulator.fault_next(fault)
    refused(gateway.fetch_payment, ref)
    assert capfd.readouterr() == ("", "")


def test_the_sdk_warns_of_nothing_when_it_is_loaded_and_used(gateway):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gateway.check_credentials().ok


def test_nothing_is_sent_twice_by_the_sdk(gateway, simulator):
    assert gateway.binding.link.api(gateway)._client.retry_enabled is False
    simulator.fault_next("drop")
    refused(gateway.create_checkout, a_request())
    assert len(simulator.requests) == 1


def test_a_redirect_is_not_followed_with_our_key(gateway, simulator):
    elsewhere = {"Location": f"{simulator.url}/v1/payments"}
    simulator.fault_next(Fault(spoil=lambda a: attrs.evolve(a, status=307, body=b"", headers=elsewhere)))
    assert refused(gateway.fetch_payment, PaymentRef(topup_id=TOPUP, checkout_id="order_1")).code == "api-error"
    assert len(simulator.requests) == 1
