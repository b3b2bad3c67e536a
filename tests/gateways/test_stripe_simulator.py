"""The Stripe simulator against what nobody here made: the types, parameters and errors of Stripe's own SDK."""

from __future__ import annotations

import http.client
import typing
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import pytest
import stripe
import stripe.checkout
from stripe._stripe_object import UntypedStripeObject
from stripe.params.checkout import _session_create_params as create_params

from prepaid.core.money import Money
from prepaid.gateways import StripeGateway
from prepaid.ports import CheckoutRequest
from prepaid.system import SystemClock
from prepaid.testing.clock import START as NOW
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import LoopbackServer, Request, unbracket
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_shapes import HAPPENINGS, KEY, PAYMENT, VALID, faults_of, flattened, plain, unlike


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


@pytest.fixture
def client(simulator):
    return stripe.StripeClient(KEY, base_addresses={"api": simulator.url}, max_network_retries=0)


@pytest.fixture
def sessions(client):
    return client.v1.checkout.sessions


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_sessions_and_payments_have_the_shape_of_the_sdks_types(simulator, sessions, happening):
    session_id = sessions.create({**VALID, "metadata": {"a": "b"}, "customer_email": "ada@example.com"}).id
    happening(simulator, session_id)
    seen = sessions.retrieve(session_id, {"expand": [PAYMENT]}).to_dict()
    assert unlike(seen, stripe.checkout.Session) == []
    assert unlike(sessions.retrieve(session_id).to_dict(), stripe.checkout.Session) == []


def test_the_comparison_finds_an_unknown_field_a_wrong_type_and_an_unlisted_word(simulator, sessions):
    session_id = sessions.create(VALID).id
    simulator.pay(session_id)
    seen = sessions.retrieve(session_id, {"expand": [PAYMENT]}).to_dict()
    charge = seen["payment_intent"]["latest_charge"]
    for place, change in (
        (seen, {"amount": 5}),
        (seen, {"status": "done"}),
        (seen, {"livemode": "false"}),
        (seen["payment_intent"], {"amount_received": 5.0}),
        (charge, {"status": "captured"}),
        (charge["balance_transaction"], {"fees": 5}),
        (seen["automatic_tax"], {"status": "done"}),
    ):
        before = dict(place)
        place.update(change)
        assert unlike(seen, stripe.checkout.Session) != []
        place.clear()
        place.update(before)
    assert unlike(seen, stripe.checkout.Session) == []


def test_a_paid_session_tells_one_story_about_one_payment(simulator, sessions, client):
    session_id = sessions.create(VALID).id
    intent_id = simulator.pay(session_id)
    intent = client.v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]}).to_dict()
    assert unlike(intent, stripe.PaymentIntent) == []
    assert intent["latest_charge"]["payment_intent"] == intent_id
    assert intent["amount"] == intent["amount_received"] == intent["latest_charge"]["amount_captured"] == 2000
    assert sessions.retrieve(session_id).payment_intent == intent_id
    assert simulator.session(session_id)["payment_intent"]["latest_charge"]["balance_transaction"]["net"] == 1912


def test_the_balance_has_the_shape_of_the_sdks_type(client):
    assert unlike(client.v1.balance.retrieve().to_dict(), stripe.Balance) == []


@pytest.mark.parametrize(
    ("event_type", "happening"),
    [
        ("checkout.session.completed", StripeSimulator.pay),
        ("checkout.session.expired", StripeSimulator.expire),
        ("checkout.session.async_payment_failed", HAPPENINGS[-2]),
        ("payment_intent.payment_failed", StripeSimulator.decline),
        ("payment_intent.succeeded", StripeSimulator.pay),
        ("charge.refunded", HAPPENINGS[8]),
    ],
)
def test_webhooks_are_events_that_the_sdk_accepts(simulator, sessions, client, clock, event_type, happening):
    session_id = sessions.create(VALID).id
    happening(simulator, session_id)
    at = SystemClock().now()  # the SDK's verifier knows no other clock
    headers, body = simulator.webhook(event_type, session_id, secret="whsec_x", at=at)
    event = client.construct_event(body, headers["stripe-signature"], "whsec_x").to_dict()
    subject = event["data"].pop("object")
    assert unlike(event | {"data": {"object": {}}}, stripe.Event) == []
    kinds = {
        "checkout.session": stripe.checkout.Session,
        "payment_intent": stripe.PaymentIntent,
        "charge": stripe.Charge,
    }
    assert unlike(subject, kinds[subject["object"]]) == []


def test_every_parameter_the_adapter_sends_is_one_the_sdk_declares(simulator, clock):
    gateway = StripeGateway(secret_key=KEY, webhook_secrets=("whsec_x",), api_base=simulator.url).bind("test", clock)
    gateway.create_checkout(
        CheckoutRequest(
            topup_id="top_1",
            amount=Money.of("50.00", "EUR"),
            description="Credit",
            return_url="https://panel.example/back",
            cancel_url="https://panel.example/",
            customer_id="user-42",
            customer_email="ada@example.com",
            locale="de",
            expires_at=NOW + timedelta(hours=1),
            key="k",
        )
    )
    form = simulator.requests[0].form()
    numbers = form["line_items"][0]
    numbers["quantity"] = int(numbers["quantity"])
    numbers["price_data"]["unit_amount"] = int(numbers["price_data"]["unit_amount"])
    form |= {"expires_at": int(form["expires_at"]), "adaptive_pricing": {"enabled": form["adaptive_pricing"] == "true"}}
    names = {**vars(typing), **vars(create_params), "UntypedStripeObject": UntypedStripeObject}
    assert faults_of(form, create_params.SessionCreateParams, names) == []
    assert faults_of({**form, "payment_method_types": ["card"]}, create_params.SessionCreateParams, names) != []
    assert faults_of({**form, "submit_type": "give"}, create_params.SessionCreateParams, names) != []


# Refusals


def changed(**changes):
    return {**VALID, **changes}


def priced(**changes):
    price = {**VALID["line_items"][0]["price_data"], **changes}
    return changed(line_items=[{"quantity": 1, "price_data": price}])


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (changed(payment_method_types=["card"]), "parameter_unknown"),
        (changed(automatic_tax={"enabled": True}), "parameter_unknown"),
        (priced(tax_behavior="inclusive"), "parameter_unknown"),
        (changed(mode="subscription"), "parameter_missing"),
        ({"mode": "payment", "success_url": "https://x"}, "parameter_missing"),
        (changed(success_url=""), "parameter_missing"),
        (priced(currency="USD"), None),
        (priced(unit_amount=-5), "parameter_invalid_integer"),
        (priced(unit_amount="5.5"), "parameter_invalid_integer"),
        (priced(currency="isk", unit_amount=550), "parameter_invalid_integer"),
        (priced(currency="kwd", unit_amount=5125), "parameter_invalid_integer"),
        (priced(unit_amount=49), "amount_too_small"),
        (priced(unit_amount=100_000_000), "amount_too_large"),
        (changed(expires_at=int(NOW.timestamp()) + 1799), None),
        (changed(expires_at=int(NOW.timestamp()) + 86_401), None),
        (changed(expires_at="soon"), None),
        (changed(line_items="one"), "parameter_unknown"),
        (changed(line_items=[]) | {"line_items[]": ""}, "parameter_unknown"),
        (changed(metadata="x"), "parameter_unknown"),
        (changed(expand=["customer"]), None),
    ],
)
def test_a_request_that_stripe_would_refuse_is_refused(simulator, params, code):
    status, _, body = plain(simulator, "POST", "/v1/checkout/sessions", body=urlencode(list(flattened(params))))
    assert status == 400
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"].get("code") == code
    assert unlike(body["error"], stripe.ErrorObject) == []


def test_only_what_is_an_object_elsewhere_can_be_expanded(simulator, sessions):
    session_id = sessions.create(VALID).id
    simulator.pay(session_id)
    for path in ("id", "payment_intent.status", "payment_intent.payment_intent"):
        with pytest.raises(stripe.InvalidRequestError, match="expanded"):
            sessions.retrieve(session_id, {"expand": [path]})


def test_another_key_is_unauthorised(simulator):
    status, headers, body = plain(simulator, "GET", "/v1/balance", secret="sk_test_other")
    assert (status, body["error"]["type"]) == (401, "invalid_request_error")
    assert headers["Request-Id"].startswith("req_")
    wrong = stripe.StripeClient("sk_test_other", base_addresses={"api": simulator.url})
    with pytest.raises(stripe.AuthenticationError):
        wrong.v1.balance.retrieve()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/checkout/sessions/cs_test_unknown"),
        ("POST", "/v1/checkout/sessions/cs_test_unknown/expire"),
        ("GET", "/v1/payment_intents/pi_unknown"),
        ("POST", "/v1/payment_intents/pi_unknown/cancel"),
        ("POST", "/v1/payment_intents/pi_unknown/capture"),
        ("GET", "/v1/refunds/re_unknown"),
        ("GET", "/v1/disputes/du_unknown"),
    ],
)
def test_an_unknown_id_is_not_found(simulator, method, path):
    status, _, body = plain(simulator, method, path)
    assert (status, body["error"]["code"]) == (404, "resource_missing")


def test_an_id_of_another_kind_and_an_unknown_address_are_not_found(simulator, sessions):
    session_id = sessions.create(VALID).id
    assert plain(simulator, "GET", f"/v1/payment_intents/{session_id}")[0] == 404
    assert plain(simulator, "GET", "/v1/customers")[0] == 404
    assert plain(simulator, "POST", "/v1/balance")[0] == 404


# Idempotency


def test_the_same_key_and_content_give_the_same_stored_answer(simulator, sessions):
    first = sessions.create(VALID, {"idempotency_key": "k"})
    simulator.pay(first.id)
    again = sessions.create(VALID, {"idempotency_key": "k"})
    assert again.to_dict() == first.to_dict()
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.request_id != first.last_response.request_id
    assert len(simulator.sessions()) == 1


def test_the_same_key_with_other_content_is_refused(sessions):
    sessions.create(VALID, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError):
        sessions.create(priced(unit_amount=3000), {"idempotency_key": "k"})


def test_a_key_is_forgotten_after_a_day(simulator, sessions, clock):
    first = sessions.create(VALID, {"idempotency_key": "k"})
    clock.advance(days=1)
    assert sessions.create(VALID, {"idempotency_key": "k"}).id != first.id


def test_a_refusal_is_not_stored_but_a_failure_is(simulator, sessions):
    with pytest.raises(stripe.InvalidRequestError):
        sessions.create(priced(unit_amount=1), {"idempotency_key": "k"})
    simulator.fault_next("500")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            sessions.create(VALID, {"idempotency_key": "k"})
    assert simulator.sessions() == []


def test_a_request_without_a_key_is_carried_out_each_time(simulator):
    body = urlencode(list(flattened(VALID)))
    ids = {plain(simulator, "POST", "/v1/checkout/sessions", body=body)[2]["id"] for _ in range(2)}
    assert len(ids) == 2


# Lives of a session


def test_only_an_open_session_can_be_expired_or_paid(simulator, sessions):
    session_id = sessions.create(VALID).id
    assert sessions.expire(session_id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        sessions.expire(session_id)
    with pytest.raises(ValueError, match="expired, not open"):
        simulator.pay(session_id)


def test_a_declined_customer_can_still_pay_with_the_same_payment(simulator, sessions):
    session_id = sessions.create(VALID).id
    simulator.decline(session_id, code="lost_card")
    declined = simulator.session(session_id)["payment_intent"]
    assert declined["last_payment_error"]["decline_code"] == "lost_card"
    assert simulator.pay(session_id) == declined["id"]


def test_the_mode_is_that_of_the_key(clock):
    with StripeSimulator(secret_key="sk_live_x", clock=clock) as simulator:
        client = stripe.StripeClient("sk_live_x", base_addresses={"api": simulator.url})
        session = client.v1.checkout.sessions.create(VALID)
        assert session.livemode is True
        assert session.id.startswith("cs_live_")


def test_sessions_are_listed_in_pages_the_newest_first(sessions):
    ids = [sessions.create(VALID).id for _ in range(5)]
    page = sessions.list({"limit": 2})
    assert ([session.id for session in page.data], page.has_more) == (ids[:2:-1], True)
    assert [session.id for session in sessions.list({"limit": 2}).auto_paging_iter()] == ids[::-1]
    assert len(sessions.list().data) == 5


def test_a_session_keeps_working_with_the_machines_own_clock():
    with StripeSimulator() as simulator:
        client = stripe.StripeClient("sk_test_simulated", base_addresses={"api": simulator.url})
        assert client.v1.checkout.sessions.create(VALID).status == "open"


# The server underneath


def test_it_listens_on_loopback_only_and_stops_for_good(clock):
    simulator = StripeSimulator(secret_key=KEY, clock=clock)
    with pytest.raises(RuntimeError):
        _ = simulator.url
    with simulator:
        host, port = urlsplit(simulator.url).hostname, urlsplit(simulator.url).port
        waiting = http.client.HTTPConnection(host, port, timeout=5)
        waiting.request("GET", "/v1/balance")
        waiting.getresponse().read()
    assert host == "127.0.0.1"
    simulator.stop()
    with pytest.raises(OSError):  # noqa: PT011 - a broken or a refused connection, as the system likes
        plain_at(host, port)
    waiting.close()


def plain_at(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/")
    finally:
        connection.close()


def test_an_unknown_fault_is_an_error_at_once(simulator):
    with pytest.raises(KeyError):
        simulator.fault_next("gremlins")


def test_a_server_without_a_provider_answers_nothing():
    with pytest.raises(NotImplementedError):
        LoopbackServer().answer(Request(method="GET", path="/", query={}, headers={}, body=b""))


@pytest.mark.parametrize(
    ("pairs", "nested"),
    [
        ([("a", "1")], {"a": "1"}),
        ([("a[b][c]", "1"), ("a[b][d]", "2")], {"a": {"b": {"c": "1", "d": "2"}}}),
        ([("a[]", "1"), ("a[]", "2")], {"a": ["1", "2"]}),
        ([("a[0][x]", "1"), ("a[1][x]", "2")], {"a": [{"x": "1"}, {"x": "2"}]}),
        ([("", "1")], {"": "1"}),
        ([("[]", "1")], {"0": "1"}),
    ],
)
def test_brackets_in_names_nest(pairs, nested):
    assert unbracket(pairs) == nested


def test_a_request_body_may_be_json_too(simulator):
    plain(simulator, "POST", "/v1/balance", body='{"a": [1]}')
    assert simulator.requests[-1].json() == {"a": [1]}
