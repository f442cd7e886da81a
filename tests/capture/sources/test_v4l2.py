"""Cameras: packets from libavformat, leaked mappings, the driver's timestamps, modes."""

import ctypes
import mmap
import os
import threading
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
TIMES = 40_000
MOST_MB = 1.5
"""PyAV's generators would leak 7.5 MB of that many packets."""


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
    assert [bytes(packet) for packet in packets] == [bytes([number]) * 16 * 16 for number in range(PICTURES)] + [
        b"",
        b"",
    ]


def test_nothing_stays_of_those_that_were_read(container: InputContainer) -> None:
    stream = container.streams.video[0]

    def some(times: int) -> None:
        for number in range(times):
            if number % PICTURES == 0:
                container.seek(0)
            assert next_packet(container, stream).size == 16 * 16

    some(100)
    before = own_mb(psutil.Process())
    some(TIMES)
    assert own_mb(psutil.Process()) - before < MOST_MB


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


def test_what_somebody_streams_from_is_left_alone(tmp_path: Path) -> None:
    fd = leave_mapped(tmp_path / "video0")
    assert unmap_leaked_buffers(str(tmp_path / "video0")) == 0
    os.close(fd)
    assert unmap_leaked_buffers(str(tmp_path / "video0")) == PIECES


def test_what_is_left_of_an_unplugged_device_is_unmapped(tmp_path: Path) -> None:
    os.close(leave_mapped(tmp_path / "video0"))
    (tmp_path / "video0").unlink()
    assert unmap_leaked_buffers(str(tmp_path / "video0")) == PIECES


def test_a_node_with_spaces_in_its_path_is_found(tmp_path: Path) -> None:
    node = tmp_path / "kartu tangkap video 0"
    os.close(leave_mapped(node))
    assert unmap_leaked_buffers(str(node)) == PIECES


def test_who_asks_the_driver_a_question_at_that_moment_is_waited_for(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    fd = leave_mapped(node)
    timer = threading.Timer(0.1, os.close, (fd,))
    timer.start()
    assert unmap_leaked_buffers(str(node)) == PIECES
    timer.join()


def test_where_nobody_has_it_open_nothing_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    node = tmp_path / "video0"
    fd = leave_mapped(node)
    assert unmap_leaked_buffers(str(node)) == 0
    assert 0.2 < sum(waits) < 1.0, "so long for whoever has it open"
    waits.clear()
    os.close(fd)
    assert unmap_leaked_buffers(str(node)) == PIECES
    assert sum(waits) == 0.0


NOW = 1_000_000_000_000
MS = 1_000_000


def test_the_kernels_times_are_taken_as_they_are() -> None:
    stamps = TimestampMapper()
    assert [stamps.stamp(NOW + step * 33 * MS, NOW + step * 33 * MS + 20 * MS) for step in range(3)] == [
        NOW, NOW + 33 * MS, NOW + 66 * MS,
    ]  # fmt: skip
    assert stamps.is_monotonic


def test_wall_clock_or_no_times_give_way_to_the_arrival() -> None:
    for driver in (1_800_000_000_000_000_000, None, 12 * MS):
        stamps = TimestampMapper()
        assert stamps.stamp(driver, NOW) == NOW
        assert stamps.stamp(driver, NOW + 33 * MS) == NOW + 33 * MS
        assert stamps.is_monotonic is False


def test_a_device_that_is_opened_again_may_have_another_clock() -> None:
    """After a reset all its timestamps lie in the past, and each would be a nanosecond after the previous one."""
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


def test_frames_that_waited_keep_their_time() -> None:
    stamps = TimestampMapper()
    stamps.stamp(NOW, NOW)
    assert stamps.stamp(NOW + 33 * MS, NOW + 5_000 * MS) == NOW + 33 * MS


def test_a_time_from_the_future_is_not_believed_and_times_never_go_back() -> None:
    stamps = TimestampMapper()
    stamps.stamp(NOW, NOW)
    assert stamps.stamp(NOW + 60_000 * MS, NOW + 33 * MS) == NOW + 33 * MS
    assert stamps.stamp(NOW + 10 * MS, NOW + 66 * MS) == NOW + 33 * MS + 1


def test_the_first_time_is_of_another_clock_where_it_is_two_seconds_old_or_a_quarter_ahead() -> None:
    for driver, is_believed in (
        (NOW - 2_000 * MS + 1, True),
        (NOW - 2_000 * MS, False),
        (NOW + 250 * MS - 1, True),
        (NOW + 250 * MS, False),
    ):
        stamps = TimestampMapper()
        assert stamps.is_monotonic is None
        assert stamps.stamp(driver, NOW) == (driver if is_believed else NOW)
        assert stamps.is_monotonic is is_believed


def test_a_later_time_may_be_a_quarter_of_a_second_ahead_and_no_more() -> None:
    for ahead_ns, taken_ns in ((250 * MS, 250 * MS), (250 * MS + 1, 0)):
        stamps = TimestampMapper()
        stamps.stamp(NOW, NOW)
        assert stamps.stamp(NOW + 33 * MS + ahead_ns, NOW + 33 * MS) == NOW + 33 * MS + taken_ns


def test_a_frame_without_a_time_among_others_has_that_of_its_arrival() -> None:
    stamps = TimestampMapper()
    stamps.stamp(NOW, NOW)
    assert stamps.stamp(None, NOW + 40 * MS) == NOW + 40 * MS
    assert stamps.stamp(NOW + 66 * MS, NOW + 70 * MS) == NOW + 66 * MS


def test_another_clock_is_not_believed_later_when_it_happens_to_say_the_same() -> None:
    stamps = TimestampMapper()
    stamps.stamp(NOW - 60_000 * MS, NOW)
    assert stamps.stamp(NOW + 20 * MS, NOW + 33 * MS) == NOW + 33 * MS


NODE = "/dev/full"
"""No camera: opening fails there, after the choice of the mode."""
YUYV, MJPG = Mode("YUYV", 1280, 720, (30.0, 10.0)), Mode("MJPG", 1280, 720, (60.0, 30.0))


def asked(vid: str, pid: str, rate: float = 30, *, coded_only: bool = False) -> ChosenMode | None:
    camera = Device(id="camera", kind=DeviceKind.CAMERA, name="C", node=NODE, vid=vid, pid=pid, modes=(YUYV, MJPG))
    source = V4l2Source(camera, width=1280, height=720, rate=rate, coded_only=coded_only)
    with pytest.raises(DeviceError):
        source.open()
    source.close()
    return source.mode


def test_uncompressed_pictures_where_the_link_gives_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked("1234", "0001") == ChosenMode(YUYV, 30.0)
    monkeypatch.setattr(v4l2, "usable_bps", lambda _: 500_000_000)
    assert asked("1234", "0001") == ChosenMode(YUYV, 30.0)
    monkeypatch.setattr(v4l2, "usable_bps", lambda _: 196_608_000)
    assert asked("1234", "0001") == ChosenMode(MJPG, 30.0)


def test_a_camera_that_is_recorded_apart_is_asked_for_compressed_pictures() -> None:
    assert asked("1234", "0001", coded_only=True) == ChosenMode(MJPG, 30.0)


def test_a_make_that_fails_when_asked_for_a_rate_is_not_asked() -> None:
    assert asked("046d", "082b") == ChosenMode(YUYV, None)
