"""What a camera gives over a span of media time, and a track of pictures that is run on it."""

from fractions import Fraction
from typing import NamedTuple

from capture.source import Frame
from recorder.model.packet import Track
from tests.support.tracks import Rig, in_time

THIRTY = Fraction(30)
GRID = 2e-5
"""Seconds: the encoder counts 90000ths."""
type Script = list[tuple[int, Frame]]
"""When each frame arrives on the session clock, and the frame."""


class Counted(NamedTuple):
    frames: int
    repeated: int
    late: int
    damaged: int


def camera(rig: Rig, first_s: float, last_s: float, rate: Fraction = THIRTY) -> Script:
    """Return what a camera gives in a span of media time: its frames are numbered from media time 0 on."""
    numbers = range(round(first_s * rate), round(last_s * rate))
    return [(rig.at(number / rate + Fraction(1, 100)), rig.frame(number / rate, number)) for number in numbers]


def run(
    rig: Rig,
    script: Script,
    *,
    rate: Fraction = THIRTY,
    source_rate: Fraction | None = None,
    ends: bool = False,
    lost: bool = False,
) -> Counted:
    (_, first), *rest = script
    shown = rig.video(rest, rate=rate, source_rate=source_rate, ends=ends, lost=lost)
    track = rig.track(shown, rate=rate)
    in_time(lambda: track.run((shown, first)))
    assert rig.encoder.flushed == [Track.VIDEO]
    return Counted(track.counts.frames, track.counts.repeated, track.counts.late, shown.damaged)


def nominal(count: int, rate: Fraction = THIRTY) -> list[float]:
    return [float(number / rate) for number in range(count)]


def switch_after_two_seconds(rig: Rig) -> None:
    """Show layout 1, and from 2 s on layout 2."""
    rig.scene.switch("1")

    def switch(at_s: float) -> None:
        if 2 < at_s < 2.04:
            rig.scene.switch("2")

    rig.encoder.on_picture = switch
