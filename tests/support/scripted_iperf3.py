"""An iperf3 server of a test's own, on loopback: it agrees on every test, and then does what the test says."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.support.servers import Listening

COOKIE_BYTES = 37
AGREES = bytes([9])
WANTS_STREAMS = bytes([10])
RUNS = bytes([1, 2])

type Act = Callable[["ScriptedIperf3", socket.socket], None]


class ScriptedIperf3(Listening):
    """The server, inside a `with`; `asked` is which tests it was asked for.

    `act` is called with the connection that agrees on a test, once it runs; streams are read from where `reads`.
    """

    def __init__(self, act: Act, *, reads: bool = True) -> None:
        self._act = act
        self._reads = reads
        self.asked: list[dict[str, Any]] = []
        self.streams: list[socket.socket] = []
        self._has_stream = threading.Semaphore(0)
        self._cookies: set[bytes] = set()
        self.listen()

    def serve_one(self, connection: socket.socket) -> None:
        cookie = connection.recv(COOKIE_BYTES, socket.MSG_WAITALL)
        if cookie in self._cookies:
            self._serve_stream(connection)
        elif cookie:
            self._cookies.add(cookie)
            self._serve_test(connection)

    def _serve_test(self, connection: socket.socket) -> None:
        connection.sendall(AGREES)
        self.asked.append(said(connection))
        connection.sendall(WANTS_STREAMS)
        for _ in range(self.asked[-1]["parallel"]):
            assert self._has_stream.acquire(timeout=5)
        connection.sendall(RUNS)
        self._act(self, connection)

    def _serve_stream(self, connection: socket.socket) -> None:
        self.streams.append(connection)
        self._has_stream.release()
        while self._reads and connection.recv(1 << 20):
            pass
        self._over.wait(60)


def said(connection: socket.socket) -> dict[str, Any]:
    """Return the JSON that comes next."""
    (length,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
    content: dict[str, Any] = json.loads(connection.recv(length, socket.MSG_WAITALL))
    return content


def waits(_server: ScriptedIperf3, control: socket.socket) -> None:
    """Say nothing more."""
    control.settimeout(60)
    control.recv(1)


def says_then_hangs_up(words: bytes) -> Act:
    """Return one that says something in the midst of a test, and ends all its connections."""

    def act(server: ScriptedIperf3, control: socket.socket) -> None:
        time.sleep(0.7)  # the test runs
        control.sendall(words)
        for stream in server.streams:
            stream.shutdown(socket.SHUT_RDWR)

    return act
