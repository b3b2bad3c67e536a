"""The end of a review: credited as received, as quoted, or sent back; and money that goes back once, or not at all."""

from __future__ import annotations

import json
from datetime import timedelta

import attrs
import pytest

from prepaid import GatewayError, InvalidRequest, KeyConflict, Money, NotFound, WrongState
from prepaid.core.instants import from_micros
from prepaid.core.refunds import Refund
from prepaid.gateways import SimulatedGateway
from tests.use_cases.steps import (
    ADA,
    SQLITE,
    add_rule,
    checkout_of,
    deliver,
    eur,
    flow,
    live_in,
    operator,
    parts,
    rows,
    seller,
    start,
    told,
    top_up,
    value,
)

ACTIONS = ("credit_received", "credit_quoted", "refund")


def in_review(billing, simulated, paid="45.00", asked="50.00", **options):
    """Start a top-up, pay another amount, and let it be looked at."""
    topup = start(billing, asked, **options)
    simulated.pay(checkout_of(topup), amount=eur(paid))
    waiting = billing.customer(ADA).topups.confirm(topup.id)
    assert waiting.state == "review"
    return waiting


def resolve(billing, topup, action, *, key="act-1", reason="the customer agreed"):
    return operator(billing).topups.resolve(topup.id, action=action, reason=reason, key=key)


def refunds_of(billing, topup):
    return operator(billing).topups.facts(topup.id).refunds


def states(billing, topup):
    return [refund.state for refund in refunds_of(billing, topup)]


def test_an_operator_reads_a_topup_of_any_state_with_what_was_paid_for_it(billing, simulated):
    topup = start(billing)
    before = operator(billing).topups.facts(topup.id)
    simulated.pay(checkout_of(topup), amount=eur("40"))
    waiting = billing.customer(ADA).topups.confirm(topup.id)

    after = operator(billing).topups.facts(topup.id)

    assert (before.topup, before.captured) == (topup, None)
    assert (after.topup, after.captured) == (waiting, eur("40"))


# Crediting


def test_less_than_was_asked_is_credited_as_received_without_bonus_or_discount(billing, ada, simulated):
    add_rule(billing)
    live_in(billing, "FR")
    waiting = in_review(billing, simulated, paid="45.00")  # 60.00 with tax were asked for

    topup = resolve(billing, waiting, "credit_received")

    assert (topup.state, topup.credit, topup.net, topup.tax.total) == ("credited", eur("37.5"), eur("37.5"), eur("7.5"))
    assert topup.total == eur("45")
    assert parts(ada.balance()) == ("37.50", "37.50", "0.00")
    invoice = ada.invoices.get(topup.invoice_number)
    assert (invoice.net, invoice.total, invoice.tax.total) == (eur("37.5"), eur("45"), eur("7.5"))
    assert (flow(billing, "clearing", "suspense"), flow(billing, "suspense", "wallet")) == ("45.00", "37.50")
    assert flow(billing, "suspense", "tax_payable") == "7.50"
    assert told(billing, "topup-credited")[0]["topup"] == topup.id
    assert billing.check().ok


def test_less_than_was_asked_is_credited_as_quoted_with_the_rest_as_goodwill(billing, ada, simulated):
    add_rule(billing)
    live_in(billing, "FR")
    waiting = in_review(billing, simulated, paid="45.00")

    topup = resolve(billing, waiting, "credit_quoted")

    assert (topup.credit, topup.total) == (eur("37.5"), eur("45"))
    assert ada.balance().settled == eur("50")
    kinds = {grant.kind: str(grant.size.amount) for grant in ada.grants()}
    assert kinds == {"paid": "37.50", "goodwill": "12.50"}
    assert flow(billing, "goodwill", "wallet") == "12.50"
    assert ada.invoices.get(topup.invoice_number).total == eur("45")
    assert billing.check().ok


def test_more_than_was_asked_is_credited_as_quoted_and_the_rest_goes_back(billing, ada, simulated):
    waiting = in_review(billing, simulated, paid="70.00")

    topup = resolve(billing, waiting, "credit_quoted")

    assert (topup.state, topup.total, topup.failure) == ("credited", eur("50"), "")
    assert ada.balance().settled == eur("50")
    [refund] = refunds_of(billing, topup)
    assert (refund.state, refund.amount, refund.origin) == ("succeeded", eur("20"), "review")
    assert flow(billing, "suspense", "refunds_in_transit") == "20.00"
    assert flow(billing, "refunds_in_transit", "clearing") == "20.00"
    assert told(billing, "refund-settled") == [{"refund": refund.id, "topup": topup.id}]
    assert billing.check().ok


def test_more_than_was_asked_is_credited_whole_as_received(billing, ada, simulated):
    waiting = in_review(billing, simulated, paid="70.00")

    resolve(billing, waiting, "credit_received")

    assert ada.balance().settled == eur("70")
    assert refunds_of(billing, waiting) == ()
    assert billing.check().ok


@pytest.mark.parametrize("paid", ["0.01", "0.02", "59.99", "60.01", "33.33"])
@pytest.mark.parametrize("action", ACTIONS)
def test_every_cent_of_a_payment_is_accounted_for(billing, ada, simulated, action, paid):
    add_rule(billing, components=(("A", "9.975"), ("B", "5")))
    live_in(billing, "FR")
    waiting = in_review(billing, simulated, paid=paid)

    resolve(billing, waiting, action)

    left = value(
        billing,
        "SELECT coalesce(sum(CASE WHEN c.kind = 'suspense' THEN t.amount ELSE -t.amount END), 0)"
        " FROM prepaid_transfer t JOIN prepaid_account d ON d.id = t.debit_id"
        " JOIN prepaid_account c ON c.id = t.credit_id"
        " WHERE t.book_id = :book AND 'suspense' IN (c.kind, d.kind)",
    )
    assert int(left) == 0
    assert billing.check().ok


def test_credit_that_pays_a_debt_after_a_review_is_paid_credit(billing, ada, simulated):
    billing.usage.charge(ADA, eur("10"), key="debt", allow_negative=True)
    waiting = in_review(billing, simulated, paid="45.00")

    resolve(billing, waiting, "credit_quoted")

    assert ada.balance().settled == eur("40")
    assert billing.check().ok


# Sending back


def test_a_payment_is_sent_back_whole_and_nothing_is_credited(billing, ada, simulated):
    waiting = in_review(billing, simulated)

    topup = resolve(billing, waiting, "refund")

    assert (topup.state, topup.failure, topup.invoice_number) == ("refunded", "", None)
    assert ada.balance().settled == eur("0")
    assert states(billing, topup) == ["succeeded"]
    [known] = simulated.refunds_of(_ref(billing, topup))
    assert (known.amount, known.refund_id) == (eur("45"), refunds_of(billing, topup)[0].id)
    assert operator(billing).topups.review().items == ()
    assert billing.check().ok


def _ref(billing, topup):
    from prepaid.store import topups

    return billing._context.database.read(lambda tx: topups.payment_ref(tx, topup.id))


def test_a_payment_in_another_currency_can_only_be_sent_back(billing, ada, simulated):
    topup = start(billing)
    simulated.pay(checkout_of(topup), currency="USD")
    ada.topups.confirm(topup.id)

    for action in ("credit_received", "credit_quoted"):
        with pytest.raises(WrongState):
            resolve(billing, topup, action)

    assert resolve(billing, topup, "refund").state == "refunded"
    assert refunds_of(billing, topup)[0].amount == Money.of("50", "USD")
    assert billing.check().ok


def test_a_refund_whose_answer_is_lost_is_made_once_and_found(billing, simulated, clock):
    waiting = in_review(billing, simulated)
    simulated.fault_next("refund", "timeout-after-accept")

    topup = resolve(billing, waiting, "refund")

    assert (topup.state, topup.failure) == ("review", "refund-pending")
    assert states(billing, topup) == ["unknown"]
    assert billing.check().ok
    clock.advance(minutes=2)
    billing.run_due(only="refunds")
    assert states(billing, topup) == ["succeeded"]
    assert len(simulated.refunds_of(_ref(billing, topup))) == 1
    assert billing.customer(ADA).topups.get(topup.id).state == "refunded"
    assert billing.check().ok


def test_a_refund_that_was_not_taken_is_sent_again_under_its_key(billing, simulated, clock):
    waiting = in_review(billing, simulated)
    simulated.fault_next("refund", "unavailable", times=2)

    topup = resolve(billing, waiting, "refund")
    assert states(billing, topup) == ["starting"]
    clock.advance(minutes=2)
    billing.run_due(only="refunds")
    assert states(billing, topup) == ["starting"]
    clock.advance(minutes=6)
    billing.run_due(only="refunds")

    assert states(billing, topup) == ["succeeded"]
    assert len(simulated.refunds_of(_ref(billing, topup))) == 1


def test_a_pending_refund_waits_for_the_gateway(billing, simulated, clock):
    simulated.script_refund("pending")
    topup = resolve(billing, in_review(billing, simulated), "refund")
    assert (topup.state, states(billing, topup)) == ("review", ["pending"])
    with pytest.raises(WrongState):
        resolve(billing, topup, "credit_received", key="act-2")

    [refund] = refunds_of(billing, topup)
    simulated.finish_refund(refund.gateway_refund_id)
    clock.advance(minutes=2)
    billing.run_due(only="refunds")

    assert states(billing, topup) == ["succeeded"]
    assert billing.check().ok


def test_a_refund_that_fails_puts_the_money_back_into_suspense_for_another_decision(billing, ada, simulated, clock):
    simulated.script_refund("pending")
    topup = resolve(billing, in_review(billing, simulated), "refund")
    [refund] = refunds_of(billing, topup)
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    clock.advance(minutes=2)
    billing.run_due(only="refunds")

    [waiting] = operator(billing).topups.review().items
    assert (waiting.id, waiting.state, waiting.failure) == (topup.id, "review", "refund-failed")
    assert told(billing, "refund-failed")[0]["refund"] == refund.id
    assert billing.check().ok

    again = resolve(billing, waiting, "refund", key="act-2")
    assert again.state == "refunded"
    assert states(billing, again) == ["failed", "succeeded"]
    assert billing.check().ok


def test_a_refund_that_comes_back_after_it_succeeded_is_told_by_webhook(billing, simulated):
    topup = resolve(billing, in_review(billing, simulated), "refund")
    [refund] = refunds_of(billing, topup)
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)

    result = deliver(billing, simulated.events()[-1])

    assert (result.status, result.topup_id) == (200, topup.id)
    assert states(billing, topup) == ["failed"]
    [odd] = operator(billing).topups.review().items
    assert (odd.id, odd.state, odd.failure) == (topup.id, "refunded", "refund-failed")
    assert flow(billing, "refunds_in_transit", "suspense") == "45.00"
    assert billing.check().ok


def test_a_refund_that_the_gateway_refuses_leaves_the_money_in_suspense(billing, simulated):
    waiting = in_review(billing, simulated)
    simulated.refund_at_provider(checkout_of(start_again(billing, waiting)), eur("45"))

    topup = resolve(billing, waiting, "refund")

    assert (topup.state, topup.failure) == ("review", "refund-failed")
    assert states(billing, topup) == ["failed"]
    assert flow(billing, "refunds_in_transit", "suspense") == "45.00"


def start_again(billing, topup):
    """Give a top-up with its checkout, which one that is paid does not show any more."""
    checkout_id = value(billing, "SELECT checkout_id FROM prepaid_topup WHERE id = :id", id=topup.id)
    return attrs.evolve(topup, checkout=attrs.evolve(topup.checkout, redirect_url=f"/x/{checkout_id}"))


@SQLITE
def test_a_gateway_that_tells_of_another_refund_than_asked_for_is_not_believed(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class Odd(SimulatedGateway):
        def refund(self, request):
            return attrs.evolve(super().refund(request), amount=eur("1"))

    gateway = Odd(state=tmp_path / "odd.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")

    topup = resolve(billing, in_review(billing, gateway), "refund")

    assert states(billing, topup) == ["starting"]
    assert topup.state == "review"
    assert billing.check().ok


@SQLITE
def test_beyond_the_time_a_gateway_remembers_keys_nothing_is_sent_by_guess(open_billing, tmp_path, clock):
    sent = []

    @attrs.frozen(kw_only=True)
    class Forgetful(SimulatedGateway):
        def capabilities(self):
            return attrs.evolve(super().capabilities(), refund_key_valid_s=3600)

        def refund(self, request):
            sent.append(request.key)
            raise GatewayError("Down.", retryable=True)

    gateway = Forgetful(state=tmp_path / "forgetful.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    topup = resolve(billing, in_review(billing, gateway), "refund")
    assert len(sent) == 1

    clock.advance(hours=2)
    billing.run_due(only="refunds")

    assert len(sent) == 1
    assert states(billing, topup) == ["failed"]
    assert refunds_of(billing, topup)[0].failure == "never-made"
    assert billing.check().ok


@SQLITE
@pytest.mark.parametrize("made", [True, False])
def test_a_refusal_after_an_answer_was_lost_is_looked_into(open_billing, tmp_path, clock, made):
    """Refuse the second request: whether the first one was carried out, only a look-up tells."""

    @attrs.frozen(kw_only=True)
    class Fickle(SimulatedGateway):
        tries: list = attrs.field(factory=list)
        hidden: list = attrs.field(factory=list)

        def refund(self, request):
            self.tries.append(request.key)
            if len(self.tries) == 1:
                if made:
                    super().refund(request)
                self.hidden.append(request.refund_id)
                raise GatewayError("No answer.", retryable=True, outcome_unknown=True)
            self.hidden.clear()
            raise GatewayError("Refused.", code="refused")

        def fetch_refund(self, ref):
            return None if self.hidden else super().fetch_refund(ref)

    gateway = Fickle(state=tmp_path / "fickle.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    topup = resolve(billing, in_review(billing, gateway), "refund")
    assert states(billing, topup) == ["unknown"]

    clock.advance(minutes=2)
    billing.run_due(only="refunds")

    assert states(billing, topup) == ["succeeded" if made else "failed"]
    assert set(gateway.tries) == {gateway.tries[0]}
    assert billing.check().ok


@SQLITE
def test_credentials_that_are_not_accepted_say_nothing_of_the_refund(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class LockedOut(SimulatedGateway):
        locks: list = attrs.field(factory=lambda: [1])

        def refund(self, request):
            if self.locks:
                raise GatewayError("Wrong key.", code="authentication")
            return super().refund(request)

    gateway = LockedOut(state=tmp_path / "locked.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    topup = resolve(billing, in_review(billing, gateway), "refund")
    assert states(billing, topup) == ["starting"]

    gateway.locks.clear()
    clock.advance(minutes=2)
    billing.run_due(only="refunds")

    assert states(billing, topup) == ["succeeded"]


# What was given back in the gateway's dashboard while a payment waited


def given_back_meanwhile(billing, simulated, amount):
    """Give a part of a payment in review back at the gateway, and hear of it."""
    waiting = in_review(billing, simulated)
    simulated.refund_at_provider(checkout_of(start_again(billing, waiting)), eur(amount))
    deliver(billing, simulated.events()[-1])
    return waiting


@pytest.mark.parametrize("action", ["credit_received", "credit_quoted"])
def test_money_that_went_back_at_the_gateway_is_not_credited(billing, ada, simulated, action):
    waiting = given_back_meanwhile(billing, simulated, "20")

    with pytest.raises(WrongState, match="went back"):
        resolve(billing, waiting, action)

    assert ada.balance().settled == eur("0")
    assert billing.check().ok


def test_the_rest_of_such_a_payment_is_sent_after_it(billing, simulated):
    waiting = given_back_meanwhile(billing, simulated, "20")

    topup = resolve(billing, waiting, "refund")

    assert topup.state == "refunded"
    assert sorted(str(refund.amount.amount) for refund in refunds_of(billing, topup)) == ["20.00", "25.00"]
    assert flow(billing, "refunds_in_transit", "clearing") == "45.00"
    assert sum(refund.amount.minor for refund in simulated.refunds_of(_ref(billing, topup))) == 4500
    assert billing.check().ok


def test_a_payment_that_went_back_whole_at_the_gateway_ends_its_review_with_nothing_sent(billing, simulated):
    waiting = given_back_meanwhile(billing, simulated, "45")

    topup = resolve(billing, waiting, "refund")

    assert (topup.state, states(billing, topup)) == ("refunded", ["succeeded"])
    assert flow(billing, "suspense", "refunds_in_transit") == "45.00"
    assert operator(billing).topups.review().items == ()
    assert billing.check().ok


def test_the_rest_that_fails_can_be_sent_again(billing, simulated, clock):
    waiting = given_back_meanwhile(billing, simulated, "20")
    simulated.script_refund("failed")
    assert resolve(billing, waiting, "refund").state == "review"
    assert billing.check().ok

    topup = resolve(billing, waiting, "refund", key="act-2")

    assert (topup.state, states(billing, topup)) == ("refunded", ["succeeded", "failed", "succeeded"])
    assert billing.check().ok


def test_a_part_that_is_still_on_its_way_at_the_gateway_ends_the_review_when_it_is_there(billing, simulated):
    waiting = in_review(billing, simulated)
    simulated.script_refund("pending")
    gateway_refund_id = simulated.refund_at_provider(checkout_of(start_again(billing, waiting)), eur("20"))
    deliver(billing, simulated.events()[-1])

    topup = resolve(billing, waiting, "refund")

    assert (topup.state, states(billing, topup)) == ("review", ["pending", "succeeded"])
    assert billing.check().ok
    simulated.finish_refund(gateway_refund_id)
    deliver(billing, simulated.events()[-1])
    assert billing.customer(ADA).topups.get(topup.id).state == "refunded"
    assert billing.check().ok


@pytest.mark.parametrize("own_first", [True, False])
def test_a_part_that_comes_back_keeps_the_payment_before_operators_until_it_is_sent_again(
    billing, simulated, clock, own_first
):
    """Lose the dashboard's refund after it succeeded, before or after the rest of ours is there."""
    waiting = in_review(billing, simulated)
    at_gateway = simulated.refund_at_provider(checkout_of(start_again(billing, waiting)), eur("20"))
    deliver(billing, simulated.events()[-1])
    simulated.script_refund("pending")
    topup = resolve(billing, waiting, "refund")
    ours = refunds_of(billing, topup)[1].gateway_refund_id

    def lose():
        simulated.finish_refund(at_gateway, succeed=False)
        deliver(billing, simulated.events()[-1])

    def succeed():
        simulated.finish_refund(ours)
        deliver(billing, simulated.events()[-1])

    for act in (succeed, lose) if own_first else (lose, succeed):
        act()
        assert billing.check().ok

    [odd] = operator(billing).topups.review().items
    assert (odd.id, odd.state, odd.failure) == (topup.id, "refunded" if own_first else "review", "refund-failed")
    with pytest.raises(WrongState):
        resolve(billing, odd, "credit_received", key="act-2")
    simulated.script_refund("succeeded")

    done = resolve(billing, odd, "refund", key="act-3")

    assert (done.state, done.failure) == ("refunded", "")
    assert [str(refund.amount.amount) for refund in refunds_of(billing, done)] == ["20.00", "25.00", "20.00"]
    assert states(billing, done) == ["failed", "succeeded", "succeeded"]
    assert operator(billing).topups.review().items == ()
    with pytest.raises(WrongState):
        resolve(billing, done, "refund", key="act-4")
    assert billing.check().ok


def test_the_rest_that_comes_back_after_the_review_is_sent_again_without_what_the_gateway_gave(billing, simulated):
    waiting = given_back_meanwhile(billing, simulated, "20")
    topup = resolve(billing, waiting, "refund")
    simulated.finish_refund(refunds_of(billing, topup)[1].gateway_refund_id, succeed=False)
    deliver(billing, simulated.events()[-1])

    done = resolve(billing, topup, "refund", key="act-2")

    assert (done.state, done.failure) == ("refunded", "")
    assert [str(refund.amount.amount) for refund in refunds_of(billing, done)] == ["20.00", "25.00", "25.00"]
    assert billing.check().ok


def test_what_came_back_after_the_review_and_is_given_back_at_the_gateway_is_not_sent_by_us(billing, simulated):
    topup = resolve(billing, in_review(billing, simulated), "refund")
    simulated.finish_refund(refunds_of(billing, topup)[0].gateway_refund_id, succeed=False)
    deliver(billing, simulated.events()[-1])
    simulated.refund_at_provider(checkout_of(start_again(billing, topup)), eur("45"))
    deliver(billing, simulated.events()[-1])

    done = resolve(billing, topup, "refund", key="act-2")

    assert (done.state, done.failure, states(billing, done)) == ("refunded", "", ["failed", "succeeded"])
    assert len(simulated.refunds_of(_ref(billing, done))) == 2
    assert billing.check().ok


def test_a_refund_that_changes_at_the_gateway_at_that_moment_is_looked_at_again(billing, simulated, monkeypatch):
    from prepaid.store import refunds as refund_rows

    waiting = given_back_meanwhile(billing, simulated, "20")
    monkeypatch.setattr(refund_rows, "adopt", lambda tx, refund: False)

    with pytest.raises(WrongState, match="changed just now"):
        resolve(billing, waiting, "refund")

    assert billing.check().ok


def test_a_refund_is_pursued_as_long_as_its_gateway_is_there(open_billing, billing, simulated):
    from prepaid import repayment

    simulated.fault_next("refund", "unavailable")
    topup = resolve(billing, in_review(billing, simulated), "refund")
    [refund] = refunds_of(billing, topup)
    without = open_billing(gateways=[])

    with pytest.raises(GatewayError) as gone:
        repayment.pursue(without._context, refund.id)
    assert gone.value.code == "not-configured"
    assert repayment.pursue(billing._context, refund.id).state == "succeeded"
    assert repayment.pursue(billing._context, refund.id).state == "succeeded"
    assert repayment.apply(billing._context, refund, simulated.refunds_of(_ref(billing, topup))[0]).state == "succeeded"
    with pytest.raises(NotFound):
        repayment.pursue(billing._context, "ref_01m82v7m000000000000000000")


def test_a_refund_that_is_lost_is_lost_once(billing, simulated):
    from prepaid import repayment

    topup = resolve(billing, in_review(billing, simulated), "refund")
    [refund] = refunds_of(billing, topup)
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)
    [told_now] = simulated.refunds_of(_ref(billing, topup))

    for _ in range(2):
        assert repayment.apply(billing._context, refund, told_now).state == "failed"

    assert flow(billing, "refunds_in_transit", "suspense") == "45.00"
    assert billing.check().ok


@SQLITE
def test_a_cent_that_tax_takes_whole_can_only_go_back(open_billing, simulated):
    billing = open_billing(seller=seller(rounding="down"))
    billing.customers.register(ADA, currency="EUR")
    add_rule(billing)
    live_in(billing, "FR")
    waiting = in_review(billing, simulated, paid="0.01")

    for action in ("credit_received", "credit_quoted"):
        with pytest.raises(WrongState, match="Nothing would be left"):
            resolve(billing, waiting, action)

    assert resolve(billing, waiting, "refund").state == "refunded"


@pytest.mark.parametrize("mine", [True, False])
def test_a_second_payment_kept_by_another_worker_at_the_same_moment_is_kept_once(billing, simulated, monkeypatch, mine):
    """Let the look for its owner come too early, as it does for the slower of two workers."""
    from prepaid import IntegrityFault
    from prepaid.settlement import crediting

    first = top_up(billing, simulated)
    simulated.pay_again(checkout_of(start_again(billing, first)))
    operator(billing).topups.recheck(first.id)
    real, looks = crediting.owner_of, []

    def late(context, gateway, payment):
        looks.append(payment.payment_id)
        return real(context, gateway, payment) if mine and looks.count(payment.payment_id) > 1 else None

    monkeypatch.setattr(crediting, "owner_of", late)
    payment = simulated.fetch_payment(_ref(billing, first)).further[0]
    if mine:
        crediting.keep_further(billing._context, first, payment)
    else:
        with pytest.raises(IntegrityFault):
            crediting.keep_further(billing._context, first, payment)

    assert len(operator(billing).topups.review().items) == 1
    assert billing.check().ok


# Keys, states, refusals


@pytest.mark.parametrize("action", ACTIONS)
def test_the_same_key_gives_the_first_answer_and_another_act_is_a_conflict(billing, ada, simulated, action):
    waiting = in_review(billing, simulated)
    first = resolve(billing, waiting, action)

    assert resolve(billing, waiting, action) == first
    for other in set(ACTIONS) - {action}:
        with pytest.raises(KeyConflict):
            resolve(billing, waiting, other)
        with pytest.raises(WrongState):
            resolve(billing, waiting, other, key="act-2")
    assert billing.check().ok


@SQLITE
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"action": "keep"}, "action"),
        ({"action": None}, "action"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"key": " x"}, "key"),
        ({"key": "k" * 192}, "key"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_field(billing, simulated, change, field):
    waiting = in_review(billing, simulated)
    act = {"action": "refund", "reason": "x", "key": "k", **change}

    with pytest.raises(InvalidRequest) as refused:
        operator(billing).topups.resolve(waiting.id, **act)

    assert refused.value.field == field
    assert billing.customer(ADA).topups.get(waiting.id).state == "review"


@SQLITE
def test_only_what_waits_in_review_can_be_resolved(billing, simulated):
    for topup in (start(billing), top_up(billing, simulated)):
        with pytest.raises(WrongState):
            resolve(billing, topup, "credit_received")
    with pytest.raises(NotFound):
        operator(billing).topups.resolve("top_01m82v7m000000000000000000", action="refund", reason="x", key="k")


def test_an_act_is_audited_with_its_reason_and_what_came_of_it(billing, simulated):
    waiting = in_review(billing, simulated)

    resolve(billing, waiting, "credit_quoted", reason="five euros are ours to bear")

    [entry] = [entry for entry in operator(billing).audit.list().items if entry.action == "resolve-credit_quoted"]
    assert (entry.actor, entry.target, entry.reason) == (
        "alice@nimbus.example",
        waiting.id,
        "five euros are ours to bear",
    )
    assert entry.after["ordered"]["total"] == eur("50").units


def test_history_and_statement_of_the_customer_show_what_was_sold(billing, ada, simulated):
    topup = resolve(billing, in_review(billing, simulated), "credit_quoted")

    kinds = [(line.kind, str(line.amount.amount)) for line in ada.transactions().items]
    assert sorted(kinds) == [("goodwill", "5.00"), ("topup", "45.00")]
    assert {line.topup_id for line in ada.transactions().items} == {topup.id}


# Second payments


def test_a_second_payment_of_one_checkout_waits_in_review_as_a_top_up_of_its_own(billing, ada, simulated):
    first = top_up(billing, simulated)
    simulated.pay_again(checkout_of(start_again(billing, first)))

    result = deliver(billing, simulated.events()[-1])

    assert (result.status, result.topup_id) == (200, first.id)
    [waiting] = operator(billing).topups.review().items
    assert (waiting.further_of, waiting.state, waiting.failure) == (first.id, "review", "second-payment")
    assert waiting.total == eur("50")
    assert ada.balance().settled == eur("50")
    assert billing.check().ok

    back = resolve(billing, waiting, "refund")
    assert back.state == "refunded"
    assert billing.check().ok


def test_the_invoice_of_a_second_payment_names_the_buyer_of_the_first(billing, ada, simulated):
    add_rule(billing)
    live_in(billing, "FR")
    first = top_up(billing, simulated)
    live_in(billing, "DE")
    simulated.pay_again(checkout_of(start_again(billing, first)))
    deliver(billing, simulated.events()[-1])
    [waiting] = operator(billing).topups.review().items

    topup = resolve(billing, waiting, "credit_received")

    one, two = (ada.invoices.get(each.invoice_number) for each in (first, topup))
    assert two.buyer == one.buyer
    assert (two.net, two.total) == (one.net, one.total)
    assert billing.check().ok


@pytest.mark.parametrize("again", range(3))
def test_a_second_payment_is_kept_once_however_often_it_is_told(billing, simulated, again):
    first = top_up(billing, simulated)
    simulated.pay_again(checkout_of(start_again(billing, first)))
    delivery = simulated.events()[-1]

    for _ in range(again + 1):
        deliver(billing, delivery)
        operator(billing).topups.recheck(first.id)

    assert len(operator(billing).topups.review().items) == 1
    assert len(rows(billing, "SELECT 1 FROM prepaid_payment WHERE book_id = :book")) == 2


def test_two_payments_that_are_found_together_are_one_credit_and_one_review(billing, ada, simulated):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    simulated.pay_again(checkout_of(topup), amount=eur("7"))

    assert ada.topups.confirm(topup.id).state == "credited"

    [waiting] = operator(billing).topups.review().items
    assert (waiting.further_of, waiting.total) == (topup.id, eur("7"))
    assert resolve(billing, waiting, "credit_received").state == "credited"
    assert ada.balance().settled == eur("57")
    assert billing.check().ok


# What gateways tell of refunds and disputes


def test_a_refund_made_at_the_gateway_is_recorded_and_booked(billing, ada, simulated):
    topup = top_up(billing, simulated)
    simulated.refund_at_provider(checkout_of(start_again(billing, topup)), eur("20"))

    result = deliver(billing, simulated.events()[-1])

    assert (result.status, result.outcome, result.topup_id) == (200, "duplicate", topup.id)
    [refund] = refunds_of(billing, topup)
    assert isinstance(refund, Refund)
    assert (refund.origin, refund.state, refund.amount, refund.actor) == (
        "gateway",
        "succeeded",
        eur("20"),
        "gateway:simulated",
    )
    assert ada.balance().settled == eur("30")
    assert billing.check().ok


def test_a_dispute_is_a_fact_that_moves_on(billing, simulated):
    topup = top_up(billing, simulated)
    dispute_id = simulated.dispute(checkout_of(start_again(billing, topup)), inquiry=True)
    deliver(billing, simulated.events()[-1])
    simulated.escalate(dispute_id)
    deliver(billing, simulated.events()[-1])
    simulated.lose(dispute_id)
    deliver(billing, simulated.events()[-1])

    [dispute] = operator(billing).topups.facts(topup.id).disputes
    assert (dispute.dispute_id, dispute.state, dispute.amount) == (dispute_id, "lost", eur("50"))
    assert [event["dispute"] for event in told(billing, "dispute-opened")] == [dispute.id]
    assert [event["state"] for event in told(billing, "dispute-closed")] == ["lost"]


def test_what_is_refunded_and_disputed_at_first_sight_is_credited_and_recorded(billing, ada, simulated):
    topup = start(billing)
    checkout_id = checkout_of(topup)
    simulated.pay(checkout_id)
    simulated.refund_at_provider(checkout_id, eur("5"))
    simulated.dispute(checkout_id, amount=eur("45"))

    assert ada.topups.confirm(topup.id).state == "credited"

    facts = operator(billing).topups.facts(topup.id)
    assert ([refund.amount for refund in facts.refunds], [d.state for d in facts.disputes]) == ([eur("5")], ["open"])


def test_facts_that_cannot_be_asked_for_now_are_asked_for_by_a_job(billing, simulated, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    simulated.refund_at_provider(checkout_of(topup), eur("5"))
    simulated.fault_next("refunds_of", "unavailable")
    assert billing.customer(ADA).topups.confirm(topup.id).state == "credited"
    assert refunds_of(billing, topup) == ()

    clock.advance(minutes=2)
    billing.run_due(only="topups")

    assert len(refunds_of(billing, topup)) == 1
    clock.advance(days=2)
    assert [run.count for run in billing.run_due(only="topups")] == [0]


def test_a_refund_event_whose_gateway_is_down_is_handled_again(billing, simulated, clock):
    topup = top_up(billing, simulated)
    simulated.refund_at_provider(checkout_of(start_again(billing, topup)), eur("20"))
    simulated.fault_next("refunds_of", "unavailable")

    assert deliver(billing, simulated.events()[-1]).outcome == "recorded"
    clock.advance(minutes=2)
    billing.run_due(only="webhooks")

    assert states(billing, topup) == ["succeeded"]


@SQLITE
def test_the_record_of_a_resolution_names_no_customer(billing, simulated):
    resolve(billing, in_review(billing, simulated), "credit_quoted")
    record = json.loads(value(billing, "SELECT resolved FROM prepaid_topup WHERE book_id = :book"))
    assert set(record) == {"action", "actor", "goodwill", "key", "ordered", "print", "refund"}


def test_the_check_sees_a_refund_whose_transfer_or_state_was_changed(billing, simulated):
    from tests.use_cases.steps import change

    topup = resolve(billing, in_review(billing, simulated), "refund")
    assert billing.check().ok
    change(billing, "UPDATE prepaid_refund SET amount = amount + 1 WHERE topup_id = :id", id=topup.id)

    found = {finding.invariant for finding in billing.check().findings}

    assert {"B2", "L8"} <= found


def test_a_refund_is_looked_at_soon_and_then_less_often(billing, simulated, clock):
    simulated.fault_next("refund", "unavailable", times=10)
    topup = resolve(billing, in_review(billing, simulated), "refund")
    waits = []
    for _ in range(5):
        billing.run_due(only="refunds")
        at = value(billing, "SELECT next_poll_at FROM prepaid_refund WHERE topup_id = :id", id=topup.id)
        waits.append((from_micros(at) - clock.now()) // timedelta(minutes=1))
        clock.set(from_micros(at))
    assert waits == [1, 5, 15, 60, 60]
