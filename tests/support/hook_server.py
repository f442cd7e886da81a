"""A web server on loopback that takes what is posted, with TLS or without; or one that hangs."""

import socket
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.listening import Listening, tls_of_its_own


@dataclass(frozen=True)
class Posted:
    """One request: its first line, its headers by small letters, its body."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HookServer(Listening):
    """The server, inside a `with`; `answer` is all that it says. `trickles`: it says that a letter at a time."""

    folder: Path
    tls: bool = True
    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
    hangs: bool = False
    trickles: bool = False
    posted: list[Posted] = field(default_factory=list)
    authority: Path = field(init=False)

    def __post_init__(self) -> None:
        self.authority, self._context = tls_of_its_own(self.folder)
        self.listen()

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"https://localhost:{self.port}/kait/liput" if self.tls else f"http://127.0.0.1:{self.port}/kait/liput"

    def serve_one(self, connection: socket.socket) -> None:
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
