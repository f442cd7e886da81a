"""The address of a live destination: taken apart, refused when it cannot work, and never shown.

A stream key is a secret, and so is everything of an address that stands after its host. Nothing here puts
either into a message, and `LiveUrl` shows only its host.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

import msgspec

from config.errors import UsageError
from recorder.live.place import host_and_port, shown
from recorder.live.srt_url import SrtUrl, parse_srt_url

DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443}
LONGEST = 1000
"""Characters; libavformat cuts longer addresses without a word."""

REDACTED = "[hidden]"
_EXAMPLE = "an address looks like rtmps://a.rtmps.youtube.com/live2 with its key apart, or rtmp://host/app/key"
_FOLDER = "the address of a folder looks like file:///srv/hls/room"
_SCHEMES = "rtmp://, rtmps://, srt:// or file:///"


class RtmpUrl(msgspec.Struct, frozen=True, tag="rtmp"):
    """Where to publish: RTMP asks for `application` and `key`; `login` is user:password or ''."""

    scheme: str
    host: str
    port: int
    application: str
    key: str
    login: str = ""

    def __repr__(self) -> str:
        """Show where it leads, and no secret."""
        return f"RtmpUrl({self.scheme}://{self.where})"

    @property
    def where(self) -> str:
        """Host and port, fit to be shown."""
        return shown(self.host, self.port)

    @property
    def server(self) -> str:
        """The address without the key, as libavformat takes it; secret none the less."""
        login = f"{self.login}@" if self.login else ""
        return f"{self.scheme}://{login}{self.where}/{self.application}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything of this address that no message may hold, in every spelling we know of."""
        path = f"{self.application}/{self.key}"
        name, _, query = self.key.partition("?")
        spelled = {self.server, f"{self.server}/{self.key}", path, self.key, name}
        spelled |= {pair.partition("=")[2] for pair in query.split("&")}
        if self.login:
            spelled |= {self.login, self.login.partition(":")[2]}
        spelled |= {change(secret) for secret in tuple(spelled) for change in (unquote, quote)}
        return tuple(sorted(spelled - {""}, key=len, reverse=True))


class FolderUrl(msgspec.Struct, frozen=True, tag="file"):
    """A folder that a web server serves: an HLS playlist and its segments go there."""

    path: str

    scheme = "file"

    @property
    def where(self) -> str:
        """The folder."""
        return self.path

    @property
    def secrets(self) -> tuple[str, ...]:
        """Nothing of it is secret."""
        return ()


type LiveUrl = RtmpUrl | SrtUrl | FolderUrl


def parse_live_url(url: str, key: str | None = None) -> LiveUrl:
    """Take an address apart; `key` is the stream key where the address does not end in it.

    Raises UsageError, whose text repeats nothing of what was given.
    """
    url = url.strip()
    key = key.strip() if key is not None else None
    _refuse_impossible_text(url, key or "")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if separator and scheme == "srt":
        return parse_srt_url(rest)
    if separator and scheme == "file":
        return _folder(rest)
    if not separator or scheme not in DEFAULT_PORTS:
        raise UsageError(f"a live destination's address begins with {_SCHEMES}", hint=_EXAMPLE)
    place, _, path = rest.partition("/")
    login, _, place = place.rpartition("@")
    host, port = host_and_port(place, _EXAMPLE)
    application, name = _names(path, key)
    return RtmpUrl(scheme, host, port or DEFAULT_PORTS[scheme], application, name, login)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every one of `secrets` hidden, longest first; very short ones only as words of their own."""
    for secret in sorted(secrets, key=len, reverse=True):
        pattern = re.escape(secret)
        text = re.sub(pattern if len(secret) > 3 else rf"(?<!\w){pattern}(?!\w)", REDACTED, text)
    return text


def _refuse_impossible_text(url: str, key: str) -> None:
    if not url:
        raise UsageError("a live destination has an empty address", hint=_EXAMPLE)
    blanks = " " if url.lower().startswith("file:") else ""
    if any((c.isspace() and c not in blanks) or not c.isprintable() for c in url + key):
        raise UsageError(
            "a live destination's address or key holds a space or an unprintable character",
            hint="copy both again, each without the line end",
        )
    if len(url) + len(key) > LONGEST:
        raise UsageError(f"a live destination's address and key are longer than {LONGEST} characters together")


def _names(path: str, key: str | None) -> tuple[str, str]:
    """Split what stands after the host into application and key, as streaming programs do: at the last slash."""
    path = path.rstrip("/") if key is not None else path
    if key is None:
        before_query, mark, query = path.partition("?")
        if "/" in before_query.strip("/"):
            path, _, name = before_query.rpartition("/")
            key = name + mark + query if name else ""
        else:
            path, _, key = path.rpartition("/")
    path = path.strip("/")
    if not path:
        raise UsageError("a live destination's address names no application after its host", hint=_EXAMPLE)
    if not key:
        raise UsageError("a live destination has no stream key", hint=_EXAMPLE)
    return path, key


def _folder(rest: str) -> FolderUrl:
    path = unquote(rest).rstrip("/")
    if not path.startswith("/"):
        raise UsageError("the address of a folder begins with file:/// and names it from the root", hint=_FOLDER)
    return FolderUrl(path)
