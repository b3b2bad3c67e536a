"""The transport under the PayPal adapter: every defect of the SDK it stands on, each shown to be gone."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import traceback

import attrs
import paypalrestsdk
import pytest

from prepaid.gateways.bounded import MAX_REPLY
from prepaid.gateways.paypal_wire import refusal
from prepaid.ports import PaymentRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from tests.gateways.paypal_world import (
    CLIENT_ID,
    CLIENT_SECRET,
    EMAIL,
    NOW,
    TEN,
    TOPUP,
    a_request,
    answering,
    bound,
    configured,
    created,
    paid,
    refused,
    sent,
    simulated,
    tokens_asked,
)

TOKEN = "/v1/oauth2/token"


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


def all_at_once(count, use):
    barrier, problems = threading.Barrier(count), []

    def run(number):
        barrier.wait()
        try:
            use(number)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


# The token


def test_the_request_for_a_token_is_clean_and_one_token_serves_many_requests(gateway, simulator):
    ref = created(gateway)
    gateway.fetch_payment(ref)
    [token] = [request for request in simulator.requests if request.path == TOKEN]
    assert token.body == b"grant_type=client_credentials"
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"
    assert token.headers["authorization"].startswith("Basic ")
    assert not {"paypal-request-id", "prefer"} & set(token.headers)


def test_eight_calls_at_once_ask_for_one_token(gateway, simulator):
    simulator.fault_next_token(Fault(spoil=lambda answer: answer, stall_s=0.1))
    all_at_once(8, lambda number: created(gateway, topup_id=f"order-{number}", key=f"order-{number}"))
    assert tokens_asked(simulator) == 1
    assert len(simulator.orders()) == 8


def test_a_token_is_replaced_shortly_before_it_ends_by_our_clock(gateway, simulator, clock):
    ref = created(gateway)
    clock.advance(seconds=32_400 - 61)
    gateway.fetch_payment(ref)
    assert tokens_asked(simulator) == 1
    clock.advance(seconds=1)
    gateway.fetch_payment(ref)
    assert tokens_asked(simulator) == 2


def test_a_token_that_was_withdrawn_is_replaced_once(gateway, simulator):
    ref = created(gateway)
    simulator.fault_next("expired-token")
    assert gateway.fetch_payment(ref).state == "open"
    assert tokens_asked(simulator) == 2


def test_threads_with_a_withdrawn_token_replace_it_and_all_succeed(gateway, simulator):
    ref = created(gateway)
    simulator.fault_next("expired-token")
    simulator.fault_next_token(Fault(spoil=lambda answer: answer, stall_s=0.1))
    all_at_once(6, lambda number: gateway.fetch_payment(ref))
    assert tokens_asked(simulator) == 2


@pytest.mark.parametrize("warm", [False, True])
def test_a_permanent_401_ends_after_three_requests(gateway, simulator, warm):
    ref = created(gateway) if warm else PaymentRef(topup_id=TOPUP, checkout_id="5O190127TN364715T")
    simulator.fault_next("permanent-401")
    simulator.requests.clear()
    error = refused(gateway.fetch_payment, ref)
    assert (error.code, error.retryable, error.outcome_unknown) == ("invalid_token", False, False)
    assert len(simulator.requests) == (3 if warm else 2)


def test_wrong_credentials_are_refused_without_a_second_try(simulator, clock):
    gateway = bound(simulator, clock, client_secret="another")
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("invalid_client", False, False)
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("fault", ["drop", "html", "truncated", "500", "429"])
def test_without_a_token_nothing_was_sent_and_the_outcome_is_known(gateway, simulator, fault):
    simulator.fault_next_token(fault)
    error = refused(gateway.create_checkout, a_request())
    assert (error.retryable, error.outcome_unknown) == (True, False)
    assert sent(simulator) == []
    assert created(gateway)


@pytest.mark.parametrize(
    "change",
    [
        {"token_type": "MAC"},
        {"token_type": None},
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": "a\r\nX: y"},
        {"access_token": 7},
        {"access_token": "x" * 9000},
        {"expires_in": "32400"},
        {"expires_in": -1},
        {"expires_in": True},
        {"expires_in": None},
        {"expires_in": 10**12},
    ],
)
def test_a_token_that_cannot_be_used_is_not_kept(gateway, simulator, change):
    def spoil(answer):
        return attrs.evolve(answer, body=json.dumps({**json.loads(answer.body), **change}).encode())

    simulator.fault_next_token(Fault(spoil=spoil))
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, False)
    assert created(gateway)


def test_a_token_that_ends_at_once_is_used_once(gateway, simulator):
    def end_at_once(answer):
        return attrs.evolve(answer, body=answer.body.replace(b"32400", b"1"))

    simulator.fault_next_token(Fault(spoil=end_at_once))
    created(gateway)
    gateway.check_credentials()
    assert tokens_asked(simulator) == 2


# The wire


def test_a_read_has_neither_body_nor_content_type(gateway, simulator):
    gateway.fetch_payment(created(gateway))
    request = sent(simulator)[-1]
    assert (request.method, request.body) == ("GET", b"")
    assert not {"content-type", "content-length", "paypal-request-id"} & set(request.headers)


def test_the_base_url_is_written_once_whatever_its_end(simulator, clock):
    from prepaid.gateways.paypal_transport import PayPalTransport

    transport = PayPalTransport(
        mode="test",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        api_base=f"{simulator.url}/",
        clock=clock,
        timeout_s=5,
    )
    transport.begin()
    transport.authorise()
    refused(transport.request, "GET", "/v2/checkout/orders/A")
    assert [request.path for request in simulator.requests] == [TOKEN, "/v2/checkout/orders/A"]


def test_the_hosts_are_those_of_the_mode(clock, monkeypatch):
    from prepaid.gateways import paypal_transport

    asked = []

    def refuse(self, method, url, **options):
        asked.append(url)
        raise OSError

    monkeypatch.setattr(paypal_transport.BoundedSession, "request", refuse)
    for mode in ("test", "live"):
        assert not configured().bind(mode, clock).check_credentials().ok
    assert asked == [f"https://api-m.sandbox.paypal.com{TOKEN}", f"https://api-m.paypal.com{TOKEN}"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_with_our_token(gateway, simulator, status):
    ref = created(gateway)
    simulator.fault_next(answering(status, b"", Location=f"{simulator.url}/v2/payments/captures/A"))
    before = len(simulator.requests)
    assert refused(gateway.fetch_payment, ref).retryable
    assert len(simulator.requests) == before + 1


def test_a_proxy_and_a_password_of_the_environment_are_not_used(gateway, simulator, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password guessed\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert created(gateway)
    assert sent(simulator)[-1].headers["authorization"].startswith("Bearer ")


def test_a_password_of_the_environment_never_takes_the_place_of_our_token(simulator, clock, monkeypatch, tmp_path):
    from prepaid.gateways import paypal_transport

    monkeypatch.setattr(paypal_transport, "is_loopback", lambda url: False)  # as on the internet
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password guessed\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert created(bound(simulator, clock))


def test_no_certificates_are_set_for_the_whole_process(gateway, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    created(gateway)
    assert "REQUESTS_CA_BUNDLE" not in os.environ


def test_the_sdk_keeps_no_global_client(gateway):
    created(gateway)
    assert paypalrestsdk.api.__api__ is None


# What an answer means


REFUSED = json.dumps(
    {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": "SOME_ISSUE"}], "debug_id": "f5a1c0de"}
).encode()


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable", "unknown"),
    [
        (400, REFUSED, "SOME_ISSUE", False, False),
        (403, REFUSED, "SOME_ISSUE", False, False),
        (404, b'{"name": "RESOURCE_NOT_FOUND"}', "RESOURCE_NOT_FOUND", False, False),
        (405, REFUSED, "SOME_ISSUE", False, False),
        (409, REFUSED, "SOME_ISSUE", True, True),
        (415, b'{"name": "UNSUPPORTED_MEDIA_TYPE"}', "UNSUPPORTED_MEDIA_TYPE", False, False),
        (422, REFUSED, "SOME_ISSUE", False, False),
        (
            422,
            REFUSED.replace(b"SOME_ISSUE", b"PREVIOUS_REQUEST_IN_PROGRESS"),
            "PREVIOUS_REQUEST_IN_PROGRESS",
            True,
            True,
        ),
        (422, REFUSED.replace(b"SOME_ISSUE", b"DUPLICATE_REQUEST_ID"), "DUPLICATE_REQUEST_ID", False, True),
        (429, REFUSED, "SOME_ISSUE", True, False),
        (500, REFUSED, "SOME_ISSUE", True, True),
        (503, b"", "api-error", True, True),
        (400, b"<html>Bad Request</html>", "api-error", True, True),
        (404, b"<html>Not Found</html>", "api-error", True, True),
        (422, b"[]", "api-error", True, True),
        (422, b'{"name": 7, "details": [7]}', "api-error", True, True),
        (422, b'{"name": "A B", "details": {}}', "api-error", True, True),
        (403, b"<html>Access Denied</html>", "permission", False, False),
        (429, b"slow down", "rate-limit", True, False),
        (408, b"", "api-error", True, True),
        (200, b"", "api-error", True, True),
        (200, b"[]", "api-error", True, True),
        (200, b'{"id": "A", "id": "B"}', "api-error", True, True),
        (200, b'{"id": NaN}', "api-error", True, True),
        (200, b'{"id": ' + b"9" * 5000 + b"}", "api-error", True, True),
        (200, b"\xff", "api-error", True, True),
        (200, b" " * (MAX_REPLY + 1), "connection", True, True),
        (204, b"", "api-error", True, True),
    ],
)
def test_each_answer_has_its_meaning_for_a_write_and_for_a_read(
    simulator, clock, status, body, code, retryable, unknown
):
    gateway = bound(simulator, clock, timeout_s=1)
    ref = created(gateway)
    for call, argument, writes in (
        (gateway.create_checkout, a_request(key="k"), True),
        (gateway.fetch_payment, ref, False),
    ):
        if (status, writes) == (404, False) and code == "RESOURCE_NOT_FOUND":
            continue  # an expired order
        simulator.fault_next(answering(status, body))
        error = refused(call, argument)
        assert (error.code, error.retryable, error.outcome_unknown) == (code, retryable, unknown and writes)


@pytest.mark.parametrize(
    ("header", "wait"), [("7", 7), ("999999", 86_400), ("-1", None), ("soon", None), ("", None), (None, None)]
)
def test_how_long_to_wait_is_told(header, wait):
    headers = {} if header is None else {"Retry-After": header}
    assert refusal(429, headers, None, writes=True).retry_after_s == wait


def test_a_gateway_that_asks_us_to_slow_down_says_for_how_long(gateway, simulator):
    ref = created(gateway)
    simulator.fault_next("429")
    assert refused(gateway.fetch_payment, ref).retry_after_s == 7


def test_an_error_names_the_request_for_paypals_support(gateway, simulator):
    ref = created(gateway)
    simulator.fault_next(answering(500, b'{"name": "INTERNAL_SERVER_ERROR"}', **{"PayPal-Debug-Id": "f5a1c0de"}))
    assert str(refused(gateway.fetch_payment, ref)).endswith("(INTERNAL_SERVER_ERROR, f5a1c0de).")


@pytest.mark.parametrize("fault", ["drop", "accept-then-drop", "500", "html", "truncated"])
def test_a_fault_while_creating_never_makes_two_orders(gateway, simulator, fault):
    simulator.fault_next(fault)
    error = refused(gateway.create_checkout, a_request())
    assert (error.retryable, error.outcome_unknown) == (True, True)
    created(gateway)
    assert len(simulator.orders()) == 1


@pytest.mark.parametrize("fault", ["drop", "500", "html", "truncated", "429", "wrong-id"])
def test_a_fault_while_reading_can_be_tried_again_and_changes_nothing(gateway, simulator, fault):
    ref = paid(gateway, simulator)
    simulator.fault_next(fault)
    error = refused(gateway.fetch_payment, ref)
    assert (error.retryable, error.outcome_unknown) == (True, False)
    assert gateway.fetch_payment(ref).captured == TEN


@pytest.mark.parametrize("fault", ["drop", "accept-then-drop", "500", "html", "truncated"])
def test_a_fault_while_capturing_takes_the_money_once(gateway, simulator, fault):
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    simulator.rewrite_next(lambda order: None)  # the look before the capture
    simulator.fault_next(fault)
    error = refused(gateway.capture, ref, TEN, key="capture-1")
    assert (error.retryable, error.outcome_unknown) == (True, True)
    snapshot = gateway.capture(ref, TEN, key="capture-1")
    assert snapshot.captured == TEN
    captures = simulator.order(ref.checkout_id)["purchase_units"][0]["payments"]["captures"]
    assert [capture["id"] for capture in captures] == [snapshot.payment_id]


# Time


def test_a_peer_that_never_answers_is_left_in_time(clock):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        gateway = configured(api_base=base, timeout_s=1).bind("test", clock)
        started = time.monotonic()
        error = refused(gateway.create_checkout, a_request())
        assert time.monotonic() - started < 2
    assert (error.code, error.retryable, error.outcome_unknown) == ("connection", True, False)


@pytest.mark.parametrize("fault", ["stall", Fault(spoil=lambda answer: answer, stall_s=1.5)])
def test_a_call_ends_within_its_timeout_whatever_paypal_does(simulator, clock, fault):
    gateway = bound(simulator, clock, timeout_s=1)
    gateway.check_credentials()
    simulator.fault_next(fault)
    started = time.monotonic()
    error = refused(gateway.create_checkout, a_request())
    assert time.monotonic() - started < 2
    assert (error.code, error.outcome_unknown) == ("connection", True)


def test_token_and_request_share_one_timeout(simulator, clock):
    gateway = bound(simulator, clock, timeout_s=1)
    simulator.fault_next_token(Fault(spoil=lambda answer: answer, stall_s=0.7))
    simulator.fault_next("stall")
    started = time.monotonic()
    assert refused(gateway.create_checkout, a_request()).outcome_unknown
    assert time.monotonic() - started < 1.6, "the request had a second of its own"


def test_a_call_that_waits_for_another_ones_token_ends_in_time_too(simulator, clock):
    gateway = bound(simulator, clock, timeout_s=1)
    simulator.fault_next_token("stall")
    simulator.fault_next_token("stall")
    took = []

    def use(number):
        started = time.monotonic()
        assert not refused(gateway.create_checkout, a_request(key=f"k-{number}")).outcome_unknown
        took.append(time.monotonic() - started)

    all_at_once(3, use)
    assert max(took) < 2


def test_time_spent_before_waiting_for_a_token_counts(simulator, clock):
    gateway = bound(simulator, clock, timeout_s=1)
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    transport = gateway._open()
    clock.advance(hours=9)  # the token has ended
    time.sleep(0.5)
    simulator.fault_next_token("stall")
    other = threading.Thread(target=lambda: refused(gateway.fetch_payment, ref))
    other.start()
    while tokens_asked(simulator) < 2:
        time.sleep(0.01)
    started = time.monotonic()
    assert not refused(transport.request, "POST", "/v2/checkout/orders", content={}, writes=True).outcome_unknown
    assert time.monotonic() - started < 0.6, "the wait began with a second of its own"
    other.join()


def drip(server):
    """Answer with a byte now and then, for ever."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        try:
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 1000:
                connection.send(bytes([byte]))
                time.sleep(0.02 if byte != 32 else 0.1)
        except OSError:
            return


def test_a_peer_that_answers_byte_by_byte_is_left_in_time(clock):
    with socket.create_server(("127.0.0.1", 0)) as dripping:
        thread = threading.Thread(target=drip, args=(dripping,), daemon=True)
        thread.start()
        base = f"http://127.0.0.1:{dripping.getsockname()[1]}"
        gateway = configured(api_base=base, timeout_s=1).bind("test", clock)
        started = time.monotonic()
        assert refused(gateway.fetch_payment, PaymentRef(topup_id=TOPUP, checkout_id="A")).code == "connection"
        assert time.monotonic() - started < 2
        thread.join(timeout=5)


# Secrets


def test_errors_and_logs_hold_neither_credentials_nor_personal_data(gateway, simulator, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    for name in ("paypalrestsdk", "paypalrestsdk.api", "urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    ref = paid(gateway, simulator)
    gateway.fetch_payment(ref)
    token = sent(simulator)[-1].headers["authorization"].removeprefix("Bearer ")
    leaky = json.dumps({"name": f"Bad {EMAIL}", "details": [{"issue": EMAIL}], "message": CLIENT_SECRET}).encode()
    texts = []
    faults = [answering(status, leaky) for status in (302, 400, 401, 403, 404, 409, 418, 422, 429, 500)]
    for fault in [*faults, answering(200, leaky), "drop", "truncated"]:
        simulator.fault_next(fault, times=2 if fault is faults[2] else 1)
        error = refused(gateway.create_checkout, a_request(key="k", customer_email=EMAIL))
        texts += ["".join(traceback.format_exception(error)), repr(error), repr(vars(error))]
    everything = "".join(texts) + caplog.text + "".join(capfd.readouterr())
    for secret in (CLIENT_ID, CLIENT_SECRET, token, EMAIL, "Basic ", "Bearer ", "access_token"):
        assert secret not in everything


def test_the_sdk_would_log_credentials_if_it_were_let(simulator, caplog):
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("paypalrestsdk.api")
    kept, logger.filters = logger.filters, []
    try:
        api = paypalrestsdk.Api(
            mode="sandbox", endpoint=simulator.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET
        )
        api.get_token_hash()
    finally:
        logger.filters = kept
    assert "Basic " in caplog.text
    assert "access_token" in caplog.text


def test_a_warning_of_the_sdk_still_gets_through(gateway, caplog):
    gateway.check_credentials()
    logging.getLogger("paypalrestsdk.api").warning("soon to be removed")
    logging.getLogger("paypalrestsdk.api").info("Authorization: Basic")
    assert "soon to be removed" in caplog.text
    assert "Basic" not in caplog.text


# Many at once


def test_many_threads_at_once_each_get_their_own_payment(gateway, simulator):
    found = {}

    def use(number):
        ref = paid(gateway, simulator, topup_id=f"order-{number}", key=f"key-{number}")
        found[number] = gateway.fetch_payment(ref)

    all_at_once(12, use)
    assert {number: payment.topup_id for number, payment in found.items()} == {n: f"order-{n}" for n in range(12)}
    assert len({payment.payment_id for payment in found.values()}) == 12


def test_one_order_captured_by_many_at_once_is_paid_once(gateway, simulator):
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    found = []
    all_at_once(8, lambda number: found.append(gateway.capture(ref, TEN, key="capture-1")))
    assert {payment.state for payment in found} == {"captured"}
    assert len({payment.payment_id for payment in found}) == 1
