"""Faults by chance of the server that simulators are built on."""

from __future__ import annotations

import http.client
from random import Random

import pytest

from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Answer, LoopbackServer
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.paypal_world import bound as paypal
from tests.gateways.paypal_world import simulated as paypal_simulator
from tests.gateways.stripe_world import KEY, NOW, bound, created, refused, shorten_waits


class Echo(LoopbackServer):
    def answer(self, request):
        return Answer.of_json({"path": request.path})


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def server():
    with Echo() as running:
        yield running


def status_of(server, path="/", method="GET"):
    connection = http.client.HTTPConnection(server.url.partition("//")[2])
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except (http.client.HTTPException, OSError):
        return None
    finally:
        connection.close()


def test_faults_come_at_their_rate_and_the_same_for_the_same_seed(server):
    runs = []
    for _ in range(2):
        server.fault_sometimes(0.3, random=Random(7), names=("drop", "html"))
        runs.append([status_of(server) for _ in range(100)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {None, 502, 200}
    assert 20 <= 100 - runs[0].count(200) <= 40
    assert server.met == {"drop": 2 * runs[0].count(None), "html": 2 * runs[0].count(502)}


def test_a_rate_of_nothing_ends_them(server):
    server.fault_sometimes(1, random=Random(7), names=("html",))
    assert status_of(server) == 502
    server.fault_sometimes(0, random=Random(7), names=("html",))
    assert status_of(server) == 200
    assert server.met == {"html": 1}


def test_a_scripted_fault_comes_first(server):
    server.fault_sometimes(1, random=Random(7), names=("html",))
    server.fault_next("drop")
    assert [status_of(server), status_of(server)] == [None, 502]


def test_what_a_request_may_meet_can_depend_on_it(server):
    server.fault_sometimes(
        1, random=Random(7), names=lambda request: ("drop",) if request.path == "/drop" else ("html",)
    )
    assert [status_of(server, "/drop"), status_of(server, "/other")] == [None, 502]


def test_a_fault_that_is_none_is_refused(server):
    with pytest.raises(KeyError):
        server.fault_sometimes(1, random=Random(7), names=("drop", "flood"))
    assert status_of(server) == 200


def test_a_failure_of_stripe_by_chance_is_stored_under_its_key(clock, monkeypatch):
    shorten_waits(monkeypatch)
    with StripeSimulator(secret_key=KEY, clock=clock) as simulator:
        gateway = bound(simulator, clock)
        simulator.fault_sometimes(1, random=Random(7), names=("500",))
        assert refused(created, gateway).outcome_unknown
        simulator.fault_sometimes(0, random=Random(7), names=())
        assert refused(created, gateway).outcome_unknown
        assert set(simulator.met) == {"500"}
        assert simulator.sessions() == []


def test_a_token_of_paypal_meets_chance_too(clock):
    with paypal_simulator(clock) as simulator:
        simulator.fault_sometimes(1, random=Random(7), names=("500",))
        assert not paypal(simulator, clock).check_credentials().ok
