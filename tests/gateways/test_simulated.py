"""The simulated gateway: as reliable as a real one, unless a test scripts a lie or a fault."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prepaid.core.errors import (
    ConfigurationError,
    GatewayError,
    InvalidAmount,
    InvalidRequest,
    NotFound,
    WebhookRejected,
    WrongState,
)
from prepaid.core.instants import EPOCH, to_micros
from prepaid.core.money import MINOR_DIGITS, Money
from prepaid.gateways.signed import sign
from prepaid.gateways.simulated import SIGNATURE_HEADER, SimulatedGateway
from prepaid.ports import CheckoutRequest, Gateway, Health, PaymentRef, PaymentSnapshot

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
AT = to_micros(NOW) // 1_000_000
TEN = Money.of("10.00", "EUR")
REQUEST = CheckoutRequest(
    topup_id="top_1",
    amount=TEN,
    description="Credit",
    return_url="https://panel.example/back",
    cancel_url="https://panel.example/billing",
    customer_id="user-42",
    customer_email="ada@example.com",
    expires_at=NOW + timedelta(hours=1),
    key="key-1",
)


class Hands:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def gateway(tmp_path, clock):
    return SimulatedGateway(state=tmp_path / "sim.db", timeout_s=1).bind("test", clock)


@pytest.fixture
def checkout_id(gateway):
    return gateway.create_checkout(REQUEST).checkout_id


def fetch(gateway, checkout_id):
    return gateway.fetch_payment(PaymentRef(topup_id="top_1", checkout_id=checkout_id))


def cancel(gateway, checkout_id):
    return gateway.cancel(PaymentRef(topup_id="top_1", checkout_id=checkout_id))


# Configuration


def test_it_is_a_gateway(gateway):
    assert isinstance(gateway, Gateway)
    assert (gateway.name, gateway.label) == ("simulated", "Simulated payment")


@pytest.mark.parametrize("mode", ["live", "", "TEST", None])
def test_any_mode_but_test_is_refused(gateway, clock, mode):
    with pytest.raises(ConfigurationError, match="simulated"):
        gateway.bind(mode, clock)


@pytest.mark.parametrize("secrets", [(), [], None, "simulated-secret", ("",), ("  ",), ("ok", "\t"), (None,)])
def test_missing_or_blank_secrets_are_refused(secrets):
    with pytest.raises(ConfigurationError):
        SimulatedGateway(webhook_secrets=secrets)


@pytest.mark.parametrize(
    "wrong", [{"state": ""}, {"state": ":memory:"}, {"page_url": "/pay"}, {"name": "a b"}, {"timeout_s": 0}]
)
def test_unusable_configuration_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        SimulatedGateway(**wrong)


def test_secrets_are_in_no_repr(gateway, checkout_id):
    gateway.pay(checkout_id)
    assert "simulated-secret" not in repr(gateway) + repr(gateway.events())


def test_every_currency_is_taken_in_whole_minor_units(gateway):
    capabilities = gateway.capabilities()
    assert capabilities.currencies.keys() == MINOR_DIGITS.keys()
    assert capabilities.currencies["EUR"].minimum == capabilities.currencies["EUR"].step == Money.of("0.01", "EUR")
    assert capabilities.currencies["EUR"].maximum == Money.of("999999.99", "EUR")
    assert capabilities.currencies["JPY"].step == Money.of("1", "JPY")
    assert capabilities.create_key_valid_s >= 10 * 365 * 86_400


def test_unbound_gateway_goes_by_the_machines_clock(tmp_path):
    gateway = SimulatedGateway(state=tmp_path / "sim.db")
    soon = datetime.now(UTC) + timedelta(minutes=5)
    checkout_id = gateway.create_checkout(attrs.evolve(REQUEST, expires_at=soon)).checkout_id
    assert gateway.page(checkout_id).state == "open"
    gateway.pay(checkout_id)
    (delivery,) = gateway.events()
    (event,) = gateway.parse_webhook(*delivery.request())
    assert event.checkout_id == checkout_id


# Checkouts and payments


def test_checkout_leads_to_the_hosts_page(tmp_path, clock):
    gateway = SimulatedGateway(state=tmp_path / "sim.db", page_url="https://x.example/{checkout_id}/{other}")
    checkout = gateway.bind("test", clock).create_checkout(REQUEST)
    assert checkout.redirect_url == f"https://x.example/{checkout.checkout_id}/{{other}}"


def test_page_shows_what_was_asked_for(gateway, checkout_id):
    page = gateway.page(checkout_id)
    assert (page.checkout_id, page.description, page.amount, page.state) == (checkout_id, "Credit", TEN, "open")
    assert (page.return_url, page.cancel_url) == (REQUEST.return_url, REQUEST.cancel_url)


def test_same_key_and_request_give_the_same_checkout_even_after_payment(gateway, checkout_id):
    gateway.pay(checkout_id)
    assert gateway.create_checkout(REQUEST).checkout_id == checkout_id
    assert fetch(gateway, checkout_id).state == "captured"


def test_another_key_gives_another_checkout(gateway, checkout_id):
    assert gateway.create_checkout(attrs.evolve(REQUEST, key="key-2")).checkout_id != checkout_id


@pytest.mark.parametrize(
    "change",
    [
        {"topup_id": "top_2"},
        {"amount": Money.of("10.01", "EUR")},
        {"amount": Money.of("10.00", "USD")},
        {"description": "Other"},
        {"return_url": "https://evil.example/"},
        {"cancel_url": "https://evil.example/"},
        {"customer_id": "user-43"},
        {"customer_email": "eve@example.com"},
        {"locale": "de"},
        {"expires_at": NOW + timedelta(hours=2)},
    ],
    ids=str,
)
def test_same_key_with_another_request_is_a_conflict(gateway, checkout_id, change):
    with pytest.raises(GatewayError) as refused:
        gateway.create_checkout(attrs.evolve(REQUEST, **change))
    assert (refused.value.code, refused.value.retryable) == ("idempotency-conflict", False)
    assert gateway.page(checkout_id).amount == TEN


@pytest.mark.parametrize("amount", ["0.00", "-1.00", "0.001", "1000000.00"])
def test_amount_that_is_not_taken_is_refused_and_uses_up_no_key(gateway, amount):
    with pytest.raises(GatewayError) as refused:
        gateway.create_checkout(attrs.evolve(REQUEST, amount=Money.of(amount, "EUR")))
    assert (refused.value.code, refused.value.retryable) == ("amount-invalid", False)
    assert gateway.create_checkout(REQUEST)


def test_open_checkout_has_no_money(gateway, checkout_id):
    assert fetch(gateway, checkout_id) == PaymentSnapshot(
        checkout_id=checkout_id, topup_id="top_1", state="open", mode="test", account="acct_simulated", created_at=NOW
    )


def test_paid_checkout_is_captured_once_and_says_by_what(gateway, checkout_id):
    first = gateway.pay(checkout_id)
    paid = fetch(gateway, checkout_id)
    assert paid.payment_id is not None
    assert paid == PaymentSnapshot(
        checkout_id=checkout_id,
        payment_id=paid.payment_id,
        topup_id="top_1",
        state="captured",
        captured=TEN,
        mode="test",
        account="acct_simulated",
        method="simulated",
        created_at=NOW,
    )
    assert gateway.pay(checkout_id, amount=Money.of("99.00", "EUR")) == first
    assert fetch(gateway, checkout_id) == paid
    assert len(gateway.events()) == 1


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "ISK", "IDR"])
def test_amount_comes_back_exactly_in_every_kind_of_currency(gateway, currency):
    amount = Money.from_minor(12_345, currency)
    checkout_id = gateway.create_checkout(attrs.evolve(REQUEST, amount=amount)).checkout_id
    gateway.pay(checkout_id)
    assert fetch(gateway, checkout_id).captured == amount


def test_two_payments_never_share_an_id(gateway):
    ids = [gateway.create_checkout(attrs.evolve(REQUEST, key=f"key-{n}")).checkout_id for n in range(20)]
    for checkout_id in ids:
        gateway.pay(checkout_id)
    assert len({fetch(gateway, checkout_id).payment_id for checkout_id in ids}) == 20
    assert len({delivery.event_id for delivery in gateway.events()}) == 20


@pytest.mark.parametrize("checkout_id", ["", "sim_unknown", "\ud800", "é", "x" * 5000])
def test_unknown_checkout_is_not_guessed_at(gateway, checkout_id):
    for ask in (fetch, cancel):
        with pytest.raises(GatewayError) as refused:
            ask(gateway, checkout_id)
        assert (refused.value.code, refused.value.retryable) == ("not-found", False)
    for act in (gateway.page, gateway.pay, gateway.fail, gateway.expire, gateway.finish):
        with pytest.raises(NotFound):
            act(checkout_id)


def test_payment_left_in_processing_ends_well(gateway, checkout_id):
    first = gateway.pay(checkout_id, later=True)
    assert gateway.pay(checkout_id, later=True) == first
    waiting = fetch(gateway, checkout_id)
    assert (waiting.state, waiting.captured, waiting.payment_id) == ("processing", None, None)
    gateway.finish(checkout_id)
    assert (fetch(gateway, checkout_id).state, fetch(gateway, checkout_id).captured) == ("captured", TEN)
    assert [delivery.type for delivery in gateway.events()] == ["payment.processing", "payment.captured"]


def test_payment_left_in_processing_ends_badly(gateway, checkout_id):
    gateway.pay(checkout_id, later=True)
    gateway.finish(checkout_id, succeed=False)
    failed = fetch(gateway, checkout_id)
    assert (failed.state, failed.captured, failed.payment_id, failed.failure) == ("failed", None, None, "declined")


def test_lie_told_when_paying_later_is_what_arrives(gateway, checkout_id):
    gateway.pay(checkout_id, later=True, amount=Money.of("0.01", "EUR"))
    gateway.finish(checkout_id)
    assert fetch(gateway, checkout_id).captured == Money.of("0.01", "EUR")


def test_open_checkout_expires_by_the_bound_clock(gateway, clock, checkout_id):
    clock.at = REQUEST.expires_at - timedelta(microseconds=1)
    assert fetch(gateway, checkout_id).state == "open"
    clock.at = REQUEST.expires_at
    assert fetch(gateway, checkout_id).state == gateway.page(checkout_id).state == "expired"
    with pytest.raises(WrongState):
        gateway.pay(checkout_id)
    assert cancel(gateway, checkout_id).state == "expired"
    assert gateway.events() == ()


def test_expiry_can_be_had_at_once_or_told_of_when_it_came_by_itself(gateway, clock, checkout_id):
    other = gateway.create_checkout(attrs.evolve(REQUEST, key="key-2")).checkout_id
    gateway.expire(checkout_id)
    assert fetch(gateway, checkout_id).state == "expired"
    clock.at = REQUEST.expires_at
    assert gateway.expire(other) == gateway.expire(other)
    assert [delivery.checkout_id for delivery in gateway.events()] == [checkout_id, other]


def test_payment_does_not_expire(gateway, clock, checkout_id):
    gateway.pay(checkout_id)
    clock.at = NOW + timedelta(days=400)
    assert fetch(gateway, checkout_id).state == "captured"


@pytest.mark.parametrize("end", [SimulatedGateway.fail, SimulatedGateway.expire, cancel])
def test_ended_checkout_is_paid_only_late(gateway, checkout_id, end):
    end(gateway, checkout_id)
    with pytest.raises(WrongState):
        gateway.pay(checkout_id)
    gateway.pay(checkout_id, late=True)
    assert (fetch(gateway, checkout_id).state, fetch(gateway, checkout_id).captured) == ("captured", TEN)


def test_open_checkout_is_cancelled_once(gateway, checkout_id):
    assert cancel(gateway, checkout_id).state == cancel(gateway, checkout_id).state == "canceled"
    assert [delivery.type for delivery in gateway.events()] == ["checkout.canceled"]


def test_cancelling_does_not_undo_a_payment(gateway, checkout_id):
    gateway.pay(checkout_id)
    assert cancel(gateway, checkout_id) == fetch(gateway, checkout_id)
    assert fetch(gateway, checkout_id).state == "captured"


def test_captured_payment_takes_no_further_step(gateway, checkout_id):
    gateway.pay(checkout_id)
    for step in (gateway.fail, gateway.expire):
        with pytest.raises(WrongState, match="captured"):
            step(checkout_id)
    with pytest.raises(WrongState, match="captured"):
        gateway.finish(checkout_id, succeed=False)
    with pytest.raises(WrongState, match="captured"):
        gateway.pay(checkout_id, later=True, late=True)


def test_payment_that_fails_twice_tells_of_each_failure(gateway, checkout_id):
    first = gateway.fail(checkout_id)
    gateway.pay(checkout_id, late=True, later=True)
    second = gateway.fail(checkout_id)
    assert len(first) == len(second) == 1
    assert first != second


# Scripted lies


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ({"amount": Money.of("0.01", "EUR")}, {"captured": Money.of("0.01", "EUR")}),
        ({"amount": Money.of("10.00", "USD")}, {"captured": Money.of("10.00", "USD")}),
        ({"currency": "INR"}, {"captured": Money.of("10.00", "INR")}),
        ({"currency": "JPY"}, {"captured": Money.of("1000", "JPY")}),
        ({"amount": Money.of("3.00", "EUR"), "currency": "USD"}, {"captured": Money.of("3.00", "USD")}),
        ({"mode": "live"}, {"mode": "live"}),
        ({"mode": ""}, {"mode": None}),
        ({"topup_id": "top_2"}, {"topup_id": "top_2"}),
        ({"topup_id": ""}, {"topup_id": None}),
        ({"account": "acct_evil"}, {"account": "acct_evil"}),
        ({"account": ""}, {"account": None}),
    ],
    ids=str,
)
def test_lie_changes_what_is_told_and_nothing_else(gateway, checkout_id, lie, told):
    honest_id = gateway.create_checkout(attrs.evolve(REQUEST, key="key-2")).checkout_id
    gateway.pay(honest_id)
    gateway.pay(checkout_id, **lie)
    lying = fetch(gateway, checkout_id)
    honest = attrs.evolve(fetch(gateway, honest_id), checkout_id=checkout_id, payment_id=lying.payment_id)
    assert lying == attrs.evolve(honest, **told)
    assert gateway.page(checkout_id).amount == TEN


@pytest.mark.parametrize("lie", [{"amount": Money.of("0.001", "EUR")}, {"currency": "XXX"}, {"amount": "10.00"}])
def test_lie_that_no_gateway_could_tell_is_refused(gateway, checkout_id, lie):
    with pytest.raises(InvalidAmount):
        gateway.pay(checkout_id, **lie)
    assert fetch(gateway, checkout_id).state == "open"


# State outside the process


def test_state_survives_the_instance(gateway, clock, checkout_id, tmp_path):
    gateway.pay(checkout_id)
    gateway.fault_next("fetch_payment", "unavailable")
    second = SimulatedGateway(state=str(tmp_path / "sim.db")).bind("test", clock)
    with pytest.raises(GatewayError):
        fetch(second, checkout_id)
    assert fetch(second, checkout_id) == fetch(gateway, checkout_id)
    assert [d.body for d in second.events()] == [d.body for d in gateway.events()]
    assert second.create_checkout(REQUEST).checkout_id == checkout_id


def test_gateways_of_two_names_are_strangers_in_one_file(gateway, clock, checkout_id, tmp_path):
    other = SimulatedGateway(state=tmp_path / "sim.db", name="second").bind("test", clock)
    gateway.pay(checkout_id)
    gateway.fault_next("create_checkout", "unavailable")
    own = other.create_checkout(REQUEST).checkout_id
    assert own != checkout_id
    assert other.events() == ()
    assert fetch(other, own).account == "acct_second"
    with pytest.raises(GatewayError):
        fetch(other, checkout_id)


def _create_and_pay(state: Path, barrier, answers) -> None:
    gateway = SimulatedGateway(state=state, timeout_s=20).bind("test", Hands())
    barrier.wait()
    checkout_id = gateway.create_checkout(REQUEST).checkout_id
    answers.put((checkout_id, gateway.pay(checkout_id), fetch(gateway, checkout_id).payment_id))


def test_processes_with_one_key_make_one_checkout_and_one_payment(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(2), spawn.Queue()
    workers = [spawn.Process(target=_create_and_pay, args=(tmp_path / "sim.db", barrier, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    told = {answers.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(told) == 1
    assert len(SimulatedGateway(state=tmp_path / "sim.db").events()) == 1


def test_threads_that_all_come_first_share_the_new_file(tmp_path):
    for attempt in range(10):
        path, barrier, problems = tmp_path / f"{attempt}.db", threading.Barrier(8), []

        def act(path=path, barrier=barrier, problems=problems):
            gateway = SimulatedGateway(state=path, timeout_s=20).bind("test", Hands())
            barrier.wait()
            try:
                gateway.pay(gateway.create_checkout(REQUEST).checkout_id)
            except GatewayError as problem:
                problems.append(problem)

        threads = [threading.Thread(target=act) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert len(SimulatedGateway(state=path).events()) == 1


def test_first_use_waits_for_a_reader_of_the_new_file_and_leaves_it_in_wal_mode(gateway, tmp_path):
    reader = sqlite3.connect(tmp_path / "sim.db", isolation_level=None, check_same_thread=False)
    reader.executescript("BEGIN; SELECT * FROM sqlite_master;")
    release = threading.Timer(0.2, reader.close)
    release.start()
    assert gateway.create_checkout(REQUEST)
    release.join()
    with closing(sqlite3.connect(tmp_path / "sim.db")) as looked:
        assert looked.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_first_use_gives_up_on_a_reader_that_stays(gateway, tmp_path):
    reader = sqlite3.connect(tmp_path / "sim.db", isolation_level=None)
    reader.executescript("BEGIN; SELECT * FROM sqlite_master;")
    began = time.monotonic()
    with pytest.raises(GatewayError):
        gateway.create_checkout(REQUEST)
    assert time.monotonic() - began < gateway.timeout_s + 4
    reader.close()
    assert gateway.create_checkout(REQUEST)


def test_locked_state_is_a_gateway_that_is_not_available_within_the_timeout(gateway, checkout_id, tmp_path):
    blocker = sqlite3.connect(tmp_path / "sim.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(GatewayError) as failed:
        fetch(gateway, checkout_id)
    blocker.close()
    assert failed.value.retryable
    assert time.monotonic() - began < gateway.timeout_s + 4
    assert fetch(gateway, checkout_id).state == "open"


def test_state_that_cannot_be_written_is_a_gateway_that_is_not_available(tmp_path, clock):
    gateway = SimulatedGateway(state=tmp_path / "missing" / "sim.db").bind("test", clock)
    with pytest.raises(GatewayError) as failed:
        gateway.create_checkout(REQUEST)
    assert (failed.value.code, failed.value.retryable) == ("unavailable", True)
    assert not gateway.check_credentials().ok


# Faults


def test_unavailable_gateway_does_nothing(gateway):
    gateway.fault_next("create_checkout", "unavailable")
    with pytest.raises(GatewayError) as failed:
        gateway.create_checkout(REQUEST)
    assert (failed.value.retryable, failed.value.outcome_unknown) == (True, False)
    other = attrs.evolve(REQUEST, amount=Money.of("20.00", "EUR"))
    assert gateway.page(gateway.create_checkout(other).checkout_id).amount == Money.of("20.00", "EUR")


def test_timeout_after_accept_has_done_it(gateway):
    gateway.fault_next("create_checkout", "timeout-after-accept")
    with pytest.raises(GatewayError) as failed:
        gateway.create_checkout(REQUEST)
    assert (failed.value.retryable, failed.value.outcome_unknown) == (True, True)
    with pytest.raises(GatewayError, match="another request"):
        gateway.create_checkout(attrs.evolve(REQUEST, amount=Money.of("20.00", "EUR")))
    assert gateway.create_checkout(REQUEST)


def test_cancellation_that_timed_out_has_happened(gateway, checkout_id):
    gateway.fault_next("cancel", "timeout-after-accept")
    with pytest.raises(GatewayError):
        cancel(gateway, checkout_id)
    assert fetch(gateway, checkout_id).state == "canceled"


def test_garbage_is_not_worth_another_try(gateway, checkout_id):
    gateway.fault_next("fetch_payment", "garbage")
    with pytest.raises(GatewayError) as failed:
        fetch(gateway, checkout_id)
    assert (failed.value.retryable, failed.value.outcome_unknown) == (False, False)
    assert fetch(gateway, checkout_id).state == "open"


def test_slow_call_takes_the_time_allowed_and_answers(gateway, checkout_id):
    gateway.fault_next("fetch_payment", "slow")
    began = time.monotonic()
    assert fetch(gateway, checkout_id).state == "open"
    assert gateway.timeout_s <= time.monotonic() - began < gateway.timeout_s + 4


def test_credentials_are_good_unless_a_fault_is_due(gateway):
    gateway.fault_next("check_credentials", "unavailable")
    assert gateway.check_credentials() == Health(ok=False, detail="The simulated gateway is not available.")
    assert gateway.check_credentials() == Health(ok=True, mode="test", detail="Simulated: no money moves.")


def test_faults_come_in_their_order_as_often_as_scripted_and_to_their_operation_only(gateway, checkout_id):
    gateway.fault_next("fetch_payment", "unavailable", times=2)
    gateway.fault_next("fetch_payment", "garbage")
    codes = []
    for _ in range(3):
        assert gateway.create_checkout(REQUEST).checkout_id == checkout_id
        with pytest.raises(GatewayError) as failed:
            fetch(gateway, checkout_id)
        codes.append(failed.value.code)
    assert codes == ["unavailable", "unavailable", "garbage"]
    assert fetch(gateway, checkout_id).state == "open"


@pytest.mark.parametrize(("operation", "kind"), [("pay", "slow"), ("cancel", "explode")])
def test_unknown_fault_is_refused(gateway, operation, kind):
    with pytest.raises(InvalidRequest):
        gateway.fault_next(operation, kind)


# Webhooks


def event_of(gateway, checkout_id):
    gateway.pay(checkout_id)
    return gateway.events()[-1]


def test_webhook_says_what_to_look_up(gateway, checkout_id):
    (event_id,) = gateway.pay(checkout_id)
    (delivery,) = gateway.events()
    (event,) = gateway.parse_webhook(*delivery.request())
    assert (event.event_id, event.kind, event.type) == (event_id, "payment", "payment.captured")
    assert (event.checkout_id, event.topup_id, event.mode) == (checkout_id, "top_1", "test")


def test_every_event_of_the_gateway_is_accepted_in_any_order_and_again(gateway, clock):
    for n, step in enumerate((gateway.pay, gateway.fail, gateway.expire, lambda id: gateway.pay(id, later=True))):
        step(gateway.create_checkout(attrs.evolve(REQUEST, key=f"key-{n}")).checkout_id)
    cancel(gateway, gateway.create_checkout(REQUEST).checkout_id)
    for order in permutations(gateway.events()):
        for delivery in order:
            (event,) = gateway.parse_webhook(*delivery.request())
            assert (event.event_id, event.kind) == (delivery.event_id, "payment")


def test_events_after_one_are_those_that_followed(gateway, checkout_id):
    gateway.pay(checkout_id, later=True)
    first = gateway.events()[-1].event_id
    gateway.finish(checkout_id)
    assert [delivery.type for delivery in gateway.events(since=first)] == ["payment.captured"]
    assert gateway.events(since=gateway.events()[-1].event_id) == ()
    with pytest.raises(NotFound):
        gateway.events(since="evt_unknown")


def test_event_keeps_its_words_when_the_payment_moves_on(gateway, clock, checkout_id):
    gateway.fail(checkout_id)
    (before,) = gateway.events()
    clock.at = NOW + timedelta(days=1)
    gateway.pay(checkout_id, late=True, topup_id="top_2")
    assert gateway.events()[0].body == before.body


@pytest.mark.parametrize("seconds", [-300, -299, 299, 300])
def test_webhook_within_the_tolerance_of_the_bound_clock_is_accepted(gateway, checkout_id, seconds):
    delivery = event_of(gateway, checkout_id)
    assert gateway.parse_webhook(*delivery.request(at=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [-301, 301])
def test_webhook_beyond_the_tolerance_is_rejected_until_delivered_anew(gateway, clock, checkout_id, seconds):
    delivery = event_of(gateway, checkout_id)
    stale = delivery.request()
    clock.at = NOW + timedelta(seconds=seconds)
    with pytest.raises(WebhookRejected, match="time"):
        gateway.parse_webhook(*stale)
    assert gateway.parse_webhook(*delivery.request())


def test_webhook_signed_with_either_of_two_secrets_is_accepted(gateway, checkout_id):
    rotating = attrs.evolve(gateway, webhook_secrets=("new", "old"))
    delivery = event_of(rotating, checkout_id)
    assert rotating.parse_webhook(*delivery.request())
    assert rotating.parse_webhook(*delivery.request(secret="old"))
    assert attrs.evolve(gateway, webhook_secrets=("new",)).parse_webhook(*delivery.request())


def test_webhook_signed_by_somebody_else_or_not_at_all_is_rejected(gateway, checkout_id):
    delivery = event_of(gateway, checkout_id)
    headers, body = delivery.request()
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(*delivery.request(secret="theirs"))
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook({}, body)
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook({"stripe-signature": headers[SIGNATURE_HEADER]}, body)
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook({SIGNATURE_HEADER: headers[SIGNATURE_HEADER][:-1]}, body)
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(headers, body.replace(b"captured", b"CAPTURED"))


@pytest.mark.parametrize("mode", ["live", ""])
def test_webhook_of_another_mode_is_rejected(gateway, checkout_id, mode):
    gateway.pay(checkout_id, mode=mode)
    with pytest.raises(WebhookRejected, match="mode"):
        gateway.parse_webhook(*gateway.events()[-1].request())


GOOD = {"id": "evt_1", "type": "payment.captured", "mode": "test", "checkout_id": "sim_1", "topup_id": "top_1"}


def signed(body):
    return {SIGNATURE_HEADER: sign(body, "simulated-secret", at=AT)}, body


def test_event_of_a_new_type_is_recorded_only(gateway):
    (event,) = gateway.parse_webhook(*signed(json.dumps({**GOOD, "type": "payout.sent"}).encode()))
    assert event.kind == "ignored"


def test_amounts_in_a_webhook_are_not_read(gateway):
    bare = gateway.parse_webhook(*signed(json.dumps(GOOD).encode()))
    assert gateway.parse_webhook(*signed(json.dumps({**GOOD, "amount": 10**9, "state": "x"}).encode())) == bare


@pytest.mark.parametrize("topup_id", [None, "absent"])
def test_event_without_our_reference_is_accepted(gateway, topup_id):
    content = {**GOOD, "topup_id": topup_id}
    if topup_id == "absent":
        del content["topup_id"]
    (event,) = gateway.parse_webhook(*signed(json.dumps(content).encode()))
    assert event.topup_id is None


@pytest.mark.parametrize("field", ["id", "type", "mode", "checkout_id"])
def test_event_that_lacks_a_field_is_rejected(gateway, field):
    with pytest.raises(WebhookRejected, match=field):
        gateway.parse_webhook(*signed(json.dumps({k: v for k, v in GOOD.items() if k != field}).encode()))


@pytest.mark.parametrize("field", sorted(GOOD))
@pytest.mark.parametrize("value", ["", 0, 5, True, [], {}, ["x"], "x" * 256, "a\x00b", "\ud800"], ids=repr)
def test_event_with_an_impossible_field_is_rejected(gateway, field, value):
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(*signed(json.dumps({**GOOD, field: value}).encode()))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'["id"]',
        json.dumps([GOOD]).encode(),
        json.dumps({**GOOD, "x": float("nan")}).encode(),
        json.dumps({**GOOD, "x": 10**400}).encode(),
        json.dumps(GOOD).encode()[:-1] + b',"mode":"test"}',
        json.dumps(GOOD).encode("utf-16"),
        json.dumps(GOOD).encode() + b"\xff",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
    ids=lambda body: repr(body[:16]),
)
def test_malformed_body_with_a_good_signature_is_rejected(gateway, body):
    with pytest.raises(WebhookRejected):
        gateway.parse_webhook(*signed(body))


FUZZED = SimulatedGateway().bind("test", Hands())
HEADERS = st.dictionaries(st.just(SIGNATURE_HEADER) | st.text(), st.text() | st.none() | st.binary())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(GOOD)) | st.text(), inner),
)


@given(HEADERS, st.binary())
def test_unsigned_webhooks_are_rejected_whatever_they_are(headers, body):
    with pytest.raises(WebhookRejected):
        FUZZED.parse_webhook(headers, body)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_signed_webhooks_of_any_content_are_rejected(body):
    with pytest.raises(WebhookRejected):
        FUZZED.parse_webhook(*signed(body))


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), JSON, min_size=1))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_signed_webhook_with_any_fields_is_an_event_or_rejected(change):
    try:
        (event,) = FUZZED.parse_webhook(*signed(json.dumps({**GOOD, **change}).encode()))
    except WebhookRejected:
        return
    assert event.mode == "test"
    assert event.event_id.isprintable()
    assert event.checkout_id


def test_delivery_is_signed_at_whole_seconds_of_its_time(gateway, checkout_id):
    headers, body = event_of(gateway, checkout_id).request(at=EPOCH + timedelta(seconds=5, microseconds=999_999))
    assert headers[SIGNATURE_HEADER].startswith("t=5,v1=")
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["created"] == AT
