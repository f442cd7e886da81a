"""The steps as they are taken: what the encoder is asked for, what is handed on, what is told."""

from dataclasses import replace
from fractions import Fraction

import pytest

from config.settings.schema import LEAN
from devices.host.clock import NANOSECONDS
from recorder.features.load_shedding.ladder import PATIENCE_S, Step
from recorder.features.load_shedding.relief import CHEAP, CHEAPEST
from tests.support.relieved import SETTINGS, Rig


def test_a_pc_that_keeps_up_is_looked_at_and_nothing_else() -> None:
    rig = Rig()
    rig.run(60, filled=0.1, busy=0.8)
    assert rig.told.events == []
    assert rig.encoder.asked == []
    assert rig.relief.behind_s == pytest.approx(0.1)
    assert rig.relief.busy == pytest.approx(0.8, abs=0.01)
    assert rig.relief.spacing == 1


def test_each_step_is_taken_in_its_order_and_told_with_what_was_measured() -> None:
    rig = Rig()
    rig.run(5, filled=0.5)
    names = [step.value for step in Step]
    assert rig.told.steps == [("stepped-down", name) for name in names]
    assert [detail for _, _, detail in rig.told.events] == [
        {"step": name, "steps": names[: index + 1], "behind_s": 0.5, "busy": 1.0} for index, name in enumerate(names)
    ]
    cheap = replace(SETTINGS, more_params=CHEAP)
    assert rig.encoder.asked == [cheap, replace(SETTINGS, rate=Fraction(15), more_params=CHEAPEST)]
    assert rig.relief.spacing == 2
    assert rig.viewers.thins_previews
    assert not rig.viewers.thins_encode, "it gets half of the program's pictures now"


def test_the_second_encode_gets_fewer_pictures_before_the_recording_does() -> None:
    rig = Rig()
    rig.run(1.5, filled=0.45)
    assert rig.told.steps[-1] == ("stepped-down", "viewers")
    assert (rig.viewers.thins_previews, rig.viewers.thins_encode, rig.relief.spacing) == (True, True, 1)
    assert rig.live[-1] == (CHEAP, 2)


def test_all_is_taken_back_in_the_end() -> None:
    rig = Rig()
    rig.run(5, filled=0.5)
    rig.run(4 * PATIENCE_S + 15, filled=0.0, busy=0.2)
    assert rig.told.steps[4:] == [
        ("stepped-up", "detail"), ("stepped-up", "frame rate"), ("stepped-up", "viewers"), ("keeps-up", "encoder"),
    ]  # fmt: skip
    assert [detail["steps"] for _, _, detail in rig.told.events[5:]] == [["encoder", "viewers"], ["encoder"], []]
    cheap = replace(SETTINGS, more_params=CHEAP)
    assert rig.encoder.asked[2:] == [replace(cheap, rate=Fraction(15)), cheap, SETTINGS]
    assert (rig.viewers.thins_previews, rig.viewers.thins_encode, rig.relief.spacing) == (False, False, 1)


def test_the_second_encode_is_simplified_with_the_recording_and_told_how_many_pictures_it_gets() -> None:
    rig = Rig()
    rig.run(5, filled=0.5)
    down = [(CHEAP, 1), (CHEAP, 2), (CHEAPEST, 2)]
    assert rig.live == down, "half of the program's are as many as every second one of them was"
    rig.run(4 * PATIENCE_S + 15, filled=0.0, busy=0.2)
    assert rig.live == [*down, (CHEAP, 2), (CHEAP, 1), ("", 1)]


def test_nobody_who_does_not_look_is_shown_less() -> None:
    rig = Rig(looks=False)
    rig.run(5, filled=0.5)
    assert rig.told.steps == [
        ("stepped-down", "encoder"), ("stepped-down", "frame rate"), ("stepped-down", "detail"),
    ]  # fmt: skip
    assert rig.told.events[-1][2]["behind_s"] == 0.5


@pytest.mark.parametrize("preset", ["ultrafast", "superfast"])
def test_an_encoder_that_looks_for_little_already_is_left_as_it_is(preset: str) -> None:
    rig = Rig(replace(SETTINGS, preset=preset))
    rig.run(5, filled=0.5)
    assert [step for _, step in rig.told.steps] == ["viewers", "frame rate"]
    assert rig.encoder.asked == [replace(SETTINGS, preset=preset, rate=Fraction(15))]


def test_a_lean_encoder_looks_for_no_more_than_the_first_step_but_can_look_for_less() -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN))
    rig.run(5, filled=0.5)
    assert [step for _, step in rig.told.steps] == ["viewers", "frame rate", "detail"]
    assert rig.asked == [(Fraction(15), CHEAPEST)]


def test_few_pictures_are_not_made_fewer() -> None:
    rig = Rig(replace(SETTINGS, rate=Fraction(8)))
    rig.run(5, filled=0.5)
    assert [step for _, step in rig.told.steps] == ["encoder", "viewers", "detail"]
    assert rig.relief.spacing == 1


def test_ten_a_second_are_few_and_can_still_be_halved() -> None:
    rig = Rig(replace(SETTINGS, rate=Fraction(10)))
    rig.run(5, filled=0.5)
    assert rig.relief.spacing == 2
    rig = Rig(replace(SETTINGS, rate=Fraction(999, 100)))
    rig.run(5, filled=0.5)
    assert rig.relief.spacing == 1


def test_what_is_told_has_two_places() -> None:
    rig = Rig()
    rig.run(1, filled=0.45678, busy=0.98765)
    (_, _, detail) = rig.told.events[0]
    assert (detail["behind_s"], detail["busy"]) == (0.46, 0.99)


def test_it_is_looked_at_after_a_tenth_of_a_second_and_not_before() -> None:
    rig = Rig()
    assert (rig.relief.behind_s, rig.relief.busy) == (0.0, 0.0)
    rig.clock.advance_to(rig.clock.now_ns() + NANOSECONDS // 10 - 1)
    rig.relief.update(0, 0.5)
    assert (rig.relief.behind_s, rig.relief.busy) == (0.0, 0.0)
    rig.clock.advance_to(rig.clock.now_ns() + 1)
    rig.relief.update(0, 0.5)
    assert (rig.relief.behind_s, rig.relief.busy) == (0.5, 1.0)


def test_who_waited_for_longer_than_there_was_is_idle() -> None:
    rig = Rig()
    rig.clock.advance_to(rig.clock.now_ns() + NANOSECONDS // 10)
    rig.relief.update(NANOSECONDS // 8, 0.0)
    assert (rig.relief.behind_s, rig.relief.busy) == (0.0, 0.0)
