"""Peers on loopback that do not behave: they say nothing, or a byte now and then."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"


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
