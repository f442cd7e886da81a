"""A place for copies: the `Target` protocol, its errors, and the checks that recognize a place.

Paths at a target are relative, with `/`. A package has the same path as in the archive, `YYYY/MM/NAME`. A place must
not be the archive itself, nor another place under a second name. It must not be empty where copies were made: then
another disk, an empty mount point or an emptied bucket has taken its address.
"""

import hashlib
import os
import secrets
import stat
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

from config.errors import CopyError
from config.files import write_file
from recorder.model.names import one_line
from recorder.package.fixity import Flow


class CopyReason(StrEnum):
    """What keeps a copy from being made, read or counted: the word, the sentence (`said`), and what to do (`hint`)."""

    # fmt: off
    NOT_MOUNTED = (
        "not-mounted", "its disk or share is not mounted",
        "Mount it. Where the folder is meant to be on a disk of this PC's own: must_be_mounted = false in [copies].",
    )
    EMPTIED = (
        "emptied", "what it is known by is not there any more: it was emptied, or its disk is not mounted there",
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
        "Compare its fingerprint with who runs it, then add it to known_hosts (ssh-keyscan prints it).",
    )
    HOST_KEY_CHANGED = (
        "host-key-changed", "the server has another key than the one known here",
        "Ask who runs it before anything else: it may be another server in its place.",
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
    NOT_THERE = (
        "not-there", "there is no whole copy of it there",
        "`liput archive copies` shows where there are any.",
    )
    DAMAGED_HERE = (
        "damaged-here", "the package is damaged here",
        "`liput archive repair` restores it from a copy.",
    )
    DAMAGED_ON_THE_WAY = (
        "damaged-on-the-way", "what was read back is not what was sent",
        "It is not counted, and sent again later; look after the server's disk and memory.",
    )
    DAMAGED_THERE = (
        "damaged-there", "the copy there is damaged",
        "`liput archive copy` puts right what is wrong there.",
    )
    NOT_INSTALLED = (
        "not-installed", "a library that it needs is not installed",
        "Install it where Liput is installed: what stands in brackets brings it.",
    )
    SESSION = "session", "a session runs", "It goes on when that is over."
    BUSY = "busy", "another Liput is at work there", "It takes its turn."
    FAILED = "failed", "it failed", "Look at the words above; `liput health` has them too."
    # fmt: on

    def __new__(cls, word: str, said: str, hint: str) -> Self:
        """Make the reason of that word."""
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.said = said
        reason.hint = hint
        return reason

    said: str
    hint: str


OF_A_PACKAGE = frozenset({
    CopyReason.NOT_TAKEN, CopyReason.NAME_TAKEN, CopyReason.CHANGED_THERE, CopyReason.NOT_THERE,
    CopyReason.DAMAGED_HERE, CopyReason.DAMAGED_ON_THE_WAY, CopyReason.DAMAGED_THERE,
})  # fmt: skip
"""What concerns one package; the others keep every package from that place."""


def copy_error(reason: CopyReason, where: str, detail: str = "") -> CopyError:
    """Return the error that says why nothing comes to, or from, the place `where`; `detail` holds no secret."""
    words = one_line(detail)  # a server's may hold what changes a terminal
    return CopyError(f"{where}: {reason.said}{f' ({words})' if words else ''}", reason=reason, hint=reason.hint)


BLOCK_BYTES = 1 << 20
"""Read, sent and hashed at a time."""

LONGEST_NAME = 249
"""Bytes of a name that leave room for a dot before it and `.part` after it."""

STAGING = ".incoming"
"""Where a place that can rename has what is not whole yet, as the archive has."""


def part_name(name: str) -> str:
    """Return what a file called `name` is called while it is sent; file systems take 255 bytes."""
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}.part"


def staged(place: str, uuid: str) -> str:
    """Return a name in STAGING, which nobody can guess, for a package until it is renamed to `place`."""
    return f".{place.rpartition('/')[2]}.{uuid}.{secrets.token_hex(8)}.copy"


def is_staged(name: str, place: str, uuid: str) -> bool:
    """Return whether an attempt to send that package may have been given this name."""
    return name.startswith(f".{place.rpartition('/')[2]}.{uuid}.") and name.endswith(".copy")


def size_of(source: Path) -> int:
    """Return the bytes of a file of this PC; raises CopyError where it cannot be had."""
    with _had(source):
        return source.stat().st_size


def mode_of(source: Path) -> int:
    """Return who may do what with a file of this PC: who may not read a letter here may not read it there."""
    with _had(source):
        return stat.S_IMODE(source.stat().st_mode)


def blocks_of(source: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield a file of this PC, block by block; raises CopyError where this PC's disk does not give it."""
    with _had(source), source.open("rb", buffering=0) as content:
        content.seek(offset)
        while block := content.read(BLOCK_BYTES):
            yield block


@contextmanager
def _had(source: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise copy_error(CopyReason.DAMAGED_HERE, source.name, error.strerror or "") from None


class Target(Protocol):
    """A place for copies. Every method raises CopyError with the reason, within a bounded time."""

    @property
    def name(self) -> str:
        """What the settings call it."""
        ...

    @property
    def disk(self) -> int | None:
        """The number of the disk of this PC that it is on, None where it is on another computer's."""
        ...

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in `path`, "" for the target's own; none where it does not exist."""
        ...

    def walk(self, path: str) -> tuple[dict[str, int], list[str]]:
        """Return what is below `path` as `fixity.walk` does: files with their bytes, and what is no file or folder."""
        ...

    def read(self, path: str, bytes_: int) -> Iterator[bytes]:
        """Yield the content of a file of `bytes_` bytes, as the place has it now; NOT_THERE where there is none."""
        ...

    def write(self, path: str, source: Path, flow: Flow, *, from_start: bool = False) -> int:
        """Put a file there, whole or not at all, in the place of one that may be there; goes on where it was stopped.

        With `from_start` nothing that an earlier attempt left is used. Returns how many bytes of that were.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove one file that is there."""
        ...

    def begin(self, place: str, uuid: str) -> str:
        """Return the folder to write a new package into, ours alone; raises CopyError where `place` is another's."""
        ...

    def finish(self, folder: str, place: str) -> None:
        """Bring what is complete in `folder` onto the disk there, and give it its place, if it has not got it.

        Raises CopyError with NAME_TAKEN where that is taken.
        """
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


MARK = ".liput-place"
"""A file at the top of a place with its number, a UUID, given by whoever made the first copy there."""
_MARK_BYTES = 36


def mark_of(target: Target) -> str | None:
    """Return the number of a place, None where it has none; raises CopyError."""
    try:
        text = b"".join(target.read(MARK, _MARK_BYTES)).decode(errors="replace")
        return str(uuid.UUID(text))
    except ValueError:
        return None
    except CopyError as error:
        if error.reason == CopyReason.NOT_THERE:
            return None
        raise


def give_mark(target: Target) -> str:
    """Give a place its number and return the one that is there then: another PC may have been faster."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, MARK)
        source.write_text(str(uuid.uuid4()))
        target.write(MARK, source, Flow(), from_start=True)
    if (mark := mark_of(target)) is None:
        raise copy_error(CopyReason.DAMAGED_ON_THE_WAY, target.name, MARK)
    return mark


def refuse_archive(target: Target, root: Path, below: str = "") -> None:
    """Raise CopyError where the place is the archive at `root`, or that of it which is `below`, however it is reached.

    A file is put into the archive and looked for there: names, links, mounts and servers can hide that two are one.
    Raises OSError where the archive takes no file.
    """
    probe = root / below / f".liput-probe-{secrets.token_hex(16)}"
    content = secrets.token_hex(16).encode()
    try:
        write_file(probe, content, durable=False)
        found = b"".join(target.read(f"{below}/{probe.name}".lstrip("/"), len(content)))
    except CopyError as error:
        if error.reason == CopyReason.NOT_THERE:
            return
        raise
    finally:
        with suppress(OSError):
            probe.unlink()
    if found == content:
        raise copy_error(CopyReason.SAME_PLACE, target.name, f"it is the archive {root}")


def refuse_same(targets: Sequence[Target]) -> None:
    """Raise CopyError where two places are one, or on one disk of this PC: what takes one takes both."""
    seen: dict[str | int, Target] = {}
    for target in targets:
        for known in (mark_of(target), target.disk):
            if known is not None and seen.setdefault(known, target) is not target:
                raise copy_error(CopyReason.SAME_PLACE, target.name, f'it is with "{seen[known].name}"')


def refuse_links(target: Target, place: str) -> None:
    """Raise CopyError where a package at a place, or a folder on the way to it, is a link: it may lead anywhere."""
    above, _, name = place.rpartition("/")
    if above:
        refuse_links(target, above)
    if name not in target.folders(above):
        raise copy_error(CopyReason.CHANGED_THERE, target.name, f"{place} is a link")
