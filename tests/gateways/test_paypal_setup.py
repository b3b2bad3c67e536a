"""Configuring the PayPal adapter: what is refused, what is shown, and when the SDK is loaded."""

from __future__ import annotations

import copy
import json
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
from prepaid.gateways import BasicGateway
from prepaid.gateways.paypal import BASES
from prepaid.gateways.processes import PerProcess
from prepaid.ports import Gateway, PaymentRef, ReturnHint
from prepaid.testing.clock import MovableClock
from tests.gateways.paypal_world import (
    CLIENT_ID,
    CLIENT_SECRET,
    MERCHANT_ID,
    NOW,
    TOPUP,
    a_refund,
    a_request,
    bound,
    configured,
    refused,
    simulated,
    tokens_asked,
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


# Credentials


def test_working_credentials_are_healthy(gateway):
    health = gateway.check_credentials()
    assert (health.ok, health.mode, health.detail) == (True, None, "")


def test_credentials_are_asked_for_anew_each_time(gateway, simulator):
    gateway.check_credentials()
    simulator.fault_next_token("500")
    assert not gateway.check_credentials().ok
    assert tokens_asked(simulator) == 2


@pytest.mark.parametrize("changes", [{"client_id": "another"}, {"client_secret": "another"}])
def test_wrong_credentials_are_not_healthy_and_not_shown(simulator, clock, changes):
    health = bound(simulator, clock, **changes).check_credentials()
    assert not health.ok
    assert "invalid_client" in health.detail
    assert "another" not in health.detail


def test_what_the_app_may_not_do_is_named(gateway, simulator):
    from prepaid.testing.simulators.loopback import rewriting

    def take_away(content):
        content["scope"] = " ".join(scope for scope in content["scope"].split() if "reporting" not in scope)

    simulator.fault_next_token(rewriting(take_away))
    health = gateway.check_credentials()
    assert (health.ok, health.detail) == (True, "The app has no permission for transaction search.")
    simulator.fault_next_token(rewriting(lambda content: content.pop("scope")))
    assert gateway.check_credentials().detail.count(",") == 2


# Configuration


def test_live_payments_name_their_account(clock):
    assert configured(api_base=BASES["live"]).bind("live", clock).account == MERCHANT_ID
    assert configured(merchant_id=None).bind("test", clock).account is None
    with pytest.raises(ConfigurationError, match="merchant_id"):
        configured(merchant_id=None).bind("live", clock)


def test_another_base_url_is_for_tests_only(clock):
    for base in ("https://proxy.example", "http://127.0.0.1:4242", BASES["test"]):
        assert configured(api_base=base).bind("test", clock).api_base == base
        with pytest.raises(ConfigurationError, match="api_base"):
            configured(api_base=base).bind("live", clock)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": ""},
        {"client_id": None},
        {"client_id": "a:b"},
        {"client_id": "a b"},
        {"client_secret": ""},
        {"client_secret": "é"},
        {"client_secret": b"x"},
        {"webhook_id": ""},
        {"webhook_id": None},
        {"webhook_id": "WEBHOOK_ID"},
        {"webhook_id": "a/b"},
        {"merchant_id": ""},
        {"merchant_id": "seller@example.com"},
        {"merchant_id": "selleracct222"},
        {"merchant_id": "SELLERACCT22"},
        {"merchant_id": 7},
        {"brand_name": "x" * 128},
        {"brand_name": "a\nb"},
        {"brand_name": None},
        {"timeout_s": 0},
        {"timeout_s": 1.5},
        {"timeout_s": True},
        {"name": "PayPal"},
        {"name": "a_b"},
        {"api_base": "http://api-m.paypal.com"},
        {"api_base": "https://api-m.paypal.com/"},
    ],
)
def test_a_setting_that_cannot_work_is_refused_and_not_shown(changes):
    with pytest.raises(ConfigurationError) as caught:
        configured(**changes)
    [value] = changes.values()
    if isinstance(value, str) and len(value) > 4:
        assert "seller@" not in str(caught.value)


def test_every_credential_is_compulsory():
    from prepaid.gateways import PayPalGateway

    with pytest.raises(TypeError):
        PayPalGateway(client_id="a", client_secret="b")


def test_a_gateway_that_is_not_bound_does_nothing():
    gateway = configured()
    ref = PaymentRef(topup_id=TOPUP, checkout_id="A1", payment_id="B2")
    calls = [
        gateway.check_credentials,
        lambda: gateway.create_checkout(a_request()),
        lambda: gateway.fetch_payment(ref),
        lambda: gateway.refund(a_refund(ref)),
        lambda: gateway.parse_webhook({}, b""),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="bind"):
            call()


def test_binding_leaves_the_configuration_as_it_was(clock):
    gateway = configured(name="paypal-eu", label="PayPal (Europe)")
    copy_of_it = gateway.bind("test", clock)
    assert gateway.binding is None
    assert (copy_of_it.name, copy_of_it.label) == ("paypal-eu", "PayPal (Europe)")
    assert isinstance(copy_of_it, Gateway)
    assert isinstance(copy_of_it, BasicGateway)


@pytest.mark.parametrize("mode", ["", "TEST", "sandbox", None])
def test_there_are_two_modes(clock, mode):
    with pytest.raises(ConfigurationError, match="test or live"):
        configured().bind(mode, clock)


def test_what_the_browser_brings_back_proves_nothing(gateway, simulator):
    ref = PaymentRef(topup_id=TOPUP, checkout_id="A1")
    assert gateway.parse_return(ref, {"token": "A1", "PayerID": "X"}) == ReturnHint()
    assert simulator.requests == []


# Secrets


def test_no_form_of_a_gateway_shows_a_secret(gateway):
    gateway.check_credentials()
    shown = [repr(gateway), str(gateway), f"{gateway}", repr(attrs.asdict(gateway)), repr(attrs.astuple(gateway))]
    shown += [json.dumps(attrs.asdict(gateway), default=repr)]
    for text in shown:
        assert CLIENT_SECRET not in text
        assert CLIENT_ID not in text
    for refuses in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            refuses(gateway)


def test_an_error_crosses_processes_as_it_is_and_without_secrets(gateway, simulator):
    simulator.fault_next("permanent-401")
    error = refused(gateway.create_checkout, a_request())
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error)
    for form in (repr(error), repr(vars(error)), "".join(traceback.format_exception(again))):
        assert CLIENT_SECRET not in form


# Loading and sharing


def test_importing_the_gateways_imports_no_sdk():
    program = (
        "import sys, prepaid.gateways; from prepaid.gateways import PayPalGateway as G;"
        "from prepaid.testing.clock import MovableClock;"
        "G(client_id='a', client_secret='b', webhook_id='c').bind('test', MovableClock()).capabilities();"
        "print({'stripe', 'razorpay', 'paypalrestsdk', 'requests', 'OpenSSL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


def test_threads_share_one_thing_and_a_forked_child_makes_its_own(monkeypatch):
    held, made, given = PerProcess(), [], []
    barrier = threading.Barrier(8)

    def make():
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    def use():
        barrier.wait()
        given.append(held.get(make))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 8
    assert len(made) == len(set(map(id, given))) == 1
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert held.get(make) is not given[0]
