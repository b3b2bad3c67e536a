"""Payments whose customers have to be verified first: held whole, credited once that is met, or refunded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import IdentityPolicy, TaxProfile, WrongState, settlement, verification
from prepaid.core.errors import TransactionAborted
from prepaid.core.money import MAX_UNITS, Money
from prepaid.settlement import releasing
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    add_rule,
    alarms,
    checkout_of,
    deliver,
    eur,
    flow,
    lines,
    live_in,
    operator,
    start,
    told,
    top_up,
    value,
)
from tests.use_cases.verifiers import (
    FIRST,
    UNTIL_100,
    Manual,
    Verifier,
    approve,
    ask,
    begin,
    hear,
    held,
    paid,
    settle,
    verify,
)


@pytest.fixture
def verifier(tmp_path):
    return Verifier(tmp_path / "verifier.json")


@pytest.fixture
def billing(open_billing, verifier):
    billing = open_billing(identity=verifier)
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR", email=f"{customer}@example.com")
    return billing


def resolve(billing, topup, action, key="act-1"):
    return operator(billing).topups.resolve(topup.id, action=action, reason="as agreed", key=key)


def state_of(billing, topup):
    found = billing.customer(topup.customer).topups.get(topup.id)
    return found.state, found.failure


def test_a_payment_that_may_not_be_credited_yet_waits_whole_and_visible(billing, simulated, ada):
    waiting = held(billing, simulated)

    assert ada.balance().settled == eur("0")
    assert ada.topups.get(waiting.id).state == "review"
    [listed] = operator(billing).topups.review().items
    assert (listed.id, listed.failure) == (waiting.id, "identity-required")
    assert told(billing, "topup-review") == [{"topup": waiting.id, "reason": "identity-required"}]
    assert flow(billing, "clearing", "suspense") == "50.00"
    assert ada.invoices.list().items == ()
    assert alarms(billing) == []
    assert billing.check().ok


def test_once_the_customer_is_verified_it_is_credited_as_it_was_ordered(billing, simulated, ada, verifier):
    add_rule(billing)
    live_in(billing, "FR")
    waiting = held(billing, simulated)
    case = begin(billing)
    verifier.set(case.reference, "verified")

    result = hear(billing, case.reference)

    assert (result.status, result.outcome, result.event_id) == (200, "identity", "evt_1")
    credited = ada.topups.get(waiting.id)
    assert (credited.state, credited.failure, credited.credit) == ("credited", "", waiting.credit)
    assert (credited.total, credited.tax) == (waiting.total, waiting.tax)
    assert lines(ada) == [("topup", "50.00")]
    [invoice] = ada.invoices.list().items
    assert (invoice.number, invoice.total) == (credited.invoice_number, eur("60"))
    assert flow(billing, "suspense", "wallet") == "50.00"
    assert flow(billing, "suspense", "tax_payable") == "10.00"
    assert operator(billing).topups.review().items == ()
    assert ada.balance().paid == eur("50")
    assert billing.check().ok


def test_a_topup_that_went_over_the_threshold_while_others_were_paid_waits(billing, simulated, ada):
    ask(billing, UNTIL_100)
    first, second = (paid(billing, simulated, "60.00") for _ in range(2))

    assert [settle(billing, topup).state for topup in (first, second)] == ["credited", "review"]

    assert ada.balance().settled == eur("60")
    small = paid(billing, simulated, "40.00")
    assert settle(billing, small).state == "credited"
    approve(billing)
    assert ada.balance().settled == eur("160")
    assert billing.check().ok


@pytest.mark.parametrize("way", ["webhook", "job", "return", "recheck"])
def test_every_way_to_settle_holds_it(billing, simulated, clock, way):
    topup = paid(billing, simulated)
    ask(billing, FIRST)
    if way == "webhook":
        assert deliver(billing, simulated.events()[0]).outcome == "review"
    elif way == "job":
        clock.advance(minutes=2)
        billing.run_due("topups")
    elif way == "return":
        billing.returns.receive({"topup": topup.id})
    else:
        operator(billing).topups.recheck(topup.id)

    assert state_of(billing, topup) == ("review", "identity-required")
    assert deliver(billing, simulated.events()[0]).outcome == "duplicate"
    assert billing.check().ok


def test_releasing_is_safe_to_repeat_and_does_nothing_while_it_is_not_met(billing, simulated, ada):
    waiting = held(billing, simulated)
    context = billing._context

    assert settlement.release_held(context, waiting.id) is False
    billing.run_due("identity")
    assert state_of(billing, waiting)[0] == "review"
    ask(billing)
    assert [settlement.release_held(context, waiting.id) for _ in range(3)] == [True, False, False]
    assert ada.balance().settled == eur("50")
    assert billing.check().ok


def test_a_policy_that_ends_lets_a_job_credit_what_waits(billing, simulated, ada):
    held(billing, simulated)
    ask(billing)

    [run] = billing.run_due("identity")

    assert (run.status, run.count) == ("done", 1)
    assert ada.balance().settled == eur("50")
    assert billing.check().ok


def test_a_period_that_passes_lets_a_job_credit_what_waits(billing, simulated, ada, clock):
    ask(billing, IdentityPolicy(above=eur("100"), period=timedelta(days=30)))
    first, second, third = (paid(billing, simulated, "60.00") for _ in range(3))
    for topup in (first, second, third):
        settle(billing, topup)
    assert ada.balance().settled == eur("60")
    clock.advance(days=31)

    billing.run_due("identity")

    # What waited counts from when it is credited: the next one has to wait for another period.
    assert ada.balance().settled == eur("120")
    assert state_of(billing, third) == ("review", "identity-required")
    clock.advance(days=31)
    billing.run_due("identity")
    assert ada.balance().settled == eur("180")
    assert billing.check().ok


def test_a_rejected_customer_gets_a_refund(billing, simulated, ada):
    waiting = held(billing, simulated)
    begin(billing)
    operator(billing).identity.reject(ADA, reason="not them")

    refunded = resolve(billing, waiting, "refund")

    assert refunded.state == "refunded"
    assert ada.balance().settled == eur("0")
    approve(billing)
    billing.run_due("identity")
    assert state_of(billing, waiting)[0] == "refunded"
    assert ada.balance().settled == eur("0")
    assert billing.check().ok


def test_a_refund_that_is_under_way_is_not_credited(billing, simulated, ada):
    waiting = held(billing, simulated)
    simulated.script_refund("pending")
    resolve(billing, waiting, "refund")

    approve(billing)

    assert state_of(billing, waiting) == ("review", "refund-pending")
    assert ada.balance().settled == eur("0")
    assert billing.check().ok


def test_what_was_refunded_at_the_gateway_is_left_to_an_operator(billing, simulated, ada):
    waiting = held(billing, simulated)
    simulated.refund_at_provider(simulated_checkout(billing, waiting), eur("10"))
    deliver(billing, simulated.events()[-1])

    approve(billing)

    assert state_of(billing, waiting) == ("review", "identity-required")
    resolve(billing, waiting, "refund")
    assert state_of(billing, waiting)[0] == "refunded"
    assert billing.check().ok


def simulated_checkout(billing, topup):
    return value(billing, "SELECT checkout_id FROM prepaid_topup WHERE id = :id AND book_id = :book", id=topup.id)


@pytest.mark.parametrize("action", ["credit_received", "credit_quoted"])
@pytest.mark.parametrize("amount", ["45.00", "70.00"])
def test_no_review_credits_a_customer_who_has_to_be_verified(billing, simulated, ada, action, amount):
    topup = start(billing)
    simulated.pay(checkout_of(topup), amount=eur(amount))
    assert settle(billing, topup).failure == "amount-differs"
    ask(billing, FIRST)

    with pytest.raises(WrongState, match="verified"):
        resolve(billing, topup, action)

    assert state_of(billing, topup) == ("review", "amount-differs")
    assert ada.balance().settled == eur("0")
    billing.run_due("identity")
    approve(billing)
    assert state_of(billing, topup) == ("review", "amount-differs")  # an operator decides on that
    assert resolve(billing, topup, action).state == "credited"
    assert billing.check().ok


@pytest.mark.parametrize("action", ["credit_received", "credit_quoted"])
def test_a_held_topup_is_not_credited_by_an_operator_before_it_is_met(billing, simulated, action):
    waiting = held(billing, simulated)

    with pytest.raises(WrongState, match="verified"):
        resolve(billing, waiting, action)

    ask(billing)
    assert resolve(billing, waiting, action).state == "credited"
    assert settlement.release_held(billing._context, waiting.id) is False
    assert billing.check().ok


def test_what_was_released_is_no_review_any_more(billing, simulated):
    waiting = held(billing, simulated)
    approve(billing)

    for action in ("refund", "credit_received"):
        with pytest.raises(WrongState):
            resolve(billing, waiting, action)
    assert billing.check().ok


def test_a_second_payment_waits_for_an_operator_as_ever(billing, simulated):
    first = top_up(billing, simulated)
    simulated.pay_again(simulated_checkout(billing, first))
    ask(billing, FIRST)
    deliver(billing, simulated.events()[-1])
    [second] = operator(billing).topups.review().items
    assert second.failure == "second-payment"

    with pytest.raises(WrongState, match="verified"):
        resolve(billing, second, "credit_received")
    approve(billing)
    assert resolve(billing, second, "credit_received").state == "credited"
    assert billing.check().ok


@SQLITE
def test_a_balance_that_is_full_leaves_it_to_an_operator(billing, simulated, ada):
    waiting = held(billing, simulated)
    operator(billing).customers.grant(ADA, Money(MAX_UNITS - 1, "EUR"), kind="goodwill", reason="much", key="much")

    approve(billing)

    assert state_of(billing, waiting) == ("review", "balance-full")
    billing.run_due("identity")
    assert resolve(billing, waiting, "refund").state == "refunded"


@SQLITE
def test_one_that_cannot_be_credited_keeps_no_other_from_it(billing, simulated, ada, monkeypatch):
    first, second = paid(billing, simulated), paid(billing, simulated, "20.00")
    ask(billing, FIRST)
    for topup in (first, second):
        settle(billing, topup)
    prepare = releasing.selling.prepare

    def failing(context, topup, *parts, **named):
        if topup.id == first.id:
            raise TransactionAborted("again and again")
        return prepare(context, topup, *parts, **named)

    with monkeypatch.context() as patch:
        patch.setattr(releasing.selling, "prepare", failing)
        approve(billing)
    assert ada.balance().settled == eur("20")

    billing.run_due("identity")
    assert ada.balance().settled == eur("70")
    assert billing.check().ok


def test_manual_review_from_the_start_to_the_credit(open_billing, simulated, tmp_path):
    billing = open_billing(identity=Manual(tmp_path / "manual.json", name="manual"))
    billing.customers.register(ADA, currency="EUR", email="ada@example.com")
    waiting = held(billing, simulated)
    door, ops = billing.customer(ADA), operator(billing)

    case = begin(billing)
    assert (case.state, case.redirect_url) == ("pending", None)
    assert door.identity.submit("upload/4711").state == "submitted"
    assert door.identity.submit("upload/4711") == door.identity.submit("upload/4711")
    [listed] = ops.identity.cases().items
    assert (listed.customer, listed.submission, listed.state) == (ADA, "upload/4711", "submitted")
    ops.identity.reject(ADA, reason="not readable")
    assert door.identity.status().state == "rejected"
    with pytest.raises(WrongState):
        door.identity.submit("upload/4712")

    begin(billing)
    assert door.identity.submit("upload/4712").submission == "upload/4712"
    status = ops.identity.approve(ADA, reason="passport seen")

    assert (status.state, status.required) == ("verified", False)
    assert state_of(billing, waiting)[0] == "credited"
    assert [row.action for row in ops.audit.list().items if row.action.startswith("identity")] == [
        "identity-met",
        "identity-verified",
        "identity-rejected",
        "identity-held",
    ]
    assert ops.identity.cases().items == ()
    assert [case.reason for case in ops.identity.cases("verified").items] == ["passport seen"]
    assert billing.check().ok


def test_a_customer_who_changed_their_profile_is_judged_by_the_new_one(billing, simulated):
    live_in(billing, "DE")
    topup = paid(billing, simulated)
    ask(billing, IdentityPolicy(before_first_topup=True, countries=("FR",)))
    live_in(billing, "FR")

    assert settle(billing, topup).failure == "identity-required"
    assert isinstance(billing.customer(ADA).tax_profile.get(), TaxProfile)


def test_verified_in_time_nothing_is_held(billing, simulated, verifier):
    topup = paid(billing, simulated)
    ask(billing, FIRST)
    verify(billing, verifier)

    assert settle(billing, topup).state == "credited"
    assert verification.release_due(billing._context, None) == 0


def meanwhile(monkeypatch, act):
    """Let something happen once, while a release is made ready."""
    prepare, todo = releasing.selling.prepare, [act]

    def interrupted(*parts, **named):
        if todo:
            todo.pop()()
        return prepare(*parts, **named)

    monkeypatch.setattr(releasing.selling, "prepare", interrupted)


def test_a_policy_that_came_back_while_a_release_was_made_ready_holds_it(billing, simulated, ada, monkeypatch):
    waiting = held(billing, simulated)
    ask(billing)
    meanwhile(monkeypatch, lambda: ask(billing, FIRST))

    assert settlement.release_held(billing._context, waiting.id) is False

    assert (state_of(billing, waiting)[0], ada.balance().settled) == ("review", eur("0"))
    assert billing.check().ok


def test_two_who_release_at_once_release_once(billing, simulated, ada, monkeypatch):
    waiting = held(billing, simulated)
    ask(billing)
    firsts = []
    meanwhile(monkeypatch, lambda: firsts.append(settlement.release_held(billing._context, waiting.id)))

    assert (settlement.release_held(billing._context, waiting.id), firsts) == (False, [True])

    assert ada.balance().settled == eur("50")
    assert billing.check().ok
