"""Notices of planned sessions: shown for a while; what somebody must do, or has missed, goes every way."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.alarms.alarm import Alarm, Message, Notice, Said
from agent.alarms.herald import GATHER_S, HOUR_S
from devices.host.clock import NANOSECONDS, Clock

URGENT = frozenset({"waits", "overrun", "missed", "blocked", "failed", "without-request", "not-ready"})
"""Kinds that somebody should do something about."""
FOR_ALL = URGENT | {"reminder"}
"""Kinds that are sent to those too who do not sit at this PC."""
SHOWN_S, URGENT_S = 600.0, 1800.0
"""How long one is shown, where no other of its plan takes its place."""
AGAIN_S = 900.0
"""Between two of the same kind of one plan that are told; reminders are as many as the settings say."""
MOST = 50


@dataclass(eq=False)
class Notices:
    """Takes notices from any thread, shows them to any; `due` is for one that tells."""

    clock: Clock
    most_per_hour: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _shown: dict[str, tuple[Notice, float]] = field(default_factory=dict)
    _pending: list[Notice] = field(default_factory=list)
    _pending_s: float = 0.0
    _told_s: dict[tuple[str, str], float] = field(default_factory=dict)
    _sent_s: deque[float] = field(default_factory=deque)

    def put(self, kind: str, plan: str, title: str, text: Said) -> None:
        """Let people hear something of a plan, in place of what was shown of it before."""
        is_urgent, now_s = kind in URGENT, self._now_s()
        notice = Notice(kind=kind, plan=plan, title=title, at=self.clock.now(), urgent=is_urgent, text=text)
        with self._lock:
            self._shown.pop(plan, None)
            self._shown[plan] = notice, now_s + (URGENT_S if is_urgent else SHOWN_S)
            while len(self._shown) > MOST:
                del self._shown[next(iter(self._shown))]
            if kind != "reminder" and now_s - self._told_s.get((plan, kind), -AGAIN_S) < AGAIN_S:
                return
            self._told_s = {key: told_s for key, told_s in self._told_s.items() if now_s - told_s < AGAIN_S}
            self._told_s[plan, kind] = now_s
            if not self._pending:
                self._pending_s = now_s
            self._pending = [*self._pending, notice][-MOST:]

    def present(self) -> tuple[Notice, ...]:
        """Return what is shown now, the oldest first."""
        now_s = self._now_s()
        with self._lock:
            self._shown = {plan: held for plan, held in self._shown.items() if held[1] > now_s}
            return tuple(notice for notice, _ in self._shown.values())

    def due(self, present: Sequence[Alarm] = ()) -> Message | None:
        """Return what is to be told now, beside the `present` troubles; beyond the hour's limit it is shown only."""
        now_s = self._now_s()
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

    def _now_s(self) -> float:
        return self.clock.now_ns() / NANOSECONDS
