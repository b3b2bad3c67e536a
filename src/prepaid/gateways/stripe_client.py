"""The one module that imports Stripe's SDK: sends requests, and turns whatever goes wrong into `GatewayError`.

The SDK is tamed here: replies become plain dicts at once, a call has one time
budget for all its attempts, redirects are not followed, replies are bounded,
telemetry is off, and nothing it logs below a warning gets through (it logs
whole request and reply bodies).

Sources: stripe 16.1 (``_http_client.py``: timeouts and retries,
``_api_requestor.py``: which reply becomes which exception);
https://docs.stripe.com/api/idempotent_requests (what a key replays).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import stripe
from attrs import frozen

from ..core.errors import GatewayError
from .bounded import CONNECT_TIMEOUT_S, BoundedSession
from .credentials import is_loopback

if TYPE_CHECKING:
    import requests
    from stripe import StripeObject
    from stripe.params.checkout import SessionCreateParams

API_VERSION: Final = "2026-10-28.endive"
"""The version this adapter was written against; the account's own default must not matter."""
MAX_RETRIES: Final = 2

_EXPANDED: Final = "payment_intent.latest_charge.balance_transaction"
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_REQUEST_ID = re.compile(r"req_[A-Za-z0-9]{1,64}", re.ASCII)


class StripeApi:
    """Stripe's API with one key: the few calls of the adapter, giving plain dicts."""

    def __init__(self, *, secret_key: str, api_base: str | None, timeout_s: int) -> None:
        _tame_sdk()
        self._timeout_s = timeout_s
        # A proxy named in the environment stands between us and Stripe, not between us and a simulator.
        self._session = BoundedSession(trust_env=api_base is None or not is_loopback(api_base))
        self._client = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            max_network_retries=MAX_RETRIES,
            base_addresses={"api": api_base} if api_base else {},
            http_client=stripe.RequestsClient(
                timeout=(CONNECT_TIMEOUT_S, timeout_s), session=cast("requests.Session", self._session)
            ),
        )

    def create_session(self, params: SessionCreateParams, *, key: str) -> dict[str, Any]:
        """Create a Checkout Session under an idempotency key."""
        sessions = self._client.v1.checkout.sessions
        return self._send(lambda: sessions.create(params, {"idempotency_key": key}), writes=True)

    def retrieve_session(self, session_id: str) -> dict[str, Any]:
        """Read a Checkout Session with its payment, charge and fee."""
        sessions = self._client.v1.checkout.sessions
        return self._send(lambda: sessions.retrieve(session_id, {"expand": [_EXPANDED]}), writes=False)

    def expire_session(self, session_id: str) -> dict[str, Any]:
        """Make an open Checkout Session unpayable, and read it as it is then."""
        sessions = self._client.v1.checkout.sessions
        return self._send(lambda: sessions.expire(session_id, {"expand": [_EXPANDED]}), writes=True)

    def retrieve_balance(self) -> dict[str, Any]:
        """Read the account's balance."""
        return self._send(self._client.v1.balance.retrieve, writes=False)

    def _send(self, call: Callable[[], StripeObject], *, writes: bool) -> dict[str, Any]:
        self._session.begin(self._timeout_s)
        try:
            return call().to_dict()
        # Anything: what the SDK makes of a hostile or broken reply is not bounded by its own exceptions.
        except Exception as problem:
            error = explain(problem, writes=writes, in_doubt=self._session.in_doubt())
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


def explain(problem: Exception, *, writes: bool, in_doubt: bool) -> GatewayError:
    """Say what a failed call means, in words that hold neither our key nor anybody's data.

    Args:
        problem: What the SDK raised.
        writes: The call asked Stripe to change something.
        in_doubt: An attempt of the call got no answer, so that even a clear
            refusal of a later attempt does not tell what became of it.
    """
    meaning = next(meaning for meaning in _MEANINGS if isinstance(problem, meaning.kind))
    code = _matching(_WORD, getattr(problem, "code", None)) or meaning.code
    request_id = _matching(_REQUEST_ID, getattr(problem, "request_id", None))
    shown = ", ".join(part for part in (code, request_id) if part)
    return GatewayError(
        f"{meaning.message} ({shown}).",
        retryable=meaning.retryable,
        outcome_unknown=writes and (meaning.outcome_unknown or in_doubt),
        code=code,
    )


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _tame_sdk() -> None:
    stripe.enable_telemetry = False
    # A filter, unlike a level, holds even if the host turns the logger up later.
    logging.getLogger("stripe").addFilter(_only_warnings)


def _only_warnings(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
