"""Stripe on a loopback port: Checkout Sessions, PaymentIntents, refunds, disputes, lists, keys, webhooks and faults.

Give `StripeSimulator.url` to ``StripeGateway(api_base=...)`` and play the
customer with `StripeSimulator.pay` and its like, which take the id of a session
or of a PaymentIntent. Amounts are whole numbers in Stripe's units, as on the
wire. ``StripeIdentity(api_base=...)`` is served too: see `VerificationServer`.

Sources: https://docs.stripe.com/api (requests and their parameters),
https://docs.stripe.com/api/errors, https://docs.stripe.com/api/pagination,
https://docs.stripe.com/api/expanding_objects,
https://docs.stripe.com/api/idempotent_requests (what is stored under a key, and
that a stored failure is replayed), https://docs.stripe.com/rate-limits,
https://docs.stripe.com/webhooks (signature, duplicates, order).
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from attrs import evolve, frozen

from ...core.instants import to_micros
from ...ports import Clock, IdSource
from ...system import RandomIds, SystemClock
from .loopback import FAULTS, Answer, Fault, Request, rewriting
from .stripe_account import CANCELABLE, StripeAccount
from .stripe_checks import (
    INTENT_PARAMETERS,
    KEY_KEPT_S,
    LIST_PARAMETERS,
    REFUND_PARAMETERS,
    SESSION_PARAMETERS,
    Refused,
    check_intent,
    check_known,
    check_session,
    whole_number,
)
from .stripe_identity import VerificationServer
from .stripe_objects import Object, new_balance, refusal

TEST_KEY: Final = "sk_test_simulated"
MAX_LISTED: Final = 100

_PAYMENT: Final = "payment_intent.latest_charge.balance_transaction"
_EXPANDABLE: Final = frozenset({"charge", "payment_intent", "latest_charge", "balance_transaction"})
_SERVER_ERROR: Final = 500
_WAIT_S: Final = 7

_STORED_FAILURE: Final = Fault(spoil=lambda answer: answer)  # what fails is the carrying out

Webhook = tuple[dict[str, str], bytes]
"""Headers with names in lower case, and the raw body."""


@frozen
class _Stored:
    """What an idempotency key remembers."""

    content: tuple[str, str, bytes]
    answer: Answer
    at: int


def _add_to_amounts(node: Any, extra: int) -> None:
    if isinstance(node, dict):
        for name, child in node.items():
            if name in {"amount", "amount_total", "amount_received", "amount_captured"} and isinstance(child, int):
                node[name] = child + extra
            _add_to_amounts(child, extra)
    elif isinstance(node, list):
        for child in node:
            _add_to_amounts(child, extra)


def _misname(content: Any) -> None:
    for named in content.get("data", [content])[:1]:
        if "id" in named:  # a refusal has none
            named["id"] = named["id"][:-4] + "zzzz"


def _flip_mode(node: Any) -> None:
    if isinstance(node, dict):
        for child in node.values():
            _flip_mode(child)
        if "livemode" in node:
            node["livemode"] = not node["livemode"]
    elif isinstance(node, list):
        for child in node:
            _flip_mode(child)


class StripeSimulator(VerificationServer):
    """Stripe's API for one account, as far as payments, refunds, disputes and identities need it.

    Faults of `fault_next` beside the general ones: ``429``; ``500`` (nothing is
    done, and the failure is stored under the request's key and replayed, as
    Stripe does); ``wrong-id``, ``wrong-amount`` and ``wrong-mode`` (the answer
    speaks of another object, sum or mode).
    """

    faults: Mapping[str, Fault] = {
        **FAULTS,
        "429": Fault(
            spoil=lambda answer: Answer.of_json(
                refusal("Too many requests.", code="rate_limit"), status=429, headers={"Retry-After": str(_WAIT_S)}
            ),
            executed=False,
        ),
        "500": _STORED_FAILURE,
        "wrong-id": rewriting(_misname),
        "wrong-amount": rewriting(lambda content: _add_to_amounts(content, 1)),
        "wrong-mode": rewriting(_flip_mode),
    }

    def __init__(self, *, secret_key: str = TEST_KEY, clock: Clock | None = None, ids: IdSource | None = None) -> None:
        """Set up an account without any payment.

        Args:
            secret_key: The key it accepts; its prefix tells the mode.
            clock: For expiry and times; the machine's by default.
            ids: Random by default.
        """
        super().__init__()
        clock = clock or SystemClock()
        self._secret_key = secret_key
        self._account = StripeAccount(livemode="_live_" in secret_key, clock=clock, ids=ids or RandomIds(clock))
        self._stored: dict[str, _Stored] = {}
        self._fails = False
        self._slow_refunds = 0

    # What the customer and the bank do.

    def pay(
        self,
        checkout_id: str,
        *,
        amount: int | None = None,
        currency: str | None = None,
        livemode: bool | None = None,
        method: str = "card",
    ) -> str:
        """Pay an open checkout; ``amount``, ``currency`` and ``livemode`` make Stripe report something else.

        Returns:
            The id of the PaymentIntent.
        """
        with self.lock:
            checkout = self._account.checkout(checkout_id, status="open")
            sum_of = "amount_total" if checkout["object"] == "checkout.session" else "amount"
            lies = {sum_of: amount, "currency": currency, "livemode": livemode}
            checkout |= {name: lie for name, lie in lies.items() if lie is not None}
            intent = self._account.reserve(checkout, method)
            self._account.capture(intent, intent["amount"])
            self._account.complete(checkout)
            return str(intent["id"])

    def book_later(self) -> None:
        """Let what is captured from now on have no entry in our balance, and so no fee, before `book_charges`."""
        self._account.books_later = True

    def book_charges(self) -> None:
        """Make the entries that are missing, and tell of each charge."""
        with self.lock:
            self._account.book_charges()

    def decline(self, checkout_id: str, *, code: str = "insufficient_funds") -> None:
        """Let the customer's card be declined; the checkout stays open for another."""
        with self.lock:
            checkout = self._account.checkout(checkout_id, status="open")
            self._account.decline(self._account.intent_of(checkout), code)

    def challenge(self, checkout_id: str) -> None:
        """Let the customer's bank ask a question, which the customer has not answered yet."""
        with self.lock:
            checkout = self._account.checkout(checkout_id, status="open")
            self._account.challenge(self._account.intent_of(checkout))

    def complete_later(self, checkout_id: str, *, method: str = "sepa_debit", waits_for_customer: bool = False) -> None:
        """Complete a checkout with a method whose money comes in days; then `succeed` or `fail`.

        Args:
            checkout_id: An open checkout.
            method: Payment method.
            waits_for_customer: It is a voucher that is still to be paid in.
        """
        with self.lock:
            checkout = self._account.checkout(checkout_id, status="open")
            checkout["payment_method_types"] = [method]
            self._account.wait(self._account.intent_of(checkout), voucher=waits_for_customer)
            self._account.complete(checkout)

    def succeed(self, checkout_id: str) -> str:
        """Let the money of a checkout completed earlier come in; give the id of the PaymentIntent."""
        with self.lock:
            checkout = self._account.checkout(checkout_id, status="complete")
            intent = self._account.reserve(checkout, checkout["payment_method_types"][0])
            self._account.capture(intent, intent["amount"])
            self._tell_later(checkout, "succeeded")
            return str(intent["id"])

    def fail(self, checkout_id: str, *, code: str = "debit_not_authorized") -> None:
        """Let the money of a checkout completed earlier never come."""
        with self.lock:
            checkout = self._account.checkout(checkout_id, status="complete")
            self._account.decline(self._account.intent_of(checkout), code)
            self._tell_later(checkout, "failed")

    def _tell_later(self, checkout: Object, outcome: str) -> None:
        if checkout["object"] == "checkout.session":
            self._account.tell(f"checkout.session.async_payment_{outcome}", checkout)

    def authorise(self, checkout_id: str) -> None:
        """Complete a checkout whose money is reserved but not taken."""
        with self.lock:
            checkout = self._account.checkout(checkout_id, status="open")
            self._account.reserve(checkout, "card")
            self._account.complete(checkout)

    def cancel_payment(self, checkout_id: str) -> None:
        """Cancel the PaymentIntent, as can be done in Stripe's dashboard."""
        with self.lock:
            self._account.cancel(self._account.intent_of(self._account.checkout(checkout_id)), "abandoned")

    def expire(self, session_id: str) -> None:
        """Let an open session lapse."""
        with self.lock:
            self._account.expire(self._account.checkout(session_id, status="open"))

    def refund(self, checkout_id: str, amount: int, *, status: str = "succeeded") -> str:
        """Give money of a paid checkout back, as can be done in Stripe's dashboard; give the refund's id."""
        with self.lock:
            intent = self._account.intent_of(self._account.checkout(checkout_id))
            return str(self._account.refund(intent, {"amount": str(amount)}, status=status)["id"])

    def pend_next_refund(self) -> None:
        """Let the next refund that is asked for be pending; then `settle_refund`."""
        with self.lock:
            self._slow_refunds += 1

    def settle_refund(self, refund_id: str, status: str, *, reason: str | None = None) -> None:
        """Let a refund go on to ``succeeded``, ``failed``, ``canceled`` or ``requires_action``, also later."""
        with self.lock:
            self._account.settle_refund(self._account.objects[refund_id], status, reason)

    def dispute(
        self,
        checkout_id: str,
        *,
        amount: int | None = None,
        status: str = "needs_response",
        reason: str = "fraudulent",
    ) -> str:
        """Let the customer's bank dispute a paid checkout; one that begins with ``warning_`` takes no money."""
        with self.lock:
            charge = self._account.charge_of(self._account.checkout(checkout_id))
            number = charge["amount_captured"] if amount is None else amount
            return str(self._account.dispute(charge, number=number, status=status, reason=reason)["id"])

    def advance_dispute(self, dispute_id: str, status: str, *, returns_fee: bool = False) -> None:
        """Take a dispute to another status; ``won`` gives back what it took, and its fee if it ``returns_fee``."""
        with self.lock:
            self._account.advance(self._account.objects[dispute_id], status, returns_fee=returns_fee)

    # What Stripe tells.

    def webhook(self, event_type: str, object_id: str, *, secret: str, at: datetime) -> Webhook:
        """Make a signed webhook about an object, or about that one of a checkout that ``event_type`` names.

        Returns:
            Headers and body: deliver them any number of times.
        """
        with self.lock:
            event = self._account.tell(event_type, self._subject(event_type, self._account.objects[object_id]))
        return _signed({**event, "created": _second(at)}, secret, at)

    def webhooks(
        self, *, secret: str, at: datetime, after: int = 0, copies: int = 1, newest_first: bool = False
    ) -> list[Webhook]:
        """Sign all that Stripe had to tell, each with the id that it keeps over all its deliveries.

        Args:
            secret: Of the endpoint.
            at: When it is delivered, which may be days later.
            after: How many to leave out, from the first on.
            copies: How often each is delivered.
            newest_first: In the opposite order.
        """
        with self.lock:
            events = [event for event in self._account.events[after:] for _ in range(copies)]
        return [_signed(event, secret, at) for event in (reversed(events) if newest_first else events)]

    def session(self, session_id: str) -> Object:
        """Give a copy of a session or PaymentIntent as it is now, with everything expanded."""
        with self.lock:
            self._account.lapse()
            found = self._account.checkout(session_id)
            is_session = found["object"] == "checkout.session"
            return self._expanded(found, [_PAYMENT if is_session else _PAYMENT.partition(".")[2]])

    def sessions(self) -> list[Object]:
        """Give copies of all sessions, the oldest first."""
        return self.all_of("checkout.session")

    def all_of(self, kind: str) -> list[Object]:
        """Give copies of all objects of a kind, such as ``refund``, the oldest first."""
        with self.lock:
            self._account.lapse()
            return copy.deepcopy(self._account.all_of(kind))

    # What comes in over the wire.

    def _due(self, request: Request) -> Fault | None:
        fault = super()._due(request)
        self._fails = fault is _STORED_FAILURE
        return fault

    def answer(self, request: Request) -> Answer:
        """Carry a request out as Stripe would."""
        self._account.lapse()
        try:
            self._check_key(request)
            answer = self._once(request) if request.method == "POST" else self._run(request)
        except Refused as refused:
            answer = refused.answer
        request_id = self._account.new_id("req").replace("_", "_sim", 1)
        return evolve(answer, headers={**answer.headers, "Request-Id": request_id})

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._secret_key.encode()):
            raise Refused(401, refusal("Invalid API Key provided."))

    def _once(self, request: Request) -> Answer:
        key = request.headers.get("idempotency-key")
        if key is None:
            return self._run(request)
        content = (request.method, request.path, request.body)
        stored, now = self._stored.get(key), self._account.now()
        if stored is None or now - stored.at >= KEY_KEPT_S:
            answer = self._run(request)  # a refusal is raised, and so never stored
            self._stored[key] = _Stored(content, answer, now)
            return answer
        if stored.content != content:
            raise Refused(400, refusal("The key was first used with other parameters.", kind="idempotency_error"))
        return evolve(stored.answer, headers={"Idempotent-Replayed": "true"})

    def _run(self, request: Request) -> Answer:
        if self._fails:
            return Answer.of_json(refusal("Something went wrong.", kind="api_error"), status=_SERVER_ERROR)
        for method, pattern, run in self._routes():
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return self._carry_out(run, request, match.groups())
        raise Refused(404, refusal(f"Unrecognized request URL ({request.method}: {request.path})."))

    def _carry_out(self, run: Callable[..., Object], request: Request, names: tuple[str, ...]) -> Answer:
        try:
            params = request.form() if request.method == "POST" else dict(request.query)
            return Answer.of_json(self._expanded(run(params, *names), params.get("expand", [])))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise Refused(400, refusal("A parameter has the wrong form.")) from None

    def _routes(self) -> Iterable[tuple[str, str, Callable[..., Object]]]:
        kinds = {
            "/v1/checkout/sessions": "checkout.session",
            "/v1/payment_intents": "payment_intent",
            "/v1/refunds": "refund",
            "/v1/disputes": "dispute",
        }
        for path, kind in kinds.items():
            yield "GET", path, lambda params, path=path, kind=kind: self._page(params, kind, path)
            yield "GET", f"{path}/([^/]+)", lambda params, name, kind=kind: self._account.found(kind, name)
        yield "POST", "/v1/checkout/sessions", self._create_session
        yield "POST", "/v1/checkout/sessions/([^/]+)/expire", self._expire
        yield "POST", "/v1/payment_intents", self._create_intent
        yield "POST", "/v1/payment_intents/([^/]+)/cancel", self._cancel
        yield "POST", "/v1/payment_intents/([^/]+)/capture", self._capture
        yield "POST", "/v1/refunds", self._create_refund
        yield from self._verification_routes()
        yield "GET", "/v1/balance", lambda params: new_balance(livemode=self._account.livemode)

    def _create_session(self, params: Object) -> Object:
        check_known(params, SESSION_PARAMETERS)
        check_session(params, now=self._account.now())
        return self._account.add_session(params, base_url=self.url)

    def _expire(self, params: Object, session_id: str) -> Object:
        session = self._account.found("checkout.session", session_id)
        if session["status"] != "open":
            raise Refused(400, refusal("Only Checkout Sessions that are open can be expired."))
        self._account.expire(session)
        return session

    def _create_intent(self, params: Object) -> Object:
        check_known(params, INTENT_PARAMETERS)
        check_intent(params)
        return self._account.add_intent(params)

    def _cancel(self, params: Object, intent_id: str) -> Object:
        check_known(params, frozenset({"cancellation_reason", "expand"}))
        intent = self._account.found("payment_intent", intent_id)
        if intent["status"] not in CANCELABLE or self._account.session_of(intent) is not None:
            raise Refused(400, refusal("It cannot be canceled now.", code="payment_intent_unexpected_state"))
        self._account.cancel(intent, params.get("cancellation_reason"))
        return intent

    def _capture(self, params: Object, intent_id: str) -> Object:
        check_known(params, frozenset({"amount_to_capture", "expand"}))
        intent = self._account.found("payment_intent", intent_id)
        if intent["status"] != "requires_capture":
            raise Refused(400, refusal("It cannot be captured now.", code="payment_intent_unexpected_state"))
        waiting = intent["amount_capturable"]
        number = whole_number(params.get("amount_to_capture", str(waiting)), param="amount_to_capture")
        if number > waiting:
            raise Refused(400, refusal("More than was authorised.", code="amount_too_large", param="amount_to_capture"))
        self._account.capture(intent, number)
        return intent

    def _create_refund(self, params: Object) -> Object:
        check_known(params, REFUND_PARAMETERS)
        charge = self._account.found("charge", params["charge"]) if "charge" in params else {}
        intent = self._account.found("payment_intent", charge.get("payment_intent") or params["payment_intent"])
        refund = self._account.refund(intent, params, status="pending" if self._slow_refunds else "succeeded")
        self._slow_refunds = max(0, self._slow_refunds - 1)
        return refund

    def _page(self, params: Object, kind: str, path: str) -> Object:
        check_known(params, LIST_PARAMETERS)
        limit = whole_number(params.get("limit", "10"), param="limit")
        if limit > MAX_LISTED:
            raise Refused(400, refusal("Invalid limit.", code="parameter_invalid_integer", param="limit"))
        newest_first = [found for found in self._account.all_of(kind)[::-1] if _is_asked_for(found, params)]
        after, start = params.get("starting_after"), 0
        if after is not None:
            start = newest_first.index(self._account.found(kind, after)) + 1
        shown = newest_first[start : start + limit]
        return {"object": "list", "data": shown, "has_more": start + limit < len(newest_first), "url": path}

    def _subject(self, event_type: str, about: Object) -> Object:
        if not {"checkout.session", "payment_intent"} & {about["object"]}:
            return about
        if event_type.startswith("checkout.session."):
            return about
        if event_type.startswith("payment_intent."):
            return self._account.intent_of(about)
        return self._account.charge_of(about)

    def _expanded(self, found: Object, paths: Iterable[str]) -> Object:
        shown = copy.deepcopy(found)
        deeper: defaultdict[str, list[str]] = defaultdict(list)
        for path in paths:
            name, _, rest = path.partition(".")
            deeper[name] += [rest] if rest else []
        for name, rests in deeper.items():
            if name == "data" and shown["object"] == "list":
                shown["data"] = [self._expanded(item, rests) for item in shown["data"]]
            elif name not in _EXPANDABLE or name not in shown:
                raise Refused(400, refusal(f"This property cannot be expanded ({name}).", param="expand"))
            elif shown[name] is not None:
                shown[name] = self._expanded(self._account.objects[shown[name]], rests)
        return shown


def _is_asked_for(found: Object, params: Object) -> bool:
    created = params.get("created", {})
    bounds = created if isinstance(created, dict) else {"gte": created, "lte": created}
    holds = {
        "gt": lambda bound: found["created"] > bound,
        "gte": lambda bound: found["created"] >= bound,
        "lt": lambda bound: found["created"] < bound,
        "lte": lambda bound: found["created"] <= bound,
    }
    if not all(holds[name](int(bound)) for name, bound in bounds.items()):
        return False
    return params.get("payment_intent") in {None, found.get("payment_intent")}


def _second(at: datetime) -> int:
    return to_micros(at) // 1_000_000


def _signed(event: Object, secret: str, at: datetime) -> Webhook:
    second, body = _second(at), json.dumps(event, separators=(",", ":")).encode()
    digest = hmac.new(secret.encode(), b"%d.%s" % (second, body), hashlib.sha256).hexdigest()
    return {"content-type": "application/json", "stripe-signature": f"t={second},v1={digest}"}, body
