"""Servers on loopback: plain TCP, HTTP that takes what is posted, SMTP that keeps letters, and TLS in front."""

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Self

from agent.sessions.receiver import HOST, free_port, start_server, stop_server, wait_until_listening
from tests.support.waiting import PATIENCE_S


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

    def __exit__(self, *_: object) -> None:
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
            pairs = (line.decode().partition(":") for line in iter(lines.readline, b"\r\n"))
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self.posted.append(Posted(first, headers, lines.read(int(headers["content-length"]))))
        for letter in self.answer if self.trickles else ():
            if self._over.wait(0.2):
                return
            connection.sendall(bytes([letter]))
        if not self.trickles:
            connection.sendall(self.answer)


VALID = ("-days", "2")
EXPIRED = ("-not_before", "20200101000000Z", "-not_after", "20200201000000Z")


def make_certificate(folder: Path, name: str, words: Sequence[str] = VALID) -> tuple[Path, Path]:
    """Make a certificate for the host `name`, self-signed unless `words` say more; return it and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), *words, "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name}"),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def make_signed_certificate(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Make an authority and a certificate for the host `name` signed by it; return authority, certificate, key."""
    authority, key = make_certificate(folder, "authority")
    signed = "-CA", str(authority), "-CAkey", str(key), "-addext", "basicConstraints=critical,CA:FALSE"
    return authority, *make_certificate(folder, name, (*VALID, *signed))


class TlsFront:
    """Takes TLS on `port` with a certificate for `name`, and passes on to `behind`, a port of loopback.

    `signed`: by an authority, which `authority` is then; else by nobody but itself.
    """

    def __init__(
        self, folder: Path, behind: int, name: str = "localhost", dates: Sequence[str] = VALID, *, signed: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        if signed:
            self.authority, self.certificate, key = make_signed_certificate(folder, name)
        else:
            self.certificate, key = make_certificate(folder, name, dates)
        configuration = folder / "stunnel.conf"
        configuration.write_text(
            f"foreground = yes\npid =\nsyslog = no\n[rtmps]\naccept = {HOST}:{self.port}\n"
            f"connect = {HOST}:{behind}\ncert = {self.certificate}\nkey = {key}\n"
        )
        self._server = start_server(["stunnel4", str(configuration)], folder)
        if not wait_until_listening(self.port, self._server, timeout_s=PATIENCE_S):
            stop_server(self._server)
            raise AssertionError((folder / "output").read_text())

    def url(self, key: str) -> str:
        return f"rtmps://localhost:{self.port}/live/{key}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        stop_server(self._server)


@dataclass
class SmtpServer(Listening):
    """The server, inside a `with`. `trickles_at`: when that word comes, it only says a letter every now and then."""

    folder: Path
    tls_at_once: bool = False
    offers_tls: bool = True
    password: str = ""
    trickles_at: str = ""
    greeting: bytes = b"220 surat.kampus.example ESMTP"
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
            if word == self.trickles_at:
                while not self._over.wait(0.2):
                    connection.sendall(b"2")
                return
            if word == "STARTTLS":
                connection.sendall(b"220 go ahead\r\n")
                connection = self._behind_tls(connection, stack)
                lines = connection.makefile("rb")
                stack.callback(lines.close)
            elif word == "DATA":
                connection.sendall(b"354 go ahead\r\n")
                letter = b"".join(iter(lines.readline, b".\r\n"))
                self.letters.append(message_from_bytes(letter, policy=policy.default))
                connection.sendall(b"250 taken\r\n")
            else:
                connection.sendall(self._answer(word, words, connection))
                if word == "QUIT":
                    return

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
