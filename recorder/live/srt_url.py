"""The address of an SRT destination: srt://HOST:PORT?mode=...&latency=...&passphrase=...&streamid=...

Passphrase and stream id are secrets; nothing here puts either into a message.
"""

import re
from typing import Literal
from urllib.parse import quote, quote_plus, unquote

import msgspec

from config.addresses import LONGEST_STREAM_ID, PASSPHRASE_LENGTHS
from config.errors import UsageError
from recorder.live.place import host_and_port, shown

DEFAULT_LATENCY_MS = 500
"""Enough for four times the round trip of a campus uplink, which is what SRT needs to mend losses."""
LONGEST_LATENCY_MS = 10_000

_EXAMPLE = "an SRT address looks like srt://host:9000, or srt://:9000?mode=listener to wait for a caller"
_PARAMETERS = ("mode", "latency", "passphrase", "streamid", "pbkeylen")


class SrtUrl(msgspec.Struct, frozen=True, tag="srt"):
    """Whom to call, or, with `mode` listener, at which of this PC's ports to wait (`host` "": at each address).

    `latency_ms` is how long the other side holds pictures back, so that what was lost can come again.
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
        """Show where it leads, and no secret."""
        return f"SrtUrl({self.where})"

    @property
    def listens(self) -> bool:
        """Whether it waits for somebody to call."""
        return self.mode == "listener"

    @property
    def where(self) -> str:
        """Host and port, fit to be shown."""
        return shown(self.host, self.port) if self.host else f"port {self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything of this address that no message may hold, in every spelling we know of."""
        spelled = {change(text) for text in (self.passphrase, self.stream_id) for change in (str, quote, quote_plus)}
        return tuple(sorted(spelled - {""}, key=len, reverse=True))


def parse_srt_url(rest: str) -> SrtUrl:
    """Take what follows srt:// apart; raises UsageError, whose text repeats nothing of what was given."""
    place, _, query = rest.partition("?")
    given = _parameters(query)
    mode = given.get("mode", "caller")
    if mode not in ("caller", "listener"):
        raise UsageError("an SRT address's mode is neither caller nor listener", hint=_EXAMPLE)
    listens = mode == "listener"
    place = place.rstrip("/")
    if place.startswith(":") and listens:
        host, port = "", host_and_port(f"any{place}", _EXAMPLE)[1]
    else:
        host, port = host_and_port(place, _EXAMPLE)
    if port is None:
        raise UsageError("an SRT address has no port", hint=_EXAMPLE)
    return SrtUrl(
        host,
        port,
        "listener" if listens else "caller",
        _latency(given.get("latency")),
        _passphrase(given.get("passphrase", "")),
        _stream_id(given.get("streamid", "")),
        _key_bytes(given.get("pbkeylen", "16")),
    )


def _parameters(query: str) -> dict[str, str]:
    """Return what stands behind the question mark; a plus is a plus here."""
    given: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in _PARAMETERS or name in given:
            raise UsageError(
                "an SRT address has something after its ? that is not known, or is there twice",
                hint=f"what may stand there: {', '.join(_PARAMETERS)}",
            )
        given[name] = unquote(value)
    return given


def _latency(text: str | None) -> int:
    if text is None:
        return DEFAULT_LATENCY_MS
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 20 <= int(text) <= LONGEST_LATENCY_MS:
        raise UsageError(
            f"an SRT address's latency is not between 20 and {LONGEST_LATENCY_MS}",
            hint="it counts milliseconds: latency=500 is half a second",
        )
    return int(text)


def _passphrase(text: str) -> str:
    if text and len(text.encode()) not in PASSPHRASE_LENGTHS:
        raise UsageError("an SRT passphrase has 10 to 79 characters")
    return text


def _stream_id(text: str) -> str:
    if len(text.encode()) > LONGEST_STREAM_ID:
        raise UsageError(f"an SRT stream id is longer than {LONGEST_STREAM_ID} characters")
    return text


def _key_bytes(text: str) -> int:
    if text not in ("16", "24", "32"):
        raise UsageError("an SRT address's pbkeylen is not 16, 24 or 32")
    return int(text)
