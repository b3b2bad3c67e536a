"""VerificationSessions of the Stripe simulator against what nobody here made: the types and errors of Stripe's SDK."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
import stripe
import stripe.identity
from stripe.params.identity import _verification_session_create_params as create_params

from prepaid.system import SystemClock
from prepaid.testing.clock import START as NOW
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_shapes import flattened, plain, unlike

KEY = "sk_test_51"
PATH = "/v1/identity/verification_sessions"
DOCUMENT = {"allowed_types": ["passport"], "require_live_capture": True, "require_matching_selfie": True}
VALID = {
    "type": "document",
    "client_reference_id": "user-42",
    "metadata": {"case_id": "idc_1"},
    "options": {"document": DOCUMENT},
    "provided_details": {"email": "ada@example.com"},
    "return_url": "https://panel.example/back",
}
HAPPENINGS = [
    lambda sim, at: None,
    StripeSimulator.process,
    StripeSimulator.verify,
    StripeSimulator.require_input,
    lambda sim, at: sim.require_input(at, None),
    lambda sim, at: (sim.process(at), sim.require_input(at, "consent_declined")),
    lambda sim, at: (sim.require_input(at), sim.process(at), sim.verify(at)),
    StripeSimulator.cancel_verification,
    StripeSimulator.redact,
    lambda sim, at: (sim.verify(at), sim.redact(at)),
]


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
    return client.v1.identity.verification_sessions


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_sessions_have_the_shape_of_the_sdks_type(simulator, sessions, happening):
    created = sessions.create(VALID)
    assert unlike(created.to_dict(), stripe.identity.VerificationSession) == []
    happening(simulator, created.id)
    assert unlike(sessions.retrieve(created.id).to_dict(), stripe.identity.VerificationSession) == []


def test_every_field_of_the_sdks_type_is_there_but_what_is_expanded_or_not_asked_for(sessions):
    declared = {name for name in stripe.identity.VerificationSession.__annotations__ if name != "OBJECT_NAME"}
    missing = declared - set(sessions.create(VALID).to_dict())
    assert missing == {"related_customer_account", "related_person", "verification_flow", "verified_outputs"}


def test_the_comparison_finds_an_unknown_field_a_wrong_type_and_an_unlisted_word(simulator, sessions):
    seen = sessions.create(VALID).to_dict()
    simulator.require_input(seen["id"])
    seen = sessions.retrieve(seen["id"]).to_dict()
    for place, change in (
        (seen, {"amount": 5}),
        (seen, {"status": "rejected"}),
        (seen, {"livemode": "false"}),
        (seen, {"created": 5.0}),
        (seen["last_error"], {"code": "no_such_code"}),
        (seen["options"]["document"], {"allowed_types": ["library_card"]}),
    ):
        before = dict(place)
        place.update(change)
        assert unlike(seen, stripe.identity.VerificationSession) != []
        place.clear()
        place.update(before)
    assert unlike(seen, stripe.identity.VerificationSession) == []


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_webhooks_are_events_that_the_sdk_accepts(simulator, sessions, client, happening):
    happening(simulator, sessions.create(VALID).id)
    at = SystemClock().now()  # the SDK's verifier knows no other clock
    webhooks = simulator.webhooks(secret="whsec_x", at=at)
    assert webhooks
    for headers, body in webhooks:
        event = client.construct_event(body, headers["stripe-signature"], "whsec_x").to_dict()
        subject = event["data"].pop("object")
        assert unlike(event | {"data": {"object": {}}}, stripe.Event) == []
        assert unlike(subject, stripe.identity.VerificationSession) == []
        assert event["type"].startswith("identity.verification_session.")


def test_a_page_opens_once_so_that_a_look_gives_a_fresh_one_while_the_session_waits(simulator, sessions):
    created = sessions.create(VALID)
    first, second = sessions.retrieve(created.id), sessions.retrieve(created.id)
    assert len({created.url, first.url, second.url}) == len({created.client_secret, first.client_secret}) + 1 == 3
    assert created.client_secret.startswith(f"{created.id}_secret_")
    simulator.process(created.id)
    seen = sessions.retrieve(created.id)
    assert (seen.url, seen.client_secret) == (None, None)


@pytest.mark.parametrize(
    ("happening", "status"),
    [
        (StripeSimulator.process, "processing"),
        (StripeSimulator.verify, "verified"),
        (StripeSimulator.cancel_verification, "canceled"),
    ],
)
def test_only_a_session_that_waits_can_be_canceled(simulator, sessions, happening, status):
    session_id = sessions.create(VALID).id
    happening(simulator, session_id)
    with pytest.raises(stripe.InvalidRequestError):
        sessions.cancel(session_id)
    assert sessions.retrieve(session_id).status == status
    waiting = sessions.create(VALID).id
    assert sessions.cancel(waiting).status == "canceled"


def test_an_act_that_comes_too_late_is_a_mistake_of_the_test(simulator, sessions):
    session_id = sessions.create(VALID).id
    simulator.verify(session_id)
    for act in (simulator.process, simulator.require_input, simulator.verify, simulator.cancel_verification):
        with pytest.raises(ValueError, match="verified"):
            act(session_id)


def test_a_key_gives_the_same_session_and_no_other_content(sessions):
    first = sessions.create(VALID, {"idempotency_key": "k"})
    assert sessions.create(VALID, {"idempotency_key": "k"}).to_dict() == first.to_dict()
    with pytest.raises(stripe.IdempotencyError):
        sessions.create({**VALID, "client_reference_id": "other"}, {"idempotency_key": "k"})
    assert sessions.create(VALID, {"idempotency_key": "k2"}).id != first.id


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"type": "selfie"}, "type"),
        ({"type": ""}, "type"),
        ({"return_url": "panel.example"}, "return_url"),
        ({"client_reference_id": "x" * 5001}, "client_reference_id"),
        ({"provided_details": {"email": "ada"}}, "provided_details[email]"),
        ({"provided_details": {"name": "Ada"}}, "provided_details.name"),
        ({"options": {"document": {"allowed_types": ["library_card"]}}}, "options[document][allowed_types]"),
        ({"options": {"document": {"require_live_capture": "yes"}}}, "options[document][require_live_capture]"),
        ({"options": {"document": {"require_age": True}}}, "options.document.require_age"),
        ({"options": {"selfie": {"required": True}}}, "options.selfie.required"),
        ({"metadata": {"k": "x" * 501}}, "metadata"),
        ({"metadata": {"k" * 41: "x"}}, "metadata"),
        ({"metadata": {f"k{n}": "x" for n in range(51)}}, "metadata"),
        ({"locale": "de"}, "locale"),
        ({"amount": 5}, "amount"),
    ],
)
def test_what_stripe_does_not_take_is_refused_by_its_name(simulator, sessions, changes, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sessions.create({**VALID, **changes})
    assert (caught.value.http_status, caught.value.param) == (400, param)
    assert simulator.all_of("identity.verification_session") == []


@pytest.mark.parametrize("limit", [{"metadata": {"k" * 40: "x" * 500}}, {"client_reference_id": "x" * 5000}])
def test_what_stripe_just_takes_is_taken(sessions, limit):
    created = sessions.create({**VALID, **limit}).to_dict()
    assert all(created[name] == value for name, value in limit.items())


def test_a_type_has_to_be_named(simulator):
    status, _, content = plain(simulator, "POST", PATH, body=urlencode([("return_url", "https://panel.example")]))
    assert (status, content["error"]["param"]) == (400, "type")


def test_a_session_is_created_without_the_sdk_too(simulator):
    form = {**VALID, "options": {"document": {"allowed_types": ["passport"], "require_live_capture": "true"}}}
    status, headers, content = plain(simulator, "POST", PATH, body=urlencode(list(flattened(form))))
    assert (status, content["status"]) == (200, "requires_input")
    assert headers["Request-Id"].startswith("req_")
    assert content["options"] == {"document": {"allowed_types": ["passport"], "require_live_capture": True}}


@pytest.mark.parametrize("expand", ["verified_outputs", "last_verification_report"])
def test_nothing_of_a_document_can_be_expanded(simulator, sessions, expand):
    session_id = sessions.create(VALID).id
    simulator.verify(session_id)
    with pytest.raises(stripe.InvalidRequestError):
        sessions.retrieve(session_id, {"expand": [expand]})


def test_an_unknown_session_is_not_there(sessions):
    for call in (sessions.retrieve, sessions.cancel):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call("vs_unknown")
        assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


def test_another_key_is_refused(simulator):
    client = stripe.StripeClient("sk_test_other", base_addresses={"api": simulator.url}, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError):
        client.v1.identity.verification_sessions.create(VALID)


def test_an_account_with_a_live_key_has_live_sessions(clock):
    with StripeSimulator(secret_key="sk_live_1", clock=clock) as simulator:
        client = stripe.StripeClient("sk_live_1", base_addresses={"api": simulator.url})
        created = client.v1.identity.verification_sessions.create(VALID)
        assert created.livemode is True
        assert simulator.verification(created.id)["livemode"] is True


def test_the_parameters_that_are_taken_are_among_those_the_sdk_declares():
    from prepaid.testing.simulators.stripe_identity import _PARAMETERS

    declared = set(create_params.VerificationSessionCreateParams.__annotations__)
    assert {name.partition(".")[0] for name in _PARAMETERS} <= declared
    document = set(create_params.VerificationSessionCreateParamsOptionsDocument.__annotations__)
    assert {name.rpartition(".")[2] for name in _PARAMETERS if name.startswith("options.")} == document
