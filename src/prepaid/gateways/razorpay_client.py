"""The one module that imports Razorpay's SDK: sends requests, and turns whatever goes wrong into `GatewayError`.

The SDK builds the requests; it is never let near what comes back. It trusts
authorities by a list of 2015, waits for ever, keeps no status of an answer,
prints what it meets to standard output, reads any JSON, and may send a refund
twice. So the session it sends with is ours: certificates are checked by
certifi's list, a call of the adapter has one time budget for all its requests,
an answer that is not a JSON object with a status of success never reaches the
SDK, and nothing is sent again.

Sources: razorpay 2.0.1 (``client.py``: what the session is called with, that an
exception which is none of ``requests`` passes through without a word);
https://razorpay.com/docs/api/understand/ (statuses),
https://razorpay.com/docs/api/refunds/normal-refunds-idempotent/ (409, keys).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import certifi
import razorpay
from attrs import frozen

from ..core.errors import GatewayError, WebhookRejected
from .bounded import CONNECT_TIMEOUT_S, MAX_REPLY, BoundedReply, BoundedSession
from .credentials import is_loopback
from .signed import strict_json_object

MAX_ORDERS: Final = 100
"""Most orders that Razorpay lists at once."""
MAX_WAIT_S: Final = 86_400

_SUCCESS: Final = frozenset({200, 201})
_REDIRECT = 300
_REFUSAL = 400
_SERVER_ERROR = 500
_WORD = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

Reply = dict[str, Any]


class _Failure(Exception):
    """An attempt that gave no usable answer; not of a kind that the SDK knows, so that it prints nothing.

    Attributes:
        answer: What came back, or None if nothing did.
    """

    def __init__(self, answer: BoundedReply | None) -> None:
        super().__init__()
        self.answer = answer


@frozen
class _Content:
    """What the SDK reads of an answer that is a JSON object with a status of success."""

    status_code: int
    content: Reply

    def json(self) -> Reply:
        return self.content


class _Session:
    """Stands in for the session the SDK sends with."""

    def __init__(self, bounded: BoundedSession, timeout_s: int) -> None:
        self._bounded = bounded
        self._timeout = (CONNECT_TIMEOUT_S, timeout_s)

    def get(self, url: str, **options: Any) -> _Content:
        return self._send("get", url, options)

    def post(self, url: str, **options: Any) -> _Content:
        return self._send("post", url, options)

    def _send(self, method: str, url: str, options: dict[str, Any]) -> _Content:
        answer = None
        try:
            answer = self._bounded.request(method, url, timeout=self._timeout, **options)
            content = strict_json_object(answer.content, longest=MAX_REPLY)
        # Anything: what a broken or hostile peer makes of a reply is not bounded by the exceptions of `requests`.
        except Exception:
            content = None
        # Raised out here: what went wrong holds the request, and with it our key.
        if answer is None or content is None or answer.status_code not in _SUCCESS:
            raise _Failure(answer)
        return _Content(answer.status_code, content)


class RazorpayApi:
    """Razorpay's API with one key: the few calls of the adapter, giving plain dicts."""

    def __init__(self, *, key_id: str, key_secret: str, api_base: str | None, timeout_s: int) -> None:
        self._timeout_s = timeout_s
        # A proxy named in the environment stands between us and Razorpay, not between us and a simulator.
        self._bounded = BoundedSession(trust_env=api_base is None or not is_loopback(api_base))
        self._client = razorpay.Client(
            session=_Session(self._bounded, timeout_s),
            auth=(key_id, key_secret),
            **({"base_url": api_base} if api_base else {}),
        )
        self._client.cert_path = certifi.where()

    def begin(self) -> None:
        """Start a call of the adapter in this thread, whose requests share one time budget."""
        self._bounded.begin(self._timeout_s)

    def create_order(self, order: Reply) -> Reply:
        """Create an order; Razorpay knows no idempotency key for it."""
        return _call(lambda: self._client.order.create(order), writes=True)

    def orders_with(self, receipt: str) -> Reply:
        """List the orders of a receipt."""
        return _call(lambda: self._client.order.all({"receipt": receipt, "count": MAX_ORDERS}), writes=False)

    def any_order(self) -> Reply:
        """List one order, whichever."""
        return _call(lambda: self._client.order.all({"count": 1}), writes=False)

    def order(self, order_id: str) -> Reply:
        """Read an order."""
        return _call(lambda: self._client.order.fetch(order_id), writes=False)

    def payments_of(self, order_id: str) -> Reply:
        """List all payments of an order."""
        return _call(lambda: self._client.order.payments(order_id), writes=False)

    def payment(self, payment_id: str) -> Reply:
        """Read a payment."""
        return _call(lambda: self._client.payment.fetch(payment_id), writes=False)

    def capture(self, payment_id: str, amount: int, currency: str) -> Reply:
        """Take an authorised payment."""
        return _call(lambda: self._client.payment.capture(payment_id, amount, {"currency": currency}), writes=True)

    def refund(self, payment_id: str, refund: Reply, *, key: str) -> Reply:
        """Give back some of a payment under an idempotency key."""
        headers = {"X-Refund-Idempotency": key}
        return _call(lambda: self._client.payment.refund(payment_id, refund, headers=headers), writes=True)

    def refund_of(self, payment_id: str, refund_id: str) -> Reply:
        """Read a refund of a payment."""
        return _call(lambda: self._client.payment.fetch_refund_id(payment_id, refund_id), writes=False)

    def refunds_of(self, payment_id: str, page: Mapping[str, int]) -> Reply:
        """List a page of the refunds of a payment."""
        return _call(lambda: self._client.payment.fetch_multiple_refund(payment_id, dict(page)), writes=False)

    def payments(self, page: Mapping[str, int]) -> Reply:
        """List a page of payments."""
        return _call(lambda: self._client.payment.all(dict(page)), writes=False)

    def refunds(self, page: Mapping[str, int]) -> Reply:
        """List a page of refunds."""
        return _call(lambda: self._client.refund.all(dict(page)), writes=False)

    def disputes(self, page: Mapping[str, int]) -> Reply:
        """List a page of disputes."""
        return _call(lambda: self._client.dispute.all(dict(page)), writes=False)


def _call(call: Callable[[], Any], *, writes: bool) -> Reply:
    try:
        reply: Reply = call()
        return reply
    except _Failure as failure:
        error = explain(failure.answer, writes=writes)
    # Raised out here, so that the answer, which may hold personal data, is not carried along.
    raise error


@frozen
class _Meaning:
    """What one kind of answer means.

    Attributes:
        message: What to tell an operator.
        code: Our word for it.
        retryable: As in `GatewayError`.
        outcome_unknown: As in `GatewayError`, for a call that writes.
    """

    message: str
    code: str
    retryable: bool
    outcome_unknown: bool


_NO_ANSWER: Final = _Meaning("Razorpay did not answer in time or broke off", "connection", True, True)
_UNREADABLE: Final = _Meaning("Razorpay's reply cannot be read", "unusable-reply", True, True)
_FAILED: Final = _Meaning("Razorpay failed", "api-error", True, True)
_REFUSED: Final = _Meaning("Razorpay refused the request", "invalid-request", False, False)
_WRONG_KEY: Final = _Meaning("Razorpay does not accept the key", "authentication", False, False)
_UNKNOWN_ID: Final = _Meaning("Razorpay knows no such object", "not-found", False, False)
_KEY_USED: Final = _Meaning("The key was used with other content at Razorpay", "idempotency", False, True)

_RECEIPT_USED: Final = _Meaning("Razorpay may have an order of this receipt", "receipt-used", True, True)

_BY_STATUS: Final[Mapping[int, _Meaning]] = {
    401: _WRONG_KEY,
    403: _Meaning("Razorpay does not let the key do this", "permission", False, False),
    409: _Meaning("Razorpay still works on the same request", "in-progress", True, True),
    429: _Meaning("Razorpay asks us to slow down", "rate-limit", True, False),
}

_BY_WORDS: Final[tuple[tuple[str, _Meaning], ...]] = (
    ("api key provided is invalid", _WRONG_KEY),
    ("authentication failed", _WRONG_KEY),
    ("does not exist", _UNKNOWN_ID),
    ("is not a valid id", _UNKNOWN_ID),
    ("same idempotency key", _KEY_USED),
)
"""Refusals that only their description tells apart: all have the status 400."""


def explain(answer: BoundedReply | None, *, writes: bool) -> GatewayError:
    """Say what a failed request means, in words that hold neither our key nor anybody's data.

    Args:
        answer: What came back, or None if nothing did in time.
        writes: The request asked Razorpay to change something.
    """
    problem = _problem(answer)
    meaning = _meaning(answer, problem)
    details = (meaning.code, _word(problem, "reason"), _word(problem, "field"))
    return GatewayError(
        f"{meaning.message} ({', '.join(filter(None, details))}).",
        retryable=meaning.retryable,
        outcome_unknown=writes and meaning.outcome_unknown,
        code=meaning.code,
        retry_after_s=_retry_after(answer) if meaning.retryable else None,
    )


def _meaning(answer: BoundedReply | None, problem: Reply) -> _Meaning:
    if answer is None:
        return _NO_ANSWER
    if answer.status_code < _REDIRECT:
        return _UNREADABLE
    if not _REFUSAL <= answer.status_code < _SERVER_ERROR:
        return _FAILED  # also a redirect: it is not followed
    return _BY_STATUS.get(answer.status_code) or _by_words(problem)


def _by_words(problem: Reply) -> _Meaning:
    if not problem:
        return _UNREADABLE  # not a word of Razorpay's: something between us may have said it
    if problem.get("code") in {"GATEWAY_ERROR", "SERVER_ERROR"}:
        return _FAILED
    if problem.get("field") == "receipt":
        return _RECEIPT_USED
    description = str(problem.get("description")).lower()
    return next((meaning for words, meaning in _BY_WORDS if words in description), _REFUSED)


def _problem(answer: BoundedReply | None) -> Reply:
    try:
        problem = strict_json_object(answer.content).get("error") if answer else None
    except WebhookRejected:
        return {}
    return problem if isinstance(problem, dict) else {}


def _word(problem: Reply, name: str) -> str:
    value = problem.get(name)
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _retry_after(answer: BoundedReply | None) -> int | None:
    told = answer.headers.get("Retry-After") if answer else None
    return min(int(told), MAX_WAIT_S) if told and _SECONDS.fullmatch(told) else None
