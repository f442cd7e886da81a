"""The office's hours and the procedure of a request, as settings."""

import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import SettingsError
from config.settings.office import (
    STANDARD,
    Office,
    RequestSettings,
    StandardTime,
    format_standard,
    use_time_zone,
    zone_of,
)
from config.settings.quantities import NotAllowed
from config.settings.reader import kinds_of
from config.settings.schema import read_settings

FILE = Path("/etc/liput/liput.toml")


def test_hours_holidays_and_a_chain_of_ones_own() -> None:
    settings = read_settings(
        """
        [office]
        time_zone = "WITA"
        monday = ["8.00 - 12.00", "13:00-17:30"]
        saturday = ["08:00-24:00"]
        holidays = [2026-12-25, "2027-03-08..2027-03-10", "2026-12-25"]
        [request]
        path = "dosir"
        roles = ["Dekan", "Kabag", "Staf"]
        receive = "2 hari"
        dispose = ["3 jam", "30 menit"]
        """,
        FILE,
    )
    office, request = settings.office, settings.request
    assert office.monday == ("08:00-12:00", "13:00-17:30")
    assert office.hours_of(5) == ("08:00-24:00",)
    assert office.holidays == (date(2026, 12, 25), *(date(2027, 3, day) for day in (8, 9, 10)))
    assert office.tuesday == Office().tuesday
    assert request.path == Path("/etc/liput/dosir")
    assert (request.receive, request.carry_out) == (StandardTime(days=2), StandardTime(days=1))
    assert request.dispose == (StandardTime(seconds=10_800), StandardTime(seconds=1800))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('office.monday = ["12:00-08:00"]', "must be hours such as"),
        ('office.monday = ["08:00-24:01"]', "must be hours such as"),
        ('office.monday = ["08:60-12:00"]', "must be hours such as"),
        ('office.monday = "08:00-12:00"', "must be hours such as"),
        ('office.monday = ["13:00-16:00", "08:00-12:00"]', "must be in order"),
        ('office.monday = ["08:00-12:00", "11:00-16:00"]', "must not overlap"),
        ('office.time_zone = "Mars"', 'must be "local"'),
        ('office.time_zone = "../../etc/passwd"', 'must be "local"'),
        ('office.holidays = ["2026-02-30"]', "must be a list of days"),
        ('office.holidays = ["2027-01-02..2027-01-01"]', "must be a list of days"),
        ('office.holidays = ["0001-01-01..9999-12-31"]', "must be a list of days"),
        ('request.receive = "1 week"', "must be a number of working days"),
        ("request.receive = 3600", "must be a number of working days"),
        ('request.dispose = ["0 min"]', "must be a number of working days"),
        ('request.roles = ["Dekan"]', "must be two or more"),
        ('request.roles = ["Dekan", "Dekan"]', "each of them once"),
        ('request.roles = ["Dekan", "Staf"]\nrequest.dispose = ["1 h", "1 h"]', "has more than 1 times"),
        ('request.largest_letter = "1 B"', "must be from 1 kB"),
        (
            "\n".join(f"office.{day} = []" for day in ("monday", "tuesday", "wednesday", "thursday", "friday")),
            "the office works on no day",
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=r"liput\.toml, line \d+: ") as caught:
        read_settings(text, FILE)
    assert said in caught.value.message


@given(
    st.builds(StandardTime, days=st.integers(1, 366))
    | st.integers(1, 60_000).map(lambda m: StandardTime(seconds=60 * m))
)
def test_a_standard_time_reads_back_in_both_languages(standard: StandardTime) -> None:
    for language in ("id", "en"):
        assert STANDARD.read(format_standard(standard, language)) == standard


@given(st.text(max_size=12))
def test_any_text_is_a_standard_time_or_refused(text: str) -> None:
    try:
        found = STANDARD.read(text)
    except NotAllowed:
        return
    assert (found.days > 0) != (found.seconds > 0)


def test_the_pcs_own_zone_is_known() -> None:
    assert zone_of("local") is not None


@pytest.mark.parametrize(("name", "hours"), [("WIT", 9), ("Asia/Jakarta", 7), ("Etc/GMT+3", -3)])
def test_local_times_are_the_offices_here_and_in_children(name: str, hours: int) -> None:
    at = datetime(2026, 12, 1, 20, tzinfo=UTC)
    before = at.astimezone().utcoffset()
    use_time_zone(name)
    assert at.astimezone().utcoffset() == timedelta(hours=hours)
    there = subprocess.run(["date", "-d", "2026-12-01 20:00 UTC", "+%H"], capture_output=True, text=True, check=True)
    assert int(there.stdout) == (20 + hours) % 24
    use_time_zone("local")
    assert at.astimezone().utcoffset() == before


def test_a_zone_that_the_system_does_not_know_has_its_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python brings zones of its own; the C library has none without the system's files."""
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    use_time_zone("Asia/Kathmandu")
    assert datetime(2026, 12, 1, tzinfo=UTC).astimezone().utcoffset() == timedelta(hours=5, minutes=45)


def test_they_are_shown_as_they_are_written() -> None:
    office, request = kinds_of(Office), kinds_of(RequestSettings)
    assert request["receive"].show(StandardTime(days=2)) == "2 days"
    assert request["dispose"].show(RequestSettings().dispose) == ["2 h", "1 h", "10 min"]
    assert request["roles"].show(RequestSettings().roles) == list(RequestSettings().roles)
    assert office["holidays"].show((date(2026, 12, 25),)) == ["2026-12-25"]
    assert office["monday"].show(Office().monday) == list(Office().monday)
