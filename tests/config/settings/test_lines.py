"""The line of each key, in every way TOML lets one write keys."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from config.settings.reader import KeyPath, key_lines

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
[items.part]
size = 1
[[items]]
name = "second"
[items.part]
size = 2
[[items.list]]
z = 1
[[items.list]]
z = 2
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
        ("table", "sub", "two", "y z", 0, "deep"): "sub.two",
        ("table", "sub", "two", "w", "v"): "sub.two",
        ("table", "array", 0): "  1, # one",
        ("table", "array", 1): '  "two ]',
        ("table", "array", 2, 1): "    4 ]",
        ("table", "when"): "when =",
        ("table", "sub", "three"): "[table.sub.three]",
        ("items", 0, "name"): 'name = "first"',
        ("items", 0, "part", "size"): "size = 1",
        ("items", 1, "name"): 'name = "second"',
        ("items", 1, "part", "size"): "size = 2",
        ("items", 1, "list", 0, "z"): "z = 1",
        ("items", 1, "list", 1, "z"): "z = 2",
    }
    lines, found = TRICKY.split("\n"), key_lines(TRICKY)
    for path, start in expected.items():
        assert lines[found[path] - 1].startswith(start), path


def paths_of(value: object, path: KeyPath = ()) -> set[KeyPath]:
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    else:
        members = []
    return {path} | {found for key, member in members for found in paths_of(member, (*path, key))}


def test_exactly_the_keys_of_the_text_are_found() -> None:
    assert set(key_lines(TRICKY)) | {()} == paths_of(tomllib.loads(TRICKY))


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
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ",\n ".join(items) + "]"),
        st.lists(inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"k{n} = {v}" for n, v in enumerate(items)) + "}"
        ),
    ),
    max_leaves=6,
)


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_values_never_hide_or_invent_keys(values: list[str]) -> None:
    text, expected = "", {}
    for number, value in enumerate(values):
        expected[f"key{number}"] = text.count("\n") + 1
        text += f"key{number} = {value} # comment\n"
    found = key_lines(text)
    assert set(found) | {()} == paths_of(tomllib.loads(text))
    assert {path[0]: line for path, line in found.items() if len(path) == 1} == expected
