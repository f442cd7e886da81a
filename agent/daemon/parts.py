"""The daemon's parts: each on its own thread, restarted when it breaks, watched for hanging."""

import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.daemon.log import DaemonLog
from agent.health.alarm import NoticeBoard
from agent.terminal.redact import redactor_for
from config.errors import as_liput_error
from config.settings.schema import CurrentSettings, Settings
from devices.host.background import BackgroundTask, pause_s
from devices.host.clock import NANOSECONDS, Clock
from devices.host.throttle import Tell
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec

HANGS_AFTER_S = 15.0  # a part without a beat for so long hangs
LONGEST_PAUSE_S = 30.0  # between restarts of a part that breaks again and again
STEADY_S = 60.0  # a part that ran for so long before it broke is restarted at once
END_S = 5.0  # seconds that a part has to end before it is abandoned

type Beat = Callable[[], None]  # a part calls it every few seconds to show that it moves; cheap


class Part(Protocol):
    @property
    def name(self) -> str:
        """Used in logs, statuses and names of threads."""

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Work until `stop` is set, and call `beat`. The daemon logs any exception and runs it again.

        Only the working thread may call `beat`, so that a hang shows.
        """


class FeaturePart(Part, Protocol):
    def take(self, settings: Settings) -> None:
        """Use new settings from the next look on. Thread-safe."""


@dataclass(frozen=True, slots=True)
class DaemonContext:
    """The values that the daemon's parts are made of; `settings` are those at the start."""

    clock: Clock
    log: DaemonLog
    config_file: Path | None
    folder: Path | None
    in_force: CurrentSettings
    settings: Settings
    spawn: Callable[[RecorderSpec], SpawnedRecorder]
    board: NoticeBoard

    def learn(self, settings: Settings) -> None:
        """Hide the secrets of `settings` in the log from now on."""
        self.log.know(redactor_for(settings)[0])


def poll(look: Callable[[], object], every_s: float, clock: Clock, stop: threading.Event, beat: Beat) -> None:
    while not stop.is_set():
        beat()
        look()
        clock.wait(stop, every_s)


class _Run:
    def __init__(self, part: Part, clock: Clock, tell: Tell) -> None:
        self.part = part
        self.moves_until_ns = clock.now_ns()  # time of the last beat, or the end of its pause
        self._clock = clock
        self._tell = tell
        self.task = BackgroundTask(
            f"part-{part.name}", self._go, pause=self._pause, failed=self._failed, steady_s=STEADY_S, clock=clock
        )

    def _go(self) -> bool:
        self._beat()
        self.part.run(self.task.stopped, self._beat)
        return True

    def _beat(self) -> None:
        self.moves_until_ns = self._clock.now_ns()

    def _failed(self, error: Exception) -> None:
        self._tell(f"{self.part.name} has broken and is begun anew: {as_liput_error(error).message}")

    def _pause(self, breaks: int) -> float:
        seconds = pause_s(breaks, LONGEST_PAUSE_S)
        self.moves_until_ns = self._clock.now_ns() + int(seconds * NANOSECONDS)
        return seconds


@dataclass
class Parts:
    """Runs the parts until `stop`. A part that breaks or hangs affects no other."""

    parts: Sequence[Part]
    clock: Clock
    tell: Tell
    _runs: list[_Run] = field(default_factory=list)

    def start(self) -> None:
        self._runs += [_Run(part, self.clock, self.tell) for part in self.parts]
        for run in self._runs:
            run.task.start()

    def standing(self) -> list[str]:
        """Return the names of parts that hang (no beat for HANGS_AFTER_S)."""
        since_ns = self.clock.now_ns() - int(HANGS_AFTER_S * NANOSECONDS)
        return [run.part.name for run in self._runs if run.task.is_alive and run.moves_until_ns < since_ns]

    def stop(self) -> list[str]:
        """End all parts within END_S; return the names of those abandoned."""
        for run in self._runs:
            run.task.stop()
        deadline_ns = self.clock.now_ns() + int(END_S * NANOSECONDS)
        return [
            run.part.name
            for run in self._runs
            if not run.task.stop(max(0.0, (deadline_ns - self.clock.now_ns()) / NANOSECONDS))
        ]


ADDRESS, INTERVAL, WHOSE = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
SEND_S = 1.0  # how long to wait for the service manager; the next message follows within seconds
MICROSECONDS = 1_000_000
FED_SHARE = 0.5  # of the watchdog's interval, as systemd advises
LOOK_S = 1.0  # the longest time between two calls of `look`
STATUS_WATCHING = "STATUS=watching"


class ServiceNotifier:
    """Tells the service manager and the log which parts hang (sd_notify(3)); ignores a missing manager."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        """Remove the manager's address from the environment: children are not the service."""
        address = os.environ.pop(ADDRESS, "")
        interval, whose = os.environ.pop(INTERVAL, ""), os.environ.pop(WHOSE, "")
        # A path, or an abstract name after an @.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = interval.isdecimal() and int(interval) > 0 and whose in {"", str(os.getpid())}
        self.fed_every_s = int(interval) / MICROSECONDS * FED_SHARE if ours else None  # None without a watchdog
        self.look_s = LOOK_S if self.fed_every_s is None else min(LOOK_S, self.fed_every_s)
        self._clock = clock
        self._tell = tell
        self._told: Sequence[str] = ()
        self._fed_ns: int | None = None

    def begin(self) -> None:
        self.send("READY=1")
        self.send(STATUS_WATCHING)
        self._feed_if_due()

    def look(self, standing: Sequence[str]) -> None:
        """Feed the watchdog unless a part hangs; report a change of the hanging parts."""
        if list(standing) != list(self._told):
            self._told = list(standing)
            names = ", ".join(standing)
            self.send(f"STATUS={names} hangs" if names else STATUS_WATCHING)
            renewed = "; the daemon will be started anew" if self.fed_every_s is not None else ""
            self._tell(f"{names} hangs{renewed}" if names else "nothing hangs any more")
        if not standing:
            self._feed_if_due()

    def end(self) -> None:
        self.send("STOPPING=1")

    def _feed_if_due(self) -> None:
        """Feed the watchdog if the next look would be too late."""
        if self.fed_every_s is None:
            return
        now_ns = self._clock.now_ns()
        if self._fed_ns is None or now_ns - self._fed_ns >= (self.fed_every_s - self.look_s) * NANOSECONDS:
            self._fed_ns = now_ns
            self.send("WATCHDOG=1")

    def send(self, words: str) -> None:
        """Send a message as one datagram. Ignores errors."""
        if self._address[:1] not in {"/", "\0"}:
            return
        with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_S)
            sender.sendto(words.encode(errors="replace"), self._address)
