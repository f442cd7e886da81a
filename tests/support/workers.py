"""Source workers on a simulated clock; their devices are judged as in a session."""

from collections.abc import Iterable, Iterator

from capture.detectors.audio_detectors import AudioDetectors
from capture.detectors.source_health import Patience, SourceHealth
from capture.detectors.video_detectors import VideoDetectors
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource, Frame, Samples, VideoFormat, VideoSource
from capture.sources.worker import AudioWorker, DeviceLocator, DeviceSupervision, SourceWorker, VideoWorker
from config.errors import DeviceError
from devices.health.faults import HealthTracker
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock


def judged_video(
    source: VideoSource, device: Device, patience: Patience, tracker: HealthTracker
) -> tuple[VideoWorker, SourceHealth[Frame, VideoFormat]]:
    """Return the worker of `source`, not open yet, and what judges it."""
    health = SourceHealth(
        source,
        device,
        lambda told, known, usual, form: VideoDetectors(told, known, usual, form, source),
        lambda _known: patience,
        tracker,
    )
    return VideoWorker(source, tracker.clock, supervision=DeviceSupervision(DeviceLocator(), health)), health


def judged_sound(
    source: AudioSource, device: Device, patience: Patience, tracker: HealthTracker
) -> tuple[AudioWorker, SourceHealth[AudioBlock, None]]:
    """Return the worker of `source`, not open yet, and what judges it."""
    health = SourceHealth(
        source,
        device,
        lambda told, _known, usual, _form: AudioDetectors(told, source.channels, silence_s=usual.silence_s),
        lambda _known: patience,
        tracker,
    )
    return SourceWorker(source, tracker.clock, supervision=DeviceSupervision(DeviceLocator(), health)), health


BLOCK = 960  # samples that a device gives at once: 20 ms
LATE_S = 0.005  # how long after its last sample was captured a block is here

type Chunk = tuple[float, Samples, bool]
"""When its first sample is captured, in seconds after opening; the samples; whether some before them are lost."""


def blocks(sound: Samples, *, from_s: float = 0.0) -> Iterator[Chunk]:
    """Give a sound in blocks, as its time passes; what is less than a block at its end does not come."""
    for number, start in enumerate(range(0, len(sound) - BLOCK + 1, BLOCK)):
        yield from_s + number * BLOCK / SAMPLE_RATE, sound[start : start + BLOCK], False


class FakeInput(AudioSource):
    """Sound of two channels that gives chunks and moves the clock on while it waits; gone after `lost_s`."""

    name = "Fake Microphone"
    channels = 2

    def __init__(self, clock: SimulatedClock, chunks: Iterable[Chunk], *, lost_s: float | None = None) -> None:
        self._clock = clock
        self._chunks = iter(chunks)
        self._next: Chunk | None = None
        self._lost_s = lost_s
        self._zero_ns = clock.now_ns()

    @property
    def seconds(self) -> float:
        """The time since it was opened."""
        return (self._clock.now_ns() - self._zero_ns) / NANOSECONDS

    def open(self) -> None:
        self._zero_ns = self._clock.now_ns()

    def read(self, timeout_s: float) -> AudioBlock | None:
        deadline_s = self.seconds + timeout_s
        self._next = self._next or next(self._chunks, None)
        if self._next:
            at_s, samples, lost = self._next
            here_s = at_s + len(samples) / SAMPLE_RATE + LATE_S
            if here_s <= deadline_s:
                self._next = None
                self._clock.advance_to(self._stamp_ns(here_s))
                return AudioBlock(self._stamp_ns(at_s), samples, lost)
        self._clock.advance_to(self._stamp_ns(deadline_s))
        if self._lost_s is not None and self.seconds >= self._lost_s:
            raise DeviceError(f"{self.name} was lost", why="lost")
        return None

    def _stamp_ns(self, seconds: float) -> int:
        return self._zero_ns + round(seconds * NANOSECONDS)

    def close(self) -> None:
        """Nothing to let go of."""


class WatchedInput:
    """A FakeInput with the worker that a session gives it, and what was recorded of it."""

    def __init__(self, chunks: Iterable[Chunk], patience: Patience, *, lost_s: float | None = None) -> None:
        clock = SimulatedClock()
        self.log = Recorded(clock)
        self.input = FakeInput(clock, chunks, lost_s=lost_s)
        device = Device(
            id="046d:0825@1-1+sound", kind=DeviceKind.MICROPHONE, name=self.input.name, alsa="hw:CARD=X,DEV=0"
        )
        tracker = HealthTracker(device.id, device.name, record=self.log, clock=clock)
        self.audio, self.health = judged_sound(self.input, device, patience, tracker)
        self.audio.open()

    def run(self, until_s: float) -> None:
        """Read, as a session does, until so long after opening, or until it is lost."""
        while self.input.seconds < until_s and self.audio.outage is None:
            self.audio.read(0.1)
