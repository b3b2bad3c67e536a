"""No gateway is ever called inside a database transaction, whichever road leads to it."""

from __future__ import annotations

import attrs
import pytest

from prepaid.gateways import SimulatedGateway
from tests.use_cases.steps import ADA, checkout_of, deliver, eur, operator, start

CALLS = (
    "check_credentials create_checkout fetch_payment capture cancel refund fetch_refund refunds_of disputes_of "
    "list_payments list_refunds list_disputes"
).split()


def _watched(name):
    def call(self, *parts, **named):
        self.seen.append((name, self.pool().checkedout()))
        return getattr(super(Watching, self), name)(*parts, **named)

    return call


@attrs.frozen(kw_only=True)
class Watching(SimulatedGateway):
    """Notes of each call how many connections of the books are in use."""

    seen: list = attrs.field(factory=list)
    holder: list = attrs.field(factory=list)

    def pool(self):
        return self.holder[0]

    for _name in CALLS:
        locals()[_name] = _watched(_name)
    del _name


@pytest.fixture
def gateway(tmp_path, clock):
    return Watching(state=tmp_path / "watched.db", clock=clock, capture="manual")


@pytest.fixture
def shop(open_billing, gateway):
    billing = open_billing(gateways=[gateway])
    gateway.holder.append(billing._database.engine.pool)
    billing.customers.register(ADA, currency="EUR")
    return billing


def test_every_call_finds_no_transaction_open(shop, gateway, clock):
    began, ada = clock.now(), shop.customer(ADA)
    ops = operator(shop)
    ops.gateways.status()
    paid = start(shop)
    gateway.pay(checkout_of(paid))
    deliver(shop, gateway.events()[0])
    gateway.refund_at_provider(checkout_of(paid), eur("1"))
    deliver(shop, gateway.events()[-1])
    ops.topups.recheck(paid.id)
    ada.topups.cancel(start(shop).id)
    lapsed = start(shop)
    clock.set(lapsed.expires_at)
    shop.run_due()
    ada.topups.confirm(lapsed.id)
    second = start(shop)
    gateway.pay(checkout_of(second))
    ada.topups.confirm(second.id)
    gateway.pay_again(checkout_of(second))
    gateway.fault_next("refund", "timeout-after-accept")
    deliver(shop, gateway.events()[-1])
    [waiting] = ops.topups.review().items
    ops.topups.resolve(waiting.id, action="refund", reason="twice", key="k")
    clock.advance(minutes=2)
    shop.run_due()
    ops.reconcile("simulated", began, clock.now())

    assert {name for name, _ in gateway.seen} == set(CALLS)
    assert {open_now for _, open_now in gateway.seen} == {0}
    assert shop.check().ok
