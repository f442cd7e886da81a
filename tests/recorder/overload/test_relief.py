"""The steps as they are taken: what the encoder is asked for, what is handed on, what is told."""

from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
import pytest

from capture.source import Matrix
from config.errors import EncoderError
from config.schema import LEAN
from devices.clock import NANOSECONDS
from recorder.overload.ladder import PATIENCE_S, Load, Step
from recorder.overload.relief import CHEAP, CHEAPEST, SUBJECT, Relief
from recorder.overload.viewers import Viewers
from recorder.x264 import VideoSettings
from tests.support.simulated import SimulatedClock
from tests.support.tracks import NotingEncoder

SETTINGS = VideoSettings(320, 180, Fraction(30), Matrix.BT601, 400_000, 400_000)
PICTURE = av.VideoFrame(16, 16, "yuv420p")


@dataclass
class Told:
    """An Emit that keeps everything."""

    events: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        assert message
        self.events.append((kind, subject, detail))

    @property
    def steps(self) -> list[tuple[str, object]]:
        """The kind of each event, and the step that it is about."""
        assert {subject for _, subject, _ in self.events} <= {SUBJECT}
        return [(kind, detail["step"]) for kind, _, detail in self.events]


class Refusing(NotingEncoder):
    """An encoder that cannot be changed."""

    def change_video(self, settings: VideoSettings) -> None:
        super().change_video(settings)
        raise EncoderError("no memory")


class Rig:
    def __init__(
        self, settings: VideoSettings = SETTINGS, encoder: NotingEncoder | None = None, *, looks: bool = True
    ) -> None:
        self.clock = SimulatedClock()
        self.encoder = encoder or NotingEncoder()
        self.told = Told()
        self.live: list[tuple[str, int]] = []
        """What the second encode was asked for, once for each change."""
        self.viewers = Viewers(lambda *_: looks, lambda *_: looks, self.clock, self.simplify)
        self.relief = Relief(settings, self.encoder, self.viewers, clock=self.clock, emit=self.told)

    def simplify(self, more_params: str, spacing: int) -> None:
        if self.live[-1:] != [(more_params, spacing)]:
            self.live.append((more_params, spacing))

    def run(self, seconds: float, *, filled: float, busy: float = 1.0) -> None:
        """Take a picture thirty times a second."""
        for _ in range(round(seconds * 30)):
            self.clock.advance_to(self.clock.now_ns() + NANOSECONDS // 30)
            self.viewers.offer("podium", PICTURE)
            self.relief.look(round((1 - busy) * NANOSECONDS / 30), filled)


def test_a_pc_that_keeps_up_is_looked_at_and_nothing_else() -> None:
    rig = Rig()
    rig.run(60, filled=0.1, busy=0.8)
    assert rig.told.events == []
    assert rig.encoder.asked == []
    assert rig.relief.load.behind_s == pytest.approx(0.1)
    assert rig.relief.load.busy == pytest.approx(0.8, abs=0.01)
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
    halved = replace(cheap, rate=Fraction(15))
    assert rig.encoder.asked == [cheap, halved, replace(halved, more_params=CHEAPEST)]
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
    assert rig.encoder.asked[3:] == [replace(cheap, rate=Fraction(15)), cheap, SETTINGS]
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
    assert [settings.more_params for settings in rig.encoder.asked] == ["", CHEAPEST]


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
    assert rig.relief.load == Load(0.0, 0.0)
    rig.clock.advance_to(rig.clock.now_ns() + NANOSECONDS // 10 - 1)
    rig.relief.look(0, 0.5)
    assert rig.relief.load == Load(0.0, 0.0)
    rig.clock.advance_to(rig.clock.now_ns() + 1)
    rig.relief.look(0, 0.5)
    assert rig.relief.load == Load(0.5, 1.0)


def test_who_waited_for_longer_than_there_was_is_idle() -> None:
    rig = Rig()
    rig.clock.advance_to(rig.clock.now_ns() + NANOSECONDS // 10)
    rig.relief.look(NANOSECONDS // 8, 0.0)
    assert rig.relief.load == Load(0.0, 0.0)


def test_what_the_encoder_refuses_is_not_asked_for_again_and_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    rig = Rig(encoder=Refusing())
    rig.run(20, filled=0.5)
    assert rig.told.steps == [("stepped-down", "viewers")]
    assert [settings.rate for settings in rig.encoder.asked] == [30, 15, 30]
    assert rig.relief.spacing == 1
    assert "no memory" in capsys.readouterr().err


def steep(rig: Rig, seconds: float = 0.6) -> None:
    """Fall behind by nine tenths of a second a second."""
    for number in range(round(seconds * 30)):
        rig.run(1 / 30, filled=0.3 + 0.03 * number)


def test_two_steps_at_once_are_one_change_of_the_encoder_and_each_is_told() -> None:
    rig = Rig(looks=False)
    steep(rig)
    assert [(kind, detail["step"], detail["steps"]) for kind, _, detail in rig.told.events] == [
        ("stepped-down", "encoder", ["encoder"]),
        ("stepped-down", "frame rate", ["encoder", "frame rate"]),
    ]
    assert [(settings.rate, settings.more_params) for settings in rig.encoder.asked] == [(Fraction(15), CHEAP)]
    assert rig.relief.spacing == 4, "0.8 s wait"
    rig.run(0.2, filled=0.3)
    assert rig.relief.spacing == 2


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


def test_of_two_steps_that_are_refused_the_last_is_left_and_the_first_tried_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rig = Rig(encoder=Refusing(), looks=False)
    steep(rig)
    rig.run(5, filled=0.9)
    assert rig.told.events == []
    tried = [(settings.rate, settings.more_params) for settings in rig.encoder.asked]
    assert tried == [(Fraction(15), CHEAP), (Fraction(30), CHEAPEST), (Fraction(30), CHEAP)]
    assert list(rig.relief.taken) == []
    assert capsys.readouterr().err.count("EncoderError: no memory") == len(tried)
