"""Runs a session for a person or a program in front of it: shows it, and lets them end it."""

import queue
import signal
import threading
from contextlib import AbstractContextManager
from enum import Enum, auto

from agent.keyboard import watched
from agent.reporters import Reporter
from agent.signals import hearing
from config.events import Event
from devices.clock import NANOSECONDS, Clock
from recorder.archive.archive import Archive
from recorder.plan import SessionPlan
from recorder.session import Session
from recorder.status import SessionResult, SessionState

SEALED, FAILED, DEGRADED = 0, 1, 3
"""Exit statuses; docs/reference/cli.md."""


class Request(Enum):
    """What comes in while a session runs, besides what the session tells."""

    END = auto()
    """Somebody wants it to end."""
    PAUSE = auto()
    """Somebody wants it to stand still, which would lose what happens in the room."""
    OVER = auto()
    """It has ended."""


type Message = Event | tuple[int, int] | Request
"""An event, how far sealing is (bytes done, bytes in all), or a request."""


class SessionRun:
    """One session, its reporter, and everything that can ask it to end."""

    def __init__(self, plan: SessionPlan, archive: Archive, *, clock: Clock, stop: threading.Event) -> None:
        # SimpleQueues may be put into from a signal handler.
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._session = Session(
            plan,
            archive,
            clock=clock,
            stop=stop,
            listener=self._inbox.put,
            progress=lambda done, total: self._inbox.put((done, total)),
        )
        self._session.start()
        # Read by a thread of its own: the main thread may hang in writing to whoever reads our output.
        self._ends: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._clock = clock
        self._result: SessionResult | None = None
        self._error: BaseException | None = None
        self._asked_to_end = 0

    def run(self, reporter: Reporter) -> int:
        """Run the session to its end and return the exit status; raises what kept it from recording anything."""
        thread = threading.Thread(target=self._run_session, name="session")
        threading.Thread(target=self._end_when_asked, name="stopper", daemon=True).start()
        with self._signals(), reporter:
            thread.start()
            try:
                with watched(self._on_key):
                    self._follow(reporter)
            except BaseException:
                self._session.stop()  # whatever broke here, what was recorded is put into the archive
                raise
            finally:
                thread.join()
            if self._error:
                raise self._error
            if self._result:
                reporter.result(self._result)
        return exit_status(self._result)

    @property
    def package(self) -> str | None:
        """The sealed package's folder, once there is one."""
        sealed = self._result is not None and self._result.state is SessionState.SEALED
        return self._result.package if self._result and sealed else None

    def _run_session(self) -> None:
        try:
            self._result = self._session.run()
        except BaseException as error:
            self._error = error
        finally:
            self._ends.put(Request.OVER)
            self._inbox.put(Request.OVER)

    def _end_when_asked(self) -> None:
        while (asked := self._ends.get()) is not Request.OVER:
            if asked is Request.END:
                self._session.stop()
            self._inbox.put(asked)

    def _follow(self, reporter: Reporter) -> None:
        """Show what comes in, and a status as often as the reporter wants one, until the session is over."""
        period_ns = int(reporter.every_s * NANOSECONDS)
        due_ns = self._clock.now_ns() + period_ns
        while True:
            remaining_ns = due_ns - self._clock.now_ns()
            if remaining_ns <= 0:  # however much comes in
                reporter.status(self._session.status())
                due_ns = self._clock.now_ns() + period_ns
                continue
            try:
                message = self._inbox.get(timeout=remaining_ns / NANOSECONDS)
            except queue.Empty:
                continue
            if message is Request.OVER:
                return
            self._handle(message, reporter)

    def _handle(self, message: Message, reporter: Reporter) -> None:
        if isinstance(message, Event):
            reporter.event(message)
        elif isinstance(message, tuple):
            reporter.sealing(*message)
        elif message is Request.PAUSE:
            reporter.note("A recording cannot be paused; q ends it.")
        else:
            self._asked_to_end += 1
            if self._session.status().state in {SessionState.IDLE, SessionState.ARMED}:
                reporter.note("Ending; nothing has been recorded yet.")
            elif self._asked_to_end == 1:
                reporter.note("Ending: closing the recording and putting it into the archive …")
            else:
                reporter.note("Still closing; please wait.")

    def _on_key(self, key: str) -> None:
        if key in {"q", "Q"}:
            self._ends.put(Request.END)

    def _signals(self) -> AbstractContextManager[None]:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
        return hearing(
            numbers, lambda number: self._ends.put(Request.PAUSE if number == signal.SIGTSTP else Request.END)
        )


def exit_status(result: SessionResult | None) -> int:
    """Return what a script is told: 0 sealed, 3 sealed but something was lost on the way, 1 failed."""
    if result is None or result.state is not SessionState.SEALED:
        return FAILED
    return DEGRADED if result.degraded else SEALED
