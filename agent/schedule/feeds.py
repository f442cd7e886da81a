"""Reads calendars again and again, one at a time; a failed one keeps its last plans."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from agent.daemon.command_child import CommandChild
from agent.schedule.calendar_messages import CalendarAnswer, CalendarEvent, CalendarRequest
from agent.schedule.plan import CalendarFields, CalendarSource, Plan, PlanMode, PlanState
from agent.schedule.store import Plans, schedule_folder
from config.errors import LiputError, StateError
from config.settings.schema import Settings
from config.settings.secrets import feed_address
from config.settings.serving import EVERYWHERE, FeedSettings
from config.state import StateFile
from devices.host.child import python_module
from devices.host.clock import NANOSECONDS, Clock

UNTITLED = "Tanpa judul"


def events_of_room(
    name: str, feed: FeedSettings, events: Sequence[CalendarEvent], settings: Settings
) -> list[CalendarSource]:
    """Return the events of calendar `name` in this room; a later duplicate replaces the earlier."""
    mode = PlanMode(feed.mode or settings.schedule.mode)
    sources = [_source(name, event, mode, settings.general.room) for event in events if is_here(event, feed, settings)]
    return list({source.key: source for source in sources}.values())


def is_here(event: CalendarEvent, feed: FeedSettings, settings: Settings) -> bool:
    """Return whether an event is in this room and in the chosen categories."""
    room = settings.general.room
    places = feed.locations or ((room,) if room.strip() else (EVERYWHERE,))
    is_of_category = not feed.categories or bool(
        {_normalised(each) for each in feed.categories} & {_normalised(each) for each in event.categories}
    )
    return is_of_category and any(place == EVERYWHERE or _mentions(event.location, place) for place in places)


def _mentions(location: str, place: str) -> bool:
    """Return whether a place stands in a location as whole words: "Aula 1" is not in "Aula 10"."""
    return re.search(rf"(?<!\w){re.escape(_normalised(place))}(?!\w)", _normalised(location)) is not None


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _source(name: str, event: CalendarEvent, mode: PlanMode, room: str) -> CalendarSource:
    if event.all_day:
        mode = PlanMode.REMIND
    elif not event.has_end and mode is PlanMode.RECORD:
        mode = PlanMode.ARM  # its end is not known
    said = CalendarFields(
        title=event.title or UNTITLED,
        room=room or event.location,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        zone=event.zone,
        all_day=event.all_day,
        mode=mode,
        state=PlanState.CANCELLED if event.is_cancelled else PlanState.PLANNED,
    )
    return CalendarSource(feed=name, uid=event.uid, recurrence_id=event.recurrence_id, said=said)


READ_BACK = timedelta(days=1)  # how far back a calendar is read: earlier events may still run
LONGEST_S = 60.0
_LOOK_S = 0.05


class FeedState(msgspec.Struct, frozen=True, kw_only=True):
    """The last reading of a calendar: `events` of this room, `notes` on unreadable parts, the `problem` since."""

    tried_at: datetime
    read_at: datetime | None = None
    events: int = 0
    problem: str = ""
    notes: tuple[str, ...] = ()


type FeedStates = StateFile[dict[str, FeedState]]


def feed_states(folder: Path | None = None) -> FeedStates:
    return StateFile((folder or schedule_folder()) / "feeds.json", dict[str, FeedState], {})


def window(settings: Settings, now: datetime) -> tuple[datetime, datetime]:
    return now - READ_BACK, now + timedelta(days=settings.schedule.days_ahead)


def request_for_feed(settings: Settings, name: str, now: datetime) -> CalendarRequest:
    """Return the request for calendar `name`; raises UsageError, SecretError."""
    since, until = window(settings, now)
    address = feed_address(settings, name)
    return CalendarRequest(address=address.reveal(), zone=settings.office.time_zone, since=since, until=until)


def begin_reading(wanted: CalendarRequest, clock: Clock, longest_s: float = LONGEST_S) -> CommandChild:
    """Start reading a calendar in a child process. Raises StateError if none starts."""
    command = python_module("agent.schedule.child")
    try:
        return CommandChild(command, given=msgspec.json.encode(wanted), clock=clock, longest_s=longest_s)
    except OSError as error:
        raise StateError(f"the calendar cannot be read: {error.strerror}") from None


def answer_of(reading: CommandChild) -> CalendarAnswer | None:
    """Return the answer; None while the child reads."""
    try:
        said = reading.answer()
        return None if said is None else msgspec.json.decode(said, type=CalendarAnswer)
    except TimeoutError:
        return CalendarAnswer(
            error="it takes too long to read", hint="see whether its server answers; name a smaller one"
        )
    except msgspec.MsgspecError:
        status = reading.status or 0
        why = "it takes too long to reckon out" if status < 0 else f"reading it failed with status {status}"
        return CalendarAnswer(error=why, hint="please report this, with the calendar")


def read_now(wanted: CalendarRequest, clock: Clock, longest_s: float = LONGEST_S) -> CalendarAnswer:
    """Return a calendar's answer; blocks. Raises StateError if no child starts."""
    reading, never = begin_reading(wanted, clock, longest_s), threading.Event()
    try:
        while (answer := answer_of(reading)) is None:
            clock.wait(never, _LOOK_S)
        return answer
    finally:
        reading.end()


def take_answer(
    settings: Settings, plans: Plans, states: FeedStates, name: str, answer: CalendarAnswer, asked_at: datetime
) -> list[Plan]:
    """Take in a calendar's answer of `asked_at`; return its new and changed plans. Raises StateError.

    An error is noted, and the plans stay.
    """
    if answer.error:
        failed = {"tried_at": asked_at, "problem": answer.error}
        none = FeedState(tried_at=asked_at)
        states.change(lambda kept: {**kept, name: msgspec.structs.replace(kept.get(name, none), **failed)})
        return []
    sources = events_of_room(name, settings.feeds[name], answer.events, settings)
    changed = plans.take_events(name, sources, window(settings, asked_at))
    notes = tuple(dict.fromkeys(answer.notes))[:20]
    state = FeedState(tried_at=asked_at, read_at=asked_at, events=len(sources), notes=notes)
    states.change(lambda kept: {**kept, name: state})
    return changed


@dataclass
class FeedReader:
    """Reads the settings' calendars in turn and cancels plans of removed calendars; never blocks."""

    settings: Settings
    plans: Plans
    states: FeedStates
    clock: Clock
    tell: Callable[[str], None]
    _reading: tuple[str, CommandChild, datetime] | None = None
    _next_ns: dict[str, int] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)
    _is_settled: bool = False  # whether plans of removed calendars have been cancelled since the settings changed

    def take(self, settings: Settings) -> None:
        """Use new settings; a new or changed calendar is read at once."""
        before, self.settings = self.settings, settings
        self._is_settled = False
        is_read_otherwise = (before.schedule, before.office) != (settings.schedule, settings.office)
        for name in before.feeds:
            if is_read_otherwise or before.feeds[name] != settings.feeds.get(name):
                self._next_ns.pop(name, None)
        if self._reading is not None and self._reading[0] not in self._next_ns:
            self.close()

    def look(self) -> None:
        """Start the next due reading, or take in a finished one. Raises StateError; the next look tries again."""
        if not self._is_settled:
            self._cancel_removed_feeds()
            self._is_settled = True
        if self._reading is None:
            self._start_next()
        else:
            name, reading, asked_at = self._reading
            answer = answer_of(reading)
            if answer is not None:
                self._reading = None
                self._take_answer(name, answer, asked_at)

    def _cancel_removed_feeds(self) -> None:
        """Cancel plans of calendars that the settings do not have; without a settings file, none."""
        left = self.plans.cancel_other_feeds(self.settings.feeds, self.clock.now()) if self.settings.file else []
        for name, count in Counter(plan.source.feed for plan in left if plan.source).items():
            self.tell(f'the settings have no calendar "{name}" any more: {count} planned sessions are cancelled')

    def _start_next(self) -> None:
        now_ns, settings = self.clock.now_ns(), self.settings
        due = [name for name in settings.feeds if now_ns >= self._next_ns.get(name, now_ns)]
        if not due:
            return
        name, now = min(due, key=lambda name: self._next_ns.get(name, 0)), self.clock.now()
        self._next_ns[name] = now_ns + int(settings.schedule.read_every_s * NANOSECONDS)
        try:
            self._reading = (name, begin_reading(request_for_feed(settings, name, now), self.clock), now)
        except LiputError as error:
            self._take_answer(name, CalendarAnswer(error=error.message), now)

    def _take_answer(self, name: str, answer: CalendarAnswer, asked_at: datetime) -> None:
        try:
            changed = take_answer(self.settings, self.plans, self.states, name, answer, asked_at)
        except LiputError as error:
            self._report(name, error.message)
            return
        self._report(name, answer.error)
        if changed:
            self.tell(f'the calendar "{name}": {len(changed)} planned sessions are new or changed')

    def _report(self, name: str, problem: str) -> None:
        before, self._told[name] = self._told.get(name, ""), problem
        if problem != before:
            said = f"cannot be read: {problem}; its plans stay" if problem else "is read again"
            self.tell(f'the calendar "{name}" {said}')

    def close(self) -> None:
        """End the running reading."""
        if self._reading is not None:
            self._reading[1].end()
            self._reading = None
