"""Values are put into a TOML text, and nothing else of it is touched."""

import difflib
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import SettingsError
from config.settings.editing import Value, edited
from config.settings.loading import default_text
from tests.config.settings.test_lines import TRICKY

FILE = Path("liput.toml")
ROOM = ("general", "room")


def changed_lines(before: str, after: str) -> list[str]:
    """Return the lines that differ, with - or + before them."""
    found = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in found if line[:2] in {"- ", "+ "}]


def test_a_value_is_replaced_where_it_stands_and_its_comment_stays() -> None:
    after = edited(FILE, default_text(), {ROOM: "Aula"})
    assert changed_lines(default_text(), after) == [
        '- room = ""           # "Aula Lantai 2": goes into every recording\'s description',
        '+ room = "Aula"           # "Aula Lantai 2": goes into every recording\'s description',
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[general]\nroom = "Aula"\n'),
        ("# mine\n", '# mine\n\n[general]\nroom = "Aula"\n'),
        ("keys_file = 'k'", "keys_file = 'k'\n[general]\nroom = \"Aula\"\n"),
        ("[general] # who\noffice = 'A'\n[web]\n", "[general] # who\noffice = 'A'\nroom = \"Aula\"\n[web]\n"),
        ("general.office = 'x'\n", "general.office = 'x'\ngeneral.room = \"Aula\"\n"),
        ("general = { office = 'x' }\n", "general = { office = 'x', room = \"Aula\"}\n"),
        ("[general]", '[general]\nroom = "Aula"\n'),
        ("[ general ]\r\n[web]\r\n", '[ general ]\r\nroom = "Aula"\r\n[web]\r\n'),
        ("general.room = 'x' # old", 'general.room = "Aula" # old'),
        ("general = { room = 'x', office = 'y' }\n", "general = { room = \"Aula\", office = 'y' }\n"),
        ('[general]\nroom = """two\nlines"""\n', '[general]\nroom = "Aula"\n'),
        ("[web]\n[general]\n'room' = 'x'", "[web]\n[general]\n'room' = \"Aula\""),
    ],
)
def test_in_every_way_that_a_table_may_be_written(before: str, after: str) -> None:
    assert edited(FILE, before, {ROOM: "Aula"}) == after


@pytest.mark.parametrize("text", ["general = 1\n", "[[general]]\n", "[general\n"])
def test_what_it_cannot_write_into_is_refused_and_not_guessed_at(text: str) -> None:
    with pytest.raises(SettingsError):
        edited(FILE, text, {ROOM: "Aula"})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'a = "1"\n'),
        ("# keys\n", '# keys\na = "1"\n'),
        ("b = '2' # two\n[alarms]\nc = '3'\n", "b = '2' # two\na = \"1\"\n\n[alarms]\nc = '3'\n"),
        ("# keys\n[alarms]\nc = '3'\n", "# keys\na = \"1\"\n\n[alarms]\nc = '3'\n"),
        ("[[feeds]]\nc = '3'\n[x]\n", "a = \"1\"\n[[feeds]]\nc = '3'\n[x]\n"),
    ],
)
def test_a_key_at_the_top_level_stands_before_every_table(before: str, after: str) -> None:
    assert edited(FILE, before, {("a",): "1"}) == after


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        (
            "[general]\noffice = 'A'\n\n# the page\n[web]\n",
            ROOM,
            "[general]\noffice = 'A'\nroom = \"Aula\"\n\n# the page\n[web]\n",
        ),
        (
            "[d.x]\nroom = 'B'\n\n# the page\n[web]\nport = 1\n",
            ("d", "y", "room"),
            "[d.x]\nroom = 'B'\n\n[d.y]\nroom = \"Aula\"\n\n# the page\n[web]\nport = 1\n",
        ),
    ],
)
def test_a_comment_stays_before_the_table_that_it_is_about(before: str, path: tuple[str, ...], after: str) -> None:
    assert edited(FILE, before, {path: "Aula"}) == after


def test_several_at_once_and_tables_of_one_line() -> None:
    changes: dict[tuple[str, ...], Value] = {
        ("s",): {"passphrase": 'a"b', "stream_id": "c\\d"},
        ("d", "y", "test"): True,
        ("d", "y", "url"): "u",
    }
    after = edited(FILE, "", changes)
    assert tomllib.loads(after) == {
        "s": {"passphrase": 'a"b', "stream_id": "c\\d"}, "d": {"y": {"test": True, "url": "u"}},
    }  # fmt: skip


@given(
    st.text(), st.sampled_from([("general", "room"), ("plain",), ("table", "sub", "one"), ("quoted key",), ("new",)])
)
def test_whatever_is_written_is_read_again_and_the_rest_is_as_before(value: str, path: tuple[str, ...]) -> None:
    before = tomllib.loads(TRICKY)
    table = before
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value
    assert tomllib.loads(edited(FILE, TRICKY, {path: value})) == before
