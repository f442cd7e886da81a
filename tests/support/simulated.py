"""A clock that moves when told, and queues that give what a script says, for tests of whatever works with time."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from devices.host.clock import NANOSECONDS

BEGINNING = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class SimulatedClock:
    """Implements devices.host.clock.Clock; waiting moves it on at once."""

    def __init__(self, now_ns: int = 5 * NANOSECONDS) -> None:
        self._now_ns = now_ns
        self._began_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def now(self) -> datetime:
        return BEGINNING + timedelta(microseconds=(self._now_ns - self._began_ns) // 1000)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        if not event.is_set():
            self.advance_to(self._now_ns + int(timeout_s * NANOSECONDS))
        return event.is_set()

    def advance(self, seconds: float) -> None:
        self._now_ns += int(seconds * NANOSECONDS)

    def advance_to(self, now_ns: int) -> None:
        self._now_ns = max(self._now_ns, now_ns)


class ScriptedQueue[T]:
    """Stands for a SourceQueue: gives each item at its time, and moves the clock on while it waits."""

    def __init__(
        self, clock: SimulatedClock, items: Iterable[tuple[int, T]], *, ends: bool = False, lost: bool = False
    ) -> None:
        """`items` are (when it arrives on the session clock in ns, item).

        After the last one a queue that `ends` is at its end, like a file's; a `lost` one gives nothing any more.
        """
        self.dropped = 0
        self._lost = lost
        self._clock = clock
        self._items = deque(sorted(items, key=lambda item: item[0]))
        self._ends = ends

    @property
    def at_end(self) -> bool:
        return self._ends and not self._items

    @property
    def is_over(self) -> bool:
        return (self._ends or self._lost) and not self._items

    @property
    def filled(self) -> float:
        return min(1.0, sum(arrives_ns <= self._clock.now_ns() for arrives_ns, _ in self._items) / 30)

    @property
    def has_items(self) -> bool:
        return bool(self._items) and self._items[0][0] <= self._clock.now_ns()

    def get(self, timeout_s: float) -> T | None:
        deadline_ns = self._clock.now_ns() + max(1, int(timeout_s * NANOSECONDS))
        if self._items and self._items[0][0] <= deadline_ns:
            arrives_ns, item = self._items.popleft()
            self._clock.advance_to(arrives_ns)
            return item
        self._clock.advance_to(deadline_ns)
        return None

    def newest(self, wanted: Callable[[T], bool]) -> T | None:
        item = None
        while self._items and self._items[0][0] <= self._clock.now_ns() and wanted(self._items[0][1]):
            item = self._items.popleft()[1]
        return item


class EventList(list[tuple[str, str]]):
    """An Emit that keeps (kind, subject) of every event."""

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        assert message
        self.append((kind, subject))
