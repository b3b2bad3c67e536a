"""What stands beside a payment: found though nobody told of it, told once, and seen if it is changed."""

from __future__ import annotations

import attrs
import pytest

from prepaid import GatewayError, gateway_facts, repayment
from prepaid.ports import PaymentRef, RefundRequest
from prepaid.settlement import settling
from tests.use_cases.steps import (
    SQLITE,
    change,
    checkout_of,
    deliver,
    eur,
    operator,
    start,
    top_up,
)
from tests.use_cases.test_reconciliation import reconcile
from tests.use_cases.test_review_races import meanwhile
from tests.use_cases.test_reviews import in_review, resolve, start_again

# Beside a payment


def test_a_second_payment_that_nobody_told_of_is_found_by_looking_again(billing, simulated, clock):
    first = top_up(billing, simulated)
    simulated.pay_again(checkout_of(start_again(billing, first)))

    operator(billing).topups.recheck(first.id)

    [waiting] = operator(billing).topups.review().items
    assert waiting.further_of == first.id
    assert reconcile(billing, clock).ok


def test_a_second_payment_that_failed_is_nothing_to_decide(billing, simulated, monkeypatch):
    first = top_up(billing, simulated)
    simulated.pay_again(checkout_of(start_again(billing, first)))
    fetch = type(simulated).fetch_payment

    def second_failed(gateway, ref):
        payment = fetch(gateway, ref)
        failed = (attrs.evolve(each, state="failed", captured=None) for each in payment.further)
        return attrs.evolve(payment, further=tuple(failed))

    with monkeypatch.context() as patched:
        patched.setattr(type(simulated), "fetch_payment", second_failed)
        operator(billing).topups.recheck(first.id)

    assert operator(billing).topups.review().items == ()
    operator(billing).topups.recheck(first.id)
    assert len(operator(billing).topups.review().items) == 1


@pytest.mark.parametrize("beside", ["payment", "refund", "dispute"])
def test_what_stands_beside_a_payment_is_recorded_though_the_process_ends_after_the_credit(
    billing, ada, simulated, clock, monkeypatch, beside
):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    if beside == "payment":
        simulated.pay_again(checkout_of(topup))
    elif beside == "refund":
        simulated.refund_at_provider(checkout_of(topup), eur("5"))
    else:
        simulated.dispute(checkout_of(topup))

    def ended(*parts, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(settling, "_look_beside", ended)
        with pytest.raises(KeyboardInterrupt):
            ada.topups.confirm(topup.id)
    assert ada.topups.get(topup.id).state == "credited"
    clock.advance(minutes=2)
    billing.run_due(only="topups")

    facts = operator(billing).topups.facts(topup.id)
    found = (len(operator(billing).topups.review().items), len(facts.refunds), len(facts.disputes))
    assert found == {"payment": (1, 0, 0), "refund": (0, 1, 0), "dispute": (0, 0, 1)}[beside]
    clock.advance(days=2)
    assert [run.count for run in billing.run_due(only="topups")] == [0]


def test_a_refund_of_a_second_payment_that_is_first_seen_with_it_is_recorded(billing, simulated, clock):
    first = top_up(billing, simulated)
    checkout_id = checkout_of(start_again(billing, first))
    simulated.pay_again(checkout_id)
    known = PaymentRef(topup_id=first.id, checkout_id=checkout_id)
    [second] = simulated.fetch_payment(known).further
    known = attrs.evolve(known, payment_id=second.payment_id)
    simulated.refund(RefundRequest(refund_id="by-hand", payment=known, amount=eur("20"), key="by-hand"))
    operator(billing).topups.recheck(first.id)

    clock.advance(minutes=2)
    billing.run_due(only="topups")

    [waiting] = operator(billing).topups.review().items
    assert [refund.amount for refund in operator(billing).topups.facts(waiting.id).refunds] == [eur("20")]
    assert billing.check().ok


@SQLITE
def test_a_refund_that_cannot_be_ours_keeps_no_other_fact_from_being_recorded(billing, simulated):
    topup = resolve(billing, in_review(billing, simulated, paid="70.00"), "credit_quoted")
    [ours] = operator(billing).topups.facts(topup.id).refunds
    ref = repayment._ref(billing._context, ours)
    simulated.refund(RefundRequest(refund_id=ours.id, payment=ref, amount=eur("3"), key="a-copy"))
    simulated.dispute(ref.checkout_id, amount=eur("5"))

    with pytest.raises(GatewayError):
        operator(billing).topups.recheck(topup.id)

    assert [dispute.amount for dispute in operator(billing).topups.facts(topup.id).disputes] == [eur("5")]


# Disputes


def test_a_dispute_whose_amount_changed_is_recorded_so(billing, simulated, clock):
    topup = top_up(billing, simulated)
    simulated.dispute(checkout_of(start_again(billing, topup)), amount=eur("10"))
    deliver(billing, simulated.events()[-1])
    change(billing, "UPDATE prepaid_dispute SET amount = amount - 10000 WHERE topup_id = :id", id=topup.id)

    operator(billing).topups.recheck(topup.id)

    assert [dispute.amount for dispute in operator(billing).topups.facts(topup.id).disputes] == [eur("10")]
    assert reconcile(billing, clock).ok


def test_an_older_answer_about_a_dispute_does_not_undo_a_newer_one(billing, simulated, monkeypatch):
    topup = top_up(billing, simulated)
    dispute_id = simulated.dispute(checkout_of(start_again(billing, topup)))
    deliver(billing, simulated.events()[-1])

    def lose_and_tell():
        simulated.lose(dispute_id)
        deliver(billing, simulated.events()[-1])

    # The first worker has its answer, "open", when the second one hears of the loss.
    meanwhile(monkeypatch, gateway_facts, "_record_dispute", lose_and_tell)
    operator(billing).topups.recheck(topup.id)

    [dispute] = operator(billing).topups.facts(topup.id).disputes
    assert dispute.state == "lost"


# What the check must see


TAMPERED = [
    ("UPDATE prepaid_refund SET state = 'pending'", "B7"),
    ("UPDATE prepaid_refund SET state = 'unknown'", "B7"),
    ("UPDATE prepaid_refund SET gateway_refund_id = NULL", "B7"),
    ("UPDATE prepaid_refund SET payment_id = 'pay_other'", "B2"),
    ("UPDATE prepaid_refund SET gateway = 'other'", "B2"),
    ("UPDATE prepaid_refund SET origin = 'elsewhere'", "B7"),
    ("UPDATE prepaid_topup SET state = 'review' WHERE state = 'refunded'", "B6"),
    ("UPDATE prepaid_payment SET payment_id = 'pay_other' WHERE posted_as = 'suspense'", "B2"),
    ("UPDATE prepaid_dispute SET state = 'over'", "B6"),
    ("UPDATE prepaid_dispute SET payment_id = 'pay_other'", "B2"),
    ("DELETE FROM prepaid_outbox WHERE dedupe_key LIKE 'refund-settled/%'", "B9"),
    ("DELETE FROM prepaid_outbox WHERE dedupe_key LIKE 'dispute-opened/%'", "B9"),
]


@SQLITE
@pytest.mark.parametrize(("tamper", "invariant"), TAMPERED)
def test_the_check_sees_facts_that_were_changed(billing, simulated, tamper, invariant):
    resolve(billing, in_review(billing, simulated), "refund")
    disputed = top_up(billing, simulated)
    simulated.dispute(checkout_of(start_again(billing, disputed)))
    deliver(billing, simulated.events()[-1])
    assert billing.check().ok

    change(billing, tamper)

    assert invariant in {finding.invariant for finding in billing.check().findings}
