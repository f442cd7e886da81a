"""A TCP server of a test's own, on loopback, that does to each connection what the test says."""

import socket
import threading
from collections.abc import Callable

from tests.support.listening import Listening

type Behaviour = Callable[[socket.socket, threading.Event], None]


def says(words: bytes, *, then_waits: bool = True) -> Behaviour:
    """Return one that says something, and then nothing more, or hangs up."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(words)
        if then_waits:
            over.wait(60)

    return behave


class RawServer(Listening):
    """The server, inside a `with`; `asked` is what each connection sent first."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self.asked: list[bytes] = []
        self.listen()

    def serve_one(self, connection: socket.socket) -> None:
        self.asked.append(connection.recv(4096))
        self._behave(connection, self._over)
