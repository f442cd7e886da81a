"""What can be set of copies in other places (`[copies.NAME]`), and of reading packages again (`[fixity]`)."""

import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from config import kinds
from config.addresses import NO_HOST, folder_of, is_host, scheme_of
from config.quantities import NotAllowed

COPY_SCHEMES = ("file", "sftp", "s3")

_FORM = "must look like file:///FOLDER, sftp://USER@HOST/FOLDER or s3://BUCKET/PREFIX"


def _copy_address(raw: object) -> str:
    if not isinstance(raw, str) or not raw.isprintable() or scheme_of(raw) not in COPY_SCHEMES:
        raise NotAllowed(_FORM)
    if scheme_of(raw) == "file":
        if not re.match(r"file:///[^/]", raw, re.IGNORECASE):
            raise NotAllowed("must look like file:///FOLDER, a folder named from the root")
        return raw.rstrip("/")
    try:
        parts = urllib.parse.urlsplit(raw)
        host, port, password = parts.hostname, parts.port, parts.password
    except ValueError:  # whose words may repeat a password
        raise NotAllowed(_FORM) from None
    if password is not None or (scheme_of(raw) == "s3" and parts.username is not None):
        raise NotAllowed("must not hold a password; it belongs in the file of keys, in the table [copies]")
    if not host or port == 0 or "?" in raw or "#" in raw or " " in raw or ".." in parts.path.split("/"):
        raise NotAllowed(_FORM)
    if scheme_of(raw) == "sftp" and not parts.path.strip("/"):
        raise NotAllowed("must name a folder: sftp://USER@HOST/FOLDER")
    if scheme_of(raw) == "sftp" and not is_host(host):
        raise NotAllowed(NO_HOST)
    return raw.rstrip("/")


COPY_ADDRESS = kinds.Kind(
    "where copies go: a folder, a folder on a server with SFTP, a bucket of an S3-compatible object store",
    _copy_address,
)


class CopyTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A place for copies. `automatic`: every sealed package goes there; else what is asked for.

    `max_rate` bits a second are sent at most; what neither moves nor says why for `stalled_s` is given up for now.
    `must_be_mounted` (folder): it must not be on a disk of this PC's own, that of the system or of the archive.
    `known_hosts` (SFTP) holds the server's key; None: `~/.ssh/known_hosts`. `endpoint` (S3) is the server's address,
    `region` and `ca_file` go with it.
    """

    url: Annotated[str, COPY_ADDRESS]
    automatic: Annotated[bool, kinds.SWITCH] = True
    max_rate: Annotated[int | None, kinds.rate(8_000, 100_000_000_000)] = None
    stalled_s: Annotated[float, kinds.seconds(1, 3600)] = 60.0
    must_be_mounted: Annotated[bool, kinds.SWITCH] = True
    known_hosts: Annotated[Path | None, kinds.FILE_PATH] = None
    endpoint: Annotated[str, kinds.TEXT] = ""
    region: Annotated[str, kinds.TEXT] = "us-east-1"
    ca_file: Annotated[Path | None, kinds.FILE_PATH] = None

    @property
    def scheme(self) -> str:
        """Of its address: file, sftp or s3."""
        return scheme_of(self.url)

    @property
    def folder(self) -> Path:
        """The folder of a file:// address."""
        return folder_of(self.url)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Give the fields that do not go together, each with what is wrong."""
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
    if raw == "":
        return ""
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise NotAllowed('must be a time of the day, such as "02:30"; "" for never')
    return f"{int(found[1]):02}:{found[2]}"


TIME_OF_DAY = kinds.Kind('a time of the day, in the zone of the office; "" for none', _time_of_day)


class Fixity(msgspec.Struct, frozen=True, kw_only=True):
    """When `liput serve` begins a round of `liput archive fixity` each day ("": not by itself).

    A round reads `budget` bytes of packages, `max_rate` bits of them a second at most.
    """

    at: Annotated[str, TIME_OF_DAY] = "02:30"
    budget: Annotated[int, kinds.size(1_000_000, 2**60)] = 50_000_000_000
    max_rate: Annotated[int, kinds.rate(8_000, 100_000_000_000)] = 400_000_000
