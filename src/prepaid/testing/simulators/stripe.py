"""Stripe on a loopback port: Checkout Sessions, their payments, idempotency keys, webhooks and faults.

Give `StripeSimulator.url` to ``StripeGateway(api_base=...)`` and play the
customer with `StripeSimulator.pay` and its like. Amounts are whole numbers in
Stripe's units, as on the wire.

Sources: https://docs.stripe.com/api/checkout/sessions,
https://docs.stripe.com/api/errors, https://docs.stripe.com/api/idempotent_requests
(what is stored under a key, and that a stored failure is replayed),
https://docs.stripe.com/currencies (which amounts are refused),
https://docs.stripe.com/webhooks (signature).
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
from .loopback import FAULTS, Answer, Fault, LoopbackServer, Request, rewriting
from .stripe_objects import (
    Object,
    new_balance,
    new_balance_transaction,
    new_charge,
    new_event,
    new_intent,
    new_session,
    refusal,
)

TEST_KEY: Final = "sk_test_simulated"
KEY_KEPT_S: Final = 86_400
MAX_NUMBER: Final = 99_999_999

_EXPANDABLE: Final = frozenset({"payment_intent", "latest_charge", "balance_transaction"})
_PARAMETERS: Final = frozenset(
    "adaptive_pricing.enabled cancel_url client_reference_id customer_email expand expires_at line_items.quantity "
    "line_items.price_data.currency line_items.price_data.unit_amount line_items.price_data.product_data.name locale "
    "metadata.* mode payment_intent_data.metadata.* submit_type success_url".split()
)
_SPECIAL_STEPS: Final = {"isk": 100, "ugx": 100} | dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 10)
_LEAST: Final = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "huf": 17_500}
_SERVER_ERROR: Final = 500


@frozen
class _Stored:
    """What an idempotency key remembers."""

    content: tuple[str, str, bytes]
    answer: Answer
    at: int


class _Refused(Exception):
    """A request that Stripe refuses, with the answer it gives."""

    def __init__(self, status: int, body: Object) -> None:
        super().__init__(status)
        self.answer = Answer.of_json(body, status=status)


def _add_to_amounts(node: Any, extra: int) -> None:
    if isinstance(node, dict):
        for name, child in node.items():
            if name in {"amount", "amount_total", "amount_received", "amount_captured"} and isinstance(child, int):
                node[name] = child + extra
            _add_to_amounts(child, extra)


def _flip_mode(node: Any) -> None:
    if isinstance(node, dict):
        for child in node.values():
            _flip_mode(child)
        if "livemode" in node:
            node["livemode"] = not node["livemode"]


class StripeSimulator(LoopbackServer):
    """Stripe's API for one account, as far as payments by Checkout need it.

    Faults of `fault_next` beside the general ones: ``429``; ``500`` (nothing is
    done, and the failure is stored under the request's key and replayed, as
    Stripe does); ``wrong-id``, ``wrong-amount`` and ``wrong-mode`` (the answer
    speaks of another object, sum or mode).
    """

    faults: Mapping[str, Fault] = {
        **FAULTS,
        "429": Fault(
            spoil=lambda answer: Answer.of_json(refusal("Too many requests.", code="rate_limit"), status=429),
            executed=False,
        ),
        "wrong-id": rewriting(lambda content: content.update(id=content["id"][:-4] + "zzzz")),
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
        self._secret_key = secret_key
        self._livemode = "_live_" in secret_key
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds(self._clock)
        self._objects: dict[str, Object] = {}
        self._intent_metadata: dict[str, Object] = {}
        self._stored: dict[str, _Stored] = {}
        self._failures = 0

    # What the customer and the bank do.

    def pay(
        self,
        session_id: str,
        *,
        amount: int | None = None,
        currency: str | None = None,
        livemode: bool | None = None,
        method: str = "card",
    ) -> str:
        """Pay an open session; ``amount``, ``currency`` and ``livemode`` make Stripe report something else.

        Returns:
            The id of the PaymentIntent.
        """
        with self.lock:
            session = self._session(session_id, status="open")
            lies = {"amount_total": amount, "currency": currency, "livemode": livemode}
            session |= {name: lie for name, lie in lies.items() if lie is not None}
            return self._succeed(session, method)

    def decline(self, session_id: str, *, code: str = "insufficient_funds") -> None:
        """Let the customer's card be declined; the session stays open for another."""
        with self.lock:
            intent = self._intent(self._session(session_id, status="open"))
            intent["status"] = "requires_payment_method"
            intent["last_payment_error"] = _declined(code)

    def complete_later(self, session_id: str, *, method: str = "sepa_debit", waits_for_customer: bool = False) -> None:
        """Complete a session with a method whose money comes in days; then `succeed` or `fail`.

        Args:
            session_id: An open session.
            method: Payment method.
            waits_for_customer: It is a voucher that is still to be paid in.
        """
        with self.lock:
            session = self._session(session_id, status="open")
            session |= {"status": "complete", "url": None, "payment_method_types": [method]}
            self._intent(session)["status"] = "requires_action" if waits_for_customer else "processing"

    def succeed(self, session_id: str) -> str:
        """Let the money of a session completed earlier come in; give the id of the PaymentIntent."""
        with self.lock:
            session = self._session(session_id, status="complete")
            return self._succeed(session, session["payment_method_types"][0])

    def fail(self, session_id: str, *, code: str = "debit_not_authorized") -> None:
        """Let the money of a session completed earlier never come."""
        with self.lock:
            intent = self._intent(self._session(session_id, status="complete"))
            intent["status"] = "requires_payment_method"
            intent["last_payment_error"] = _declined(code)

    def authorise(self, session_id: str) -> None:
        """Complete a session whose money is reserved but not taken."""
        with self.lock:
            session = self._session(session_id, status="open")
            session |= {"status": "complete", "url": None}
            intent = self._intent(session)
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}

    def cancel_payment(self, session_id: str) -> None:
        """Cancel the PaymentIntent, as can be done in Stripe's dashboard."""
        with self.lock:
            intent = self._intent(self._session(session_id))
            intent |= {"status": "canceled", "canceled_at": self._now(), "cancellation_reason": "abandoned"}

    def expire(self, session_id: str) -> None:
        """Let an open session lapse."""
        with self.lock:
            self._session(session_id, status="open").update(status="expired", url=None)

    def refund(self, session_id: str, amount: int) -> None:
        """Give money of a paid session back, as can be done in Stripe's dashboard."""
        with self.lock:
            charge = self._charge(session_id)
            charge["amount_refunded"] += amount
            charge["refunded"] = charge["amount_refunded"] == charge["amount"]

    def dispute(self, session_id: str) -> None:
        """Let the customer's bank dispute a paid session."""
        with self.lock:
            self._charge(session_id)["disputed"] = True

    def webhook(self, event_type: str, session_id: str, *, secret: str, at: datetime) -> tuple[dict[str, str], bytes]:
        """Make a signed webhook about a session, its PaymentIntent or its charge, as ``event_type`` says.

        Returns:
            Headers with names in lower case, and the raw body: deliver them
            any number of times.
        """
        with self.lock:
            subject = self._subject(event_type, self._session(session_id))
            second = to_micros(at) // 1_000_000
            event = new_event(subject, event_id=self._new("evt"), event_type=event_type, created=second)
            body = json.dumps(event, separators=(",", ":")).encode()
        digest = hmac.new(secret.encode(), b"%d.%s" % (second, body), hashlib.sha256).hexdigest()
        return {"content-type": "application/json", "stripe-signature": f"t={second},v1={digest}"}, body

    def session(self, session_id: str) -> Object:
        """Give a copy of a session as it is now, with everything expanded."""
        with self.lock:
            self._lapse()
            return self._expanded(self._session(session_id), ["payment_intent.latest_charge.balance_transaction"])

    def sessions(self) -> list[Object]:
        """Give copies of all sessions, the oldest first."""
        with self.lock:
            self._lapse()
            return copy.deepcopy(self._all_sessions())

    def fault_next(self, fault: str | Fault, *, times: int = 1) -> None:
        """Let the next ``times`` requests go wrong; see the class for names.

        Raises:
            KeyError: There is no fault of that name.
        """
        if fault != "500":
            return super().fault_next(fault, times=times)
        with self.lock:
            self._failures += times
        return None

    # What comes in over the wire.

    def answer(self, request: Request) -> Answer:
        """Carry a request out as Stripe would."""
        self._lapse()
        try:
            self._check_key(request)
            answer = self._once(request) if request.method == "POST" else self._run(request)
        except _Refused as refused:
            answer = refused.answer
        return evolve(answer, headers={**answer.headers, "Request-Id": self._new("req").replace("_", "_sim", 1)})

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._secret_key.encode()):
            raise _Refused(401, refusal("Invalid API Key provided."))

    def _once(self, request: Request) -> Answer:
        key = request.headers.get("idempotency-key")
        if key is None:
            return self._run(request)
        content = (request.method, request.path, request.body)
        stored = self._stored.get(key)
        if stored is None or self._now() - stored.at >= KEY_KEPT_S:
            answer = self._run(request)  # a refusal is raised, and so never stored
            self._stored[key] = _Stored(content, answer, self._now())
            return answer
        if stored.content != content:
            raise _Refused(400, refusal("The key was first used with other parameters.", kind="idempotency_error"))
        return evolve(stored.answer, headers={"Idempotent-Replayed": "true"})

    def _run(self, request: Request) -> Answer:
        if self._failures:
            self._failures -= 1
            return Answer.of_json(refusal("Something went wrong.", kind="api_error"), status=_SERVER_ERROR)
        for method, pattern, run in self._routes():
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return self._carry_out(run, request, match.groups())
        raise _Refused(404, refusal(f"Unrecognized request URL ({request.method}: {request.path})."))

    def _carry_out(self, run: Callable[..., Object], request: Request, names: tuple[str, ...]) -> Answer:
        try:
            params = request.form() if request.method == "POST" else dict(request.query)
            return Answer.of_json(self._expanded(run(params, *names), params.get("expand", [])))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise _Refused(400, refusal("A parameter has the wrong form.")) from None

    def _routes(self) -> Iterable[tuple[str, str, Callable[..., Object]]]:
        sessions = "/v1/checkout/sessions"
        return (
            ("POST", sessions, self._create),
            ("GET", sessions, self._list),
            ("GET", rf"{sessions}/([^/]+)", lambda params, name: self._found("checkout.session", name)),
            ("POST", rf"{sessions}/([^/]+)/expire", self._expire),
            ("GET", "/v1/payment_intents/([^/]+)", lambda params, name: self._found("payment_intent", name)),
            ("GET", "/v1/balance", lambda params: new_balance(livemode=self._livemode)),
        )

    def _create(self, params: Object) -> Object:
        _check_known(params)
        _check_payable(params, now=self._now())
        session_id = self._new("cs_live" if self._livemode else "cs_test")
        session = new_session(
            params,
            session_id=session_id,
            url=f"{self.url}/c/pay/{session_id}",
            livemode=self._livemode,
            created=self._now(),
        )
        self._objects[session_id] = session
        self._intent_metadata[session_id] = params.get("payment_intent_data", {}).get("metadata", {})
        return session

    def _list(self, params: Object) -> Object:
        newest_first = self._all_sessions()[::-1]
        ids = [session["id"] for session in newest_first]
        after = params.get("starting_after")
        start = ids.index(after) + 1 if after in ids else 0
        end = start + int(params.get("limit", 10))
        return {
            "object": "list",
            "data": newest_first[start:end],
            "has_more": end < len(ids),
            "url": "/v1/checkout/sessions",
        }

    def _expire(self, params: Object, session_id: str) -> Object:
        session = self._found("checkout.session", session_id)
        if session["status"] != "open":
            raise _Refused(400, refusal("Only Checkout Sessions that are open can be expired."))
        session |= {"status": "expired", "url": None}
        return session

    # What is kept.

    def _succeed(self, session: Object, method: str) -> str:
        intent, now = self._intent(session), self._now()
        intent |= {"amount": session["amount_total"], "currency": session["currency"]}
        intent |= {"livemode": session["livemode"], "last_payment_error": None}
        charge = new_charge(intent, charge_id=self._new("ch"), method=method, created=now)
        settled = new_balance_transaction(charge, transaction_id=self._new("txn"), created=now)
        charge["balance_transaction"] = settled["id"]
        self._objects |= {charge["id"]: charge, settled["id"]: settled}
        intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
        session |= {"status": "complete", "payment_status": "paid", "url": None}
        return str(intent["id"])

    def _session(self, session_id: str, *, status: str | None = None) -> Object:
        session = self._objects[session_id]
        if status not in {None, session["status"]}:
            raise ValueError(f"The session is {session['status']}, not {status}.")
        return session

    def _intent(self, session: Object) -> Object:
        if session["payment_intent"] is None:
            metadata = self._intent_metadata[session["id"]]
            intent = new_intent(session, intent_id=self._new("pi"), metadata=metadata, created=self._now())
            self._objects[intent["id"]] = intent
            session["payment_intent"] = intent["id"]
        return self._objects[session["payment_intent"]]

    def _charge(self, session_id: str) -> Object:
        intent = self._objects[self._session(session_id, status="complete")["payment_intent"]]
        return self._objects[intent["latest_charge"]]

    def _subject(self, event_type: str, session: Object) -> Object:
        if event_type.startswith("checkout.session."):
            return session
        return self._intent(session) if event_type.startswith("payment_intent.") else self._charge(session["id"])

    def _all_sessions(self) -> list[Object]:
        return [found for found in self._objects.values() if found["object"] == "checkout.session"]

    def _found(self, kind: str, object_id: str) -> Object:
        found = self._objects.get(object_id)
        if found is None or found["object"] != kind:
            message = f"No such {kind}: '{object_id}'"
            raise _Refused(404, refusal(message, code="resource_missing", param="id"))
        return found

    def _expanded(self, found: Object, paths: Iterable[str]) -> Object:
        shown = copy.deepcopy(found)
        deeper: defaultdict[str, list[str]] = defaultdict(list)
        for path in paths:
            name, _, rest = path.partition(".")
            deeper[name] += [rest] if rest else []
        for name, rests in deeper.items():
            if name not in _EXPANDABLE or name not in shown:
                raise _Refused(400, refusal(f"This property cannot be expanded ({name}).", param="expand"))
            if shown[name] is not None:
                shown[name] = self._expanded(self._objects[shown[name]], rests)
        return shown

    def _lapse(self) -> None:
        for session in self._all_sessions():
            if session["status"] == "open" and session["expires_at"] <= self._now():
                session |= {"status": "expired", "url": None}

    def _now(self) -> int:
        return to_micros(self._clock.now()) // 1_000_000

    def _new(self, prefix: str) -> str:
        return f"{prefix}_{self._ids.new('sim').rpartition('_')[2]}"


def _check_known(params: Object) -> None:
    for path in _paths(params):
        if path not in _PARAMETERS and f"{path.rpartition('.')[0]}.*" not in _PARAMETERS:
            message = f"Received unknown parameter: {path}"
            raise _Refused(400, refusal(message, code="parameter_unknown", param=path))


def _paths(node: Any, above: str = "") -> Iterable[str]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _paths(child, f"{above}.{name}" if above else name)
    elif isinstance(node, list):
        for child in node:
            yield from _paths(child, above)
    else:
        yield above


def _check_payable(params: Object, *, now: int) -> None:
    if params.get("mode") != "payment" or not params.get("success_url") or not params.get("line_items"):
        raise _Refused(400, refusal("Missing required param.", code="parameter_missing"))
    price = params["line_items"][0].get("price_data", {})
    currency = price.get("currency", "")
    if not re.fullmatch("[a-z]{3}", currency):
        raise _Refused(400, refusal(f"Invalid currency: {currency}", param="line_items[0][price_data][currency]"))
    _check_number(price.get("unit_amount", ""), currency)
    expires_at = int(params.get("expires_at", now + KEY_KEPT_S))
    if not now + 1800 <= expires_at <= now + KEY_KEPT_S:
        message = "The `expires_at` timestamp must lie between 30 minutes and 24 hours from Checkout Session creation."
        raise _Refused(400, refusal(message, param="expires_at"))


def _check_number(number: str, currency: str) -> None:
    param = "line_items[0][price_data][unit_amount]"
    if not re.fullmatch("[0-9]{1,15}", number) or int(number) % _SPECIAL_STEPS.get(currency, 1):
        raise _Refused(400, refusal(f"Invalid integer: {number}", code="parameter_invalid_integer", param=param))
    if int(number) < _LEAST.get(currency, 1):
        raise _Refused(400, refusal("The amount is too small.", code="amount_too_small", param=param))
    if int(number) > MAX_NUMBER:
        raise _Refused(400, refusal("The amount is too large.", code="amount_too_large", param=param))


def _declined(code: str) -> Object:
    return {"code": "card_declined", "decline_code": code, "message": "The payment was declined.", "type": "card_error"}
