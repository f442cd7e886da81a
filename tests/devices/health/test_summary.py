"""Faults of devices: when one begins and ends, and what a span of the log says of a device."""

import os
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from config.errors import DeviceError, DeviceNotFound
from devices.health import summary
from devices.health.faults import FAULT_STATES, Fault, HealthChange, HealthTracker, fault_of_error, fault_rank
from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.health.summary import DeviceSummary, FaultTotal, active_health, summarise, timelines, with_logged_health
from devices.model.device import Device, DeviceKind, Health, HealthState
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock


def test_what_a_refusal_means() -> None:
    assert fault_of_error(DeviceError("x", why="lost")) is Fault.LOST
    assert fault_of_error(DeviceNotFound("x")) is Fault.LOST
    assert fault_of_error(DeviceError("x", why="bus-full")) is Fault.BUS_FULL
    assert fault_of_error(DeviceError("x", why="unsupported")) is None


def test_the_worst_comes_first_and_what_nobody_knows_last() -> None:
    in_order = sorted([None, "of-tomorrow", *reversed(Fault)], key=fault_rank)
    assert in_order[: len(Fault)] == list(FAULT_STATES) == list(Fault)


class Watched:
    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.record = Recorded(self.clock)
        self.changes: list[HealthChange] = []
        self.tracker = HealthTracker(
            CAMERA, "Webcam", record=self.record, clock=self.clock, on_change=self.changes.append
        )


def test_a_fault_is_one_line_at_its_beginning_and_one_at_its_end() -> None:
    watched = Watched()
    began_ns, began = watched.clock.now_ns(), watched.clock.now()
    watched.clock.advance(0.75)
    for _ in range(3):
        watched.tracker.find(Fault.NO_DATA, "it gives nothing", began_ns=began_ns)
    assert watched.tracker.health == Health(HealthState.SILENT, "it gives nothing", began, Fault.NO_DATA)
    watched.clock.advance(2)
    for _ in range(3):
        watched.tracker.clear(Fault.NO_DATA, frames=12)
    assert watched.tracker.health == Health()
    began_line, ended_line = watched.record.lines
    assert (began_line.device, began_line.name, began_line.kind) == (CAMERA, "Webcam", LogKind.DEGRADED)
    assert (began_line.reason, ended_line.reason) == ("it gives nothing", "it gives nothing")
    assert (began_line.level, ended_line.level) == (LogLevel.ERROR, LogLevel.INFO)
    assert began_line.detail == {"fault": Fault.NO_DATA, "state": HealthState.SILENT, "after_s": 0.75}
    assert ended_line.kind == LogKind.RECOVERED
    assert ended_line.detail == {"fault": Fault.NO_DATA, "state": HealthState.OK, "lasted_s": 2.75, "frames": 12}
    changes = [(change.begun, change.health.state) for change in watched.changes]
    assert changes == [(True, HealthState.SILENT), (False, HealthState.OK)]


def test_the_worst_fault_is_the_health_whatever_came_first() -> None:
    watched = Watched()
    for fault in (Fault.HUM, Fault.LOST, Fault.BLACK):
        watched.tracker.find(fault, f"it is {fault}")
    assert watched.tracker.health.reason == "it is lost"
    watched.tracker.clear(Fault.LOST)
    assert (watched.tracker.health.fault, watched.tracker.has(Fault.HUM)) == (Fault.BLACK, True)
    watched.tracker.clear(Fault.BLACK)
    assert watched.tracker.health.fault == Fault.HUM


NINE = datetime(2026, 11, 25, 9, tzinfo=UTC)
CAMERA, STICK = "046d:0825:A1", "534d:2109@1-2"


def line(second: float, kind: LogKind, device: str = CAMERA, name: str = "", **detail: object) -> HealthLine:
    return HealthLine(at=NINE + timedelta(seconds=second), device=device, name=name, kind=kind, detail=detail)


def camera(*lines: HealthLine) -> DeviceSummary:
    (summary,) = (one for one in summarise(lines) if one.device == CAMERA)
    return summary


def test_a_day_in_figures() -> None:
    summaries = summarise(
        [
            line(0, LogKind.WATCH_STARTED, PC, devices=[CAMERA]),
            line(10, LogKind.OPENED, name="Webcam", pid=7, fps=30.0),
            line(60, LogKind.SAMPLE, fps=29.9),
            line(100, LogKind.DEGRADED, fault="frozen", after_s=3.0),
            line(110, LogKind.RECOVERED, fault="frozen", lasted_s=13.0),
            line(120, LogKind.SAMPLE, fps=14.5),
            line(130, LogKind.KERNEL),
            line(130, LogKind.KERNEL, left_out=20),
            line(140, LogKind.UNPLUGGED),
            line(141, LogKind.DEGRADED, fault="lost"),
            line(141, LogKind.CLOSED),
            line(200, LogKind.PLUGGED, STICK, "Stick"),
            line(240, LogKind.PLUGGED),
            line(242, LogKind.RECOVERED, fault="lost", lasted_s=101.0),
            line(300, LogKind.DEGRADED, fault="frozen", after_s=3.0),
            line(400, LogKind.SAMPLE, PC),
        ]
    )
    assert [summary.device for summary in summaries] == [STICK, CAMERA, PC]
    assert summaries[1] == DeviceSummary(
        device=CAMERA,
        name="Webcam",
        first_seen=NINE,
        last_seen=NINE + timedelta(seconds=300),
        uptime_s=140 + 160,
        unplugs=1,
        faults={"frozen": FaultTotal(2, 13.0 + 103.0), "lost": FaultTotal(1, 99.0)},
        worst_fps=14.5,
        kernel_messages=21,
    )
    assert summaries[0].uptime_s == 200
    assert msgspec.json.decode(msgspec.json.encode(summaries[1]))["faults"]["lost"] == {"count": 1, "total_s": 99.0}


def test_levels_are_those_of_the_louder_channel() -> None:
    summary = camera(
        line(0, LogKind.SAMPLE, rms_dbfs=[-20.0, -60.5], peak_dbfs=[-3.0, -50]),
        line(60, LogKind.SAMPLE, rms_dbfs=[-31.5, -80.0], peak_dbfs=[-12.0, -70]),
        line(120, LogKind.SAMPLE),
        line(180, LogKind.SAMPLE, rms_dbfs=None, peak_dbfs=[]),
    )
    assert (summary.quietest_dbfs, summary.loudest_dbfs, summary.worst_fps) == (-31.5, -3.0, None)


def test_what_was_there_before_the_span_counts_from_its_beginning() -> None:
    summary = camera(
        line(0, LogKind.SAMPLE, PC),
        line(50, LogKind.RECOVERED, fault="slow", lasted_s=3600.0),
        line(50, LogKind.RECOVERED, fault="hum", lasted_s=5.0),
    )
    assert summary.faults == {"slow": FaultTotal(1, 50.0), "hum": FaultTotal(1, 5.0)}
    summary = camera(line(0, LogKind.SAMPLE, PC), line(30, LogKind.UNPLUGGED), line(40, LogKind.UNPLUGGED))
    assert (summary.uptime_s, summary.unplugs) == (30.0, 2)


def test_time_in_which_nobody_watched_is_not_counted() -> None:
    night = 8 * 3600
    lines = [
        line(0, LogKind.PLUGGED),
        line(60, LogKind.DEGRADED, fault="slow"),
        line(100, LogKind.SAMPLE, PC),  # and then the power went
        line(night, LogKind.WATCH_STARTED, PC, devices=[CAMERA]),
        line(night + 60, LogKind.SAMPLE, PC),
    ]
    summary = camera(*lines)
    assert (summary.uptime_s, summary.faults) == (160.0, {"slow": FaultTotal(1, 40.0)})
    stopped = line(100, LogKind.WATCH_STOPPED, PC, pid=4711)
    assert camera(line(0, LogKind.PLUGGED), stopped, line(900, LogKind.ROLE_ASSIGNED)).uptime_s == 100.0
    a_part = [line(0, LogKind.PLUGGED), line(100, LogKind.WATCH_STOPPED, PC), line(900, LogKind.UNPLUGGED)]
    assert camera(*a_part).uptime_s == 900.0, "what could not be looked at for once does not end the watch"
    quiet = [line(0, LogKind.PLUGGED), line(night, LogKind.UNPLUGGED)]
    assert camera(*quiet).uptime_s == night, "without a watch that begins anew, a quiet log is a quiet device"


def test_a_fault_ends_with_the_closing_of_its_device() -> None:
    told = [line(0, LogKind.OPENED, pid=1), line(20, LogKind.DEGRADED, fault="hum"), line(90, LogKind.CLOSED)]
    assert camera(*told, line(500, LogKind.SAMPLE)).faults == {"hum": FaultTotal(1, 70.0)}


def test_a_fault_of_a_process_that_was_killed_ends_with_its_last_word() -> None:
    summary = camera(
        line(0, LogKind.OPENED, pid=1),
        line(20, LogKind.DEGRADED, fault="hum"),
        line(50, LogKind.FLAPPING, fault="flapping", unplugs=3),
        line(60, LogKind.SAMPLE),
        line(170, LogKind.OPENED, pid=2),
        line(200, LogKind.DEGRADED, fault="hum"),
        line(210, LogKind.DEGRADED, fault="hum"),
        line(220, LogKind.RECOVERED, fault="hum"),
    )
    assert summary.faults == {"hum": FaultTotal(3, 40.0 + 0.0 + 10.0), "flapping": FaultTotal(1, 170.0)}


def test_what_flapping_does_not_tell_each_time_is_counted() -> None:
    summary = camera(
        line(0, LogKind.PLUGGED),
        line(100, LogKind.UNPLUGGED),
        line(101, LogKind.PLUGGED),
        line(200, LogKind.UNPLUGGED),
        line(201, LogKind.PLUGGED),
        line(210, LogKind.UNPLUGGED),
        line(211, LogKind.PLUGGED),
        line(220, LogKind.FLAPPING, fault="flapping", unplugs=3),  # the last two and this one
        line(280, LogKind.FLAPPING, fault="flapping", unplugs=10),
        line(350, LogKind.RECOVERED, fault="flapping", unplugs=12, lasted_s=150, plugged=True),
        line(400, LogKind.SAMPLE, PC),
    )
    assert summary.unplugs == 1 + 12
    assert summary.faults == {"flapping": FaultTotal(1, 130.0)}
    assert summary.uptime_s == 100 + 99 + 9 + 9 + 50


def test_a_device_that_gets_another_id_is_not_two() -> None:
    old = "046d:0825@1-1"
    told = [line(0, LogKind.PLUGGED, old), line(60, LogKind.RENAMED, before=old), line(100, LogKind.SAMPLE, PC)]
    assert {one.device: one.uptime_s for one in summarise(told)} == {old: 60.0, CAMERA: 40.0, PC: 0.0}


def test_a_step_has_the_lowest_rate_and_all_that_was_lost_in_it() -> None:
    told = [
        line(0, LogKind.SAMPLE, name="Webcam", fps=12.5, missing=2, damaged=3),
        line(60, LogKind.SAMPLE, name="Webcam", fps=30.0, missing=1, damaged=0),
        line(60, LogKind.DEGRADED, fault="slow"),
        line(120, LogKind.SAMPLE, fps=29, missing=0),
        line(14_400, LogKind.FLAPPING),
    ]
    (found,) = timelines(told, NINE, NINE + timedelta(hours=4))
    assert found.name == "Webcam"
    assert found.fps[:2] == [12.5, 29]
    assert set(found.fps[2:]) == {None}
    assert found.lost[:3] == [6, 0, 0]
    assert (found.faults[0], found.faults[-1], sum(found.faults)) == (1, 1, 2)


def test_the_pc_comes_last_and_what_has_nothing_to_show_not_at_all() -> None:
    told = [
        line(60, LogKind.DEGRADED, PC, fault="low-disk"),
        line(60, LogKind.SAMPLE, "M", "Mik", overflows=2, lost_s=0.1),
        line(60, LogKind.SAMPLE, "B", "Kamera", fps=None, missing="?"),
        line(60, LogKind.PLUGGED, "C", "Kartu"),
    ]
    found = timelines(told, NINE, NINE + timedelta(minutes=5))
    assert [(one.device, sum(one.lost), sum(one.faults)) for one in found] == [("M", 2, 0), (PC, 0, 1)]


# The health of devices now, from the log alone


NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
OURS, OTHER = 100, 200


class Log:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._at = NOW - timedelta(minutes=1)

    def add(self, kind: LogKind, reason: str = "", **detail: object) -> datetime:
        self._at += timedelta(seconds=1)
        line = HealthLine(at=self._at, device=CAMERA, kind=kind, reason=reason, detail=detail)
        with (self._folder / "2026-11-25.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        return self._at

    def now(self, alive: Collection[int] = (OURS,)) -> Health | None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(summary, "_is_alive", lambda pid, _at: pid in alive)
            faults = active_health(self._folder, now=NOW)
        assert set(faults) <= {CAMERA}
        return faults.get(CAMERA)

    def fault(self) -> str | None:
        health = self.now()
        return health.fault if health else None


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_a_fault_counts_until_it_has_ended(log: Log) -> None:
    log.add(LogKind.OPENED, pid=OURS)
    assert log.now() is None
    at = log.add(LogKind.DEGRADED, "it gives nothing", fault="no-data", after_s=0.7)
    assert log.now() == Health(HealthState.SILENT, "it gives nothing", at - timedelta(seconds=0.7), "no-data")
    log.add(LogKind.RECOVERED, fault="no-data")
    assert log.now() is None


def test_a_fault_ends_with_its_process_or_when_the_device_is_closed_or_another_process_opens_it(log: Log) -> None:
    log.add(LogKind.OPENED, pid=OURS)
    log.add(LogKind.DEGRADED, fault="slow")
    assert log.now([OTHER]) is None
    log.add(LogKind.CLOSED)
    assert log.now() is None
    log.add(LogKind.OPENED, pid=OURS)
    log.add(LogKind.DEGRADED, fault="slow")
    log.add(LogKind.OPENED, pid=OURS)  # the same one, again: it says itself when the fault is over
    assert log.now()
    log.add(LogKind.OPENED, pid=OTHER)
    assert log.now([OURS, OTHER]) is None


@pytest.mark.parametrize("fault", ["lost", "slow-port"])
def test_what_is_wrong_whether_a_device_is_open_or_not_outlives_its_closing(log: Log, fault: str) -> None:
    log.add(LogKind.OPENED, pid=OURS)
    log.add(LogKind.DEGRADED, fault=fault)
    log.add(LogKind.CLOSED)
    log.add(LogKind.OPENED, pid=OTHER)
    assert log.fault() == fault


@pytest.mark.parametrize(
    ("kind", "detail", "left"),
    [
        (LogKind.PLUGGED, {}, "hum"),
        (LogKind.RECOVERED, {"fault": "flapping", "plugged": True}, "hum"),
        (LogKind.RECOVERED, {"fault": "flapping", "plugged": False}, "lost"),
    ],
)
def test_one_that_is_plugged_in_is_not_lost(log: Log, kind: LogKind, detail: dict[str, Any], left: str) -> None:
    log.add(LogKind.OPENED, pid=OURS)
    for fault in ("hum", "lost"):
        log.add(LogKind.DEGRADED, fault=fault)
    log.add(LogKind.FLAPPING, fault="flapping", pid=OURS)
    assert log.fault() == "lost"
    log.add(kind, "", **detail)
    log.add(LogKind.RECOVERED, fault="flapping")
    assert log.fault() == left


def test_a_fault_of_a_device_that_nobody_could_open_names_its_process_itself(log: Log) -> None:
    log.add(LogKind.DEGRADED, "another program holds it", fault="busy", pid=OURS)
    health = log.now()
    assert health
    assert health.state is HealthState.BUSY
    assert log.now([OTHER]) is None


def test_only_the_process_that_wrote_the_line_counts_as_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)

    def has_fault(name: str, pid: int = 0, at: datetime = now) -> bool:
        folder = tmp_path / name
        folder.mkdir()
        line = HealthLine(at=at, device=CAMERA, kind="degraded", detail={"fault": "hum", "pid": pid or os.getpid()})
        (folder / f"{at:%Y-%m-%d}.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")
        return bool(active_health(folder, now=now))

    assert has_fault("ours")
    assert not has_fault("before us", at=now - timedelta(hours=40)), "the number was another process's then"
    ended = next(pid for pid in range(4_000_000, 1, -1) if not psutil.pid_exists(pid))
    assert not has_fault("ended", ended)
    # Another process got the number soon after a power cut: within the minute that clocks may be off.
    monkeypatch.setattr(psutil, "boot_time", lambda: now.timestamp() + 10)
    assert not has_fault("before the start")


def health(fault: str | None) -> Health:
    if fault is None:
        return Health()
    return Health(FAULT_STATES[Fault(fault)] if fault in set(Fault) else HealthState.DEGRADED, fault, NOW, fault)


@pytest.mark.parametrize(
    ("own", "found", "shown"),
    [
        (None, "slow-port", "slow-port"),
        ("swapped", "flapping", "flapping"),
        ("no-data", "denied", "denied"),
        ("denied", "slow-port", "denied"),
        # Whoever has it open knows how it is; what is wrong with its port alone is less than that it is in use.
        ("busy", "frozen", "frozen"),
        ("busy", "of-tomorrow", "of-tomorrow"),
        ("busy", "slow-port", "busy"),
        ("busy", "lost", "lost"),
    ],
)
def test_what_others_have_found_counts_unless_something_worse_is_seen(own: str | None, found: str, shown: str) -> None:
    device = Device(id=CAMERA, kind=DeviceKind.CAMERA, name="Webcam", health=health(own))
    assert with_logged_health(device, health(found)).health == health(shown)
    assert with_logged_health(device, None) == device
