"""Settings of `liput serve`: the page, alarms, the schedule and its calendars, copies, fixity."""

import ipaddress
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from config.settings import value_kinds
from config.settings.addresses import NO_HOST, folder_of, is_host, is_this_pc, parts_of, scheme_of
from config.settings.quantities import NotAllowed, format_duration, parse_duration

# The page

LOOPBACK = "127.0.0.1"
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - with `lan` only, with TLS and the token
_HOST_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The address of the page and its API.

    Only this PC can reach them, unless `lan` is on. They are then encrypted, with the certificate in `tls_certificate`
    (PEM, with the chain) and its `tls_key`. `allowed_hosts` are the PC's names beside its addresses. `port` 0 is any
    free one. With `preview` an open page shows the devices while no session runs.
    """

    enabled: Annotated[bool, value_kinds.SWITCH] = True
    host: Annotated[str, value_kinds.TEXT] = LOOPBACK
    port: Annotated[int, value_kinds.integer(0, 65_535)] = 8466
    lan: Annotated[bool, value_kinds.SWITCH] = False
    tls_certificate: Annotated[Path | None, value_kinds.FILE_PATH] = None
    tls_key: Annotated[Path | None, value_kinds.FILE_PATH] = None
    allowed_hosts: Annotated[tuple[str, ...], value_kinds.WORDS] = ()
    preview: Annotated[bool, value_kinds.SWITCH] = True

    @property
    def is_encrypted(self) -> bool:
        """Whether https serves it."""
        return self.tls_certificate is not None

    @property
    def address(self) -> str:
        """The listening address: `host`, or with `lan` every address unless `host` is set."""
        return _EVERYWHERE if self.lan and self.host == LOOPBACK else self.host

    def problems(self) -> Iterator[tuple[str, str]]:
        try:
            is_loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            yield "host", f'must be an address of this PC, such as "{LOOPBACK}"'
            return
        if not self.lan and not is_loopback:
            yield "host", "is reached by others of the network; that needs lan = true, with a certificate"
        if self.lan and self.tls_certificate is None:
            yield "lan", "needs tls_certificate and tls_key: without them everybody of the network could read the token"
        if (self.tls_certificate is None) is not (self.tls_key is None):
            yield "tls_key" if self.tls_key else "tls_certificate", "tls_certificate and tls_key go together"
        for name in self.allowed_hosts:
            if not _HOST_NAME.issuperset(name.lower()):
                yield "allowed_hosts", 'must be names of hosts, such as ["aula.kampus.ac.id"]'


# Alarms

MAIL_PORTS = {"smtp": 587, "smtps": 465}  # the usual ports: with STARTTLS, and with TLS from the first byte
LONGEST_ADDRESS = 254

_MAIL_FORM = "must look like smtp://HOST, smtp://HOST:PORT or smtps://HOST"
_WEB_FORM = "must look like https://HOST/PATH (http:// only to this PC: http://127.0.0.1:8123/PATH)"
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")


def _mail_server(raw: object) -> str:
    parts = _server(raw, _MAIL_FORM)
    if parts.scheme not in MAIL_PORTS or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise NotAllowed(_MAIL_FORM)
    return str(raw).rstrip("/")


MAIL_SERVER = value_kinds.or_empty(
    "a mail server: smtp:// (STARTTLS is required) or smtps:// (TLS from the first byte)", _mail_server
)


def _web_address(raw: object) -> str:
    check_web_address(raw)
    if "?" in str(raw):
        raise NotAllowed('must end before any "?"; an address that holds a secret belongs in the file of keys')
    return str(raw)


WEB_ADDRESS = value_kinds.or_empty("a webhook's address, without its secret", _web_address)


def _mail_address(raw: object) -> str:
    if not isinstance(raw, str) or len(raw) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(raw):
        raise NotAllowed("must be an e-mail address: humas@kampus.ac.id")
    return raw


MAIL_ADDRESS = value_kinds.or_empty("one e-mail address", _mail_address)
MAIL_ADDRESSES = value_kinds.list_of(
    "a list of e-mail addresses", 'a list of e-mail addresses: ["humas@kampus.ac.id"]', _mail_address
)


def check_web_address(raw: object) -> None:
    """Raise NotAllowed, without repeating any of it, where `raw` is no address to post alarms to."""
    parts = _server(raw, _WEB_FORM)
    if parts.scheme not in ("https", "http") or parts.fragment:
        raise NotAllowed(_WEB_FORM)
    if parts.scheme == "http" and not is_this_pc(parts.hostname or ""):
        raise NotAllowed(_WEB_FORM)


def _server(raw: object, form: str) -> urllib.parse.SplitResult:
    if not isinstance(raw, str) or not raw.isascii() or not raw.isprintable() or " " in raw:
        raise NotAllowed(form)
    parts = parts_of(raw, form)
    if "@" in parts.netloc:
        raise NotAllowed("must not hold a user name or password; they belong in mail_user and in the file of keys")
    if not parts.hostname:
        raise NotAllowed(form)
    return parts


class AlarmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The channels of alarms, and their rate.

    `desktop` shows them on this PC's screen. E-mail goes through `mail_server`, from `mail_from` to all of `mail_to`; a
    `mail_user` needs a password. A JSON object is posted to `webhook`. `ca_file` replaces the system's authorities for
    both servers' certificates. An active fault is repeated every `repeat_s` seconds; at most `most_per_hour` messages
    are sent in an hour.
    """

    desktop: Annotated[bool, value_kinds.SWITCH] = True
    mail_server: Annotated[str, MAIL_SERVER] = ""
    mail_user: Annotated[str, value_kinds.TEXT] = ""
    mail_from: Annotated[str, MAIL_ADDRESS] = ""
    mail_to: Annotated[tuple[str, ...], MAIL_ADDRESSES] = ()
    webhook: Annotated[str, WEB_ADDRESS] = ""
    ca_file: Annotated[Path | None, value_kinds.FILE_PATH] = None
    repeat_s: Annotated[float, value_kinds.seconds(60, 86_400)] = 900.0
    most_per_hour: Annotated[int, value_kinds.integer(1, 120)] = 12

    @property
    def mail_scheme(self) -> str:
        return urllib.parse.urlsplit(self.mail_server).scheme

    @property
    def mail_host(self) -> tuple[str, int]:
        parts = urllib.parse.urlsplit(self.mail_server)
        return parts.hostname or "", parts.port or MAIL_PORTS[parts.scheme]

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.mail_server and not self.mail_to:
            yield "mail_server", 'needs somebody to write to: mail_to = ["humas@kampus.ac.id"]'
        if self.mail_server and not self.mail_from:
            yield "mail_server", 'needs an address to write from: mail_from = "liput@kampus.ac.id"'
        if self.mail_to and not self.mail_server:
            yield "mail_to", 'needs a server: mail_server = "smtp://mail.kampus.ac.id"'


# The schedule

MODES = ("remind", "arm", "record")
FEED_SCHEMES = ("https", "http", "webcal", "file")
EVERYWHERE = "*"

_FEED_FORM = "must look like https://HOST/CALENDAR.ics, webcal://HOST/CALENDAR.ics or file:///CALENDAR.ics"
_SPANS = 'must be a list of lengths of time up to a week, such as ["30m", "10m"]'
_MOST_SPANS, _LONGEST_SPAN_S = 10, 7 * 86_400.0


def check_feed_address(raw: object) -> str:
    """Return the address of a calendar; raises NotAllowed, which repeats none of it."""
    if not isinstance(raw, str) or not raw.isprintable() or " " in raw or scheme_of(raw) not in FEED_SCHEMES:
        raise NotAllowed(_FEED_FORM)
    parts = parts_of(raw, _FEED_FORM)
    if not (not parts.netloc and len(parts.path) > 1 if scheme_of(raw) == "file" else parts.hostname):
        raise NotAllowed(_FEED_FORM)
    if parts.password is not None:
        raise NotAllowed("must not hold a password; such an address belongs in the file of keys, in the table [feeds]")
    return raw


FEED_ADDRESS = value_kinds.or_empty("a calendar's public address", check_feed_address)


def _spans(raw: object) -> tuple[float, ...]:
    if not isinstance(raw, list) or len(raw) > _MOST_SPANS or not all(isinstance(each, str) for each in raw):
        raise NotAllowed(_SPANS)
    try:
        seconds = {parse_duration(each) for each in raw}
    except NotAllowed:
        raise NotAllowed(_SPANS) from None
    if any(each > _LONGEST_SPAN_S for each in seconds):
        raise NotAllowed(_SPANS)
    return tuple(sorted(seconds, reverse=True))


SPANS = value_kinds.ValueKind(
    "durations, the longest first", _spans, lambda spans: [format_duration(each) for each in spans]
)


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar of sessions.

    Only events count whose place contains one of `locations`: by default the room's name; "*" is any place. With
    `categories` they must also have one of these. `mode` None is that of [schedule].
    """

    url: Annotated[str, FEED_ADDRESS] = ""
    locations: Annotated[tuple[str, ...], value_kinds.WORDS] = ()
    categories: Annotated[tuple[str, ...], value_kinds.WORDS] = ()
    mode: Annotated[str | None, value_kinds.choice(MODES)] = None


class ScheduleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The action for a planned session: remind, arm its recorder too, or record it.

    `remind` has the times before its beginning. The room is checked `check_before_s` before it (0: never), and devices
    open `arm_ahead_s` before it. Calendars are read every `read_every_s`, `days_ahead` far.
    """

    mode: Annotated[str, value_kinds.choice(MODES)] = "remind"
    remind: Annotated[tuple[float, ...], SPANS] = (1800.0, 600.0)
    check_before_s: Annotated[float, value_kinds.seconds(0, 86_400)] = 1200.0
    arm_ahead_s: Annotated[float, value_kinds.seconds(0, 3600)] = 300.0
    read_every_s: Annotated[float, value_kinds.seconds(60, 86_400)] = 900.0
    days_ahead: Annotated[int, value_kinds.integer(1, 366)] = 30

    def problems(self) -> Iterator[tuple[str, str]]:
        if 0 < self.check_before_s <= self.arm_ahead_s:
            yield "check_before_s", "must be more than arm_ahead_s: an armed session holds the devices"


# Copies and fixity

COPY_SCHEMES = ("file", "sftp", "s3")

_COPY_FORM = "must look like file:///FOLDER, sftp://USER@HOST/FOLDER or s3://BUCKET/PREFIX"


def _copy_address(raw: object) -> str:
    if not isinstance(raw, str) or not raw.isprintable() or scheme_of(raw) not in COPY_SCHEMES:
        raise NotAllowed(_COPY_FORM)
    if scheme_of(raw) == "file":
        if not re.match(r"file:///[^/]", raw, re.IGNORECASE):
            raise NotAllowed("must look like file:///FOLDER, a full path")
        return raw.rstrip("/")
    parts = parts_of(raw, _COPY_FORM)
    if parts.password is not None or (scheme_of(raw) == "s3" and parts.username is not None):
        raise NotAllowed("must not hold a password; it belongs in the file of keys, in the table [copies]")
    if not parts.hostname or "?" in raw or "#" in raw or " " in raw or ".." in parts.path.split("/"):
        raise NotAllowed(_COPY_FORM)
    if scheme_of(raw) == "sftp" and not parts.path.strip("/"):
        raise NotAllowed("must name a folder: sftp://USER@HOST/FOLDER")
    return raw.rstrip("/")


COPY_ADDRESS = value_kinds.ValueKind(
    "a place for copies: a folder, a folder on an SFTP server, a bucket of an S3-compatible object store", _copy_address
)


class CopyTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A place for copies. `automatic`: of every sealed package; else only on request.

    At most `max_rate` bits a second are sent. A transfer without progress or error for `stalled_s` is given up for now.
    `must_be_mounted` (folder): it must not be on the disk of the system or of the archive. `known_hosts` (SFTP) holds
    the server's key; None: `~/.ssh/known_hosts`. `endpoint` (S3) is the server's address, `region` and `ca_file` go
    with it.
    """

    url: Annotated[str, COPY_ADDRESS]
    automatic: Annotated[bool, value_kinds.SWITCH] = True
    max_rate: Annotated[int | None, value_kinds.rate(8_000, 100_000_000_000)] = None
    stalled_s: Annotated[float, value_kinds.seconds(1, 3600)] = 60.0
    must_be_mounted: Annotated[bool, value_kinds.SWITCH] = True
    known_hosts: Annotated[Path | None, value_kinds.FILE_PATH] = None
    endpoint: Annotated[str, value_kinds.TEXT] = ""
    region: Annotated[str, value_kinds.TEXT] = "us-east-1"
    ca_file: Annotated[Path | None, value_kinds.FILE_PATH] = None

    @property
    def scheme(self) -> str:
        return scheme_of(self.url)

    @property
    def folder(self) -> Path:
        return folder_of(self.url)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.known_hosts is not None and self.scheme != "sftp":
            yield "known_hosts", "goes with an sftp:// address only"
        if self.scheme != "s3":
            for name in ("endpoint", "ca_file"):
                if getattr(self, name):
                    yield name, "goes with an s3:// address only"
        elif not (found := re.fullmatch(r"https?://([^\s/@?#]+?)(:\d+)?/?", self.endpoint)):
            yield "endpoint", 'must be the address of the object store: endpoint = "https://s3.kampus.ac.id"'
        elif not is_host(found[1]):
            yield "endpoint", NO_HOST


def _time_of_day(raw: object) -> str:
    found = re.fullmatch(r"(\d{1,2})[:.](\d{2})", raw, re.ASCII) if isinstance(raw, str) else None
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise NotAllowed('must be a time of the day, such as "02:30"; "" for never')
    return f"{int(found[1]):02}:{found[2]}"


TIME_OF_DAY = value_kinds.or_empty('a time of the day, in the zone of the office; "" for none', _time_of_day)


class FixitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The daily time of `liput archive fixity` ("": none): it reads `budget` bytes at `max_rate` bits a second."""

    at: Annotated[str, TIME_OF_DAY] = "02:30"
    budget: Annotated[int, value_kinds.size(1_000_000, 2**60)] = 50_000_000_000
    max_rate: Annotated[int, value_kinds.rate(8_000, 100_000_000_000)] = 400_000_000
