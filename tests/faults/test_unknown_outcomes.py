"""What becomes of a top-up when nobody knows what happened: answers lost, gateways down, payments late."""

from __future__ import annotations

import pytest

from prepaid import GatewayUnavailable, Topup, WebhookResult, WrongState
from prepaid.core.states import TopupState
from prepaid.testing.clock import START
from tests.claims import let_claims_lapse

from .harness import AFTER_A_CRASH
from .processes import Child, Died, die
from .test_webhook_race import assert_settled_once
from .world import Fuse, Host, World, checkout_of, eur

AMOUNT = eur("20.00")


@pytest.fixture
def host(world: World) -> Host:
    made = Host(world)
    made.register("ada")
    return made


def state_of(host: Host, topup_id: str) -> TopupState:
    return host.billing.customer("ada").topups.get(topup_id).state


def lost_answer(host: Host) -> str:
    """Start a top-up whose checkout is made without anybody hearing of it, and give its id."""
    host.provider.fault_next("create_checkout", "timeout-after-accept")
    with pytest.raises(GatewayUnavailable) as lost:
        host.start("ada", AMOUNT, key="order-1")
    assert lost.value.topup_id is not None
    return lost.value.topup_id


def outcomes(results: list[WebhookResult]) -> list[tuple[int, str]]:
    return [(result.status, result.outcome) for result in results]


def kept_at_the_provider(world: World) -> list[tuple[str, str, int]]:
    return [(checkout.topup_id, checkout.state, checkout.minor) for checkout in world.checkouts()]


# The gateway accepted, and nobody heard


def test_a_checkout_whose_answer_was_lost_is_found_by_the_same_key(world, host):
    topup_id = lost_answer(host)
    assert state_of(host, topup_id) == "starting"

    resumed = host.start("ada", AMOUNT, key="order-1")

    assert (resumed.id, resumed.state) == (topup_id, "pending")
    assert kept_at_the_provider(world) == [(topup_id, "open", 2000)]
    host.pay(resumed)
    assert outcomes(host.deliver()) == [(200, "credited")]
    assert_settled_once(world, [resumed])


def test_a_checkout_whose_answer_was_lost_is_found_by_a_job(world, host):
    topup_id = lost_answer(host)

    host.billing.run_due()

    assert state_of(host, topup_id) == "pending"
    assert kept_at_the_provider(world) == [(topup_id, "open", 2000)]


def test_a_gateway_that_was_down_gets_one_checkout_from_the_same_key(world, host):
    host.provider.fault_next("create_checkout", "unavailable", times=2)
    for _ in range(2):
        with pytest.raises(GatewayUnavailable):
            host.start("ada", AMOUNT, key="order-1")
    assert world.checkouts() == []

    resumed = host.start("ada", AMOUNT, key="order-1")

    assert kept_at_the_provider(world) == [(resumed.id, "open", 2000)]
    assert len(host.billing.customer("ada").topups.list().items) == 1


def test_a_webhook_may_come_while_the_top_up_is_still_starting(world, host):
    topup_id = lost_answer(host)
    starting = host.billing.customer("ada").topups.get(topup_id)
    [checkout] = world.checkouts()
    assert checkout.topup_id == topup_id
    host.provider.pay(checkout.id)

    assert outcomes(host.deliver()) == [(200, "credited")]

    assert_settled_once(world, [starting])
    assert host.start("ada", AMOUNT, key="order-1").state == "credited"


@pytest.mark.parametrize("instant", ["before gateway create_checkout", "after gateway create_checkout"])
def test_a_process_that_dies_around_the_call_leaves_one_checkout(world, instant):
    Host(world).register("ada")
    world.close()

    def start_and_die() -> None:
        fuse = Fuse(1, die, lambda step: step == instant)
        Host(world, fuse=fuse).start("ada", AMOUNT, key="order-1")

    assert Child(start_and_die).result() == Died(instant)

    let_claims_lapse(world.engine)
    survivor = Host(world, at=START + AFTER_A_CRASH)
    [intent] = survivor.billing.customer("ada").topups.list().items
    assert intent.state == "starting"
    resumed = survivor.start("ada", AMOUNT, key="order-1")
    assert (resumed.id, resumed.state) == (intent.id, "pending")
    assert kept_at_the_provider(world) == [(intent.id, "open", 2000)]


# The gateway is down


def test_a_gateway_that_is_down_leaves_the_top_up_pending_until_a_job_settles_it(world, host):
    topup = host.paid_topup("ada", AMOUNT, key="order-1")
    host.provider.fault_next("fetch_payment", "unavailable", times=3)

    assert host.billing.customer("ada").topups.confirm(topup.id).state == "pending"
    assert outcomes(host.deliver()) == [(200, "recorded")]
    host.billing.run_due()
    assert state_of(host, topup.id) == "pending"

    host.billing.run_due()
    assert state_of(host, topup.id) == "pending", "it is looked at again only when its time has come"
    host.clock.advance(minutes=2)
    host.billing.run_due()

    assert_settled_once(world, [topup])


def test_a_recorded_webhook_that_is_told_again_settles(world, host):
    topup = host.paid_topup("ada", AMOUNT, key="order-1")
    host.provider.fault_next("fetch_payment", "unavailable")
    assert outcomes(host.deliver()) == [(200, "recorded")]

    assert outcomes(host.deliver()) == [(200, "credited")]

    assert_settled_once(world, [topup])


def test_a_payment_nobody_told_of_is_found_by_a_job(world, host):
    topup = host.paid_topup("ada", AMOUNT, key="order-1")

    host.billing.run_due()

    assert_settled_once(world, [topup])


# Late


def test_a_top_up_nobody_paid_lapses_by_a_job_and_cannot_be_paid_any_more(world, host):
    topup = host.start("ada", AMOUNT, key="order-1")

    host.clock.advance(minutes=61)
    host.billing.run_due()

    assert state_of(host, topup.id) == "expired"
    host.billing.run_due()
    assert [words[:2] for words in world.diary.told().elements()] == [("event", "topup-failed")]
    with pytest.raises(WrongState):
        host.pay(topup)
    assert host.billing.check().findings == ()


def _let_lapse(host: Host, topup: Topup) -> None:
    host.clock.advance(minutes=61)
    host.billing.run_due()


def _cancel(host: Host, topup: Topup) -> None:
    host.billing.customer("ada").topups.cancel(topup.id)


def _decline(host: Host, topup: Topup) -> None:
    host.provider.fail(checkout_of(topup))
    host.deliver()


@pytest.mark.parametrize(("end", "ended"), [(_let_lapse, "expired"), (_cancel, "canceled"), (_decline, "failed")])
def test_a_payment_that_comes_after_the_end_is_credited_all_the_same(world, host, end, ended):
    topup = host.start("ada", AMOUNT, key="order-1")
    end(host, topup)
    assert state_of(host, topup.id) == ended

    host.pay(topup, late=True)

    # The webhook of the end, told again, is a hint to look like any other.
    results = outcomes(host.deliver() + host.deliver())
    assert results.count((200, "credited")) == 1
    assert set(results) == {(200, "credited"), (200, "duplicate")}
    assert_settled_once(world, [topup])


def test_a_top_up_that_is_paid_while_it_is_given_up_is_credited(world, host):
    topup = host.paid_topup("ada", AMOUNT, key="order-1")

    given_up = host.billing.customer("ada").topups.cancel(topup.id)

    assert given_up.state == "credited"
    assert_settled_once(world, [topup])
