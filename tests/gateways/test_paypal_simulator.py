"""The PayPal simulator, and our requests, against what nobody here made: PayPal's published descriptions."""

from __future__ import annotations

import http.client
import json
import re
from urllib.parse import urlsplit

import pytest

from prepaid.core.money import Money
from prepaid.system import SystemClock
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.paypal import PayPalSimulator
from prepaid.testing.simulators.paypal_requests import ORDER_FIELDS, REFUND_FIELDS, raw_member
from tests.gateways import paypal_facts as facts
from tests.gateways.paypal_world import (
    MERCHANT_ID,
    NOW,
    TEN,
    WEBHOOK_ID,
    a_refund,
    a_request,
    bound,
    created,
    paid,
    sent,
    simulated,
)


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


@pytest.fixture
def ask(gateway):
    def request(method, path, **options):
        transport = gateway._open()
        return transport.request(method, path, **options)

    return request


def faults_of(node, forms, path=""):
    """List the fields of a reply that no description knows, or knows otherwise."""
    if isinstance(node, dict):
        children = [(f"{path}.{name}".lstrip("."), child) for name, child in node.items()]
    elif isinstance(node, list):
        children = [(path, child) for child in node]
    else:
        form = forms.get(path)
        if isinstance(form, type):
            return [] if type(node) is form else [f"{path}: {type(node).__name__}"]
        fits = isinstance(form, str) and isinstance(node, str) and re.fullmatch(form, node)
        return [] if fits else [f"{path}: {node!r}"]
    return [fault for path, child in children for fault in faults_of(child, forms, path)]


def test_the_search_for_faults_finds_them():
    assert faults_of({"status": "COMPLETED", "amount": {"value": "1.00"}}, facts.CAPTURE) == []
    assert faults_of({"status": "PAID"}, facts.CAPTURE) == ["status: 'PAID'"]
    assert faults_of({"amount": [{"value": 1.0}]}, facts.CAPTURE) == ["amount.value: 1.0"]
    assert faults_of({"final_capture": "true", "extra": None}, facts.CAPTURE) == ["final_capture: str", "extra: None"]


# Requests


def test_every_field_we_send_is_one_that_paypal_describes(gateway, simulator):
    gateway.refund(a_refund(paid(gateway, simulator)))
    by_path = {request.path.rpartition("/")[2]: request for request in sent(simulator) if request.method == "POST"}
    assert faults_of(by_path["orders"].json(), ORDER_FIELDS) == []
    assert faults_of(by_path["refund"].json(), REFUND_FIELDS) == []
    assert by_path["capture"].json() == {}


def test_every_field_of_a_verification_is_one_that_paypal_describes(gateway, simulator):
    headers, body = simulator.webhook("CHECKOUT.ORDER.APPROVED", created(gateway).checkout_id)
    gateway.parse_webhook(headers, body)
    verification = sent(simulator)[-1].json()
    assert verification.pop("webhook_event") == json.loads(body)
    assert faults_of(verification, facts.VERIFICATION) == []
    assert set(verification) == set(facts.VERIFICATION)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(intent="SALE"),
        lambda body: body.pop("intent"),
        lambda body: body.pop("purchase_units"),
        lambda body: body.update(purchase_units=[]),
        lambda body: body.update(extra="x"),
        lambda body: body["purchase_units"][0].pop("amount"),
        lambda body: body["purchase_units"][0]["amount"].update(value=10.0),
        lambda body: body["purchase_units"][0]["amount"].update(value="ten"),
        lambda body: body["purchase_units"][0]["amount"].pop("currency_code"),
        lambda body: body["purchase_units"][0].update(custom_id="x" * 128),
        lambda body: body["purchase_units"][0].update(description=""),
        lambda body: body["payment_source"]["paypal"]["experience_context"].update(user_action="PAY"),
        lambda body: body["payment_source"]["paypal"]["experience_context"].update(locale="english"),
    ],
)
def test_a_body_that_paypal_would_refuse_is_refused(gateway, simulator, ask, change):
    created(gateway)
    body = sent(simulator)[-1].json()
    change(body)
    with pytest.raises(Exception, match="refused"):
        ask("POST", "/v2/checkout/orders", content=body)
    assert len(simulator.orders()) == 1


@pytest.mark.parametrize(
    ("currency", "value", "issue"),
    [
        ("JPY", "10.00", "DECIMALS_NOT_SUPPORTED"),
        ("HUF", "10.5", "DECIMALS_NOT_SUPPORTED"),
        ("USD", "10.001", "DECIMAL_PRECISION"),
        ("USD", "0.00", "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("USD", "-1.00", "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("KWD", "1.00", "CURRENCY_NOT_SUPPORTED"),
    ],
)
def test_an_amount_that_paypal_would_refuse_is_refused_with_its_issue(ask, currency, value, issue):
    amount = {"currency_code": currency, "value": value}
    body = {"intent": "CAPTURE", "purchase_units": [{"amount": amount, "custom_id": "a", "invoice_id": "a"}]}
    with pytest.raises(Exception, match=issue):
        ask("POST", "/v2/checkout/orders", content=body)


# Replies


def test_orders_in_every_status_have_the_published_shape(gateway, simulator, ask):
    ref = created(gateway)

    def look():
        assert faults_of(ask("GET", f"/v2/checkout/orders/{ref.checkout_id}"), facts.ORDER) == []

    look()
    simulator.approve(ref.checkout_id)
    look()
    simulator.pend_next_capture(ref.checkout_id)
    simulator.pay(ref.checkout_id)
    look()
    simulator.complete(ref.checkout_id)
    simulator.refund(ref.checkout_id, "1.00")
    look()


def test_captures_and_refunds_have_the_published_shape(gateway, simulator, ask):
    ref = paid(gateway, simulator)
    refund = gateway.refund(a_refund(ref))
    assert faults_of(ask("GET", f"/v2/payments/captures/{ref.payment_id}"), facts.CAPTURE_BY_ITSELF) == []
    simulator.set_refund(refund.gateway_refund_id, "PENDING", reason="ECHECK")
    assert faults_of(ask("GET", f"/v2/payments/refunds/{refund.gateway_refund_id}"), facts.REFUND) == []


def test_disputes_have_the_published_shape(gateway, simulator, ask):
    ref = paid(gateway, simulator)
    dispute_id = simulator.dispute(ref.checkout_id)
    for happens in (
        lambda: None,
        lambda: simulator.escalate(dispute_id, fee="20.00"),
        lambda: simulator.resolve(dispute_id, seller_pays=True),
    ):
        happens()
        page = ask("GET", f"/v1/customer/disputes?disputed_transaction_id={ref.payment_id}")
        assert faults_of(page, facts.DISPUTE_LIST) == []
        assert faults_of(ask("GET", f"/v1/customer/disputes/{dispute_id}"), facts.DISPUTE) == []


def test_reports_have_the_published_shape(gateway, simulator, ask):
    gateway.refund(a_refund(paid(gateway, simulator)))
    report = ask("GET", "/v1/reporting/transactions?start_date=2026-11-20T00:00:00Z&end_date=2026-11-30T00:00:00Z")
    assert faults_of(report, facts.REPORT) == []
    assert len(report["transaction_details"]) == 2


@pytest.mark.parametrize(
    ("event_type", "shape"),
    [
        ("CHECKOUT.ORDER.COMPLETED", facts.ORDER),
        ("PAYMENT.CAPTURE.COMPLETED", facts.CAPTURE_BY_ITSELF),
        ("PAYMENT.CAPTURE.REFUNDED", facts.REFUND),
        ("CUSTOMER.DISPUTE.CREATED", facts.DISPUTE),
    ],
)
def test_events_have_the_published_shape(gateway, simulator, event_type, shape):
    ref = paid(gateway, simulator)
    refund = gateway.refund(a_refund(ref)).gateway_refund_id
    about = {"R": refund, "C": simulator.dispute(ref.checkout_id)}
    object_id = (
        about["R"] if event_type.endswith("REFUNDED") else about["C"] if "DISPUTE" in event_type else ref.checkout_id
    )
    event = json.loads(simulator.webhook(event_type, object_id)[1])
    assert faults_of(event.pop("resource"), shape) == []
    assert faults_of(event, facts.EVENT) == []


# Behaviour


def plain(simulator, method, path, *, body=None, headers=None):
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=10)
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    content = response.status, dict(response.headers), json.loads(response.read())
    connection.close()
    return content


def test_nothing_is_answered_without_a_token(simulator):
    for token in ("", "Bearer ", "Bearer A21.GUESSED"):
        status, _, body = plain(simulator, "GET", "/v2/checkout/orders/A", headers={"Authorization": token})
        assert (status, body["error"]) == (401, "invalid_token")


def token_of(simulator):
    import base64

    from tests.gateways.paypal_world import CLIENT_ID, CLIENT_SECRET

    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    return headers


def test_a_token_is_given_for_the_documented_request_only(simulator):
    headers = token_of(simulator)
    good = plain(simulator, "POST", "/v1/oauth2/token", body="grant_type=client_credentials", headers=headers)
    assert (good[0], good[2]["token_type"]) == (200, "Bearer")
    bad = plain(simulator, "POST", "/v1/oauth2/token", body="grant_type=password", headers=headers)
    assert (bad[0], bad[2]["error"]) == (400, "unsupported_grant_type")
    with_key = {**headers, "PayPal-Request-Id": "k"}
    mixed = plain(simulator, "POST", "/v1/oauth2/token", body="grant_type=client_credentials", headers=with_key)
    assert mixed[0] == 400


def test_a_read_with_a_body_is_refused(simulator):
    headers = token_of(simulator)
    token = plain(simulator, "POST", "/v1/oauth2/token", body="grant_type=client_credentials", headers=headers)[2]
    bearer = {"Authorization": f"Bearer {token['access_token']}", "Content-Type": "application/json"}
    assert plain(simulator, "GET", "/v2/checkout/orders/A", body="null", headers=bearer)[0] == 415
    too_long = {**bearer, "PayPal-Request-Id": "k" * 109}
    assert plain(simulator, "POST", "/v2/checkout/orders", body="{}", headers=too_long)[0] == 400
    status, shown, body = plain(simulator, "POST", "/v2/checkout/orders", body="{", headers=bearer)
    assert (status, body["details"][0]["issue"]) == (400, "MALFORMED_REQUEST_JSON")
    assert re.fullmatch("[0-9a-f]{13}", shown["PayPal-Debug-Id"])


def test_an_unknown_path_and_an_unknown_object_are_not_found(ask):
    for path in (
        "/v3/checkout",
        "/v2/checkout/orders/A",
        "/v2/payments/captures/A",
        "/v2/payments/refunds/A",
        "/v1/customer/disputes/A",
    ):
        with pytest.raises(Exception, match="INVALID_RESOURCE_ID"):
            ask("GET", path)


def test_an_order_that_is_over_is_not_approved_again(gateway, simulator):
    ref = paid(gateway, simulator)
    with pytest.raises(ValueError, match="COMPLETED"):
        simulator.approve(ref.checkout_id)


def test_a_capture_by_hand_needs_an_approval(gateway, simulator, ask):
    ref = created(gateway)
    path = f"/v2/checkout/orders/{ref.checkout_id}/capture"
    with pytest.raises(Exception, match="ORDER_NOT_APPROVED"):
        ask("POST", path, content={})
    simulator.pay(ref.checkout_id)
    with pytest.raises(Exception, match="ORDER_ALREADY_CAPTURED"):
        ask("POST", path, content={})


def test_a_refund_without_an_amount_gives_all_back_and_another_currency_is_refused(gateway, simulator, ask):
    ref = paid(gateway, simulator)
    path = f"/v2/payments/captures/{ref.payment_id}/refund"
    with pytest.raises(Exception, match="REFUND_CAPTURE_CURRENCY_MISMATCH"):
        ask("POST", path, content={"amount": {"currency_code": "USD", "value": "1.00"}})
    assert ask("POST", path, content={})["amount"] == {"currency_code": "EUR", "value": "10.00"}
    assert gateway.fetch_payment(ref).refunded == TEN


@pytest.mark.parametrize(
    "query",
    [
        "start_date=2026-11-01T00:00:00Z&end_date=2026-12-03T00:00:00Z",
        "start_date=2026-11-01T00:00:00Z",
        "start_date=x&end_date=y",
    ],
)
def test_a_report_over_more_than_31_days_is_refused(ask, query):
    with pytest.raises(Exception, match="refused"):
        ask("GET", f"/v1/reporting/transactions?{query}")


@pytest.mark.parametrize("query", ["", "?disputed_transaction_id=A&start_time=2026-11-01T00:00:00.000Z"])
def test_disputes_are_asked_for_by_payment_or_by_time(ask, query):
    with pytest.raises(Exception, match="refused"):
        ask("GET", f"/v1/customer/disputes{query}")


def test_its_defaults_make_an_account_of_their_own(gateway):
    with PayPalSimulator() as one:
        assert one.orders() == []
        assert one._clock.__class__ is SystemClock


def test_amounts_keep_their_decimals_through_fee_and_net(gateway, simulator):
    ref = paid(gateway, simulator, amount=Money.of("1000", "JPY"))
    [capture] = simulator.order(ref.checkout_id)["purchase_units"][0]["payments"]["captures"]
    breakdown = capture["seller_receivable_breakdown"]
    assert [breakdown[name]["value"] for name in ("gross_amount", "paypal_fee", "net_amount")] == ["1000", "35", "965"]


def test_a_signature_holds_for_its_own_webhook_body_and_simulator_only(simulator, clock):
    headers = simulator.signed(b'{"a":1}', at=NOW)
    assert headers["paypal-transmission-sig"] != simulator.signed(b'{"a":1}', at=NOW)["paypal-transmission-sig"]
    with simulated(clock) as other:
        assert other._signing_secret != simulator._signing_secret
    assert WEBHOOK_ID not in "".join(headers.values())


def test_a_member_is_cut_out_as_it_is_written():
    assert raw_member('{"a":{"event":1},"event" : {"x": 1.0 } ,"b":2}', "event") == '{"x": 1.0 }'
    with pytest.raises(KeyError):
        raw_member('{"a":1}', "event")


def test_the_account_of_its_payments_is_the_configured_one(gateway):
    assert gateway.fetch_payment(created(gateway)).account == MERCHANT_ID
    assert a_request().topup_id
