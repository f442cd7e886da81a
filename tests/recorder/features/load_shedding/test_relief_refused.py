"""Steps whose encoder cannot be had are given up, those alone, and are not tried again."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from config.errors import EncoderError
from config.settings.schema import LEAN
from recorder.encode.x264 import VideoSettings
from recorder.features.load_shedding.ladder import Step
from recorder.features.load_shedding.relief import CHEAP, CHEAPEST
from tests.support.relieved import SETTINGS, Rig, steep, until_taken
from tests.support.tracks import NotingEncoder


class Refusing(NotingEncoder):
    """An encoder that cannot be changed to what `refuses` says."""

    def __init__(self, refuses: Callable[[VideoSettings], bool] = lambda _: True) -> None:
        super().__init__()
        self._refuses = refuses

    def change_video(self, settings: VideoSettings) -> None:
        super().change_video(settings)
        if self._refuses(settings):
            raise EncoderError("no memory")


def test_what_the_encoder_refuses_is_not_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    rig = Rig(encoder=Refusing())
    rig.run(20, filled=0.5)
    assert rig.told.steps[:2] == [("stepped-down", "viewers"), ("stepped-down", "frame rate")]
    assert rig.told.steps[2:] == [("stepped-down", "detail"), ("stepped-up", "detail")]
    assert rig.told.events[-1][2]["steps"] == ["viewers", "frame rate"]
    assert rig.asked == [
        (Fraction(30), CHEAP), (Fraction(15), CHEAPEST), (Fraction(30), CHEAPEST), (Fraction(15), ""),
    ]  # fmt: skip
    assert list(rig.relief.taken) == [Step.VIEWERS, Step.RATE]
    assert rig.relief.spacing == 2, "no encoder is needed for that"
    assert capsys.readouterr().err.count("EncoderError: no memory") == len(rig.asked)


@pytest.mark.parametrize(
    ("refuses", "tried", "taken"),
    [
        (
            lambda settings: settings.rate == 15,
            [(Fraction(15), CHEAPEST), (Fraction(30), CHEAPEST)],
            [Step.RATE, Step.DETAIL],
        ),
        (
            lambda settings: settings.more_params != "",
            [(Fraction(15), CHEAPEST), (Fraction(30), CHEAPEST), (Fraction(15), "")],
            [Step.RATE],
        ),
    ],
)
def test_of_steps_that_are_made_together_none_is_given_up_for_another(
    refuses: Callable[[VideoSettings], bool],
    tried: list[tuple[Fraction, str]],
    taken: list[Step],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN), Refusing(refuses), looks=False)
    rig.run(10, filled=0.9)
    assert rig.asked == tried
    assert list(rig.relief.taken) == taken
    assert rig.told.steps[:2] == [("stepped-down", "frame rate"), ("stepped-down", "detail")]
    assert rig.told.steps[2:] == [("stepped-up", "detail")] * (Step.DETAIL not in taken)
    assert "no memory" in capsys.readouterr().err
    rig.run(200, filled=0.0, busy=0.2)
    assert list(rig.relief.taken) == []
    assert rig.told.steps[-1] == ("keeps-up", "frame rate")
    assert rig.relief.spacing == 1


def test_a_step_that_needs_no_encoder_is_not_given_up_with_one_that_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rig = Rig(encoder=Refusing(lambda settings: settings.more_params != ""))
    steep(rig)
    assert rig.asked == [(Fraction(30), CHEAP)]
    assert list(rig.relief.taken) == []
    rig.run(2, filled=0.45)
    assert list(rig.relief.taken)[:1] == [Step.VIEWERS]
    assert (Fraction(30), CHEAP) not in rig.asked[1:], "what was refused is not tried again"
    assert "no memory" in capsys.readouterr().err


def test_of_steps_that_are_refused_together_one_after_the_other_is_given_up_the_last_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rig = Rig(encoder=Refusing(lambda settings: settings.more_params != ""), looks=False)
    steep(rig)
    rig.run(5, filled=0.9)
    assert rig.asked == [
        (Fraction(15), CHEAPEST), (Fraction(30), CHEAPEST),
        (Fraction(15), CHEAP), (Fraction(30), CHEAP), (Fraction(15), ""),
    ]  # fmt: skip
    assert list(rig.relief.taken) == [Step.RATE]
    assert rig.told.steps[3:] == [("stepped-up", "detail"), ("stepped-up", "encoder")]
    assert capsys.readouterr().err.count("EncoderError: no memory") == 4


def test_a_later_step_that_was_put_off_is_given_up_alone(capsys: pytest.CaptureFixture[str]) -> None:
    refusing = Refusing(lambda settings: settings.more_params != "")
    rig = Rig(replace(SETTINGS, preset=LEAN), refusing, looks=False)
    until_taken(rig, Step.RATE, filled=0.45)
    rig.run(5, filled=0.0)
    until_taken(rig, Step.DETAIL, filled=0.9)
    rig.run(5, filled=0.1)
    assert rig.asked == [(Fraction(15), ""), (Fraction(15), CHEAPEST)]
    assert list(rig.relief.taken) == [Step.RATE]
    assert rig.told.steps[-1] == ("stepped-up", "detail")
    assert "no memory" in capsys.readouterr().err


def test_what_is_refused_in_a_step_of_its_own_is_not_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    rig = Rig(encoder=Refusing(), looks=False)
    until_taken(rig, Step.RATE, filled=0.45)
    assert rig.asked == [(Fraction(30), CHEAP)]
    rig.run(3, filled=0.1)
    assert rig.asked == [(Fraction(30), CHEAP), (Fraction(15), "")]
    assert rig.told.steps == [("stepped-down", "frame rate")]
    rig.run(5, filled=0.45)
    assert rig.asked[2:] == [(Fraction(30), CHEAPEST)]
    assert list(rig.relief.taken) == [Step.RATE]
    assert capsys.readouterr().err.count("EncoderError: no memory") == len(rig.asked)
