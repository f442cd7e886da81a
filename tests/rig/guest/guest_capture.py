"""Pictures and sound of real drivers: in order, with their times; each fault found in time; lost and found again."""

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from capture.detectors.source_health import Patience, SourceHealth
from capture.detectors.video_detectors import VideoDetectors
from capture.sound.source import SoundSource
from capture.source import SAMPLE_RATE, AudioBlock, Frame
from capture.sources.source_queue import SourceQueue
from capture.sources.v4l2 import V4l2Source
from capture.sources.worker import AudioWorker, DeviceLocator, DeviceSupervision, SourceWorker, VideoWorker
from config.errors import DeviceError, MediaError
from devices.health.faults import Fault, HealthChange, HealthTracker
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.host.clock import SystemClock
from devices.host.deadline import count_hung_closings
from devices.model.device import Device, DeviceKind, Health, HealthState
from tests.rig import pictures
from tests.rig.rig import CAMERA, STICK, STICK_SOUND, RigDevice, listed, plugged, streaming, using, vivid
from tests.support.errors import because
from tests.support.health import Recorded
from tests.support.markers import blocks_of
from tests.support.waiting import wait_for
from tests.support.workers import judged_sound

CLOCK = SystemClock()
RATE = 15
PATIENCE = Patience(frozen_s=1.5, black_s=1.5, silence_s=1.0)


def source_of(device: Device, width: int = 320, height: int = 240) -> V4l2Source:
    return V4l2Source(device, width=width, height=height, rate=RATE)


def frames_of(source: V4l2Source, count: int) -> list[Frame]:
    frames = [source.read(20) for _ in range(count)]
    return [frame for frame in frames if frame is not None]


def luma(source: V4l2Source, frame: Frame) -> pictures.Luma:
    return source.decode(frame).to_ndarray(format="gray").astype(np.uint8, copy=False)


def seconds_to(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def steps_of(numbers: Sequence[int]) -> set[int]:
    return {(after - before) % pictures.NUMBERS for before, after in itertools.pairwise(numbers)}


@pytest.fixture
def h264_camera() -> Iterator[RigDevice]:
    with RigDevice("h264-camera", serial="H264A") as device:
        yield device


@pytest.mark.parametrize(
    ("kind", "device_id", "size", "encoding"),
    [
        ("camera", CAMERA, (320, 240), "MJPG"),
        ("camera", CAMERA, (160, 120), "YUYV"),
        ("h264_camera", "046d:082d:H264A", (320, 240), "H264"),
    ],
)
def test_frames_come_in_order_and_at_once_with_the_kernels_times_and_outlive_their_device(
    request: pytest.FixtureRequest, kind: str, device_id: str, size: tuple[int, int], encoding: str
) -> None:
    rig: RigDevice = request.getfixturevalue(kind)
    with closing(source_of(plugged(rig, 0, device_id), *size)) as source:
        opened = source.open()
        assert source.mode is not None
        assert source.mode.mode.format == encoding
        assert (opened.width, opened.height, float(opened.rate)) == (*size, RATE)
        frames = frames_of(source, 30)
        age_s = time.monotonic() - frames[-1].timestamp_ns / 1e9
        assert 0 < age_s < 0.05  # not held back until the next one has come
    assert steps_of([pictures.number_of(luma(source, frame)) for frame in frames]) == {1}
    assert source.stamps.is_monotonic
    times = [frame.timestamp_ns for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] - times[0] == pytest.approx(29 / RATE * 1e9, rel=0.1)
    assert all(type(frame.payload) is bytes for frame in frames)


def test_h264_that_begins_between_two_keyframes_is_joined_at_the_next(h264_camera: RigDevice) -> None:
    h264_camera.set("video.first", 5)
    with closing(source_of(plugged(h264_camera, 0, "046d:082d:H264A"))) as source:
        source.open()
        decoded: list[int] = []
        for frame in frames_of(source, 20):
            try:
                decoded.append(pictures.number_of(luma(source, frame)))
            except MediaError:
                assert not decoded
    assert decoded == list(range(pictures.KEYFRAME_EVERY, pictures.KEYFRAME_EVERY + len(decoded)))
    assert len(decoded) >= 5


def test_nv12_of_a_driver_that_is_not_usb() -> None:
    with vivid("input_types=0") as found:
        device = msgspec.structs.replace(found, modes=tuple(mode for mode in found.modes if mode.format == "NV12"))
        with closing(source_of(device, 320, 180)) as source:
            source.open()
            assert luma(source, frames_of(source, 5)[-1]).shape == (180, 320)


def test_a_silent_camera_neither_blocks_reading_nor_closing(camera: RigDevice) -> None:
    with closing(source_of(plugged(camera, 0, CAMERA))) as source:
        source.open()
        frames_of(source, 5)
        camera.set("device.silent", "true")
        while source.read(1.0) is not None:
            pass
        assert 0.25 < seconds_to(lambda: source.read(0.3)) < 0.5
        assert seconds_to(source.close) < 0.6
        assert source.abandoned == 1
        with pytest.raises(DeviceError, match="still used by Liput itself", check=because("busy")):
            source.open()
        wait_for(lambda: not count_hung_closings(), 15)  # the driver gives up after 5 s
        camera.set("device.silent", "false")
        source.open()
        frames_of(source, 5)


# Judged


class Watched:
    """A device that is read and decoded as a session does it: by a reader, and by a thread that takes from it."""

    def __init__(self, device: Device, size: tuple[int, int] = (320, 240)) -> None:
        self.log = Recorded(CLOCK)
        self.changes: list[tuple[float, HealthChange]] = []
        self.frames = 0
        source = self._source = source_of(device, *size)
        self.health = SourceHealth(
            source,
            device,
            lambda tracker, known, usual, form: VideoDetectors(tracker, known, usual, form, source),
            lambda _device: PATIENCE,
            HealthTracker(device.id, device.name, record=self.log, clock=CLOCK, on_change=self._changed),
        )
        self._over = threading.Event()
        self.video = self._worker()

    def _changed(self, change: HealthChange) -> None:
        self.changes.append((time.monotonic(), change))

    def _worker(self) -> VideoWorker:
        supervision = DeviceSupervision(DeviceLocator(), self.health)
        return VideoWorker(self._source, CLOCK, queue=SourceQueue(RATE), supervision=supervision)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Open the device and read it until the block ends, for the first time or again."""
        self.video = self._worker()
        self._over.clear()
        decoding = threading.Thread(target=self._decode, daemon=True)
        self.video.open()
        self.video.start()
        decoding.start()
        try:
            yield
        finally:
            self._over.set()
            self.video.stop()
            decoding.join(2.0)
            self.video.close()

    def _decode(self) -> None:
        while not self._over.is_set():
            frame = self.video.queue.get(0.1)
            if frame is not None:
                self.frames += 1
                with suppress(MediaError):
                    self.video.decode(frame)

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

    def line(self, kind: LogKind, fault: Fault) -> HealthLine:
        (line,) = about(self.log, fault, kind)
        return line


def about(recorded: Recorded, fault: Fault, kind: LogKind = LogKind.DEGRADED) -> list[HealthLine]:
    return [line for line in recorded.of(kind) if line.detail["fault"] == fault]


def test_each_fault_of_a_picture_is_found_in_time_and_over_again(camera: RigDevice) -> None:
    watched = Watched(plugged(camera, 0, CAMERA))
    with watched.running():
        watched.give(8)
        for attribute, value, well, fault, state, reason, least_s, most_s in (
            ("video.picture", "frozen", "live", Fault.FROZEN, HealthState.FROZEN, "the same picture for", 1.3, 2.1),
            ("video.corrupt", "true", "false", Fault.DAMAGED, HealthState.DEGRADED, "are damaged", 0.0, 1.0),
            ("device.silent", "true", "false", Fault.NO_DATA, HealthState.SILENT, "no frames for 0.", 0.6, 1.1),
            ("video.slowdown", "3.0", "1.0", Fault.SLOW, HealthState.DEGRADED, "instead of 15: many", 0.0, 3.0),
        ):
            if fault is Fault.SLOW:
                watched.give(4 * RATE)  # how many it gives is known after some seconds
            began = time.monotonic()
            camera.set(attribute, value)
            took_s = watched.found(fault) - began
            line = watched.line(LogKind.DEGRADED, fault)
            assert watched.health.now.state is state
            assert (line.device, line.reason) == (CAMERA, watched.health.now.reason)
            assert line.level.rank >= LogLevel.WARN.rank
            assert reason in line.reason
            assert least_s <= took_s <= most_s, fault
            camera.set(attribute, well)
            if fault is not Fault.SLOW:
                watched.found(fault, begun=False)
                assert watched.line(LogKind.RECOVERED, fault).reason == line.reason
    assert watched.log.of(LogKind.OPENED)[0].detail["format"] == "MJPG"
    assert watched.log.lines[-1].kind == LogKind.CLOSED


def test_an_unplugged_camera_is_lost_at_once_and_opens_again_when_it_is_back(camera: RigDevice) -> None:
    device = plugged(camera, 0, CAMERA)
    watched = Watched(device)
    with watched.running():
        watched.give(8)
        began = time.monotonic()
        camera.unplug()
        lost_at = watched.found(Fault.LOST)
        assert lost_at - began < 1.0
        wait_for(lambda: watched.video.outage, 5)
        line = watched.line(LogKind.DEGRADED, Fault.LOST)
        assert (line.device, line.level, line.reason) == (CAMERA, LogLevel.ERROR, watched.health.now.reason)
        assert "was lost" in line.reason
    plugged_at = time.monotonic()
    assert plugged(camera, 0, CAMERA).node == device.node  # nobody holds the old one
    with watched.running():
        opened_at = watched.found(Fault.LOST, begun=False)
        watched.give(1)
        assert time.monotonic() - plugged_at < 3.0
        assert watched.health.now == Health()
    over = watched.line(LogKind.RECOVERED, Fault.LOST)
    assert (over.level, over.reason) == (LogLevel.INFO, line.reason)
    assert over.detail["lasted_s"] == pytest.approx(opened_at - lost_at, abs=0.1)


def test_an_hdmi_input_that_says_no_signal_is_believed() -> None:
    with vivid("input_types=3") as device:
        assert device.kind == DeviceKind.CAPTURE_CARD
        watched = Watched(device, (320, 180))
        with watched.running():
            watched.give(8)
            assert watched.health.now == Health()
            words = ["v4l2-ctl", "-d", device.node or "", "-c"]
            began = time.monotonic()
            subprocess.run([*words, "dv_timings_signal_mode=1"], check=True)
            assert watched.found(Fault.NO_SIGNAL) - began < 3.0
            line = watched.line(LogKind.DEGRADED, Fault.NO_SIGNAL)
            assert (line.device, line.level, line.detail["driver"]) == (device.id, LogLevel.ERROR, True)
            assert "says that it has no signal: nothing is plugged into it" in line.reason
            began = time.monotonic()
            subprocess.run([*words, "dv_timings_signal_mode=0"], check=True)
            assert watched.found(Fault.NO_SIGNAL, begun=False) - began < 4.0
            watched.give(1)
        assert {change.fault for _, change in watched.changes} == {Fault.NO_SIGNAL}


# Sound


@pytest.fixture
def recorded() -> Recorded:
    return Recorded(CLOCK)


@pytest.fixture
def sound(stick: RigDevice) -> SoundSource:
    """Provide the sound of a stick that is plugged in; not open yet."""
    return SoundSource(plugged(stick, 1, STICK_SOUND))


@pytest.fixture
def worker(sound: SoundSource, recorded: Recorded) -> Iterator[AudioWorker]:
    """Provide the same, judged."""
    (device,) = listed(STICK_SOUND)
    tracker = HealthTracker(device.id, device.name, record=recorded, clock=CLOCK)
    with closing(judged_sound(sound, device, PATIENCE, tracker)[0]) as worker:
        yield worker


def peaks(blocks: list[AudioBlock]) -> list[int]:
    """Return the loudest frequency of each channel in the last second."""
    samples = np.concatenate([block.samples for block in blocks])[-SAMPLE_RATE:]
    return [int(np.abs(np.fft.rfft(channel)).argmax()) for channel in samples.T]


def read_until(source: AudioWorker, condition: Callable[[], object]) -> None:
    def holds() -> object:
        source.read(0.1)
        return condition()

    wait_for(holds, 15)


def test_each_tone_comes_in_its_channel_with_its_time_as_the_driver_corrects_the_descriptors(
    sound: SoundSource,
) -> None:
    with closing(sound):
        sound.open()
        assert (sound.channels, sound.scheduled) == (2, "realtime")
        agreed = Path("/proc/asound/MS2109/pcm0c/sub0/hw_params").read_text()
        assert "channels: 2" in agreed  # the descriptors claim 96 kHz mono
        assert "rate: 48000 " in agreed
        blocks = blocks_of(sound, 3)
    assert peaks(blocks) == [440, 880]
    assert (sound.overflows, any(block.lost for block in blocks)) == (0, False)
    counted = np.cumsum([0, *(len(block.samples) for block in blocks)])[:-1] / SAMPLE_RATE
    stamped = np.array([block.timestamp_ns for block in blocks]) / 1e9
    assert abs(float(np.median((stamped - stamped[0] - counted)[-50:]))) < 0.05
    assert 0 <= time.monotonic() - stamped[-1] < 1.0


def test_faults_of_the_sound_are_found_in_time(stick: RigDevice, worker: AudioWorker, recorded: Recorded) -> None:
    worker.open()
    blocks_of(worker, 1)  # both channels are heard
    for signal, fault, reason, level, least_s, most_s in (
        ("silence", Fault.SILENCE, "exactly nothing for 1 s: muted or not plugged in", LogLevel.ERROR, 0.5, 3),
        ("clipping", Fault.CLIPPING, "is too loud: samples are cut off", LogLevel.WARN, 2, 5),
    ):
        began = CLOCK.now()
        stick.set("audio.sound", signal)
        read_until(worker, partial(about, recorded, fault))
        (line,) = about(recorded, fault)
        assert least_s <= (line.at - began).total_seconds() < most_s, fault
        assert reason in line.reason
        assert (line.device, line.name, line.level) == (STICK_SOUND, "MS2109 HDMI capture stick (sound)", level)
    assert about(recorded, Fault.SILENCE, LogKind.RECOVERED)


def test_sound_that_is_unplugged_is_lost_in_time_and_opens_again_when_it_is_back(
    stick: RigDevice, sound: SoundSource, worker: AudioWorker, recorded: Recorded
) -> None:
    worker.open()
    blocks_of(worker, 0.5)
    began, ticks = time.monotonic(), [time.monotonic()]

    def tick() -> None:
        while ticks[-1] < began + 3:
            time.sleep(0.005)
            ticks.append(time.monotonic())

    ticking = threading.Thread(target=tick)
    ticking.start()
    stick.unplug()
    read_until(worker, lambda: worker.outage)
    assert time.monotonic() - began < 1.5
    (line,) = about(recorded, Fault.LOST)
    assert (line.level, "was lost" in line.reason) == (LogLevel.ERROR, True)
    assert about(recorded, Fault.NO_DATA) == [], "its process is ended before it has been silent for 0.7 s"
    ticking.join()
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    assert max(gaps) < 0.5, "0.95 s: what is real-time takes the processor from everybody"
    began = time.monotonic()
    sound.relocate(plugged(stick, 1, STICK_SOUND))
    assert worker.supervision is not None
    again = SourceWorker(sound, CLOCK, supervision=worker.supervision)
    again.open()
    read_until(again, lambda: about(recorded, Fault.LOST, LogKind.RECOVERED))
    assert time.monotonic() - began < 5
    (over,) = about(recorded, Fault.LOST, LogKind.RECOVERED)
    assert (over.device, over.level, over.reason) == (line.device, LogLevel.INFO, line.reason)
    assert sorted(peaks(blocks_of(again, 1))) == [440, 880]  # lost packets swap the channels
    again.close()


def test_a_microphone_that_is_plugged_in_later_opens_and_takes_nothing_from_one_that_runs(sound: SoundSource) -> None:
    with RigDevice("hdmi-stick") as other, closing(sound):
        sound.open()
        pid = sound.pid
        blocks_of(sound, 0.2)
        other.set("audio.sound", "silence")
        with closing(SoundSource(plugged(other, 4, "534d:2109@1-5+sound"))) as second:
            second.open()
            assert not np.concatenate([block.samples for block in blocks_of(second, 0.2)]).any()
            assert sorted(peaks(blocks_of(sound, 1))) == [440, 880]
            assert second.pid != sound.pid == pid


def test_busy_devices_are_refused_and_the_log_names_who_has_them(
    stick: RigDevice, worker: AudioWorker, recorded: Recorded
) -> None:
    (device,) = listed(STICK)
    watched = Watched(device)
    with streaming(stick.wait_for_video()) as films, pytest.raises(DeviceError, check=because("busy")):
        watched.video.open()
    (refused,) = watched.log.of(LogKind.REFUSED)
    assert f"is used by pid {films.pid} (v4l2-ctl)" in refused.reason
    assert watched.health.now.state is HealthState.BUSY
    watched.video.open()
    watched.video.close()
    assert watched.line(LogKind.RECOVERED, Fault.BUSY).reason == refused.reason
    words = ("arecord", "-D", "hw:CARD=MS2109,DEV=0", "-f", "S16_LE", "-r", "48000", "-c", "2", "-v", "/dev/null")
    with using(*words, says="Its setup is") as hears, pytest.raises(DeviceError, check=because("busy")):
        worker.open()
    (line,) = about(recorded, Fault.BUSY)
    assert f"is used by pid {hears.pid} (arecord)" in line.reason
    assert (line.device, line.level) == (STICK_SOUND, LogLevel.WARN)


def test_pictures_and_sound_of_one_moment_have_one_time(stick: RigDevice, sound: SoundSource) -> None:
    stick.set("audio.sound", "beep")
    blocks: list[AudioBlock] = []
    flashes: list[float] = []
    with closing(sound), closing(source_of(listed(STICK)[0])) as source:
        sound.open()
        source.open()
        was_lit = True
        while len(flashes) < 4:
            frame = source.read(0.05)
            if frame is not None:
                is_lit = pictures.is_flashing(luma(source, frame))
                flashes += [frame.timestamp_ns / 1e9] if is_lit and not was_lit else []
                was_lit = is_lit
            while (block := sound.read(0)) is not None:
                blocks.append(block)
    beeps = beginnings(blocks)
    offsets = [min(flash - beep for beep in beeps if abs(flash - beep) < 0.5) for flash in flashes[:-1]]
    # The flash shows in the first picture after it began: up to 1/15 s later than the beep.
    assert -0.05 < float(np.median(offsets)) < 0.12


def beginnings(blocks: list[AudioBlock]) -> list[float]:
    """Return when each beep began, on the session clock."""
    found, last_loud = [], 0.0
    for block in blocks:
        for index in np.flatnonzero(np.abs(block.samples[:, 0]) > 1000):
            moment = block.timestamp_ns / 1e9 + int(index) / SAMPLE_RATE
            if moment - last_loud > 0.5:
                found.append(moment)
            last_loud = moment
    return found
