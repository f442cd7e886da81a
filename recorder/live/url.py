"""The address of a live destination: taken apart, refused when it cannot work, and never shown.

A stream key is a secret, and so is everything of an address that stands after its host. Nothing here puts
either into a message, and `LiveUrl` shows only its host.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from config.errors import UsageError

DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443}
LONGEST = 1000
"""Characters; libavformat cuts longer addresses without a word."""

REDACTED = "[hidden]"
_EXAMPLE = "an address looks like rtmps://a.rtmps.youtube.com/live2 with its key apart, or rtmp://host/app/key"


@dataclass(frozen=True, slots=True, repr=False)
class LiveUrl:
    """Where to publish: RTMP asks for `application` and `key`; `login` is user:password or ''."""

    scheme: str
    host: str
    port: int
    application: str
    key: str
    login: str = ""

    def __repr__(self) -> str:
        """Show where it leads, and no secret."""
        return f"LiveUrl({self.scheme}://{self.where})"

    @property
    def where(self) -> str:
        """Host and port, fit to be shown."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def server(self) -> str:
        """The address without the key, as libavformat takes it; secret none the less."""
        login = f"{self.login}@" if self.login else ""
        return f"{self.scheme}://{login}{self.where}/{self.application}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything of this address that no message may hold, in every spelling we know of."""
        path = f"{self.application}/{self.key}"
        spelled = {self.server, f"{self.server}/{self.key}", path, self.key, self.key.partition("?")[0]}
        if self.login:
            spelled |= {self.login, self.login.partition(":")[2]}
        spelled |= {change(secret) for secret in tuple(spelled) for change in (unquote, quote)}
        return tuple(sorted(spelled - {""}, key=len, reverse=True))


def parse_live_url(url: str, key: str | None = None) -> LiveUrl:
    """Take an address apart; `key` is the stream key where the address does not end in it.

    Raises UsageError, whose text repeats nothing of what was given.
    """
    url = url.strip()
    key = key.strip() if key is not None else None
    _refuse_impossible_text(url, key or "")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        raise UsageError("a live destination's address begins with rtmp:// or rtmps://", hint=_EXAMPLE)
    place, _, path = rest.partition("/")
    login, _, place = place.rpartition("@")
    host, port = _host_and_port(place)
    application, name = _names(path, key)
    return LiveUrl(scheme, host, port or DEFAULT_PORTS[scheme], application, name, login)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every one of `secrets` hidden, longest first; very short ones only as words of their own."""
    for secret in sorted(secrets, key=len, reverse=True):
        pattern = re.escape(secret)
        text = re.sub(pattern if len(secret) > 3 else rf"(?<!\w){pattern}(?!\w)", REDACTED, text)
    return text


def _refuse_impossible_text(url: str, key: str) -> None:
    if not url:
        raise UsageError("a live destination has an empty address", hint=_EXAMPLE)
    if any(character.isspace() or not character.isprintable() for character in url + key):
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


def _host_and_port(place: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/?#]+)(?::(\d{0,5}))?", place)
    if match is None:
        raise UsageError("a live destination's address has no host that could be read", hint=_EXAMPLE)
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        raise UsageError("a live destination's port is not between 1 and 65535", hint=_EXAMPLE)
    try:
        host = match[1].strip("[]").lower().encode("idna" if not match[1].isascii() else "ascii").decode()
    except UnicodeError:
        raise UsageError("a live destination's host is not a name that can be looked up", hint=_EXAMPLE) from None
    return host, port
