"""Cameras: packets from libavformat, leaked mappings, the driver's timestamps, modes."""

import ctypes
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from av.container import InputContainer

from capture.sources import v4l2
from capture.sources.v4l2 import TimestampMapper, V4l2Source, next_packet, unmap_leaked_buffers
from config.errors import DeviceError
from devices.model.device import Device, DeviceKind, Mode
from devices.model.mode_choice import ChosenMode
from tests.support.processes import own_mb

PICTURES = 5


@pytest.fixture
def container(tmp_path: Path) -> Iterator[InputContainer]:
    path = tmp_path / "pictures.nut"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "gray"
        for number in range(PICTURES):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16), number, np.uint8), "gray")
            frame.pts = number
            made.mux(stream.encode(frame))
    with av.open(str(path)) as opened:
        yield opened


def test_packets_come_in_order_and_the_end_is_empty(container: InputContainer) -> None:
    packets = [next_packet(container, container.streams.video[0]) for _ in range(PICTURES + 2)]
    assert [bytes(packet) for packet in packets] == [*(bytes([at]) * 16 * 16 for at in range(PICTURES)), b"", b""]


def test_nothing_stays_of_those_that_were_read(container: InputContainer) -> None:
    stream = container.streams.video[0]

    def some(times: int) -> None:
        for number in range(times):
            if number % PICTURES == 0:
                container.seek(0)
            assert next_packet(container, stream).size == 16 * 16

    some(100)
    before = own_mb(psutil.Process())
    some(20_000)
    assert own_mb(psutil.Process()) - before < 1.5  # PyAV's generators would leak 3.7 MB


PIECES = 3


def mapped(file: Path) -> int:
    return sum(str(file) in line for line in Path("/proc/self/maps").read_text().splitlines())


def leave_mapped(file: Path) -> int:
    """Map a file in separate pieces, like a driver's buffers; return its descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (*(ctypes.c_void_p, ctypes.c_size_t), *(ctypes.c_int,) * 3, ctypes.c_long)
    file.write_bytes(bytes(2 * PIECES * mmap.PAGESIZE))
    fd = os.open(file, os.O_RDWR)
    for number in range(PIECES):
        at = libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_SHARED, fd, 2 * number * mmap.PAGESIZE)
        assert at not in {None, 2**64 - 1}
    return fd


def test_what_is_left_of_a_node_is_unmapped(tmp_path: Path) -> None:
    node, other = tmp_path / "video0", tmp_path / "video01"
    for file in (node, other):
        os.close(leave_mapped(file))
    assert (mapped(node), mapped(other)) == (2 * PIECES, PIECES)
    assert unmap_leaked_buffers(str(node)) == PIECES
    assert (mapped(node), mapped(other)) == (PIECES, PIECES)
    assert unmap_leaked_buffers(str(node)) == 0
    assert unmap_leaked_buffers(str(other)) == PIECES


def test_what_is_left_of_an_unplugged_device_is_unmapped_whatever_its_name(tmp_path: Path) -> None:
    node = tmp_path / "kartu tangkap video 0"
    os.close(leave_mapped(node))
    node.unlink()
    assert unmap_leaked_buffers(str(node)) == PIECES


def test_who_streams_from_it_or_asks_the_driver_a_question_is_waited_for_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    node = tmp_path / "video0"
    fd = leave_mapped(node)
    assert unmap_leaked_buffers(str(node)) == 0
    assert 0.2 < sum(waits) < 1.0, "so long for whoever has it open"
    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", lambda seconds: os.close(fd) if seconds else None)
        assert unmap_leaked_buffers(str(node)) == PIECES
    waits.clear()
    os.close(leave_mapped(node))
    assert unmap_leaked_buffers(str(node)) == PIECES
    assert sum(waits) == 0.0


NOW = 1_000_000_000_000
MS = 1_000_000


STAMPS: dict[str, tuple[list[tuple[float | None, float]], list[float], bool]] = {
    "as they are": ([(0, 20), (33, 53), (66, 86)], [0, 33, 66], True),
    "frames that waited": ([(0, 0), (33, 5000)], [0, 33], True),
    "one without a time": ([(0, 0), (None, 40), (66, 70)], [0, 40, 66], True),
    "a quarter of a second ahead": ([(0, 0), (33 + 250, 33)], [0, 33 + 250], True),
    "further ahead, and never back": ([(0, 0), (33 + 250.000001, 33), (10, 66)], [0, 33, 33.000001], True),
    "first ones up to two seconds old": ([(-1999.999999, 0)], [-1999.999999], True),
    "older ones are of another clock": ([(-2000, 0), (20, 33)], [0, 33], False),
    "first ones up to a quarter ahead": ([(249.999999, 0)], [249.999999], True),
    "the wall clock's": ([(250, 0), (250, 33)], [0, 33], False),
    "none": ([(None, 0), (None, 33)], [0, 33], False),
}
"""In milliseconds from NOW: a driver's time and the arrival of each frame; the times that are given."""


@pytest.mark.parametrize(("frames", "taken", "is_monotonic"), STAMPS.values(), ids=STAMPS)
def test_the_kernels_times_are_taken_where_they_can_be_those_of_this_clock(
    frames: list[tuple[float | None, float]], taken: list[float], *, is_monotonic: bool
) -> None:
    stamps = TimestampMapper()
    found = [stamps.stamp(None if driver is None else at(driver), at(arrival)) for driver, arrival in frames]
    assert (found, stamps.is_monotonic) == ([at(time_ms) for time_ms in taken], is_monotonic)


def at(milliseconds: float) -> int:
    return NOW + round(milliseconds * MS)


def test_a_device_that_is_opened_again_may_have_another_clock() -> None:
    stamps = TimestampMapper()
    stamps.stamp(NOW, NOW)
    stamps.reset()
    later = NOW + 60_000 * MS
    assert [stamps.stamp(step * 33 * MS, later + step * 33 * MS) for step in range(3)] == [
        later, later + 33 * MS, later + 66 * MS,
    ]  # fmt: skip
    assert stamps.is_monotonic is False
    stamps.reset()
    assert stamps.stamp(NOW, later) == later + 66 * MS + 1, "they never go back"


YUYV, MJPG = Mode("YUYV", 1280, 720, (30.0, 10.0)), Mode("MJPG", 1280, 720, (60.0, 30.0))


def asked(vid: str, pid: str, *, coded_only: bool = False) -> ChosenMode | None:
    modes = YUYV, MJPG
    camera = Device(id="camera", kind=DeviceKind.CAMERA, name="C", node="/dev/full", vid=vid, pid=pid, modes=modes)
    source = V4l2Source(camera, width=1280, height=720, rate=30, coded_only=coded_only)
    with pytest.raises(DeviceError):  # after the choice of the mode: it is no camera
        source.open()
    source.close()
    return source.mode


def test_an_opening_that_fails_leaves_nothing_mapped(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    os.close(leave_mapped(node))
    camera = Device(id="camera", kind=DeviceKind.CAMERA, name="C", node=str(node), modes=(YUYV,))
    with pytest.raises(DeviceError):
        V4l2Source(camera, width=1280, height=720, rate=30).open()
    assert mapped(node) == 0


def test_uncompressed_pictures_where_the_link_gives_enough_unless_the_camera_is_recorded_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert asked("1234", "0001") == ChosenMode(YUYV, 30.0)
    assert asked("1234", "0001", coded_only=True) == ChosenMode(MJPG, 30.0)
    monkeypatch.setattr(v4l2, "usable_bps", lambda _: 500_000_000)
    assert asked("1234", "0001") == ChosenMode(YUYV, 30.0)
    monkeypatch.setattr(v4l2, "usable_bps", lambda _: 196_608_000)
    assert asked("1234", "0001") == ChosenMode(MJPG, 30.0)


def test_a_make_that_fails_when_asked_for_a_rate_is_not_asked() -> None:
    assert asked("046d", "082b") == ChosenMode(YUYV, None)
