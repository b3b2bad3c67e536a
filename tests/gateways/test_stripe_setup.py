"""Configuring the Stripe adapter: what is refused, what is shown, and when the SDK is loaded."""

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
from datetime import timedelta

import attrs
import pytest

from prepaid.core.errors import ConfigurationError, GatewayError
from prepaid.gateways import stripe_client
from prepaid.gateways.credentials import Secret, conceal
from prepaid.gateways.stripe import LIVE_BASE
from prepaid.gateways.stripe_currencies import LIMITS
from prepaid.gateways.stripe_requests import LOCALES
from prepaid.ports import Gateway, PaymentRef
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.stripe_world import (
    EMAIL,
    FORM,
    KEY,
    NOW,
    TOPUP,
    WHSEC,
    a_refund,
    a_request,
    bound,
    configured,
    created,
    paid,
    refused,
    shorten_waits,
)


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


@pytest.fixture
def gateway(simulator, clock):
    return bound(simulator, clock)


@pytest.fixture
def quick_retries(monkeypatch):
    shorten_waits(monkeypatch)


# Credentials and configuration


def test_working_credentials_are_healthy(gateway):
    health = gateway.check_credentials()
    assert (health.ok, health.mode, health.detail) == (True, "test", "")


def test_credentials_that_work_in_the_other_mode_are_not_healthy(gateway, simulator):
    simulator.fault_next("wrong-mode")
    health = gateway.check_credentials()
    assert (health.ok, health.mode) == (False, "live")
    assert "live" in health.detail


def test_a_wrong_key_is_not_healthy_and_not_shown(simulator, clock):
    gateway = bound(simulator, clock, secret_key="sk_test_another")
    health = gateway.check_credentials()
    assert (health.ok, health.mode) == (False, None)
    assert "authentication" in health.detail
    assert "another" not in health.detail
    assert refused(gateway.create_checkout, a_request()).retryable is False


@pytest.mark.parametrize("key", ["sk_test_x", "rk_test_x"])
def test_a_test_key_binds_to_test_mode_only(clock, key):
    assert configured(secret_key=key).bind("test", clock)
    with pytest.raises(ConfigurationError, match="test key"):
        configured(secret_key=key).bind("live", clock)


@pytest.mark.parametrize("key", ["sk_live_x", "rk_live_x"])
def test_a_live_key_binds_to_live_mode_only(clock, key):
    assert configured(secret_key=key).bind("live", clock)
    assert configured(secret_key=key, api_base=LIVE_BASE).bind("live", clock)
    with pytest.raises(ConfigurationError, match="live key"):
        configured(secret_key=key).bind("test", clock)


@pytest.mark.parametrize(
    "key", [None, "", "  ", "sk_test_", "pk_test_x", "whsec_x", "SK_TEST_x", "sk_test_x\n", b"sk_test_x", "sk_test_é"]
)
def test_a_key_that_is_none_of_stripes_is_refused(clock, key):
    with pytest.raises(ConfigurationError):
        configured(secret_key=key).bind("test", clock)


@pytest.mark.parametrize(
    "secrets", [None, (), "whsec_x", ("",), ("  ",), ("whsec_",), ("x",), (None,), ("whsec_x", ""), ("whsec_x", "sk_x")]
)
def test_webhooks_without_a_secret_are_refused(clock, secrets):
    with pytest.raises(ConfigurationError):
        configured(webhook_secrets=secrets).bind("test", clock)


@pytest.mark.parametrize(
    "base",
    [
        "http://api.example",
        "http://127.0.0.1.example:80",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "https://user:pw@api.example",
        "https://api.example/v1",
        "https://api.example?x",
        "https://api.example:x",
        "http://[::1",
        "https://",
        "//127.0.0.1",
        "",
        7,
    ],
)
def test_a_base_url_that_would_show_the_key_is_refused(base):
    with pytest.raises(ConfigurationError, match="api_base"):
        configured(api_base=base)


@pytest.mark.parametrize(
    "base", ["https://proxy.example", "http://127.0.0.1:4242", "http://[::1]:80", "http://localhost"]
)
def test_another_base_url_is_for_tests_only(clock, base):
    assert configured(api_base=base).bind("test", clock).api_base == base
    with pytest.raises(ConfigurationError, match="api_base"):
        configured(secret_key="sk_live_x", api_base=base).bind("live", clock)


@pytest.mark.parametrize(
    "changes",
    [
        {"flow": "embedded"},
        {"flow": None},
        {"timeout_s": 0},
        {"timeout_s": 1.5},
        {"timeout_s": True},
        {"timeout_s": 1000},
        {"name": ""},
        {"name": "Stripe"},
        {"name": "a/b"},
        {"name": "a_b"},
        {"name": "a" * 33},
        {"name": None},
    ],
)
def test_any_other_setting_out_of_range_is_refused(changes):
    with pytest.raises(ConfigurationError):
        configured(**changes)


def test_the_version_is_pinned_even_if_the_sdk_moves_on(gateway, simulator, monkeypatch):
    monkeypatch.setattr("stripe._api_version._ApiVersion.CURRENT", "2099-01-01.quince")
    gateway.check_credentials()
    assert simulator.requests[0].headers["stripe-version"] == "2026-10-28.endive"


def test_a_gateway_that_is_not_bound_does_nothing():
    gateway = configured()
    ref = PaymentRef(topup_id=TOPUP, checkout_id="cs_test_1")
    for call in (gateway.check_credentials, lambda: gateway.fetch_payment(ref), lambda: gateway.parse_webhook({}, b"")):
        with pytest.raises(ConfigurationError, match="bind"):
            call()


def test_binding_leaves_the_configuration_as_it_was(clock):
    gateway = configured(name="stripe-eu", label="Card or wallet")
    copy_of_it = gateway.bind("test", clock)
    assert gateway.binding is None
    assert (copy_of_it.name, copy_of_it.label) == ("stripe-eu", "Card or wallet")
    assert isinstance(copy_of_it, Gateway)


def test_what_it_can_do_is_told_without_network():
    able = configured().capabilities()
    assert able.currencies is LIMITS
    assert able.create_key_valid_s == able.refund_key_valid_s == 86_400
    assert (able.needs_capture, able.failed_final_after_s) == (True, 0)
    assert (able.reports_mode, able.reports_account, able.asynchronous, able.signed_timestamp) == (
        True,
        False,
        True,
        True,
    )


def test_the_languages_are_those_the_sdk_lists():
    from stripe.params.checkout import SessionCreateParams

    hint = str(SessionCreateParams.__annotations__["locale"])
    assert all(f"'{locale}'" in hint for locale in LOCALES)


# Secrets


def test_no_form_of_a_gateway_shows_a_secret(gateway):
    shown = [repr(gateway), str(gateway), f"{gateway}", repr(attrs.asdict(gateway)), repr(attrs.astuple(gateway))]
    shown += [json.dumps(attrs.asdict(gateway), default=repr)]
    for text in shown:
        assert "NotAReal" not in text
    for refuses in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            refuses(gateway)
    with pytest.raises(TypeError):
        vars(gateway.secret_key)


def test_equal_secrets_are_equal_and_hidden_once():
    secret = Secret("x1")
    assert secret == Secret("x1")
    assert hash(secret) == hash(Secret("x1"))
    assert secret != Secret("x2")
    assert secret != "x1"
    assert conceal(secret) is secret


def test_configuration_errors_do_not_show_what_was_given(clock):
    for changes in ({"secret_key": "pk_test_hidden1"}, {"webhook_secrets": ("hidden1",)}, {"secret_key": "hidden1 é"}):
        with pytest.raises(ConfigurationError) as caught:
            configured(**changes).bind("test", clock)
        assert "hidden1" not in "".join(traceback.format_exception(caught.value)[-1:])


def test_errors_and_logs_hold_neither_key_nor_personal_data(gateway, simulator, quick_retries, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("stripe").setLevel(logging.DEBUG)
    ref = created(gateway)
    simulator.pay(ref.checkout_id)
    gateway.fetch_payment(ref)
    leaky = json.dumps({"error": {"message": f"Bad {EMAIL} {KEY}", "type": "x", "code": EMAIL}}).encode()
    texts = []
    for status in (400, 401, 402, 403, 404, 418, 429, 500):
        spoiled = Fault(spoil=lambda a, status=status: attrs.evolve(a, body=leaky, status=status))
        simulator.fault_next(spoiled, times=3 if status == 500 else 1)
        error = refused(gateway.create_checkout, a_request(key=f"key-{status}"))
        texts += ["".join(traceback.format_exception(error)), repr(error)]
        assert error.__cause__ is error.__context__ is None
    everything = "".join(texts) + caplog.text + "".join(capfd.readouterr())
    assert KEY not in everything
    assert EMAIL not in everything
    assert "Post details" not in everything


def test_neither_logs_nor_errors_hold_what_only_the_customer_of_a_form_may_see(
    simulator, clock, quick_retries, caplog, capfd
):
    caplog.set_level(logging.DEBUG)
    gateway = bound(simulator, clock, **FORM)
    ref = paid(gateway, simulator)
    gateway.refund(a_refund(ref, reason=EMAIL))
    gateway.list_payments(NOW, NOW + timedelta(hours=1))
    simulator.dispute(ref.checkout_id)
    texts = []
    for call in (gateway.fetch_payment, gateway.cancel, gateway.refunds_of, gateway.disputes_of):
        for fault in ("truncated", "html", "wrong-id"):
            simulator.fault_next(fault, times=3 if fault == "html" else 1)
            try:
                call(ref)
            except GatewayError as error:
                texts += ["".join(traceback.format_exception(error)), repr(error)]
                texts.append(repr(vars(pickle.loads(pickle.dumps(error)))))
    assert len(texts) > 20
    everything = "".join(texts) + caplog.text + "".join(capfd.readouterr())
    for hidden in ("_secret_", KEY, EMAIL, WHSEC):
        assert hidden not in everything


def test_a_warning_of_the_sdk_still_gets_through(gateway, caplog):
    gateway.check_credentials()
    logging.getLogger("stripe").warning("soon to be removed")
    assert "soon to be removed" in caplog.text


# Loading and sharing


def test_importing_the_gateways_imports_no_sdk():
    program = "import sys, prepaid.gateways; print({'stripe', 'razorpay', 'paypalrestsdk'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


def test_threads_share_one_client_and_a_forked_child_makes_its_own(gateway, monkeypatch):
    barrier, clients, make = threading.Barrier(8), [], stripe_client.StripeApi

    def make_slowly(**settings):
        time.sleep(0.05)
        return make(**settings)

    monkeypatch.setattr(stripe_client, "StripeApi", make_slowly)

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
        ref = created(gateway, topup_id=f"order-{number}", key=f"key-{number}")
        simulator.pay(ref.checkout_id, amount=1000 + number)
        found[number] = gateway.fetch_payment(ref)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: snapshot.topup_id for number, snapshot in found.items()} == {n: f"order-{n}" for n in range(12)}
    assert all(snapshot.captured.minor == 1000 + number for number, snapshot in found.items())
