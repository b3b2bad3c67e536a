"""The simulated gateway beyond a payment: captures, refunds, disputes, lists, and faults of each."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest

from prepaid.core.errors import ConfigurationError, GatewayError, InvalidRequest, NotFound, WrongState
from prepaid.core.money import Money
from prepaid.gateways import SimulatedGateway
from prepaid.ports import CheckoutRequest, PaymentRef, RefundRef, RefundRequest, ReturnHint
from prepaid.testing.clock import START, MovableClock

MEMORY = Path("/dev/shm")
TEN = Money.of("10.00", "EUR")
HOUR = timedelta(hours=1)
REQUEST = CheckoutRequest(
    topup_id="top_1",
    amount=TEN,
    description="Credit",
    return_url="https://panel.example/back",
    cancel_url="https://panel.example/billing",
    customer_id="user-42",
    expires_at=START + HOUR,
    key="key-1",
)


def eur(amount):
    return Money.of(amount, "EUR")


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def folder():
    # Every call would wait for a disk, otherwise.
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture
def gateway(folder, clock):
    return SimulatedGateway(state=folder / "sim.db", timeout_s=1, page_size=2).bind("test", clock)


@pytest.fixture
def manual(folder, clock):
    return SimulatedGateway(state=folder / "manual.db", capture="manual").bind("test", clock)


def created(gateway, number=1):
    request = attrs.evolve(REQUEST, topup_id=f"top_{number}", key=f"key-{number}")
    return PaymentRef(topup_id=request.topup_id, checkout_id=gateway.create_checkout(request).checkout_id)


def paid(gateway, number=1, **options):
    ref = created(gateway, number)
    gateway.pay(ref.checkout_id, **options)
    return attrs.evolve(ref, payment_id=gateway.fetch_payment(ref).payment_id)


def wanted(ref, money, number=1, /, **changes):
    request = RefundRequest(refund_id=f"ref_{number}", payment=ref, amount=eur(money), key=f"refund-{number}")
    return attrs.evolve(request, **changes)


def refusal(call, *args, **options):
    with pytest.raises(GatewayError) as caught:
        call(*args, **options)
    return caught.value


def last_event(gateway):
    [event] = gateway.parse_webhook(*gateway.events()[-1].request())
    return event


# Captures


def test_a_paid_checkout_waits_to_be_captured_and_is_captured_once(manual):
    ref = paid(manual)
    waiting = manual.fetch_payment(ref)
    assert (waiting.state, waiting.authorised, waiting.captured) == ("authorised", TEN, None)
    assert (last_event(manual).kind, last_event(manual).payment_id) == ("payment", ref.payment_id)

    taken = manual.capture(ref, TEN, key="capture-1")
    assert (taken.state, taken.authorised, taken.captured, taken.payment_id) == ("captured", None, TEN, ref.payment_id)
    assert manual.capture(ref, TEN, key="capture-1") == taken == manual.fetch_payment(ref)
    assert [delivery.type for delivery in manual.events()] == ["payment.authorised", "payment.captured"]


@pytest.mark.parametrize("amount", [eur("9.99"), eur("10.01"), Money.of("10.00", "USD")])
def test_only_the_whole_of_what_is_authorised_is_captured(manual, amount):
    ref = paid(manual)
    assert refusal(manual.capture, ref, amount, key="k").code == "amount-invalid"
    assert manual.fetch_payment(ref).state == "authorised"


def test_an_unpaid_checkout_cannot_be_captured(manual):
    assert refusal(manual.capture, created(manual), TEN, key="k").code == "not-authorised"


@pytest.mark.parametrize("end", ["cancel", "fail"])
def test_authorised_money_that_is_let_go_cannot_be_captured_and_may_be_paid_anew(manual, end):
    ref = paid(manual)
    manual.cancel(ref) if end == "cancel" else manual.fail(ref.checkout_id)
    gone = manual.fetch_payment(ref)
    assert (gone.payment_id, gone.authorised) == (None, None)
    assert refusal(manual.capture, ref, TEN, key="k").code == "not-authorised"

    manual.pay(ref.checkout_id, late=True)
    anew = manual.fetch_payment(ref)
    assert anew.state == "authorised"
    assert anew.payment_id != ref.payment_id


def test_a_payment_that_came_later_is_authorised_first_too(manual):
    ref = created(manual)
    manual.pay(ref.checkout_id, later=True)
    manual.finish(ref.checkout_id)
    assert manual.fetch_payment(ref).state == "authorised"


def test_a_gateway_that_captures_by_itself_needs_no_call(gateway, manual):
    assert (gateway.capabilities().needs_capture, manual.capabilities().needs_capture) == (False, True)
    ref = paid(gateway)
    assert refusal(gateway.capture, ref, TEN, key="k").code == "not-supported"
    with pytest.raises(ConfigurationError, match="capture"):
        SimulatedGateway(capture="sometimes")


# Paid twice


def test_a_checkout_paid_twice_tells_of_both_payments(gateway):
    ref = paid(gateway)
    gateway.pay_again(ref.checkout_id)
    gateway.pay_again(ref.checkout_id, amount=eur("3.00"))
    payment = gateway.fetch_payment(ref)
    assert payment.payment_id == ref.payment_id
    assert [other.captured for other in payment.further] == [TEN, eur("3.00")]
    assert [other.further for other in payment.further] == [(), ()]
    assert len({payment.payment_id, *(other.payment_id for other in payment.further)}) == 3
    assert last_event(gateway).payment_id == payment.further[-1].payment_id


def test_only_a_captured_checkout_is_paid_again(gateway):
    with pytest.raises(WrongState):
        gateway.pay_again(created(gateway).checkout_id)


# Refunds


def test_a_refund_is_made_once_and_echoes_our_reference(gateway):
    ref = paid(gateway)
    refund = gateway.refund(wanted(ref, "4.00"))
    assert (refund.payment_id, refund.refund_id, refund.amount) == (ref.payment_id, "ref_1", eur("4.00"))
    assert (refund.state, refund.mode, refund.created_at, refund.failure) == ("succeeded", "test", START, "")
    assert gateway.refund(wanted(ref, "4.00")) == refund
    assert gateway.refunds_of(ref) == (refund,)
    assert gateway.fetch_payment(ref).refunded == eur("4.00")
    assert (last_event(gateway).kind, last_event(gateway).payment_id) == ("refund", ref.payment_id)


def test_refunds_together_are_never_more_than_was_captured(gateway):
    ref = paid(gateway)
    gateway.refund(wanted(ref, "4.00", 1))
    gateway.refund(wanted(ref, "6.00", 2))
    assert refusal(gateway.refund, wanted(ref, "0.01", 3)).code == "refund-too-large"
    assert gateway.fetch_payment(ref).refunded == TEN
    with pytest.raises(WrongState):
        gateway.refund_at_provider(ref.checkout_id)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": eur("10.01")}, "refund-too-large"),
        ({"amount": Money.of("1.00", "USD")}, "refund-too-large"),
        ({"amount": eur("0.001")}, "amount-invalid"),
        ({"amount": eur("0.00")}, "amount-invalid"),
    ],
)
def test_a_refund_that_cannot_be_made_is_refused_for_good(gateway, change, code):
    error = refusal(gateway.refund, wanted(paid(gateway), "1.00", **change))
    assert (error.code, error.retryable, error.outcome_unknown) == (code, False, False)


def test_a_refund_of_what_was_not_captured_or_is_not_known_is_refused(gateway, manual):
    assert refusal(manual.refund, wanted(paid(manual), "1.00")).code == "not-captured"
    first, second = paid(gateway, 1), paid(gateway, 2)
    for wrong in (
        attrs.evolve(first, payment_id=None),
        attrs.evolve(first, payment_id="pay_unknown"),
        attrs.evolve(first, payment_id=second.payment_id),
    ):
        assert refusal(gateway.refund, wanted(wrong, "1.00")).code == "not-found"
        for look in (gateway.refunds_of, gateway.disputes_of):
            assert refusal(look, wrong).code == "not-found"


@pytest.mark.parametrize("change", [{"amount": eur("2.00")}, {"refund_id": "ref_2"}, {"reason": "other"}], ids=str)
def test_a_refunds_key_with_another_request_is_a_conflict(gateway, change):
    ref = paid(gateway)
    gateway.refund(wanted(ref, "1.00"))
    assert refusal(gateway.refund, wanted(ref, "1.00", **change)).code == "idempotency-conflict"
    assert len(gateway.refunds_of(ref)) == 1


def test_a_refund_is_found_by_either_id_and_only_of_its_payment(gateway):
    ref, other = paid(gateway, 1), paid(gateway, 2)
    refund = gateway.refund(wanted(ref, "1.00"))
    by_reference = RefundRef(payment=ref, refund_id="ref_1")
    assert gateway.fetch_refund(by_reference) == refund
    assert gateway.fetch_refund(attrs.evolve(by_reference, gateway_refund_id=refund.gateway_refund_id)) == refund
    assert gateway.fetch_refund(RefundRef(payment=ref, refund_id="ref_2")) is None
    assert gateway.fetch_refund(attrs.evolve(by_reference, gateway_refund_id="re_unknown")) is None
    assert gateway.fetch_refund(attrs.evolve(by_reference, payment=other)) is None


def test_a_refund_made_in_the_dashboard_is_nobodys_of_ours(gateway):
    ref = paid(gateway)
    made = gateway.refund_at_provider(ref.checkout_id, eur("2.50"))
    rest = gateway.refund_at_provider(ref.checkout_id)
    refunds = gateway.refunds_of(ref)
    assert [refund.gateway_refund_id for refund in refunds] == [made, rest]
    assert [refund.refund_id for refund in refunds] == [None, None]
    assert [refund.amount for refund in refunds] == [eur("2.50"), eur("7.50")]


@pytest.mark.parametrize("amount", [eur("10.01"), Money.of("1.00", "USD")])
def test_the_dashboard_gives_no_more_back_than_there_is(gateway, amount):
    ref = paid(gateway)
    with pytest.raises(WrongState):
        gateway.refund_at_provider(ref.checkout_id, amount)
    with pytest.raises(WrongState):
        gateway.refund_at_provider(created(gateway, 2).checkout_id)


def test_a_pending_refund_ends_well_or_comes_back(gateway):
    ref = paid(gateway)
    gateway.script_refund("pending", times=2)
    first, second = gateway.refund(wanted(ref, "6.00", 1)), gateway.refund(wanted(ref, "4.00", 2))
    assert [first.state, second.state] == ["pending", "pending"]
    gateway.finish_refund(first.gateway_refund_id)
    gateway.finish_refund(second.gateway_refund_id, succeed=False)
    assert [(refund.state, refund.failure) for refund in gateway.refunds_of(ref)] == [
        ("succeeded", ""),
        ("failed", "declined"),
    ]
    assert gateway.fetch_payment(ref).refunded == eur("6.00")
    gateway.finish_refund(first.gateway_refund_id, succeed=False)
    assert gateway.fetch_payment(ref).refunded is None
    assert [delivery.type for delivery in gateway.events()][-3:] == [
        "refund.succeeded",
        "refund.failed",
        "refund.failed",
    ]
    assert gateway.refund(wanted(ref, "6.00", 1)).state == "failed"  # its key remembers the refund, as it is now


def test_a_refund_that_failed_ends_no_more(gateway):
    ref = paid(gateway)
    gateway.script_refund("failed")
    refund = gateway.refund(wanted(ref, "6.00"))
    assert refund.state == "failed"
    for succeed in (True, False):
        with pytest.raises(WrongState, match="failed"):
            gateway.finish_refund(refund.gateway_refund_id, succeed=succeed)
    with pytest.raises(NotFound):
        gateway.finish_refund("re_unknown")
    with pytest.raises(InvalidRequest):
        gateway.script_refund("canceled")


# Disputes


def test_a_dispute_takes_money_until_it_is_won(gateway):
    ref = paid(gateway)
    dispute_id = gateway.dispute(ref.checkout_id, amount=eur("7.00"), reason="not_received")
    [dispute] = gateway.disputes_of(ref)
    assert (dispute.dispute_id, dispute.payment_id, dispute.amount) == (dispute_id, ref.payment_id, eur("7.00"))
    assert (dispute.state, dispute.reason, dispute.mode, dispute.created_at) == ("open", "not_received", "test", START)
    assert gateway.fetch_payment(ref).disputed
    assert (last_event(gateway).kind, last_event(gateway).type) == ("dispute", "dispute.opened")
    assert refusal(gateway.refund, wanted(ref, "3.01", 1)).code == "refund-too-large"

    gateway.win(dispute_id)
    assert gateway.disputes_of(ref)[0].state == "won"
    assert last_event(gateway).type == "dispute.closed"
    assert gateway.fetch_payment(ref).disputed
    assert gateway.refund(wanted(ref, "10.00", 2)).state == "succeeded"


def test_a_lost_dispute_has_taken_the_money_and_ends_no_more(gateway):
    ref = paid(gateway)
    dispute_id = gateway.dispute(ref.checkout_id)
    gateway.lose(dispute_id)
    assert [(d.state, d.amount) for d in gateway.disputes_of(ref)] == [("lost", TEN)]
    assert refusal(gateway.refund, wanted(ref, "0.01")).code == "refund-too-large"
    for act in (gateway.win, gateway.lose, gateway.escalate):
        with pytest.raises(WrongState):
            act(dispute_id)


def test_a_lost_dispute_is_open_again_by_an_appeal_until_that_is_won(gateway):
    ref = paid(gateway)
    dispute_id = gateway.dispute(ref.checkout_id)
    with pytest.raises(WrongState):
        gateway.appeal(dispute_id)
    gateway.lose(dispute_id)
    gateway.appeal(dispute_id)
    assert gateway.disputes_of(ref)[0].state == "open"
    assert last_event(gateway).type == "dispute.opened"
    gateway.win(dispute_id)
    assert gateway.disputes_of(ref)[0].state == "won"


def test_an_inquiry_takes_no_money_until_it_becomes_a_dispute(gateway):
    ref = paid(gateway)
    dispute_id = gateway.dispute(ref.checkout_id, inquiry=True)
    assert gateway.disputes_of(ref)[0].state == "inquiry"
    with pytest.raises(WrongState):
        gateway.lose(dispute_id)
    gateway.refund(wanted(ref, "1.00"))
    gateway.escalate(dispute_id)
    assert gateway.disputes_of(ref)[0].state == "open"
    assert refusal(gateway.refund, wanted(ref, "0.01", 2)).code == "refund-too-large"


def test_only_captured_money_is_disputed_and_no_more_than_it_is(gateway):
    with pytest.raises(WrongState):
        gateway.dispute(created(gateway).checkout_id)
    with pytest.raises(WrongState):
        gateway.dispute(paid(gateway, 2).checkout_id, amount=eur("10.01"))
    with pytest.raises(NotFound):
        gateway.dispute("sim_unknown")
    with pytest.raises(NotFound):
        gateway.win("dp_unknown")


# Lists


def everything(list_page, since, until):
    pages, cursor = [], None
    while True:
        page = list_page(since, until, cursor=cursor)
        pages.append(page.items)
        if page.next is None:
            return pages
        cursor = page.next


def test_lists_hold_what_was_made_in_their_time_page_by_page(gateway, clock):
    refs, refunds, disputes = [], [], []
    for number in range(5):
        ref = paid(gateway, number)
        refs.append(ref.payment_id)
        refunds.append(gateway.refund(wanted(ref, "1.00", number)).gateway_refund_id)
        disputes.append(gateway.dispute(ref.checkout_id, amount=eur("1.00")))
        clock.advance(minutes=1)
    created(gateway, 9)
    since, until = START + timedelta(minutes=1), START + timedelta(minutes=4)
    for list_page, name, ids in (
        (gateway.list_payments, "payment_id", refs),
        (gateway.list_refunds, "gateway_refund_id", refunds),
        (gateway.list_disputes, "dispute_id", disputes),
    ):
        pages = everything(list_page, since, until)
        assert [[getattr(item, name) for item in page] for page in pages] == [ids[1:3], ids[3:4]]
        assert [len(page) for page in everything(list_page, START - HOUR, START)] == [0]


def test_a_list_of_payments_names_each_payment_of_a_checkout_and_none_that_only_waits(gateway, manual):
    ref = paid(gateway)
    gateway.pay_again(ref.checkout_id)
    [items] = everything(gateway.list_payments, START, START + HOUR)
    assert [item.checkout_id for item in items] == [ref.checkout_id] * 2
    assert all(item.further == () for item in items)
    waiting = paid(manual)
    assert everything(manual.list_payments, START, START + HOUR) == [()]
    manual.capture(waiting, TEN, key="k")
    assert len(everything(manual.list_payments, START, START + HOUR)[0]) == 1


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1 OR 1", "9" * 19, "\u0661"])
def test_a_cursor_of_somebody_else_is_refused(gateway, cursor):
    assert refusal(gateway.list_refunds, START, START + HOUR, cursor=cursor).code == "invalid-cursor"


def test_nothing_of_another_gateway_in_the_file_is_seen(gateway, clock, folder):
    other = SimulatedGateway(state=folder / "sim.db", name="second").bind("test", clock)
    ref = paid(gateway)
    refund = gateway.refund(wanted(ref, "1.00"))
    dispute_id = gateway.dispute(ref.checkout_id, amount=eur("1.00"))
    assert everything(other.list_payments, START, START + HOUR) == [()]
    assert refusal(other.refunds_of, ref).code == "not-found"
    for act in (
        lambda: other.win(dispute_id),
        lambda: other.finish_refund(refund.gateway_refund_id),
        lambda: other.refund_at_provider(ref.checkout_id),
    ):
        with pytest.raises(NotFound):
            act()


# Faults


def calls_of(gateway, manual):
    authorised = paid(manual)
    ref = paid(gateway)
    span = (START, START + HOUR)
    return {
        "create_checkout": lambda: created(gateway, 2),
        "fetch_payment": lambda: gateway.fetch_payment(ref),
        "capture": lambda: manual.capture(authorised, TEN, key="k"),
        "cancel": lambda: gateway.cancel(ref),
        "refund": lambda: gateway.refund(wanted(ref, "1.00")),
        "fetch_refund": lambda: gateway.fetch_refund(RefundRef(payment=ref, refund_id="ref_1")),
        "refunds_of": lambda: gateway.refunds_of(ref),
        "disputes_of": lambda: gateway.disputes_of(ref),
        "list_payments": lambda: gateway.list_payments(*span),
        "list_refunds": lambda: gateway.list_refunds(*span),
        "list_disputes": lambda: gateway.list_disputes(*span),
    }


WRITES = {"create_checkout", "capture", "cancel", "refund"}


@pytest.mark.parametrize("fault", ["unavailable", "rate-limit", "garbage", "timeout-after-accept", "unreadable"])
def test_every_call_may_go_wrong_once_and_says_truthfully_what_that_means(gateway, manual, fault):
    for operation, call in calls_of(gateway, manual).items():
        (manual if operation == "capture" else gateway).fault_next(operation, fault)
        error = refusal(call)
        assert error.retryable is (fault != "garbage"), operation
        in_doubt = operation in WRITES and fault in {"timeout-after-accept", "unreadable"}
        assert error.outcome_unknown is in_doubt, operation
        assert error.retry_after_s == (7 if fault == "rate-limit" else None)
        call()


def test_a_refund_whose_answer_is_lost_was_made_and_is_not_made_again(gateway):
    ref = paid(gateway)
    gateway.fault_next("refund", "timeout-after-accept")
    assert refusal(gateway.refund, wanted(ref, "10.00")).outcome_unknown
    [made] = gateway.refunds_of(ref)
    assert gateway.refund(wanted(ref, "10.00")) == made


def test_a_refund_that_was_refused_for_now_was_not_made(gateway):
    ref = paid(gateway)
    gateway.fault_next("refund", "unavailable")
    refusal(gateway.refund, wanted(ref, "10.00"))
    assert gateway.refunds_of(ref) == ()


def test_a_stalled_call_ends_within_the_timeout_and_has_done_nothing(gateway):
    ref = created(gateway)
    gateway.fault_next("cancel", "stall")
    began = time.monotonic()
    error = refusal(gateway.cancel, ref)
    assert time.monotonic() - began < gateway.timeout_s + 1
    assert (error.code, error.retryable, error.outcome_unknown) == ("timeout", True, True)
    assert gateway.fetch_payment(ref).state == "open"


def test_a_lie_about_amount_or_mode_is_told_once(gateway):
    ref = paid(gateway)
    honest = gateway.fetch_payment(ref)
    gateway.fault_next("fetch_payment", "wrong-amount")
    gateway.fault_next("fetch_payment", "wrong-mode")
    assert gateway.fetch_payment(ref) == attrs.evolve(honest, captured=eur("10.01"))
    assert gateway.fetch_payment(ref) == attrs.evolve(honest, mode="live")
    assert gateway.fetch_payment(ref) == honest
    gateway.fault_next("fetch_payment", "wrong-amount")
    assert gateway.fetch_payment(created(gateway, 2)).captured is None


@pytest.mark.parametrize("fault", ["wrong-amount", "wrong-mode"])
def test_a_lie_where_an_adapter_compares_is_an_unusable_reply(gateway, fault):
    gateway.fault_next("create_checkout", fault)
    error = refusal(created, gateway)
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)


# The rest


def test_what_the_browser_brings_back_is_not_signed(gateway):
    assert gateway.parse_return(created(gateway), {"status": "paid"}) == ReturnHint()


def test_a_state_file_of_an_older_version_is_refused_with_what_to_do(gateway, folder):
    created(gateway)
    with closing(sqlite3.connect(folder / "sim.db")) as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(ConfigurationError, match="version 1, not 2: remove it"):
        created(gateway)


@pytest.mark.parametrize("size", [0, 1001, "2", True])
def test_a_page_has_a_size(size):
    with pytest.raises(ConfigurationError, match="page_size"):
        SimulatedGateway(page_size=size)
