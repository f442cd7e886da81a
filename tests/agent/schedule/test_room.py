"""Which events are of this room, and what is done for them."""

from datetime import timedelta

import msgspec
import pytest

from agent.schedule.calendar_messages import CalendarEvent
from agent.schedule.feeds import UNTITLED, events_of_room, is_here
from agent.schedule.plan import PlanMode, PlanState
from config.settings.schema import GeneralSettings, Settings
from config.settings.serving import FeedSettings, ScheduleSettings
from tests.support.schedule import NINE

EVENT = CalendarEvent(
    uid="a", title="Rapat", location="Gedung Rektorat, Aula 1", categories=("Siaran",), starts_at=NINE,
    ends_at=NINE + timedelta(hours=1),
)  # fmt: skip
ROOM = Settings(general=GeneralSettings(room="Aula 1"), schedule=ScheduleSettings(mode="record"))


@pytest.mark.parametrize(
    ("location", "feed", "expected"),
    [
        ("Gedung Rektorat, Aula 1", FeedSettings(), True),
        ("AULA  1", FeedSettings(), True),
        ("Aula 10", FeedSettings(), False),
        ("Aula 11, Aula 1", FeedSettings(), True),
        ("", FeedSettings(), False),
        ("", FeedSettings(locations=("*",)), True),
        ("Main Hall", FeedSettings(locations=("Aula 2", "main hall")), True),
        ("Aula 1", FeedSettings(locations=("Main Hall",)), False),
        ("Aula 1", FeedSettings(categories=("siaran",)), True),
        ("Aula 1", FeedSettings(categories=("Kuliah",)), False),
        ("Aula (Lt. 2)", FeedSettings(locations=("Aula (Lt. 2)",)), True),
    ],
)
def test_by_place_and_category(location: str, feed: FeedSettings, expected: bool) -> None:
    assert is_here(msgspec.structs.replace(EVENT, location=location), feed, ROOM) is expected


def test_where_the_room_has_no_name_every_place_counts() -> None:
    assert is_here(EVENT, FeedSettings(), Settings())


def test_what_is_done_for_an_event() -> None:
    def mode(feed: FeedSettings, **more: object) -> PlanMode:
        return events_of_room("aula", feed, [msgspec.structs.replace(EVENT, **more)], ROOM)[0].said.mode

    assert mode(FeedSettings()) is PlanMode.RECORD
    assert mode(FeedSettings(mode="arm")) is PlanMode.ARM
    assert mode(FeedSettings(), all_day=True) is PlanMode.REMIND
    assert mode(FeedSettings(), has_end=False) is PlanMode.ARM, "nobody knows when to end it"
    assert mode(FeedSettings(mode="remind"), has_end=False) is PlanMode.REMIND


def test_what_an_event_becomes() -> None:
    cancelled = msgspec.structs.replace(EVENT, uid="b", title="", is_cancelled=True)
    first, second = events_of_room("aula", FeedSettings(), [EVENT, cancelled], ROOM)
    assert (first.key, first.said.title, first.said.room, first.said.state) == (
        ("aula", "a", ""), "Rapat", "Aula 1", PlanState.PLANNED,
    )  # fmt: skip
    assert (second.said.title, second.said.state) == (UNTITLED, PlanState.CANCELLED)
