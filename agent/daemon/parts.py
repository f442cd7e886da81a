"""The parts of the daemon: each on a thread of its own, begun anew when it breaks, and known to move or to stand."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from devices.clock import NANOSECONDS, Clock
from devices.host.background import pause_s
from devices.host.log_on_change import Tell

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


@dataclass(eq=False)
class _Run:
    """One part, as it goes."""

    part: Part
    moved_ns: int = 0
    breaks: int = 0
    thread: threading.Thread | None = None
    is_over: bool = False


@dataclass
class Parts:
    """Runs the parts until they are told to stop; one that breaks or hangs takes nothing with it."""

    parts: Sequence[Part]
    clock: Clock
    tell: Tell
    _stop: threading.Event = field(default_factory=threading.Event)
    _runs: list[_Run] = field(default_factory=list)

    def start(self) -> None:
        """Begin them all."""
        for part in self.parts:
            run = _Run(part, self.clock.now_ns())
            run.thread = threading.Thread(target=self._go, args=(run,), daemon=True, name=f"part-{part.name}")
            self._runs.append(run)
        for run in self._runs:
            if run.thread:
                run.thread.start()

    def standing(self) -> list[str]:
        """Return the names of those that hang: no sign of life for MOVES_S."""
        now_ns = self.clock.now_ns()
        return [
            run.part.name for run in self._runs if not run.is_over and now_ns - run.moved_ns > MOVES_S * NANOSECONDS
        ]

    def stop(self) -> list[str]:
        """Ask all of them to end, and wait END_S; return the names of those that were left to themselves."""
        self._stop.set()
        deadline_ns = self.clock.now_ns() + int(END_S * NANOSECONDS)
        for run in self._runs:
            if run.thread:
                run.thread.join(max(0.0, (deadline_ns - self.clock.now_ns()) / NANOSECONDS))
        return [run.part.name for run in self._runs if run.thread and run.thread.is_alive()]

    def _go(self, run: _Run) -> None:
        def beat() -> None:
            run.moved_ns = self.clock.now_ns()

        while not self._stop.is_set():
            beat()
            began_ns = self.clock.now_ns()
            try:
                run.part.run(self._stop, beat)
            except Exception as error:  # of whatever kind: the others go on, and this one is begun anew
                lasted_s = (self.clock.now_ns() - began_ns) / NANOSECONDS
                run.breaks = 1 if lasted_s > STEADY_S else run.breaks + 1
                self.tell(f"{run.part.name} has broken and is begun anew: {error!r}")
                self._pause(beat, pause_s(run.breaks, LONGEST_PAUSE_S))
            else:
                break
        run.is_over = True

    def _pause(self, beat: Beat, seconds: float) -> None:
        """Wait; a part that waits for its next beginning does not hang."""
        until_ns = self.clock.now_ns() + int(seconds * NANOSECONDS)
        while not self._stop.is_set() and (left_ns := until_ns - self.clock.now_ns()) > 0:
            beat()
            self.clock.wait(self._stop, min(1.0, left_ns / NANOSECONDS))
