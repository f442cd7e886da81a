"""Calendars that are read again and again, one at a time; one that cannot be had keeps what was known of it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from agent.schedule.event import Answer, Wanted
from agent.schedule.plan import Plan
from agent.schedule.reading import LONGEST_S, Reading
from agent.schedule.room import taken
from agent.schedule.store import Plans, schedule_folder
from config.errors import LiputError
from config.feed_keys import feed_address
from config.schema import Settings
from config.state import Store
from devices.host.clock import NANOSECONDS, Clock

BEHIND = timedelta(days=1)
"""How far back a calendar is read: what has begun may still go on."""


class FeedState(msgspec.Struct, frozen=True, kw_only=True):
    """How a calendar was read last. `read_at`: when it could be had; `problem`: why it could not since then.

    `events` is how many of this room it had, `notes` what of it could not be read.
    """

    tried_at: datetime
    read_at: datetime | None = None
    events: int = 0
    problem: str = ""
    notes: tuple[str, ...] = ()


class FeedStates:
    """How each calendar was read last, on the disk."""

    def __init__(self, folder: Path | None = None) -> None:
        path = (folder or schedule_folder()) / "feeds.json"
        self._store: Store[dict[str, FeedState]] = Store(path, dict[str, FeedState], {})

    def read(self) -> Mapping[str, FeedState]:
        """Return them by the calendar's name; raises StateError."""
        return self._store.read()

    def keep(self, name: str, change: Callable[[FeedState | None], FeedState]) -> FeedState:
        """Replace what is known of one by what `change` makes of it; raises StateError."""
        return self._store.change(lambda states: {**states, name: change(states.get(name))})[name]


def window(settings: Settings, now: datetime) -> tuple[datetime, datetime]:
    """Return which days of a calendar are read."""
    return now - BEHIND, now + timedelta(days=settings.schedule.days_ahead)


def wanted_of(settings: Settings, name: str, now: datetime) -> Wanted:
    """Return what is asked for the calendar `name`; raises UsageError, SecretError."""
    since, until = window(settings, now)
    address = feed_address(settings, name)
    return Wanted(address=address.reveal(), zone=settings.office.time_zone, since=since, until=until)


@dataclass
class Keeper:
    """Takes the answers of calendars into the plans."""

    settings: Settings
    plans: Plans
    states: FeedStates

    def keep(self, name: str, answer: Answer, asked_at: datetime) -> list[Plan]:
        """Take in what a calendar said, and return the plans that are new or changed by it; raises StateError.

        `asked_at` is when it was asked: by it is told which days were read.
        """
        if answer.error:
            self.fail(name, answer.error, asked_at)
            return []
        sources = taken(name, self.settings.feeds[name], answer.events, self.settings)
        changed = self.plans.take(name, sources, window(self.settings, asked_at))
        notes = tuple(dict.fromkeys(answer.notes))[:20]
        state = FeedState(tried_at=asked_at, read_at=asked_at, events=len(sources), notes=notes)
        self.states.keep(name, lambda _before: state)
        return changed

    def fail(self, name: str, problem: str, at: datetime) -> None:
        """Note why a calendar could not be had; what was known of it stays."""

        def failed(before: FeedState | None) -> FeedState:
            return msgspec.structs.replace(before or FeedState(tried_at=at), tried_at=at, problem=problem)

        self.states.keep(name, failed)


@dataclass
class Feeds:
    """Reads the calendars of the settings in turn; `look` never waits. Problems are told once until they are over.

    What is planned of calendars that the settings do not have any more is cancelled.
    """

    keeper: Keeper
    clock: Clock
    tell: Callable[[str], None]
    longest_s: float = LONGEST_S
    _reading: tuple[str, Reading, datetime] | None = None
    _next_ns: dict[str, int] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)
    _is_seen: bool = False
    """Whether it has been seen which plans are of calendars that these settings do not have."""

    def take(self, settings: Settings) -> None:
        """Read the calendars of these settings from now on: one that is new, or another, at once."""
        before, self.keeper.settings = self.keeper.settings, settings
        self._is_seen = False
        is_read_otherwise = (before.schedule, before.office) != (settings.schedule, settings.office)
        for name in before.feeds:
            if is_read_otherwise or before.feeds[name] != settings.feeds.get(name):
                self._next_ns.pop(name, None)
        if self._reading is not None and self._reading[0] not in self._next_ns:
            self.close()

    def look(self) -> None:
        """Begin to read one that is due, or take in what was read. Raises StateError, and tries it again then."""
        if not self._is_seen:
            self._leave()
            self._is_seen = True
        if self._reading is None:
            self._begin()
        else:
            name, reading, asked_at = self._reading
            answer = reading.answer()
            if answer is not None:
                self._reading = None
                self._take(name, answer, asked_at)

    def _leave(self) -> None:
        """Cancel what is planned of other calendars than those of the settings; without a file of these, nothing."""
        settings = self.keeper.settings
        left = self.keeper.plans.leave(settings.feeds, self.clock.now()) if settings.file else []
        for name, count in Counter(plan.source.feed for plan in left if plan.source).items():
            self.tell(f'the settings have no calendar "{name}" any more: {count} planned sessions are cancelled')

    def _begin(self) -> None:
        now_ns = self.clock.now_ns()
        settings = self.keeper.settings
        due = [name for name in settings.feeds if now_ns >= self._next_ns.get(name, now_ns)]
        if not due:
            return
        name, now = min(due, key=lambda name: self._next_ns.get(name, 0)), self.clock.now()
        self._next_ns[name] = now_ns + int(settings.schedule.read_every_s * NANOSECONDS)
        try:
            self._reading = (name, Reading(wanted_of(settings, name, now), self.clock, self.longest_s), now)
        except LiputError as error:
            self.keeper.fail(name, error.message, now)
            self._say(name, error.message)

    def _take(self, name: str, answer: Answer, asked_at: datetime) -> None:
        try:
            changed = self.keeper.keep(name, answer, asked_at)
        except LiputError as error:
            self._say(name, error.message)
            return
        self._say(name, answer.error)
        if changed:
            self.tell(f'the calendar "{name}": {len(changed)} planned sessions are new, or not as before')

    def _say(self, name: str, problem: str) -> None:
        if problem and self._told.get(name) != problem:
            self.tell(f'the calendar "{name}" cannot be read: {problem}; what was known of it stays')
        elif not problem and self._told.get(name):
            self.tell(f'the calendar "{name}" is read again')
        self._told[name] = problem

    def close(self) -> None:
        """End what is being read."""
        if self._reading is not None:
            self._reading[1].close()
            self._reading = None
