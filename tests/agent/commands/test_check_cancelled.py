"""Ctrl-C at any point of a check: it ends, and nothing of it is left, no process and no file."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.command import LIPUT, environment
from tests.support.room import Room
from tests.support.waiting import wait_for

CAUGHT = 1 << signal.SIGHUP - 1
"""The last that it hears, and one that Python does not, as it does Ctrl-C."""


def hears_signals(pid: int) -> bool:
    """Return whether a process hears Ctrl-C by itself; until then Python ends it, before it has begun anything."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(mask, 16) & CAUGHT)


def of_group(group: int) -> list[str]:
    """Return the commands of the processes that are left in a process group."""
    left = []
    for process in psutil.process_iter(["name"]):
        try:
            is_left = os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.Error):
            continue
        if is_left:
            left.append(process.info["name"])
    return left


@pytest.mark.parametrize("lines", [0, 1, 5, 10])
def test_ctrl_c_ends_it_and_leaves_nothing(room: Room, lines: int) -> None:
    words = ["check", "--video", "synthetic", "--audio", "synthetic", "--archive", str(room.archive)]
    with subprocess.Popen(
        [*LIPUT, *words],
        env=environment(room.home),
        cwd=room.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as check:
        assert check.stdout
        wait_for(lambda: hears_signals(check.pid))
        for _ in range(lines):
            assert check.stdout.readline()
        os.killpg(check.pid, signal.SIGINT)
        said, errors = check.communicate(timeout=30)
    assert (check.returncode, errors) == (1, "")
    assert said.splitlines()[-1].startswith("DIBATALKAN: ")
    wait_for(lambda: not of_group(check.pid))
    assert not room.archive.exists()
