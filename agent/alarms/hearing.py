"""What is wrong with one session, heard from what its recorder tells."""

import threading
from dataclasses import dataclass, field

import msgspec

from agent.alarms.alarm import Alarm, Key, before_it_records, new_alarm
from agent.alarms.sources import rank, tells_less
from config.events import Event
from devices.clock import Clock
from recorder.control.protocol import Failure, Told
from recorder.status import BEFORE, SessionResult, SessionStatus
from recorder.troubles import BEGUN, HARMLESS, HOLD_S, ends, lasts


@dataclass(eq=False)
class Hearing:
    """Hears every event of a session from the first on; may be asked from any thread."""

    session: str
    title: str
    clock: Clock
    is_over: bool = False
    _has_begun: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: dict[tuple[str, str], Alarm] = field(default_factory=dict)
    _passing: dict[tuple[str, str], tuple[Alarm, float]] = field(default_factory=dict)
    _shown: dict[Key, Alarm] = field(default_factory=dict)
    _begun: list[Alarm] = field(default_factory=list)

    def take(self, told: Told) -> None:
        """Take note of what a recorder tells."""
        with self._lock:
            if isinstance(told, Event):
                self._has_begun |= told.kind == BEGUN
                self._take(told)
                self._settle()
            elif isinstance(told, SessionStatus):  # the event may be so old that it is kept no more
                self._has_begun |= told.state not in BEFORE
            elif isinstance(told, SessionResult | Failure):
                self.is_over = True

    def _take(self, event: Event) -> None:
        self._settle()  # what has gone by meanwhile is over
        for key in [key for key in self._open if ends(event.kind, event.subject, event.detail, key)]:
            del self._open[key]
        if event.kind in HARMLESS:
            return
        key = event.kind, event.subject
        alarm = new_alarm(
            self.session, self.title, *key, event.at, event.message, event.detail.get("reason")
        )  # fmt: skip
        if lasts(event):
            self._open[key] = alarm
        elif (left_s := HOLD_S - (self.clock.now() - event.at).total_seconds()) > 0:  # else told long ago
            self._passing[key] = alarm, self._now_s() + min(HOLD_S, left_s)  # the clock may have been set back

    def _settle(self) -> None:
        """See which troubles there are now; each begins and ends once, whatever else is heard of it meanwhile."""
        self._passing = {key: held for key, held in self._passing.items() if held[1] > self._now_s()}
        there: dict[Key, Alarm] = {}
        for alarm in (*self._open.values(), *(alarm for alarm, _ in self._passing.values())):
            other = there.get(alarm.key)
            if other is None or rank(alarm.kind) < rank(other.kind):
                there[alarm.key] = alarm
        for key, alarm in there.items():
            before = self._shown.get(key)
            if before is None:
                self._begun.append(alarm)
            elif tells_less(alarm.kind, before.kind):
                there[key] = before
            else:
                there[key] = msgspec.structs.replace(alarm, since=before.since)
        self._shown = there

    def _now_s(self) -> float:
        return self.clock.now_ns() / 1e9

    def begun(self) -> list[Alarm]:
        """Return what has begun since this was asked last, also what is over again."""
        with self._lock:
            begun, self._begun = self._begun, []
            return self._as_it_is(begun)

    def present(self) -> list[Alarm]:
        """Return what is wrong now, in the order it began; nothing once the session is over."""
        with self._lock:
            if self.is_over:
                return []
            self._settle()
            return self._as_it_is(sorted(self._shown.values(), key=lambda alarm: alarm.since))

    def _as_it_is(self, alarms: list[Alarm]) -> list[Alarm]:
        """Return them as they are said now: an armed session may have begun to record since."""
        if self._has_begun:
            return alarms
        return [msgspec.structs.replace(alarm, text=before_it_records(alarm.text)) for alarm in alarms]
