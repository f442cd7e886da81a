"""Media files as sources: all formats of PyAV, delivered at the session's pace.

Media time 0 is the beginning of the file, for video and audio alike. Files keep their own timestamps. A file that ends
before its stated length is cut off: its source is lost, not ended.
"""

import contextlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from capture.media.convert import FrameConverter, matrix_of
from capture.media.jpeg import JpegDecoder
from capture.media.pictures import SizeCache, fit_size, rotate
from capture.pacing import Pace
from capture.source import (
    SAMPLE_RATE,
    AudioBlock,
    AudioSource,
    CodedFormat,
    CodedFrame,
    ColorMatrix,
    Frame,
    Samples,
    Size,
    SourceEnded,
    VideoFormat,
    VideoSource,
)
from config.errors import MediaError
from config.settings.quantities import clock_text
from devices.host.clock import NANOSECONDS, nanoseconds

_MICROSECOND_NS = 1000
_NO_LENGTH = frozenset({"aac", "ac3", "eac3", "mp3"})
"""Formats without a stated length: FFmpeg guesses it from the first bit rate."""
_TIME = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_LENGTH_TOLERANCE_NS = NANOSECONDS
"""Tolerance of a file's stated length: streams are not cut to the same length, and rates are rounded."""


class MediaFile:
    """A media file; errors are translated, times count from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # No playlist may open the network; no odd file name may count as a protocol.
            self._container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError) as error:
            raise MediaError(
                f"{path} cannot be opened as a recording: {error.strerror}", hint="choose a file that players can open"
            ) from error
        self._start_ns = (self._container.start_time or 0) * _MICROSECOND_NS
        self.is_cut_off = False  # whether the last packet read is incomplete
        self._end_ns = 0  # of the packets read

    def video(self) -> VideoStream:
        """Return the video stream; raises MediaError without one."""
        return self._only(self._container.streams.video, "video")

    def audio(self) -> AudioStream:
        """Return the audio stream; raises MediaError without one."""
        return self._only(self._container.streams.audio, "sound")

    def _only[S: (VideoStream, AudioStream)](self, streams: Sequence[S], kind: str) -> S:
        stream = next((s for s in streams if not s.disposition & Disposition.attached_pic), None)
        if stream is None or stream.codec_context is None:
            self.close()
            raise MediaError(f"{self._path} holds no {kind}", hint=f"choose a file with {kind} in it")
        for other in self._container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        return stream

    def packets[S: (VideoStream, AudioStream)](
        self, stream: S
    ) -> "Iterator[Packet[S]]":  # quoted: not generic at run time
        """Yield the stream's packets, then an empty one that flushes the decoder."""
        try:
            for packet in self._container.demux(stream):
                if packet.size:
                    self.is_cut_off = packet.is_corrupt
                    self._end_ns = max(self._end_ns, self._end_of(packet))
                yield packet
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self._path} cannot be read further: {error.strerror}") from error

    def media_ns(self, ticks: int, tick: Fraction) -> int:
        """Convert the file's `ticks` (of `tick` seconds) to nanoseconds since its beginning."""
        return nanoseconds(ticks, tick) - self._start_ns

    def check_end(self, stream: VideoStream | AudioStream, end_ns: int) -> None:
        """Raise MediaError if the stream ended too early, at media time `end_ns`."""
        length_ns, end_ns = self._length_ns(stream), max(end_ns, self._end_ns)
        is_short = end_ns < length_ns - _LENGTH_TOLERANCE_NS
        if self.is_cut_off or is_short:
            kind = "video" if stream.type == "video" else "sound"
            length = f" of {clock_text(length_ns / NANOSECONDS)}" if is_short else ""
            raise MediaError(
                f"{self._path} is not whole: the {kind} in it ends after {clock_text(end_ns / NANOSECONDS)}{length}",
                hint="copy the file again from its origin",
            )

    def _end_of(self, packet: "Packet[VideoStream] | Packet[AudioStream]") -> int:  # quoted: not generic at run time
        """Return the media time of a packet's end: the last frame of a slide show may last minutes."""
        if packet.pts is None or not packet.time_base:
            return 0
        tick = Fraction(packet.time_base.num, packet.time_base.den)
        return self.media_ns(packet.pts + (packet.duration or 0), tick)

    def _length_ns(self, stream: VideoStream | AudioStream) -> int:
        """Return the stated length of the stream in media time; 0 without one."""
        if self._container.format.name in _NO_LENGTH:
            return 0
        if stream.duration:
            tick = Fraction(stream.time_base.num, stream.time_base.den)
            return self.media_ns((stream.start_time or 0) + stream.duration, tick)
        if told := _TIME.match(stream.metadata.get("DURATION", "")):  # of Matroska
            hours, minutes, seconds = (float(part) for part in told.groups())
            return round((3600 * hours + 60 * minutes + seconds) * NANOSECONDS) - self._start_ns
        # The container's length is that of the longest stream; audio may be shorter.
        is_longest = stream.type == "video" or len(self._container.streams) == 1
        return (self._container.duration or 0) * _MICROSECOND_NS if is_longest else 0

    def close(self) -> None:
        """Close the file; idempotent."""
        self._container.close()


_BITSTREAM_FILTERS = {"mjpeg": "null", "h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""Per codec, the bitstream filter that gives packets as a camera sends them, parameter sets before each keyframe."""


def _copying(
    stream: VideoStream, at_ns: Callable[[int, Fraction], int]
) -> "Callable[[Packet[VideoStream]], list[CodedFrame]]":  # quoted: not generic at run time
    """Return a function that copies and consumes a packet's frames; `at_ns` converts ticks to session time."""
    filtering = BitStreamFilterContext(_BITSTREAM_FILTERS[stream.codec_context.name], stream)
    tick = Fraction(stream.time_base.num, stream.time_base.den)

    def copied(packet: "Packet[VideoStream]") -> list[CodedFrame]:
        return [
            CodedFrame(bytes(one), at_ns(one.dts or 0 if one.pts is None else one.pts, tick), one.is_keyframe)
            for one in (filtering.filter(packet) if packet.size else ())
        ]

    return copied


_USUAL_RATE = Fraction(30)
_SLOWEST_RATE, _FASTEST_RATE = Fraction(1), Fraction(120)
_RATE_TOLERANCE = Fraction(1, 20)
_BLOCK_FRAMES = 1024
_MAX_CHANNELS = 2
_JITTER_NS = NANOSECONDS // 20
"""Audio is continuous if its timestamps deviate less: containers round them to milliseconds."""


class FileVideoSource(VideoSource):
    """The video of a file, scaled down to fit `limits`; only MJPEG stays compressed until `decode`.

    With `copied`, H.264 and H.265 are also given as in the file (`Frame.copies`).
    """

    def __init__(self, path: Path, pace: Pace, limits: Size | None = None, *, copied: bool = False) -> None:
        self.name = path.name
        self._path = path
        self._pace = pace
        self._limits = limits
        self._copied = copied
        self.coded: CodedFormat | None = None
        """The format for storing frames unchanged; None while closed, and for other codecs."""
        self._file: MediaFile | None = None
        self._decoders: SizeCache[Callable[[Any], VideoFrame]] | None = None
        self._quarters = 0  # quarter turns to the left for display
        self._matrix = ColorMatrix.BT601
        self._delivery: _Delivery[_Payload] | None = None

    def open(self) -> VideoFormat:
        """Open the file; raises MediaError without decodable video."""
        self._file = file = MediaFile(self._path)
        stream = file.video()
        self._quarters = quarters = _quarter_turns(self._path)
        shape = _turned(_display_size(stream), quarters)
        size = fit_size(*shape, *(self._limits or shape))
        rate = _nominal_rate(stream)
        codec = stream.codec_context.name
        can_copy = self._copied and codec in _BITSTREAM_FILTERS
        self.coded = CodedFormat(codec, stream.width, stream.height) if can_copy else None
        if codec == "mjpeg" and not quarters and shape == (stream.width, stream.height):
            self._matrix = ColorMatrix.BT601
            self._decoders = SizeCache(size, lambda smaller: JpegDecoder(shape, smaller).decode)
            payloads = _jpegs(file, stream)
        else:
            context = stream.codec_context
            context.thread_type = "AUTO"
            self._matrix = matrix = matrix_of(context.colorspace, context.height)
            self._decoders = SizeCache(size, lambda shown: FrameConverter(*_turned(shown, quarters), matrix).convert)
            payloads = _decoded(file, stream, _copying(stream, self._at_ns) if self.coded else None)
        self._delivery = _Delivery(self._pace, "video", _timed(payloads, file, stream, round(NANOSECONDS / rate)))
        return VideoFormat(*size, rate, self._matrix)

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame when it is due; raises SourceEnded after the last."""
        if self._delivery is None:
            raise SourceEnded
        item = self._delivery.next(timeout_s)
        return None if item is None else Frame(item[0], *item[1])

    def decode(self, frame: Frame, within: Size | None = None) -> VideoFrame:
        """Return the picture, read-only, at most of size `within`; raises MediaError on damage."""
        if self._decoders is None or frame.payload == b"":
            raise MediaError("the file is damaged there")
        picture = self._decoders.get(within)(frame.payload)
        return rotate(picture, self._quarters, self._matrix) if self._quarters else picture

    def _at_ns(self, ticks: int, tick: Fraction) -> int:
        return self._pace.start_ns() + max(0, self._file.media_ns(ticks, tick) if self._file else 0)

    def close(self) -> None:
        """Close the file, and let other tracks go on without it."""
        self._pace.finish("video")
        self._delivery = None
        if self._file is not None:
            self._file.close()


class FileAudioSource(AudioSource):
    """The audio of a file at 48 kHz: mono or stereo as in the file, stereo for more."""

    def __init__(self, path: Path, pace: Pace) -> None:
        self.name = path.name
        self.channels = _MAX_CHANNELS
        self._path = path
        self._pace = pace
        self._file: MediaFile | None = None
        self._delivery: _Delivery[AudioBlock] | None = None

    def open(self) -> None:
        """Open the file; raises MediaError without decodable audio."""
        self._file = MediaFile(self._path)
        stream = self._file.audio()
        self.channels = min(stream.codec_context.channels, _MAX_CHANNELS)
        self._delivery = _Delivery(self._pace, "audio", _blocks(self._file, stream, self.channels, self._pace))

    def read(self, timeout_s: float) -> AudioBlock | None:
        """Return the next block when its last sample is due; raises SourceEnded after the last."""
        if self._delivery is None:
            raise SourceEnded
        item = self._delivery.next(timeout_s)
        return None if item is None else item[1]

    def close(self) -> None:
        """Close the file, and let other tracks go on without it."""
        self._pace.finish("audio")
        self._delivery = None
        if self._file is not None:
            self._file.close()


type _Payload = tuple[bytes | VideoFrame, Sequence[CodedFrame]]  # a payload for `decode`, and its `Frame.copies`


class _Delivery[T]:
    def __init__(self, pace: Pace, track: str, items: Iterator[tuple[int, T]]) -> None:
        self._pace = pace
        self._track = track
        self._items = items
        self._read: deque[tuple[int, T]] = deque()
        self._failed: MediaError | None = None

    def next(self, timeout_s: float) -> tuple[int, T] | None:
        """Return the next item and its time on the session clock, None until it is due."""
        if not self._read:
            self._prefetch()
        media_ns, item = self._read[0]
        if not self._pace.wait(self._track, media_ns, timeout_s):
            return None
        self._read.popleft()
        return self._pace.start_ns() + media_ns, item

    def _prefetch(self) -> None:
        """Read `ahead_ns` in advance; raises SourceEnded, or MediaError, after the last item."""
        try:
            for media_ns, item in self._items:
                self._read.append((media_ns, item))
                if media_ns - self._read[0][0] >= self._pace.ahead_ns:
                    break
        except MediaError as error:
            self._failed = error  # earlier items are delivered first
        if not self._read:
            # The pace still holds the other tracks here: the session may end with this one.
            raise self._failed or SourceEnded
        self._pace.reach(self._track, self._read[-1][0])


def _jpegs(file: MediaFile, stream: VideoStream) -> Iterator[tuple[int | None, _Payload]]:
    """Yield MJPEG frames unchanged, with their times in ticks of the stream."""
    for packet in file.packets(stream):
        if packet.size:
            yield packet.dts if packet.pts is None else packet.pts, (bytes(packet), ())


def _decoded(
    file: MediaFile, stream: VideoStream, copied: "Callable[[Packet[VideoStream]], list[CodedFrame]] | None"
) -> Iterator[tuple[int | None, _Payload]]:
    """Yield decoded frames in order; empty bytes stand for damaged ones."""
    copies: list[CodedFrame] = []
    is_damaged = False
    for packet in file.packets(stream):
        try:
            frames = stream.codec_context.decode(packet)
        except av.InvalidDataError:
            is_damaged = True
            continue
        copies += copied(packet) if copied else ()
        for frame in frames:
            if is_damaged:
                yield frame.pts, (b"", ())
            is_damaged = frame.is_corrupt
            yield frame.pts, (frame, copies)
            copies = []
    file.is_cut_off |= is_damaged


def _timed(
    payloads: Iterator[tuple[int | None, _Payload]], file: MediaFile, stream: VideoStream, step_ns: int
) -> Iterator[tuple[int, _Payload]]:
    """Give each payload its media time. The first frame fills the beginning; empty bytes fill damage by `step_ns`."""
    tick = Fraction(stream.time_base.num, stream.time_base.den)
    next_ns, last_ns = 0, -1
    for ticks, (picture, copies) in payloads:
        media_ns = next_ns if ticks is None else file.media_ns(ticks, tick)
        is_damaged = picture == b""
        if last_ns < 0 or is_damaged:
            for last_ns in range(next_ns, media_ns - 3 * step_ns // 4, step_ns):
                yield last_ns, (picture, ())
        if not is_damaged:
            last_ns = max(media_ns, last_ns + 1)
            yield last_ns, (picture, copies)
        next_ns = last_ns + step_ns
    file.check_end(stream, next_ns)


def _quarter_turns(path: Path) -> int:
    """Return the quarter turns to the left for display; only a decoded frame has them, not the stream."""
    file = MediaFile(path)
    try:
        stream = file.video()
        for packet in file.packets(stream):
            with contextlib.suppress(av.InvalidDataError):
                for frame in stream.codec_context.decode(packet):
                    return round(frame.rotation / 90) % 4
    except MediaError:
        pass  # FileVideoSource reports it
    finally:
        file.close()
    return 0


def _turned(size: Size, quarters: int) -> Size:
    return (size[1], size[0]) if quarters % 2 else size


def _display_size(stream: VideoStream) -> tuple[int, int]:
    """Return the size with square pixels, never smaller than the coded one."""
    aspect = float(stream.sample_aspect_ratio or 1)
    if aspect >= 1:
        return round(stream.width * aspect), stream.height
    return stream.width, round(stream.height / aspect)


def _nominal_rate(stream: VideoStream) -> Fraction:
    """Return the stated rate; the average of a short file is off by its last frame's duration."""
    average, guessed = (
        Fraction(rate.numerator, rate.denominator) if rate and _SLOWEST_RATE <= rate <= _FASTEST_RATE else None
        for rate in (stream.average_rate, stream.guessed_rate)
    )
    if average and guessed:
        return guessed if abs(average - guessed) < guessed * _RATE_TOLERANCE else average
    return average or guessed or _USUAL_RATE


def _blocks(file: MediaFile, stream: AudioStream, channels: int, pace: Pace) -> Iterator[tuple[int, AudioBlock]]:
    """Yield blocks with the media time of their end; timestamps count samples, except at a gap in the file."""
    anchor_ns: int | None = None
    count = end_ns = 0
    for media_ns, samples in _resampled(file, stream, channels):
        jumps = anchor_ns is not None and media_ns is not None and media_ns - end_ns >= _JITTER_NS
        if anchor_ns is None or jumps:
            anchor_ns = end_ns = max(0, media_ns or 0)
            count = 0
        for first in range(0, len(samples), _BLOCK_FRAMES):
            part = samples[first : first + _BLOCK_FRAMES]
            begin_ns, count = end_ns, count + len(part)
            end_ns = anchor_ns + count * NANOSECONDS // SAMPLE_RATE
            yield end_ns, AudioBlock(pace.start_ns() + begin_ns, part, jumps=jumps and first == 0)
    file.check_end(stream, end_ns)


def _resampled(file: MediaFile, stream: AudioStream, channels: int) -> Iterator[tuple[int | None, Samples]]:
    """Yield the audio at SAMPLE_RATE with its media time, None if unknown."""
    resampler = av.AudioResampler("s16", "mono" if channels == 1 else "stereo", SAMPLE_RATE)
    for packet in file.packets(stream):
        try:
            frames = stream.codec_context.decode(packet)
        except av.InvalidDataError:
            continue
        for frame in [*frames, *([] if packet.size else [None])]:
            for part in resampler.resample(frame):
                samples = part.to_ndarray().reshape(-1, channels).astype(np.int16, copy=False)
                media_ns = None
                if part.pts is not None and part.time_base is not None:
                    media_ns = file.media_ns(part.pts, Fraction(part.time_base.num, part.time_base.den))
                yield media_ns, samples
