"""Sources that give what a test tells them, in simulated time; and the situation in which a check looks at them."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from agent.checks.check import CheckContext
from capture.source import (
    SAMPLE_RATE,
    AudioBlock,
    AudioSource,
    Samples,
    VideoFormat,
    VideoSource,
)
from capture.sources.source_kind import ChosenSource, ChosenSources
from config.errors import LiputError
from devices.model.device import Device, DeviceKind
from recorder.model.status import SessionStatus
from recorder.session.request import SessionRequest
from tests.support import situations
from tests.support.scenes import HEIGHT, WIDTH, FakeCamera, paced
from tests.support.simulated import SimulatedClock

RATE = 50
BLOCK = 960

CAMERA = Device(id="046d:0825:CAM0001", kind=DeviceKind.CAMERA, name="Podium")
CARD = Device(id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="Slides")
MICROPHONE = Device(id="0d8c:0134@1-3", kind=DeviceKind.MICROPHONE, name="Mimbar")


class Shown(FakeCamera):
    """A camera that gives JPEGs, RATE in a second of its clock; `refuses` is what opening raises."""

    name = "Podium"

    def __init__(self, pictures: Iterable[bytes], *, refuses: LiputError | None = None) -> None:
        self.clock = SimulatedClock()
        self.is_open = False
        size = WIDTH, HEIGHT
        super().__init__(self.clock, paced(pictures, RATE), rate=RATE, size=size, lost_s=None, signal=lambda _: None)
        self.refuses = refuses

    def open(self) -> VideoFormat:
        form = super().open()
        self.is_open = True
        return form

    def close(self) -> None:
        self.is_open = False


class Sounding(AudioSource):
    """A microphone that gives samples, in the time of its clock; nothing where there are none."""

    name = "Mimbar"

    def __init__(self, samples: Samples | None) -> None:
        self.clock = SimulatedClock()
        self.is_open = False
        self.channels = 2 if samples is None else samples.shape[1]
        self._samples = samples

    def open(self) -> None:
        self.is_open = True

    def read(self, timeout_s: float) -> AudioBlock | None:
        if self._samples is None or not len(self._samples):
            self.clock.advance(timeout_s)
            return None
        block, self._samples = self._samples[:BLOCK], self._samples[BLOCK:]
        began_ns = self.clock.now_ns()
        self.clock.advance(BLOCK / SAMPLE_RATE)
        return AudioBlock(began_ns, block)

    def close(self) -> None:
        self.is_open = False


def situation(
    *, held: Mapping[str, SessionStatus] = {}, quick: bool = False, asked: SessionRequest | None = None
) -> CheckContext:
    """Return a situation of a session of little pictures."""
    wanted = asked or SessionRequest(title="Rapat")
    small = msgspec.structs.replace(wanted, profile=wanted.profile or "240p15")
    return situations.situation(small, held=held, quick=quick)


def chooses(
    pictures: Sequence[tuple[VideoSource, Device | None]] = (), sounds: Sequence[tuple[AudioSource, Device | None]] = ()
) -> Callable[[CheckContext], ChosenSources]:
    """Return what may stand for agent.checks.kinds.sources.choose: the session has these sources."""
    chosen = ChosenSources(
        pictures=[ChosenSource(one.name, one, one.name, device=device) for one, device in pictures],
        sounds=[ChosenSource(one.name, one, one.name, device=device) for one, device in sounds],
    )
    return lambda _now: chosen
