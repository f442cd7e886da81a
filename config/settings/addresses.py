"""Addresses of live destinations. No message repeats any part of one."""

import ipaddress
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from config.settings import value_kinds
from config.settings.quantities import NotAllowed

type AddressForm = Literal["server", "port", "folder"]
"""The form of an address's place: HOST:PORT/APP with an optional port, HOST:PORT, or a folder of this PC."""
type KeyForm = Literal["", "stream", "srt"]
"""The secret in the file of keys: a stream key, or for SRT a passphrase, a stream id, both or neither."""


class StreamScheme(NamedTuple):
    """The scheme of one sort of live destinations.

    `kind` is its module in recorder/live/kinds, `looks` an example for people. One that `may_listen` waits for callers
    where the address has no host. `certificate`: the server's certificate is checked.
    """

    kind: str
    looks: str
    form: AddressForm
    key: KeyForm = ""
    may_listen: bool = False
    certificate: bool = False


SCHEMES: Mapping[str, StreamScheme] = {
    "rtmps": StreamScheme("rtmp", "rtmps://HOST/APP", "server", "stream", certificate=True),
    "rtmp": StreamScheme("rtmp", "rtmp://HOST:PORT/APP", "server", "stream"),
    "srt": StreamScheme("srt", "srt://HOST:PORT", "port", "srt", may_listen=True),
    "file": StreamScheme("folder", "file:///FOLDER", "folder"),
}
NO_HOST = "names a host that cannot be looked up: between its dots stand 1 to 63 letters"
PASSPHRASE_LENGTHS = range(10, 80)  # in bytes; SRT allows no others
LONGEST_STREAM_ID = 512


def _stream_address(raw: object) -> str:
    if not isinstance(raw, str):
        raise NotAllowed("must be an address in quotes")
    check_stream_url(raw)
    scheme = scheme_of(raw)
    if SCHEMES[scheme].form == "folder":
        return raw.rstrip("/")
    if login_of(raw):
        raise NotAllowed(
            "must not hold a user name or password; put the whole address into a private file (--stream @FILE)"
        )
    if "?" in raw or "#" in raw:
        follows = (
            "mode and latency_s are settings of their own, passphrase and stream_id belong in the file of keys"
            if SCHEMES[scheme].key == "srt"
            else "the rest belongs to the key, in the file of keys"
        )
        raise NotAllowed(f'must end before any "?" or "#"; {follows}')
    return raw.rstrip("/")


STREAM_ADDRESS = value_kinds.ValueKind("a live destination's address, without its key", _stream_address)


def scheme_of(url: str) -> str:
    """Return the part before the colon, in lower case."""
    return url.partition(":")[0].lower()


def login_of(url: str) -> str:
    """Return the login before the host, "" where there is none."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[0]


def parts_of(url: str, form: str) -> urllib.parse.SplitResult:
    """Return the parts of an address with a host that can be looked up.

    Raises NotAllowed(`form`), since the original error may repeat a password, and NotAllowed(NO_HOST).
    """
    try:
        parts = urllib.parse.urlsplit(url)
        is_right = parts.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        raise NotAllowed(form)
    if not is_host(parts.hostname or ""):
        raise NotAllowed(NO_HOST)
    return parts


def folder_of(url: str) -> Path:
    return Path(urllib.parse.unquote(url.partition("://")[2]))


def is_host(host: str) -> bool:
    """Return whether a host can be looked up: Python raises UnicodeError for other names."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def is_this_pc(host: str) -> bool:
    """Return whether a name or address is that of this PC's loopback."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_stream_url(url: str) -> None:
    """Raise NotAllowed, without repeating any of it, where `url` cannot be the address of a live destination."""
    known = SCHEMES.get(scheme_of(url))
    form = f"must look like {_looks(known)}"
    is_folder = known is not None and known.form == "folder"
    if not url.isprintable() or (" " in url and not is_folder):
        raise NotAllowed(f"{form}, without blanks or control characters")
    if known is None:
        raise NotAllowed(form)
    if is_folder:
        if not re.match(r"[a-z]+:///[^/]", url, re.IGNORECASE):
            raise NotAllowed(form)
        return
    is_port = known.form == "port"
    host_of_port = rf"[a-z]+://(\[[0-9a-f:.]+\]|[^/?#:\[\]]{'*' if known.may_listen else '+'}):\d{{1,5}}/?(\?|$)"
    if is_port and not re.match(host_of_port, url, re.IGNORECASE):
        raise NotAllowed(form)
    parts = parts_of(url, form)
    if not (is_port or (parts.hostname and parts.path.strip("/"))):
        raise NotAllowed(form)


def _looks(known: StreamScheme | None) -> str:
    """Return an example of an address for people: of the `known` scheme, or of every one."""
    if known is None or known.form == "server":
        *others, last = (scheme.looks for scheme in SCHEMES.values())
        return f"{', '.join(others)} or {last}"
    listener = f", or {known.looks.replace('HOST', '')} for a listener" if known.may_listen else ""
    return known.looks + listener + (", a full path" if known.form == "folder" else "")
