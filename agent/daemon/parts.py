"""The parts of the daemon: each on a thread of its own, begun anew when it breaks, and known to move or to stand."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from devices.host.background import BackgroundTask, pause_s
from devices.host.clock import NANOSECONDS, Clock
from devices.host.throttle import Tell

MOVES_S = 15.0
"""A part that has not said for so long that it moves is taken to hang."""
LONGEST_PAUSE_S = 30.0
"""Between two beginnings of a part that breaks again and again."""
STEADY_S = 60.0
"""A part that went for so long before it broke is begun anew at once."""
END_S = 5.0
"""How long a part may take to end, before it is left to itself."""

type Beat = Callable[[], None]
"""Called by a part that moves, every few seconds; cheap."""


class Part(Protocol):
    """What the daemon does beside other things."""

    @property
    def name(self) -> str:
        """A word for logs, statuses and threads."""

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Work until `stop` is set, and say with `beat` that it moves; whatever it raises is told, and it begins anew.

        What hangs is not seen to move: it must not beat from another thread than that which does the work.
        """


def look_again(look: Callable[[], object], every_s: float, clock: Clock, stop: threading.Event, beat: Beat) -> None:
    """Look until `stop` is set, and beat before each look."""
    while not stop.is_set():
        beat()
        look()
        clock.wait(stop, every_s)


class _Run:
    """One part, as it goes."""

    def __init__(self, part: Part, clock: Clock, tell: Tell) -> None:
        self.part = part
        self.moves_until_ns = clock.now_ns()
        """When it has last moved, or when its pause is over."""
        self._clock = clock
        self._tell = tell
        self.task = BackgroundTask(
            f"part-{part.name}", self._go, pause=self._pause, failed=self._failed, steady_s=STEADY_S, clock=clock
        )

    def _go(self) -> bool:
        self._beat()
        self.part.run(self.task.stopped, self._beat)
        return True

    def _beat(self) -> None:
        self.moves_until_ns = self._clock.now_ns()

    def _failed(self, error: Exception) -> None:
        self._tell(f"{self.part.name} has broken and is begun anew: {error!r}")

    def _pause(self, breaks: int) -> float:
        seconds = pause_s(breaks, LONGEST_PAUSE_S)
        self.moves_until_ns = self._clock.now_ns() + int(seconds * NANOSECONDS)
        return seconds


@dataclass
class Parts:
    """Runs the parts until they are told to stop; one that breaks or hangs takes nothing with it."""

    parts: Sequence[Part]
    clock: Clock
    tell: Tell
    _runs: list[_Run] = field(default_factory=list)

    def start(self) -> None:
        """Begin them all."""
        self._runs += [_Run(part, self.clock, self.tell) for part in self.parts]
        for run in self._runs:
            run.task.start()

    def standing(self) -> list[str]:
        """Return the names of those that hang: no sign of life for MOVES_S."""
        since_ns = self.clock.now_ns() - int(MOVES_S * NANOSECONDS)
        return [run.part.name for run in self._runs if run.task.is_alive and run.moves_until_ns < since_ns]

    def stop(self) -> list[str]:
        """Ask all of them to end, and wait END_S; return the names of those that were left to themselves."""
        for run in self._runs:
            run.task.stop()
        deadline_ns = self.clock.now_ns() + int(END_S * NANOSECONDS)
        return [
            run.part.name
            for run in self._runs
            if not run.task.stop(max(0.0, (deadline_ns - self.clock.now_ns()) / NANOSECONDS))
        ]
