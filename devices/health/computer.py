"""The PC itself: load, memory, disks, temperature, pending restarts. A sample a minute goes into the health log."""

import os
import platform
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec
import psutil

from config.settings.quantities import brief_size
from devices.health.log_line import PC, HealthLogger, LogKind, LogLevel
from devices.host.background import BackgroundTask
from devices.host.clock import NANOSECONDS, Clock
from devices.host.deadline import DeadlineTasks
from devices.model.device import HealthState

SYS, RUN, MODULES = Path("/sys"), Path("/run"), Path("/lib/modules")
EVERY_S = 60.0
LOW_MEMORY, ENOUGH_MEMORY = 0.10, 0.15  # parts of all memory: a warning begins below the first and ends at the second
BUSY_CPU, IDLE_CPU = 95.0, 85.0  # per cent over a minute: a warning begins above the first and ends below the second
DISK_HYSTERESIS = 1.1
_DISK_ANSWERS_S = 2.0
_MAX_PLAUSIBLE_C = 150.0

type DiskReserves = Mapping[Path, int]
"""Bytes to keep free on each folder's disk, 0 for any; the folder may not exist yet."""


class ComputerSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The PC at one moment; unknown values are None. Sizes in bytes, temperatures in degrees Celsius."""

    cpu_percent: float | None = None  # mean of all cores since the sample before
    busiest_core_percent: float | None = None
    load: float | None = None  # load average over a minute: processes that run or wait to
    memory_available: int = 0
    memory_total: int = 0
    disk_free: Mapping[str, int] = {}  # by folder; one is missing if its disk does not answer
    temperature_c: float | None = None  # of the hottest sensor, `temperature_sensor`
    temperature_sensor: str | None = None
    battery_percent: float | None = None
    plugged_in: bool | None = None
    uptime_s: int = 0


def read_sample(disk_free: Mapping[str, int] | None = None, *, counts_cpu: bool = False) -> ComputerSample:
    """Return a sample, within a millisecond. `counts_cpu`: an earlier one gives the start for the CPU's load."""
    cores = psutil.cpu_percent(percpu=True)
    memory = psutil.virtual_memory()
    temperature, sensor = _value_or_none(_hottest) or (None, None)
    battery = _value_or_none(psutil.sensors_battery)
    return ComputerSample(
        cpu_percent=round(sum(cores) / len(cores), 1) if cores and counts_cpu else None,
        busiest_core_percent=max(cores) if cores and counts_cpu else None,
        load=round(psutil.getloadavg()[0], 2),
        memory_available=memory.available,
        memory_total=memory.total,
        disk_free=disk_free or {},
        temperature_c=temperature,
        temperature_sensor=sensor,
        battery_percent=round(battery.percent, 1) if battery else None,
        plugged_in=battery.power_plugged if battery else None,
        uptime_s=int(time.clock_gettime(time.CLOCK_BOOTTIME)),
    )


def _free(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path == path.parent or path.exists())
    return psutil.disk_usage(str(there)).free


def _value_or_none[T](sensor: Callable[[], T]) -> T | None:
    """Return a sensor's value, None if it fails: its driver may do anything, and the other values matter more."""
    try:
        return sensor()
    except Exception:
        return None


def _hottest() -> tuple[float | None, str | None]:
    believed = [
        (entry.current, f"{chip} {entry.label}".strip())
        for chip, entries in psutil.sensors_temperatures().items()
        for entry in entries
        if entry.current is not None and 0 < entry.current < _MAX_PLAUSIBLE_C
    ]
    return max(believed, default=(None, None))


def sample_findings(sample: ComputerSample, folders: DiskReserves) -> Iterator[tuple[str, str, str | None, bool]]:
    """Yield the key, the fault, the warning or None, and whether it is surely over, of each known value."""
    if sample.memory_total:
        share = sample.memory_available / sample.memory_total
        free, total = brief_size(sample.memory_available), brief_size(sample.memory_total)
        text = f"only {free} of {total} of memory are free" if share < LOW_MEMORY else None
        yield "memory", "low-memory", text, share >= ENOUGH_MEMORY
    if sample.cpu_percent is not None:
        busy = sample.cpu_percent > BUSY_CPU
        text = f"the processor was {sample.cpu_percent:.0f} % busy for a minute" if busy else None
        yield "cpu", "busy-processor", text, sample.cpu_percent < IDLE_CPU
    if sample.plugged_in is not None:
        left = f", {sample.battery_percent:.0f} % are left" if sample.battery_percent is not None else ""
        text = None if sample.plugged_in else f"the PC runs on its battery{left}"
        yield "battery", "on-battery", text, sample.plugged_in
    for folder, reserve in folders.items():
        free_bytes = sample.disk_free.get(str(folder))
        if reserve and free_bytes is not None:
            sizes = f"only {brief_size(free_bytes)} are free in {folder}; {brief_size(reserve)} should be"
            text = sizes if free_bytes < reserve else None
            yield f"disk {folder}", "low-disk", text, free_bytes >= reserve * DISK_HYSTERESIS


class ComputerSampler:
    """Writes a sample a minute to the health log, on its own thread; findings are lines at begin and end."""

    def __init__(self, folders: DiskReserves, *, record: HealthLogger, clock: Clock) -> None:
        self._folders = folders
        self._record = record
        self._clock = clock
        self._disks: DeadlineTasks[Path, int] = DeadlineTasks("disk")
        self._is_first = True
        self._began_ns: dict[str, int] = {}
        self._failed = False
        self._task = BackgroundTask(
            "computer", self.write_sample, pause=EVERY_S, failed=self._record_first_failure, clock=clock
        )

    def start(self) -> None:
        self._task.start()

    def stop(self) -> bool:
        """Stop, within a second; return whether the thread has ended."""
        return self._task.stop(1.0)

    def write_sample(self) -> None:
        """Write a sample and the findings that begin or end with it. A disk that hangs costs two seconds."""
        sample = read_sample(self._disk_free(), counts_cpu=not self._is_first)
        self._is_first = False
        self._record(PC, LogKind.SAMPLE, level=LogLevel.DEBUG, **msgspec.to_builtins(sample))
        for key, fault, bad, is_well in sample_findings(sample, self._folders):
            advice, ended = PC_FAULTS[fault]
            if bad and key not in self._began_ns:
                self._began_ns[key] = self._clock.now_ns()
                self._record_finding(LogKind.DEGRADED, LogLevel.WARN, bad, fault, advice=advice)
            elif is_well and key in self._began_ns:
                lasted_s = round((self._clock.now_ns() - self._began_ns.pop(key)) / NANOSECONDS, 1)
                self._record_finding(LogKind.RECOVERED, LogLevel.INFO, ended, fault, lasted_s=lasted_s)

    def _disk_free(self) -> dict[str, int]:
        """Return the free bytes by folder. A disk that hangs is left out; no second thread asks it."""
        found = self._disks.ask({folder: partial(_free, folder) for folder in self._folders}, _DISK_ANSWERS_S)
        return {str(folder): free for folder, free in found.items() if isinstance(free, int)}

    def _record_finding(self, kind: LogKind, level: LogLevel, reason: str, fault: str, **detail: object) -> None:
        state = HealthState.DEGRADED if self._began_ns else HealthState.OK
        self._record(PC, kind, reason, name="", level=level, fault=fault, state=state, **detail)

    def _record_first_failure(self, error: Exception) -> None:
        if not self._failed:
            self._record(PC, LogKind.SAMPLE, f"the PC's state cannot be read: {error}", level=LogLevel.INFO)
        self._failed = True


PC_FAULTS = {
    "low-memory": ("Close other programs before a session.", "enough memory is free again"),
    "busy-processor": ("Close other programs, or record with a smaller profile.", "the processor has time again"),
    "on-battery": ("Plug in the PC's power supply.", "the PC is plugged in again"),
    "low-disk": ("Copy old sessions to another disk, and remove them here.", "enough of the disk is free again"),
}
"""Of each fault of the PC: the advice when it begins, and the sentence when it ends."""


def throttle_count(sys: Path = SYS) -> int | None:
    """Return how often heat has slowed the processor since boot; None without the kernel's counter (Intel only)."""
    counts = [_number(path) for path in _cores(sys, "thermal_throttle/*_throttle_count")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def speed_limit(sys: Path = SYS) -> float | None:
    """Return the slowest core's speed limit now as a part of its full speed, 0 to 1; None if unknown."""
    parts = []
    for folder in _cores(sys, "cpufreq"):
        most, may = _number(folder / "cpuinfo_max_freq"), _number(folder / "scaling_max_freq")
        if most and may is not None:
            parts.append(min(1.0, may / most))
    return min(parts, default=None)


def _cores(sys: Path, pattern: str) -> list[Path]:
    return list((sys / "devices/system/cpu").glob(f"cpu[0-9]*/{pattern}"))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def is_restart_required(run: Path = RUN) -> bool:
    """Return whether an update has asked for a restart (Debian, Ubuntu)."""
    return (run / "reboot-required").exists()


def are_drivers_removed(modules: Path = MODULES, release: str | None = None) -> bool:
    """Return whether an update has removed the drivers of `release`, the running kernel: plugged devices may fail.

    On some machines no kernel has any drivers; that is no removal.
    """
    try:
        kernels = {folder.name for folder in modules.iterdir() if (folder / "kernel").is_dir()}
    except OSError:
        return False
    return bool(kernels) and (release or platform.release()) not in kernels


def other_programs_load(over_s: float, stop: threading.Event, ours: Collection[int] = ()) -> dict[str, float] | None:
    """Measure other programs for `over_s` seconds: per cent of all cores by name. Returns None once `stop` is set.

    This process, the processes `ours` and all their children are left out.
    """
    began, before = time.monotonic(), _cpu_seconds(ours)
    if stop.wait(over_s):
        return None
    ended, after = time.monotonic(), _cpu_seconds(ours)
    took: dict[str, float] = {}
    for who, (name, used_s) in after.items():
        _, used_before_s = before.get(who, (name, 0.0))
        took[name] = took.get(name, 0.0) + used_s - used_before_s
    most_s = (ended - began) * (psutil.cpu_count() or 1)  # longer than `over_s` on a busy PC
    return {name: min(100.0, 100 * used_s / most_s) for name, used_s in took.items()}


def _cpu_seconds(ours: Collection[int]) -> dict[tuple[int, float], tuple[str, float]]:
    """Return name and CPU seconds of other processes, by number and start: the kernel's workers change their names."""
    used: dict[tuple[int, float], tuple[str, float]] = {}
    own = _with_children({os.getpid(), *ours})
    for process in psutil.process_iter(["name", "cpu_times", "create_time"]):
        times = process.info["cpu_times"]
        if process.pid not in own and times is not None:
            who = process.pid, process.info["create_time"]
            used[who] = process.info["name"] or "?", times.user + times.system
    return used


def _with_children(pids: Collection[int]) -> set[int]:
    found = set(pids)
    for pid in pids:
        try:
            found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
        except psutil.Error:
            continue  # it has ended
    return found
