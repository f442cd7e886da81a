"""Where the CPU of a session goes, looked at while it runs: by stage, by thread, by child process.

The thread `stages` reads the clock of every thread twice a second, for the stage that it works for; calls through the
timers count for theirs. A thread that ended between two looks counts for the phase.
"""

import os
import threading
import time
from collections import Counter
from typing import Self

import msgspec

from capture.timing import CpuStage
from config.events import Emit, Event
from devices.host import threads
from devices.host.clock import NANOSECONDS
from devices.host.process_stat import process_started
from recorder.features.profiler.accounts import ChildAccount, ThreadAccount
from recorder.features.profiler.timers import StageTimers
from recorder.model.status import StageFigures

LOOK_S = 0.5
CHILDREN_EVERY = 2
"""At every so many of these looks children are looked for: all processes there are have to be gone through."""
_PHASES = {"session-armed": CpuStage.OTHER, "session-live": CpuStage.OTHER, "session-ended": CpuStage.SEALING}
"""How far a session is: the stage that its own threads are, and those that are gone again."""


class StageProfile:
    """Counts from the beginning of this process to `close`; a context manager. `timing` may be used from the start."""

    def __init__(self) -> None:
        self.timing = StageTimers()
        self._phase = CpuStage.START
        self._spent: Counter[CpuStage] = Counter()  # beside what the timers count
        self._threads = ThreadAccount(self.timing, self._spent)
        self._children = ChildAccount(self._spent)
        self._looking = threading.Lock()
        self._emit: Emit | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threads.start(self._run, name="stages")
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def tell_to(self, emit: Emit) -> None:
        """Tell what is found to `emit`."""
        self._emit = emit

    def hear(self, event: Event) -> None:
        """Take note of how far the session is; at the end of its recording, tell what that took."""
        phase = _PHASES.get(event.kind)
        if phase is None or phase is self._phase:
            return
        self._look(with_children=True)
        if phase is CpuStage.SEALING:
            self.tell("recorded")
        self._phase = phase

    def tell(self, until: str) -> None:
        """Tell what was taken so far; `until` says how far the session has come."""
        if self._emit is None:
            return
        figures = self.figures()
        self._emit(
            "cpu-measured",
            "recorder",
            f"{figures.cpu_s:.1f} s of processor time in {figures.wall_s:.0f} s",
            until=until,
            **msgspec.to_builtins(figures),
        )

    def figures(self) -> StageFigures:
        """Return what was taken until now."""
        self._look(with_children=True)
        with self._looking:
            spent = self._spent.copy()
            spent.update(self.timing.total())
            children_ns = self._children.all_ns
            cpu_ns = self._threads.all_ns + children_ns
            of_threads, of_processes = self._threads.named(), self._children.named()
        return StageFigures(
            wall_s=round(_age_s(), 3),
            cpu_s=_seconds(cpu_ns),
            children_s=_seconds(children_ns),
            stages={str(stage): _seconds(ns) for stage, ns in spent.most_common() if _seconds(ns) > 0},
            threads=of_threads,
            processes=of_processes,
        )

    def _run(self) -> None:
        looks = 0
        while not self._over.wait(LOOK_S):
            looks += 1
            self._look(with_children=looks % CHILDREN_EVERY == 0)

    def _look(self, *, with_children: bool) -> None:
        with self._looking:
            self._threads.look(self._phase)
            if with_children:
                self._children.look(self._phase)


def _seconds(ns: int) -> float:
    return round(ns / NANOSECONDS, 3)


def _age_s() -> float:
    started = process_started(os.getpid())
    if started is None:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
