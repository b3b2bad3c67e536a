"""No key, page or customer's address in a log, a repr, a traceback with locals or a pickle, whatever goes wrong."""

from __future__ import annotations

import json

import attrs
import pytest

from prepaid.core.errors import ConfigurationError, PrepaidError, WebhookRejected
from prepaid.identity_providers import ManualReview, SimulatedIdentity
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways.ears import listening
from tests.gateways.stripe_world import shorten_waits
from tests.identity_providers.identity_world import EMAIL, KEY, NOW, WHSEC, a_request, begun, bound, configured

NAME = "Ada Lovelace"
SIMULATED = "the-secret-of-the-simulated-provider"
SECRETS = {"key": KEY, "webhook secret": WHSEC, "simulated": SIMULATED, "address": EMAIL, "name": NAME}
STATUSES = (200, 201, 302, 400, 401, 402, 403, 404, 409, 429, 500, 503)
FAULTS = ("drop", "accept-then-drop", "html", "truncated", "429", "500", "wrong-id", "wrong-mode")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    shorten_waits(monkeypatch)


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def ears():
    with listening() as ears:
        yield ears


@pytest.fixture
def simulator(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as running:
        yield running


@pytest.fixture
def provider(simulator, clock):
    return bound(simulator, clock, timeout_s=4)


def says(status):
    """Make an answer that repeats all that it was told, in each place where Stripe puts its words."""
    told = " ".join((EMAIL, NAME, KEY, WHSEC))
    words = dict.fromkeys("message code type param reason id status url client_reference_id".split(), told)
    body = {**words, "error": words, "metadata": {told: told}, "last_error": words, told: told}
    return Fault(
        spoil=lambda answer: attrs.evolve(
            answer, status=status, body=json.dumps(body).encode(), headers={"Location": f"http://{EMAIL}/"}
        ),
        executed=False,
    )


def attempt(ears, where, call):
    """Do something that may go wrong, and listen to both ends of it."""
    try:
        ears.value(where, call())
    except PrepaidError as error:
        ears.error(where, error)
        return error
    return None


def through_faults(ears, simulator, calls):
    faults = {name: name for name in FAULTS} | {f"status {status}": says(status) for status in STATUSES}
    wrong = []
    for name, call in calls.items():
        attempt(ears, name, call)
        for called, fault in faults.items():
            for after in (0, 1):
                with simulator.lock:
                    simulator._script.clear()
                simulator.fault_next(Fault(spoil=lambda answer: answer), times=after)
                simulator.fault_next(fault, times=4)
                wrong.append(attempt(ears, f"{name} with {called} after {after}", call))
        with simulator.lock:
            simulator._script.clear()
    return [error for error in wrong if error is not None]


def test_no_call_gives_anything_away_whatever_stripe_answers(provider, simulator, ears, capfd):
    reference = begun(provider)
    pages = {f"page {n}": provider.resume(reference).redirect_url for n in range(2)}
    simulator.require_input(reference)
    calls = {
        "begin": lambda: provider.begin(a_request()),
        "begin another": lambda: provider.begin(a_request(key=f"key {len(simulator.requests)}")),
        "resume": lambda: provider.resume(reference),
        "fetch": lambda: provider.fetch(reference),
        "cancel": lambda: provider.cancel(reference),
    }
    wrong = through_faults(ears, simulator, calls)
    ears.hear("printed", "".join(capfd.readouterr()))
    assert len(wrong) > 100
    assert {error.code for error in wrong} >= {"rate-limit", "connection", "unusable-reply", "authentication"}
    assert ears.leaks({**SECRETS, **pages, "start": "/start/", "client secret": "_secret_", "words": "passport"}) == []


def test_no_webhook_that_is_refused_gives_anything_away(provider, simulator, clock, ears):
    reference = begun(provider)
    headers, body = simulator.webhook("identity.verification_session.created", reference, secret=WHSEC, at=clock.now())
    ears.value("webhook", provider.parse_webhook(headers, body))
    for sent, signed in [(body + b" ", headers), (body, {}), (body[:-5], headers), (b"\xff" + EMAIL.encode(), headers)]:
        with pytest.raises(WebhookRejected) as caught:
            provider.parse_webhook(signed, sent)
        ears.error("webhook", caught.value)
    signature = headers["stripe-signature"].partition("v1=")[2]
    assert ears.leaks({**SECRETS, "signature": signature, "body": reference}) == [
        ("body", "webhook: words")  # the event that was accepted names it
    ]


def test_no_form_of_what_is_configured_shows_a_credential(provider, clock, tmp_path, ears):
    simulated = SimulatedIdentity(state=tmp_path / "identity.db", webhook_secrets=(SIMULATED,), clock=clock)
    for where, value in (("provider", configured()), ("bound", provider), ("simulated", simulated)):
        ears.config(where, value)
    ears.config("manual", ManualReview())
    session = provider.begin(a_request())
    ears.value("session", session)
    ears.value("request", a_request())
    ears.value("result", provider.fetch(session.reference))
    assert ears.leaks({**SECRETS, "page": session.redirect_url}) == []


@pytest.mark.parametrize("wrong", [f"a {EMAIL}", f"{EMAIL}\n", f"é{EMAIL}", EMAIL.encode()])
def test_an_error_of_the_configuration_repeats_nothing(clock, ears, wrong):
    for name in ("secret_key", "webhook_secrets"):
        error = attempt(ears, name, lambda name=name: configured(**{name: wrong}))
        assert isinstance(error, ConfigurationError) or name == "secret_key"
    error = attempt(ears, "bind", lambda: configured(secret_key=f"pk_live_{EMAIL}").bind("test", clock))
    assert isinstance(error, ConfigurationError)
    assert isinstance(attempt(ears, "bind", lambda: configured().bind("live", clock)), ConfigurationError)
    assert ears.leaks(SECRETS) == []
