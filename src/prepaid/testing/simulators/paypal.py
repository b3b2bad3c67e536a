"""PayPal on a loopback port: orders, captures, refunds, disputes, reports, webhooks and faults.

Give `PayPalSimulator.url` to ``PayPalGateway(api_base=...)`` and play the payer
with `PayPalSimulator.approve` and its like. Webhooks are signed with a secret
of the simulator's own, over transmission id, time, webhook id and the checksum
of the body, and verified when they are posted back, byte for byte.

Sources: https://developer.paypal.com/docs/api/orders/v2/,
https://developer.paypal.com/docs/api/payments/v2/,
https://developer.paypal.com/docs/api/customer-disputes/v1/,
https://developer.paypal.com/docs/api/transaction-search/v1/,
https://developer.paypal.com/docs/api/webhooks/v1/,
https://developer.paypal.com/api/rest/reference/idempotency/ (a key used again
gives the latest status), https://developer.paypal.com/api/rest/webhooks/rest/ (what is signed).
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from attrs import evolve

from ...ports import Clock, IdSource
from .loopback import FAULTS, Answer, Fault, Request, rewriting
from .paypal_account import MERCHANT_ID, PayPalAccount
from .paypal_objects import (
    Object,
    new_event,
    new_order,
    new_token,
    payment_row,
    refund_row,
    refusal,
    shown_capture,
    shown_in_list,
)
from .paypal_requests import Refused, check_order, check_refund, raw_member, refused

CLIENT_ID: Final = "simulated-client"
CLIENT_SECRET: Final = "simulated-client-secret"  # noqa: S105
WEBHOOK_ID: Final = "1SIMULATEDWEBHOOK"
ORDER_KEY_KEPT_S: Final = 6 * 3600
PAYMENT_KEY_KEPT_S: Final = 45 * 86_400
TOKEN_LIFE_S: Final = 32_400

_TOKEN_PATH: Final = "/v1/oauth2/token"  # noqa: S105
_LONGEST_RANGE: Final = timedelta(days=31)


def _change(name: str, change: Callable[[str], str]) -> Fault:
    """Make a fault that changes every string called ``name`` in an answer."""

    def walk(node: Any) -> None:
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            if key == name and isinstance(child, str):
                node[key] = change(child)
            elif isinstance(child, (dict, list)):
                walk(child)

    return rewriting(walk)


def _failing(status: int, name: str, **headers: str) -> Fault:
    return Fault(
        spoil=lambda answer: Answer.of_json(refusal(name), status=status, headers=headers),
        executed=False,
    )


class PayPalSimulator(PayPalAccount):
    """PayPal's API for one account, as far as payments by orders need it.

    Faults of `fault_next` beside the general ones, which all spare the request
    for a token, other than those of `fault_sometimes`: ``429`` and ``500`` (nothing is done); ``wrong-id``,
    ``wrong-amount`` and ``wrong-merchant`` (the answer speaks of another object,
    sum or account); ``expired-token`` (every token given so far is refused);
    ``permanent-401`` (every token is refused from now on).
    """

    faults: Mapping[str, Fault] = {
        **FAULTS,
        "429": _failing(429, "RATE_LIMIT_REACHED", **{"Retry-After": "7"}),
        "500": _failing(500, "INTERNAL_SERVER_ERROR"),
        "wrong-id": _change("id", lambda value: value[:-4] + "ZZZZ"),
        "wrong-amount": _change("value", lambda value: str(Decimal(value) + 1)),
        "wrong-merchant": _change("merchant_id", lambda value: "ANTHERACCT333"),
    }

    def __init__(
        self,
        *,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        webhook_id: str = WEBHOOK_ID,
        merchant_id: str = MERCHANT_ID,
        clock: Clock | None = None,
        ids: IdSource | None = None,
    ) -> None:
        """Set up an account without any payment.

        Args:
            client_id: Of the app it knows.
            client_secret: Of the app it knows.
            webhook_id: Of the one webhook of the app.
            merchant_id: Of the account that is paid.
            clock: For times and lives; the machine's by default.
            ids: Random by default.
        """
        super().__init__(merchant_id=merchant_id, clock=clock, ids=ids)
        basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._authorization = f"Basic {basic}"
        self._webhook_id = webhook_id
        self._signing_secret = self._new().encode()
        self._tokens: dict[str, datetime] = {}
        self._locked_out = False
        self._replays: dict[tuple[str, str], tuple[datetime, Object]] = {}
        self._token_faults: list[Fault] = []

    # Webhooks.

    def webhook(self, event_type: str, object_id: str, *, at: datetime | None = None) -> tuple[dict[str, str], bytes]:
        """Make a signed webhook about an order, its capture, a refund or a dispute, as ``event_type`` says.

        Args:
            event_type: PayPal's word.
            object_id: Of the order, the refund or the dispute.
            at: Time of the transmission; now by default.

        Returns:
            Headers with names in lower case, and the raw body: deliver them
            any number of times.
        """
        with self.lock:
            resource = self._resource(event_type, object_id)
            event = new_event(resource, event_id=f"WH-{self._new()}", event_type=event_type, at=self._at())
        body = json.dumps(event, separators=(",", ":")).encode()
        return self.signed(body, at=at or self._clock.now()), body

    def signed(self, body: bytes, *, at: datetime, webhook_id: str | None = None) -> dict[str, str]:
        """Make the headers that PayPal sends with a body."""
        transmission_id = self._new().lower()
        sent_at = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "content-type": "application/json",
            "paypal-auth-algo": "SHA256withRSA",
            "paypal-cert-url": f"{self.url}/v1/notifications/certs/CERT-1",
            "paypal-transmission-id": transmission_id,
            "paypal-transmission-sig": self._signature(transmission_id, sent_at, webhook_id or self._webhook_id, body),
            "paypal-transmission-time": sent_at,
        }

    def _signature(self, transmission_id: str, sent_at: str, webhook_id: str, body: bytes) -> str:
        signed = signed_text(transmission_id, sent_at, webhook_id, body)
        # PayPal describes one that begins with a letter or digit, which base 64 need not.
        return hmac.new(self._signing_secret, signed.encode(), hashlib.sha256).hexdigest()

    def _verify(self, request: Request) -> Object:
        text = request.body.decode()
        fields = json.loads(text)
        body = raw_member(text, "webhook_event").encode()
        ours = self._signature(fields["transmission_id"], fields["transmission_time"], fields["webhook_id"], body)
        same = hmac.compare_digest(ours, fields["transmission_sig"])
        genuine = same and fields["webhook_id"] == self._webhook_id and fields["auth_algo"] == "SHA256withRSA"
        return {"verification_status": "SUCCESS" if genuine else "FAILURE"}

    def _resource(self, event_type: str, object_id: str) -> Object:
        if event_type.startswith("CUSTOMER.DISPUTE."):
            return self._disputes[object_id]
        if event_type.startswith(("PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED", "PAYMENT.REFUND.")):
            return self._found_refund(object_id)[0]
        if event_type == "CHECKOUT.PAYMENT-APPROVAL.REVERSED":
            order = self._orders[object_id]
            return {"order_id": object_id, "purchase_units": order["purchase_units"]}
        if event_type.startswith("PAYMENT.CAPTURE."):
            return shown_capture(self._capture_of(object_id), self._orders[object_id])
        return self._orders[object_id]

    # What comes in over the wire.

    def fault_next(self, fault: str | Fault, *, times: int = 1) -> None:
        """Let the next ``times`` requests go wrong; see the class for names.

        Raises:
            KeyError: There is no fault of that name.
        """
        if fault not in {"expired-token", "permanent-401"}:
            return super().fault_next(fault, times=times)
        with self.lock:
            self._tokens.clear()
            self._locked_out = fault == "permanent-401"
        return None

    def fault_next_token(self, fault: str | Fault) -> None:
        """Let the next request for a token go wrong.

        Raises:
            KeyError: There is no fault of that name.
        """
        self._token_faults.append(self.faults[fault] if isinstance(fault, str) else fault)

    def _due(self, request: Request) -> Fault | None:
        if request.path != _TOKEN_PATH:
            return super()._due(request)
        return self._token_faults.pop(0) if self._token_faults else self._chance(request)

    def answer(self, request: Request) -> Answer:
        """Carry a request out as PayPal would."""
        try:
            status, content = self._run(request)
        except Refused as problem:
            status, content = problem.status, problem.body
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, ArithmeticError):
            status, content = 400, refusal("INVALID_REQUEST", "MALFORMED_REQUEST_JSON")
        answer = Answer.of_json(content, status=status)
        return evolve(answer, headers={"PayPal-Debug-Id": hashlib.sha256(request.body).hexdigest()[:13]})

    def _run(self, request: Request) -> tuple[int, Object]:
        if request.path == _TOKEN_PATH:
            return 200, self._give_token(request)
        self._check_token(request)
        self._check_form(request)
        for method, pattern, status, run in self._routes():
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return status, copy.deepcopy(run(request, *match.groups()))
        raise refused(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")

    def _routes(self) -> Iterable[tuple[str, str, int, Callable[..., Object]]]:
        order, payments = "/v2/checkout/orders", "/v2/payments"
        return (
            ("POST", order, 201, self._post_order),
            ("GET", f"{order}/([^/]+)", 200, lambda request, name: self._found_order(name)),
            ("POST", f"{order}/([^/]+)/capture", 201, self._post_capture),
            ("GET", f"{payments}/captures/([^/]+)", 200, lambda request, name: shown_capture(*self._found(name))),
            ("POST", f"{payments}/captures/([^/]+)/refund", 201, self._post_refund),
            ("GET", f"{payments}/refunds/([^/]+)", 200, lambda request, name: self._found_refund(name)[0]),
            ("GET", "/v1/customer/disputes", 200, self._list_disputes),
            ("GET", "/v1/customer/disputes/([^/]+)", 200, lambda request, name: self._found_dispute(name)),
            ("GET", "/v1/reporting/transactions", 200, self._report),
            ("POST", "/v1/notifications/verify-webhook-signature", 200, self._verify),
        )

    def _give_token(self, request: Request) -> Object:
        right = hmac.compare_digest(request.headers.get("authorization", "").encode(), self._authorization.encode())
        if not right:
            description = "Client Authentication failed"
            raise Refused(401, {"error": "invalid_client", "error_description": description})
        if request.form() != {"grant_type": "client_credentials"} or "paypal-request-id" in request.headers:
            raise Refused(400, {"error": "unsupported_grant_type", "error_description": "Grant Type is NULL"})
        token = f"A21.{self._new()}"
        self._tokens[token] = self._clock.now() + timedelta(seconds=TOKEN_LIFE_S)
        return new_token(token, expires_in=TOKEN_LIFE_S)

    def _check_token(self, request: Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        ends_at = self._tokens.get(token)
        if ends_at is None or self._clock.now() >= ends_at or self._locked_out:
            raise Refused(401, {"error": "invalid_token", "error_description": "Token signature verification failed"})

    @staticmethod
    def _check_form(request: Request) -> None:
        is_json = request.headers.get("content-type") == "application/json"
        if is_json != (request.method == "POST") or bool(request.body) != is_json:
            raise refused(415, "UNSUPPORTED_MEDIA_TYPE")
        if not 0 <= len(request.headers.get("paypal-request-id", "")) <= 108:
            raise refused(400, "INVALID_REQUEST", "INVALID_STRING_LENGTH")

    def _post_order(self, request: Request) -> Object:
        body = request.json()
        check_order(body)

        def make() -> Object:
            order_id = self._new()
            order = new_order(body, order_id=order_id, base=self.url, merchant_id=self._merchant_id, at=self._at())
            self._orders[order_id] = order
            return order

        return self._once(request, make, kept_s=ORDER_KEY_KEPT_S)

    def _post_capture(self, request: Request, order_id: str) -> Object:
        order = self._found_order(order_id)

        def make() -> Object:
            self._capture(order)
            return order

        return self._once(request, make, kept_s=ORDER_KEY_KEPT_S)

    def _post_refund(self, request: Request, capture_id: str) -> Object:
        body = request.json()
        check_refund(body)
        capture, order = self._found(capture_id)
        return self._once(
            request, lambda: self._refund(order, {"amount": capture["amount"], **body}), kept_s=PAYMENT_KEY_KEPT_S
        )

    def _once(self, request: Request, make: Callable[[], Object], *, kept_s: int) -> Object:
        """Give what was made under the request's key as it is by now, or make it; a refusal is not kept."""
        key = request.path, request.headers.get("paypal-request-id", "")
        kept = self._replays.get(key)
        if key[1] and kept is not None and self._clock.now() < kept[0] + timedelta(seconds=kept_s):
            return kept[1]
        made = make()
        self._replays[key] = self._clock.now(), made
        return made

    def _list_disputes(self, request: Request) -> Object:
        payment_id, since = request.query.get("disputed_transaction_id"), request.query.get("start_time", "")
        if (payment_id is None) == (not since):
            raise refused(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE")
        found = [
            dispute
            for dispute in self._disputes.values()
            if (payment_id in (None, dispute["disputed_transactions"][0]["seller_transaction_id"]))
            and dispute["create_time"] >= since[:19]
        ]
        start, size = int(request.query.get("next_page_token", 0)), int(request.query.get("page_size", 10))
        here = f"{self.url}/v1/customer/disputes"
        links = [{"href": here, "rel": "self", "method": "GET"}]
        if start + size < len(found):
            links.append({"href": f"{here}?next_page_token={start + size}", "rel": "next", "method": "GET"})
        return {"items": [shown_in_list(dispute) for dispute in found[start : start + size]], "links": links}

    def _report(self, request: Request) -> Object:
        begin, end = (datetime.fromisoformat(request.query[name]) for name in ("start_date", "end_date"))
        if end - begin > _LONGEST_RANGE:
            raise refused(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE")
        rows = [row for row in self._rows() if begin <= _made_at(row) <= end]
        wanted = request.query.get("transaction_type")
        rows = [row for row in rows if wanted in (None, row["transaction_info"]["transaction_event_code"])]
        size, page = int(request.query.get("page_size", 100)), int(request.query.get("page", 1))
        return {
            "transaction_details": rows[(page - 1) * size : page * size],
            "account_number": self._merchant_id,
            "page": page,
            "total_items": len(rows),
            "total_pages": -(-len(rows) // size),
            "links": [{"href": f"{self.url}{request.path}", "rel": "self", "method": "GET"}],
        }

    def _rows(self) -> list[Object]:
        rows = []
        for capture, order in self._captured():
            if capture["status"] in {"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"}:
                rows.append(payment_row(capture))
            refunds = order["purchase_units"][0]["payments"].get("refunds", [])
            rows += [refund_row(refund, capture["id"]) for refund in refunds]
        return sorted(rows, key=_made_at)


def signed_text(transmission_id: str, sent_at: str, webhook_id: str, body: bytes) -> str:
    """Give the text that PayPal signs.

    >>> signed_text("1-2", "2026-11-22T06:00:00Z", "W1", b'{"id":"WH-TEST-1"}')
    '1-2|2026-11-22T06:00:00Z|W1|2970793670'
    """
    return f"{transmission_id}|{sent_at}|{webhook_id}|{zlib.crc32(body)}"


def _made_at(row: Object) -> datetime:
    return datetime.fromisoformat(row["transaction_info"]["transaction_initiation_date"])
