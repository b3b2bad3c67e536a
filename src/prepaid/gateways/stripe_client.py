"""The one module that imports Stripe's SDK: sends requests, and turns whatever goes wrong into `GatewayError`.

The SDK is tamed here: replies become plain dicts at once, a call of the adapter
has one time budget for all its requests and their attempts, redirects are not
followed, replies are bounded, telemetry is off, and nothing it logs below a
warning gets through (it logs whole request and reply bodies).

Sources: stripe 16.1 (``_http_client.py``: timeouts and retries,
``_api_requestor.py``: which reply becomes which exception);
https://docs.stripe.com/api/idempotent_requests (what a key replays, and the
header of a replay); https://docs.stripe.com/rate-limits (``Retry-After``).
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self, cast

import stripe
from attrs import frozen

from ..core.errors import GatewayError
from .bounded import CONNECT_TIMEOUT_S, BoundedSession
from .credentials import is_loopback
from .signed import unique_names

if TYPE_CHECKING:
    import requests
    from stripe import StripeObject
    from stripe.params import (
        DisputeListParams,
        PaymentIntentCancelParams,
        PaymentIntentCaptureParams,
        PaymentIntentCreateParams,
        PaymentIntentListParams,
        RefundCreateParams,
        RefundListParams,
    )
    from stripe.params.checkout import SessionCreateParams, SessionListParams
    from stripe.params.identity import VerificationSessionCreateParams

API_VERSION: Final = "2026-10-28.endive"
"""The version this adapter was written against; the account's own default must not matter."""
MAX_RETRIES: Final = 2
MAX_WAIT_S: Final = 86_400
"""Longest wait that Stripe may ask us for."""

_CHARGE: Final = "latest_charge.balance_transaction"
_PAYMENT: Final = f"payment_intent.{_CHARGE}"
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_REQUEST_ID = re.compile(r"req_[A-Za-z0-9]{1,64}", re.ASCII)
_REPLAY_HEADER = "Idempotent-Replayed"
_TOO_MANY = 429
_SECONDS = re.compile(r"[0-9]{1,5}", re.ASCII)


class _Call(threading.local):
    """The call of the adapter that this thread is in.

    Attributes:
        deadline: Monotonic time by which all its requests are over.
        replayed: The last answer was that to an earlier request under the key.
    """

    deadline = 0.0
    replayed = False


class StripeApi:
    """Stripe's API with one key: the few requests of the adapter, giving plain dicts."""

    def __init__(self, *, secret_key: str, api_base: str | None, timeout_s: int) -> None:
        _tame_sdk()
        self._timeout_s = timeout_s
        self._call = _Call()
        # A proxy named in the environment stands between us and Stripe, not between us and a simulator.
        self._session = BoundedSession(trust_env=api_base is None or not is_loopback(api_base))
        client = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            max_network_retries=MAX_RETRIES,
            base_addresses={"api": api_base} if api_base else {},
            http_client=stripe.RequestsClient(
                timeout=(CONNECT_TIMEOUT_S, timeout_s), session=cast("requests.Session", self._session)
            ),
        )
        self._v1 = client.v1

    def start(self) -> Self:
        """Start a call of the adapter: all requests that follow in this thread share its time."""
        self._call.deadline = time.monotonic() + self._timeout_s
        return self

    def create_session(self, params: SessionCreateParams, *, key: str) -> dict[str, Any]:
        """Create a Checkout Session under an idempotency key."""
        return self._send(lambda: self._v1.checkout.sessions.create(params, {"idempotency_key": key}), key=key)

    def retrieve_session(self, session_id: str) -> dict[str, Any]:
        """Read a Checkout Session with its payment, charge and fee."""
        return self._send(lambda: self._v1.checkout.sessions.retrieve(session_id, {"expand": [_PAYMENT]}))

    def expire_session(self, session_id: str) -> dict[str, Any]:
        """Make an open Checkout Session unpayable, and read it as it is then."""
        return self._send(lambda: self._v1.checkout.sessions.expire(session_id, {"expand": [_PAYMENT]}), writes=True)

    def list_sessions(self, params: SessionListParams) -> dict[str, Any]:
        """Read a page of Checkout Sessions with their payments, charges and fees."""
        expanded: SessionListParams = {**params, "expand": [f"data.{_PAYMENT}"]}
        return self._send(lambda: self._v1.checkout.sessions.list(expanded))

    def create_intent(self, params: PaymentIntentCreateParams, *, key: str) -> dict[str, Any]:
        """Create a PaymentIntent under an idempotency key."""
        return self._send(lambda: self._v1.payment_intents.create(params, {"idempotency_key": key}), key=key)

    def retrieve_intent(self, intent_id: str) -> dict[str, Any]:
        """Read a PaymentIntent with its charge and fee."""
        return self._send(lambda: self._v1.payment_intents.retrieve(intent_id, {"expand": [_CHARGE]}))

    def cancel_intent(self, intent_id: str) -> dict[str, Any]:
        """Make a PaymentIntent unpayable, and read it as it is then."""
        params: PaymentIntentCancelParams = {"cancellation_reason": "abandoned", "expand": [_CHARGE]}
        return self._send(lambda: self._v1.payment_intents.cancel(intent_id, params), writes=True)

    def capture_intent(self, intent_id: str, number: int, *, key: str) -> dict[str, Any]:
        """Take ``number`` units of an authorised PaymentIntent under an idempotency key."""
        params: PaymentIntentCaptureParams = {"amount_to_capture": number}
        options: stripe.RequestOptions = {"idempotency_key": key}
        return self._send(lambda: self._v1.payment_intents.capture(intent_id, params, options), key=key)

    def list_intents(self, params: PaymentIntentListParams) -> dict[str, Any]:
        """Read a page of PaymentIntents with their charges and fees."""
        expanded: PaymentIntentListParams = {**params, "expand": [f"data.{_CHARGE}"]}
        return self._send(lambda: self._v1.payment_intents.list(expanded))

    def create_refund(self, params: RefundCreateParams, *, key: str) -> dict[str, Any]:
        """Create a refund under an idempotency key, and read it with its payment."""
        expanded: RefundCreateParams = {**params, "expand": ["payment_intent"]}
        return self._send(lambda: self._v1.refunds.create(expanded, {"idempotency_key": key}), key=key)

    def retrieve_refund(self, refund_id: str) -> dict[str, Any]:
        """Read a refund with its payment, which alone tells the mode."""
        return self._send(lambda: self._v1.refunds.retrieve(refund_id, {"expand": ["payment_intent"]}))

    def list_refunds(self, params: RefundListParams) -> dict[str, Any]:
        """Read a page of refunds with their payments."""
        expanded: RefundListParams = {**params, "expand": ["data.payment_intent"]}
        return self._send(lambda: self._v1.refunds.list(expanded))

    def list_disputes(self, params: DisputeListParams) -> dict[str, Any]:
        """Read a page of disputes."""
        return self._send(lambda: self._v1.disputes.list(params))

    def retrieve_balance(self) -> dict[str, Any]:
        """Read the account's balance."""
        return self._send(self._v1.balance.retrieve)

    def create_verification(self, params: VerificationSessionCreateParams, *, key: str) -> tuple[dict[str, Any], bool]:
        """Create a VerificationSession under an idempotency key, and tell whether an earlier request had made it."""
        options: stripe.RequestOptions = {"idempotency_key": key}
        session = self._send(lambda: self._v1.identity.verification_sessions.create(params, options), key=key)
        return session, self._call.replayed

    def retrieve_verification(self, verification_id: str) -> dict[str, Any]:
        """Read a VerificationSession without what stands in a document: nothing is expanded."""
        return self._send(lambda: self._v1.identity.verification_sessions.retrieve(verification_id))

    def cancel_verification(self, verification_id: str) -> dict[str, Any]:
        """Let nothing more be handed in to a VerificationSession, and read it as it is then."""
        return self._send(lambda: self._v1.identity.verification_sessions.cancel(verification_id), writes=True)

    def _send(
        self, request: Callable[[], StripeObject], *, writes: bool = False, key: str | None = None
    ) -> dict[str, Any]:
        self._session.begin(self._call.deadline - time.monotonic())
        try:
            reply = request()
            self._call.replayed = _is_replay(reply)
            return _plain(reply)
        # Anything: what the SDK makes of a hostile or broken reply is not bounded by its own exceptions.
        except Exception as problem:
            in_doubt = self._session.in_doubt()
            error = explain(problem, writes=writes or key is not None, in_doubt=in_doubt, keyed=key is not None)
        # Raised out here, so that the SDK's exception, which holds the whole reply, is not carried along.
        raise error


@frozen
class _Meaning:
    """What one kind of exception of the SDK means.

    Attributes:
        kind: The exception.
        message: What to tell an operator.
        code: Our word, used where Stripe gives none.
        retryable: As in `GatewayError`.
        outcome_unknown: As in `GatewayError`, for a call that writes.
    """

    kind: type[Exception]
    message: str
    code: str
    retryable: bool
    outcome_unknown: bool


_MEANINGS: Final = (
    _Meaning(stripe.RateLimitError, "Stripe asks us to slow down", "rate-limit", True, False),
    _Meaning(stripe.AuthenticationError, "Stripe does not accept the secret key", "authentication", False, False),
    _Meaning(stripe.PermissionError, "Stripe does not let the secret key do this", "permission", False, False),
    # The earlier request under the key, whatever it was, may have been carried out.
    _Meaning(stripe.IdempotencyError, "The key was used with other content at Stripe", "idempotency", False, True),
    _Meaning(stripe.CardError, "The payment was declined", "declined", False, False),
    _Meaning(stripe.InvalidRequestError, "Stripe refused the request", "invalid-request", False, False),
    _Meaning(stripe.APIConnectionError, "Stripe did not answer in time or broke off", "connection", True, True),
    _Meaning(stripe.APIError, "Stripe failed, or its reply cannot be read", "api-error", True, True),
    _Meaning(Exception, "Stripe's reply cannot be read", "unusable-reply", True, True),
)

_REPLAYED: Final = _Meaning(
    # Stripe keeps a failure under its key and gives it again for as long as it keeps the key.
    stripe.APIError,
    "Stripe failed, and repeats that for this key",
    "replayed-failure",
    False,
    True,
)


def explain(problem: Exception, *, writes: bool, in_doubt: bool, keyed: bool = False) -> GatewayError:
    """Say what a failed call means, in words that hold neither our key nor anybody's data.

    Args:
        problem: What the SDK raised.
        writes: The call asked Stripe to change something.
        in_doubt: An attempt of the call got no answer, so that even a clear
            refusal of a later attempt does not tell what became of it.
        keyed: The key is ours, so that the same call would send it again.
    """
    meaning = next(meaning for meaning in _MEANINGS if isinstance(problem, meaning.kind))
    headers = _headers_of(problem)
    if getattr(problem, "http_status", None) == _TOO_MANY:  # also without Stripe's body, from a proxy in front of it
        meaning = _MEANINGS[0]
    if keyed and isinstance(problem, stripe.APIError) and headers.get(_REPLAY_HEADER) == "true":
        meaning = _REPLAYED
    code = _matching(_WORD, getattr(problem, "code", None)) or meaning.code
    request_id = _matching(_REQUEST_ID, getattr(problem, "request_id", None))
    shown = ", ".join(part for part in (code, request_id) if part)
    return GatewayError(
        f"{meaning.message} ({shown}).",
        retryable=meaning.retryable,
        outcome_unknown=writes and (meaning.outcome_unknown or in_doubt),
        code=code,
        retry_after_s=_wait_of(headers) if meaning is _MEANINGS[0] else None,
    )


def _plain(reply: StripeObject) -> dict[str, Any]:
    # The SDK takes the last of several fields of one name; somebody else may have taken the first.
    if reply.last_response is not None:
        json.loads(reply.last_response.body, object_pairs_hook=unique_names)
    return reply.to_dict()


def _is_replay(reply: StripeObject) -> bool:
    return reply.last_response is not None and reply.last_response.headers.get(_REPLAY_HEADER) == "true"


def _headers_of(problem: Exception) -> Mapping[str, str]:
    headers = getattr(problem, "headers", None)
    return headers if isinstance(headers, Mapping) else {}


def _wait_of(headers: Mapping[str, str]) -> int | None:
    written = _matching(_SECONDS, headers.get("Retry-After"))
    return min(int(written), MAX_WAIT_S) if written else None


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _tame_sdk() -> None:
    stripe.enable_telemetry = False
    # A filter, unlike a level, holds even if the host turns the logger up later.
    logging.getLogger("stripe").addFilter(_only_warnings)


def _only_warnings(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
