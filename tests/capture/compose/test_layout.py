"""Layouts: places, shapes, and errors for unknown inputs."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.compose.layout import Layout, Rect
from config.errors import UsageError
from config.locale.lookup import WRITTEN
from config.settings.layouts import BUILT_IN_LAYOUTS, CORNERS, LAYOUT_KINDS, LayoutSettings

FULL_HD = 1920, 1080


def places(asked: LayoutSettings, sources: list[str], shapes: dict[str, tuple[int, int]] | None = None) -> list[Rect]:
    return list(Layout("mine", asked).places(*FULL_HD, sources, shapes).values())


def shown(asked: LayoutSettings, sources: list[str]) -> list[str]:
    return list(Layout("mine", asked).places(*FULL_HD, sources))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (LayoutSettings(kind="single"), {"a": Rect(0, 0, 1920, 1080)}),
        (LayoutSettings(kind="single", show=("b",)), {"b": Rect(0, 0, 1920, 1080)}),
        (LayoutSettings(kind="pip", corner="top-left"), {"a": Rect(0, 0, 1920, 1080), "b": Rect(32, 32, 480, 270)}),
        (LayoutSettings(kind="pip"), {"a": Rect(0, 0, 1920, 1080), "b": Rect(1408, 778, 480, 270)}),
        (LayoutSettings(kind="side-by-side"), {"a": Rect(0, 0, 950, 1080), "b": Rect(970, 0, 950, 1080)}),
        (LayoutSettings(kind="speaker-slides"), {"a": Rect(0, 0, 1420, 1080), "b": Rect(1440, 0, 480, 1080)}),
        (
            LayoutSettings(kind="speaker-slides", corner="top-left"),
            {"a": Rect(500, 0, 1420, 1080), "b": Rect(0, 0, 480, 1080)},
        ),
    ],
)
def test_each_kind_has_its_places(asked: LayoutSettings, found: dict[str, Rect]) -> None:
    assert Layout("mine", asked).places(*FULL_HD, ["a", "b"]) == found


def test_an_inset_has_the_shape_of_its_input() -> None:
    asked = LayoutSettings(kind="pip", size=0.25)
    assert places(asked, ["a", "b"], {"b": (640, 480)})[1].size == (360, 270)
    assert places(asked, ["a", "b"], {"b": (1080, 1920)})[1].size == (152, 270)
    assert places(asked, ["a", "b"], {"b": (3840, 1080)})[1].size == (480, 136)
    assert places(asked, ["a", "b"], {"a": (640, 480)})[1].size == (480, 270)


def test_names_come_first_and_the_others_follow_in_equal_columns() -> None:
    inputs = ["podium", "hall", "slides"]
    assert shown(LayoutSettings(kind="pip", show=("SLIDES",)), inputs) == ["slides", "podium"]
    assert shown(LayoutSettings(kind="pip", show=("3", "podium")), inputs) == ["slides", "podium"]
    assert shown(LayoutSettings(kind="side-by-side", show=("c", "a")), list("abcd")) == ["c", "a"]
    assert [rect.width for rect in places(LayoutSettings(kind="side-by-side"), list("abcd"))] == [464] * 4


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


@pytest.mark.parametrize("kind", LAYOUT_KINDS)
@settings(max_examples=50)
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
    sources = [f"source {number}" for number in range(count)]
    layout = Layout("x", LayoutSettings(kind=kind, corner=corner, size=size))
    found = list(layout.places(width, height, sources, dict.fromkeys(sources, shape)).values())
    assert len(found) <= LAYOUT_KINDS[kind].most
    assert all(place and Rect(0, 0, width, height).covers(place) for place in found)
    for below, above in itertools.combinations(found, 2):
        assert not above.covers(below)


@pytest.mark.parametrize("kind", LAYOUT_KINDS)
def test_as_many_are_shown_as_there_are_places_for_the_large_one_first(kind: str) -> None:
    for count in range(1, 6):
        sources = list("abcde")[:count]
        assert shown(LayoutSettings(kind=kind), sources) == sources[: LAYOUT_KINDS[kind].most]


@pytest.mark.parametrize("kind", LAYOUT_KINDS)
def test_a_kind_has_a_name_in_both_languages_and_is_built_in(kind: str) -> None:
    assert len(LAYOUT_KINDS[kind].title) == len(WRITTEN)
    assert all(LAYOUT_KINDS[kind].title)
    assert BUILT_IN_LAYOUTS[kind] == LayoutSettings(kind=kind)
