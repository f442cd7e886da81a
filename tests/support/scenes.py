"""Frames of cameras and capture cards as JPEGs on a simulated clock, with a source and a track for them."""

import functools
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import NamedTuple

import av
import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray

from capture.detectors.source_health import Patience
from capture.detectors.video_detectors import VideoDetectors
from capture.media.jpeg import JpegDecoder
from capture.media.pictures import SizeCache
from capture.source import ColorMatrix, Frame, Size, VideoFormat, VideoSource
from config.errors import DeviceError, LiputError, MediaError
from devices.health.faults import Fault, HealthTracker, OnChange
from devices.health.log_line import HealthLogger
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind, Mode
from devices.model.mode_choice import ChosenMode
from recorder.model.packet import Track
from recorder.program.video_track import ChooseSpacing, StaticFrameSkipper
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock
from tests.support.tracks import Rig, in_time
from tests.support.workers import judged_video

WIDTH, HEIGHT, RATE = 320, 180, 30
CARD = DeviceKind.CAPTURE_CARD

type Image = NDArray[np.uint8]
"""Shape (height, width, 3), RGB."""

type Shot = tuple[float, bytes]
"""When a picture is captured, in seconds after the source was opened, and its JPEG; an empty one is damaged."""


def jpeg(image: Image, quality: int = 85) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, colorspace="RGB", colorsubsampling="422"))


def plain(red: int, green: int, blue: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image:
    return np.full((size[1], size[0], 3), (red, green, blue), np.uint8)


def colour_bars(level: int = 191) -> Image:
    """Draw the eight bars of EBU: white, yellow, cyan, green, magenta, red, blue, black."""
    colours = [(level * (not bar & 2), level * (not bar & 4), level * (not bar & 1)) for bar in range(8)]
    return np.array(colours, np.uint8).repeat(WIDTH // 8, axis=0)[None].repeat(HEIGHT, axis=0)


def titled(image: Image, text: str, colour: tuple[int, int, int] = (240, 240, 240)) -> Image:
    """Write a title on a slide."""
    picture = image.copy()
    scale = image.shape[1] / 700
    place = image.shape[1] // 16, image.shape[0] // 4
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 2, cv2.LINE_AA)
    return picture


@functools.cache
def camera_pictures(noise: float = 2.0) -> tuple[bytes, ...]:
    """Return what a camera sees that looks at a wall: the same, but for the noise of its sensor."""
    generator = np.random.default_rng(17)
    wall = np.linspace(60, 190, WIDTH)[None, :, None] * np.linspace(1, 0.7, HEIGHT)[:, None, None]
    noisy = (wall + generator.normal(0, noise, (HEIGHT, WIDTH, 1)) for _ in range(48))
    return tuple(jpeg(np.broadcast_to(picture, (HEIGHT, WIDTH, 3)).clip(0, 255).astype(np.uint8)) for picture in noisy)


def live(noise: float = 2.0) -> Iterator[bytes]:
    """Give a camera's pictures for ever, no two in a row the same."""
    return itertools.cycle(camera_pictures(noise=noise))


def paced(
    pictures: Iterable[bytes], rate: float = RATE, *, from_s: float = 0.0, jitter_s: float = 0.0
) -> Iterator[Shot]:
    """Give pictures at a rate, each up to `jitter_s` early or late."""
    moments = random.Random(1)
    for number, picture in enumerate(pictures):
        yield from_s + number / rate + moments.uniform(-jitter_s, jitter_s), picture


def before(end_s: float, shots: Iterable[Shot]) -> Iterator[Shot]:
    """Give what is captured before `end_s`."""
    return itertools.takewhile(lambda shot: shot[0] < end_s, shots)


def numbered(picture: bytes) -> Iterator[bytes]:
    """Give the same picture for ever, in other bytes each time."""
    for number in itertools.count():
        # Bytes behind the end of a JPEG mean nothing.
        yield picture + number.to_bytes(4)


def nearly_the_same() -> Iterator[bytes]:
    """Give a wall for ever whose one corner flickers by a level."""
    wall = np.linspace(60, 190, WIDTH).astype(np.uint8)[None, :, None].repeat(HEIGHT, 0).repeat(3, 2)
    flickering = [wall, wall.copy()]
    flickering[1][10:14, 20:24] += 1
    return itertools.cycle([jpeg(picture, 100) for picture in flickering])


def bursts(from_s: float, size: int = 3) -> Iterator[Shot]:
    """Give a camera's pictures at their rate, but so many at once."""
    for number, pictures in enumerate(itertools.batched(live(), size)):
        for place, picture in enumerate(pictures):
            yield from_s + number * size / RATE + place / 1000, picture


def live_then(pictures: Iterator[bytes], from_s: float, to_s: float) -> itertools.chain[Shot]:
    """Show a camera, then `pictures` for a while, then the camera again."""
    shown = before(to_s, paced(pictures, from_s=from_s))
    return itertools.chain(before(from_s, paced(live())), shown, paced(live(), from_s=to_s))


class FakeCamera(VideoSource):
    """A camera that sends shots and moves the clock on while it waits; opening raises `refuses`."""

    name = "Fake Camera"

    def __init__(
        self,
        clock: SimulatedClock,
        shots: Iterable[Shot],
        *,
        rate: float,
        size: tuple[int, int],
        lost_s: float | None,
        signal: Callable[[float], str | None],
    ) -> None:
        """Take when it goes, and what its driver says of its input."""
        self.mode = ChosenMode(Mode("MJPG", *size, (rate,)), rate)
        self.damaged = 0
        self.refuses: LiputError | None = None
        self.asked: list[float] = []
        self._clock = clock
        self._shots = iter(shots)
        self._next: Shot | None = None
        self._rate = rate
        self._size = size
        self._lost_s = lost_s
        self._signal = signal
        self._decoders = SizeCache(size, lambda smaller: JpegDecoder(size, smaller))
        self.zero_ns = clock.now_ns()

    @property
    def seconds(self) -> float:
        """The time since it was opened."""
        return (self._clock.now_ns() - self.zero_ns) / NANOSECONDS

    def open(self) -> VideoFormat:
        if self.refuses:
            raise self.refuses
        self.zero_ns = self._clock.now_ns()
        return VideoFormat(*self._size, Fraction(self._rate).limit_denominator(1001), ColorMatrix.BT601)

    def read(self, timeout_s: float) -> Frame | None:
        deadline_s = self.seconds + timeout_s
        while (shot := self._next or next(self._shots, None)) and shot[0] <= deadline_s:
            self._next, (at_s, payload) = None, shot
            captured_ns = self.zero_ns + round(at_s * NANOSECONDS)
            self._clock.advance_to(captured_ns)
            if payload:
                return Frame(captured_ns, payload)
            self.damaged += 1
        self._next = shot
        self._clock.advance_to(self.zero_ns + round(deadline_s * NANOSECONDS))
        if self._lost_s is not None and self.seconds >= self._lost_s:
            raise DeviceError(f"{self.name} was lost", why="lost")
        return None

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        assert isinstance(frame.payload, bytes)
        return self._decoders.get(within).decode(frame.payload)

    def close(self) -> None:
        """Nothing to let go of."""

    def signal_problem(self) -> str | None:
        self.asked.append(self.seconds)
        return self._signal(self.seconds)


class Watched:
    """A source at work on a simulated clock, and what was recorded of it."""

    def __init__(
        self,
        shots: Iterable[Shot],
        *,
        kind: DeviceKind = DeviceKind.CAMERA,
        device: str = "046d:0825:CAM0001",
        patience: Patience | None = None,
        on_change: OnChange | None = None,
        record: HealthLogger | None = None,
        rate: float = RATE,
        size: tuple[int, int] = (WIDTH, HEIGHT),
        lost_s: float | None = None,
        signal: Callable[[float], str | None] = lambda _seconds: None,
    ) -> None:
        self.clock = SimulatedClock()
        self.log = Recorded(self.clock)
        self.within: Callable[[float], Size | None] = lambda _seconds: None
        """At which size pictures are decoded, by the time since opening."""
        self.camera = FakeCamera(self.clock, shots, rate=rate, size=size, lost_s=lost_s, signal=signal)
        usual = Patience(3.0, 5.0, 20.0) if kind is DeviceKind.CAMERA else Patience(1800.0, 30.0, 20.0)
        self.video, self.health = judged_video(
            self.camera,
            Device(id=device, kind=kind, name="Podium"),
            patience or usual,
            HealthTracker(device, "Podium", record=record or self.log, clock=self.clock, on_change=on_change),
        )

    def run(self, until_s: float) -> None:
        """Read and decode, as a session does, until so long after opening; opens it the first time."""
        if self.health.detectors is None:
            self.video.open()
        while self.camera.seconds < until_s and self.video.outage is None:
            frame = self.video.read(min(0.1, until_s - self.camera.seconds + 1e-6))
            if frame is not None:
                with suppress(MediaError):
                    self.video.decode(frame, self.within(self.camera.seconds))

    @property
    def detectors(self) -> VideoDetectors:
        """Those of the opening that lasts."""
        assert isinstance(self.health.detectors, VideoDetectors)
        return self.health.detectors

    def faults(self) -> list[tuple[float, str, str]]:
        """Return (seconds after opening, kind of line, fault) of what was found and what was over."""
        return self.log.faults()


def one_fault(watched: Watched, fault: Fault) -> tuple[float, float]:
    """Return when the only fault was found and when it was over."""
    (found_s, found, what), (over_s, over, ended) = watched.faults()
    assert (found, over) == ("degraded", "recovered")
    assert what == ended == fault
    return found_s, over_s


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
    left_out: int
    still: int


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
    source: VideoSource | None = None,
    spacing: ChooseSpacing = lambda *_: 1,
    stillness: StaticFrameSkipper | None = None,
) -> Counted:
    """Run a track that shows one camera, from its first frame on."""
    (_, first), *rest = script
    shown = rig.video(rest, rate=rate, source_rate=source_rate, camera=source, ends=ends, lost=lost)
    track = rig.track(shown, rate=rate, spacing=spacing, stillness=stillness)
    in_time(lambda: track.run((shown, first)))
    assert rig.encoder.flushed == [Track.VIDEO]
    now = track.counts
    return Counted(now.frames, now.repeated, now.late, shown.damaged, now.left_out, now.still)


def nominal(count: int, rate: Fraction = THIRTY) -> list[float]:
    return [float(number / rate) for number in range(count)]
