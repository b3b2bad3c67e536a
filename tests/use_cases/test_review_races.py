"""Reviews that two people end at once, refunds that come back, and payments that can only be sent back."""

from __future__ import annotations

import threading
import time

import attrs
import pytest

from prepaid import GatewayError, Money, WrongState, repayment, reviewing
from prepaid.gateways import SimulatedGateway
from prepaid.settlement import settling
from tests.use_cases.steps import (
    ADA,
    SQLITE,
    alarms,
    checkout_of,
    deliver,
    eur,
    flow,
    operator,
    start,
    top_up,
)
from tests.use_cases.test_reviews import in_review, refunds_of, resolve, start_again, states


def meanwhile(monkeypatch, module, name, act):
    """Let something happen once, just before a function of the library goes on."""
    original, todo = getattr(module, name), [act]

    def interrupted(*parts, **named):
        if todo:
            todo.pop()()
        return original(*parts, **named)

    monkeypatch.setattr(module, name, interrupted)


# Two operators


@pytest.mark.parametrize("credit", ["credit_received", "credit_quoted"])
@pytest.mark.parametrize("outcome", ["pending", "succeeded"])
def test_money_that_one_operator_sends_back_is_not_credited_by_another(
    billing, ada, simulated, monkeypatch, credit, outcome
):
    simulated.script_refund(outcome)
    waiting = in_review(billing, simulated)
    meanwhile(monkeypatch, reviewing, "resolved_as", lambda: resolve(billing, waiting, "refund", key="first"))

    with pytest.raises(WrongState):
        resolve(billing, waiting, credit, key="second")

    assert ada.balance().settled == eur("0")
    assert states(billing, waiting) == [outcome]
    assert billing.check().ok


@pytest.mark.parametrize("action", ["credit_received", "credit_quoted", "refund"])
def test_the_same_act_twice_at_once_is_one_act_with_one_answer(billing, simulated, monkeypatch, action):
    waiting, firsts = in_review(billing, simulated), []
    meanwhile(monkeypatch, reviewing, "resolved_as", lambda: firsts.append(resolve(billing, waiting, action)))

    assert resolve(billing, waiting, action) == firsts[0]
    assert len(refunds_of(billing, waiting)) == (action == "refund")
    assert billing.check().ok


# Alarms that were given before


def test_a_payment_whose_amount_alarmed_when_it_was_approved_is_kept_when_it_is_taken(open_billing, tmp_path, clock):
    manual = SimulatedGateway(state=tmp_path / "manual.db", clock=clock, capture="manual")
    billing = open_billing(gateways=[manual])
    billing.customers.register(ADA, currency="EUR")
    topup = start(billing)
    manual.pay(checkout_of(topup), amount=eur("49.99"))
    assert billing.customer(ADA).topups.confirm(topup.id).state == "pending"
    manual.capture(settling._ref(settling.load(billing._context, topup.id)), eur("49.99"), key="by-hand")

    assert billing.customer(ADA).topups.confirm(topup.id).state == "review"

    assert alarms(billing) == ["amount-differs", "amount-differs"]
    assert billing.check().ok


# Second payments


@pytest.mark.parametrize("action", ["credit_received", "credit_quoted"])
def test_a_second_payment_in_another_currency_can_only_be_sent_back(billing, simulated, action):
    first = top_up(billing, simulated)
    simulated.pay_again(checkout_of(start_again(billing, first)), amount=Money.of("50", "USD"))
    deliver(billing, simulated.events()[-1])
    [waiting] = operator(billing).topups.review().items

    with pytest.raises(WrongState):
        resolve(billing, waiting, action)

    assert resolve(billing, waiting, "refund", key="act-2").state == "refunded"
    assert billing.check().ok


@SQLITE
def test_a_second_payment_too_small_to_sell_anything_is_kept_all_the_same(open_billing, simulated):
    from tests.use_cases.steps import add_rule, live_in, seller

    billing = open_billing(seller=seller(rounding="down"))
    billing.customers.register(ADA, currency="EUR")
    add_rule(billing)
    live_in(billing, "FR")
    first = top_up(billing, simulated)
    simulated.pay_again(checkout_of(start_again(billing, first)), amount=eur("0.01"))

    assert deliver(billing, simulated.events()[-1]).status == 200

    [waiting] = operator(billing).topups.review().items
    assert waiting.total == eur("0.01")
    with pytest.raises(WrongState):
        resolve(billing, waiting, "credit_received")
    assert resolve(billing, waiting, "refund", key="act-2").state == "refunded"
    assert billing.check().ok


# Surplus


@SQLITE
def test_a_surplus_is_not_promised_where_no_part_can_be_given_back(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class Whole(SimulatedGateway):
        def capabilities(self):
            return attrs.evolve(super().capabilities(), partial_refund=False)

    gateway = Whole(state=tmp_path / "whole.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    waiting = in_review(billing, gateway, paid="70.00")

    with pytest.raises(WrongState):
        resolve(billing, waiting, "credit_quoted")

    assert resolve(billing, waiting, "refund", key="act-2").state == "refunded"


# A refund that comes back


@pytest.mark.parametrize("paid", ["45.00", "70.00"])
def test_money_that_came_back_after_the_review_ended_can_be_sent_again(billing, ada, simulated, paid):
    action = "refund" if paid == "45.00" else "credit_quoted"
    topup = resolve(billing, in_review(billing, simulated, paid=paid), action)
    [refund] = refunds_of(billing, topup)
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    deliver(billing, simulated.events()[-1])
    [odd] = operator(billing).topups.review().items
    assert odd.failure == "refund-failed"
    before = ada.balance().settled
    for other in ("credit_received", "credit_quoted"):
        with pytest.raises(WrongState):
            resolve(billing, odd, other, key="act-2")

    again = resolve(billing, odd, "refund", key="act-2")

    assert (again.state, again.failure) == (topup.state, "")
    assert states(billing, again) == ["failed", "succeeded"]
    assert resolve(billing, odd, "refund", key="act-2") == again
    assert resolve(billing, odd, action) == again
    assert ada.balance().settled == before
    assert operator(billing).topups.review().items == ()
    assert billing.check().ok


def test_a_refund_that_one_worker_settles_while_another_hears_that_it_failed_is_accounted_for(
    billing, simulated, monkeypatch
):
    simulated.script_refund("pending")
    topup = resolve(billing, in_review(billing, simulated), "refund")
    [refund] = refunds_of(billing, topup)
    [pending] = simulated.refunds_of(repayment._ref(billing._context, refund))
    told = {state: attrs.evolve(pending, state=state) for state in ("succeeded", "failed")}
    holding, move = threading.Event(), repayment._move

    def slow(*parts, **named):
        if not holding.is_set():
            holding.set()
            time.sleep(0.4)  # the row is held by now, and the other worker waits for it
        return move(*parts, **named)

    monkeypatch.setattr(repayment, "_move", slow)
    settling = threading.Thread(target=repayment.apply, args=(billing._context, refund, told["succeeded"]))
    settling.start()
    assert holding.wait(10)
    repayment.apply(billing._context, refund, told["failed"])
    settling.join()

    assert states(billing, topup) == ["failed"]
    assert flow(billing, "clearing", "refunds_in_transit") == "45.00"
    assert billing.check().ok


# Two workers at one start


@SQLITE
def test_a_refusal_to_one_worker_does_not_end_the_checkout_that_another_opened(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class Once(SimulatedGateway):
        again: list = attrs.field(factory=list)

        def create_checkout(self, request):
            if self.again:
                self.again.pop()()
                raise GatewayError("The key is in use.", code="refused")
            return super().create_checkout(request)

    gateway = Once(state=tmp_path / "once.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    started = []
    gateway.again.append(lambda: started.append(start(billing, key="the-same")))

    with pytest.raises(GatewayError):
        start(billing, key="the-same")

    assert billing.customer(ADA).topups.get(started[0].id).state == "pending"
