"""What this process's threads and children have taken of the processor, and for which stage, by their names."""

import re
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from resource import RUSAGE_CHILDREN, getrusage

from capture.timing import CpuStage
from devices.host.clock import NANOSECONDS
from recorder.encode.thread_clocks import child_programs, process_ns, thread_names, thread_ns
from recorder.features.profiler.timers import StageTimers
from recorder.model.status import NamedCpu

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
    (
        r"device-|kernel-log|health-log|computer|presets-|ask-|idle-|sound-sources|awake",
        CpuStage.DEVICES,
    ),
    (r"derive-chapters", CpuStage.SLIDES),
    (r"derive-", CpuStage.REPORT),
    (r"stages", CpuStage.PROFILE),
)
_PROCESSES = (
    (r"capture\.", CpuStage.CAPTURE),
    (r"recorder\.live\.", CpuStage.DESTINATIONS),
    (r"recorder\.conference\.", CpuStage.CONFERENCE),
    (r"recorder\.report\.", CpuStage.REPORT),
    (r"tesseract", CpuStage.SLIDES),
    (r"journalctl", CpuStage.DEVICES),
)


@cache
def of_thread(name: str, phase: CpuStage) -> CpuStage:
    """Return what the thread called `name` works for, beside its timers; `phase` is that of all others now."""
    if name.startswith("av:"):  # FFmpeg's own: those of sources, then those that look through the recording
        return CpuStage.SLIDES if phase is CpuStage.SEALING else CpuStage.DECODE
    return _found(_THREADS, name) or phase


@cache
def of_process(name: str, phase: CpuStage) -> CpuStage:
    """Return what a child that runs the module or program `name` works for."""
    return _found(_PROCESSES, name) or phase


def _found(places: tuple[tuple[str, CpuStage], ...], name: str) -> CpuStage | None:
    return next((stage for words, stage in places if re.match(words, name)), None)


@dataclass(slots=True)
class _Seen:
    """A thread or a child: its name, what it had taken at the last look, and what of that the timers counted."""

    name: str
    taken_ns: int = 0
    counted_ns: int = 0


class _Account:
    """Those that are there and those that have ended, and what stages they take the processor for."""

    def __init__(self, spent: "Counter[CpuStage]") -> None:
        self._spent = spent
        self._there: dict[int, _Seen] = {}
        self._ended: Counter[str] = Counter()  # how many have, by their names
        self._ended_ns: Counter[str] = Counter()
        self._unseen_ns = 0

    @property
    def all_ns(self) -> int:
        """What they took together, up to the last look."""
        return self._unseen_ns + self._ended_ns.total() + sum(one.taken_ns for one in self._there.values())

    def named(self) -> tuple[NamedCpu, ...]:
        """Return what they took by their names, the largest first; what nobody has seen is not in it."""
        counts, taken = self._ended.copy(), self._ended_ns.copy()
        for one in self._there.values():
            counts[one.name] += 1
            taken[one.name] += one.taken_ns
        return tuple(
            NamedCpu(name=name, count=counts[name], cpu_s=round(ns / NANOSECONDS, 3))
            for name, ns in taken.most_common()
        )

    def _note_ended(self, one: _Seen) -> None:
        self._ended[one.name] += 1
        self._ended_ns[one.name] += one.taken_ns

    def _take_unseen(self, taken_ns: int, phase: CpuStage) -> None:
        self._unseen_ns += taken_ns
        self._spent[phase] += taken_ns


class ThreadAccount(_Account):
    """The threads of this process; what ended between two looks is the phase's."""

    def __init__(self, timing: StageTimers, spent: "Counter[CpuStage]") -> None:
        """Add to `spent` what each stage takes beside what `timing` counts."""
        super().__init__(spent)
        self._timing = timing
        self._names: dict[int, str] = {}

    def look(self, phase: CpuStage) -> None:
        """Take what was taken since the last look."""
        counted = {number: spent.total() for number, spent in self._timing.spent().items()}
        names = thread_names(self._names)
        for number in (self._there.keys() | counted.keys()) - names.keys():
            self._end(number)
        for number, name in names.items():
            taken_ns = thread_ns(number)
            if taken_ns is not None:
                self._take(number, name, taken_ns, counted.get(number, 0), phase)
        unseen_ns = time.process_time_ns() - self.all_ns
        if unseen_ns > 0:
            self._take_unseen(unseen_ns, phase)

    def _take(self, number: int, name: str, taken_ns: int, counted_ns: int, phase: CpuStage) -> None:
        seen = self._there.setdefault(number, _Seen(name))
        if taken_ns < seen.taken_ns:  # another thread has its number
            self._note_ended(seen)
            seen = self._there[number] = _Seen(name)
        seen.name = name
        self._spent[of_thread(name, phase)] += (taken_ns - seen.taken_ns) - (counted_ns - seen.counted_ns)
        seen.taken_ns, seen.counted_ns = taken_ns, counted_ns

    def _end(self, number: int) -> None:
        """Take note that a thread is no more; of its end what the timers counted is known, and nothing else."""
        seen = self._there.pop(number, None) or _Seen("ended")
        seen.taken_ns += self._timing.end(number) - seen.counted_ns
        self._note_ended(seen)


class ChildAccount(_Account):
    """The child processes, by what they run."""

    def __init__(self, spent: "Counter[CpuStage]") -> None:
        super().__init__(spent)
        self._others: set[int] = set()
        self._went: list[_Seen] = []  # those of the last look: the system may tell of them a little later

    def look(self, phase: CpuStage) -> None:
        """Take what was taken since the last look; what one took before its end is its own, if it was ever seen."""
        waited_ns = _waited_for_ns()  # first: who is waited for meanwhile must not count twice
        names = child_programs(self._others)
        for number, name in names.items():
            taken_ns = process_ns(number)
            if taken_ns is not None:
                seen = self._there.setdefault(number, _Seen(name))
                seen.name = name
                self._add(seen, max(0, taken_ns - seen.taken_ns), phase)
        went = [self._there.pop(number) for number in self._there.keys() - names.keys()]
        heirs, self._went = went or self._went, went
        left_ns = waited_ns - self._ended_ns.total() - sum(one.taken_ns for one in went) - self._unseen_ns
        if left_ns > 0 and went:
            self._add(max(went, key=lambda one: one.taken_ns), left_ns, phase)
        elif left_ns > 0 and heirs:
            heir = max(heirs, key=lambda one: one.taken_ns)
            self._ended_ns[heir.name] += left_ns
            self._spent[of_process(heir.name, phase)] += left_ns
        elif left_ns > 0:
            self._take_unseen(left_ns, phase)
        for one in went:
            self._note_ended(one)

    def _add(self, seen: _Seen, taken_ns: int, phase: CpuStage) -> None:
        seen.taken_ns += taken_ns
        self._spent[of_process(seen.name, phase)] += taken_ns


def _waited_for_ns() -> int:
    taken = getrusage(RUSAGE_CHILDREN)
    return round((taken.ru_utime + taken.ru_stime) * NANOSECONDS)
