"""What the PayPal adapter needs of whatever carries its requests, and what PayPal's errors mean.

Nothing here knows an SDK: `Transport` is all that the adapter calls, so that
another carrier can be put in its place.

Sources: https://developer.paypal.com/api/rest/responses/ (form of errors, HTTP
statuses); https://developer.paypal.com/api/rest/reference/idempotency/ (one of
two simultaneous calls may fail); PayPal's published descriptions of the Orders
and Payments APIs (issues by status).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from attrs import frozen

from ..core.errors import GatewayError


class Transport(Protocol):
    """Carries requests to PayPal as an authorised client."""

    def begin(self) -> None:
        """Start a call of this thread: all its requests together keep to the timeout."""
        ...

    def request(
        self,
        method: str,
        path: str,
        *,
        content: Mapping[str, Any] | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        writes: bool = False,
    ) -> dict[str, Any]:
        """Send ``content`` as JSON, or ``raw`` as it is, and give the object that PayPal answers with.

        Raises:
            GatewayError: There is no answer, or it is no success; only if the
                request ``writes`` may its outcome be unknown.
        """
        ...

    def authorise(self) -> dict[str, Any]:
        """Ask for a new token with our credentials, and give what PayPal says with it.

        Raises:
            GatewayError: As `request`.
        """
        ...


class Refusal(GatewayError):
    """PayPal answered with an error.

    Attributes:
        status: HTTP status.
        name: PayPal's word for the kind of error, or empty.
    """

    def __init__(self, message: str, *, status: int, name: str, **meaning: Any) -> None:
        super().__init__(message, **meaning)
        self.status = status
        self.name = name


@frozen
class _Meaning:
    """What an HTTP status means.

    Attributes:
        message: What to tell an operator.
        code: Our word, used where PayPal gives none.
        retryable: As in `GatewayError`.
        outcome_unknown: As in `GatewayError`, for a call that writes.
    """

    message: str
    code: str
    retryable: bool = False
    outcome_unknown: bool = False


_REFUSED: Final = _Meaning("PayPal refused the request", "invalid-request")
_IN_PROGRESS: Final = _Meaning("PayPal is still at an earlier request", "in-progress", True, True)
_KEY_USED: Final = _Meaning("The key was used before at PayPal", "idempotency", False, True)
_FAILED: Final = _Meaning("PayPal failed, or its reply cannot be read", "api-error", True, True)

_BY_STATUS: Final = {
    401: _Meaning("PayPal does not accept the credentials", "authentication"),
    403: _Meaning("PayPal does not let this app do it", "permission"),
    404: _Meaning("PayPal does not know the object", "not-found"),
    409: _IN_PROGRESS,
    429: _Meaning("PayPal asks us to slow down", "rate-limit", True, False),
}
_BY_ISSUE: Final = {
    "DUPLICATE_REQUEST_ID": _KEY_USED,
    "ORDER_COMPLETION_IN_PROGRESS": _IN_PROGRESS,
    "PREVIOUS_REQUEST_IN_PROGRESS": _IN_PROGRESS,
}
_CLEAR_WITHOUT_WORDS: Final = frozenset({401, 403, 429})
"""Statuses that something in front of PayPal gives too, before anything is done."""

_LONGEST_WAIT_S: Final = 86_400
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_DEBUG_ID = re.compile(r"[0-9a-f]{6,32}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,6}", re.ASCII)


def refusal(status: int, headers: Mapping[str, str], body: Mapping[str, Any] | None, *, writes: bool) -> Refusal:
    """Say what an answer without success means, in words that hold nothing of what was sent.

    Args:
        status: HTTP status.
        headers: Of the answer.
        body: Of the answer, or None if it is no JSON object.
        writes: The request asked PayPal to change something.
    """
    body = body or {}
    name = _matching(_WORD, body.get("name")) or _matching(_WORD, body.get("error"))
    issue = _issue(body)
    meaning = _meaning(status, name, issue)
    code = issue or name or meaning.code
    debug_id = _matching(_DEBUG_ID, headers.get("PayPal-Debug-Id"))
    shown = ", ".join(part for part in (code, debug_id) if part)
    return Refusal(
        f"{meaning.message} ({shown}).",
        status=status,
        name=name,
        retryable=meaning.retryable,
        outcome_unknown=writes and meaning.outcome_unknown,
        code=code,
        retry_after_s=_wait_s(headers.get("Retry-After")) if meaning.retryable else None,
    )


def unanswered(*, writes: bool) -> GatewayError:
    """Make the error for a request that got no answer in time."""
    return GatewayError(
        "PayPal did not answer in time or broke off (connection).",
        retryable=True,
        outcome_unknown=writes,
        code="connection",
    )


def done_but_unusable(problem: GatewayError) -> GatewayError:
    """Make of an unusable reply to a write the error of one whose outcome only a look-up can tell."""
    return GatewayError(str(problem), retryable=True, outcome_unknown=True, code=problem.code)


def _meaning(status: int, name: str, issue: str) -> _Meaning:
    if issue in _BY_ISSUE:
        return _BY_ISSUE[issue]
    answered = 400 <= status < 500 and (bool(name) or status in _CLEAR_WITHOUT_WORDS)
    return _BY_STATUS.get(status, _REFUSED) if answered else _FAILED


def _issue(body: Mapping[str, Any]) -> str:
    details = body.get("details")
    first = details[0] if isinstance(details, list) and details else None
    return _matching(_WORD, first.get("issue")) if isinstance(first, dict) else ""


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _wait_s(value: str | None) -> int | None:
    return min(int(value), _LONGEST_WAIT_S) if _matching(_SECONDS, value) and value else None
