"""Evaluates lines of the health log: each device's health now, and its figures over a span of time."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from config.files import json_number
from devices.health.faults import FAULT_STATES, FLAPPING_WINDOW_S, PLUG_FAULTS, Fault, fault_rank, with_worse_health
from devices.health.log_line import PC, HealthLine, LogKind
from devices.health.log_reader import LogFilter, read
from devices.model.device import Device, Health, HealthState

LOOK_BACK = timedelta(days=2)  # the greatest age of a fault that may still be open

_CLOCK_STEP_S = 60.0  # a process may seem to start this much after its own lines: clocks are set
CLOSED_DEVICE_FAULTS = PLUG_FAULTS | {Fault.LOST, Fault.BUSY, Fault.DENIED, Fault.BUS_FULL}
"""Faults that a closed device can have, too. The others end when it is closed."""

_OF_FAULTS = {LogKind.DEGRADED, LogKind.FLAPPING, LogKind.RECOVERED, LogKind.CLOSED}
_FOUND_AGAIN = frozenset({LogKind.PLUGGED, LogKind.MOVED, LogKind.OPENED})  # kinds of line that end `lost`

type _FaultsByName = dict[str, tuple[int | None, HealthLine]]
"""One device's faults so far, each with the process that reported it."""


def active_health(folder: Path, *, now: datetime) -> dict[str, Health]:
    """Return the health of each device with an open fault, by id. Only faults of processes that still run count.

    A fault begins with its `degraded` line. It ends with its `recovered` line or with its process (`detail.pid`).
    Faults of an open device also end when it is closed, `lost` when it is plugged in. Looks back two days. Raises
    StateError if the log cannot be read.
    """
    pids: dict[str, int | None] = {}
    devices: dict[str, _FaultsByName] = {}
    for line in read(folder, LogFilter(since=now - LOOK_BACK, until=now + LOOK_BACK, kinds=_OF_FAULTS | _FOUND_AGAIN)):
        _take(line, pids, devices.setdefault(line.device, {}))
    healths = {}
    for device, faults in devices.items():
        there = [line for pid, line in faults.values() if pid is not None and _is_alive(pid, line.at)]
        if there:
            healths[device] = _health(min(there, key=lambda line: fault_rank(_fault(line))))
    return healths


def with_logged_health(device: Device, found: Health | None) -> Device:
    """Return `device` with `found`, the health that its user has logged, unless its own health is worse.

    `busy` is not worse: the process with the open device knows its health, and nobody else can ask it.
    """
    if found is None:
        return device
    if device.health.fault == Fault.BUSY and found.fault not in CLOSED_DEVICE_FAULTS:
        return msgspec.structs.replace(device, health=found)
    return with_worse_health(device, found)


def _take(line: HealthLine, pids: dict[str, int | None], faults: _FaultsByName) -> None:
    """Apply a line; `pids` has the process that holds each device open."""
    pid = line.detail.get("pid")
    match line.kind:
        case LogKind.PLUGGED | LogKind.MOVED:
            faults.pop(Fault.LOST, None)
        case LogKind.OPENED if isinstance(pid, int):
            pids[line.device] = pid
            _forget(faults, but_of=pid)
        case LogKind.DEGRADED | LogKind.FLAPPING:
            faults[_fault(line)] = (pid if isinstance(pid, int) else pids.get(line.device), line)
        case LogKind.RECOVERED:
            faults.pop(_fault(line), None)
            if line.detail.get("plugged") is True:  # flapping is over; its single plugs were not logged
                faults.pop(Fault.LOST, None)
        case LogKind.CLOSED:
            pids[line.device] = None
            _forget(faults)


def _forget(faults: _FaultsByName, but_of: int | None = None) -> None:
    for name, (pid, _) in list(faults.items()):
        if name not in CLOSED_DEVICE_FAULTS and (but_of is None or pid != but_of):
            del faults[name]


def _fault(line: HealthLine) -> str:
    return str(line.detail.get("fault", ""))


def _health(line: HealthLine) -> Health:
    name = _fault(line)
    state = FAULT_STATES[Fault(name)] if name in set(Fault) else HealthState.DEGRADED
    after_s = line.detail.get("after_s")
    began = line.at - timedelta(seconds=after_s) if isinstance(after_s, int | float) else line.at
    return Health(state, line.reason or None, began, name or None)


def _is_alive(pid: int, at: datetime) -> bool:
    """Return whether the process `pid` of that time still runs; a later process may reuse its number."""
    import psutil

    if at.timestamp() < psutil.boot_time():
        return False
    try:
        return psutil.Process(pid).create_time() < at.timestamp() + _CLOCK_STEP_S
    except psutil.Error:
        return False


UNWATCHED_GAP = timedelta(minutes=3)  # a longer gap means that nobody watched: the PC's own samples come once a minute

_FLAPPING_WINDOW = timedelta(seconds=FLAPPING_WINDOW_S)

# Kinds of line that only a plugged-in device has
_PLUGGED_IN = frozenset({
    LogKind.PLUGGED, LogKind.HUB_PLUGGED, LogKind.MOVED, LogKind.RENAMED, LogKind.OPENED, LogKind.SAMPLE,
    LogKind.CONTROLS_APPLIED,
    LogKind.CONTROL_CHANGED,
})  # fmt: skip

_UNPLUGGED = frozenset({LogKind.UNPLUGGED, LogKind.HUB_UNPLUGGED})


class FaultTotal(msgspec.Struct):
    """How often a device had a fault, and for how many seconds in all."""

    count: int = 0
    total_s: float = 0.0


class DeviceSummary(msgspec.Struct, kw_only=True, tag_field="type", tag="health-summary"):
    """One device over the span; None where no line gives the value.

    `uptime_s`: seconds plugged in while somebody watched. `worst_fps`: the lowest mean rate of a minute.
    `quietest_dbfs`: the lowest level of a minute (RMS of the louder channel). `loudest_dbfs`: the highest peak.
    """

    device: str
    name: str = ""
    first_seen: datetime
    last_seen: datetime
    uptime_s: float = 0.0
    unplugs: int = 0
    faults: dict[str, FaultTotal] = {}
    worst_fps: float | None = None
    quietest_dbfs: float | None = None
    loudest_dbfs: float | None = None
    kernel_messages: int = 0


def summarise(lines: Iterable[HealthLine]) -> list[DeviceSummary]:
    """Return each device's figures, by name, the PC last. `lines` are all of the span, by time, with samples."""
    devices: dict[str, _DeviceFigures] = {}
    began = last = None
    for line in lines:
        began = began or line.at
        if last and line.kind == LogKind.WATCH_STARTED and line.at - last > UNWATCHED_GAP:
            for device in devices.values():
                device.interrupt(last)
        _figures_of(devices, line.device, line.at, began).take(line)
        if line.kind == LogKind.WATCH_STARTED:
            for name in _texts(line.detail.get("devices")):
                _figures_of(devices, name, line.at, began).is_there(line.at)
        elif line.kind == LogKind.RENAMED:
            _figures_of(devices, str(line.detail.get("before")), line.at, began).is_not_watched(line.at)
        elif line.kind == LogKind.WATCH_STOPPED and "pid" in line.detail:  # else only a part of the watch ended
            for device in devices.values():
                device.is_not_watched(line.at)
        last = line.at
    for device in devices.values():
        device.interrupt(last or device.summary.last_seen)
    summaries = [device.summary for device in devices.values()]
    return sorted(summaries, key=lambda one: (one.device == PC, one.name, one.device))


@dataclass(slots=True)
class _DeviceFigures:
    """The figures so far.

    `began` is the start of the span, `plugged` the time of the last plug. `flaps` counts the present episode of
    flapping. `found_again`: a plug has ended `lost`, and its `recovered` line is still to come.
    """

    summary: DeviceSummary
    began: datetime
    plugged: datetime | None = None
    pid: int | None = None
    faults: dict[str, datetime] = field(default_factory=dict)
    unplugged: list[datetime] = field(default_factory=list)
    flaps: int = 0
    found_again: bool = False

    def take(self, line: HealthLine) -> None:
        if line.kind in _PLUGGED_IN:
            self.plugged = self.plugged or line.at
            if line.kind in _FOUND_AGAIN:
                self._find_again(line.at)
        elif line.kind in _UNPLUGGED:
            self._unplug(line.at)
        self._count(line)
        self.summary.name = line.name or self.summary.name
        self.summary.last_seen = line.at

    def _count(self, line: HealthLine) -> None:
        match line.kind:
            case LogKind.SAMPLE:
                self._measure(line)
            case LogKind.DEGRADED | LogKind.SWAPPED:
                self._begin(line)
            case LogKind.FLAPPING:
                self._flap(line)
            case LogKind.RECOVERED:
                self._recover(line)
            case LogKind.KERNEL:
                self.summary.kernel_messages += _whole(line.detail.get("left_out"), 1)
            case LogKind.CLOSED:
                self._end_faults(line.at, but=CLOSED_DEVICE_FAULTS)
            case LogKind.OPENED if isinstance(pid := line.detail.get("pid"), int):
                if self.pid not in {None, pid}:  # the former process ended without a `closed` line
                    self._end_faults(self.summary.last_seen, but=PLUG_FAULTS)
                self.pid = pid

    def is_there(self, at: datetime) -> None:
        """Note that the device is plugged in."""
        self.plugged = self.plugged or at
        self.summary.last_seen = at

    def is_not_watched(self, at: datetime) -> None:
        """Count the uptime up to `at`; it goes on with the next sign of the device."""
        if self.plugged:
            self.summary.uptime_s = _sum(self.summary.uptime_s, at - self.plugged)
            self.plugged = None

    def interrupt(self, at: datetime) -> None:
        """End everything at `at`: nobody knows how it went on."""
        self.is_not_watched(at)
        self._end_faults(at)

    def _unplug(self, at: datetime) -> None:
        self.summary.unplugs += 1
        self.unplugged = [one for one in self.unplugged if one > at - _FLAPPING_WINDOW] + [at]
        if self.plugged is None and self.summary.first_seen == at:
            self.plugged = self.began  # it was plugged in before the span
        self.is_not_watched(at)

    def _begin(self, line: HealthLine) -> None:
        name = str(line.detail.get("fault", ""))
        self._end_fault(name, self.summary.last_seen)
        self.found_again = self.found_again and name != Fault.LOST
        after = timedelta(seconds=json_number(line.detail.get("after_s")) or 0.0)
        self._total(name).count += 1
        self.faults[name] = max(line.at - after, self.began)

    def _flap(self, line: HealthLine) -> None:
        """Count a line of a flapping episode. The line has the number of unplugs, which have no lines of their own."""
        if Fault.FLAPPING not in self.faults:
            self._begin(line)
            self.flaps = sum(one > line.at - _FLAPPING_WINDOW for one in self.unplugged)
        self._count_flaps(line)
        self.is_not_watched(line.at)

    def _count_flaps(self, line: HealthLine) -> None:
        flaps = _whole(line.detail.get("unplugs"), self.flaps)
        self.summary.unplugs += max(0, flaps - self.flaps)
        self.flaps = flaps

    def _recover(self, line: HealthLine) -> None:
        name = str(line.detail.get("fault", ""))
        if name == Fault.FLAPPING and name in self.faults:
            self._count_flaps(line)
            if line.detail.get("plugged") is True:
                self.is_there(line.at)
                self._find_again(line.at)
        if name == Fault.LOST and self.found_again:  # the process that held it open reports later than the plug
            self.found_again = False
            return
        if name not in self.faults:  # it began before the span
            self._total(name).count += 1
            lasted = timedelta(seconds=json_number(line.detail.get("lasted_s")) or 0.0)
            self.faults[name] = max(line.at - lasted, self.began)
        self._end_fault(name, line.at)

    def _find_again(self, at: datetime) -> None:
        self.found_again = self.found_again or Fault.LOST in self.faults
        self._end_fault(Fault.LOST, at)

    def _end_faults(self, at: datetime, but: Collection[str] = ()) -> None:
        for name in [name for name in self.faults if name not in but]:
            self._end_fault(name, at)

    def _end_fault(self, name: str, at: datetime) -> None:
        if began := self.faults.pop(name, None):
            total = self._total(name)
            total.total_s = _sum(total.total_s, max(timedelta(), at - began))

    def _total(self, name: str) -> FaultTotal:
        return self.summary.faults.setdefault(name, FaultTotal())

    def _measure(self, line: HealthLine) -> None:
        summary, detail = self.summary, line.detail
        rms, peak = _loudest(detail.get("rms_dbfs")), _loudest(detail.get("peak_dbfs"))
        summary.worst_fps = min(_known(summary.worst_fps, json_number(detail.get("fps"))), default=None)
        summary.quietest_dbfs = min(_known(summary.quietest_dbfs, rms), default=None)
        summary.loudest_dbfs = max(_known(summary.loudest_dbfs, peak), default=None)


def _figures_of(devices: dict[str, _DeviceFigures], name: str, at: datetime, began: datetime) -> _DeviceFigures:
    if name not in devices:
        devices[name] = _DeviceFigures(DeviceSummary(device=name, first_seen=at, last_seen=at), began)
    return devices[name]


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _sum(seconds: float, more: timedelta) -> float:
    return round(seconds + more.total_seconds(), 3)


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _loudest(levels: object) -> float | None:
    several = levels if isinstance(levels, list) else [levels]
    return max(_known(*map(json_number, several)), default=None)


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


# In steps, for a plot

MOST_STEPS = 120
LEAST_STEP = timedelta(minutes=1)  # samples come once a minute

_FAULTS = frozenset({LogKind.DEGRADED, LogKind.FLAPPING, LogKind.SWAPPED})
_LOSSES = ("missing", "damaged", "overflows")


class DeviceTimeline(msgspec.Struct, kw_only=True):
    """One device, a value for each step.

    `fps`: the lowest mean rate of a minute, None while closed. `lost`: missing or damaged frames, or overflows of
    sound. `faults`: how many began.
    """

    device: str
    name: str
    fps: list[float | None]
    lost: list[int]
    faults: list[int]


def timelines(lines: Iterable[HealthLine], since: datetime, until: datetime) -> list[DeviceTimeline]:
    """Return the devices that have any value, by name, the PC last. `lines` are all of the span."""
    count = steps_of(since, until)
    found: dict[str, DeviceTimeline] = {}
    for line in lines:
        if line.kind == LogKind.SAMPLE or line.kind in _FAULTS:
            empty = DeviceTimeline(
                device=line.device, name="", fps=[None] * count, lost=[0] * count, faults=[0] * count
            )
            step = min(count - 1, int((line.at - since) / (until - since) * count))
            _take_step(found.setdefault(line.device, empty), line, step)
    shown = [one for one in found.values() if any(rate is not None for rate in one.fps) or any(one.lost + one.faults)]
    return sorted(shown, key=lambda one: (one.device == PC, one.name, one.device))


def steps_of(since: datetime, until: datetime) -> int:
    """Return the number of steps in a span."""
    return max(1, min(MOST_STEPS, (until - since) // LEAST_STEP))


def _take_step(timeline: DeviceTimeline, line: HealthLine, step: int) -> None:
    timeline.name = line.name or timeline.name
    if line.kind in _FAULTS:
        timeline.faults[step] += 1
        return
    rate, before = line.detail.get("fps"), timeline.fps[step]
    if isinstance(rate, int | float):
        timeline.fps[step] = min(rate, rate if before is None else before)
    timeline.lost[step] += sum(count for name in _LOSSES if isinstance(count := line.detail.get(name), int))
