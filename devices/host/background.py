"""Background tasks: repeated attempts on a thread until the task is stopped."""

import math
import threading
from collections.abc import Callable

from devices.host import threads
from devices.host.clock import NANOSECONDS, Clock, SystemClock


def pause_s(failures: int, longest_s: float, *, first_s: float = 1.0, growth: float = 2.0) -> float:
    """Return the seconds to wait after `failures` in a row: `first_s`, times `growth` each, to `longest_s`."""
    steps = math.ceil(math.log(longest_s / first_s, growth))
    return float(min(longest_s, first_s * growth ** min(max(0, failures - 1), steps)))


class BackgroundTask:
    """Repeats `attempt`, with a pause between, until it returns True. `stop` and `wake` end a pause at once."""

    def __init__(
        self,
        name: str,
        attempt: Callable[[], object],
        *,
        pause: float | Callable[[int], float],
        failed: Callable[[Exception], object] | None = None,
        over: Callable[[], object] | None = None,
        steady_s: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        """`pause` is in seconds, or a function of the number of failures in a row; math.inf waits for `wake`.

        `failed` gets an attempt's error; without it the error is reported as a broken thread's. `over` is called after
        the last attempt. A failure after more than `steady_s` counts as the first one.
        """
        self.name = name
        self.stopped = threading.Event()
        self.is_waiting = False
        self._attempt = attempt
        self._pause = pause if callable(pause) else lambda _failures: pause
        self._failed = failed or (lambda _error: threads.report_error())
        self._over = over
        self._steady_s = steady_s
        self._clock = clock or SystemClock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. Raises RuntimeError where the system has no further one."""
        self._thread = threads.start_thread(self.run, name=self.name)

    def run(self) -> None:
        """Attempt until the task is stopped or over. Blocks."""
        failures = 0
        while not self.stopped.is_set():
            began_ns = self._clock.now_ns()
            try:
                if self._attempt() is True:
                    break
                failures = 0
            except Exception as error:  # the next attempt may work
                lasted_s = (self._clock.now_ns() - began_ns) / NANOSECONDS
                failures = 1 if self._steady_s and lasted_s > self._steady_s else failures + 1
                self._tell(error)
            self._wait(self._pause(failures))
        if self._over is not None:
            self._over()

    def _tell(self, error: Exception) -> None:
        try:
            self._failed(error)
        except Exception:  # the task goes on even if reporting fails
            threads.report_error()

    def _wait(self, seconds: float) -> None:
        self.is_waiting = True
        if not self.stopped.is_set():
            if seconds == math.inf:
                self._wake.wait()
            else:
                self._clock.wait(self._wake, seconds)
        self._wake.clear()
        self.is_waiting = False

    def wake(self) -> None:
        """End the pause before the next attempt."""
        self._wake.set()

    def stop(self, timeout_s: float | None = 0.0) -> bool:
        """Begin no further attempt, and wait for the thread's end as `join` does."""
        self.stopped.set()
        self._wake.set()
        return self.join(timeout_s)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait at most `timeout_s` for the thread's end; return whether it has ended or never began."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
        return not self.is_alive

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()
