"""The shared objects of the API: settings, worker threads, runs of commands, hooks of the daemon."""

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.daemon.command_child import child_environment, liput_command
from agent.health.alarm import Alarm
from agent.web.http.responses import BUSY, HttpRefusal
from agent.web.http.token import Auth
from config.errors import LiputError
from config.settings.schema import CurrentSettings, Settings
from devices.host.child import ChildProcess
from devices.host.clock import Clock
from devices.host.threads import start_thread
from recorder.archive.archive import Archive, session_archives
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.model.names import quoted

if TYPE_CHECKING:
    from agent.devices.watch_part import DevicesPart
    from agent.sessions.room_preview import RoomPreview


LONGEST_S = 300.0  # of a check or a rehearsal
EXPORT_S = 6 * 3600.0  # a slow USB stick and a recording of a day
END_S = 5.0  # seconds for a command to exit after its document

type Work = Callable[[Sequence[str], Path | None], tuple[dict[str, Any] | None, LiputError | None]]
"""Takes options and a settings file; returns a command's document, or None and the error."""


class CommandRuns:
    """Runs a command, one at a time. Thread-safe."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._began_s: float | None = None
        self._problem: LiputError | None = None
        self.last: dict[str, Any] | None = None  # the last document; None after a failure

    def start(self, words: Sequence[str], config_file: Path | None, done: Callable[[], None]) -> None:
        """Start a run unless one is going on; `done` is called at its end."""
        with self._lock:
            if self._began_s is not None:
                return
            self._began_s, self._problem = time.monotonic(), None
        start_thread(self._run, words, config_file, done, name="web-check", otherwise=self._forget)

    def _forget(self) -> None:
        with self._lock:
            self._began_s = None

    def now(self) -> tuple[float | None, LiputError | None]:
        """Return the duration of the present run, and the error of the last one."""
        with self._lock:
            return None if self._began_s is None else time.monotonic() - self._began_s, self._problem

    def _run(self, words: Sequence[str], config_file: Path | None, done: Callable[[], None]) -> None:
        problem: LiputError | None = None
        try:
            self.last, problem = self._work(words, config_file)
        except OSError as error:
            problem = LiputError(f"it did not end: {error}")
        finally:
            with self._lock:
                self._began_s, self._problem = None, problem
            done()


def run_command(
    name: str, kind: str, words: Sequence[str], config_file: Path | None, longest_s: float = LONGEST_S
) -> tuple[dict[str, Any] | None, LiputError | None]:
    """Run `liput NAME --json`; return its document of `kind`, or the error. Raises OSError."""
    command = liput_command(*name.split(), "--json", *words)
    child = ChildProcess(
        command, env=child_environment(config_file), cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said: dict[str, Any] = {}
    try:
        with suppress(msgspec.MsgspecError, IndexError):
            said = msgspec.json.decode(child.read_all(longest_s).splitlines()[-1])
        if said.get("type") == kind:
            return said, None
        told = said.get("message") or (child.last_words() if child.wait(END_S) else "it does not end")
        hint, about = str(said.get("hint", "")), str(said.get("about", ""))
        return None, LiputError(quoted(str(told)), hint=hint, why=said.get("why"), about=about)
    except TimeoutError:
        return None, LiputError(f"it has not ended within {longest_s:.0f} s")
    finally:
        child.end()


class WorkerPool:
    """A few threads for one kind of work. For one event loop; asyncio's pool would wait for hung threads at exit."""

    def __init__(self, name: str, most: int, most_waiting: int = 32) -> None:
        self._name = name
        self._most_waiting = most_waiting
        self._places = asyncio.Semaphore(most)
        self._waiting = 0

    async def run[Answer](self, work: Callable[[], Answer]) -> Answer:
        """Run `work` on a thread; return its result or raise its exception. Raises HttpRefusal if too many wait."""
        if self._waiting >= self._most_waiting:
            raise HttpRefusal(
                BUSY, "too many requests at once", hint="wait a moment", why="too-many", headers={"retry-after": "2"}
            )
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        loop, done = asyncio.get_running_loop(), Future[Answer]()
        done.set_running_or_notify_cancel()  # a thread cannot be cancelled

        def go() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # raised by `run`
                done.set_exception(error)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._places.release)

        start_thread(go, name=f"web-{self._name}", otherwise=self._places.release)
        return await asyncio.wrap_future(done)


@dataclass(eq=False)
class ApiContext:
    gate: Auth
    clock: Clock
    settings: CurrentSettings
    spawn: Callable[[RecorderSpec], SpawnedRecorder] = SpawnedRecorder  # may take the daemon's reserve
    standing: Callable[[], list[str]] = list  # names of the daemon's hanging parts
    parts: Sequence[str] = ()  # names of all parts
    tell: Callable[[str], None] = lambda _text: None
    learn: Callable[[Settings], None] = lambda _settings: None  # gets settings with new keys, to hide these in logs
    folder: Path | None = None  # the daemon's `--archive`; None for that of the settings
    alarms: Callable[[], Sequence[Alarm]] = tuple  # the present alarms
    notices: Callable[[], Sequence[object]] = tuple  # the present notices of plans
    devices: "DevicesPart | None" = None  # the daemon's watch of devices, if any
    preview: "RoomPreview | None" = None  # the daemon's preview, if any
    loop: asyncio.AbstractEventLoop | None = None  # the server's loop while it runs
    recorders: list[SpawnedRecorder] = field(default_factory=list)  # started here: child processes to reap
    runs: CommandRuns = field(default_factory=lambda: CommandRuns(partial(run_command, "check", "check")))
    rehearsals: CommandRuns = field(default_factory=lambda: CommandRuns(partial(run_command, "rehearse", "rehearsal")))
    exports: CommandRuns = field(
        default_factory=lambda: CommandRuns(partial(run_command, "archive export", "export", longest_s=EXPORT_S))
    )
    light: WorkerPool = field(default_factory=lambda: WorkerPool("light", 8, 128))  # takes milliseconds
    slow: WorkerPool = field(default_factory=lambda: WorkerPool("slow", 8))  # waits for a device or a session
    disk: WorkerPool = field(default_factory=lambda: WorkerPool("disk", 6, 128))  # waits for the archive's disk

    def archives(self) -> Sequence[Archive]:
        """Return the archive for new sessions, then the others. Raises SettingsError."""
        if self.folder is not None:
            return [Archive(self.folder, self.clock)]
        return session_archives(self.settings.read(), self.clock)

    def reap(self) -> None:
        for recorder in list(self.recorders):  # another thread may add one
            if recorder.wait(0.0):
                self.recorders.remove(recorder)
