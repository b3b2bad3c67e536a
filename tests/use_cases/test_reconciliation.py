"""Reconciliation: both lists side by side, every difference named, nothing changed."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from prepaid import GatewayError, InvalidRequest, reconciling
from prepaid.gateways import BankTransferGateway, SimulatedGateway
from prepaid.ports import Listing
from tests.use_cases.providers import NarrowGateway
from tests.use_cases.steps import (
    ADA,
    SQLITE,
    change,
    checkout_of,
    counts,
    deliver,
    eur,
    operator,
    rows,
    start,
    top_up,
    walk,
)
from tests.use_cases.test_reviews import in_review, refunds_of, resolve


def reconcile(billing, clock, gateway="simulated", **options):
    now = clock.now()
    return operator(billing).reconcile(gateway, now - timedelta(days=1), now + timedelta(days=1), **options)


def test_books_that_agree_are_matched(billing, simulated, clock):
    for _ in range(3):
        top_up(billing, simulated)
    start(billing)
    before = counts(billing)

    report = reconcile(billing, clock)

    assert (report.ok, report.matched, report.foreign, report.listed) == (True, 3, 0, True)
    assert counts(billing) == {**before, "reconciliation": 1, "audit": before["audit"] + 1}


def test_what_was_found_is_kept_and_listed_newest_first(billing, simulated, clock, monkeypatch):
    for _ in range(3):
        simulated.pay(checkout_of(start(billing)))
    top_up(billing, simulated)
    first = reconcile(billing, clock)
    clock.advance(seconds=1)
    monkeypatch.setattr(reconciling, "MOST_KEPT", 2)
    second = reconcile(billing, clock)

    kept = walk(operator(billing).reconciliations, limit=1)

    assert [each.at for each in kept] == [clock.now(), clock.now() - timedelta(seconds=1)]
    assert kept[1].report == first
    assert (kept[0].report.missing_here, kept[0].found) == (second.missing_here[:2], 3)
    assert {each.actor for each in kept} == {"alice@nimbus.example"}
    assert operator(billing).reconciliations(gateway="simulated").items == tuple(kept)
    with pytest.raises(InvalidRequest):
        operator(billing).reconciliations(gateway="other")
    [_, audited] = [entry for entry in operator(billing).audit.list().items if entry.action == "reconcile"]
    assert audited.after == {"matched": 1, "foreign": 0, "listed": True, "found": 3}


def test_a_refund_by_other_means_is_not_looked_for_at_the_gateway(billing, simulated, clock):
    topup = top_up(billing, simulated)
    operator(billing).refunds.record(topup.id, eur("20"), reference="cheque 7", reason="asked")
    assert reconcile(billing, clock).ok


def test_a_payment_that_was_never_settled_is_missing_here(billing, simulated, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup))

    report = reconcile(billing, clock)

    [item] = report.missing_here
    assert (item.kind, item.topup_id, item.here, item.there, item.detail) == (
        "payment",
        topup.id,
        None,
        eur("50"),
        "not-settled",
    )
    operator(billing).topups.recheck(topup.id)
    assert reconcile(billing, clock).ok


def test_a_payment_that_the_gateway_does_not_know_is_missing_there(billing, simulated, clock):
    topup = top_up(billing, simulated)
    change(billing, "UPDATE prepaid_payment SET payment_id = 'pay_other' WHERE topup_id = :id", id=topup.id)

    report = reconcile(billing, clock)

    assert [(item.id, item.here, item.detail) for item in report.missing_there] == [
        ("pay_other", eur("50"), "not-captured")
    ]
    assert [item.topup_id for item in report.missing_here] == [topup.id]


def test_a_payment_of_another_amount_is_different(billing, simulated, clock):
    topup = top_up(billing, simulated)
    change(billing, "UPDATE prepaid_payment SET captured = captured + 1 WHERE topup_id = :id", id=topup.id)

    [item] = reconcile(billing, clock).different

    assert (item.topup_id, item.there, item.detail) == (topup.id, eur("50"), "amount-differs")


def test_a_second_payment_that_nobody_told_of_is_missing_here(billing, simulated, clock):
    topup = start(billing)
    checkout_id = checkout_of(topup)
    simulated.pay(checkout_id)
    billing.customer(ADA).topups.confirm(topup.id)
    simulated.pay_again(checkout_id)

    report = reconcile(billing, clock)

    assert (report.matched, [item.topup_id for item in report.missing_here]) == (1, [topup.id])
    for _ in range(2):  # what the list shows, the operator can bring in
        operator(billing).topups.recheck(topup.id)
    report = reconcile(billing, clock)
    assert (report.ok, report.matched) == (True, 2)
    [waiting] = operator(billing).topups.review().items
    assert (waiting.further_of, waiting.failure) == (topup.id, "second-payment")
    operator(billing).topups.recheck(waiting.id)
    assert billing.check().ok


def test_refunds_and_disputes_are_compared_too(billing, simulated, clock):
    topup = start(billing)
    checkout_id = checkout_of(topup)
    simulated.pay(checkout_id)
    billing.customer(ADA).topups.confirm(topup.id)
    simulated.refund_at_provider(checkout_id, eur("5"))
    dispute_id = simulated.dispute(checkout_id, amount=eur("45"))

    report = reconcile(billing, clock)
    assert [(item.kind, item.topup_id, item.detail) for item in report.missing_here] == [
        ("refund", topup.id, "not-recorded"),
        ("dispute", topup.id, "not-recorded"),
    ]

    for delivery in simulated.events():
        deliver(billing, delivery)
    assert (reconcile(billing, clock).ok, reconcile(billing, clock).matched) == (True, 3)
    simulated.lose(dispute_id)
    assert [item.detail for item in reconcile(billing, clock).different] == ["open-here-lost-there"]


def test_payments_of_others_through_the_account_are_counted_and_left_alone(open_billing, billing, simulated, clock):
    other = open_billing(book="another")
    other.customers.register(ADA, currency="EUR")
    top_up(other, simulated)
    top_up(billing, simulated)

    report = reconcile(billing, clock)

    assert (report.ok, report.matched, report.foreign) == (True, 1, 1)


def test_what_lies_outside_the_period_is_not_compared(billing, simulated, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    clock.advance(days=3)

    assert reconcile(billing, clock).missing_here == ()


def test_a_gateway_without_a_list_is_asked_for_what_is_known(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class Listless(SimulatedGateway):
        def capabilities(self):
            return attrs.evolve(super().capabilities(), lists_payments=False, lists_refunds=False, lists_disputes=False)

    gateway = Listless(state=tmp_path / "listless.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    top_up(billing, gateway)
    topup = start(billing)
    gateway.pay(checkout_of(topup))

    report = reconcile(billing, clock)

    assert (report.listed, report.matched) == (False, 1)
    assert [item.topup_id for item in report.missing_here] == [topup.id]


@SQLITE
def test_a_bank_account_has_nothing_to_be_asked(open_billing, clock):
    bank = BankTransferGateway(account_holder="Nimbus GmbH", iban="DE89370400440532013000")
    billing = open_billing(gateways=[bank])

    report = reconcile(billing, clock, "bank-transfer")

    assert (report.ok, report.listed, report.matched) == (True, False, 0)


def test_many_are_read_page_by_page_with_progress(billing, simulated, clock, monkeypatch):
    from prepaid import reconciliation

    monkeypatch.setattr(reconciliation, "ROWS_AT_ONCE", 2)
    for _ in range(5):
        top_up(billing, simulated)
    steps = []

    report = reconcile(billing, clock, on_progress=lambda name, done: steps.append((name, done)))

    assert report.matched == 5
    assert [done for _, done in steps] == list(range(1, len(steps) + 1))
    assert {"payments", "settled here"} <= {name for name, _ in steps}


def test_a_gateway_that_is_down_ends_the_comparison(billing, simulated, clock):
    top_up(billing, simulated)
    simulated.fault_next("list_payments", "unavailable")

    with pytest.raises(GatewayError):
        reconcile(billing, clock)


@SQLITE
def test_no_transaction_is_open_while_the_gateway_is_asked(open_billing, tmp_path, clock):
    depth = []

    @attrs.frozen(kw_only=True)
    class Watching(SimulatedGateway):
        def fetch_payment(self, ref):
            pool = billing._database.engine.pool
            depth.append(pool.checkedout())
            return super().fetch_payment(ref)

    gateway = Watching(state=tmp_path / "watching.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    start(billing)

    reconcile(billing, clock)

    assert set(depth) == {0}


@SQLITE
@pytest.mark.parametrize(
    ("gateway", "days", "field"), [("nobody", 1, "gateway"), ("simulated", 0, "until"), ("simulated", -1, "until")]
)
def test_what_cannot_be_compared_is_refused(billing, clock, gateway, days, field):
    now = clock.now()
    with pytest.raises(InvalidRequest) as refused:
        operator(billing).reconcile(gateway, now, now + timedelta(days=days))
    assert refused.value.field == field


@SQLITE
def test_a_list_that_does_not_end_is_not_believed(open_billing, tmp_path, clock, monkeypatch):
    from prepaid import reconciliation

    @attrs.frozen(kw_only=True)
    class Endless(NarrowGateway):
        def list_payments(self, since, until, *, cursor=None):
            return Listing(items=(), next="more")

    monkeypatch.setattr(reconciliation, "MOST_PAGES", 5)
    billing = open_billing(gateways=[Endless(state=tmp_path / "endless.db", clock=clock)])

    with pytest.raises(GatewayError, match="does not end"):
        reconcile(billing, clock)
    assert rows(billing, "SELECT 1 FROM prepaid_topup WHERE book_id = :book") == []


@SQLITE
def test_a_bank_transfer_that_was_confirmed_is_not_missing_there(open_billing, clock):
    bank = BankTransferGateway(account_holder="Nimbus GmbH", iban="DE89370400440532013000")
    billing = open_billing(gateways=[bank])
    billing.customers.register(ADA, currency="EUR")
    topup = start(billing)
    credited = operator(billing).topups.confirm_bank_transfer(topup.id, received=eur("50"), reference="line 1")
    assert credited.state == "credited"

    report = reconcile(billing, clock, "bank-transfer")

    assert (report.ok, report.listed) == (True, False)


def test_a_refund_whose_answer_was_lost_differs_and_is_not_missing_here(billing, simulated, clock):
    simulated.fault_next("refund", "timeout-after-accept")
    resolve(billing, in_review(billing, simulated), "refund")

    report = reconcile(billing, clock)

    assert report.missing_here == ()
    assert [(item.kind, item.detail) for item in report.different] == [("refund", "unknown-here-succeeded-there")]


@SQLITE
def test_a_gateway_that_refuses_to_be_asked_is_reported_with_its_word(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class Listless(SimulatedGateway):
        def capabilities(self):
            return attrs.evolve(super().capabilities(), lists_payments=False, lists_refunds=False, lists_disputes=False)

    gateway = Listless(state=tmp_path / "listless.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    top_up(billing, gateway)
    gateway.fault_next("fetch_payment", "garbage")

    assert [item.detail for item in reconcile(billing, clock).missing_there] == ["garbage"]


def test_a_refund_that_the_gateway_does_not_know_is_missing_there(billing, simulated, clock):
    topup = resolve(billing, in_review(billing, simulated), "refund")
    assert (reconcile(billing, clock).ok, reconcile(billing, clock).matched) == (True, 2)
    change(billing, "UPDATE prepaid_refund SET gateway_refund_id = 're_other' WHERE topup_id = :id", id=topup.id)

    report = reconcile(billing, clock)

    assert [(item.kind, item.id, item.detail) for item in report.missing_there] == [("refund", "re_other", "not-made")]


def test_a_refund_that_failed_later_than_it_was_listed_is_looked_up(billing, simulated, clock):
    topup = resolve(billing, in_review(billing, simulated), "refund")
    [refund] = refunds_of(billing, topup)
    simulated.finish_refund(refund.gateway_refund_id, succeed=False)

    assert [item.detail for item in reconcile(billing, clock).different] == ["succeeded-here-failed-there"]


@SQLITE
def test_credentials_that_are_not_accepted_end_the_comparison(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class LockedOut(SimulatedGateway):
        locks: list = attrs.field(factory=list)

        def list_payments(self, since, until, *, cursor=None):
            return Listing(items=())

        def fetch_payment(self, ref):
            if self.locks:
                raise GatewayError("Wrong key.", code="authentication")
            return super().fetch_payment(ref)

    gateway = LockedOut(state=tmp_path / "locked.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    top_up(billing, gateway)
    gateway.locks.append(1)

    with pytest.raises(GatewayError):
        reconcile(billing, clock)
