"""The address of a live destination: taken apart, refused when it cannot work, and never shown.

A stream key is a secret, and so is everything of an address that stands after its host. Nothing here puts
either into a message, and what an address becomes shows only its host.
"""

import re
from collections.abc import Iterable

from config.addresses import SCHEMES
from config.errors import UsageError
from recorder.live.kind import LiveUrl, kind_of
from recorder.live.rtmp_url import EXAMPLE

LONGEST = 1000
"""Characters; libavformat cuts longer addresses without a word."""

REDACTED = "[hidden]"


def parse_live_url(url: str, key: str | None = None) -> LiveUrl:
    """Take an address apart; `key` is the stream key where the address does not end in it.

    Raises UsageError, whose text repeats nothing of what was given.
    """
    url = url.strip()
    key = key.strip() if key is not None else None
    _refuse_impossible_text(url, key or "")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in SCHEMES:
        *others, last = (f"{known}://" for known in SCHEMES)
        raise UsageError(f"a live destination's address begins with {', '.join(others)} or {last}", hint=EXAMPLE)
    parsed: LiveUrl = kind_of(scheme).parse(scheme, rest, key)
    return parsed


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every one of `secrets` hidden, longest first; very short ones only as words of their own."""
    for secret in sorted(secrets, key=len, reverse=True):
        pattern = re.escape(secret)
        text = re.sub(pattern if len(secret) > 3 else rf"(?<!\w){pattern}(?!\w)", REDACTED, text)
    return text


def _refuse_impossible_text(url: str, key: str) -> None:
    if not url:
        raise UsageError("a live destination has an empty address", hint=EXAMPLE)
    blanks = " " if url.lower().startswith("file:") else ""
    if any((c.isspace() and c not in blanks) or not c.isprintable() for c in url + key):
        raise UsageError(
            "a live destination's address or key holds a space or an unprintable character",
            hint="copy both again, each without the line end",
        )
    if len(url) + len(key) > LONGEST:
        raise UsageError(f"a live destination's address and key are longer than {LONGEST} characters together")
