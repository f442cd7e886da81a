"""The device service with real drivers: what is plugged in is shown, set and written down, and the kernel is heard."""

import contextlib
import fcntl
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.settings.schema import Settings
from devices.device_service import RETRY_S, DeviceService
from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from devices.kernel import v4l2
from devices.kernel.message_log import FOLLOW_JOURNAL, JOURNALS, JournalSource, KernelLogFollower, KernelMessageWriter
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.snapshot import list_devices
from devices.monitor.use_watcher import ASK_S
from tests.rig.guest import guest_journal
from tests.rig.rig import RigDevice
from tests.support.command import Line, Running, running
from tests.support.health import Recorded
from tests.support.waiting import wait_for

CAMERA = "046d:0825:CAM0001"
journald = guest_journal.journald
SHOWN_S = ASK_S + 2.0
"""By when it is shown who uses a device: a question, and a look."""
USBDEVFS_RESET = ord("U") << 8 | 20


class Room:
    """One device service that runs in this process, and its health log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changes: queue.SimpleQueue[DeviceChange] = queue.SimpleQueue()
        self.log = HealthLog(folder, clock=SystemClock(), journal=None)
        self.service = DeviceService(self.log, Settings(), SystemClock(), on_change=self.changes.put)

    def until(self, kind: ChangeKind) -> DeviceChange:
        while (change := self.changes.get(timeout=20)).kind is not kind:
            pass
        return change

    def lines(self, *kinds: LogKind) -> list[HealthLine]:
        self.log.flush()
        return list(read(self.folder, LogFilter(kinds=kinds or None)))


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))
    room = Room(tmp_path / "health")
    with room.log, room.service:
        room.service.start()
        yield room


class Lines:
    """The JSON lines of a command as they come, each with when it came."""

    def __init__(self, command: Running) -> None:
        self._came: queue.SimpleQueue[tuple[float, Line]] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(command,), daemon=True).start()

    def _read(self, command: Running) -> None:
        for line in command.read():
            self._came.put((time.monotonic(), line))

    def until(self, wanted: Callable[[Line], bool]) -> tuple[float, Line]:
        while True:
            at, line = self._came.get(timeout=60)
            if wanted(line):
                return at, line


def is_change(change: str, identifier: str) -> Callable[[Line], bool]:
    def matches(line: Line) -> bool:
        device = line.get("device")
        return line.get("change") == change and isinstance(device, dict) and device["id"] == identifier

    return matches


def state_of(line: Line) -> object:
    device = line["device"]
    assert isinstance(device, dict)
    return device["health"]["state"]


def reason_of(line: Line) -> object:
    device = line["device"]
    assert isinstance(device, dict)
    return device["health"]["reason"]


def test_a_camera_is_set_after_every_enumeration_and_what_the_kernel_says_of_it_is_in_its_lines_at_once(
    camera: RigDevice, room: Room
) -> None:
    for times in (1, 2):
        camera.plug(0)
        room.until(ChangeKind.PLUGGED)
        plugged = time.monotonic()
        wait_for(lambda: camera.get("controls.power_line_frequency") == "1", 5.0)
        assert time.monotonic() - plugged < 2.0
        line = _nth_applied(room, times)
        assert len(room.lines(LogKind.CONTROLS_APPLIED)) == times
        assert (line.device, line.detail["controls"]) == (CAMERA, {"power_line_frequency": 1})
        assert (line.level, line.reason) == (LogLevel.INFO, "power_line_frequency=50 Hz")
        assert [(device.id, device.health.state) for device in room.service.devices()] == [(CAMERA, "ok")]
        if times == 1:
            assert not room.lines(LogKind.KERNEL)
            camera.unplug()
            room.until(ChangeKind.UNPLUGGED)
            # The kernel's last words of it are still its own, and no warning.
            (line,) = wait_for(lambda: [line for line in room.lines(LogKind.KERNEL) if "USB disconnect" in line.reason])
            assert (line.device, line.level, line.detail["topic"]) == (CAMERA, LogLevel.INFO, "disconnect")
            kinds = [line.kind for line in room.lines() if line.device == CAMERA]
            assert kinds.index(LogKind.PLUGGED) < kinds.index(LogKind.UNPLUGGED)
            assert not [line for line in room.lines(LogKind.KERNEL) if line.level is not LogLevel.INFO]
    began = time.monotonic()
    _reset(camera)
    (line,) = wait_for(lambda: [line for line in room.lines(LogKind.KERNEL) if line.detail["topic"] == "reset"], 10.0)
    assert time.monotonic() - began < 2.0
    assert (line.device, line.name, line.level) == (CAMERA, "Rig Webcam", LogLevel.WARN)
    assert line.reason == f"usb 1-1: reset high-speed USB device number {_number(camera)} using vhci_hcd"
    assert line.detail["port"] == "1-1"
    assert str(line.detail["advice"]).startswith("Check the cable")


def test_a_plug_is_a_line_of_the_watch_within_two_seconds_and_one_that_is_killed_is_followed_by_another(
    camera: RigDevice, stick: RigDevice, tmp_path: Path
) -> None:
    with running(tmp_path, "devices", "--watch", "--json") as command:
        lines = Lines(command)
        _, first = lines.until(lambda line: line["type"] == "devices")
        assert first["devices"] == []
        for rig, port, ids in ((camera, 0, [CAMERA]), (stick, 1, ["534d:2109@1-2", "534d:2109@1-2+sound"])):
            plugged_at = time.monotonic()
            rig.plug(port)
            for identifier in ids:
                shown_at, line = lines.until(is_change("plugged", identifier))
                assert shown_at - plugged_at < 2.0
                assert state_of(line) == "ok"
        unplugged_at = time.monotonic()
        stick.unplug()
        shown_at, line = lines.until(is_change("unplugged", "534d:2109@1-2"))
        assert shown_at - unplugged_at < 1.0
        wait_for(lambda: camera.get("controls.power_line_frequency") == "1", 5.0)
        room = Room(tmp_path / ".local/state/liput/health")
        with room.log, room.service:
            room.service.start()
            assert not room.service.keeps_the_log
            assert len([line for line in room.lines(LogKind.PLUGGED) if line.device == CAMERA]) == 1
            killed = time.monotonic()
            os.kill(command.pid, signal.SIGKILL)
            wait_for(lambda: room.service.keeps_the_log, 10.0)
            assert time.monotonic() - killed < RETRY_S + 1.0
            started = wait_for(lambda: room.lines(LogKind.WATCH_STARTED)[1:])
            assert [line.detail for line in started] == [{"pid": os.getpid(), "devices": [CAMERA]}]
            camera.unplug()
            room.until(ChangeKind.UNPLUGGED)
            assert [line.device for line in room.lines(LogKind.UNPLUGGED)][-1] == CAMERA
    assert room.lines(LogKind.WATCH_STOPPED)[0].device == PC


def test_who_uses_a_camera_is_a_line_of_the_watch_whether_it_is_opened_or_streamed_from(
    camera: RigDevice, tmp_path: Path
) -> None:
    camera.plug(0)
    node = camera.wait_for_video()
    with running(tmp_path, "devices", "--watch", "--json") as command:
        lines = Lines(command)
        lines.until(lambda line: line["type"] == "devices")
        words = ["v4l2-ctl", "-d", node, "--stream-mmap", "--stream-to=/dev/null", "--verbose"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as viewer:
            assert viewer.stdout is not None
            assert any("cap dqbuf" in line for line in viewer.stdout)
            streaming = time.monotonic()
            at, line = lines.until(is_change("health", CAMERA))
            assert at - streaming < SHOWN_S
            assert (state_of(line), reason_of(line)) == (
                "busy", f"Rig Webcam ({node}) is used by pid {viewer.pid} (v4l2-ctl)",
            )  # fmt: skip
            line = _killed(viewer, lines)  # however often it was looked at, the stream has gone on
        assert state_of(line) == "ok"
        # What desktops do: they have it open all the time, and stream when somebody wants to see something.
        fd = os.open(node, os.O_RDWR)
        try:
            for count, state in ((2, "busy"), (0, "ok")):
                _request_buffers(fd, count)
                asked = time.monotonic()
                at, line = lines.until(is_change("health", CAMERA))
                assert state_of(line) == state
                assert at - asked < SHOWN_S
        finally:
            os.close(fd)


def _killed(viewer: "subprocess.Popen[str]", lines: Lines) -> Line:
    """Let the viewer see a few more pictures, then kill it; return the line that this makes."""
    assert viewer.stdout is not None
    for _ in range(5):
        assert any("cap dqbuf" in line for line in viewer.stdout)
    viewer.kill()
    killed = time.monotonic()
    at, line = lines.until(is_change("health", CAMERA))
    assert at - killed < SHOWN_S
    return line


def _request_buffers(fd: int, count: int) -> None:
    """Ask for a stream's buffers, or let go of them."""
    request = v4l2.Requestbuffers()
    request.count, request.type, request.memory = count, v4l2.BUF_TYPE_VIDEO_CAPTURE, v4l2.MEMORY_MMAP
    fcntl.ioctl(fd, v4l2.VIDIOC_REQBUFS, request)


def test_a_camera_that_hangs_holds_up_neither_another_ones_presets_nor_the_monitor_nor_the_end(
    camera: RigDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))
    camera.plug(0)
    camera.wait_for_video()
    camera.set("device.silent", "true")
    room = Room(tmp_path / "health")
    with RigDevice("webcam", serial="CAM0002") as other, room.log:
        with room.service:
            room.service.start()
            began = time.monotonic()
            other.plug(1)
            while room.until(ChangeKind.PLUGGED).device.serial != "CAM0002":
                pass
            assert time.monotonic() - began < 2.0
            wait_for(lambda: other.get("controls.power_line_frequency") == "1", 5.0)
            assert time.monotonic() - began < 3.0
            assert [device.id for device in room.service.devices()] == [CAMERA, "046d:0825:CAM0002"]
            ended = time.monotonic()
        assert time.monotonic() - ended < 2.0
        assert [line.device for line in room.lines(LogKind.CONTROLS_APPLIED)] == ["046d:0825:CAM0002"]
    camera.set("device.silent", "false")


def test_the_journal_stands_in_for_kmsg_and_ends_with_who_reads_it(
    camera: RigDevice, journald: "subprocess.Popen[bytes]"
) -> None:
    recorded = Recorded(SystemClock())
    recorder = KernelMessageWriter(recorded, SystemClock())
    camera.plug(0)
    camera.wait_for_video()
    recorder.observe(list_devices())
    with subprocess.Popen(FOLLOW_JOURNAL, stdout=subprocess.PIPE) as unread:
        log = KernelLogFollower(recorder, recorded, opens=JournalSource)
        log.start()
        assert any(any(Path("/").glob(pattern.lstrip("/"))) for pattern in JOURNALS)
        # journalctl does not tell when it has begun to follow; a busy journal may still give what was before.
        while not (lines := _resets(recorded)):
            _reset(camera)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: _resets(recorded), 3.0)
        log.stop()
        assert {(line.device, line.kind) for line in lines} == {(CAMERA, LogKind.KERNEL)}
        assert unread.poll() is None
        assert unread.stdout is not None
        unread.stdout.close()
        assert unread.wait(10) != 0


def _resets(recorded: Recorded) -> list[HealthLine]:
    return [line for line in recorded.lines if line.detail.get("topic") == "reset"]


def _nth_applied(room: Room, times: int) -> HealthLine:
    return wait_for(lambda: room.lines(LogKind.CONTROLS_APPLIED)[times - 1 :])[0]


def _number(rig: RigDevice) -> int:
    return int(Path(rig.sysfs_path, "devnum").read_text())


def _reset(rig: RigDevice) -> None:
    """Reset a device as the kernel does when it has lost patience with one."""
    fd = os.open(f"/dev/bus/usb/001/{_number(rig):03}", os.O_WRONLY)
    try:
        fcntl.ioctl(fd, USBDEVFS_RESET)
    finally:
        os.close(fd)
