"""Exports a recording as a plain MP4 with chapters, for any player."""

from collections.abc import Sequence
from pathlib import Path

from config.errors import ArchiveError
from recorder.archive.exporting import PackageFile
from recorder.disk.durable import publishing
from recorder.model.marks import Mark
from recorder.package import fixity
from recorder.package.fixity import ByteProgress, Progress
from recorder.package.metadata import Recording
from recorder.package.work_folder import program_files
from recorder.recovery.remux import copy_packets, inspect_media, is_same_copy, read_back


def write_mp4(
    whole: Sequence[PackageFile], recording: Recording, target: Path, progress: Progress | None = None
) -> None:
    """Copy a package's program into a new MP4 at `target`, with chapters and title.

    `whole` lists the package's files. Packets are copied, read back and compared. Raises ArchiveError if `target`
    exists or there are several programs, PackageDamaged on a wrong checksum, StorageError if the disk fails.
    """
    described = {file.file for file in program_files(recording.media)}
    programs = [one for one in whole if one.path in described]
    if len(programs) != 1 or not isinstance(source := programs[0].source, Path):
        raise ArchiveError(
            f"{recording.title} has {len(programs)} programs, too many for one MP4",
            hint="Export it without --mp4, and use the files in data/media/.",
        )
    tally = ByteProgress(3 * programs[0].size, progress)
    tags = {"title": recording.title, "date": recording.started_at.isoformat(), "artist": recording.office}
    with publishing(target, programs[0].size) as part:
        if fixity.sha256(source, tally) != programs[0].digest:
            raise programs[0].changed()
        copied = copy_packets(
            [inspect_media(source)], part, marks=chapter_marks(recording), title=recording.title,
            tags={name: value for name, value in tags.items() if value}, advance=tally.add,
        )  # fmt: skip
        if not is_same_copy(copied, read_back(part, tally.add)):
            raise ArchiveError(f"{target} does not read back as it was written", hint="Check the disk.")


def chapter_marks(recording: Recording) -> list[Mark]:
    """Return chapters and marks, without duplicates, as marks."""
    known = {(round(chapter.start_s, 1), chapter.title) for chapter in recording.chapters}
    found = [Mark(at=recording.started_at, media_s=one.start_s, text=one.title) for one in recording.chapters]
    found += (mark for mark in recording.marks if (round(mark.media_s, 1), mark.text) not in known)
    return sorted(found, key=lambda mark: mark.media_s)
