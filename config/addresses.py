"""Addresses of live destinations, as far as they can be told right or wrong without repeating any of them."""

import re
import urllib.parse
from pathlib import Path

import msgspec

from config.kinds import Shown
from config.quantities import NotAllowed

STREAM_SCHEMES = ("rtmp", "rtmps", "srt", "file")
PASSPHRASE_LENGTHS = range(10, 80)
"""Bytes; the standard of SRT allows no others."""
LONGEST_STREAM_ID = 512

_FORMS = {
    "srt": "must look like srt://HOST:PORT, or srt://:PORT for a listener",
    "file": "must look like file:///FOLDER, a folder named from the root",
}
_FORM = "must look like rtmps://HOST/APP, rtmp://HOST:PORT/APP, srt://HOST:PORT or file:///FOLDER"


class StreamAddress(msgspec.Struct, frozen=True):
    """The address of a live destination, without what is secret of it."""

    def read(self, raw: object) -> str:
        """Return the address, without a slash at its end."""
        if not isinstance(raw, str):
            raise NotAllowed("must be an address in quotes")
        check_stream_url(raw)
        scheme = scheme_of(raw)
        if scheme == "file":
            return raw.rstrip("/")
        if login_of(raw):
            raise NotAllowed(
                "must not hold a user name or password; put the whole address into a private file (--stream @FILE)"
            )
        if "?" in raw or "#" in raw:
            follows = (
                "mode and latency_s are settings of their own, passphrase and stream_id belong in the file of keys"
                if scheme == "srt"
                else "what follows belongs to the key, in the file of keys"
            )
            raise NotAllowed(f'must end before any "?" or "#"; {follows}')
        return raw.rstrip("/")

    def show(self, value: object) -> Shown:
        """Return the address."""
        return str(value)


def scheme_of(url: str) -> str:
    """Return what stands before the colon, in small letters."""
    return url.partition(":")[0].lower()


def login_of(url: str) -> str:
    """Return what stands before the last @ of the host, "" where nothing does."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[0]


def folder_of(url: str) -> Path:
    """Return the folder that a file:// address names."""
    return Path(urllib.parse.unquote(url.partition("://")[2]))


def check_stream_url(url: str) -> None:
    """Raise NotAllowed, without repeating any of it, where `url` cannot be the address of a live destination."""
    scheme = scheme_of(url)
    form = _FORMS.get(scheme, _FORM)
    if not url.isprintable() or (" " in url and scheme != "file"):
        raise NotAllowed(f"{form}, without blanks or control characters")
    if scheme == "srt" and not re.match(r"srt://(\[[0-9a-f:.]+\]|[^/?#:\[\]]*):\d{1,5}/?(\?|$)", url, re.IGNORECASE):
        raise NotAllowed(form)
    if scheme == "file":
        if not re.match(r"file:///[^/]", url, re.IGNORECASE):
            raise NotAllowed(form)
        return
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # whose words may repeat what stands before the host
        raise NotAllowed(form) from None
    is_whole = scheme == "srt" or (host and parts.path.strip("/"))
    if parts.scheme not in STREAM_SCHEMES or port == 0 or not is_whole:
        raise NotAllowed(form)
