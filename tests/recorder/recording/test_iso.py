"""Sources recorded apart: what was sent is in the file, byte for byte, on the program's timeline."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped] # has a stub, but no py.typed to say so

from capture.source import CodedFormat, Frame
from devices.host.clock import NANOSECONDS
from recorder.disk.durable import DurableFiles
from recorder.recording import iso
from recorder.recording.iso import IsoRecording, PartDirectoryLookup, unique_file_names
from recorder.recording.replica import PartDirectory
from tests.support import media
from tests.support.command import ROOT
from tests.support.simulated import EventList
from tests.support.waiting import wait_for

WIDTH, HEIGHT, RATE = 160, 120, 10
ZERO_NS = 50 * NANOSECONDS
MJPEG, H264 = CodedFormat("mjpeg", WIDTH, HEIGHT), CodedFormat("h264", WIDTH, HEIGHT)


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


def give(iso: IsoRecording, payloads: list[bytes], codec: CodedFormat | None = MJPEG, first_s: float = 0.0) -> None:
    for frame in frames(payloads, first_s):
        iso.put(frame, codec)


def at(folder: Path) -> Callable[[], PartDirectory]:
    beside = PartDirectory(folder)
    return lambda: beside


def begun(where: PartDirectoryLookup, events: EventList) -> IsoRecording:
    iso = IsoRecording("podium", events)
    iso.begin(where, ZERO_NS, "podium")
    return iso


@pytest.fixture
def events() -> EventList:
    return EventList()


@pytest.fixture
def isolated(tmp_path: Path, events: EventList) -> IsoRecording:
    return begun(at(tmp_path), events)


def test_each_jpeg_is_stored_as_it_came_at_its_time(isolated: IsoRecording, tmp_path: Path, events: EventList) -> None:
    sent = jpegs(30)
    give(isolated, sent, first_s=0.35)
    isolated.close()
    kept = stored(tmp_path / "podium.mkv")
    assert [data for _, data in kept] == sent
    assert [at for at, _ in kept] == pytest.approx([0.35 + number / RATE for number in range(30)], abs=0.001)
    media.decodes_cleanly(tmp_path / "podium.mkv")
    assert (isolated.frames, isolated.dropped, events) == (30, 0, [])


def test_h264_begins_with_a_keyframe_and_decodes(isolated: IsoRecording, tmp_path: Path) -> None:
    give(isolated, annex_b(40)[3:], H264, first_s=0.3)
    isolated.close()
    kept = stored(tmp_path / "podium.mkv")
    assert len(kept) == 30  # from picture 10 on
    assert kept[0][0] == pytest.approx(1.0, abs=0.001)
    media.decodes_cleanly(tmp_path / "podium.mkv")
    assert media.decoded(tmp_path / "podium.mkv", "v").frames == 30


def test_a_device_that_comes_back_with_something_else_has_a_second_file(
    isolated: IsoRecording, tmp_path: Path, events: EventList
) -> None:
    give(isolated, jpegs(5))
    give(isolated, annex_b(10), H264, first_s=3)
    isolated.close()
    assert len(stored(tmp_path / "podium.mkv")) == 5
    later = stored(tmp_path / "podium.2.mkv")
    assert len(later) == 10
    assert later[0][0] == pytest.approx(3.0, abs=0.001)
    assert events == []


@pytest.mark.parametrize(("codec", "count"), [(None, 5), (MJPEG, 110)])
def test_what_cannot_be_copied_or_never_can_be_read_is_given_up_and_told_once(
    isolated: IsoRecording, tmp_path: Path, events: EventList, codec: CodedFormat | None, count: int
) -> None:
    give(isolated, [bytes(500)] * count, codec)
    isolated.close()
    assert events == [("isolated-failed", "podium")]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_or_a_mistake_of_ours_costs_its_own_file_only(tmp_path: Path) -> None:
    def nowhere() -> PartDirectory:
        raise ZeroDivisionError("a bug")

    for where in (at(tmp_path / "gone"), nowhere):
        events = EventList()
        isolated = begun(where, events)
        give(isolated, jpegs(5))
        isolated.close()
        assert events == [("isolated-failed", "podium")]


def test_what_a_slow_disk_does_not_take_is_dropped_within_a_bound_and_told(
    isolated: IsoRecording, tmp_path: Path, events: EventList, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = jpegs(20)
    monkeypatch.setattr(iso, "MOST_WAITING_BYTES", sum(map(len, sent)) // 2)
    disk = SlowDisk()
    disk.hold(monkeypatch)
    give(isolated, sent)
    disk.go_on.set()
    isolated.close()
    assert 8 <= isolated.dropped <= 11
    assert isolated.frames + isolated.dropped == 20
    assert events == [("isolated-dropped", "podium")]


class SlowDisk:
    """Takes no file, and so no picture, until it is let."""

    def __init__(self) -> None:
        self.go_on, self.asked = threading.Event(), threading.Event()

    def hold(self, patch: pytest.MonkeyPatch) -> None:
        sync = DurableFiles.sync

        def held(files: DurableFiles, path: Path) -> None:
            self.asked.set()
            self.go_on.wait(30)
            sync(files, path)

        patch.setattr(DurableFiles, "sync", held)


def two_parts(folder: Path, second_s: float = 0.0) -> list[PartDirectory]:
    for name in "ab":
        (folder / name).mkdir()
    return [PartDirectory(folder / "a"), PartDirectory(folder / "b", second_s)]


@pytest.mark.parametrize("codec", [MJPEG, H264])
def test_it_goes_on_where_the_program_goes_on_with_nothing_missing(
    tmp_path: Path, events: EventList, codec: CodedFormat
) -> None:
    sent = annex_b(40) if codec is H264 else jpegs(40)
    parts = two_parts(tmp_path, 1.5)
    now = parts[:1]
    isolated = begun(lambda: now[0], events)
    give(isolated, sent[:17], codec)
    now[:] = parts[1:]
    if codec is MJPEG:
        wait_for(lambda: isolated.frames == 17)
    give(isolated, sent[17:20], codec, first_s=1.7)
    if codec is H264:
        wait_for(lambda: isolated.frames == 20)
    give(isolated, sent[20:], codec, first_s=2.0)
    isolated.close()
    kept = [stored(part.folder / "podium.mkv") for part in parts]
    media.decodes_cleanly(parts[1].folder / "podium.mkv")
    if codec is MJPEG:
        assert [data for part in kept for _, data in part] == sent
    assert len(kept[0]) == (20 if codec is H264 else 17)
    shown = [seconds + part.start_s for part, packets in zip(parts, kept, strict=True) for seconds, _ in packets]
    assert shown == pytest.approx([number / RATE for number in range(40)], abs=0.002)
    assert (isolated.dropped, events) == (0, [])
    assert not any(part.is_written for part in parts)


def test_what_a_disk_does_not_take_any_more_goes_to_the_next(
    tmp_path: Path, events: EventList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iso, "CLOSE_S", 2.0)
    sent, disk, parts = jpegs(30), SlowDisk(), two_parts(tmp_path)
    now = parts[:1]
    isolated = begun(lambda: now[0], events)
    with monkeypatch.context() as patch:
        disk.hold(patch)
        give(isolated, sent[:20])
        assert disk.asked.wait(60)
    now[:] = parts[1:]
    give(isolated, sent[20:], first_s=2.0)
    isolated.close()
    assert [data for _, data in stored(parts[1].folder / "podium.mkv")] == sent[1:]
    assert [part.is_written for part in parts] == [True, False]
    disk.go_on.set()
    wait_for(lambda: not parts[0].is_written)
    assert [data for _, data in stored(parts[0].folder / "podium.mkv")] == sent[:1]


def test_a_disk_that_fails_before_the_program_leaves_it_costs_no_picture_that_waits(
    tmp_path: Path, events: EventList
) -> None:
    sent, parts = jpegs(20), [PartDirectory(tmp_path / "gone"), PartDirectory(tmp_path)]
    now = parts[:1]
    isolated = begun(lambda: now[0], events)
    isolated.put(frames(sent)[0], MJPEG)
    wait_for(lambda: events)
    give(isolated, sent[1:10], first_s=0.1)
    now[:] = parts[1:]
    give(isolated, sent[10:], first_s=1.0)
    isolated.close()
    assert [data for _, data in stored(tmp_path / "podium.mkv")] == sent[1:]
    assert events == [("isolated-failed", "podium")]


@pytest.mark.parametrize("damaged", [b"\0" * 500, b"\xff\xd8\xff\xd9", None])
def test_it_begins_with_the_first_picture_that_can_be_read(
    isolated: IsoRecording, tmp_path: Path, events: EventList, damaged: bytes | None
) -> None:
    sent = jpegs(10)
    first = sent[0][:20] if damaged is None else damaged
    give(isolated, [first, first, *sent])
    isolated.close()
    assert [data for _, data in stored(tmp_path / "podium.mkv")] == sent
    assert events == []


def test_it_is_brought_onto_the_disk_as_often_as_the_program(
    tmp_path: Path, events: EventList, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Os:
        def fdatasync(self, descriptor: int) -> None:
            os.fdatasync(descriptor)
            sizes.append(os.fstat(descriptor).st_size)

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    monkeypatch.setattr(iso, "os", Os())
    isolated = begun(at(tmp_path), events)
    give(isolated, jpegs(51))
    isolated.close()
    assert len(sizes) == 11
    assert sizes == sorted(sizes)
    assert sizes[-1] == (tmp_path / "podium.mkv").stat().st_size
    assert sizes[-3] > sizes[-1] * 0.6


def test_no_two_sources_have_one_file() -> None:
    names = ["讲台", "屏幕", "Cam", "Cam 2", "cam", "c" * 70 + "1", "c" * 70 + "2"]
    stems = unique_file_names(names)
    assert list(stems) == names
    assert len(set(stems.values())) == len(names)
    assert (stems["讲台"], stems["Cam"], stems["Cam 2"]) == ("source", "cam", "cam-2")


def test_killed_it_plays_up_to_its_last_second(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from recorder.recording.iso import IsoRecording
from tests.recorder.recording.test_iso import ZERO_NS, at, give, jpegs
isolated = IsoRecording("podium", print)
isolated.begin(at(Path(sys.argv[1])), ZERO_NS, "podium")
give(isolated, jpegs(50))
while isolated.frames < 50:
    time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, check=False)
    assert done.returncode == -9
    kept = stored(tmp_path / "podium.mkv")
    assert kept[-1][0] > 3.9
    media.decodes_cleanly(tmp_path / "podium.mkv")


def test_pictures_that_were_read_before_it_begins_are_in_it_as_far_as_they_are_of_the_recording(
    tmp_path: Path, events: EventList
) -> None:
    sent = frames(jpegs(6), first_s=-0.1)
    iso = IsoRecording("podium", events)
    for frame in sent[:3]:
        iso.put(frame, MJPEG)
    iso.begin(at(tmp_path), ZERO_NS, "podium")
    for frame in sent[3:]:
        iso.put(frame, MJPEG)
    iso.close()
    assert [data for _, data in stored(tmp_path / "podium.mkv")] == [frame.payload for frame in sent[1:]]
