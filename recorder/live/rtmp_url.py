"""The address of an RTMP or RTMPS server: taken apart, and shown without what is secret of it."""

from urllib.parse import quote, unquote

import msgspec

from config.errors import UsageError
from recorder.live.place import host_and_port, shown

DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443}
EXAMPLE = "an address looks like rtmps://a.rtmps.youtube.com/live2 with its key apart, or rtmp://host/app/key"

_LEAST_TOKEN = 4
"""Characters of a value in an application's query that may be a secret: `live2?backup=1` has none."""


class RtmpUrl(msgspec.Struct, frozen=True, tag="rtmp"):
    """Where to publish: RTMP asks for `application` and `key`; `login` is user:password or ''."""

    scheme: str
    host: str
    port: int
    application: str
    key: str
    login: str = ""

    listens = False

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
        spelled = {self.server, f"{self.server}/{self.key}", path, self.key, name, *_values(query)}
        spelled |= {value for value in _values(self.application.partition("?")[2]) if len(value) >= _LEAST_TOKEN}
        if self.login:
            spelled |= {self.login, self.login.partition(":")[2]}
        spelled |= {change(secret) for secret in tuple(spelled) for change in (unquote, quote)}
        return tuple(sorted(spelled - {""}, key=len, reverse=True))


def _values(query: str) -> list[str]:
    return [pair.partition("=")[2] for pair in query.split("&")]


def parse_rtmp_url(scheme: str, rest: str, key: str | None) -> RtmpUrl:
    """Take what follows rtmp:// or rtmps:// apart; raises UsageError, whose text repeats nothing of what was given."""
    place, _, path = rest.partition("/")
    login, _, place = place.rpartition("@")
    host, port = host_and_port(place, EXAMPLE)
    application, name = _names(path, key)
    return RtmpUrl(scheme, host, port or DEFAULT_PORTS[scheme], application, name, login)


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
        raise UsageError("a live destination's address names no application after its host", hint=EXAMPLE)
    if not key:
        raise UsageError("a live destination has no stream key", hint=EXAMPLE)
    return path, key
