"""What can be set of alarms (`[alarms]`): who hears that something is wrong with a session, and how often."""

import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from config import kinds
from config.addresses import NO_HOST, is_host, is_this_pc
from config.quantities import NotAllowed

MAIL_PORTS = {"smtp": 587, "smtps": 465}
"""The usual ports: one that TLS begins on after a few words (STARTTLS), one that it begins on at once."""
LONGEST_ADDRESS = 254

_MAIL_FORM = "must look like smtp://HOST, smtp://HOST:PORT or smtps://HOST"
_WEB_FORM = "must look like https://HOST/PATH (http:// only to this PC: http://127.0.0.1:8123/PATH)"
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")


def _mail_server(raw: object) -> str:
    if raw == "":
        return ""
    parts = _parts(raw, _MAIL_FORM)
    if parts.scheme not in MAIL_PORTS or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise NotAllowed(_MAIL_FORM)
    return str(raw).rstrip("/")


MAIL_SERVER = kinds.Kind(
    "a server that takes e-mail: smtp:// with STARTTLS, smtps:// with TLS from the first byte; never without",
    _mail_server,
)


def _web_address(raw: object) -> str:
    if raw == "":
        return ""
    check_web_address(raw)
    if "?" in str(raw):
        raise NotAllowed('must end before any "?"; an address that holds a secret belongs in the file of keys')
    return str(raw)


WEB_ADDRESS = kinds.Kind("where alarms are posted to, without what is secret of it", _web_address)


def _mail_address(raw: object) -> str:
    if raw == "":
        return ""
    if not isinstance(raw, str) or len(raw) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(raw):
        raise NotAllowed("must be an e-mail address: humas@kampus.ac.id")
    return raw


MAIL_ADDRESS = kinds.Kind("one e-mail address", _mail_address)


def _mail_addresses(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list) or "" in raw:
        raise NotAllowed('must be a list of e-mail addresses: ["humas@kampus.ac.id"]')
    return tuple(_mail_address(each) for each in raw)


MAIL_ADDRESSES = kinds.Kind("a list of e-mail addresses", _mail_addresses, kinds.each_shown)


def check_web_address(raw: object) -> None:
    """Raise NotAllowed, without repeating any of it, where `raw` is nothing that alarms can be posted to."""
    parts = _parts(raw, _WEB_FORM)
    if parts.scheme not in ("https", "http") or parts.fragment:
        raise NotAllowed(_WEB_FORM)
    if parts.scheme == "http" and not is_this_pc(parts.hostname or ""):
        raise NotAllowed(_WEB_FORM)


def _parts(raw: object, form: str) -> urllib.parse.SplitResult:
    if not isinstance(raw, str) or not raw.isascii() or not raw.isprintable() or " " in raw:
        raise NotAllowed(form)
    try:
        parts = urllib.parse.urlsplit(raw)
        host, port = parts.hostname, parts.port
    except ValueError:  # whose words may repeat a password
        raise NotAllowed(form) from None
    if "@" in parts.netloc:
        raise NotAllowed("must not hold a user name or password; they belong in mail_user and in the file of keys")
    if not host or port == 0:
        raise NotAllowed(form)
    if not is_host(host):
        raise NotAllowed(NO_HOST)
    return parts


class AlarmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears of alarms, and how often.

    `desktop`: whoever sits at this PC. E-mail goes through `mail_server`, from `mail_from` to all of `mail_to`; with a
    `mail_user` it needs a password. `webhook` is an address that a JSON object is posted to. `ca_file`: the authorities
    that both servers' certificates are checked against, instead of the system's. A trouble that lasts is told again
    every `repeat_s` seconds; no more than `most_per_hour` messages are sent in an hour.
    """

    desktop: Annotated[bool, kinds.SWITCH] = True
    mail_server: Annotated[str, MAIL_SERVER] = ""
    mail_user: Annotated[str, kinds.TEXT] = ""
    mail_from: Annotated[str, MAIL_ADDRESS] = ""
    mail_to: Annotated[tuple[str, ...], MAIL_ADDRESSES] = ()
    webhook: Annotated[str, WEB_ADDRESS] = ""
    ca_file: Annotated[Path | None, kinds.FILE_PATH] = None
    repeat_s: Annotated[float, kinds.seconds(60, 86_400)] = 900.0
    most_per_hour: Annotated[int, kinds.whole(1, 120)] = 12

    @property
    def mail_scheme(self) -> str:
        """Of the server's address: smtp or smtps."""
        return urllib.parse.urlsplit(self.mail_server).scheme

    @property
    def mail_host(self) -> tuple[str, int]:
        """Where the server is: host and port."""
        parts = urllib.parse.urlsplit(self.mail_server)
        return parts.hostname or "", parts.port or MAIL_PORTS[parts.scheme]

    def problems(self) -> Iterator[tuple[str, str]]:
        """Give the fields that do not go together, each with what is wrong."""
        if self.mail_server and not self.mail_to:
            yield "mail_server", 'needs somebody to write to: mail_to = ["humas@kampus.ac.id"]'
        if self.mail_server and not self.mail_from:
            yield "mail_server", 'needs an address to write from: mail_from = "liput@kampus.ac.id"'
        if self.mail_to and not self.mail_server:
            yield "mail_to", 'needs a server: mail_server = "smtp://mail.kampus.ac.id"'
