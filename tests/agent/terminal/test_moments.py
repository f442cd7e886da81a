"""Moments as people write them."""

import contextlib
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.terminal.moments import parse_day, parse_moment, parse_when
from config.settings.office import INDONESIAN_ZONES
from config.settings.quantities import NotAllowed

NOW = datetime(2026, 11, 25, 9, 30, 15).astimezone()
WIB = INDONESIAN_ZONES["WIB"]
NOON = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2d", NOW - timedelta(days=2)),
        ("90m", NOW - timedelta(minutes=90)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("1w2d 3h", NOW - timedelta(days=9, hours=3)),
        ("2 D ago", NOW - timedelta(days=2)),
        ("now", NOW),
        ("2026-11-20", datetime(2026, 11, 20).astimezone()),
        ("2026-11-20 14:30", datetime(2026, 11, 20, 14, 30).astimezone()),
        ("2026-11-20t14:30:05", datetime(2026, 11, 20, 14, 30, 5).astimezone()),
        ("2026-11-20T14:30:05.25+07:00", datetime.fromisoformat("2026-11-20T14:30:05.25+07:00")),
        ("2026-11-20T07:30:05Z", datetime.fromisoformat("2026-11-20T07:30:05+00:00")),
        ("today", datetime(2026, 11, 25).astimezone()),
        ("Yesterday", datetime(2026, 11, 24).astimezone()),
        ("kemarin", datetime(2026, 11, 24).astimezone()),
        ("hari ini", datetime(2026, 11, 25).astimezone()),
        ("7:05", datetime(2026, 11, 25, 7, 5).astimezone()),
        ("kemarin 14.30", datetime(2026, 11, 24, 14, 30).astimezone()),
        ("1 November 2026", datetime(2026, 11, 1).astimezone()),
        ("07:05:30", datetime(2026, 11, 25, 7, 5, 30).astimezone()),
    ],
)
def test_a_moment_is_read(text: str, expected: datetime) -> None:
    moment = parse_moment(text, NOW)
    assert moment == expected
    assert moment.tzinfo is not None


@pytest.mark.parametrize("text", ["2026-11-20", "yesterday", "20 November 2026"])
def test_a_day_ends_just_before_the_next(text: str) -> None:
    day = parse_moment(text, NOW)
    assert parse_moment(text, NOW, end=True) == day + timedelta(days=1) - timedelta(microseconds=1)


def test_another_moment_is_its_own_end() -> None:
    assert parse_moment("2d", NOW, end=True) == parse_moment("2d", NOW)


@pytest.mark.parametrize(
    "text",
    ["", " ", "2", "d", "2x", "-2d", "2d2d", "soon", "2026-13-01", "2026-02-30", "2026-11", "25:00", "0001-01-01",
     "9999-12-31", "50000w", "999999w", "99999999d", "2026-11-20 noon", "1h 2", "0s"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(NotAllowed, match="must be how long ago"):
        parse_moment(text, NOW, end=True)


# As they stand on letters


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-11-26T11:00:00+07:00"),
        ("2026-12-01 09:00", "2026-12-01T09:00:00+07:00"),
        ("2026-12-01T09:00:00+08:00", "2026-12-01T08:00:00+07:00"),
        ("2026-12-01T09:00:00.5Z", "2026-12-01T16:00:00.500000+07:00"),
        ("1/12/2026 9.30", "2026-12-01T09:30:00+07:00"),
        ("01-12-2026", "2026-12-01T00:00:00+07:00"),
        ("1 Desember 2026 pukul 09.00 WIB", "2026-12-01T09:00:00+07:00"),
        ("1 December 2026, 09:00 WITA", "2026-12-01T08:00:00+07:00"),
        ("kemarin 14:30", "2026-11-25T14:30:00+07:00"),
        ("Hari ini jam 8.15", "2026-11-26T08:15:00+07:00"),
        ("1.12.2026 pkl 09.30", "2026-12-01T09:30:00+07:00"),
        ("Selasa, 1 Desember 2026 pukul 09.00 WIB", "2026-12-01T09:00:00+07:00"),
        ("Jum'at 27 November 2026", "2026-11-27T00:00:00+07:00"),
        ("besok", "2026-11-27T00:00:00+07:00"),
        ("08:00", "2026-11-26T08:00:00+07:00"),
    ],
)
def test_a_moment_is_read_as_it_stands_on_a_letter(text: str, moment: str) -> None:
    found = parse_when(text, NOON, WIB)
    assert found.isoformat() == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "25:00",
        "31 Februari 2026",
        "2026-02-30 09:00",
        "1/13/2026",
        "0001-01-01",
        "9999-12-31",
        "12",
        "01.12.26",  # a day that is not told fully, and no time of day
        "senin",
        "٣/٤/٢٠٢٦",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(NotAllowed):
        parse_when(text, NOON, WIB)
    with pytest.raises(NotAllowed):
        parse_day(text, NOON.date())


def test_a_day_of_the_week_that_is_not_the_days_own_is_told() -> None:
    for text in ("Senin, 1 Desember 2026", "monday 2026-12-01 09:00"):
        with pytest.raises(NotAllowed, match="2026-12-01 is a Tuesday"):
            parse_when(text, NOON, WIB)


@given(st.dates(date(1990, 1, 1), date(2200, 12, 31)))
def test_a_day_is_read_in_every_way_it_is_written(day: date) -> None:
    for text in (f"{day:%Y-%m-%d}", f"{day:%d/%m/%Y}", f"{day:%d-%m-%Y}", f"{day.day} {day:%B} {day.year}"):
        assert parse_day(text, NOON.date()) == day


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(NotAllowed):
        assert 1989 < parse_when(text, NOON, WIB).year < 2202
    with contextlib.suppress(NotAllowed):
        assert 1989 < parse_day(text, NOON.date()).year < 2202
