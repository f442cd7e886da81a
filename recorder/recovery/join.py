"""Joining the parts of a session into one file, where they are of one form; else into as few files as that takes.

A part that began before the last one ended (a switch to the second path hands packets to both) takes over at its first
keyframe. A gap between two parts stays a gap in the times: what is left is shown when it happened.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, pairwise
from math import inf
from pathlib import Path

import msgspec

from config.errors import MediaError
from recorder.archive.disk import Disk
from recorder.archive.model import Mark
from recorder.mp4.finish import MOST_CUT_BYTES
from recorder.recovery.copying import Piece, form
from recorder.recovery.repair import Advance, write_copy


@dataclass(frozen=True, slots=True)
class Joined:
    """One file that was made: from which media time of the session to which, and the numbers of its pieces."""

    path: Path
    offset_s: float
    end_s: float
    pieces: tuple[int, ...]


def join(
    parts: Sequence[Piece],
    target: Path,
    *,
    disk: Disk | None = None,
    marks: Sequence[Mark] = (),
    title: str = "",
    taken: Container[str] = (),
    advance: Advance | None = None,
) -> list[Joined]:
    """Make one file at `target` of the parts of a session, in their order; each must hold something to play.

    Parts of another form than those before them (another size, another codec, a track more) begin a further file:
    `program.mp4` is followed by `program-2.mp4`, or by the next that is not one of the `taken` names. The times in each
    file begin at 0. Files are verified and synced when they appear under their names. Raises MediaError, StorageError
    or OSError; the parts are never changed.
    """
    disk = disk or Disk()
    for part in parts:
        if part.layout.bytes - part.layout.whole_bytes > MOST_CUT_BYTES:
            raise MediaError(
                f"{part.path} is damaged, and only what is before that could be joined",
                hint="the parts stay as they are; `liput archive seal` makes a package of each",
            )
    groups = _groups(parts)
    begins = [parts[group[0]].offset_s for group in groups]
    further = (target.with_name(f"{target.stem}-{number}{target.suffix}") for number in count(2))
    paths = chain([target], (path for path in further if path.name not in taken))
    made = []
    for path, group, (offset_s, next_s) in zip(paths, groups, pairwise([*begins, inf]), strict=False):
        pieces = [replace(parts[index], offset_s=parts[index].offset_s - offset_s) for index in group]
        mine = [
            msgspec.structs.replace(mark, media_s=mark.media_s - offset_s)
            for mark in marks
            if offset_s <= mark.media_s < next_s
        ]
        copied = write_copy(pieces, path, disk, marks=mine, title=title, advance=advance)
        made.append(Joined(path, offset_s, offset_s + max(track.end_s for track in copied), tuple(group)))
    return made


def _groups(parts: Sequence[Piece]) -> list[list[int]]:
    """Return the numbers of the parts that become one file each: neighbours of one form."""
    forms = [form(part) for part in parts]
    groups = [[0]]
    for before, after in pairwise(range(len(parts))):
        if forms[before] == forms[after]:
            groups[-1].append(after)
        else:
            groups.append([after])
    return groups
