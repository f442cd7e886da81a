"""What the watches of pictures cost: CPU seconds of a 1080p30 source that is watched, less those of one that is not.

The source gives JPEGs and has its pictures decoded beforehand, more of them than any cache holds, so that what is
measured is the watches and not how evenly a decoder runs.
"""

import time
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av

from capture.detectors.source_health import patience_for
from capture.media.jpeg import JpegDecoder
from capture.media.pictures import copy_planes, plane_views, tag_frame
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
_MEDIA_S, _PAIRS = 300, 5
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


def measure(name: str) -> tuple[float, ...]:
    """Return what watching a kind of source takes of a core, in percent: of each pair of runs."""
    payloads, pictures = material(name)
    more = []
    for _ in range(_PAIRS):
        bare_s, watched_s = (_seconds(payloads, pictures, is_watched=watched) for watched in (False, True))
        more.append(100 * (watched_s - bare_s) / _MEDIA_S)
    return tuple(more)


def _seconds(payloads: Sequence[bytes], pictures: Sequence[av.VideoFrame], *, is_watched: bool) -> float:
    clock = SimulatedClock()
    source = VideoWorker(replay := Replay(payloads, pictures, clock), clock)
    if is_watched:
        kind = DeviceKind.CAPTURE_CARD
        device = Device(id="bench", kind=kind, name="bench")
        tracker = HealthTracker(device.id, device.name, record=Recorded(clock), clock=clock)
        source, _ = judged_video(replay, device, patience_for(Settings(), kind), tracker)
    source.open()
    began = time.process_time()
    for _ in range(_MEDIA_S * RATE):
        frame = source.read(0.1)
        if frame is not None:
            source.decode(frame)
    return time.process_time() - began


def material(name: str) -> tuple[list[bytes], list[av.VideoFrame]]:
    """Return payloads and decoded pictures."""
    camera = [camera_jpeg(number) for number in range(_PICTURES)]
    if name == "camera":
        return camera, list(_decoded(camera))
    if name == "uncompressed":
        payloads = [bytes(WIDTH * HEIGHT * 2 - 1) + number.to_bytes() for number in range(_PICTURES)]
        return payloads, list(_decoded(camera))
    slides = [slide_jpeg(number) for number in range(_PICTURES)]
    pictures = [picture for picture in _decoded(slides) for _ in range(_SLIDE_FRAMES)]
    # Equal bytes in two places: a driver never gives the same object twice, which would be equal at a glance.
    return [copy for slide in slides for copy in [slide, slide[:-1] + slide[-1:]] * (_SLIDE_FRAMES // 2)], pictures


def _decoded(jpegs: Sequence[bytes]) -> Iterator[av.VideoFrame]:
    decoder = JpegDecoder((WIDTH, HEIGHT))
    for jpeg in jpegs:
        yield _kept(decoder.decode(jpeg))


def _kept(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a copy, which outlives the decoder's own frame."""
    copy = av.VideoFrame(picture.width, picture.height, picture.format.name)
    copy_planes(plane_views(picture), plane_views(copy))
    return tag_frame(copy, ColorMatrix.BT601)
