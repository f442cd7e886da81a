"""The PC's own samples, the few of its troubles that deserve a warning, and how much other programs take."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import psutil
import pytest

from devices.health import computer
from devices.health.computer import (
    ComputerSample,
    ComputerSampler,
    are_drivers_removed,
    other_programs_load,
    read_sample,
    speed_limit,
    throttle_count,
)  # fmt: skip
from devices.health.log_line import PC, LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

ARCHIVE = {Path("/srv/archive"): 2_000_000_000}
WELL = ComputerSample(
    cpu_percent=12.0, memory_available=6_000_000_000, memory_total=8_000_000_000, battery_percent=80.0, plugged_in=True,
    disk_free={"/srv/archive": 50_000_000_000},
)  # fmt: skip


def watched(monkeypatch: pytest.MonkeyPatch, *samples: ComputerSample) -> Recorded:
    """Return what a watch records of samples, a minute apart."""
    left, clock = list(samples), SimulatedClock()
    monkeypatch.setattr(computer, "read_sample", lambda *_, **__: left.pop(0))
    recorded = Recorded(clock)
    watch = ComputerSampler(ARCHIVE, record=recorded, clock=clock)
    while left:
        watch.write_sample()
        clock.advance(60)
    return recorded


def samples_of(folders: Iterable[Path], count: int) -> Iterator[ComputerSample]:
    recorded = Recorded(SimulatedClock())
    watch = ComputerSampler(dict.fromkeys(folders, 0), record=recorded, clock=SimulatedClock())
    for number in range(count):
        watch.write_sample()
        yield msgspec.convert(recorded.of(LogKind.SAMPLE)[number].detail, ComputerSample)


def but(**changes: object) -> ComputerSample:
    return msgspec.structs.replace(WELL, **changes)


def told(recorded: Recorded) -> list[tuple[str, str]]:
    return [(line.kind, str(line.detail["fault"])) for line in recorded.lines if line.kind != LogKind.SAMPLE]


def test_a_sample_of_this_machine_is_true(tmp_path: Path) -> None:
    there, not_yet = tmp_path, tmp_path / "not/yet/there"
    first, second = samples_of([there, not_yet], 2)
    assert first.cpu_percent is None
    assert second.cpu_percent is not None
    assert 0 <= second.cpu_percent <= (second.busiest_core_percent or 0) <= 100
    assert 0 < second.memory_available < second.memory_total == psutil.virtual_memory().total
    assert set(second.disk_free) == {str(there), str(not_yet)}
    assert second.disk_free[str(there)] == pytest.approx(psutil.disk_usage(str(there)).free, rel=0.2)
    assert second.uptime_s > 0
    assert msgspec.json.decode(msgspec.json.encode(second), type=ComputerSample) == second


def test_the_hottest_sensor_and_the_battery_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry(label: str, current: float) -> SimpleNamespace:
        return SimpleNamespace(label=label, current=current)

    heat = {
        "coretemp": [entry("Package id 0", 71.0), entry("Core 0", 69.0)],
        "acpitz": [entry("", 27.8)],
        "broken": [entry("SYSTIN", 255.0), entry("AUX", -60.0)],
    }
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: heat)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: SimpleNamespace(percent=53.66, power_plugged=False))
    sample = read_sample()
    assert (sample.temperature_c, sample.temperature_sensor) == (71.0, "coretemp Package id 0")
    assert (sample.battery_percent, sample.plugged_in) == (53.7, False)


@pytest.mark.parametrize("sensor", ["sensors_temperatures", "sensors_battery"])
def test_a_sensor_that_fails_costs_nothing_but_itself(monkeypatch: pytest.MonkeyPatch, sensor: str) -> None:
    def fails() -> None:
        raise ZeroDivisionError("a battery of no charge")

    monkeypatch.setattr(psutil, sensor, fails)
    sample = read_sample()
    assert sample.memory_available > 0
    assert sample.temperature_c is None or sensor == "sensors_battery"
    assert sample.plugged_in is None or sensor == "sensors_temperatures"


def test_a_disk_that_hangs_is_left_out_and_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers: list[Callable[[], bool]] = []
    go_on = threading.Event()

    def usage(path: str) -> SimpleNamespace:
        if path == "/":
            return SimpleNamespace(free=7)
        answers.append(go_on.wait)
        go_on.wait()
        return SimpleNamespace(free=8)

    monkeypatch.setattr(computer, "_DISK_ANSWERS_S", 1.0)  # in which "/" must answer
    monkeypatch.setattr(psutil, "disk_usage", usage)
    samples = samples_of([tmp_path, Path("/")], 1000)
    assert next(samples).disk_free == {"/": 7}
    assert next(samples).disk_free == {"/": 7}
    assert len(answers) == 1
    go_on.set()
    wait_for(lambda: next(samples).disk_free == {"/": 7, str(tmp_path): 8})


@pytest.mark.parametrize(
    ("bad", "still", "fault", "reason"),
    [
        (but(memory_available=640_000_000), but(memory_available=1_100_000_000), "low-memory",
         "only 640 MB of 8.00 GB of memory are free"),
        (but(cpu_percent=99.0), but(cpu_percent=90.0), "busy-processor", "the processor was 99 % busy for a minute"),
        (but(plugged_in=False), but(plugged_in=False), "on-battery", "the PC runs on its battery, 80 % are left"),
        (but(disk_free={"/srv/archive": 1_200_000_000}), but(disk_free={"/srv/archive": 2_100_000_000}), "low-disk",
         "only 1.20 GB are free in /srv/archive; 2.00 GB should be"),
    ],
)  # fmt: skip
def test_a_trouble_is_one_warning_and_ends_only_when_it_is_clearly_over(
    monkeypatch: pytest.MonkeyPatch, bad: ComputerSample, still: ComputerSample, fault: str, reason: str
) -> None:
    recorded = watched(monkeypatch, WELL, bad, bad, still, bad, WELL, WELL, bad)
    assert {(line.device, line.level) for line in recorded.of(LogKind.SAMPLE)} == {(PC, LogLevel.DEBUG)}
    assert told(recorded) == [("degraded", fault), ("recovered", fault), ("degraded", fault)]
    begun, ended, _ = [line for line in recorded.lines if line.kind != LogKind.SAMPLE]
    assert (begun.device, begun.level, begun.reason) == (PC, LogLevel.WARN, reason)
    assert begun.detail["advice"]
    assert (ended.level, ended.detail["lasted_s"]) == (LogLevel.INFO, 240.0)
    assert ended.detail["state"] == "ok"


def test_what_is_nearly_bad_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    nearly = but(
        cpu_percent=95.0, memory_available=800_000_000, disk_free={"/srv/archive": 2_000_000_000}, battery_percent=5.0
    )
    unknown = but(cpu_percent=None, plugged_in=None, disk_free={}, memory_total=0)
    assert told(watched(monkeypatch, nearly, unknown)) == []


def test_a_sensor_that_cannot_be_read_is_one_line_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> ComputerSample:
        raise RuntimeError("the sensor says no")

    monkeypatch.setattr(computer, "read_sample", broken)
    clock = SimulatedClock()
    recorded = Recorded(clock)
    watch = ComputerSampler({}, record=recorded, clock=clock)
    watch.start()
    wait_for(lambda: clock.now_ns() > 3600 * NANOSECONDS)  # the simulated clock runs through an hour at once
    watch.stop()
    (line,) = recorded.lines
    assert "the sensor says no" in line.reason


def core(sys: Path, number: int, **files: int) -> None:
    for name, value in files.items():
        path = sys / f"devices/system/cpu/cpu{number}" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def test_every_core_that_heat_has_slowed_counts(tmp_path: Path) -> None:
    core(tmp_path, 0, thermal_throttle__core_throttle_count=3, thermal_throttle__package_throttle_count=1)
    core(tmp_path, 11, thermal_throttle__core_throttle_count=4, thermal_throttle__core_throttle_total_time_ms=999)
    assert throttle_count(tmp_path) == 8


def test_the_core_that_is_held_back_most_is_the_limit(tmp_path: Path) -> None:
    core(tmp_path, 0, cpufreq__cpuinfo_max_freq=4_000_000, cpufreq__scaling_max_freq=4_000_000)
    assert speed_limit(tmp_path) == 1.0
    core(tmp_path, 1, cpufreq__cpuinfo_max_freq=4_000_000, cpufreq__scaling_max_freq=1_600_000)
    assert speed_limit(tmp_path) == 0.4


def test_a_processor_that_tells_nothing_is_not_known(tmp_path: Path) -> None:
    core(tmp_path, 0, cpufreq__cpuinfo_max_freq=0, cpufreq__scaling_max_freq=0, thermal_throttle__other=1)
    assert throttle_count(tmp_path) is None
    assert speed_limit(tmp_path) is None
    (tmp_path / "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count").write_text("many\n")
    assert throttle_count(tmp_path) is None


def test_drivers_are_gone_when_only_another_kernel_has_some(tmp_path: Path) -> None:
    assert not are_drivers_removed(tmp_path, "6.12.1-amd64")
    (tmp_path / "6.11.8-amd64").mkdir()  # what is left of a kernel
    assert not are_drivers_removed(tmp_path, "6.12.1-amd64")
    (tmp_path / "6.12.1-amd64/kernel").mkdir(parents=True)
    assert not are_drivers_removed(tmp_path, "6.12.1-amd64")
    assert are_drivers_removed(tmp_path, "6.11.9-amd64")


BUSY = """
import pathlib, sys
pathlib.Path("/proc/self/comm").write_text(sys.argv[1])
print(0, flush=True)
while True: pass
"""
LEAVES = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
"""


def test_other_programs_count_by_their_names_and_what_this_one_has_started_does_not() -> None:
    words = [sys.executable, "-c", LEAVES, BUSY, "lpt-other"]  # nobody of ours has started that
    other = int(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
    with subprocess.Popen([sys.executable, "-c", BUSY, "lpt-own"], stdout=subprocess.PIPE) as own:
        assert own.stdout
        assert own.stdout.readline()
        load = other_programs_load(0.3, threading.Event())
        without = other_programs_load(0.0, threading.Event(), [other])
        own.kill()
    os.kill(other, signal.SIGKILL)
    assert load is not None
    assert 0 < load["lpt-other"] <= 100
    assert "lpt-own" not in load
    assert without is not None
    assert "lpt-other" not in without
