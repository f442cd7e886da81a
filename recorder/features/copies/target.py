"""What every place for copies can do, and knowing one again.

Paths at a target are relative to it, with `/`; a package is at the same one as in the archive, `YYYY/MM/NAME`. A place
must not be the archive itself, nor another place by a second name, nor what stands at the address of the one that has
the copies: another disk, an empty mount point, an emptied bucket.
"""

import hashlib
import os
import secrets
import stat
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from config.errors import CopyError
from config.files import write_file
from recorder.features.copies.reasons import CopyReason, copy_error
from recorder.package.fixity import Flow

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
