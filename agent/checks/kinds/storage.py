"""Whether the session's disks are there, with room, and fast enough; a disk in use for a recording is not measured."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from agent.checks.check import Check, CheckContext, CheckResult, findings, make_result, run_parallel
from config.errors import ErrorCause, StorageError
from config.locale.lookup import LocalizedText, words
from config.locale.number_format import in_each, rate, size, span
from config.settings.schema import Settings
from devices.host.clock import Clock
from recorder.archive.archive import Archive, session_archives
from recorder.archive.permissions import is_world_readable
from recorder.disk.archive_folder import MountMemory, nearest_existing
from recorder.disk.forecast import INDEX_BYTES_PER_S, measure_write_bps
from recorder.disk.mounts import file_system_kind
from recorder.model.status import SessionState

CODES = findings("check-storage")

NAME = "storage"
ANSWER_S, QUICK_ANSWER_S = 5.0, 2.5  # limit for a disk's answer, and for each piece written to it
WRITE_S, QUICK_WRITE_S = 2.0, 0.4
ENOUGH, LEAST = 5.0, 1.5
"""Write speed as a multiple of the recording's rate, recommended and required: the disk also serves others."""
LITTLE_S = 2 * 3600.0  # less room than this is reported if the session's length is not known
ISOLATED_BYTES = 0.15  # bytes for each pixel of an iso recording, as cameras send it in MJPEG: 9 MB/s for 1080p30
FAT = frozenset({"vfat", "msdos"})
FAT_BYTES = 2**32 - 1
_CODES: Mapping[ErrorCause, str] = {
    "not-mounted": "not-mounted",
    "vanished": "not-mounted",
    "read-only": "read-only",
    "full": "full",
}
_RECORDS = (SessionState.LIVE, SessionState.DEGRADED, SessionState.SEALING)


@dataclass(frozen=True, slots=True)
class StoragePlace:
    """A folder for sessions: free bytes, its disk's number and file system.

    `trouble` is the code of a fault; `bps` the measured speed; `is_open`: every user of the PC can read it.
    """

    root: Path
    base: Path
    trouble: str | None = None
    free: int = 0
    disk: int = 0
    kind: str | None = None
    bps: float | None = None
    is_open: bool = False

    @property
    def name(self) -> str:
        return f"{NAME}: {self.root}"


def look(situation: CheckContext) -> Iterable[CheckResult]:
    """Return the results for each place, and for the room in all of them."""
    settings, asked = situation.settings, situation.asked
    reserve = settings.archive.reserve if asked.reserve is None else asked.reserve
    archives = session_archives(settings, situation.clock, folder=asked.archive, reserve=reserve)
    memory = MountMemory() if settings.storage.must_be_mounted else None
    patience_s = QUICK_ANSWER_S if situation.quick else ANSWER_S
    looks = {archive.root: partial(_inspect, archive, memory) for archive in archives}
    states = run_parallel(looks, situation.stop, longest_s=patience_s)
    places = [states.get(archive.root) or StoragePlace(archive.root, archive.root, "hangs") for archive in archives]
    recording = (title for title, status in situation.statuses if status.state in _RECORDS)
    if title := situation.silent_title or next(recording, None):
        yield make_result(CODES, "recording", NAME, title=title)
    else:
        places = [_with_speed(place, situation, index / len(places)) for index, place in enumerate(places)]
    if settings.storage.mirror and len(archives) < 2:
        yield make_result(CODES, "no-mirror", NAME)
    need = _bytes_per_s(situation)
    for place in places:
        yield from _judge(place, need, reserve, situation.asked.duration_s)
    usable = [place for place in places if place.trouble is None]
    if usable:
        yield from _room(usable, need, reserve, situation)


def folder_state(root: Path, settings: Settings, clock: Clock) -> tuple[int, CheckResult]:
    """Return the free bytes of a folder, and whether a session could be kept there; does not measure."""
    memory = MountMemory() if settings.storage.must_be_mounted else None
    place = _inspect(Archive(root, clock, settings.archive.reserve), memory)
    profile = settings.profile()
    need = (profile.video_bitrate + profile.audio_bitrate) / 8 + INDEX_BYTES_PER_S
    return place.free, next(_judge(place, need, settings.archive.reserve, None))


def _bytes_per_s(situation: CheckContext) -> float:
    """Return the bytes a second that a session writes to one disk, with its iso recordings."""
    profile, asked = situation.profile, situation.asked
    apart = len(asked.videos or (None,)) if asked.isolate else 0
    isolated = apart * profile.width * profile.height * float(profile.fps) * ISOLATED_BYTES
    return (profile.video_bitrate + profile.audio_bitrate) / 8 + INDEX_BYTES_PER_S + isolated


def _inspect(archive: Archive, memory: MountMemory | None) -> StoragePlace:
    root = archive.root
    try:
        if memory:
            memory.refuse_missing(root)
        free = archive.check()
        base = nearest_existing(Path(os.path.realpath(root)))
        disk = base.stat().st_dev
        is_readable = is_world_readable(root)
    except StorageError as error:
        return StoragePlace(root, root, _CODES.get(error.why, "unwritable"))
    except OSError:
        return StoragePlace(root, root, "unwritable")
    return StoragePlace(root, base, free=free, disk=disk, kind=file_system_kind(disk), is_open=is_readable)


def _with_speed(place: StoragePlace, situation: CheckContext, share: float) -> StoragePlace:
    """Measure a place's speed; a disk that hangs or fails becomes its `trouble`."""
    if place.trouble is not None:
        return place
    situation.tell(share, LocalizedText(f"menulis ke {place.root}", f"writing to {place.root}"))
    longest_s = QUICK_WRITE_S if situation.quick else WRITE_S
    patience_s = longest_s + (QUICK_ANSWER_S if situation.quick else ANSWER_S)
    done = run_parallel({"": partial(_speed, place, longest_s, situation)}, situation.stop, longest_s=patience_s)
    return done.get("") or (place if situation.stop.is_set() else replace(place, trouble="hangs"))


def _speed(place: StoragePlace, longest_s: float, situation: CheckContext) -> StoragePlace:
    try:
        return replace(place, bps=measure_write_bps(place.base, longest_s, situation.stop))
    except StorageError as error:
        return replace(place, trouble=_CODES.get(error.why, "unwritable"))


def _judge(place: StoragePlace, need: float, reserve: int, planned_s: float | None) -> Iterator[CheckResult]:
    if place.trouble is not None:
        yield make_result(CODES, place.trouble, place.name, folder=place.root, reserve=in_each(size, reserve))
        return
    lasts_s = _room_of(place, reserve) / need
    measured = {"free_bytes": place.free, "lasts_s": round(lasts_s), "write_bps": place.bps and round(place.bps)}
    facts: dict[str, object] = {
        "folder": place.root,
        "free": in_each(size, place.free),
        "need": in_each(rate, need * 8),
    }
    troubles = []
    if place.kind in FAT and (planned_s is None or planned_s * need > FAT_BYTES):
        lasts = in_each(span, FAT_BYTES / need)
        troubles.append(make_result(CODES, "fat", place.name, measured, lasts=lasts, **facts))
    if place.bps is not None and place.bps < ENOUGH * need * 8:
        code = "slow" if place.bps >= LEAST * need * 8 else "too-slow"
        troubles.append(make_result(CODES, code, place.name, measured, speed=in_each(rate, place.bps), **facts))
    if place.is_open:
        troubles.append(make_result(CODES, "open", place.name, measured, **facts))
    yield from troubles or [make_result(CODES, "ok", place.name, measured, lasts=in_each(span, lasts_s), **facts)]


def _room_of(place: StoragePlace, reserve: int) -> int:
    room = max(0, place.free - reserve)
    return min(room, FAT_BYTES) if place.kind in FAT else room


def _room(places: Sequence[StoragePlace], need: float, reserve: int, situation: CheckContext) -> Iterator[CheckResult]:
    """Yield whether a session fits; a mirrored one must fit into each of two places."""
    disks: dict[int, StoragePlace] = {}
    for place in places:
        disks.setdefault(place.disk, place)
    first, *others = disks.values()
    rooms = [_room_of(place, reserve) / need for place in (first, *others)]
    if situation.settings.storage.mirror:
        both = rooms[:2] if others else [room / min(2, len(places)) for room in rooms]
        lasts_s = min(both)
    else:
        lasts_s = sum(rooms)
    measured = {"lasts_s": round(lasts_s), "planned_s": situation.asked.duration_s}
    lasts = in_each(span, lasts_s)
    if situation.asked.duration_s is None:
        if lasts_s < LITTLE_S:
            yield make_result(CODES, "little", NAME, measured, lasts=lasts)
    elif lasts_s < situation.asked.duration_s:
        yield make_result(
            CODES, "short", NAME, measured, lasts=lasts, planned=in_each(span, situation.asked.duration_s)
        )
    elif rooms[0] < situation.asked.duration_s:
        facts = {"folder": first.root, "lasts": in_each(span, rooms[0]), "next": others[0].root}
        yield make_result(CODES, "goes-on", NAME, measured, **facts)


CHECKS = [Check(NAME, words("check-storage")["storage"], look, CODES, place=60, alone=True, longest_s=25.0)]
