"""Slates, cards, title line and logo: readable at every size, in the right place and colours, in Latin spellings."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from capture.compose.canvas import Overlay
from capture.compose.cards import draw_card, draw_logo, draw_slate, draw_title_line
from capture.compose.compositor import Compositor, PlacedPicture
from capture.compose.layout import Rect
from capture.compose.text import draw_text, fit_text, letters, text_width
from capture.detectors.picture_measures import BLACK_MEAN
from capture.detectors.picture_measures import signal_slate as slate_of_a_stick
from capture.media.pictures import plane_views
from capture.source import ColorMatrix
from capture.sources.worker import OutageKind
from config.errors import MediaError
from config.locale.lookup import LANGUAGES, ProgramCard, picture_text
from config.settings.layouts import CORNERS
from tests.support.bars import tagged_rgb
from tests.support.patterns import equal, plain, samples

SIZES = [(320, 240), (320, 180), (480, 270), (1280, 720), (1080, 1920), (3840, 2160), (64, 64)]
MATRICES = [ColorMatrix.BT601, ColorMatrix.BT709]
LOST = picture_text(OutageKind.LOST, "id")


@pytest.mark.parametrize("size", SIZES)
def test_a_slate_is_dark_with_light_letters(size: tuple[int, int]) -> None:
    picture = draw_slate(*size, name="Kamera podium", reason=LOST, matrix=ColorMatrix.BT709)
    assert (picture.width, picture.height, picture.format.name) == (*size, "yuv420p")
    assert (picture.color_range, picture.colorspace, picture.pict_type, picture.pts) == (1, 1, 0, None)
    y, u, v = plane_views(picture)
    assert BLACK_MEAN < y.mean() < 90
    assert 16 <= y.min() <= y.max() <= 235
    assert 0.01 < np.mean(y > 140) < 0.35  # letters, and room around them
    for plane in (u, v):
        assert 60 <= plane.min() <= plane.max() <= 196
    frame = np.concatenate([plane[edge].ravel() for plane in (y, u, v) for edge in (0, -1, np.s_[:, 0], np.s_[:, -1])])
    assert len(np.unique(frame)) == 3, "nothing reaches the edge"


@pytest.mark.parametrize("matrix", MATRICES)
def test_colours_are_the_same_in_both_matrices(matrix: ColorMatrix) -> None:
    picture = draw_slate(640, 360, name="I", reason=LOST, matrix=matrix)
    rgb = tagged_rgb(picture).astype(int)
    assert np.abs(rgb[4, 320] - (30, 34, 42)).max() <= 3
    y, u, _ = plane_views(picture)
    row, column = np.argwhere(u < 90)[len(np.argwhere(u < 90)) // 2]
    assert np.abs(rgb[2 * row, 2 * column] - (240, 170, 40)).max() <= 4, "amber"
    assert y.max() == pytest.approx(16 + 219 * 240 / 255, abs=1), "white letters"


def test_letters_have_no_colour_of_their_own() -> None:
    picture = draw_slate(1280, 720, name="III", reason=LOST, matrix=ColorMatrix.BT709)
    y, u, v = plane_views(picture)
    inside = cv2.erode(y, np.ones((5, 5)))[::2, ::2] > 200
    assert np.count_nonzero(inside) > 50
    assert {*u[inside].tolist(), *v[inside].tolist()} <= {127, 128, 129}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", OutageKind)
def test_no_slate_looks_like_what_a_stick_sends_without_a_signal(size: tuple[int, int], kind: OutageKind) -> None:
    picture = draw_slate(*size, name="", reason=picture_text(kind, "en"), matrix=ColorMatrix.BT601)
    y, u, v = (
        cv2.resize(plane, (320, 180), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
        for plane in plane_views(picture)
    )
    assert slate_of_a_stick(y, u, v) is None


def test_each_reason_is_told_apart_in_a_small_inset() -> None:
    small = [
        cv2.resize(
            plane_views(
                draw_slate(1920, 1080, name="Slide", reason=picture_text(kind, "id"), matrix=ColorMatrix.BT709)
            )[0],
            (384, 216),
            interpolation=cv2.INTER_AREA,
        ).astype(int)
        for kind in OutageKind
    ]
    for number, picture in enumerate(small):
        assert np.mean(picture > 120) > 0.01, "letters are still light"
        for other in small[number + 1 :]:
            assert np.mean(np.abs(picture - other) > 60) > 0.001


def test_names_that_are_too_long_are_cut_off() -> None:
    picture = draw_slate(
        320, 240, name="Kamera " * 60, reason=picture_text(OutageKind.BUS_FULL, "id"), matrix=ColorMatrix.BT601
    )
    luma = plane_views(picture)[0]
    assert luma[:10].max() == luma[-10:].max() == luma[:, -8:].max() == luma.min()


def test_every_sentence_is_there_in_each_language_and_short() -> None:
    for language in LANGUAGES:
        sentences = [picture_text(word, language) for word in (*OutageKind, *ProgramCard)]
        assert len(set(sentences)) == len(sentences)
        assert all(3 < len(sentence) <= 42 for sentence in sentences)
    assert LOST == "Terputus - menunggu dipasang kembali"
    assert picture_text(OutageKind.LOST, "xx") == picture_text(OutageKind.LOST, "en")


def test_a_card_has_both_its_lines() -> None:
    title = picture_text(ProgramCard.WAITING, "id")
    full = draw_card(1280, 720, title=title, line="Seminar Kearsipan Nasional", matrix=ColorMatrix.BT709)
    bare = draw_card(1280, 720, title=title, line="", matrix=ColorMatrix.BT709)
    assert (full.width, full.height, full.colorspace) == (1280, 720, 1)
    lights = [np.flatnonzero((plane_views(picture)[0] > 140).any(axis=1)) for picture in (full, bare)]
    assert np.ptp(lights[0]) > 1.5 * np.ptp(lights[1])


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


NAMES = "Đỗ Thị Hà, Łukasz, Søren Åse, François, Müller, Žižek, Gülşen Șerban, Ñandú, Ðuro, Ħal, Őry, Bùi, Trần Ơn"


def rows_of(text: str, size: int = 100) -> tuple[int, int]:
    """Return the first and last row with ink."""
    inked = np.flatnonzero(draw_text(fit_text(text, 10_000, size, lines=1, least=size)).max(axis=1))
    return int(inked[0]), int(inked[-1])


def test_letters_keep_their_marks() -> None:
    assert letters("é") == letters("e\u0301") == (("e", "\u0301"),)
    assert letters("Łż") == (("L", "\u0335"), ("z", "\u0307"))
    assert "?" not in {base for base, _ in letters(NAMES)}


@pytest.mark.parametrize(("plain", "marked"), [("e", "é"), ("A", "Å"), ("z", "ž"), ("o", "ỗ"), ("n", "ñ")])
def test_a_mark_stands_above_its_letter(plain: str, marked: str) -> None:
    (top, bottom), (top_of_marked, bottom_of_marked) = rows_of(plain), rows_of(marked)
    assert top_of_marked < top - 5
    assert bottom_of_marked == bottom


def test_a_mark_stands_below_its_letter() -> None:
    assert rows_of("ç")[1] > rows_of("c")[1] + 5
    assert rows_of("ç")[0] == rows_of("c")[0]


def test_a_mark_goes_through_its_letter() -> None:
    plain, barred = (draw_text(fit_text(letter, 1000, 100, lines=1, least=100)) for letter in "Lł".upper())
    assert np.count_nonzero(barred) > np.count_nonzero(plain)
    assert rows_of("Ł") == rows_of("L")


def test_an_accent_takes_the_place_of_the_dot() -> None:
    # With the dot there would be ink in all rows from the accent down to the stem.
    inked = draw_text(fit_text("í", 1000, 200, lines=1, least=200)).max(axis=1) > 128
    assert np.count_nonzero(np.diff(inked.astype(int)) == 1) == 2


def test_other_scripts_become_question_marks() -> None:
    assert [base for base, _ in letters("A中 \u0436\u200bの\n☺")] == ["A", "?", " ", "?", "?", " ", "?"]


def test_long_text_is_broken_then_shrunk_then_cut_off() -> None:
    text = "Rapat Koordinasi Kearsipan Nasional Tahun Ini"
    assert fit_text(text, 5000, 50, lines=2, least=20).lines == (text,)
    broken = fit_text(text, text_width("Rapat Koordinasi Kearsipan", 50), 50, lines=2, least=20)
    assert (broken.lines, broken.size) == (("Rapat Koordinasi Kearsipan", "Nasional Tahun Ini"), 50)
    shrunk = fit_text(text, 300, 50, lines=2, least=20)
    assert 20 <= shrunk.size < 50
    assert " ".join(shrunk.lines) == text
    cut = fit_text(text, 100, 50, lines=2, least=20)
    assert cut.size == 20
    assert cut.lines[-1].endswith("…")


@given(text=st.text(max_size=60), width=st.integers(1, 600), size=st.integers(1, 80), lines=st.integers(1, 3))
def test_any_text_can_be_drawn_into_any_width(text: str, width: int, size: int, lines: int) -> None:
    found = fit_text(text, width, size, lines=lines, least=size // 2)
    assert len(found.lines) <= lines
    mask = draw_text(found)
    assert mask.shape[0] == max(1, found.height)
    assert all(text_width(line, found.size) <= width or line == "…" for line in found.lines)
