"""Composition on planes: correct samples, only changes drawn, frames valid as promised."""

from collections.abc import Callable

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.compose import compositor as module
from capture.compose.cards import draw_title_line
from capture.compose.compositor import Compositor, PlacedPicture
from capture.compose.layout import Rect, letterbox, merge_overlapping
from capture.media.pictures import plane_views
from capture.source import ColorMatrix
from tests.support.bars import bars, tagged_rgb
from tests.support.patterns import equal, is_plain, noise, plain, samples

WIDTH, HEIGHT = 320, 180
WHOLE = Rect(0, 0, WIDTH, HEIGHT)
INSET = Rect(200, 20, 96, 54)
BLACK = 16, 128, 128

evens = st.integers(0, 40).map(lambda half: 2 * half)
rects = st.builds(Rect, evens, evens, evens.filter(bool), evens.filter(bool))


def compositor() -> Compositor:
    return Compositor(WIDTH, HEIGHT, ColorMatrix.BT601)


def test_an_inset_lies_over_the_slides_sample_for_sample() -> None:
    slides, camera = noise(WIDTH, HEIGHT, 1), noise(*INSET.size, 2)
    picture = compositor().compose([PlacedPicture(WHOLE, slides), PlacedPicture(INSET, camera)])
    assert (picture.format.name, picture.color_range, picture.colorspace, picture.pict_type) == ("yuv420p", 1, 5, 0)
    assert equal(samples(picture, INSET), samples(camera))
    for beside in (Rect(0, 0, 200, HEIGHT), Rect(296, 0, 24, HEIGHT), Rect(200, 0, 96, 20), Rect(200, 74, 96, 106)):
        assert equal(samples(picture, beside), samples(slides, beside))


def test_the_order_of_pieces_is_that_from_bottom_to_top() -> None:
    slides, camera = noise(WIDTH, HEIGHT, 1), noise(*INSET.size, 2)
    hidden = compositor().compose([PlacedPicture(INSET, camera), PlacedPicture(WHOLE, slides)], [])
    assert equal(samples(hidden), samples(slides))


def test_one_picture_of_the_programs_size_goes_through_untouched() -> None:
    made = compositor()
    for seed in range(3):
        picture = noise(WIDTH, HEIGHT, seed)
        assert made.compose([PlacedPicture(WHOLE, picture)]) is picture


@pytest.mark.parametrize("matrix", [ColorMatrix.BT601, ColorMatrix.SMPTE170M, ColorMatrix.UNSPECIFIED])
def test_matrices_that_are_the_same_need_no_copy(matrix: ColorMatrix) -> None:
    picture = noise(WIDTH, HEIGHT, 1, matrix)
    assert compositor().compose([PlacedPicture(WHOLE, picture)]) is picture


def test_without_pieces_and_without_pictures_it_is_black() -> None:
    made = compositor()
    assert is_plain(samples(made.compose([])), *BLACK)
    assert is_plain(samples(made.compose([PlacedPicture(WHOLE, None)])), *BLACK)
    mixed = made.compose([PlacedPicture(WHOLE, plain(WIDTH, HEIGHT, 90)), PlacedPicture(INSET, None)])
    assert is_plain(samples(mixed, INSET), *BLACK)
    assert is_plain(samples(mixed, Rect(0, 0, 200, HEIGHT)), 90, 100, 150)


@pytest.mark.parametrize(
    ("size", "inner"),
    [
        ((640, 480), Rect(40, 0, 240, 180)),
        ((240, 180), Rect(40, 0, 240, 180)),
        ((120, 90), Rect(40, 0, 240, 180)),
        ((320, 80), Rect(0, 50, 320, 80)),
        ((1080, 1920), Rect(108, 0, 102, 180)),
    ],
)
def test_other_shapes_are_letterboxed(size: tuple[int, int], inner: Rect) -> None:
    picture = compositor().compose([PlacedPicture(WHOLE, plain(*size, 90))])
    assert is_plain(samples(picture, inner), 90, 100, 150)
    luma = plane_views(picture)[0].copy()
    luma[inner.plane_slices(0)] = 16
    assert (luma == 16).all()
    around = [Rect(0, 0, WIDTH, inner.y)] if inner.y else [Rect(0, 0, inner.x, HEIGHT)]
    assert all(is_plain(samples(picture, bar), *BLACK) for bar in around)


def test_scaling_keeps_what_is_seen() -> None:
    wave = np.tile(np.linspace(40, 200, 640).astype(np.uint8), (360, 1))
    picture = plain(640, 360, 0)
    plane_views(picture)[0][:] = wave
    shown = samples(compositor().compose([PlacedPicture(WHOLE, picture)]))[0].astype(int)
    assert np.abs(shown - np.linspace(40, 200, WIDTH)).max() <= 2


@pytest.mark.parametrize(
    ("source", "target"), [(ColorMatrix.BT709, ColorMatrix.BT601), (ColorMatrix.BT601, ColorMatrix.BT709)]
)
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


def test_the_same_pieces_are_not_drawn_again(drawn: list[Rect]) -> None:
    made, slides, camera = compositor(), noise(WIDTH, HEIGHT, 1), noise(*INSET.size, 2)
    first = made.compose([PlacedPicture(WHOLE, slides), PlacedPicture(INSET, camera)])
    assert len(drawn) == 2
    assert made.compose([PlacedPicture(WHOLE, slides), PlacedPicture(INSET, camera)]) is first
    assert len(drawn) == 2


def test_only_what_changed_is_drawn_again(drawn: list[Rect]) -> None:
    made, slides = compositor(), noise(WIDTH, HEIGHT, 1)
    for seed in range(2):  # both frames
        made.compose([PlacedPicture(WHOLE, slides), PlacedPicture(INSET, noise(*INSET.size, seed))])
    drawn.clear()
    camera = noise(*INSET.size, 3)
    picture = made.compose([PlacedPicture(WHOLE, slides), PlacedPicture(INSET, camera)])
    assert drawn == [INSET]
    assert equal(samples(picture, INSET), samples(camera))
    assert equal(samples(picture, Rect(0, 0, 200, HEIGHT)), samples(slides, Rect(0, 0, 200, HEIGHT)))


def test_a_decoders_two_frames_by_turns_are_never_taken_for_the_same_picture() -> None:
    made = compositor()
    turns = [plain(*INSET.size, 0) for _ in range(2)]
    for number in range(6):
        plane_views(turns[number % 2])[0][:] = 40 + number
        picture = made.compose([PlacedPicture(WHOLE, None), PlacedPicture(INSET, turns[number % 2])])
        assert samples(picture, INSET)[0].min() == samples(picture, INSET)[0].max() == 40 + number


def test_a_version_says_that_an_object_holds_another_picture() -> None:
    made, camera = compositor(), plain(*INSET.size, 50)
    made.compose([PlacedPicture(WHOLE, None), PlacedPicture(INSET, camera, 0)])
    plane_views(camera)[0][:] = 60
    assert samples(made.compose([PlacedPicture(WHOLE, None), PlacedPicture(INSET, camera, 2)]), INSET)[0].max() == 60


def test_a_frame_stays_as_it_is_until_the_next_but_one() -> None:
    made = compositor()
    first = made.compose([PlacedPicture(WHOLE, None), PlacedPicture(INSET, plain(*INSET.size, 40))])
    before = samples(first)
    second = made.compose([PlacedPicture(WHOLE, None), PlacedPicture(INSET, plain(*INSET.size, 50))])
    assert second is not first
    assert equal(samples(first), before)
    assert made.compose([PlacedPicture(WHOLE, None), PlacedPicture(INSET, plain(*INSET.size, 60))]) is first


def test_layouts_change_between_two_pictures() -> None:
    made, slides, camera = compositor(), noise(WIDTH, HEIGHT, 1), noise(*INSET.size, 2)
    moved = Rect(4, 100, *INSET.size)
    for _ in range(2):
        made.compose([PlacedPicture(WHOLE, slides), PlacedPicture(INSET, camera)])
    picture = made.compose([PlacedPicture(WHOLE, slides), PlacedPicture(moved, camera)])
    assert equal(samples(picture, moved), samples(camera))
    assert equal(samples(picture, INSET), samples(slides, INSET))
    assert made.compose([PlacedPicture(WHOLE, slides)]) is slides
    again = made.compose([PlacedPicture(WHOLE, slides), PlacedPicture(INSET, camera)])
    assert equal(samples(again, moved), samples(slides, moved))
    assert equal(samples(again, INSET), samples(camera))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_changes_the_picture_is_that_of_a_fresh_compositor(data: st.DataObject) -> None:
    """Partial drawing gives the same frame as drawing everything anew."""
    small = Compositor(120, 120, ColorMatrix.BT601)
    places = data.draw(st.lists(rects.filter(lambda one: Rect(0, 0, 120, 120).covers(one)), max_size=3))
    lines = [draw_title_line(120, 120, text="Judul", matrix=ColorMatrix.BT601)] if data.draw(st.booleans()) else []
    # Each piece is of the shape of its place or square, of its size or not.
    sizes = [data.draw(st.sampled_from([one.size, (50, 50), (40, 20)])) for one in places]
    pictures = [noise(*size, number) for number, size in enumerate(sizes)]
    for step in range(data.draw(st.integers(1, 5))):
        for number in range(len(pictures)):
            if data.draw(st.booleans()):
                pictures[number] = noise(*sizes[number], 10 * step + number)
        pieces = [PlacedPicture(*one) for one in zip(places, pictures, strict=True)]
        fresh = Compositor(120, 120, ColorMatrix.BT601).compose(pieces, lines)
        assert equal(samples(small.compose(pieces, lines)), samples(fresh))


@given(given_rects=st.lists(rects, max_size=6))
def test_disjoint_rectangles_cover_all_and_do_not_overlap(given_rects: list[Rect]) -> None:
    found = merge_overlapping(given_rects)
    assert all(any(one.covers(rect) for one in found) for rect in given_rects)
    for number, one in enumerate(found):
        assert not any(one.common(other) for other in found[number + 1 :])


@given(width=st.integers(1, 4000), height=st.integers(1, 4000), place=rects)
def test_letterboxed_pictures_are_within_their_place_and_reach_two_of_its_edges(
    width: int, height: int, place: Rect
) -> None:
    inner = letterbox(width, height, place)
    assert place.covers(inner)
    assert inner
    assert inner.width == place.width or inner.height == place.height
    if inner != place:
        assert (
            abs(inner.width - inner.height * width / height) <= 2
            or inner.width == 2
            or (abs(inner.height - inner.width * height / width) <= 2 or inner.height == 2)
        )


def test_rectangles_have_even_sides() -> None:
    with pytest.raises(ValueError, match="even sides"):
        Rect(0, 1, 10, 10)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Rect]:
    found: list[Rect] = []
    draw: Callable[..., None] = module._Slot.draw

    def noted(slot: object, planes: object, region: Rect) -> None:
        found.append(region)
        draw(slot, planes, region)

    monkeypatch.setattr(module._Slot, "draw", noted)
    return found
