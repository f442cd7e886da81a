"""The daemon's sign of life: the watchdog is fed while every part of the daemon moves, and not a moment longer."""

from collections.abc import Sequence

from agent.service.notify import Notifier
from devices.host.clock import NANOSECONDS, Clock
from devices.host.log_on_change import Tell

FED_SHARE = 0.5
"""Of the watchdog's patience, as systemd advises."""
LOOK_S = 1.0
"""From one look to the next, at most."""
WELL = "watching"


class Pulse:
    """Tells the service manager, and once whoever reads the log, which parts stand; `look` is called every second."""

    def __init__(self, notifier: Notifier, clock: Clock, tell: Tell) -> None:
        self._notifier = notifier
        self._clock = clock
        self._tell = tell
        self._told: Sequence[str] = ()
        self._fed_ns: int | None = None

    @property
    def look_s(self) -> float:
        """How long to wait from one look to the next."""
        return LOOK_S if self._fed_every_s is None else min(LOOK_S, self._fed_every_s)

    def begin(self) -> None:
        """Say that the daemon is started, and that it moves."""
        self._notifier.ready()
        self._notifier.status(WELL)
        self._feed_if_due()

    def look(self, standing: Sequence[str]) -> None:
        """Feed the watchdog if it is time and nothing stands; say what stands when that changes."""
        if list(standing) != list(self._told):
            self._say(standing)
            self._told = list(standing)
        if not standing:
            self._feed_if_due()

    def end(self) -> None:
        """Say that the daemon ends."""
        self._notifier.stopping()

    @property
    def _fed_every_s(self) -> float | None:
        """How often the watchdog is to be fed at least; None where there is none."""
        return None if self._notifier.watchdog_s is None else self._notifier.watchdog_s * FED_SHARE

    def _feed_if_due(self) -> None:
        """Feed the watchdog where the next look would be too late for it."""
        if self._fed_every_s is None:
            return
        now_ns = self._clock.now_ns()
        if self._fed_ns is None or now_ns - self._fed_ns >= (self._fed_every_s - self.look_s) * NANOSECONDS:
            self._fed_ns = now_ns
            self._notifier.alive()

    def _say(self, standing: Sequence[str]) -> None:
        names = ", ".join(standing)
        self._notifier.status(f"{names} hangs" if standing else WELL)
        if standing:
            ends = self._notifier.watchdog_s is not None
            self._tell(f"{names} hangs{'; the daemon will be started anew' if ends else ''}")
        else:
            self._tell("nothing hangs any more")
