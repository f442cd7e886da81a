"""A real SMTP server on loopback: STARTTLS or TLS at once, a login, and letters that are kept; or one that hangs."""

import base64
import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.receiver import HOST
from tests.support.tls_front import make_signed_certificate


@dataclass
class SmtpServer:
    """The server, inside a `with`. `hangs_at`: it says no more when that word comes ("" : before its greeting).

    `trickles`: instead of saying nothing it says a letter every now and then.
    """

    folder: Path
    tls_at_once: bool = False
    offers_tls: bool = True
    password: str = ""
    hangs_at: str | None = None
    trickles: bool = False
    greeting: bytes = b"220 surat.kampus.example ESMTP"
    fails: int = 0
    """How many letters it refuses before it takes one."""
    letters: list[EmailMessage] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
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
        self._threads = [threading.Thread(target=self._serve, name="smtp-server")]

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
                thread = threading.Thread(target=self._one, args=(connection,), name="smtp-connection")
                self._threads.append(thread)
                thread.start()

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            stack.callback(connection.close)
            if self.tls_at_once:
                connection = self._behind_tls(connection, stack)
            if self.hangs_at == "":
                self._hang(connection)
                return
            connection.sendall(self.greeting + b"\r\n")
            self._converse(connection, stack)

    def _behind_tls(self, connection: socket.socket, stack: contextlib.ExitStack) -> ssl.SSLSocket:
        wrapped = self._context.wrap_socket(connection, server_side=True)
        stack.callback(wrapped.close)
        return wrapped

    def _converse(self, connection: socket.socket, stack: contextlib.ExitStack) -> None:
        lines = connection.makefile("rb")
        stack.callback(lines.close)
        while line := lines.readline():
            words = line.decode("latin-1").strip()
            word, _, rest = words.partition(" ")
            word = word.upper()
            self.commands.append(f"{word} {rest}".strip())
            if word == self.hangs_at:
                self._hang(connection)
                return
            if word == "STARTTLS":
                connection.sendall(b"220 go ahead\r\n")
                connection = self._behind_tls(connection, stack)
                lines = connection.makefile("rb")
                stack.callback(lines.close)
            elif word == "DATA":
                connection.sendall(b"354 go ahead\r\n")
                self._take(b"".join(iter(lines.readline, b".\r\n")), connection)
            else:
                connection.sendall(self._answer(word, words, connection))
                if word == "QUIT":
                    return

    def _take(self, letter: bytes, connection: socket.socket) -> None:
        if self.fails:
            self.fails -= 1
            connection.sendall(b"451 try again later\r\n")
            return
        self.letters.append(message_from_bytes(letter, policy=policy.default))
        connection.sendall(b"250 taken\r\n")

    def _answer(self, word: str, words: str, connection: socket.socket) -> bytes:
        if word == "EHLO":
            is_plain = not isinstance(connection, ssl.SSLSocket)
            offers = ["STARTTLS"] if is_plain and self.offers_tls else ["AUTH PLAIN"] if self.password else []
            lines = ["surat.kampus.example", *offers]
            return "".join(f"250{'-' if line is not lines[-1] else ' '}{line}\r\n" for line in lines).encode()
        if word == "AUTH":
            given = base64.b64decode(words.split()[2]).decode().split("\0")[2]
            # Servers that repeat what they are told are the ones that a log must be kept clean of.
            return b"235 welcome\r\n" if given == self.password else f"535 wrong: {given}\r\n".encode()
        return b"250 well\r\n"

    def _hang(self, connection: socket.socket) -> None:
        while not self._over.wait(0.2 if self.trickles else 60):
            connection.sendall(b"2")
