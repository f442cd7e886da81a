"""What a session's threads tell the one thread that serves clients: never waited for, and bounded if that one hangs."""

import threading
from collections import deque
from dataclasses import dataclass, field

from config.events import Event, encoded
from recorder.control.history import MOST_BYTES
from recorder.control.protocol import Failure, Note, Sealing, encode
from recorder.status import SessionResult

type Telling = Event | Note | Sealing | SessionResult | Failure


@dataclass(slots=True)
class Taken:
    """What was told since the last time, as lines."""

    missing: int = 0
    """How many events and notes before `happened` were more than there was room for."""
    happened: deque[bytes] = field(default_factory=deque)
    sealing: bytes | None = None
    """The newest of its kind."""
    end: bytes | None = None

    def __bool__(self) -> bool:
        return bool(self.missing or self.happened or self.sealing or self.end)


class Tellings:
    """`put` from any thread, `take` from one."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Of events and notes that need more than `most_bytes` the oldest go."""
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._now = Taken()

    def put(self, what: Telling) -> None:
        """Keep it until it is taken. Whatever it holds, nothing is raised where it happened."""
        line = _line(what)
        with self._lock:
            if isinstance(what, Sealing):
                self._now.sealing = line
            elif isinstance(what, SessionResult | Failure):
                self._now.end = line
            else:
                self._add(line)

    def _add(self, line: bytes) -> None:
        self._now.happened.append(line)
        self._bytes += len(line)
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._now.happened.popleft())
            self._now.missing += 1

    def take(self) -> Taken:
        """Return what has been put since the last time."""
        with self._lock:
            taken, self._now, self._bytes = self._now, Taken(), 0
        return taken


def _line(what: Telling) -> bytes:
    try:
        return encode(what)
    except (TypeError, ValueError, OverflowError):
        if isinstance(what, Event):
            return encoded(what)
        raise
