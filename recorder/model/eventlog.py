"""The session's event log: every gap, drop, reconnect and restart with its time, kept with the recording.

A thread for each file appends events, one JSON object a line, and syncs them. Each file gets every event, from the
first on: they are kept in memory within a bound. Events that come too often are thinned before (`Repeats`).
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from config.events import Emit, Event, encoded
from config.files import number, open_regular
from devices.health.tracker import HealthChange
from devices.host.background import BackgroundTask
from devices.host.clock import NANOSECONDS, Clock
from devices.host.throttle import Bucket
from recorder.model.names import storable
from recorder.model.troubles import RECOVERED, TOLD_BY_TRACKS, kind_of

MOST_BYTES = 8 << 20


class History:
    """Events and notes numbered from 0, the newest `most_bytes`; `add`, `end` and `batch` are thread-safe."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._most_bytes = most_bytes
        self._bytes = 0
        self.first = 0
        """The number of the oldest line that is kept."""

    @property
    def end(self) -> int:
        """The number that the next line will have."""
        with self._lock:
            return self.first + len(self._lines)

    def add(self, line: bytes) -> None:
        """Keep a line."""
        with self._lock:
            self._lines.append(line)
            self._bytes += len(line)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._lines.popleft())
                self.first += 1

    def line(self, number: int) -> bytes:
        """Return the line of a number that is kept."""
        return self._lines[number - self.first]

    def batch(self, number: int, most_bytes: int) -> tuple[bytes, int]:
        """Return lines from `number` on, about `most_bytes` of them or one, and the number of the one after them.

        None of them where that one is not kept any more.
        """
        with self._lock:
            there = range(number, self.first + len(self._lines)) if number >= self.first else ()
            lines = some(map(self.line, there), most_bytes)
        return b"".join(lines), number + len(lines)


def some(lines: Iterable[bytes], most_bytes: int) -> list[bytes]:
    """Return the first of some lines: about `most_bytes` of them or one."""
    taken, size = [], 0
    for line in lines:
        if size >= most_bytes:
            break
        taken.append(line)
        size += len(line)
    return taken


EVERY_NS = 5 * NANOSECONDS


class LossReporter:
    """Emits events of one growing count of pictures or sound lost: often enough, and not too often."""

    def __init__(self, kind: str, subject: str, sentence: str, *, emit: Emit, clock: Clock) -> None:
        """`kind` and `subject` are the event's; `sentence` has {count} for how many are new and {name} for whose."""
        self._kind, self._subject, self._sentence = kind, subject, sentence
        self._emit = emit
        self._clock = clock
        self._told = 0
        self._told_ns: int | None = None

    def begin(self, count: int) -> None:
        """Leave out what was lost so far, of which there are `count`."""
        self._told = count

    def update(self, count: int, *, final: bool = False, **detail: object) -> None:
        """Take the count of now; what is new is told at once, later news every EVERY_NS, the `final` one always."""
        new, now_ns = count - self._told, self._clock.now_ns()
        if new <= 0 or not (final or self._told_ns is None or now_ns > self._told_ns + EVERY_NS):
            return
        self._told, self._told_ns = count, now_ns
        message = self._sentence.format(count=new, name=self._subject)
        self._emit(self._kind, self._subject, message, count=new, **detail)


AT_ONCE, PER_S = 200.0, 0.25
"""So many of one kind and subject are logged straight away, and so many a second for ever."""
MOST_KNOWN = 512
"""Kinds with their subjects that are told apart; of more, the one that came longest ago is forgotten."""
EVENTS_LEFT_OUT = "events-left-out"


@dataclass(slots=True)
class _Often:
    bucket: Bucket
    left_out: int = 0
    last: Event | None = None
    """The newest that was not logged; it will be, unless another one comes."""


@dataclass(slots=True)
class Repeats:
    """Thins events of one kind and subject, and counts the others. One thread; seconds of any steady clock."""

    _known: dict[tuple[str, str], _Often] = field(default_factory=dict)

    def take(self, event: Event, now_s: float) -> list[Event]:
        """Return what is to be logged now; of one subject all stays in its order."""
        key = event.kind, event.subject
        often = self._known.pop(key, None) or _Often(Bucket(AT_ONCE, PER_S, now_s))
        self._known[key] = often  # as the newest
        if often.bucket.wait_s(now_s):
            often.left_out += often.last is not None
            often.last = event
            return self._forget_one(than=key)
        often.bucket.take()
        return [*self._kept_back(event.subject), event, *self._forget_one(than=key)]

    def due(self, now_s: float) -> list[Event]:
        """Return what was kept back and may be logged by now: no more of it has come."""
        due = [often for often in self._known.values() if often.last is not None and not often.bucket.wait_s(now_s)]
        for often in due:
            often.bucket.take()
        return self._given_back(due)

    def rest(self) -> list[Event]:
        """Return what was kept back of all subjects, oldest first."""
        return self._given_back([*self._known.values()])

    def _kept_back(self, subject: str) -> list[Event]:
        return self._given_back([often for (_, of), often in self._known.items() if of == subject])

    def _forget_one(self, *, than: tuple[str, str]) -> list[Event]:
        if len(self._known) <= MOST_KNOWN:
            return []
        oldest = next(key for key in self._known if key != than)
        return self._given_back([self._known.pop(oldest)])

    @staticmethod
    def _given_back(some: list[_Often]) -> list[Event]:
        events: list[Event] = []
        for often in some:
            if often.last is not None:
                events += [_told(often.last, often.left_out)] * bool(often.left_out) + [often.last]
                often.last, often.left_out = None, 0
        return sorted(events, key=lambda event: event.at)


def _told(last: Event, count: int) -> Event:
    """Return the event that stands for those left out before `last`."""
    detail = {"what": last.kind, "count": count}
    message = f"{count} events of {last.subject} are left out here: {last.kind} came too often"
    return Event(last.at, EVENTS_LEFT_OUT, last.subject, detail, message)


HEAD_BYTES, TAIL_BYTES = 1 << 20, 7 << 20
"""Some 3,000 events from the beginning, which say what the session is, and the newest 25,000."""


def fault_reporter(emit: Emit) -> Callable[[HealthChange], None]:
    """Return what makes an event of each fault that begins or ends; see devices.health.tracker.OnChange."""

    def tell(change: HealthChange) -> None:
        if change.fault in TOLD_BY_TRACKS:
            return
        kind, message = kind_of(change.fault), change.reason
        if not change.begun:
            kind, message = RECOVERED, f"{change.name} is well again; it was: {change.reason}"
        state = str(change.health.state)
        emit(kind, change.name, message, device=change.device, fault=str(change.fault), state=state)

    return tell


class KeptLines:
    """Lines numbered from 0: the first for ever, of the others as many as there is room for. Under a lock."""

    def __init__(self, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._head: list[bytes] = []
        self._room = head_bytes
        self._tail = History(tail_bytes)

    @property
    def end(self) -> int:
        """The number that the next line will have."""
        return len(self._head) + self._tail.end

    def add(self, line: bytes) -> None:
        """Keep a line."""
        if self._tail.end == 0 and len(line) <= self._room:
            self._head.append(line)
            self._room -= len(line)
        else:
            self._tail.add(line)

    def batch(self, number: int, end: int, most_bytes: int) -> tuple[bytes, int, int]:
        """Return lines from `number` on and before `end`: about `most_bytes` of them or one.

        With them the number of the line behind them, and how many before them are not kept any more.
        """
        first, end = len(self._head), min(end, self.end)
        missing = 0
        if number >= first:
            missing = max(0, min(end, first + self._tail.first) - number)
        elif self._tail.first:
            end = min(end, first)  # what is missing comes behind it
        number += missing
        lines = some(map(self._line, range(number, end)), most_bytes)
        return b"".join(lines), number + len(lines), missing

    def _line(self, number: int) -> bytes:
        first = len(self._head)
        return self._head[number] if number < first else self._tail.line(number - first)


CLOSE_S = 5.0
"""How long a disk may take to the last events, before its file is left to itself."""
LOOK_S = 1.0
"""How often a disk that refused is tried again, and is looked whether what was kept back may be logged."""
BATCH = 64 * 1024
MOST_REFUSALS = 2
"""So often a disk may refuse the last events before they are given up."""
SUBJECT = "event log"

type Listener = Callable[[Event], None]


class EventLog:
    """Takes events from the first moment on; `open` gives them a file, `close` ends it. Implements Emit."""

    def __init__(self, clock: Clock, listener: Listener | None = None) -> None:
        self._clock = clock
        self._listener = listener
        self._changed = threading.Condition()
        self._lines = KeptLines()
        self._repeats = Repeats()
        self._files: list[_File] = []

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        """Log an event; see config.events.Emit."""
        detail = {name: _storable_value(value) for name, value in detail.items()}
        event = Event(self._clock.now(), kind, storable(subject), detail, storable(message))
        with self._changed:
            self._keep(self._repeats.take(event, self._now_s()))
        if self._listener:
            self._listener(event)

    def open(self, path: Path) -> None:
        """Write to `path` too from now on, starting with the events that have come already; raises OSErrors."""
        file = _File(path, self)
        with self._changed:
            self._files.append(file)

    def close(self) -> int:
        """Return when every event is on disk: how many files were left to themselves, their disks being silent."""
        with self._changed:
            self._keep(self._repeats.rest())
            files, self._files = self._files, []
            for file in files:
                file.end_at(self._lines.end)
            self._changed.notify_all()
        return sum(not file.ended() for file in files)

    def _keep(self, events: Iterable[Event]) -> None:
        for event in events:
            self._lines.add(encoded(event))
            self._changed.notify_all()

    def _now_s(self) -> float:
        return self._clock.now_ns() / NANOSECONDS

    # For the files, each on a thread of its own

    def look(self) -> None:
        """Log the events that were kept back long enough."""
        with self._changed:
            self._keep(self._repeats.due(self._now_s()))

    def lines(self, number: int, file: "_File") -> tuple[bytes, int]:
        """Wait for lines of `file` from `number` on; return some, none at its end, and the next number."""
        with self._changed:
            while number >= (end := self._lines.end if file.last is None else file.last):
                if file.last is not None:
                    return b"", number
                self._changed.wait(LOOK_S)
                self._keep(self._repeats.due(self._now_s()))
            lines, after, missing = self._lines.batch(number, end, BATCH)
        return (encoded(self._left_out(missing)) if missing else b"") + lines, after

    def _left_out(self, count: int) -> Event:
        message = f"{count} events are missing here: there were more than this PC keeps for a disk that takes none"
        return Event(self._clock.now(), EVENTS_LEFT_OUT, SUBJECT, {"what": None, "count": count}, message)


class _File:
    """One file of the log, written by a background task. A disk that refuses is tried again."""

    def __init__(self, path: Path, log: EventLog) -> None:
        self._descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._log = log
        self._number = 0  # of the next line to take from the log
        self._lines = b""  # taken from the log, and not written yet
        self._refused = 0
        self._over = threading.Event()
        self.last: int | None = None
        """The number of the first line that it is not to have, once it is to end."""
        self._task = BackgroundTask("event-log", self._write, pause=self._pause_s, failed=self._refuse)
        self._task.start()

    def end_at(self, number: int) -> None:
        """Take no line from `number` on."""
        self.last = number
        self._task.wake()

    def ended(self) -> bool:
        """Wait for the end, at most CLOSE_S; return whether it has come."""
        return self._over.wait(CLOSE_S)

    def _write(self) -> bool:
        """Write the next lines; return True at the end. Raises OSErrors of the disk."""
        if not self._lines:
            self._lines, self._number = self._log.lines(self._number, self)
        if not self._lines or self._refused >= MOST_REFUSALS:
            os.close(self._descriptor)
            self._over.set()
            return True
        # A disk that is almost full takes a part; the rest goes next. Meanwhile nothing more is taken in.
        self._lines = self._lines[os.write(self._descriptor, self._lines) :]
        os.fdatasync(self._descriptor)
        self._refused = 0
        return False

    def _refuse(self, _error: Exception) -> None:
        # The recording's own writer meets the same disk and reports it; events go on to the listener.
        self._refused += self.last is not None
        self._log.look()

    def _pause_s(self, failures: int) -> float:
        return LOOK_S if failures and self.last is None else 0.0


def _storable_value(value: object) -> object:
    """Return a JSON value in which every text can be written as UTF-8: names of files need not be."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {name: _storable_value(inner) for name, inner in value.items()}
    return [_storable_value(inner) for inner in value] if isinstance(value, list | tuple) else value


RECOVERED_KIND = "session-recovered"
"""The event that recovery itself adds to a log."""


type Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One recorder: what it told before it recorded, and since; where in the session its recording begins.

    `began_at` is when it began to record, as far as its log tells. `killed_at` is None for the last one.
    """

    armed: Sequence[Line]
    recording: Sequence[Line]
    offset_s: float
    began_at: datetime | None
    killed_at: datetime | None


def runs(lines: Iterable[Line]) -> list[Run]:
    """Return the recorders of a session, from the lines of its log; what recovery added later is none of theirs."""
    found: list[Run] = []
    told: list[Line] = []
    offset_s = 0.0
    for line in lines:
        if not isinstance(line.get("detail"), Mapping) or line.get("kind") == RECOVERED_KIND:
            continue
        if line.get("kind") == "session-resumed":
            detail, at = line["detail"], moment(line.get("at"))
            killed_at = at - timedelta(seconds=max(0.0, number(detail.get("missing_s")) or 0.0)) if at else None
            later = _since(told, killed_at)
            found.append(_run(told[:later], offset_s, killed_at))
            told, offset_s = told[later:], number(detail.get("offset_s")) or 0.0
        told.append(line)
    return [*found, _run(told, offset_s, None)]


def _since(told: Sequence[Line], killed_at: datetime | None) -> int:
    """Return where the next recorder's lines begin: it tells how its sources are before it says that it goes on."""
    place = len(told)
    while killed_at and place and (at := moment(told[place - 1].get("at"))) and at > killed_at:
        place -= 1
    return place


def _run(told: Sequence[Line], offset_s: float, killed_at: datetime | None) -> Run:
    live = next((place for place, line in enumerate(told) if line.get("kind") == "session-live"), None)
    began_at = None if live is None else moment(told[live].get("at"))
    return Run(told[: live or 0], told[live or 0 :], offset_s, began_at, killed_at)


def moment(value: object) -> datetime | None:
    """Return the time that a line says; None for what is none."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None
