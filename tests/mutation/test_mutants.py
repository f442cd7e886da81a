"""What may be changed in a module."""

import ast
import textwrap
from pathlib import Path

import pytest

from tests.mutation.judging import excused
from tests.mutation.mutants import mutants

ROOT = Path(__file__).parents[2]


def names(source: str) -> list[str]:
    return [mutant.name for mutant in mutants(textwrap.dedent(source))]


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("a == b is c", ["a == b is c -> a != b is c", "a == b is c -> a == b is not c"]),
        ("a and b or c", ["a and b or c -> (a and b) and c", "a and b -> a or b"]),
        ("not a", ["not a -> a"]),
        ("a + b * c", ["a + b * c -> a - b * c", "b * c -> b / c"]),
        ("a += b", ["a += b -> pass"]),
        ("a(b)", ["a(b) -> pass"]),
        ("x = 7", ["7 -> 8"]),
        ("x = 0.5, 0.0", ["0.5 -> 1.0", "0.0 -> 1.0"]),
        ("x = True", ["True -> False"]),
        ("x = a if b else c", ["b -> not b"]),
        ("x = [a for a in b if a]", ["a -> not a"]),
    ],
)
def test_one_thing_is_changed_at_a_time(source: str, changes: list[str]) -> None:
    assert names(source) == [f"module: {change}" for change in changes]


def test_the_rest_of_the_module_stays() -> None:
    (mutant,) = mutants("import os\n\ndef f(a):\n    return a\n")
    assert (mutant.line, mutant.source) == (4, "import os\n\ndef f(a):\n    return")


def test_changes_that_are_said_alike_have_numbers() -> None:
    assert names("x = 1, 1, 2, 1") == [f"module: {said}" for said in ("1 -> 2", "1 -> 2 #2", "2 -> 3", "1 -> 2 #3")]


def test_a_change_says_where_it_is() -> None:
    source = """
        class Till:
            def total(self):
                def each(item):
                    return item
                return each
        """
    assert names(source) == ["Till.total.each: return item -> return", "Till.total: return each -> return"]


@pytest.mark.parametrize(
    "source",
    [
        '"""What it is for, in 2 words."""',
        "def f(a: Literal[1] = b) -> Literal[2]: pass",
        "class A(frozen=True, kw_only=True): pass",
        "@dataclass(frozen=True)\nclass A: pass",
        "type A = B[1]",
        "if TYPE_CHECKING:\n    a(b)",
        "def f():\n    return None",
        "def f():\n    return",
        "x = None, 'a', b'c'",
    ],
)
def test_what_no_test_could_notice_is_left_alone(source: str) -> None:
    assert names(source) == []


def test_each_mutant_of_real_code_is_python_and_another_program() -> None:
    source = Path(__file__).with_name("mutants.py").read_text()
    original = ast.unparse(ast.parse(source))
    every = list(mutants(source))
    assert len(every) > 30
    for mutant in every:
        ast.parse(mutant.source)
        assert mutant.source != original


def test_what_is_excused_can_still_be_made() -> None:
    for module, known in excused().items():
        assert known.keys() <= {mutant.name for mutant in mutants((ROOT / module).read_text())}, module
