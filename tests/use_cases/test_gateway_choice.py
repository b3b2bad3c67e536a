"""Several gateways at once: who is offered which, what an operator switches, how each is, two modes side by side."""

from __future__ import annotations

import pytest

from prepaid import InvalidRequest
from prepaid.gateways import BankTransferGateway
from prepaid.store import payments
from tests.use_cases.providers import NarrowGateway
from tests.use_cases.steps import ADA, EVE, SQLITE, checkout_of, eur, live_in, operator, seller, start

IBAN = "DE89370400440532013000"


@pytest.fixture
def three(open_billing, simulated, tmp_path, clock):
    """Give a billing system whose second gateway takes small amounts only, and whose third is a bank account."""
    narrow = NarrowGateway(state=tmp_path / "narrow.db", clock=clock, name="narrow", takes={"EUR": ("1", "40", "0.01")})
    bank = BankTransferGateway(account_holder="Nimbus GmbH", iban=IBAN)
    billing = open_billing(gateways=[simulated, narrow, bank])
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR")
    return billing


def names(billing, amount="20", customer=ADA):
    return [offer.name for offer in billing.customer(customer).topups.gateways(eur(amount))]


@SQLITE
def test_gateways_are_offered_in_the_operators_order_as_far_as_they_take_the_amount(three):
    assert names(three) == ["simulated", "narrow", "bank-transfer"]
    assert names(three, "50") == ["simulated", "bank-transfer"]


@SQLITE
def test_a_disabled_gateway_is_not_offered_and_takes_nothing_new_but_settles_what_is_open(three, simulated):
    topup = start(three)
    operator(three).gateways.disable("simulated")

    assert names(three) == ["narrow", "bank-transfer"]
    with pytest.raises(InvalidRequest) as refused:
        three.customer(ADA).topups.quote(eur("20"), gateway="simulated")
    assert refused.value.field == "gateway"
    assert three.customer(ADA).topups.quote(eur("20")).gateway == "narrow"
    simulated.pay(checkout_of(topup))
    assert three.customer(ADA).topups.confirm(topup.id).state == "credited"

    operator(three).gateways.enable("simulated")
    assert names(three) == ["simulated", "narrow", "bank-transfer"]


@SQLITE
def test_a_quote_of_a_gateway_that_was_disabled_meanwhile_cannot_be_started(three):
    quote = three.customer(ADA).topups.quote(eur("20"), gateway="simulated")
    operator(three).gateways.disable("simulated")

    with pytest.raises(InvalidRequest):
        three.customer(ADA).topups.start(quote, return_url="https://x.example", cancel_url="https://x.example", key="k")


@SQLITE
def test_a_gateway_is_offered_in_its_countries_only(three):
    operator(three).gateways.countries("narrow", ("IN", "DE"))
    live_in(three, "DE")
    live_in(three, "FR", EVE)

    assert "narrow" in names(three)
    assert "narrow" not in names(three, customer=EVE)
    operator(three).gateways.countries("narrow", None)
    assert "narrow" in names(three, customer=EVE)


@SQLITE
@pytest.mark.parametrize(
    "act",
    [
        lambda ops: ops.gateways.disable("nobody"),
        lambda ops: ops.gateways.enable(None),
        lambda ops: ops.gateways.countries("narrow", "DE"),
        lambda ops: ops.gateways.countries("narrow", ("Germany",)),
        lambda ops: ops.gateways.countries("nobody", None),
    ],
)
def test_what_cannot_be_switched_is_refused(three, act):
    with pytest.raises(InvalidRequest):
        act(operator(three))
    assert names(three) == ["simulated", "narrow", "bank-transfer"]


@SQLITE
def test_the_status_page_tells_how_each_gateway_is(three, simulated):
    start(three)
    operator(three).gateways.disable("narrow")
    operator(three).gateways.countries("bank-transfer", ("DE",))

    one, narrow, bank = operator(three).gateways.status()

    assert (one.name, one.mode, one.enabled, one.countries, one.open_topups) == ("simulated", "test", True, None, 1)
    assert (one.health.ok, one.last_webhook_at) == (True, None)
    assert (narrow.enabled, bank.enabled, bank.countries) == (False, True, ("DE",))


# A transfer that an operator confirms


@pytest.fixture
def awaited(three):
    topup = start(three, gateway="bank-transfer")
    assert topup.checkout.instructions["IBAN"].replace(" ", "") == IBAN
    return topup


def confirm(billing, topup, amount="50", reference="statement 7, line 3"):
    return operator(billing).topups.confirm_bank_transfer(topup.id, received=eur(amount), reference=reference)


@SQLITE
def test_a_confirmed_transfer_is_credited_and_may_be_confirmed_again(three, awaited):
    assert confirm(three, awaited).state == "credited"
    assert confirm(three, awaited).state == "credited"

    assert three.customer(ADA).balance().settled == eur("50")
    acts = [entry for entry in operator(three).audit.list().items if entry.action == "confirm-transfer"]
    assert [(entry.target, entry.after["evidence"]) for entry in acts] == [(awaited.id, "statement 7, line 3")]
    assert three.check().ok


@SQLITE
def test_a_transfer_of_another_amount_waits_in_review(three, awaited):
    waiting = confirm(three, awaited, "49.99")

    assert (waiting.state, waiting.failure) == ("review", "amount-differs")
    ended = operator(three).topups.resolve(waiting.id, action="credit_received", reason="a cent", key="k")
    assert three.customer(ADA).balance().settled == eur("49.99")
    assert ended.state == "credited"
    assert three.check().ok


@SQLITE
def test_another_confirmation_of_a_settled_transfer_is_a_conflict(three, awaited):
    from prepaid import KeyConflict

    confirm(three, awaited)
    for other in ({"amount": "51"}, {"reference": "statement 8"}):
        with pytest.raises(KeyConflict):
            confirm(three, awaited, **other)


@SQLITE
def test_two_operators_who_confirm_the_same_transfer_at_once_are_one_act(three, awaited, monkeypatch):
    real, asked = BankTransferGateway.confirmed, []

    def confirm(actor):
        door = operator(three, actor).topups
        return door.confirm_bank_transfer(awaited.id, received=eur("50"), reference="line 1")

    def confirmed_and_then_another(self, ref, **options):
        if not asked:
            asked.append(ref)
            monkeypatch.setattr(BankTransferGateway, "confirmed", real)
            confirm("bob@nimbus.example")
        return real(self, ref, **options)

    monkeypatch.setattr(BankTransferGateway, "confirmed", confirmed_and_then_another)
    assert confirm("alice@nimbus.example").state == "credited"

    acts = operator(three).audit.list(action="confirm-transfer").items
    assert [act.actor for act in acts] == ["bob@nimbus.example"]
    assert three.check().ok


@SQLITE
def test_one_line_of_a_statement_settles_one_top_up(three, awaited):
    confirm(three, awaited)
    other = start(three, gateway="bank-transfer", customer=EVE)

    with pytest.raises(InvalidRequest) as refused:
        confirm(three, other)

    assert refused.value.field == "reference"
    assert confirm(three, other, reference="statement 7, line 4").state == "credited"
    assert three.check().ok


@SQLITE
def test_a_line_that_settled_another_top_up_since_it_was_looked_for_is_refused_alike(three, awaited, monkeypatch):
    confirm(three, awaited)
    other = start(three, gateway="bank-transfer", customer=EVE)
    owner, looked_before = payments.owner, []

    def too_early(tx, gateway, payment_id):
        if looked_before:
            return owner(tx, gateway, payment_id)
        looked_before.append(payment_id)
        return None

    monkeypatch.setattr(payments, "owner", too_early)
    with pytest.raises(InvalidRequest) as refused:
        confirm(three, other)

    assert (refused.value.field, refused.value.message) == ("reference", "This reference settled another top-up.")
    assert three.customer(EVE).balance().settled == eur("0")
    with pytest.raises(InvalidRequest):
        confirm(three, other)
    assert confirm(three, other, reference="statement 7, line 4").state == "credited"
    assert three.check().ok


@SQLITE
def test_money_that_arrives_after_the_transfer_lapsed_is_credited(three, awaited, clock):
    clock.set(awaited.expires_at)
    three.run_due()
    assert three.customer(ADA).topups.get(awaited.id).state == "expired"

    assert confirm(three, awaited).state == "credited"


@SQLITE
def test_a_transfer_may_be_paid_for_two_weeks(three, awaited):
    assert (awaited.expires_at - awaited.created_at).days == 14


@SQLITE
def test_a_gateway_that_can_be_asked_is_not_told(three, simulated):
    with pytest.raises(InvalidRequest) as refused:
        confirm(three, start(three, gateway="simulated"))
    assert refused.value.field == "topup"


@SQLITE
def test_a_payment_that_can_not_be_sent_back_by_itself_says_so(three, awaited):
    from prepaid import WrongState

    waiting = confirm(three, awaited, "60")
    for action in ("refund", "credit_quoted"):
        with pytest.raises(WrongState):
            operator(three).topups.resolve(waiting.id, action=action, reason="x", key="k")
    assert operator(three).topups.review().items[0].id == waiting.id


# Two modes


@SQLITE
def test_test_and_live_stand_side_by_side_in_one_database(open_billing, place, simulated):
    bank = BankTransferGateway(account_holder="Nimbus GmbH", iban=IBAN)
    trial = open_billing(gateways=[simulated, bank])
    real = open_billing(mode="live", gateways=[bank], seller=seller())
    for billing in (trial, real):
        billing.customers.register(ADA, currency="EUR")
    topup = start(trial, gateway="bank-transfer")
    other = start(real, gateway="bank-transfer")

    confirm(trial, topup)
    confirm(real, other, "20")

    assert trial.customer(ADA).balance().settled == eur("50")
    assert real.customer(ADA).balance().settled == eur("0")
    assert (trial.check().ok, real.check().ok) == (True, True)
    assert [status.mode for status in operator(real).gateways.status()] == ["live"]
