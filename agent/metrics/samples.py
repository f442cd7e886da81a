"""The values of metrics, from what was found out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from agent.metrics.readings import LastCheck, Readings
from devices.model import HealthState
from recorder.control.directory import RecorderInfo
from recorder.overload.ladder import Step
from recorder.status import DestinationLine, LoadLine, SessionState, SessionStatus
from recorder.troubles import kind_and_subject


class Sample(NamedTuple):
    """One value of a metric (`agent.metrics.names.METRICS`), by its labels without that of the room."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


def samples(readings: Readings, version: str, parts: Sequence[str], standing: Sequence[str]) -> Iterator[Sample]:
    """Yield every value; `parts` are those of the daemon, `standing` those of them that hang."""
    yield Sample("liput_info", 1, {"version": version})
    for info, status in readings.sessions:
        yield from _session(info, status)
    for path, space in readings.disks.items():
        yield Sample("liput_disk_free_bytes", space.free, {"path": path})
        yield Sample("liput_disk_size_bytes", space.size, {"path": path})
    for path, count in readings.packages.items():
        yield Sample("liput_archive_packages", count, {"path": path})
    for target, copies in readings.copies.items():
        yield Sample("liput_copies_waiting", copies.waiting, {"target": target})
        if copies.blocked is not None:
            yield Sample("liput_copies_blocked", 1, {"target": target, "reason": copies.blocked})
    if readings.check is not None:
        yield from _check(readings.check)
    for part in parts:
        yield Sample("liput_daemon_part_stands", part in standing, {"part": part})
    for what in readings.missing:
        yield Sample("liput_scrape_missing", 1, {"what": what})
    yield Sample("liput_scrape_seconds", readings.seconds)


def _session(info: RecorderInfo, status: SessionStatus | None) -> Iterator[Sample]:
    whose = {"session": info.id}
    yield Sample("liput_session_info", 1, {**whose, "title": info.title})
    yield Sample("liput_session_answers", status is not None, whose)
    if status is None:
        return
    for state in SessionState:
        yield Sample("liput_session_state", state is status.state, {**whose, "state": str(state)})
    kinds = Counter(kind_and_subject(trouble)[0] for trouble in status.troubles)
    for kind, count in kinds.items():
        yield Sample("liput_session_troubles", count, {**whose, "kind": kind})
    yield from _recording(status, whose)
    if status.load is not None:
        yield from _load(status.load, whose)
    yield from _sound(status, whose)
    for line in status.destinations:
        yield from _destination(line, whose)
    if status.stream is not None:
        labels = {**whose, "encode": status.stream.encode}
        yield Sample("liput_stream_bytes_per_second", status.stream.bitrate / 8, labels)
    for source in status.sources:
        device = {**whose, "device": source.id, "name": source.name, "role": source.role or ""}
        for health in HealthState:
            yield Sample("liput_device_health", health is source.health.state, {**device, "state": str(health)})


def _recording(status: SessionStatus, whose: Mapping[str, str]) -> Iterator[Sample]:
    yield Sample("liput_session_elapsed_seconds", status.elapsed_s, whose)
    yield Sample("liput_recording_media_seconds", status.media_time_s, whose)
    yield Sample("liput_recording_bytes", status.bytes, whose)
    yield Sample("liput_recording_frames_total", status.frames, whose)
    yield Sample("liput_recording_dropped_frames_total", status.dropped, whose)
    yield Sample("liput_recording_repeated_frames_total", status.repeated, whose)
    yield Sample("liput_recording_still_frames_total", status.still, whose)
    yield Sample("liput_recording_fps", status.fps, whose)
    if status.disk_left_s is not None:
        yield Sample("liput_recording_left_seconds", status.disk_left_s, whose)


def _load(load: LoadLine, whose: Mapping[str, str]) -> Iterator[Sample]:
    yield Sample("liput_recording_left_out_frames_total", load.left_out, whose)
    for step in Step:
        yield Sample("liput_overload_step", step.value in load.steps, {**whose, "step": step.value})
    yield Sample("liput_overload_behind_seconds", load.behind_s, whose)
    yield Sample("liput_overload_busy_ratio", load.busy, whose)


def _sound(status: SessionStatus, whose: Mapping[str, str]) -> Iterator[Sample]:
    for channel, level in enumerate(status.levels_dbfs, 1):
        yield Sample("liput_sound_level_dbfs", level, {**whose, "channel": str(channel)})
    for sound in status.sounds:
        of_input = {**whose, "input": sound.name}
        yield Sample("liput_sound_input_muted", sound.muted, of_input)
        for channel, level in enumerate(sound.levels_dbfs, 1):
            yield Sample("liput_sound_input_level_dbfs", level, {**of_input, "channel": str(channel)})


def _destination(line: DestinationLine, whose: Mapping[str, str]) -> Iterator[Sample]:
    where = {**whose, "destination": line.name}
    yield Sample("liput_destination_state", 1, {**where, "state": line.state, "reason": line.reason or ""})
    yield Sample("liput_destination_dropped_frames_total", line.dropped, where)
    yield Sample("liput_destination_reconnects_total", line.reconnects, where)
    yield Sample("liput_destination_backlog_seconds", line.backlog_s, where)


_RATES = {"up": "up_bps", "up-least": "up_p10_bps", "down": "down_bps"}


def _check(check: LastCheck) -> Iterator[Sample]:
    yield Sample("liput_check_timestamp_seconds", check.at.timestamp())
    yield Sample("liput_check_ready", check.ready)
    if check.uplink_at is None:
        return
    yield Sample("liput_uplink_timestamp_seconds", check.uplink_at.timestamp())
    for direction, name in _RATES.items():
        if isinstance(rate := check.uplink.get(name), int | float):
            yield Sample("liput_uplink_bytes_per_second", rate / 8, {"direction": direction})
    if isinstance(need := check.uplink.get("need_bps"), int | float):
        yield Sample("liput_uplink_needed_bytes_per_second", need / 8)
    if isinstance(rtt_s := check.uplink.get("idle_s"), int | float):
        yield Sample("liput_uplink_rtt_seconds", rtt_s)
