"""Plans on the disk: what calendars say, what people change, and what of it lasts."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.schedule.plan import CalendarFields, CalendarSource, Plan, PlanMode, PlanState, edited_fields
from agent.schedule.store import (
    PlanRecord,
    Plans,
    change_record,
    forget_other_records,
    imported_feed,
    merge_events,
    plan_record_store,
    record_of,
)
from config.errors import UsageError
from tests.support.schedule import NINE, plan

WINDOW = (NINE - timedelta(days=1), NINE + timedelta(days=30))
HOUR = timedelta(hours=1)


def said(title: str = "Rapat", starts_at: datetime = NINE, length: timedelta = HOUR, **more: object) -> CalendarFields:
    fields = {"mode": PlanMode.REMIND} | more
    return CalendarFields(title=title, starts_at=starts_at, ends_at=starts_at + length, **fields)  # type: ignore[arg-type]


def source(what: CalendarFields, uid: str = "a", recurrence_id: str = "", feed: str = "aula") -> CalendarSource:
    return CalendarSource(feed=feed, uid=uid, recurrence_id=recurrence_id, said=what)


@pytest.fixture
def plans(tmp_path: Path) -> Plans:
    return Plans(tmp_path)


def test_plans_are_plain_json(plans: Plans) -> None:
    assert plans.read() == []
    plans.add(plan("wisuda", NINE + HOUR))
    plans.add(plan("rapat"))
    found = json.loads(plans.path.read_text())
    assert [(each["title"], each["starts_at"], each["mode"]) for each in found] == [
        ("rapat", "2026-12-01T09:00:00Z", "record"), ("wisuda", "2026-12-01T10:00:00Z", "record"),
    ]  # fmt: skip
    assert plans.path.stat().st_mode & 0o077 == 0
    assert [each.name for each in plans.path.parent.iterdir() if each.suffix == ".json"] == ["plans.json"]


def test_what_was_changed_by_hand_stays_and_all_else_follows(plans: Plans) -> None:
    (made,) = plans.take_events("aula", [source(said())], WINDOW)
    assert plans.take_events("aula", [source(said())], WINDOW) == []
    plans.replace(made.id, lambda one: msgspec.structs.replace(one, title="Rapat Pleno", streams=("youtube",)))
    (after,) = plans.take_events("aula", [source(said("Rapat Biasa", NINE + HOUR, mode=PlanMode.ARM))], WINDOW)
    assert (after.title, after.streams, after.starts_at, after.mode) == (
        "Rapat Pleno", ("youtube",), NINE + HOUR, PlanMode.ARM,
    )  # fmt: skip
    assert edited_fields(after) == ("title",)
    assert (after.id, plans.read()) == (made.id, [after])


def test_one_that_was_removed_by_hand_does_not_come_back(plans: Plans) -> None:
    (made,) = plans.take_events("aula", [source(said())], WINDOW)
    plans.remove(made.id)
    plans.take_events("aula", [source(said("Rapat Senat"))], WINDOW)
    assert plans.cancel_other_feeds([], NINE - HOUR) == [], "nor is it cancelled with its calendar"
    (after,) = plans.read()
    assert (after.state, after.holds) == (PlanState.REMOVED, False)
    plans.add(plan("tangan"))
    plans.remove(plan("tangan").id)
    assert [each.state for each in plans.read()] == [PlanState.REMOVED] * 2, "what it has armed is let go"
    plans.remove(plan("tangan").id)
    assert [each.id for each in plans.read()] == [made.id], "one that was made by hand is forgotten"


def test_one_that_has_gone_from_its_calendar_is_cancelled_and_comes_back_with_it(plans: Plans) -> None:
    (made,) = plans.take_events("aula", [source(said())], WINDOW)
    plans.replace(made.id, lambda one: msgspec.structs.replace(one, title="Rapat Pleno"))
    (gone,) = plans.take_events("aula", [], WINDOW)
    assert (gone.id, gone.state, gone.title) == (made.id, PlanState.CANCELLED, "Rapat Pleno")
    (back,) = plans.take_events("aula", [source(said())], WINDOW)
    assert (back.id, back.state, back.title) == (made.id, PlanState.PLANNED, "Rapat Pleno")


def test_what_was_not_read_is_not_gone(plans: Plans) -> None:
    far = said(starts_at=NINE + timedelta(days=60))
    plans.take_events("aula", [source(said()), source(far, "b")], (WINDOW[0], NINE + timedelta(days=90)))
    plans.take_events("lain", [source(said(), feed="lain")], WINDOW)
    plans.take_events("aula", [], WINDOW)
    found = {(each.source.feed, each.source.uid): each.state for each in plans.read() if each.source}
    assert found == {
        ("aula", "a"): PlanState.CANCELLED, ("aula", "b"): PlanState.PLANNED, ("lain", "a"): PlanState.PLANNED,
    }  # fmt: skip


def test_what_is_to_come_of_a_calendar_that_is_no_more_is_cancelled_and_comes_back_with_it(plans: Plans) -> None:
    begun = source(said(starts_at=NINE - 2 * HOUR), "begun")
    made, _ = plans.take_events("aula", [source(said()), begun], WINDOW)
    plans.take_events("lain", [source(said(), feed="lain")], WINDOW)
    plans.take_events(imported_feed("a.ics"), [source(said(), feed=imported_feed("a.ics"))], None)
    plans.add(plan("tangan"))
    before, written = plans.read(), plans.path.stat().st_ino
    assert plans.cancel_other_feeds(["aula", "lain"], NINE - HOUR) == []
    assert plans.path.stat().st_ino == written, "nothing is written"
    (gone,) = plans.cancel_other_feeds(["lain"], NINE - HOUR)
    assert (gone.id, gone.state, gone.holds) == (made.id, PlanState.CANCELLED, False)
    assert [one for one in plans.read() if one.id != gone.id] == [one for one in before if one.id != gone.id]
    assert plans.cancel_other_feeds(["lain"], NINE - HOUR) == []
    plans.take_events("aula", [source(said()), begun], WINDOW)
    assert plans.read() == before


def test_a_series_that_is_moved_to_another_hour_takes_along_what_was_changed_by_hand(plans: Plans) -> None:
    def week(hour: int) -> list[CalendarSource]:
        days = [NINE.replace(hour=hour) + timedelta(days=7 * number) for number in range(3)]
        return [source(said(starts_at=at), recurrence_id=f"{at:%Y%m%dT%H%M%SZ}") for at in days]

    first, *_ = plans.take_events("aula", week(9), WINDOW)
    plans.replace(first.id, lambda one: msgspec.structs.replace(one, title="Rapat Pleno"))
    plans.take_events("aula", week(13), WINDOW)
    after = plans.read()
    assert [(each.title, each.starts_at.hour, each.state) for each in after] == [
        ("Rapat Pleno", 13, PlanState.PLANNED), *[("Rapat", 13, PlanState.PLANNED)] * 2,
    ]  # fmt: skip
    assert after[0].id == first.id


def test_a_file_that_lacks_an_event_cancels_nothing(plans: Plans) -> None:
    plans.take_events("file a.ics", [source(said(), feed="file a.ics")], None)
    plans.take_events("file a.ics", [], None)
    assert [each.state for each in plans.read()] == [PlanState.PLANNED]


def test_what_is_long_over_is_forgotten_unless_it_was_made_by_hand(plans: Plans) -> None:
    plans.take_events("aula", [source(said())], WINDOW)
    plans.add(plan("tangan"))
    later = NINE + timedelta(days=100)
    plans.take_events("aula", [], (later, later + timedelta(days=30)))
    assert [each.title for each in plans.read()] == ["tangan"]


def test_an_end_by_hand_and_a_beginning_by_the_calendar_never_cross(plans: Plans) -> None:
    (made,) = plans.take_events("aula", [source(said())], WINDOW)
    plans.replace(made.id, lambda one: msgspec.structs.replace(one, ends_at=NINE + HOUR / 2))
    plans.take_events("aula", [source(said(starts_at=NINE + 2 * HOUR))], WINDOW)
    (after,) = plans.read()
    assert (after.starts_at, after.ends_at) == (NINE, NINE + HOUR / 2), "both stay as they were for people"


def test_ids_by_their_beginning_and_their_digits(plans: Plans) -> None:
    one = msgspec.structs.replace(plan(), id="2026-12-01_rapat_3f2a91c0")
    other = msgspec.structs.replace(plan(), id="2026-12-01_rapat_3f55aaaa")
    for each in (one, other):
        plans.add(each)
    assert plans.find("3f2a") == plans.find(one.id) == one
    with pytest.raises(UsageError, match="2 plans match"):
        plans.find("2026-12-01")
    for unknown in ("", "ffff"):
        with pytest.raises(UsageError, match="there is no plan"):
            plans.find(unknown)


def test_what_was_done_is_forgotten_with_its_plan(tmp_path: Path) -> None:
    done = plan_record_store(tmp_path)
    one, other = plan("a"), plan("b")
    for each in (one, other):
        change_record(done, each, lambda before: msgspec.structs.replace(before, checked=True))
    forget_other_records(done, [one])
    assert set(done.read()) == {one.id}
    assert record_of(one, done.read()) == PlanRecord(starts_at=one.starts_at, ends_at=one.ends_at, checked=True)


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.sampled_from([UTC]))  # noqa: DTZ001
SAID = st.builds(
    said, title=st.text(max_size=10), starts_at=MOMENTS, length=st.timedeltas(timedelta(minutes=1), timedelta(days=2)),
    room=st.text(max_size=5), mode=st.sampled_from(list(PlanMode)), all_day=st.booleans(),
)  # fmt: skip
SOURCES = st.lists(
    st.builds(source, SAID, uid=st.sampled_from("abc"), recurrence_id=st.sampled_from(["", "1", "2"])),
    max_size=6, unique_by=lambda each: each.key,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(readings=st.lists(SOURCES, min_size=1, max_size=5))
def test_each_event_is_one_plan_and_what_is_written_is_read(readings: list[list[CalendarSource]]) -> None:
    plans: list[Plan] = [plan("tangan")]
    for events in readings:
        plans = merge_events(plans, "aula", events, WINDOW)
        keys = [each.source.key for each in plans if each.source]
        assert len(keys) == len(set(keys))
        assert {event.key for event in events} <= set(keys)
        assert plans[0] == plan("tangan")
        assert msgspec.json.decode(msgspec.json.encode(plans), type=list[Plan]) == plans
    assert merge_events(plans, "aula", readings[-1], WINDOW) == plans, "reading it twice changes nothing"


def test_a_plan_whose_calendar_comes_to_say_the_same_follows_it_again(plans: Plans) -> None:
    (made,) = plans.take_events("aula", [source(said())], WINDOW)
    plans.replace(made.id, lambda one: msgspec.structs.replace(one, title="Pleno"))
    for title in ("Pleno", "Biasa"):
        (after,) = plans.take_events("aula", [source(said(title))], WINDOW)
        assert (after.title, edited_fields(after)) == (title, ())
