"""A TCP server of a test's own, on loopback, that does to each connection what the test says."""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from agent.receiver import HOST

type Behaviour = Callable[[socket.socket, threading.Event], None]


def says(words: bytes, *, then_waits: bool = True) -> Behaviour:
    """Return one that says something, and then nothing more, or hangs up."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(words)
        if then_waits:
            over.wait(60)

    return behave


class RawServer:
    """The server, inside a `with`; `asked` is what each connection sent first."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._over = threading.Event()
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._serve, name="raw-server")]
        self.asked: list[bytes] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._one, args=(connection,), name="raw-connection")
                self._threads.append(thread)
                thread.start()

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, contextlib.suppress(OSError):
            self.asked.append(connection.recv(4096))
            self._behave(connection, self._over)
