"""Bank transfer: where to pay, references that can be checked, and confirmations that count once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import (
    ConfigurationError,
    GatewayError,
    InvalidAmount,
    InvalidRequest,
    RequestRefused,
    WebhookRejected,
)
from prepaid.core.ids import make_id
from prepaid.core.money import Money
from prepaid.core.settlement import Expected, judge
from prepaid.gateways import BankTransferGateway
from prepaid.gateways.bank_transfer import in_fours, leaves_one, read_reference, reference_of
from prepaid.ports import CheckoutRequest, ConfirmedByOperator, Gateway, PaymentRef
from prepaid.testing.clock import START, MovableClock

IBAN = "DE89370400440532013000"
TOPUP = make_id("top", START, b"0123456789")
FIFTY = Money.of("50.00", "EUR")
LINE = "2026-11-24, statement 11, line 7"
REQUEST = CheckoutRequest(
    topup_id=TOPUP,
    amount=FIFTY,
    description="Credit",
    return_url="https://panel.example/back",
    cancel_url="https://panel.example/billing",
    customer_id="user-42",
    expires_at=START + timedelta(days=14),
    key="key-1",
)
TOPUPS = st.binary(min_size=10, max_size=10).map(lambda entropy: make_id("top", START, entropy))


def configured(**changes):
    return BankTransferGateway(**{"account_holder": "Nimbus GmbH", "iban": IBAN, **changes})


def bound(mode="test", **changes):
    return configured(**changes).bind(mode, MovableClock())


@pytest.fixture
def gateway():
    return bound()


@pytest.fixture
def ref(gateway):
    return PaymentRef(topup_id=TOPUP, checkout_id=gateway.create_checkout(REQUEST).checkout_id)


# Configuration


@pytest.mark.parametrize("mode", ["test", "live"])
def test_it_works_in_both_modes(mode):
    gateway = bound(mode)
    assert isinstance(gateway, Gateway)
    assert isinstance(gateway, ConfirmedByOperator)
    assert (gateway.name, gateway.label, gateway.account) == ("bank-transfer", "Bank transfer", None)
    assert gateway.check_credentials().ok
    assert gateway.create_checkout(REQUEST).instructions


@pytest.mark.parametrize("mode", ["", "TEST", None])
def test_there_is_no_third_mode(mode):
    with pytest.raises(ConfigurationError, match="mode"):
        bound(mode)


@pytest.mark.parametrize("iban", ["de89 3704 0044 0532 0130 00", "GB82-WEST-1234-5698-7654-32", "NO9386011117947"])
def test_an_iban_may_be_written_as_people_write_it(iban):
    assert configured(iban=iban).iban == iban.replace(" ", "").replace("-", "").upper()


@pytest.mark.parametrize(
    "iban",
    [
        "",
        "DE88370400440532013000",
        "DE8937040044053201300",
        "DE89370400440532031000",
        "89DE370400440532013000",
        "x" * 99,
        None,
        5,
        "DE8937040044053201300O",
        "ＤＥ89370400440532013000",
    ],
)
def test_a_mistyped_iban_is_refused_without_being_repeated(iban):
    with pytest.raises(ConfigurationError) as refused:
        configured(iban=iban)
    assert not iban or str(iban) not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"confirmed_by": "camt"},
        {"account_holder": ""},
        {"account_holder": "  "},
        {"account_holder": "a\nb"},
        {"account_holder": None},
        {"bic": "COBADE"},
        {"bic": "cobadeff"},
        {"bic": None},
        {"name": "Bank"},
        {"currencies": ()},
        {"currencies": "EUR"},
        {"currencies": ("EUR", "XXX")},
        {"minimum": Money.of("0.00", "EUR")},
        {"minimum": Money.of("0.001", "EUR")},
        {"minimum": Money.of("10.00", "EUR"), "maximum": Money.of("9.99", "EUR")},
        {"maximum": Money.of("10.00", "USD")},
    ],
    ids=str,
)
def test_unusable_configuration_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        configured(**wrong)


def test_limits_are_by_currency():
    gateway = configured(
        currencies=("EUR", "JPY"),
        minimum=Money.of("10.00", "EUR"),
        maximum=(Money.of("5000.00", "EUR"), Money.of("900000", "JPY")),
    )
    taken = gateway.capabilities().currencies
    assert (taken["EUR"].minimum, taken["EUR"].maximum) == (Money.of("10.00", "EUR"), Money.of("5000.00", "EUR"))
    assert (taken["JPY"].minimum, taken["JPY"].maximum) == (Money.of("1", "JPY"), Money.of("900000", "JPY"))
    assert taken["JPY"].step == Money.of("1", "JPY")


def test_unbound_it_gives_nothing(ref):
    for call in (
        lambda gateway: gateway.create_checkout(REQUEST),
        lambda gateway: gateway.fetch_payment(ref),
        lambda gateway: gateway.check_credentials(),
        lambda gateway: gateway.confirmed(ref, received=FIFTY, evidence=LINE, at=START),
    ):
        with pytest.raises(ConfigurationError, match="bind"):
            call(configured())


# References


@given(TOPUPS)
def test_a_reference_can_be_checked_and_read_back_from_what_people_write(topup_id):
    reference = reference_of(topup_id)
    assert len(reference) == 16
    assert leaves_one(reference)
    assert reference == reference_of(topup_id)
    for written in (
        in_fours(reference),
        reference.lower(),
        reference.replace("0", "o"),
        reference[:4] + "-" + reference[4:],
    ):
        if "RF" in written[:2].upper() and "O" not in written[:4].upper():
            assert read_reference(written) == reference


@given(TOPUPS, st.integers(2, 15), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_wrong_character_is_noticed(topup_id, place, symbol):
    reference = reference_of(topup_id)
    typed = reference[:place] + symbol + reference[place + 1 :]
    if typed == reference:
        return
    with pytest.raises(InvalidRequest, match="mistyped"):
        read_reference(typed)


@given(TOPUPS, st.integers(4, 14))
def test_two_exchanged_neighbours_are_noticed(topup_id, place):
    reference = reference_of(topup_id)
    pair = reference[place : place + 2]
    if pair[0] == pair[1] or "".join(sorted(pair)) in {"1B", "2M", "3X"}:  # the three that MOD 97-10 does not see
        return
    typed = reference[:place] + pair[::-1] + reference[place + 2 :]
    with pytest.raises(InvalidRequest, match="mistyped"):
        read_reference(typed)


@pytest.mark.parametrize("written", ["", "RF", TOPUP, "RF185390075470345", "RF64 HMWZ VF5G T4TA 0", "R" * 500, None, 5])
def test_what_is_no_reference_is_refused(written):
    with pytest.raises(RequestRefused):
        read_reference(written)


def test_two_top_ups_have_two_references():
    references = {reference_of(make_id("top", START, number.to_bytes(10, "big"))) for number in range(5000)}
    assert len(references) == 5000


# Payments


def test_a_checkout_tells_where_to_pay(gateway):
    checkout = gateway.create_checkout(REQUEST)
    assert checkout.redirect_url is checkout.widget is None
    assert checkout.instructions == {
        "Account holder": "Nimbus GmbH",
        "IBAN": "DE89 3704 0044 0532 0130 00",
        "Amount": "50.00 EUR",
        "Reference": in_fours(checkout.checkout_id),
    }
    assert gateway.create_checkout(REQUEST) == checkout
    with_bic = bound(bic="COBADEFFXXX").create_checkout(REQUEST)
    assert with_bic.instructions["BIC"] == "COBADEFFXXX"


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (Money.of("50.00", "USD"), "currency-not-supported"),
        (Money.of("0.00", "EUR"), "amount-invalid"),
        (Money.of("50.001", "EUR"), "amount-too-fine"),
        (Money.of("9.99", "EUR"), "amount-invalid"),
        (Money.of("100.01", "EUR"), "amount-invalid"),
    ],
)
def test_an_amount_that_is_not_taken_is_refused_for_good(amount, code):
    gateway = bound(minimum=Money.of("10.00", "EUR"), maximum=Money.of("100.00", "EUR"))
    with pytest.raises(GatewayError) as refused:
        gateway.create_checkout(attrs.evolve(REQUEST, amount=amount))
    assert (refused.value.code, refused.value.retryable, refused.value.outcome_unknown) == (code, False, False)


def test_until_an_operator_confirms_it_a_payment_is_open(gateway, ref):
    payment = gateway.fetch_payment(ref)
    assert (payment.state, payment.captured, payment.payment_id) == ("open", None, None)
    assert (payment.checkout_id, payment.topup_id) == (ref.checkout_id, TOPUP)
    assert gateway.cancel(ref).state == "canceled"


def test_a_confirmation_is_a_captured_payment_that_settlement_credits(gateway, ref):
    payment = gateway.confirmed(ref, received=FIFTY, evidence=LINE, at=START)
    assert (payment.state, payment.captured, payment.created_at) == ("captured", FIFTY, START)
    assert payment == gateway.confirmed(ref, received=FIFTY, evidence=LINE, at=START)
    expected = Expected(topup_id=TOPUP, checkout_id=ref.checkout_id, mode="test", account=None, total=FIFTY)
    assert judge(payment, expected).kind == "credit"
    short = gateway.confirmed(ref, received=Money.of("49.00", "EUR"), evidence=LINE, at=START)
    assert judge(short, expected).kind == "review"


def test_one_line_of_a_statement_is_one_payment_however_it_is_typed(gateway, ref):
    other = attrs.evolve(REQUEST, topup_id=make_id("top", START, b"9876543210"))
    second = PaymentRef(topup_id=other.topup_id, checkout_id=gateway.create_checkout(other).checkout_id)

    def payment_id(of, evidence):
        return gateway.confirmed(of, received=FIFTY, evidence=evidence, at=START).payment_id

    first = payment_id(ref, LINE)
    for typed in (LINE, LINE.upper(), LINE.replace(" ", "  "), LINE.replace(" ", "\u00a0"), LINE.replace("7", "７")):
        assert payment_id(second, typed) == first
    assert payment_id(second, LINE.replace("7", "8")) != first


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"received": Money.of("0.00", "EUR")}, InvalidAmount),
        ({"received": Money.of("-1.00", "EUR")}, InvalidAmount),
        ({"received": Money.of("0.001", "EUR")}, InvalidAmount),
        ({"received": 50.0}, InvalidAmount),
        ({"evidence": ""}, InvalidRequest),
        ({"evidence": " \u00a0 "}, InvalidRequest),
        ({"evidence": "a\x00b"}, InvalidRequest),
        ({"evidence": "x" * 192}, InvalidRequest),
        ({"evidence": None}, InvalidRequest),
        ({"at": datetime(2026, 11, 24)}, InvalidRequest),  # noqa: DTZ001
        ({"at": "2026-11-24"}, InvalidRequest),
    ],
    ids=str,
)
def test_a_confirmation_that_cannot_be_right_is_refused(gateway, ref, change, refusal):
    with pytest.raises(refusal):
        gateway.confirmed(
            ref, **{"received": FIFTY, "evidence": LINE, "at": datetime(2026, 11, 24, tzinfo=UTC), **change}
        )


@pytest.mark.parametrize("checkout_id", ["", "RF64HMWZVF5GT4TA", "x" * 5000, "\ud800"])
def test_a_reference_of_another_top_up_is_never_answered_for(gateway, checkout_id):
    foreign = PaymentRef(topup_id=TOPUP, checkout_id=checkout_id)
    for call in (
        gateway.fetch_payment,
        gateway.cancel,
        lambda ref: gateway.confirmed(ref, received=FIFTY, evidence=LINE, at=START),
    ):
        with pytest.raises(GatewayError) as refused:
            call(foreign)
        assert (refused.value.code, refused.value.retryable) == ("unknown-checkout", False)


@given(st.dictionaries(st.text(), st.text()), st.binary())
def test_no_webhook_is_believed(headers, body):
    with pytest.raises(WebhookRejected):
        bound().parse_webhook(headers, body)
