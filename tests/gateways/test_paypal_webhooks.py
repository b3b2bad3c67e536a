"""Webhooks of PayPal: what is sent back to be verified, what is refused before, and what an event is about."""

from __future__ import annotations

import json
import zlib
from datetime import timedelta

import pytest

from prepaid.core.errors import ConfigurationError, GatewayError, WebhookRejected
from prepaid.gateways.paypal_webhooks import MAX_BODY, check_headers, read_events
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.paypal import signed_text
from prepaid.testing.simulators.paypal_requests import raw_member
from tests.gateways.paypal_world import (
    NOW,
    TOPUP,
    WEBHOOK_ID,
    a_refund,
    answering,
    bound,
    configured,
    created,
    paid,
    sent,
    simulated,
)

VERIFY = "/v1/notifications/verify-webhook-signature"
BODY = b'{"id":"WH-1","event_type":"CHECKOUT.ORDER.APPROVED","resource":{"id":"5O190127TN364715T"}}'


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


# What is signed


def test_the_signed_text_is_that_of_the_published_vector():
    body = b'{"id":"WH-TEST-1","event_type":"PAYMENT.CAPTURE.COMPLETED"}'
    transmission = "11111111-2222-3333-4444-555555555555"
    signed = signed_text(transmission, "2026-11-22T06:00:00Z", "WEBHOOKID123", body)
    assert signed == f"{transmission}|2026-11-22T06:00:00Z|WEBHOOKID123|2077941293"


def test_the_checksum_is_over_the_raw_bytes():
    assert zlib.crc32('{"id":"WH-TEST-2","summary":"café"}'.encode()) == 1073315582


def test_the_sdk_signs_the_same_text(simulator):
    from paypalrestsdk.notifications import WebhookEvent

    theirs = WebhookEvent._get_expected_sig("T-1", "2026-11-22T06:00:00Z", "W1", BODY.decode())
    assert theirs == signed_text("T-1", "2026-11-22T06:00:00Z", "W1", BODY)


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        b'{"resource": {"amount": 10.0, "b": 1, "a": 2},\n  "id": "WH-1", "event_type": "X.Y"}',
        b'{"id":"WH-1","event_type":"X","resource":{"summary":"caf\\u00e9 \\/ \\ud83d\\ude00"}}',
        '{"id":"WH-1","event_type":"X","resource":{"summary":"café €"}}'.encode(),
        b'{"id":"WH-1","event_type":"X","resource":{"webhook_event":{},"n":1e2,"x":"}\\""}}',
        b'{ "id" : "WH-1" ,"event_type":"X","resource":{"big":9007199254740993}}',
    ],
)
def test_the_body_goes_back_byte_for_byte(gateway, simulator, clock, body):
    headers = simulator.signed(body, at=clock.now())
    gateway.parse_webhook(headers, body)
    [request] = sent(simulator, VERIFY)
    assert request.body.endswith(b',"webhook_event":' + body + b"}")
    assert raw_member(request.body.decode(), "webhook_event").encode() == body
    head = {name: value for name, value in json.loads(request.body).items() if name != "webhook_event"}
    assert head == {
        "auth_algo": "SHA256withRSA",
        "cert_url": headers["paypal-cert-url"],
        "transmission_id": headers["paypal-transmission-id"],
        "transmission_sig": headers["paypal-transmission-sig"],
        "transmission_time": headers["paypal-transmission-time"],
        "webhook_id": WEBHOOK_ID,
    }


def test_a_body_written_anew_is_not_the_one_that_was_signed(gateway, simulator, clock):
    body = b'{"id": "WH-1", "event_type": "X", "resource": {"a": 10.0}}'
    headers = simulator.signed(body, at=clock.now())
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(headers, json.dumps(json.loads(body), separators=(",", ":")).encode())


@pytest.mark.parametrize("position", [3, 10, 40, -3])
def test_a_changed_body_is_not_genuine(gateway, simulator, clock, position):
    headers = simulator.signed(BODY, at=clock.now())
    changed = bytearray(BODY)
    changed[position] ^= 1
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(headers, bytes(changed))


def test_an_event_of_another_webhook_is_not_genuine(gateway, simulator, clock):
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(simulator.signed(BODY, at=clock.now(), webhook_id="ANOTHER"), BODY)


@pytest.mark.parametrize("name", ["paypal-transmission-id", "paypal-transmission-time", "paypal-transmission-sig"])
def test_a_header_of_another_event_is_not_genuine(gateway, simulator, clock, name):
    headers = simulator.signed(BODY, at=clock.now())
    other = simulator.signed(BODY + b" ", at=clock.now() - timedelta(minutes=1))
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook({**headers, name: other[name]}, BODY)


# What is refused before PayPal is asked


MALFORMED = [
    (
        "paypal-auth-algo",
        ["", "none", "SHA1withRSA", "sha256withrsa", "SHA256withRSA ", "HMAC", None, 7, b"SHA256withRSA"],
    ),
    ("paypal-transmission-id", ["", "a b", "a" * 51, "a|b", "ü", "a\n", None, 7]),
    ("paypal-transmission-sig", ["", "=", "a" * 499, "a\x00", "ä", "a b", "a===", None, 7]),
    (
        "paypal-transmission-time",
        [
            "",
            "now",
            "2026-11-23",
            "2026-11-23T12:00:00",
            "2026-13-23T12:00:00Z",
            "2026-11-23T25:00:00Z",
            "2026-11-23T::::::::Z",
            "２０２６-11-23T12:00:00Z",
            "1795320000",
            "2026-11-23T12:00:00+99:99",
            None,
            7,
        ],
    ),
    (
        "paypal-cert-url",
        [
            "",
            "https://",
            "https://api.paypal.com.evil.example/cert",
            "https://evil.example/api.paypal.com",
            "https://api.paypal.com@evil.example/cert",
            "https://user@api.sandbox.paypal.com/cert",
            "https://api.sandbox.paypal.com:444/cert",
            "https://API.sandbox.paypal.com/cert",
            "https://www.sandbox.paypal.com/cert",
            "http://api.sandbox.paypal.com/cert",
            "ftp://api.sandbox.paypal.com/cert",
            "//api.sandbox.paypal.com/cert",
            "https://api.paypal.com/cert",
            "https://api-m.paypal.com/cert",
            "https://api.sandbox.paypal.com\\@evil.example/",
            "https://[::1/cert",
            "http://127.0.0.1:1/cert",
            "https://api.sandbox.paypal.com/" + "x" * 500,
            "https://api.sandbox.paypal.com/ü",
            None,
            7,
        ],
    ),
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in MALFORMED for value in values])
def test_a_malformed_header_is_rejected_and_nobody_is_asked(gateway, simulator, clock, name, value):
    headers = {**simulator.signed(BODY, at=clock.now()), name: value}
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(headers, BODY)
    headers.pop(name)
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(headers, BODY)
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("mode", "host", "allowed"),
    [
        ("live", "api.paypal.com", True),
        ("live", "api-m.paypal.com", True),
        ("live", "api.sandbox.paypal.com", False),
        ("live", "api-m.sandbox.paypal.com", False),
        ("test", "api.sandbox.paypal.com", True),
        ("test", "api-m.sandbox.paypal.com", True),
        ("test", "api.paypal.com", False),
        ("test", "api-m.paypal.com", False),
    ],
)
def test_certificates_lie_on_the_hosts_of_our_mode(simulator, clock, mode, host, allowed):
    headers = {**simulator.signed(BODY, at=NOW), "paypal-cert-url": f"https://{host}/v1/notifications/certs/C-1"}
    if allowed:
        assert check_headers(headers, mode=mode, api_base=None, now=NOW)["cert_url"] == headers["paypal-cert-url"]
    else:
        with pytest.raises(WebhookRejected, match="certificate") as rejected:
            check_headers(headers, mode=mode, api_base=None, now=NOW)
        assert rejected.value.reason == "wrong-mode"


@pytest.mark.parametrize("mode", ["test", "live"])
def test_a_certificate_of_nobody_is_of_no_mode(simulator, clock, mode):
    for host in ("evil.example", "api.paypal.com.evil.example", "www.paypal.com"):
        headers = {**simulator.signed(BODY, at=NOW), "paypal-cert-url": f"https://{host}/v1/notifications/certs/C-1"}
        with pytest.raises(WebhookRejected, match="certificate") as rejected:
            check_headers(headers, mode=mode, api_base=None, now=NOW)
        assert rejected.value.reason == "not-genuine"


def test_a_certificate_of_this_machine_is_for_simulators_only(simulator, clock):
    headers = simulator.signed(BODY, at=NOW)
    assert check_headers(headers, mode="test", api_base=simulator.url, now=NOW)
    elsewhere = {**headers, "paypal-cert-url": "https://proxy.example/v1/notifications/certs/C-1"}
    for api_base, given in ((None, headers), ("https://proxy.example", headers), ("https://proxy.example", elsewhere)):
        with pytest.raises(WebhookRejected, match="certificate"):
            check_headers(given, mode="test", api_base=api_base, now=NOW)


@pytest.mark.parametrize(
    ("age", "accepted"),
    [
        (timedelta(0), True),
        (timedelta(days=4), True),
        (timedelta(days=4, seconds=1), False),
        (-timedelta(minutes=5), True),
        (-timedelta(minutes=5, seconds=1), False),
    ],
)
def test_a_webhook_is_taken_for_four_days_and_not_from_the_future(gateway, simulator, clock, age, accepted):
    headers = simulator.signed(BODY, at=clock.now() - age)
    if accepted:
        assert gateway.parse_webhook(headers, BODY)
    else:
        with pytest.raises(WebhookRejected, match="time"):
            gateway.parse_webhook(headers, BODY)
        assert simulator.requests == []


@pytest.mark.parametrize(
    "written", ["2026-11-23T12:00:00.123Z", "2026-11-23T13:00:00+01:00", "2026-11-23T12:00:00+0000"]
)
def test_a_time_is_read_in_every_form_of_the_standard(simulator, written):
    headers = {**simulator.signed(BODY, at=NOW), "paypal-transmission-time": written}
    assert check_headers(headers, mode="test", api_base=simulator.url, now=NOW)["transmission_time"] == written


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"id":"WH-1"}',
        b'{"id":"WH-1","event_type":"X"}',
        b'{"id":"WH-1","event_type":"X","resource":[]}',
        b'{"id":7,"event_type":"X","resource":{}}',
        b'{"id":"","event_type":"X","resource":{}}',
        b'{"id":"WH-1","event_type":null,"resource":{}}',
        b'{"id":"WH-1","id":"WH-2","event_type":"X","resource":{}}',
        b'{"id":"WH-1","event_type":"X","resource":{"a":NaN}}',
        b'{"id":"WH-1","event_type":"X","resource":{"a":' + b"9" * 5000 + b"}}",
        b'{"id":"WH-1","event_type":"X","resource":{}}},"webhook_id":"EVIL"',
        b'{"id":"WH-1","event_type":"X","resource":{}} {}',
        b'\xef\xbb\xbf{"id":"WH-1","event_type":"X","resource":{}}',
        b'{"id":"WH-\xff","event_type":"X","resource":{}}',
        b'{"id":"WH-1","event_type":"X","resource":' + b'{"a":' * 40 + b"1" + b"}" * 41,
        b'{"id":"WH-1","event_type":"X","resource":{"a":"' + b"x" * MAX_BODY + b'"}}',
        "a string",
        None,
    ],
)
def test_a_body_that_is_no_event_is_rejected_and_never_sent_on(gateway, simulator, clock, body):
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(simulator.signed(body if isinstance(body, bytes) else b"", at=clock.now()), body)
    assert simulator.requests == []


# When PayPal does not verify


@pytest.mark.parametrize("fault", ["drop", "500", "429", "html", "truncated"])
def test_a_paypal_that_cannot_be_asked_lets_the_webhook_come_again(gateway, simulator, clock, fault):
    headers = simulator.signed(BODY, at=clock.now())
    simulator.fault_next(fault)
    with pytest.raises(GatewayError) as caught:
        gateway.parse_webhook(headers, BODY)
    assert (caught.value.retryable, caught.value.outcome_unknown) == (True, False)
    assert gateway.parse_webhook(headers, BODY)


@pytest.mark.parametrize("status", [401, 403, 404, 409])
def test_a_refusal_that_does_not_speak_of_the_webhook_is_not_its_rejection(gateway, simulator, clock, status):
    simulator.fault_next(answering(status, b'{"name": "SOMETHING"}'))
    with pytest.raises(GatewayError):
        gateway.parse_webhook(simulator.signed(BODY, at=clock.now()), BODY)


@pytest.mark.parametrize("status", [400, 422])
def test_a_webhook_that_paypal_cannot_even_read_is_rejected(gateway, simulator, clock, status):
    simulator.fault_next(answering(status, b'{"name": "VALIDATION_ERROR"}'))
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(simulator.signed(BODY, at=clock.now()), BODY)


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_that_is_not_in_paypals_words_is_no_rejection(gateway, simulator, clock, status):
    simulator.fault_next(answering(status, b"<html>Bad Request</html>"))
    with pytest.raises(GatewayError):
        gateway.parse_webhook(simulator.signed(BODY, at=clock.now()), BODY)


@pytest.mark.parametrize(
    "reply", [{}, {"verification_status": "success"}, {"verification_status": True}, {"verification_status": "MAYBE"}]
)
def test_any_other_word_than_success_and_failure_is_no_verification(gateway, simulator, clock, reply):
    simulator.rewrite_next(lambda content: (content.clear(), content.update(reply)))
    with pytest.raises(GatewayError):
        gateway.parse_webhook(simulator.signed(BODY, at=clock.now()), BODY)


def test_the_webhook_id_of_paypals_public_simulator_is_never_ours():
    for webhook_id in ("WEBHOOK_ID", "", None, "a b", "x" * 51, 7):
        with pytest.raises(ConfigurationError, match="webhook_id"):
            configured(webhook_id=webhook_id)


# What an event is about


def parsed(gateway, simulator, event_type, object_id):
    headers, body = simulator.webhook(event_type, object_id)
    return gateway.parse_webhook(headers, body)


@pytest.mark.parametrize(
    ("event_type", "checkout", "payment"),
    [
        ("CHECKOUT.ORDER.APPROVED", True, False),
        ("CHECKOUT.ORDER.COMPLETED", True, False),
        ("CHECKOUT.PAYMENT-APPROVAL.REVERSED", True, False),
        ("PAYMENT.CAPTURE.PENDING", True, True),
        ("PAYMENT.CAPTURE.COMPLETED", True, True),
        ("PAYMENT.CAPTURE.DENIED", True, True),
        ("PAYMENT.CAPTURE.DECLINED", True, True),
    ],
)
def test_an_event_of_a_payment_wakes_its_settlement(gateway, simulator, event_type, checkout, payment):
    ref = paid(gateway, simulator)
    [event] = parsed(gateway, simulator, event_type, ref.checkout_id)
    assert (event.kind, event.type, event.topup_id, event.mode) == ("payment", event_type, TOPUP, None)
    assert event.checkout_id == (ref.checkout_id if checkout else None)
    assert event.payment_id == (ref.payment_id if payment else None)


def test_an_approval_wakes_the_capture_of_a_customer_who_never_came_back(gateway, simulator):
    ref = created(gateway)
    simulator.approve(ref.checkout_id)
    [event] = parsed(gateway, simulator, "CHECKOUT.ORDER.APPROVED", ref.checkout_id)
    assert (event.kind, event.checkout_id, event.topup_id) == ("payment", ref.checkout_id, TOPUP)


@pytest.mark.parametrize(
    ("event_type", "kind"), [("PAYMENT.CAPTURE.REFUNDED", "refund"), ("PAYMENT.CAPTURE.REVERSED", "dispute")]
)
def test_a_refund_or_reversal_names_the_capture_and_not_itself(gateway, simulator, event_type, kind):
    ref = paid(gateway, simulator)
    refund = gateway.refund(a_refund(ref))
    [event] = parsed(gateway, simulator, event_type, refund.gateway_refund_id)
    assert (event.kind, event.payment_id) == (kind, ref.payment_id)


def test_a_reversal_that_speaks_of_the_capture_itself_names_it():
    resource = {"id": "2GG279541U471931P", "links": [{"rel": "up", "href": "https://x/v2/checkout/orders/A"}]}
    [event] = read_events({"id": "WH-1", "event_type": "PAYMENT.CAPTURE.REVERSED", "resource": resource})
    assert (event.kind, event.payment_id) == ("dispute", "2GG279541U471931P")


def test_a_refund_made_in_the_dashboard_names_the_top_up_too(gateway, simulator):
    ref = paid(gateway, simulator)
    refund_id = simulator.refund(ref.checkout_id, "1.00")
    [event] = parsed(gateway, simulator, "PAYMENT.CAPTURE.REFUNDED", refund_id)
    assert (event.kind, event.payment_id, event.topup_id) == ("refund", ref.payment_id, TOPUP)


@pytest.mark.parametrize(
    "event_type", ["CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.UPDATED", "CUSTOMER.DISPUTE.RESOLVED"]
)
def test_a_dispute_names_the_payment_of_ours(gateway, simulator, event_type):
    ref = paid(gateway, simulator)
    dispute_id = simulator.dispute(ref.checkout_id)
    [event] = parsed(gateway, simulator, event_type, dispute_id)
    assert (event.kind, event.payment_id, event.topup_id) == ("dispute", ref.payment_id, TOPUP)


def test_the_same_event_has_the_same_id_on_every_delivery(gateway, simulator):
    ref = paid(gateway, simulator)
    headers, body = simulator.webhook("PAYMENT.CAPTURE.COMPLETED", ref.checkout_id)
    first, second = gateway.parse_webhook(headers, body), gateway.parse_webhook(headers, body)
    assert first == second
    assert first[0].event_id == json.loads(body)["id"]


def test_a_dispute_of_several_payments_is_an_event_for_each():
    disputed = [{"seller_transaction_id": "A1"}, {"seller_transaction_id": "B2", "custom": "top_2"}, "junk"]
    events = read_events(
        {"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {"disputed_transactions": disputed}}
    )
    assert [(event.event_id, event.kind, event.payment_id, event.topup_id) for event in events] == [
        ("WH-1", "dispute", "A1", None),
        ("WH-1/1", "dispute", "B2", "top_2"),
        ("WH-1/2", "ignored", None, None),
    ]


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("BILLING.SUBSCRIPTION.CREATED", {"id": "I1", "custom_id": TOPUP}),
        ("MERCHANT.ONBOARDING.COMPLETED", {}),
        ("CHECKOUT.ORDER.APPROVED", {}),
        ("CHECKOUT.ORDER.APPROVED", {"id": 7, "purchase_units": {}}),
        ("CHECKOUT.ORDER.APPROVED", {"id": "not/an/id", "purchase_units": [{"custom_id": "a b"}]}),
        ("CHECKOUT.ORDER.APPROVED", {"purchase_units": [7]}),
        ("CHECKOUT.PAYMENT-APPROVAL.REVERSED", {"order_id": None}),
        ("PAYMENT.CAPTURE.COMPLETED", {"supplementary_data": {"related_ids": []}}),
        ("PAYMENT.CAPTURE.REFUNDED", {"id": "R1", "links": [{"rel": "up", "href": "https://x/v2/orders/A"}, 7]}),
        ("PAYMENT.CAPTURE.REFUNDED", {"id": "R1", "links": [{"rel": "up", "href": None}]}),
        ("PAYMENT.REFUND.FAILED", {"id": "R1", "links": "up"}),
        ("CUSTOMER.DISPUTE.CREATED", {"disputed_transactions": None}),
        ("CUSTOMER.DISPUTE.CREATED", {"disputed_transactions": []}),
    ],
)
def test_an_event_about_nothing_of_ours_is_ignored(event_type, resource):
    [event] = read_events({"id": "WH-1", "event_type": event_type, "resource": resource})
    assert (event.kind, event.checkout_id, event.payment_id, event.topup_id) == ("ignored", None, None, None)


def test_no_amount_of_a_webhook_is_looked_at(gateway, simulator, clock):
    ref = paid(gateway, simulator)
    headers, body = simulator.webhook("PAYMENT.CAPTURE.COMPLETED", ref.checkout_id)
    bigger = body.replace(b"10.00", b"99.99")
    assert bigger != body
    assert gateway.parse_webhook(simulator.signed(bigger, at=clock.now()), bigger) == gateway.parse_webhook(
        headers, body
    )
    assert gateway.fetch_payment(ref).captured.minor == 1000
