"""Knowing a place for copies again.

It must not be the archive itself, nor another place by a second name, nor what stands at the address of the one that
has the copies: another disk, an empty mount point, an emptied bucket.
"""

import secrets
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from config.errors import CopyError
from config.files import write_file
from recorder.copies.reasons import CopyReason, copy_error
from recorder.copies.target import Flow, Target

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
