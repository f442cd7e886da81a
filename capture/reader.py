"""Reads one source on a thread of its own into a bounded queue, so that neither side ever holds up the other.

A live source is drained whatever happens downstream: when the queue is full the oldest item is dropped and counted. A
source that runs as fast as it is taken (a file in `--pace fast`) waits instead, until half of the queue is free: woken
for each item, two threads would take turns at every one.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from capture.source import SourceEnded
from config.errors import DeviceLost, LiputError, as_ours

POLL_S = 0.1
"""How long one read may take before the reader looks whether it should stop."""


class Readable[T](Protocol):
    """The part of a source that the reader needs."""

    name: str

    def read(self, timeout_s: float) -> T | None:
        """Return the next item, or None when none came in time; see capture/source.py."""
        ...


class Reader[T]:
    """One source's thread and queue. `get` from one thread; `start` once; `stop` as often as one likes."""

    def __init__(self, source: Readable[T], *, bound: int, waits: bool, on_lost: Callable[[LiputError], None]) -> None:
        self.dropped = 0
        self.bound = bound
        """How many items may wait; may be set by any thread."""
        self._source = source
        self._waits = waits
        self._on_lost = on_lost
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._over = False
        self._at_end = False
        self._thread = threading.Thread(target=self._run, name=f"read-{source.name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come: the source ended, was lost or was stopped, and the queue is empty."""
        with self._changed:
            return self._over and not self._items

    @property
    def at_end(self) -> bool:
        """Whether the source came to its end, as a file does, and everything of it has been taken."""
        with self._changed:
            return self._at_end and not self._items

    @property
    def has_items(self) -> bool:
        """Whether something has come that is not taken yet."""
        with self._changed:
            return bool(self._items)

    @property
    def filled(self) -> float:
        """Which part of the queue is full, 0 to 1; asked for without waiting for anybody."""
        return len(self._items) / self.bound

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

        Of a source that waits to be taken, this waits for the first that is not wanted, or its end: what is still on
        its way is not missed.
        """
        item = None
        with self._changed:
            while True:
                while self._items and wanted(self._items[0]):
                    item = self._items.popleft()
                self._changed.notify_all()
                if self._items or self._over or not self._waits:
                    return item
                self._changed.wait()

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Stop reading; what is queued can still be taken. Return whether the thread has ended in time.

        From then on nothing more comes, even from a source that hangs.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        with self._changed:
            self._over = True
            self._changed.notify_all()
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping:
                item = self._source.read(POLL_S)
                if item is not None:
                    self._keep(item)
        except SourceEnded:
            self._at_end = True
        except LiputError as error:
            self._on_lost(error)
        except Exception as error:  # whatever a library comes up with: the session must hear that nothing more comes
            self._on_lost(as_ours(error, DeviceLost, f"{self._source.name} failed"))
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _keep(self, item: T) -> None:
        with self._changed:
            if self._over:
                return
            if len(self._items) >= self.bound:
                if self._waits:
                    self._changed.wait_for(lambda: self._is_half_free() or self._stopping)
                else:
                    self._items.popleft()
                    self.dropped += 1
            if not self._over:
                self._items.append(item)
            self._changed.notify_all()

    def _is_half_free(self) -> bool:
        return len(self._items) <= self.bound // 2
