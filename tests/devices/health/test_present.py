"""What is wrong with devices now, told from the log alone."""

import os
import subprocess
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from devices.health.faults import FAULT_STATES, Fault
from devices.health.log_line import HealthLine, LogKind
from devices.health.summary import active_health, with_logged_health
from devices.model.device import Device, DeviceKind, Health, HealthState

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
CAMERA = "046d:0825:A1"
OURS, OTHER = 100, 200


class Log:
    """Lines of one camera, a second apart, up to now."""

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
        faults = active_health(self._folder, now=NOW, is_alive=lambda pid, _: pid in alive)
        assert set(faults) <= {CAMERA}
        return faults.get(CAMERA)


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


def test_the_worst_fault_is_the_health(log: Log) -> None:
    log.add(LogKind.OPENED, pid=OURS)
    for fault in ("hum", "no-data", "slow"):
        log.add(LogKind.DEGRADED, fault, fault=fault)
    health = log.now()
    assert health
    assert health.fault == "no-data"


def test_a_fault_ends_with_the_process_that_found_it(log: Log) -> None:
    log.add(LogKind.OPENED, pid=OURS)
    log.add(LogKind.DEGRADED, fault="slow")
    assert log.now(alive=[OURS])
    assert log.now(alive=[OTHER]) is None


def test_a_fault_ends_when_the_device_is_closed_or_another_process_opens_it(log: Log) -> None:
    log.add(LogKind.OPENED, pid=OURS)
    log.add(LogKind.DEGRADED, fault="slow")
    log.add(LogKind.CLOSED)
    assert log.now() is None
    log.add(LogKind.OPENED, pid=OURS)
    log.add(LogKind.DEGRADED, fault="slow")
    log.add(LogKind.OPENED, pid=OURS)  # the same one, again: it says itself when the fault is over
    assert log.now()
    log.add(LogKind.OPENED, pid=OTHER)
    assert log.now([OURS, OTHER]) is None


@pytest.mark.parametrize("fault", ["lost", "busy", "flapping", "slow-port"])
def test_what_is_wrong_whether_a_device_is_open_or_not_outlives_its_closing(log: Log, fault: str) -> None:
    log.add(LogKind.OPENED, pid=OURS)
    log.add(LogKind.DEGRADED, fault=fault)
    log.add(LogKind.CLOSED)
    log.add(LogKind.OPENED, pid=OTHER)
    health = log.now()
    assert health
    assert health.fault == fault


@pytest.mark.parametrize(
    ("kind", "detail"),
    [(LogKind.PLUGGED, {}), (LogKind.MOVED, {}), (LogKind.RECOVERED, {"fault": "flapping", "plugged": True})],
)
def test_a_device_that_was_lost_is_not_any_more_when_it_is_plugged_in(
    log: Log, kind: LogKind, detail: dict[str, Any]
) -> None:
    log.add(LogKind.OPENED, pid=OURS)
    log.add(LogKind.DEGRADED, fault="hum")
    log.add(LogKind.DEGRADED, fault="lost")
    log.add(kind, "", **detail)
    health = log.now()
    assert health
    assert health.fault == "hum"


def test_a_device_that_comes_and_goes_has_a_fault(log: Log) -> None:
    log.add(LogKind.FLAPPING, fault="flapping", pid=OURS)
    health = log.now()
    assert health
    assert health.fault == "flapping"
    log.add(LogKind.RECOVERED, fault="flapping")
    assert log.now() is None


def test_a_fault_of_a_device_that_nobody_could_open_names_its_process_itself(log: Log) -> None:
    log.add(LogKind.DEGRADED, "another program holds it", fault="busy", pid=OURS)
    health = log.now()
    assert health
    assert health.state is HealthState.BUSY
    assert log.now([OTHER]) is None


def test_a_fault_that_a_newer_liput_knows_is_a_degraded_device(log: Log) -> None:
    log.add(LogKind.DEGRADED, "odd", fault="odd", pid=OURS)
    health = log.now()
    assert health
    assert (health.state, health.fault) == (HealthState.DEGRADED, "odd")


def test_one_that_comes_and_goes_no_more_and_is_not_there_is_still_lost(log: Log) -> None:
    log.add(LogKind.DEGRADED, fault="lost", pid=OURS)
    log.add(LogKind.RECOVERED, fault="flapping", plugged=False)
    health = log.now()
    assert health
    assert health.fault == "lost"


def test_a_fault_from_before_the_pc_was_started_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    line = HealthLine(at=now, device=CAMERA, kind="degraded", detail={"fault": "hum", "pid": os.getpid()})
    (tmp_path / f"{now:%Y-%m-%d}.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")
    assert active_health(tmp_path, now=now)
    # Another process got the number soon after a power cut: within the minute that clocks may be off.
    monkeypatch.setattr(psutil, "boot_time", lambda: now.timestamp() + 10)
    assert not active_health(tmp_path, now=now)


def test_only_the_process_that_wrote_the_line_counts_as_alive(tmp_path: Path) -> None:
    def has_fault(name: str, pid: int, at: datetime) -> bool:
        folder = tmp_path / name
        folder.mkdir()
        line = HealthLine(at=at, device=CAMERA, kind="degraded", detail={"fault": "hum", "pid": pid})
        (folder / f"{at:%Y-%m-%d}.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")
        return bool(active_health(folder, now=datetime.now(UTC)))

    now = datetime.now(UTC)
    assert has_fault("ours", os.getpid(), now)
    assert not has_fault("before us", os.getpid(), now - timedelta(hours=40)), "the number was another process's then"
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not has_fault("ended", ended.pid, now)


def health(fault: str | None) -> Health:
    if fault is None:
        return Health()
    return Health(FAULT_STATES[Fault(fault)] if fault in set(Fault) else HealthState.DEGRADED, fault, NOW, fault)


@pytest.mark.parametrize(
    ("own", "found", "shown"),
    [
        (None, "slow-port", "slow-port"),
        (None, "of-tomorrow", "of-tomorrow"),
        ("slow-port", "of-tomorrow", "slow-port"),
        ("swapped", "flapping", "flapping"),
        ("flapping", "swapped", "flapping"),
        ("denied", "slow-port", "denied"),
        ("no-data", "denied", "denied"),
        # Whoever has it open knows how it is; what is wrong with its port alone is less than that it is in use.
        ("busy", "frozen", "frozen"),
        ("busy", "hum", "hum"),
        ("busy", "of-tomorrow", "of-tomorrow"),
        ("busy", "flapping", "busy"),
        ("busy", "slow-port", "busy"),
        ("busy", "lost", "lost"),
    ],
)
def test_what_others_have_found_counts_unless_something_worse_is_seen(own: str | None, found: str, shown: str) -> None:
    device = Device(id=CAMERA, kind=DeviceKind.CAMERA, name="Webcam", health=health(own))
    assert with_logged_health(device, health(found)).health == health(shown)
    assert with_logged_health(device, None) == device
