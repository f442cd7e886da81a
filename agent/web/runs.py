"""Runs of the check, and of rehearsals, that somebody asks for on the page.

A run is a process of its own, `liput check --json` or `liput rehearse --json`: the libraries that look at pictures and
sound, and what hangs in a driver, are none of the daemon's. One of each runs at a time; who asks for another meanwhile
is told of that one.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.own_command import command_line, environment
from devices.host import threads
from recorder.archive.names import quoted

LONGEST_S = 300.0

type Work = Callable[[Sequence[str], Path | None], str | None]
"""Does what the words say, with a settings file; returns what went wrong, if something did."""

type Rehearse = Callable[[Sequence[str], Path | None], tuple[bytes | None, str | None]]
"""The same for a rehearsal; returns its document besides."""


class Runs:
    """Runs one at a time."""

    def __init__(self, work: Work | None = None) -> None:
        self._work = work or run_check
        self._lock = threading.Lock()
        self._began_s: float | None = None
        self._problem: str | None = None

    def start(self, words: Sequence[str], config_file: Path | None, done: Callable[[], None]) -> None:
        """Begin a run unless there is one; `done` is called at its end."""
        with self._lock:
            if self._began_s is not None:
                return
            self._began_s, self._problem = time.monotonic(), None
        threads.start(self._run, words, config_file, done, name="web-check", otherwise=self._forget)

    def _forget(self) -> None:
        with self._lock:
            self._began_s = None

    def now(self) -> tuple[float | None, str | None]:
        """Return for how long one has been running, and why the last one has found nothing."""
        with self._lock:
            return None if self._began_s is None else time.monotonic() - self._began_s, self._problem

    def _run(self, words: Sequence[str], config_file: Path | None, done: Callable[[], None]) -> None:
        problem: str | None = None
        try:
            problem = self._work(words, config_file)
        except (OSError, subprocess.SubprocessError) as error:
            problem = f"it did not end: {error}"
        finally:
            with self._lock:
                self._began_s, self._problem = None, problem
            done()


class Rehearsals(Runs):
    """Runs one rehearsal at a time, and knows what the last one found: nothing of it is kept anywhere else."""

    def __init__(self, work: Rehearse | None = None) -> None:
        super().__init__(self._rehearse)
        self._way = work or run_rehearsal
        self.last: dict[str, Any] | None = None
        """What `liput rehearse --json` has printed."""

    def _rehearse(self, words: Sequence[str], config_file: Path | None) -> str | None:
        found, problem = self._way(words, config_file)
        self.last = None if found is None else msgspec.json.decode(found)
        return problem


def run_check(words: Sequence[str], config_file: Path | None) -> str | None:
    """Run `liput check`, which keeps what it finds; return what went wrong, if something did."""
    return run_command("check", "check", words, config_file)[1]


def run_rehearsal(words: Sequence[str], config_file: Path | None) -> tuple[bytes | None, str | None]:
    """Run `liput rehearse`; return its document, or what went wrong."""
    return run_command("rehearse", "rehearsal", words, config_file)


def run_command(
    name: str, kind: str, words: Sequence[str], config_file: Path | None
) -> tuple[bytes | None, str | None]:
    """Run `liput NAME --json`; return its document, which is of that `kind`, or what went wrong."""
    ran = subprocess.run(
        command_line(name, "--json", *words),
        env=environment(config_file), cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
        timeout=LONGEST_S, check=False,
    )  # fmt: skip
    if ran.returncode in {0, 1} and f'"type":"{kind}"'.encode() in ran.stdout:
        return ran.stdout.strip().splitlines()[-1], None
    said = ran.stderr.decode(errors="replace").strip().splitlines()
    why = quoted(said[0].removeprefix("liput: ")) if said else f"it has ended with status {ran.returncode}"
    return None, why
