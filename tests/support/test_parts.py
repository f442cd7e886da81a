"""Which tests are the unit part."""

import importlib
from pathlib import Path

import pytest

from tests.support.parts import ELSEWHERE, STARTERS, is_unit, starts_others


def test_what_starts_nothing_is_of_it_and_is_marked(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert is_unit(request.node)
    assert request.node.get_closest_marker("unit")


@pytest.mark.parametrize("mark", [pytest.param(mark, marks=getattr(pytest.mark, mark)) for mark in ELSEWHERE])
def test_what_is_marked_for_elsewhere_is_not(request: pytest.FixtureRequest, mark: str) -> None:
    assert not is_unit(request.node)
    assert not request.node.get_closest_marker("unit")


def test_who_takes_a_fixture_that_starts_a_program_is_not(request: pytest.FixtureRequest, program: Path) -> None:
    assert program.exists()
    assert not is_unit(request.node)


def test_a_module_is_known_by_itself_and_by_what_is_taken_from_it() -> None:
    assert not starts_others([importlib.import_module("json"), Path, print, 7])
    assert starts_others([importlib.import_module("subprocess")])
    assert starts_others([importlib.import_module("tests.support.room").Room])


def test_each_that_is_named_is_there() -> None:
    for name in STARTERS:
        assert importlib.import_module(name)
