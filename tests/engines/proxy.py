"""A proxy between a client and a database server that can lose the answer to a commit.

It passes every byte on, and reads along to know when the server has committed
what was written: then, and only then, it asks whether this answer is to be lost, and if so cuts
the connection instead of passing it on. What was committed stays so; the client
cannot know it.

Sources: PostgreSQL manual, chapter 55 (message formats, message flow); MariaDB
documentation, client/server protocol (standard packet, COM_QUERY, OK, ERR).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sqlalchemy import make_url

PATIENCE_S: Final = 30.0

_WRITES: Final = (b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"COPY")
_IDLE: Final = b"I"

_QUERY: Final = b"\x03"
_CHANGES: Final = ("INSERT", "UPDATE", "DELETE", "REPLACE")
_COMPOUND: Final = "BEGIN NOT ATOMIC"
_ERROR: Final = 0xFF
_NULL: Final = b"\xfb"


class Answer(NamedTuple):
    """Part of what a server said.

    Attributes:
        data: The bytes.
        commits: The statement that the server has committed by, if this is the answer to one.
    """

    data: bytes
    commits: str | None = None


class Session(ABC):
    """What one connection has said so far, read in the language of its server."""

    @abstractmethod
    def asked(self, data: bytes) -> None:
        """Take note of what the client said, before it is passed on."""

    @abstractmethod
    def answered(self, data: bytes) -> Iterator[Answer]:
        """Split what the server said, so that the answer to a commit is one part."""


class PostgresSession(Session):
    """Knows by the server's own word whether a transaction has ended: the status after each answer."""

    def __init__(self) -> None:
        """Wait for the first message, which has no type."""
        self._started = False
        self._from_client = self._from_server = self._held = b""
        self._prepared: dict[bytes, bytes] = {}
        self._statement = self._tag = b""
        self._status = _IDLE
        self._wrote = False

    def asked(self, data: bytes) -> None:
        """Remember the statement, also one that was prepared earlier and is only named."""
        self._from_client += data
        if not self._started:
            self._from_client = self._from_client[_length(self._from_client) :]
            self._started = True
        messages, self._from_client = _messages(self._from_client)
        for kind, body in messages:
            if kind == b"Q":
                self._statement = body.rstrip(b"\0")
            elif kind == b"P":
                name, text, *_ = body.split(b"\0")
                self._prepared[name] = text
            elif kind == b"B":
                self._statement = self._prepared[body.split(b"\0")[1]]

    def answered(self, data: bytes) -> Iterator[Answer]:
        """Keep an answer from the end of its statement to the word that the server is ready."""
        messages, self._from_server = _messages(self._from_server + data)
        for kind, body in messages:
            whole = kind + struct.pack("!I", len(body) + 4) + body
            if kind == b"C":
                self._tag = body.rstrip(b"\0")
                self._wrote |= self._tag.startswith(_WRITES) and not self._tag.endswith(b" 0")
            if kind != b"Z" and not (kind == b"C" or self._held):
                yield Answer(whole)
                continue
            self._held += whole
            if kind == b"Z":
                yield Answer(self._held, self._statement.decode() if self._has_committed(body) else None)
                self._held, self._tag, self._status = b"", b"", body

    def _has_committed(self, status: bytes) -> bool:
        if status != _IDLE:
            return False
        wrote, self._wrote = self._wrote, False
        return wrote and (self._tag == b"COMMIT" or self._status == _IDLE)


def _length(message: bytes) -> int:
    """Read the length of a message without a type."""
    return int.from_bytes(message[:4])


def _messages(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Cut messages, as type and body, off what was said; give them and the rest."""
    found = []
    while len(data) >= 5 and len(data) > _length(data[1:]):
        end = 1 + _length(data[1:])
        found.append((data[:1], data[5:end]))
        data = data[end:]
    return found, data


class MariaDBSession(Session):
    """Knows a commit by its statements: those that change rows, then ``COMMIT``; or a compound one that does both."""

    def __init__(self) -> None:
        """Wait for the first packet."""
        self._from_client = self._held = b""
        self._statement: str | None = None
        self._wrote = False

    def asked(self, data: bytes) -> None:
        """See whether a statement commits what was written."""
        packets, self._from_client = _packets(self._from_client + data)
        for number, body in packets:
            if number == 0 and body[:1] == _QUERY:
                self._statement = self._committing(body[1:].decode(errors="replace").strip())

    def _committing(self, statement: str) -> str | None:
        if statement.upper() in {"COMMIT", "ROLLBACK"}:
            wrote, self._wrote = self._wrote, False
            return statement if wrote and statement.upper() == "COMMIT" else None
        self._wrote |= statement.upper().startswith(_CHANGES)
        return statement if statement.upper().startswith(_COMPOUND) else None

    def answered(self, data: bytes) -> Iterator[Answer]:
        """Give an answer as it came: a statement's begins when it has ended, and fits in one write."""
        if self._statement is None:
            yield Answer(data)
            return
        self._held += data
        packets, rest = _packets(self._held)
        if packets and not rest:
            failed = any(body[0] == _ERROR or body == _NULL for _, body in packets)
            answer = Answer(self._held, None if failed else self._statement)
            # Before it is passed on: its client may ask the next at once, and that is another thread.
            self._held, self._statement = b"", None
            yield answer


def _packets(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Cut packets, as number and body, off what was said; give them and the rest."""
    found = []
    while len(data) >= 4 and len(data) >= (end := 4 + int.from_bytes(data[:3], "little")):
        found.append((data[3], data[4:end]))
        data = data[end:]
    return found, data


SESSIONS: Final[dict[str, Callable[[], Session]]] = {"postgresql": PostgresSession, "mariadb": MariaDBSession}


class LossyProxy:
    """Listens on a port of 127.0.0.1 for one server.

    Attributes:
        url: As the server's database, through the proxy.
        lost: The statements whose answers were lost, in their order.
    """

    def __init__(self, url: str, loses: Callable[[str], bool]) -> None:
        """Begin to listen.

        Args:
            url: Of a database of the server.
            loses: Asked at each commit, with its statement, whether its answer is lost.
        """
        place = make_url(url)
        self._server, self._backend = ("127.0.0.1", place.port or 0), place.get_backend_name()
        self._loses = loses
        self.lost: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        place = place.set(port=int(self._listener.getsockname()[1]))
        if self._backend == "postgresql":
            place = place.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})  # nothing to read along
        self.url = place.render_as_string(hide_password=False)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._sockets: list[socket.socket] = []
        self._threads[0].start()

    def __enter__(self) -> LossyProxy:
        """Give the proxy."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection and listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(PATIENCE_S)
        _cut(*self._sockets)
        for thread in self._threads[1:]:
            thread.join(PATIENCE_S)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [client, server]
            session = SESSIONS[self._backend]()
            for pump in (self._pass_questions, self._pass_answers):
                thread = threading.Thread(target=pump, args=(session, client, server), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_questions(self, session: Session, client: socket.socket, server: socket.socket) -> None:
        for data in _said(client):
            session.asked(data)
            if not _say(server, data):
                break
        _cut(client, server)

    def _pass_answers(self, session: Session, client: socket.socket, server: socket.socket) -> None:
        for data in _said(server):
            for part in session.answered(data):
                if part.commits is not None and self._loses(part.commits):
                    self.lost.append(part.commits)
                    _cut(client, server)
                    return
                _say(client, part.data)
        _cut(client, server)


def _said(side: socket.socket) -> Iterator[bytes]:
    """Give what one side says, until it is gone."""
    while True:
        try:
            data = side.recv(1 << 16)
        except OSError:
            return
        if not data:
            return
        yield data


def _say(side: socket.socket, data: bytes) -> bool:
    try:
        side.sendall(data)
    except OSError:
        return False
    return True


def _cut(*sides: socket.socket) -> None:
    for side in sides:
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it in another thread
        side.close()
