"""Every licence of what is installed with Liput is known, and stands on its page."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import Distribution

import pytest

from tests.release import licences
from tests.release.licences import CARRIED, FFMPEG, READ, is_compatible, terms
from tests.release.locked import runtime


@cache
def installed() -> Mapping[str, Distribution]:
    return {package.name: found for package in runtime() if (found := licences.distribution_of(package))}


@cache
def libraries() -> Mapping[str, Mapping[str, str]]:
    return {name: dict(licences.carried_by(name, found)) for name, found in installed().items()}


def test_the_page_is_what_is_installed() -> None:
    assert licences.PAGE.read_text() == licences.page(), "python -m tests.release.licences writes it anew"


def test_all_but_openssl_goes_with_the_gpl() -> None:
    assert {name for name, found in installed().items() if not is_compatible(licences.licence_of(found))} == set()
    foreign = {
        (name, library)
        for name, carried in libraries().items()
        for library, licence in carried.items()
        if not is_compatible(licence)
    }
    assert foreign == {("opencv-python", "libcrypto"), ("opencv-python", "libssl")}


def test_nothing_is_in_the_tables_that_is_not_installed() -> None:
    assert set(READ) <= set(installed())
    assert set(FFMPEG) == {name for name, carried in libraries().items() if "libavcodec" in carried}
    assert set(CARRIED) <= {library for carried in libraries().values() for library in carried}


@pytest.mark.parametrize(
    ("expression", "compatible"),
    [
        ("MIT", True),
        ("GPL-2.0-only", False),
        ("GPL-2.0-only OR BSD-3-Clause", True),
        ("MIT AND GPL-2.0-only", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("EPL-2.0 OR MIT AND X11", True),
        ("Apache 2.0", False),
    ],
)
def test_an_expression_is_compatible_where_one_alternative_is(expression: str, compatible: bool) -> None:
    assert is_compatible(expression) is compatible


def test_a_sentence_is_no_expression() -> None:
    assert terms("BSD License") == [] == terms("")
