"""The session's event log: written beside the recording, and read back by recorder.

One thread for each file appends events as JSON lines and syncs them. A file gets all events since the session began, as
far as memory holds them. `EventLimiter` thins frequent events first.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from config.events import Emit, Event, encode_event
from config.files import json_lines, json_number, open_regular, read_file
from devices.health.faults import HealthChange
from devices.host.background import BackgroundTask
from devices.host.clock import NANOSECONDS, Clock, seconds_now
from devices.host.throttle import TokenBucket
from recorder.model.names import utf8_safe
from recorder.model.session_faults import REPORTED_BY_TRACKS, SESSION_LIVE, SOURCE_RECOVERED, kind_of_fault

MOST_BYTES = 8 << 20


class LineBuffer:
    """Lines numbered from 0: the first `head_bytes`, and the newest `most_bytes` of the rest. Thread-safe."""

    def __init__(self, most_bytes: int = MOST_BYTES, head_bytes: int = 0) -> None:
        self._lock = threading.RLock()
        self._head: list[bytes] = []
        self._head_room = head_bytes
        self._tail: deque[bytes] = deque()
        self._room = most_bytes
        self.dropped = 0
        """The count of dropped lines, which followed the head."""

    @property
    def end(self) -> int:
        """The number of the next line."""
        with self._lock:
            return len(self._head) + self.dropped + len(self._tail)

    def add(self, line: bytes) -> None:
        """Keep a line, and drop the oldest lines of the tail beyond the limit."""
        with self._lock:
            if self.end == len(self._head) and len(line) <= self._head_room:
                self._head.append(line)
                self._head_room -= len(line)
                return
            self._tail.append(line)
            self._room -= len(line)
            while self._room < 0:
                self._room += len(self._tail.popleft())
                self.dropped += 1

    def batch(self, number: int, end: int, most_bytes: int) -> tuple[bytes, int, int]:
        """Return lines from `number` to `end`, about `most_bytes`, the next number, and the count dropped before."""
        lines: list[bytes] = []
        missing = 0
        with self._lock:
            head, end = len(self._head), min(end, self.end)
            if number >= head:
                missing = max(0, min(end, head + self.dropped) - number)
            elif self.dropped:
                end = min(end, head)  # the dropped lines follow
            number += missing
            while number < end and most_bytes > 0:
                lines.append(self._head[number] if number < head else self._tail[number - head - self.dropped])
                most_bytes -= len(lines[-1])
                number += 1
        return b"".join(lines), number, missing


EVERY_NS = 5 * NANOSECONDS


@dataclass(slots=True)
class LossReporter:
    """Emits an event when a count of dropped frames or lost sound grows, at most one in EVERY_NS.

    `sentence` has {count} for the new losses and {name} for the subject.
    """

    kind: str
    subject: str
    sentence: str
    emit: Emit
    clock: Clock
    _told: int = 0
    _told_ns: int | None = None

    def begin(self, count: int) -> None:
        """Start from `count`: earlier losses cause no event."""
        self._told = count

    def update(self, count: int, *, final: bool = False, **detail: object) -> None:
        """Emit an event if `count` has grown and EVERY_NS has passed since the last one. `final` does not wait."""
        new, now_ns = count - self._told, self.clock.now_ns()
        if new <= 0 or not (final or self._told_ns is None or now_ns > self._told_ns + EVERY_NS):
            return
        self._told, self._told_ns = count, now_ns
        self.emit(self.kind, self.subject, self.sentence.format(count=new, name=self.subject), count=new, **detail)


AT_ONCE, PER_S = 200.0, 0.25  # the log takes this burst of one kind and subject at once, then this many a second
MOST_KNOWN = 512
"""Pairs of kind and subject with a limit of their own. Beyond that, the oldest pair is forgotten."""
EVENTS_LEFT_OUT = "events-left-out"


@dataclass(slots=True)
class _Withheld:
    bucket: TokenBucket
    left_out: int = 0
    last: Event | None = None
    """The newest withheld event. It is logged unless another one follows."""


@dataclass(slots=True)
class EventLimiter:
    """Limits events of one kind and subject, and counts the rest. Not thread-safe; seconds are of any steady clock."""

    _known: dict[tuple[str, str], _Withheld] = field(default_factory=dict)

    def take(self, event: Event, now_s: float) -> list[Event]:
        """Return the events to log now. The order within one subject stays."""
        key = event.kind, event.subject
        often = self._known.pop(key, None) or _Withheld(TokenBucket(AT_ONCE, PER_S, now_s))
        self._known[key] = often  # moves the pair to the end
        if often.bucket.wait_s(now_s):
            often.left_out += often.last is not None
            often.last = event
            return self._forget_one(than=key)
        often.bucket.take()
        withheld = self._released([often for (_, of), often in self._known.items() if of == event.subject])
        return [*withheld, event, *self._forget_one(than=key)]

    def due(self, now_s: float) -> list[Event]:
        """Return withheld events that may be logged now, since no newer one has come."""
        due = [often for often in self._known.values() if often.last is not None and not often.bucket.wait_s(now_s)]
        for often in due:
            often.bucket.take()
        return self._released(due)

    def rest(self) -> list[Event]:
        """Return all withheld events, oldest first."""
        return self._released([*self._known.values()])

    def _forget_one(self, *, than: tuple[str, str]) -> list[Event]:
        if len(self._known) <= MOST_KNOWN:
            return []
        oldest = next(key for key in self._known if key != than)
        return self._released([self._known.pop(oldest)])

    @staticmethod
    def _released(some: list[_Withheld]) -> list[Event]:
        events: list[Event] = []
        for often in some:
            if often.last is not None:
                events += [_left_out_event(often.last, often.left_out)] * bool(often.left_out) + [often.last]
                often.last, often.left_out = None, 0
        return sorted(events, key=lambda event: event.at)


def _left_out_event(last: Event, count: int) -> Event:
    detail = {"what": last.kind, "count": count}
    message = f"{count} events of {last.subject} are left out here: {last.kind} came too often"
    return Event(last.at, EVENTS_LEFT_OUT, last.subject, detail, message)


HEAD_BYTES, TAIL_BYTES = 1 << 20, 7 << 20
"""About 3,000 events from the start, which describe the session, and the newest 25,000."""


def fault_reporter(emit: Emit) -> Callable[[HealthChange], None]:
    """Return a callback that emits an event when a fault begins or ends (devices.health.faults.OnChange)."""

    def tell(change: HealthChange) -> None:
        if change.fault in REPORTED_BY_TRACKS:
            return
        kind, message = kind_of_fault(change.fault), change.reason
        if not change.begun:
            kind, message = SOURCE_RECOVERED, f"{change.name} is well again; it was: {change.reason}"
        state = str(change.health.state)
        emit(kind, change.name, message, device=change.device, fault=str(change.fault), state=state)

    return tell


CLOSE_S = 5.0  # the log waits this long for a disk to take the last events
LOOK_S = 1.0  # interval of retries on a disk, and of checks for withheld events
BATCH = 64 * 1024
MOST_REFUSALS = 2  # the log gives up the last events after this many refusals
SUBJECT = "event log"

type Listener = Callable[[Event], None]


class EventLog:
    """Implements Emit. Takes events from the start; `open` adds a file, `close` ends all files. Thread-safe."""

    def __init__(self, clock: Clock, listener: Listener | None = None) -> None:
        self._clock = clock
        self._listener = listener
        self._changed = threading.Condition()
        self._lines = LineBuffer(TAIL_BYTES, HEAD_BYTES)
        self._repeats = EventLimiter()
        self._files: list[_File] = []

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        """Log an event; see config.events.Emit."""
        detail = {name: _storable_value(value) for name, value in detail.items()}
        event = Event(self._clock.now(), kind, utf8_safe(subject), detail, utf8_safe(message))
        with self._changed:
            self._append(self._repeats.take(event, seconds_now(self._clock)))
        if self._listener:
            self._listener(event)

    def open(self, path: Path) -> None:
        """Add a file, which also gets the earlier events. Raises OSError."""
        file = _File(path, self)
        with self._changed:
            self._files.append(file)

    def close(self) -> int:
        """Wait until every event is on disk; return the number of files whose disks did not answer."""
        with self._changed:
            self._append(self._repeats.rest())
            files, self._files = self._files, []
            for file in files:
                file.end_at(self._lines.end)
            self._changed.notify_all()
        return sum(not file.ended() for file in files)

    def _append(self, events: Iterable[Event]) -> None:
        for event in events:
            self._lines.add(encode_event(event))
            self._changed.notify_all()

    # Called by the threads of the files

    def look(self) -> None:
        """Log withheld events that are due."""
        with self._changed:
            self._append(self._repeats.due(seconds_now(self._clock)))

    def lines(self, number: int, file: "_File") -> tuple[bytes, int]:
        """Wait for lines of `file` from `number` on; return them and the next number, or b"" at the end."""
        with self._changed:
            while number >= (end := self._lines.end if file.last is None else file.last):
                if file.last is not None:
                    return b"", number
                self._changed.wait(LOOK_S)
                self._append(self._repeats.due(seconds_now(self._clock)))
            lines, after, missing = self._lines.batch(number, end, BATCH)
        return (encode_event(self._left_out(missing)) if missing else b"") + lines, after

    def _left_out(self, count: int) -> Event:
        message = f"{count} events are missing here: there were more than this PC keeps for a disk that takes none"
        return Event(self._clock.now(), EVENTS_LEFT_OUT, SUBJECT, {"what": None, "count": count}, message)


class _File:
    def __init__(self, path: Path, log: EventLog) -> None:
        self._descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._log = log
        self._number = 0  # of the next line to take from the log
        self._lines = b""  # taken from the log, not written yet
        self._refused = 0
        self._over = threading.Event()
        self.last: int | None = None
        """The file ends before this line, once it is known."""
        self._task = BackgroundTask("event-log", self._write, pause=self._pause_s, failed=self._refuse)
        self._task.start()

    def end_at(self, number: int) -> None:
        self.last = number
        self._task.wake()

    def ended(self) -> bool:
        """Wait up to CLOSE_S for the end; return whether it came."""
        return self._over.wait(CLOSE_S)

    def _write(self) -> bool:
        """Write the next lines; return True at the end. Raises OSError."""
        if not self._lines:
            self._lines, self._number = self._log.lines(self._number, self)
        if not self._lines or self._refused >= MOST_REFUSALS:
            os.close(self._descriptor)
            self._over.set()
            return True
        # A nearly full disk takes a part; the rest goes next. The file takes no new line meanwhile.
        self._lines = self._lines[os.write(self._descriptor, self._lines) :]
        os.fdatasync(self._descriptor)
        self._refused = 0
        return False

    def _refuse(self, _error: Exception) -> None:
        # The recording's writer meets the same disk and reports it. Listeners still get events.
        self._refused += self.last is not None
        self._log.look()

    def _pause_s(self, failures: int) -> float:
        return LOOK_S if failures and self.last is None else 0.0


def _storable_value(value: object) -> object:
    """Return a JSON value with text that UTF-8 can hold: file names need not be UTF-8."""
    if isinstance(value, str):
        return utf8_safe(value)
    if isinstance(value, Mapping):
        return {name: _storable_value(inner) for name, inner in value.items()}
    return [_storable_value(inner) for inner in value] if isinstance(value, list | tuple) else value


RECOVERED_KIND = "session-recovered"  # recovery adds this event to a log


@dataclass(frozen=True, slots=True)
class RecordingRun:
    """The events of one recorder: `armed` before it recorded, `recording` since.

    `offset_s` is the start of its recording in media time. `began_at` is None if it never recorded, `killed_at` for the
    last recorder.
    """

    armed: Sequence[Event]
    recording: Sequence[Event]
    offset_s: float
    began_at: datetime | None
    killed_at: datetime | None


def recorder_runs(events: Iterable[Event]) -> list[RecordingRun]:
    """Return the recorders of a session from its log, without the events that recovery added."""
    found: list[RecordingRun] = []
    told: list[Event] = []
    offset_s = 0.0
    for event in events:
        if event.kind == RECOVERED_KIND:
            continue
        if event.kind == "session-resumed":
            killed_at = event.at - timedelta(seconds=event_number(event, "missing_s"))
            later = len(told)
            while later and told[later - 1].at > killed_at:  # the next recorder's sources report before this event
                later -= 1
            found.append(_run(told[:later], offset_s, killed_at))
            told, offset_s = told[later:], event_number(event, "offset_s")
        told.append(event)
    return [*found, _run(told, offset_s, None)]


def _run(told: Sequence[Event], offset_s: float, killed_at: datetime | None) -> RecordingRun:
    live = next((place for place, event in enumerate(told) if event.kind == SESSION_LIVE), None)
    began_at = None if live is None else told[live].at
    return RecordingRun(told[: live or 0], told[live or 0 :], offset_s, began_at, killed_at)


def event_number(event: Event, name: str) -> float:
    """Return a number of an event's detail; 0 if it is missing, negative or no number."""
    return max(0.0, json_number(event.detail.get(name)) or 0.0)


def read_log(path: Path) -> bytes:
    """Return the content of an event log, b"" if unreadable."""
    try:
        return read_file(path, cut=True)
    except OSError:
        return b""


def read_events(log: bytes) -> list[Event]:
    """Return the events of a log; invalid lines, as after a kill, are skipped."""
    return list(json_lines(log, Event))
