"""A web server on loopback that takes what is posted, with TLS or without; or one that hangs."""

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.receiver import HOST
from tests.support.tls_front import make_signed_certificate


@dataclass(frozen=True)
class Posted:
    """One request: its first line, its headers by small letters, its body."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HookServer:
    """The server, inside a `with`; `answer` is all that it says. `trickles`: it says that a letter at a time."""

    folder: Path
    tls: bool = True
    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
    hangs: bool = False
    trickles: bool = False
    posted: list[Posted] = field(default_factory=list)
    authority: Path = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True, parents=True)
        self.authority, certificate, key = make_signed_certificate(self.folder, "localhost")
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._over = threading.Event()
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._serve, name="hook-server")]

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

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"https://localhost:{self.port}/kait/liput" if self.tls else f"http://127.0.0.1:{self.port}/kait/liput"

    def _serve(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._one, args=(connection,), name="hook-connection")
                self._threads.append(thread)
                thread.start()

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, contextlib.suppress(OSError):
            if not self.tls:
                self._take(connection)
                return
            with self._context.wrap_socket(connection, server_side=True) as wrapped:
                self._take(wrapped)

    def _take(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            first = lines.readline().decode().strip()
            headers = dict(_header(line) for line in iter(lines.readline, b"\r\n"))
            self.posted.append(Posted(first, headers, lines.read(int(headers["content-length"]))))
        if self.hangs:
            self._over.wait(60)
        for letter in self.answer if self.trickles else ():
            if self._over.wait(0.2):
                return
            connection.sendall(bytes([letter]))
        if not self.trickles:
            connection.sendall(self.answer)


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode().partition(":")
    return name.lower(), value.strip()
