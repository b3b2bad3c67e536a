"""Refunds and disputes through the whole library and the real SDKs, over sockets: each is made, and booked, once."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from prepaid import Money, Prepaid, repayment
from prepaid.testing.clock import MovableClock
from tests.faults.processes import Child, Died, die
from tests.gateways.desk_providers import DESKS
from tests.gateways.stripe_world import NOW, shorten_waits
from tests.use_cases.refund_steps import approve, disputes_of, eligible, proven, refunds_of
from tests.use_cases.steps import ADA, add_rule, flow, live_in, operator, seller, start, told, value


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.full] * (name == "stripe-form")) for name in DESKS])
def provider(request, clock, monkeypatch):
    shorten_waits(monkeypatch)
    made = DESKS[request.param](clock, Random(request.param))
    yield made
    made.close()


@pytest.fixture
def open_book(provider, clock, tmp_path):
    """Give a function that opens the book, as each process does for itself."""
    opened = []

    def open_one():
        opened.append(
            Prepaid(
                database=f"sqlite:///{tmp_path}/billing.db",
                mode="test",
                seller=seller(),
                currencies=(provider.currency,),
                gateways=[provider.gateway(timeout_s=5)],
                clock=clock,
                load_plugins=False,
                webhook_budget_s=60,  # a busy machine is no slow gateway
            )
        )
        return opened[-1]

    yield open_one
    for billing in opened:
        billing.close()


@pytest.fixture
def billing(open_book, provider):
    billing = open_book()
    billing.upgrade_database()
    billing.customers.register(ADA, email="ada@example.com", name="Ada", currency=provider.currency)
    add_rule(billing, "FR", (("TVA", "20"),))
    live_in(billing, "FR")
    return billing


@pytest.fixture
def topup(billing, provider):
    """Give a top-up of 100 that was paid with 20 of tax, and told of."""
    started = start(billing, "100", currency=provider.currency)
    provider.pay(checkout_of(billing, started))
    tell(billing, provider)
    credited = billing.customer(ADA).topups.get(started.id)
    assert credited.state == "credited"
    return credited


def checkout_of(billing, topup):
    return value(billing, "SELECT checkout_id FROM prepaid_topup WHERE id = :id AND book_id = :book", id=topup.id)


def tell(billing, provider):
    """Deliver all that there is to be told, each twice."""
    for message in provider.news():
        for _ in range(2):
            headers, body = message()
            answer = billing.webhooks.receive(provider.name, body=body, headers=headers)
            assert (answer.status, answer.outcome) != (200, "rejected")
            assert answer.status == 200


def asked(billing, provider, topup, amount="100"):
    door = billing.customer(ADA)
    return door.refunds.request(topup.id, provider.money(amount), reason="unused", key=f"ask-{amount}")


def there(provider):
    """Give the refunds that the provider itself knows: whether each names one of ours, its money, and if it is done."""
    return [(found.reference is not None, found.amount, found.done) for found in provider.given_back()]


def documents(billing):
    return Counter(each.kind for each in billing.customer(ADA).invoices.list().items)


def arrive(billing, provider):
    """Let every refund under way arrive, and be told."""
    for refund in refunds_of(billing, billing.customer(ADA).topups.list().items[0]):
        if refund.state == "pending":
            provider.finish(refund.gateway_refund_id)
    tell(billing, provider)


def is_given_back_once(billing, provider, request):
    """All of it is at the provider once, and here once, whatever is done again."""
    door = billing.customer(ADA)
    for _ in range(2):
        billing.run_due()
        tell(billing, provider)
        assert there(provider) == [(True, provider.money("120"), True)]
        assert door.refunds.get(request.id).state == "refunded"
        assert door.balance().settled == provider.money("0")
        assert documents(billing) == {"invoice": 1, "credit-note": 1}
        assert len(told(billing, "refund-settled")) == 1
        assert flow(billing, "refunds_in_transit", "clearing") == "100.00"
        assert flow(billing, "tax_payable", "clearing") == "20.00"
        proven(billing)


@pytest.mark.parametrize("provider", ["stripe", "stripe-form"], indirect=True)
def test_a_fee_that_stripe_tells_after_the_payment_is_posted_when_it_is_told(billing, provider, clock):
    provider.simulator.book_later()
    started = start(billing, "100", currency=provider.currency)
    provider.pay(checkout_of(billing, started))
    tell(billing, provider)
    assert billing.customer(ADA).topups.get(started.id).state == "credited"
    assert flow(billing, "fees", "clearing") == "0.00"

    provider.simulator.book_charges()
    clock.advance(minutes=1)
    billing.run_due("topups")

    assert flow(billing, "fees", "clearing") == "3.78"  # 2.9 % of 120.00 and 0.30
    clock.advance(days=1)
    billing.run_due("topups")
    assert flow(billing, "fees", "clearing") == "3.78"
    proven(billing)


# Whatever happens between the call and the record


def test_a_refund_whose_answer_was_lost_is_found_a_day_later(billing, provider, clock, topup):
    request = asked(billing, provider, topup)
    provider.lose_answer()

    assert approve(billing, request).state == "approved"

    assert [refund.state for refund in refunds_of(billing, topup)] == ["unknown"]
    assert len(there(provider)) == 1
    proven(billing)
    clock.advance(days=1)
    billing.run_due()
    arrive(billing, provider)
    is_given_back_once(billing, provider, request)


def test_a_process_that_dies_between_the_call_and_the_record_leaves_one_refund(
    billing, open_book, provider, clock, topup
):
    request = asked(billing, provider, topup)
    billing.close()

    def approve_and_die():
        repayment.apply = lambda *_, **__: die("between the call and the record")
        approve(open_book(), request)

    assert Child(approve_and_die).result() == Died("between the call and the record")

    assert len(there(provider)) == 1
    survivor = open_book()
    assert [refund.state for refund in refunds_of(survivor, topup)] == ["starting"]
    assert survivor.customer(ADA).refunds.get(request.id).state == "approved"
    clock.advance(days=1)
    survivor.run_due()
    arrive(survivor, provider)
    is_given_back_once(survivor, provider, request)


def test_a_process_that_dies_before_the_call_is_survived_by_a_job_that_makes_it(
    billing, open_book, provider, clock, topup
):
    request = asked(billing, provider, topup)
    billing.close()

    def approve_and_die():
        repayment.try_pursue = lambda *_, **__: die("before the call")
        approve(open_book(), request)

    assert Child(approve_and_die).result() == Died("before the call")

    assert there(provider) == []
    survivor = open_book()
    clock.advance(minutes=2)
    survivor.run_due()
    arrive(survivor, provider)
    is_given_back_once(survivor, provider, request)


def test_a_gateway_that_is_down_for_hours_is_asked_once_it_answers(billing, provider, clock, topup):
    request = asked(billing, provider, topup)
    provider.simulator.fault_next("drop", times=20)
    assert approve(billing, request).state == "approved"
    assert billing.customer(ADA).balance().settled == provider.money("0")
    assert there(provider) == []
    with provider.simulator.lock:
        provider.simulator._script.clear()
    clock.advance(hours=3)
    billing.run_due()
    arrive(billing, provider)
    is_given_back_once(billing, provider, request)


@pytest.mark.parametrize("provider", ["stripe"], indirect=True)
def test_a_refund_that_its_gateway_remembers_as_failed_gives_the_credit_back_once_that_is_forgotten(
    billing, provider, clock, topup
):
    request = asked(billing, provider, topup)
    provider.simulator.fault_next("500", times=3)  # kept under the key, and answered to it for a day
    assert approve(billing, request).state == "approved"
    clock.advance(hours=3)
    billing.run_due()
    assert billing.customer(ADA).refunds.get(request.id).state == "approved"
    proven(billing)

    clock.advance(days=1)
    billing.run_due()

    assert there(provider) == []
    [refund] = refunds_of(billing, topup)
    assert (refund.state, refund.failure) == ("failed", "never-made")
    assert billing.customer(ADA).refunds.get(request.id).state == "failed"
    assert billing.customer(ADA).balance().settled == provider.money("100")
    proven(billing)


# How it goes on


def test_a_part_that_takes_its_time_is_settled_when_a_webhook_tells(billing, provider, topup):
    request = asked(billing, provider, topup, "40")
    provider.pend()

    done = approve(billing, request)

    assert (done.state, done.cash, done.tax) == ("approved", provider.money("48"), provider.money("8"))
    assert documents(billing) == {"invoice": 1}
    assert flow(billing, "wallet", "refunds_in_transit") == "40.00"
    tell(billing, provider)
    assert billing.customer(ADA).refunds.get(request.id).state == "approved"
    proven(billing)

    arrive(billing, provider)

    assert billing.customer(ADA).refunds.get(request.id).state == "refunded"
    assert there(provider) == [(True, provider.money("48"), True)]
    assert documents(billing) == {"invoice": 1, "credit-note": 1}
    assert billing.customer(ADA).balance().settled == provider.money("60")
    proven(billing)

    rest = approve(billing, asked(billing, provider, topup, "60"))
    arrive(billing, provider)
    assert billing.customer(ADA).refunds.get(rest.id).state == "refunded"
    assert flow(billing, "tax_payable", "clearing") == "20.00"
    assert sorted(amount for _, amount, _ in there(provider)) == [provider.money("48"), provider.money("72")]
    proven(billing)


@pytest.mark.parametrize("settled", [False, True], ids=["before it arrived", "after it arrived"])
def test_a_refund_that_fails_gives_the_credit_back(billing, provider, topup, settled):
    request = asked(billing, provider, topup, "40")
    provider.pend()
    approve(billing, request)
    if settled:
        arrive(billing, provider)
    [refund] = refunds_of(billing, topup)

    provider.finish(refund.gateway_refund_id, succeed=False)
    tell(billing, provider)

    assert billing.customer(ADA).refunds.get(request.id).state == "failed"
    assert billing.customer(ADA).balance().settled == provider.money("100")
    assert documents(billing) == ({"invoice": 2, "credit-note": 1} if settled else {"invoice": 1})
    assert eligible(billing, topup).credit == provider.money("100")
    proven(billing)
    again = approve(billing, ask_again(billing, provider, topup))
    arrive(billing, provider)
    assert billing.customer(ADA).refunds.get(again.id).state == "refunded"
    assert sum(done for _, _, done in there(provider)) == 1
    proven(billing)


def ask_again(billing, provider, topup):
    return billing.customer(ADA).refunds.request(topup.id, provider.money("100"), reason="unused", key="again")


def test_a_refund_made_in_the_dashboard_is_booked_when_a_webhook_tells(billing, provider, topup):
    provider.refund(checkout_of(billing, topup), 6000)
    tell(billing, provider)

    [refund] = refunds_of(billing, topup)
    assert (refund.origin, refund.state, refund.actor) == ("gateway", "succeeded", f"gateway:{provider.name}")
    assert (refund.credit, refund.tax) == (provider.money("50"), provider.money("10"))
    assert billing.customer(ADA).balance().settled == provider.money("50")
    assert documents(billing) == {"invoice": 1, "credit-note": 1}
    proven(billing)

    request = asked(billing, provider, topup, "50")
    approve(billing, request)
    arrive(billing, provider)
    assert billing.customer(ADA).refunds.get(request.id).state == "refunded"
    assert flow(billing, "tax_payable", "clearing") == "20.00"
    proven(billing)


# Disputes


@pytest.fixture
def disputed(billing, provider, topup):
    """Give the provider's id of a dispute about all of the top-up, which was told of."""
    dispute_id = provider.dispute(checkout_of(billing, topup))
    tell(billing, provider)
    return dispute_id


def test_a_dispute_that_is_opened_holds_the_credit(billing, provider, topup, disputed):
    [dispute] = disputes_of(billing, topup)
    assert (dispute.dispute_id, dispute.state, dispute.booked) == (disputed, "open", "withdrawn")
    balance = billing.customer(ADA).balance()
    assert (balance.settled, balance.held) == (provider.money("100"), provider.money("100"))
    assert flow(billing, "disputes", "clearing") == "120.00"
    assert eligible(billing, topup).reason == "disputed"
    fee = None if provider.dispute_fee is None else Money.from_minor(provider.dispute_fee, provider.currency)
    assert dispute.fee == fee
    assert kept_for_disputes(billing) == (0 if fee is None else fee.units)
    proven(billing)


def kept_for_disputes(billing):
    """Sum what gateways kept for disputes, by the database itself."""
    return value(
        billing,
        "SELECT coalesce(sum(amount), 0) FROM prepaid_transfer"
        " WHERE book_id = :book AND kind = 'fee' AND cause_type = 'dispute'",
    )


@pytest.mark.parametrize("provider", ["stripe"], indirect=True)
def test_a_fee_that_comes_back_with_a_dispute_that_is_won_is_booked_back(billing, provider, topup, disputed):
    provider.simulator.advance_dispute(disputed, "won", returns_fee=True)
    tell(billing, provider)

    [dispute] = disputes_of(billing, topup)
    assert (dispute.state, dispute.fee) == ("won", provider.money("0"))
    given_back = (
        "SELECT t.amount FROM prepaid_transfer t JOIN prepaid_account c ON c.id = t.credit_id"
        " WHERE t.book_id = :book AND t.cause_type = 'dispute' AND c.kind = 'fees'"
    )
    assert value(billing, given_back) == 15_000_000
    proven(billing)


def test_a_dispute_that_is_won_frees_the_credit(billing, provider, topup, disputed):
    provider.win(disputed)
    tell(billing, provider)

    [dispute] = disputes_of(billing, topup)
    assert (dispute.state, dispute.booked) == ("won", "won")
    balance = billing.customer(ADA).balance()
    assert (balance.settled, balance.held) == (provider.money("100"), provider.money("0"))
    assert flow(billing, "clearing", "disputes") == "120.00"
    assert documents(billing) == {"invoice": 1}
    proven(billing)


def test_a_dispute_that_is_lost_takes_the_credit_with_a_credit_note(billing, provider, topup, disputed):
    provider.lose(disputed)
    tell(billing, provider)

    [dispute] = disputes_of(billing, topup)
    assert (dispute.state, dispute.booked) == ("lost", "lost")
    balance = billing.customer(ADA).balance()
    assert (balance.settled, balance.held) == (provider.money("0"), provider.money("0"))
    assert flow(billing, "tax_payable", "disputes") == "20.00"
    assert documents(billing) == {"invoice": 1, "credit-note": 1}
    assert [each.id for each in operator(billing).disputes.list(state="lost").items] == [dispute.id]
    proven(billing)
