"""Configuring the Razorpay adapter: what is refused, what is shown, and when the SDK is loaded."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback

import attrs
import pytest

from prepaid.core.errors import ConfigurationError
from prepaid.gateways import razorpay_client
from prepaid.gateways.razorpay import LIVE_BASE
from prepaid.gateways.razorpay_currencies import LIMITS
from prepaid.ports import Gateway, PaymentRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from tests.gateways.razorpay_world import (
    EMAIL,
    KEY_SECRET,
    NOW,
    TOPUP,
    WEBHOOK_SECRET,
    a_refund,
    a_request,
    bound,
    configured,
    created,
    paid,
    refused,
    simulated,
)


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with simulated(clock) as running:
        yield running


@pytest.fixture
def gateway(simulator, clock):
    return bound(simulator, clock)


# Credentials and configuration


def test_working_credentials_are_healthy_and_tell_no_mode(gateway, simulator):
    health = gateway.check_credentials()
    assert (health.ok, health.mode, health.detail) == (True, None, "")
    assert [(request.path, request.query["count"]) for request in simulator.requests] == [
        ("/v1/orders", "1"),
        ("/v1/disputes", "1"),
    ]


@pytest.mark.parametrize("changes", [{"key_id": "rzp_test_another"}, {"key_secret": "another"}])
def test_a_wrong_key_such_as_that_of_another_mode_is_not_healthy_and_not_shown(simulator, clock, changes):
    gateway = bound(simulator, clock, **changes)
    health = gateway.check_credentials()
    assert (health.ok, health.mode) == (False, None)
    assert "authentication" in health.detail
    assert "another" not in health.detail
    error = refused(gateway.create_checkout, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("authentication", False, False)


def test_a_key_that_may_not_read_disputes_is_not_healthy(gateway, simulator):
    no = b'{"error": {"code": "BAD_REQUEST_ERROR", "description": "no"}}'
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, status=403, body=no)))
    assert "permission" in gateway.check_credentials().detail


def test_a_key_binds_to_its_own_mode_only(clock):
    assert configured(key_id="rzp_test_x").bind("test", clock)
    assert configured(key_id="rzp_live_x").bind("live", clock)
    assert configured(key_id="rzp_live_x", api_base=LIVE_BASE).bind("live", clock)
    with pytest.raises(ConfigurationError, match="no live key"):
        configured(key_id="rzp_test_x").bind("live", clock)
    with pytest.raises(ConfigurationError, match="no test key"):
        configured(key_id="rzp_live_x").bind("test", clock)


@pytest.mark.parametrize(
    "key_id",
    [
        None,
        "",
        "rzp_test_",
        "rzp_x",
        "sk_test_x",
        "RZP_TEST_x",
        "rzp_test_x\n",
        "rzp_test_x y",
        b"rzp_test_x",
        7,
        "rzp_test_é",
    ],
)
def test_a_key_id_that_is_none_of_razorpays_is_refused(key_id):
    with pytest.raises(ConfigurationError, match="key_id"):
        configured(key_id=key_id)


@pytest.mark.parametrize("secrets", [None, (), "x", ("",), ("  ",), (None,), ("x", "")])
def test_webhooks_without_a_secret_are_refused(clock, secrets):
    with pytest.raises(ConfigurationError):
        configured(webhook_secrets=secrets).bind("test", clock)


@pytest.mark.parametrize("secret", [None, "", "  ", "a b", "é", b"x", 7])
def test_a_key_secret_that_cannot_be_one_is_refused(secret):
    with pytest.raises(ConfigurationError):
        configured(key_secret=secret)


@pytest.mark.parametrize("base", ["http://api.example", "https://user:pw@api.example", "https://api.example/v1", "", 7])
def test_a_base_url_that_would_show_the_key_is_refused(base):
    with pytest.raises(ConfigurationError, match="api_base"):
        configured(api_base=base)


@pytest.mark.parametrize("base", ["https://proxy.example", "http://127.0.0.1:4242"])
def test_another_base_url_is_for_tests_only(clock, base):
    assert configured(api_base=base).bind("test", clock).api_base == base
    with pytest.raises(ConfigurationError, match="api_base"):
        configured(key_id="rzp_live_x", api_base=base).bind("live", clock)


@pytest.mark.parametrize("changes", [{"timeout_s": 0}, {"timeout_s": 1.5}, {"timeout_s": 1000}, {"name": "Razorpay"}])
def test_any_other_setting_out_of_range_is_refused(changes):
    with pytest.raises(ConfigurationError):
        configured(**changes)


def test_a_gateway_that_is_not_bound_does_nothing():
    gateway = configured()
    ref = PaymentRef(topup_id=TOPUP, checkout_id="order_1")
    for call in (
        gateway.check_credentials,
        lambda: gateway.fetch_payment(ref),
        lambda: gateway.refunds_of(ref),
        lambda: gateway.parse_webhook({}, b""),
    ):
        with pytest.raises(ConfigurationError, match="bind"):
            call()


def test_binding_leaves_the_configuration_as_it_was(clock):
    gateway = configured(name="razorpay-in", label="UPI")
    copy_of_it = gateway.bind("test", clock)
    assert gateway.binding is None
    assert (copy_of_it.name, copy_of_it.label, copy_of_it.account) == ("razorpay-in", "UPI", None)
    assert isinstance(copy_of_it, Gateway)


def test_what_it_can_do_is_told_without_network():
    able = configured().capabilities()
    assert able.currencies is LIMITS
    assert (able.interaction, able.needs_capture, able.asynchronous, able.refunds) == ("widget", True, True, True)
    assert (able.partial_refund, able.multiple_refunds, able.refund_window_days) == (True, True, 180)
    assert (able.lists_payments, able.lists_refunds, able.lists_disputes) == (True, True, True)
    assert (able.reports_mode, able.reports_account, able.signed_timestamp) == (False, False, False)


# Secrets


def test_no_form_of_a_gateway_shows_a_secret(gateway):
    shown = [repr(gateway), str(gateway), f"{gateway}", repr(attrs.asdict(gateway)), repr(attrs.astuple(gateway))]
    shown += [json.dumps(attrs.asdict(gateway), default=repr)]
    for text in shown:
        assert KEY_SECRET not in text
        assert WEBHOOK_SECRET not in text
    for refuses in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            refuses(gateway)


def test_configuration_errors_do_not_show_what_was_given(clock):
    for changes in ({"key_id": "hidden1"}, {"webhook_secrets": ("hidden1 é",)}, {"key_secret": "hidden1 é"}):
        with pytest.raises(ConfigurationError) as caught:
            configured(**changes).bind("test", clock)
        assert "hidden1" not in "".join(traceback.format_exception(caught.value)[-1:])


def test_errors_and_logs_hold_neither_key_nor_personal_data(gateway, simulator, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    ref = paid(gateway, simulator)
    gateway.fetch_payment(ref)
    gateway.refund(a_refund(ref, reason="for Ada"))
    told = f"Bad {EMAIL} {KEY_SECRET}"
    leaky = json.dumps({"error": {"code": told, "description": told, "reason": told, "field": told}}).encode()
    texts = []
    for status in (200, 204, 302, 400, 401, 403, 404, 409, 418, 429, 500):
        body = b"" if status == 204 else leaky
        simulator.fault_next(Fault(spoil=lambda a, status=status, body=body: attrs.evolve(a, body=body, status=status)))
        error = refused(gateway.fetch_payment, ref)
        texts += ["".join(traceback.format_exception(error)), repr(error), repr(pickle.loads(pickle.dumps(error)))]
        assert error.__cause__ is error.__context__ is None
    simulator.fault_next("drop")
    texts += traceback.format_exception(refused(gateway.fetch_payment, ref))
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.rewrite_next(lambda order: order.update(id=told))
    error = refused(gateway.create_checkout, a_request(topup_id="another"))
    assert error.__cause__ is error.__context__ is None
    texts += traceback.format_exception(error)
    everything = "".join(texts) + caplog.text + "".join(capfd.readouterr())
    for secret in (KEY_SECRET, EMAIL, "Ada", "payer@example.com"):
        assert secret not in everything


# Loading and sharing


def test_importing_the_gateways_imports_no_sdk():
    program = (
        "import sys, prepaid.gateways; print({'stripe', 'razorpay', 'paypalrestsdk', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


def test_what_needs_no_network_loads_no_sdk():
    program = """
import sys
from prepaid.gateways import RazorpayGateway
from prepaid.ports import PaymentRef
from prepaid.system import SystemClock
gateway = RazorpayGateway(key_id="rzp_test_x", key_secret="x", webhook_secrets=("x",)).bind("test", SystemClock())
gateway.capabilities()
gateway.parse_return(PaymentRef(topup_id="t", checkout_id="order_1"), {"razorpay_payment_id": "pay_1"})
print("razorpay" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_threads_share_one_client_and_a_forked_child_makes_its_own(gateway, monkeypatch):
    barrier, clients, make = threading.Barrier(8), [], razorpay_client.RazorpayApi

    def make_slowly(**settings):
        time.sleep(0.05)
        return make(**settings)

    monkeypatch.setattr(razorpay_client, "RazorpayApi", make_slowly)

    def use():
        barrier.wait()
        clients.append(gateway.binding.link.api(gateway))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 8
    assert len(set(map(id, clients))) == 1
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert gateway.binding.link.api(gateway) is not clients[0]


def test_many_threads_at_once_each_get_their_own_payment(gateway, simulator):
    found = {}

    def use(number):
        ref = created(gateway, topup_id=f"order-{number}")
        simulator.pay(ref.checkout_id, amount=50_000 + number)
        found[number] = gateway.fetch_payment(ref)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: snapshot.topup_id for number, snapshot in found.items()} == {n: f"order-{n}" for n in range(12)}
    assert all(snapshot.captured.minor == 50_000 + number for number, snapshot in found.items())
