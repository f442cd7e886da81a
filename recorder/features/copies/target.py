"""A place for copies: the `Target` protocol, its errors, and the checks that recognize a place.

Paths at a target are relative, with `/`. A package has the same path as in the archive, `YYYY/MM/NAME`. A place must
not be the archive, nor another place under a second name. A place with copies must not become empty: another disk, an
empty mount point or an emptied bucket has taken its address.
"""

import os
import secrets
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

from config.errors import CopyError
from config.files import write_file
from recorder.model.names import one_line
from recorder.package.fixity import TransferThrottle


class CopyReason(StrEnum):
    """Reasons of a CopyError: a word, a sentence (`said`), and a remedy (`hint`)."""

    # fmt: off
    NOT_MOUNTED = (
        "not-mounted", "its disk or share is not mounted",
        "Mount it. Where the folder is meant to be on a disk of this PC's own: must_be_mounted = false in [copies].",
    )
    EMPTIED = (
        "emptied", "its mark is missing: the place was emptied, or its disk is not mounted",
        "Mount the disk there. If it is empty on purpose: `liput archive copy --all --to NAME --new-place`.",
    )
    SAME_PLACE = (
        "same-place", "it is no place of its own",
        "Correct the address in [copies]: a copy that is lost together with another is none.",
    )
    NO_FOLDER = "no-folder", "its folder is not there", "Make the folder, or correct the address in [copies]."
    NO_BUCKET = "no-bucket", "its bucket is not there", "Make the bucket, or correct the address in [copies]."
    REFUSED = "refused", "the server refuses the connection", "See whether its service runs, and on which port."
    UNREACHABLE = "unreachable", "the server cannot be reached", "Look after the network, and the server's name."
    TIMEOUT = "timeout", "the server does not answer", "Look after the server: it is there and does nothing."
    CONNECTION_LOST = (
        "connection-lost", "the connection broke",
        "It goes on by itself; look after the network if it stays so.",
    )
    UNKNOWN_HOST = (
        "unknown-host", "the server's key is not known here",
        "Ask its administrator for the fingerprint, then add the key to known_hosts (ssh-keyscan prints it).",
    )
    HOST_KEY_CHANGED = (
        "host-key-changed", "the server has another key than the one known here",
        "Ask its administrator first: it may be a false server.",
    )
    CERTIFICATE = "certificate", "the server's certificate is not trusted", "Name its authority: ca_file in [copies]."
    NO_CREDENTIALS = "no-credentials", "there is nothing to log in with", "Add it to the file of keys."
    WRONG_CREDENTIALS = "wrong-credentials", "the server does not accept the login", "Correct it in the file of keys."
    CLOCK = (
        "clock", "this PC's clock is not the server's",
        "Set this PC's clock: `timedatectl set-ntp true`; a login counts for minutes only.",
    )
    NOT_ALLOWED = (
        "not-allowed", "this user may not write or read there",
        "Give the user the right to the folder or bucket.",
    )
    FULL = "full", "no space is left there", "Free space there; the copy goes on by itself."
    NOT_TAKEN = (
        "not-taken", "it does not take a file of this package",
        "FAT takes none of 4 GB or more, FAT and Windows no name with one of : ? * | in it: copy it to another place.",
    )
    NAME_TAKEN = (
        "name-taken", "another package has that name there",
        "Look at both; the one there stays as it is, and this one is not copied.",
    )
    CHANGED_THERE = (
        "changed-there", "the package there is in another state than the one that was put there from here",
        "Look at both; the one there stays as it is.",
    )
    NOT_THERE = "not-there", "there is no whole copy of it there", "`liput archive copies` shows where there are any."
    DAMAGED_HERE = "damaged-here", "the package is damaged here", "`liput archive repair` restores it from a copy."
    DAMAGED_ON_THE_WAY = (
        "damaged-on-the-way", "the data read back differs from the data sent",
        "It is not counted, and sent again later. Check the server's disk and memory.",
    )
    DAMAGED_THERE = "damaged-there", "the copy there is damaged", "`liput archive copy` repairs it."
    NOT_INSTALLED = (
        "not-installed", "a library that it needs is not installed",
        "Install the extra in brackets beside Liput.",
    )
    SESSION = "session", "a session runs", "It goes on when that is over."
    BUSY = "busy", "another Liput is at work there", "It takes its turn."
    FAILED = "failed", "it failed", "Look at the words above; `liput health` has them too."
    # fmt: on

    def __new__(cls, word: str, said: str, hint: str) -> Self:
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.said = said
        reason.hint = hint
        return reason

    said: str
    hint: str


PACKAGE_REASONS = frozenset({
    CopyReason.NOT_TAKEN, CopyReason.NAME_TAKEN, CopyReason.CHANGED_THERE, CopyReason.NOT_THERE,
    CopyReason.DAMAGED_HERE, CopyReason.DAMAGED_ON_THE_WAY, CopyReason.DAMAGED_THERE,
})  # fmt: skip
"""Reasons of one package; the others concern every package at a place."""


def copy_error(reason: CopyReason, where: str, detail: str = "") -> CopyError:
    """Return the error of the place `where`; `detail` holds no secret."""
    words = one_line(detail)  # a server's words may hold terminal codes
    return CopyError(f"{where}: {reason.said}{f' ({words})' if words else ''}", reason=reason, hint=reason.hint)


BLOCK_BYTES = 1 << 20  # bytes read, sent and hashed at a time

STAGING = ".incoming"  # the folder of incomplete packages at a place that can rename, as in the archive


def staging_folder(
    place: str,
    uuid: str,
    names: Sequence[str],
    *,
    make: Callable[[str], object],
    owner: Callable[[str], object],
    remove: Callable[[str], object],
) -> str:
    """Return the folder in STAGING for a package: ours of a stopped attempt, or a new one of a random name.

    The owner tells ours among those that have the present `names`; a share may have one owner for all files.
    """
    beginning = f".{place.rpartition('/')[2]}.{uuid}."
    new = f"{beginning}{secrets.token_hex(8)}.copy"
    make(new)
    for name in names:
        if name.startswith(beginning) and name.endswith(".copy") and owner(name) == owner(new):
            try:
                remove(name)  # an empty one
            except (OSError, CopyError):
                remove(new)
                return f"{STAGING}/{name}"
    return f"{STAGING}/{new}"


def status_of(source: Path) -> os.stat_result:
    """Return a local file's bytes and mode: a letter stays private in its copy. Raises CopyError."""
    with _reading(source):
        return source.stat()


def blocks_of(source: Path, offset: int = 0, most: int = sys.maxsize) -> Iterator[bytes]:
    """Yield a local file in blocks, at most `most` bytes from `offset` on. Raises CopyError."""
    with _reading(source), source.open("rb", buffering=0) as content:
        content.seek(offset)
        while block := content.read(min(most, BLOCK_BYTES)):
            most -= len(block)
            yield block


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise copy_error(CopyReason.DAMAGED_HERE, source.name, error.strerror or "") from None


class Target(Protocol):
    """A place for copies. All methods raise CopyError with a reason, within a bounded time."""

    name: str  # its name in the settings
    disk: int | None = None  # the number of its disk in this PC, None on another computer

    def folders(self, path: str) -> list[str]:
        """Return the names of folders in `path` ("" for the root); none if it is missing."""

    def walk(self, path: str) -> tuple[dict[str, int], list[str]]:
        """Return files with their bytes below `path`, and other entries, like `fixity.walk`."""

    def read(self, path: str, bytes_: int) -> Iterator[bytes]:
        """Yield the content of a file of `bytes_` bytes, as the place has it now. Raises NOT_THERE."""

    def write(self, path: str, source: Path, flow: TransferThrottle, *, from_start: bool = False) -> int:
        """Put a file there, whole or not at all; return the bytes resumed of a stopped attempt."""

    def remove(self, path: str) -> None:
        """Remove an existing file."""

    def begin(self, place: str, uuid: str) -> str:
        """Return a private folder for a new package. Raises CopyError if `place` belongs to another."""

    def finish(self, folder: str, place: str) -> None:
        """Sync the package in `folder`, and move it to `place` if needed. Raises CopyError with NAME_TAKEN."""

    def close(self) -> None:
        return  # most places have none


MARK_FILE = ".liput-place"  # the file with a place's UUID, written by the first PC that copies there
_MARK_BYTES = 36


def read_mark(target: Target) -> str | None:
    """Return the UUID of a place, None without one. Raises CopyError."""
    try:
        return str(uuid.UUID(_content_there(target, MARK_FILE, _MARK_BYTES).decode(errors="replace")))
    except ValueError:
        return None


def _content_there(target: Target, path: str, bytes_: int) -> bytes:
    """Return the content of a small file at a place, b"" without the file. Raises CopyError."""
    try:
        return b"".join(target.read(path, bytes_))
    except CopyError as error:
        if error.reason == CopyReason.NOT_THERE:
            return b""
        raise


def write_mark(target: Target) -> str:
    """Give a place a UUID, and return its present one: another PC may have been faster."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, MARK_FILE)
        source.write_text(str(uuid.uuid4()))
        target.write(MARK_FILE, source, TransferThrottle(), from_start=True)
    if (mark := read_mark(target)) is None:
        raise copy_error(CopyReason.DAMAGED_ON_THE_WAY, target.name, MARK_FILE)
    return mark


def refuse_archive(target: Target, root: Path, below: str = "") -> None:
    """Raise CopyError if the place is the archive at `root`, or its folder `below`, by any way. Raises OSError.

    A file is written to the archive and looked for at the place: names, links, mounts and servers may hide that both
    are one.
    """
    probe = root / below / f".liput-probe-{secrets.token_hex(16)}"
    content = secrets.token_hex(16).encode()
    try:
        write_file(probe, content, durable=False)
        found = _content_there(target, f"{below}/{probe.name}".lstrip("/"), len(content))
    finally:
        with suppress(OSError):
            probe.unlink()
    if found == content:
        raise copy_error(CopyReason.SAME_PLACE, target.name, f"it is the archive {root}")


def refuse_same(targets: Sequence[Target]) -> None:
    """Raise CopyError if two places are the same, or on one disk of this PC: both would be lost at once."""
    seen: dict[str | int, Target] = {}
    for target in targets:
        for known in (read_mark(target), target.disk):
            if known is not None and seen.setdefault(known, target) is not target:
                raise copy_error(CopyReason.SAME_PLACE, target.name, f'it is with "{seen[known].name}"')


def refuse_links(target: Target, place: str) -> None:
    """Raise CopyError if a package at a place, or a folder above it, is a link."""
    above, _, name = place.rpartition("/")
    if above:
        refuse_links(target, above)
    if name not in target.folders(above):
        raise copy_error(CopyReason.CHANGED_THERE, target.name, f"{place} is a link")
