"""Runs checks side by side; exclusive ones in turn. A check that hangs delays nothing else."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.checks.check import Check, CheckContext, CheckNews, CheckProgress, CheckResult, findings, make_result
from config.errors import as_liput_error
from devices.host import threads

POLL_S = 0.1
STOP_WAIT_S = 3.0

CODES = findings("check-any")


class CheckRunner:
    """Runs each check on a daemon thread, so that a hung one ends with the process."""

    def __init__(
        self,
        checks: Sequence[Check],
        situation: CheckContext,
        tell: Callable[[Check, CheckNews], None] = lambda _check, _news: None,
    ) -> None:
        self._situation = situation
        self._tell = tell
        self._checks = checks
        self._chosen = [check for check in checks if check.quick or not situation.quick]
        self._messages: queue.SimpleQueue[tuple[Check, CheckProgress | Sequence[CheckResult]]] = queue.SimpleQueue()
        self._begun: dict[str, float] = {}
        self._stops: dict[str, threading.Event] = {}
        self._results: dict[str, Sequence[CheckResult]] = {}

    def run(self) -> list[CheckResult]:
        """Return the results in the order of the checks; once `stop` is set, return the known ones early. Blocks."""
        stop, stopped_at = self._situation.stop, None
        while len(self._results) < len(self._chosen):
            now = time.monotonic()
            if not stop.is_set():
                self._start_waiting(now)
            elif stopped_at is None:
                stopped_at = now
                for own in self._stops.values():
                    own.set()
            elif now - stopped_at > STOP_WAIT_S or not self._running():
                break
            self._take_message()
            self._give_up(time.monotonic())
        return [result for check in self._checks for result in self._results_of(check)]

    def _running(self) -> list[Check]:
        return [check for check in self._chosen if check.name in self._begun and check.name not in self._results]

    def _start_waiting(self, now: float) -> None:
        """Start the waiting checks, but only one `alone` check at a time."""
        is_taken = any(check.alone for check in self._running())
        for check in self._chosen:
            if check.name in self._begun or (check.alone and is_taken):
                continue
            is_taken = is_taken or check.alone
            self._begun[check.name] = now
            self._tell(check, None)
            self._stops[check.name] = threading.Event()
            threads.start_thread(self._look, check, self._stops[check.name], name=f"check-{check.name}")

    def _look(self, check: Check, stop: threading.Event) -> None:
        situation = replace(
            self._situation, stop=stop, on_progress=lambda progress: self._messages.put((check, progress))
        )
        try:
            results: Sequence[CheckResult] = list(check.look(situation))
        except Exception as error:  # a bug in one check must not hide the results of the others
            results = [make_result(CODES, "broken", check.name, error=as_liput_error(error).message)]
        self._messages.put((check, results))

    def _take_message(self) -> None:
        try:
            check, news = self._messages.get(timeout=POLL_S)
        except queue.Empty:
            return
        if check.name in self._results:
            return  # the check was given up
        if isinstance(news, CheckProgress):
            self._tell(check, news)
        elif self._situation.stop.is_set():  # a half-finished look is no result
            self._end(check, [make_result(CODES, "cancelled", check.name)])
        else:
            self._end(check, news)

    def _give_up(self, now: float) -> None:
        for check in self._running():
            if now - self._begun[check.name] > check.longest_s:
                self._stops[check.name].set()  # it must not disturb the next check or leave anything open
                self._end(check, [make_result(CODES, "hangs", check.name, longest_s=check.longest_s)])

    def _end(self, check: Check, results: Sequence[CheckResult]) -> None:
        self._results[check.name] = results
        self._tell(check, results)

    def _results_of(self, check: Check) -> Sequence[CheckResult]:
        if check.name in self._results:
            return self._results[check.name]
        return [make_result(CODES, "cancelled" if check in self._chosen else "left-out", check.name)]
