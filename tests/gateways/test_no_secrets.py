"""No key, token or customer's address in a log, a repr, a traceback with locals or a pickle, whatever goes wrong."""

from __future__ import annotations

import itertools
import json
import logging
from datetime import timedelta

import attrs
import pytest

from prepaid import Money, permissions
from prepaid.core.errors import ConfigurationError, GatewayError, PrepaidError, TransactionAborted, WebhookRejected
from prepaid.gateways import SimulatedGateway
from prepaid.ports import CheckoutRequest, PaymentRef, RefundRef, RefundRequest
from prepaid.store import Database
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from tests.gateways.ears import listening
from tests.gateways.providers import BACK, BILLING, PROVIDERS, a_billing, start
from tests.gateways.stripe_world import shorten_waits

EMAIL, NAME, PAYER, PHONE = "ada@example.com", "Ada Lovelace", "payer@example.com", "+919000090000"
CARD = "4000056655665556"
SIMULATED = "the-secret-of-the-simulated-gateway"
PERSONAL = {"customer's address": EMAIL, "customer's name": NAME, "payer": PAYER, "phone": PHONE, "card": CARD}

TEN = Money.of("10.00", "USD")
STATUSES = (200, 201, 302, 400, 401, 402, 403, 404, 409, 422, 429, 500, 503)
FAULTS = ("drop", "accept-then-drop", "html", "truncated", "429", "500", "wrong-id", "wrong-amount")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    shorten_waits(monkeypatch)


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def ears():
    with listening() as ears:
        yield ears


@pytest.fixture(params=["stripe", "stripe-form", "razorpay", "paypal"])
def provider(request, clock):
    with PROVIDERS[request.param](clock) as running:
        yield running


@pytest.fixture
def billing(provider, clock, tmp_path):
    simulated = SimulatedGateway(state=tmp_path / "simulated.db", webhook_secrets=(SIMULATED,), clock=clock)
    billing = a_billing(tmp_path, [provider.gateway(timeout_s=4), simulated], clock, currencies=("USD",))
    yield billing
    billing.close()


def credentials(provider):
    """Give all that was configured, and all that went over the wire to say who we are: Basic, Bearer, access tokens."""
    sent = {request.headers.get("authorization", " ").split()[-1] for request in provider.simulator.requests}
    assert sent, "nothing was asked"
    return {**provider.secrets(), "simulated": SIMULATED, **{f"authorization {n}": one for n, one in enumerate(sent)}}


def everything(provider):
    return {**credentials(provider), **PERSONAL, "form": "_secret_"}


def says(provider, status):
    """Make an answer that repeats all that it was told, in each place where one of the gateways puts its words."""
    told = " ".join((*PERSONAL.values(), *provider.secrets().values()))
    words = dict.fromkeys("message code type description reason field param issue value id decline_code".split(), told)
    body = {**words, "error": words, "name": told, "details": [words], "error_description": told, told: told}
    return Fault(
        spoil=lambda answer: attrs.evolve(
            answer, status=status, body=json.dumps(body).encode(), headers={"Location": f"http://{EMAIL}/"}
        ),
        executed=False,
    )


def names_itself(content):
    """Let every word of an answer be personal."""
    for name, value in content.items() if isinstance(content, dict) else enumerate(content):
        if isinstance(value, (dict, list)):
            names_itself(value)
        elif isinstance(value, str):
            content[name] = f"{value} {EMAIL} {CARD}"


_topups = (f"top_of_call_{number}" for number in itertools.count())


def calls(gateway, clock, ref, amount):
    """Give every call of the port that asks the provider."""
    refund = RefundRequest(refund_id="ref_1", payment=ref, amount=amount, key="prepaid:refund-1", reason=f"for {NAME}")
    known = RefundRef(payment=ref, refund_id="ref_1")
    period = clock.now() - timedelta(days=1), clock.now() + timedelta(days=1)
    return {
        "check_credentials": gateway.check_credentials,
        "create_checkout": lambda: gateway.create_checkout(request_of(clock, amount, topup_id=next(_topups))),
        "fetch_payment": lambda: gateway.fetch_payment(ref),
        "capture": lambda: gateway.capture(ref, amount, key="c"),
        "cancel": lambda: gateway.cancel(ref),
        "refund": lambda: gateway.refund(refund),
        "fetch_refund": lambda: gateway.fetch_refund(known),
        "refunds_of": lambda: gateway.refunds_of(ref),
        "disputes_of": lambda: gateway.disputes_of(ref),
        "list_payments": lambda: gateway.list_payments(*period),
        "list_refunds": lambda: gateway.list_refunds(*period),
        "list_disputes": lambda: gateway.list_disputes(*period),
    }


def attempt(ears, where, call):
    """Do something that may go wrong, and listen to both ends of it."""
    try:
        ears.value(where, call())
    except PrepaidError as error:
        ears.error(where, error)
        return error
    return None


def test_no_call_gives_anything_away_whatever_the_provider_answers(provider, clock, ears, capfd):
    gateway = provider.gateway().bind("test", clock)
    amount, wrong = TEN, []
    checkout_id = gateway.create_checkout(request_of(clock, amount, topup_id="top_1")).checkout_id
    ref = PaymentRef(topup_id="top_1", checkout_id=checkout_id)
    unpaid = calls(gateway, clock, ref, amount)
    wrong += through_faults(ears, provider, {name: unpaid[name] for name in ("fetch_payment", "cancel")})
    again = gateway.create_checkout(request_of(clock, amount, topup_id="top_2")).checkout_id
    paid = PaymentRef(topup_id="top_2", checkout_id=again, payment_id=provider.pay(again))
    wrong += through_faults(ears, provider, calls(gateway, clock, paid, amount))
    ears.hear("printed", "".join(capfd.readouterr()))
    assert len(wrong) > 100
    assert {error.code for error in wrong} >= {"rate-limit", "connection", "unusable-reply"}
    assert ears.leaks(everything(provider)) == []


def request_of(clock, amount, *, topup_id):
    return CheckoutRequest(
        topup_id=topup_id,
        amount=amount,
        description="Credit",
        return_url=BACK,
        cancel_url=BILLING,
        customer_id="user-42",
        customer_email=EMAIL,
        expires_at=clock.now() + timedelta(hours=1),
        key=f"key of {topup_id}",
    )


def through_faults(ears, provider, made):
    """Make every call with every fault, and give the errors."""
    simulator, wrong = provider.simulator, []
    faults = {name: name for name in FAULTS} | {f"status {status}": says(provider, status) for status in STATUSES}
    for name, call in made.items():
        attempt(ears, name, call)
        for called, fault in faults.items():
            for after in (0, 1):
                provider.calm()
                simulator.fault_next(Fault(spoil=lambda answer: answer), times=after)
                simulator.fault_next(fault, times=4)
                wrong.append(attempt(ears, f"{name} with {called} after {after}", call))
        provider.calm()
        simulator.rewrite_next(names_itself)
        wrong.append(attempt(ears, f"{name} with words", call))
    provider.calm()
    return [error for error in wrong if error is not None]


def test_a_whole_life_with_everything_that_goes_wrong_gives_nothing_away(provider, billing, clock, ears, capfd):
    simulator, ops = provider.simulator, billing.operator("alice", permissions=permissions.ALL)
    ada, since = billing.customer("user-42"), clock.now()
    ears.value("status", ops.gateways.status())
    simulator.fault_next(says(provider, 401), times=4)
    ears.value("status", ops.gateways.status())
    provider.calm()

    amount = TEN
    ears.value("quote", ada.topups.quote(amount, gateway=provider.name))
    for number, fault in enumerate([says(provider, 401), "429", "500", "html", "truncated", "drop", "stall"]):
        simulator.fault_next(fault, times=4)
        error = attempt(
            ears, f"start {number}", lambda n=number: start(billing, amount, gateway=provider.name, key=f"k{n}")
        )
        provider.calm()
        assert isinstance(error, GatewayError)
    topup = start(billing, amount, gateway=provider.name, key="paid")
    ears.value("top-up", topup)
    checkout_id = provider.checkout_id(topup)
    payment_id = provider.pay(checkout_id)

    headers, body = provider.webhook(checkout_id, payment_id)
    spoiled = body.replace(b"{", b'{"email": "%s", ' % EMAIL.encode(), 1)
    gateway = billing._context.gateways[provider.name]
    for sent, signed in [(spoiled, headers), (body, {}), (spoiled[:-5], headers), (b"\xff" + EMAIL.encode(), headers)]:
        ears.value("webhook", billing.webhooks.receive(provider.name, body=sent, headers=signed))
        with pytest.raises((WebhookRejected, GatewayError)) as caught:
            gateway.parse_webhook(signed, sent)
        ears.error("webhook", caught.value)
    simulator.fault_next(says(provider, 500), times=4)
    ears.value("webhook", billing.webhooks.receive(provider.name, body=body, headers=headers))
    provider.calm()
    billing.returns.receive({"topup": topup.id, "razorpay_signature": "0" * 64, "email": EMAIL})
    clock.advance(minutes=20)
    ears.value("jobs", billing.run_due())
    ears.value("top-up", ada.topups.confirm(topup.id))
    assert ada.topups.get(topup.id).state == "credited"

    refunded_and_compared(ears, provider, billing, since)
    ears.value("cancel", ada.topups.cancel(start(billing, amount, gateway=provider.name, key="given up").id))
    ears.value("history", [ada.topups.list(), ada.transactions(), ada.invoices.list(), ops.topups.review()])
    ears.value("audit", ops.audit.list())

    ears.hear("printed", "".join(capfd.readouterr()))
    assert {"urllib3.connectionpool", "prepaid.webhooks"} <= {where[7:] for where, _ in ears.heard if "log of" in where}
    assert ears.leaks(everything(provider)) == []


def refunded_and_compared(ears, provider, billing, since):
    """Refund a payment of another sum, with all that can be refused on the way, and compare the books."""
    simulator, ops = provider.simulator, billing.operator("alice", permissions=permissions.ALL)
    ada, now = billing.customer("user-42"), billing._context.now()
    other = start(billing, Money.of("20.00", "USD"), gateway=provider.name, key="other")
    provider.pay(provider.checkout_id(other), amount="11.00" if provider.name == "paypal" else 1100)
    assert ada.topups.confirm(other.id).state == "review"
    simulator.fault_next(Fault(spoil=lambda answer: answer))
    simulator.fault_next(says(provider, 400), times=4)
    ears.value("refused refund", ops.topups.resolve(other.id, action="refund", reason="wrong", key="r1"))
    provider.calm()
    simulator.fault_next(says(provider, 500), times=60)
    ears.value("jobs", billing.run_due())
    attempt(ears, "recheck", lambda: ops.topups.recheck(other.id))
    attempt(ears, "reconciliation", lambda: ops.reconcile(provider.name, since, now))
    provider.calm()
    ears.value("facts", ops.topups.facts(other.id))
    report = attempt(ears, "reconciliation", lambda: ops.reconcile(provider.name, since, now))
    assert report is None


def test_no_form_of_what_is_configured_shows_a_credential(provider, billing, clock, ears):
    context = billing._context
    bound = context.gateways[provider.name]
    bound.check_credentials()
    for where, value in (("gateway", provider.gateway()), ("bound", bound), ("context", context)):
        ears.config(where, value)
    ears.value("billing", [billing, vars(billing)])
    ears.config("simulated", context.gateways["simulated"])
    topup = start(billing, TEN, gateway=provider.name, key="k")
    checkout = bound.create_checkout(request_of(clock, topup.total, topup_id="top_1"))
    for where, value in (("quote", billing.customer("user-42").topups.quote(topup.credit)), ("top-up", topup)):
        ears.value(where, value)
    ears.value("checkout", checkout)
    ears.value("request", request_of(clock, topup.total, topup_id="top_1"))
    ref = PaymentRef(topup_id="top_1", checkout_id="c")
    ears.value("request", RefundRequest(refund_id="r", payment=ref, amount=TEN, key="k", reason=f"{NAME}: {EMAIL}"))
    assert ears.leaks(everything(provider)) == []
    # Taken apart, a checkout gives the customer's browser what is for it alone; a credential is for nobody.
    ears.record("checkout", checkout)
    ears.record("top-up", topup)
    assert ears.leaks(credentials(provider)) == []


@pytest.mark.parametrize("error", [TransactionAborted("busy"), RuntimeError("a mistake")], ids=["busy", "mistake"])
def test_a_webhook_that_cannot_be_handled_is_logged_without_what_it_said(
    provider, billing, ears, capfd, monkeypatch, error
):
    topup = start(billing, TEN, gateway=provider.name, key="k")
    checkout_id = provider.checkout_id(topup)
    headers, body = provider.webhook(checkout_id, provider.pay(checkout_id))
    monkeypatch.setattr(Database, "write", failing(error))
    ears.value("webhook", billing.webhooks.receive(provider.name, body=body, headers=headers))
    ears.hear("printed", "".join(capfd.readouterr()))
    assert any("could not be handled" in what for _, what in ears.heard)
    assert any("sent in webhooks.py" in where for where, _ in ears.heard)
    signed = [value for name, value in headers.items() if "sig" in name]
    assert signed
    assert ears.leaks({**everything(provider), "signature": signed[0], "body": body.decode()[20:60]}) == []


def failing(error):
    def fail(self, work):
        raise error

    return fail


@pytest.mark.parametrize("wrong", [f"a {CARD}", f"{CARD}\n", f"é{EMAIL}", CARD.encode()])
def test_an_error_of_the_configuration_repeats_nothing(provider, clock, ears, wrong):
    known = attrs.fields_dict(type(provider.gateway()))
    names = {"secret_key", "webhook_secrets", "key_id", "key_secret", "client_id", "client_secret", "webhook_id"}
    for name in names & set(known):
        error = attempt(ears, name, lambda name=name: provider.gateway(**{name: wrong}))
        assert isinstance(error, ConfigurationError)
    if "secret_key" in known:
        gateway = provider.gateway(secret_key=f"pk_live_{CARD}")
        assert isinstance(attempt(ears, "bind", lambda: gateway.bind("test", clock)), ConfigurationError)
    assert isinstance(attempt(ears, "bind", lambda: provider.gateway().bind("live", clock)), ConfigurationError)
    assert ears.leaks({**provider.secrets(), **PERSONAL}) == []


# The ears


def test_the_ears_hear_what_they_are_meant_for(ears):
    source = "def leaky(word, go):\n    kept = {'token': word}\n    go(kept)\n"
    found = {}
    exec(compile(source, "/somewhere/else.py", "exec"), found)
    words = {str(number): f"word-{number}" for number in range(7)}

    def fail(kept):
        mine = words["0"]
        raise GatewayError(f"{len(mine)}", code=words["2"]) from KeyError(words["3"])

    with pytest.raises(GatewayError) as caught:
        found["leaky"](words["1"], fail)
    ears.error("error", caught.value)
    logging.getLogger("urllib3.connectionpool").debug("%s", words["4"])
    logging.getLogger("prepaid.webhooks").debug("seen", exc_info=GatewayError(words["5"]))
    ears.value("value", {"a": words["6"]})
    heard = ears.leaks(words)
    assert {name for name, _ in heard} == {"1", "2", "3", "4", "5", "6"}
    assert ("1", "error: kept in else.py:leaky") in heard
