"""Files that are handed in after the session: phone photos, attendance lists, slides, a transcript."""

import re
import shutil
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from config.errors import ArchiveError, StorageError
from config.quantities import brief_size
from config.version import VERSION
from recorder.archive import premis
from recorder.archive.describing import decoded, describe, read_raw
from recorder.archive.disk import Disk
from recorder.archive.fixity import Progress, Tally
from recorder.archive.intake import size_of
from recorder.archive.model import Addition
from recorder.archive.names import slug, storable
from recorder.archive.place import MARGIN_BYTES
from recorder.archive.premis import EventType
from recorder.archive.rebuilding import Draft, rebuilding

ADDED = "data/tambahan/"
TRANSCRIPT = "data/transcript/"


def add(
    folder: Path,
    sources: Sequence[Path],
    *,
    place: str = ADDED,
    note: str = "",
    by: str | None,
    now: datetime,
    disk: Disk | None = None,
    progress: Progress | None = None,
) -> tuple[list[Addition], list[tuple[Path, str]]]:
    """Add files to `place` in the package at `folder`; return what was added, and what was in it already, and where.

    Every file is looked at, and the room for all of them, before anything is copied. A file's content stays as it is,
    so do its name and its time; it is stored under a name that is safe everywhere. Raises what `rebuilding` raises, and
    ArchiveError for what is no file.
    """
    total = sum(size_of(source) for source in sources)
    _refuse_too_much(folder, total)
    with rebuilding(folder, disk or Disk(), Tally(2 * total, progress)) as draft:
        added: list[Addition] = []
        known: list[tuple[Path, str]] = []
        by_digest = {digest: path for path, digest in draft.payload.items()}
        for source in sources:
            path = place + _free_name(source.name, {one.rpartition("/")[2] for one in draft.payload})
            digest = draft.add(source, path)
            if digest in by_digest:
                draft.drop(path)
                draft.refuse_changed(by_digest[digest])  # whoever hears that it is here may remove theirs
                known.append((source, by_digest[digest]))
                continue
            by_digest[digest] = path
            size = draft.sizes[path]
            added.append(Addition(file=path, name=storable(source.name), bytes=size, added_at=now, note=storable(note)))
        draft.is_wanted = bool(added)
        if added:
            _describe(draft, added, note, by, now)
    return added, known


def _describe(draft: Draft, added: Sequence[Addition], note: str, by: str | None, now: datetime) -> None:
    raw = read_raw(draft)
    raw["additions"] = [*raw.get("additions", ()), *(msgspec.to_builtins(one) for one in added)]
    detail = f"Added: {', '.join(one.name for one in added)}" + (f"; {note}" if note else "")
    agents = (premis.person(by), premis.program(VERSION))
    files = tuple(one.file for one in added)
    happened = premis.event(decoded(raw), EventType.ACCESSION, now, detail, agents, linking_object=files)
    describe(draft, raw, happened)


def _refuse_too_much(folder: Path, total: int) -> None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ArchiveError(f"{folder} cannot be looked at: {error.strerror}") from None
    if free < total + MARGIN_BYTES:
        raise StorageError(
            f"The files take {brief_size(total)}, and only {brief_size(free)} are free for {folder.name}",
            hint="Free space on that disk.",
            why="full",
        )


def _free_name(name: str, taken: Collection[str]) -> str:
    """Return `name` in `[a-z0-9.-]`, with a number where one of that name is `taken`."""
    stem, dot, end = name.rpartition(".")
    end = re.sub(r"[^a-z0-9]", "", end.lower())[:8] if dot and stem else ""
    stem = slug(stem if end else name, "berkas")
    ends = f".{end}" if end else ""
    number = 1
    while (free := f"{stem}{f'-{number}' if number > 1 else ''}{ends}") in taken:
        number += 1
    return free
