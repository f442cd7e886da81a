"""The encoder of a step is put off while it is enough to leave pictures out, which is done at once."""

from dataclasses import replace
from fractions import Fraction

import pytest

from config.settings.schema import LEAN
from recorder.features.load_shedding.ladder import Step
from recorder.features.load_shedding.relief import CHEAP, CHEAPEST
from tests.support.relieved import SETTINGS, Rig, steep, until_taken


def test_two_steps_at_once_are_one_change_of_the_encoder_and_each_is_told() -> None:
    rig = Rig(looks=False)
    steep(rig)
    assert list(rig.relief.taken) == [Step.ENCODER, Step.RATE]
    assert rig.relief.spacing == 4, "0.8 s wait"
    rig.run(0.2, filled=0.3)
    assert rig.relief.spacing == 2
    assert rig.encoder.asked == [], "what is left out is enough so far"
    rig.run(0.2, filled=0.15)
    assert [(kind, detail["step"], detail["steps"]) for kind, _, detail in rig.told.events] == [
        ("stepped-down", "encoder", ["encoder"]),
        ("stepped-down", "frame rate", ["encoder", "frame rate"]),
    ]
    assert {detail["behind_s"] for _, _, detail in rig.told.events} == {0.63}, "as it was when they were taken"
    assert rig.asked == [(Fraction(15), CHEAP)]


@pytest.mark.parametrize("filled", [0.45, 0.9])
def test_another_encoder_is_not_put_off_where_it_does_not_help(filled: float) -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN), looks=False)
    until_taken(rig, Step.RATE, filled=0.45)
    rig.run(0.25, filled=filled)
    assert rig.encoder.asked == []
    assert rig.told.steps[0] == ("stepped-down", "frame rate"), "pictures are left out already"
    rig.run(0.2, filled=filled)
    assert [settings.rate for settings in rig.encoder.asked] == [15]


def test_another_encoder_is_put_off_while_fewer_and_fewer_wait_and_not_for_longer_than_a_second() -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN), looks=False)
    until_taken(rig, Step.RATE, filled=0.45)
    for tick in range(1, 10):
        rig.run(0.1, filled=0.45 - 0.02 * (tick // 2))
        assert rig.encoder.asked == []
    rig.run(0.2, filled=0.25)
    assert rig.asked == [(Fraction(15), "")]


def test_a_rate_that_is_enough_by_itself_is_the_encoders_too_once_nothing_waits() -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN), looks=False)
    until_taken(rig, Step.RATE, filled=0.45)
    rig.run(0.3, filled=0.16)
    assert rig.encoder.asked == []
    rig.run(60, filled=0.1)
    assert rig.asked == [(Fraction(15), "")]
    assert rig.told.steps == [("stepped-down", "frame rate")]


def test_a_step_that_comes_after_the_rate_is_done_at_once_unless_more_is_left_out() -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN), looks=False)
    until_taken(rig, Step.RATE, filled=0.45)
    rig.run(5, filled=0.0)
    until_taken(rig, Step.DETAIL, filled=0.45)
    assert [settings.more_params for settings in rig.encoder.asked] == ["", CHEAPEST]
    urgent = Rig(replace(SETTINGS, preset=LEAN), looks=False)
    until_taken(urgent, Step.RATE, filled=0.45)
    urgent.run(5, filled=0.0)
    until_taken(urgent, Step.DETAIL, filled=0.9)
    assert [settings.more_params for settings in urgent.encoder.asked] == [""]
    urgent.run(0.4, filled=0.3)
    assert [settings.more_params for settings in urgent.encoder.asked] == [""]
    urgent.run(0.2, filled=0.15)
    assert [settings.more_params for settings in urgent.encoder.asked] == ["", CHEAPEST]


def test_where_the_rate_is_not_lowered_nothing_is_put_off() -> None:
    rig = Rig(looks=False)
    until_taken(rig, Step.ENCODER, filled=0.9)
    assert [settings.more_params for settings in rig.encoder.asked] == [CHEAP]
    assert rig.told.steps == [("stepped-down", "encoder")]


def test_where_much_waits_even_so_more_is_left_out_until_little_waits() -> None:
    rig = Rig()
    rig.run(0.8, filled=0.9)
    assert rig.relief.spacing == 1, "the rate is not lowered yet"
    rig.run(5, filled=0.5)
    assert rig.relief.spacing == 4, "it was more once, and is not yet less than too much"
    rig.run(0.2, filled=0.3)
    asked, told = list(rig.encoder.asked), list(rig.told.events)
    for filled, spacing in ((0.3, 2), (0.5, 2), (0.51, 4), (0.31, 4), (0.3, 2)):
        rig.run(0.2, filled=filled)
        assert rig.relief.spacing == spacing
    assert (rig.encoder.asked, rig.told.events) == (asked, told), (
        "each change of the encoder would cost more than it saves"
    )
    assert rig.live[-1] == (CHEAPEST, 2)


def test_who_looks_gets_fewer_pictures_from_the_step_on_however_long_the_encoder_takes() -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN))
    steep(rig)
    assert list(rig.relief.taken) == [Step.VIEWERS, Step.RATE]
    assert (rig.viewers.thins_previews, rig.viewers.thins_encode, rig.live) == (True, False, [])
    rig.run(1, filled=0.16)
    assert rig.live == [("", 2)]
    apart = Rig(replace(SETTINGS, preset=LEAN))
    until_taken(apart, Step.VIEWERS, filled=0.45)
    assert apart.viewers.thins_encode
    until_taken(apart, Step.RATE, filled=0.45)
    assert not apart.viewers.thins_encode, "it gets half of the program's pictures now"


def test_hardware_has_no_encoder_that_would_be_in_the_way() -> None:
    rig = Rig(looks=False)
    rig.encoder.is_external = True
    until_taken(rig, Step.RATE, filled=0.9)
    assert rig.asked == [(Fraction(15), "")]


def test_the_next_step_has_to_wait_for_the_encoder_of_those_that_were_put_off() -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN), looks=False)
    until_taken(rig, Step.RATE, filled=0.35)
    for tick in range(10):
        rig.run(0.1, filled=0.34 - 0.01 * tick)
    rig.run(0.6, filled=0.45)
    assert rig.asked == [(Fraction(15), "")]
    assert list(rig.relief.taken) == [Step.RATE], "its encoder is there for 0.6 s only"
    rig.run(0.4, filled=0.45)
    assert list(rig.relief.taken) == [Step.RATE, Step.DETAIL]
