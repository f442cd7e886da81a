"""Slides that Pillow has drawn, read back by the real tesseract."""

import stat
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from recorder.features.slides.chapters import installed_languages, read_slide, slide_text
from tests.support.slides import DECK, slide

LANGUAGES = ("ind", "eng")
NOTHING = "", ""


def read(picture: Path, languages: Sequence[str] = LANGUAGES, seconds: float = 60, **more: str) -> tuple[str, str]:
    return read_slide(picture, languages, time.monotonic() + seconds, **more)


@pytest.mark.parametrize("number", range(len(DECK)))
def test_what_stands_on_a_slide_is_read(tmp_path: Path, number: int) -> None:
    title, points = DECK[number]
    slide(title, points).save(tmp_path / "001.jpg", quality=80)
    found, text = read(tmp_path / "001.jpg")
    assert found == title
    assert all(point in text for point in points)


def test_an_empty_slide_has_no_text(tmp_path: Path) -> None:
    slide("").save(tmp_path / "001.jpg")
    assert read(tmp_path / "001.jpg")[0] == ""


def test_languages_that_are_not_installed_are_left_out(tmp_path: Path) -> None:
    slide(*DECK[3]).save(tmp_path / "001.jpg")
    assert "eng" in installed_languages()
    assert read(tmp_path / "001.jpg", ("xyz", "eng"))[0] == DECK[3][0]
    assert read(tmp_path / "001.jpg", ("xyz",)) == NOTHING


def test_without_tesseract_or_time_nothing_is_read_and_nothing_fails(tmp_path: Path) -> None:
    slide(*DECK[0]).save(tmp_path / "001.jpg")
    assert read(tmp_path / "001.jpg", program="tesseract-that-is-not-there") == NOTHING
    assert read(tmp_path / "001.jpg", seconds=0) == NOTHING


def test_a_reader_that_hangs_is_ended(tmp_path: Path) -> None:
    program = _program(tmp_path, 'if [ "$1" = --list-langs ]; then echo eng; else exec sleep 60; fi')
    began = time.monotonic()
    assert read(tmp_path / "001.jpg", ("eng",), 0.5, program=str(program)) == NOTHING
    assert time.monotonic() - began < 50


def test_a_reader_that_fails_reads_nothing(tmp_path: Path) -> None:
    program = _program(tmp_path, 'if [ "$1" = --list-langs ]; then echo eng; else echo rubbish; exit 1; fi')
    assert read(tmp_path / "001.jpg", ("eng",), program=str(program)) == NOTHING


def test_a_table_that_is_none_has_no_text() -> None:
    assert slide_text("") == NOTHING
    assert slide_text("level\ttext\nx\ty\n5") == NOTHING


def _program(folder: Path, script: str) -> Path:
    path = folder / "tesseract"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
