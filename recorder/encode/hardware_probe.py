"""Trial of a hardware encoder: it encodes synthetic video as a session would, and the decoded frames are compared.

The trial uses the session's worker process, so a driver that crashes or hangs costs only its verdict.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from math import ceil

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from capture.media.pictures import plane_views
from capture.synthetic.video import SyntheticPainter
from recorder.encode.hardware_kinds import (
    MODELS,
    WORKER,
    EncoderFailure,
    EncoderKind,
    EncoderVerdict,
    HardwareFailed,
    missing_node,
)
from recorder.encode.hardware_process import MAX_HELD_S, OPEN_S, PATIENCE_S, EncoderProcess
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.packet import EncodedPacket

LEAST_DB = 27.0  # the least peak signal-to-noise ratio of each plane over all frames
LEAST_DB_OF_ONE = 18.0  # the least ratio of a single frame's luma. Other, green or torn images have less than 15 dB
IDENTICAL_DB = 99.0
SEQUENCE_BYTES = 120_000_000  # memory for drawn frames; a longer trial repeats them
MEDIA_S = 1.2
ALTOGETHER_S = 12.0


def probe(kind: EncoderKind, settings: VideoSettings, *, command: Sequence[str] = WORKER) -> EncoderVerdict:
    """Return a verdict on the encoder of `kind` with `settings`; never raises HardwareFailed."""
    if MODELS[kind].codec not in av.codecs_available:
        return EncoderVerdict(kind=kind, reason=EncoderFailure.NOT_IN_BUILD, detail=MODELS[kind].codec)
    if (nodes := missing_node(kind)) is not None:
        return EncoderVerdict(kind=kind, reason=EncoderFailure.NO_DEVICE, detail=nodes)
    return try_encoder(kind, settings, command=command)


def try_encoder(
    kind: EncoderKind,
    settings: VideoSettings,
    *,
    command: Sequence[str],
    open_s: float = OPEN_S,
    patience_s: float = PATIENCE_S,
    altogether_s: float = ALTOGETHER_S,
    realtime: float = 1.0,
) -> EncoderVerdict:
    """Try an encoder without looking for its device; `realtime` is the allowed time for a second of video."""
    try:
        process = EncoderProcess(kind, settings, command=command, open_s=open_s, patience_s=patience_s)
        with closing(process):
            return _Trial(process, settings, altogether_s, realtime).run(kind)
    except HardwareFailed as error:
        return EncoderVerdict(kind=kind, reason=error.reason, detail=error.detail)


class _Trial:
    def __init__(self, process: EncoderProcess, settings: VideoSettings, altogether_s: float, realtime: float) -> None:
        self._process = process
        self._settings = settings
        self._altogether_s, self._realtime = altogether_s, realtime
        rate = settings.rate
        self._count = max(ceil(MEDIA_S * rate), int(MAX_HELD_S * rate) + 3)
        painter = SyntheticPainter(settings.width, settings.height, rate)
        drawn = max(2, min(self._count, SEQUENCE_BYTES // settings.picture_bytes))
        # Each frame differs: the synthetic speaker moves, the clock runs, and frames carry their number.
        copies = (painter.draw(number).to_ndarray() for number in range(drawn))
        self._pictures = [av.VideoFrame.from_ndarray(copy, "yuv420p") for copy in copies]
        self._packets: list[EncodedPacket] = []
        self._until_s = time.monotonic() + altogether_s

    def run(self, kind: EncoderKind) -> EncoderVerdict:
        """Return the verdict; raises HardwareFailed."""
        held = self._begin()
        began_s, began = time.monotonic(), len(self._packets)
        for number in range(held, self._count):
            while not self._give(number):
                self._wait()
            self._take()
        self._process.finish()
        while self._process.held:
            self._wait()
        took_s = time.monotonic() - began_s
        media_s = float((self._count - began) / self._settings.rate)
        if took_s > media_s * self._realtime:
            raise HardwareFailed(EncoderFailure.TOO_SLOW, f"{took_s:.1f} s for {media_s:.1f} s of video")
        return EncoderVerdict(
            kind=kind,
            psnr_db=round(self._compare(), 1),
            held=held,
            speed=round(media_s / max(took_s, 1e-3), 1),
            bit_rate=round(8 * sum(len(taken.data) for taken in self._packets) * self._settings.rate / self._count),
        )

    def _begin(self) -> int:
        """Give frames at the session's rate until the first packet; return the number given."""
        most = int(MAX_HELD_S * self._settings.rate)
        for number in range(max(1, most)):
            self._give(number)
            due_s = time.monotonic() + 1 / self._settings.rate
            while not self._packets and time.monotonic() < due_s:
                self._wait(float(1 / self._settings.rate))
            if self._packets:
                return number + 1
        self._wait(self._process.patience_s)
        if self._packets:
            return max(1, most)
        raise HardwareFailed(EncoderFailure.HOLDS_BACK, f"more than {MAX_HELD_S:g} s")

    def _give(self, number: int) -> bool:
        is_key = number in {0, self._count // 2}
        return self._process.give(self._pictures[number % len(self._pictures)], self._pts(number), is_key=is_key)

    def _pts(self, number: int) -> int:
        return round(Fraction(number) / self._settings.rate / VIDEO_TIME_BASE)

    def _wait(self, timeout_s: float = 0.1) -> None:
        self._process.wait(timeout_s)
        self._take()
        if time.monotonic() > self._until_s:
            raise HardwareFailed(EncoderFailure.SILENT, f"not done after {self._altogether_s:g} s")

    def _take(self) -> None:
        self._packets += self._process.take()
        if self._process.error is not None:
            raise self._process.error

    def _compare(self) -> float:
        """Return the PSNR of the worst plane; raises HardwareFailed."""
        shown = _decode(self._process.header, self._packets)
        missing = [number for number in range(self._count) if self._pts(number) not in shown]
        if missing or len(shown) != self._count:
            raise HardwareFailed(EncoderFailure.WRONG_STREAM, f"{len(shown)} of {self._count} frames can be decoded")
        errors = np.array(
            [
                _mean_squares(self._pictures[number % len(self._pictures)], shown[self._pts(number)])
                for number in range(self._count)
            ]
        )
        worst, least = float(_db(errors.mean(axis=0)).min()), float(_db(errors[:, 0]).min())
        if worst < LEAST_DB or least < LEAST_DB_OF_ONE:
            raise HardwareFailed(EncoderFailure.WRONG_PICTURES, f"{worst:.0f} dB alike, one of them {least:.0f} dB")
        return worst


def _decode(header: bytes, taken: Sequence[EncodedPacket]) -> Mapping[int, av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)  # noqa: S101 - a video codec
    decoder.extradata = header
    shown: dict[int, av.VideoFrame] = {}
    try:
        for one in taken:
            packet = av.Packet(one.data)
            packet.pts = packet.dts = one.pts
            shown |= {picture.pts: picture for picture in decoder.decode(packet) if picture.pts is not None}
        shown |= {picture.pts: picture for picture in decoder.decode(None) if picture.pts is not None}
    except (FFmpegError, ValueError) as error:
        raise HardwareFailed(EncoderFailure.WRONG_STREAM, f"it cannot be decoded: {error}") from error
    return shown


def _mean_squares(given: av.VideoFrame, shown: av.VideoFrame) -> tuple[float, ...]:
    if (shown.width, shown.height, shown.format.name) != (given.width, given.height, "yuv420p"):
        raise HardwareFailed(EncoderFailure.WRONG_PICTURES, f"{shown.width}x{shown.height} {shown.format.name}")
    return tuple(
        float(np.square(one.astype(np.float32) - other).mean())
        for one, other in zip(plane_views(given), plane_views(shown), strict=True)
    )


def _db(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    least = 255.0**2 / 10 ** (IDENTICAL_DB / 10)
    found: NDArray[np.float64] = 10 * np.log10(255.0**2 / np.maximum(errors, least))
    return found
