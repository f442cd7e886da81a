"""Reading settings: each mistake is named with its line and the allowed values; quantities as people write them."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import UsageError
from config.locale.number_format import latency
from config.settings.quantities import (
    NotAllowed,
    brief_duration,
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
from config.settings.reader import KeyPath, key_lines
from config.settings.schema import Settings
from tests.support.errors import problems_of

pytestmark = pytest.mark.usefixtures("home")


def test_a_wrong_key_names_the_nearest_right_one_and_its_line() -> None:
    assert problems_of('[general]\nroom = "A"\n\n[profiles.1080p30]\nheigth = 1080\n') == [
        'liput.toml, line 5: unknown key "heigth" in [profiles.1080p30]; did you mean "height"?'
    ]
    assert problems_of('[archiv]\npath = "/x"\n') == [
        'liput.toml, line 1: unknown key "archiv" at the top level; did you mean "archive"?'
    ]
    assert problems_of("zzzz = 1") == ['liput.toml, line 1: unknown key "zzzz" at the top level']


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("general.room = 5", "[general] room = 5: must be text in quotes"),
        ("general = 5", "general: must be a table, [general]"),
        ('general.language = "ID"', '[general] language = "ID": must be one of id, en; did you mean "id"?'),
        ("archive.path = ''", '[archive] path = "": must be a path in quotes'),
        ("archive.path = '~nobody-by-that-name/x'", "names a home folder that does not exist"),
        ("archive.reserve = '2 Gb/s'", 'must be a size such as "2 GB" or "500 MiB", or a number of bytes'),
        ("recording.sync_s = '1h'", "must be seconds, from 0.1 to 1"),
        ("recording.sync_s = nan", "must be seconds, from 0.1 to 1"),
        ("profiles.720p30.width = 721", "must be an even integer from 64 to 7680"),
        ("profiles.720p30.fps = 29.97", 'must be frames per second: an integer, or a fraction such as "30000/1001"'),
        ("profiles.720p30.fps = '1/2'", "must be from 1 to 120 frames per second"),
        ("profiles.720p30.video_bitrate = 4500", "must be from 10 kbit/s to 200 Mbit/s"),
        ("profiles.x.width = 640", "[profiles.x] lacks height, fps, video_bitrate"),
        ("profiles.'a/b'.width = 640", "a name in [profiles] consists of letters, digits, - and _"),
        ("profiles = 1", "profiles: must be tables, [profiles.NAME]"),
        ("video.profile = '1080p3'", 'did you mean "1080p30"?'),
        ("destinations.x = 'rtmp://h/a'", "must be a table, [destinations.x]"),
        ("destinations.x = { url = 'rtmp://h/a', mode = 'listener' }", "goes with an srt:// address"),
        ("destinations.x = { url = 'file:///srv/hls', latency_s = 1 }", "goes with an srt:// address only"),
        ("profiles.720p30.maxrate = '1M'", 'maxrate = "1M": must not be below video_bitrate, 2.5 Mbit/s'),
        ("video = { stream_least_bitrate = '2M', stream_bitrate = '1M' }", "must not be above stream_bitrate"),
        ("destinations.x = { url = 'srt://h:1', ca_file = 'c' }", "ca_file: goes with an rtmps:// address only"),
        ("destinations.x = { url = 'srt://:9000' }", "url: names no host to call"),
        ("destinations.x.url = 'rtmp://h..id/a'", "names a host that cannot be looked up"),
        ("check.server = 'https://uji..kampus.ac.id'", "names a host that cannot be looked up"),
        ("destinations.x.url = 'srt://h'", "must look like srt://HOST:PORT, or srt://:PORT for a listener"),
    ],
)
def test_a_wrong_value_says_what_is_allowed(text: str, problem: str) -> None:
    found = problems_of(f"\n{text}")
    assert len(found) == 1
    assert found[0].startswith("liput.toml, line 2: ")
    assert problem in found[0]


def test_every_problem_is_listed_in_the_order_of_the_file() -> None:
    found = problems_of("[video]\nprofile = 1\n[general]\nroms = 1\nroom = 2\n[profiles.x]\nwidth = 1\n")
    assert [problem.partition(": ")[0] for problem in found] == [f"liput.toml, line {line}" for line in (2, 4, 5, 6, 7)]


def test_a_profile_with_a_problem_is_not_called_unknown_as_well() -> None:
    assert len(problems_of("video.profile = 'x'\nprofiles.x.width = 1\nprofiles.x.height = 1\n")) == 3


@pytest.mark.parametrize(
    ("text", "line"), [("[general]\nroom = 'a\n", 2), ("\n\n[general\n", 3), ("a = 1\na = 2\n", 2)]
)
def test_a_file_that_is_not_toml_names_the_line(text: str, line: int) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(f"liput.toml, line {line}: not TOML: ")


@pytest.mark.parametrize(
    "text",
    [
        "[destinations.youtube]\nurl = 'rtmp://h/a'\nkey = 'hush-hush'",
        "[keys]\nyoutube = 'hush-hush'",
        "destinations.key = 'hush-hush'",
    ],
)
def test_a_key_in_the_settings_is_refused_with_where_it_belongs(text: str) -> None:
    (problem,) = problems_of(text)
    assert "write it into the file of keys" in problem
    assert "hush" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "rtmp://user:hush@h/a",
        "rtmp://h/a?token=hush",
        "http://h/hush",
        "rtmp://h:99999/hush",
        "rtmp://[h/hush",
        "rtmp://h/a\\u0000hush",
        "srt://h:9000?passphrase=hush-hush-hush",
        "srt://h:9000/hush",
        "srt://hush\uff1a:9000",
    ],
)
def test_an_address_that_is_wrong_or_holds_a_secret_is_refused_unseen(url: str) -> None:
    (problem,) = problems_of(f'destinations.youtube.url = "{url}"')
    assert problem.startswith("liput.toml, line 1: [destinations.youtube] url: must ")
    assert "hush" not in problem


def test_an_unknown_profile_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match='there is no profile "1080p3"; did you mean "1080p30"') as caught:
        Settings().profile("1080p3")
    assert "720p30" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('layouts.mine.show = ["a"]', "[layouts.mine] lacks kind"),
        ('layouts.single.show = ["a", "b"]', 'must name at most 1 input in a "single" layout'),
        ('layouts.pip.show = ["a", "a"]', "[layouts.pip] show: must not name an input twice"),
        ('layouts.pip.show = "a"', 'must be a list of names, such as ["slides", "podium"]'),
        ("layouts.pip.show = [true]", 'must be a list of names, such as ["slides", "podium"]'),
        ("sound.podium.gain_db = 21", "must be decibels from -60 to 20"),
        ('program.title_line = "yes"', "must be true or false"),
    ],
)
def test_a_layout_or_sound_that_cannot_be_is_said(text: str, problem: str) -> None:
    (found,) = problems_of(text)
    assert problem in found


# The line of each key

TRICKY = '''# a comment with [brackets] and key = "x"
plain = 1
"quoted key" = 2  # [not.a.table]
'literal.key' = 3
"esc\\u0061ped" = 4
a . b . "c" = 5

text = """
[looks.like]
a.table = "but is not"
five = \\""" quotes \\""" """
literal = \'\'\'
key = 1\'\'\'
[table]
sub.one = 1
sub.two = { x = 1, "y z" = [ { deep = true } ], w.v = "}" }
array = [
  1, # one ]
  "two ] , [",
  [ 3,
    4 ],
]
when = 1979-05-27 07:32:00Z
[table.sub.three]
x = 0
[[items]]
name = "first"
[[items]]
name = "second"
'''


def test_every_way_of_writing_a_key() -> None:
    expected: dict[KeyPath, str] = {
        ("plain",): "plain = 1",
        ("quoted key",): '"quoted key" =',
        ("literal.key",): "'literal.key'",
        ("escaped",): '"esc\\u0061ped"',
        ("a", "b", "c"): "a . b",
        ("text",): "text =",
        ("literal",): "literal =",
        ("table",): "[table]",
        ("table", "sub", "one"): "sub.one",
        ("table", "sub", "two", "x"): "sub.two",
        ("table", "sub", "two", "w", "v"): "sub.two",
        ("table", "array"): "array = [",
        ("table", "when"): "when =",
        ("table", "sub", "three"): "[table.sub.three]",
        ("items",): "[[items]]",
    }
    lines, found = TRICKY.split("\n"), key_lines(TRICKY)
    for path, start in expected.items():
        assert lines[found[path] - 1].startswith(start), path


def test_windows_line_ends_count_once() -> None:
    assert key_lines("a = 1\r\n\r\n[t]\r\nb = 2\r\n") == {("a",): 1, ("t",): 3, ("t", "b"): 4}


# Quantities


@pytest.mark.parametrize(
    ("parse", "written", "value"),
    [
        (parse_duration, "1H 30M 5s", 5405),
        (parse_duration, "2.5m", 150),
        (parse_duration, " 1m0.5s ", 60.5),
        (parse_duration, "250ms", 0.25),
        (parse_size, "2 GB", 2 * 10**9),
        (parse_size, "1.5gib", 3 * 2**29),
        (parse_size, "700", 700),
        (parse_size, 5, 5),
        (parse_rate, "4500k", 4_500_000),
        (parse_rate, "4.5 Mbit/s", 4_500_000),
        (parse_rate, "128kbps", 128_000),
        (parse_frame_rate, 30, Fraction(30)),
        (parse_frame_rate, "30000/1001", Fraction(30000, 1001)),
    ],
)
def test_quantities_as_people_write_them(parse: Callable[[Any], object], written: str | int, value: object) -> None:
    assert parse(written) == value


@pytest.mark.parametrize(
    ("parse", "written"),
    [
        *((parse_duration, text) for text in ("", "90", "1m1h", "1m1m", "1h30", "-5s", "0s", "0.0001s", "1h,30m")),
        *((parse_size, text) for text in ("", "GB", "2 Gbit", "0.5 B", "1,5 GB", -1)),
        *((parse_rate, text) for text in ("", "4.5 MB/s", "0.5", -3)),
        *((parse_frame_rate, text) for text in ("29.97", "", "30/0", "-30", "1/2/3", 0)),
    ],
)
def test_quantities_that_could_mean_something_else_are_refused(parse: Callable[[Any], object], written: object) -> None:
    with pytest.raises(NotAllowed, match="must be"):
        parse(written)


@given(number=st.integers(1, 2**40))
@settings(max_examples=30)
def test_a_printed_quantity_reads_back(number: int) -> None:
    seconds = (number % 10**10 + 1) / 1000
    assert parse_duration(format_duration(seconds)) == seconds
    assert parse_size(format_size(number)) == number
    assert parse_rate(format_rate(number)) == number


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        (format_duration, {5400: "1h30m", 90: "1m30s", 3661.5: "1h1m1s500ms", 0: "0s"}),
        (format_size, {2 * 10**9: "2 GB", 500 * 2**20: "500 MiB", 8_123_456: "8.123456 MB", 999: "999 B", 0: "0 B"}),
        (format_rate, {4_500_000: "4.5 Mbit/s", 128_000: "128 kbit/s"}),
        (brief_size, {512: "512 B", 8_123_456: "8.12 MB", 81_234_567: "81.2 MB", 812_345_678: "812 MB"}),
        (brief_rate, {4_512_345.6: "4.51 Mbit/s"}),
        (partial(latency, language="en"), {0.0004: "<1 ms", 0.0432: "43 ms", 0.9994: "999 ms", 1.24: "1.2 s"}),
        (brief_duration, {95.4: "95s", 120: "2m", 3600 * 3 + 725: "3h12m"}),
        (clock_text, {59.9: "0:00:59", 3723.4: "1:02:03", 36_000 * 3: "30:00:00"}),
    ],
)
def test_quantities_are_printed_in_the_unit_that_a_person_would_choose(
    form: Callable[[Any], str], texts: dict[float, str]
) -> None:
    assert {number: form(number) for number in texts} == texts
