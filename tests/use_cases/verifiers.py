"""Identity providers that do as they are told, and the steps that stories of verification begin with."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import attrs

from prepaid import GatewayError, IdentityPolicy, WebhookRejected
from prepaid.identity_ports import IdentityEvent, IdentityResult, IdentitySession
from tests.use_cases.steps import ADA, checkout_of, eur, operator, start

RETURN = "https://panel.example/verified"
SECRET = "idsec_never_to_be_shown"
UNTIL_100 = IdentityPolicy(above=eur("100.00"))
FIRST = IdentityPolicy(before_first_topup=True)

_numbers = itertools.count(1)


class Verifier:
    """Verifies whom it is told to; its memory is a file, so that several processes share it.

    Attributes:
        lies: Fields of the next results that are replaced.
        asked: What was called.
        down: What is raised instead of an answer, by method.
        lost: Methods whose answer gets lost once after they did their work.
    """

    def __init__(self, state, *, name="verifier", level=1):
        self._state, self._name, self._level = Path(state), name, level
        self.mode = None
        self.lies, self.asked, self.down, self.lost, self.meanwhile = {}, [], {}, set(), []

    name = property(lambda self: self._name)
    label = property(lambda self: "A verifier")
    level = property(lambda self: self._level)

    def bind(self, mode, clock):
        self.mode = mode
        return self

    def _sessions(self):
        return json.loads(self._state.read_text()) if self._state.exists() else {}

    def _keep(self, sessions):
        self._state.write_text(json.dumps(sessions))

    def _answer(self, method, answer):
        if method in self.lost:
            self.lost.discard(method)
            raise GatewayError("The answer was lost.", retryable=True, outcome_unknown=True)
        for act in [self.meanwhile.pop() for _ in range(len(self.meanwhile))]:
            act()
        return answer

    def _call(self, method):
        self.asked.append(method)
        if method in self.down:
            raise self.down[method]

    def begin(self, request):
        self._call("begin")
        sessions = self._sessions()
        reference = "vs_" + hashlib.sha256(request.key.encode()).hexdigest()[:12]
        known = attrs.asdict(request)
        kept = sessions.setdefault(reference, {"request": known, "state": "pending", "reason": ""})
        if kept["request"] != known:
            raise GatewayError("The key was used for something else.", code="idempotency")
        self._keep(sessions)
        return self._answer("begin", IdentitySession(reference=reference, redirect_url=f"https://verify/{reference}"))

    def resume(self, reference):
        self._call("resume")
        self._result(reference)
        return self._answer("resume", IdentitySession(reference=reference, redirect_url=f"https://verify/{reference}"))

    def fetch(self, reference):
        self._call("fetch")
        return self._answer("fetch", self._result(reference))

    def cancel(self, reference):
        self._call("cancel")
        if self._sessions()[reference]["state"] == "pending":
            self.set(reference, "canceled")
        return self._answer("cancel", self._result(reference))

    def _result(self, reference):
        kept = self._sessions().get(reference)
        if kept is None:
            raise GatewayError("There is none.", code="not-found")
        request = kept["request"]
        result = IdentityResult(
            reference=reference,
            case_id=request["case_id"],
            customer_id=request["customer_id"],
            mode=self.mode,
            state=kept["state"],
            reason=kept["reason"],
        )
        return attrs.evolve(result, **self.lies)

    def parse_webhook(self, headers, body):
        if headers.get("verifier-signature") != hashlib.sha256(SECRET.encode() + body).hexdigest():
            raise WebhookRejected("The signature is not ours.")
        told = json.loads(body)
        if told["mode"] != self.mode:
            raise WebhookRejected("Of the other mode.", reason="wrong-mode")
        return [IdentityEvent(event_id=told["id"], reference=told["reference"])]

    # The customer's side

    def set(self, reference, state, reason=""):
        sessions = self._sessions()
        sessions[reference] |= {"state": state, "reason": reason}
        self._keep(sessions)

    def references(self):
        return list(self._sessions())


class Manual(Verifier):
    """A provider whose cases an operator decides."""

    decided_by_operator = True

    def begin(self, request):
        self._call("begin")
        return IdentitySession(reference=request.case_id)

    def resume(self, reference):
        return IdentitySession(reference=reference)


def webhook(reference, *, id="evt_1", mode="test", secret=SECRET):
    """Give headers and body of a webhook that tells to look at a session."""
    body = json.dumps({"id": id, "reference": reference, "mode": mode}).encode()
    return {"Verifier-Signature": hashlib.sha256(secret.encode() + body).hexdigest()}, body


def hear(billing, reference, *, to="verifier", **how):
    headers, body = webhook(reference, **how)
    return billing.webhooks.receive(to, body=body, headers=headers)


def ask(billing, *policies):
    """Set the policies of a book."""
    operator(billing).identity.policy(*policies)


def begin(billing, customer=ADA):
    return billing.customer(customer).identity.start(return_url=RETURN)


def verify(billing, verifier, customer=ADA):
    """Be verified, the whole way: started, done at the provider, told by its webhook."""
    case = begin(billing, customer)
    verifier.set(case.reference, "verified")
    hear(billing, case.reference)
    return case


def approve(billing, customer=ADA, **options):
    return operator(billing).identity.approve(customer, reason="seen in person", **options)


def paid(billing, gateway, amount="50.00", **options):
    """Start and pay a top-up that nobody was told of."""
    topup = start(billing, amount, **options)
    gateway.pay(checkout_of(topup))
    return topup


def settle(billing, topup):
    return billing.customer(topup.customer).topups.confirm(topup.id)


def held(billing, gateway, amount="50.00", **options):
    """Start a top-up that is paid after a policy came that holds it back."""
    topup = paid(billing, gateway, amount, **options)
    ask(billing, FIRST)
    waiting = settle(billing, topup)
    assert (waiting.state, waiting.failure) == ("review", "identity-required")
    return waiting
