"""A small HTTP server on 127.0.0.1 that simulators of payment providers are built on.

It decodes requests, remembers them, hands them one by one to the simulator, and
misbehaves on request: a fault, scripted for the next answer or drawn by chance,
spoils it on its way out.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

import attrs
from attrs import field, frozen

MAX_BODY: Final = 1_048_576
"""Longest request body that is read, in bytes."""

_PARTS = re.compile(r"[^\[\]]+|\[\]")
_READ_TIMEOUT_S: Final = 30


@frozen(kw_only=True)
class Request:
    """A request as received.

    Attributes:
        method: ``GET``, ``POST``, ….
        path: Without the query.
        query: Parameters of the query, nested as the brackets in their names say.
        headers: Names in lower case.
        body: Raw bytes.
    """

    method: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: bytes

    def form(self) -> dict[str, Any]:
        """Decode a form body, nested as the brackets in its names say."""
        return unbracket(parse_qsl(self.body.decode(), keep_blank_values=True))

    def json(self) -> Any:
        """Decode a JSON body."""
        return json.loads(self.body)


@frozen(kw_only=True)
class Answer:
    """An answer to send.

    Attributes:
        status: HTTP status.
        body: Raw bytes.
        headers: Beside those of length and type.
        media_type: Type of the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(factory=dict)
    media_type: str = "application/json"

    @classmethod
    def of_json(cls, content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """Make an answer that holds ``content`` as JSON."""
        return cls(status=status, body=json.dumps(content).encode(), headers=headers or {})


@frozen(kw_only=True)
class Fault:
    """How one answer goes wrong.

    Attributes:
        spoil: Makes of the honest answer what is sent; None closes the
            connection without a word.
        executed: The request is carried out all the same.
        stall_s: Seconds that pass before anything is sent.
    """

    spoil: Callable[[Answer], Answer | None]
    executed: bool = True
    stall_s: float = 0


_HTML = Answer(status=502, body=b"<html><body><h1>502 Bad Gateway</h1></body></html>", media_type="text/html")

FAULTS: Final[Mapping[str, Fault]] = {
    "drop": Fault(spoil=lambda answer: None, executed=False),
    "accept-then-drop": Fault(spoil=lambda answer: None),
    "slow": Fault(spoil=lambda answer: answer, stall_s=0.05),
    "stall": Fault(spoil=lambda answer: answer, stall_s=60),
    "html": Fault(spoil=lambda answer: _HTML),
    "truncated": Fault(spoil=lambda answer: attrs.evolve(answer, body=answer.body[: len(answer.body) // 2])),
}
"""Faults that need no knowledge of the provider."""


def rewriting(change: Callable[[Any], None]) -> Fault:
    """Make a fault that changes the JSON of an answer in place."""

    def spoil(answer: Answer) -> Answer:
        content = json.loads(answer.body)
        change(content)
        return attrs.evolve(answer, body=json.dumps(content).encode())

    return Fault(spoil=spoil)


class LoopbackServer:
    """A server on a free port of 127.0.0.1, started and stopped by ``with``.

    Attributes:
        requests: Every request received, in order.
        met: How often each fault of `fault_sometimes` was met.
        lock: Guards all state; held while a request is answered.
    """

    faults: Mapping[str, Fault] = FAULTS

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.lock = threading.RLock()
        self.met: Counter[str] = Counter()
        self._script: deque[Fault] = deque()
        self._chance: Callable[[Request], Fault | None] = lambda request: None
        self._stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        if self._server is None:
            raise RuntimeError("The simulator is not started.")
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> Self:
        """Listen on a free port, in a thread of its own."""
        self._stopping.clear()
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening and close every connection; a second stop does nothing."""
        server, self._server = self._server, None
        if server is None:
            return
        self._stopping.set()
        server.shutdown()
        server.server_close()
        with self.lock:
            for connection in self._connections:
                _hang_up(connection)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def fault_next(self, fault: str | Fault, *, times: int = 1) -> None:
        """Let the next ``times`` requests go wrong.

        Args:
            fault: One of ``faults`` by name, or a fault of your own.
            times: A client that retries meets the same fault again.

        Raises:
            KeyError: There is no fault of that name.
        """
        chosen = self.faults[fault] if isinstance(fault, str) else fault
        with self.lock:
            self._script.extend([chosen] * times)

    def fault_sometimes(
        self, rate: float, *, random: Random, names: Sequence[str] | Callable[[Request], Sequence[str]]
    ) -> None:
        """Let requests go wrong by chance, those that no scripted fault waits for; a rate of 0 ends it.

        Args:
            rate: How many of all requests, from 0 to 1.
            random: Where chance comes from: the same seed and the same requests, the same faults.
            names: Faults to choose from, all alike, or what gives those that a request may meet.

        Raises:
            KeyError: There is no fault of that name.
        """
        if not callable(names):
            for name in names:
                self.faults[name]
        may_meet = names if callable(names) else lambda request: names

        def draw(request: Request) -> Fault | None:
            if random.random() >= rate:
                return None
            name = random.choice(may_meet(request))
            self.met[name] += 1
            return self.faults[name]

        with self.lock:
            self._chance = draw

    def rewrite_next(self, change: Callable[[Any], None]) -> None:
        """Let ``change`` alter the JSON of the next answer in place."""
        self.fault_next(rewriting(change))

    def answer(self, request: Request) -> Answer:
        """Carry a request out; to be written by each simulator."""
        raise NotImplementedError

    def _handle(self, request: Request) -> Answer | None:
        with self.lock:
            self.requests.append(request)
            fault = self._due(request)
            answer = self.answer(request) if fault is None or fault.executed else Answer()
        if fault is None:
            return answer
        if fault.stall_s:
            self._stopping.wait(fault.stall_s)
        return fault.spoil(answer)

    def _due(self, request: Request) -> Fault | None:
        return self._script.popleft() if self._script else self._chance(request)

    def _connected(self, connection: socket.socket) -> None:
        with self.lock:
            self._connections.add(connection)

    def _disconnected(self, connection: socket.socket) -> None:
        with self.lock:
            self._connections.discard(connection)


def unbracket(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Nest parameters whose names hold brackets, as PHP and Stripe write them.

    >>> unbracket([("a[b]", "1"), ("list[0][c]", "2"), ("expand[]", "3")])
    {'a': {'b': '1'}, 'list': [{'c': '2'}], 'expand': ['3']}
    """
    tree: dict[str, Any] = {}
    for name, value in pairs:
        node = tree
        *above, last = _PARTS.findall(name) or [name]
        for part in above:
            node = node.setdefault(part, {})
        node[str(len(node)) if last == "[]" else last] = value
    return {name: _listed(child) for name, child in tree.items()}


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    children = {name: _listed(child) for name, child in node.items()}
    return list(children.values()) if all(name.isdecimal() for name in children) else children


def _handler(simulator: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _READ_TIMEOUT_S
        disable_nagle_algorithm = True  # else head and body of an answer are sent 40 ms apart

        def setup(self) -> None:
            super().setup()
            simulator._connected(self.connection)

        def finish(self) -> None:
            simulator._disconnected(self.connection)
            super().finish()

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client hung up
                super().handle()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: what a test sends is in `LoopbackServer.requests`."""

        def do_GET(self) -> None:
            self._exchange()

        def do_POST(self) -> None:
            self._exchange()

        def _exchange(self) -> None:
            answer = simulator._handle(self._request())
            try:
                self._send(answer)
            except OSError:  # the client did not wait
                self.close_connection = True

        def _request(self) -> Request:
            parts = urlsplit(self.path)
            length = min(int(self.headers.get("Content-Length") or 0), MAX_BODY)
            return Request(
                method=self.command,
                path=parts.path,
                query=unbracket(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )

        def _send(self, answer: Answer | None) -> None:
            if answer is None:
                self.close_connection = True
                return _hang_up(self.connection)
            self.send_response(answer.status)
            headers = {"Content-Type": answer.media_type, "Content-Length": str(len(answer.body)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)
            return None

    return Handler


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side may have been faster
        connection.shutdown(socket.SHUT_RDWR)
