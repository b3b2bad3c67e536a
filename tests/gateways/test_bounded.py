"""A call over HTTP ends in time and within size, whatever the peer sends."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, contextmanager

import pytest
import requests

from prepaid.gateways.bounded import BoundedSession, OutOfBounds

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"


@contextmanager
def a_peer(serve):
    """Listen on loopback and let ``serve`` do what it likes with each connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        stopping = threading.Event()

        def accept():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=guarded, args=(connection,), daemon=True).start()

        def guarded(connection):
            with connection:
                try:
                    connection.recv(65_536)
                    serve(connection, stopping)
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stopping.set()
            server.shutdown(socket.SHUT_RDWR)


def drip(connection, stopping, content):
    for byte in content:
        connection.sendall(bytes([byte]))
        if stopping.wait(0.1):
            return


def says_nothing(connection, stopping):
    stopping.wait(60)


def drips_its_headers(connection, stopping):
    drip(connection, stopping, HEAD * 10)


def drips_its_body(connection, stopping):
    connection.sendall(HEAD)
    drip(connection, stopping, b"x" * 5000)


def drips_chunks(connection, stopping):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(connection, stopping, b"1\r\nx\r\n" * 1000)


def drips_many_headers(connection, stopping):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not stopping.wait(0.1):
        connection.sendall(b"X-More: 1\r\n")


@pytest.mark.parametrize(
    "serve",
    [says_nothing, drips_its_headers, drips_its_body, drips_chunks, drips_many_headers],
    ids=lambda f: f.__name__,
)
def test_a_call_ends_with_its_budget_however_slowly_the_peer_answers(serve):
    session = BoundedSession(trust_env=False)
    with a_peer(serve) as url:
        session.begin(0.4)
        started = time.monotonic()
        with pytest.raises(requests.RequestException):
            session.request("get", url, timeout=(5, 20))
        assert time.monotonic() - started < 0.9
    assert session.in_doubt()


def test_a_peer_that_falls_silent_late_has_only_what_is_left():
    def says_something_late(connection, stopping):
        if not stopping.wait(0.7):
            connection.sendall(HEAD[:20])
            stopping.wait(60)

    session = BoundedSession(trust_env=False)
    with a_peer(says_something_late) as url:
        session.begin(0.8)
        started = time.monotonic()
        with pytest.raises(requests.RequestException):
            session.request("get", url, timeout=(5, 20))
        assert time.monotonic() - started < 1.2


def test_a_second_request_of_a_call_has_only_what_the_first_left():
    session = BoundedSession(trust_env=False)
    with a_peer(says_nothing) as url:
        session.begin(0.4)
        with pytest.raises(requests.RequestException):
            session.request("get", url, timeout=(5, 20))
        started = time.monotonic()
        with pytest.raises(OutOfBounds):
            session.request("get", url, timeout=(5, 20))
        assert time.monotonic() - started < 0.1


def test_a_connection_is_used_again_with_the_time_of_the_next_call():
    answers = []

    def answers_twice(connection, stopping):
        for wait_s in (0, 0.6):
            if stopping.wait(wait_s):
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            answers.append(connection)
            connection.recv(65_536)

    session = BoundedSession(trust_env=False)
    with a_peer(answers_twice) as url:
        session.begin(0.5)
        assert session.request("get", url, timeout=(5, 20)).content == b"{}"
        session.begin(5)
        assert session.request("get", url, timeout=(5, 20)).content == b"{}"
    assert answers[0] is answers[1]
    assert not session.in_doubt()


def test_every_proxy_of_the_environment_is_bounded_too(monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    session = BoundedSession(trust_env=True)
    with a_peer(drips_its_headers) as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("HTTPS_PROXY", url)
        for target in ("http://api.example/", "https://api.example/"):
            session.begin(0.4)
            started = time.monotonic()
            with pytest.raises(requests.RequestException):
                session.request("get", target, timeout=(5, 20))
            assert time.monotonic() - started < 0.9
