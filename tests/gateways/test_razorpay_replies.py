"""Replies of Razorpay that are not what they should be: each is refused, none is guessed at."""

from __future__ import annotations

import json

import attrs
import pytest

from prepaid.gateways.bounded import MAX_REPLY
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault, rewriting
from tests.gateways.razorpay_world import (
    NOW,
    TOPUP,
    a_refund,
    a_request,
    bound,
    created,
    paid,
    refused,
    simulated,
)

HUGE = int("9" * 40)
NOT_STRINGS = [None, 7, 7.5, True, "", "x" * 300, "a\nb", ["x"], {}]
NOT_NUMBERS = [None, 50_000.0, "50000", True, -1, 10**12, HUGE, float("nan"), float("inf"), [1], {}]
NOT_BOOLS = [None, 0, 1, "true", "", [], {}]
NOT_NOTES = ["text", 7, True, ["x"], [[]]]
NOT_TIMES = [*NOT_NUMBERS[:-2], 4_765_046_401]

ORDER = [
    *[("id", bad) for bad in [*NOT_STRINGS, "pay_1", "order_other", "order_"]],
    *[("entity", bad) for bad in [*NOT_STRINGS, "payment"]],
    *[("amount", bad) for bad in [*NOT_NUMBERS, 0]],
    *[("amount_paid", bad) for bad in [*NOT_NUMBERS, 0, 49_999]],
    *[("currency", bad) for bad in NOT_STRINGS],
    *[("status", bad) for bad in [*NOT_STRINGS, "expired"]],
    *[("receipt", bad) for bad in NOT_STRINGS if bad is not None],
    *[("notes", bad) for bad in NOT_NOTES],
    *[("notes", {"topup_id": bad}) for bad in NOT_STRINGS if bad is not None],
    *[("created_at", bad) for bad in NOT_TIMES],
]
PAYMENT = [
    *[("id", bad) for bad in [*NOT_STRINGS, "order_1", "pay_"]],
    *[("entity", bad) for bad in [*NOT_STRINGS, "order"]],
    *[("order_id", bad) for bad in [*NOT_STRINGS, "order_other", "pay_1"]],
    *[("amount", bad) for bad in [*NOT_NUMBERS, 0]],
    *[("currency", bad) for bad in [*NOT_STRINGS, "inr", "XXX"]],
    *[("status", bad) for bad in [*NOT_STRINGS, "created", "authorized", "failed", "refunded", "paid"]],
    *[("captured", bad) for bad in [*NOT_BOOLS, False]],
    *[("amount_refunded", bad) for bad in [*NOT_NUMBERS, 50_001, 1, 50_000]],
    *[("refund_status", bad) for bad in [*NOT_STRINGS, "full", "partial", "none"] if bad is not None],
    *[("method", bad) for bad in NOT_STRINGS if bad is not None],
    *[("fee", bad) for bad in NOT_NUMBERS if bad is not None],
    *[("base_currency", bad) for bad in [*NOT_STRINGS, "XXX"] if bad is not None],
    *[("notes", bad) for bad in NOT_NOTES],
    *[("created_at", bad) for bad in NOT_TIMES],
]
REFUND = [
    *[("id", bad) for bad in [*NOT_STRINGS, "pay_1"]],
    *[("entity", bad) for bad in [*NOT_STRINGS, "payment"]],
    *[("payment_id", bad) for bad in [*NOT_STRINGS, "pay_other", "order_1"]],
    *[("amount", bad) for bad in [*NOT_NUMBERS, 0, 9_999]],
    *[("currency", bad) for bad in [*NOT_STRINGS, "USD", "XXX"]],
    *[("status", bad) for bad in [*NOT_STRINGS, "created", "succeeded"]],
    *[("notes", bad) for bad in [*NOT_NOTES, None, [], {}, {"refund_id": "another"}, {"refund_id": 7}]],
    *[("created_at", bad) for bad in NOT_TIMES],
]
DISPUTE = [
    *[("id", bad) for bad in [*NOT_STRINGS, "pay_1"]],
    *[("entity", bad) for bad in [*NOT_STRINGS, "payment"]],
    *[("payment_id", bad) for bad in [*NOT_STRINGS, "order_1"]],
    *[("amount", bad) for bad in NOT_NUMBERS],
    *[("currency", bad) for bad in [*NOT_STRINGS, "XXX"]],
    *[("status", bad) for bad in [*NOT_STRINGS, "accepted"]],
    *[("phase", bad) for bad in [*NOT_STRINGS, "mediation"]],
    *[("reason_code", bad) for bad in NOT_STRINGS if bad is not None],
    *[("created_at", bad) for bad in NOT_TIMES],
]
COLLECTION = [
    *[("entity", bad) for bad in [*NOT_STRINGS, "payment"]],
    *[("items", bad) for bad in [None, 7, "text", {}, [None], ["pay_1"], [[]]]],
    *[("count", bad) for bad in [*NOT_NUMBERS, 0, 2]],
]
OPTIONAL = {("payment", "method"), ("payment", "fee"), ("payment", "notes"), ("payment", "refund_status")}

HONEST = Fault(spoil=lambda answer: answer)


def shown(part):
    return repr(part)[:30]


@pytest.fixture(scope="module")
def world():
    """A gateway with one paid and disputed order, for tests that only read it."""
    clock = MovableClock(NOW)
    with simulated(clock) as simulator:
        gateway = bound(simulator, clock)
        ref = paid(gateway, simulator)
        simulator.dispute(ref.payment_id)
        yield gateway, simulator, ref


def spoil_next(simulator, name, value, *, after=0, item=False):
    """Let the answer after ``after`` honest ones have a field changed; ``...`` takes it away."""
    for _ in range(after):
        simulator.fault_next(HONEST)

    def change(content):
        target = content["items"][0] if item else content
        target[name] = value
        if value is ...:
            del target[name]

    simulator.fault_next(Fault(spoil=lambda answer: spoilt(answer, change)))


def spoilt(answer, change):
    content = json.loads(answer.body)
    change(content)
    return attrs.evolve(answer, body=json.dumps(content).encode())


def assert_unusable(call, *args, unknown=False):
    error = refused(call, *args)
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, unknown)


@pytest.mark.parametrize(("name", "bad"), ORDER, ids=shown)
def test_a_mistyped_or_contradicting_order_is_unusable(world, name, bad):
    gateway, simulator, ref = world
    spoil_next(simulator, name, bad)
    assert_unusable(gateway.fetch_payment, ref)


@pytest.mark.parametrize(("name", "bad"), PAYMENT, ids=shown)
def test_a_mistyped_or_contradicting_payment_is_unusable(world, name, bad):
    gateway, simulator, ref = world
    spoil_next(simulator, name, bad, after=1, item=True)
    assert_unusable(gateway.fetch_payment, ref)


@pytest.mark.parametrize(("name", "bad"), COLLECTION, ids=shown)
@pytest.mark.parametrize("after", [1, 2])
def test_a_collection_that_is_none_is_unusable(world, name, bad, after):
    gateway, simulator, ref = world
    spoil_next(simulator, name, bad, after=after)
    assert_unusable(gateway.fetch_payment, ref)


@pytest.mark.parametrize(("name", "bad"), DISPUTE, ids=shown)
def test_a_mistyped_dispute_is_unusable(world, name, bad):
    gateway, simulator, ref = world
    spoil_next(simulator, name, bad, after=2, item=True)
    assert_unusable(gateway.fetch_payment, ref)


@pytest.mark.parametrize(("name", "bad"), REFUND, ids=shown)
def test_a_mistyped_or_contradicting_refund_leaves_the_outcome_open(name, bad):
    clock = MovableClock(NOW)
    with simulated(clock) as simulator:
        gateway = bound(simulator, clock)
        ref = paid(gateway, simulator)
        spoil_next(simulator, name, bad, after=1)
        assert_unusable(gateway.refund, a_refund(ref), unknown=True)


CREATED = [(name, bad) for name, bad in ORDER if name != "amount_paid" and bad != "order_other"]
CREATED += [("receipt", "another"), ("receipt", None), ("notes", []), ("amount", 50_001), ("currency", "USD")]
CREATED += [("amount_paid", bad) for bad in NOT_NUMBERS]


@pytest.mark.parametrize(("name", "bad"), CREATED, ids=shown)
def test_an_order_that_is_not_what_was_asked_for_leaves_the_outcome_open(world, name, bad):
    gateway, simulator, _ = world
    spoil_next(simulator, name, bad, after=1)
    assert_unusable(gateway.create_checkout, a_request(topup_id=f"top-{len(simulator.requests)}"), unknown=True)


@pytest.mark.parametrize(
    ("kind", "name"),
    sorted(
        {("order", name) for name, _ in ORDER}
        | {("payment", name) for name, _ in PAYMENT if name != "base_currency"}
        | {("dispute", name) for name, _ in DISPUTE}
    ),
)
def test_a_missing_field_is_never_guessed(world, kind, name):
    gateway, simulator, ref = world
    spoil_next(simulator, name, ..., after=["order", "payment", "dispute"].index(kind), item=kind != "order")
    if kind == "order" and name in {"receipt", "notes"}:
        assert gateway.fetch_payment(ref).topup_id is None
    elif (kind, name) in OPTIONAL or name == "reason_code":
        assert gateway.fetch_payment(ref).captured is not None
    else:
        assert_unusable(gateway.fetch_payment, ref)


def test_an_order_that_is_paid_without_a_captured_payment_is_not_believed(world):
    gateway, simulator, _ = world
    ref = created(gateway, topup_id="unpaid")
    simulator.rewrite_next(lambda order: order.update(status="paid", amount_paid=50_000))
    assert_unusable(gateway.fetch_payment, ref)
    simulator.rewrite_next(lambda order: order.update(amount_paid=1))
    assert_unusable(gateway.fetch_payment, ref)


def test_a_captured_payment_of_an_order_that_stays_unpaid_is_not_believed(world):
    gateway, simulator, ref = world
    unpaid = rewriting(lambda order: order.update(status="attempted", amount_paid=0))
    for fault in (unpaid, HONEST, unpaid):
        simulator.fault_next(fault)
    assert_unusable(gateway.fetch_payment, ref)


def test_a_payment_listed_twice_is_not_counted_twice(world):
    gateway, simulator, ref = world
    simulator.fault_next(HONEST)
    simulator.fault_next("duplicate")
    assert_unusable(gateway.fetch_payment, ref)


@pytest.mark.parametrize("after", [0, 1])
def test_the_answer_about_another_object_is_not_taken(world, after):
    gateway, simulator, ref = world
    for _ in range(after):
        simulator.fault_next(HONEST)
    simulator.fault_next("wrong-id")
    assert_unusable(gateway.fetch_payment, ref)


def test_the_whole_of_another_unpaid_order_is_not_taken_for_ours(world):
    gateway, simulator, _ = world
    ours, other = created(gateway, topup_id="mine"), created(gateway, topup_id="theirs")
    simulator.rewrite_next(lambda order: order.update(simulator.one(other.checkout_id)))
    assert_unusable(gateway.fetch_payment, ours)


def test_the_whole_of_another_paid_order_is_not_taken_for_ours(world):
    gateway, simulator, ref = world
    ours = created(gateway, topup_id="ours")
    simulator.rewrite_next(lambda order: order.update(simulator.one(ref.checkout_id)))
    assert_unusable(gateway.fetch_payment, ours)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"",
        b"\xff\xfe",
        b'{"amount": NaN}',
        b'{"amount": 1e999999}',
        b'{"amount": ' + b"9" * 5000 + b"}",
        b'{"id": "order_1", "id": "order_2"}',
        b"[" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"entity": "order"}',
        b'{"error": []}',
        b'{"error": "text"}',
    ],
    ids=lambda body: body[:20],
)
@pytest.mark.parametrize("status", [200, 202, 400])
def test_any_body_at_all_ends_in_a_gateway_error(world, body, status):
    gateway, simulator, ref = world
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=body, status=status)))
    assert_unusable(gateway.fetch_payment, ref)


def test_an_answer_without_content_is_unusable(world):
    gateway, simulator, ref = world
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=b"", status=204)))
    assert_unusable(gateway.fetch_payment, ref)


def test_a_name_given_twice_is_not_read_although_it_is_the_right_object(world):
    gateway, simulator, ref = world
    twice = Fault(spoil=lambda a: attrs.evolve(a, body=b'{"amount": 1, ' + a.body[1:]))
    simulator.fault_next(twice)
    assert_unusable(gateway.fetch_payment, ref)


def test_a_reply_without_end_is_cut_off(world):
    gateway, simulator, ref = world
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=b" " * (MAX_REPLY + 1))))
    assert refused(gateway.fetch_payment, ref).code == "connection"


def test_an_error_names_the_field_and_never_its_value(world):
    gateway, simulator, ref = world
    spoil_next(simulator, "method", "private\nvalue", after=1, item=True)
    message = str(refused(gateway.fetch_payment, ref))
    assert "method" in message
    assert "private" not in message


def test_empty_notes_come_as_a_list(world):
    gateway, simulator, ref = world
    spoil_next(simulator, "notes", [], after=1, item=True)
    assert gateway.fetch_payment(ref).topup_id == TOPUP
