"""A session of `requests` that keeps a call within its time and a reply within its size, for SDKs that do neither.

An SDK sends with whatever session it is given. This one gives every attempt of
a call only what is left of the call's time, reads no more of a reply than is
allowed, follows no redirect, and remembers whether an attempt got no answer, so
that a later refusal is not taken for the outcome.

A timeout of `requests` bounds each wait for bytes: a peer that sends one byte a
second is waited for without end, and every address of a host has the whole of
it to connect. So an exchange that is still going when the time is over is hung
up from another thread, and an address is given no more than what is left of it.
What the system's resolver takes is bounded by its own configuration only.

Sources: requests 2.32 (what a timeout bounds; redirects carry headers on);
urllib3 2 (``connection.py``, ``util/connection.py``: how a connection is made);
https://man7.org/linux/man-pages/man2/shutdown.2.html (ends a wait in another
thread, whichever descriptor of the socket it is called on).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Self

import requests
from attrs import frozen
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

CONNECT_TIMEOUT_S: Final = 5
MAX_REPLY: Final = 2_097_152
"""Longest reply that is read, in bytes."""

MAX_WAIT_S: Final = 60.0
"""Seconds to connect where no call says how long it may take."""

_CHUNK = 65_536
_SERVER_ERROR = 500


class OutOfBounds(requests.RequestException):
    """A call took too long or a reply was too large; not of a kind that an SDK sends again."""


class TooLong(OutOfBounds):
    """A reply was larger than is read."""


@frozen
class BoundedReply:
    """What an SDK reads of a response."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class _Watch:
    """Hangs up the exchange of this thread when its time is over, whatever the peer is doing then."""

    def __init__(self, left_s: float) -> None:
        self._deadline = time.monotonic() + left_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._over = False
        self._timer = threading.Timer(left_s, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        _underway.watch = self
        self._timer.start()
        return self

    def __exit__(self, *problem: object) -> None:
        _underway.watch = None
        self._timer.cancel()
        with self._lock:
            self._forget()

    def left_s(self) -> float:
        """Give the seconds that are left, or less than none."""
        return self._deadline - time.monotonic()

    def follow(self, connected: socket.socket) -> None:
        """Hang this connection up, too; it may be one that TLS is not yet spoken on."""
        with self._lock:
            self._forget()
            # A descriptor of our own: that of the connection may be closed and used anew before we get to it.
            self._socket = socket.fromfd(connected.fileno(), connected.family, connected.type)
            if self._over:
                self._hang_up()

    def _end(self) -> None:
        with self._lock:
            self._over = True
            self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # the peer may have been faster
                self._socket.shutdown(socket.SHUT_RDWR)

    def _forget(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _Underway(threading.local):
    """What this thread is waiting for."""

    watch: _Watch | None = None


_underway = _Underway()


class _Connection(HTTPConnection):
    """A connection that the watch of its thread can hang up."""

    def _new_conn(self) -> socket.socket:
        name, limit = self._dns_host, self.timeout
        failure: HTTPError = ConnectTimeoutError(self, "the call took too long")
        try:
            for address in _addresses_of(name, self.port):
                self._dns_host, self.timeout = address, _within(limit)
                if self.timeout <= 0:
                    break
                try:
                    return _followed(super()._new_conn())
                except (ConnectTimeoutError, NewConnectionError) as problem:
                    failure = problem
        finally:
            self._dns_host, self.timeout = name, limit  # TLS asks for the name
        raise failure

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:  # kept from an earlier exchange
            _followed(self.sock)
        super().request(*args, **options)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Makes connections that can be hung up."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _pool_ours(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return _pool_ours(super().proxy_manager_for(proxy, **options))


def _pool_ours(manager: PoolManager) -> PoolManager:
    if type(manager) in {PoolManager, ProxyManager}:  # any other has connections of its own, such as SOCKS
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager


def _followed(connected: socket.socket) -> socket.socket:
    if _underway.watch is not None:
        _underway.watch.follow(connected)
    return connected


def _within(limit: object) -> float:
    left_s = _underway.watch.left_s() if _underway.watch is not None else MAX_WAIT_S
    return min(limit, left_s) if isinstance(limit, (int, float)) else left_s


def _addresses_of(name: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:  # connecting will say so
        return [name]
    return [str(address[0]) for *_, address in found]


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
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _Adapter())


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
        try:
            with _Watch(left_s), self._progress.session.request(method, url, **options) as response:
                reply = BoundedReply(response.status_code, response.headers, self._read(response))
                self._left_s()  # headers that were hung up look as if they had ended
        except requests.RequestException:
            self._left_s()  # that it was hung up is not the peer's doing, and nothing to try again after
            raise
        if reply.status_code < _SERVER_ERROR:
            self._progress.in_doubt -= 1
        return reply

    def hang_up(self) -> None:
        """Keep no connection of this thread; its next request makes a new one."""
        self._progress.session.close()

    def _read(self, response: requests.Response) -> bytes:
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            self._left_s()
            if len(content) > MAX_REPLY:
                raise TooLong("the reply is too long")
        return bytes(content)

    def _left_s(self) -> float:
        left_s = self._progress.deadline - time.monotonic()
        if left_s <= 0:
            raise OutOfBounds("the call took too long")
        return left_s
