"""The session that SDKs send with: no peer holds a call longer than its time, whatever it does."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
import requests

from prepaid.gateways.bounded import MAX_REPLY, BoundedSession, OutOfBounds, TooLong

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
START_OF_TLS_ANSWER = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"


class Peer:
    """A server that answers each request of a connection with the next of its scripts, slowly if told so."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.connections = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.threads = [threading.Thread(target=self._serve, daemon=True)]
        self.threads[0].start()

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                self.connections.append(connection)
                self.threads.append(threading.Thread(target=self._answer, args=(connection,), daemon=True))
                self.threads[-1].start()

    def _answer(self, connection):
        with suppress(OSError):
            while self.scripts and connection.recv(65_536):
                for part in self.scripts.pop(0):
                    connection.sendall(part)
                    if len(part) == 1:
                        time.sleep(0.02)

    def close(self):
        for end in (self.listening, *self.connections):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self.threads:
            thread.join(5)


@contextmanager
def peer(*scripts):
    made = Peer(*scripts)
    try:
        yield made
    finally:
        made.close()


def bytes_of(content):
    return [content[at : at + 1] for at in range(len(content))]


def sent(session, port, *, scheme="http", host="127.0.0.1", budget_s=0.4, begin=True):
    if begin:
        session.begin(budget_s)
    return session.request("GET", f"{scheme}://{host}:{port}/", timeout=(5, 20))


def over_in_time(session, port, **options):
    started = time.monotonic()
    with pytest.raises(OutOfBounds):
        sent(session, port, **options)
    assert time.monotonic() - started < 1
    assert session.in_doubt()


SLOW = {
    "body": [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", *bytes_of(b" " * 500)],
    "body without length": [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", *bytes_of(b" " * 500)],
    "chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *bytes_of(b"1\r\nx\r\n" * 80)],
    "headers": [b"HTTP/1.1 200 OK\r\n", *bytes_of(b"X" * 500)],
    "status": bytes_of(b"HTTP/1.1 200 " + b"O" * 500),
    "nothing": [],
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW)
def test_a_peer_that_drips_its_answer_is_hung_up(script):
    with peer(script, []) as slow:
        over_in_time(BoundedSession(trust_env=False), slow.port)


def test_a_peer_that_drips_while_tls_is_agreed_on_is_hung_up():
    with peer([START_OF_TLS_ANSWER, *bytes_of(b"\x00" * 500)]) as slow:
        over_in_time(BoundedSession(trust_env=False), slow.port, scheme="https")


def test_a_connection_kept_from_an_earlier_exchange_is_hung_up_too():
    with peer([OK], SLOW["body"], []) as slow:
        session = BoundedSession(trust_env=False)
        assert sent(session, slow.port).content == b"{}"
        over_in_time(session, slow.port)
        assert len(slow.connections) == 1


def test_the_exchange_after_one_that_was_hung_up_is_a_new_one():
    with peer(SLOW["headers"]) as slow, peer([OK]) as quick:
        session = BoundedSession(trust_env=False)
        over_in_time(session, slow.port)
        reply = sent(session, quick.port)
        assert (reply.status_code, reply.content, session.in_doubt()) == (200, b"{}", False)


def test_an_exchange_that_ended_in_time_is_not_hung_up_later():
    with peer([OK], [OK]) as quick:
        session = BoundedSession(trust_env=False)
        sent(session, quick.port, budget_s=0.1)
        time.sleep(0.15)
        assert sent(session, quick.port).content == b"{}"
        assert len(quick.connections) == 1


def test_a_connection_that_was_hung_up_on_purpose_is_not_used_again():
    with peer([OK], [OK]) as quick:
        session = BoundedSession(trust_env=False)
        for _ in range(2):
            assert sent(session, quick.port).content == b"{}"
            session.hang_up()
        assert len(quick.connections) == 2


def test_threads_of_one_session_have_each_their_own_time():
    with peer(SLOW["body"]) as slow, peer([OK]) as quick:
        session = BoundedSession(trust_env=False)
        waiting = threading.Thread(target=over_in_time, args=(session, slow.port))
        waiting.start()
        time.sleep(0.1)
        assert sent(session, quick.port).content == b"{}"
        assert not session.in_doubt()
        waiting.join()


@pytest.fixture
def full_port():
    """A port whose queue of connections is full, so that a connection is never made."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        waiting = []
        for _ in range(8):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(address)
        yield address[1]
        for end in waiting:
            end.close()


@pytest.fixture
def names(monkeypatch):
    """Hosts with several addresses."""
    known = {"two.example": ["127.0.0.2", "127.0.0.1"], "four.example": ["127.0.0.1"] * 4}
    resolve = socket.getaddrinfo

    def several(host, *args, **options):
        return [found for address in known.get(host, [host]) for found in resolve(address, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", several)


def test_an_address_that_refuses_gives_way_to_the_next(names):
    with peer([OK]) as quick:
        assert sent(BoundedSession(trust_env=False), quick.port, host="two.example").content == b"{}"


def test_a_host_that_refuses_at_every_address_is_a_failure_of_the_connection(names):
    with peer() as gone:
        pass
    session = BoundedSession(trust_env=False)
    with pytest.raises(requests.ConnectionError):
        sent(session, gone.port, host="two.example")
    assert session.in_doubt()


def test_the_addresses_of_a_host_share_the_time_of_the_call(full_port, names):
    over_in_time(BoundedSession(trust_env=False), full_port, host="four.example")


def test_a_host_that_is_not_there_is_a_failure_of_the_connection(monkeypatch):
    def unknown(*args, **options):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(requests.ConnectionError):
        sent(BoundedSession(trust_env=False), 1)


def test_no_attempt_is_made_when_the_time_is_over():
    with peer([OK]) as quick:
        session = BoundedSession(trust_env=False)
        with pytest.raises(OutOfBounds):
            sent(session, quick.port, budget_s=0)
        assert not session.in_doubt()
        assert quick.connections == []


def test_a_reply_that_is_too_long_is_not_read_to_its_end():
    script = [b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n", b"x" * (MAX_REPLY + 70_000)]
    with peer(script) as endless, pytest.raises(TooLong):
        sent(BoundedSession(trust_env=False), endless.port, budget_s=5)


@pytest.mark.parametrize(("status", "in_doubt"), [(200, False), (302, False), (404, False), (500, True), (502, True)])
def test_only_a_failing_answer_or_none_leaves_the_outcome_in_doubt(status, in_doubt):
    script = [b"HTTP/1.1 %d X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status]
    with peer(script, [OK]) as server:
        session = BoundedSession(trust_env=False)
        assert sent(session, server.port).status_code == status
        assert session.in_doubt() == in_doubt
        sent(session, server.port, begin=False)
        assert session.in_doubt() == in_doubt
        session.begin(1)
        assert not session.in_doubt()


def test_a_proxy_of_the_environment_is_asked_if_it_may_be_and_is_hung_up_as_well(monkeypatch):
    with peer([OK], SLOW["headers"]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        session = BoundedSession(trust_env=True)
        session.begin(5)
        assert session.request("GET", "http://stripe.example/", timeout=(5, 20)).content == b"{}"
        started = time.monotonic()
        session.begin(0.4)
        with pytest.raises(OutOfBounds):
            session.request("GET", "http://stripe.example/", timeout=(5, 20))
        assert time.monotonic() - started < 1
