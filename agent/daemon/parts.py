"""The parts of the daemon: each on a thread of its own, begun anew when it breaks, and known to move or to stand."""

import os
import socket
import threading
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from devices.host.background import BackgroundTask, pause_s
from devices.host.clock import NANOSECONDS, Clock
from devices.host.throttle import Tell

MOVES_S = 15.0
"""A part that has not said for so long that it moves is taken to hang."""
LONGEST_PAUSE_S = 30.0
"""Between two beginnings of a part that breaks again and again."""
STEADY_S = 60.0
"""A part that went for so long before it broke is begun anew at once."""
END_S = 5.0
"""How long a part may take to end, before it is left to itself."""

type Beat = Callable[[], None]
"""Called by a part that moves, every few seconds; cheap."""


class Part(Protocol):
    """What the daemon does beside other things."""

    @property
    def name(self) -> str:
        """A word for logs, statuses and threads."""

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Work until `stop` is set, and say with `beat` that it moves; whatever it raises is told, and it begins anew.

        What hangs is not seen to move: it must not beat from another thread than that which does the work.
        """


def look_again(look: Callable[[], object], every_s: float, clock: Clock, stop: threading.Event, beat: Beat) -> None:
    """Look until `stop` is set, and beat before each look."""
    while not stop.is_set():
        beat()
        look()
        clock.wait(stop, every_s)


class _Run:
    """One part, as it goes."""

    def __init__(self, part: Part, clock: Clock, tell: Tell) -> None:
        self.part = part
        self.moves_until_ns = clock.now_ns()
        """When it has last moved, or when its pause is over."""
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
        self._tell(f"{self.part.name} has broken and is begun anew: {error!r}")

    def _pause(self, breaks: int) -> float:
        seconds = pause_s(breaks, LONGEST_PAUSE_S)
        self.moves_until_ns = self._clock.now_ns() + int(seconds * NANOSECONDS)
        return seconds


@dataclass
class Parts:
    """Runs the parts until they are told to stop; one that breaks or hangs takes nothing with it."""

    parts: Sequence[Part]
    clock: Clock
    tell: Tell
    _runs: list[_Run] = field(default_factory=list)

    def start(self) -> None:
        """Begin them all."""
        self._runs += [_Run(part, self.clock, self.tell) for part in self.parts]
        for run in self._runs:
            run.task.start()

    def standing(self) -> list[str]:
        """Return the names of those that hang: no sign of life for MOVES_S."""
        since_ns = self.clock.now_ns() - int(MOVES_S * NANOSECONDS)
        return [run.part.name for run in self._runs if run.task.is_alive and run.moves_until_ns < since_ns]

    def stop(self) -> list[str]:
        """Ask all of them to end, and wait END_S; return the names of those that were left to themselves."""
        for run in self._runs:
            run.task.stop()
        deadline_ns = self.clock.now_ns() + int(END_S * NANOSECONDS)
        return [
            run.part.name
            for run in self._runs
            if not run.task.stop(max(0.0, (deadline_ns - self.clock.now_ns()) / NANOSECONDS))
        ]


ADDRESS, INTERVAL, WHOSE = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
SEND_S = 1.0
"""How long a manager that takes nothing is waited for; the next word comes within seconds."""
MICROSECONDS = 1_000_000
FED_SHARE = 0.5
"""Of the watchdog's patience, as systemd advises."""
LOOK_S = 1.0
"""From one look to the next, at most."""
WELL = "STATUS=watching"


class Pulse:
    """Tells the service manager, and once the log, which parts hang; `look` is called every second.

    Where no manager asks for it, it is sent nothing. A failure to send it is no reason for the daemon to end.
    """

    def __init__(self, clock: Clock, tell: Tell, environment: MutableMapping[str, str] | None = None) -> None:
        """Take the manager's address out of the environment: children are not the service."""
        variables = os.environ if environment is None else environment
        address = variables.pop(ADDRESS, "")
        interval, whose = variables.pop(INTERVAL, ""), variables.pop(WHOSE, "")
        # A path, or after an @ a name that is in no file system.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = interval.isdecimal() and int(interval) > 0 and whose in {"", str(os.getpid())}
        self.fed_every_s = int(interval) / MICROSECONDS * FED_SHARE if ours else None
        """How often the watchdog is to be fed at least; None where there is none."""
        self.look_s = LOOK_S if self.fed_every_s is None else min(LOOK_S, self.fed_every_s)
        """How long to wait from one look to the next."""
        self._clock = clock
        self._tell = tell
        self._told: Sequence[str] = ()
        self._fed_ns: int | None = None

    def begin(self) -> None:
        """Say that the daemon is started, and that it moves."""
        self.send("READY=1")
        self.send(WELL)
        self._feed_if_due()

    def look(self, standing: Sequence[str]) -> None:
        """Feed the watchdog if it is time and nothing hangs; say which parts hang when that changes."""
        if list(standing) != list(self._told):
            self._say(", ".join(standing))
            self._told = list(standing)
        if not standing:
            self._feed_if_due()

    def end(self) -> None:
        """Say that the daemon ends."""
        self.send("STOPPING=1")

    def _feed_if_due(self) -> None:
        """Feed the watchdog where the next look would be too late for it."""
        if self.fed_every_s is None:
            return
        now_ns = self._clock.now_ns()
        if self._fed_ns is None or now_ns - self._fed_ns >= (self.fed_every_s - self.look_s) * NANOSECONDS:
            self._fed_ns = now_ns
            self.send("WATCHDOG=1")

    def _say(self, names: str) -> None:
        self.send(f"STATUS={names} hangs" if names else WELL)
        if names:
            self._tell(f"{names} hangs{'; the daemon will be started anew' if self.fed_every_s is not None else ''}")
        else:
            self._tell("nothing hangs any more")

    def send(self, words: str) -> None:
        """Send words, which are one datagram."""
        if self._address[:1] not in {"/", "\0"}:
            return
        with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_S)
            sender.sendto(words.encode(errors="replace"), self._address)
