"""CPU profile of a session: by stage, by thread, by child process.

The thread `stages` reads the clock of every thread twice a second, for that thread's stage. Calls through timers count
for the timer's stage. A thread that ended between two looks counts for the phase.
"""

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from resource import RUSAGE_CHILDREN, getrusage

import msgspec

from capture.cpu_stages import CpuStage
from config.events import Emit, Event
from devices.host.background import BackgroundTask
from devices.host.clock import NANOSECONDS
from devices.host.process import process_started
from recorder.encode.thread_clocks import child_programs, process_cpu_ns, thread_cpu_ns, thread_names
from recorder.model.status import NamedCpu, SessionResult, SessionState, StageFigures
from recorder.session.hooks import SessionHook

type CpuByStage = Counter[CpuStage]  # nanoseconds of CPU by stage


class StageTimers:
    """CPU timers of one process (capture.cpu_stages.CpuTimer); `spent` is thread-safe.

    A nested stage counts alone. Each call costs two readings of the thread's clock, about 2 microseconds.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        self._meters: list[_Meter] = []
        self._ended: Counter[CpuStage] = Counter()

    def __call__[**Given, Made](self, stage: CpuStage, call: Callable[Given, Made], /) -> Callable[Given, Made]:
        """Return `call` with a timer for `stage`."""

        def counted(*args: Given.args, **kwargs: Given.kwargs) -> Made:
            meter = self._meter()
            outer = meter.turn(stage)
            try:
                return call(*args, **kwargs)
            finally:
                meter.turn(outer)

        return counted

    def end(self, number: int) -> int:
        """Note the end of a thread; return its counted nanoseconds, which leave `spent`."""
        ended = [meter for meter in tuple(self._meters) if meter.thread == number]
        for meter in ended:
            self._meters.remove(meter)
            self._ended.update(meter.spent)
        return sum(meter.spent.total() for meter in ended)

    def total(self) -> CpuByStage:
        """Return the nanoseconds of all threads."""
        total = self._ended.copy()
        for spent in self.spent().values():
            total.update(spent)
        return total

    def spent(self) -> Mapping[int, CpuByStage]:
        """Return the nanoseconds of each thread by its id, with the current stage."""
        found: dict[int, CpuByStage] = {}
        for meter in tuple(self._meters):
            of_thread = found.setdefault(meter.thread, Counter())
            of_thread.update(meter.spent.copy())
            stage, since_ns = meter.now
            now_ns = thread_cpu_ns(meter.thread) if stage else None
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
    """Timer of one thread; others only read it."""

    def __init__(self) -> None:
        self.thread = threading.get_native_id()
        self.spent: Counter[CpuStage] = Counter()
        self.now: tuple[CpuStage | None, int] = (None, 0)  # stage and its start: one value for readers

    def turn(self, stage: CpuStage | None) -> CpuStage | None:
        """Enter `stage` (None: no stage); return the stage before."""
        now_ns = time.thread_time_ns()
        before, since_ns = self.now
        self.now = stage, now_ns
        if before is not None:
            self.spent[before] += now_ns - since_ns
        return before


_THREADS = (
    (r"read-|grab |liput-closing", CpuStage.CAPTURE),
    (r"track-video", CpuStage.PICTURE),
    (r"track-audio", CpuStage.SOUND),
    (r"x264-live|stream-", CpuStage.LIVE_ENCODE),
    (r"x264|former-encoder", CpuStage.ENCODE_VIDEO),
    (r"recording-writer", CpuStage.WRITE),
    (r"recording-sync", CpuStage.SYNC),
    (r"storage-seal|request-", CpuStage.SEALING),
    (r"storage-|disk-", CpuStage.STORAGE),
    (r"event-log", CpuStage.LOG),
    (r"isolate-", CpuStage.ISOLATE),
    (r"live-|resolve-", CpuStage.DESTINATIONS),
    (r"preview", CpuStage.PREVIEWS),
    (r"conference-|virtual-microphone", CpuStage.CONFERENCE),
    (r"control", CpuStage.CONTROL),
    (r"device-|kernel-log|health-log|computer|presets-|ask-|idle-|sound-sources|awake", CpuStage.DEVICES),
    (r"derive-chapters", CpuStage.SLIDES),
    (r"derive-", CpuStage.REPORT),
    (r"stages", CpuStage.PROFILE),
)
_PROCESSES = (
    (r"capture\.", CpuStage.CAPTURE),
    (r"recorder\.live\.", CpuStage.DESTINATIONS),
    (r"recorder\.features\.conference\.", CpuStage.CONFERENCE),
    (r"recorder\.features\.report\.", CpuStage.REPORT),
    (r"tesseract", CpuStage.SLIDES),
    (r"journalctl", CpuStage.DEVICES),
)


@cache
def stage_of_thread(name: str, phase: CpuStage) -> CpuStage:
    """Return the stage of the thread called `name`; an unknown one counts for `phase`."""
    if name.startswith("av:"):  # FFmpeg's threads: of sources, then of sealing
        return CpuStage.SLIDES if phase is CpuStage.SEALING else CpuStage.DECODE
    return _stage_by_name(_THREADS, name) or phase


@cache
def stage_of_process(name: str, phase: CpuStage) -> CpuStage:
    """Return the stage of a child that runs the module or program `name`."""
    return _stage_by_name(_PROCESSES, name) or phase


def _stage_by_name(places: tuple[tuple[str, CpuStage], ...], name: str) -> CpuStage | None:
    return next((stage for words, stage in places if re.match(words, name)), None)


@dataclass(slots=True)
class _Seen:
    """A thread or child: its name, its clock at the last look, and the timers' part of it."""

    name: str
    taken_ns: int = 0
    counted_ns: int = 0


class _Account:
    """Running and ended threads or children, and their CPU by stage."""

    def __init__(self, spent: "Counter[CpuStage]") -> None:
        self._spent = spent
        self._running: dict[int, _Seen] = {}
        self._ended: Counter[str] = Counter()  # number of ended ones by name
        self._ended_ns: Counter[str] = Counter()
        self._unseen_ns = 0

    @property
    def all_ns(self) -> int:
        """CPU of all, up to the last look."""
        return self._unseen_ns + self._ended_ns.total() + sum(one.taken_ns for one in self._running.values())

    def named(self) -> tuple[NamedCpu, ...]:
        """Return the CPU by name, largest first; without unseen ones."""
        counts, taken = self._ended.copy(), self._ended_ns.copy()
        for one in self._running.values():
            counts[one.name] += 1
            taken[one.name] += one.taken_ns
        return tuple(NamedCpu(name=name, count=counts[name], cpu_s=_seconds(ns)) for name, ns in taken.most_common())

    def _add_ended(self, one: _Seen) -> None:
        self._ended[one.name] += 1
        self._ended_ns[one.name] += one.taken_ns

    def _add_unseen(self, taken_ns: int, phase: CpuStage) -> None:
        self._unseen_ns += taken_ns
        self._spent[phase] += taken_ns


class ThreadAccount(_Account):
    """Threads of this process; unseen ones count for the phase."""

    def __init__(self, timing: StageTimers, spent: "Counter[CpuStage]") -> None:
        """Add to `spent` each stage's CPU beyond that of `timing`."""
        super().__init__(spent)
        self._timing = timing
        self._names: dict[int, str] = {}

    def look(self, phase: CpuStage) -> None:
        """Count the CPU since the last look."""
        counted = {number: spent.total() for number, spent in self._timing.spent().items()}
        names = thread_names(self._names)
        for number in (self._running.keys() | counted.keys()) - names.keys():
            self._end(number)
        for number, name in names.items():
            taken_ns = thread_cpu_ns(number)
            if taken_ns is not None:
                self._take(number, name, taken_ns, counted.get(number, 0), phase)
        unseen_ns = time.process_time_ns() - self.all_ns
        if unseen_ns > 0:
            self._add_unseen(unseen_ns, phase)

    def _take(self, number: int, name: str, taken_ns: int, counted_ns: int, phase: CpuStage) -> None:
        seen = self._running.setdefault(number, _Seen(name))
        if taken_ns < seen.taken_ns:  # another thread has its number
            self._add_ended(seen)
            seen = self._running[number] = _Seen(name)
        seen.name = name
        self._spent[stage_of_thread(name, phase)] += (taken_ns - seen.taken_ns) - (counted_ns - seen.counted_ns)
        seen.taken_ns, seen.counted_ns = taken_ns, counted_ns

    def _end(self, number: int) -> None:
        """Note the end of a thread; the timers know its last part."""
        seen = self._running.pop(number, None) or _Seen("ended")
        seen.taken_ns += self._timing.end(number) - seen.counted_ns
        self._add_ended(seen)


class ChildAccount(_Account):
    """Child processes, by module or program."""

    def __init__(self, spent: "Counter[CpuStage]") -> None:
        super().__init__(spent)
        self._others: set[int] = set()
        self._just_ended: list[_Seen] = []  # ended at the last look; the kernel may account for them later

    def look(self, phase: CpuStage) -> None:
        """Count the CPU since the last look, with the last CPU of ended children."""
        waited = getrusage(RUSAGE_CHILDREN)  # first, or a child that ends meanwhile counts twice
        waited_ns = round((waited.ru_utime + waited.ru_stime) * NANOSECONDS)
        names = child_programs(self._others)
        for number, name in names.items():
            taken_ns = process_cpu_ns(number)
            if taken_ns is not None:
                seen = self._running.setdefault(number, _Seen(name))
                seen.name = name
                self._add(seen, max(0, taken_ns - seen.taken_ns), phase)
        went = [self._running.pop(number) for number in self._running.keys() - names.keys()]
        heirs, self._just_ended = went or self._just_ended, went
        left_ns = waited_ns - self._ended_ns.total() - sum(one.taken_ns for one in went) - self._unseen_ns
        if left_ns > 0 and went:
            self._add(max(went, key=lambda one: one.taken_ns), left_ns, phase)
        elif left_ns > 0 and heirs:
            heir = max(heirs, key=lambda one: one.taken_ns)
            self._ended_ns[heir.name] += left_ns
            self._spent[stage_of_process(heir.name, phase)] += left_ns
        elif left_ns > 0:
            self._add_unseen(left_ns, phase)
        for one in went:
            self._add_ended(one)

    def _add(self, seen: _Seen, taken_ns: int, phase: CpuStage) -> None:
        seen.taken_ns += taken_ns
        self._spent[stage_of_process(seen.name, phase)] += taken_ns


LOOK_S = 0.5
CHILDREN_EVERY = 2  # looks between two searches for children, which read all of /proc
_PHASES = {"session-armed": CpuStage.OTHER, "session-live": CpuStage.OTHER, "session-ended": CpuStage.SEALING}
"""Stage of the session's own threads, by event."""


class StageProfile(SessionHook):
    """Counts the CPU of this process from its start, and reports it as events."""

    timing: StageTimers

    def __init__(self) -> None:
        self.timing = StageTimers()
        self._phase = CpuStage.START
        self._spent: Counter[CpuStage] = Counter()  # beyond the timers
        self._threads = ThreadAccount(self.timing, self._spent)
        self._children = ChildAccount(self._spent)
        self._looking = threading.Lock()
        self._looks = 0
        self._emit: Emit | None = None
        self._task = BackgroundTask("stages", self._look_again, pause=LOOK_S)
        self._task.start()

    def attach(self, emit: Emit) -> None:
        self._emit = emit

    def hear(self, event: Event) -> None:
        """Note the session's phase; report at the end of its recording."""
        phase = _PHASES.get(event.kind)
        if phase is None or phase is self._phase:
            return
        self._look(with_children=True)
        if phase is CpuStage.SEALING:
            self._report("recorded")
        self._phase = phase

    def end(self, result: SessionResult | None) -> None:
        """Report the whole session, unless it ended with an error; look no more."""
        if result is not None:
            self._report("sealed" if result.state is SessionState.SEALED else "ended")
        self._task.stop(None)

    def _report(self, until: str) -> None:
        """Report the CPU so far; `until` names the phase."""
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

    def _look_again(self) -> None:
        self._looks += 1
        self._look(with_children=self._looks % CHILDREN_EVERY == 0)

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
