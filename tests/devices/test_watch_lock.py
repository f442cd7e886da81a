"""One process at a time has the right to watch; it is free again however that one ends."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devices.device_service import DeviceServiceLock
from tests.support.command import ROOT
from tests.support.waiting import wait_for

HOLDER = """
import os, sys, time
from pathlib import Path
from devices.device_service import DeviceServiceLock
lock = DeviceServiceLock(Path(sys.argv[1]))
taken = lock.acquire()
os.system("sleep 60 &")
print(taken, flush=True)
time.sleep(60)
"""


def test_it_is_taken_once_and_let_go(tmp_path: Path) -> None:
    path = tmp_path / "health" / "watch.lock"
    first, second = DeviceServiceLock(path), DeviceServiceLock(path)
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    assert (first.is_held, second.is_held) == (True, False)
    assert path.read_text() == f"{os.getpid()}\n"
    first.release()
    assert second.acquire()
    assert (first.is_held, second.is_held) == (False, True)
    first.release()
    assert not first.acquire()
    second.release()


def test_a_holder_that_is_killed_leaves_it_and_its_children_do_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "watch.lock"
    lock = DeviceServiceLock(path)
    words = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"  # its child runs by then
        assert not lock.acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        wait_for(lock.acquire)
        os.killpg(holder.pid, signal.SIGKILL)
    lock.release()


def test_where_no_lock_can_be_kept_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="File exists"):
        DeviceServiceLock(tmp_path / "file" / "watch.lock").acquire()


def test_who_ends_does_not_wait_for_a_folder_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, hangs = threading.Event(), threading.Event()

    def flock(fd: int, how: int) -> None:
        hangs.set()
        release.wait(60)

    monkeypatch.setattr("devices.device_service.fcntl.flock", flock)
    lock = DeviceServiceLock(tmp_path / "watch.lock")
    taking = threading.Thread(target=lock.acquire)
    taking.start()
    assert hangs.wait(30)
    lock.release()
    assert taking.is_alive()
    release.set()
    taking.join()
    lock.release()
    assert not lock.is_held
