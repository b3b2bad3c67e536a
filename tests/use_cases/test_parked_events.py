"""Webhooks that cannot be handled at once: parked, replayed, and answered in time whatever the gateway does."""

from __future__ import annotations

import threading
import time

import attrs
import pytest

from prepaid import GatewayError, GatewayUnavailable, webhooks
from prepaid.gateways import SimulatedGateway
from prepaid.system import IN_TIME, threads_in_time
from prepaid.waking import MOST_ATTEMPTS
from tests.use_cases.providers import event, receive, signed
from tests.use_cases.steps import ADA, SQLITE, checkout_of, deliver, eur, rows, start, value

UNKNOWN = "top_01m82v7m000000000000000000"


def test_an_event_of_a_top_up_that_is_not_known_yet_is_parked_and_handled_when_it_is(billing, ada, simulated, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    [delivery] = simulated.events()
    row = rows(billing, "SELECT id FROM prepaid_topup WHERE id = :id", id=topup.id)
    assert row
    _hide(billing, topup)

    assert deliver(billing, delivery).outcome == "parked"
    _show(billing, topup)
    clock.advance(minutes=2)
    billing.run_due(only="webhooks")

    assert ada.topups.get(topup.id).state == "credited"
    assert deliver(billing, delivery).outcome == "duplicate"
    assert billing.check().ok


def _hide(billing, topup):
    """Let a row look as if its transaction had not been committed yet: nothing finds it."""
    from tests.use_cases.steps import change

    change(billing, "UPDATE prepaid_topup SET id = :to, checkout_id = 'x' WHERE id = :id", to=UNKNOWN, id=topup.id)


def _show(billing, topup):
    from tests.use_cases.steps import change

    change(
        billing,
        "UPDATE prepaid_topup SET id = :id, checkout_id = :checkout WHERE id = :to",
        to=UNKNOWN,
        id=topup.id,
        checkout=checkout_of(topup),
    )


def test_a_parked_event_is_tried_on_schedule_and_then_left(billing, simulated, clock):
    topup = start(billing)
    headers, body = signed(event(topup, topup_id=UNKNOWN, checkout_id="sim_unknown"), at=clock.now())
    assert receive(billing, headers, body).outcome == "parked"

    tries = 0
    for _ in range(5 * 24):
        clock.advance(hours=1)
        tries += billing.run_due(only="webhooks")[0].count

    assert tries == MOST_ATTEMPTS - 1
    assert rows(billing, "SELECT outcome, attempts, next_at FROM prepaid_webhook_event WHERE book_id = :book") == [
        ("parked", MOST_ATTEMPTS, None)
    ]


def test_an_event_whose_gateway_is_down_is_handled_by_the_job(billing, ada, simulated, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    simulated.fault_next("fetch_payment", "unavailable")
    assert deliver(billing, simulated.events()[0]).outcome == "recorded"

    clock.advance(minutes=2)
    billing.run_due(only="webhooks")

    assert ada.topups.get(topup.id).state == "credited"


def test_an_event_that_is_delivered_again_while_it_is_parked_is_handled_again(billing, ada, simulated):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    simulated.fault_next("fetch_payment", "unavailable")
    [delivery] = simulated.events()
    assert deliver(billing, delivery).outcome == "recorded"

    assert deliver(billing, delivery).outcome == "credited"


@attrs.frozen(kw_only=True)
class Slow(SimulatedGateway):
    """Takes its time for look-ups while `gate` is shut, and for verification while `door` is."""

    gate: threading.Event = attrs.field(factory=threading.Event)
    door: threading.Event = attrs.field(factory=threading.Event)

    def fetch_payment(self, ref):
        self.gate.wait(30)
        return super().fetch_payment(ref)

    def parse_webhook(self, headers, body):
        self.door.wait(30)
        return super().parse_webhook(headers, body)


@pytest.fixture
def slow(tmp_path, clock):
    gateway = Slow(state=tmp_path / "slow.db", clock=clock)
    yield gateway
    gateway.gate.set()
    gateway.door.set()
    for thread in threading.enumerate():
        if thread.name == IN_TIME:
            thread.join(10)


@pytest.fixture
def waiting(open_billing, slow):
    billing = open_billing(gateways=[slow], webhook_budget_s=1)
    billing.customers.register(ADA, currency="EUR")
    topup = start(billing)
    slow.pay(checkout_of(topup))
    return billing, topup


def test_a_webhook_is_answered_in_time_whatever_the_gateway_does_and_the_work_goes_on(waiting, slow):
    billing, topup = waiting
    slow.door.set()
    began = time.monotonic()

    result = deliver(billing, slow.events()[0])

    assert time.monotonic() - began < 2.5
    assert (result.status, result.outcome) == (200, "recorded")
    assert billing.customer(ADA).topups.get(topup.id).state == "pending"
    slow.gate.set()
    _until(lambda: billing.customer(ADA).topups.get(topup.id).state == "credited")
    assert billing.check().ok


def test_if_the_process_ends_before_the_work_a_job_does_it(waiting, slow, open_billing, tmp_path, clock):
    billing, topup = waiting
    slow.door.set()
    assert deliver(billing, slow.events()[0]).outcome == "recorded"
    quick = SimulatedGateway(state=tmp_path / "slow.db", clock=clock)
    other = open_billing(gateways=[quick])

    clock.advance(minutes=2)
    other.run_due(only="webhooks")

    assert other.customer(ADA).topups.get(topup.id).state == "credited"
    slow.gate.set()
    assert other.customer(ADA).balance().settled == eur("50")


def test_what_can_be_neither_verified_nor_recorded_in_time_is_sent_again(waiting, slow):
    billing, _ = waiting

    result = deliver(billing, slow.events()[0])

    assert (result.status, result.outcome, result.event_id) == (503, "unavailable", None)


def _until(holds, seconds=10):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@SQLITE
def test_a_gateway_that_must_be_asked_to_verify_and_is_down_makes_its_sender_try_again(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class Online(SimulatedGateway):
        def parse_webhook(self, headers, body):
            raise GatewayError("Down.", retryable=True)

    billing = open_billing(gateways=[Online(state=tmp_path / "online.db", clock=clock)])

    assert receive(billing, {}, b"{}").status == 503
    assert rows(billing, "SELECT 1 FROM prepaid_webhook_event WHERE book_id = :book") == []


@SQLITE
@pytest.mark.parametrize("budget", [0, -1, 61, "3", None, True])
def test_a_budget_that_is_none_is_refused(open_billing, budget):
    from prepaid import ConfigurationError

    with pytest.raises(ConfigurationError, match="webhook_budget_s"):
        open_billing(webhook_budget_s=budget)


def test_a_reply_lost_at_the_start_is_found_by_the_event(billing, ada, simulated):
    simulated.fault_next("create_checkout", "timeout-after-accept")
    with pytest.raises(GatewayUnavailable) as lost:
        start(billing)
    [page] = [row[0] for row in rows(billing, "SELECT id FROM prepaid_topup WHERE book_id = :book")]
    assert page == lost.value.topup_id


@SQLITE
def test_an_event_of_a_gateway_that_is_gone_is_not_handled_for_ever(open_billing, billing, simulated, tmp_path, clock):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    simulated.fault_next("fetch_payment", "unavailable")
    assert deliver(billing, simulated.events()[0]).outcome == "recorded"
    other = open_billing(gateways=[SimulatedGateway(state=tmp_path / "o.db", clock=clock, name="other")])

    tries = 0
    for _ in range(6 * 24):
        clock.advance(hours=1)
        tries += other.run_due(only="webhooks")[0].count

    assert tries < 40
    assert value(billing, "SELECT next_at FROM prepaid_webhook_event WHERE book_id = :book") is None


@SQLITE
def test_an_event_that_cannot_be_handled_is_tried_less_and_less_often_and_then_left(
    billing, simulated, clock, monkeypatch
):
    from prepaid import settlement

    topup = start(billing)
    simulated.pay(checkout_of(topup))

    def broken(*parts, **named):
        raise ZeroDivisionError

    monkeypatch.setattr(settlement, "try_settle", broken)
    assert deliver(billing, simulated.events()[0]).status == 500
    tries = 0
    for _ in range(6 * 24 * 4):
        clock.advance(minutes=15)
        tries += billing.run_due(only="webhooks")[0].status == "failed"

    assert tries < 40


def test_what_fails_after_the_answer_is_logged_and_done_by_a_job(waiting, slow, caplog, clock, monkeypatch):
    billing, topup = waiting
    slow.door.set()
    assert deliver(billing, slow.events()[0]).outcome == "recorded"

    def broken(*parts, **named):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(SimulatedGateway, "fetch_payment", broken)
        slow.gate.set()
        _until(lambda: threads_in_time() == 0)
    assert "left to itself" in caplog.text
    clock.advance(minutes=2)
    billing.run_due(only="webhooks")

    assert billing.customer(ADA).topups.get(topup.id).state == "credited"


@SQLITE
def test_a_flood_of_webhooks_that_take_long_to_verify_is_bounded(waiting, slow, monkeypatch):
    billing, _ = waiting
    monkeypatch.setattr(webhooks, "MOST_AT_ONCE", 2)
    for _ in range(2):
        assert receive(billing, {}, b"{}").status == 503
    assert threads_in_time() == 2
    began = time.monotonic()

    assert (receive(billing, {}, b"{}").status, threads_in_time()) == (503, 2)

    assert time.monotonic() - began < 0.5
    slow.door.set()
    slow.gate.set()
    _until(lambda: threads_in_time() == 0)
    assert deliver(billing, slow.events()[0]).outcome == "credited"


@SQLITE
def test_all_events_of_a_webhook_are_recorded_before_the_first_is_handled(open_billing, tmp_path, clock):
    @attrs.frozen(kw_only=True)
    class Several(SimulatedGateway):
        broken: list = attrs.field(factory=lambda: [1])

        def parse_webhook(self, headers, body):
            [first] = super().parse_webhook(headers, body)
            return (first, attrs.evolve(first, event_id="evt_second"))

        def fetch_payment(self, ref):
            if self.broken:
                raise ZeroDivisionError
            return super().fetch_payment(ref)

    gateway = Several(state=tmp_path / "several.db", clock=clock)
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA, currency="EUR")
    topup = start(billing)
    gateway.pay(checkout_of(topup))

    assert deliver(billing, gateway.events()[0]).status == 500

    found = rows(billing, "SELECT event_id, outcome FROM prepaid_webhook_event WHERE book_id = :book ORDER BY id")
    assert [outcome for _, outcome in found] == ["received", "received"]
