"""A real SMTP server on loopback: STARTTLS or TLS at once, a login, and letters that are kept; or one that hangs."""

import base64
import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.support.listening import Listening, tls_of_its_own


@dataclass
class SmtpServer(Listening):
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
    refuses: dict[str, bytes] = field(default_factory=dict)
    """What it answers of whom it does not write to."""
    letters: list[EmailMessage] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    authority: Path = field(init=False)

    def __post_init__(self) -> None:
        self.authority, self._context = tls_of_its_own(self.folder)
        self.listen()

    def serve_one(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
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
        refused = self.refuses.get(words.partition("<")[2].partition(">")[0]) if word == "RCPT" else None
        return (refused or b"250 well") + b"\r\n"

    def _hang(self, connection: socket.socket) -> None:
        while not self._over.wait(0.2 if self.trickles else 60):
            connection.sendall(b"2")
