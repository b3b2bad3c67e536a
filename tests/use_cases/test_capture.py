"""Gateways that take the money only when we say so: captured once approved, and only if it is what was started."""

from __future__ import annotations

import attrs
import pytest

from prepaid.gateways import SimulatedGateway
from tests.use_cases.steps import ADA, alarms, checkout_of, deliver, eur, operator, rows, start


@pytest.fixture
def manual(tmp_path, clock):
    return SimulatedGateway(state=tmp_path / "manual.db", clock=clock, capture="manual")


@pytest.fixture
def shop(open_billing, manual):
    billing = open_billing(gateways=[manual])
    billing.customers.register(ADA, currency="EUR")
    return billing


def state_of(billing, topup):
    return billing.customer(ADA).topups.get(topup.id).state


@pytest.mark.parametrize("way", ["return", "webhook", "job"])
def test_an_approved_payment_is_captured_and_credited(shop, manual, clock, way):
    topup = start(shop)
    manual.pay(checkout_of(topup))
    if way == "return":
        shop.returns.receive({"topup": topup.id})
    elif way == "webhook":
        assert deliver(shop, manual.events()[0]).outcome == "credited"
    else:
        clock.advance(minutes=1)
        shop.run_due(only="topups")

    assert state_of(shop, topup) == "credited"
    assert shop.customer(ADA).balance().settled == eur("50")
    assert shop.check().ok


def test_an_approval_after_the_checkout_lapsed_is_captured_all_the_same(shop, manual, clock):
    topup = start(shop)
    manual.pay(checkout_of(topup))
    clock.set(topup.expires_at)

    shop.run_due()

    assert state_of(shop, topup) == "credited"


def test_a_customer_who_cancels_after_approving_is_not_charged(shop, manual, clock):
    topup = start(shop)
    manual.pay(checkout_of(topup))

    assert shop.customer(ADA).topups.cancel(topup.id).state == "canceled"

    for delivery in manual.events():
        deliver(shop, delivery)
    clock.advance(days=1)
    shop.run_due()
    assert state_of(shop, topup) == "canceled"
    assert shop.customer(ADA).balance().settled == eur("0")


@pytest.mark.parametrize("lie", [{"amount": eur("49.99")}, {"currency": "USD"}, {"topup_id": "top_other"}])
def test_an_approval_that_is_not_what_was_started_is_not_captured(shop, manual, lie):
    topup = start(shop)
    manual.pay(checkout_of(topup), **lie)

    shop.customer(ADA).topups.confirm(topup.id)

    assert state_of(shop, topup) == "pending"
    assert manual.page(checkout_of(topup)).state == "authorised"
    assert len(alarms(shop)) == 1
    assert [odd.id for odd in operator(shop).topups.review().items] == [topup.id]


@pytest.mark.parametrize("fault", ["timeout-after-accept", "unavailable"])
def test_a_capture_whose_answer_is_lost_is_looked_up(shop, manual, clock, fault):
    topup = start(shop)
    manual.pay(checkout_of(topup))
    manual.fault_next("capture", fault)
    shop.customer(ADA).topups.confirm(topup.id)
    assert state_of(shop, topup) == "pending"

    clock.advance(minutes=1)
    shop.run_due(only="topups")

    assert state_of(shop, topup) == "credited"
    assert shop.check().ok


@pytest.fixture
def patient(tmp_path, clock):
    """Give a provider whose failed payments may still come through for three days."""

    @attrs.frozen(kw_only=True)
    class Patient(SimulatedGateway):
        def capabilities(self):
            return attrs.evolve(super().capabilities(), failed_final_after_s=3 * 86_400)

    return Patient(state=tmp_path / "patient.db", clock=clock, capture="manual")


@pytest.mark.parametrize("end", ["fail", "lapse"])
def test_a_payment_that_is_authorised_late_is_found_and_captured_by_the_job(open_billing, patient, clock, end):
    billing = open_billing(gateways=[patient])
    billing.customers.register(ADA, currency="EUR")
    topup = start(billing)
    if end == "fail":
        patient.fail(checkout_of(topup))
    clock.set(topup.expires_at)
    billing.run_due()
    assert state_of(billing, topup) == ("failed" if end == "fail" else "expired")

    clock.advance(days=2)
    patient.pay(checkout_of(topup), late=True)
    clock.advance(hours=1)
    billing.run_due()

    assert state_of(billing, topup) == "credited"
    assert billing.check().ok


def test_nobody_looks_for_ever(open_billing, patient, clock):
    billing = open_billing(gateways=[patient])
    billing.customers.register(ADA, currency="EUR")
    topup = start(billing)
    patient.fail(checkout_of(topup))

    looks = 0
    for _ in range(5):
        clock.advance(days=1)
        looks += billing.run_due(only="topups")[0].count

    assert looks >= 3
    assert rows(billing, "SELECT next_poll_at FROM prepaid_topup WHERE id = :id", id=topup.id) == [(None,)]


def test_an_approval_that_its_gateway_cannot_undo_is_canceled_all_the_same(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class Stubborn(SimulatedGateway):
        def cancel(self, ref):
            return self.fetch_payment(ref)

    gateway = Stubborn(state=tmp_path / "stubborn.db", clock=clock, capture="manual")
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    for paid in (True, False):
        topup = start(billing)
        if paid:
            gateway.pay(checkout_of(topup))
        assert billing.customer(ADA).topups.cancel(topup.id).state == "canceled"
        assert billing.customer(ADA).topups.confirm(topup.id).state == "canceled"
    assert billing.check().ok
