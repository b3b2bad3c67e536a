"""A session of `requests` that keeps a call within its time and a reply within its size, for SDKs that do neither.

An SDK sends with whatever session it is given. This one gives every attempt of
a call only what is left of the call's time, reads no more of a reply than is
allowed, follows no redirect, and remembers whether an attempt got no answer, so
that a later refusal is not taken for the outcome.

Sources: requests 2.32 (a timeout bounds each wait for bytes, not the whole
exchange; redirects carry headers on).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import requests
from attrs import frozen

MAX_REPLY: Final = 2_097_152
"""Longest reply that is read, in bytes."""

_CHUNK = 65_536
_SERVER_ERROR = 500


class OutOfBounds(requests.RequestException):
    """A call took too long or a reply was too large; not of a kind that an SDK sends again."""


@frozen
class BoundedReply:
    """What an SDK reads of a response."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class _Progress(threading.local):
    """How far the call of this thread is.

    Attributes:
        deadline: Monotonic time by which all attempts are over.
        in_doubt: Attempts that the gateway may have carried out without our knowing.
        session: Connections of this thread.
    """

    def __init__(self, *, trust_env: bool) -> None:
        self.deadline = 0.0
        self.in_doubt = 0
        self.session = requests.Session()
        self.session.trust_env = trust_env


class BoundedSession:
    """Stands in for the session an SDK sends with; keeps a call within its time and a reply within its size."""

    def __init__(self, *, trust_env: bool) -> None:
        self._progress = _Progress(trust_env=trust_env)

    def begin(self, budget_s: float) -> None:
        """Start a call of this thread, retries included."""
        self._progress.deadline = time.monotonic() + budget_s
        self._progress.in_doubt = 0

    def in_doubt(self) -> bool:
        """Tell whether an attempt of the call got no answer, or a failing one."""
        return self._progress.in_doubt > 0

    def request(self, method: str, url: str, *, timeout: tuple[float, float], **options: Any) -> BoundedReply:
        """Send one attempt, with what is left of the call's time."""
        left_s = self._left_s()
        limits = tuple(min(limit, left_s) for limit in timeout)
        self._progress.in_doubt += 1
        options |= {"timeout": limits, "stream": True, "allow_redirects": False}
        with self._progress.session.request(method, url, **options) as response:
            reply = BoundedReply(response.status_code, response.headers, self._read(response))
        if reply.status_code < _SERVER_ERROR:
            self._progress.in_doubt -= 1
        return reply

    def _read(self, response: requests.Response) -> bytes:
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            self._left_s()
            if len(content) > MAX_REPLY:
                raise OutOfBounds("the reply is too long")
        return bytes(content)

    def _left_s(self) -> float:
        left_s = self._progress.deadline - time.monotonic()
        if left_s <= 0:
            raise OutOfBounds("the call took too long")
        return left_s
