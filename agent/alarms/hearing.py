"""What is wrong with one session, heard from what its recorder tells."""

import threading
from dataclasses import dataclass, field

import msgspec

from agent.alarms.alarm import Alarm, new_alarm
from config.events import Event
from devices.clock import Clock
from recorder.control.protocol import Failure, Told
from recorder.status import SessionResult
from recorder.troubles import HARMLESS, HOLD_S, ends, lasts

_SAID_BY = {
    "source-silent": ("source-lost", "source-missing", "source-hung"),
    "source-missing": ("source-lost", "source-busy", "source-denied", "source-bus-full"),
}
"""What need not be shown while another trouble of the same source says more: one pulled cable is one alarm."""


@dataclass(eq=False)
class Hearing:
    """Hears every event of a session from the first on; may be asked from any thread."""

    session: str
    title: str
    clock: Clock
    is_over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: dict[tuple[str, str], Alarm] = field(default_factory=dict)
    _passing: dict[tuple[str, str], tuple[Alarm, float]] = field(default_factory=dict)
    _begun: list[Alarm] = field(default_factory=list)

    def take(self, told: Told) -> None:
        """Take note of what a recorder tells."""
        with self._lock:
            if isinstance(told, Event):
                self._take(told)
            elif isinstance(told, SessionResult | Failure):
                self.is_over = True

    def _take(self, event: Event) -> None:
        for key in [key for key in self._open if ends(event, *key)]:
            del self._open[key]
        if event.kind in HARMLESS:
            return
        key = event.kind, event.subject
        alarm = new_alarm(
            self.session, self.title, *key, event.at, event.message, event.detail.get("reason")
        )  # fmt: skip
        if lasts(event):
            self._begin(alarm, self._open.get(key))
        elif (left_s := HOLD_S - (self.clock.now() - event.at).total_seconds()) > 0:  # else told long ago
            before = self._passing.get(key)
            self._begin(alarm, before[0] if before and before[1] > self._now_s() else None, self._now_s() + left_s)

    def _begin(self, alarm: Alarm, before: Alarm | None, until_s: float | None = None) -> None:
        """Keep an alarm; of one that is there already, since when is kept."""
        key = alarm.kind, alarm.subject
        if before is not None:
            alarm = msgspec.structs.replace(alarm, since=before.since)
        else:
            self._begun.append(alarm)
        if until_s is None:
            self._open[key] = alarm
        else:
            self._passing[key] = alarm, until_s

    def _now_s(self) -> float:
        return self.clock.now_ns() / 1e9

    def begun(self) -> list[Alarm]:
        """Return what has begun since this was asked last, also what is over again."""
        with self._lock:
            begun, self._begun = self._begun, []
            return begun

    def present(self) -> list[Alarm]:
        """Return what is wrong now, in the order it began; nothing once the session is over."""
        with self._lock:
            if self.is_over:
                return []
            self._passing = {key: held for key, held in self._passing.items() if held[1] > self._now_s()}
            there = self._open | {key: alarm for key, (alarm, _) in self._passing.items()}
            shown = [
                alarm
                for (kind, subject), alarm in there.items()
                if not any((other, subject) in there for other in _SAID_BY.get(kind, ()))
            ]
            return sorted(shown, key=lambda alarm: alarm.since)
