"""The device service: one at a time writes and acts, all know what is plugged in, and nothing of it hurts its owner."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from config.settings.schema import Settings
from devices import device_service as module
from devices.device_service import DeviceService, DeviceServiceLock, connected_devices
from devices.health.log_line import PC, HealthLogger, LogKind, LogLevel
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import HealthLog, open_health_log
from devices.host.clock import Clock, SystemClock
from devices.kernel.message_log import KernelMessageWriter
from devices.model.device import Device, DeviceKind, Mode
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.monitor import DeviceMonitor, OnChange
from devices.roles.assignment import assign, roles_store
from devices.usb.slow_ports import SlowPortTracker
from tests.support.command import ROOT
from tests.support.health import Recorded
from tests.support.ports import WEBCAM, PortRoom
from tests.support.waiting import wait_for

MODES = (Mode("MJPG", 640, 480, (30.0,)),)
CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", port="1-2", node="/dev/video0", modes=MODES)
OTHER = Device(id="046d:0825:B2", kind=DeviceKind.CAMERA, name="Other", port="1-3", node="/dev/video2")


class FakeMonitor(DeviceMonitor):
    """Tells what a test tells it, as DeviceMonitor does: the line first, then the change."""

    def __init__(self, on_change: OnChange, record: HealthLogger, devices: tuple[Device, ...]) -> None:
        self._tell_of = on_change
        self._record = record
        self._devices = devices
        self.is_running = False

    def start(self) -> None:
        self.is_running = True

    def stop(self) -> None:
        self.is_running = False

    @property
    def is_watching(self) -> bool:
        return self.is_running

    def devices(self) -> tuple[Device, ...]:
        return self._devices

    def tell(self, kind: ChangeKind, device: Device, before: Device | None = None) -> None:
        others = tuple(one for one in self._devices if one.id != device.id)
        self._devices = others if kind is ChangeKind.UNPLUGGED else (*others, device)
        self._record(device.id, LogKind(kind) if kind is not ChangeKind.CHANGED else LogKind.PLUGGED, name=device.name)
        self._tell_of(DeviceChange(kind, device, before, self._devices))


class RecordedLog(Recorded, HealthLog):
    """Keeps its lines in memory. Only the lock is in its folder."""

    def __init__(self, folder: Path) -> None:
        Recorded.__init__(self, SystemClock())
        self.folder = folder


SETTINGS = msgspec.convert({"devices": {"power_line_frequency": "60 Hz"}}, Settings)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.applied: list[tuple[str | None, str]] = []
        self.services: list[DeviceService] = []
        self.monitors: list[FakeMonitor] = []
        self.records: list[Recorded] = []

    def service(self, *devices: Device, on_change: OnChange | None = None) -> DeviceService:
        def monitor(on_change: OnChange, clock: Clock, record: HealthLogger) -> FakeMonitor:
            self.monitors.append(FakeMonitor(on_change, record, devices))
            return self.monitors[-1]

        recorded = RecordedLog(self.folder)
        service = DeviceService(
            recorded, SETTINGS, SystemClock(), archive=self.folder, on_change=on_change, monitor=monitor
        )
        self.services.append(service)
        self.records.append(recorded)
        service.start()
        return service

    def begun(self, *devices: Device, on_change: OnChange | None = None) -> DeviceService:
        """Return a service that has the lock, and has begun to work."""
        service, recorded = self.service(*devices, on_change=on_change), self.records[-1]
        wait_for(lambda: recorded.of(LogKind.WATCH_STARTED))
        return service

    def apply(self, device: Device, *, power_line: str, record: HealthLogger) -> None:
        self.applied.append((device.node, power_line))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(tmp_path / "health")
    monkeypatch.setattr(module, "restore_preset", bench.apply)
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    yield bench
    for service in bench.services:
        service.stop()


def threads(name: str) -> int:
    return sum(thread.name.startswith(name) for thread in threading.enumerate())


def kinds(recorded: Recorded) -> list[str]:
    return [line.kind for line in recorded.lines if line.kind not in {LogKind.SAMPLE, LogKind.KERNEL}]


def test_it_says_that_it_watches_and_what_it_found_and_sets_every_camera(bench: Bench) -> None:
    service = bench.service(CAMERA, OTHER)
    assert service.devices() == (CAMERA, OTHER)
    wait_for(lambda: len(bench.applied) == 2)
    assert sorted(map(str, bench.applied)) == ["('/dev/video0', '60 Hz')", "('/dev/video2', '60 Hz')"]
    (recorded,) = bench.records
    wait_for(lambda: recorded.of(LogKind.SAMPLE, PC))
    service.stop()
    service.stop()
    started, stopped = (line for line in recorded.lines if line.kind not in {LogKind.SAMPLE, LogKind.KERNEL})
    assert (started.device, started.kind, started.level) == (PC, LogKind.WATCH_STARTED, LogLevel.INFO)
    assert started.detail == {"pid": os.getpid(), "devices": [CAMERA.id, OTHER.id]}
    assert (stopped.kind, stopped.detail) == (LogKind.WATCH_STOPPED, {"pid": os.getpid()})
    assert not bench.monitors[0].is_running


@pytest.mark.parametrize(
    ("kind", "before", "is_set"),
    [
        (ChangeKind.PLUGGED, None, True),
        (ChangeKind.CHANGED, msgspec.structs.replace(CAMERA, node="/dev/video7"), True),
        (ChangeKind.CHANGED, msgspec.structs.replace(CAMERA, id="046d:0825@1-2"), True),
        (ChangeKind.CHANGED, msgspec.structs.replace(CAMERA, modes=()), True),
        (ChangeKind.CHANGED, msgspec.structs.replace(CAMERA, name="as it was called"), False),
        (ChangeKind.UNPLUGGED, CAMERA, False),
    ],
)
def test_a_camera_is_set_when_it_is_there_anew(
    bench: Bench, kind: ChangeKind, before: Device | None, is_set: bool
) -> None:
    bench.begun()
    bench.monitors[0].tell(kind, CAMERA, before)
    bench.monitors[0].tell(ChangeKind.PLUGGED, OTHER)
    wait_for(lambda: ("/dev/video2", "60 Hz") in bench.applied)
    wait_for(lambda: threads("presets-") == 0)
    assert (("/dev/video0", "60 Hz") in bench.applied) is is_set


def test_a_second_one_sees_everything_and_does_nothing_until_the_first_has_ended(bench: Bench) -> None:
    seen: list[DeviceChange] = []
    first = bench.begun()
    second = bench.service(CAMERA, on_change=seen.append)
    bench.monitors[1].tell(ChangeKind.PLUGGED, OTHER)
    assert [change.device for change in seen] == [OTHER]
    assert second.devices() == (CAMERA, OTHER)
    assert (first.keeps_the_log, second.keeps_the_log) == (True, False)
    assert (bench.records[1].lines, bench.applied) == ([], [])
    first.stop()
    wait_for(lambda: len(bench.applied) == 2)
    assert second.keeps_the_log
    assert kinds(bench.records[1]) == [LogKind.WATCH_STARTED]
    assert bench.records[1].of(LogKind.WATCH_STARTED)[0].detail["devices"] == [CAMERA.id, OTHER.id]


def test_twins_are_told_apart_by_their_ports(bench: Bench) -> None:
    store, room = roles_store(), PortRoom()
    room.plug(WEBCAM, "1-1")
    (camera,) = room.devices()
    assign(store, "podium", camera, [camera], now=SystemClock().now(), record=Recorded(SystemClock()))
    room.plug(WEBCAM, "1-2")
    bench.service(*room.devices())
    wait_for(lambda: store.read()["podium"].shared_serial == camera.serial)
    assert store.read()["podium"].serial is None


def test_who_fails_when_told_of_a_change_is_a_line_and_no_more(bench: Bench) -> None:
    def fail(change: DeviceChange) -> None:
        raise ValueError("no such row")

    bench.begun(on_change=fail)
    bench.monitors[0].tell(ChangeKind.PLUGGED, CAMERA)
    (line,) = bench.records[0].of(LogKind.WATCH_STOPPED)
    assert (line.device, line.level) == (PC, LogLevel.WARN)
    assert "no such row" in line.reason
    wait_for(lambda: bench.applied)


def test_where_nothing_tells_what_is_plugged_in_the_rest_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: FakeMonitor) -> None:
        raise OSError(1, "no netlink here")

    monkeypatch.setattr(FakeMonitor, "start", fail)
    service = bench.service()
    (recorded,) = bench.records
    wait_for(lambda: recorded.of(LogKind.SAMPLE, PC))
    said = "the devices of this PC are not watched: [Errno 1] no netlink here"
    assert said in [line.reason for line in recorded.lines]
    assert service.devices() == ()


def test_where_no_lock_can_be_kept_that_is_one_line_and_each_does_all_of_it(bench: Bench) -> None:
    bench.folder.write_text("a file where the folder should be")
    seen: list[DeviceChange] = []
    for _ in range(2):
        bench.service(on_change=seen.append)
        bench.monitors[-1].tell(ChangeKind.PLUGGED, CAMERA)
        wait_for(lambda: LogKind.WATCH_STARTED in kinds(bench.records[-1]))
    wait_for(lambda: len(bench.applied) >= 2)
    for service, recorded in zip(bench.services, bench.records, strict=True):
        assert service.keeps_the_log
        service.stop()
        line = recorded.of(LogKind.WATCH_STOPPED)[0]
        assert line.level is LogLevel.WARN
        assert line.reason.startswith("cannot announce this device monitor to other processes:")
        assert line.reason.endswith(f"{bench.folder}: File exists")
        assert len(recorded.of(LogKind.WATCH_STOPPED)) == 2
    assert [change.device for change in seen] == [CAMERA, CAMERA]


def test_a_folder_of_root_is_said_with_the_command_to_get_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: DeviceServiceLock) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(bench.folder / "watch.lock"))

    monkeypatch.setattr(DeviceServiceLock, "acquire", denied)
    bench.begun()
    line = bench.records[0].of(LogKind.WATCH_STOPPED)[0]
    assert line.reason.endswith(f"{bench.folder}/watch.lock: Permission denied")
    assert line.detail["advice"] == f'If it is root\'s: sudo chown -R "$USER" {bench.folder.parent}'


def test_a_port_that_takes_long_holds_up_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, at_ports, of_kernel = threading.Event(), list[Sequence[Device]](), list[Sequence[Device]]()

    def observe(self: SlowPortTracker, devices: Sequence[Device]) -> None:
        at_ports.append(devices)
        hangs.wait(20)

    monkeypatch.setattr(SlowPortTracker, "observe", observe)
    monkeypatch.setattr(KernelMessageWriter, "observe", lambda _self, devices: of_kernel.append(devices))
    monkeypatch.setattr(module, "_STOPS_S", 0.05)
    service = bench.service(OTHER)
    wait_for(lambda: at_ports)
    bench.monitors[0].tell(ChangeKind.PLUGGED, CAMERA)
    wait_for(lambda: ("/dev/video0", "60 Hz") in bench.applied)
    assert [list(devices) for devices in (*at_ports, of_kernel[-1])] == [[OTHER], [OTHER, CAMERA]]
    service.stop()
    assert kinds(bench.records[0])[-1] == LogKind.WATCH_STOPPED
    hangs.set()
    wait_for(lambda: threads("device-service") == 0)


def test_a_service_that_cannot_be_ended_hides_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_service: DeviceService) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(DeviceService, "stop", stop)
    with open_health_log(Settings(), SystemClock()) as log:
        with pytest.raises(ZeroDivisionError), DeviceService(log, Settings(), SystemClock()):
            divmod(1, 0)
        assert log.flush(60)
        (line,) = read(log.folder, LogFilter())
    assert (line.device, line.kind, line.level) == (PC, LogKind.WATCH_FAILED, LogLevel.WARN)
    said = r"the watch could not be ended: RuntimeError\('a bug'\) at devices/\w+\.py:\d+; please report this"
    assert re.fullmatch(said, line.reason)


def test_devices_are_looked_for_anew_where_those_who_watch_them_have_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.device_service.list_devices", lambda: [OTHER])
    looker = SimpleNamespace(is_watching=True, devices=lambda: [CAMERA])
    service = cast("DeviceService", looker)
    assert connected_devices(None) == [OTHER]
    assert connected_devices(service) == [CAMERA]
    looker.is_watching = False
    assert connected_devices(service) == [OTHER]


# The lock: one process holds it, until it ends in any way


HOLDER = """
import os, sys, time
from pathlib import Path
from devices.device_service import DeviceServiceLock
lock = DeviceServiceLock(Path(sys.argv[1]))
taken = lock.acquire()
os.system("sleep 60 &")
print(taken, flush=True)
time.sleep(60)
"""


def test_a_holder_that_is_killed_leaves_it_and_its_children_do_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "watch.lock"
    lock = DeviceServiceLock(path)
    words = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"  # its child runs by then
        assert not lock.acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        wait_for(lock.acquire)
        os.killpg(holder.pid, signal.SIGKILL)
    lock.release()


def test_who_ends_does_not_wait_for_a_folder_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, hangs = threading.Event(), threading.Event()

    def flock(fd: int, how: int) -> None:
        hangs.set()
        release.wait(60)

    monkeypatch.setattr("devices.device_service.fcntl.flock", flock)
    lock = DeviceServiceLock(tmp_path / "watch.lock")
    taking = threading.Thread(target=lock.acquire)
    taking.start()
    assert hangs.wait(30)
    lock.release()
    assert taking.is_alive()
    release.set()
    taking.join()
    lock.release()
    assert not lock.is_held
