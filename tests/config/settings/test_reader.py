"""Reading settings: each mistake is named with its line and the allowed values, and no secret is repeated."""

import json
import math
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import SettingsError, UsageError
from config.locale.lookup import LANGUAGES
from config.settings.layouts import LAYOUT_KINDS
from config.settings.reader import KeyPath, key_lines, kinds_of
from config.settings.schema import NAMED_SECTIONS, SECTIONS, Profile, Settings, read_settings
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
        (
            'general.language = "ID"',
            f'[general] language = "ID": must be one of {", ".join(LANGUAGES)}; did you mean "id"?',
        ),
        ("archive.path = ''", '[archive] path = "": must be a path in quotes'),
        ("archive.path = '~nobody-by-that-name/x'", "names a home folder that does not exist"),
        ("archive.reserve = '2 Gb/s'", 'must be a size such as "2 GB" or "500 MiB", or a number of bytes'),
        ("archive.reserve = true", "[archive] reserve = true: must be a size"),
        ("archive.reserve = -1", "must be a size"),
        ("recording.sync_s = '1h'", "must be seconds, from 0.1 to 1"),
        ("recording.fragment_s = 1.5", "must be seconds, from 0.1 to 1"),
        ("recording.sync_s = nan", "must be seconds, from 0.1 to 1"),
        ("recording.sync_s = false", "must be seconds, from 0.1 to 1"),
        ("profiles.720p30.width = 721", "must be an even integer from 64 to 7680"),
        ("profiles.720p30.width = 1280.0", "must be an even integer from 64 to 7680"),
        ("profiles.720p30.audio_channels = 6", "must be an integer from 1 to 2"),
        ("profiles.720p30.fps = 29.97", 'must be frames per second: an integer, or a fraction such as "30000/1001"'),
        ("profiles.720p30.fps = '1/2'", "must be from 1 to 120 frames per second"),
        ("profiles.720p30.video_bitrate = '4 MB/s'", 'must be a bit rate such as "4500k" or "4.5 Mbit/s"'),
        ("profiles.720p30.video_bitrate = 4500", "must be from 10 kbit/s to 200 Mbit/s"),
        ("profiles.720p30.maxrate = '1M'", 'maxrate = "1M": must not be below video_bitrate, 2.5 Mbit/s'),
        ("profiles.720p30.preset = 'veryfst'", 'did you mean "veryfast"?'),
        (
            "video.stream_least_bitrate = '2M'\nvideo.stream_bitrate = '1M'",
            'stream_least_bitrate = "2M": must not be above stream_bitrate, 1 Mbit/s',
        ),
        ("video.stream_encode = 'seperate'", 'did you mean "separate"?'),
        ("profiles.x.width = 640", "[profiles.x] lacks height, fps, video_bitrate"),
        ("profiles.'a/b'.width = 640", "a name in [profiles] consists of letters, digits, - and _"),
        ("profiles = 1", "profiles: must be tables, [profiles.NAME]"),
        ("video.profile = '1080p3'", 'did you mean "1080p30"?'),
        ("destinations.x.ca_file = '/ca.pem'", "[destinations.x] lacks url"),
        ("destinations.x = 'rtmp://h/a'", "must be a table, [destinations.x]"),
        (
            "destinations.x = { url = 'rtmp://h/a', mode = 'listener' }",
            'mode = "listener": goes with an srt:// address',
        ),
        (
            "destinations.x = { url = 'file:///srv/hls', latency_s = 1 }",
            "latency_s = 1: goes with an srt:// address only",
        ),
        ("destinations.x = { url = 'srt://h:1', ca_file = 'c' }", "ca_file: goes with an rtmps:// address only"),
        ("destinations.x = { url = 'rtmp://h/a', ca_file = 'c' }", "ca_file: goes with an rtmps:// address only"),
        ("destinations.x = { url = 'srt://:9000' }", "url: names no host to call"),
        ("destinations.x = { url = 'srt://h:9000', mode = 'rendezvous' }", "must be one of caller, listener"),
        ("destinations.x = { url = 'srt://h:9000', latency_s = 0.001 }", "must be seconds, from 0.02 to 10"),
        ("destinations.x = { url = 'srt://h:9000', latency_s = '11s' }", "must be seconds, from 0.02 to 10"),
        ("destinations.x.url = 'rtmp://h..id/a'", "names a host that cannot be looked up"),
        ("destinations.x.url = 'srt://h..id:9000'", "names a host that cannot be looked up"),
        ("check.server = 'https://uji..kampus.ac.id'", "names a host that cannot be looked up"),
        ("destinations.x.url = 'srt://h'", "must look like srt://HOST:PORT, or srt://:PORT for a listener"),
        ("destinations.x.url = 'file://srv/hls'", "must look like file:///FOLDER, a folder named from the root"),
        ("destinations.x = { url = 'srt://h:1', passphrase = 'hush' }", "does not belong in this file"),
        ("destinations.x = { url = 'srt://h:1', stream_id = 'hush' }", "does not belong in this file"),
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
    ("text", "line"),
    [("a = \n", 1), ("[general]\nroom = 'a\n", 2), ("\n\n[general\n", 3), ("a = 1\na = 2\n", 2), ("x = [\n1,\n", 2)],
)
def test_a_file_that_is_not_toml_names_the_line(text: str, line: int) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(f"liput.toml, line {line}: not TOML: ")


@pytest.mark.parametrize(
    "text",
    [
        "[destinations.youtube]\nurl = 'rtmp://h/a'\nkey = 'hush-hush'",
        "[destinations.youtube]\nurl = 'rtmp://h/a'\nstream_key = 'hush-hush'",
        "[keys]\nyoutube = 'hush-hush'",
        "keys = 'hush-hush'",
        "destinations.key = 'hush-hush'",
    ],
)
def test_a_key_in_the_settings_is_refused_with_where_it_belongs(text: str) -> None:
    (problem,) = problems_of(text)
    assert "write it into the file of keys" in problem
    assert "hush" not in problem


def test_a_login_in_the_settings_is_refused_with_where_it_belongs() -> None:
    (problem,) = problems_of("[destinations.wowza]\nurl = 'rtmp://user:hush@h/a'")
    assert "a private file (--stream @FILE)" in problem


@pytest.mark.parametrize(
    "url",
    [
        "rtmp://user:hush@h/a",
        "rtmp://hush@h/a",
        "rtmp://h/a?token=hush",
        "rtmp://h/a#hush",
        "http://h/hush",
        "rtmp://h",
        "rtmp:///hush",
        "rtmp://h:0/hush",
        "rtmp://h:99999/hush",
        "rtmp://[h/hush",
        "rtmp://h/a hush",
        "rtmp://h/a\\u0000hush",
        "srt://h:9000?passphrase=hush-hush-hush",
        "srt://u:hush@h:9000",
        "srt://h:9000/hush",
        "srt://hush",
        "srt://[abc]:9000",
        "srt://hush\uff1a:9000",
        "srt://h:0",
        "srt://h:65536",
        "file://hush/x",
        "",
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


NAMES = st.sampled_from(
    [
        *SECTIONS,
        *NAMED_SECTIONS,
        *kinds_of(Profile),
        "url",
        "ca_file",
        "path",
        "reserve",
        "profile",
        "key",
        "1080p30",
        "x",
        "é",
        "",
    ]
)
VALUES = st.recursive(
    st.one_of(
        st.integers(),
        st.floats(),
        st.booleans(),
        st.text(max_size=8),
        st.dates(),
        st.sampled_from(["4M", "rtmp://h/a", "~"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, date) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_whatever_a_file_holds_each_problem_has_its_line(document: dict[str, object]) -> None:
    text = "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in document.items())
    try:
        settings = read_settings(text, Path("/etc/liput.toml"))
    except SettingsError as error:
        for problem in error.message.split("\n"):
            assert re.match(r"liput.toml, line [1-9]\d*: (?!not TOML)", problem), problem
    else:
        assert isinstance(settings, Settings)


def test_a_layout_that_cannot_be_is_said_with_its_line() -> None:
    assert problems_of('[layouts.mine]\nshow = ["a"]') == ["liput.toml, line 1: [layouts.mine] lacks kind"]
    kinds = ", ".join(LAYOUT_KINDS)
    assert problems_of('[layouts.mine]\nkind = "pipe"') == [
        f'liput.toml, line 2: [layouts.mine] kind = "pipe": must be one of {kinds}; did you mean "pip"?'
    ]
    assert problems_of('layouts.single.show = ["a", "b"]') == [
        'liput.toml, line 1: [layouts.single] show: must name at most 1 input in a "single" layout'
    ]
    assert problems_of('layouts.pip.show = ["a", "a"]') == [
        "liput.toml, line 1: [layouts.pip] show: must not name an input twice"
    ]
    assert problems_of('layouts.pip.show = "a"\nlayouts.pip.size = 0.9') == [
        'liput.toml, line 1: [layouts.pip] show = "a": must be a list of names, such as ["slides", "podium"]',
        "liput.toml, line 2: [layouts.pip] size = 0.9: must be a number from 0.1 to 0.5",
    ]
    assert problems_of("layouts.pip.show = [true]")[0].endswith('such as ["slides", "podium"]')
    assert problems_of('program.title_line = "yes"') == [
        'liput.toml, line 1: [program] title_line = "yes": must be true or false'
    ]


@pytest.mark.parametrize("gain", ["21", "-61", "true", '"6 dB"', "nan"])
def test_a_gain_is_decibels_within_bounds(gain: str) -> None:
    (problem,) = problems_of(f"[sound.podium]\ngain_db = {gain}")
    assert problem.endswith("must be decibels from -60 to 20")


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
    tomllib.loads(TRICKY)
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


def paths_of(value: object, path: KeyPath = ()) -> set[KeyPath]:
    members = value.items() if isinstance(value, dict) else ()
    return {path} | {found for key, member in members for found in paths_of(member, (*path, key))}


def test_windows_line_ends_count_once() -> None:
    assert key_lines("a = 1\r\n\r\n[t]\r\nb = 2\r\n") == {("a",): 1, ("t",): 3, ("t", "b"): 4}


SCALARS = st.one_of(
    st.integers(-9, 9).map(str),
    st.text(st.sampled_from("ab\"\\'#[]{}=,.\n"), max_size=6).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    ),
    st.text(st.sampled_from('ab"\\#[]{}=,. '), max_size=6).map(lambda text: f"'{text}'"),
    st.text(st.sampled_from('ab"#[]{}=,.\n'), max_size=6).map(lambda text: f"'''\n{text}'''"),
)
TOML_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ",\n ".join(items) + "]"),
        st.lists(inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"k{n} = {v}" for n, v in enumerate(items)) + "}"
        ),
    ),
    max_leaves=6,
)


@given(st.lists(TOML_VALUES, min_size=1, max_size=6))
def test_values_never_hide_or_invent_keys(values: list[str]) -> None:
    text, expected = "", {}
    for number, value in enumerate(values):
        expected[f"key{number}"] = text.count("\n") + 1
        text += f"key{number} = {value} # comment\n"
    found = key_lines(text)
    assert set(found) | {()} == paths_of(tomllib.loads(text))
    assert {path[0]: line for path, line in found.items() if len(path) == 1} == expected
