"""Parses the address of a live destination; refuses impossible ones, and hides secrets.

Secret are a stream key, all of an RTMP address after its host, and SRT's passphrase and stream id. No message here
repeats any of them; a parsed address shows only its host.
"""

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import quote, quote_plus, unquote

import msgspec

from config.errors import UsageError
from config.settings.addresses import LONGEST_STREAM_ID, PASSPHRASE_LENGTHS, SCHEMES
from recorder.live.kind import LiveUrl, kind_of

EXAMPLE = "an address looks like rtmps://a.rtmps.youtube.com/live2 with its key apart, or rtmp://host/app/key"
LONGEST = 1000  # characters; libavformat silently cuts longer addresses

REDACTED = "[hidden]"


def parse_live_url(url: str) -> LiveUrl:
    """Parse an address with its key. Raises UsageError without repeating any of it."""
    url = url.strip()
    _refuse_impossible_text(url)
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in SCHEMES:
        *others, last = (f"{known}://" for known in SCHEMES)
        raise UsageError(f"a live destination's address begins with {', '.join(others)} or {last}", hint=EXAMPLE)
    parsed: LiveUrl = kind_of(scheme).parse(scheme, rest)
    return parsed


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with all `secrets` hidden, longest first; very short ones only as whole words."""
    for secret in sorted(secrets, key=len, reverse=True):
        pattern = re.escape(secret)
        text = re.sub(pattern if len(secret) > 3 else rf"(?<!\w){pattern}(?!\w)", REDACTED, text)
    return text


def _refuse_impossible_text(url: str) -> None:
    if not url:
        raise UsageError("a live destination has an empty address", hint=EXAMPLE)
    blanks = " " if url.lower().startswith("file:") else ""
    if any((c.isspace() and c not in blanks) or not c.isprintable() for c in url):
        raise UsageError(
            "a live destination's address or key holds a space or an unprintable character",
            hint="copy both again, each without the line end",
        )
    if len(url) > LONGEST:
        raise UsageError(f"a live destination's address and key are longer than {LONGEST} characters together")


def host_and_port(place: str, hint: str) -> tuple[str, int | None]:
    """Parse HOST, HOST:PORT or [IPV6]:PORT; raises UsageError."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/?#]+)(?::(\d{0,5}))?", place)
    if match is None:
        raise UsageError("a live destination's address has no host that could be read", hint=hint)
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        raise UsageError("a live destination's port is not between 1 and 65535", hint=hint)
    try:
        host = match[1].strip("[]").lower().encode("idna").decode()
    except UnicodeError:
        raise UsageError("a live destination's host is not a name that can be looked up", hint=hint) from None
    return host, port


def format_host(host: str, port: int) -> str:
    """Return host and port, for people and for an address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# RTMP

DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443}

_LEAST_TOKEN = 4  # characters; shorter values in an application's query are no secrets, as in `live2?backup=1`


class RtmpUrl(msgspec.Struct, frozen=True, tag="rtmp"):
    """An RTMP address: `application` and `key` as RTMP names them; `login` is user:password or ''."""

    scheme: str
    host: str
    port: int
    application: str
    key: str
    login: str = ""

    listens = False

    def __repr__(self) -> str:
        return f"RtmpUrl({self.scheme}://{self.where})"

    @property
    def where(self) -> str:
        return format_host(self.host, self.port)

    @property
    def server(self) -> str:
        """The address without the key, for libavformat; still secret."""
        login = f"{self.login}@" if self.login else ""
        return f"{self.scheme}://{login}{self.where}/{self.application}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets of this address, in every known spelling."""
        path = f"{self.application}/{self.key}"
        name, _, query = self.key.partition("?")
        spelled = {self.server, f"{self.server}/{self.key}", path, self.key, name, *_values(query)}
        spelled |= {value for value in _values(self.application.partition("?")[2]) if len(value) >= _LEAST_TOKEN}
        if self.login:
            spelled |= {self.login, self.login.partition(":")[2]}
        spelled |= {change(secret) for secret in tuple(spelled) for change in (unquote, quote)}
        return tuple(sorted(spelled - {""}, key=len, reverse=True))


def _values(query: str) -> list[str]:
    return [pair.partition("=")[2] for pair in query.split("&")]


def parse_rtmp_url(scheme: str, rest: str) -> RtmpUrl:
    """Parse the rest after rtmp:// or rtmps://; raises UsageError without repeating any of it."""
    place, _, path = rest.partition("/")
    login, _, place = place.rpartition("@")
    host, port = host_and_port(place, EXAMPLE)
    application, key = _names(path)
    return RtmpUrl(scheme, host, port or DEFAULT_PORTS[scheme], application, key, login)


def _names(path: str) -> tuple[str, str]:
    """Split the path into application and key at the last slash, as streaming programs do."""
    before_query, mark, query = path.partition("?")
    if "/" in before_query.strip("/"):
        path, _, name = before_query.rpartition("/")
        key = name + mark + query if name else ""
    else:
        path, _, key = path.rpartition("/")
    path = path.strip("/")
    if not path:
        raise UsageError("a live destination's address names no application after its host", hint=EXAMPLE)
    if not key:
        raise UsageError("a live destination has no stream key", hint=EXAMPLE)
    return path, key


# SRT

DEFAULT_LATENCY_MS = 500  # four round trips of a campus uplink, as SRT needs to repair losses
LONGEST_LATENCY_MS = 10_000

_SRT_EXAMPLE = "an SRT address looks like srt://host:9000, or srt://:9000?mode=listener to wait for a caller"
_PARAMETERS = ("mode", "latency", "passphrase", "streamid", "pbkeylen")


class SrtUrl(msgspec.Struct, frozen=True, tag="srt"):
    """An SRT address to call, or, with `mode` listener, a port of this PC (`host` "": at each of its addresses).

    The receiver delays media by `latency_ms`, so that lost packets can be resent.
    """

    host: str
    port: int
    mode: Literal["caller", "listener"] = "caller"
    latency_ms: int = DEFAULT_LATENCY_MS
    passphrase: str = ""
    stream_id: str = ""
    key_bytes: int = 16

    scheme = "srt"

    def __repr__(self) -> str:
        return f"SrtUrl({self.where})"

    @property
    def listens(self) -> bool:
        """Whether it waits for a caller."""
        return self.mode == "listener"

    @property
    def where(self) -> str:
        return format_host(self.host, self.port) if self.host else f"port {self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets of this address, in every known spelling."""
        spelled = {change(text) for text in (self.passphrase, self.stream_id) for change in (str, quote, quote_plus)}
        return tuple(sorted(spelled - {""}, key=len, reverse=True))


def parse_srt_url(_scheme: str, rest: str) -> SrtUrl:
    """Parse the rest after srt://; raises UsageError without repeating any of it."""
    place, _, query = rest.partition("?")
    given = _parameters(query)
    mode = given.get("mode", "caller")
    if mode not in ("caller", "listener"):
        raise UsageError("an SRT address's mode is neither caller nor listener", hint=_SRT_EXAMPLE)
    listens = mode == "listener"
    place = place.rstrip("/")
    if place.startswith(":") and listens:
        host, port = "", host_and_port(f"any{place}", _SRT_EXAMPLE)[1]
    else:
        host, port = host_and_port(place, _SRT_EXAMPLE)
    if port is None:
        raise UsageError("an SRT address has no port", hint=_SRT_EXAMPLE)
    return SrtUrl(
        host,
        port,
        "listener" if listens else "caller",
        int(given.get("latency", DEFAULT_LATENCY_MS)),
        given.get("passphrase", ""),
        given.get("streamid", ""),
        int(given.get("pbkeylen", 16)),
    )


def _parameters(query: str) -> dict[str, str]:
    """Return the query's valid parameters; a plus stays a plus. Raises UsageError."""
    given: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in _PARAMETERS or name in given:
            raise UsageError(
                "an SRT address has an unknown or repeated parameter after its ?",
                hint=f"allowed are {', '.join(_PARAMETERS)}",
            )
        given[name] = unquote(value)
        _check_parameter(name, given[name])
    return given


def _check_parameter(name: str, text: str) -> None:
    match name:
        case "latency" if not (re.fullmatch(r"[0-9]{1,9}", text) and 20 <= int(text) <= LONGEST_LATENCY_MS):
            raise UsageError(
                f"an SRT address's latency is not between 20 and {LONGEST_LATENCY_MS}",
                hint="it counts milliseconds: latency=500 is half a second",
            )
        case "passphrase" if text and len(text.encode()) not in PASSPHRASE_LENGTHS:
            raise UsageError("an SRT passphrase has 10 to 79 characters")
        case "streamid" if len(text.encode()) > LONGEST_STREAM_ID:
            raise UsageError(f"an SRT stream id is longer than {LONGEST_STREAM_ID} characters")
        case "pbkeylen" if text not in ("16", "24", "32"):
            raise UsageError("an SRT address's pbkeylen is not 16, 24 or 32")


# A folder


class FolderUrl(msgspec.Struct, frozen=True, tag="file"):
    """A folder of this PC or of a mounted disk; nothing of it is secret."""

    path: str

    scheme = "file"
    host = ""
    port = 0
    listens = False
    secrets = ()

    @property
    def where(self) -> str:
        return self.path


def parse_folder_url(_scheme: str, rest: str) -> FolderUrl:
    """Return the folder after file://; raises UsageError."""
    path = unquote(rest).rstrip("/")
    if not path.startswith("/"):
        raise UsageError(
            "the address of a folder begins with file:/// and gives its full path",
            hint="the address of a folder looks like file:///srv/hls/room",
        )
    return FolderUrl(path)
