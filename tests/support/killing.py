"""A kill -9 before every step to the disk of what a process does: it forks a worker for each, and has one thread."""

import importlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn

LOADED = ("recorder.archive.sealing", "recorder.features.report.page")
"""What is loaded when it is needed first: here once, and not again by each worker, in six times what its work takes."""


class Killer:
    """Ends this process without a word before the step of the given number, once armed.

    It passes over steps called as in `passed`: a kill before a sync leaves what a kill before the next step does.
    """

    def __init__(self, step: int, *, passed: Collection[str] = ()) -> None:
        self.armed = False
        self._left = step
        self._passed = passed

    def __call__(self, step: str, _path: Path) -> None:
        if self.armed and step not in self._passed:
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1


def kill_before_each_step(work: Callable[[int], object]) -> NoReturn:
    """Fork a worker for step 0, 1, ..., which does `work` and is killed before that step, until one comes to its end.

    Ends this process with the status of that. Nothing waits for the disk: a kill takes nothing from the kernel's
    memory, and a thousand syncs beside other tests take minutes.
    """
    for name in LOADED:
        importlib.import_module(name)
    setattr(os, "fsync", lambda _descriptor: None)  # noqa: B010 - not for the types: it is what the module has
    for step in itertools.count():
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work(step)
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(pid, 0)
        if os.WIFEXITED(ended):
            sys.exit(os.WEXITSTATUS(ended))
    raise AssertionError("there is always a next step")


def kill_at_every_step(worker: str, root: Path, *words: object, **variables: str) -> list[Path]:
    """Run tests.support.WORKER in `root` with these words; return ROOT/0, ROOT/1, ... as each kill left them."""
    command = [sys.executable, "-m", f"tests.support.{worker}", str(root), *map(str, words)]
    environment = os.environ | {"PYTHONWARNINGS": "error"} | variables
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], env=environment)
    return sorted((path for path in root.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
