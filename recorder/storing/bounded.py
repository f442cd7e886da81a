"""Something that may hang on a disk, on a thread that may be left to itself."""

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from devices.clock import NANOSECONDS, Clock
from recorder.storing.faults import stalled

WAIT_S = 0.05
OPEN_S = 10.0
"""How long a disk may take to answer, or until a file on it is open."""


class Bounded[T]:
    """Starts `act` at once. What it returns after it was abandoned goes to `late`, which undoes it."""

    def __init__(self, act: Callable[[], T], name: str, late: Callable[[T], None] | None = None) -> None:
        self._act = act
        self._late = late
        self._lock = threading.Lock()
        self._abandoned = False
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            result = self._act()
        except BaseException as error:  # raised where the result is asked for
            self._error = error
            return
        with self._lock:
            if not self._abandoned:
                self._results.append(result)
                return
        if self._late:
            self._late(result)

    def wait(self, clock: Clock, timeout_s: float, progress: Callable[[], object] = lambda: None) -> bool:
        """Wait for the end, as long as what `progress` returns changes every `timeout_s`; return whether it came.

        Where it did not, it is left to itself.
        """
        seen, since_ns = progress(), clock.now_ns()
        while self._thread.is_alive():
            self._thread.join(WAIT_S)
            now_ns, now = clock.now_ns(), progress()
            if now != seen:
                seen, since_ns = now, now_ns
            elif now_ns >= since_ns + timeout_s * NANOSECONDS:
                with self._lock:
                    self._abandoned = not self._results and self._error is None
                return not self._abandoned
        return True

    @property
    def moved_bytes(self) -> int:
        """What its thread has read and written so far, as the kernel counts it (proc(5)); 0 where it does not tell.

        What stands still in a disk that hangs moves nothing. What reads hours of a file does, whether or not it says
        how far it is.
        """
        with suppress(OSError):
            io = Path(f"/proc/self/task/{self._thread.native_id}/io").read_text()
            return sum(int(count) for count in re.findall(r"^[rw]char: (\d+)$", io, re.MULTILINE))
        return 0

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def get(
        self, clock: Clock, timeout_s: float, too_late: Exception, progress: Callable[[], object] = lambda: None
    ) -> T:
        """Return what `act` returns, or raise what it raises; raise `too_late` when it does not end (see `wait`)."""
        if not self.wait(clock, timeout_s, progress):
            raise too_late
        if self._error:
            raise self._error
        return self._results[0]


def asked[T](act: Callable[[], T], path: Path, clock: Clock) -> T:
    """Return what `act` returns, which asks the disk of `path`; raises what it raises.

    Raises StorageStalled where the disk gives nothing for OPEN_S, and RuntimeError where there are too many threads.
    """
    asking = Bounded(act, "storage-check")
    return asking.get(clock, OPEN_S, stalled(path, OPEN_S), lambda: asking.moved_bytes)
