"""The daemon's sign of life to systemd, by sd_notify(3): the watchdog is fed while every part of the daemon moves."""

import os
import socket
from collections.abc import MutableMapping, Sequence
from contextlib import suppress

from devices.host.clock import NANOSECONDS, Clock
from devices.host.throttle import Tell

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
