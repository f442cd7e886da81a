"""Title line and logo: place, transparency, and files that are no pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from capture.compose.canvas import Overlay
from capture.compose.cards import draw_logo, draw_title_line
from capture.compose.compositor import Compositor, PlacedPicture
from capture.compose.layout import Rect
from capture.media.pictures import plane_views
from capture.source import ColorMatrix
from config.errors import MediaError
from config.settings.layouts import CORNERS
from tests.support.bars import tagged_rgb
from tests.support.patterns import equal, plain, samples

WIDTH, HEIGHT = 640, 360
WHOLE = Rect(0, 0, WIDTH, HEIGHT)


def over(
    overlay: Overlay, level: int = 120, matrix: ColorMatrix = ColorMatrix.BT601
) -> np.ndarray[tuple[int, ...], np.dtype]:
    picture = Compositor(WIDTH, HEIGHT, matrix).compose(
        [PlacedPicture(WHOLE, plain(WIDTH, HEIGHT, level, matrix))], [overlay]
    )
    return plane_views(picture)[0].astype(int)


def png(path: Path, rgba: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Path:
    Image.fromarray(rgba).save(path)
    return path


def square(red: int, green: int, blue: int, alpha: int, side: int = 40) -> np.ndarray[tuple[int, ...], np.dtype]:
    return np.tile(np.array([red, green, blue, alpha], np.uint8), (side, side, 1))


def test_a_title_line_is_a_dark_band_with_light_letters_at_the_lower_left() -> None:
    line = draw_title_line(WIDTH, HEIGHT, text="Seminar Kearsipan: Łukasz Ñandú", matrix=ColorMatrix.BT601)
    assert line.place.x < 0.05 * WIDTH
    assert line.place.y > HEIGHT / 2
    assert line.place.bottom <= HEIGHT
    luma = over(line)
    inside = luma[line.place.plane_slices(0)]
    assert 0.02 < np.mean(inside > 215) < 0.5
    assert 30 < np.median(inside) < 60, "darkened, and let through a little"
    outside = luma.copy()
    outside[line.place.plane_slices(0)] = 120
    assert (outside == 120).all()


def test_a_title_line_lets_the_picture_through() -> None:
    line = draw_title_line(WIDTH, HEIGHT, text="I", matrix=ColorMatrix.BT601)
    dark, light = (np.median(over(line, level)[line.place.plane_slices(0)]) for level in (30, 220))
    assert 30 < light - dark < 80


def test_a_title_that_is_too_long_stays_in_the_picture() -> None:
    line = draw_title_line(320, 180, text="Rapat Koordinasi Kearsipan " * 20, matrix=ColorMatrix.BT601)
    assert Rect(0, 0, 320, 180).covers(line.place)


@pytest.mark.parametrize("matrix", [ColorMatrix.BT601, ColorMatrix.BT709])
def test_a_logo_keeps_its_colour(tmp_path: Path, matrix: ColorMatrix) -> None:
    file = png(tmp_path / "logo.png", square(200, 30, 60, 255))
    found = draw_logo(file, WIDTH, HEIGHT, corner="top-right", size=0.2, matrix=matrix)
    assert found.place.size == (72, 72)
    picture = Compositor(WIDTH, HEIGHT, matrix).compose(
        [PlacedPicture(WHOLE, plain(WIDTH, HEIGHT, 120, matrix))], [found]
    )
    rgb = tagged_rgb(picture)[found.place.y + 36, found.place.x + 36].astype(int)
    assert np.abs(rgb - (200, 30, 60)).max() <= 4


@pytest.mark.parametrize("alpha", [0, 128])
def test_what_is_transparent_lets_the_picture_through(tmp_path: Path, alpha: int) -> None:
    file = png(tmp_path / "logo.png", square(255, 255, 255, alpha))
    found = draw_logo(file, WIDTH, HEIGHT, corner="top-left", size=0.2, matrix=ColorMatrix.BT601)
    inside = over(found, 100)[found.place.plane_slices(0)]
    expected = 100 + (235 - 100) * alpha / 255
    assert np.abs(inside - expected).max() <= 1


@pytest.mark.parametrize("corner", CORNERS)
def test_a_logo_goes_into_its_corner_in_its_shape(tmp_path: Path, corner: str) -> None:
    file = png(tmp_path / "logo.png", np.tile(square(9, 9, 9, 255), (1, 2, 1)))
    place = draw_logo(file, WIDTH, HEIGHT, corner=corner, size=0.1, matrix=ColorMatrix.BT601).place
    assert place.size == (72, 36)
    assert (place.y < HEIGHT / 2) == corner.startswith("top")
    assert (place.x < WIDTH / 2) == corner.endswith("left")
    assert WHOLE.covers(place)


def test_a_jpeg_will_do(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (0, 200, 0)).save(tmp_path / "logo.jpg")
    found = draw_logo(tmp_path / "logo.jpg", WIDTH, HEIGHT, corner="top-left", size=0.2, matrix=ColorMatrix.BT601)
    assert (found.kept[0] == 0).all()


def test_a_wide_logo_is_at_most_three_times_as_wide_as_it_may_be_high(tmp_path: Path) -> None:
    file = png(tmp_path / "logo.png", np.tile(square(9, 9, 9, 255), (1, 20, 1)))
    assert draw_logo(file, WIDTH, HEIGHT, corner="top-left", size=0.1, matrix=ColorMatrix.BT601).place.width == 108


def test_a_file_that_is_no_picture_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"nothing of the kind")
    for name, reason in (("logo.png", "no PNG or JPEG"), ("none.png", "No such file"), ("", "Is a directory")):
        with pytest.raises(MediaError, match=reason) as caught:
            draw_logo(tmp_path / name, WIDTH, HEIGHT, corner="top-left", size=0.1, matrix=ColorMatrix.BT601)
        assert caught.value.hint == "check `logo` in [program]"


def test_overlays_are_laid_once_over_a_picture_that_stands_still() -> None:
    made, picture = Compositor(WIDTH, HEIGHT, ColorMatrix.BT601), plain(WIDTH, HEIGHT, 120)
    line = draw_title_line(WIDTH, HEIGHT, text="Judul", matrix=ColorMatrix.BT601)
    inset = Rect(20, 280, 100, 60)  # below the line in part
    pictures = [
        samples(made.compose([PlacedPicture(WHOLE, picture), PlacedPicture(inset, plain(*inset.size, 50))], [line]))
        for _ in range(4)
    ]
    assert all(equal(one, pictures[0]) for one in pictures)
