"""Starts a recorder for one command, shows the session, and lets keys and signals end it."""

import contextlib
import os
import queue
import signal
import time
from typing import Literal

from agent.daemon.presence import successor
from agent.sessions import early_recorder
from agent.sessions.control import killed_error, until_taken_over
from agent.terminal.reporters import Reporter, SessionFollower, exit_status, follow
from agent.terminal.signals_and_keys import handle_signals, watch_keys
from config.errors import LiputError
from devices.host import threads
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.model.status import SessionResult, SessionState
from recorder.running.client import RecorderLost, read_result, send_command
from recorder.running.protocol import StopCommand
from recorder.running.runtime_directory import RecorderFolder

EXIT_S = 10.0  # limit for a recorder to exit after its result
AGAIN_S = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)


type EndRequest = Literal["end", "pause", "over"]
""""end": end the session; "pause": refused, it would lose the room; "over": the session has ended."""


class RecorderRun:
    """One recorder, its reporter, and the keys and signals that end it."""

    def __init__(self, spec: RecorderSpec) -> None:
        self._spec = spec
        # A signal handler may put into a SimpleQueue. A thread of its own reads it: the main thread may hang in
        # writing to a slow reader of our output.
        self._end_requests: queue.SimpleQueue[EndRequest] = queue.SimpleQueue()
        self._requests: queue.SimpleQueue[EndRequest] = queue.SimpleQueue()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._spawned: SpawnedRecorder | None = None
        self._folder: RecorderFolder | None = None
        self._result: SessionResult | None = None
        self._end_count = 0

    def run(self, reporter: Reporter) -> int:
        """Run the session and return the exit status. Blocks; raises the error of a session that recorded nothing."""
        stopper = threads.start_thread(self._serve_requests, name="stopper")
        try:
            with handle_signals(_SIGNALS, self._hear_signal), reporter:
                self._spawned = SpawnedRecorder(self._spec, early_recorder.take_early())
                self._folder = self._spawned.ready()
                with watch_keys(lambda key: self._end_requests.put("end") if key in {"q", "Q"} else None):
                    self._result = self._follow(self._folder, reporter)
                if self._result:
                    reporter.show(self._result)
                self._spawned.wait(EXIT_S)
        except BaseException:
            self._end()  # after any error the recording still goes to the archive
            raise
        finally:
            self._end_requests.put("over")
            stopper.join()
            os.close(self._wakeup)
        return exit_status(self._result)

    @property
    def package(self) -> str | None:
        """The sealed package's folder, once there is one."""
        sealed = self._result is not None and self._result.state is SessionState.SEALED
        return self._result.package if self._result and sealed else None

    def _follow(self, folder: RecorderFolder, reporter: Reporter) -> SessionResult:
        """Show messages and requests until the session ends; raises the error of one that recorded nothing."""
        follower, killed = SessionFollower(reporter), list[RecorderFolder]()
        while follower.result is None:
            try:
                follow(
                    folder,
                    follower,
                    every_s=reporter.every_s,
                    wakeup=self._wakeup,
                    heard=lambda: self._show_requests(follower, reporter),
                )
            except RecorderLost:
                # We were too slow and were disconnected, or the recorder has died.
                if not self._is_over(folder):
                    continue
                if end := read_result(folder):
                    follower.take(end)
                else:
                    killed.append(folder)
                    if (following := successor(*killed)) is None:
                        raise killed_error() from None
                    folder = self._folder = following
                    follower.message_count = 0
                    reporter.note("The recorder was killed; another one goes on.")
                    self._show_requests(follower, reporter)  # also requests made while no recorder heard them
                    if self._end_count:
                        self._end()
        return follower.result

    def _is_over(self, folder: RecorderFolder) -> bool:
        if self._spawned is not None and not self._spawned.wait(AGAIN_S):
            return False
        info = folder.info()
        if info is not None and info.is_alive:  # not the one that we started
            time.sleep(AGAIN_S)
            return False
        return True

    def _show_requests(self, follower: SessionFollower, reporter: Reporter) -> bool:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wakeup)
        with contextlib.suppress(queue.Empty):
            while True:
                self._show_request(self._requests.get_nowait(), follower, reporter)
        return False  # a request is not the end: go on until the result

    def _show_request(self, asked: EndRequest, follower: SessionFollower, reporter: Reporter) -> None:
        if asked == "pause":
            reporter.note("A recording cannot be paused; q ends it.")
            return
        self._end_count += 1
        if not follower.is_recording:
            reporter.note("Ending; nothing has been recorded yet.")
        elif self._end_count == 1:
            reporter.note("Ending: closing the recording and putting it into the archive …")
        else:
            reporter.note("Still closing; please wait.")

    def _serve_requests(self) -> None:
        while (asked := self._end_requests.get()) != "over":
            self._requests.put(asked)  # first, since the next recorder gets the requests that this one missed
            os.eventfd_write(self._wakeup, 1)
            if asked == "end":
                self._end()

    def _end(self) -> None:
        try:
            if self._folder:
                until_taken_over(self._folder)
                send_command(self._folder, StopCommand())
        except LiputError:
            self._terminate()  # its server hangs, or it is ending already: a signal is enough
        else:
            if not self._folder:
                self._terminate()

    def _terminate(self) -> None:
        info = self._folder.info() if self._folder else None
        if info and info.is_alive:  # not necessarily the one that we started
            with contextlib.suppress(ProcessLookupError):
                os.kill(info.pid, signal.SIGTERM)
        elif self._spawned:
            self._spawned.terminate()

    def _hear_signal(self, number: int) -> None:
        # A closed window or a lost ssh connection is no wish to end a recording.
        if number != signal.SIGHUP:
            self._end_requests.put("pause" if number == signal.SIGTSTP else "end")
