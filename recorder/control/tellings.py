"""What a session's threads tell the one thread that serves clients: never waited for, and bounded if that one hangs."""

import threading
from dataclasses import dataclass

from config.events import Event, encoded
from recorder.control.protocol import Failure, Note, Sealing, encode
from recorder.eventlog import MOST_BYTES, History
from recorder.status import SessionResult

type Telling = Event | Note | Sealing | SessionResult | Failure


@dataclass(slots=True)
class Taken:
    """What was told since the last time, as lines."""

    happened: History
    """Events and notes."""
    sealing: bytes | None = None
    """The newest of its kind."""
    end: bytes | None = None

    @property
    def missing(self) -> int:
        """How many events and notes before `happened` were more than there was room for."""
        return self.happened.first

    def __bool__(self) -> bool:
        return bool(self.happened.end or self.sealing or self.end)


class Tellings:
    """`put` from any thread, `take` from one."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Of events and notes that need more than `most_bytes` the oldest go."""
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._now = self._nothing()

    def put(self, what: Telling) -> None:
        """Keep it until it is taken. Whatever it holds, nothing is raised where it happened."""
        line = _line(what)
        with self._lock:
            if isinstance(what, Sealing):
                self._now.sealing = line
            elif isinstance(what, SessionResult | Failure):
                self._now.end = line
            else:
                self._now.happened.add(line)

    def take(self) -> Taken:
        """Return what has been put since the last time."""
        with self._lock:
            taken, self._now = self._now, self._nothing()
        return taken

    def _nothing(self) -> Taken:
        return Taken(History(self._most_bytes))


def _line(what: Telling) -> bytes:
    try:
        return encode(what)
    except (TypeError, ValueError, OverflowError):
        if isinstance(what, Event):
            return encoded(what)
        raise
