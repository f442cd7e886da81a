"""What the watches of pictures cost: CPU seconds of a 1080p30 source that is watched, less those of one that is not.

The source gives JPEGs and has its pictures decoded beforehand, more of them than any cache holds, so that what is
measured is the watches and not how evenly a decoder runs. What decoding takes is measured apart, to compare with.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av

from capture.detectors.source_health import patience_for
from capture.media.jpeg import JpegDecoder
from capture.media.pictures import plane_views, tag_frame
from capture.source import ColorMatrix, Frame, Size, VideoFormat, VideoSource
from capture.sources.worker import VideoWorker
from config.settings.schema import Settings
from devices.health.faults import HealthTracker
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind
from tests.bench.material import HEIGHT, RATE, WIDTH, camera_jpeg, slide_jpeg
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock
from tests.support.workers import judged_video

BAR_PERCENT = 1.0
"""Of a core, for one source."""
NAMES = ("camera", "slides", "uncompressed")
_PICTURES = 16
_SLIDE_FRAMES = 3 * RATE


class Replay(VideoSource):
    """A source that gives `payloads` in turn, 30 a second of a clock that it moves on, as it is read."""

    name = "replay"

    def __init__(self, payloads: Sequence[bytes], pictures: Sequence[av.VideoFrame], clock: SimulatedClock) -> None:
        self._payloads = payloads
        self._pictures = pictures
        self._clock = clock
        self._zero_ns = clock.now_ns()
        self._number = -1

    def open(self) -> VideoFormat:
        return VideoFormat(WIDTH, HEIGHT, Fraction(RATE), ColorMatrix.BT601)

    def read(self, timeout_s: float) -> Frame | None:
        self._number += 1
        at_ns = self._zero_ns + self._number * NANOSECONDS // RATE
        self._clock.advance_to(at_ns)
        return Frame(at_ns, self._payloads[self._number % len(self._payloads)])

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        return self._pictures[self._number % len(self._pictures)]

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds for `media_s` seconds of pictures: watched, not watched, and decoding them."""

    media_s: float
    watched_s: float
    bare_s: float
    decode_s: float

    @property
    def percent(self) -> float:
        """What watching takes of a core."""
        return 100 * (self.watched_s - self.bare_s) / self.media_s

    @property
    def decode_percent(self) -> float:
        """What decoding takes of a core; 0 where nothing was decoded."""
        return 100 * self.decode_s / self.media_s

    def summary(self) -> dict[str, float]:
        """Return the figures for the JSON document; `ratio` is watched to not watched, where decoding was measured."""
        figures = {
            "cpu_percent": round(self.percent, 3),
            "bar_percent": BAR_PERCENT,
            "decode_percent": round(self.decode_percent, 2),
            "media_s": self.media_s,
        }
        if self.decode_s:
            whole = self.decode_percent + 100 * self.bare_s / self.media_s
            figures["ratio"] = round((whole + self.percent) / whole, 4)
        return figures


def measure(name: str, media_s: float = 300.0, pairs: int = 5) -> Cost:
    """Measure one kind of source, in interleaved pairs of which the median counts."""
    payloads, pictures, decode_s = material(name)
    count = round(media_s * RATE)
    watched, bare = [], []
    for _ in range(pairs):
        bare.append(_seconds(payloads, pictures, count, is_watched=False))
        watched.append(_seconds(payloads, pictures, count, is_watched=True))
    return Cost(media_s, statistics.median(watched), statistics.median(bare), decode_s * media_s)


def _seconds(payloads: Sequence[bytes], pictures: Sequence[av.VideoFrame], count: int, *, is_watched: bool) -> float:
    clock = SimulatedClock()
    source = VideoWorker(replay := Replay(payloads, pictures, clock), clock)
    if is_watched:
        kind = DeviceKind.CAPTURE_CARD
        device = Device(id="bench", kind=kind, name="bench")
        tracker = HealthTracker(device.id, device.name, record=Recorded(clock), clock=clock)
        source, _ = judged_video(replay, device, patience_for(Settings(), kind), tracker)
    source.open()
    began = time.process_time()
    for _ in range(count):
        frame = source.read(0.1)
        if frame is not None:
            source.decode(frame)
    return time.process_time() - began


def material(name: str) -> tuple[list[bytes], list[av.VideoFrame], float]:
    """Return payloads, decoded pictures, and the CPU seconds that a second of them takes to decode."""
    camera = [camera_jpeg(number) for number in range(_PICTURES)]
    if name == "camera":
        return camera, list(_decoded(camera)), _decode_seconds(camera)
    if name == "uncompressed":
        payloads = [bytes(WIDTH * HEIGHT * 2 - 1) + number.to_bytes() for number in range(_PICTURES)]
        return payloads, list(_decoded(camera)), 0.0
    slides = [slide_jpeg(number) for number in range(_PICTURES)]
    pictures = [picture for picture in _decoded(slides) for _ in range(_SLIDE_FRAMES)]
    # Equal bytes in two places: a driver never gives the same object twice, which would be equal at a glance.
    payloads = [copy for slide in slides for copy in [slide, slide[:-1] + slide[-1:]] * (_SLIDE_FRAMES // 2)]
    return payloads, pictures, _decode_seconds(payloads)


def _decoded(jpegs: Sequence[bytes]) -> Iterator[av.VideoFrame]:
    decoder = JpegDecoder((WIDTH, HEIGHT))
    for jpeg in jpegs:
        yield _kept(decoder.decode(jpeg))


def _kept(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a copy, which outlives the decoder's own frame."""
    copy = av.VideoFrame(picture.width, picture.height, picture.format.name)
    for source, target in zip(plane_views(picture), plane_views(copy), strict=True):
        target[:] = source
    return tag_frame(copy, ColorMatrix.BT601)


def _decode_seconds(payloads: Sequence[bytes]) -> float:
    decoder = JpegDecoder((WIDTH, HEIGHT))
    began = time.process_time()
    for number in range(10 * RATE):
        decoder.decode(payloads[number % len(payloads)])
    return (time.process_time() - began) / 10
