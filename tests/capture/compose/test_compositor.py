"""Composition: right samples, frames valid as promised; slates, cards, title line and logo, in Latin spellings."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from capture.compose.canvas import Overlay
from capture.compose.cards import draw_card, draw_logo, draw_slate, draw_title_line
from capture.compose.compositor import Compositor, PlacedPicture
from capture.compose.layout import Rect, merge_overlapping
from capture.compose.text import draw_text, fit_text, letters, text_width
from capture.detectors.picture_measures import BLACK_MEAN
from capture.detectors.picture_measures import signal_slate as slate_of_a_stick
from capture.media.pictures import plane_views
from capture.source import ColorMatrix
from capture.sources.worker import OutageKind
from config.errors import MediaError
from config.locale.lookup import ProgramCard, picture_text
from config.settings.layouts import CORNERS
from tests.support.bars import bars, tagged_rgb
from tests.support.patterns import equal, is_plain, noise, plain, samples

pytestmark = pytest.mark.computing

SIZES = [(320, 240), (1280, 720), (1080, 1920), (64, 64)]
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


@pytest.mark.parametrize("size", SIZES)
def test_no_slate_looks_like_what_a_stick_sends_without_a_signal(size: tuple[int, int]) -> None:
    picture = draw_slate(*size, name="", reason=LOST, matrix=ColorMatrix.BT601)
    y, u, v = (
        cv2.resize(plane, (320, 180), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
        for plane in plane_views(picture)
    )
    assert slate_of_a_stick(y, u, v) is None


def test_a_card_has_both_its_lines() -> None:
    title = picture_text(ProgramCard.WAITING, "id")
    full = draw_card(1280, 720, title=title, line="Seminar Kearsipan Nasional", matrix=ColorMatrix.BT709)
    bare = draw_card(1280, 720, title=title, line="", matrix=ColorMatrix.BT709)
    assert (full.width, full.height, full.colorspace) == (1280, 720, 1)
    lights = [np.flatnonzero((plane_views(picture)[0] > 140).any(axis=1)) for picture in (full, bare)]
    assert np.ptp(lights[0]) > 1.5 * np.ptp(lights[1])


WIDTH, HEIGHT = 640, 360
WHOLE = Rect(0, 0, WIDTH, HEIGHT)


def over(overlay: Overlay) -> np.ndarray[tuple[int, ...], np.dtype]:
    grey = PlacedPicture(WHOLE, plain(WIDTH, HEIGHT, 120))
    return plane_views(Compositor(WIDTH, HEIGHT, ColorMatrix.BT601).compose([grey], [overlay]))[0].astype(int)


def logo(
    folder: Path,
    rgba: tuple[int, int, int, int],
    *,
    width: int = 40,
    corner: str = "top-left",
    matrix: ColorMatrix = ColorMatrix.BT601,
) -> Overlay:
    """Draw a logo of one colour, 40 pixels high in its file."""
    Image.new("RGBA", (width, 40), rgba).save(folder / "logo.png")
    return draw_logo(folder / "logo.png", WIDTH, HEIGHT, corner=corner, size=0.2, matrix=matrix)


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
    long = draw_title_line(WIDTH, HEIGHT, text="Rapat Koordinasi Kearsipan " * 20, matrix=ColorMatrix.BT601)
    assert WHOLE.covers(long.place)


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_logo_keeps_its_colour(tmp_path: Path, matrix: ColorMatrix) -> None:
    found = logo(tmp_path, (200, 30, 60, 255), matrix=matrix)
    assert found.place.size == (72, 72)
    picture = Compositor(WIDTH, HEIGHT, matrix).compose(
        [PlacedPicture(WHOLE, plain(WIDTH, HEIGHT, 120, matrix))], [found]
    )
    rgb = tagged_rgb(picture)[found.place.y + 36, found.place.x + 36].astype(int)
    assert np.abs(rgb - (200, 30, 60)).max() <= 4


@pytest.mark.parametrize("alpha", [0, 128])
def test_what_is_transparent_lets_the_picture_through(tmp_path: Path, alpha: int) -> None:
    found = logo(tmp_path, (255, 255, 255, alpha))
    inside = over(found)[found.place.plane_slices(0)]
    assert np.abs(inside - (120 + (235 - 120) * alpha / 255)).max() <= 1


@pytest.mark.parametrize("corner", CORNERS)
def test_a_logo_goes_into_its_corner_in_its_shape(tmp_path: Path, corner: str) -> None:
    place = logo(tmp_path, (9, 9, 9, 255), width=80, corner=corner).place
    assert place.size == (144, 72)
    assert (place.y < HEIGHT / 2) == corner.startswith("top")
    assert (place.x < WIDTH / 2) == corner.endswith("left")
    assert WHOLE.covers(place)


def test_a_file_that_is_no_picture_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"nothing of the kind")
    for name, reason in (("logo.png", "no PNG or JPEG"), ("none.png", "No such file"), ("", "Is a directory")):
        with pytest.raises(MediaError, match=reason) as caught:
            draw_logo(tmp_path / name, WIDTH, HEIGHT, corner="top-left", size=0.1, matrix=ColorMatrix.BT601)
        assert caught.value.hint == "check `logo` in [program]"


def rows_of(text: str, size: int = 100) -> tuple[int, int]:
    """Return the first and last row with ink."""
    inked = np.flatnonzero(draw_text(fit_text(text, 10_000, size, lines=1, least=size)).max(axis=1))
    return int(inked[0]), int(inked[-1])


def test_letters_keep_their_marks_and_other_scripts_become_question_marks() -> None:
    assert letters("é") == letters("e\u0301") == (("e", "\u0301"),)
    assert letters("Łż") == (("L", "\u0335"), ("z", "\u0307"))
    names = "Đỗ Thị Hà, Łukasz, Søren Åse, François, Müller, Žižek, Gülşen Șerban, Ñandú, Ðuro, Ħal, Őry, Bùi, Trần Ơn"
    assert "?" not in {base for base, _ in letters(names)}
    assert [base for base, _ in letters("A中 \u0436\u200bの\n☺")] == ["A", "?", " ", "?", "?", " "]


def test_emoji_are_left_out() -> None:
    assert fit_text("🎓 Wisuda 👍🏽 2026 👨‍👩‍👧", 2000, 40, lines=2, least=20).lines == ("Wisuda 2026",)


def test_a_mark_stands_above_below_or_in_its_letter() -> None:
    for letter, marked in (("e", "é"), ("o", "ỗ")):
        assert rows_of(marked)[0] < rows_of(letter)[0] - 5
        assert rows_of(marked)[1] == rows_of(letter)[1]
    assert rows_of("ç")[0] == rows_of("c")[0]
    assert rows_of("ç")[1] > rows_of("c")[1] + 5
    bare, barred = (draw_text(fit_text(letter, 1000, 100, lines=1, least=100)) for letter in "LŁ")
    assert np.count_nonzero(barred) > np.count_nonzero(bare)
    assert rows_of("Ł") == rows_of("L")


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


@settings(max_examples=30)
@given(text=st.text(max_size=60), width=st.integers(1, 600), size=st.integers(1, 80), lines=st.integers(1, 3))
def test_any_text_can_be_drawn_into_any_width(text: str, width: int, size: int, lines: int) -> None:
    found = fit_text(text, width, size, lines=lines, least=size // 2)
    assert len(found.lines) <= lines
    mask = draw_text(found)
    assert mask.shape[0] == max(1, found.height)
    assert all(text_width(line, found.size) <= width or line == "…" for line in found.lines)


# Composition

ACROSS, DOWN = 320, 180
ALL = Rect(0, 0, ACROSS, DOWN)
INSET = Rect(200, 20, 96, 54)
BLACK = 16, 128, 128

evens = st.integers(0, 40).map(lambda half: 2 * half)
areas = st.builds(Rect, evens, evens, evens.filter(bool), evens.filter(bool))


def compositor() -> Compositor:
    return Compositor(ACROSS, DOWN, ColorMatrix.BT601)


def test_an_inset_lies_over_the_slides_sample_for_sample() -> None:
    slides, camera = noise(ACROSS, DOWN, 1), noise(*INSET.size, 2)
    picture = compositor().compose([PlacedPicture(ALL, slides), PlacedPicture(INSET, camera)])
    assert (picture.format.name, picture.color_range, picture.colorspace, picture.pict_type) == ("yuv420p", 1, 5, 0)
    assert equal(samples(picture, INSET), samples(camera))
    for beside in (Rect(0, 0, 200, DOWN), Rect(296, 0, 24, DOWN), Rect(200, 0, 96, 20), Rect(200, 74, 96, 106)):
        assert equal(samples(picture, beside), samples(slides, beside))


def test_one_picture_of_the_programs_size_goes_through_untouched() -> None:
    made = compositor()
    for matrix in (ColorMatrix.BT601, ColorMatrix.SMPTE170M, ColorMatrix.UNSPECIFIED):
        picture = noise(ACROSS, DOWN, 1, matrix)
        assert made.compose([PlacedPicture(ALL, picture)]) is picture


def test_without_pieces_and_without_pictures_it_is_black() -> None:
    made = compositor()
    assert is_plain(samples(made.compose([])), *BLACK)
    assert is_plain(samples(made.compose([PlacedPicture(ALL, None)])), *BLACK)
    mixed = made.compose([PlacedPicture(ALL, plain(ACROSS, DOWN, 90)), PlacedPicture(INSET, None)])
    assert is_plain(samples(mixed, INSET), *BLACK)
    assert is_plain(samples(mixed, Rect(0, 0, 200, DOWN)), 90, 100, 150)


@pytest.mark.parametrize(
    ("size", "inner"),
    [((640, 480), Rect(40, 0, 240, 180)), ((320, 80), Rect(0, 50, 320, 80)), ((1080, 1920), Rect(108, 0, 102, 180))],
)
def test_other_shapes_are_letterboxed(size: tuple[int, int], inner: Rect) -> None:
    picture = compositor().compose([PlacedPicture(ALL, plain(*size, 90))])
    assert is_plain(samples(picture, inner), 90, 100, 150)
    luma = plane_views(picture)[0].copy()
    luma[inner.plane_slices(0)] = 16
    assert (luma == 16).all()
    around = [Rect(0, 0, ACROSS, inner.y)] if inner.y else [Rect(0, 0, inner.x, DOWN)]
    assert all(is_plain(samples(picture, bar), *BLACK) for bar in around)


@pytest.mark.parametrize(("source", "target"), [MATRICES, MATRICES[::-1]])
def test_colours_stay_when_the_matrix_is_another(source: ColorMatrix, target: ColorMatrix) -> None:
    rgb = bars(64)
    picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
        format="yuv420p", dst_colorspace=source, dst_color_range=1, interpolation="AREA"
    )
    picture.colorspace, picture.color_range = source, 1
    place = Rect(0, 0, rgb.shape[1], 64)
    composed = Compositor(*place.size, target).compose([PlacedPicture(place, picture)])
    assert composed.colorspace == target
    assert composed is not picture
    shown, meant = (tagged_rgb(frame)[32, 16::32].astype(int) for frame in (composed, picture))
    assert np.abs(shown - meant).max() <= 5
    assert np.abs(tagged_rgb(picture)[32, 16::32].astype(int) - rgb[32, 16::32]).max() <= 5


def test_a_decoders_two_frames_by_turns_are_never_taken_for_the_same_picture() -> None:
    made = compositor()
    turns = [plain(*INSET.size, 0) for _ in range(2)]
    for number in range(6):
        plane_views(turns[number % 2])[0][:] = 40 + number
        picture = made.compose([PlacedPicture(ALL, None), PlacedPicture(INSET, turns[number % 2])])
        assert samples(picture, INSET)[0].min() == samples(picture, INSET)[0].max() == 40 + number


def test_a_version_says_that_an_object_holds_another_picture() -> None:
    made, camera = compositor(), plain(*INSET.size, 50)
    made.compose([PlacedPicture(ALL, None), PlacedPicture(INSET, camera, 0)])
    plane_views(camera)[0][:] = 60
    assert samples(made.compose([PlacedPicture(ALL, None), PlacedPicture(INSET, camera, 2)]), INSET)[0].max() == 60


def test_a_frame_stays_as_it_is_until_the_next_but_one() -> None:
    made = compositor()
    first = made.compose([PlacedPicture(ALL, None), PlacedPicture(INSET, plain(*INSET.size, 40))])
    before = samples(first)
    pieces = [PlacedPicture(ALL, None), PlacedPicture(INSET, plain(*INSET.size, 50))]
    second = made.compose(pieces)
    assert made.compose(pieces) is second, "what is the same is not drawn again"
    assert second is not first
    assert equal(samples(first), before)
    assert made.compose([PlacedPicture(ALL, None), PlacedPicture(INSET, plain(*INSET.size, 60))]) is first


@given(data=st.data())
@settings(max_examples=30)
def test_whatever_changes_the_picture_is_that_of_a_fresh_compositor(data: st.DataObject) -> None:
    small = Compositor(120, 120, ColorMatrix.BT601)
    drawn = data.draw(st.lists(areas.filter(lambda one: Rect(0, 0, 120, 120).covers(one)), max_size=3))
    lines = [draw_title_line(120, 120, text="Judul", matrix=ColorMatrix.BT601)] if data.draw(st.booleans()) else []
    # Each piece is of the shape of its place or square, of its size or not.
    sizes = [data.draw(st.sampled_from([one.size, (50, 50), (40, 20)])) for one in drawn]
    pictures = [noise(*size, number) for number, size in enumerate(sizes)]
    for step in range(data.draw(st.integers(1, 5))):
        for number in range(len(pictures)):
            if data.draw(st.booleans()):
                pictures[number] = noise(*sizes[number], 10 * step + number)
        pieces = [PlacedPicture(*one) for one in zip(drawn, pictures, strict=True)]
        fresh = Compositor(120, 120, ColorMatrix.BT601).compose(pieces, lines)
        assert equal(samples(small.compose(pieces, lines)), samples(fresh))


@given(given_rects=st.lists(areas, max_size=6))
def test_disjoint_rectangles_cover_all_and_do_not_overlap(given_rects: list[Rect]) -> None:
    found = merge_overlapping(given_rects)
    assert all(any(one.covers(rect) for one in found) for rect in given_rects)
    for number, one in enumerate(found):
        assert not any(one.common(other) for other in found[number + 1 :])


def test_rectangles_have_even_sides() -> None:
    with pytest.raises(ValueError, match="even sides"):
        Rect(0, 1, 10, 10)
