"""Alarms by e-mail: SMTP with TLS or STARTTLS and checked certificates."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from agent.alarms.connection import open_connection, tls_context
from agent.alarms.message import Message, subject_line, text_in_all_languages
from agent.alarms.sender import PartlySent
from config.errors import LiputError
from config.settings.secrets import AlarmKeys
from config.settings.serving import AlarmSettings
from recorder.model.names import quoted

_READY, _GO_AHEAD = 220, 220
_FOR_GOOD = 500  # replies from here on are permanent failures


class MailChannel:
    """Sends messages to the recipients in the settings."""

    name = "mail"
    deadline_s = 30.0

    def __init__(self, settings: AlarmSettings, keys: AlarmKeys, room: str, language: str) -> None:
        self._settings = settings
        self._keys = keys
        self._room = room
        self._language = language
        self._message: Message | None = None
        self._letter = EmailMessage()
        self._left: list[str] = []  # recipients without the current message

    @property
    def to(self) -> str:
        """The recipients."""
        return ", ".join(self._settings.mail_to)

    def send(self, message: Message) -> None:
        """Send a message to all recipients without it. Raises LiputError."""
        host, port = self._settings.mail_host
        context = tls_context(self._settings.ca_file)
        if self._message is not message:
            self._message, self._letter, self._left = message, self._written(message), list(self._settings.mail_to)
        with (
            open_connection(host, port, self.deadline_s) as connection,
            self._translated(f"{host}:{port}"),
            # smtplib would look up its own name.
            closing(smtplib.SMTP(local_hostname=socket.gethostname())) as smtp,
        ):
            self._greet(smtp, connection, host, context)
            if self._settings.mail_user and self._keys.mail_password is not None:
                smtp.login(self._settings.mail_user, self._keys.mail_password.reveal())
            refused = self._deliver(smtp)
            with suppress(smtplib.SMTPException, OSError):  # it has the message
                smtp.quit()
        if refused:
            said = f"{host}:{port} does not write to {', '.join(refused)}"
            if len(self._left) == len(self._settings.mail_to):
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
        if self._settings.mail_scheme == "smtps":
            connection = context.wrap_socket(connection, server_hostname=host)
        smtp.sock = connection
        self._expect(_READY, smtp.getreply(), host)
        if self._settings.mail_scheme == "smtp":
            smtp.ehlo()
            if not smtp.has_extn("starttls"):
                raise LiputError(
                    f"{host} offers no TLS; Liput sends no e-mail without TLS",
                    hint="smtps:// is for servers where TLS begins at once",
                )
            self._expect(_GO_AHEAD, smtp.docmd("STARTTLS"), host)
            smtp.file = None  # drop what came before TLS: an attacker may have injected it
            smtp.sock = context.wrap_socket(connection, server_hostname=host)
        smtp.ehlo()

    def _expect(self, code: int, reply: tuple[int, bytes], host: str) -> None:
        if reply[0] != code:
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
            raise ConnectionResetError from None  # `connected` knows whether its deadline has passed
        except smtplib.SMTPException as error:
            raise LiputError(f"{where} rejects the e-mail: {self._said(str(error))}") from None

    def _said(self, words: bytes | str) -> str:
        """Return a server's reply in one line, without secrets."""
        text = words.decode(errors="replace") if isinstance(words, bytes) else words
        return quoted(self._keys.redact(text)) or "it says nothing"

    def _written(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = subject_line(message, self._room, self._language)
        letter["From"] = self._settings.mail_from
        letter["To"] = self.to
        letter["Date"] = format_datetime(message.at)
        letter["Message-ID"] = make_msgid(domain=self._settings.mail_from.rpartition("@")[2])
        letter["Auto-Submitted"] = "auto-generated"  # no absence notice answers it
        letter.set_content(text_in_all_languages(message, self._room, self._language))
        return letter
