"""The Stripe Identity adapter over a real socket: what is asked for, each status, and who is told what."""

from __future__ import annotations

import typing
from datetime import timedelta

import pytest
from stripe._stripe_object import UntypedStripeObject
from stripe.params.identity import _verification_session_create_params as create_params

from prepaid.identity_ports import IdentityProvider
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_shapes import faults_of
from tests.gateways.stripe_world import shorten_waits
from tests.identity_providers.identity_world import (
    BACK,
    CASE,
    CUSTOMER,
    EMAIL,
    KEY,
    NOW,
    WHSEC,
    a_request,
    begun,
    bound,
    configured,
    refused,
)


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


def posted(simulator):
    return [request for request in simulator.requests if request.method == "POST"]


def sessions(simulator):
    return simulator.all_of("identity.verification_session")


# A life


def test_a_customer_is_sent_to_stripes_page_checked_and_verified(provider, simulator, clock):
    assert isinstance(provider, IdentityProvider)
    session = provider.begin(a_request())
    assert session.reference.startswith("vs_")
    assert session.redirect_url == simulator.verification(session.reference)["url"]
    assert provider.fetch(session.reference).state == "pending"
    simulator.process(session.reference)
    assert provider.fetch(session.reference).state == "processing"
    simulator.verify(session.reference)
    result = provider.fetch(session.reference)
    assert (result.state, result.reason, result.mode) == ("verified", "", "test")
    assert (result.reference, result.case_id, result.customer_id) == (session.reference, CASE, CUSTOMER)
    assert result.decided_at is None
    told = [provider.parse_webhook(*webhook)[0] for webhook in simulator.webhooks(secret=WHSEC, at=clock.now())]
    assert [event.reference for event in told] == [session.reference] * 3
    assert len({event.event_id for event in told}) == 3


@pytest.mark.parametrize(
    "code",
    [
        "abandoned",
        "consent_declined",
        "country_not_supported",
        "device_not_supported",
        "document_expired",
        "document_type_not_supported",
        "document_unverified_other",
        "selfie_face_mismatch",
        "selfie_manipulated",
        "under_supported_age",
        "a_word_that_is_new",
    ],
)
def test_a_check_that_failed_says_why_and_waits_for_another_try(provider, simulator, code):
    session = provider.begin(a_request())
    simulator.process(session.reference)
    simulator.require_input(session.reference, code)
    result = provider.fetch(session.reference)
    assert (result.state, result.reason) == ("pending", code)
    page = provider.resume(session.reference)
    assert page.redirect_url not in {None, session.redirect_url}
    simulator.process(session.reference)
    assert (provider.fetch(session.reference).state, provider.fetch(session.reference).reason) == ("processing", "")
    simulator.verify(session.reference)
    assert (provider.fetch(session.reference).state, provider.fetch(session.reference).reason) == ("verified", "")


def test_a_check_that_failed_without_a_word_says_that_there_was_none(provider, simulator):
    reference = begun(provider)
    simulator.require_input(reference, None)
    assert provider.fetch(reference).reason == "unspecified"


def test_the_words_of_an_error_are_not_read(provider, simulator):
    reference = begun(provider)
    simulator.require_input(reference)
    assert "passport" in simulator.verification(reference)["last_error"]["reason"]
    assert "passport" not in repr(provider.fetch(reference))


def test_a_session_canceled_at_stripe_is_canceled_and_says_what_went_before(provider, simulator):
    reference = begun(provider)
    simulator.require_input(reference, "document_expired")
    simulator.cancel_verification(reference)
    result = provider.fetch(reference)
    assert (result.state, result.reason) == ("canceled", "document_expired")


def test_a_session_whose_data_was_deleted_names_nobody_any_more(provider, simulator):
    reference = begun(provider)
    simulator.verify(reference)
    simulator.redact(reference)
    result = provider.fetch(reference)
    assert (result.state, result.case_id, result.customer_id) == ("verified", None, None)


def test_a_customer_who_is_named_twice_has_to_be_the_same_one(provider, simulator):
    reference = begun(provider)
    simulator.rewrite_next(lambda session: session.update(client_reference_id="user-43"))
    assert provider.fetch(reference).customer_id is None
    simulator.rewrite_next(lambda session: session["metadata"].update(customer_id="user-43"))
    assert provider.fetch(reference).customer_id is None
    assert provider.fetch(reference).customer_id == CUSTOMER


def test_the_other_mode_is_reported_for_the_core_to_judge(provider, simulator):
    reference = begun(provider)
    simulator.fault_next("wrong-mode")
    assert provider.fetch(reference).mode == "live"


# What is asked for


def test_our_references_travel_with_the_session_and_nothing_is_expanded(provider, simulator):
    reference = begun(provider)
    provider.fetch(reference)
    provider.resume(reference)
    provider.cancel(reference)
    created = simulator.requests[0]
    assert created.form() == {
        "type": "document",
        "client_reference_id": CUSTOMER,
        "metadata": {"case_id": CASE, "customer_id": CUSTOMER, "env": "test"},
        "return_url": BACK,
        "provided_details": {"email": EMAIL},
    }
    assert created.headers["idempotency-key"] == a_request().key
    assert created.headers["stripe-version"] == "2026-10-28.endive"
    assert [(request.method, dict(request.query), request.body) for request in simulator.requests[1:]] == [
        ("GET", {}, b""),
        ("GET", {}, b""),
        ("POST", {}, b""),
    ]


def test_what_is_asked_of_a_document_is_as_configured(simulator, clock):
    provider = bound(
        simulator,
        clock,
        document_types=("passport", "id_card"),
        require_live_capture=True,
        require_matching_selfie=True,
    )
    reference = begun(provider, email="")
    assert simulator.requests[0].form()["options"] == {
        "document": {
            "allowed_types": ["passport", "id_card"],
            "require_live_capture": "true",
            "require_matching_selfie": "true",
        }
    }
    assert "provided_details" not in simulator.requests[0].form()
    assert simulator.verification(reference)["options"]["document"]["require_matching_selfie"] is True


@pytest.mark.parametrize("customer", ["x" * 191, "Ünïcödé käse 🧀", "a b", "0"])
def test_every_customer_id_that_may_be_is_echoed_as_it_is(provider, customer):
    assert provider.fetch(begun(provider, customer_id=customer)).customer_id == customer


def test_every_parameter_the_adapter_sends_is_one_the_sdk_declares(simulator, clock):
    begun(
        bound(simulator, clock, document_types=("passport",), require_live_capture=True, require_matching_selfie=True)
    )
    form = simulator.requests[0].form()
    document = form["options"]["document"]
    document |= {name: document[name] == "true" for name in ("require_live_capture", "require_matching_selfie")}
    names = {**vars(typing), **vars(create_params), "UntypedStripeObject": UntypedStripeObject}
    assert faults_of(form, create_params.VerificationSessionCreateParams, names) == []
    assert faults_of({**form, "type": "selfie"}, create_params.VerificationSessionCreateParams, names) != []
    assert faults_of({**form, "options": {"selfie": {}}}, create_params.VerificationSessionCreateParams, names) != []


def test_the_kinds_of_document_are_those_the_sdk_lists():
    from prepaid.identity_providers.stripe import DOCUMENT_TYPES

    hint = str(create_params.VerificationSessionCreateParamsOptionsDocument.__annotations__["allowed_types"])
    assert all(f"'{kind}'" in hint for kind in DOCUMENT_TYPES)


# The same again


def test_the_same_request_gives_the_same_session_with_a_fresh_page(provider, simulator):
    first, again = provider.begin(a_request()), provider.begin(a_request())
    assert again.reference == first.reference
    assert again.redirect_url not in {None, first.redirect_url}
    assert len(sessions(simulator)) == 1


def test_a_request_sent_again_after_the_customer_was_done_has_no_page(provider, simulator):
    first = provider.begin(a_request())
    for step in (simulator.process, simulator.verify):
        step(first.reference)
        again = provider.begin(a_request())
        assert (again.reference, again.redirect_url) == (first.reference, None)
        assert provider.resume(first.reference).redirect_url is None


def test_a_lost_answer_is_repaired_by_the_same_key_within_the_call(provider, simulator, quick_retries):
    simulator.fault_next("accept-then-drop")
    session = provider.begin(a_request())
    assert session.redirect_url
    assert len(posted(simulator)) == 2
    assert len(sessions(simulator)) == 1


def test_a_lost_answer_is_repaired_by_the_same_request_later(provider, simulator, quick_retries):
    simulator.fault_next("accept-then-drop", times=3)
    error = refused(provider.begin, a_request())
    assert (error.retryable, error.outcome_unknown) == (True, True)
    assert provider.fetch(begun(provider)).case_id == CASE
    assert len(sessions(simulator)) == 1


@pytest.mark.parametrize(
    ("fault", "retryable"), [("drop", True), ("html", True), ("429", True), ("500", True), ("wrong-id", True)]
)
def test_a_session_that_was_begun_and_cannot_be_looked_at_is_left_in_doubt(
    provider, simulator, quick_retries, fault, retryable
):
    begun(provider)
    simulator.fault_next(type(simulator).faults["slow"])
    simulator.fault_next(fault, times=3)
    error = refused(provider.begin, a_request())
    assert (error.retryable, error.outcome_unknown) == (retryable, True)
    if fault == "429":
        assert error.retry_after_s == 7


def test_another_request_under_the_same_key_is_refused(provider, simulator):
    begun(provider)
    error = refused(provider.begin, a_request(return_url="https://panel.example/elsewhere"))
    assert (error.code, error.retryable, error.outcome_unknown) == ("idempotency", False, True)
    assert len(sessions(simulator)) == 1


def test_stripe_forgets_a_key_after_a_day_so_that_a_case_goes_on_by_its_reference(provider, simulator, clock):
    first = begun(provider)
    clock.advance(hours=24)
    assert begun(provider) != first
    assert provider.resume(first).redirect_url


# Giving up


def test_a_session_that_waits_is_canceled_once(provider, simulator):
    reference = begun(provider)
    result = provider.cancel(reference)
    assert (result.state, result.case_id, result.customer_id) == ("canceled", CASE, CUSTOMER)
    assert provider.cancel(reference) == result
    assert simulator.verification(reference)["status"] == "canceled"


def test_a_session_that_is_checked_or_decided_is_left_as_it_is(provider, simulator):
    reference = begun(provider)
    simulator.process(reference)
    assert provider.cancel(reference).state == "processing"
    simulator.verify(reference)
    assert provider.cancel(reference).state == "verified"


def test_a_refusal_to_cancel_what_still_waits_is_told(provider, simulator):
    reference = begun(provider)
    body = {"error": {"type": "invalid_request_error", "message": "no"}}
    simulator.fault_next(refusing(body, 400))
    error = refused(provider.cancel, reference)
    assert (error.code, error.retryable, error.outcome_unknown) == ("invalid-request", False, False)
    assert provider.fetch(reference).state == "pending"


def refusing(body, status):
    from prepaid.testing.simulators.loopback import Answer, Fault

    return Fault(spoil=lambda answer: Answer.of_json(body, status=status), executed=False)


def test_a_lost_answer_to_a_cancellation_leaves_the_outcome_open(provider, simulator, quick_retries):
    reference = begun(provider)
    simulator.fault_next("accept-then-drop", times=3)
    error = refused(provider.cancel, reference)
    assert (error.retryable, error.outcome_unknown) == (True, True)
    assert provider.cancel(reference).state == "canceled"


def test_no_strange_reference_reaches_stripe(provider, simulator):
    for reference in ("", "vs_", "vs_1/cancel", "vs_1?expand[]=x", "vs_a_secret_b", "pi_1", None, 7, "vs_" + "x" * 181):
        for call in (provider.fetch, provider.cancel, provider.resume):
            assert refused(call, reference).code == "unknown-verification"
    assert simulator.requests == []


def test_payments_and_identities_are_served_by_one_simulator_and_one_key(provider, simulator, clock):
    from prepaid.gateways import StripeGateway

    gateway = StripeGateway(secret_key=KEY, webhook_secrets=(WHSEC,), api_base=simulator.url).bind("test", clock)
    assert gateway.check_credentials().ok
    reference = begun(provider)
    headers, body = simulator.webhook(
        "identity.verification_session.created", reference, secret=WHSEC, at=NOW + timedelta(seconds=1)
    )
    (event,) = gateway.parse_webhook(headers, body)
    assert event.kind == "ignored"
    assert configured().binding is None
