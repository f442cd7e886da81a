"""`python reaper.py RUN` kills the processes with $LIPUT_TEST_RUN that a run leaves, killed or not."""

import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

RUN = "LIPUT_TEST_RUN"
_ROUNDS, _PAUSE_S = 20, 0.1


def start() -> None:
    """Start the reaper of this run, unless the run is part of another one."""
    if RUN in os.environ:
        return
    reading, _ = os.pipe()  # the writing end stays open in this process alone, until it ends
    run = str(uuid.uuid4())
    words = [sys.executable, "-IS", __file__, run]
    os.posix_spawn(sys.executable, words, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)], setsid=True)
    os.close(reading)
    os.environ[RUN] = run


def _processes(run: str) -> Iterator[int]:
    mark = f"{RUN}={run}".encode()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def main(run: str) -> None:
    """Wait for the end of the run, then kill, until nothing new has been started."""
    sys.stdin.buffer.read()
    for _ in range(_ROUNDS):
        found = False
        for pid in _processes(run):
            found = True
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main(sys.argv[1])
