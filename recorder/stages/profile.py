"""Where the CPU of a session goes, looked at while it runs: by stage, by thread, by child process.

The thread `stages` reads the clock of every thread twice a second. What a thread took since the last look is the
stage's that it works for (recorder/stages/places.py), but for what it called through the timers. So all stages together
are what the process took: a thread that ended between two looks is the phase's.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Self

import msgspec

from capture.timing import CpuStage
from config.events import Emit, Event
from devices.clock import NANOSECONDS
from recorder.stages.clocks import Children, Threads, process_ns, thread_ns
from recorder.stages.figures import NamedCpu, StageFigures
from recorder.stages.places import OF_PHASE, Phase, of_process, of_thread
from recorder.stages.timers import StageTimers

LOOK_S = 0.5
CHILDREN_EVERY = 2
"""At every so many of these looks children are looked for: all processes there are have to be gone through."""
_PHASES = {"session-armed": Phase.RUNNING, "session-live": Phase.RUNNING, "session-ended": Phase.SEALING}


@dataclass(slots=True)
class _Seen:
    """A thread or a child: its name, what it had taken at the last look, and what of that the timers counted."""

    name: str
    taken_ns: int = 0
    counted_ns: int = 0


class StageProfile:
    """Counts from the beginning of this process to `close`; a context manager. `timing` may be used from the start."""

    def __init__(self) -> None:
        self.timing = StageTimers()
        self._phase = Phase.STARTING
        self._spent: Counter[CpuStage] = Counter()  # beside what the timers count
        self._threads: dict[int, _Seen] = {}
        self._children: dict[int, _Seen] = {}
        self._gone: list[_Seen] = []  # threads whose numbers others have now
        self._gone_children: list[_Seen] = []
        self._went: list[_Seen] = []  # those of the last look: the system may tell of them a little later
        self._ended_ns = self._ended_children_ns = 0  # of what ended between two looks
        self._names, self._processes = Threads(), Children()
        self._looking = threading.Lock()
        self._emit: Emit | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stages", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
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
        if phase is Phase.SEALING:
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
            for counted in self.timing.spent().values():
                spent.update(counted)
            threads = [*self._gone, *self._threads.values()]
            children = [*self._gone_children, *self._children.values()]
            children_ns = self._ended_children_ns + sum(child.taken_ns for child in children)
            cpu_ns = self._ended_ns + children_ns + sum(thread.taken_ns for thread in threads)
        return StageFigures(
            wall_s=round(_age_s(), 3),
            cpu_s=_seconds(cpu_ns),
            children_s=_seconds(children_ns),
            stages={str(stage): _seconds(ns) for stage, ns in spent.most_common() if _seconds(ns) > 0},
            threads=_named(threads),
            processes=_named(children),
        )

    def _run(self) -> None:
        looks = 0
        while not self._over.wait(LOOK_S):
            looks += 1
            self._look(with_children=looks % CHILDREN_EVERY == 0)

    def _look(self, *, with_children: bool) -> None:
        with self._looking:
            self._look_at_threads()
            if with_children:
                self._look_at_children()

    def _look_at_threads(self) -> None:
        counted = {number: sum(spent.values()) for number, spent in self.timing.spent().items()}
        names = self._names.look()
        for number, name in names.items():
            taken_ns = thread_ns(number)
            if taken_ns is None:
                continue
            seen = self._threads.get(number)
            if seen is None or taken_ns < seen.taken_ns:  # another thread has its number
                if seen is not None:
                    self._gone.append(seen)
                seen = self._threads[number] = _Seen(name)
            seen.name = name
            counted_ns = counted.get(number, 0)
            self._spent[of_thread(name, self._phase)] += (taken_ns - seen.taken_ns) - (counted_ns - seen.counted_ns)
            seen.taken_ns, seen.counted_ns = taken_ns, counted_ns
        for number in counted.keys() - names.keys():  # it has ended; what the timers counted last is known of it
            seen = self._threads.setdefault(number, _Seen("ended"))
            seen.taken_ns += counted[number] - seen.counted_ns
            seen.counted_ns = counted[number]
        known_ns = sum(seen.taken_ns for seen in (*self._gone, *self._threads.values()))
        ended_ns = max(self._ended_ns, time.process_time_ns() - known_ns)
        self._spent[OF_PHASE[self._phase]] += ended_ns - self._ended_ns
        self._ended_ns = ended_ns

    def _look_at_children(self) -> None:
        waited_for = getrusage(RUSAGE_CHILDREN)  # first: who is waited for meanwhile must not count twice
        waited_ns = round((waited_for.ru_utime + waited_for.ru_stime) * NANOSECONDS)
        there = self._processes.look()
        for number, name in there.items():
            taken_ns = process_ns(number)
            if taken_ns is None:
                continue
            seen = self._children.setdefault(number, _Seen(name))
            seen.name = name
            self._spent[of_process(name, self._phase)] += max(0, taken_ns - seen.taken_ns)
            seen.taken_ns = max(seen.taken_ns, taken_ns)
        went = [self._children.pop(number) for number in self._children.keys() - there.keys()]
        self._gone_children += went
        heirs, self._went = went or self._went, went
        ended_ns = waited_ns - sum(seen.taken_ns for seen in self._gone_children) - self._ended_children_ns
        if ended_ns <= 0:
            return
        if heir := max(heirs, key=lambda seen: seen.taken_ns, default=None):
            heir.taken_ns += ended_ns  # what it took between the last look and its end
            self._spent[of_process(heir.name, self._phase)] += ended_ns
        else:
            self._ended_children_ns += ended_ns
            self._spent[OF_PHASE[self._phase]] += ended_ns


def _named(seen: Iterable[_Seen]) -> tuple[NamedCpu, ...]:
    """Return what was seen, together by names, the largest first."""
    taken: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for one in seen:
        taken[one.name] += one.taken_ns
        counts[one.name] += 1
    return tuple(NamedCpu(name=name, count=counts[name], cpu_s=_seconds(ns)) for name, ns in taken.most_common())


def _seconds(ns: int) -> float:
    return round(ns / NANOSECONDS, 3)


def _age_s() -> float:
    """Return how long ago this process began."""
    began_ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began_ticks / os.sysconf("SC_CLK_TCK")
