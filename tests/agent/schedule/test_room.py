"""Which events are of this room, and what is done for them."""

from datetime import timedelta

import msgspec
import pytest

from agent.schedule.event import CalendarEvent
from agent.schedule.feeds import UNTITLED, is_here, taken
from agent.schedule.plan import Mode, PlanState
from config.settings.schema import General, Settings
from config.settings.serving import Feed, ScheduleSettings
from tests.support.calendars import NINE

EVENT = CalendarEvent(
    uid="a", title="Rapat", location="Gedung Rektorat, Aula 1", categories=("Siaran",), starts_at=NINE,
    ends_at=NINE + timedelta(hours=1),
)  # fmt: skip
ROOM = Settings(general=General(room="Aula 1"), schedule=ScheduleSettings(mode="record"))


@pytest.mark.parametrize(
    ("location", "feed", "expected"),
    [
        ("Gedung Rektorat, Aula 1", Feed(), True),
        ("AULA  1", Feed(), True),
        ("Aula 10", Feed(), False),
        ("Aula 11, Aula 1", Feed(), True),
        ("", Feed(), False),
        ("", Feed(locations=("*",)), True),
        ("Main Hall", Feed(locations=("Aula 2", "main hall")), True),
        ("Aula 1", Feed(locations=("Main Hall",)), False),
        ("Aula 1", Feed(categories=("siaran",)), True),
        ("Aula 1", Feed(categories=("Kuliah",)), False),
        ("Aula (Lt. 2)", Feed(locations=("Aula (Lt. 2)",)), True),
    ],
)
def test_by_place_and_category(location: str, feed: Feed, expected: bool) -> None:
    assert is_here(msgspec.structs.replace(EVENT, location=location), feed, ROOM) is expected


def test_where_the_room_has_no_name_every_place_counts() -> None:
    assert is_here(EVENT, Feed(), Settings())


def test_what_is_done_for_an_event() -> None:
    def mode(feed: Feed, **more: object) -> Mode:
        return taken("aula", feed, [msgspec.structs.replace(EVENT, **more)], ROOM)[0].said.mode

    assert mode(Feed()) is Mode.RECORD
    assert mode(Feed(mode="arm")) is Mode.ARM
    assert mode(Feed(), all_day=True) is Mode.REMIND
    assert mode(Feed(), has_end=False) is Mode.ARM, "nobody knows when to end it"
    assert mode(Feed(mode="remind"), has_end=False) is Mode.REMIND


def test_what_an_event_becomes() -> None:
    cancelled = msgspec.structs.replace(EVENT, uid="b", title="", is_cancelled=True)
    first, second = taken("aula", Feed(), [EVENT, cancelled], ROOM)
    assert (first.key, first.said.title, first.said.room, first.said.state) == (
        ("aula", "a", ""), "Rapat", "Aula 1", PlanState.PLANNED,
    )  # fmt: skip
    assert (second.said.title, second.said.state) == (UNTITLED, PlanState.CANCELLED)
