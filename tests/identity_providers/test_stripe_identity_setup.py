"""Configuring the Stripe Identity adapter: what is refused, what is shown, and who shares what."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import threading
import time
import traceback

import attrs
import pytest

from prepaid.core.errors import ConfigurationError
from prepaid.gateways import stripe_client
from prepaid.gateways.stripe import LIVE_BASE
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.identity_providers.identity_world import KEY, NOW, a_request, begun, bound, configured, refused


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


@pytest.fixture
def provider(simulator, clock):
    return bound(simulator, clock)


def test_a_wrong_key_is_refused_and_not_shown(simulator, clock):
    error = refused(bound(simulator, clock, secret_key="sk_test_another").begin, a_request())
    assert (error.code, error.retryable, error.is_of_credentials) == ("authentication", False, True)
    assert "another" not in str(error)


@pytest.mark.parametrize("key", ["sk_test_x", "rk_test_x"])
def test_a_test_key_binds_to_test_mode_only(clock, key):
    assert configured(secret_key=key).bind("test", clock)
    with pytest.raises(ConfigurationError, match="secret_key of StripeIdentity is a test key"):
        configured(secret_key=key).bind("live", clock)


@pytest.mark.parametrize("key", ["sk_live_x", "rk_live_x"])
def test_a_live_key_binds_to_live_mode_only(clock, key):
    assert configured(secret_key=key).bind("live", clock)
    assert configured(secret_key=key, api_base=LIVE_BASE).bind("live", clock)
    with pytest.raises(ConfigurationError, match="secret_key of StripeIdentity is a live key"):
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


@pytest.mark.parametrize("base", ["http://api.example", "https://api.example/v1", "ftp://127.0.0.1", "", 7])
def test_a_base_url_that_would_show_the_key_is_refused(base):
    with pytest.raises(ConfigurationError, match="api_base"):
        configured(api_base=base)


def test_another_base_url_is_for_tests_only(clock):
    assert configured(api_base="http://127.0.0.1:4242").bind("test", clock)
    with pytest.raises(ConfigurationError, match="api_base of StripeIdentity"):
        configured(secret_key="sk_live_x", api_base="https://proxy.example").bind("live", clock)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout_s", 0),
        ("timeout_s", 1.5),
        ("timeout_s", True),
        ("timeout_s", 1000),
        ("document_types", ["passport"]),
        ("document_types", "passport"),
        ("document_types", ("passport", "passport")),
        ("document_types", ("library_card",)),
        ("document_types", ([],)),
        ("document_types", (None,)),
        ("document_types", None),
        ("require_live_capture", 1),
        ("require_live_capture", None),
        ("require_matching_selfie", "yes"),
    ],
)
def test_any_other_setting_out_of_range_is_refused_by_its_field(field, value):
    with pytest.raises(ConfigurationError, match=field):
        configured(**{field: value})


def test_binding_leaves_the_configuration_as_it_was(clock):
    provider = configured(name="identity-eu", label="Passport", level=3)
    copy_of_it = provider.bind("test", clock)
    assert provider.binding is None
    assert (copy_of_it.name, copy_of_it.label, copy_of_it.level) == ("identity-eu", "Passport", 3)


def test_the_defaults_are_those_that_are_documented():
    provider = configured()
    assert (provider.name, provider.label, provider.level) == ("stripe-identity", "Stripe Identity", 2)


def test_no_form_of_a_provider_shows_a_secret(provider):
    shown = [repr(provider), str(provider), f"{provider}", repr(attrs.asdict(provider)), repr(attrs.astuple(provider))]
    shown += [json.dumps(attrs.asdict(provider), default=repr)]
    for text in shown:
        assert "NotAReal" not in text
    for refuses in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            refuses(provider)


def test_configuration_errors_do_not_show_what_was_given(clock):
    for changes in ({"secret_key": "pk_test_hidden1"}, {"webhook_secrets": ("hidden1",)}, {"secret_key": "hidden1 é"}):
        with pytest.raises(ConfigurationError) as caught:
            configured(**changes).bind("test", clock)
        assert "hidden1" not in "".join(traceback.format_exception(caught.value)[-1:])


def test_threads_share_one_client_and_a_forked_child_makes_its_own(provider, monkeypatch):
    barrier, clients, make = threading.Barrier(8), [], stripe_client.StripeApi

    def make_slowly(**settings):
        time.sleep(0.05)
        return make(**settings)

    monkeypatch.setattr(stripe_client, "StripeApi", make_slowly)

    def use():
        barrier.wait()
        clients.append(provider.binding.link.api(provider))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, clients))) == 1
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert provider.binding.link.api(provider) is not clients[0]


def test_many_threads_at_once_each_get_their_own_session_and_page(provider):
    found = {}

    def use(number):
        key = f"key-{number}"
        first = provider.begin(a_request(customer_id=f"user-{number}", key=key))
        again = provider.begin(a_request(customer_id=f"user-{number}", key=key))
        assert again.redirect_url != first.redirect_url
        found[number] = provider.fetch(first.reference).customer_id

    threads = [threading.Thread(target=use, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"user-{number}" for number in range(12)}


def test_what_the_sdk_would_log_of_a_session_is_not_logged(provider, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("stripe").setLevel(logging.DEBUG)
    begun(provider)
    assert "Post details" not in caplog.text
