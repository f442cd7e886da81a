"""One work folder of the several that a session left: everything of all parts, complete before it gets its name.

It is built as `.NAME.joining` (of a second copy as `.NAME.copy2.joining`), which nobody takes for a session, and is
`NAME.joined` from one rename on. Until then the parts count, and after it they do not: whatever stops this, one or the
other is there whole. What is half built when it fails is removed; what a kill leaves of it, the next one removes.
"""

import shutil
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from itertools import chain, count, groupby, pairwise
from math import inf
from pathlib import Path

import msgspec

from config.errors import MediaError, StorageError
from config.quantities import brief_size
from recorder.archive import catalog, fixity, names
from recorder.archive.archive import Archive
from recorder.archive.disk import PRIVATE, Disk
from recorder.archive.model import RecordingFacts
from recorder.archive.work import BEGUN_FILE, METADATA_FILES, PROGRAM, WorkFolder, encode_begun
from recorder.dossier.carry import PAYLOAD
from recorder.dossier.letters import LETTERS
from recorder.model.marks import Mark
from recorder.mp4.finish import MOST_CUT_BYTES
from recorder.recovery.copying import form
from recorder.recovery.evidence import Left
from recorder.recovery.layout import Piece
from recorder.recovery.repair import Advance, write_copy


def join(
    parts: Sequence[Piece],
    target: Path,
    *,
    disk: Disk | None = None,
    marks: Sequence[Mark] = (),
    title: str = "",
    taken: Container[str] = (),
    advance: Advance | None = None,
) -> list[tuple[Path, float]]:
    """Make one file at `target` of the parts of a session, in their order; each must hold something to play.

    Return the files that were made, and at which media time of the session each begins.
    Parts of another form than those before them (another size, another codec, a track more) begin a further file:
    `program.mp4` is followed by `program-2.mp4`, or by the next that is not one of the `taken` names. The times in each
    file begin at 0. Files are verified and synced when they appear under their names. Raises MediaError, StorageError
    or OSError; the parts are never changed.
    """
    disk = disk or Disk()
    for part in parts:
        if part.bytes - part.whole_bytes > MOST_CUT_BYTES:
            raise MediaError(
                f"{part.path} is damaged, and only what is before that could be joined",
                hint="the parts stay as they are; `liput archive seal` makes a package of each",
            )
    groups = [list(group) for _, group in groupby(parts, key=form)]
    begins = [group[0].offset_s for group in groups]
    further = (target.with_name(f"{target.stem}-{number}{target.suffix}") for number in count(2))
    paths = chain([target], (path for path in further if path.name not in taken))
    made = []
    for path, group, (offset_s, next_s) in zip(paths, groups, pairwise([*begins, inf]), strict=False):
        pieces = [replace(part, offset_s=part.offset_s - offset_s) for part in group]
        mine = [
            msgspec.structs.replace(mark, media_s=mark.media_s - offset_s)
            for mark in marks
            if offset_s <= mark.media_s < next_s
        ]
        write_copy(pieces, path, disk, marks=mine, title=title, advance=advance)
        made.append((path, offset_s))
    return made


SPARE_BYTES = 20_000_000
"""What a package takes besides its media."""


def place_for(size: int, name: str, archives: Iterable[Archive]) -> Archive:
    """Return the first of `archives` that has room for the session `name`; raises StorageError when none has.

    `size` is the bytes of its media.
    """
    needed = size + SPARE_BYTES
    for archive in dict.fromkeys(archives):
        try:
            free = shutil.disk_usage(archive.root).free
        except OSError:
            continue
        if free >= needed:
            return archive
    raise StorageError(
        f"No archive has {brief_size(needed)} free, which joining the parts of {name} takes",
        hint="Free space on one of their disks; the parts are kept, and liput serve joins them then.",
        why="full",
    )


def joining_folder(archive: Archive, name: str, copy: int) -> Path:
    """Return where the parts of copy `copy` of the session `name` are put together: another recovery may do another."""
    return archive.root / catalog.INCOMING / (f".{name}.joining" if copy == 1 else f".{name}.copy{copy}.joining")


def sweep(archives: Iterable[Archive], name: str, copy: int) -> None:
    """Remove what an attempt to join the parts of copy `copy` of the session `name` had half built.

    Only for who has locked these parts: then nobody builds it now. Those of another copy are not removed: somebody may
    be putting them together.
    """
    for archive in archives:
        shutil.rmtree(joining_folder(archive, name, copy), ignore_errors=True)


def assemble(
    lefts: Sequence[Left],
    archive: Archive,
    facts: RecordingFacts,
    log: bytes,
    disk: Disk,
    advance: Advance | None,
    part: int,
) -> WorkFolder:
    """Make one work folder of all parts, with the session's `facts` and `log`, and return it, locked.

    `part` is the number that its package bears.
    Raises MediaError, StorageError and OSError; the parts are as they were, and what was half built is gone.
    """
    first = lefts[0].work
    begun = msgspec.structs.replace(first.begun, part=part)
    building = WorkFolder(joining_folder(archive, names.session_of(first.name), begun.copy), begun)
    disk.begin("mkdir", building.path)
    building.path.mkdir()  # what is there by now is somebody else's, and not ours to remove
    try:
        joined = _build(lefts, building, facts, log, disk, advance)
    except Exception:
        shutil.rmtree(building.path, ignore_errors=True)  # sealing the parts takes some room, too
        raise
    return archive.reopen(joined)


def _build(
    lefts: Sequence[Left], building: WorkFolder, facts: RecordingFacts, log: bytes, disk: Disk, advance: Advance | None
) -> Path:
    """Put all parts together in `building`, and return where that is once it is complete."""
    name = names.session_of(lefts[0].work.name)
    building.media.mkdir(parents=True)
    building.metadata.mkdir()
    made = _join_files(lefts, building, facts, disk, advance)
    offsets = {path.name: round(offset_s, 6) for path, offset_s in made if offset_s > 0}
    _keep_others(lefts, building)
    disk.write(building.events, log)
    begun = msgspec.structs.replace(
        building.begun,
        joined=tuple(left.work.begun.part for left in lefts),
        facts=msgspec.structs.replace(facts, offsets=offsets),
    )
    disk.write(building.path / BEGUN_FILE, encode_begun(begun), mode=PRIVATE)
    for path in (*(path for path in building.path.rglob("*") if path.is_file()), *fixity.folders(building.path)):
        disk.sync(path)
    sizes = _sizes(building) | {path.name: path.stat().st_size for path, _ in made}  # raises where one is gone
    joined = WorkFolder(building.path.with_name(f"{name}{names.JOINED}"), begun)
    disk.move_folder(building.path, joined.path)
    if _sizes(joined) != sizes:
        disk.move_folder(joined.path, building.path)  # the parts count again
        raise StorageError(
            f"What {name} was put together in was changed meanwhile; its parts are kept",
            hint=f"Look for what removes files in {building.path.parent}, then say liput recover again.",
        )
    return joined.path


def _sizes(work: WorkFolder) -> dict[str, int]:
    """Return the size of each file of media, by name."""
    return {path.name: path.stat().st_size for path in work.media.glob("*")}


def _join_files(
    lefts: Sequence[Left], building: WorkFolder, facts: RecordingFacts, disk: Disk, advance: Advance | None
) -> list[tuple[Path, float]]:
    """Join what bears the same name in all parts; return the files that were made."""
    made: list[tuple[Path, float]] = []
    all_names = dict.fromkeys(file.path.name for left in lefts for file in left.playable)
    for name in all_names:
        pieces = [
            replace(file, offset_s=left.offset_s) for left in lefts for file in left.playable if file.path.name == name
        ]
        marks = facts.marks if name == PROGRAM else ()
        title = building.begun.title if name == PROGRAM else ""
        target = building.media / name
        made += join(pieces, target, disk=disk, marks=marks, title=title, taken=all_names, advance=advance)
    return made


def _keep_others(lefts: Sequence[Left], building: WorkFolder) -> None:
    """Copy what cannot be joined: media that nothing plays, letters, and further files of the metadata."""
    for left in lefts:
        part = left.work.begun.part
        unplayable = [file.path for file in left.unplayable]
        further = [
            path
            for path in left.work.metadata.glob("*")
            if path.is_file()
            and not path.name.startswith(".")
            and path.relative_to(left.work.path).as_posix() not in METADATA_FILES  # written anew for all parts
        ]
        letters = [path for path in (left.work.path / PAYLOAD / LETTERS).glob("*") if not path.name.startswith(".")]
        for path in letters:
            copy = building.path / path.relative_to(left.work.path)
            if not copy.exists():  # each part has the same
                copy.parent.mkdir(exist_ok=True)
                shutil.copy2(path, copy)
        for path in (*unplayable, *further):
            copy = building.path / path.relative_to(left.work.path)
            if copy.exists():
                copy = copy.with_name(f"{copy.stem}.part{part}{copy.suffix}")
            shutil.copy2(path, copy)
