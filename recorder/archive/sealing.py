"""Seals a work folder into a package, in steps that can be repeated after a kill at any of them.

docs/archive.md lists the steps. All files are written and synced in the work folder. `begun.json` is removed last:
without it the package is complete. Then one rename moves it.
"""

import os
import platform
from datetime import datetime, timedelta
from pathlib import Path

import av
import msgspec

from config.errors import ArchiveError
from config.files import MOST_BYTES, json_text, open_regular, read_file
from config.version import VERSION
from devices.health.log_reader import session_lines
from recorder.archive.seal_step import STEPS_SHARE, Seal, progress_part, seal_steps
from recorder.disk.durable import TEMPORARY_FILES, DurableFiles
from recorder.model.names import uuid_of_part
from recorder.package import bag, fixity, work_folder
from recorder.package.documents import bag_info, dublin_core, readme_files, sealing_events
from recorder.package.fixity import ByteProgress, Progress
from recorder.package.keyframes import poster_of
from recorder.package.media import probe_media
from recorder.package.metadata import (
    INTERRUPTED,
    UNREADABLE,
    Chapter,
    Recording,
    RecordingFacts,
    VideoTrack,
    decode_recording,
    sorted_chapters,
)
from recorder.package.work_folder import BEGUN_FILE, RECORDING_FILE, WorkFolder, program_files, write_begun

STEPS = seal_steps()  # loaded now: the disk with Liput may not answer at the end


def fill_package(
    work: WorkFolder,
    facts: RecordingFacts | None,
    target: Path,
    now: datetime,
    disk: DurableFiles,
    progress: Progress | None,
    *,
    may_be_joined: bool = False,
) -> None:
    """Make a complete, synced package of `work` in place, and remove `begun.json`.

    `target` is the package's later path, `now` the local time. A part that `may_be_joined` to others keeps a copy of
    `begun.json` for that. Raises ArchiveError if nothing was recorded, OSError.
    """
    work.refuse_irregular()
    for part in work.path.rglob(TEMPORARY_FILES):
        part.unlink()  # half written by an interrupted attempt
    if not work.has_begun():
        if os.path.lexists(work.path / BEGUN_FILE):
            disk.unlink(work.path / BEGUN_FILE)
        elif work.was_sealed():
            return  # an earlier attempt only lacks the rename
        # It was lost; the package must not look complete from here on.
        write_begun(work.path, work.begun, disk)
    disk.make_folder(work.metadata)
    media = _sync_media(work, disk)
    seal = Seal(work, target, now, disk, progress)
    recording = _describe(work, facts, media)
    for step in STEPS:
        recording = step.describe(seal, recording)
    _write_metadata(work, recording, disk, may_be_joined=may_be_joined)
    picture = next((shot for file in media if (shot := poster_of(work.path / file)) is not None), None)
    if picture is not None:
        disk.write(work.path / work_folder.POSTER_FILE, picture)
    for step in STEPS:
        step.add_payload(seal, recording)
    _write_bag(seal, recording)
    for folder in fixity.folders_below(work.path):
        disk.sync(folder)
    disk.unlink(work.path / BEGUN_FILE)


def _sync_media(work: WorkFolder, disk: DurableFiles) -> list[str]:
    paths = sorted(
        (path for path in work.media.iterdir() if path.is_file() and path.stat().st_size > 0),
        key=lambda path: (path.stem != Path(work_folder.PROGRAM).stem, path.name),
    )
    if not paths:
        raise ArchiveError(f"{work.name} holds no recording", hint="Discard it: there is nothing to keep.")
    for path in paths:
        disk.sync(path)
    return [path.relative_to(work.path).as_posix() for path in paths]


def _describe(work: WorkFolder, facts: RecordingFacts | None, media: list[str]) -> Recording:
    """Return the description, without facts the one of an interrupted attempt."""
    if facts is None:
        try:
            return decode_recording(read_file(work.path / RECORDING_FILE))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            pass
    files = tuple(probe_media(work.path / file, file) for file in media)
    if facts is None:
        ended_at = work.begun.started_at + timedelta(seconds=files[0].duration_s)
        facts = RecordingFacts(ended_at=ended_at, dropped=None, repeated=None, degraded=(INTERRUPTED,))
    files = tuple(
        msgspec.structs.replace(file, offset_s=facts.offsets.get(Path(file.file).name, 0.0)) for file in files
    )
    program = program_files(files) or files[:1]
    duration_s = max(file.offset_s + file.duration_s for file in program) - min(file.offset_s for file in program)
    begun, context = work.begun, work.begun.context
    began, ended = begun.started_at, facts.ended_at
    if ended < began:  # the clock was set back meanwhile
        ended = began + timedelta(seconds=duration_s)
    uuid = uuid_of_part(begun.uuid, begun.part, begun.copy)
    unreadable = (UNREADABLE,) if any(file.problem for file in files) else ()
    return Recording(
        uuid=uuid, session=begun.uuid if uuid != begun.uuid else None, copy=begun.copy, part=begun.part,
        title=facts.title or begun.title, started_at=began, ended_at=ended, duration_s=duration_s,
        frames=sum(max((track.frames for track in file.tracks if isinstance(track, VideoTrack)), default=0)
                   for file in program),
        dropped=facts.dropped, repeated=facts.repeated, degraded=(*facts.degraded, *unreadable),
        office=context.office, room=context.room, host=begun.host, profile=context.profile,
        destinations=tuple(dict.fromkeys([*context.destinations, *facts.destinations])),
        media=files, software=_software(),
        marks=facts.marks, gaps=facts.gaps, parts=facts.parts,
        loudness_lufs=facts.loudness_lufs, loudness_range_lu=facts.loudness_range_lu,
        chapters=sorted_chapters(Chapter(start_s=mark.media_s, title=mark.text, source="mark") for mark in facts.marks),
        records=context.records, consent=context.consent, practice=context.practice,
    )  # fmt: skip


def _software() -> dict[str, str]:
    libraries = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    system = f"{platform.system()} {platform.release()}"
    return {"liput": VERSION, "python": platform.python_version(), "pyav": av.__version__, "system": system} | {
        name: libraries[name] for name in ("libavcodec", "libavformat") if name in libraries
    }


def _write_metadata(work: WorkFolder, recording: Recording, disk: DurableFiles, *, may_be_joined: bool) -> None:
    """Write `metadata/`; recording.json comes last, since it implies the other files."""
    _mend_events(work.events, disk)
    if may_be_joined:
        write_begun(work.path, work.begun, disk, work_folder.PART_FILE)
    disk.write(work.path / work_folder.DEVICES_FILE, json_text(work.begun.context.devices))
    if work.begun.context.checked is not None:
        disk.write(work.path / work_folder.CHECKS_FILE, json_text(work.begun.context.checked))
    if work.begun.host == platform.node():
        devices = [device.id for device in work.begun.context.devices]
        if health := session_lines(devices, recording.started_at, recording.ended_at):
            disk.write(work.path / work_folder.HEALTH_FILE, health)
    disk.write(work.path / work_folder.DUBLIN_CORE_FILE, dublin_core(recording))
    disk.write(work.path / RECORDING_FILE, json_text(recording))


def _mend_events(log: Path, disk: DurableFiles) -> None:
    """Cut off the torn last line of a killed recorder."""
    descriptor = open_regular(log, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        begin = max(0, size - MOST_BYTES)
        whole = begin + os.pread(descriptor, size - begin, begin).rfind(b"\n") + 1
    finally:
        os.close(descriptor)
    if whole < size:
        disk.cut(log, whole)
    disk.sync(log)


def _write_bag(seal: Seal, recording: Recording) -> None:
    work, disk, progress = seal.work, seal.disk, seal.progress
    if work.begun.context.wishes:
        progress = progress_part(progress, STEPS_SHARE, 1.0)
    payload = _hash(work, of_payload=True, progress=progress)
    disk.write(work.path / bag.MANIFEST_FILE, bag.manifest_text(payload))
    for step in STEPS:
        step.add_tags(seal, recording)
    if work.begun.context.wishes:
        disk.write(work.path / work_folder.DERIVED_FILE, json_text(seal.derived(recording)))
    disk.write(work.path / work_folder.PREMIS_FILE, sealing_events(recording, payload, seal.now))
    files = fixity.walk(work.path)[0]
    for name, content in readme_files(recording, files).items():
        disk.write(work.path / name, content)
    sizes = {path: files[path] for path in payload}
    disk.write(work.path / bag.INFO_FILE, bag_info(recording, sizes, f"{seal.now:%Y-%m-%d}"))
    disk.write(work.path / bag.DECLARATION_FILE, bag.DECLARATION.encode())
    (work.path / bag.TAG_MANIFEST_FILE).unlink(missing_ok=True)
    disk.write(work.path / bag.TAG_MANIFEST_FILE, bag.manifest_text(_hash(work, of_payload=False)))


def _hash(work: WorkFolder, *, of_payload: bool, progress: Progress | None = None) -> dict[str, str]:
    work.refuse_irregular()
    files = fixity.walk(work.path)[0]
    wanted = [path for path in files if path.startswith(bag.PAYLOAD) == of_payload and path != BEGUN_FILE]
    tally = ByteProgress(sum(files[path] for path in wanted), progress)
    return {path: fixity.sha256(work.path / path, tally) for path in wanted}
