"""Events in every order, late, twice: where a top-up ends is what the gateway has, not what came last."""

from __future__ import annotations

import itertools

import pytest

from prepaid import permissions
from tests.use_cases.providers import event, receive, signed
from tests.use_cases.steps import ADA, SQLITE, checkout_of, eur, start

TYPES = ("checkout.created", "payment.failed", "payment.captured", "refund.succeeded", "checkout.expired")
ORDERS = list(itertools.permutations(TYPES))
# Of each truth every order in the full count, and in every run those that a fixed stride picks.
SLICE = ORDERS[::17]


def paid_and_refunded(gateway, checkout_id):
    gateway.fail(checkout_id)
    gateway.pay(checkout_id, late=True)
    gateway.refund_at_provider(checkout_id, eur("20"))


def failed(gateway, checkout_id):
    gateway.fail(checkout_id)


def lapsed(gateway, checkout_id):
    gateway.expire(checkout_id)


def paid_after_it_lapsed(gateway, checkout_id):
    gateway.expire(checkout_id)
    gateway.pay(checkout_id, late=True)


TRUTHS = {
    paid_and_refunded: ("credited", "30", ["succeeded"]),  # 20 were given back
    failed: ("failed", "0", []),
    lapsed: ("expired", "0", []),
    paid_after_it_lapsed: ("credited", "50", []),
}


def tell(billing, topup, order, at):
    """Deliver one event of each type in an order, every second one twice, as the gateway signs them."""
    for number, kind in enumerate(order):
        headers, body = signed(event(topup, type=kind, id=f"evt_{topup.id}_{kind}"), at=at)
        for _ in range(1 + number % 2):
            assert receive(billing, headers, body).status == 200


def ends(billing, topup):
    door = billing.customer(ADA)
    facts = billing.operator("alice", permissions=permissions.ALL).topups.facts(topup.id)
    return door.topups.get(topup.id).state, [refund.state for refund in facts.refunds]


@pytest.mark.parametrize("orders", [SLICE, pytest.param(ORDERS, marks=pytest.mark.full)], ids=["slice", "all"])
@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.__name__)
@SQLITE
def test_every_order_of_events_ends_where_the_gateway_is(billing, simulated, clock, truth, orders):
    state, credit, refunds = TRUTHS[truth]
    for order in orders:
        topup = start(billing)
        truth(simulated, checkout_of(topup))

        tell(billing, topup, order, clock.now())

        assert ends(billing, topup) == (state, refunds), order
        clock.advance(minutes=1)
    total = len(orders) if credit != "0" else 0
    assert billing.customer(ADA).balance().settled.minor == total * eur(credit).minor
    assert billing.check().ok


@pytest.mark.parametrize("orders", [SLICE, pytest.param(ORDERS, marks=pytest.mark.full)], ids=["slice", "all"])
@SQLITE
def test_what_happens_between_the_events_converges_all_the_same(billing, simulated, clock, orders):
    """Let the gateway move on between two events, so that each sees another moment; the last tells of the refund."""
    moves = (
        simulated.fail,
        lambda checkout_id: simulated.pay(checkout_id, late=True),
        lambda checkout_id: simulated.refund_at_provider(checkout_id, eur("20")),
    )
    for order in orders:
        topup = start(billing)
        checkout_id = checkout_of(topup)
        for number, kind in enumerate(order):
            if number < len(moves):
                moves[number](checkout_id)
            tell(billing, topup, (kind,), clock.now())
        clock.advance(minutes=1)
        headers, body = signed(event(topup, type="refund.succeeded", id=f"evt_{topup.id}_last"), at=clock.now())
        receive(billing, headers, body)

        assert ends(billing, topup) == ("credited", ["succeeded"]), order
    assert billing.check().ok
