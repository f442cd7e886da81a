"""Mix-minus of pictures: whatever a layout shows in the program, nothing of the far side is shown to the conference."""

import itertools

import pytest

from capture.compose.layout import Layout
from config.program import BUILT_IN_LAYOUTS, SINGLE, LayoutSettings
from recorder.conference.plan import near_layouts

INPUTS = ["slides", "zoom", "podium"]


def shown(settings: LayoutSettings, far: set[str]) -> list[str]:
    layouts = near_layouts({"one": settings}, INPUTS, far)
    return Layout("one", layouts["one"]).shown([name for name in INPUTS if name not in far])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LayoutSettings(kind="single", show=("zoom",)), ["slides"]),  # only the far side: the first that is near
        (LayoutSettings(kind="single", show=("podium",)), ["podium"]),
        (LayoutSettings(kind="single", show=("2",)), ["slides"]),  # numbers count all inputs of the session
        (LayoutSettings(kind="single", show=("3",)), ["podium"]),
        (LayoutSettings(kind="pip", show=("zoom", "podium")), ["podium", "slides"]),
        (LayoutSettings(kind="side-by-side"), ["slides", "podium"]),
        (LayoutSettings(kind="side-by-side", show=("podium", "zoom")), ["podium"]),
    ],
)
def test_the_places_of_the_far_side_go_to_the_next_that_is_near(settings: LayoutSettings, expected: list[str]) -> None:
    assert shown(settings, {"zoom"}) == expected


def test_no_layout_of_any_kind_shows_the_far_side() -> None:
    kinds = BUILT_IN_LAYOUTS.values()
    orders = [(), *itertools.permutations(INPUTS, 1), *itertools.permutations(INPUTS, 2)]
    fars = [set(some) for count in (1, 2) for some in itertools.combinations(INPUTS, count)]
    for settings, show, far in itertools.product(kinds, orders, fars):
        if settings.kind == SINGLE and len(show) > 1:
            continue
        found = shown(LayoutSettings(kind=settings.kind, show=show), far)
        assert found
        assert not set(found) & far


def test_a_layout_for_another_session_is_left_out_and_single_is_always_there() -> None:
    layouts = {"rapat": LayoutSettings(kind="single", show=("document-camera",))}
    assert near_layouts(layouts, INPUTS, {"zoom"}) == {SINGLE: LayoutSettings(kind=SINGLE)}
