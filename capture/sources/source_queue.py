"""The bounded queue between the thread that reads a source and the track that takes its items."""

import threading
from collections import deque
from collections.abc import Callable

LIVE_QUEUE_S = 1.0  # how much of a live source may wait before the oldest items are dropped


class SourceQueue[T]:
    """A bounded queue: a full one drops its oldest item and counts it.

    With `waits` (for sources that run as fast as they are taken), `put` waits until half of it is free: otherwise two
    threads would alternate at every item. One thread calls `put`, another `get` and `newest`.
    """

    def __init__(self, bound: int, *, waits: bool = False) -> None:
        self.dropped = 0
        self.bound = bound  # maximum number of items; any thread may set it
        self._waits = waits
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._is_released = False
        self._is_ended = False
        self._came_to_end = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come: the source ended, was lost or stopped, and the queue is empty."""
        with self._changed:
            return self._is_ended and not self._items

    @property
    def at_end(self) -> bool:
        """Whether the source reached its end, as a file does, and all items were taken."""
        with self._changed:
            return self._came_to_end and not self._items

    @property
    def has_items(self) -> bool:
        with self._changed:
            return bool(self._items)

    @property
    def filled(self) -> float:
        """The filled share, 0 to 1; does not wait for the lock."""
        return len(self._items) / self.bound

    def put(self, item: T) -> None:
        """Add `item`; dropped after `end`."""
        with self._changed:
            if self._is_ended:
                return
            if len(self._items) >= self.bound:
                if self._waits:
                    self._changed.wait_for(lambda: self._is_half_free() or self._is_released)
                else:
                    self._items.popleft()
                    self.dropped += 1
            if not self._is_ended:
                self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout_s: float) -> T | None:
        """Return the oldest item, None after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            if self._is_half_free():
                self._changed.notify_all()
            return item

    def newest(self, wanted: Callable[[T], bool]) -> T | None:
        """Take all items from the front that are `wanted`, and return the last of them, or None.

        A queue that `waits` blocks until the first unwanted item or the end, so that it misses none on its way.
        """
        item = None
        with self._changed:
            while True:
                while self._items and wanted(self._items[0]):
                    item = self._items.popleft()
                self._changed.notify_all()
                if self._items or self._is_ended or not self._waits:
                    return item
                self._changed.wait()

    def release(self) -> None:
        """Wake a `put` that waits."""
        with self._changed:
            self._is_released = True
            self._changed.notify_all()

    def end(self, *, came_to_end: bool = False) -> None:
        """Accept no more items; queued ones can still be taken."""
        with self._changed:
            self._is_ended = True
            self._came_to_end = self._came_to_end or came_to_end
            self._changed.notify_all()

    def _is_half_free(self) -> bool:
        return len(self._items) <= self.bound // 2
