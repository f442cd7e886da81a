"""The answer to a scrape of /metrics. prometheus_client is loaded at the first one: most rooms need none."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from config.errors import LiputError
from config.settings.schema import Settings
from config.version import VERSION
from devices.host.clock import SystemClock
from devices.host.deadline import DeadlineTasks
from devices.model.device import HealthState
from recorder.model.names import utf8_safe
from recorder.model.session_faults import kind_and_subject
from recorder.model.status import DestinationLine, LoadLine, SessionState, SessionStatus, SheddingStep
from recorder.running.client import send_command
from recorder.running.protocol import StatusCommand
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo, alive_recorders

if TYPE_CHECKING:
    from prometheus_client import Metric as Family


class DeadlineQueries[Found]:
    """Runs queries with a deadline; one that hangs is not started again. Thread-safe."""

    def __init__(self) -> None:
        self._tasks: DeadlineTasks[str, Found] = DeadlineTasks("metrics")
        self._kept: dict[str, tuple[float, Found]] = {}

    def gather(
        self, tasks: Mapping[str, Callable[[], Found]], deadline_s: float, keep_s: float = 0.0
    ) -> dict[str, Found]:
        """Return the answers in time, by name; answers younger than `keep_s` are reused."""
        now_s = time.monotonic()
        kept = {
            name: found
            for name, (at_s, found) in list(self._kept.items())
            if keep_s and name in tasks and now_s - at_s < keep_s
        }
        asked = {
            name: partial(self._keep, name, task) if keep_s else task
            for name, task in tasks.items()
            if name not in kept
        }
        answers = self._tasks.ask(asked, deadline_s)
        return kept | {name: found for name, found in answers.items() if not isinstance(found, Exception)}

    def _keep(self, name: str, task: Callable[[], Found]) -> Found:
        found = task()
        self._kept[name] = time.monotonic(), found
        return found


ROOM = "room"  # the label of every metric: `[general] room`
_SESSION = ("session",)
_DESTINATION = (*_SESSION, "destination")


# By name: help text, and labels beside ROOM. A name with `_total` is a counter's.
METRICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "liput_info": ("1; the version of Liput", ("version",)),
    "liput_session_info": ("1 for each running session; its title", (*_SESSION, "title")),
    "liput_session_answers": ("Whether the session's recorder answers", _SESSION),
    "liput_session_state": ("1 for the session's state, 0 for the others", (*_SESSION, "state")),
    "liput_session_elapsed_seconds": ("Seconds since the recording began", _SESSION),
    "liput_session_troubles": ("Active faults of the session, by kind of event", (*_SESSION, "kind")),
    "liput_recording_media_seconds": ("Seconds of media on disk", _SESSION),
    "liput_recording_bytes": ("Bytes of the recording on disk", _SESSION),
    "liput_recording_frames_total": ("Encoded frames", _SESSION),
    "liput_recording_dropped_frames_total": ("Dropped frames", _SESSION),
    "liput_recording_repeated_frames_total": ("Frames repeated because the source gave none", _SESSION),
    "liput_recording_still_frames_total": ("Frames skipped because nothing had changed", _SESSION),
    "liput_recording_fps": ("Frame rate of the program over the last seconds", _SESSION),
    "liput_recording_left_seconds": ("Seconds until the disk is full at this rate", _SESSION),
    "liput_recording_left_out_frames_total": ("Frames left out because this PC does not keep up", _SESSION),
    "liput_overload_step": ("1 for each load-shedding step in force, 0 for the others", (*_SESSION, "step")),
    "liput_overload_behind_seconds": ("Backlog of the encoder in seconds", _SESSION),
    "liput_overload_busy_ratio": ("Busy fraction of the picture's thread", _SESSION),
    "liput_sound_level_dbfs": ("Peak level of the program's sound", (*_SESSION, "channel")),
    "liput_sound_input_level_dbfs": ("Peak level of one input of sound", (*_SESSION, "input", "channel")),
    "liput_sound_input_muted": ("Whether an input of sound is muted", (*_SESSION, "input")),
    "liput_destination_state": ("1 for the destination's state", (*_DESTINATION, "state", "reason")),
    "liput_destination_dropped_frames_total": ("Frames dropped for the destination", _DESTINATION),
    "liput_destination_reconnects_total": ("Reconnects of the destination", _DESTINATION),
    "liput_destination_backlog_seconds": ("Delay of the viewers' newest frame", _DESTINATION),
    "liput_stream_bytes_per_second": ("Data rate of the picture for live destinations", (*_SESSION, "encode")),
    "liput_device_health": ("1 for the health of a session's device", (*_SESSION, "device", "name", "role", "state")),
    "liput_disk_free_bytes": ("Free bytes on the disk of sessions", ("path",)),
    "liput_disk_size_bytes": ("Size of that disk in bytes", ("path",)),
    "liput_archive_packages": ("Packages in the archive", ("path",)),
    "liput_copies_waiting": ("Packages waiting for a copy at a place", ("target",)),
    "liput_copies_blocked": ("1 while a fault prevents all copies to a place", ("target", "reason")),
    "liput_check_timestamp_seconds": ("Time of the last check of the room", ()),
    "liput_check_ready": ("1 if that check found the room ready", ()),
    "liput_uplink_bytes_per_second": ("Data rate of the uplink at its last measurement", ("direction",)),
    "liput_uplink_needed_bytes_per_second": ("Data rate that the session needed then", ()),
    "liput_uplink_rtt_seconds": ("Round-trip time of the idle uplink then", ()),
    "liput_uplink_timestamp_seconds": ("Time of that measurement", ()),
    "liput_daemon_part_stands": ("1 for a part of the daemon that hangs, 0 for the others", ("part",)),
    "liput_scrape_missing": ("1 for a part that did not answer in time", ("what",)),
    "liput_scrape_seconds": ("Duration of this scrape", ()),
}


class Sample(NamedTuple):
    """One value of a metric of METRICS, with its labels beside ROOM."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


DEADLINE_S = 2.0  # Prometheus waits 10 s
KEEP_S = 60.0  # age of slow answers; counting an archive at each scrape would be too much

type Task = Callable[[], list[Sample]]

gathering = DeadlineQueries[list[Sample]]()  # one for the process: a hanging query is not started twice


def _samples(
    settings: Settings, roots: Sequence[Path], parts: Sequence[str], standing: Sequence[str]
) -> Iterator[Sample]:
    began_s = time.monotonic()
    alive: list[tuple[RecorderFolder, RecorderInfo]] = []
    with suppress(LiputError, OSError):
        alive += alive_recorders()
    quick: dict[str, Task] = {f"disk {root}": partial(_disk, root) for root in roots}
    for folder, info in alive:
        quick[f"session {info.id}"] = partial(_session, folder, {"session": info.id})
    slow: dict[str, Task] = {f"archive {root}": partial(_archive, root) for root in roots}
    slow["check"] = _check
    if settings.copies:
        slow["copies"] = partial(_copies, settings, roots)
    found = gathering.gather(quick, DEADLINE_S)
    found |= gathering.gather(slow, max(0.0, began_s + DEADLINE_S - time.monotonic()), KEEP_S)
    yield Sample("liput_info", 1, {"version": VERSION})
    for _, info in alive:
        yield Sample("liput_session_info", 1, {"session": info.id, "title": info.title})
        yield Sample("liput_session_answers", bool(found.get(f"session {info.id}")), {"session": info.id})
    for each in found.values():
        yield from each
    for part in parts:
        yield Sample("liput_daemon_part_stands", part in standing, {"part": part})
    for what in (name for name in (*quick, *slow) if name not in found):
        yield Sample("liput_scrape_missing", 1, {"what": what})
    yield Sample("liput_scrape_seconds", time.monotonic() - began_s)


def _session(folder: RecorderFolder, whose: Mapping[str, str]) -> list[Sample]:
    status = send_command(folder, StatusCommand(), DEADLINE_S).status
    return [] if status is None else list(_status(status, whose))


def _status(status: SessionStatus, whose: Mapping[str, str]) -> Iterator[Sample]:
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
    for step in SheddingStep:
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


def _disk(root: Path) -> list[Sample]:
    """Return the space of the disk for `root`, which the first session creates."""
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    space, labels = shutil.disk_usage(there), {"path": str(root)}
    return [Sample("liput_disk_free_bytes", space.free, labels), Sample("liput_disk_size_bytes", space.total, labels)]


def _archive(root: Path) -> list[Sample]:
    from recorder.archive.archive import package_folders

    return [Sample("liput_archive_packages", len(package_folders(root)), {"path": str(root)})]


def _copies(settings: Settings, roots: Sequence[Path]) -> list[Sample]:
    from recorder.features.copies.places import settings_queue

    queue = settings_queue(settings, roots, SystemClock())
    found, troubles = [], queue.ledger.troubles()
    for name, waiting in queue.count_waiting().items():
        found.append(Sample("liput_copies_waiting", waiting, {"target": name}))
        if name in troubles:
            found.append(Sample("liput_copies_blocked", 1, {"target": name, "reason": troubles[name].reason}))
    return found


def _check() -> list[Sample]:
    from agent.checks.history import kept_runs

    runs = kept_runs()
    if not runs:
        return []
    found = [
        Sample("liput_check_timestamp_seconds", runs[-1].at.timestamp()),
        Sample("liput_check_ready", runs[-1].ready),
    ]
    uplinks = (
        (run.at, result.measured)
        for run in reversed(runs)
        for result in run.results
        if result.name == "uplink" and result.measured.get("up_bps") is not None
    )
    for at, measured in islice(uplinks, 1):
        found.append(Sample("liput_uplink_timestamp_seconds", at.timestamp()))
        for direction, name in (("up", "up_bps"), ("up-least", "up_p10_bps"), ("down", "down_bps")):
            if isinstance(rate := measured.get(name), int | float):
                found.append(Sample("liput_uplink_bytes_per_second", rate / 8, {"direction": direction}))
        if isinstance(need := measured.get("need_bps"), int | float):
            found.append(Sample("liput_uplink_needed_bytes_per_second", need / 8))
        if isinstance(rtt_s := measured.get("idle_s"), int | float):
            found.append(Sample("liput_uplink_rtt_seconds", rtt_s))
    return found


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def expose(settings: Settings, roots: Sequence[Path], parts: Sequence[str], standing: Sequence[str]) -> bytes:
    """Return the answer to a scrape in the text format of Prometheus, within DEADLINE_S.

    `roots`: the archives. `standing`: those of the daemon's `parts` that hang. Thread-safe, but blocks.
    """
    from prometheus_client import generate_latest

    found = list(_samples(settings, roots, parts, standing))
    return generate_latest(_Found(found, utf8_safe(settings.general.room)))


class _Found(NamedTuple):
    samples: Sequence[Sample]
    room: str

    def collect(self) -> "Iterator[Family]":
        """Yield a family for each metric with a value."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, (text, labels) in METRICS.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=(ROOM, *labels))
            for sample in self.samples:
                if sample.name == name:
                    values = [utf8_safe(sample.labels[label]) for label in labels]
                    family.add_metric([self.room, *values], float(sample.value))
            if family.samples:
                yield family
