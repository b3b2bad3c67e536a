"""Settlement: what is credited, what waits in review, what is refused, and that all roads end at one place."""

from __future__ import annotations

import threading
from datetime import date

import pytest

from prepaid import (
    Bonus,
    Discount,
    Fixed,
    GatewayError,
    GatewayUnavailable,
    IntegrityFault,
    Money,
    Percent,
    WrongState,
)
from prepaid.core.money import MAX_UNITS
from prepaid.core.settlement import Expected, Verdict, judge
from prepaid.ports import Checkout, PaymentSnapshot
from tests.use_cases.promotion_steps import promote
from tests.use_cases.providers import LyingGateway, event, signed
from tests.use_cases.steps import (
    ADA,
    BACK,
    BILLING,
    SQLITE,
    add_rule,
    alarms,
    assert_nothing_credited,
    change,
    checkout_of,
    counts,
    database,
    deliver,
    eur,
    give,
    live_in,
    operator,
    rows,
    start,
    told,
    top_up,
)

EXPECTED = Expected(topup_id="top_1", checkout_id="co_1", mode="test", account="acct_1", total=eur("50"))


def payment(**changes):
    honest = {
        "checkout_id": "co_1",
        "payment_id": "pay_1",
        "topup_id": "top_1",
        "state": "captured",
        "captured": eur("50"),
        "mode": "test",
        "account": "acct_1",
    }
    return PaymentSnapshot(**{**honest, **changes})


def today(billing, currency="EUR"):
    return operator(billing).reports.summary(date(2026, 11, 23), date(2026, 11, 24), currency=currency)


# The checks, as one pure function


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict("credit")),
        ({"checkout_id": "co_2"}, Verdict("mismatch", "checkout-differs")),
        ({"topup_id": "top_2"}, Verdict("mismatch", "reference-differs")),
        ({"topup_id": None}, Verdict("mismatch", "reference-differs")),
        ({"mode": "live"}, Verdict("mismatch", "mode-differs")),
        ({"account": "acct_2"}, Verdict("mismatch", "account-differs")),
        ({"payment_id": None}, Verdict("mismatch", "nothing-captured")),
        ({"captured": None}, Verdict("mismatch", "nothing-captured")),
        ({"captured": eur("0")}, Verdict("mismatch", "nothing-captured")),
        ({"captured": eur("-50")}, Verdict("mismatch", "nothing-captured")),
        ({"captured": eur("49.99")}, Verdict("review", "amount-differs")),
        ({"captured": eur("50.01")}, Verdict("review", "amount-differs")),
        ({"captured": Money.of("50", "USD")}, Verdict("review", "currency-differs")),
        ({"state": "open"}, Verdict("wait")),
        ({"state": "processing"}, Verdict("processing")),
        ({"state": "authorised"}, Verdict("processing")),
        ({"state": "failed", "failure": "declined"}, Verdict("failed", "declined")),
        ({"state": "failed"}, Verdict("failed", "failed")),
        ({"state": "expired"}, Verdict("expired", "expired")),
        ({"state": "canceled"}, Verdict("canceled", "canceled")),
        # What the gateway does not show is not held against it.
        ({"mode": None}, Verdict("credit")),
        ({"account": None}, Verdict("credit")),
        # Whose payment it is comes before whether and what it paid.
        ({"checkout_id": "co_2", "state": "failed"}, Verdict("mismatch", "checkout-differs")),
        ({"topup_id": "top_2", "captured": eur("1")}, Verdict("mismatch", "reference-differs")),
        ({"mode": "live", "state": "open", "captured": None}, Verdict("mismatch", "mode-differs")),
        ({"captured": Money.of("1", "USD")}, Verdict("review", "currency-differs")),
    ],
)
def test_a_payment_is_judged_by_each_check_in_order(changes, verdict):
    assert judge(payment(**changes), EXPECTED) == verdict


def test_an_account_that_is_not_known_here_is_not_compared():
    unknown = Expected(topup_id="top_1", checkout_id="co_1", mode="test", account=None, total=eur("50"))

    assert judge(payment(account="acct_2"), unknown) == Verdict("credit")


# What a credited top-up posts


def test_a_paid_top_up_is_credited_with_tax_invoice_mail_and_event(billing, ada, simulated):
    add_rule(billing)
    live_in(billing, "FR")

    topup = top_up(billing, simulated, "50.00")

    assert (topup.state, topup.credit, topup.total) == ("credited", eur("50"), eur("60"))
    balance = ada.balance()
    assert (balance.settled, balance.paid, balance.promotional) == (eur("50"), eur("50"), eur("0"))
    [line] = ada.transactions().items
    assert (line.kind, line.amount, line.balance_after, line.topup_id) == ("topup", eur("50"), eur("50"), topup.id)
    assert line.invoice_number == topup.invoice_number
    flows = rows(
        billing,
        "SELECT d.kind, d.owner, c.kind, t.amount, t.actor FROM prepaid_transfer t"
        " JOIN prepaid_account d ON d.id = t.debit_id JOIN prepaid_account c ON c.id = t.credit_id"
        " WHERE t.book_id = :book ORDER BY t.part",
    )
    assert [tuple(flow) for flow in flows] == [
        ("clearing", "simulated", "wallet", 50_000_000, "gateway:simulated"),
        ("clearing", "simulated", "tax_payable", 10_000_000, "gateway:simulated"),
    ]
    assert told(billing, "topup-credited") == [
        {"topup": topup.id, "gateway": "simulated", "balance_after": "50.00 EUR"}
    ]
    assert billing.check().ok


def test_what_was_frozen_at_the_start_is_posted_whatever_changed_since(billing, ada, simulated):
    """A bonus and a discount stand in the row from the start; settlement copies them."""
    promote(billing, effect=(Bonus(Percent("20")), Discount(Percent("10"))))
    quote = ada.topups.quote(eur("50.00"), code="SAVE10")
    simulated.fault_next("create_checkout", "unavailable")
    with pytest.raises(GatewayUnavailable):
        ada.topups.start(quote, return_url=BACK, cancel_url=BILLING, key="form-1")
    operator(billing).promotions.end("SAVE10")
    topup = ada.topups.start(quote, return_url=BACK, cancel_url=BILLING, key="form-1")
    assert simulated.page(checkout_of(topup)).amount == eur("45")
    simulated.pay(checkout_of(topup))
    add_rule(billing, "DE", (("USt", "19"),))

    ada.topups.confirm(topup.id)

    balance = ada.balance()
    assert (balance.settled, balance.paid, balance.promotional) == (eur("60"), eur("50"), eur("10"))
    bonus, bought = ada.transactions().items
    assert [(line.kind, line.amount, line.balance_after) for line in (bought, bonus)] == [
        ("topup", eur("50"), eur("50")),
        ("bonus", eur("10"), eur("60")),
    ]
    assert (bonus.credit.promotional, bought.credit.paid) == (eur("10"), eur("50"))
    [invoice] = ada.invoices.list().items
    assert [(line.description, line.net) for line in invoice.lines] == [
        ("Account credit 50.00 EUR", eur("50")),
        ("Promotion discount (SAVE10)", eur("-5")),
        ("Bonus credit 10.00 EUR (SAVE10)", eur("0")),
    ]
    assert (invoice.net, invoice.total) == (eur("45"), eur("45"))
    assert (today(billing).funds_in, today(billing).bonus_granted) == (eur("45"), eur("10"))
    assert billing.check().ok


@SQLITE
def test_a_bonus_pays_a_debt_before_paid_credit_does(billing, ada, simulated):
    billing.usage.charge(ADA, eur("30"), key="late", allow_negative=True)
    promote(billing, effect=Bonus(Fixed(eur("20"))))
    topup = start(billing, "50.00", code="SAVE10")
    simulated.pay(checkout_of(topup))

    ada.topups.confirm(topup.id)

    balance = ada.balance()
    assert (balance.settled, balance.paid, balance.promotional) == (eur("40"), eur("40"), eur("0"))
    assert billing.check().ok


# Captured money that differs: nothing is lost, nothing is credited


DIFFERENT = [
    pytest.param({"amount": eur("49.99")}, "amount-differs", id="less"),
    pytest.param({"amount": eur("50.01")}, "amount-differs", id="more"),
    pytest.param({"amount": eur("0.01")}, "amount-differs", id="a-cent"),
    pytest.param({"currency": "USD"}, "currency-differs", id="other-currency"),
]


@pytest.mark.parametrize(("lie", "reason"), DIFFERENT)
def test_captured_money_that_differs_waits_in_review(billing, ada, simulated, lie, reason):
    topup = start(billing, "50.00")
    simulated.pay(checkout_of(topup), **lie)
    captured = lie.get("amount", Money.of("50", lie.get("currency", "EUR")))

    result = deliver(billing, simulated.events()[-1])

    assert (result.status, result.outcome, result.topup_id) == (200, "review", topup.id)
    held = ada.topups.get(topup.id)
    assert (held.state, held.failure, held.invoice_number) == ("review", reason, None)
    assert_nothing_credited(billing)
    assert today(billing, captured.currency).in_review == captured
    assert (today(billing).funds_in, today(billing).tax_collected) == (eur("0"), eur("0"))
    assert alarms(billing) == [reason]
    assert told(billing, "topup-review") == [{"topup": topup.id, "reason": reason}]
    assert [waiting.id for waiting in operator(billing).topups.review().items] == [topup.id]


@pytest.mark.parametrize(("lie", "reason"), DIFFERENT[:1])
def test_a_top_up_in_review_is_never_posted_again(billing, ada, simulated, lie, reason):
    topup = start(billing, "50.00")
    simulated.pay(checkout_of(topup), **lie)
    deliver(billing, simulated.events()[-1])
    before = counts(billing)

    again = deliver(billing, simulated.events()[-1])
    headers, body = signed(event(topup, id="evt_2"), at=simulated.clock.now())
    other = billing.webhooks.receive("simulated", body=body, headers=headers)
    confirmed = ada.topups.confirm(topup.id)
    with pytest.raises(WrongState):
        ada.topups.cancel(topup.id)
    operator(billing).topups.recheck(topup.id)

    assert (again.status, again.outcome) == (200, "duplicate")
    assert (other.status, other.outcome) == (200, "duplicate")
    assert confirmed.state == "review"
    after = counts(billing)
    unchanged = ("transfer", "payment", "grant", "invoice")
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}
    assert_nothing_credited(billing)


# Payments that are not ours to credit


@pytest.fixture
def liar(tmp_path, clock):
    return LyingGateway(state=tmp_path / "liar.db", clock=clock)


@pytest.fixture
def lied_to(open_billing, liar):
    billing = open_billing(gateways=[liar])
    billing.customers.register(ADA, currency="EUR")
    return billing


FOREIGN = [
    ({"checkout_id": "sim_of_somebody_else"}, "checkout-differs"),
    ({"topup_id": "top_01m82v7m000000000000000000"}, "reference-differs"),
    ({"topup_id": None}, "reference-differs"),
    ({"mode": "live"}, "mode-differs"),
    ({"account": "acct_of_eve"}, "account-differs"),
    ({"captured": None}, "nothing-captured"),
    ({"captured": eur("0")}, "nothing-captured"),
    ({"payment_id": None}, "nothing-captured"),
]


@pytest.mark.parametrize(("lies", "reason"), FOREIGN)
def test_a_payment_that_is_not_ours_credits_nothing_and_raises_an_alarm_once(lied_to, liar, lies, reason):
    topup = start(lied_to)
    liar.pay(checkout_of(topup))
    liar.lies.update(lies)

    first = deliver(lied_to, liar.events()[-1])
    again = deliver(lied_to, liar.events()[-1])
    confirmed = lied_to.customer(ADA).topups.confirm(topup.id)

    assert (first.status, first.outcome) == (200, "mismatch")
    assert (again.status, again.outcome) == (200, "duplicate")
    assert confirmed.state == "pending"
    assert_nothing_credited(lied_to)
    assert counts(lied_to)["payment"] == 0
    assert alarms(lied_to) == [reason]


@SQLITE
def test_a_payment_that_turns_out_to_be_ours_is_credited_after_all(lied_to, liar):
    topup = start(lied_to)
    liar.pay(checkout_of(topup))
    liar.lies.update(topup_id=None)
    assert lied_to.customer(ADA).topups.confirm(topup.id).state == "pending"

    liar.lies.clear()

    assert lied_to.customer(ADA).topups.confirm(topup.id).state == "credited"
    assert lied_to.check().ok


# One payment, one credit


def test_a_state_set_back_by_hand_posts_nothing_twice(billing, ada, simulated):
    topup = top_up(billing, simulated)
    change(billing, "UPDATE prepaid_topup SET state = 'pending' WHERE id = :id", id=topup.id)

    ada.topups.confirm(topup.id)

    assert ada.balance().settled == eur("50")
    assert counts(billing)["invoice"] == 1
    assert {finding.invariant for finding in billing.check().findings} == {"B1", "B5", "L4"}


def test_an_event_that_cannot_be_there_yet_stops_settlement_instead_of_guessing(billing, ada, simulated):
    topup = start(billing)
    change(
        billing,
        "INSERT INTO prepaid_outbox (book_id, id, topic, dedupe_key, payload, state, attempts, next_at,"
        " claimed_until, progress, last_error, created_at)"
        " VALUES (:book, :id, 'event', :key, '{}', 'done', 0, 0, 0, '[]', '', 0)",
        book=database(billing).book_id,
        id="out_" + topup.id[4:],
        key=f"topup-credited/{topup.id}",
    )
    simulated.pay(checkout_of(topup))

    with pytest.raises(IntegrityFault):
        ada.topups.confirm(topup.id)
    result = deliver(billing, simulated.events()[-1])

    assert (result.status, result.outcome) == (500, "unavailable")  # the gateway sends it again
    assert ada.balance().settled == eur("0")
    assert counts(billing)["payment"] == 0


@SQLITE
def test_a_second_checkout_for_one_key_is_refused(lied_to, liar):
    """Two workers finish the same start; the gateway, against its word, gives each another checkout."""

    def meanwhile(checkout):
        [topup] = lied_to.customer(ADA).topups.list().items
        lied_to.customer(ADA).topups.confirm(topup.id)
        return Checkout(checkout_id="sim_second", redirect_url="https://pay.example/second")

    liar.on_create.append(meanwhile)

    with pytest.raises(GatewayError) as refused:
        start(lied_to)

    assert refused.value.code == "checkout-differs"
    [topup] = lied_to.customer(ADA).topups.list().items
    assert topup.state == "pending"
    assert checkout_of(topup) != "sim_second"


@pytest.mark.parametrize(("lies", "state"), [({}, "credited"), ({"captured": eur("1")}, "review")])
def test_a_payment_that_another_worker_posted_meanwhile_is_posted_once(lied_to, liar, lies, state):
    topup = start(lied_to)
    liar.pay(checkout_of(topup))
    liar.lies.update(lies)
    door = lied_to.customer(ADA)
    seen = []
    liar.on_fetch.append(lambda: seen.append(door.topups.confirm(topup.id).state))

    settled = door.topups.confirm(topup.id)

    assert (settled.state, seen) == (state, [state])
    assert counts(lied_to)["payment"] == 1
    assert lied_to.check().ok


def test_an_end_that_another_worker_told_meanwhile_is_told_once(lied_to, liar):
    topup = start(lied_to)
    liar.fail(checkout_of(topup))
    door = lied_to.customer(ADA)
    liar.on_fetch.append(lambda: door.topups.confirm(topup.id))

    assert door.topups.confirm(topup.id).state == "failed"
    assert len(told(lied_to, "topup-failed")) == 1


def test_money_that_no_balance_can_hold_waits_in_review(billing, ada, simulated):
    topup = start(billing)
    give(billing, str(Money(MAX_UNITS, "EUR").amount))
    simulated.pay(checkout_of(topup))

    parked = ada.topups.confirm(topup.id)

    assert (parked.state, parked.failure) == ("review", "balance-full")
    assert today(billing).in_review == eur("50")
    assert ada.balance().settled == Money(MAX_UNITS, "EUR")
    assert billing.check().ok


@SQLITE
def test_a_top_up_that_lost_its_checkout_stops_settlement(billing, ada):
    topup = start(billing)
    change(billing, "UPDATE prepaid_topup SET checkout_id = NULL WHERE id = :id", id=topup.id)

    with pytest.raises(IntegrityFault):
        ada.topups.confirm(topup.id)


def test_return_page_and_webhook_at_the_same_moment_credit_once(billing, ada, simulated):
    for _ in range(5):
        topup = start(billing, "10.00")
        simulated.pay(checkout_of(topup))
        notice = simulated.events()[-1]
        barrier = threading.Barrier(3)
        results = []

        def race(act, barrier=barrier, results=results):
            barrier.wait()
            results.append(act())

        acts = (
            lambda topup=topup: ada.topups.confirm(topup.id).state,
            lambda topup=topup: billing.returns.receive({"topup": topup.id}).state,
            lambda notice=notice: deliver(billing, notice).status,
        )
        threads = [threading.Thread(target=race, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, results)) == ["200", "credited", "credited"]

    assert ada.balance().settled == eur("50")
    assert counts(billing)["invoice"] == counts(billing)["payment"] == 5
    assert billing.check().ok


@pytest.mark.parametrize("lie", [{"topup_id": "top_other"}, {"account": "acct_other"}])
def test_a_payment_that_is_not_its_own_keeps_a_top_up_open_for_days_and_not_for_ever(billing, simulated, clock, lie):
    topup = start(billing)
    simulated.pay(checkout_of(topup), **lie)
    clock.set(topup.expires_at)
    billing.run_due()
    assert [odd.id for odd in operator(billing).topups.review().items] == [topup.id]

    for _ in range(6):
        clock.advance(days=1)
        billing.run_due()

    ended = billing.customer(ADA).topups.get(topup.id)
    assert (ended.state, ended.failure) == ("failed", "reference-differs" if "topup_id" in lie else "account-differs")
    assert_nothing_credited(billing)
    assert counts(billing)["payment"] == 0


def test_a_customer_can_give_such_a_top_up_up(billing, ada, simulated):
    topup = start(billing)
    simulated.pay(checkout_of(topup), account="acct_other")
    ada.topups.confirm(topup.id)

    assert ada.topups.cancel(topup.id).state == "canceled"
    assert_nothing_credited(billing)
