"""Pictures and sound of real drivers: in order, with their times, and lost in time when the device goes."""

import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import av.logging
import msgspec
import numpy as np
import pytest

from capture.sound.source import SoundSource
from capture.source import AudioBlock, Frame
from capture.sources.v4l2 import V4l2Source
from config.errors import DeviceError, DeviceNotFound, MediaError
from devices.host.deadline import count_hung_closings
from devices.model.device import Device, DeviceKind
from devices.monitor.snapshot import list_devices
from tests.rig import pictures
from tests.rig.found import device_of, listed
from tests.rig.rig import RigDevice
from tests.support.errors import because
from tests.support.waiting import wait_for


@pytest.fixture(autouse=True)
def _system_alsa(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sound children read the system's ALSA configuration, whatever other tests use."""
    monkeypatch.delenv("ALSA_CONFIG_PATH", raising=False)


@pytest.fixture
def ffmpeg_says() -> Iterator[list[tuple[int, str, str]]]:
    """Provide what FFmpeg says is wrong, on any thread: level, who, and what."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture(local=False) as said:
        yield said
    av.logging.set_level(before)


def sound_of(rig: RigDevice) -> Device:
    """Return the sound of a rig device that is plugged in."""
    rig.wait_for_audio()
    return next(device for device in list_devices() if device.alsa and device.port == f"1-{(rig.port or 0) + 1}")


def source_of(rig: RigDevice, width: int = 320, height: int = 240) -> V4l2Source:
    return V4l2Source(device_of(rig), width=width, height=height, rate=15)


def frames_of(source: V4l2Source, count: int) -> list[Frame]:
    frames: list[Frame] = []
    deadline = time.monotonic() + 20
    while len(frames) < count:
        assert time.monotonic() < deadline
        frame = source.read(0.5)
        if frame is not None:
            frames.append(frame)
    return frames


def number_in(source: V4l2Source, frame: Frame) -> int:
    return pictures.number_of(source.decode(frame).to_ndarray(format="gray").astype(np.uint8, copy=False))


@pytest.mark.parametrize(("size", "encoding"), [((320, 240), "MJPG"), ((160, 120), "YUYV")])
def test_frames_come_in_order_with_the_kernels_times(camera: RigDevice, size: tuple[int, int], encoding: str) -> None:
    camera.plug(0)
    with closing(source_of(camera, *size)) as source:
        opened = source.open()
        assert source.mode is not None
        assert source.mode.mode.format == encoding
        assert (opened.width, opened.height, float(opened.rate)) == (*size, 15.0)
        frames = frames_of(source, 30)
        numbers = [number_in(source, frame) for frame in frames]
    assert {(after - before) % pictures.NUMBERS for before, after in itertools.pairwise(numbers)} == {1}
    assert source.stamps.is_monotonic
    times = [frame.timestamp_ns for frame in frames]
    assert times == sorted(set(times))
    assert (len(times) - 1) / (times[-1] - times[0]) * 1e9 == pytest.approx(15, rel=0.1)
    assert 0 < time.monotonic_ns() - times[-1] < 2_000_000_000
    assert all(type(frame.payload) is bytes for frame in frames)


def test_frames_kept_after_closing_can_still_be_decoded(camera: RigDevice) -> None:
    camera.plug(0)
    with closing(source_of(camera)) as source:
        source.open()
        frames = frames_of(source, 5)
    assert [source.decode(frame).format.name for frame in frames] == ["yuv420p"] * 5


def test_pictures_that_are_larger_than_wanted_are_scaled_down(camera: RigDevice) -> None:
    camera.plug(0)
    device = device_of(camera)
    large = msgspec.structs.replace(device, modes=device.modes[:1])
    with closing(V4l2Source(large, width=320, height=320, rate=15)) as source:
        opened = source.open()
        picture = source.decode(frames_of(source, 1)[0])
        inset = source.decode(frames_of(source, 1)[0], (200, 200))
    assert (opened.width, opened.height) == (picture.width, picture.height) == (320, 240)
    assert (inset.width, inset.height) == (200, 150)


def test_nv12_of_a_driver_that_is_not_usb() -> None:
    subprocess.run(["modprobe", "vivid", "n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0"], check=True)
    try:
        device = listed("platform-vivid.0")
        assert device.kind == DeviceKind.CAMERA
        modes = tuple(mode for mode in device.modes if mode.format == "NV12")
        with closing(
            V4l2Source(msgspec.structs.replace(device, modes=modes), width=320, height=180, rate=15)
        ) as source:
            opened = source.open()
            frames = frames_of(source, 10)
            assert source.decode(frames[-1]).to_ndarray(format="gray").shape == (180, 320)
        assert (opened.width, opened.height) == (320, 180)
        assert source.stamps.is_monotonic
    finally:
        subprocess.run(["modprobe", "-r", "vivid"], check=True)


def _read_until(deadline: float, read: Callable[[], object]) -> None:
    while time.monotonic() < deadline:
        read()


def lost_after(read: Callable[[], object], cause: Callable[[], object]) -> float:
    """Return how long after `cause` (run by another thread) reading said DeviceError."""
    began = [0.0]

    def act() -> None:
        began[0] = time.monotonic()
        cause()

    timer = threading.Timer(0.5, act)
    timer.start()
    deadline = time.monotonic() + 20
    with pytest.raises(DeviceError, check=because("lost")):
        _read_until(deadline, read)
    took = time.monotonic() - began[0]
    timer.join()
    return took


def seconds_to(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def test_an_unplugged_camera_is_lost_at_once(camera: RigDevice) -> None:
    camera.plug(0)
    with closing(source_of(camera)) as source:
        source.open()
        frames_of(source, 5)
        assert lost_after(lambda: source.read(0.1), camera.unplug) < 1.0
        assert seconds_to(source.close) < 0.5
        with pytest.raises(DeviceNotFound):
            source.open()


def test_what_ffmpeg_read_ahead_is_gone_before_the_device_that_it_gives_its_memory_back_to(
    camera: RigDevice, ffmpeg_says: list[tuple[int, str, str]]
) -> None:
    camera.plug(0)
    for _ in range(3):
        with closing(source_of(camera)) as source:
            source.open()  # looks at a picture, which nobody reads
    with closing(source_of(camera)) as source:
        source.open()
        node = Path(camera.wait_for_video())
        camera.unplug()
        wait_for(lambda: not node.exists())
    assert [said for _, _, said in ffmpeg_says if "Bad file descriptor" in said] == []


def test_a_silent_camera_neither_blocks_reading_nor_closing(camera: RigDevice) -> None:
    camera.plug(0)
    with closing(source_of(camera)) as source:
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
        deadline = time.monotonic() + 15
        while count_hung_closings():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        camera.set("device.silent", "false")
        source.open()
        frames_of(source, 5)


def test_a_camera_that_does_not_answer_does_not_open_for_ever(camera: RigDevice) -> None:
    camera.plug(0)
    with closing(source_of(camera)) as source:
        camera.set("device.silent", "true")
        began = time.monotonic()
        with pytest.raises(DeviceError, match="does not answer", check=because("lost")):
            source.open()
        assert time.monotonic() - began < 12
    camera.set("device.silent", "false")


def test_a_camera_that_sends_nothing_whole_opens_and_then_gives_nothing(camera: RigDevice) -> None:
    camera.plug(0)
    device = device_of(camera)
    camera.set("video.truncate", "true")
    uncompressed = msgspec.structs.replace(device, modes=device.modes[2:])
    with closing(V4l2Source(uncompressed, width=160, height=120, rate=15)) as source:
        assert seconds_to(source.open) < 4
        assert source.read(1.0) is None
        camera.set("video.truncate", "false")
        frames = frames_of(source, 5)
        assert number_in(source, frames[-1]) == (number_in(source, frames[0]) + 4) % pictures.NUMBERS


def test_damaged_pictures_are_errors_and_the_next_good_one_is_a_picture(camera: RigDevice) -> None:
    camera.plug(0)
    with closing(source_of(camera)) as source:
        source.open()
        camera.set("video.corrupt", "true")
        frames_of(source, 3)
        with pytest.raises(MediaError):
            source.decode(frames_of(source, 1)[0])
        camera.set("video.corrupt", "false")
        frames_of(source, 3)
        numbers = [number_in(source, frame) for frame in frames_of(source, 3)]
    assert (numbers[2] - numbers[0]) % pictures.NUMBERS == 2


def test_a_busy_camera_names_who_holds_it(camera: RigDevice) -> None:
    camera.plug(0)
    node = camera.wait_for_video()
    words = ["v4l2-ctl", "-d", node, "--stream-mmap", "--stream-to=/dev/null", "--verbose"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as holder:
        assert holder.stdout is not None
        assert any("cap dqbuf" in line for line in holder.stdout)
        with pytest.raises(DeviceError, match=rf"is used by pid {holder.pid} \(v4l2-ctl\)", check=because("busy")):
            source_of(camera).open()
        holder.kill()


# Sound


def blocks_of(source: SoundSource, seconds: float) -> list[AudioBlock]:
    blocks: list[AudioBlock] = []
    deadline = time.monotonic() + 20
    while sum(len(block.samples) for block in blocks) < seconds * 48_000:
        assert time.monotonic() < deadline
        block = source.read(0.5)
        if block is not None:
            blocks.append(block)
    return blocks


def peaks(blocks: list[AudioBlock]) -> list[int]:
    """Return the loudest frequency of each channel in the last two seconds."""
    sound = np.concatenate([block.samples for block in blocks])[-96_000:]
    return [round(int(np.abs(np.fft.rfft(channel)).argmax()) / 2) for channel in sound.T]


def test_the_sticks_sound_has_each_tone_in_its_channel(stick: RigDevice) -> None:
    stick.plug(1)
    with closing(SoundSource(sound_of(stick))) as source:
        source.open()
        blocks = blocks_of(source, 4)
    assert source.channels == 2
    assert peaks(blocks) == [440, 880]
    assert (source.overflows, any(block.lost for block in blocks)) == (0, False)
    counted = np.cumsum([0, *(len(block.samples) for block in blocks)])[:-1] / 48_000
    stamped = np.array([block.timestamp_ns for block in blocks]) / 1e9
    drift = stamped - stamped[0] - counted
    assert abs(float(np.median(drift[-50:]))) < 0.05
    assert 0 <= time.monotonic() - stamped[-1] < 1.0


def test_sound_plugged_in_later_is_found_and_disturbs_no_other(stick: RigDevice) -> None:
    stick.plug(1)
    with RigDevice("hdmi-stick") as other, closing(SoundSource(sound_of(stick))) as first:
        first.open()
        blocks_of(first, 1)
        other.plug(4)
        with closing(SoundSource(sound_of(other))) as second:
            second.open()
            blocks_of(second, 1)
            # Sorted: a stick whose packets get lost swaps its channels, and two at once are much for the machine.
            assert sorted(peaks(blocks_of(first, 3))) == [440, 880]


def test_unplugged_sound_is_lost_in_time(stick: RigDevice) -> None:
    stick.plug(1)
    with closing(SoundSource(sound_of(stick))) as source:
        source.open()
        blocks_of(source, 1)
        assert lost_after(lambda: source.read(0.1), stick.unplug) < 1.5
        assert seconds_to(source.close) < 0.5
        with pytest.raises(DeviceNotFound):
            source.open()


def test_a_microphone_that_is_pulled_out_takes_the_processor_from_nobody(stick: RigDevice) -> None:
    stick.plug(1)
    with closing(SoundSource(sound_of(stick))) as source:
        source.open()
        assert source.scheduled == "realtime"
        blocks_of(source, 1)
        began, ticks = time.monotonic(), [time.monotonic()]
        pulling = threading.Timer(0.5, stick.unplug)
        pulling.start()
        while ticks[-1] < began + 4:
            time.sleep(0.005)
            ticks.append(time.monotonic())
        pulling.join()
        with pytest.raises(DeviceError, check=because("lost")):
            _read_until(time.monotonic() + 1, lambda: source.read(0.1))
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    assert max(gaps) < 0.5, "0.95 s, twice: all that the kernel gives what is real-time"


def test_busy_sound_names_who_holds_it(stick: RigDevice) -> None:
    stick.plug(1)
    device = sound_of(stick)
    words = ["arecord", "-q", "-D", device.alsa or "", "-f", "S16_LE", "-r", "48000", "-c", "2", "-t", "raw"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.read(4096)
        with pytest.raises(DeviceError, match=rf"is used by pid {holder.pid} \(arecord\)", check=because("busy")):
            SoundSource(device).open()
        holder.kill()


def test_pictures_and_sound_of_one_moment_have_one_time(stick: RigDevice) -> None:
    stick.plug(1)
    stick.set("audio.sound", "beep")
    flashes: list[float] = []
    with closing(SoundSource(sound_of(stick))) as sound, closing(source_of(stick)) as source:
        sound.open()
        source.open()
        blocks = []
        was_lit, deadline = True, time.monotonic() + 20
        while len(flashes) < 5:
            assert time.monotonic() < deadline
            frame = source.read(0.05)
            if frame is not None:
                luma = source.decode(frame).to_ndarray(format="gray").astype(np.uint8, copy=False)
                is_lit = pictures.is_flashing(luma)
                flashes += [frame.timestamp_ns / 1e9] if is_lit and not was_lit else []
                was_lit = is_lit
            while (block := sound.read(0)) is not None:
                blocks.append(block)
    beeps = beginnings(blocks)
    offsets = [min(flash - beep for beep in beeps if abs(flash - beep) < 0.5) for flash in flashes[:-1]]
    measured = Path(os.environ["ARTIFACTS"], "flash-after-beep.json")
    measured.write_text(json.dumps([round(offset, 3) for offset in offsets]))
    # The flash shows in the first picture after it began: up to 1/15 s later than the beep.
    assert -0.05 < float(np.median(offsets)) < 0.12


def beginnings(blocks: list[AudioBlock]) -> list[float]:
    """Return when each beep began, on the session clock."""
    found, last_loud = [], 0.0
    for block in blocks:
        for index in np.flatnonzero(np.abs(block.samples[:, 0]) > 1000):
            moment = block.timestamp_ns / 1e9 + int(index) / 48_000
            if moment - last_loud > 0.5:
                found.append(moment)
            last_loud = moment
    return found
