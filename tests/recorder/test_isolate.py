"""Sources recorded apart: what was sent is in the file, byte for byte, on the program's timeline."""

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped] # has a stub, but no py.typed to say so

from capture.source import Coded, Frame
from devices.clock import NANOSECONDS
from recorder import isolate
from recorder.isolate import Isolated, Tap
from tests.support import media
from tests.support.command import ROOT
from tests.support.simulated import EventList

WIDTH, HEIGHT, RATE = 160, 120, 10
ZERO_NS = 50 * NANOSECONDS
MJPEG, H264 = Coded("mjpeg", WIDTH, HEIGHT), Coded("h264", WIDTH, HEIGHT)


def jpegs(count: int) -> list[bytes]:
    noise = np.random.default_rng(4)
    pictures = (noise.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(count))
    return [bytes(simplejpeg.encode_jpeg(picture, colorspace="RGB")) for picture in pictures]


def annex_b(count: int, keyframe_every: int = 10) -> list[bytes]:
    """Return H.264 as cameras send it: parameter sets before each keyframe, no B-frames."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base = Fraction(1, RATE)
    context.options = {
        "tune": "zerolatency",
        "x264-params": f"keyint={keyframe_every}:min-keyint={keyframe_every}:scenecut=0",
    }
    packets = []
    for number in range(count):
        picture = av.VideoFrame.from_ndarray(np.full((HEIGHT * 3 // 2, WIDTH), 60 + number, np.uint8), "yuv420p")
        picture.pts = number
        packets += [bytes(packet) for packet in context.encode(picture)]
    return packets


def frames(payloads: list[bytes], first_s: float = 0.0) -> list[Frame]:
    return [
        Frame(ZERO_NS + round((first_s + number / RATE) * NANOSECONDS), payload)
        for number, payload in enumerate(payloads)
    ]


def stored(path: Path) -> list[tuple[float, bytes]]:
    """Return when each packet of a file is shown, and its bytes, as PyAV demuxes them."""
    with av.open(str(path)) as container:
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(video=0)
            if packet.pts is not None and packet.time_base is not None and packet.size
        ]


@pytest.fixture
def events() -> EventList:
    return EventList()


@pytest.fixture
def begin(tmp_path: Path, events: EventList) -> Callable[[], Isolated]:
    return lambda: Isolated(tmp_path, "podium", ZERO_NS, events)


def test_each_jpeg_is_stored_as_it_came_at_its_time(
    begin: Callable[[], Isolated], tmp_path: Path, events: EventList
) -> None:
    isolated, sent = begin(), jpegs(30)
    for frame in frames(sent, first_s=0.35):
        isolated.put(frame, MJPEG)
    isolated.close()
    kept = stored(tmp_path / "podium.mkv")
    assert [data for _, data in kept] == sent
    assert [at for at, _ in kept] == pytest.approx([0.35 + number / RATE for number in range(30)], abs=0.001)
    media.decodes_cleanly(tmp_path / "podium.mkv")
    assert (isolated.frames, isolated.dropped, events) == (30, 0, [])


def test_h264_begins_with_a_keyframe_and_decodes(begin: Callable[[], Isolated], tmp_path: Path) -> None:
    isolated, sent = begin(), annex_b(40)
    for frame in frames(sent[3:], first_s=0.3):
        isolated.put(frame, H264)
    isolated.close()
    kept = stored(tmp_path / "podium.mkv")
    assert len(kept) == 30  # from picture 10 on
    assert kept[0][0] == pytest.approx(1.0, abs=0.001)
    media.decodes_cleanly(tmp_path / "podium.mkv")
    assert media.decoded(tmp_path / "podium.mkv", "v").frames == 30


def test_what_is_from_before_the_beginning_is_left_out(begin: Callable[[], Isolated], tmp_path: Path) -> None:
    isolated, sent = begin(), jpegs(10)
    for frame in frames(sent, first_s=-0.5):
        isolated.put(frame, MJPEG)
    isolated.close()
    assert [data for _, data in stored(tmp_path / "podium.mkv")] == sent[5:]


def test_a_device_that_comes_back_with_something_else_has_a_second_file(
    begin: Callable[[], Isolated], tmp_path: Path, events: EventList
) -> None:
    isolated, first, second = begin(), jpegs(5), annex_b(10)
    for frame in frames(first):
        isolated.put(frame, MJPEG)
    for frame in frames(second, first_s=3):
        isolated.put(frame, H264)
    isolated.close()
    assert len(stored(tmp_path / "podium.mkv")) == 5
    later = stored(tmp_path / "podium-2.mkv")
    assert len(later) == 10
    assert later[0][0] == pytest.approx(3.0, abs=0.001)
    assert events == []


def test_uncompressed_pictures_are_not_copied_and_that_is_said_once(
    begin: Callable[[], Isolated], tmp_path: Path, events: EventList
) -> None:
    isolated = begin()
    for frame in frames([bytes(WIDTH * HEIGHT * 2)] * 5):
        isolated.put(frame, None)
    isolated.close()
    assert events == [("isolated-failed", "podium")]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_costs_its_own_file_only(tmp_path: Path, events: EventList) -> None:
    isolated = Isolated(tmp_path / "gone", "podium", ZERO_NS, events)
    for frame in frames(jpegs(5)):
        isolated.put(frame, MJPEG)
    isolated.close()
    assert events == [("isolated-failed", "podium")]


def test_what_a_slow_disk_does_not_take_is_dropped_within_a_bound_and_told(
    begin: Callable[[], Isolated], tmp_path: Path, events: EventList, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = jpegs(20)
    monkeypatch.setattr(isolate, "MOST_WAITING_BYTES", sum(map(len, sent)) // 2)
    isolated = begin()
    with isolated._changed:  # the disk takes nothing while it is held
        for frame in frames(sent):
            isolated._waiting.append((frame, MJPEG))
            isolated._bytes += len(sent[0])
    for frame in frames(sent, first_s=5):
        isolated.put(frame, MJPEG)
    isolated.close()
    assert isolated.dropped > 0
    assert isolated.frames + isolated.dropped == 40
    assert events == [("isolated-dropped", "podium")]


def test_killed_it_plays_up_to_its_last_second(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from recorder.isolate import Isolated
from tests.recorder.test_isolate import MJPEG, ZERO_NS, frames, jpegs
isolated = Isolated(Path(sys.argv[1]), "podium", ZERO_NS, print)
for frame in frames(jpegs(50)):
    isolated.put(frame, MJPEG)
while isolated.frames < 50:
    time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, check=False)
    assert done.returncode == -9
    kept = stored(tmp_path / "podium.mkv")
    assert kept[-1][0] > 3.9
    media.decodes_cleanly(tmp_path / "podium.mkv")


def test_the_tap_hands_on_what_is_read_and_copies_nothing_before_it_is_asked(tmp_path: Path, events: EventList) -> None:
    sent = frames(jpegs(4))

    left = list(sent)

    class Camera:
        name = "podium"
        coded = MJPEG

        def read(self, timeout_s: float) -> Frame | None:
            return left.pop(0) if left else None

    tap = Tap(Camera())  # type: ignore[arg-type] # its reading side
    assert tap.read(0.1) is sent[0]
    tap.isolated = Isolated(tmp_path, "podium", ZERO_NS, events)
    assert [tap.read(0.1) for _ in range(4)] == [*sent[1:], None]
    tap.isolated.close()
    assert [data for _, data in stored(tmp_path / "podium.mkv")] == [frame.payload for frame in sent[1:]]
