"""What Razorpay signs: returns of the browser and webhooks; everything else is refused in one way."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
import razorpay
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import WebhookRejected
from prepaid.gateways import RazorpayGateway
from prepaid.gateways.razorpay_signatures import read_webhook
from prepaid.ports import PaymentRef, ReturnHint
from prepaid.testing.clock import MovableClock
from tests.gateways.razorpay_world import KEY_ID, KEY_SECRET, NOW, TOPUP, bound, created, paid, simulated

AT = 1795320000
HERE = datetime.fromtimestamp(AT, UTC)
SECRET = "made_up_webhook_secret"
OLDER = "the_one_before"
ORDER = "order_TEST000000001"
PAYMENT = "pay_TEST000000001"
REF = PaymentRef(topup_id=TOPUP, checkout_id=ORDER)
VECTOR = "85321f71ceb5150e170e99a2cb348e06b79763aaa9bdb4b49d6b44496ed86a28"


def gateway_of(*secrets, at=HERE, key_secret="made_up_key_secret"):
    settings = {"key_id": "rzp_test_x", "key_secret": key_secret, "webhook_secrets": secrets or (SECRET,)}
    return RazorpayGateway(**settings).bind("test", MovableClock(at))


def digest(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def a_payment(**changes):
    return {"id": PAYMENT, "entity": "payment", "order_id": ORDER, "notes": {"topup_id": TOPUP}, **changes}


def an_order(**changes):
    return {"id": ORDER, "entity": "order", "receipt": TOPUP, "notes": {"topup_id": TOPUP}, **changes}


def an_event(name="payment.captured", created_at=AT, **entities):
    entities = entities or {"payment": a_payment()}
    payload = {kind: {"entity": entity} for kind, entity in entities.items()}
    return {"entity": "event", "event": name, "contains": list(payload), "payload": payload, "created_at": created_at}


def headers_of(body, *, secret=SECRET, event_id="LQ2vxSd5tM0oZe"):
    return {"x-razorpay-signature": digest(body, secret), "x-razorpay-event-id": event_id}


def parse(content, *, gateway=None, **signing):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    (event,) = (gateway or gateway_of()).parse_webhook(headers_of(body, **signing), body)
    return event


def rejected(headers, body, *, gateway=None):
    with pytest.raises(WebhookRejected) as caught:
        (gateway or gateway_of()).parse_webhook(headers, body)
    assert SECRET not in str(caught.value)
    return caught.value


BODY = json.dumps(an_event()).encode()


# What the browser brings back


def a_return(**changes):
    claims = {"razorpay_payment_id": PAYMENT, "razorpay_order_id": ORDER, "razorpay_signature": VECTOR}
    return {name: value for name, value in {**claims, **changes}.items() if value is not ...}


def test_the_published_vector_is_genuine():
    assert gateway_of().parse_return(REF, a_return()) == ReturnHint(genuine=True, payment_id=PAYMENT)


def test_the_signature_is_that_of_the_order_we_stored_whatever_order_is_sent():
    gateway = gateway_of()
    assert gateway.parse_return(REF, a_return(razorpay_order_id=...)).genuine
    assert gateway.parse_return(REF, a_return(razorpay_order_id="order_other")).genuine is False
    stored = PaymentRef(topup_id=TOPUP, checkout_id="order_other")
    assert gateway.parse_return(stored, a_return()) == ReturnHint(genuine=False)
    assert gateway.parse_return(stored, a_return(razorpay_order_id=...)).genuine is False


def test_a_return_genuine_for_another_of_the_customers_orders_is_not_genuine_here():
    clock = MovableClock(NOW)
    with simulated(clock) as simulator:
        gateway = bound(simulator, clock)
        cheap, dear = paid(gateway, simulator, topup_id="cheap"), created(gateway)
        claims = simulator.callback(cheap.checkout_id)
        assert gateway.parse_return(cheap, claims) == ReturnHint(genuine=True, payment_id=cheap.payment_id)
        assert gateway.parse_return(dear, claims) == ReturnHint(genuine=False)


def test_what_the_simulator_signs_is_genuine_for_the_sdk_too():
    clock = MovableClock(NOW)
    client = razorpay.Client(auth=(KEY_ID, KEY_SECRET))
    with simulated(clock) as simulator:
        ref = paid(bound(simulator, clock), simulator)
        claims = simulator.callback(ref.checkout_id, ref.payment_id)
    assert client.utility.verify_payment_signature(claims)
    with pytest.raises(razorpay.errors.SignatureVerificationError):
        client.utility.verify_payment_signature({**claims, "razorpay_payment_id": "pay_other"})


@given(st.from_regex(r"\Aorder_[A-Za-z0-9]{1,20}\Z"), st.from_regex(r"\Apay_[A-Za-z0-9]{1,20}\Z"), st.booleans())
def test_we_and_the_sdk_agree_on_every_signature(order_id, payment_id, swapped):
    signature = digest(
        (f"{payment_id}|{order_id}" if swapped else f"{order_id}|{payment_id}").encode(), "made_up_key_secret"
    )
    claims = {"razorpay_order_id": order_id, "razorpay_payment_id": payment_id, "razorpay_signature": signature}
    client = razorpay.Client(auth=("rzp_test_x", "made_up_key_secret"))
    try:
        theirs = client.utility.verify_payment_signature(claims)
    except razorpay.errors.SignatureVerificationError:
        theirs = False
    ours = gateway_of().parse_return(PaymentRef(topup_id=TOPUP, checkout_id=order_id), claims)
    assert ours.genuine == theirs == (not swapped)


@pytest.mark.parametrize(
    "changes",
    [
        {"razorpay_signature": ...},
        {"razorpay_signature": None},
        {"razorpay_signature": ""},
        {"razorpay_signature": VECTOR[:-1]},
        {"razorpay_signature": VECTOR[:-1] + "9"},
        {"razorpay_signature": VECTOR.upper()},
        {"razorpay_signature": VECTOR + "\n"},
        {"razorpay_signature": "é" * 64},
        {"razorpay_signature": b"x"},
        {"razorpay_signature": [VECTOR]},
        {"razorpay_signature": 7},
        {"razorpay_payment_id": ...},
        {"razorpay_payment_id": None},
        {"razorpay_payment_id": ""},
        {"razorpay_payment_id": "pay_other"},
        {"razorpay_payment_id": f"{PAYMENT}\n"},
        {"razorpay_payment_id": [PAYMENT]},
        {"razorpay_order_id": None},
        {"razorpay_order_id": [ORDER]},
    ],
    ids=lambda changes: repr(changes)[:50],
)
def test_a_claim_that_is_not_signed_is_not_genuine_and_names_no_payment(changes):
    assert gateway_of().parse_return(REF, a_return(**changes)) == ReturnHint(genuine=False)


@pytest.mark.parametrize(
    "params", [{}, None, [], "text", 7, {"topup": TOPUP}, {"error[code]": "BAD_REQUEST_ERROR", "error[reason]": "x"}]
)
def test_a_return_that_claims_nothing_has_nothing_to_verify(params):
    assert gateway_of().parse_return(REF, params) == ReturnHint()


def test_the_webhook_secret_does_not_sign_a_return():
    forged = digest(f"{ORDER}|{PAYMENT}".encode(), SECRET)
    assert gateway_of().parse_return(REF, a_return(razorpay_signature=forged)).genuine is False


@given(st.dictionaries(st.sampled_from(["razorpay_payment_id", "razorpay_signature", "x"]), st.text(max_size=70)))
def test_no_parameters_at_all_raise_anything(params):
    assert gateway_of().parse_return(REF, params).genuine in {None, False}


# Signature of a webhook


def test_the_published_vector_is_accepted_up_to_its_missing_envelope():
    body = (
        b'{"event":"payment.captured","payload":{"payment":{"entity":'
        b'{"id":"pay_TEST000000001","amount":50000,"currency":"INR"}}}}'
    )
    signature = "4f0d1babd44f5077039cb9ce05f90f6768e26ddf3aa09848053f09b7e3581ab5"
    assert "no event" in str(rejected({"x-razorpay-signature": signature}, body))
    assert "not signed" in str(rejected({"x-razorpay-signature": signature[:-1] + "6"}, body))


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=10)))
def test_what_we_accept_is_what_the_sdk_accepts(notes):
    content = an_event(payment=a_payment(notes={**notes, "topup_id": TOPUP}))
    body = json.dumps(content).encode()
    assert parse(body).checkout_id == ORDER
    client = razorpay.Client(auth=("rzp_test_x", "y"))
    assert client.utility.verify_webhook_signature(body.decode(), digest(body), SECRET)


@pytest.mark.parametrize("event", ["payment.authorized", "payment.captured", "order.paid"])
def test_what_the_simulator_signs_is_accepted_by_us_and_by_the_sdk(event):
    clock = MovableClock(NOW)
    with simulated(clock) as simulator:
        gateway = bound(simulator, clock)
        ref = paid(gateway, simulator)
        about = ref.checkout_id if event == "order.paid" else ref.payment_id
        headers, body = simulator.webhook(event, about, secret=SECRET, at=HERE)
    client = razorpay.Client(auth=("rzp_test_x", "y"))
    assert client.utility.verify_webhook_signature(body.decode(), headers["x-razorpay-signature"], SECRET)
    (told,) = gateway_of().parse_webhook(headers, body)
    assert (told.kind, told.type, told.checkout_id) == ("payment", event, ref.checkout_id)
    assert (told.payment_id, told.topup_id, told.mode) == (ref.payment_id, TOPUP, None)
    assert told.event_id == headers["x-razorpay-event-id"]


def test_either_of_two_secrets_may_sign_while_one_replaces_the_other():
    for secret in (SECRET, OLDER):
        assert parse(an_event(), gateway=gateway_of(SECRET, OLDER), secret=secret)


@pytest.mark.parametrize("secret", ["x", "made_up_webhook_secre", "made_up_key_secret", OLDER, ""])
def test_another_secret_is_refused(secret):
    with pytest.raises(WebhookRejected, match="not signed"):
        parse(an_event(), secret=secret)


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_secret_signs_nothing(blank):
    with pytest.raises(WebhookRejected, match="not signed"):
        read_webhook(headers_of(BODY, secret=blank), BODY, secrets=[blank], now=HERE)


def test_a_body_changed_by_one_byte_is_refused():
    for at in range(0, len(BODY), 7):
        changed = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
        rejected(headers_of(BODY), changed)


def test_a_body_that_a_framework_wrote_anew_is_refused():
    rejected(headers_of(BODY), json.dumps(json.loads(BODY), indent=2).encode())
    rejected(headers_of(BODY), BODY.decode())


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        " ",
        "a" * 63,
        "a" * 64,
        "a" * 65,
        digest(BODY).upper(),
        digest(BODY) + "\n",
        f" {digest(BODY)}",
        f"sha256={digest(BODY)}",
        f"{digest(BODY)},{digest(BODY)}",
        "é" * 64,
        "\udc80" * 64,
        "x" * 100_000,
        digest(BODY).encode(),
        [digest(BODY)],
        7,
        True,
    ],
    ids=lambda signature: repr(signature)[:30],
)
def test_any_other_signature_is_refused(signature):
    rejected({"x-razorpay-signature": signature, "x-razorpay-event-id": "x"}, BODY)


def test_a_missing_signature_is_refused():
    rejected({}, BODY)
    rejected({"x-razorpay-event-id": "x", "stripe-signature": digest(BODY)}, BODY)


@given(st.text(max_size=80), st.text(max_size=80), st.binary(max_size=80))
def test_no_header_and_no_body_raises_anything_else(signature, event_id, body):
    rejected({"x-razorpay-signature": signature, "x-razorpay-event-id": event_id}, body)


# Id and age


def test_a_missing_event_id_is_replaced_by_a_hash_of_the_body():
    headers = {"x-razorpay-signature": digest(BODY)}
    (first,), (again,) = gateway_of().parse_webhook(headers, BODY), gateway_of().parse_webhook(headers, BODY)
    assert first.event_id == again.event_id == f"sha256:{hashlib.sha256(BODY).hexdigest()}"


@pytest.mark.parametrize("event_id", ["", " ", "a b", "a\n", "x" * 129, "é", b"x", 7, ["x"]])
def test_an_event_id_that_is_no_word_is_refused(event_id):
    rejected(headers_of(BODY, event_id=event_id), BODY)


@pytest.mark.parametrize("age", [timedelta(days=4), timedelta(days=1), timedelta(0), -timedelta(minutes=5)])
def test_an_event_is_good_for_four_days(age):
    assert parse(an_event(), gateway=gateway_of(at=HERE + age))


@pytest.mark.parametrize(
    "age", [timedelta(days=4, microseconds=1), timedelta(days=90), -timedelta(minutes=5, microseconds=1)]
)
def test_a_stale_or_early_event_is_refused(age):
    with pytest.raises(WebhookRejected, match=r"older|future"):
        parse(an_event(), gateway=gateway_of(at=HERE + age))


@pytest.mark.parametrize("created_at", [None, "1795320000", 1795320000.0, True, -1, 2**63, [AT], {}])
def test_an_event_without_its_time_is_refused(created_at):
    with pytest.raises(WebhookRejected):
        parse(an_event(created_at=created_at))


def test_the_signature_is_judged_before_the_content():
    body = json.dumps(an_event(created_at=1)).encode()
    assert "not signed" in str(rejected(headers_of(body, secret=OLDER), body))


# Content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"7",
        b"[]",
        b'"event"',
        b"{",
        b"{}",
        b'{"a":NaN}',
        b'{"a":1e999999999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1,"a":2}',
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":"\\ud800"}',
        b"\xff\xfe{}",
        b" " * 1_048_577,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_signed_body_that_is_no_event_is_refused(body):
    rejected(headers_of(body), body)


@pytest.mark.parametrize(
    "changes",
    [{"entity": "payment"}, {"entity": None}, {"event": None}, {"event": ""}, {"event": 7}, {"event": "x" * 192}],
)
def test_an_event_without_its_envelope_is_refused(changes):
    with pytest.raises(WebhookRejected):
        parse(an_event() | changes)


@pytest.mark.parametrize("name", ["payment.authorized", "payment.captured", "payment.failed"])
def test_an_event_about_a_payment_wakes_its_order(name):
    event = parse(an_event(name))
    assert (event.event_id, event.kind, event.type) == ("LQ2vxSd5tM0oZe", "payment", name)
    assert (event.checkout_id, event.payment_id, event.topup_id, event.mode) == (ORDER, PAYMENT, TOPUP, None)


def test_the_orders_own_reference_goes_before_what_the_payers_browser_wrote():
    payment = a_payment(notes={"topup_id": "somebody-elses"})
    assert parse(an_event("order.paid", order=an_order(), payment=payment)).topup_id == TOPUP
    foreign = an_order(receipt="another")
    assert parse(an_event("order.paid", order=foreign, payment=a_payment(notes=[]))).topup_id is None


@pytest.mark.parametrize("name", ["refund.created", "refund.processed", "refund.failed", "refund.speed_changed"])
def test_an_event_about_a_refund_names_the_payment(name):
    refund = {"id": "rfnd_1", "entity": "refund", "payment_id": PAYMENT, "notes": []}
    with_payment = parse(an_event(name, refund=refund, payment=a_payment()))
    assert (with_payment.kind, with_payment.payment_id, with_payment.checkout_id) == ("refund", PAYMENT, ORDER)
    alone = parse(an_event(name, refund=refund))
    assert (alone.kind, alone.payment_id, alone.checkout_id, alone.topup_id) == ("refund", PAYMENT, None, None)


@pytest.mark.parametrize("what", ["created", "under_review", "action_required", "won", "lost", "closed"])
def test_an_event_about_a_dispute_names_the_payment(what):
    dispute = {"id": "disp_1", "entity": "dispute", "payment_id": PAYMENT}
    event = parse(an_event(f"payment.dispute.{what}", dispute=dispute))
    assert (event.kind, event.payment_id) == ("dispute", PAYMENT)


@pytest.mark.parametrize(
    "event",
    [
        an_event("settlement.processed"),
        an_event("payment.downtime.started"),
        an_event("payment_link.paid"),
        an_event("payment.captured", payment=a_payment(order_id=None, notes=[])),
        an_event("payment.captured", payment=a_payment(order_id="x", notes={"topup_id": "../x"})),
        an_event("payment.captured", payment=a_payment(order_id=["x"], notes={"topup_id": 7})),
        an_event("payment.captured", order={}),
        an_event() | {"payload": None},
        an_event() | {"payload": []},
        an_event() | {"payload": {"payment": []}},
        an_event() | {"payload": {"payment": {"entity": "pay_1"}}},
        an_event("refund.created", refund={"id": "rfnd_1", "payment_id": "x"}),
        an_event("payment.dispute.lost", dispute={"id": "disp_1"}),
    ],
    ids=lambda event: event["event"],
)
def test_an_event_about_nothing_of_ours_is_recorded_only(event):
    assert parse(event).kind == "ignored"


def test_no_amount_and_no_state_is_read_from_an_event():
    event = parse(an_event(payment=a_payment(amount="nonsense", status=7, captured=None)))
    assert event.kind == "payment"
