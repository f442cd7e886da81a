"""Counts the CPU that each thread spends in which stage; implements Timing (capture/timing.py).

A stage within another one counts alone. Each call costs two readings of the thread's clock, about 2 microseconds.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from capture.timing import CpuStage
from recorder.encode.thread_clocks import thread_ns

type Spent = Counter[CpuStage]
"""Nanoseconds of CPU by stage."""


class StageTimers:
    """The timers of one process. `spent` may be asked from any thread."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._meters: list[_Meter] = []
        self._ended: Counter[CpuStage] = Counter()

    def __call__[**Given, Made](self, stage: CpuStage, call: Callable[Given, Made], /) -> Callable[Given, Made]:
        """Return what does as `call` does, and is counted."""

        def counted(*args: Given.args, **kwargs: Given.kwargs) -> Made:
            meter = self._meter()
            outer = meter.turn(stage)
            try:
                return call(*args, **kwargs)
            finally:
                meter.turn(outer)

        return counted

    def end(self, number: int) -> int:
        """Take note that a thread has ended, and return what was counted of it (ns), which `spent` has no more."""
        ended = [meter for meter in tuple(self._meters) if meter.thread == number]
        for meter in ended:
            self._meters.remove(meter)
            self._ended.update(meter.spent)
        return sum(meter.spent.total() for meter in ended)

    def total(self) -> Spent:
        """Return what was counted of all threads, in nanoseconds."""
        total = self._ended.copy()
        for spent in self.spent().values():
            total.update(spent)
        return total

    def spent(self) -> Mapping[int, Spent]:
        """Return the nanoseconds of each thread so far, by its system number, with a stage that is not over."""
        found: dict[int, Spent] = {}
        for meter in tuple(self._meters):
            of_thread = found.setdefault(meter.thread, Counter())
            of_thread.update(meter.spent.copy())
            stage, since_ns = meter.now
            now_ns = thread_ns(meter.thread) if stage else None
            if stage and now_ns:
                of_thread[stage] += max(0, now_ns - since_ns)
        return found

    def _meter(self) -> "_Meter":
        try:
            meter: _Meter = self._own.meter
        except AttributeError:
            meter = self._own.meter = _Meter()
            self._meters.append(meter)
        return meter


class _Meter:
    """The timer of one thread, used by it alone but for reading."""

    def __init__(self) -> None:
        self.thread = threading.get_native_id()
        self.spent: Counter[CpuStage] = Counter()
        self.now: tuple[CpuStage | None, int] = (None, 0)
        """The stage that it is in, and what the thread had taken when that began: one value, to be read at once."""

    def turn(self, stage: CpuStage | None) -> CpuStage | None:
        """Be in `stage` from now on (None: in none), and return which it was in until now."""
        now_ns = time.thread_time_ns()
        before, since_ns = self.now
        self.now = stage, now_ns
        if before is not None:
            self.spent[before] += now_ns - since_ns
        return before
