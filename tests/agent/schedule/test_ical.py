"""Calendars: what is read of them, compared with what dateutil says of the same rules."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.schedule.calendar_messages import CalendarEvent
from agent.schedule.ical import NO_END, read_calendar
from config.errors import MediaError
from tests.support.schedule import calendar, event

WIB = ZoneInfo("Asia/Jakarta")
SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def events(*parts: str, zone: ZoneInfo = WIB, since: datetime = SINCE, until: datetime = UNTIL) -> list[CalendarEvent]:
    return read_calendar(calendar(*parts), zone, since, until).events


def starts(*parts: str) -> list[str]:
    return [each.starts_at.isoformat() for each in events(*parts)]


def test_one_event_with_all_that_counts() -> None:
    times = ("DTSTART;TZID=Asia/Makassar:20261201T090000", "DTEND;TZID=Asia/Makassar:20261201T113000")
    words = ("LOCATION:Aula 1\\, Gedung Rektorat", "CATEGORIES:Siaran,Rapat")
    (found,) = events(event(*times, *words, summary="Rapat\\, senat"))
    assert found == CalendarEvent(
        uid="a", title="Rapat, senat", location="Aula 1, Gedung Rektorat", categories=("Siaran", "Rapat"),
        starts_at=datetime(2026, 12, 1, 1, 0, tzinfo=UTC), ends_at=datetime(2026, 12, 1, 3, 30, tzinfo=UTC),
        zone="Asia/Makassar",
    )  # fmt: skip
    assert found.starts_at.isoformat() == "2026-12-01T09:00:00+08:00"


def test_a_series_with_exceptions_one_moved_and_one_cancelled() -> None:
    exceptions = ("EXDATE;TZID=WIB:20261202T090000", "RDATE;TZID=WIB:20261220T130000")
    series = event("DTSTART;TZID=WIB:20261201T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=5", *exceptions)
    moved = event("RECURRENCE-ID;TZID=WIB:20261203T090000", "DTSTART;TZID=WIB:20261203T140000", "DURATION:PT1H")
    off = ("RECURRENCE-ID;TZID=WIB:20261204T090000", "DTSTART;TZID=WIB:20261204T090000", "DURATION:PT1H")
    found = events(series, moved, event(*off, "STATUS:CANCELLED"))
    assert [(each.recurrence_id, f"{each.starts_at:%d %H:%M}", each.is_cancelled) for each in found] == [
        ("20261201T020000Z", "01 09:00", False),
        ("20261203T020000Z", "03 14:00", False),
        ("20261204T020000Z", "04 09:00", True),
        ("20261205T020000Z", "05 09:00", False),
        ("20261220T060000Z", "20 13:00", False),
    ]


def test_what_is_moved_with_all_that_follows_keeps_ids_of_its_own() -> None:
    series = event("DTSTART:20261201T020000Z", "DTEND:20261201T030000Z", "RRULE:FREQ=DAILY;COUNT=4")
    moved = ("RECURRENCE-ID;RANGE=THISANDFUTURE:20261203T020000Z", "DTSTART:20261203T050000Z", "DURATION:PT1H")
    found = events(series, event(*moved))
    assert [f"{each.starts_at:%d %H}" for each in found] == ["01 02", "02 02", "03 05", "04 05"]
    assert len({each.recurrence_id for each in found}) == 4


def test_an_all_day_event_is_of_the_rooms_days() -> None:
    (found,) = events(event("DTSTART;VALUE=DATE:20261204", "DTEND;VALUE=DATE:20261206"))
    assert (found.all_day, found.starts_at.isoformat(), found.ends_at.isoformat()) == (
        True, "2026-12-04T00:00:00+07:00", "2026-12-06T00:00:00+07:00",
    )  # fmt: skip
    (single,) = events(event("DTSTART;VALUE=DATE:20261204"))
    assert single.ends_at - single.starts_at == timedelta(days=1)


def test_floating_times_are_the_rooms() -> None:
    lines = ("DTSTART:20261201T090000", "DTEND:20261201T100000")
    assert starts(event(*lines)) == ["2026-12-01T09:00:00+07:00"]
    (east,) = events(event(*lines), zone=ZoneInfo("Asia/Jayapura"))
    assert east.starts_at.isoformat() == "2026-12-01T09:00:00+09:00"


def test_an_event_without_an_end_is_taken_for_an_hour_and_says_so() -> None:
    (found,) = events(event("DTSTART:20261201T090000"))
    assert (found.has_end, found.ends_at - found.starts_at) == (False, NO_END)
    (by_duration,) = events(event("DTSTART:20261201T090000", "DURATION:PT30M"))
    assert (by_duration.has_end, by_duration.ends_at - by_duration.starts_at) == (True, timedelta(minutes=30))


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        ("WITA", "+08:00"),
        ("Asia/Ujung_Pandang", "+08:00"),
        ("/freeassociation.sourceforge.net/Asia/Jayapura", "+09:00"),
        ("Tokyo Standard Time", "+09:00"),
        ('"(UTC+07:00) Bangkok, Hanoi, Jakarta"', "+07:00"),
        ("GMT+0800", "+08:00"),
        ("Entah di mana", "+07:00"),
    ],
)
def test_zones_by_all_their_names(zone: str, offset: str) -> None:
    assert starts(event(f"DTSTART;TZID={zone}:20261201T090000", "DURATION:PT1H")) == [f"2026-12-01T09:00:00{offset}"]


OUTLOOK_ZONE = (
    "BEGIN:VTIMEZONE\r\nTZID:Customized Time Zone\r\nBEGIN:STANDARD\r\nDTSTART:16010101T000000\r\n"
    "TZOFFSETFROM:{0}\r\nTZOFFSETTO:{0}\r\nEND:STANDARD\r\nEND:VTIMEZONE"
)


@pytest.mark.parametrize("offset", ["+0830", "+0700"])
def test_a_zone_that_only_its_calendar_knows_is_not_that_of_another_calendar(offset: str) -> None:
    own = event("DTSTART;TZID=Customized Time Zone:20261201T090000", "DURATION:PT1H")
    for parts in ((OUTLOOK_ZONE.format(offset), own), (own, OUTLOOK_ZONE.format(offset))):
        assert starts(*parts) == [f"2026-12-01T09:00:00{offset[:3]}:{offset[3:]}"]


def test_a_zone_that_is_defined_wrongly_under_a_known_name_is_the_one_that_is_known() -> None:
    wrong = OUTLOOK_ZONE.format("-0500").replace("Customized Time Zone", "SE Asia Standard Time")
    assert starts(wrong, event("DTSTART;TZID=SE Asia Standard Time:20261201T090000", "DURATION:PT1H")) == [
        "2026-12-01T09:00:00+07:00"
    ]


def test_a_zone_that_cannot_be_read_costs_no_event() -> None:
    broken = "BEGIN:VTIMEZONE\r\nTZID:Rusak\r\nBEGIN:STANDARD\r\nDTSTART:lusa\r\nEND:STANDARD\r\nEND:VTIMEZONE"
    assert starts(broken, event("DTSTART;TZID=WITA:20261201T090000", "DURATION:PT1H")) == ["2026-12-01T09:00:00+08:00"]


def test_what_is_no_calendar_or_half_of_one_is_refused() -> None:
    whole = calendar(event("DTSTART:20261201T020000Z", "DURATION:PT1H"), event("DTSTART:20261202T020000Z", uid="b"))
    for text in (b"", b"<html>login</html>", b"\xff\xfe\x00"):
        with pytest.raises(MediaError, match="it is no calendar"):
            read_calendar(text, WIB, SINCE, UNTIL)
    for text in (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", whole[:-40]):
        with pytest.raises(MediaError, match="the calendar is incomplete"):
            read_calendar(text, WIB, SINCE, UNTIL)


def test_more_events_than_a_room_can_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.schedule.ical.MOST_EVENTS", 20)
    many = calendar(event("DTSTART:20261201T020000Z", "DURATION:PT1M", "RRULE:FREQ=MINUTELY;COUNT=21"))
    with pytest.raises(MediaError, match="it has more than 20 events in these days"):
        read_calendar(many, WIB, SINCE, UNTIL)


def test_an_event_that_cannot_be_read_costs_no_other() -> None:
    parts = (
        event(uid="tanpa", summary="Tanpa awal"),
        event("DTSTART:20261201T020000Z", "DTEND:20261201T030000Z", "RRULE:FREQ=KADANG", uid="aturan"),
        event("DTSTART:20261202T020000Z", "DTEND:20261202T030000Z", uid="baik", summary="Baik"),
    )
    answer = read_calendar(calendar(*parts), WIB, SINCE, UNTIL)
    assert "baik" in [each.uid for each in answer.events]
    assert answer.notes[0] == "an event without a beginning is left out: Tanpa awal"


def test_events_without_an_id_are_told_apart() -> None:
    bare = [event(f"DTSTART:2026120{day}T020000Z", "DURATION:PT1H").replace("UID:a\r\n", "") for day in (1, 2)]
    found = events(*bare)
    assert len(found) == len({each.uid for each in found}) == 2


RULES = st.builds(
    "FREQ={};INTERVAL={};{}".format,
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]),
    st.integers(1, 5),
    st.one_of(st.builds("COUNT={}".format, st.integers(1, 40)), st.just("UNTIL=20261220T000000Z")),
)
ZONES = st.sampled_from(["Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura", "Europe/Berlin", "America/New_York"])


@settings(max_examples=60, deadline=None)
@given(
    rule=RULES,
    zone=ZONES,
    first=st.datetimes(datetime(2026, 9, 1), datetime(2026, 12, 15)),  # noqa: DTZ001 - the zone is given beside it
    minutes=st.integers(15, 600),
)
def test_a_series_is_what_dateutil_makes_of_its_rule(rule: str, zone: str, first: datetime, minutes: int) -> None:
    first = first.replace(hour=first.hour // 2 + 6, second=0, microsecond=0)  # no clock is changed by day
    found = events(event(f"DTSTART;TZID={zone}:{first:%Y%m%dT%H%M%S}", f"DURATION:PT{minutes}M", f"RRULE:{rule}"))
    begin = first.replace(tzinfo=ZoneInfo(zone))
    expected = [
        at for at in rrulestr(rule, dtstart=begin).between(SINCE - timedelta(days=1), UNTIL, inc=True)
        if at.astimezone(UTC) + timedelta(minutes=minutes) > SINCE and at.astimezone(UTC) < UNTIL
    ]  # fmt: skip
    assert [each.starts_at for each in found] == expected
    assert {each.ends_at - each.starts_at for each in found} <= {timedelta(minutes=minutes)}
    assert [each.recurrence_id for each in found] == [f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}" for at in expected]
