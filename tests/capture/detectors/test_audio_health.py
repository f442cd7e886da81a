"""A judged audio source gives all its blocks, and the health log tells its state."""

import contextlib
from collections import deque

import numpy as np
import pytest

from capture.detectors.source_health import Patience
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource
from config.errors import (
    DeviceError,
    DeviceNotFound,
    LiputError,
    MediaError,
)
from devices.health.faults import Fault, HealthChange, HealthTracker
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind, Health, HealthState
from tests.capture.detectors.sounds import samples, speech
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock
from tests.support.workers import judged_sound

DEVICE = Device(id="534d:2109@1-2+sound", kind=DeviceKind.MICROPHONE, name="Stick (sound)", alsa="hw:CARD=X,DEV=0")


class ScriptedSource(AudioSource):
    """Gives 20 ms blocks in simulated time, refuses to open, gives nothing, or is lost."""

    name = "Stick (sound)"

    def __init__(self, clock: SimulatedClock) -> None:
        self.channels = 1  # until it is open
        self.refusals: deque[LiputError] = deque()
        self.is_giving = True
        self.is_lost = False
        self.loses = False
        self.closed = 0
        self._clock = clock
        self.parts = samples(speech(8)).reshape(-1, 960, 2)
        self._number = 0

    def open(self) -> None:
        if self.refusals:
            raise self.refusals.popleft()
        self.channels = 2

    def read(self, timeout_s: float) -> AudioBlock | None:
        stamp_ns = self._clock.now_ns()
        if self.is_lost:
            raise DeviceError("Stick (sound) was lost", hint="Check its cable.", why="lost")
        if not self.is_giving:
            self._clock.advance_to(stamp_ns + round(timeout_s * NANOSECONDS))
            return None
        self._clock.advance_to(stamp_ns + 960 * NANOSECONDS // SAMPLE_RATE)
        self._number += 1
        return AudioBlock(stamp_ns, self.parts[self._number % len(self.parts)], self.loses)

    def close(self) -> None:
        self.closed += 1


class Rig:
    """A worker with a ScriptedSource, its health log and reports."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.recorded = Recorded(self.clock)
        self.source = ScriptedSource(self.clock)
        self.changes: list[HealthChange] = []
        tracker = HealthTracker(
            DEVICE.id, DEVICE.name, record=self.recorded, clock=self.clock, on_change=self.changes.append
        )
        self.worker, self.health = judged_sound(self.source, DEVICE, Patience(3, 5, 20), tracker)

    def read(self, seconds: float) -> None:
        end_ns = self.clock.now_ns() + seconds * NANOSECONDS
        while self.clock.now_ns() < end_ns:
            self.worker.read(0.1)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_opening_reading_and_closing_are_passed_on_and_logged(rig: Rig) -> None:
    assert rig.worker.name == "Stick (sound)"
    rig.worker.open()
    block = rig.worker.read(0.1)
    assert block is not None
    assert np.shares_memory(block.samples, rig.source.parts)
    rig.read(9.98)
    rig.worker.close()
    rig.worker.close()
    assert rig.source.closed == 2
    opened, closed = rig.recorded.lines
    assert (opened.kind, opened.device, opened.name, opened.level) == (
        LogKind.OPENED,
        DEVICE.id,
        DEVICE.name,
        LogLevel.INFO,
    )
    assert (opened.detail["rate"], opened.detail["channels"]) == (SAMPLE_RATE, 2)
    assert int(str(opened.detail["pid"])) > 0
    assert closed.kind == LogKind.CLOSED
    assert closed.detail["open_s"] == 10
    assert closed.detail["blocks"] == 500
    assert (closed.detail["overflows"], closed.detail["clipped_samples"]) == (0, [0, 0])
    assert rig.health.now == Health()


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (DeviceError("used by pid 7 (arecord)", hint="Close it.", why="busy"), Fault.BUSY),
        (DeviceError("this user may not", why="denied"), Fault.DENIED),
        (DeviceError("this USB bus is full", why="bus-full"), Fault.BUS_FULL),
        (DeviceNotFound("not plugged in any more"), Fault.LOST),
        (DeviceError("does not answer", why="lost"), Fault.LOST),
        (MediaError("something else"), None),
    ],
)
def test_a_refusal_is_raised_again_logged_once_and_the_health_until_it_opens(
    rig: Rig, error: LiputError, fault: Fault | None
) -> None:
    rig.source.refusals.extend([error, error])
    for _ in range(2):
        with pytest.raises(type(error)) as raised:
            rig.worker.open()
        assert raised.value is error
    (refused,) = rig.recorded.of(LogKind.REFUSED)
    assert (refused.reason, refused.level, refused.detail["hint"]) == (error.message, LogLevel.WARN, error.hint)
    assert rig.health.now.fault == fault
    assert rig.health.now.reason == (error.message if fault else None)
    assert rig.recorded.of(LogKind.CLOSED) == []
    rig.worker.open()
    assert rig.health.now == Health()


def test_a_refusal_for_another_reason_takes_the_place_of_the_one_before(rig: Rig) -> None:
    rig.source.refusals.extend([DeviceError("busy", why="busy"), DeviceNotFound("gone")])
    for fault in (Fault.BUSY, Fault.LOST):
        with contextlib.suppress(LiputError):
            rig.worker.open()
        assert rig.health.now.fault == fault
    assert [line.reason for line in rig.recorded.of(LogKind.REFUSED)] == ["busy", "gone"]


def test_a_source_that_gives_nothing_and_is_then_lost_is_told_in_time_and_well_again_when_it_opens(rig: Rig) -> None:
    rig.worker.open()
    rig.read(5)
    rig.source.is_giving = False
    rig.read(0.8)
    assert rig.health.now.fault == Fault.NO_DATA
    assert rig.health.now.state is HealthState.SILENT
    rig.source.is_lost = True
    assert rig.worker.read(0.1) is None
    assert (rig.health.now.state, rig.health.now.reason) == (HealthState.LOST, "Stick (sound) was lost")
    rig.source.is_giving, rig.source.is_lost = True, False
    rig.worker.open()
    rig.read(1.2)
    assert rig.health.now == Health()
    told = [(change.fault, change.begun) for change in rig.changes]
    assert told == [(Fault.NO_DATA, True), (Fault.LOST, True), (Fault.LOST, False), (Fault.NO_DATA, False)]
    assert [line.detail["after_s"] for line in rig.recorded.of(LogKind.DEGRADED)] == pytest.approx([0.7, 0], abs=0.02)


def test_there_is_a_sample_a_minute(rig: Rig) -> None:
    rig.worker.open()
    rig.read(121)
    first, second = rig.recorded.of(LogKind.SAMPLE)
    assert second.at.timestamp() - first.at.timestamp() == pytest.approx(60, abs=0.1)
    assert first.level is LogLevel.DEBUG
    assert first.detail["seconds"] == 60
    assert set(first.detail) == {
        "seconds", "peak_dbfs", "rms_dbfs", "noise_floor_dbfs", "hum_dbfs", "clipped_samples", "overflows", "lost_s",
    }  # fmt: skip
    rig.source.is_giving = False
    rig.read(61)
    assert len(rig.recorded.of(LogKind.SAMPLE)) == 3
    assert rig.recorded.of(LogKind.SAMPLE)[-1].detail["seconds"] in {0.5, 1.0}


def test_patience_is_what_it_was_given(rig: Rig) -> None:
    rig.worker.open()
    rig.source.parts = np.zeros_like(rig.source.parts)
    rig.read(19)
    assert rig.health.now == Health()
    rig.read(2)
    assert rig.health.now.fault == Fault.SILENCE
