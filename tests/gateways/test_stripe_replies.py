"""Replies of Stripe that are not what they should be: each is refused, none is guessed at."""

from __future__ import annotations

import attrs
import pytest

from prepaid.core.errors import GatewayError
from prepaid.gateways.bounded import MAX_REPLY
from prepaid.gateways.replies import optional_str, require_int, require_str
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_world import (
    KEY,
    NOW,
    bound,
    created,
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
def gateway(simulator, clock):
    return bound(simulator, clock)


NOT_STRINGS = [None, 7, True, "", "x" * 300, "a\nb", ["x"], {}]
NOT_NUMBERS = [None, 5000.0, "5000", True, -1, 10**12, [5000], {}]
NOT_BOOLS = [None, 0, 1, "true", "", [], {}]
NOT_OBJECTS = ["an id instead", 7, True, []]
INTENT = ("payment_intent",)
CHARGE = (*INTENT, "latest_charge")
SETTLED = (*CHARGE, "balance_transaction")
MISTYPED = [
    *[(("id",), bad) for bad in [*NOT_STRINGS, "pi_1", "cs_test_other"]],
    *[(("object",), bad) for bad in [*NOT_STRINGS, "charge"]],
    *[(("mode",), bad) for bad in [*NOT_STRINGS, "setup"]],
    *[(("status",), bad) for bad in [*NOT_STRINGS, "done"]],
    *[(("payment_status",), bad) for bad in [*NOT_STRINGS, "unpaid", "no_payment_required", "overpaid"]],
    *[(("livemode",), bad) for bad in [*NOT_BOOLS, True]],
    *[(("client_reference_id",), bad) for bad in NOT_STRINGS if bad is not None],
    *[(("metadata",), bad) for bad in NOT_OBJECTS],
    *[(("metadata", "topup_id"), bad) for bad in NOT_STRINGS if bad is not None],
    *[(INTENT, bad) for bad in [*NOT_OBJECTS, None, {}]],
    *[((*INTENT, "object"), bad) for bad in [None, "charge"]],
    *[((*INTENT, "id"), bad) for bad in NOT_STRINGS],
    *[((*INTENT, "status"), bad) for bad in [*NOT_STRINGS, "processing", "requires_capture", "paid"]],
    *[((*INTENT, "livemode"), bad) for bad in [*NOT_BOOLS, True]],
    *[((*INTENT, "amount_received"), bad) for bad in [*NOT_NUMBERS, 0, 4999]],
    *[((*INTENT, "currency"), bad) for bad in [*NOT_STRINGS, "usd", "EUR", "xyz"]],
    *[(CHARGE, bad) for bad in [*NOT_OBJECTS, None, {}]],
    *[((*CHARGE, "payment_intent"), bad) for bad in [None, "pi_other"]],
    *[((*CHARGE, "livemode"), bad) for bad in [*NOT_BOOLS, True]],
    *[((*CHARGE, "captured"), bad) for bad in [*NOT_BOOLS, False]],
    *[((*CHARGE, "amount_captured"), bad) for bad in [*NOT_NUMBERS, 4999]],
    *[((*CHARGE, "amount_refunded"), bad) for bad in [*NOT_NUMBERS, 5001]],
    *[((*CHARGE, "currency"), bad) for bad in [*NOT_STRINGS, "usd"]],
    *[((*CHARGE, "disputed"), bad) for bad in NOT_BOOLS],
    *[((*CHARGE, "payment_method_details"), bad) for bad in NOT_OBJECTS],
    *[((*CHARGE, "payment_method_details", "type"), bad) for bad in NOT_STRINGS if bad is not None],
    *[(SETTLED, bad) for bad in [*NOT_OBJECTS, {"id": "txn_1"}]],
    *[((*SETTLED, "fee"), bad) for bad in NOT_NUMBERS],
    *[((*SETTLED, "currency"), bad) for bad in [*NOT_STRINGS, "xyz"]],
]


def put(content, path, value):
    *above, last = path
    for name in above:
        content = content[name]
    content[last] = value


@pytest.fixture(scope="module")
def paid():
    """A gateway with one paid session, for tests that only read it."""
    clock = MovableClock(NOW)
    with StripeSimulator(secret_key=KEY, clock=clock) as simulator:
        gateway = bound(simulator, clock)
        ref = created(gateway)
        simulator.pay(ref.checkout_id)
        yield gateway, simulator, ref


@pytest.mark.parametrize(("path", "bad"), MISTYPED, ids=lambda part: repr(part)[:40])
def test_a_mistyped_or_contradicting_field_is_an_unusable_reply(paid, path, bad):
    gateway, simulator, ref = paid
    simulator.rewrite_next(lambda session: put(session, path, bad))
    error = refused(gateway.fetch_payment, ref)
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, False)


@pytest.mark.parametrize("path", sorted({path for path, _ in MISTYPED if path != SETTLED and "type" not in path}))
def test_a_missing_field_is_never_guessed(paid, path):
    gateway, simulator, ref = paid

    def drop(session):
        *above, last = path
        for name in above:
            session = session[name]
        del session[last]

    simulator.rewrite_next(drop)
    if path[0] in {"metadata", "client_reference_id"}:
        assert gateway.fetch_payment(ref).topup_id is None
    elif path[-1] == "payment_method_details":
        assert gateway.fetch_payment(ref).method == ""
    else:
        assert refused(gateway.fetch_payment, ref).code == "unusable-reply"


def test_a_succeeded_payment_of_nothing_is_not_captured(paid):
    gateway, simulator, ref = paid

    def empty(session):
        session["payment_intent"]["amount_received"] = 0
        session["payment_intent"]["latest_charge"]["amount_captured"] = 0

    simulator.rewrite_next(empty)
    assert refused(gateway.fetch_payment, ref).code == "unusable-reply"


@pytest.mark.parametrize(("status", "payment"), [("open", "paid"), ("expired", "paid"), ("open", "unpaid")])
def test_a_session_that_contradicts_its_succeeded_payment_is_not_believed(paid, status, payment):
    gateway, simulator, ref = paid
    simulator.rewrite_next(lambda session: session.update(status=status, payment_status=payment))
    assert refused(gateway.fetch_payment, ref).code == "unusable-reply"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"",
        b"\xff\xfe",
        b'{"object": NaN}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"object": "checkout.session", "error": []}',
        b'{"object": "list", "data": 7}',
    ],
    ids=lambda body: body[:20],
)
@pytest.mark.parametrize("status", [200, 400])
def test_any_body_at_all_ends_in_a_gateway_error(paid, body, status):
    gateway, simulator, ref = paid
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=body, status=status)))
    error = refused(gateway.fetch_payment, ref)
    assert not error.outcome_unknown


def test_a_reply_without_end_is_cut_off(paid):
    gateway, simulator, ref = paid
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=b" " * (MAX_REPLY + 1))))
    error = refused(gateway.fetch_payment, ref)
    assert error.code == "connection"


def test_the_answer_about_another_object_is_not_taken(gateway, simulator):
    first, other = created(gateway), created(gateway, key="other-key")
    simulator.pay(other.checkout_id)
    simulator.rewrite_next(lambda session: session.update(simulator.session(other.checkout_id)))
    assert refused(gateway.fetch_payment, first).code == "unusable-reply"


# Strict reading


def test_a_whole_number_in_range_is_read_and_nothing_else():
    assert require_int({"n": 0}, "n") == 0
    assert require_int({"n": 7}, "n", largest=7) == 7
    with pytest.raises(GatewayError, match="n is not"):
        require_int({"n": 8}, "n", largest=7)


def test_text_is_bounded_and_optional_text_may_be_missing():
    assert require_str({"s": "x" * 191}, "s") == "x" * 191
    assert optional_str({}, "s") is None
    assert optional_str({"s": None}, "s") is None
    with pytest.raises(GatewayError) as caught:
        require_str({"s": "secret\n"}, "s")
    assert "secret" not in str(caught.value)
