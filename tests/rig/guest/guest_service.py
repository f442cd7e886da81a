"""The device service with real drivers, the real journal and real limits: set, told, written down, and in time."""

import contextlib
import fcntl
import json
import os
import queue
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings.schema import Settings
from devices.device_service import DeviceService
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import SOCKET, HealthLog
from devices.host.clock import SystemClock
from devices.host.priority import NICE, REALTIME, SOUND_NICE
from devices.kernel import message_log, v4l2
from devices.kernel.message_log import JournalSource, KernelLogFollower, KernelMessageWriter
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.snapshot import list_devices
from devices.monitor.use_watcher import ASK_S
from tests.rig.rig import CAMERA, RigDevice, plugged, streaming
from tests.support.command import Running, running
from tests.support.health import Recorded
from tests.support.processes import asked, figures
from tests.support.waiting import wait_for

JOURNALD = "/usr/lib/systemd/systemd-journald"
SHOWN_S = ASK_S + 2.0  # by when it is shown who uses a device: a question, and a look
USBDEVFS_RESET = ord("U") << 8 | 20


class Room:
    """One device service that runs in this process, and its health log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changes: queue.SimpleQueue[DeviceChange] = queue.SimpleQueue()
        self.log = HealthLog(folder, clock=SystemClock(), journal=None)
        self.service = DeviceService(self.log, Settings(), SystemClock(), on_change=self.changes.put)

    def until(self, kind: ChangeKind, serial: str = "CAM0001") -> None:
        while (change := self.changes.get(timeout=20)).kind is not kind or change.device.serial != serial:
            pass

    def lines(self, kind: LogKind) -> list[HealthLine]:
        self.log.flush()
        return list(read(self.folder, LogFilter(kinds=(kind,))))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "health")
    with room.log, room.service:
        room.service.start()
        yield room


def test_a_camera_is_set_after_every_enumeration_and_what_the_kernel_says_of_it_is_in_its_lines_at_once(
    camera: RigDevice, room: Room
) -> None:
    for times in (1, 2):
        camera.plug(0)
        room.until(ChangeKind.PLUGGED)
        plugged_at = time.monotonic()
        wait_for(lambda: camera.get("controls.power_line_frequency") == "1", 5.0)
        assert time.monotonic() - plugged_at < 2.0
        applied = wait_for(lambda: room.lines(LogKind.CONTROLS_APPLIED)[times - 1 :])  # noqa: B023 - called at once
        assert [(line.device, line.level, line.reason) for line in applied] == [
            (CAMERA, LogLevel.INFO, "power_line_frequency=50 Hz")
        ]
        if times == 1:
            camera.unplug()
            room.until(ChangeKind.UNPLUGGED)
    # The kernel's last words of it were still its own, and no warning.
    told = [(line.device, line.level, line.detail["topic"]) for line in room.lines(LogKind.KERNEL)]
    assert told == [(CAMERA, LogLevel.INFO, "disconnect")]
    began = time.monotonic()
    _reset(camera)
    line = wait_for(lambda: [one for one in room.lines(LogKind.KERNEL) if one.detail["topic"] == "reset"], 10.0)[0]
    assert time.monotonic() - began < 2.0
    assert (line.device, line.name, line.level) == (CAMERA, "Rig Webcam", LogLevel.WARN)
    assert line.reason == f"usb 1-1: reset high-speed USB device number {_number(camera)} using vhci_hcd"
    assert str(line.detail["advice"]).startswith("Check the cable")


def test_a_camera_that_hangs_holds_up_neither_another_ones_presets_nor_the_monitor_nor_the_end(
    camera: RigDevice, tmp_path: Path
) -> None:
    plugged(camera, 0, CAMERA)
    camera.set("device.silent", "true")
    room = Room(tmp_path / "health")
    with RigDevice("webcam", serial="CAM0002") as other, room.log:
        with room.service:
            room.service.start()
            began = time.monotonic()
            other.plug(1)
            room.until(ChangeKind.PLUGGED, "CAM0002")
            assert time.monotonic() - began < 2.0
            wait_for(lambda: other.get("controls.power_line_frequency") == "1", 5.0)
            assert time.monotonic() - began < 3.0
            ended = time.monotonic()
        assert time.monotonic() - ended < 2.0
        assert [line.device for line in room.lines(LogKind.CONTROLS_APPLIED)] == ["046d:0825:CAM0002"]
    camera.set("device.silent", "false")


def health_after(watch: Running, act: Callable[[], object]) -> dict[str, Any]:
    """Do something, and return the health of the camera that is told in time because of it."""
    began = time.monotonic()
    act()
    device: Any = watch.until("device-change", change="health")["device"]
    assert time.monotonic() - began < SHOWN_S
    assert device["id"] == CAMERA
    health: dict[str, Any] = device["health"]
    return health


def test_who_uses_a_camera_is_a_line_of_the_watch_whether_it_is_opened_or_streamed_from(
    camera: RigDevice, tmp_path: Path
) -> None:
    node = plugged(camera, 0, CAMERA).node or ""
    with running(tmp_path, "devices", "--watch", "--json") as watch:
        watch.until("devices")
        with contextlib.ExitStack() as viewing:
            viewers: list[subprocess.Popen[str]] = []
            health = health_after(watch, lambda: viewers.append(viewing.enter_context(streaming(node))))
            assert health["state"] == "busy"
            assert health["reason"] == f"Rig Webcam ({node}) is used by pid {viewers[0].pid} (v4l2-ctl)"
            # However often it was looked at, the stream has gone on.
            assert viewers[0].stdout is not None
            assert any("cap dqbuf" in line for line in viewers[0].stdout)
            assert health_after(watch, viewing.close)["state"] == "ok"
        # What desktops do: they have it open all the time, and stream when somebody wants to see something.
        fd = os.open(node, os.O_RDWR)
        try:
            for count, state in ((2, "busy"), (0, "ok")):
                request = v4l2.Requestbuffers()
                request.count, request.type, request.memory = count, v4l2.BUF_TYPE_VIDEO_CAPTURE, v4l2.MEMORY_MMAP
                asking = (fd, v4l2.VIDIOC_REQBUFS, request)
                assert health_after(watch, lambda: fcntl.ioctl(*asking))["state"] == state  # noqa: B023 - at once
        finally:
            os.close(fd)


def _number(rig: RigDevice) -> int:
    return int(Path(rig.sysfs_path, "devnum").read_text())


def _reset(rig: RigDevice) -> None:
    """Reset a device as the kernel does when it has lost patience with one."""
    with Path(f"/dev/bus/usb/001/{_number(rig):03}").open("wb", buffering=0) as device:
        fcntl.ioctl(device, USBDEVFS_RESET)


# The journal


@pytest.fixture
def journald() -> Iterator[None]:
    """Run journald by hand, as nothing else does in this machine; it needs a cgroup to look up."""
    cgroup = Path("/sys/fs/cgroup")
    if not (cgroup / "cgroup.procs").exists():
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", cgroup], check=True)
    Path("/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    for folder in ("/run/systemd/journal", "/run/log/journal"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    SOCKET.unlink(missing_ok=True)
    with subprocess.Popen([JOURNALD], stderr=subprocess.DEVNULL) as process:
        wait_for(SOCKET.exists, what="journald's socket")
        yield
        process.terminate()


def test_journald_has_the_lines_with_their_fields_and_does_without_samples(journald: None, tmp_path: Path) -> None:
    with HealthLog(tmp_path, clock=SystemClock()) as health_log:
        health_log(CAMERA, LogKind.DEGRADED, "two\nPRIORITY=0", name="Webcam", level=LogLevel.ERROR, fault="no-data")
        health_log(CAMERA, LogKind.SAMPLE, level=LogLevel.DEBUG, fps=30.0)
        health_log(CAMERA, LogKind.KERNEL, "é" * 100_000, level=LogLevel.WARN)
        assert health_log.flush(30)
    subprocess.run(["journalctl", "--sync"], check=True, timeout=60)
    words = ["journalctl", "--output=json", "--no-pager", "--quiet", "SYSLOG_IDENTIFIER=liput"]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    degraded, kernel = map(json.loads, told.splitlines())
    fields = ("MESSAGE", "PRIORITY", "LIPUT_DEVICE", "LIPUT_KIND", "LIPUT_FAULT", "_TRANSPORT")
    assert [degraded[name] for name in fields] == [
        "Webcam: degraded: two\nPRIORITY=0", "3", CAMERA, "degraded", "no-data", "journal",
    ]  # fmt: skip
    assert (kernel["PRIORITY"], kernel["MESSAGE"][-3:], "LIPUT_FAULT" in kernel) == ("4", "ééé", False)


def test_the_journal_stands_in_for_kmsg(camera: RigDevice, journald: None, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(SystemClock())
    writer = KernelMessageWriter(recorded, SystemClock())
    plugged(camera, 0, CAMERA)
    writer.observe(list_devices())
    monkeypatch.setattr(message_log, "open_source", JournalSource)
    log = KernelLogFollower(writer, recorded)
    log.start()
    # journalctl does not tell when it has begun to follow; a busy journal may still give what was before.
    while not (lines := _resets(recorded)):
        _reset(camera)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: _resets(recorded), 3.0)
    log.stop()
    assert {(line.device, line.kind) for line in lines} == {(CAMERA, LogKind.KERNEL)}


def _resets(recorded: Recorded) -> list[HealthLine]:
    return [line for line in recorded.lines if line.detail.get("topic") == "reset"]


# The machine


def test_whatever_is_written_stays_in_the_machine() -> None:
    for path in (Path("/etc/liput-rig-test"), Path(__file__).with_name("written-in-the-guest")):
        path.touch()  # over the host's files
        with pytest.raises(OSError, match="Read-only file system"):
            Path(f"/run/host-root{path}").touch()


# Limits, as the unit of a recorder has them: raised by root for an ordinary user


@pytest.mark.parametrize(
    ("nice", "realtime", "got", "sound"),
    [(SOUND_NICE, REALTIME, (NICE, REALTIME), "realtime"), (SOUND_NICE, 0, (NICE, 0), f"nice {SOUND_NICE}")],
)
def test_what_the_limits_allow_is_taken(nice: int, realtime: int, got: tuple[int, int], sound: str) -> None:
    told = asked(nice=nice, realtime=realtime)
    assert figures(told["may"]) == figures(told["got"]) == got
    assert (told["thread"], told["sound"]) == (NICE, sound)
    policy = os.SCHED_RR if realtime else os.SCHED_OTHER
    assert told["policies"] == [os.SCHED_OTHER, policy, policy]
