"""Measures the CPU time of a session with one encode and with two, for a moment each."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import cycle, islice
from threading import Event

import av
import numpy as np

from capture.compose.compositor import Compositor, PlacedPicture
from capture.compose.layout import Rect
from capture.detectors.detector_factory import DetectorFactory
from capture.media.jpeg import JpegDecoder
from capture.media.pictures import plane_views
from capture.pacing import RealPace
from capture.source import SAMPLE_RATE, Frame, Size, VideoFormat
from capture.sources.source_kind import SourceContext, SourceRequirements
from capture.sources.source_queue import SourceQueue
from capture.sources.source_selector import NONE, SourceSelector
from capture.sources.worker import VideoWorker
from capture.synthetic.video import SyntheticPainter
from config.errors import DeviceError, MediaError
from config.settings.schema import Settings
from devices.host.clock import NANOSECONDS, Clock
from recorder.encode.encoder import AAC_FRAME, AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.live_encode.headroom import Headroom, usable_cores
from recorder.live_encode.live_encoder import FrameSlot, live_settings
from recorder.model.packet import Track

FREE_WITHIN_S = 6.0  # time in which another program may release a device, such as a preview
PICTURE_WITHIN_S = 3.0
_LOOK_S = 0.2
_QUEUE = 30


@contextmanager
def source_frames(
    words: Sequence[str], asked: SourceRequirements, settings: Settings, clock: Clock
) -> Iterator[tuple[VideoFormat, int, Iterator[av.VideoFrame]]]:
    """Yield format, number and frames of the sources; closes them at the end.

    Each frame of the first source comes with a decoded inset of every other. Raises a LiputError for a source that does
    not open, and MediaError for a file, which would end.
    """
    stop = Event()
    pace = RealPace(clock, stop)
    context = SourceContext(asked, pace, clock, stop, live=True, watcher=DetectorFactory(settings, clock))
    chosen = SourceSelector(context).choose(words, [NONE]).pictures
    if any(one.ends for one in chosen):
        raise MediaError("a file is nothing to measure with")
    with ExitStack() as stack:
        stack.callback(stop.set)
        workers = [
            VideoWorker(one.source, clock, queue=SourceQueue(_QUEUE), supervision=one.supervision) for one in chosen
        ]
        forms = []
        for worker in workers:
            stack.callback(worker.close)
            forms.append(_open(worker, clock, stop))
        pace.begin()
        for worker in workers:
            worker.start()
        yield forms[0], len(chosen), _frames(workers, (asked.width // 4 & ~1, asked.height // 4 & ~1))


def _open(worker: VideoWorker, clock: Clock, stop: Event) -> VideoFormat:
    """Open a source; retries a busy one for a while."""
    try:
        return worker.open()
    except DeviceError as error:
        if error.why != "busy":
            raise
    until_ns = clock.now_ns() + round(FREE_WITHIN_S * NANOSECONDS)
    while worker.form is None and clock.now_ns() < until_ns and not stop.is_set():
        worker.read(_LOOK_S)
    if worker.form is None:
        raise (
            DeviceError(worker.outage.reason, hint=worker.outage.hint, why="busy")
            if worker.outage
            else DeviceError(worker.name, why="busy")
        )
    return worker.form


def _frames(workers: Sequence[VideoWorker], inset: Size) -> Iterator[av.VideoFrame]:
    main, *others = workers
    while True:
        frame = main.queue.get(PICTURE_WITHIN_S)
        if frame is None:
            raise DeviceError(f"{main.name} gives no picture", hint="check its cable and that it is switched on")
        for other in others:
            newest = other.queue.newest(lambda _frame: True)
            if newest is not None:
                _try_decode(other, newest, inset)
        picture = _try_decode(main, frame, None)
        if picture is not None:
            yield picture


def _try_decode(worker: VideoWorker, frame: Frame, within: Size | None) -> av.VideoFrame | None:
    try:
        return worker.decode(frame, within)
    except MediaError:
        return None  # a session skips damaged frames, too


MEASURED_S = 3.0
_FIRST = 4  # the first frames do not count: they include loading and first use of memory
_PREPARED_S = 1.0
_QUALITY = 6  # FFmpeg's scale for MJPEG, 2 to 31; about that of cameras
_NOISE = 4  # amplitude of a sensor's noise, which makes a camera's frames costly to encode
_INSET = 4


def measure_headroom(
    recorded: VideoSettings,
    sound: AudioSettings | None,
    most: int,
    pictures: Iterator[av.VideoFrame] | None = None,
    seconds: float = MEASURED_S,
) -> Headroom:
    """Run `seconds` of media, half with one encode and half with two.

    `most` is the live bit rate. `pictures` are of the recording's size, else from a synthetic camera; producing them
    counts. The process must do nothing else. Raises EncoderError.
    """
    source = pictures or synthetic_frames(recorded)
    count = max(1, round(seconds / 2 * recorded.rate))
    _cpu_seconds(recorded, sound, live_settings(recorded, most), source, _FIRST)
    one = _cpu_seconds(recorded, sound, None, source, count)
    two = _cpu_seconds(recorded, sound, live_settings(recorded, most), source, count)
    media_s = float(count / recorded.rate)
    return Headroom(one_encode=round(one / media_s, 3), two_encodes=round(two / media_s, 3), cores=usable_cores())


def synthetic_frames(like: VideoSettings) -> Iterator[av.VideoFrame]:
    """Yield decoded MJPEG frames of a synthetic camera, in a loop of a second; each is valid for two more."""
    jpegs = _camera_jpegs(like)
    decoder = JpegDecoder(like.width, like.height)
    return (decoder.decode(jpeg) for jpeg in cycle(jpegs))


def _camera_jpegs(like: VideoSettings) -> Sequence[bytes]:
    """Return a second of a synthetic speaker with sensor noise."""
    painter = SyntheticPainter(like.width, like.height, like.rate)
    random = np.random.default_rng(5)
    noise = random.integers(0, 2 * _NOISE, (like.height + 16, like.width + 16), dtype=np.uint8)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = like.width, like.height, "yuvj420p"
    encoder.time_base, encoder.framerate = 1 / like.rate, like.rate
    encoder.flags |= av.codec.context.Flags.qscale
    encoder.global_quality = _QUALITY * 118  # FF_QP2LAMBDA
    jpegs: list[bytes] = []
    for number in range(max(2, round(_PREPARED_S * like.rate))):
        picture = painter.draw(number)
        luma = plane_views(picture)[0]
        y, x = (int(place) for place in random.integers(0, 16, 2))
        full = av.VideoFrame(like.width, like.height, "yuvj420p")
        views = plane_views(full)
        np.copyto(views[0], (luma.clip(_NOISE, 255 - _NOISE) - _NOISE) + noise[y:, x:][: like.height, : like.width])
        for target, plane in zip(views[1:], plane_views(picture)[1:], strict=True):
            np.copyto(target, plane)
        full.pts = number
        jpegs += [bytes(packet) for packet in encoder.encode(full)]
    return jpegs


def _cpu_seconds(
    recorded: VideoSettings,
    sound: AudioSettings | None,
    streamed: VideoSettings | None,
    source: Iterator[av.VideoFrame],
    count: int,
) -> float:
    encoder, second = Encoder(recorded, sound), Encoder(streamed, None) if streamed else None
    copy = FrameSlot(recorded.width, recorded.height)
    compositor = Compositor(recorded.width, recorded.height, recorded.matrix)
    whole = Rect(0, 0, recorded.width, recorded.height)
    inset = Rect(0, 0, recorded.width // _INSET & ~1, recorded.height // _INSET & ~1)
    began = time.process_time()
    for number, given in enumerate(islice(source, count)):
        picture = compositor.compose([PlacedPicture(whole, given, number), PlacedPicture(inset, given, number)])
        pts = round(number / recorded.rate / VIDEO_TIME_BASE)
        encoder.encode_video(picture, pts)
        if second:
            copy.fill(picture, pts)
            second.encode_video(copy.picture, pts)
    if sound:
        _encode_sound(encoder, sound, count / recorded.rate)
    encoder.flush(Track.VIDEO)
    if second:
        second.flush(Track.VIDEO)
    taken_s = time.process_time() - began
    encoder.close()
    if second:
        second.close()
    return taken_s


def _encode_sound(encoder: Encoder, sound: AudioSettings, seconds: Fraction) -> None:
    block = np.random.default_rng(3).integers(-3000, 3000, (AAC_FRAME, sound.channels), dtype=np.int16)
    for at in range(0, int(seconds * SAMPLE_RATE), AAC_FRAME):
        encoder.encode_audio(block, at)
