"""A PC that falls behind on a simulated clock, and what its relief asks of the encoder, hands on and tells."""

from dataclasses import dataclass, field
from fractions import Fraction

import av

from capture.source import ColorMatrix
from devices.host.clock import NANOSECONDS
from recorder.encode.x264 import VideoSettings
from recorder.features.load_shedding.load_shedder import SUBJECT, LoadShedder
from recorder.model.status import SheddingStep
from recorder.program.frame_fanout import FrameFanout
from tests.support.simulated import SimulatedClock
from tests.support.tracks import NotingEncoder

SETTINGS = VideoSettings(320, 180, Fraction(30), ColorMatrix.BT601, 400_000, 400_000)
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


class Rig:
    def __init__(
        self, settings: VideoSettings = SETTINGS, encoder: NotingEncoder | None = None, *, looks: bool = True
    ) -> None:
        self.clock = SimulatedClock()
        self.encoder = encoder or NotingEncoder()
        self.told = Told()
        self.live: list[tuple[str, int]] = []  # what the second encode was asked for, once for each change
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
            self.viewers.offer("podium", PICTURE)
            self.relief.update(round((1 - busy) * NANOSECONDS / 30), filled)


def steep(rig: Rig) -> None:
    """Fall behind by nine tenths of a second a second."""
    for number in range(18):
        rig.run(1 / 30, filled=0.3 + 0.03 * number)


def until_taken(rig: Rig, step: SheddingStep, *, filled: float) -> None:
    """Let so much wait until `step` is taken."""
    for _ in range(300):
        if step in rig.relief.taken:
            return
        rig.run(1 / 30, filled=filled)
    raise AssertionError(rig.relief.taken)
