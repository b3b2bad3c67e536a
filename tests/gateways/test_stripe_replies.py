"""Replies of Stripe that are not what they should be: each is refused, none is guessed at."""

from __future__ import annotations

import attrs
import pytest

from prepaid.core.errors import GatewayError
from prepaid.gateways.bounded import MAX_REPLY
from prepaid.gateways.replies import optional_str, require_int, require_str
from prepaid.ports import RefundRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_world import FORM, KEY, NOW, a_refund, bound, created, refused
from tests.gateways.stripe_world import paid as paid_by


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
NOT_MOMENTS = [None, 5000.0, "5000", True, -1, 253_402_300_800, 10**18, {}]
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
    *[(("created",), bad) for bad in NOT_MOMENTS],
]


def put(content, path, value):
    *above, last = path
    for name in above:
        content = content[name]
    content[last] = value


def drop(content, path):
    *above, last = path
    for name in above:
        content = content[name]
    del content[last]


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

    simulator.rewrite_next(lambda session: drop(session, path))
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


def test_a_name_that_is_repeated_anywhere_in_a_reply_makes_it_unusable(paid, given_back):
    gateway, simulator, ref = paid
    simulator.fault_next(
        Fault(spoil=lambda a: attrs.evolve(a, body=a.body.replace(b'"paid": true', b'"paid": true, "paid": true')))
    )
    assert refused(gateway.fetch_payment, ref).code == "unusable-reply"
    other, looks = given_back
    for name in ("refund", "dispute"):
        other.fault_next(
            Fault(spoil=lambda a: attrs.evolve(a, body=a.body.replace(b'"amount": ', b'"amount": 1, "amount": ')))
        )
        assert refused(looks[name]).code == "unusable-reply"


def test_a_repeated_name_in_the_answer_to_a_creation_leaves_the_outcome_open(gateway, simulator):
    simulator.fault_next(
        Fault(spoil=lambda a: attrs.evolve(a, body=a.body.replace(b'"id": ', b'"id": "cs_test_x", "id": ')))
    )
    error = refused(created, gateway)
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)


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


# Forms, refunds and disputes

FORM_CHARGE = ("latest_charge",)
FORM_SETTLED = (*FORM_CHARGE, "balance_transaction")
IN_FORM = [
    *[(("id",), bad) for bad in [*NOT_STRINGS, "cs_test_1", "pi_other"]],
    *[(("object",), bad) for bad in [*NOT_STRINGS, "charge"]],
    *[(("status",), bad) for bad in [*NOT_STRINGS, "requires_capture", "paid"]],
    *[(("livemode",), bad) for bad in [*NOT_BOOLS, True]],
    *[(("created",), bad) for bad in NOT_MOMENTS],
    *[(("metadata",), bad) for bad in NOT_OBJECTS],
    *[(("metadata", "topup_id"), bad) for bad in NOT_STRINGS if bad is not None],
    *[(("amount_received",), bad) for bad in [*NOT_NUMBERS, 0, 4999]],
    *[(("currency",), bad) for bad in [*NOT_STRINGS, "usd", "EUR", "xyz"]],
    *[(FORM_CHARGE, bad) for bad in [*NOT_OBJECTS, None, {}]],
    *[((*FORM_CHARGE, "payment_intent"), bad) for bad in [None, "pi_other"]],
    *[((*FORM_CHARGE, "livemode"), bad) for bad in [*NOT_BOOLS, True]],
    *[((*FORM_CHARGE, "captured"), bad) for bad in [*NOT_BOOLS, False]],
    *[((*FORM_CHARGE, "amount_captured"), bad) for bad in [*NOT_NUMBERS, 4999]],
    *[((*FORM_CHARGE, "amount_refunded"), bad) for bad in [*NOT_NUMBERS, 5001]],
    *[((*FORM_CHARGE, "disputed"), bad) for bad in NOT_BOOLS],
    *[((*FORM_SETTLED, "fee"), bad) for bad in NOT_NUMBERS],
]
IN_AUTHORISED = [
    *[(("amount_capturable",), bad) for bad in [*NOT_NUMBERS, 0]],
    *[(("currency",), bad) for bad in [*NOT_STRINGS, "xyz"]],
]
IN_ACTION = [
    *[(("next_action",), bad) for bad in [*NOT_OBJECTS, None, {}]],
    *[(("next_action", "type"), bad) for bad in NOT_STRINGS],
]
IN_REFUND = [
    *[(("id",), bad) for bad in [*NOT_STRINGS, "pi_1", "re_other"]],
    *[(("object",), bad) for bad in [*NOT_STRINGS, "charge"]],
    *[(("amount",), bad) for bad in [*NOT_NUMBERS, 0]],
    *[(("currency",), bad) for bad in [*NOT_STRINGS, "usd", "xyz"]],
    *[(("status",), bad) for bad in [*NOT_STRINGS, "done"]],
    *[(("created",), bad) for bad in NOT_MOMENTS],
    *[(("metadata",), bad) for bad in NOT_OBJECTS],
    *[(("metadata", "refund_id"), bad) for bad in NOT_STRINGS if bad is not None],
    *[(INTENT, bad) for bad in [*NOT_OBJECTS, None, {}]],
    *[((*INTENT, "object"), bad) for bad in [*NOT_STRINGS, "charge"]],
    *[((*INTENT, "id"), bad) for bad in [*NOT_STRINGS, "pi_other", "cs_test_1"]],
    *[((*INTENT, "currency"), bad) for bad in [*NOT_STRINGS, "usd"]],
    *[((*INTENT, "livemode"), bad) for bad in NOT_BOOLS],
]
IN_DISPUTE = [
    *[(("id",), bad) for bad in NOT_STRINGS],
    *[(("object",), bad) for bad in [*NOT_STRINGS, "charge"]],
    *[(("amount",), bad) for bad in [*NOT_NUMBERS, 0]],
    *[(("currency",), bad) for bad in [*NOT_STRINGS, "xyz"]],
    *[(("status",), bad) for bad in [*NOT_STRINGS, "closed"]],
    *[(("reason",), bad) for bad in NOT_STRINGS],
    *[(("livemode",), bad) for bad in NOT_BOOLS],
    *[(("created",), bad) for bad in NOT_MOMENTS],
    *[(("payment_intent",), bad) for bad in [*NOT_STRINGS, "pi_other", "ch_1"]],
]
IN_PREVENTED = [
    *[(("balance_transactions",), bad) for bad in [None, {}, 7, ["txn_1"], [None]]],
    *[(("balance_transactions", 0, "amount"), bad) for bad in [None, -5000.0, "-5000", True, -(10**12)]],
    *[(("balance_transactions", 0, "fee"), bad) for bad in [None, 1500.0, "1500", True, 10**12]],
    *[(("balance_transactions", 0, "currency"), bad) for bad in [*NOT_STRINGS, "xyz"]],
]


@pytest.fixture(scope="module")
def given_back():
    """A gateway with a paid, an authorised and a challenged form, a refund and a prevented dispute, only to be read."""
    clock = MovableClock(NOW)
    with StripeSimulator(secret_key=KEY, clock=clock) as simulator:
        gateway = bound(simulator, clock, **FORM)
        ref = paid_by(gateway, simulator)
        refund = gateway.refund(a_refund(ref))
        looks = {
            "form": lambda: gateway.fetch_payment(ref),
            "authorised": look_at(gateway, simulator.authorise, "2"),
            "action": look_at(gateway, simulator.challenge, "3"),
            "refund": lambda: gateway.fetch_refund(
                RefundRef(payment=ref, refund_id="ref_1", gateway_refund_id=refund.gateway_refund_id)
            ),
            "dispute": lambda: gateway.disputes_of(ref),
        }
        simulator.advance_dispute(simulator.dispute(ref.checkout_id), "prevented")
        yield simulator, looks


def look_at(gateway, happening, key):
    ref = created(gateway, key=key)
    happening(ref.checkout_id)
    return lambda: gateway.fetch_payment(ref)


def only_dispute(content):
    return content["data"][0]


def itself(content):
    return content


SPOILT = [
    *[("form", itself, path, bad) for path, bad in IN_FORM],
    *[("authorised", itself, path, bad) for path, bad in IN_AUTHORISED],
    *[("action", itself, path, bad) for path, bad in IN_ACTION],
    *[("refund", itself, path, bad) for path, bad in IN_REFUND],
    *[("dispute", only_dispute, path, bad) for path, bad in [*IN_DISPUTE, *IN_PREVENTED]],
]
OPTIONAL = {("metadata",), ("metadata", "topup_id"), ("metadata", "refund_id"), FORM_SETTLED}


@pytest.mark.parametrize(
    ("look", "inner", "path", "bad"), SPOILT, ids=lambda part: getattr(part, "__name__", repr(part)[:40])
)
def test_a_spoilt_field_of_any_other_reply_makes_it_unusable(given_back, look, inner, path, bad):
    simulator, looks = given_back
    simulator.rewrite_next(lambda content: put(inner(content), path, bad))
    error = refused(looks[look])
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, False)


@pytest.mark.parametrize(
    ("look", "inner", "path"),
    sorted({(look, inner, path) for look, inner, path, _ in SPOILT if path not in OPTIONAL}, key=repr),
)
def test_a_missing_field_of_any_other_reply_is_never_guessed(given_back, look, inner, path):
    simulator, looks = given_back
    simulator.rewrite_next(lambda content: drop(inner(content), path))
    assert refused(looks[look]).code == "unusable-reply"


def test_what_is_spoilt_in_these_tests_is_read_when_it_is_not(given_back):
    _, looks = given_back
    read = {name: look() for name, look in looks.items()}
    assert [read[name].state for name in ("form", "authorised", "action", "refund")] == [
        "captured",
        "authorised",
        "open",
        "succeeded",
    ]
    assert [dispute.state for dispute in read["dispute"]] == ["lost"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"",
        b"\xff\xfe",
        b'{"id": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"object": "list", "data": 7}',
    ],
    ids=lambda body: body[:20],
)
@pytest.mark.parametrize("look", ["form", "refund", "dispute"])
@pytest.mark.parametrize("status", [200, 400])
def test_any_other_body_at_all_ends_in_a_gateway_error(given_back, look, body, status):
    simulator, looks = given_back
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=body, status=status)))
    assert not refused(looks[look]).outcome_unknown


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
