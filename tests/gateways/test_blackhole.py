"""A provider that takes a call and never answers, or drips: every call of every adapter is over in time and truthful.

A relay stands before each simulator and holds back the answer to every request,
or only to those that change something, which the simulator never sees then.
"""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from prepaid import Money, permissions
from prepaid.core.errors import GatewayError
from prepaid.ports import CheckoutRequest, PaymentRef, RefundRef, RefundRequest
from prepaid.testing.clock import MovableClock
from tests.gateways.peers import drips_its_body, drips_its_headers, says_nothing
from tests.gateways.providers import BACK, BILLING, PROVIDERS, a_billing, start

TIMEOUT_S = 1
TEN = Money.of("10.00", "USD")
NOT_WRITES = ("/v1/oauth2/token", "/v1/notifications/verify-webhook-signature")
READS = (
    "check_credentials fetch_payment fetch_refund refund_by_id refunds_of disputes_of list_payments list_refunds "
    "list_disputes"
).split()
WRITES = "create_checkout capture cancel refund".split()

BEGINS_WITH_A_WRITE = {
    "stripe": {"create_checkout", "cancel", "refund"},
    "stripe-form": {"create_checkout", "cancel", "refund"},
    "razorpay": set(),  # it looks up what there is, first
    "paypal": {"create_checkout", "refund"},
}
WRITTEN = {
    "stripe": set(WRITES),
    "stripe-form": set(WRITES),
    "razorpay": {"create_checkout", "capture", "refund"},  # an order cannot be closed
    "paypal": {"create_checkout", "capture", "refund"},
}
SERVES = (says_nothing, drips_its_headers, drips_its_body)
SLOWLY = pytest.mark.parametrize("serve", SERVES, ids=lambda serve: serve.__name__)
EACH = pytest.mark.parametrize("provider", PROVIDERS, indirect=True)


def everything(method, path):
    return True


def writes(method, path):
    return method == "POST" and path not in NOT_WRITES


def nothing(method, path):
    return False


class Relay:
    """Stands before a simulator.

    Attributes:
        held_back: Which requests are not passed on, by method and path; changed as a test goes on.
        serve: What a caller gets instead.
        seen: Called with each request that is held back.
    """

    def __init__(self, simulator):
        self.simulator, self.held_back, self.serve = simulator, nothing, says_nothing
        self.seen, self.held, self.stopping = (lambda: None), [], threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def hold(self, method, path, connection):
        self.held.append((method, path))
        self.seen()
        self.serve(connection, self.stopping)

    def pass_on(self, method, path, headers, body):
        parts = urlsplit(self.simulator.url)
        onward = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
        try:
            onward.request(method, path, body, headers)
            answer = onward.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            onward.close()


def _handler(relay):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            """Say nothing."""

        def do_GET(self):
            self.answer()

        def do_POST(self):
            self.answer()

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                if relay.held_back(self.command, urlsplit(self.path).path):
                    relay.hold(self.command, self.path, self.connection)
                    return
                status, headers, content = relay.pass_on(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except OSError:  # the caller did not wait
                return

    return Handler


@contextmanager
def relayed(simulator):
    relay = Relay(simulator)
    thread = threading.Thread(target=relay.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.stopping.set()
        relay.server.shutdown()
        relay.server.server_close()


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def provider(request, clock):
    with PROVIDERS[request.param](clock) as running:
        yield running


@pytest.fixture
def relay(provider):
    with relayed(provider.simulator) as relay:
        yield relay


def ref_of(gateway, clock, topup_id):
    checkout = gateway.create_checkout(request_of(clock, topup_id))
    return PaymentRef(topup_id=topup_id, checkout_id=checkout.checkout_id)


def request_of(clock, topup_id):
    return CheckoutRequest(
        topup_id=topup_id,
        amount=TEN,
        description="Credit",
        return_url=BACK,
        cancel_url=BILLING,
        customer_id="user-42",
        expires_at=clock.now() + timedelta(hours=1),
        key=f"key of {topup_id}",
    )


def prepared(provider, relay, clock, *, tag="", timeout_s=TIMEOUT_S):
    """Give each call of the port with a gateway of its own and something to do at the provider."""

    def gateway():
        made = provider.gateway(api_base=relay.url, timeout_s=timeout_s).bind("test", clock)
        made.check_credentials()  # the SDK is loaded and the client made: what is measured is the waiting
        return made

    free = gateway()
    unpaid, held, paid = (ref_of(free, clock, f"top_{name}{tag}") for name in ("unpaid", "held", "paid"))
    simulator = provider.simulator
    (simulator.approve if provider.name == "paypal" else simulator.authorise)(held.checkout_id)
    payment_id = provider.pay(paid.checkout_id)
    known = PaymentRef(topup_id=paid.topup_id, checkout_id=paid.checkout_id, payment_id=payment_id)
    made = free.refund(refund_of(known, f"ref_1{tag}", "1.00"))
    by_id = RefundRef(payment=known, refund_id=f"ref_1{tag}", gateway_refund_id=made.gateway_refund_id)
    period = clock.now() - timedelta(days=1), clock.now() + timedelta(days=1)
    calls = {
        "check_credentials": lambda g: g.check_credentials(),
        "create_checkout": lambda g: g.create_checkout(request_of(clock, f"top_new{tag}")),
        "fetch_payment": lambda g: g.fetch_payment(known),
        "capture": lambda g: g.capture(held, TEN, key=f"c{tag}"),
        "cancel": lambda g: g.cancel(unpaid),
        "refund": lambda g: g.refund(refund_of(known, f"ref_2{tag}", "2.00")),
        "fetch_refund": lambda g: g.fetch_refund(RefundRef(payment=known, refund_id=f"ref_1{tag}")),
        "refund_by_id": lambda g: g.fetch_refund(by_id),
        "refunds_of": lambda g: g.refunds_of(known),
        "disputes_of": lambda g: g.disputes_of(known),
        "list_payments": lambda g: g.list_payments(*period),
        "list_refunds": lambda g: g.list_refunds(*period),
        "list_disputes": lambda g: g.list_disputes(*period),
    }
    assert set(calls) == {*READS, *WRITES}
    return {name: (gateway(), call) for name, call in calls.items()}


def refund_of(ref, refund_id, amount):
    return RefundRequest(refund_id=refund_id, payment=ref, amount=Money.of(amount, "USD"), key=f"key-of-{refund_id}")


def at_once(calls):
    """Make all calls at the same time, and give for each what came of it and how long that took."""

    def timed(gateway, call):
        started = time.monotonic()
        try:
            outcome = call(gateway)
        except GatewayError as error:
            outcome = error
        return outcome, time.monotonic() - started

    with ThreadPoolExecutor(len(calls)) as threads:
        running = {name: threads.submit(timed, *call) for name, call in calls.items()}
        return {name: one.result() for name, one in running.items()}


def in_time(ended, timeout_s=TIMEOUT_S):
    return all(took < timeout_s + 1 for _, took in ended.values())


@SLOWLY
@EACH
def test_a_provider_that_never_answers_holds_no_call_up(provider, relay, clock, serve, request):
    calls = prepared(provider, relay, clock)
    relay.held_back, relay.serve = everything, serve
    ended = at_once(calls)
    assert in_time(ended), ended
    health, _ = ended.pop("check_credentials")
    assert not health.ok
    unknown = {name for name, (error, _) in ended.items() if error.outcome_unknown}
    assert unknown == BEGINS_WITH_A_WRITE[request.node.callspec.params["provider"]]
    assert all((error.retryable, error.code) == (True, "connection") for error, _ in ended.values())


@EACH
def test_a_write_that_is_never_answered_has_an_outcome_that_nobody_knows(provider, clock, request):
    written = WRITTEN[request.node.callspec.params["provider"]]
    with ExitStack() as running:
        relays = {serve.__name__: running.enter_context(relayed(provider.simulator)) for serve in SERVES}
        calls = {}
        for serve in SERVES:
            tag, relay = serve.__name__, relays[serve.__name__]
            # Time enough to look before it writes, also on a machine that is busy.
            prepared_here = prepared(provider, relay, clock, tag=tag, timeout_s=2 * TIMEOUT_S).items()
            calls |= {(name, tag): call for name, call in prepared_here if name in written}
            relay.held_back, relay.serve = writes, serve
        ended = at_once(calls)
        assert in_time(ended, 2 * TIMEOUT_S), ended
        assert {type(error) for error, _ in ended.values()} == {GatewayError}
        assert {(error.retryable, error.outcome_unknown) for error, _ in ended.values()} == {(True, True)}
        for relay in relays.values():
            assert {method for method, _ in relay.held} == {"POST"}
            relay.held_back = nothing
        for gateway, call in calls.values():
            call(gateway)  # the same again is carried out as soon as there is an answer


@pytest.mark.parametrize("provider", ["paypal"], indirect=True)
def test_what_waits_for_a_token_has_done_nothing(provider, relay, clock):
    calls = prepared(provider, relay, clock)
    fresh = {name: (provider.gateway(api_base=relay.url, timeout_s=TIMEOUT_S), calls[name][1]) for name in WRITES}
    relay.held_back = everything
    ended = at_once({name: (gateway.bind("test", clock), call) for name, (gateway, call) in fresh.items()})
    assert in_time(ended), ended
    assert {(error.retryable, error.outcome_unknown) for error, _ in ended.values()} == {(True, False)}
    assert {path for _, path in relay.held} == {"/v1/oauth2/token"}


@EACH
def test_a_webhook_is_verified_in_time_or_not_at_all(provider, relay, clock):
    gateway = provider.gateway(api_base=relay.url, timeout_s=TIMEOUT_S).bind("test", clock)
    ref = ref_of(gateway, clock, "top_told")
    headers, body = provider.webhook(ref.checkout_id, provider.pay(ref.checkout_id))
    headers = {name: value.replace(provider.simulator.url, relay.url) for name, value in headers.items()}
    relay.held_back = everything
    ended = at_once({"webhook": (gateway, lambda g: g.parse_webhook(headers, body))})
    assert in_time(ended), ended
    [(told, _)] = ended.values()
    if provider.name == "paypal":
        assert (told.retryable, told.outcome_unknown) == (True, False)
    else:
        assert (len(told), relay.held) == (1, [])


# Through the library


class Branch:
    """One process of the host: a relay, a gateway and a pool of connections of its own, on the books of all."""

    def __init__(self, running, provider, path, clock):
        self.relay = running.enter_context(relayed(provider.simulator))
        # Nine branches call at once: each has to have reached its relay before it gives up.
        gateway = provider.gateway(api_base=self.relay.url, timeout_s=4 * TIMEOUT_S)
        self.billing = a_billing(path, [gateway], clock, currencies=("USD",))
        running.callback(self.billing.close)
        self.ada = self.billing.customer("user-42")
        self.ops = self.billing.operator("alice", permissions=permissions.ALL)
        self.ops.gateways.status()  # the SDK is loaded
        self.open_connections = []
        self.relay.seen = lambda: self.open_connections.append(self.billing._database.engine.pool.checkedout())


@EACH
def test_no_transaction_is_open_while_a_provider_is_waited_for(provider, clock, tmp_path, request):
    simulator, since = provider.simulator, clock.now() - timedelta(hours=1)
    hold = simulator.approve if provider.name == "paypal" else simulator.authorise
    with ExitStack() as running:
        host = Branch(running, provider, tmp_path, clock)
        unpaid, given_up, other, held, paid = (start(host.billing, TEN, key=key) for key in "abcde")
        provider.pay(provider.checkout_id(paid))
        assert host.ada.topups.confirm(paid.id).state == "credited"
        provider.pay(provider.checkout_id(other), amount="9.00" if provider.name == "paypal" else 900)
        assert host.ada.topups.confirm(other.id).state == "review"
        hold(provider.checkout_id(held))

        asked = {
            "start": (everything, lambda b: start(b.billing, TEN, key="new")),
            "start, written": (writes, lambda b: start(b.billing, TEN, key="newer")),
            "confirm": (everything, lambda b: b.ada.topups.confirm(unpaid.id)),
            "capture": (writes, lambda b: b.ada.topups.confirm(held.id)),
            "cancel": (everything, lambda b: b.ada.topups.cancel(given_up.id)),
            "status": (everything, lambda b: b.ops.gateways.status()),
            "recheck": (everything, lambda b: b.ops.topups.recheck(unpaid.id)),
            "reconcile": (everything, lambda b: b.ops.reconcile(provider.name, since, clock.now())),
            "refund": (writes, lambda b: b.ops.topups.resolve(other.id, action="refund", reason="wrong", key="r")),
        }
        branches = {name: Branch(running, provider, tmp_path, clock) for name in asked}
        for name, (held_back, _) in asked.items():
            branches[name].relay.held_back = held_back
        ended = at_once({name: (branches[name], call) for name, (_, call) in asked.items()})

        for name, branch in branches.items():
            assert branch.relay.held, name
            assert set(branch.open_connections) == {0}, name
            assert len(branch.open_connections) == len(branch.relay.held)
        begins = BEGINS_WITH_A_WRITE[request.node.callspec.params["provider"]]
        assert ended["start"][0].outcome_unknown == ("create_checkout" in begins)
        assert ended["start, written"][0].outcome_unknown
        assert {host.ada.topups.get(one.id).state for one in (unpaid, held, given_up)} == {"pending"}
        assert host.ops.topups.facts(other.id).refunds[0].state in {"starting", "unknown"}

        assert host.ada.topups.confirm(held.id).state == "credited"
        assert {start(host.billing, TEN, key=key).state for key in ("new", "newer")} == {"pending"}
        clock.advance(minutes=5)
        host.billing.run_due("refunds")
        assert host.ops.topups.facts(other.id).refunds[0].state in {"pending", "succeeded"}
        assert len([one for one in provider.asked() if one[0] == "refund"]) >= 1
        assert host.billing.check().ok
