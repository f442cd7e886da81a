"""Whatever interrupts the finishing of a file, it plays what it has played before, and can be finished again."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.mp4 import boxes as boxes_module
from recorder.mp4 import finalize as finish_module
from recorder.mp4.boxes import SECTOR
from recorder.mp4.finalize import finalize
from tests.recorder.mp4.finishing import MARKS, finished, opened
from tests.support.muxed import TITLE, decoded


def test_a_head_that_was_changed_and_whose_index_is_lost_is_finished_again(fragmented: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(fragmented.read_bytes())
    finished(path, MARKS)
    whole = path.read_bytes()
    index = whole.rindex(b"moov") - 4
    for length in (index, index + 4, index + 900, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert finished(path, MARKS)
        assert path.read_bytes() == whole
    path.write_bytes(whole[: index + 600] + bytes(1024) + whole[index + 1624 :])
    assert finished(path, MARKS)
    assert path.read_bytes() == whole


def test_what_is_finished_again_plays_as_fragments_until_its_index_is_on_the_disk(
    fragmented: Path, tmp_path: Path
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path, content = tmp_path / "a.mp4", fragmented.read_bytes()
    path.write_bytes(content)
    finished(path)
    os.truncate(path, len(content))
    with opened(path) as descriptor, pytest.raises(OSError, match=os.strerror(errno.EIO)):
        finalize(descriptor, path, sync=refuse)
    assert path.read_bytes() == content


def test_it_is_over_once_all_of_it_is_on_the_disk(fragmented: Path, tmp_path: Path) -> None:
    path, synced = tmp_path / "a.mp4", list[bytes]()
    path.write_bytes(fragmented.read_bytes())
    with opened(path) as descriptor:
        finalize(descriptor, path, sync=lambda _: synced.append(path.read_bytes()))
    assert synced[0][: len(fragmented.read_bytes())] == fragmented.read_bytes(), "the index before the head"
    assert synced[-1] == path.read_bytes()


def test_a_disk_without_room_for_the_index_keeps_the_fragments(fragmented: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    content = fragmented.read_bytes()
    path.write_bytes(content)
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 1000, no_limit[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            finished(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
    assert path.read_bytes() == content
    assert finished(path)


class Interrupted:
    """Stands for the module `os`: a disk that loses what was not synced when the power is cut at step `at`.

    Of each write since then `keep` says, sector by sector, what had come onto the disk all the same.
    """

    def __init__(self, path: Path, at: int, keep: Callable[[int], bool]) -> None:
        self._path, self._left, self._keep = path, at, keep
        self._safe, self._loose = path.read_bytes(), list[tuple[int, bytes]]()
        self._length = len(self._safe)

    def _step(self) -> None:
        if self._left == 0:
            content = bytearray(self._safe[: self._length])
            content.extend(bytes(max(0, self._length - len(content))))
            for position, data in self._loose:
                for at in range(position // SECTOR, (position + len(data) - 1) // SECTOR + 1):
                    start, end = max(position, at * SECTOR), min(position + len(data), at * SECTOR + SECTOR)
                    if self._keep(at):
                        content.extend(bytes(max(0, end - len(content))))
                        content[start:end] = data[start - position : end - position]
            self._path.write_bytes(content)
            raise KeyboardInterrupt
        self._left -= 1

    def pwrite(self, descriptor: int, data: bytes | memoryview, position: int) -> int:
        self._loose.append((position, bytes(data)))
        self._step()
        return os.pwrite(descriptor, data, position)

    def ftruncate(self, descriptor: int, length: int) -> None:
        if self._keep(-1):
            self._length = length
        self._step()
        os.ftruncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        self._step()
        os.fsync(descriptor)
        self._safe, self._loose = self._path.read_bytes(), []
        self._length = len(self._safe)

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


@pytest.mark.parametrize("kept", ["nothing", "everything", "odd sectors", "even sectors"])
def test_a_power_cut_or_kill_at_any_step_leaves_what_plays_and_can_be_finished(
    fragmented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(fragmented.read_bytes() + b"\0\0\1\0moof and a fragment that is not whole")
    before = path.read_bytes()
    finished(path, MARKS)
    whole, pictures = path.read_bytes(), decoded(path)
    keeps = {"nothing": lambda _: False, "everything": lambda _: True, "odd sectors": lambda n: n % 2 == 1}
    seen = set()
    for at in range(1000):
        path.write_bytes(before)
        disk = Interrupted(path, at, keeps.get(kept, lambda n: n % 2 == 0))
        with monkeypatch.context() as patch, opened(path) as descriptor:
            patch.setattr(finish_module, "os", disk)
            patch.setattr(boxes_module, "os", disk)
            try:
                finalize(descriptor, path, marks=MARKS, title=TITLE, sync=disk.sync)
            except KeyboardInterrupt:
                pass
            else:
                break
        left = path.read_bytes()
        if left not in seen and (at < 2 or at % 8 == 0 or left[:SECTOR] != before[:SECTOR]):
            assert decoded(path, whole=False) == pictures
        seen.add(left)
        finished(path, MARKS)
        assert path.read_bytes() == whole, at
    assert at > 20
