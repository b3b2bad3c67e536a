"""Webhooks of Stripe: what wakes a settlement, and that everything else is refused in one way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import WebhookRejected
from prepaid.gateways import StripeGateway
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator

AT = 1795320000
NOW = datetime.fromtimestamp(AT, UTC)
SECRET = "whsec_made_up_secret"
OTHER = "whsec_the_one_before"
TOPUP = "top_01m82v7m000000000000000000"
SESSION_ID = "cs_test_a1"


def bound(*secrets, at=NOW):
    gateway = StripeGateway(secret_key="sk_test_x", webhook_secrets=secrets or (SECRET,))
    return gateway.bind("test", MovableClock(at))


def event_about(subject, *, event_type="checkout.session.completed", livemode=False, **changes):
    return {
        "id": "evt_1",
        "object": "event",
        "type": event_type,
        "livemode": livemode,
        "created": AT,
        "data": {"object": subject},
        **changes,
    }


def session(**changes):
    return {
        "id": SESSION_ID,
        "object": "checkout.session",
        "client_reference_id": TOPUP,
        "metadata": {"topup_id": TOPUP},
        "amount_total": 1,
        **changes,
    }


def header_of(body, *, secret=SECRET, at=AT):
    """Sign with the SDK's own generator."""
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)


def parse(content, *, gateway=None, **signing):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    (event,) = (gateway or bound()).parse_webhook({"stripe-signature": header_of(body, **signing)}, body)
    return event


def rejected(headers, body, *, gateway=None):
    with pytest.raises(WebhookRejected) as caught:
        (gateway or bound()).parse_webhook(headers, body)
    assert SECRET not in str(caught.value)
    return caught.value


# Signature


def test_the_published_vector_is_accepted_up_to_its_missing_object():
    body = (
        b'{"id":"evt_test_1","object":"event","type":"checkout.session.completed",'
        b'"livemode":false,"created":1795320000}'
    )
    v1 = "8d3d3ba1d3de316f5d1380ffb025d83cd99f21f6bbf3b57ccdf841ee977edb4d"
    assert "about nothing" in str(rejected({"stripe-signature": f"t={AT},v1={v1}"}, body))
    assert "not signed" in str(rejected({"stripe-signature": f"t={AT},v1={v1[:-1]}e"}, body))


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=10)), st.integers(AT - 300, AT + 300))
def test_what_the_sdk_signs_is_accepted(metadata, at):
    content = event_about(session(metadata={**metadata, "topup_id": TOPUP}))
    assert parse(content, at=at).checkout_id == SESSION_ID


def test_what_the_simulator_signs_is_accepted_by_us_and_by_the_sdk():
    clock = MovableClock(NOW)
    with StripeSimulator(secret_key="sk_test_x", clock=clock) as simulator:
        gateway = StripeGateway(secret_key="sk_test_x", webhook_secrets=(SECRET,), api_base=simulator.url)
        made = create(gateway.bind("test", clock))
        headers, body = simulator.webhook("checkout.session.completed", made.checkout_id, secret=SECRET, at=NOW)
    assert stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], SECRET)
    (event,) = bound().parse_webhook(headers, body)
    assert (event.kind, event.checkout_id, event.topup_id) == ("payment", made.checkout_id, TOPUP)


def create(gateway):
    from prepaid.core.money import Money
    from prepaid.ports import CheckoutRequest

    return gateway.create_checkout(
        CheckoutRequest(
            topup_id=TOPUP,
            amount=Money.of("5.00", "EUR"),
            description="Credit",
            return_url="https://panel.example/back",
            cancel_url="https://panel.example/",
            customer_id="user-42",
            expires_at=NOW + timedelta(hours=1),
            key="k",
        )
    )


def test_either_of_two_secrets_may_sign_while_one_replaces_the_other():
    for secret in (SECRET, OTHER):
        assert parse(event_about(session()), gateway=bound(SECRET, OTHER), secret=secret)


def test_one_matching_signature_of_several_is_enough():
    body = json.dumps(event_about(session())).encode()
    ours, theirs = header_of(body), header_of(body, secret=OTHER)
    both = f"{theirs},{ours.partition(',')[2]}"
    assert bound().parse_webhook({"stripe-signature": both}, body)
    assert bound().parse_webhook({"stripe-signature": f"{ours},v0={'0' * 64}"}, body)


def test_a_body_changed_by_one_byte_is_refused():
    body = json.dumps(event_about(session())).encode()
    for at in range(0, len(body), 7):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        rejected({"stripe-signature": header_of(body)}, changed)


def test_a_body_that_a_framework_wrote_anew_is_refused():
    body = json.dumps(event_about(session())).encode()
    rejected({"stripe-signature": header_of(body)}, json.dumps(json.loads(body), indent=2).encode())


GOOD = f"t={AT},v1={'a' * 64}"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "garbage",
        ",",
        "=",
        "t=",
        "t=,v1=",
        f"t={AT}",
        f"v1={'a' * 64}",
        f"t={AT},v0={'a' * 64}",
        f"t={AT},v1=",
        f"t={AT},v1={'a' * 63}",
        f"t={AT},v1={'A' * 64}",
        f"t={AT},v1={'é' * 64}",
        f"t=x,v1={'a' * 64}",
        f"t=-{AT},v1={'a' * 64}",
        f"t={AT}.5,v1={'a' * 64}",
        f"t={'9' * 5000},v1={'a' * 64}",
        f"t={'9' * 13},v1={'a' * 64}",
        f"t=\uff11\uff17\uff19\uff15,v1={'a' * 64}",
        f"t={AT},t={AT},v1={'a' * 64}",
        GOOD,
        GOOD + ",v1=" + "b" * 64,
        "t=1," + "v1=a," * 100_000,
        "\x00",
        "t=\ud800",
        7,
        b"t=1,v1=2",
        ["t=1"],
    ],
    ids=lambda header: repr(header)[:30],
)
def test_any_other_header_is_refused(header):
    body = json.dumps(event_about(session())).encode()
    rejected({"stripe-signature": header}, body)


def test_a_missing_header_is_refused():
    rejected({}, b"{}")
    rejected({"x-razorpay-signature": "a" * 64}, b"{}")


@given(st.text(max_size=80), st.binary(max_size=80))
def test_no_header_and_no_body_raises_anything_else(header, body):
    rejected({"stripe-signature": header}, body)


@pytest.mark.parametrize("secret", ["whsec_", "x", "whsec_made_up_secre", "made_up_secret", OTHER])
def test_another_secret_is_refused(secret):
    with pytest.raises(WebhookRejected, match="not signed"):
        parse(event_about(session()), secret=secret)


@pytest.mark.parametrize("apart_s", [-300, -1, 0, 1, 300])
def test_a_signature_is_good_for_five_minutes_either_way(apart_s):
    assert parse(event_about(session()), gateway=bound(at=NOW + timedelta(seconds=apart_s)))


@pytest.mark.parametrize("apart_s", [-86_400, -301, 301, 86_400 * 90])
def test_a_stale_or_early_signature_is_refused(apart_s):
    with pytest.raises(WebhookRejected, match="time"):
        parse(event_about(session()), gateway=bound(at=NOW + timedelta(seconds=apart_s)))


def test_the_signature_is_judged_before_the_time():
    body = json.dumps(event_about(session())).encode()
    headers = {"stripe-signature": header_of(body, secret=OTHER, at=1)}
    assert "not signed" in str(rejected(headers, body))


# Content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"7",
        b"[]",
        b'[{"object":"event"}]',
        b'"event"',
        b"{",
        b"{}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999999999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1,"a":2}',
        b'{"object":"event","object":"event"}',
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":"\\ud800"}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_signed_body_that_is_no_event_is_refused(body):
    rejected({"stripe-signature": header_of(body)}, body)


def test_a_body_that_is_not_utf_8_is_refused():
    rejected({"stripe-signature": GOOD}, b"\xff\xfe{}")


@pytest.mark.parametrize(
    "changes",
    [
        {"object": "charge"},
        {"object": None},
        {"livemode": True},
        {"livemode": None},
        {"livemode": 0},
        {"livemode": "false"},
        {"data": None},
        {"data": []},
        {"data": {}},
        {"data": {"object": None}},
        {"data": {"object": "cs_test_a1"}},
        {"id": None},
        {"id": ""},
        {"id": 7},
        {"id": "x" * 256},
        {"id": "evt\n1"},
        {"type": None},
        {"type": ""},
        {"type": ["x"]},
    ],
)
def test_an_event_of_another_mode_or_without_its_fields_is_refused(changes):
    with pytest.raises(WebhookRejected):
        parse(event_about(session()) | changes)


def test_a_live_gateway_refuses_test_events():
    live = StripeGateway(secret_key="sk_live_x", webhook_secrets=(SECRET,)).bind("live", MovableClock(NOW))
    assert parse(event_about(session(), livemode=True), gateway=live).mode == "live"
    with pytest.raises(WebhookRejected, match="live"):
        parse(event_about(session()), gateway=live)


@pytest.mark.parametrize(
    "event_type",
    [
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    ],
)
def test_an_event_about_a_session_names_the_session_and_the_topup(event_type):
    event = parse(event_about(session(), event_type=event_type))
    assert (event.event_id, event.kind, event.type, event.mode) == ("evt_1", "payment", event_type, "test")
    assert (event.checkout_id, event.topup_id) == (SESSION_ID, TOPUP)


OURS = {"topup_id": TOPUP}
ABOUT = {
    "payment_intent": {"id": "pi_1", "object": "payment_intent"},
    "charge": {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"},
    "refund": {"id": "re_1", "object": "refund", "payment_intent": "pi_1"},
    "dispute": {"id": "du_1", "object": "dispute", "payment_intent": "pi_1"},
}
TYPES = [
    ("payment_intent", "payment_intent.succeeded", "payment"),
    ("payment_intent", "payment_intent.payment_failed", "payment"),
    ("payment_intent", "payment_intent.processing", "payment"),
    ("payment_intent", "payment_intent.canceled", "payment"),
    ("payment_intent", "payment_intent.amount_capturable_updated", "payment"),
    ("charge", "charge.succeeded", "payment"),
    ("charge", "charge.refunded", "refund"),
    ("refund", "charge.refund.updated", "refund"),
    ("refund", "refund.created", "refund"),
    ("refund", "refund.updated", "refund"),
    ("refund", "refund.failed", "refund"),
    ("dispute", "charge.dispute.created", "dispute"),
    ("dispute", "charge.dispute.updated", "dispute"),
    ("dispute", "charge.dispute.closed", "dispute"),
    ("dispute", "charge.dispute.funds_withdrawn", "dispute"),
    ("dispute", "charge.dispute.funds_reinstated", "dispute"),
]


@pytest.mark.parametrize(("subject", "event_type", "kind"), TYPES)
def test_an_event_about_money_of_ours_names_its_payment_and_its_topup(subject, event_type, kind):
    event = parse(event_about(ABOUT[subject] | {"metadata": OURS}, event_type=event_type))
    assert (event.kind, event.type, event.payment_id, event.topup_id) == (kind, event_type, "pi_1", TOPUP)
    assert event.checkout_id == ("pi_1" if subject == "payment_intent" else None)


@pytest.mark.parametrize(("subject", "event_type", "kind"), TYPES)
@pytest.mark.parametrize("metadata", [{}, None, ["topup_id"], {"topup_id": 7}, {"topup_id": "x" * 41}])
def test_an_event_that_does_not_name_us_still_names_its_payment(subject, event_type, kind, metadata):
    event = parse(event_about(ABOUT[subject] | {"metadata": metadata}, event_type=event_type))
    assert (event.kind, event.payment_id, event.topup_id) == (kind, "pi_1", None)


def test_an_event_about_a_session_names_its_payment_too_once_there_is_one():
    assert parse(event_about(session(payment_intent="pi_1"))).payment_id == "pi_1"
    assert parse(event_about(session(payment_intent={"id": "pi_1", "object": "payment_intent"}))).payment_id == "pi_1"
    assert parse(event_about(session(payment_intent=None))).payment_id is None


@pytest.mark.parametrize(
    "subject",
    [
        {},
        {"id": "pi_1/cancel", "object": "payment_intent", "metadata": {}},
        {"id": "pi_1_secret_x", "object": "payment_intent", "metadata": None},
        {"id": "pi_1", "object": ["payment_intent"], "metadata": OURS},
        {"id": "ch_1", "object": "charge", "payment_intent": None, "metadata": {"topup_id": "../x"}},
        {"id": "re_1", "object": "refund", "payment_intent": ["pi_1"]},
        {"id": "du_1", "object": "dispute", "payment_intent": {"id": 7}},
        {"id": "cus_1", "object": "customer", "metadata": OURS},
        {"id": "prv_1", "object": "review", "payment_intent": "pi_1"},
        {"id": "issfr_1", "object": "radar.early_fraud_warning", "payment_intent": "pi_1"},
        {"id": 7, "object": "checkout.session"},
        {"id": "pi_1", "object": "checkout.session"},
        {"id": "cs_test_a1", "object": ["checkout.session"]},
    ],
)
def test_an_event_about_nothing_of_ours_is_recorded_only(subject):
    event = parse(event_about(subject, event_type="something.happened"))
    assert event.kind == "ignored"
    assert (event.checkout_id, event.payment_id, event.topup_id) == (None, None, None)


@pytest.mark.parametrize(
    "changes",
    [{"client_reference_id": "top_other"}, {"client_reference_id": None}, {"metadata": {}}, {"metadata": None}],
)
def test_a_session_that_does_not_echo_us_twice_names_no_topup(changes):
    event = parse(event_about(session(**changes)))
    assert (event.kind, event.checkout_id, event.topup_id) == ("payment", SESSION_ID, None)
