"""Decides when messages go out, and gathers alarms or notices in one; limits messages per hour."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.alarms.message import Message
from agent.health.alarm import DAMAGED, FAILED, KILLED, MOST_NOTICES, URGENT, Alarm, Key, PlanNotice
from devices.host.clock import Clock, seconds_now
from recorder.model.session_faults import LASTING_KINDS

GATHER_S = 3.0  # wait so long for further troubles; those that end meanwhile are not sent
FLAPS, FLAPS_S = 3, 60.0  # so many beginnings within so long are sent although the trouble is over now
HOUR_S = 3600.0

ONCE = LASTING_KINDS | {DAMAGED}  # kinds that are sent once: nobody can end them during the session, or within the hour

STAYS = frozenset({FAILED, "recording-failed", "sealing-failed", "parts-apart", "part-left"})
"""Kinds that people should still read after the session."""


@dataclass(eq=False)
class AlarmThrottle:
    """Throttles alarms. Not thread-safe."""

    clock: Clock
    repeat_s: float
    most_per_hour: int
    _pending: dict[Key, Alarm] = field(default_factory=dict)
    _pending_s: float = 0.0
    _told_s: dict[Key, float] = field(default_factory=dict)
    _standing: dict[Key, Alarm] = field(default_factory=dict)
    _ended: dict[Key, Alarm] = field(default_factory=dict)
    _ended_s: float = 0.0
    _begun_s: dict[Key, deque[float]] = field(default_factory=dict)
    _sent_s: deque[float] = field(default_factory=deque)

    def look(self, begun: list[Alarm], present: list[Alarm]) -> Message | None:
        """Take the alarms that began since the last call and all present ones; return the message that is due."""
        now_s = seconds_now(self.clock)
        there = {alarm.key: alarm for alarm in present}
        self._forget(now_s, there)
        for alarm in begun:  # a restarted daemon hears the past hours at once
            ago_s = max(0.0, (self.clock.now() - alarm.since).total_seconds())
            self._begun_s.setdefault(alarm.key, deque(maxlen=FLAPS)).append(now_s - ago_s)
        self._await(now_s, [*begun, *present])
        self._notice_ends(now_s, there)
        self._drop_killed({alarm.session for alarm in (*begun, *present) if alarm.kind == FAILED})
        began = self._due(now_s, there)
        lasting = [] if self._is_full() else self._lasting(now_s, there)
        over = list(self._ended.values()) if self._ended and now_s - self._ended_s >= GATHER_S else []
        if not began and not lasting and not over:
            return None
        return self._tell(now_s, began, lasting, over, there)

    def _await(self, now_s: float, alarms: list[Alarm]) -> None:
        """Keep alarms that are new, or were sent long ago, until GATHER_S is over."""
        for alarm in alarms:
            if alarm.key in self._pending:
                self._pending[alarm.key] = alarm  # the newest explains most
            elif alarm.key not in self._told_s:
                if not self._pending:
                    self._pending_s = now_s
                self._pending[alarm.key] = alarm

    def _notice_ends(self, now_s: float, there: dict[Key, Alarm]) -> None:
        for key in [key for key in self._ended if key in there]:
            self._standing[key] = self._ended.pop(key)
        self._standing |= {key: there[key] for key in self._standing if key in there}
        self._end(now_s, [self._standing.pop(key) for key in [*self._standing] if key not in there])

    def _end(self, now_s: float, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            if alarm.kind not in STAYS:
                if not self._ended:
                    self._ended_s = now_s
                self._ended[alarm.key] = alarm

    def _drop_killed(self, failed: set[str]) -> None:
        """Forget `recorder-killed` of failed sessions: it does not end well."""
        for kept in (self._standing, self._ended):
            for key in [key for key, alarm in kept.items() if alarm.kind == KILLED and alarm.session in failed]:
                del kept[key]

    def _due(self, now_s: float, there: dict[Key, Alarm]) -> list[Alarm]:
        """Return the new alarms to send now. Forget ended ones, unless they count."""
        if not self._pending or now_s - self._pending_s < GATHER_S:
            return []
        counts = {key: alarm for key, alarm in self._pending.items() if key in there or self._counts(now_s, alarm)}
        self._pending = counts
        return [] if self._is_full() else list(counts.values())

    def _counts(self, now_s: float, alarm: Alarm) -> bool:
        begun = self._begun_s.get(alarm.key, deque())
        return alarm.kind in LASTING_KINDS or (len(begun) == FLAPS and now_s - begun[0] < FLAPS_S)

    def _lasting(self, now_s: float, there: dict[Key, Alarm]) -> list[Alarm]:
        """Return all lasting alarms as soon as one of them is due again."""
        lasting = [alarm for key, alarm in there.items() if key in self._told_s and alarm.kind not in ONCE]
        is_due = any(now_s - self._told_s[alarm.key] >= self.repeat_s for alarm in lasting)
        return lasting if is_due else []

    def _is_full(self) -> bool:
        return len(self._sent_s) >= self.most_per_hour

    def _tell(
        self, now_s: float, began: list[Alarm], lasting: list[Alarm], over: list[Alarm], there: dict[Key, Alarm]
    ) -> Message:
        ended = [alarm for alarm in over if alarm.kind not in LASTING_KINDS]
        closes = self._is_full() or not (began or lasting or ended)
        for alarm in (*began, *lasting):
            self._told_s[alarm.key] = now_s
            if alarm.key in there:
                self._standing[alarm.key] = alarm
        if began:
            self._pending.clear()
        if over:
            self._ended.clear()
        self._end(now_s, [alarm for alarm in began if alarm.key not in there])  # sent although it is over
        if not closes:
            self._sent_s.append(now_s)
        return Message(
            at=self.clock.now(), began=tuple(began), lasting=tuple(lasting), over=tuple(ended),
            present=tuple(there.values()), closes=closes, is_last=not closes and self._is_full(),
        )  # fmt: skip

    def _forget(self, now_s: float, there: dict[Key, Alarm]) -> None:
        """Forget alarms sent so long ago that they would be new again."""
        self._sent_s = deque(sent_s for sent_s in self._sent_s if now_s - sent_s < HOUR_S)
        self._told_s = {
            key: told_s for key, told_s in self._told_s.items() if key in there or now_s - told_s < self.repeat_s
        }
        self._begun_s = {key: begun for key, begun in self._begun_s.items() if now_s - begun[-1] < FLAPS_S}


FOR_ALL = URGENT | {"reminder"}  # kinds that go to people elsewhere, too
AGAIN_S = 900.0  # least time between two notices of the same kind and plan, reminders apart


@dataclass(eq=False)
class NoticeThrottle:
    """Throttles notices. `hear` is thread-safe."""

    clock: Clock
    most_per_hour: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pending: list[PlanNotice] = field(default_factory=list)
    _pending_s: float = 0.0
    _told_s: dict[tuple[str, str], float] = field(default_factory=dict)
    _sent_s: deque[float] = field(default_factory=deque)

    def hear(self, notice: PlanNotice) -> None:
        now_s, key = seconds_now(self.clock), (notice.plan, notice.kind)
        with self._lock:
            if notice.kind != "reminder" and now_s - self._told_s.get(key, -AGAIN_S) < AGAIN_S:
                return
            self._told_s = {key: told_s for key, told_s in self._told_s.items() if now_s - told_s < AGAIN_S}
            self._told_s[key] = now_s
            if not self._pending:
                self._pending_s = now_s
            self._pending = [*self._pending, notice][-MOST_NOTICES:]

    def due(self, present: Sequence[Alarm]) -> Message | None:
        """Return the message that is due, with the `present` alarms. Beyond the limit it `closes`."""
        now_s = seconds_now(self.clock)
        with self._lock:
            if not self._pending or now_s - self._pending_s < GATHER_S:
                return None
            notices, self._pending = tuple(self._pending), []
            self._sent_s = deque(sent_s for sent_s in self._sent_s if now_s - sent_s < HOUR_S)
            is_for_all = any(notice.kind in FOR_ALL for notice in notices) and len(self._sent_s) < self.most_per_hour
            if is_for_all:
                self._sent_s.append(now_s)
            return Message(
                at=self.clock.now(), notices=notices, present=tuple(present), closes=not is_for_all,
                is_last=is_for_all and len(self._sent_s) >= self.most_per_hour,
            )  # fmt: skip
