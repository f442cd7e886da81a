"""Which tests are the unit part."""

import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.parts import ELSEWHERE, STARTERS, is_unit, may_have_unit, starts_others


def test_a_test_that_starts_nothing_is_of_it_and_is_marked(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert is_unit(request.node)
    assert request.node.get_closest_marker("unit")


@pytest.mark.parametrize("mark", [pytest.param(mark, marks=getattr(pytest.mark, mark)) for mark in ELSEWHERE])
def test_a_test_that_is_marked_for_elsewhere_is_not(request: pytest.FixtureRequest, mark: str) -> None:
    assert not is_unit(request.node)
    assert not request.node.get_closest_marker("unit")


def test_a_test_whose_fixture_starts_a_program_is_not(request: pytest.FixtureRequest, program: Path) -> None:
    assert program.exists()
    assert not is_unit(request.node)


def test_a_module_is_known_by_itself_and_by_a_thing_that_is_taken_from_it() -> None:
    assert not starts_others([importlib.import_module("json"), Path, print, 7])
    assert starts_others([importlib.import_module("subprocess")])
    assert starts_others([importlib.import_module("tests.support.room").Room])


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("import json\nfrom tests.support import waiting\n", True),
        ("import json, subprocess\n", False),
        ("from tests.support import (\n    waiting,\n    room as rooms,\n)\n", False),
        ("from tests.support.room import Room\n", False),
        ("def test():\n    import subprocess\n", True),
        ("pytestmark = [pytest.mark.skipif(1, reason=''), pytest.mark.slow]\n", False),
        ("@pytest.mark.slow\ndef test(): ...\n", True),
    ],
)
def test_the_text_of_a_module_tells_of_all_its_tests(tmp_path: Path, text: str, may: bool) -> None:
    module = tmp_path / "test_it.py"
    module.write_text(text)
    assert may_have_unit(module) is may


def test_each_that_is_named_is_there() -> None:
    assert [name for name in STARTERS if find_spec(name) is None] == []
