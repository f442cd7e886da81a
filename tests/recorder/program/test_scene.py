"""Several sources in one program, on a clock that moves when told; and the frames that viewers beside it get."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
import pytest

from capture.compose.cards import draw_slate
from capture.detectors.source_health import SILENT_S
from capture.source import ColorMatrix, VideoFormat
from capture.sources.worker import OutageKind, SourceOutage
from config.settings.schema import Settings
from devices.host.clock import NANOSECONDS
from recorder.program.frame_fanout import LOOKED_S, FrameFanout
from recorder.program.scene import Appearance, SceneRenderer
from tests.support.scenes import GRID, THIRTY, Script
from tests.support.simulated import SimulatedClock
from tests.support.tracks import SLATE, Rig, in_time

SECOND = 100_000
"""Added to the numbers of the second camera."""


def numbered(rig: Rig, last_s: float, rate: Fraction = THIRTY, offset: int = 0, late_s: float = 0.0) -> Script:
    """Return what a camera gives up to `last_s` of media time, `late_s` off the first one's beat."""
    late = Fraction(late_s).limit_denominator(1000)
    return [
        (rig.at(number / rate + late + Fraction(1, 100)), rig.frame(number / rate + late, offset + number))
        for number in range(round(last_s * rate))
    ]


def run(
    end_s: int,
    first: Callable[[Rig], Script],
    second: Callable[[Rig], Script],
    switch: Callable[[Rig, float], object] = lambda *_: None,
    second_rate: Fraction = THIRTY,
) -> Rig:
    """Run a program of two cameras; `switch` is told the time of each picture, and may change the layout."""
    rig = Rig(end_s=end_s)

    def tell(at_s: float) -> None:
        switch(rig, at_s)

    rig.encoder.on_picture = tell
    rig.encoder.unnumbered = -1
    (_, begin), *rest = first(rig)
    one = rig.video(rest, rate=THIRTY, name="podium")
    two = rig.video(second(rig), rate=THIRTY, source_rate=second_rate, name="slides")
    track = rig.track(one, two, rate=THIRTY)
    in_time(lambda: track.run((one, begin)))
    return rig


def steps(rig: Rig) -> list[float]:
    return [after - before for before, after in pairwise(rig.encoder.times_s)]


def test_a_switch_shows_the_other_source_from_the_next_picture_on() -> None:
    def switch(rig: Rig, at_s: float) -> None:
        if abs(at_s - 1.5) < 0.001:
            rig.scene.switch("2")
        if at_s > 3.0:
            rig.scene.switch("1")

    rig = run(4, lambda rig: numbered(rig, 4.1), lambda rig: numbered(rig, 4.1, THIRTY, SECOND, 0.013), switch)
    numbers = rig.encoder.numbers
    assert numbers[:46] == list(range(46))
    second = [number - SECOND for number in numbers if number >= SECOND]
    assert second == list(range(second[0], second[0] + len(second)))
    assert second[0] in (45, 46)
    back = numbers.index(second[-1] + SECOND) + 1
    assert numbers[back:] == list(range(numbers[back], 120))
    # No picture is missing, none is doubled: the beat of the other source begins within a picture's time.
    assert max(steps(rig)) < 2 / 30
    assert min(steps(rig)) > 0.5 / 30 - 0.013


@pytest.mark.parametrize("other", [25, 60])
def test_sources_of_different_rates_take_turns_in_a_program_of_30(other: int) -> None:
    rate = Fraction(other)
    rig = run(
        6,
        lambda rig: numbered(rig, 6.1),
        lambda rig: numbered(rig, 6.1, rate, SECOND),
        lambda rig, at_s: rig.scene.switch("2" if 2 <= at_s < 4 else "1"),
        second_rate=rate,
    )
    shown = [number for number in rig.encoder.numbers if number >= SECOND]
    assert len(shown) == pytest.approx(2 * min(other, 30), abs=3)
    assert max(steps(rig)) < 1 / 30 + 1 / other + GRID
    assert rig.events == []


def test_when_the_shown_source_is_lost_its_slate_goes_on_with_the_clock_and_the_other_can_be_shown() -> None:
    rig = run(
        6,
        lambda rig: numbered(rig, 1),
        lambda rig: numbered(rig, 6.1, THIRTY, SECOND),
        lambda rig, at_s: rig.scene.switch("2") if at_s > 3 else None,
    )
    numbers, times = rig.encoder.numbers, rig.encoder.times_s
    assert times[numbers.index(SLATE)] - 1 < SILENT_S
    assert rig.events == [("source-silent", "podium"), ("source-missing", "podium")]
    shown = [(at, number) for at, number in zip(times, numbers, strict=True) if SECOND <= number < SLATE]
    assert shown[-1][1] == SECOND + 179
    for at, number in shown:
        assert at == pytest.approx((number - SECOND) / 30, abs=0.05)
    assert max(steps(rig)) < 2 / 30


def test_a_source_that_dies_while_another_is_shown_is_told_and_costs_no_picture() -> None:
    rig = run(4, lambda rig: numbered(rig, 4.1), lambda rig: numbered(rig, 1, THIRTY, SECOND))
    assert rig.encoder.numbers == list(range(120))
    assert rig.events == [("source-missing", "slides")]


def test_a_card_covers_everything_and_the_sources_are_still_watched() -> None:
    seen: list[str] = []

    def switch(rig: Rig, at_s: float) -> None:
        rig.scene.switch("pause" if 1 <= at_s < 3 else "1")
        seen.append(rig.scene.layout)

    rig = run(4, lambda rig: numbered(rig, 4.1), lambda rig: numbered(rig, 4.1, THIRTY, SECOND), switch)
    assert rig.encoder.numbers == [*range(31), *[-1] * 60, *range(91, 120)]
    assert set(seen) == {"1", "pause"}
    assert rig.events == []


class Viewers(FrameFanout):
    """Viewers of previews and of the live encode: `wants` says whether they want frames, and they count them."""

    def __init__(self) -> None:
        self.clock = SimulatedClock(0)
        self.wants = True
        self.previews: list[str] = []
        self.encoded: list[int] = []
        super().__init__(self._preview, self._encode, self.clock, lambda *_: None)

    def _preview(self, name: str, _picture: av.VideoFrame) -> bool:
        self.previews.append(name)
        return self.wants

    def _encode(self, _picture: av.VideoFrame, pts: int) -> bool:
        self.encoded.append(pts)
        return self.wants

    def show(self, seconds: int) -> None:
        picture = av.VideoFrame(16, 16, "yuv420p")
        for number in range(seconds * 10):
            self.clock.advance_to(self.clock.now_ns() + NANOSECONDS // 10)
            self.offer("podium", picture)
            self.offer("program", picture)
            self.offer_live(picture, number)


def test_thinned_previews_come_once_a_second_each_and_one_that_is_not_wanted_delays_none() -> None:
    viewers = Viewers()
    viewers.thins_previews, viewers.wants = True, False
    viewers.show(1)
    assert len(viewers.previews) == 20
    viewers.wants = True
    viewers.show(5)
    assert viewers.previews[20:] == ["podium", "program"] * 5
    assert len(viewers.encoded) == 60


def test_a_thinned_encode_gets_every_second_picture() -> None:
    viewers = Viewers()
    viewers.thins_encode = True
    viewers.show(1)
    viewers.thins_encode = False
    viewers.show(1)
    assert viewers.encoded == [1, 3, 5, 7, 9, *range(10)]


@pytest.mark.parametrize("of_live", [False, True])
def test_somebody_looks_for_two_seconds_after_a_picture_was_wanted(*, of_live: bool) -> None:
    viewers, picture = Viewers(), av.VideoFrame(16, 16, "yuv420p")
    watching = [viewers.are_watching]
    if of_live:
        viewers.offer_live(picture, 0)
    else:
        viewers.offer("podium", picture)
    wanted_ns = viewers.clock.now_ns()
    viewers.wants = False
    viewers.show(1)
    viewers.clock.advance_to(wanted_ns + round(LOOKED_S * NANOSECONDS))
    watching.append(viewers.are_watching)
    viewers.clock.advance_to(viewers.clock.now_ns() + 1)
    assert [*watching, viewers.are_watching] == [False, True, False]


# What is drawn once


@dataclass(eq=False)
class Shown:
    """An input as a conference has it, with a picture that never changes."""

    name: str
    picture: av.VideoFrame | None = None
    version: int = 0
    outage: SourceOutage | None = None
    within: tuple[int, int] | None = None


@pytest.fixture
def drawn() -> tuple[SceneRenderer, list[Shown]]:
    inputs = [Shown("podium", av.VideoFrame(64, 36, "yuv420p")), Shown("slides", av.VideoFrame(64, 36, "yuv420p"))]
    form = VideoFormat(320, 180, Fraction(30), ColorMatrix.BT709)
    appearance = Appearance(Settings().layouts, Settings().program, "Rapat", "id")
    return SceneRenderer(inputs, form, appearance), inputs


def test_a_slate_is_drawn_once_for_each_reason_and_size(drawn: tuple[SceneRenderer, list[Shown]]) -> None:
    stage, _ = drawn
    slate = stage.slate("podium", OutageKind.LOST, (64, 36))
    assert stage.slate("podium", OutageKind.LOST, (64, 36)) is slate
    assert (slate.width, slate.height) == (64, 36)
    other = stage.slate("podium", OutageKind.LOST, (32, 18))
    assert (other.width, other.height) == (32, 18)
    assert stage.slate("podium", OutageKind.BUSY, (32, 18)) is not other
    never_there = draw_slate(320, 180, name="Kamera", reason="Belum terpasang - menunggu", matrix=ColorMatrix.BT709)
    assert (stage.slate("camera", OutageKind.MISSING, (320, 180)).to_ndarray() == never_there.to_ndarray()).all()


def test_places_are_reckoned_anew_once_a_shape_has_changed(drawn: tuple[SceneRenderer, list[Shown]]) -> None:
    stage, inputs = drawn
    names, view = [one.name for one in inputs], stage.view("pip")
    shapes = dict.fromkeys(names, (64, 36))
    places = view.places((320, 180), names, shapes)
    assert view.places((320, 180), names, dict(shapes)) is places
    tall = view.places((320, 180), names, shapes | {"slides": (36, 64)})
    assert tall != places
    assert stage.view("pause").places((320, 180), names, shapes) == {}


def test_only_what_changes_the_frame_is_counted(drawn: tuple[SceneRenderer, list[Shown]]) -> None:
    stage, inputs = drawn
    view = stage.view("pip")
    for version in (1, 1):
        stage.show(view)
        assert stage.version == version
    inputs[0].version = 1
    stage.show(view)
    assert stage.version == 2
    inputs[0].outage = SourceOutage(OutageKind.LOST, "", "", 0)
    stage.show(view)
    assert stage.version == 3
    assert stage.show(stage.view("pause")) is not None
    assert stage.version == 4
