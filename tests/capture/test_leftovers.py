"""What FFmpeg leaves mapped is taken back, and nothing that somebody uses."""

import ctypes
import mmap
import os
import threading
import time
from pathlib import Path

import pytest

from capture.leftovers import unmap

PIECES = 3


def mapped(file: Path) -> int:
    return sum(str(file) in line for line in Path("/proc/self/maps").read_text().splitlines())


def leave_mapped(file: Path) -> int:
    """Map a file in pieces that lie apart, as a driver's buffers do; return its descriptor."""
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
    assert unmap(str(node)) == PIECES
    assert (mapped(node), mapped(other)) == (PIECES, PIECES)
    assert unmap(str(node)) == 0
    assert unmap(str(other)) == PIECES


def test_what_somebody_streams_from_is_left_alone(tmp_path: Path) -> None:
    fd = leave_mapped(tmp_path / "video0")
    assert unmap(str(tmp_path / "video0")) == 0
    os.close(fd)
    assert unmap(str(tmp_path / "video0")) == PIECES


def test_what_is_left_of_an_unplugged_device_is_unmapped(tmp_path: Path) -> None:
    os.close(leave_mapped(tmp_path / "video0"))
    (tmp_path / "video0").unlink()
    assert unmap(str(tmp_path / "video0")) == PIECES


def test_a_node_with_spaces_in_its_path_is_found(tmp_path: Path) -> None:
    node = tmp_path / "kartu tangkap video 0"
    os.close(leave_mapped(node))
    assert unmap(str(node)) == PIECES


def test_who_asks_the_driver_a_question_at_that_moment_is_waited_for(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    fd = leave_mapped(node)
    timer = threading.Timer(0.1, os.close, (fd,))
    timer.start()
    assert unmap(str(node)) == PIECES
    timer.join()


def test_where_nobody_has_it_open_nothing_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    node = tmp_path / "video0"
    fd = leave_mapped(node)
    assert unmap(str(node)) == 0
    assert 0.2 < sum(waits) < 1.0, "so long for whoever has it open"
    waits.clear()
    os.close(fd)
    assert unmap(str(node)) == PIECES
    assert sum(waits) == 0.0
