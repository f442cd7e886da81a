"""Removes secrets from text that leaves this PC: known keys, and text that looks like a password."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from config.errors import SecretError
from config.settings.schema import Settings
from config.settings.secrets import Secret, keys_path, read_keys, secrets_of_tables

HIDDEN = "(hidden)"

_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # A login: rtsp://user:pass@host. Up to the last @ before the path: a password may hold one.
        r"\b([a-z][a-z0-9+.-]*://)[^\s/\"'<>?#]+(?=@)",
        # The key of a stream's address follows host and application.
        r"\b(rtmp[a-z]*://[^\s/\"'<>]+/[^\s/\"'<>?#]+[/?#])[^\s\"'<>]+",
        # ...?auth=..., Cookie: session=...; only with =, since a kernel says "auth: timed out".
        r"\b((?:auth|sig|signature|session(?:[_-]?id)?|psk|pwd)=)[^\s\"'&,;<>\\]+",
        # --password ...
        r"(--(?:pass(?:phrase|word)?|secret|token|api-key|key)\s+)[^\s\"'<>\\]+",
        # passphrase=..., "token": "...", Authorization: Bearer ...
        (
            r"\b((?:pass(?:phrase|word|wd)?|secret|token|(?:[a-z]+[_-])*key|stream_?id)\\?[\"']?\s*[=:]\s*\\?[\"']?)"
            r"(?!(?:-?[\d.]+|true|false|null)\s*[,}\]])[^\s\"'&,;<>\\]+"  # but no number of JSON
        ),
        r"\b((?:bearer|basic)\s+)[A-Za-z0-9+/_.~=-]{8,}",
    )
)
"""Each matches a secret behind its first group."""

_QUOTED = re.compile(r"""(["'])([^"'\n]+)\1""")


type Redact = Callable[[str], str]  # returns a text without its secrets


def redactor(secrets: Iterable[Secret] = ()) -> Redact:
    """Return a function that removes `secrets`, in text and in JSON, and text that looks like one."""
    known = list(secrets)
    hidden = [*known, *(secret.in_json() for secret in known)]

    def redact(text: str) -> str:
        for secret in hidden:
            text = secret.redact(text)
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\1{HIDDEN}", text)
        return text

    return redact


def redactor_for(settings: Settings) -> tuple[Redact, str]:
    """Return a function that knows the keys of `settings`, and why it lacks some of them ("": it has all)."""
    try:
        return redactor((*read_keys(settings).values(), *secrets_of_tables(settings))), ""
    except SecretError as error:
        # Liput refuses such a file, open to others or wrong in one line, but it still names the secrets.
        return redactor(_in_quotes(keys_path(settings))), error.message


def _in_quotes(path: Path | None) -> Iterator[Secret]:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path and path.is_file():
            yield from (Secret(match[2]) for match in _QUOTED.finditer(path.read_text(encoding="utf-8")))
