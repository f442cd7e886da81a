"""The kernel's own word of who opens and closes a file: the right one, however often its name is another file's."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.monitor.use_watcher import NodeWatcher

NODE = "/dev/full"


@pytest.fixture
def openings() -> Iterator[NodeWatcher]:
    openings = NodeWatcher()
    yield openings
    openings.close()


def touch(path: str | Path) -> None:
    with Path(path).open("rb"):
        pass


def test_opening_and_closing_a_device_are_each_told(openings: NodeWatcher) -> None:
    master, slave = os.openpty()
    node = os.ttyname(slave)
    openings.follow([node])
    other = os.open(node, os.O_RDWR | os.O_NOCTTY)
    assert openings.wait(20) == {node}
    assert openings.wait(0) == set()
    os.close(other)
    assert openings.wait(20) == {node}
    for fd in (master, slave):
        os.close(fd)


def test_only_what_is_followed_is_told_and_a_name_that_is_another_file_now_can_be_followed_again(
    openings: NodeWatcher, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.touch()
    openings.follow([str(one), str(tmp_path / "absent")])
    touch(other)
    assert openings.wait(0) == set()
    one.unlink()
    one.touch()
    openings.wait(0)
    touch(one)
    assert openings.wait(0) == set()
    openings.follow([str(one), str(other)])
    touch(one)
    assert openings.wait(20) == {str(one)}
    openings.follow([str(other)])
    touch(one)
    assert openings.wait(0) == set()
    touch(other)
    assert openings.wait(20) == {str(other)}


def test_waking_ends_the_wait_also_one_that_comes_later(openings: NodeWatcher) -> None:
    openings.wake()
    assert openings.wait(None) == set()
    openings.close()
    openings.wake()
    openings.follow([NODE])


def test_without_inotify_nothing_is_told_and_it_can_still_be_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoneLeft:
        def inotify_init1(self, flags: int) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: NoneLeft())
    openings = NodeWatcher()
    openings.follow([NODE])
    touch(NODE)
    openings.wake()
    assert openings.wait(None) == set()
    openings.close()
