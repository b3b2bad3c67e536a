"""Replies of PayPal that lack, mistype or contradict a field: never a credit, always to be asked again."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prepaid.core.errors import GatewayError
from prepaid.core.money import Money
from prepaid.gateways.paypal_payments import parse_time, read_payment
from prepaid.testing.clock import MovableClock
from tests.gateways.paypal_world import NOW, TEN, answering, bound, created, paid, refused, simulated


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


@pytest.fixture
def ref(gateway, simulator):
    return paid(gateway, simulator)


UNIT = ("purchase_units", 0)
CAPTURE = (*UNIT, "payments", "captures", 0)
BREAKDOWN = (*CAPTURE, "seller_receivable_breakdown")

NEEDED = [
    ("id",),
    ("intent",),
    ("status",),
    ("purchase_units",),
    UNIT,
    (*UNIT, "amount"),
    (*UNIT, "amount", "value"),
    (*UNIT, "amount", "currency_code"),
    (*UNIT, "payee"),
    (*UNIT, "payee", "merchant_id"),
    (*CAPTURE, "id"),
    (*CAPTURE, "status"),
    (*CAPTURE, "amount"),
    (*CAPTURE, "amount", "value"),
    (*CAPTURE, "amount", "currency_code"),
    (*CAPTURE, "final_capture"),
    (*BREAKDOWN, "gross_amount"),
    (*BREAKDOWN, "gross_amount", "value"),
    (*BREAKDOWN, "paypal_fee", "value"),
    (*BREAKDOWN, "paypal_fee", "currency_code"),
]
OF_THE_WRONG_KIND = [10.0, True, 7, [], {}, "", "\x00", "x" * 5000]


def put(content, path, value):
    *above, last = path
    for step in above:
        content = content[step]
    content[last] = value


def drop(content, path):
    *above, last = path
    for step in above:
        content = content[step]
    del content[last]


@pytest.mark.parametrize("path", NEEDED, ids=lambda path: ".".join(map(str, path)))
def test_a_field_that_is_missing_or_mistyped_makes_the_reply_unusable(gateway, simulator, ref, path):
    simulator.rewrite_next(lambda order: drop(order, path))
    error = refused(gateway.fetch_payment, ref)
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, False)
    for value in OF_THE_WRONG_KIND:
        if path[-1] == "final_capture" and value is True:
            continue
        simulator.rewrite_next(lambda order, value=value: put(order, path, value))
        assert refused(gateway.fetch_payment, ref).code == "unusable-reply"


@pytest.mark.parametrize(
    "path", [("payment_source",), ("create_time",), (*UNIT, "payments"), (*CAPTURE, "status_details"), BREAKDOWN]
)
def test_a_field_that_may_be_left_out_is_not_taken_for_another_kind(gateway, simulator, ref, path):
    for value in (7, "x" * 5000, [1]):
        simulator.rewrite_next(lambda order, value=value: put(order, path, value))
        assert refused(gateway.fetch_payment, ref).code == "unusable-reply"


@pytest.mark.parametrize(
    "path",
    [
        ("payment_source",),
        ("create_time",),
        BREAKDOWN,
        (*BREAKDOWN, "paypal_fee"),
        (*CAPTURE, "create_time"),
        (*CAPTURE, "custom_id"),
    ],
)
def test_a_field_that_may_be_left_out_may_be_left_out(gateway, simulator, ref, path):
    simulator.rewrite_next(lambda order: drop(order, path))
    payment = gateway.fetch_payment(ref)
    assert payment.captured == TEN
    assert payment.fee_follows is (path == BREAKDOWN)  # one that is there and names no fee has none


@pytest.mark.parametrize(
    "change",
    [
        lambda order: put(order, ("id",), "5O190127TN364715T"),
        lambda order: put(order, ("intent",), "AUTHORIZE"),
        lambda order: put(order, ("status",), "PAID"),
        lambda order: put(order, ("status",), "APPROVED"),
        lambda order: put(order, ("status",), "CREATED"),
        lambda order: put(order, ("status",), "VOIDED"),
        lambda order: order["purchase_units"].append(copy.deepcopy(order["purchase_units"][0])),
        lambda order: drop(order, (*UNIT, "payments")),
        lambda order: put(order, (*UNIT, "payments", "captures"), []),
        lambda order: put(order, (*UNIT, "payments", "captures"), {}),
        lambda order: put(order, (*UNIT, "payments", "captures"), [7]),
        lambda order: put(order, (*UNIT, "payments", "captures"), [{}] * 1001),
        lambda order: put(order, (*UNIT, "payments", "refunds"), 7),
        lambda order: order["purchase_units"][0]["payments"]["captures"].append(
            {**order["purchase_units"][0]["payments"]["captures"][0], "id": "SECOND"}
        ),
        lambda order: put(order, (*CAPTURE, "status"), "PAID"),
        lambda order: put(order, (*CAPTURE, "status"), "PARTIALLY_REFUNDED"),
        lambda order: put(order, (*CAPTURE, "id"), "A/B"),
        lambda order: put(order, (*CAPTURE, "final_capture"), False),
        lambda order: put(order, (*CAPTURE, "custom_id"), "top_other"),
        lambda order: order["purchase_units"][0]["payments"]["captures"][0].update(custom_id="o", invoice_id="o"),
        lambda order: put(order, (*CAPTURE, "amount", "value"), "0.00"),
        lambda order: put(order, (*CAPTURE, "amount", "value"), "-10.00"),
        lambda order: put(order, (*CAPTURE, "amount", "value"), "10.001"),
        lambda order: put(order, (*CAPTURE, "amount", "value"), "1e1"),
        lambda order: put(order, (*CAPTURE, "amount", "currency_code"), "XXX"),
        lambda order: put(order, (*CAPTURE, "amount", "value"), "10.01"),
        lambda order: put(order, (*BREAKDOWN, "gross_amount", "value"), "10.01"),
        lambda order: put(order, (*BREAKDOWN, "paypal_fee", "value"), "-1.00"),
        lambda order: put(order, (*BREAKDOWN, "paypal_fee", "currency_code"), "BTC"),
    ],
)
def test_a_story_that_contradicts_itself_is_unusable(gateway, simulator, ref, change):
    simulator.rewrite_next(change)
    assert refused(gateway.fetch_payment, ref).code == "unusable-reply"
    assert gateway.fetch_payment(ref).captured == TEN


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "A", "id": "B"}',
        b'{"id": NaN}',
        b'{"id": Infinity}',
        b'{"amount": ' + b"9" * 5000 + b"}",
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b"[" * 100_000,
        b'"text"',
        b"null",
        b"",
        b"\xff\xfe",
        b'{"id": "\\ud800"}',
    ],
)
def test_json_that_readers_disagree_about_is_not_read(gateway, simulator, ref, body):
    simulator.fault_next(answering(200, body))
    error = refused(gateway.fetch_payment, ref)
    assert (error.code, error.retryable, error.outcome_unknown) == ("api-error", True, False)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["10.00", "EUR", "COMPLETED"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def honest():
    with simulated(MovableClock(NOW)) as simulator:
        ref = paid(bound(simulator, MovableClock(NOW)), simulator)
        return json.dumps(simulator.order(ref.checkout_id))


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(NEEDED), value=JSON)
def test_whatever_stands_in_a_needed_field_it_is_read_or_refused_in_one_way(honest, path, value):
    order = json.loads(honest)
    order_id = order["id"]
    put(order, path, value)
    try:
        outcome = read_payment(order, order_id=order_id).state
    except GatewayError as error:
        outcome = error.code
    assert outcome in {"captured", "unusable-reply"}


def test_the_method_is_that_of_the_source_if_there_is_one_word_for_it(gateway, simulator, ref):
    simulator.rewrite_next(lambda order: order.update(payment_source={"card": {}}))
    assert gateway.fetch_payment(ref).method == "card"
    simulator.rewrite_next(lambda order: order.update(payment_source={}))
    assert gateway.fetch_payment(ref).method == ""


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22",
        "2026-11-22T06:00:00",
        "2026-02-30T06:00:00Z",
        "1926-11-22T06:00:00Z",
        "2026-11-22T24:00:01Z",
        "2026-11-22T::::::::Z",
        "2026-11-22 06:00:00Z",
        "٢٠٢٦-11-22T06:00:00Z",
    ],
)
def test_what_is_no_date_and_time_with_its_zone_is_not_read(written):
    with pytest.raises(ValueError, match=r".+"):
        parse_time(written)


@pytest.mark.parametrize(
    "written", ["2026-11-22T06:00:00+0000", "2026-11-22T07:00:00+01:00", "2026-11-22T06:00:00.000Z"]
)
def test_a_date_and_time_is_read_in_every_form_that_paypal_uses(written):
    assert parse_time(written) == parse_time("2026-11-22T06:00:00Z")


def test_a_capture_of_another_amount_is_told_with_what_it_really_took(gateway, simulator):
    ref = created(gateway)
    simulator.pay(ref.checkout_id)

    def take_less(order):
        capture = order["purchase_units"][0]["payments"]["captures"][0]
        capture["amount"]["value"] = capture["seller_receivable_breakdown"]["gross_amount"]["value"] = "1.00"

    simulator.rewrite_next(take_less)
    assert gateway.fetch_payment(ref).captured == Money.of("1.00", "EUR")
