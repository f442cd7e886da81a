"""Events of a session's disks, with hints. The subject is the folder."""

from pathlib import Path

from config.errors import LiputError, as_liput_error
from config.events import Emit
from recorder.disk.forecast import DiskForecast, DiskLevel
from recorder.model.session_faults import reason_of
from recorder.recording.replica import Replica, ReplicaState

_FAULTS = {
    "full": "storage-full",
    "read-only": "storage-read-only",
    "unwritable": "storage-refused",
    "not-mounted": "storage-refused",
    "vanished": "storage-vanished",
    "stalled": "storage-stalled",
}
"""The kinds of faults by their cause; `storage-failed` for any other."""


def report_fault(emit: Emit, place: str, error: LiputError) -> None:
    """Emit the event of a disk that fails."""
    emit(_FAULTS.get(error.why, "storage-failed"), place, error.message, hint=error.hint)


def report_mounts_unknown(emit: Emit, error: LiputError) -> None:
    """Emit `mounts-unknown`: a missing disk may pass for a folder of the system disk."""
    emit(
        "mounts-unknown",
        "storage",
        f"The disks of earlier recordings are unknown: {error.message}",
        hint=error.hint or "look at that file",
    )


def report_guard_failed(emit: Emit, error: Exception) -> None:
    """Emit `guard-failed`: a bug in the storage guard."""
    told = as_liput_error(error, what="The watch over the disks failed")
    emit("guard-failed", "storage", told.message, hint=told.hint)


def report_progress(emit: Emit, replica: Replica, change: ReplicaState, stalled_for_s: float) -> None:
    """Emit `recording-stalled`, or `recording-resumed`."""
    if change is ReplicaState.STALLED:
        emit(
            "recording-stalled",
            replica.folder,
            f"Nothing has come to the disk of {replica.folder} for {stalled_for_s:.0f} s",
            media_time_s=round(replica.found_s, 3),
            hint="Check the disk, its cable, or the network to it.",
        )
    else:
        emit(
            "recording-resumed",
            replica.folder,
            f"The disk of {replica.folder} accepts the recording again",
            media_time_s=round(replica.found_s, 3),
        )


def report_disk_level(
    emit: Emit, replica: Replica, forecast: DiskForecast, planned_s: float | None, *, was: DiskLevel
) -> None:
    """Emit `disk-low` or `disk-critical`; or `disk-enough` after one of them."""
    level, left_s = forecast.level, forecast.left_s or 0.0
    if level is DiskLevel.OVER:
        return
    if level < was:
        emit(
            "disk-enough",
            replica.folder,
            f"The disk of {replica.folder} lasts for {_minutes(left_s)} again",
            left_s=round(left_s),
            free=replica.file.free_bytes,
        )
        return
    enough = f"; {_minutes(planned_s)} are still planned" if planned_s is not None else ""
    emit(
        "disk-low" if level is DiskLevel.LOW else "disk-critical",
        replica.folder,
        f"At this rate the disk of {replica.folder} is full in {_minutes(left_s)}{enough}",
        left_s=round(left_s),
        free=replica.file.free_bytes,
        hint="Free space on it, or end the session before.",
    )


def report_switched(emit: Emit, old: str, replica: Replica, safe_s: float, begins_s: float) -> None:
    """Emit `storage-switched` to `replica` at `begins_s`, and the gap since `safe_s` of the old file."""
    emit(
        "storage-switched",
        replica.folder,
        f"The recording goes on in {replica.folder}; up to then it is in {old}",
        part=replica.work.begun.part,
        offset_s=round(float(replica.start), 3),
        left=old,
    )
    if begins_s > safe_s:
        emit(
            "recording-gap",
            replica.folder,
            f"{begins_s - safe_s:.1f} s are missing before it: memory held no more",
            start_s=round(safe_s, 3),
            duration_s=round(begins_s - safe_s, 3),
        )


def report_parts_apart(emit: Emit, folder: str, count: int) -> str:
    """Emit `parts-apart`; return the reason to be degraded."""
    emit("parts-apart", folder, f"The recording is in {count} parts, which are not joined")
    return reason_of("parts-apart", folder)


def report_part_left(emit: Emit, place: str, folder: Path, error: LiputError) -> str:
    """Emit `part-left` of an unsealed part; return the reason to be degraded."""
    emit(
        "part-left",
        place,
        f"The recording in {place} is not sealed yet: {error.message}",
        folder=str(folder),
        hint="`liput recover` makes a package of it once the disk works again.",
    )
    return reason_of("part-left", place)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
