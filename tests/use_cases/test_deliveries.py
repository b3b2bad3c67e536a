"""Deliveries: in whatever order and however late webhooks come, all roads end at the truth."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import permutations

import pytest

from prepaid import GatewayUnavailable, Money, NotFound
from prepaid.core.settlement import Expected
from tests.engines import SERVERS
from tests.use_cases.providers import event, signed
from tests.use_cases.steps import (
    SQLITE,
    checkout_of,
    counts,
    deliver,
    eur,
    operator,
    start,
)

EXPECTED = Expected(topup_id="top_1", checkout_id="co_1", mode="test", account="acct_1", total=eur("50"))


# Deliveries in any order


DELIVERIES = ("created", "failed", "paid", "expired", "paid")
ORDERS = sorted(set(permutations(DELIVERIES)))
TYPES = {
    "created": "checkout.created",
    "failed": "payment.failed",
    "paid": "payment.captured",
    "expired": "checkout.expired",
}


def deliver_in(billing, simulated, order):
    topup = start(billing, "1.00")
    simulated.pay(checkout_of(topup))
    outcomes = []
    for name in order:
        headers, body = signed(event(topup, type=TYPES[name], id=f"evt_{topup.id}_{name}"), at=simulated.clock.now())
        result = billing.webhooks.receive("simulated", body=body, headers=headers)
        assert result.status == 200
        outcomes.append(result.outcome)
    return topup, outcomes


@pytest.mark.parametrize(
    ("place", "orders"),
    [
        pytest.param("sqlite", ORDERS, id="sqlite"),
        *(pytest.param(*server.values, ORDERS[::7], marks=server.marks, id=server.values[0]) for server in SERVERS),
    ],
    indirect=["place"],
)
def test_every_order_of_deliveries_ends_in_the_truth_at_the_gateway(billing, ada, simulated, orders):
    assert len(ORDERS) == 60
    for order in orders:
        topup, outcomes = deliver_in(billing, simulated, order)

        # The first word about the payment settles it, whatever that word says; the rest changes nothing.
        assert outcomes.count("credited") == 1, order
        assert set(outcomes) == {"credited", "duplicate", "ignored"}
        assert ada.topups.get(topup.id).state == "credited"

    assert ada.balance().settled == Money.from_minor(100 * len(orders), "EUR")
    assert counts(billing)["invoice"] == len(orders)
    assert billing.check().ok


def test_a_webhook_that_comes_before_the_gateway_is_ready_waits_for_the_next_look(billing, ada, simulated, clock):
    topup = start(billing)
    headers, body = signed(event(topup), at=clock.now())
    first = billing.webhooks.receive("simulated", body=body, headers=headers)
    simulated.pay(checkout_of(topup))
    clock.advance(minutes=1)

    headers, body = signed(event(topup), at=clock.now())
    again = billing.webhooks.receive("simulated", body=body, headers=headers)

    assert (first.outcome, again.outcome) == ("pending", "credited")
    assert ada.balance().settled == eur("50")


@SQLITE
@pytest.mark.parametrize("fault", ["unavailable", "timeout-after-accept", "garbage"])
def test_a_gateway_that_cannot_be_asked_back_is_asked_by_a_job(billing, ada, simulated, clock, fault):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    simulated.fault_next("fetch_payment", fault)

    result = deliver(billing, simulated.events()[-1])

    assert (result.status, result.outcome, result.topup_id) == (200, "recorded", topup.id)
    assert ada.topups.get(topup.id).state == "pending"
    clock.advance(minutes=1)
    billing.run_due(only="topups")
    assert ada.topups.get(topup.id).state == "credited"


@SQLITE
@pytest.mark.parametrize("path", ["webhook", "confirm", "return"])
@pytest.mark.parametrize("end", ["expire", "fail"])
def test_a_late_payment_is_found_though_its_gateway_was_down_when_it_was_told(
    billing, ada, simulated, clock, path, end
):
    """The provider does not send a webhook again after a 200: a job must ask, also for a top-up that had ended."""
    topup = start(billing)
    getattr(simulated, end)(checkout_of(topup))
    assert ada.topups.confirm(topup.id).state in {"expired", "failed"}
    simulated.pay(checkout_of(topup), late=True)
    simulated.fault_next("fetch_payment", "unavailable", times=3)

    if path == "webhook":
        assert deliver(billing, simulated.events()[-1]).outcome == "recorded"
    elif path == "confirm":
        ada.topups.confirm(topup.id)
    else:
        billing.returns.receive({"topup": topup.id})
    for _ in range(4):
        clock.advance(minutes=20)
        billing.run_due(only="topups")

    assert ada.topups.get(topup.id).state == "credited"
    assert ada.balance().settled == eur("50")
    assert billing.check().ok


@SQLITE
def test_a_webhook_about_nothing_we_know_is_ignored(billing, simulated, clock):
    topup = start(billing)
    strangers = [
        event(topup, id="evt_a", checkout_id="sim_unknown", topup_id=None),
        event(topup, id="evt_c", checkout_id="sim_unknown", topup_id="not an id"),
        event(topup, id="evt_d", type="balance.changed"),
    ]
    for content in strangers:
        headers, body = signed(content, at=clock.now())
        result = billing.webhooks.receive("simulated", body=body, headers=headers)
        assert (result.status, result.outcome, result.topup_id) == (200, "ignored", None)


@SQLITE
def test_the_reference_finds_a_top_up_whose_checkout_was_never_heard_of(billing, ada, simulated, clock):
    simulated.fault_next("create_checkout", "timeout-after-accept")
    with pytest.raises(GatewayUnavailable) as lost:
        start(billing)
    topup_id = lost.value.topup_id
    content = {"id": "evt_1", "type": "payment.captured", "mode": "test", "checkout_id": "x", "topup_id": topup_id}
    headers, body = signed(content, at=clock.now())

    result = billing.webhooks.receive("simulated", body=body, headers=headers)

    # The checkout was asked for again with its key, found, and is still open.
    assert (result.outcome, result.topup_id) == ("pending", topup_id)
    assert ada.topups.get(topup_id).state == "pending"


@SQLITE
def test_rechecking_a_top_up_that_does_not_exist_is_not_found(billing):
    with pytest.raises(NotFound):
        operator(billing).topups.recheck("top_01m82v7m000000000000000000")


@SQLITE
def test_settling_long_after_the_start_dates_the_invoice_when_it_settled(billing, ada, simulated, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    clock.advance(days=3)

    ada.topups.confirm(topup.id)

    [invoice] = ada.invoices.list().items
    assert invoice.issued_on == date(2026, 11, 26)
    assert invoice.issued_at - topup.created_at == timedelta(days=3)
