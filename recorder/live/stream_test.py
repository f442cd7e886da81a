"""A short test stream that no viewer sees: grey and silence, at exactly the requested bit rate."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np

from capture.media.pictures import plane_views
from capture.source import SAMPLE_RATE, ColorMatrix
from config.settings.schema import Settings
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import Clock
from recorder.encode.encoder import AAC_FRAME, AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.live.destination import LiveDestination
from recorder.live.url import RtmpUrl, parse_live_url
from recorder.model.status import DestinationLine

CONNECT_S = 8.0
STOP_S = 0.8
RATE = 25
_SIZE = 320, 180
_GREY = 100
_EXACTLY = "nal-hrd=cbr:rc-lookahead=0:sync-lookahead=0:bframes=0"  # x264 fills the bit rate up with padding
_TWITCH = (".twitch.tv", ".live-video.net")
_TO_NOBODY = "bandwidthtest=true"
"""After the key: Twitch accepts the stream without showing it (its documentation of ingest tests)."""


@dataclass(slots=True)
class StreamTest:
    """A test stream's last `status`, seconds live, largest backlog, and the link's rates and round trips."""

    status: DestinationLine
    live_s: float = 0.0
    backlog_s: float = 0.0
    delivered_bps: list[float] = field(default_factory=list)
    rtts_s: list[float] = field(default_factory=list)

    @property
    def was_taken(self) -> bool:
        """Whether it was live until the end."""
        return self.live_s > 0 and self.status.reason in (None, "too-slow")


def harmless_target(settings: Settings, target: StreamTarget) -> StreamTarget | None:
    """Return the target for a stream to `target` without viewers; None where there is none."""
    destination = settings.destinations.get(target.name)
    if destination is not None and destination.test:
        return target
    url = parse_live_url(target.url.reveal())
    if isinstance(url, RtmpUrl) and url.host.endswith(_TWITCH):
        mark = "&" if "?" in url.key else "?"
        return StreamTarget(target.name, secret_url(f"{target.url.reveal()}{mark}{_TO_NOBODY}"), target.ca_file)
    return None


def run_stream_test(
    target: StreamTarget,
    clock: Clock,
    stop: threading.Event,
    told: Callable[[float], None],
    *,
    video_bps: int,
    audio_bps: int,
    seconds: float,
) -> StreamTest:
    """Stream for `seconds` once live, until failure or `stop`; blocks. `told` gets the share.

    Raises UsageError, EncoderError.
    """
    width, height = _SIZE
    video = VideoSettings(
        width, height, Fraction(RATE), ColorMatrix.BT601, video_bps, video_bps, "ultrafast", 1.0, x264_params=_EXACTLY
    )
    encoder = Encoder(video, AudioSettings(1, audio_bps))
    try:
        destination = LiveDestination(target, encoder.templates, emit=lambda *_told, **_detail: None, clock=clock)
        destination.start()
        try:
            return _stream(destination, encoder, seconds, stop, told)
        finally:
            destination.stop(STOP_S)
    finally:
        encoder.close()


def _stream(
    destination: LiveDestination, encoder: Encoder, seconds: float, stop: threading.Event, told: Callable[[float], None]
) -> StreamTest:
    """Give the destination frames and audio in real time."""
    picture, trial = _picture(), StreamTest(destination.status())
    began, live_at, sounds = time.monotonic(), 0.0, 0
    for number in range(round(RATE * (CONNECT_S + seconds))):
        if stop.wait(max(0.0, began + number / RATE - time.monotonic())):
            break
        packets = encoder.encode_video(picture, round(number / RATE / VIDEO_TIME_BASE))
        while sounds * RATE < (number + 1) * SAMPLE_RATE:
            packets += encoder.encode_audio(np.zeros((AAC_FRAME, 1), np.int16), sounds)
            sounds += AAC_FRAME
        for packet in packets:
            destination.put(packet)
        trial.status, now = destination.status(), time.monotonic()
        if trial.status.state == "live":
            live_at = live_at or now
            trial.live_s = now - live_at
            _take_note(trial, destination)
            told(min(1.0, trial.live_s / seconds))
        is_over = live_at and now - live_at >= seconds
        if is_over or trial.status.state == "waiting":
            break
    return trial


def _take_note(trial: StreamTest, destination: LiveDestination) -> None:
    trial.backlog_s = max(trial.backlog_s, trial.status.backlog_s)
    if link := destination.link:
        if link.delivered_bps is not None:
            trial.delivered_bps.append(link.delivered_bps)
        if link.rtt_ms is not None:
            trial.rtts_s.append(link.rtt_ms / 1000)


def _picture() -> av.VideoFrame:
    picture = av.VideoFrame(*_SIZE, "yuv420p")
    for plane, value in zip(plane_views(picture), (_GREY, 128, 128), strict=True):
        plane[:] = value
    return picture
