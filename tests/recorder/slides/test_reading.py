"""Slides that Pillow has drawn, read back by the real tesseract."""

import stat
import time
from pathlib import Path

import pytest

from recorder.slides.reading import Reader, SlideText, installed, slide_text
from tests.support.slides import DECK, slide

LANGUAGES = ("ind", "eng")


@pytest.mark.parametrize("number", range(len(DECK)))
def test_what_stands_on_a_slide_is_read(tmp_path: Path, number: int) -> None:
    title, points = DECK[number]
    slide(title, points).save(tmp_path / "001.jpg", quality=80)
    found = Reader(LANGUAGES, 60).read(tmp_path / "001.jpg")
    assert found.title == title
    assert all(point in found.text for point in points)


def test_an_empty_slide_has_no_text(tmp_path: Path) -> None:
    slide("").save(tmp_path / "001.jpg")
    assert Reader(LANGUAGES, 60).read(tmp_path / "001.jpg").title == ""


def test_languages_that_are_not_installed_are_left_out(tmp_path: Path) -> None:
    slide(*DECK[3]).save(tmp_path / "001.jpg")
    assert "eng" in installed()
    assert Reader(("xyz", "eng"), 60).read(tmp_path / "001.jpg").title == DECK[3][0]
    assert not Reader(("xyz",), 60).can_read


def test_without_tesseract_nothing_is_read_and_nothing_fails(tmp_path: Path) -> None:
    slide(*DECK[0]).save(tmp_path / "001.jpg")
    reader = Reader(LANGUAGES, 60, program="tesseract-that-is-not-there")
    assert not reader.can_read
    assert reader.read(tmp_path / "001.jpg") == SlideText()


def test_a_reader_that_hangs_is_ended_and_its_time_is_over(tmp_path: Path) -> None:
    program = _program(tmp_path, 'if [ "$1" = --list-langs ]; then echo eng; else exec sleep 60; fi')
    reader = Reader(("eng",), 0.5, program=str(program))
    assert reader.can_read
    began = time.monotonic()
    assert reader.read(tmp_path / "001.jpg") == SlideText()
    assert time.monotonic() - began < 50
    assert not reader.can_read


def test_a_reader_that_fails_reads_nothing(tmp_path: Path) -> None:
    program = _program(tmp_path, 'if [ "$1" = --list-langs ]; then echo eng; else echo rubbish; exit 1; fi')
    assert Reader(("eng",), 30, program=str(program)).read(tmp_path / "001.jpg") == SlideText()


def test_a_table_that_is_none_has_no_text() -> None:
    assert slide_text("") == SlideText()
    assert slide_text("level\ttext\nx\ty\n5") == SlideText()


def _program(folder: Path, script: str) -> Path:
    path = folder / "tesseract"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
