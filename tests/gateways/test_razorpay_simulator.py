"""The simulator of Razorpay against shapes that nobody here made, and what it refuses."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import requests

from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.razorpay import RazorpaySimulator
from tests.gateways.razorpay_world import KEY_ID, KEY_SECRET, NOW, simulated

ORDER = {"amount": 50_000, "currency": "INR", "receipt": "top_1", "notes": {"topup_id": "top_1"}}

INT, STR, BOOL, NULL, OBJECT, LIST = int, str, bool, type(None), dict, list

PUBLISHED = {
    # razorpay-python, tests/mocks/fake_order.json, and the order entity of Razorpay's API reference.
    "order": {
        "id": STR,
        "entity": STR,
        "amount": INT,
        "amount_paid": INT,
        "amount_due": INT,
        "currency": STR,
        "receipt": STR,
        "offer_id": NULL,
        "status": STR,
        "attempts": INT,
        "notes": (OBJECT, LIST),
        "created_at": INT,
    },
    # razorpay-python, tests/mocks/fake_captured_payment.json and fake_payment_authorized_webhook.json, and the
    # payment entity of the reference.
    "payment": {
        "id": STR,
        "entity": STR,
        "amount": INT,
        "currency": STR,
        "status": STR,
        "order_id": STR,
        "invoice_id": NULL,
        "international": BOOL,
        "method": STR,
        "amount_refunded": INT,
        "refund_status": (STR, NULL),
        "captured": BOOL,
        "description": (STR, NULL),
        "card_id": (STR, NULL),
        "bank": (STR, NULL),
        "wallet": (STR, NULL),
        "vpa": (STR, NULL),
        "email": STR,
        "contact": STR,
        "notes": (OBJECT, LIST),
        "fee": (INT, NULL),
        "tax": (INT, NULL),
        "error_code": (STR, NULL),
        "error_description": (STR, NULL),
        "error_source": (STR, NULL),
        "error_step": (STR, NULL),
        "error_reason": (STR, NULL),
        "acquirer_data": OBJECT,
        "created_at": INT,
    },
    # razorpay-python, tests/mocks/fake_refund.json, and the refund entity of the reference.
    "refund": {
        "id": STR,
        "entity": STR,
        "amount": INT,
        "currency": STR,
        "payment_id": STR,
        "notes": (OBJECT, LIST),
        "receipt": (STR, NULL),
        "acquirer_data": OBJECT,
        "created_at": INT,
        "batch_id": NULL,
        "status": STR,
        "speed_processed": STR,
        "speed_requested": STR,
    },
    # razorpay-python, tests/mocks/dispute.json and dispute_collection.json, and the dispute entity of the reference.
    "dispute": {
        "id": STR,
        "entity": STR,
        "payment_id": STR,
        "amount": INT,
        "currency": STR,
        "amount_deducted": INT,
        "reason_code": STR,
        "respond_by": INT,
        "status": STR,
        "phase": STR,
        "created_at": INT,
        "evidence": OBJECT,
    },
}
"""Names and types of fields by entity, as recorded in the SDK's tests and published in the API reference."""


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with simulated(clock) as running:
        yield running


def call(simulator, method, path, *, auth=(KEY_ID, KEY_SECRET), **options):
    answer = requests.request(method, f"{simulator.url}{path}", auth=auth, timeout=5, **options)
    return answer.status_code, answer.json()


def order(simulator, **changes):
    status, made = call(simulator, "POST", "/v1/orders", json={**ORDER, **changes})
    assert status == 200
    return made["id"]


def assert_published(found):
    fields = PUBLISHED[found["entity"]]
    assert set(found) == set(fields)
    for name, kind in fields.items():
        assert type(found[name]) in (kind if isinstance(kind, tuple) else (kind,)), name


def test_every_object_in_every_state_has_the_published_fields_and_types(simulator):
    order_id = order(simulator)
    attempts = [
        simulator.attempt(order_id),
        simulator.fail(order_id),
        simulator.authorise(order_id),
        simulator.pay(order_id),
    ]
    simulator.pay(order(simulator, notes={}))
    refund_id = simulator.refund(attempts[-1], 1000)
    simulator.finish_refund(refund_id)
    dispute_id = simulator.dispute(attempts[-1])
    for kind in PUBLISHED:
        _, listed = call(simulator, "GET", f"/v1/{kind}s")
        assert (listed["entity"], listed["count"]) == ("collection", len(listed["items"]))
        assert listed["items"]
        for found in listed["items"]:
            assert_published(found)
            assert call(simulator, "GET", f"/v1/{kind}s/{found['id']}") == (200, found)
    _, payments = call(simulator, "GET", f"/v1/orders/{order_id}/payments")
    assert {payment["id"] for payment in payments["items"]} == set(attempts)
    _, refunds = call(simulator, "GET", f"/v1/payments/{attempts[-1]}/refunds")
    assert [refund["id"] for refund in refunds["items"]] == [refund_id]
    assert simulator.one(dispute_id)["status"] == "open"


def test_an_order_goes_from_created_over_attempted_to_paid_and_stays_paid(simulator):
    order_id = order(simulator)
    states = [simulator.one(order_id)["status"]]
    simulator.fail(order_id)
    states.append(simulator.one(order_id)["status"])
    payment_id = simulator.pay(order_id)
    simulator.refund(payment_id, 50_000)
    paid = simulator.one(order_id)
    assert [*states, paid["status"]] == ["created", "attempted", "paid"]
    assert (paid["amount_paid"], paid["amount_due"], paid["attempts"]) == (50_000, 0, 2)
    assert simulator.one(payment_id)["status"] == "refunded"


def test_notes_that_are_empty_come_as_a_list(simulator):
    order_id = order(simulator, notes={})
    assert simulator.one(order_id)["notes"] == []
    assert simulator.one(simulator.attempt(order_id))["notes"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 99}, "amount"),
        ({"amount": "50000"}, "amount"),
        ({"amount": 500.5}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 99_991, "currency": "KWD"}, "amount"),
        ({"currency": "inr"}, "currency"),
        ({"currency": None}, "currency"),
        ({"receipt": "x" * 41}, "receipt"),
        ({"notes": {"a": "x" * 257}}, "notes"),
        ({"notes": {str(number): "x" for number in range(16)}}, "notes"),
    ],
)
def test_an_order_that_razorpay_documents_as_wrong_is_refused(simulator, change, field):
    status, answer = call(simulator, "POST", "/v1/orders", json={**ORDER, **change})
    assert (status, answer["error"]["code"], answer["error"]["field"]) == (400, "BAD_REQUEST_ERROR", field)
    assert simulator.all_of("order") == []


def test_a_parameter_that_is_not_known_is_refused(simulator):
    status, answer = call(simulator, "POST", "/v1/orders", json={**ORDER, "payment_capture": 1})
    assert (status, answer["error"]["description"]) == (
        400,
        "payment_capture is/are not required and should not be sent",
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"text", b"7"])
def test_a_body_of_another_form_is_refused(simulator, body):
    assert call(simulator, "POST", "/v1/orders", data=body)[0] == 400


@pytest.mark.parametrize("auth", [("rzp_live_x", KEY_SECRET), (KEY_ID, "wrong"), None])
def test_another_key_is_not_authenticated(simulator, auth):
    status, answer = call(simulator, "GET", "/v1/orders", auth=auth)
    assert (status, answer["error"]["description"]) == (401, "Authentication failed")


@pytest.mark.parametrize(
    "path",
    ["/v1/orders/order_x", "/v1/payments/pay_x", "/v1/refunds/rfnd_x", "/v1/disputes/disp_x", "/v1/orders/x/payments"],
)
def test_an_id_that_does_not_exist_is_a_bad_request(simulator, path):
    status, answer = call(simulator, "GET", path)
    assert (status, answer["error"]["description"]) == (400, "The id provided does not exist")


def test_an_id_of_another_kind_does_not_exist(simulator):
    order_id = order(simulator)
    assert call(simulator, "GET", f"/v1/payments/{order_id}")[0] == 400
    refund_id = simulator.refund(simulator.pay(order_id), 1000)
    other = simulator.pay(order(simulator))
    assert call(simulator, "GET", f"/v1/payments/{other}/refunds/{refund_id}")[0] == 400


def test_a_path_that_is_not_there_is_not_found(simulator):
    assert call(simulator, "GET", "/v1/invoices")[0] == 404
    assert call(simulator, "POST", "/v1/payments", json={})[0] == 404


def test_only_an_authorised_payment_is_captured_and_only_whole(simulator):
    order_id = order(simulator)
    payment_id = simulator.authorise(order_id)
    path = f"/v1/payments/{payment_id}/capture"
    for wrong in ({"amount": 49_999, "currency": "INR"}, {"amount": 50_000, "currency": "USD"}, {"amount": 50_000}):
        assert call(simulator, "POST", path, json=wrong)[0] == 400
    status, captured = call(simulator, "POST", path, json={"amount": 50_000, "currency": "INR"})
    assert (status, captured["status"], captured["captured"], captured["fee"]) == (200, "captured", True, 1180)
    status, answer = call(simulator, "POST", path, json={"amount": 50_000, "currency": "INR"})
    assert (status, answer["error"]["description"]) == (400, "This payment has already been captured")
    failed = simulator.fail(order(simulator))
    status, _ = call(simulator, "POST", f"/v1/payments/{failed}/capture", json={"amount": 50_000, "currency": "INR"})
    assert status == 400


def test_a_payment_changes_only_as_payments_do(simulator, clock):
    order_id = order(simulator)
    captured, failed = simulator.pay(order_id), simulator.fail(order_id)
    for act in (simulator.capture, simulator.give_back, simulator.time_out, simulator.answer_of_bank):
        with pytest.raises(ValueError, match="The payment is captured"):
            act(captured)
    clock.advance(days=3, seconds=1)
    with pytest.raises(ValueError, match="too old"):
        simulator.answer_of_bank(failed)
    with pytest.raises(KeyError):
        simulator.capture(order_id)


def test_a_refund_key_gives_the_first_answer_for_the_same_content_only(simulator):
    payment_id = simulator.pay(order(simulator))
    path, key = f"/v1/payments/{payment_id}/refund", {"X-Refund-Idempotency": "0123456789"}
    first = call(simulator, "POST", path, json={"amount": 1000}, headers=key)
    assert first[0] == 200
    assert call(simulator, "POST", path, json={"amount": 1000}, headers=key) == first
    status, answer = call(simulator, "POST", path, json={"amount": 2000}, headers=key)
    assert (status, "same idempotency key" in answer["error"]["description"]) == (400, True)
    assert call(simulator, "POST", path, json={"amount": 1000}, headers={"X-Refund-Idempotency": "short"})[0] == 400
    assert len(simulator.all_of("refund")) == 1
    assert call(simulator, "POST", path, json={})[1]["amount"] == 49_000, "the rest, without a key"


def test_no_more_is_given_back_than_was_paid(simulator):
    payment_id = simulator.pay(order(simulator))
    path = f"/v1/payments/{payment_id}/refund"
    assert call(simulator, "POST", path, json={"amount": 50_001})[0] == 400
    simulator.refund(payment_id, 50_000)
    status, answer = call(simulator, "POST", path, json={"amount": 100})
    assert (status, answer["error"]["description"]) == (400, "The payment has been fully refunded already")
    authorised = simulator.authorise(order(simulator))
    assert call(simulator, "POST", f"/v1/payments/{authorised}/refund", json={"amount": 100})[0] == 400


def test_lists_are_newest_first_and_paged_by_time_count_and_skip(simulator, clock):
    ids = []
    for number in range(12):
        ids.append(order(simulator, receipt=f"top_{number % 2}"))
        clock.advance(seconds=1)
    second = int(NOW.timestamp())

    def listed(**params):
        return [found["id"] for found in call(simulator, "GET", "/v1/orders", params=params)[1]["items"]]

    assert listed() == ids[:1:-1], "ten by default"
    assert listed(count=100) == ids[::-1]
    assert listed(count=3, skip=2) == ids[9:6:-1]
    assert listed(**{"from": second + 3, "to": second + 5}) == ids[5:2:-1]
    assert listed(receipt="top_1", count=2) == [ids[11], ids[9]]
    for wrong in ({"count": 0}, {"count": 101}, {"count": "x"}, {"status": "paid"}):
        assert call(simulator, "GET", "/v1/orders", params=wrong)[0] == 400


def test_an_event_tells_of_its_objects_as_they_are(simulator):
    order_id = order(simulator)
    payment_id = simulator.pay(order_id)
    refund_id, dispute_id = simulator.refund(payment_id, 1000), simulator.dispute(payment_id)
    for name, about, kinds in (
        ("payment.captured", payment_id, ["payment"]),
        ("order.paid", order_id, ["payment", "order"]),
        ("order.paid", order(simulator), ["order"]),
        ("refund.created", refund_id, ["payment", "refund"]),
        ("payment.dispute.created", dispute_id, ["payment", "dispute"]),
    ):
        headers, body = simulator.webhook(name, about, secret="s", at=NOW + timedelta(seconds=5))
        event = json.loads(body)
        assert (event["entity"], event["event"], event["contains"]) == ("event", name, kinds)
        assert event["created_at"] == int(NOW.timestamp()) + 5
        assert event["account_id"].startswith("acc_")
        for kind in kinds:
            assert_published(event["payload"][kind]["entity"])
        assert len(headers["x-razorpay-signature"]) == 64


def test_a_simulator_of_its_own_time_and_ids_works():
    with RazorpaySimulator() as simulator:
        status, made = call(simulator, "POST", "/v1/orders", auth=("rzp_test_simulated", "simulated"), json=ORDER)
    assert (status, made["id"].startswith("order_"), len(made["id"])) == (200, True, 20)
