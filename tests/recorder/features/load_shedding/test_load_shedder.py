"""The steps as they are taken: what the encoder is asked for, what is handed on, what is told."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import av
import pytest

from capture.source import ColorMatrix
from config.errors import EncoderError
from config.settings.schema import LEAN_PRESET, Settings, VideoDefaults
from devices.host.clock import NANOSECONDS
from recorder.encode.x264 import VideoSettings
from recorder.features.load_shedding.load_hook import make_hook
from recorder.features.load_shedding.load_shedder import CHEAP, CHEAPEST, SUBJECT, LoadShedder
from recorder.features.load_shedding.policy import PATIENCE_S
from recorder.model.status import SheddingStep
from recorder.program.frame_fanout import FrameFanout
from recorder.session.request import SessionRequest
from tests.support.simulated import SimulatedClock
from tests.support.tracks import NotingEncoder

SETTINGS = VideoSettings(320, 180, Fraction(30), ColorMatrix.BT601, 400_000, 400_000)


class Told(list[tuple[str, dict[str, object]]]):
    """An Emit that keeps kind and detail of every event."""

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        assert message
        assert subject == SUBJECT
        self.append((kind, detail))

    @property
    def steps(self) -> list[tuple[str, object]]:
        return [(kind, detail["step"]) for kind, detail in self]


class Rig:
    """A PC that falls behind on a simulated clock."""

    def __init__(
        self, settings: VideoSettings = SETTINGS, encoder: NotingEncoder | None = None, *, looks: bool = True
    ) -> None:
        self.clock = SimulatedClock()
        self.encoder = encoder or NotingEncoder()
        self.told = Told()
        self.live: list[tuple[str, int]] = []
        """What the second encode was asked for, once for each change."""
        self.viewers = FrameFanout(lambda *_: looks, lambda *_: looks, self.clock, self.simplify)
        self.relief = LoadShedder(settings, self.encoder, self.viewers, clock=self.clock, emit=self.told)

    def simplify(self, more_params: str, spacing: int) -> None:
        if self.live[-1:] != [(more_params, spacing)]:
            self.live.append((more_params, spacing))

    @property
    def asked(self) -> list[tuple[Fraction, str]]:
        """The rate of each encoder that was asked for, and what makes it look for less."""
        return [(settings.rate, settings.more_params) for settings in self.encoder.asked]

    def run(self, seconds: float, *, filled: float, busy: float = 1.0) -> None:
        """Take a picture thirty times a second."""
        for _ in range(round(seconds * 30)):
            self.clock.advance_to(self.clock.now_ns() + NANOSECONDS // 30)
            self.viewers.offer("podium", av.VideoFrame(16, 16, "yuv420p"))
            assert self.relief.update(round((1 - busy) * NANOSECONDS / 30), filled) == self.relief.spacing


def steep(rig: Rig, seconds: float = 0.6) -> None:
    """Fall behind by nine tenths of a second a second."""
    for number in range(round(seconds * 30)):
        rig.run(1 / 30, filled=0.3 + 0.03 * number)


def until_taken(rig: Rig, step: SheddingStep, *, filled: float) -> None:
    """Let so much wait until `step` is taken."""
    for _ in range(300):
        if step in rig.relief.taken:
            return
        rig.run(1 / 30, filled=filled)
    raise AssertionError(rig.relief.taken)


def test_a_pc_that_keeps_up_is_looked_at_and_nothing_else() -> None:
    rig = Rig()
    rig.run(60, filled=0.1, busy=0.8)
    assert rig.told == []
    assert rig.encoder.asked == []
    assert rig.relief.behind_s == pytest.approx(0.1)
    assert rig.relief.busy == pytest.approx(0.8, abs=0.01)
    assert rig.relief.spacing == 1


def test_each_step_is_taken_in_its_order_and_told_with_what_was_measured() -> None:
    rig = Rig()
    rig.run(5, filled=0.5)
    names = [step.value for step in SheddingStep]
    assert rig.told.steps == [("stepped-down", name) for name in names]
    assert [detail for _, detail in rig.told] == [
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
    down = [(CHEAP, 1), (CHEAP, 2), (CHEAPEST, 2)]
    assert rig.live == down, "half of the program's are as many as every second one of them was"
    rig.run(4 * PATIENCE_S + 15, filled=0.0, busy=0.2)
    assert rig.live == [*down, (CHEAP, 2), (CHEAP, 1), ("", 1)]
    assert rig.told.steps[4:] == [
        ("stepped-up", "detail"), ("stepped-up", "frame rate"), ("stepped-up", "viewers"), ("keeps-up", "encoder"),
    ]  # fmt: skip
    assert [detail["steps"] for _, detail in rig.told[5:]] == [["encoder", "viewers"], ["encoder"], []]
    cheap = replace(SETTINGS, more_params=CHEAP)
    assert rig.encoder.asked[2:] == [replace(cheap, rate=Fraction(15)), cheap, SETTINGS]
    assert (rig.viewers.thins_previews, rig.viewers.thins_encode, rig.relief.spacing) == (False, False, 1)


@pytest.mark.parametrize("preset", ["ultrafast", "superfast"])
def test_an_encoder_that_looks_for_little_already_is_left_as_it_is(preset: str) -> None:
    rig = Rig(replace(SETTINGS, preset=preset))
    rig.run(5, filled=0.5)
    assert [step for _, step in rig.told.steps] == ["viewers", "frame rate"]
    assert rig.encoder.asked == [replace(SETTINGS, preset=preset, rate=Fraction(15))]


def test_a_lean_encoder_looks_for_no_more_than_the_first_step_but_can_look_for_less() -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN_PRESET))
    rig.run(5, filled=0.5)
    assert [step for _, step in rig.told.steps] == ["viewers", "frame rate", "detail"]
    assert rig.asked == [(Fraction(15), CHEAPEST)]


@pytest.mark.parametrize(("rate", "spacing"), [(Fraction(10), 2), (Fraction(999, 100), 1)])
def test_few_pictures_are_not_made_fewer(rate: Fraction, spacing: int) -> None:
    rig = Rig(replace(SETTINGS, rate=rate))
    rig.run(5, filled=0.5)
    assert [step for _, step in rig.told.steps] == ["encoder", "viewers", *["frame rate"] * (spacing > 1), "detail"]
    assert rig.relief.spacing == spacing


def test_what_is_told_has_two_places() -> None:
    rig = Rig()
    rig.run(1, filled=0.45678, busy=0.98765)
    _, detail = rig.told[0]
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


def test_two_steps_at_once_are_one_change_of_the_encoder_and_each_is_told() -> None:
    rig = Rig(looks=False)
    steep(rig)
    assert list(rig.relief.taken) == [SheddingStep.ENCODER, SheddingStep.RATE]
    assert rig.relief.spacing == 4, "0.8 s wait"
    rig.run(0.2, filled=0.3)
    assert rig.relief.spacing == 2
    assert rig.encoder.asked == [], "what is left out is enough so far"
    rig.run(0.2, filled=0.15)
    assert [(kind, detail["step"], detail["steps"]) for kind, detail in rig.told] == [
        ("stepped-down", "encoder", ["encoder"]),
        ("stepped-down", "frame rate", ["encoder", "frame rate"]),
    ]
    assert {detail["behind_s"] for _, detail in rig.told} == {0.63}, "as it was when they were taken"
    assert rig.asked == [(Fraction(15), CHEAP)]


@pytest.mark.parametrize("filled", [0.45, 0.9])
def test_another_encoder_is_not_put_off_where_it_does_not_help(filled: float) -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN_PRESET), looks=False)
    until_taken(rig, SheddingStep.RATE, filled=0.45)
    rig.run(0.25, filled=filled)
    assert rig.encoder.asked == []
    assert rig.told.steps[0] == ("stepped-down", "frame rate"), "pictures are left out already"
    rig.run(0.2, filled=filled)
    assert [settings.rate for settings in rig.encoder.asked] == [15]


def test_another_encoder_is_put_off_while_fewer_and_fewer_wait_and_not_for_longer_than_a_second() -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN_PRESET), looks=False)
    until_taken(rig, SheddingStep.RATE, filled=0.45)
    for tick in range(1, 10):
        rig.run(0.1, filled=0.45 - 0.02 * (tick // 2))
        assert rig.encoder.asked == []
    rig.run(0.2, filled=0.25)
    assert rig.asked == [(Fraction(15), "")]


def test_where_much_waits_even_so_more_is_left_out_until_little_waits() -> None:
    rig = Rig()
    rig.run(0.8, filled=0.9)
    assert rig.relief.spacing == 1, "the rate is not lowered yet"
    rig.run(5, filled=0.5)
    assert rig.relief.spacing == 4, "it was more once, and is not yet less than too much"
    rig.run(0.2, filled=0.3)
    asked, told = list(rig.encoder.asked), list(rig.told)
    for filled, spacing in ((0.3, 2), (0.5, 2), (0.51, 4), (0.31, 4), (0.3, 2)):
        rig.run(0.2, filled=filled)
        assert rig.relief.spacing == spacing
    assert (rig.encoder.asked, rig.told) == (asked, told), "each change of the encoder would cost more than it saves"
    assert rig.live[-1] == (CHEAPEST, 2)


def test_hardware_has_no_encoder_that_would_be_in_the_way() -> None:
    rig = Rig(looks=False)
    rig.encoder.is_external = True
    until_taken(rig, SheddingStep.RATE, filled=0.9)
    assert rig.asked == [(Fraction(15), "")]


def test_the_next_step_has_to_wait_for_the_encoder_of_those_that_were_put_off() -> None:
    rig = Rig(replace(SETTINGS, preset=LEAN_PRESET), looks=False)
    until_taken(rig, SheddingStep.RATE, filled=0.35)
    for tick in range(10):
        rig.run(0.1, filled=0.34 - 0.01 * tick)
    rig.run(0.6, filled=0.45)
    assert rig.asked == [(Fraction(15), "")]
    assert list(rig.relief.taken) == [SheddingStep.RATE], "its encoder is there for 0.6 s only"
    rig.run(0.4, filled=0.45)
    assert list(rig.relief.taken) == [SheddingStep.RATE, SheddingStep.DETAIL]


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
    assert rig.told[-1][1]["steps"] == ["viewers", "frame rate"]
    assert rig.asked == [
        (Fraction(30), CHEAP), (Fraction(15), CHEAPEST), (Fraction(30), CHEAPEST), (Fraction(15), ""),
    ]  # fmt: skip
    assert list(rig.relief.taken) == [SheddingStep.VIEWERS, SheddingStep.RATE]
    assert rig.relief.spacing == 2, "no encoder is needed for that"
    assert capsys.readouterr().err.count("EncoderError: no memory") == len(rig.asked)


def test_a_step_that_needs_no_encoder_is_not_given_up_with_one_that_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rig = Rig(encoder=Refusing(lambda settings: settings.more_params != ""))
    steep(rig)
    assert rig.asked == [(Fraction(30), CHEAP)]
    assert list(rig.relief.taken) == []
    rig.run(2, filled=0.45)
    assert list(rig.relief.taken)[:1] == [SheddingStep.VIEWERS]
    assert (Fraction(30), CHEAP) not in rig.asked[1:], "what was refused is not tried again"
    assert "no memory" in capsys.readouterr().err


def test_of_steps_that_are_refused_together_the_last_is_given_up_first(capsys: pytest.CaptureFixture[str]) -> None:
    rig = Rig(encoder=Refusing(lambda settings: settings.more_params != ""), looks=False)
    steep(rig)
    rig.run(5, filled=0.9)
    assert rig.asked == [
        (Fraction(15), CHEAPEST), (Fraction(30), CHEAPEST),
        (Fraction(15), CHEAP), (Fraction(30), CHEAP), (Fraction(15), ""),
    ]  # fmt: skip
    assert list(rig.relief.taken) == [SheddingStep.RATE]
    assert rig.told.steps[3:] == [("stepped-up", "detail"), ("stepped-up", "encoder")]
    assert capsys.readouterr().err.count("EncoderError: no memory") == 4


# Sessions that shed load.


@pytest.mark.parametrize(
    ("video", "live", "sheds"),
    [(VideoDefaults(), True, True), (VideoDefaults(), False, False), (VideoDefaults(step_down=False), True, False)],
)
def test_a_live_session_sheds_load_unless_that_is_switched_off(video: VideoDefaults, live: bool, sheds: bool) -> None:
    asked = SessionRequest(title="Rapat", live=live)
    assert (make_hook(asked, Settings(video=video)) is not None) is sheds
