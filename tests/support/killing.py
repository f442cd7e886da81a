"""A kill -9 before every step to the disk of what a worker does, each in a fork of a process with one thread."""

import importlib
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

LOADED = ("recorder.archive.sealing", "recorder.features.report.page")
"""What is loaded when it is needed first: here once, and not again by each fork, in six times what its work takes."""


class Killer:
    """Ends this process before a step, once armed. A kill before a sync leaves what one before the next step does."""

    def __init__(self, step: int) -> None:
        self.armed = False
        self._left = step

    def __call__(self, step: str, _path: Path) -> None:
        if self.armed and step != "sync":
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1


def kill_at_every_step(worker: str, root: Path, *words: object) -> list[Path]:
    """Kill `work` of tests.support.WORKER before each step; return ROOT/0, ROOT/1, ... as each kill left them.

    In the last one is what is there when nothing interferes.
    """
    command = [sys.executable, "-m", __name__, f"tests.support.{worker}", str(root), *map(str, words)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], env=os.environ | {"PYTHONWARNINGS": "error"})
    return sorted((path for path in root.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def main() -> None:
    """Fork a process for each step, until one comes to its end; nothing waits for the disk, as a kill takes nothing."""
    worker, root, *words = sys.argv[1:]
    work = importlib.import_module(worker).work
    for name in LOADED:
        importlib.import_module(name)
    setattr(os, "fsync", lambda _descriptor: None)  # noqa: B010 - not for the types: it is what the module has
    for step in itertools.count():
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work(Path(root) / str(step), Killer(step), *words)
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(pid, 0)
        if os.WIFEXITED(ended):
            sys.exit(os.WEXITSTATUS(ended))


if __name__ == "__main__":
    main()
