"""Quantities: what people write, and that what we print reads back as the same number."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings.quantities import (
    NotAllowed,
    brief_duration,
    brief_latency,
    brief_rate,
    brief_size,
    clock_text,
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_frame_rate,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2m", 120),
        ("1h30m", 5400),
        ("1H 30M 5s", 5405),
        ("2.5m", 150),
        ("250ms", 0.25),
        (" 1m0.5s ", 60.5),
    ],
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "90", "s", "1m1h", "1m1m", "1h30", "-5s", "0s", "0.0001s", "1e3s", "1h,30m", "٣s", "nan", "1 2s"]
)
def test_durations_that_could_mean_something_else_are_refused(text: str) -> None:
    with pytest.raises(NotAllowed, match="must be"):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=10**10))
def test_a_printed_duration_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


def test_durations_are_printed_short() -> None:
    assert [format_duration(seconds) for seconds in (5400, 90, 3600, 0.25, 3661.5, 0)] == [
        "1h30m",
        "1m30s",
        "1h",
        "250ms",
        "1h1m1s500ms",
        "0s",
    ]


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("2 GB", 2 * 10**9),
        ("500 MiB", 500 * 2**20),
        ("1.5gib", 3 * 2**29),
        ("0 B", 0),
        ("12kB", 12000),
        ("700", 700),
        (5, 5),
    ],
)
def test_sizes_as_people_write_them(written: str | int, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "GB", "2 G", "-1 B", "0.5 B", "2 GB/s", "1,5 GB", "2 Gbit", -1, "1e9"])
def test_sizes_that_are_not_are_refused(written: str | int) -> None:
    with pytest.raises(NotAllowed, match="must be a size"):
        parse_size(written)


@given(st.integers(min_value=0, max_value=2**62))
def test_a_printed_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("4500k", 4_500_000),
        ("4.5 Mbit/s", 4_500_000),
        ("128kbps", 128_000),
        ("2M", 2 * 10**6),
        ("96000", 96_000),
        (7, 7),
    ],
)
def test_rates_as_people_write_them(written: str | int, rate: int) -> None:
    assert parse_rate(written) == rate


@pytest.mark.parametrize("written", ["", "k", "4.5 MB/s", "4.5 MB", "-3k", "1.0001k4", -3, "0.5"])
def test_rates_in_bytes_and_other_mistakes_are_refused(written: str | int) -> None:
    with pytest.raises(NotAllowed, match="must be a bit rate"):
        parse_rate(written)


@given(st.integers(min_value=0, max_value=2**40))
def test_a_printed_rate_reads_back(rate: int) -> None:
    assert parse_rate(format_rate(rate)) == rate


def test_exact_forms_choose_the_unit_a_person_would() -> None:
    assert [format_size(size) for size in (2_000_000_000, 500 * 2**20, 8_123_456, 1000, 999, 1024, 0)] == [
        "2 GB",
        "500 MiB",
        "8.123456 MB",
        "1 kB",
        "999 B",
        "1 KiB",
        "0 B",
    ]
    assert [format_rate(rate) for rate in (4_500_000, 128_000, 800_000)] == ["4.5 Mbit/s", "128 kbit/s", "800 kbit/s"]


def test_brief_forms_have_three_digits() -> None:
    assert [brief_size(size) for size in (0, 512, 8_123_456, 81_234_567, 812_345_678)] == [
        "0 B",
        "512 B",
        "8.12 MB",
        "81.2 MB",
        "812 MB",
    ]
    assert brief_rate(4_512_345.6) == "4.51 Mbit/s"


def test_a_latency_is_to_the_millisecond_and_never_nothing() -> None:
    told = [brief_latency(seconds) for seconds in (0.0, 0.0004, 0.0432, 0.9994, 1.24)]
    assert told == ["<1 ms", "<1 ms", "43 ms", "999 ms", "1.2 s"]


def test_a_brief_duration_is_to_the_minute() -> None:
    assert [brief_duration(seconds) for seconds in (0, 95.4, 119.9, 120, 3600 * 3 + 725)] == [
        "0s", "95s", "120s", "2m", "3h12m",
    ]  # fmt: skip


def test_a_clock_shows_whole_seconds_that_have_passed() -> None:
    assert [clock_text(seconds) for seconds in (0, 59.9, 60, 3723.4, 36_000 * 3)] == [
        "0:00:00", "0:00:59", "0:01:00", "1:02:03", "30:00:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "rate"),
    [(30, Fraction(30)), ("25", Fraction(25)), ("30000/1001", Fraction(30000, 1001)), ("25 / 2", Fraction(25, 2))],
)
def test_frame_rates(written: str | int, rate: Fraction) -> None:
    assert parse_frame_rate(written) == rate
    assert parse_frame_rate(str(rate)) == rate


@pytest.mark.parametrize("written", ["29.97", "", "0", "30/0", "-30", "30/", "1/2/3", 0, -1])
def test_frame_rates_that_are_not_exact_are_refused(written: str | int) -> None:
    with pytest.raises(NotAllowed, match="30000/1001"):
        parse_frame_rate(written)
