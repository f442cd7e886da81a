"""What every server of a test's own does: takes connections on loopback, each on a thread, until its `with` ends."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.sessions.receiver import HOST
from tests.support.tls_front import make_signed_certificate


class Listening:
    """The server, inside a `with`; `serve_one` is called with each connection. `listen` comes first."""

    port: int

    def listen(self) -> None:
        """Take a port."""
        self._over = threading.Event()
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._serve, name=type(self).__name__)]

    def serve_one(self, connection: socket.socket) -> None:
        """Talk to one client; what goes wrong with the connection ends it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        self._listener.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._one, args=(connection,), name=f"{type(self).__name__}-client")
                self._threads.append(thread)
                thread.start()

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, contextlib.suppress(OSError):
            self.serve_one(connection)


def tls_of_its_own(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return an authority made for this test, and what a server on "localhost" that it has signed for uses."""
    folder.mkdir(exist_ok=True, parents=True)
    authority, certificate, key = make_signed_certificate(folder, "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return authority, context
