"""Razorpay on a loopback port: orders, their payments, refunds, disputes, lists, webhooks and faults.

Give `RazorpaySimulator.url` to ``RazorpayGateway(api_base=...)`` and play the
payer, the bank and the merchant's dashboard with `RazorpaySimulator.pay` and its
like. Amounts are whole numbers in Razorpay's units, as on the wire.

Sources: https://razorpay.com/docs/api/ (orders, payments, refunds, disputes,
errors, paging); https://razorpay.com/docs/api/refunds/normal-refunds-idempotent/
(key of a refund); https://razorpay.com/docs/payments/payments/late-authorisation/;
https://razorpay.com/docs/payments/payments/capture-settings/ (given back after
three days); https://razorpay.com/docs/webhooks/ (envelope, signature).
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from ...core.instants import to_micros
from ...ports import Clock, IdSource
from ...system import RandomIds, SystemClock
from .loopback import FAULTS, Answer, Fault, LoopbackServer, Request, rewriting
from .razorpay_objects import (
    Object,
    charge,
    collection,
    new_dispute,
    new_event,
    new_order,
    new_payment,
    new_refund,
    problem,
)
from .razorpay_rules import Refused, check_known, check_notes, check_number, page

TEST_KEY_ID: Final = "rzp_test_simulated"
TEST_KEY_SECRET: Final = "simulated"  # noqa: S105 - of a simulator
LATE_S: Final = 3 * 86_400

_ID_LENGTH: Final = 14
_REFUND_KEY = re.compile(r"[A-Za-z0-9_-]{10,}", re.ASCII)
_NUMBERED: Final = ("amount", "amount_paid", "amount_due")


def _of_another(content: Object) -> None:
    names = ("id",) if "id" in content else ("order_id", "payment_id", "id")
    for found in content.get("items", [content]):
        for name in [name for name in names if found.get(name)][:1]:  # a refusal has none
            found[name] = found[name][:-4] + "zzzz"


def _one_more(node: Any) -> None:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        _one_more(child)
    if isinstance(node, dict):
        node.update({name: node[name] + 1 for name in _NUMBERED if node.get(name)})


def _twice(content: Object) -> None:
    if "items" in content:
        content.update(items=content["items"] * 2, count=len(content["items"]) * 2)


class RazorpaySimulator(LoopbackServer):
    """Razorpay's API for one account, as far as payments by Checkout need it.

    Faults of `fault_next` beside the general ones: ``429`` and ``500`` (nothing
    is done); ``wrong-id`` and ``wrong-amount`` (the answer speaks of another
    object or sum); ``duplicate`` (a list names everything twice). Razorpay shows
    no mode: the key of another one is simply unknown.
    """

    faults: Mapping[str, Fault] = {
        **FAULTS,
        "429": Fault(
            spoil=lambda answer: Answer.of_json(
                problem("Request failed. Please try after sometime."), status=429, headers={"Retry-After": "7"}
            ),
            executed=False,
        ),
        "500": Fault(
            spoil=lambda answer: Answer.of_json(
                problem("We are facing some trouble completing your request.", code="SERVER_ERROR"), status=500
            ),
            executed=False,
        ),
        "wrong-id": rewriting(_of_another),
        "wrong-amount": rewriting(_one_more),
        "duplicate": rewriting(_twice),
    }

    def __init__(
        self,
        *,
        key_id: str = TEST_KEY_ID,
        key_secret: str = TEST_KEY_SECRET,
        unique_receipts: bool = False,
        clock: Clock | None = None,
        ids: IdSource | None = None,
    ) -> None:
        """Set up an account without any payment.

        Args:
            key_id: The key it accepts.
            key_secret: What belongs to it; signs what the browser brings back.
            unique_receipts: Refuse a second order of a receipt, as newer accounts do.
            clock: For times; the machine's by default.
            ids: Random by default.
        """
        super().__init__()
        self._key = (key_id, key_secret)
        self._unique_receipts = unique_receipts
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds(self._clock)
        self._objects: dict[str, Object] = {}
        self._refunds: dict[str, tuple[str, bytes, Object]] = {}

    # What the payer and the bank do.

    def pay(self, order_id: str, *, amount: int | None = None, currency: str | None = None, method: str = "upi") -> str:
        """Pay an order, and let Razorpay capture it; ``amount`` and ``currency`` make it another sum.

        An order may be paid again, as it happens if two forms were open.

        Returns:
            The id of the payment.
        """
        with self.lock:
            payment_id = self.authorise(order_id, amount=amount, currency=currency, method=method)
            self.capture(payment_id)
            return payment_id

    def attempt(self, order_id: str, *, method: str = "card") -> str:
        """Let the payer try to pay, without an answer of the bank yet; give the id of the payment."""
        with self.lock:
            order = self._get("order", order_id)
            payment = new_payment(order, payment_id=self._new("pay"), method=method, created=self._now())
            self._objects[payment["id"]] = payment
            order["attempts"] += 1
            if order["status"] == "created":
                order["status"] = "attempted"
            return str(payment["id"])

    def authorise(
        self, order_id: str, *, amount: int | None = None, currency: str | None = None, method: str = "card"
    ) -> str:
        """Pay an order with money that is reserved but not taken; give the id of the payment."""
        with self.lock:
            payment_id = self.attempt(order_id, method=method)
            lies = {"amount": amount, "currency": currency}
            self._objects[payment_id].update({name: lie for name, lie in lies.items() if lie is not None})
            self.answer_of_bank(payment_id)
            return payment_id

    def answer_of_bank(self, payment_id: str) -> None:
        """Let the bank authorise a payment that was started, or that seems to have failed, within three days."""
        with self.lock:
            payment = self._get("payment", payment_id)
            if payment["status"] not in {"created", "failed"} or self._now() - payment["created_at"] > LATE_S:
                raise ValueError(f"The payment is {payment['status']}, or too old.")
            payment |= {"status": "authorized"} | {name: None for name in payment if name.startswith("error_")}

    def fail(self, order_id: str, *, reason: str = "payment_failed") -> str:
        """Let a payment of an order fail; the order can be paid again. Give the id of the payment."""
        with self.lock:
            payment_id = self.attempt(order_id)
            self.time_out(payment_id, reason=reason)
            return payment_id

    def time_out(self, payment_id: str, *, reason: str = "payment_timed_out") -> None:
        """Let a payment that was started fail."""
        with self.lock:
            payment = self._get("payment", payment_id)
            if payment["status"] != "created":
                raise ValueError(f"The payment is {payment['status']}, not created.")
            payment |= {
                "status": "failed",
                "error_code": "BAD_REQUEST_ERROR",
                "error_description": "The payment was not successful.",
                "error_source": "customer",
                "error_step": "payment_authentication",
                "error_reason": reason,
            }

    # What the merchant's dashboard and Razorpay do.

    def capture(self, payment_id: str) -> None:
        """Take an authorised payment."""
        with self.lock:
            payment = self._get("payment", payment_id)
            if payment["status"] != "authorized":
                raise ValueError(f"The payment is {payment['status']}, not authorized.")
            self._take(payment)

    def give_back(self, payment_id: str) -> None:
        """Give an authorised payment back that nobody captured."""
        with self.lock:
            payment = self._get("payment", payment_id)
            if payment["status"] != "authorized":
                raise ValueError(f"The payment is {payment['status']}, not authorized.")
            payment |= {"status": "refunded", "amount_refunded": payment["amount"], "refund_status": "full"}

    def refund(self, payment_id: str, amount: int) -> str:
        """Give money of a captured payment back, as can be done in the dashboard; give the id of the refund."""
        with self.lock:
            return str(self._refund(self._get("payment", payment_id), {"amount": amount})["id"])

    def finish_refund(self, refund_id: str, *, status: str = "processed") -> None:
        """Let a pending refund be ``processed``, or be ``failed`` so that the money stays with the merchant."""
        with self.lock:
            refund = self._get("refund", refund_id)
            refund["status"] = status
            if status == "failed":
                payment = self._get("payment", refund["payment_id"])
                self._count_refunded(payment, payment["amount_refunded"] - refund["amount"])

    def dispute(self, payment_id: str, *, amount: int | None = None, phase: str = "chargeback") -> str:
        """Let the payer's bank dispute a payment; give the id of the dispute."""
        with self.lock:
            payment = self._get("payment", payment_id)
            dispute = new_dispute(
                payment,
                dispute_id=self._new("disp"),
                amount=payment["amount"] if amount is None else amount,
                phase=phase,
                created=self._now(),
            )
            self._objects[dispute["id"]] = dispute
            return str(dispute["id"])

    def change_dispute(self, dispute_id: str, status: str) -> None:
        """Let a dispute be ``under_review``, ``won``, ``lost`` or ``closed``."""
        with self.lock:
            dispute = self._get("dispute", dispute_id)
            dispute |= {"status": status, "amount_deducted": dispute["amount"] if status == "lost" else 0}

    # What Razorpay tells.

    def callback(self, order_id: str, payment_id: str | None = None) -> dict[str, str]:
        """Give the form that the payer's browser posts to ``callback_url``, signed with the key secret.

        Args:
            order_id: An order.
            payment_id: One of its payments; the first that succeeded by default.
        """
        with self.lock:
            payments = self._of("payment", "order_id", order_id)
        paid = payment_id or next(one["id"] for one in payments if one["status"] in {"authorized", "captured"})
        return {
            "razorpay_payment_id": paid,
            "razorpay_order_id": order_id,
            "razorpay_signature": _digest(self._key[1], f"{order_id}|{paid}".encode()),
        }

    def webhook(self, event: str, object_id: str, *, secret: str, at: datetime) -> tuple[dict[str, str], bytes]:
        """Make a signed webhook about a payment, refund or dispute, or about the payment of an order.

        Returns:
            Headers with names in lower case, and the raw body: deliver them
            any number of times.
        """
        with self.lock:
            second = to_micros(at) // 1_000_000
            content = new_event(self._entities(object_id), event=event, created=second)
            body = json.dumps(content, separators=(",", ":")).encode()
            event_id = self._new("evt").removeprefix("evt_")
        headers = {
            "content-type": "application/json",
            "x-razorpay-event-id": event_id,
            "x-razorpay-signature": _digest(secret, body),
        }
        return headers, body

    def one(self, object_id: str) -> Object:
        """Give a copy of an object as it is now."""
        with self.lock:
            return copy.deepcopy(self._objects[object_id])

    def all_of(self, kind: str) -> list[Object]:
        """Give copies of all objects of a kind, such as ``"order"``, the oldest first."""
        with self.lock:
            return copy.deepcopy([found for found in self._objects.values() if found["entity"] == kind])

    # What comes in over the wire.

    def answer(self, request: Request) -> Answer:
        """Carry a request out as Razorpay would."""
        try:
            self._check_key(request)
            return Answer.of_json(self._run(request))
        except Refused as refused:
            return refused.answer

    def _check_key(self, request: Request) -> None:
        expected = base64.b64encode(":".join(self._key).encode()).decode()
        given = request.headers.get("authorization", "").removeprefix("Basic ")
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise Refused("Authentication failed", status=401)

    def _run(self, request: Request) -> Object:
        for method, pattern, run in self._routes():
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return self._carry_out(run, request, match.groups())
        raise Refused("The requested URL was not found on the server.", status=404)

    def _carry_out(self, run: Callable[..., Object], request: Request, names: tuple[str, ...]) -> Object:
        try:
            if request.method == "GET":
                return copy.deepcopy(run(dict(request.query), *names))
            key = {"key": request.headers.get("x-refund-idempotency")} if request.path.endswith("/refund") else {}
            return copy.deepcopy(run(request.json(), *names, **key))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Refused("The request has the wrong form.") from None

    def _routes(self) -> Iterable[tuple[str, str, Callable[..., Object]]]:
        return (
            ("POST", "/v1/orders", self._create_order),
            ("GET", "/v1/orders", lambda params: self._list("order", params)),
            ("GET", "/v1/orders/([^/]+)", lambda params, name: self._found("order", name)),
            ("GET", "/v1/orders/([^/]+)/payments", self._payments_of),
            ("GET", "/v1/payments", lambda params: self._list("payment", params)),
            ("GET", "/v1/payments/([^/]+)", lambda params, name: self._found("payment", name)),
            ("POST", "/v1/payments/([^/]+)/capture", self._capture),
            ("POST", "/v1/payments/([^/]+)/refund", self._refund_once),
            ("GET", "/v1/payments/([^/]+)/refunds", self._refunds_of),
            ("GET", "/v1/payments/([^/]+)/refunds/([^/]+)", self._refund_of),
            ("GET", "/v1/refunds", lambda params: self._list("refund", params)),
            ("GET", "/v1/refunds/([^/]+)", lambda params, name: self._found("refund", name)),
            ("GET", "/v1/disputes", lambda params: self._list("dispute", params)),
            ("GET", "/v1/disputes/([^/]+)", lambda params, name: self._found("dispute", name)),
        )

    def _create_order(self, params: Object) -> Object:
        check_known(params, {"amount", "currency", "receipt", "notes"})
        check_number(params.get("amount"), params.get("currency"))
        receipt = params.get("receipt")
        if receipt is not None and not 0 < len(receipt) <= 40:
            raise Refused("The receipt may not be greater than 40 characters.", field="receipt")
        if self._unique_receipts and receipt and self._of("order", "receipt", receipt):
            raise Refused("An order with this receipt exists already.", field="receipt")
        check_notes(params.get("notes", {}))
        order = new_order(params, order_id=self._new("order"), created=self._now())
        self._objects[order["id"]] = order
        return order

    def _payments_of(self, params: Object, order_id: str) -> Object:
        self._found("order", order_id)
        return collection(self._of("payment", "order_id", order_id))

    def _capture(self, params: Object, payment_id: str) -> Object:
        payment = self._found("payment", payment_id)
        check_known(params, {"amount", "currency"})
        if payment["captured"]:
            raise Refused("This payment has already been captured")
        if payment["status"] != "authorized":
            raise Refused("Only payments which have been authorized and not yet captured can be captured")
        if (params["amount"], params["currency"]) != (payment["amount"], payment["currency"]):
            raise Refused("Capture amount must be equal to the amount authorized", field="amount")
        self._take(payment)
        return payment

    def _refund_once(self, params: Object, payment_id: str, *, key: str | None) -> Object:
        payment = self._found("payment", payment_id)
        if key is None:
            return self._refund(payment, params)
        if not _REFUND_KEY.fullmatch(key):
            raise Refused("The idempotency key must be at least 10 characters of letters, numbers, - and _.")
        content = json.dumps(params, sort_keys=True).encode()
        if key not in self._refunds:
            self._refunds[key] = (payment_id, content, self._refund(payment, params))
        first_payment, first_content, made = self._refunds[key]
        if (first_payment, first_content) != (payment_id, content):
            raise Refused("Different request with the same idempotency key has already been processed.")
        return made

    def _refund(self, payment: Object, params: Object) -> Object:
        check_known(params, {"amount", "speed", "notes", "receipt"})
        check_notes(params.get("notes", {}))
        if not payment["captured"]:
            raise Refused("The payment status should be captured for action to be taken")
        left = payment["amount"] - payment["amount_refunded"]
        params = {"amount": left, **params}
        check_number(params["amount"], payment["currency"])
        if left == 0:
            raise Refused("The payment has been fully refunded already")
        if params["amount"] > left:
            raise Refused("The refund amount provided is greater than amount captured", field="amount")
        refund = new_refund(payment, params, refund_id=self._new("rfnd"), created=self._now())
        self._objects[refund["id"]] = refund
        self._count_refunded(payment, payment["amount_refunded"] + params["amount"])
        return refund

    def _refunds_of(self, params: Object, payment_id: str) -> Object:
        self._found("payment", payment_id)
        return page(self._of("refund", "payment_id", payment_id), params)

    def _refund_of(self, params: Object, payment_id: str, refund_id: str) -> Object:
        refund = self._found("refund", refund_id)
        if refund["payment_id"] != payment_id:
            raise Refused("The id provided does not exist")
        return refund

    def _list(self, kind: str, params: Object) -> Object:
        receipt = params.pop("receipt", None)
        found = [one for one in self._objects.values() if one["entity"] == kind]
        return page([one for one in found if receipt in {None, one.get("receipt")}], params)

    # What is kept.

    def _take(self, payment: Object) -> None:
        payment |= {"status": "captured", "captured": True}
        charge(payment)
        order = self._get("order", payment["order_id"])
        order |= {"status": "paid", "amount_paid": order["amount"], "amount_due": 0}

    def _count_refunded(self, payment: Object, refunded: int) -> None:
        whole = refunded == payment["amount"]
        payment |= {
            "amount_refunded": refunded,
            "refund_status": "full" if whole else "partial" if refunded else None,
            "status": "refunded" if whole else "captured",
        }

    def _entities(self, object_id: str) -> Object:
        found = self._objects[object_id]
        if found["entity"] == "order":
            payments = self._of("payment", "order_id", object_id)
            return {**({"payment": payments[-1]} if payments else {}), "order": found}
        if found["entity"] == "payment":
            return {"payment": found}
        return {"payment": self._objects[found["payment_id"]], found["entity"]: found}

    def _get(self, kind: str, object_id: str) -> Object:
        found = self._objects[object_id]
        if found["entity"] != kind:
            raise KeyError(object_id)
        return found

    def _found(self, kind: str, object_id: str) -> Object:
        try:
            return self._get(kind, object_id)
        except KeyError:
            raise Refused("The id provided does not exist") from None

    def _of(self, kind: str, name: str, value: str) -> list[Object]:
        return [one for one in self._objects.values() if one["entity"] == kind and one[name] == value]

    def _now(self) -> int:
        return to_micros(self._clock.now()) // 1_000_000

    def _new(self, prefix: str) -> str:
        return f"{prefix}_{self._ids.new('sim')[-_ID_LENGTH:]}"


def _digest(secret: str, content: bytes) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
