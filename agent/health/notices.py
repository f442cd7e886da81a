"""Present alarms and notices of the daemon: its parts give them, the page shows them, a feature may send them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from agent.health.alarm import Alarm, BilingualText
from devices.host.clock import NANOSECONDS, Clock

URGENT = frozenset({"waits", "overrun", "missed", "blocked", "failed", "without-request", "not-ready"})
"""Kinds that need action."""
SHOWN_S, URGENT_S = 600.0, 1800.0  # how long a notice is shown, unless another one of its plan replaces it
MOST = 50


class PlanNotice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="notice"):
    """News of a plan."""

    kind: str
    plan: str
    title: str
    at: datetime
    urgent: bool
    text: BilingualText


@dataclass(eq=False)
class NoticeBoard:
    """`sources` give present alarms, `listeners` get each notice; both return at once. Methods are thread-safe."""

    clock: Clock
    sources: list[Callable[[], Sequence[Alarm]]] = field(default_factory=list)
    listeners: list[Callable[[PlanNotice], None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _shown: dict[str, tuple[PlanNotice, float]] = field(default_factory=dict)

    def alarms(self) -> list[Alarm]:
        """Return the present alarms of all sources."""
        return [alarm for source in self.sources for alarm in source()]

    def put(self, kind: str, plan: str, title: str, text: BilingualText) -> None:
        """Show a notice in place of the former one of its plan, and give it to the listeners."""
        is_urgent = kind in URGENT
        notice = PlanNotice(kind=kind, plan=plan, title=title, at=self.clock.now(), urgent=is_urgent, text=text)
        with self._lock:
            self._shown.pop(plan, None)
            self._shown[plan] = notice, self._now_s() + (URGENT_S if is_urgent else SHOWN_S)
            while len(self._shown) > MOST:
                del self._shown[next(iter(self._shown))]
        for hear in self.listeners:
            hear(notice)

    def notices(self) -> tuple[PlanNotice, ...]:
        """Return the notices shown now, oldest first."""
        now_s = self._now_s()
        with self._lock:
            self._shown = {plan: held for plan, held in self._shown.items() if held[1] > now_s}
            return tuple(notice for notice, _ in self._shown.values())

    def _now_s(self) -> float:
        return self.clock.now_ns() / NANOSECONDS
