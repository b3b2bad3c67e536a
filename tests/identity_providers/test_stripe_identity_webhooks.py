"""Webhooks of Stripe Identity: what wakes a case, and that everything else is refused in one way."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import WebhookRejected
from prepaid.core.instants import to_micros
from prepaid.gateways.signed import MAX_BODY
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.identity_providers.identity_world import KEY, NOW, WHSEC, begun, bound, configured

AT = to_micros(NOW) // 1_000_000
OTHER = "whsec_theOneBefore"
REFERENCE = "vs_1NotARealOne"


def provider_with(*secrets, at=NOW):
    return configured(webhook_secrets=secrets or (WHSEC,)).bind("test", MovableClock(at))


def session(**changes):
    return {"id": REFERENCE, "object": "identity.verification_session", "status": "verified", **changes}


def event_about(subject, *, event_type="identity.verification_session.verified", livemode=False, **changes):
    return {
        "id": "evt_1",
        "object": "event",
        "type": event_type,
        "livemode": livemode,
        "created": AT,
        "data": {"object": subject},
        **changes,
    }


def signed(content, *, secret=WHSEC, at=AT):
    """Sign with the SDK's own generator."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {"stripe-signature": stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)}, body


def parse(content, *, provider=None, **signing):
    (event,) = (provider or provider_with()).parse_webhook(*signed(content, **signing))
    return event


def rejected(headers, body, *, provider=None):
    with pytest.raises(WebhookRejected) as caught:
        (provider or provider_with()).parse_webhook(headers, body)
    assert WHSEC not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("word", ["created", "processing", "requires_input", "verified", "canceled", "redacted", "new"])
def test_every_event_of_a_session_names_it_and_nothing_else_of_it_is_read(word):
    event = parse(event_about(session(status="whatever"), event_type=f"identity.verification_session.{word}"))
    assert (event.event_id, event.reference) == ("evt_1", REFERENCE)


@pytest.mark.parametrize(
    ("subject", "event_type"),
    [
        ({"id": "pi_1", "object": "payment_intent"}, "payment_intent.succeeded"),
        ({"id": "vr_1", "object": "identity.verification_report"}, "identity.verification_report.verified"),
        ({"id": REFERENCE, "object": "payment_intent"}, "identity.verification_session.verified"),
        (session(), "payment_intent.succeeded"),
        (session(), "identity.verification_sessions.verified"),
        (session(id="vs_1/cancel"), "identity.verification_session.verified"),
        (session(id="vs_1_secret_x"), "identity.verification_session.verified"),
        (session(id=7), "identity.verification_session.verified"),
        (session(id=None), "identity.verification_session.verified"),
        (session(object=["identity.verification_session"]), "identity.verification_session.verified"),
        ({}, "identity.verification_session.verified"),
    ],
)
def test_an_event_about_anything_else_names_no_session(subject, event_type):
    event = parse(event_about(subject, event_type=event_type))
    assert (event.event_id, event.reference) == ("evt_1", None)


def test_the_same_webhook_tells_the_same_however_often_it_comes():
    provider, webhook = provider_with(), signed(event_about(session()))
    assert provider.parse_webhook(*webhook) == provider.parse_webhook(*webhook)


def test_what_the_simulator_signs_is_accepted_by_us_and_by_the_sdk():
    clock = MovableClock(NOW)
    with StripeSimulator(secret_key=KEY, clock=clock) as simulator:
        provider = bound(simulator, clock)
        reference = begun(provider)
        simulator.verify(reference)
        webhooks = simulator.webhooks(secret=WHSEC, at=NOW)
    assert len(webhooks) == 2
    for headers, body in webhooks:
        assert stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], WHSEC)
        assert provider.parse_webhook(headers, body)[0].reference == reference


def test_an_event_of_the_other_mode_is_told_apart():
    error = rejected(*signed(event_about(session(), livemode=True)))
    assert error.reason == "wrong-mode"
    live = configured(secret_key="sk_live_x").bind("live", MovableClock(NOW))
    assert parse(event_about(session(), livemode=True), provider=live).reference == REFERENCE
    assert rejected(*signed(event_about(session())), provider=live).reason == "wrong-mode"


def test_either_of_two_secrets_may_sign_while_one_replaces_the_other():
    for secret in (WHSEC, OTHER):
        assert parse(event_about(session()), provider=provider_with(WHSEC, OTHER), secret=secret)


@pytest.mark.parametrize("secret", ["whsec_", "x", WHSEC[:-1], OTHER])
def test_another_secret_is_refused(secret):
    assert rejected(*signed(event_about(session()), secret=secret)).reason == "not-genuine"


@pytest.mark.parametrize(("late_s", "accepted"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_signature_counts_for_five_minutes_either_way(late_s, accepted):
    provider, webhook = provider_with(at=NOW + timedelta(seconds=late_s)), signed(event_about(session()))
    if accepted:
        assert provider.parse_webhook(*webhook)
    else:
        rejected(*webhook, provider=provider)


def test_a_body_changed_by_one_byte_is_refused():
    headers, body = signed(event_about(session()))
    for at in range(0, len(body), 7):
        rejected(headers, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])


def test_a_missing_or_misshapen_signature_is_refused():
    _, body = signed(event_about(session()))
    for header in (None, "", "garbage", f"t={AT}", f"v1={'a' * 64}", f"t={AT},v1=", f"t={AT},v1={'a' * 64}", 7, b"t=1"):
        rejected({"stripe-signature": header}, body)
    rejected({}, body)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"{",
        b'{"object": "event"}',
        b'{"object": "event", "livemode": NaN}',
        event_about(session(), object="charge"),
        event_about(session(), livemode=0),
        event_about(None),
        event_about("vs_1"),
        {**event_about(session()), "data": None},
        event_about(session(), id=None),
        event_about(session(), id=""),
        event_about(session(), id="x" * 192),
        event_about(session(), event_type=None),
        event_about(session(), event_type="a\nb"),
        json.dumps(event_about(session())).replace('"id": "evt_1"', '"id": "evt_1", "id": "evt_2"').encode(),
        b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
    ids=lambda content: repr(content)[:40],
)
def test_a_signed_body_that_is_no_event_is_refused(content):
    rejected(*signed(content))


def test_a_body_beyond_the_limit_is_refused():
    longest = event_about(session(), padding="")
    longest["padding"] = "x" * (MAX_BODY - len(json.dumps(longest)))
    assert parse(longest).reference == REFERENCE
    longest["padding"] += "x"
    rejected(*signed(longest))


@given(st.text(max_size=80), st.binary(max_size=80))
def test_no_header_and_no_body_raises_anything_else(header, body):
    rejected({"stripe-signature": header}, body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda c: st.lists(c) | st.dictionaries(st.text(max_size=9), c),
        max_leaves=9,
    )
)
def test_no_signed_subject_raises_anything_else(subject):
    body = json.dumps(event_about(subject)).encode()
    try:
        assert parse(body).reference is None
    except WebhookRejected as refusal:
        assert refusal.reason == "not-genuine"  # noqa: PT017 - either is right
