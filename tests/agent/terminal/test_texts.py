"""Moments as people write them, exports without secrets, and tables for spreadsheets."""

import contextlib
import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.terminal.exported_file import csv_text
from agent.terminal.moments import parse_day, parse_moment, parse_when
from agent.terminal.redact import HIDDEN, redactor
from config.settings.office import INDONESIAN_ZONES
from config.settings.quantities import NotAllowed
from config.settings.secrets import Secret, srt_secret
from devices.health.log_line import LogLevel

NOW = datetime(2026, 11, 25, 9, 30, 15).astimezone()
WIB = INDONESIAN_ZONES["WIB"]
NOON = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2d", NOW - timedelta(days=2)),
        ("1w2d 3h", NOW - timedelta(days=9, hours=3)),
        ("2 D ago", NOW - timedelta(days=2)),
        ("now", NOW),
        ("2026-11-20", datetime(2026, 11, 20).astimezone()),
        ("2026-11-20 14:30", datetime(2026, 11, 20, 14, 30).astimezone()),
        ("2026-11-20T14:30:05.25+07:00", datetime.fromisoformat("2026-11-20T14:30:05.25+07:00")),
        ("today", datetime(2026, 11, 25).astimezone()),
        ("kemarin", datetime(2026, 11, 24).astimezone()),
        ("7:05", datetime(2026, 11, 25, 7, 5).astimezone()),
        ("kemarin 14.30", datetime(2026, 11, 24, 14, 30).astimezone()),
        ("1 November 2026", datetime(2026, 11, 1).astimezone()),
    ],
)
def test_a_moment_is_read(text: str, expected: datetime) -> None:
    moment = parse_moment(text, NOW)
    assert moment == expected
    assert moment.tzinfo is not None


def test_a_day_ends_just_before_the_next_and_another_moment_is_its_own_end() -> None:
    day = parse_moment("yesterday", NOW)
    assert parse_moment("yesterday", NOW, end=True) == day + timedelta(days=1) - timedelta(microseconds=1)
    assert parse_moment("2d", NOW, end=True) == parse_moment("2d", NOW)


@pytest.mark.parametrize(
    "text",
    ["", "2", "2x", "2d2d", "2026-02-30", "25:00", "0001-01-01", "9999-12-31", "999999w", "2026-11-20 noon", "0s"],
)
def test_anything_else_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(NotAllowed, match="must be how long ago"):
        parse_moment(text, NOW, end=True)


# As they stand on letters


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-01 09:00", "2026-12-01T09:00:00+07:00"),
        ("2026-12-01T09:00:00.5Z", "2026-12-01T16:00:00.500000+07:00"),
        ("1/12/2026 9.30", "2026-12-01T09:30:00+07:00"),
        ("1 December 2026, 09:00 WITA", "2026-12-01T08:00:00+07:00"),
        ("kemarin 14:30", "2026-11-25T14:30:00+07:00"),
        ("1.12.2026 pkl 09.30", "2026-12-01T09:30:00+07:00"),
        ("Selasa, 1 Desember 2026 pukul 09.00 WIB", "2026-12-01T09:00:00+07:00"),
        ("Jum'at 27 November 2026", "2026-11-27T00:00:00+07:00"),
        ("besok", "2026-11-27T00:00:00+07:00"),
    ],
)
def test_a_moment_is_read_as_it_stands_on_a_letter(text: str, moment: str) -> None:
    found = parse_when(text, NOON, WIB)
    assert found.isoformat() == moment


@pytest.mark.parametrize(
    "text",
    ["", "25:00", "31 Februari 2026", "1/13/2026", "0001-01-01", "9999-12-31", "12", "01.12.26", "senin", "٣/٤/٢٠٢٦"],
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


# No secret leaves this PC in an export


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://admin:pw@10.0.0.9/cam", f"rtsp://{HIDDEN}@10.0.0.9/cam"),
        ("rtmps://a.example/live2/abcd-efgh failed", f"rtmps://a.example/live2/{HIDDEN} failed"),
        ("rtmp://h:1935/app?key=x", f"rtmp://h:1935/app?{HIDDEN}"),
        ("srt://h:1?passphrase=geheim01&mode=caller", f"srt://h:1?passphrase={HIDDEN}&mode=caller"),
        ('{"url":"x","token":"t0k3n"}', f'{{"url":"x","token":"{HIDDEN}"}}'),
        ("Authorization: Bearer abcdef0123456789", f"Authorization: Bearer {HIDDEN}"),
        ("password=hunter2 rest", f"password={HIDDEN} rest"),
        ("http://h/x?auth=t0k3n&sig=ab12", f"http://h/x?auth={HIDDEN}&sig={HIDDEN}"),
        ("Cookie: session=deadbeef; x", f"Cookie: session={HIDDEN}; x"),
        ("mysql --password geheim01 db", f"mysql --password {HIDDEN} db"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, expected: str) -> None:
    assert redactor()(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "rtmps://a.rtmp.youtube.com/live2",
        "046d:0825:CAM0001",
        '{"at":"2026-11-25T09:00:00+07:00","kind":"control-changed","reason":"focus: 30 instead of 0"}',
        "mail admin@example.org",
        '{"token":12,"key":null}',
        "the keyframe came late; keyboard: none",
        "wlan0: auth: timed out; session: 3 opened",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert redactor()(text) == text


def test_a_known_key_is_found_in_text_and_in_json() -> None:
    redact = redactor([Secret('ab"cd\\ef-é')])
    assert redact('the key ab"cd\\ef-é was refused') == f"the key {HIDDEN} was refused"
    srt = redactor([srt_secret('pass"phrase\\1', "aula utama")])
    assert srt(json.dumps(['pass"phrase\\1', "aula utama", "aula%20utama"])) == json.dumps([HIDDEN] * 3)
    assert redact(json.dumps({"reason": 'ab"cd\\ef-é'}, ensure_ascii=False)) == f'{{"reason": "{HIDDEN}"}}'


# Tables for spreadsheets


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("sign", ["=", "@", "\t"])
def test_no_text_of_a_table_is_a_formula(sign: str) -> None:
    assert read(csv_text(["name"], [[f"{sign}HYPERLINK(1)"]])) == [["name"], [f"'{sign}HYPERLINK(1)"]]


def test_what_is_no_formula_is_as_it_was() -> None:
    row = ["Rapat = senat", 'a "b", c', "dua\nbaris", -3, 2.5, None, LogLevel.WARN]
    assert read(csv_text(["x"] * 7, [row]))[1] == ["Rapat = senat", 'a "b", c', "dua\nbaris", "-3", "2.5", "", "warn"]


def test_it_begins_with_the_mark_of_its_encoding_and_names_that_are_none_are_replaced() -> None:
    assert csv_text(["ruang"], [["é\udcff"]]) == b"\xef\xbb\xbfruang\r\n\xc3\xa9?\r\n"
