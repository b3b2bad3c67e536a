"""Top-ups paid by Stripe in a whole billing system: page and form, credited by webhook, by return, or not at all."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from prepaid import Money, Prepaid
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_shapes import plain
from tests.gateways.stripe_world import FORM, KEY, NOW, PK, WHSEC, configured
from tests.use_cases.steps import seller

FIFTY = Money.of("50.00", "EUR")


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


@pytest.fixture(params=[{}, FORM], ids=["page", "form"])
def billing(request, simulator, clock, tmp_path):
    billing = Prepaid(
        database=f"sqlite:///{tmp_path}/billing.db",
        mode="test",
        seller=seller(),
        currencies=("EUR",),
        gateways=[configured(api_base=simulator.url, **request.param)],
        clock=clock,
        load_plugins=False,
        webhook_budget_s=60,
    )
    billing.upgrade_database()
    billing.customers.register("ada", email="ada@example.com", name="Ada", currency="EUR")
    yield billing
    billing.close()


@pytest.fixture
def ada(billing):
    return billing.customer("ada")


@pytest.fixture
def topup(ada):
    quote = ada.topups.quote(FIFTY, gateway="stripe")
    return ada.topups.start(
        quote, return_url="https://panel.example/back", cancel_url="https://panel.example/", key="k"
    )


def checkout_id_of(simulator):
    sessions = simulator.sessions()
    return (sessions or simulator.all_of("payment_intent"))[0]["id"]


def delivered(billing, simulator, clock, **delivery):
    webhooks = simulator.webhooks(secret=WHSEC, at=clock.now(), **delivery)
    return [billing.webhooks.receive("stripe", body=body, headers=headers).outcome for headers, body in webhooks]


def test_a_topup_is_credited_once_whatever_order_its_webhooks_come_in(billing, ada, topup, simulator, clock):
    simulator.pay(checkout_id_of(simulator))
    outcomes = delivered(billing, simulator, clock, copies=2, newest_first=True)
    assert outcomes.count("credited") == 1
    assert set(outcomes) <= {"credited", "duplicate"}
    assert ada.topups.confirm(topup.id).state == "credited"
    assert ada.balance().available == FIFTY
    assert billing.check().ok


def test_a_topup_is_credited_by_the_return_page_alone(ada, topup, simulator):
    simulator.pay(checkout_id_of(simulator))
    assert ada.topups.confirm(topup.id).state == "credited"


def test_the_customer_gets_a_page_or_what_a_form_needs_also_when_asked_again(ada, topup, simulator):
    again = ada.topups.get(topup.id)
    assert again.checkout == topup.checkout
    if topup.checkout.redirect_url is None:
        assert topup.checkout.widget["publishable_key"] == PK
        assert topup.checkout.widget["client_secret"].startswith(checkout_id_of(simulator))
        assert "_secret_" not in repr(topup)
    else:
        assert topup.checkout.redirect_url.startswith(simulator.url)


def test_a_topup_nobody_paid_is_closed_at_stripe_when_it_expires(billing, ada, topup, simulator, clock):
    clock.advance(days=2)
    billing.run_due()
    assert ada.topups.get(topup.id).state in {"expired", "canceled"}
    with pytest.raises(ValueError, match="not open"):
        simulator.pay(checkout_id_of(simulator))


def test_another_sum_than_was_asked_for_waits_for_an_operator(ada, topup, simulator):
    simulator.pay(checkout_id_of(simulator), amount=100)
    assert ada.topups.confirm(topup.id).state == "review"
    assert ada.balance().available == Money.zero("EUR")


def test_money_of_another_application_on_the_account_credits_nobody(billing, ada, topup, simulator, clock):
    body = urlencode({"amount": 5000, "currency": "eur"})
    foreign = plain(simulator, "POST", "/v1/payment_intents", body=body, secret=KEY)[2]["id"]
    simulator.pay(foreign)
    simulator.refund(foreign, 5)
    simulator.dispute(foreign)
    assert set(delivered(billing, simulator, clock)) == {"ignored"}
    assert ada.topups.confirm(topup.id).state == "pending"
    assert ada.balance().available == Money.zero("EUR")
