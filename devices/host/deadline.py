"""Deadline tasks: a call that may hang runs on its own thread; the caller waits to a deadline."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from devices.host import threads
from devices.host.clock import NANOSECONDS, Clock, SystemClock

WAIT_S = 0.05  # the longest delay until a wait notices its clock or progress
_CLOSING = "closing "


class DeadlineTask[T]:
    """One call on a thread of its own, which starts at once."""

    def __init__(
        self,
        act: Callable[[], T],
        name: str,
        *,
        late: Callable[[T], object] | None = None,
        ended_late: Callable[[], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`late` undoes a result that comes after the task was abandoned; `ended_late` is called at its end.

        Raises RuntimeError where the system has no further thread.
        """
        self.name = name
        self._act = act
        self._late = late
        self._ended_late = ended_late
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.is_abandoned = False  # whether a caller's wait timed out
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._thread = threads.start_thread(self._run, name=name)

    def _run(self) -> None:
        try:
            result = self._act()
        except BaseException as error:  # `result` raises it
            self._error = error
        else:
            with self._lock:
                undo = self._late if self.is_abandoned else None
                if undo is None:
                    self._results.append(result)
            if undo is not None:
                with suppress(Exception):  # no caller is left
                    undo(result)
        self._over.set()
        if self.is_abandoned and self._ended_late is not None:
            self._ended_late()

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._over.is_set()

    @property
    def moved_bytes(self) -> int:
        """The bytes its thread has read and written (proc(5)); a hung disk moves none. 0 where unknown."""
        with suppress(OSError):
            io = Path(f"/proc/self/task/{self._thread.native_id}/io").read_text()
            return sum(int(count) for count in re.findall(r"^[rw]char: (\d+)$", io, re.MULTILINE))
        return 0

    def ends_within(self, timeout_s: float) -> bool:
        """Return whether the call ends within `timeout_s` of real time; never abandons it."""
        return self._over.wait(timeout_s)

    def wait(self, timeout_s: float, progress: Callable[[], object] | None = None) -> bool:
        """Wait for the end; abandon it and return False `timeout_s` after the last change of `progress`."""
        seen, since_ns = progress() if progress else None, self._clock.now_ns()
        while not self._over.is_set():
            left_s = timeout_s - (self._clock.now_ns() - since_ns) / NANOSECONDS
            if left_s <= 0:
                return not self._abandon()
            self._over.wait(min(left_s, WAIT_S))
            if progress and (now := progress()) != seen:
                seen, since_ns = now, self._clock.now_ns()
        return True

    def _abandon(self) -> bool:
        with self._lock:
            if self._over.is_set() or self._results or self._error is not None:
                return False
            self.is_abandoned = True
            return True

    def result(self) -> T:
        """Return the result of an ended call, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._results[0]

    def get(self, timeout_s: float, too_late: Exception, progress: Callable[[], object] | None = None) -> T:
        """Return the result or raise the call's error; raise `too_late` at the deadline (see `wait`)."""
        if not self.wait(timeout_s, progress):
            raise too_late
        return self.result()


_hung_closings: list[DeadlineTask[object]] = []
_hung_lock = threading.Lock()


def close_within(close: Callable[[], object], timeout_s: float, name: str) -> bool:
    """Call `close`, which may hang; return whether it took less than `timeout_s` (see `count_hung_closings`)."""
    task = DeadlineTask(close, _CLOSING + name)
    if task.wait(timeout_s):
        return True
    with _hung_lock:
        _hung_closings.append(task)
    return False


def count_hung_closings(name: str | None = None) -> int:
    """Return the number of closings of `name`, or of anything, that timed out and still run."""
    with _hung_lock:
        _hung_closings[:] = [task for task in _hung_closings if not task.is_over]
        return sum(name is None or task.name == _CLOSING + name for task in _hung_closings)


class DeadlineTasks[Key, T]:
    """Deadline tasks by key: an abandoned call is not repeated until it ends; a running one is not shared."""

    def __init__(self, name: str, *, late: Callable[[], object] | None = None) -> None:
        """`name` begins threads' names. `late` is called when an abandoned call ends, on its thread."""
        self._name = name
        self._late = late
        self._lock = threading.Lock()
        self._running: dict[Key, DeadlineTask[T]] = {}

    def begin(self, key: Key, act: Callable[[], T]) -> DeadlineTask[T]:
        """Return the abandoned task of `key`, else a new one. Raises RuntimeError as DeadlineTask."""
        with self._lock:
            is_awaited = self._late is not None
            self._running = {
                key: task
                for key, task in self._running.items()
                if not task.is_over or (is_awaited and task.is_abandoned)
            }
            task = self._running.get(key)
            if task is None or not task.is_abandoned:
                task = self._running[key] = DeadlineTask(act, f"{self._name}-{key}", ended_late=self._late)
            return task

    def ask(self, acts: Mapping[Key, Callable[[], T]], timeout_s: float) -> dict[Key, T | Exception]:
        """Return by key a result or a call's error, within `timeout_s` in all; late ones are missing."""
        until_s = time.monotonic() + timeout_s
        found: dict[Key, T | Exception] = {}
        tasks: dict[Key, DeadlineTask[T]] = {}
        for key, act in acts.items():
            try:
                tasks[key] = self.begin(key, act)
            except RuntimeError as error:
                found[key] = error
        for key, task in tasks.items():
            if task.wait(0.0 if task.is_abandoned else max(0.0, until_s - time.monotonic())):
                try:
                    found[key] = task.result()
                except Exception as error:
                    found[key] = error
        with self._lock:
            self._running = {key: task for key, task in self._running.items() if not task.is_over}
        return found
