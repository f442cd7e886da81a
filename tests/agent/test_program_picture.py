"""From a settings file to the recorded picture: layouts, the title line, a logo, the language of what is drawn."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from capture.compose.cards import draw_slate
from capture.source import ColorMatrix
from capture.sources.worker import OutageKind
from config.locale.lookup import picture_text
from tests.support import media
from tests.support.room import Room, program

WIDTH, HEIGHT = 320, 240
PROGRAM = """
[general]
language = "en"

[program]
layout = "{layout}"
title_line = true
logo = "{logo}"
logo_corner = "top-left"
"""

type Pictures = NDArray[np.int16]
"""Shape (pictures, height, width, 3), RGB."""


def pictures(path: Path) -> Pictures:
    """Return every picture of a recording, as ffmpeg decodes it."""
    words: list[str | Path] = ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(words, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3).astype(np.int16)


@pytest.fixture
def films(tmp_path: Path) -> list[str | Path]:
    """Return the words for two films of 4:3, the first red and the second blue."""
    words: list[str | Path] = []
    for colour in ("red", "blue"):
        path = tmp_path / f"{colour}.mp4"
        media.run(
            "ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"color={colour}:s=320x240:r=15:d=1", "-pix_fmt", "yuv420p",
            path,
        )  # fmt: skip
        words += ["--video", path]
    return words


@pytest.fixture
def logo(tmp_path: Path) -> Path:
    path = tmp_path / "logo.png"
    Image.new("RGBA", (48, 48), (0, 255, 0, 255)).save(path)
    return path


def recorded(room: Room, layout: str, logo: Path, films: list[str | Path]) -> Pictures:
    """Record the films by what the settings say, and return the pictures in the archive."""
    room.configure(PROGRAM.format(layout=layout, logo=logo))
    (_, first, *more) = films
    done = room.record("--audio", "none", "--pace", "fast", *more, video=first)
    assert done.status == 0, done.errors
    assert done.result["degraded"] == []
    whole = pictures(program(room.only_package()))
    assert len(whole) == 15
    return whole


def colour_at(whole: Pictures, x: float, y: float) -> str:
    """Return which colour a place has in every picture; x and y are parts of the width and the height."""
    column, row = round(x * WIDTH), round(y * HEIGHT)
    red, green, blue = (int(level) for level in whole[:, row - 2 : row + 3, column - 2 : column + 3].mean((0, 1, 2)))
    assert whole[:, row - 2 : row + 3, column - 2 : column + 3].std((0, 1, 2)).max() < 12, "it is one colour"
    strong = max(red, green, blue)
    if strong < 40:
        return "black"
    return {red: "red", green: "green", blue: "blue"}[strong]


def check_overlays(whole: Pictures) -> None:
    """Fail unless the logo and the title line are in every picture."""
    assert colour_at(whole, 0.055, 0.09) == "green"
    band = whole[:, round(0.88 * HEIGHT) : round(0.95 * HEIGHT), round(0.04 * WIDTH) : round(0.3 * WIDTH)]
    white = (band.min(axis=3) > 180).mean(axis=(1, 2))
    dark = (band.max(axis=3) < 120).mean(axis=(1, 2))
    assert white.min() > 0.03, "letters"
    assert dark.min() > 0.3, "on a dark band"


def test_a_picture_in_picture_with_title_line_and_logo_is_what_is_in_the_archive(
    room: Room, logo: Path, films: list[str | Path]
) -> None:
    whole = recorded(room, "pip", logo, films)
    check_overlays(whole)
    assert colour_at(whole, 0.5, 0.5) == "red"
    assert colour_at(whole, 0.85, 0.85) == "blue"
    assert colour_at(whole, 0.69, 0.85) == "red"
    assert colour_at(whole, 0.85, 0.68) == "red"


def test_speaker_and_slides_are_side_by_side_in_the_archive(room: Room, logo: Path, films: list[str | Path]) -> None:
    whole = recorded(room, "speaker-slides", logo, films)
    check_overlays(whole)
    assert colour_at(whole, 0.37, 0.5) == "red"
    assert colour_at(whole, 0.875, 0.5) == "blue"
    assert colour_at(whole, 0.37, 0.06) == "black"
    assert colour_at(whole, 0.875, 0.3) == "black"


@pytest.mark.parametrize(("language", "other"), [("en", "id"), ("id", "en")])
def test_a_slate_is_in_the_language_of_the_settings(room: Room, language: str, other: str) -> None:
    room.configure(f'[general]\nlanguage = "{language}"\n')
    done = room.record("--audio", "none", "--allow-missing", "--for", "1s", video="podium")
    assert done.status == 3, done.errors
    whole = pictures(program(room.only_package()))
    assert len(whole) >= 12

    def distance(drawn_in: str) -> float:
        drawn = draw_slate(
            WIDTH, HEIGHT, name="podium", reason=picture_text(OutageKind.MISSING, drawn_in), matrix=ColorMatrix.BT601
        )
        return float(np.abs(whole - drawn.to_ndarray(format="rgb24").astype(np.int16)).mean(axis=(1, 2, 3)).max())

    assert distance(language) < 4
    assert distance(language) < distance(other) / 2
