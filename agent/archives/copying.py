"""The daemon's part in copying: it starts `liput archive copy --pending` now and then, while no session runs.

The process ends by itself within a second when a session begins; the daemon sees to it that it does.
"""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.daemon.own_command import PATIENCE_S, command_line, end, environment, of_archive, our_log
from devices.host.child import ChildProcess
from devices.host.clock import NANOSECONDS, Clock
from recorder.running.directory import session_runs

EVERY_S = 60.0
"""How often it is looked for something to copy."""


@dataclass
class Copying:
    """Works the queue of copies; `look` never waits. `archive` is the only one it looks at, None for the settings'."""

    clock: Clock
    archive: Path | None = None
    config_file: Path | None = None
    every_s: float = EVERY_S
    is_wanted: Callable[[], bool] = lambda: True
    """Whether the settings name a place for copies."""
    is_busy: Callable[[], bool] = session_runs
    _child: ChildProcess | None = None
    _next_ns: int = 0
    _beside_since_ns: int | None = field(default=None)

    def look(self) -> None:
        """Start the next round when it is time, and end one that goes on beside a session."""
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
        words = ["archive", "copy", "--pending", *of_archive(self.archive)]
        self._child = ChildProcess(
            command_line(*words),
            env=environment(self.config_file),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=our_log(),
        )

    def close(self) -> None:
        """End it: what it was copying is gone on with by the next one."""
        if self._child is not None:
            end(self._child)
