"""Moments as people write them."""

from datetime import datetime, timedelta

import pytest

from agent.moments import parse_moment
from config.quantities import NotAllowed

NOW = datetime(2026, 11, 25, 9, 30, 15).astimezone()


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
        ("07:05:30", datetime(2026, 11, 25, 7, 5, 30).astimezone()),
    ],
)
def test_a_moment_is_read(text: str, expected: datetime) -> None:
    moment = parse_moment(text, NOW)
    assert moment == expected
    assert moment.tzinfo is not None


@pytest.mark.parametrize("text", ["2026-11-20", "yesterday"])
def test_a_day_ends_just_before_the_next(text: str) -> None:
    day = parse_moment(text, NOW)
    assert parse_moment(text, NOW, end=True) == day + timedelta(days=1) - timedelta(microseconds=1)


def test_another_moment_is_its_own_end() -> None:
    assert parse_moment("2d", NOW, end=True) == parse_moment("2d", NOW)


@pytest.mark.parametrize(
    "text",
    ["", " ", "2", "d", "2x", "-2d", "2d2d", "soon", "2026-13-01", "2026-02-30", "2026-11", "25:00", "0001-01-01",
     "9999-12-31", "999999w", "99999999d", "2026-11-20 noon", "1h 2", "0s"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(NotAllowed, match="must be how long ago"):
        parse_moment(text, NOW, end=True)
