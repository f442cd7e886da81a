"""Alarms by e-mail (SMTP with TLS or STARTTLS), and as JSON posted to a chat, a home automation or a monitor.

Each message has one deadline: a timeout per call would let a slow server hold it. Certificates are checked.
"""

import errno
import http.client
import os
import smtplib
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

import msgspec

from agent.alarms.message import Message, message_text, subject_line, text_in_all_languages
from agent.alarms.sender import PartlySent
from config.errors import LiputError, UsageError
from config.settings.secrets import AlarmKeys
from config.settings.serving import AlarmSettings
from devices.host import threads
from devices.uplink.connecting import Deadline, NetworkError, NetworkFault, connect, resolve
from recorder.model.names import quoted


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities, or those of `ca_file`. Raises UsageError."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if ca_file is not None:
            # Python 3.13 requires fields that private authorities often lack.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"[alarms] ca_file {ca_file} cannot be used: {error.strerror or error}") from None
    return context


@contextmanager
def open_connection(host: str, port: int, deadline_s: float) -> Iterator[socket.socket]:
    """Provide a connection for at most `deadline_s` seconds. Raises LiputError for network errors of the body."""
    is_late = threading.Event()
    patience = Deadline(time.monotonic() + deadline_s, threading.Event(), deadline_s)
    try:
        with (
            closing(connect(resolve(host, port, patience), patience)) as connection,
            closing(connection.dup()) as twin,  # TLS takes over the first descriptor
            _deadline(twin, deadline_s, is_late),
        ):
            connection.settimeout(2 * deadline_s)  # later than the deadline, which gives the better error
            yield connection
    except Exception as error:  # half an answer raises anything
        is_silent = isinstance(error, NetworkError) and error.trouble is NetworkFault.TIMEOUT
        if is_late.is_set() or is_silent or isinstance(error, TimeoutError):
            raise LiputError(f"{host}:{port} did not answer within {deadline_s:g} s") from None
        raise _translated(error, host, f"{host}:{port}") from None


def _translated(error: Exception, host: str, where: str) -> Exception:
    if isinstance(error, ssl.SSLCertVerificationError):
        return LiputError(
            f"the certificate of {where} is not trusted: {error.verify_message}",
            hint="check the name and this PC's date; [alarms] ca_file names the authority of your own server",
        )
    if isinstance(error, ssl.SSLError):
        return LiputError(f"{where} breaks the TLS protocol: {error.reason or 'it broke off'}", hint="check the port")
    if isinstance(error, NetworkError):
        if error.trouble in {NetworkFault.NO_DNS, NetworkFault.UNKNOWN_HOST}:
            return LiputError(f"{host} cannot be looked up", hint="check its spelling and this PC's network")
        return LiputError(f"the connection to {where} failed: {error.detail or os.strerror(errno.ECONNREFUSED)}")
    if isinstance(error, OSError):
        return LiputError(f"the connection to {where} failed: {error.strerror or 'it broke off'}")
    return error


@contextmanager
def _deadline(twin: socket.socket, deadline_s: float, is_late: threading.Event) -> Iterator[None]:
    is_over = threading.Event()

    def end() -> None:
        if not is_over.wait(deadline_s):
            is_late.set()
            with suppress(OSError):
                twin.shutdown(socket.SHUT_RDWR)

    thread = threads.start_thread(end, name="alarm-deadline")
    try:
        yield
    finally:
        is_over.set()
        thread.join()  # the descriptor may soon be another connection's


_READY = 220  # the reply to a connection, and to STARTTLS
_FOR_GOOD = 500  # replies from here on are permanent failures


@dataclass(eq=False)
class MailChannel:
    settings: AlarmSettings
    keys: AlarmKeys
    room: str
    language: str
    name: str = "mail"
    deadline_s: float = 30.0
    _message: Message | None = None
    _letter: EmailMessage = field(default_factory=EmailMessage)
    _left: list[str] = field(default_factory=list)  # recipients without the current message

    @property
    def to(self) -> str:
        return ", ".join(self.settings.mail_to)

    def send(self, message: Message) -> None:
        """Send a message to all recipients without it. Raises LiputError."""
        host, port = self.settings.mail_host
        context = tls_context(self.settings.ca_file)
        if self._message is not message:
            self._message, self._letter, self._left = message, self._written(message), list(self.settings.mail_to)
        with (
            open_connection(host, port, self.deadline_s) as connection,
            self._translated(f"{host}:{port}"),
            # smtplib would look up its own name.
            closing(smtplib.SMTP(local_hostname=socket.gethostname())) as smtp,
        ):
            self._greet(smtp, connection, host, context)
            if self.settings.mail_user and self.keys.mail_password is not None:
                smtp.login(self.settings.mail_user, self.keys.mail_password.reveal())
            refused = self._deliver(smtp)
            with suppress(smtplib.SMTPException, OSError):  # it has the message
                smtp.quit()
        if refused:
            said = f"{host}:{port} does not write to {', '.join(refused)}"
            if len(self._left) == len(self.settings.mail_to):
                raise LiputError(said)
            raise PartlySent(said, is_for_good=all(code >= _FOR_GOOD for code, _ in refused.values()))
        self._message = None

    def _deliver(self, smtp: smtplib.SMTP) -> dict[str, tuple[int, bytes]]:
        """Send to the remaining recipients; return the refused ones with the server's replies."""
        try:
            refused = smtp.send_message(self._letter, to_addrs=self._left)
        except smtplib.SMTPRecipientsRefused as error:  # none of them has it
            return error.recipients
        self._left = list(refused)
        return refused

    def _greet(self, smtp: smtplib.SMTP, connection: socket.socket, host: str, context: ssl.SSLContext) -> None:
        if self.settings.mail_scheme == "smtps":
            connection = context.wrap_socket(connection, server_hostname=host)
        smtp.sock = connection
        self._expect_ready(smtp.getreply(), host)
        if self.settings.mail_scheme == "smtp":
            smtp.ehlo()
            if not smtp.has_extn("starttls"):
                raise LiputError(
                    f"{host} offers no TLS; Liput sends no e-mail without TLS",
                    hint="smtps:// is for servers where TLS begins at once",
                )
            self._expect_ready(smtp.docmd("STARTTLS"), host)
            smtp.file = None  # drop what came before TLS: an attacker may have injected it
            smtp.sock = context.wrap_socket(connection, server_hostname=host)
        smtp.ehlo()

    def _expect_ready(self, reply: tuple[int, bytes], host: str) -> None:
        if reply[0] != _READY:
            raise LiputError(f"{host} takes no e-mail: {self._said(reply[1])}")

    @contextmanager
    def _translated(self, where: str) -> Iterator[None]:
        try:
            yield
        except smtplib.SMTPAuthenticationError:
            raise LiputError(
                f"{where} does not accept mail_user and its password",
                hint="mail_password in [alarms] of the file of keys; some servers want one made for programs",
            ) from None
        except smtplib.SMTPResponseException as error:
            raise LiputError(f"{where} rejects the e-mail: {self._said(error.smtp_error)}") from None
        except smtplib.SMTPServerDisconnected:
            raise ConnectionResetError from None  # `open_connection` knows whether its deadline has passed
        except smtplib.SMTPException as error:
            raise LiputError(f"{where} rejects the e-mail: {self._said(str(error))}") from None

    def _said(self, words: bytes | str) -> str:
        """Return a server's reply in one line, without secrets."""
        text = words.decode(errors="replace") if isinstance(words, bytes) else words
        return quoted(self.keys.redact(text)) or "it says nothing"

    def _written(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = subject_line(message, self.room, self.language)
        letter["From"] = self.settings.mail_from
        letter["To"] = self.to
        letter["Date"] = format_datetime(message.at)
        letter["Message-ID"] = make_msgid(domain=self.settings.mail_from.rpartition("@")[2])
        letter["Auto-Submitted"] = "auto-generated"  # no absence notice answers it
        letter.set_content(text_in_all_languages(message, self.room, self.language))
        return letter


_LONGEST_ANSWER = 64 * 1024


@dataclass(eq=False)
class WebhookChannel:
    """Posts messages to the address in the settings or in the file of keys."""

    settings: AlarmSettings
    keys: AlarmKeys
    room: str
    language: str
    name: str = "webhook"
    deadline_s: float = 15.0

    def __post_init__(self) -> None:
        url = self.settings.webhook if self.keys.webhook_url is None else self.keys.webhook_url.reveal()
        self._parts = urllib.parse.urlsplit(url)

    @property
    def to(self) -> str:
        return self._parts.netloc

    def send(self, message: Message) -> None:
        """Post a message. Raises LiputError."""
        host, is_tls = self._parts.hostname or "", self._parts.scheme == "https"
        port = self._parts.port or (443 if is_tls else 80)
        context = tls_context(self.settings.ca_file) if is_tls else None
        status = self._post(host, port, context, self._body(message))
        if 300 <= status < 400:
            raise LiputError(
                f"{self.to} redirects the alarm to another address ({status})", hint="enter the final address"
            )
        if not http.client.OK <= status < http.client.MULTIPLE_CHOICES:
            raise LiputError(f"{self.to} rejects the alarm: it answers {status}")

    def _post(self, host: str, port: int, context: ssl.SSLContext | None, body: bytes) -> int:
        request = urllib.parse.urlunsplit(("", "", self._parts.path or "/", self._parts.query, ""))
        try:
            with (
                open_connection(host, port, self.deadline_s) as connection,
                closing(http.client.HTTPConnection(self._parts.netloc)) as web,
            ):
                web.sock = connection if context is None else context.wrap_socket(connection, server_hostname=host)
                web.request("POST", request, body, self._headers())
                with closing(web.getresponse()) as answer:
                    answer.read(_LONGEST_ANSWER)
                    return answer.status
        except http.client.HTTPException as error:
            raise LiputError(f"{self.to} does not answer like a web server ({type(error).__name__})") from None

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "Liput", "Connection": "close"}
        if self.keys.webhook_header is not None:
            name, secret = self.keys.webhook_header
            headers[name] = secret.reveal()
        return headers

    def _body(self, message: Message) -> bytes:
        return msgspec.json.encode(
            {
                "type": "alarms",
                "test": message.is_test,
                "room": self.room,
                "at": message.at,
                "text": message_text(message, self.room, self.language),
                "began": message.began,
                "lasting": message.lasting,
                "over": message.over,
                "present": message.present,
                "notices": message.notices,
            }
        )
