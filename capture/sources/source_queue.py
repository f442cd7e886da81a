"""The bounded queue between the thread that reads a source and the track that takes from it."""

import threading
from collections import deque
from collections.abc import Callable

LIVE_QUEUE_S = 1.0
"""How much of a live source may wait before its oldest is dropped."""


class SourceQueue[T]:
    """Neither side holds up the other: a full queue drops its oldest item and counts it.

    One that `waits` (for a source that runs as fast as it is taken) has `put` wait until half of it is free: woken for
    each item, two threads would take turns at every one. One thread calls `put`, another `get` and `newest`.
    """

    def __init__(self, bound: int, *, waits: bool = False) -> None:
        self.dropped = 0
        self.bound = bound
        """How many items may wait; may be set by any thread."""
        self._waits = waits
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._is_released = False
        self._is_ended = False
        self._came_to_end = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come: the source ended, was lost or was stopped, and the queue is empty."""
        with self._changed:
            return self._is_ended and not self._items

    @property
    def at_end(self) -> bool:
        """Whether the source came to its end, as a file does, and everything of it has been taken."""
        with self._changed:
            return self._came_to_end and not self._items

    @property
    def has_items(self) -> bool:
        """Whether something has come that is not taken yet."""
        with self._changed:
            return bool(self._items)

    @property
    def filled(self) -> float:
        """Which part of the queue is full, 0 to 1; asked for without waiting for anybody."""
        return len(self._items) / self.bound

    def put(self, item: T) -> None:
        """Add `item`; after `end` it is dropped."""
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
        """Return the oldest item, or None when none is there within `timeout_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            if self._is_half_free():
                self._changed.notify_all()
            return item

    def newest(self, wanted: Callable[[T], bool]) -> T | None:
        """Take every item from the front that is `wanted`, and return the last of them; None if there is none.

        A queue that `waits` waits for the first that is not wanted, or the end: an item on its way is not missed.
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
        """Let a `put` that waits for room go on."""
        with self._changed:
            self._is_released = True
            self._changed.notify_all()

    def end(self, *, came_to_end: bool = False) -> None:
        """Take nothing more; the items that are queued can still be taken."""
        with self._changed:
            self._is_ended = True
            self._came_to_end = self._came_to_end or came_to_end
            self._changed.notify_all()

    def _is_half_free(self) -> bool:
        return len(self._items) <= self.bound // 2
