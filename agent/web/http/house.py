"""What the API works with: the settings in force, who starts recorders, whom to let in, what the time is."""

import asyncio
import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.alarms.alarm import Alarm
from agent.daemon.own_command import command_line, environment
from agent.web.http.answers import BUSY, Refused
from agent.web.http.token import Gate
from config.settings.loading import SettingsInForce
from config.settings.schema import Settings
from devices.host import threads
from devices.host.child import ChildProcess
from devices.host.clock import Clock
from devices.host.throttle import Tell
from recorder.archive.archive import Archive, session_archives
from recorder.control.spawn import Spawned
from recorder.control.spec import Spec
from recorder.model.names import quoted

if TYPE_CHECKING:
    from agent.devices.part import DevicesPart


LONGEST_S = 300.0
END_S = 5.0
"""How long one may take to be gone that has said all."""

type Work = Callable[[Sequence[str], Path | None], tuple[dict[str, Any] | None, str]]
"""Takes words and a settings file; returns the document of a command, or why there is none."""


class Runs:
    """Runs one at a time."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._began_s: float | None = None
        self._problem: str | None = None
        self.last: dict[str, Any] | None = None
        """The document of the last one; None where it has found nothing."""

    def start(self, words: Sequence[str], config_file: Path | None, done: Callable[[], None]) -> None:
        """Begin a run unless there is one; `done` is called at its end."""
        with self._lock:
            if self._began_s is not None:
                return
            self._began_s, self._problem = time.monotonic(), None
        threads.start(self._run, words, config_file, done, name="web-check", otherwise=self._forget)

    def _forget(self) -> None:
        with self._lock:
            self._began_s = None

    def now(self) -> tuple[float | None, str | None]:
        """Return for how long one has been running, and why the last one has found nothing."""
        with self._lock:
            return None if self._began_s is None else time.monotonic() - self._began_s, self._problem

    def _run(self, words: Sequence[str], config_file: Path | None, done: Callable[[], None]) -> None:
        problem = ""
        try:
            self.last, problem = self._work(words, config_file)
        except OSError as error:
            problem = f"it did not end: {error}"
        finally:
            with self._lock:
                self._began_s, self._problem = None, problem or None
            done()


def run_command(
    name: str, kind: str, words: Sequence[str], config_file: Path | None
) -> tuple[dict[str, Any] | None, str]:
    """Run `liput NAME --json`; return its document, which is of that `kind`, or what went wrong. Raises OSError."""
    command = command_line(name, "--json", *words)
    child = ChildProcess(
        command, env=environment(config_file), cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said: dict[str, Any] = {}
    try:
        with suppress(msgspec.MsgspecError, IndexError):
            said = msgspec.json.decode(child.read_all(LONGEST_S).splitlines()[-1])
        if said.get("type") == kind:
            return said, ""
        why = said.get("message") or (child.last_words() if child.wait(END_S) else "it does not end")
        return None, quoted(str(why))
    except TimeoutError:
        return None, f"it has not ended within {LONGEST_S:.0f} s"
    finally:
        child.end()


class WorkerPool:
    """A few threads for one kind of work; used from one event loop."""

    def __init__(self, name: str, most: int, most_waiting: int = 32) -> None:
        self._name = name
        self._most_waiting = most_waiting
        self._places = asyncio.Semaphore(most)
        self._waiting = 0

    async def run[Answer](self, work: Callable[[], Answer]) -> Answer:
        """Return what `work` does, which runs on a thread; raises what it raises, and Refused where too many wait."""
        if self._waiting >= self._most_waiting:
            raise Refused(BUSY, "too much is asked for at once", hint="wait a moment", headers={"retry-after": "2"})
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        return await self._on_a_thread(work)

    async def _on_a_thread[Answer](self, work: Callable[[], Answer]) -> Answer:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()

        def settle(act: Callable[[], None]) -> None:
            self._places.release()
            if not done.cancelled():
                act()

        def go() -> None:
            try:
                answer = work()
            except BaseException as error:  # whoever asked gets it
                act = partial(done.set_exception, error)
            else:
                act = partial(done.set_result, answer)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits for it
                loop.call_soon_threadsafe(settle, act)

        threads.start(go, name=f"web-{self._name}", otherwise=self._places.release)
        return await done


@dataclass(eq=False)
class House:
    """What every request may use."""

    gate: Gate
    clock: Clock
    settings: SettingsInForce
    spawn: Callable[[Spec], Spawned] = Spawned
    """Starts a recorder: the daemon's spare, if it has one."""
    standing: Callable[[], list[str]] = list
    """The names of the daemon's parts that hang."""
    parts: Sequence[str] = ()
    """The names of all of them."""
    tell: Tell = lambda _text: None
    learn: Callable[[Settings], None] = lambda _settings: None
    """Told the settings whose keys have changed: from then on they stand in no log."""
    folder: Path | None = None
    """The archive that the daemon was told to take, None for that of the settings."""
    url: str = ""
    alarms: Callable[[], Sequence[Alarm]] = tuple
    """What people are to be told now."""
    notices: Callable[[], Sequence[object]] = tuple
    """What people are to hear of planned sessions now."""
    devices: "DevicesPart | None" = None
    """What watches the devices, if the daemon does."""
    loop: asyncio.AbstractEventLoop | None = None
    """The server's, once it runs."""
    recorders: list[Spawned] = field(default_factory=list)
    """Those that were started here: processes of ours to wait for."""
    runs: Runs = field(default_factory=lambda: Runs(partial(run_command, "check", "check")))
    rehearsals: Runs = field(default_factory=lambda: Runs(partial(run_command, "rehearse", "rehearsal")))
    light: WorkerPool = field(default_factory=lambda: WorkerPool("light", 8, 128))
    """For what takes milliseconds."""
    slow: WorkerPool = field(default_factory=lambda: WorkerPool("slow", 8))
    """For what waits for a device or a session: arming, starting, stopping."""
    disk: WorkerPool = field(default_factory=lambda: WorkerPool("disk", 6, 128))
    """For what waits for the archive's disk."""

    def archives(self) -> Sequence[Archive]:
        """Return the archive where sessions go, and those that they go on in. Raises SettingsError."""
        if self.folder is not None:
            return [Archive(self.folder, self.clock)]
        return session_archives(self.settings.read(), self.clock)

    def reap(self) -> None:
        """Let go of recorders that have ended."""
        for recorder in list(self.recorders):  # others may be added meanwhile, by another thread
            if recorder.wait(0.0):
                self.recorders.remove(recorder)
