"""Measures the CPU time of a session with one encode and with two, for a moment each."""

import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import av
import numpy as np

from capture.compose.compositor import Compositor, PlacedPicture
from capture.compose.layout import Rect
from capture.media.jpeg import JpegDecoder
from capture.media.pictures import copy_planes, plane_views
from capture.source import SAMPLE_RATE
from capture.synthetic.video import SyntheticPainter
from recorder.encode.encoder import AAC_FRAME, AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.live_encode.headroom import Headroom, usable_cores
from recorder.live_encode.live_encoder import FrameSlot, live_settings
from recorder.model.packet import Track

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
    decoder = JpegDecoder((like.width, like.height))
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
        y, x = (int(place) for place in random.integers(0, 16, 2))
        full = av.VideoFrame(like.width, like.height, "yuvj420p")
        views = plane_views(full)
        copy_planes(plane_views(picture), views)
        luma = views[0].clip(_NOISE, 255 - _NOISE) - _NOISE
        np.copyto(views[0], luma + noise[y:, x:][: like.height, : like.width])
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
        block = np.random.default_rng(3).integers(-3000, 3000, (AAC_FRAME, sound.channels), dtype=np.int16)
        for at in range(0, int(count / recorded.rate * SAMPLE_RATE), AAC_FRAME):
            encoder.encode_audio(block, at)
    encoder.flush(Track.VIDEO)
    if second:
        second.flush(Track.VIDEO)
    taken_s = time.process_time() - began
    encoder.close()
    if second:
        second.close()
    return taken_s
