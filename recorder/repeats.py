"""Events that come too often: of one kind and subject the first are logged, then one now and then, and the last.

What is left out in between is counted and told. So a fault that comes and goes a hundred times a second neither fills
the log nor hides what else happens. Pure: it writes nothing.
"""

from dataclasses import dataclass, field

from config.events import Event
from recorder.control.bucket import Bucket

AT_ONCE, PER_S = 200.0, 0.25
"""So many of one kind and subject are logged straight away, and so many a second for ever."""
MOST_KNOWN = 512
"""Kinds with their subjects that are told apart; of more, the one that came longest ago is forgotten."""
EVENTS_LEFT_OUT = "events-left-out"


@dataclass(slots=True)
class _Often:
    """One kind of one subject."""

    bucket: Bucket
    left_out: int = 0
    last: Event | None = None
    """The newest that was not logged; it will be, unless another one comes."""


@dataclass(slots=True)
class Repeats:
    """Used by one thread at a time. Times are seconds of any clock that never goes back."""

    _known: dict[tuple[str, str], _Often] = field(default_factory=dict)

    def take(self, event: Event, now_s: float) -> list[Event]:
        """Return what is to be logged now, in order.

        Of one subject the order stays as it was: what is logged of it comes behind what was kept back.
        """
        key = event.kind, event.subject
        often = self._known.pop(key, None) or _Often(Bucket(AT_ONCE, PER_S, now_s))
        self._known[key] = often  # as the newest
        if often.bucket.wait_s(now_s):
            often.left_out += often.last is not None
            often.last = event
            return self._forget_one(than=key)
        often.bucket.take()
        return [*self._kept_back(event.subject), event, *self._forget_one(than=key)]

    def due(self, now_s: float) -> list[Event]:
        """Return what was kept back and may be logged by now: no more of it has come."""
        due = [often for often in self._known.values() if often.last is not None and not often.bucket.wait_s(now_s)]
        for often in due:
            often.bucket.take()
        return self._given_back(due)

    def rest(self) -> list[Event]:
        """Return what was kept back of all subjects, oldest first."""
        return self._given_back([*self._known.values()])

    def _kept_back(self, subject: str) -> list[Event]:
        return self._given_back([often for (_, of), often in self._known.items() if of == subject])

    def _forget_one(self, *, than: tuple[str, str]) -> list[Event]:
        if len(self._known) <= MOST_KNOWN:
            return []
        oldest = next(key for key in self._known if key != than)
        return self._given_back([self._known.pop(oldest)])

    @staticmethod
    def _given_back(some: list[_Often]) -> list[Event]:
        events: list[Event] = []
        for often in some:
            if often.last is not None:
                events += [_told(often.last, often.left_out)] * bool(often.left_out) + [often.last]
                often.last, often.left_out = None, 0
        return sorted(events, key=lambda event: event.at)


def _told(last: Event, count: int) -> Event:
    """Return the event that stands for those left out before `last`."""
    detail = {"what": last.kind, "count": count}
    message = f"{count} events of {last.subject} are left out here: {last.kind} came too often"
    return Event(last.at, EVENTS_LEFT_OUT, last.subject, detail, message)
