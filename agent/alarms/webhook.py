"""Alarms as JSON, posted to a chat, a home automation or a monitoring system."""

import http.client
import ssl
import urllib.parse
from contextlib import closing

import msgspec

from agent.alarms.connection import open_connection, tls_context
from agent.alarms.message import Message, message_text
from config.errors import LiputError
from config.settings.secrets import AlarmKeys
from config.settings.serving import AlarmSettings

_LONGEST_ANSWER = 64 * 1024
_REDIRECTS = range(300, 400)


class WebhookChannel:
    """Posts messages to the address in the settings or in the file of keys."""

    name = "webhook"
    deadline_s = 15.0

    def __init__(self, settings: AlarmSettings, keys: AlarmKeys, room: str, language: str) -> None:
        self._settings = settings
        self._keys = keys
        self._room = room
        self._language = language
        url = settings.webhook if keys.webhook_url is None else keys.webhook_url.reveal()
        self._parts = urllib.parse.urlsplit(url)

    @property
    def to(self) -> str:
        """Host and port of the server."""
        return self._parts.netloc

    def send(self, message: Message) -> None:
        """Post a message. Raises LiputError."""
        host, is_tls = self._parts.hostname or "", self._parts.scheme == "https"
        port = self._parts.port or (443 if is_tls else 80)
        context = tls_context(self._settings.ca_file) if is_tls else None
        status = self._post(host, port, context, self._body(message))
        if status in _REDIRECTS:
            raise LiputError(
                f"{self.to} redirects the alarm to another address ({status})",
                hint="enter the final address",
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
        if self._keys.webhook_header is not None:
            name, secret = self._keys.webhook_header
            headers[name] = secret.reveal()
        return headers

    def _body(self, message: Message) -> bytes:
        return msgspec.json.encode(
            {
                "type": "alarms",
                "test": message.is_test,
                "room": self._room,
                "at": message.at,
                "text": message_text(message, self._room, self._language),
                "began": message.began,
                "lasting": message.lasting,
                "over": message.over,
                "present": message.present,
                "notices": message.notices,
            }
        )
