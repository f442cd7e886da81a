"""One process at a time has the right to watch; it is free again however that one ends."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devices.service import WatchLock
from tests.support.command import ROOT
from tests.support.waiting import wait_for

HOLDER = """
import os, sys, time
from pathlib import Path
from devices.service import WatchLock
lock = WatchLock(Path(sys.argv[1]))
taken = lock.take()
os.system("sleep 60 &")
print(taken, flush=True)
time.sleep(60)
"""


def test_it_is_taken_once_and_let_go(tmp_path: Path) -> None:
    path = tmp_path / "health" / "watch.lock"
    first, second = WatchLock(path), WatchLock(path)
    assert first.take()
    assert first.take()
    assert not second.take()
    assert (first.is_held, second.is_held) == (True, False)
    assert path.read_text() == f"{os.getpid()}\n"
    first.let_go()
    assert second.take()
    assert (first.is_held, second.is_held) == (False, True)
    first.let_go()
    assert not first.take()
    second.let_go()


def test_a_holder_that_is_killed_leaves_it_and_its_children_do_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "watch.lock"
    lock = WatchLock(path)
    words = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"  # its child runs by then
        assert not lock.take()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        wait_for(lock.take)
        os.killpg(holder.pid, signal.SIGKILL)
    lock.let_go()


def test_where_no_lock_can_be_kept_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="File exists"):
        WatchLock(tmp_path / "file" / "watch.lock").take()


def test_who_ends_does_not_wait_for_a_folder_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, hangs = threading.Event(), threading.Event()

    def flock(fd: int, how: int) -> None:
        hangs.set()
        let_go.wait(60)

    monkeypatch.setattr("devices.service.fcntl.flock", flock)
    lock = WatchLock(tmp_path / "watch.lock")
    taking = threading.Thread(target=lock.take)
    taking.start()
    assert hangs.wait(30)
    lock.let_go()
    assert taking.is_alive()
    let_go.set()
    taking.join()
    lock.let_go()
    assert not lock.is_held
