"""Checks and rehearsals begun on the page. Each is a process of its own, which may hang in a driver without us."""

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agent.daemon.own_command import command_line, environment
from devices.host import threads
from devices.host.child import ChildProcess
from recorder.model.names import quoted

LONGEST_S = 300.0
END_S = 5.0
"""How long one may take to be gone that has said all."""

type Work = Callable[[Sequence[str], Path | None], tuple[dict[str, Any] | None, str]]
"""Takes words and a settings file; returns the document of a command, or why there is none."""


class Runs:
    """Runs one at a time."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._began_s: float | None = None
        self._problem: str | None = None
        self.last: dict[str, Any] | None = None
        """The document of the last one; None where it has found nothing."""

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
        problem = ""
        try:
            self.last, problem = self._work(words, config_file)
        except OSError as error:
            problem = f"it did not end: {error}"
        finally:
            with self._lock:
                self._began_s, self._problem = None, problem or None
            done()


def run_command(
    name: str, kind: str, words: Sequence[str], config_file: Path | None
) -> tuple[dict[str, Any] | None, str]:
    """Run `liput NAME --json`; return its document, which is of that `kind`, or what went wrong. Raises OSError."""
    command = command_line(name, "--json", *words)
    child = ChildProcess(
        command, env=environment(config_file), cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said: dict[str, Any] = {}
    try:
        with suppress(msgspec.MsgspecError, IndexError):
            said = msgspec.json.decode(child.read_all(LONGEST_S).splitlines()[-1])
        if said.get("type") == kind:
            return said, ""
        why = said.get("message") or (child.last_words() if child.wait(END_S) else "it does not end")
        return None, quoted(str(why))
    except TimeoutError:
        return None, f"it has not ended within {LONGEST_S:.0f} s"
    finally:
        child.end()
