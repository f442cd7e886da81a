"""Layouts: places, shapes, and errors for unknown inputs."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.compose.layout import Layout, Rect
from config.errors import UsageError
from config.locale.lookup import WRITTEN
from config.settings.layouts import BUILT_IN_LAYOUTS, CORNERS, LAYOUT_KINDS, LayoutSettings

FULL_HD = 1920, 1080


def rects(settings: LayoutSettings, sources: list[str], shapes: dict[str, tuple[int, int]] | None = None) -> list[Rect]:
    return list(Layout("mine", settings).places(*FULL_HD, sources, shapes).values())


def shown(settings: LayoutSettings, sources: list[str]) -> list[str]:
    return list(Layout("mine", settings).places(*FULL_HD, sources))


def test_single_is_all_of_the_picture() -> None:
    assert rects(LayoutSettings(kind="single"), ["a", "b"]) == [Rect(0, 0, 1920, 1080)]
    assert shown(LayoutSettings(kind="single"), ["a", "b"]) == ["a"]
    assert shown(LayoutSettings(kind="single", show=("b",)), ["a", "b"]) == ["b"]
    assert shown(LayoutSettings(kind="single", show=("2",)), ["a", "b"]) == ["b"]


@pytest.mark.parametrize(
    ("corner", "x", "y"),
    [("top-left", 32, 32), ("top-right", 1408, 32), ("bottom-left", 32, 778), ("bottom-right", 1408, 778)],
)
def test_an_inset_is_in_its_corner(corner: str, x: int, y: int) -> None:
    settings = LayoutSettings(kind="pip", corner=corner)
    assert rects(settings, ["slides", "podium"]) == [Rect(0, 0, 1920, 1080), Rect(x, y, 480, 270)]


def test_an_inset_has_the_shape_of_its_input() -> None:
    settings = LayoutSettings(kind="pip", size=0.25)
    assert rects(settings, ["a", "b"], {"b": (640, 480)})[1].size == (360, 270)
    assert rects(settings, ["a", "b"], {"b": (1080, 1920)})[1].size == (152, 270)
    assert rects(settings, ["a", "b"], {"b": (3840, 1080)})[1].size == (480, 136)
    assert rects(settings, ["a", "b"], {"a": (640, 480)})[1].size == (480, 270)


def test_side_by_side_is_in_equal_columns() -> None:
    settings = LayoutSettings(kind="side-by-side")
    assert rects(settings, ["a", "b"]) == [Rect(0, 0, 950, 1080), Rect(970, 0, 950, 1080)]
    assert [rect.width for rect in rects(settings, list("abcd"))] == [464] * 4
    assert shown(settings, list("abcdef")) == list("abcd")
    assert shown(LayoutSettings(kind="side-by-side", show=("c", "a")), list("abcd")) == ["c", "a"]


@pytest.mark.parametrize(("corner", "large", "small"), [("bottom-right", 0, 1440), ("top-left", 500, 0)])
def test_the_speaker_stands_beside_the_slides(corner: str, large: int, small: int) -> None:
    settings = LayoutSettings(kind="speaker-slides", corner=corner)
    found = rects(settings, ["slides", "podium"])
    assert found == [Rect(large, 0, 1420, 1080), Rect(small, 0, 480, 1080)]


def test_names_come_first_and_the_others_follow() -> None:
    settings = LayoutSettings(kind="pip", show=("SLIDES",))
    assert shown(settings, ["podium", "hall", "slides"]) == ["slides", "podium"]
    assert shown(LayoutSettings(kind="pip", show=("3", "podium")), ["podium", "hall", "slides"]) == ["slides", "podium"]


@pytest.mark.parametrize("name", BUILT_IN_LAYOUTS)
def test_one_input_alone_fills_the_picture_and_none_is_nothing(name: str) -> None:
    layout = Layout(name, BUILT_IN_LAYOUTS[name])
    assert layout.places(*FULL_HD, ["podium"]) == {"podium": Rect(0, 0, *FULL_HD)}
    assert layout.places(*FULL_HD, []) == {}


def test_an_input_that_is_not_there_is_said_with_what_may_be_meant() -> None:
    layout = Layout("kuliah", LayoutSettings(kind="pip", show=("slide", "podium")))
    with pytest.raises(UsageError, match=r'"kuliah" shows "slide", which is no input .* mean "slides"') as caught:
        layout.places(*FULL_HD, ["slides", "podium"])
    assert caught.value.hint == "its inputs are 1 slides, 2 podium"
    with pytest.raises(UsageError, match='shows "3"'):
        Layout("x", LayoutSettings(kind="single", show=("3",))).places(*FULL_HD, ["a", "b"])
    with pytest.raises(UsageError, match="shows an input twice"):
        Layout("x", LayoutSettings(kind="pip", show=("1", "a"))).places(*FULL_HD, ["a", "b"])


def check_places(settings: LayoutSettings, picture: tuple[int, int], count: int, shape: tuple[int, int]) -> None:
    """Places are even, within the frame, and none hides another."""
    sources = [f"source {number}" for number in range(count)]
    asked = f"{count} inputs of {shape} in {picture}, {settings}"
    try:
        places = Layout("x", settings).places(*picture, sources, dict.fromkeys(sources, shape))
    except ValueError as error:
        pytest.fail(f"{error}: {asked}")
    whole = Rect(0, 0, *picture)
    for source, place in places.items():
        assert place, f"{source} has no room: {asked}"
        assert whole.covers(place), f"{source} is beyond the picture, {place}: {asked}"
    assert len(places) <= LAYOUT_KINDS[settings.kind].most, asked
    for (below, place), (above, other) in itertools.combinations(places.items(), 2):
        assert not other.covers(place), f"{above} hides {below}: {asked}"


@pytest.mark.parametrize("kind", LAYOUT_KINDS)
@pytest.mark.parametrize("picture", [(64, 64), (64, 4320), (8192, 64), FULL_HD])
def test_places_are_even_and_none_is_hidden_in_pictures_of_any_shape(kind: str, picture: tuple[int, int]) -> None:
    for corner, size, count in itertools.product(CORNERS, (0.1, 0.5), range(1, 6)):
        check_places(LayoutSettings(kind=kind, corner=corner, size=size), picture, count, (1600, 900))


@pytest.mark.parametrize("kind", LAYOUT_KINDS)
@given(
    corner=st.sampled_from(CORNERS),
    size=st.floats(0.1, 0.5),
    width=st.integers(32, 4096).map(lambda half: 2 * half),
    height=st.integers(32, 2160).map(lambda half: 2 * half),
    count=st.integers(1, 5),
    shape=st.tuples(st.integers(100, 4000), st.integers(100, 4000)),
)
def test_places_are_even_within_the_picture_and_none_is_hidden(
    kind: str, corner: str, size: float, width: int, height: int, count: int, shape: tuple[int, int]
) -> None:
    check_places(LayoutSettings(kind=kind, corner=corner, size=size), (width, height), count, shape)


@pytest.mark.parametrize("kind", LAYOUT_KINDS)
@pytest.mark.parametrize("count", range(1, 6))
def test_as_many_are_shown_as_there_are_places_for_the_large_one_first(kind: str, count: int) -> None:
    sources = list("abcde")[:count]
    assert shown(LayoutSettings(kind=kind), sources) == sources[: LAYOUT_KINDS[kind].most]


@pytest.mark.parametrize("kind", LAYOUT_KINDS)
def test_a_kind_has_a_name_in_both_languages_and_is_built_in(kind: str) -> None:
    assert len(LAYOUT_KINDS[kind].title) == len(WRITTEN)
    assert all(LAYOUT_KINDS[kind].title)
    assert BUILT_IN_LAYOUTS[kind] == LayoutSettings(kind=kind)


def test_only_an_inset_lies_over_another_picture() -> None:
    for kind in ("single", "pip", "side-by-side", "speaker-slides"):
        first, *others = rects(LayoutSettings(kind=kind), list("abcd"))
        assert any(first.common(other) for other in others) == (kind == "pip")
