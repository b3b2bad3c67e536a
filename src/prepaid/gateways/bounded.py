"""HTTP within bounds, for any SDK that sends with ``requests``: one time budget a call, one size limit a reply.

A timeout of ``requests`` holds for each single read, so that a peer that sends a
byte now and then keeps a call for ever. Here every read, of headers too, gets
what is left of the call's budget. Redirects are not followed: they would carry
our key elsewhere.

Sources: https://requests.readthedocs.io/en/latest/user/quickstart/#timeouts
(no limit on the whole of a response); urllib3 2 (``response_class`` of a
connection reads status line, headers and body).
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import requests
from attrs import frozen
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

CONNECT_TIMEOUT_S: Final = 5
MAX_REPLY: Final = 2_097_152
"""Longest reply that is read, in bytes."""

_CHUNK = 65_536
_SERVER_ERROR = 500


class OutOfBounds(requests.RequestException):
    """A call took too long or a reply was too large; not of a kind that an SDK sends again."""


@frozen
class BoundedReply:
    """What an SDK reads of a response.

    Attributes:
        status_code: HTTP status.
        headers: Names in any case.
        content: The whole body.
    """

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class _Call(threading.local):
    """When the call of this thread has to be over, in monotonic time."""

    deadline: float = 0.0

    def left_s(self) -> float:
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise OutOfBounds("the call took too long")
        return left_s


_call = _Call()


class _TimedReader(io.RawIOBase):
    """Reads from a socket for as long as the call may still take."""

    def __init__(self, sock: socket.socket, source: io.RawIOBase) -> None:
        self._sock = sock
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = _call.deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the call took too long")
        self._sock.settimeout(left_s)
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach()))


class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse


class _TimedTlsConnection(HTTPSConnection):
    response_class = _TimedResponse


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


class _TimedAdapter(HTTPAdapter):
    """Sends over connections whose reads end with the call."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _use_timed_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        _use_timed_pools(manager)
        return manager


def _use_timed_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _TimedPool, "https": _TimedTlsPool}


class _Progress(threading.local):
    """How far the call of this thread is.

    Attributes:
        in_doubt: Attempts that the gateway may have carried out without our knowing.
        session: Connections of this thread.
    """

    def __init__(self, *, trust_env: bool) -> None:
        self.in_doubt = 0
        self.session = requests.Session()
        self.session.trust_env = trust_env
        self.session.mount("https://", _TimedAdapter())
        self.session.mount("http://", _TimedAdapter())


class BoundedSession:
    """Stands in for the session an SDK sends with; keeps a call within its time and a reply within its size."""

    def __init__(self, *, trust_env: bool) -> None:
        self._progress = _Progress(trust_env=trust_env)

    def begin(self, budget_s: float) -> None:
        """Start a call of this thread: all its requests and their repetitions end within ``budget_s`` seconds."""
        _call.deadline = time.monotonic() + budget_s
        self._progress.in_doubt = 0

    def in_doubt(self) -> bool:
        """Tell whether an attempt of the call got no answer, or a failing one."""
        return self._progress.in_doubt > 0

    def request(self, method: str, url: str, *, timeout: tuple[float, float], **options: Any) -> BoundedReply:
        """Send one attempt, with what is left of the call's time.

        Raises:
            requests.RequestException: There was no answer in time, or it is out of bounds.
        """
        left_s = _call.left_s()
        limits = tuple(min(limit, left_s) for limit in timeout)
        self._progress.in_doubt += 1
        options |= {"timeout": limits, "stream": True, "allow_redirects": False}
        with self._progress.session.request(method, url, **options) as response:
            reply = BoundedReply(response.status_code, response.headers, _read(response))
        if reply.status_code < _SERVER_ERROR:
            self._progress.in_doubt -= 1
        return reply


def _read(response: requests.Response) -> bytes:
    content = bytearray()
    for chunk in response.iter_content(_CHUNK):
        content += chunk
        _call.left_s()
        if len(content) > MAX_REPLY:
            raise OutOfBounds("the reply is too long")
    return bytes(content)
