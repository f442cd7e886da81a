"""Which events of a calendar are of this room, and what they become."""

import re
from collections.abc import Sequence

from agent.schedule.event import CalendarEvent
from agent.schedule.plan import Mode, PlanState, Said, Source
from config.settings.schema import Settings
from config.settings.serving import EVERYWHERE, Feed

UNTITLED = "Tanpa judul"


def taken(name: str, feed: Feed, events: Sequence[CalendarEvent], settings: Settings) -> list[Source]:
    """Return what the calendar `name` says about this room; of an event that is there twice the later."""
    mode = Mode(feed.mode or settings.schedule.mode)
    sources = [_source(name, event, mode, settings.general.room) for event in events if is_here(event, feed, settings)]
    return list({source.key: source for source in sources}.values())


def is_here(event: CalendarEvent, feed: Feed, settings: Settings) -> bool:
    """Return whether an event is in this room, and of the categories that count."""
    room = settings.general.room
    places = feed.locations or ((room,) if room.strip() else (EVERYWHERE,))
    is_of_category = not feed.categories or bool(
        {_plain(each) for each in feed.categories} & {_plain(each) for each in event.categories}
    )
    return is_of_category and any(place == EVERYWHERE or _names(event.location, place) for place in places)


def _names(location: str, place: str) -> bool:
    """Return whether a place stands in a location as words of its own: "Aula 1" is not in "Aula 10"."""
    return re.search(rf"(?<!\w){re.escape(_plain(place))}(?!\w)", _plain(location)) is not None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _source(name: str, event: CalendarEvent, mode: Mode, room: str) -> Source:
    if event.all_day:
        mode = Mode.REMIND
    elif not event.has_end and mode is Mode.RECORD:
        mode = Mode.ARM  # nobody knows when to end it
    said = Said(
        title=event.title or UNTITLED,
        room=room or event.location,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        zone=event.zone,
        all_day=event.all_day,
        mode=mode,
        state=PlanState.CANCELLED if event.is_cancelled else PlanState.PLANNED,
    )
    return Source(feed=name, uid=event.uid, recurrence_id=event.recurrence_id, said=said)
