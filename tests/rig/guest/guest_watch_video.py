"""Watched pictures of real drivers: each fault is found in time, with its state, its reason and its line in the log."""

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from capture.detectors.source_health import Patience, SourceHealth, patience_for
from capture.detectors.video_detectors import VideoDetectors
from capture.sources.source_queue import SourceQueue
from capture.sources.v4l2 import V4l2Source
from capture.sources.worker import DeviceLocator, DeviceSupervision, VideoWorker
from config.errors import DeviceError, DeviceNotFound, MediaError
from config.settings.schema import Settings
from devices.health.faults import Fault, HealthChange, HealthTracker
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind, HealthState
from tests.rig.found import current, device_of
from tests.rig.rig import RigDevice
from tests.support.errors import because
from tests.support.health import Recorded
from tests.support.waiting import wait_for

CAMERA = "046d:0825:CAM0001"
RATE = 15
PATIENCE = Patience(frozen_s=1.5, black_s=1.5, silence_s=20.0)


class Running:
    """A device that is read and decoded as a session does it: by a reader, and by a thread that takes from it."""

    def __init__(self, device: Device, size: tuple[int, int] = (320, 240), patience: Patience = PATIENCE) -> None:
        clock = SystemClock()
        self.log = Recorded(clock)
        self.changes: list[tuple[float, HealthChange]] = []
        self.frames = 0
        source = self._source = V4l2Source(device, width=size[0], height=size[1], rate=RATE)
        self.health = SourceHealth(
            source,
            device,
            lambda tracker, known, usual, form: VideoDetectors(tracker, known, usual, form, source),
            lambda _device: patience,
            HealthTracker(device.id, device.name, record=self.log, clock=clock, on_change=self._changed),
        )
        self.video = self._worker()
        self._over = threading.Event()

    def _changed(self, change: HealthChange) -> None:
        self.changes.append((time.monotonic(), change))

    def _worker(self) -> VideoWorker:
        supervision = DeviceSupervision(DeviceLocator(), self.health)
        return VideoWorker(self._source, SystemClock(), queue=SourceQueue(RATE), supervision=supervision)

    def start(self) -> None:
        """Open the device and begin to read it, for the first time or after `stop`."""
        self.video = self._worker()
        self._decoding = threading.Thread(target=self._decode, daemon=True)
        self._over.clear()
        self.video.open()
        self.video.start()
        self._decoding.start()

    def _decode(self) -> None:
        while not self._over.is_set():
            frame = self.video.queue.get(0.1)
            if frame is not None:
                self.frames += 1
                with suppress(MediaError):
                    self.video.decode(frame)

    def stop(self) -> None:
        """Read no more and close the device; idempotent."""
        self._over.set()
        self.video.stop()
        if self._decoding.ident is not None:
            self._decoding.join(2.0)
        self.video.close()

    def give(self, count: int) -> None:
        """Wait until so many more pictures have come."""
        wanted = self.frames + count
        wait_for(lambda: self.frames >= wanted, what=f"{count} pictures")

    def found(self, fault: Fault, *, begun: bool = True) -> float:
        """Wait until a fault is found (or over), and return when."""
        return wait_for(
            lambda: next((at for at, change in self.changes if change.fault == fault and change.begun is begun), 0.0),
            15,
            f"{fault} {'found' if begun else 'over'}; there were {[change for _, change in self.changes]}",
        )

    @property
    def state(self) -> str:
        return str(self.health.now.state)

    def line(self, kind: LogKind, fault: Fault) -> HealthLine:
        (line,) = [line for line in self.log.of(kind) if line.detail["fault"] == fault]
        return line


@contextmanager
def running(device: Device, size: tuple[int, int] = (320, 240)) -> Iterator[Running]:
    session = Running(device, size)
    try:
        session.start()
        session.give(8)
        yield session
    finally:
        session.stop()


@pytest.mark.parametrize(
    ("attribute", "value", "fault", "state", "reason", "least_s", "most_s"),
    [
        ("video.picture", "frozen", Fault.FROZEN, HealthState.FROZEN, "has shown the same picture for", 1.3, 2.1),
        ("video.picture", "black", Fault.BLACK, HealthState.DEGRADED, "has sent black frames", 1.4, 2.2),
        ("video.corrupt", "true", Fault.DAMAGED, HealthState.DEGRADED, "are damaged", 0.0, 1.0),
        ("video.truncate", "true", Fault.DAMAGED, HealthState.DEGRADED, "are damaged", 0.0, 1.0),
        ("device.silent", "true", Fault.NO_DATA, HealthState.SILENT, "has given no frames for 0.", 0.6, 1.1),
    ],
    ids=["frozen", "black", "corrupt", "truncated", "silent"],
)
def test_a_fault_is_found_and_over_again(
    camera: RigDevice,
    attribute: str,
    value: str,
    fault: Fault,
    state: HealthState,
    reason: str,
    least_s: float,
    most_s: float,
) -> None:
    camera.plug(0)
    with running(device_of(camera)) as session:
        began = time.monotonic()
        camera.set(attribute, value)
        took_s = session.found(fault) - began
        assert session.health.now.state == state
        assert reason in (session.health.now.reason or "")
        assert least_s <= took_s <= most_s
        line = session.line(LogKind.DEGRADED, fault)
        assert (line.device, line.reason) == (CAMERA, session.health.now.reason)
        assert line.level.rank >= LogLevel.WARN.rank
        camera.set(attribute, "live" if attribute == "video.picture" else "false")
        session.found(fault, begun=False)
        assert session.line(LogKind.RECOVERED, fault).reason == line.reason
    assert session.log.of(LogKind.OPENED)[0].detail["format"] == "MJPG"
    assert [line.kind for line in session.log.lines][-1] == LogKind.CLOSED
    assert {change.fault for _, change in session.changes} == {fault}


def test_a_slow_camera_is_found(camera: RigDevice) -> None:
    camera.plug(0)
    with running(device_of(camera)) as session:
        session.give(4 * RATE)
        began = time.monotonic()
        camera.set("video.slowdown", 3.0)
        took_s = session.found(Fault.SLOW) - began
        assert session.health.now.state == HealthState.DEGRADED
        assert took_s < 3.0
        line = session.line(LogKind.DEGRADED, Fault.SLOW)
        assert (line.device, line.level, line.reason) == (CAMERA, LogLevel.WARN, session.health.now.reason)
        said = re.match(r"Rig Webcam gives (\d+\.\d) frames a second instead of 15: many cameras", line.reason)
        assert said is not None, line.reason
        assert 4.5 < float(said[1]) < 0.78 * 15
        assert line.detail["nominal_fps"] == 15.0


def test_a_still_picture_of_a_capture_card_is_no_fault_and_a_slate_is(stick: RigDevice) -> None:
    stick.plug(1)
    device = device_of(stick)
    assert device.kind == DeviceKind.CAPTURE_CARD
    session = Running(device, patience=patience_for(Settings(), device.kind))
    try:
        session.start()
        stick.set("video.picture", "frozen")
        session.give(4 * RATE)
        assert session.changes == []
        began = time.monotonic()
        stick.set("video.picture", "no-signal")
        took_s = session.found(Fault.NO_SIGNAL) - began
        assert session.health.now.state == HealthState.SILENT
        assert 2.9 <= took_s <= 3.7
        assert "shows a test picture of bars" in session.line(LogKind.DEGRADED, Fault.NO_SIGNAL).reason
        stick.set("video.picture", "live")
        session.found(Fault.NO_SIGNAL, begun=False)
    finally:
        session.stop()


def test_a_busy_camera_is_refused_and_the_log_names_who_holds_it(camera: RigDevice) -> None:
    camera.plug(0)
    node = camera.wait_for_video()
    words = ["v4l2-ctl", "-d", node, "--stream-mmap", "--stream-to=/dev/null", "--verbose"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as holder:
        assert holder.stdout is not None
        assert any("cap dqbuf" in line for line in holder.stdout)
        session = Running(device_of(camera))
        began = time.monotonic()
        with pytest.raises(DeviceError, check=because("busy")):
            session.video.open()
        assert session.found(Fault.BUSY) - began < 1.0
        holder.kill()
    (refused,) = session.log.of(LogKind.REFUSED)
    assert f"is used by pid {holder.pid} (v4l2-ctl)" in refused.reason
    assert session.health.now.state == HealthState.BUSY
    line = session.line(LogKind.DEGRADED, Fault.BUSY)
    assert (line.device, line.level, line.reason) == (CAMERA, LogLevel.WARN, refused.reason)
    session.video.open()
    session.video.close()
    assert session.state == "ok"
    assert session.line(LogKind.RECOVERED, Fault.BUSY).reason == refused.reason


def test_an_unplugged_camera_is_lost_and_opens_again_when_it_is_back(camera: RigDevice) -> None:
    camera.plug(0)
    device = device_of(camera)
    with running(device) as session:
        began = time.monotonic()
        camera.unplug()
        lost_at = session.found(Fault.LOST)
        assert lost_at - began < 1.0
        wait_for(lambda: session.video.outage, 5)
        assert session.health.now.state == HealthState.LOST
        line = session.line(LogKind.DEGRADED, Fault.LOST)
        assert (line.device, line.level, line.reason) == (CAMERA, LogLevel.ERROR, session.health.now.reason)
        assert "was lost" in line.reason
        session.stop()
        assert session.log.of(LogKind.CLOSED)[0].detail["state"] == HealthState.LOST
        plugged_at = time.monotonic()
        camera.plug(0)
        assert device_of(camera).node == device.node  # nobody holds the old one
        session.start()
        opened_at = session.found(Fault.LOST, begun=False)
        session.give(1)
        assert time.monotonic() - plugged_at < 3.0
        assert session.state == "ok"
        over = session.line(LogKind.RECOVERED, Fault.LOST)
        assert (over.device, over.level, over.reason) == (CAMERA, LogLevel.INFO, line.reason)
        assert over.detail["lasted_s"] == pytest.approx(opened_at - lost_at, abs=0.1)
        assert len(session.log.of(LogKind.OPENED)) == 2
    assert [change.fault for _, change in session.changes] == [Fault.LOST, Fault.LOST]


def test_an_hdmi_input_that_says_no_signal_is_believed() -> None:
    subprocess.run(["modprobe", "vivid", "n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=3"], check=True)
    try:

        def listed() -> Device | None:
            with suppress(DeviceNotFound):
                return current("platform-vivid.0")
            return None

        device = wait_for(listed)
        assert device is not None
        assert device.kind == DeviceKind.CAPTURE_CARD
        with running(device, (320, 180)) as session:
            assert session.state == "ok"
            words = ["v4l2-ctl", "-d", device.node or "", "-c"]
            began = time.monotonic()
            subprocess.run([*words, "dv_timings_signal_mode=1"], check=True)
            took_s = session.found(Fault.NO_SIGNAL) - began
            assert session.state == "silent"
            assert took_s < 3.0
            line = session.line(LogKind.DEGRADED, Fault.NO_SIGNAL)
            assert (line.device, line.level, line.reason) == (device.id, LogLevel.ERROR, session.health.now.reason)
            assert "says that it has no signal: nothing is plugged into it" in line.reason
            assert line.detail["driver"] is True
            began = time.monotonic()
            subprocess.run([*words, "dv_timings_signal_mode=0"], check=True)
            assert session.found(Fault.NO_SIGNAL, begun=False) - began < 4.0
            session.give(1)
            assert session.state == "ok"
            over = session.line(LogKind.RECOVERED, Fault.NO_SIGNAL)
            assert (over.device, over.level, over.reason) == (device.id, LogLevel.INFO, line.reason)
            assert {change.fault for _, change in session.changes} == {Fault.NO_SIGNAL}
    finally:
        subprocess.run(["modprobe", "-r", "vivid"], check=True)
