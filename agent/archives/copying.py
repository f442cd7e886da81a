"""Runs `liput archive copy --pending` for the daemon, and ends it when a session begins."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.daemon.command_child import (
    PATIENCE_S,
    archive_options,
    child_environment,
    child_stderr,
    end_child,
    liput_command,
)
from devices.host.child import ChildProcess
from devices.host.clock import NANOSECONDS, Clock
from recorder.running.runtime_directory import is_session_running

EVERY_S = 60.0  # between two rounds


@dataclass
class CopyRunner:
    """Works the queue of copies. `look` never blocks. `archive` None means those of the settings."""

    clock: Clock
    archive: Path | None = None
    config_file: Path | None = None
    every_s: float = EVERY_S
    is_wanted: Callable[[], bool] = lambda: True  # return whether the settings have a place for copies
    is_busy: Callable[[], bool] = is_session_running
    _child: ChildProcess | None = None
    _next_ns: int = 0
    _beside_since_ns: int | None = None

    def look(self) -> None:
        """Start a round when it is due; kill one that goes on beside a session."""
        now_ns = self.clock.now_ns()
        if self._child is not None and self._child.status is not None:
            self._child = None
            self._next_ns = now_ns + int(self.every_s * NANOSECONDS)
        if self._child is None and (now_ns < self._next_ns or not self.is_wanted()):
            return
        if not self.is_busy():
            self._beside_since_ns = None
            if self._child is None:
                self._start()
        elif self._child is not None:
            since_ns = self._beside_since_ns = self._beside_since_ns or now_ns
            if now_ns - since_ns > PATIENCE_S * NANOSECONDS:
                self._child.send(signal.SIGKILL)

    def _start(self) -> None:
        words = ["archive", "copy", "--pending", *archive_options(self.archive)]
        self._child = ChildProcess(
            liput_command(*words), env=child_environment(self.config_file), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=child_stderr(),
        )  # fmt: skip

    def close(self) -> None:
        """End the process; the next one continues its copy."""
        if self._child is not None:
            end_child(self._child)
