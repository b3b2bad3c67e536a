"""Forms, refunds, disputes, lists and events of the Stripe simulator, against the types of Stripe's own SDK."""

from __future__ import annotations

import sys
import typing
from datetime import timedelta
from urllib.parse import urlencode

import pytest
import stripe
import stripe.checkout
from stripe._stripe_object import UntypedStripeObject
from stripe.params import _payment_intent_cancel_params as cancel_params
from stripe.params import _payment_intent_capture_params as capture_params
from stripe.params import _payment_intent_create_params as intent_params
from stripe.params import _refund_create_params as refund_params

from prepaid.core.money import Money
from prepaid.gateways import StripeGateway
from prepaid.ports import CheckoutRequest, PaymentRef, RefundRequest
from prepaid.system import SystemClock
from prepaid.testing.clock import START as NOW
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_shapes import FORM, HAPPENINGS, KEY, VALID, faults_of, flattened, plain, unlike


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


@pytest.fixture
def intents(client):
    return client.v1.payment_intents


FORM_HAPPENINGS = [
    *(happening for happening in HAPPENINGS if happening is not StripeSimulator.expire),
    StripeSimulator.challenge,
]


@pytest.mark.parametrize("happening", FORM_HAPPENINGS)
def test_payments_of_forms_have_the_shape_of_the_sdks_type(simulator, intents, happening):
    intent_id = intents.create({**FORM, "metadata": {"a": "b"}, "description": "Credit"}).id
    happening(simulator, intent_id)
    seen = intents.retrieve(intent_id, {"expand": ["latest_charge.balance_transaction"]}).to_dict()
    assert unlike(seen, stripe.PaymentIntent) == []
    assert unlike(intents.retrieve(intent_id).to_dict(), stripe.PaymentIntent) == []
    assert simulator.session(intent_id) == seen


def test_refunds_have_the_shape_of_the_sdks_type_in_every_state(simulator, client, intents):
    intent_id = intents.create(FORM).id
    simulator.pay(intent_id)
    refund = client.v1.refunds.create({"payment_intent": intent_id, "amount": 5, "metadata": {"a": "b"}})
    for status in ("pending", "requires_action", "succeeded", "failed", "canceled"):
        simulator.settle_refund(refund.id, status)
        seen = client.v1.refunds.retrieve(refund.id, {"expand": ["payment_intent", "charge", "balance_transaction"]})
        assert seen.status == status
        assert unlike(seen.to_dict(), stripe.Refund) == []
    later = simulator.refund(intent_id, 7, status="pending")
    assert unlike(client.v1.refunds.retrieve(later).to_dict(), stripe.Refund) == []
    assert client.v1.refunds.retrieve(later).pending_reason == "processing"


DISPUTED = (
    "warning_needs_response warning_under_review warning_closed needs_response under_review appeal_needs_response "
    "appeal_under_review won lost prevented".split()
)


def test_disputes_have_the_shape_of_the_sdks_type_in_every_state(simulator, client, intents):
    intent_id = intents.create(FORM).id
    simulator.pay(intent_id)
    listed = stripe.Dispute.__annotations__["status"]
    for status in DISPUTED:
        dispute_id = simulator.dispute(intent_id, amount=5, reason="general")
        simulator.advance_dispute(dispute_id, status, returns_fee=True)
        seen = client.v1.disputes.retrieve(dispute_id, {"expand": ["payment_intent", "charge"]}).to_dict()
        assert seen["status"] == status
        assert unlike(seen, stripe.Dispute) == []
        assert status in str(listed)


@pytest.mark.parametrize(
    ("path", "moved"),
    [
        (("needs_response", "won"), [-2000, 2000]),
        (("needs_response", "under_review", "lost"), [-2000]),
        (("warning_needs_response", "warning_closed"), []),
        (("warning_needs_response", "needs_response", "won"), [-2000, 2000]),
        (("warning_needs_response", "prevented"), []),
        (("warning_needs_response", "lost"), [-2000]),
    ],
)
def test_a_dispute_takes_the_money_once_and_gives_it_back_when_won(simulator, client, intents, path, moved):
    intent_id = intents.create(FORM).id
    simulator.pay(intent_id)
    dispute_id = simulator.dispute(intent_id, status=path[0])
    for status in path[1:]:
        simulator.advance_dispute(dispute_id, status)
    dispute = client.v1.disputes.retrieve(dispute_id)
    assert [entry.amount for entry in dispute.balance_transactions] == moved
    assert [entry.fee for entry in dispute.balance_transactions] == [1500, 0][: len(moved)]
    assert all(entry.net == entry.amount - entry.fee for entry in dispute.balance_transactions)


def test_what_is_left_of_a_charge_follows_its_refunds(simulator, client, intents):
    intent_id = intents.create(FORM).id
    simulator.pay(intent_id)
    first = client.v1.refunds.create({"payment_intent": intent_id, "amount": 1500})
    charge = lambda: simulator.session(intent_id)["latest_charge"]  # noqa: E731
    assert (charge()["amount_refunded"], charge()["refunded"]) == (1500, False)
    rest = client.v1.refunds.create({"charge": charge()["id"], "reason": "duplicate"})
    assert (rest.amount, rest.reason, charge()["refunded"]) == (500, "duplicate", True)
    simulator.settle_refund(first.id, "failed", reason="declined")
    simulator.settle_refund(first.id, "failed", reason="declined")
    assert (charge()["amount_refunded"], charge()["refunded"]) == (500, False)


def with_refund(simulator, intent_id):
    simulator.pay(intent_id)
    return simulator.refund(intent_id, 5)


def with_dispute(simulator, intent_id):
    simulator.pay(intent_id)
    return simulator.dispute(intent_id)


@pytest.mark.parametrize(
    ("event_type", "happening", "kind"),
    [
        ("payment_intent.processing", StripeSimulator.complete_later, stripe.PaymentIntent),
        ("payment_intent.canceled", StripeSimulator.cancel_payment, stripe.PaymentIntent),
        ("charge.succeeded", StripeSimulator.pay, stripe.Charge),
        ("charge.refunded", with_refund, stripe.Charge),
        ("refund.created", with_refund, stripe.Refund),
        ("refund.updated", with_refund, stripe.Refund),
        ("refund.failed", with_refund, stripe.Refund),
        ("charge.refund.updated", with_refund, stripe.Refund),
        ("charge.dispute.created", with_dispute, stripe.Dispute),
        ("charge.dispute.updated", with_dispute, stripe.Dispute),
        ("charge.dispute.closed", with_dispute, stripe.Dispute),
        ("charge.dispute.funds_withdrawn", with_dispute, stripe.Dispute),
        ("charge.dispute.funds_reinstated", with_dispute, stripe.Dispute),
    ],
)
def test_a_webhook_can_be_made_about_any_object(simulator, client, intents, event_type, happening, kind):
    intent_id = intents.create(FORM).id
    made = happening(simulator, intent_id)
    about = made if kind in {stripe.Refund, stripe.Dispute} else intent_id
    headers, body = simulator.webhook(event_type, about, secret="whsec_x", at=SystemClock().now())
    event = client.construct_event(body, headers["stripe-signature"], "whsec_x").to_dict()
    subject = event["data"].pop("object")
    assert unlike(event | {"data": {"object": {}}}, stripe.Event) == []
    assert unlike(subject, kind) == []
    assert (event["type"], event["livemode"]) == (event_type, False)


def test_everything_that_happens_is_told_in_order_as_the_sdk_knows_it(simulator, client, sessions, intents):
    session_id, intent_id = sessions.create(VALID).id, intents.create(FORM).id
    lapsing = sessions.create(VALID).id
    simulator.decline(session_id)
    simulator.complete_later(session_id)
    simulator.succeed(session_id)
    simulator.challenge(intent_id)
    simulator.pay(intent_id)
    refund_id = simulator.refund(intent_id, 5)
    simulator.settle_refund(refund_id, "failed")
    simulator.advance_dispute(simulator.dispute(intent_id), "won")
    simulator.expire(lapsing)
    webhooks = simulator.webhooks(secret="whsec_x", at=SystemClock().now())
    events = [client.construct_event(body, headers["stripe-signature"], "whsec_x") for headers, body in webhooks]
    assert [event.type for event in events] == [
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "checkout.session.completed",
        "payment_intent.succeeded",
        "checkout.session.async_payment_succeeded",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
        "refund.created",
        "charge.refunded",
        "refund.failed",
        "charge.refund.updated",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
        "checkout.session.expired",
    ]
    known = str(stripe.Event.__annotations__["type"])
    assert all(f'"{event.type}"' in known or f"'{event.type}'" in known for event in events)
    for event in events:
        about = event.to_dict()["data"]["object"]
        kinds = {"payment_intent": "PaymentIntent", "charge": "Charge", "refund": "Refund", "dispute": "Dispute"}
        kind = stripe.checkout.Session if "session" in about["object"] else getattr(stripe, kinds[about["object"]])
        assert unlike(about, kind) == []


def test_every_parameter_of_forms_captures_and_refunds_is_one_the_sdk_declares(simulator, clock):
    gateway = StripeGateway(
        secret_key=KEY,
        webhook_secrets=("whsec_x",),
        publishable_key="pk_test_x",
        flow="payment_intent",
        api_base=simulator.url,
    ).bind("test", clock)
    amount = Money.of("50.00", "EUR")
    checkout = gateway.create_checkout(
        CheckoutRequest(
            topup_id="top_1",
            amount=amount,
            description="Credit",
            return_url="https://panel.example/back",
            cancel_url="https://panel.example/",
            customer_id="user-42",
            expires_at=NOW + timedelta(hours=1),
            key="k",
        )
    )
    payment = PaymentRef(topup_id="top_1", checkout_id=checkout.checkout_id, payment_id=checkout.checkout_id)
    simulator.authorise(checkout.checkout_id)
    gateway.capture(payment, amount, key="c")
    gateway.refund(RefundRequest(refund_id="ref_1", payment=payment, amount=amount, key="r", reason="unused"))
    gateway.cancel(payment)
    kinds = {
        "/v1/payment_intents": intent_params.PaymentIntentCreateParams,
        "capture": capture_params.PaymentIntentCaptureParams,
        "/v1/refunds": refund_params.RefundCreateParams,
        "cancel": cancel_params.PaymentIntentCancelParams,
    }
    seen = set()
    for request in (request for request in simulator.requests if request.method == "POST"):
        name = request.path if request.path in kinds else request.path.rpartition("/")[2]
        form = request.form()
        form |= {number: int(form[number]) for number in ("amount", "amount_to_capture") if number in form}
        if "automatic_payment_methods" in form:
            form["automatic_payment_methods"] = {"enabled": form["automatic_payment_methods"]["enabled"] == "true"}
        names = {
            **vars(typing),
            **vars(sys.modules[kinds[name].__module__]),
            "UntypedStripeObject": UntypedStripeObject,
        }
        assert faults_of(form, kinds[name], names) == []
        assert faults_of({**form, "ammount": 5}, kinds[name], names) != []
        seen.add(name)
    assert seen == set(kinds)


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("payment_intents", {**FORM, "payment_method_types": ["card"]}, "parameter_unknown"),
        ("payment_intents", {"amount": 2000}, "parameter_missing"),
        ("payment_intents", {"currency": "usd"}, "parameter_missing"),
        ("payment_intents", {**FORM, "amount": 0}, "parameter_invalid_integer"),
        ("payment_intents", {**FORM, "amount": "5.5"}, "parameter_invalid_integer"),
        ("payment_intents", {**FORM, "amount": 49}, "amount_too_small"),
        ("payment_intents", {**FORM, "amount": 100_000_000}, "amount_too_large"),
        ("payment_intents", {**FORM, "currency": "isk", "amount": 550}, "parameter_invalid_integer"),
        ("payment_intents/PAID/capture", {}, "payment_intent_unexpected_state"),
        ("payment_intents/PAID/cancel", {}, "payment_intent_unexpected_state"),
        ("payment_intents/PAID/cancel", {"why": "x"}, "parameter_unknown"),
        ("payment_intents/HELD/capture", {"amount_to_capture": 2001}, "amount_too_large"),
        ("payment_intents/HELD/capture", {"amount_to_capture": 0}, "parameter_invalid_integer"),
        ("refunds", {"payment_intent": "PAID", "amount": 2001}, None),
        ("refunds", {"payment_intent": "PAID", "amount": 0}, "parameter_invalid_integer"),
        ("refunds", {"payment_intent": "PAID", "amount": -1}, "parameter_invalid_integer"),
        ("refunds", {"payment_intent": "PAID", "reason": "unused"}, None),
        ("refunds", {"payment_intent": "PAID", "currency": "usd"}, "parameter_unknown"),
        ("refunds", {"payment_intent": "HELD"}, "payment_intent_unexpected_state"),
        ("refunds", {"payment_intent": "GONE"}, "charge_already_refunded"),
        ("refunds", {"payment_intent": "DISPUTED"}, "charge_disputed"),
        ("refunds", {}, None),
    ],
)
def test_a_payment_or_refund_that_stripe_would_refuse_is_refused(simulator, intents, path, params, code):
    made = {name: intents.create(FORM).id for name in ("PAID", "HELD", "GONE", "DISPUTED")}
    simulator.authorise(made["HELD"])
    for name in ("PAID", "GONE", "DISPUTED"):
        simulator.pay(made[name])
    simulator.refund(made["GONE"], 2000)
    simulator.dispute(made["DISPUTED"])
    for name, intent_id in made.items():
        path = path.replace(name, intent_id)
        params = {key: intent_id if value == name else value for key, value in params.items()}
    status, _, body = plain(simulator, "POST", f"/v1/{path}", body=urlencode(list(flattened(params))))
    assert (status, body["error"].get("code")) == (400, code)


def test_the_payment_of_a_session_is_canceled_by_expiring_the_session(simulator, sessions, intents):
    session_id = sessions.create(VALID).id
    simulator.decline(session_id)
    with pytest.raises(stripe.InvalidRequestError, match="canceled"):
        intents.cancel(sessions.retrieve(session_id).payment_intent)


def test_less_than_was_authorised_may_be_captured_and_the_rest_is_let_go(simulator, sessions, intents):
    session_id = sessions.create(VALID).id
    simulator.authorise(session_id)
    intent = intents.capture(sessions.retrieve(session_id).payment_intent, {"amount_to_capture": 500})
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 500, 0)
    assert sessions.retrieve(session_id).payment_status == "paid"


def test_a_repeated_refund_under_one_key_is_one_refund(simulator, client, intents):
    intent_id = intents.create(FORM).id
    simulator.pay(intent_id)
    params = {"payment_intent": intent_id, "amount": 5}
    ids = {client.v1.refunds.create(params, {"idempotency_key": "k"}).id for _ in range(3)}
    assert len(ids) == len(simulator.all_of("refund")) == 1


@pytest.mark.parametrize("kind", ["payment_intents", "refunds", "disputes"])
def test_other_objects_are_listed_by_time_and_payment_in_pages(simulator, client, intents, clock, kind):
    service = getattr(client.v1, kind)
    made = []
    for _ in range(5):
        intent_id = intents.create(FORM).id
        simulator.pay(intent_id)
        refund_id = simulator.refund(intent_id, 5)
        made.append(
            {"payment_intents": intent_id, "refunds": refund_id, "disputes": simulator.dispute(intent_id)}[kind]
        )
        clock.advance(seconds=1)
    start = int(NOW.timestamp())
    assert [found.id for found in service.list({"limit": 2}).auto_paging_iter()] == made[::-1]
    for created, expected in (
        ({"gte": start + 1, "lt": start + 3}, made[1:3]),
        ({"gt": start + 1, "lte": start + 3}, made[2:4]),
        (start + 4, made[4:]),
    ):
        assert [found.id for found in service.list({"created": created}).data] == expected[::-1]
    if kind != "payment_intents":
        assert [found.id for found in service.list({"payment_intent": intent_id}).data] == made[-1:]
        seen = service.list({"expand": ["data.payment_intent"]}).data[0]
        assert seen.payment_intent.id == intent_id


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=101", 400),
        ("limit=0", 400),
        ("limit=x", 400),
        ("page=2", 400),
        ("starting_after=re_x", 404),
        ("created[near]=5", 400),
    ],
)
def test_a_list_that_stripe_would_refuse_is_refused(simulator, query, status):
    assert plain(simulator, "GET", f"/v1/refunds?{query}")[0] == status
