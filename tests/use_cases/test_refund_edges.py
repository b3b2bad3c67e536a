"""Refunds at their edges: pages, races that were lost, gateways that give back less, and alarms of the library."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from attrs import frozen

from prepaid import (
    AmountOutOfRange,
    Discount,
    IntegrityFault,
    KeyConflict,
    Money,
    NotFound,
    Percent,
    RefundRefused,
    WrongState,
    repayment,
)
from prepaid.gateways import SimulatedGateway
from prepaid.ports import DisputeSnapshot
from prepaid.store import accounts, ledger, refund_requests, refunds
from tests.use_cases.promotion_steps import promote
from tests.use_cases.refund_steps import (
    approve,
    ask,
    checkout_id,
    disputes_of,
    eligible,
    give_back,
    look,
    proven,
    refunds_of,
)
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    add_rule,
    charge,
    checkout_of,
    database,
    eur,
    flow,
    kept,
    live_in,
    operator,
    start,
    top_up,
    walk,
)

NOBODYS = "req_01m82v7m000000000000000000"


# Gateways that give back less


@frozen(kw_only=True)
class MiserlyGateway(SimulatedGateway):
    """Gives back as `claims` say."""

    claims: dict = attrs.field(factory=dict)

    def capabilities(self):
        return attrs.evolve(super().capabilities(), **self.claims)


@pytest.fixture
def miserly(open_billing, tmp_path, clock):
    """Give a function that wires a book whose gateway claims less."""

    def wire(**claims):
        gateway = MiserlyGateway(state=tmp_path / "miserly.db", clock=clock, claims=claims)
        billing = open_billing(gateways=[gateway])
        billing.customers.register(ADA, currency="EUR")
        return billing, gateway

    return wire


def test_a_gateway_that_gives_back_no_part_gives_back_all_or_nothing(miserly):
    billing, gateway = miserly(partial_refund=False)
    topup = top_up(billing, gateway, "50")
    with pytest.raises(RefundRefused) as refused:
        ask(billing, topup, "20")
    assert refused.value.reason == "gateway-limit"
    assert ask(billing, topup, "50").state == "requested"
    charge(billing, "1")
    found = [each for each in billing.customer(ADA).refunds.eligible().items if each.kind == "topup"]
    assert [each.reason for each in found] == ["requested"]
    [waiting] = operator(billing).refunds.queue().items
    with pytest.raises(RefundRefused):
        approve(billing, waiting)
    proven(billing)


def test_a_gateway_that_gives_back_once_gives_back_once(miserly):
    billing, gateway = miserly(multiple_refunds=False)
    topup = top_up(billing, gateway, "50")
    give_back(billing, topup, "20")
    found = eligible(billing, topup)
    assert (found.credit, found.reason) == (eur("0"), "gateway-limit")
    proven(billing)


def test_a_gateway_whose_time_is_over_gives_nothing_back(miserly, clock):
    billing, gateway = miserly(refund_window_days=180)
    topup = top_up(billing, gateway, "50")
    clock.advance(days=180)
    assert eligible(billing, topup).credit == eur("50")
    asked = ask(billing, topup, "50")
    clock.advance(seconds=1)
    with pytest.raises(RefundRefused) as refused:
        approve(billing, asked)
    assert refused.value.reason == "gateway-limit"
    operator(billing).refunds.record(topup.id, eur("50"), reference="cheque 9", reason="late", refund_id=asked.id)
    assert billing.customer(ADA).balance().settled == eur("0")
    proven(billing)


def test_so_little_that_it_is_no_money_is_refused(billing, simulated):
    promote(billing, "ALMOST", Discount(Percent("90")))
    topup = top_up(billing, simulated, "100", code="ALMOST")
    with pytest.raises(RefundRefused) as refused:
        ask(billing, topup, "0.01")
    assert refused.value.reason == "gateway-limit"
    asked = ask(billing, topup, "0.10")
    with pytest.raises(RefundRefused):
        approve(billing, asked, "0.05")
    charge(billing, "99.95")
    assert eligible(billing, topup).reason == "requested"
    operator(billing).refunds.reject(asked.id, reason="spent")
    found = eligible(billing, topup)
    assert (found.credit, found.reason) == (eur("0"), "gateway-limit")


def test_a_gateway_that_is_gone_leaves_it_to_the_seller(open_billing, billing, simulated, clock, tmp_path):
    topup = top_up(billing, simulated, "50")
    other = SimulatedGateway(state=tmp_path / "other.db", clock=clock, name="other")
    without = open_billing(gateways=[other])
    found = eligible(without, topup)
    assert (found.credit, found.by_hand) == (eur("50"), True)
    with pytest.raises(WrongState):
        approve(without, ask(without, topup, "50"))
    proven(without)


# What cannot be


def test_a_payment_in_review_is_nothing_to_ask_back(billing, ada, simulated):
    topup = start(billing, "50")
    simulated.pay(checkout_of(topup), amount=eur("40"))
    ada.topups.confirm(topup.id)
    open_one = start(billing, "20")
    for bought, reason in ((topup, "review"), (open_one, "unpaid")):
        with pytest.raises(RefundRefused) as refused:
            ask(billing, bought, "10")
        assert (refused.value.reason, refused.value.field) == (reason, "refund")
    with pytest.raises(RefundRefused) as refused:
        operator(billing).refunds.record(topup.id, eur("10"), reference="r", reason="x")
    assert refused.value.reason == "review"


@SQLITE
def test_what_nobody_asked_for_is_not_found(billing):
    desk = operator(billing).refunds
    for act in (
        lambda: desk.get(NOBODYS),
        lambda: desk.approve(NOBODYS, reason="x"),
        lambda: desk.reject(NOBODYS, reason="x"),
        lambda: desk.get("top_01m82v7m000000000000000000"),
        lambda: billing.customer(ADA).refunds.withdraw(NOBODYS),
    ):
        with pytest.raises(NotFound) as refused:
            act()
        assert refused.value.field == "refund"


@SQLITE
def test_who_bought_nothing_has_nothing_to_ask_back(billing):
    assert billing.customer(EVE).refunds.eligible().items == ()


def test_a_record_for_a_request_that_was_answered_is_refused_whole(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    asked = ask(billing, topup, "20")
    approve(billing, asked)
    with pytest.raises(WrongState) as refused:
        operator(billing).refunds.record(topup.id, eur("20"), reference="r", reason="x", refund_id=asked.id)
    assert refused.value.field == "refund"
    assert ada.balance().settled == eur("30")
    assert len(refunds_of(billing, topup)) == 1


def test_an_alarm_is_raised_and_nothing_posted_if_credit_is_gone_that_was_looked_at(
    billing, ada, simulated, monkeypatch
):
    asked = ask(billing, top_up(billing, simulated, "50"), "20")
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "take_free", lambda tx, wallet, amount, *, rows: False)
        with pytest.raises(IntegrityFault):
            approve(billing, asked)
    assert ada.refunds.get(asked.id).state == "requested"
    assert flow(billing, "wallet", "refunds_in_transit") == "0.00"
    proven(billing)


def test_a_debt_that_no_ledger_holds_is_refused_whole(billing, ada, simulated, monkeypatch):
    topup = top_up(billing, simulated, "50")
    simulated.refund_at_provider(checkout_id(billing, topup), eur("20"))
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "take", lambda tx, wallet, amount, *, rows=1, unhold=0: False)
        with pytest.raises(AmountOutOfRange):
            look(billing, topup)
    assert refunds_of(billing, topup) == ()
    look(billing, topup)
    assert ada.balance().settled == eur("30")
    proven(billing)


def test_a_registration_that_stopped_before_its_wallet_has_nothing_to_ask_back(billing, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(accounts, "ensure_wallet", lambda *which: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            billing.customers.register("half", currency="EUR")
    page = billing.customer("half").refunds.eligible()
    assert (page.items, page.next) == ((), None)


def test_all_but_a_cent_at_the_gateway_is_all_of_the_credit_and_the_cent_is_tax(billing, ada, simulated):
    add_rule(billing, "CA", (("GST", "5"), ("QST", "9.975")))
    live_in(billing, "CA")
    topup = top_up(billing, simulated, "2.79")
    assert (topup.net, topup.total) == (eur("2.79"), eur("3.21"))
    for amount, tax in (("3.20", "0.41"), ("0.01", "0.01")):
        simulated.refund_at_provider(checkout_id(billing, topup), eur(amount))
        look(billing, topup)
        assert refunds_of(billing, topup)[-1].tax == eur(tax)
        assert ada.balance().settled == eur("0")
        proven(billing)


def test_of_a_payment_that_was_credited_as_more_only_what_was_paid_goes_back(billing, ada, simulated):
    topup = start(billing, "50")
    simulated.pay(checkout_of(topup), amount=eur("40"))
    ada.topups.confirm(topup.id)
    operator(billing).topups.resolve(topup.id, action="credit_quoted", reason="we owed it", key="k")
    found = eligible(billing, topup)
    assert (found.total, found.credit, found.cash, found.reason) == (eur("40"), eur("40"), eur("40"), "")
    give_back(billing, topup, "40")
    assert eligible(billing, topup).credit == eur("0")
    assert ada.balance().settled == eur("10")
    proven(billing)


# At the same moment


@pytest.mark.parametrize("acts", ["request", "record"])
def test_what_another_worker_did_at_the_same_moment_is_the_first_answer(billing, simulated, monkeypatch, acts):
    topup = top_up(billing, simulated, "50")

    def act():
        if acts == "request":
            return ask(billing, topup, "20", key="same")
        return operator(billing).refunds.record(topup.id, eur("20"), reference="same", reason="x")

    place, name = {"request": (refund_requests, "find_by_key"), "record": (refunds, "find_outside")}[acts]
    look_up, looked_before = getattr(place, name), []
    too_early_for = {"request": 2, "record": 1}[acts]  # a request is looked for before plugins are asked, too

    def too_early(*parts, **named):
        looked_before.append(True)
        return None if len(looked_before) <= too_early_for else look_up(*parts, **named)

    first = act()
    if acts == "request":
        monkeypatch.setattr(refund_requests, "open_of", lambda tx, subjects: set())
    monkeypatch.setattr(place, name, too_early)
    assert act().id == first.id
    proven(billing)


@pytest.fixture
def two_payments(open_billing, simulated, tmp_path, clock):
    """Give a billing system, and top-ups of two customers that were paid at two gateways."""
    other = SimulatedGateway(state=tmp_path / "other.db", clock=clock, name="other")
    billing = open_billing(gateways=[simulated, other])
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR")
    eves = start(billing, customer=EVE, gateway="other")
    other.pay(checkout_of(eves))
    return billing, top_up(billing, simulated), billing.customer(EVE).topups.confirm(eves.id)


def record(billing, topup, reference, *, actor="alice@nimbus.example"):
    return operator(billing, actor).refunds.record(topup.id, eur("20"), reference=reference, reason="by transfer")


def in_a_thread(act):
    """Let somebody else act while this thread's transaction is open."""
    with ThreadPoolExecutor(1) as others:
        return others.submit(act).result(timeout=30)


@pytest.mark.parametrize("written", ["SEPA 77", "sepa  77 "])
def test_a_reference_that_another_operator_recorded_since_it_was_looked_for_is_a_conflict(
    two_payments, monkeypatch, written
):
    billing, mine, eves = two_payments
    look_up, looked_before = refunds.find_outside, []

    def rival():
        record(billing, eves, written, actor="bob@nimbus.example")

    def too_early(tx, reference_hash):
        if looked_before:
            return look_up(tx, reference_hash)
        looked_before.append(True)
        if not is_alone:
            in_a_thread(rival)
        return None

    is_alone = database(billing).engine.dialect.name == "sqlite"  # who writes there keeps everybody else from it
    if is_alone:
        rival()
    monkeypatch.setattr(refunds, "find_outside", too_early)
    with pytest.raises(KeyConflict) as refused:
        record(billing, mine, "SEPA 77")

    assert refused.value.field == "reference"
    assert (len(refunds_of(billing, mine)), len(refunds_of(billing, eves))) == (0, 1)
    assert (billing.customer(ADA).balance().settled, billing.customer(EVE).balance().settled) == (eur("50"), eur("30"))
    proven(billing)


def test_a_reference_is_the_same_however_it_is_typed(billing, simulated):
    topup = top_up(billing, simulated)
    first = record(billing, topup, "SEPA 77")

    for written in ("sepa 77", " SEPA  77", "ＳＥＰＡ 77"):
        assert record(billing, topup, written).id == first.id
    assert first.gateway_refund_id == "outside/SEPA 77"
    assert record(billing, topup, "SEPA 78").id != first.id
    assert len(refunds_of(billing, topup)) == 2
    proven(billing)


# Pages


def test_requests_and_disputes_are_listed_in_pages(billing, ada, simulated, clock):
    asked = []
    for number in range(5):
        topup = top_up(billing, simulated, "10")
        asked.append(ask(billing, topup, "1").id)
        if number < 3:
            simulated.dispute(checkout_id(billing, topup))
            look(billing, topup)
        clock.advance(seconds=1)
    desk = operator(billing)
    assert [each.id for each in walk(desk.refunds.queue, limit=2)] == asked
    assert [each.id for each in walk(ada.refunds.list, limit=2)] == asked[::-1]
    found = [each.id for each in walk(desk.disputes.list, limit=2)]
    assert len(found) == 3
    assert found == sorted(found, reverse=True)


# Disputes at their edges


def test_a_dispute_in_another_currency_is_kept_and_not_booked(shop, gateway):
    topup = start(shop, "50")
    gateway.pay(checkout_of(topup))
    shop.customer(ADA).topups.confirm(topup.id)
    dispute_id = gateway.dispute(checkout_id(shop, topup))
    gateway.disputes[dispute_id] = {"amount": Money.of("60", "USD")}
    look(shop, topup)
    [dispute] = disputes_of(shop, topup)
    assert (dispute.booked, dispute.amount) == ("", Money.of("60", "USD"))
    assert shop.customer(ADA).balance().held == eur("0")
    proven(shop)


def test_a_dispute_of_what_went_back_takes_nothing_more(shop, gateway):
    topup = start(shop, "50")
    gateway.pay(checkout_of(topup))
    ada = shop.customer(ADA)
    ada.topups.confirm(topup.id)
    give_back(shop, topup, "50")
    payment = refunds_of(shop, topup)[0].payment_id
    lost = DisputeSnapshot(dispute_id="dp_late", payment_id=payment, amount=eur("50"), state="lost", mode="test")
    gateway.further_disputes.append(lost)
    look(shop, topup)
    [dispute] = disputes_of(shop, topup)
    assert (dispute.booked, dispute.credit, dispute.withdrawn) == ("lost", eur("0"), eur("50"))
    assert ada.balance().settled == eur("0")
    assert len(ada.invoices.list().items) == 2
    proven(shop)
    gateway.further_disputes[:] = [attrs.evolve(lost, state="won")]
    look(shop, topup)
    assert flow(shop, "clearing", "disputes") == "50.00"
    assert len(ada.invoices.list().items) == 2
    proven(shop)


def test_what_changes_of_a_refund_at_the_gateway_of_a_payment_in_review_is_recorded(billing, ada, simulated):
    topup = start(billing, "50")
    simulated.pay(checkout_of(topup), amount=eur("40"))
    ada.topups.confirm(topup.id)
    simulated.script_refund("pending")
    gateway_id = simulated.refund_at_provider(checkout_of(topup), eur("10"))
    look(billing, topup)
    simulated.finish_refund(gateway_id)
    look(billing, topup)
    [refund] = refunds_of(billing, topup)
    assert (refund.state, refund.is_of_credit) == ("succeeded", False)
    proven(billing)


def test_a_dispute_is_held_no_more_once_it_ended_even_if_its_credit_was_burned(billing, ada, simulated):
    topup = top_up(billing, simulated, "50")
    dispute_id = simulated.dispute(checkout_id(billing, topup))
    look(billing, topup)
    charge(billing, "50", allow_negative=True)
    assert ada.balance().available == eur("-50")
    simulated.win(dispute_id)
    look(billing, topup)
    assert (ada.balance().settled, ada.balance().held) == (eur("0"), eur("0"))
    proven(billing)


def test_requests_wait_as_long_as_nobody_decides(billing, simulated, clock):
    asked = ask(billing, top_up(billing, simulated, "50"), "20")
    clock.advance(days=400)
    billing.run_due()
    assert billing.customer(ADA).refunds.get(asked.id).state == "requested"
    assert approve(billing, asked).state == "refunded"


@SQLITE
def test_a_refund_that_was_posted_anew_meanwhile_is_settled_as_it_is_now(billing, ada, simulated, monkeypatch):
    topup = top_up(billing, simulated, "100")
    simulated.fault_next("refund", "unavailable")
    give_back(billing, topup, "90")
    simulated.script_refund("pending")
    simulated.refund_at_provider(checkout_id(billing, topup), eur("30"))  # finds ten
    look(billing, topup)
    [ours] = [refund for refund in refunds_of(billing, topup) if refund.origin == "request"]
    [short] = [refund for refund in refunds_of(billing, topup) if refund.origin == "gateway"]
    assert short.credit == eur("10")
    simulated.finish_refund(short.gateway_refund_id, succeed=True)
    books_of = repayment._books_of

    def meanwhile(context, refund):
        books = books_of(context, refund)
        if refund.id == short.id:  # another worker hears that ours failed, and the other finds all of it
            monkeypatch.setattr(repayment, "_books_of", books_of)
            repayment._lose(context, ours, "failed", failure="gateway-said-no")
        return books

    monkeypatch.setattr(repayment, "_books_of", meanwhile)
    look(billing, topup)

    [settled] = [refund for refund in refunds_of(billing, topup) if refund.origin == "gateway"]
    assert (settled.state, settled.credit) == ("succeeded", eur("30"))
    notes = [document for document in ada.invoices.list().items if document.kind == "credit-note"]
    assert [note.total for note in notes] == [eur("30")]
    assert kept(ada.balance()) == ("70.00", "0.00", "70.00")
    proven(billing)
