"""Files as sources: whatever PyAV opens, delivered as a camera or a microphone would deliver it, paced or unpaced.

Media time 0 is where the file begins, for its pictures and its sound alike, so the two stay together even where one
starts later: the first picture stands from the beginning. Files keep their own timestamps, also those of a varying
rate. One that ends before it says that it does is broken off, and its source lost, not ended.
"""

import contextlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from capture.convert import FrameConverter, matrix_of
from capture.jpeg import JpegDecoder
from capture.pacing import Pace
from capture.pictures import fit, turned
from capture.sizes import BySize
from capture.source import (
    SAMPLE_RATE,
    AudioBlock,
    AudioSource,
    Coded,
    CodedPicture,
    Frame,
    Matrix,
    Samples,
    Size,
    SourceEnded,
    VideoFormat,
    VideoSource,
)
from config.errors import MediaError
from config.quantities import clock_text
from devices.host.clock import NANOSECONDS, nanoseconds

_MICROSECOND_NS = 1000
_GUESSED = frozenset({"aac", "ac3", "eac3", "mp3"})
"""Formats that do not say how long they are: FFmpeg guesses it from the first bit rate."""
_TIME = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_LEAST_MISSING_NS = NANOSECONDS
"""What a file may say to be longer than it is: streams are not cut to the same length, and rates are rounded."""


class MediaFile:
    """A media file, with its errors translated and its times counted from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # Playlists must not reach out to the network, nor odd names be taken for protocols.
            self._container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError) as error:
            raise MediaError(
                f"{path} cannot be opened as a recording: {error.strerror}", hint="choose a file that a player plays"
            ) from error
        self._start_ns = (self._container.start_time or 0) * _MICROSECOND_NS
        self.is_cut_off = False
        """Whether the last of what was read is not whole."""
        self._end_ns = 0  # of what was read

    def video(self) -> VideoStream:
        """Return the stream of pictures."""
        return self._only(self._container.streams.video, "pictures")

    def audio(self) -> AudioStream:
        """Return the stream of sound."""
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
    ) -> "Iterator[Packet[S]]":  # quoted: no generic when it runs
        """Yield the stream's packets, at the end an empty one that empties the decoder."""
        try:
            for packet in self._container.demux(stream):
                if packet.size:
                    self.is_cut_off = packet.is_corrupt
                    self._end_ns = max(self._end_ns, self._end_of(packet))
                yield packet
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self._path} cannot be read any further: {error.strerror}") from error

    def media_ns(self, ticks: int, tick: Fraction) -> int:
        """Return a time of so many ticks (each in seconds), as the file counts, in nanoseconds since its beginning."""
        return nanoseconds(ticks, tick) - self._start_ns

    def check_end(self, stream: VideoStream | AudioStream, end_ns: int) -> None:
        """Raise MediaError where the stream ended at media time `end_ns`, and should not have."""
        length_ns, end_ns = self._length_ns(stream), max(end_ns, self._end_ns)
        is_short = end_ns < length_ns - _LEAST_MISSING_NS
        if self.is_cut_off or is_short:
            kind = "pictures" if stream.type == "video" else "sounds"
            length = f" of {clock_text(length_ns / NANOSECONDS)}" if is_short else ""
            raise MediaError(
                f"{self._path} is not whole: the {kind} in it end after {clock_text(end_ns / NANOSECONDS)}{length}",
                hint="copy the file again from where it came from",
            )

    def _end_of(self, packet: "Packet[VideoStream] | Packet[AudioStream]") -> int:  # quoted: no generic when it runs
        """Return the media time up to which a packet lasts: the last picture of slides may do so for minutes."""
        if packet.pts is None or not packet.time_base:
            return 0
        tick = Fraction(packet.time_base.num, packet.time_base.den)
        return self.media_ns(packet.pts + (packet.duration or 0), tick)

    def _length_ns(self, stream: VideoStream | AudioStream) -> int:
        """Return up to which media time the file says that the stream goes; 0 where it does not."""
        if self._container.format.name in _GUESSED:
            return 0
        if stream.duration:
            tick = Fraction(stream.time_base.num, stream.time_base.den)
            return self.media_ns((stream.start_time or 0) + stream.duration, tick)
        if told := _TIME.match(stream.metadata.get("DURATION", "")):  # of Matroska
            hours, minutes, seconds = (float(part) for part in told.groups())
            return round((3600 * hours + 60 * minutes + seconds) * NANOSECONDS) - self._start_ns
        # Of all streams: sound alone may well be shorter than that.
        is_longest = stream.type == "video" or len(self._container.streams) == 1
        return (self._container.duration or 0) * _MICROSECOND_NS if is_longest else 0

    def close(self) -> None:
        """Close the file; idempotent."""
        self._container.close()


_AS_SENT = {"mjpeg": "null", "h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""By codec, the filter that makes of a file's packets what a camera sends, parameter sets before each keyframe."""


def copied_form(stream: VideoStream) -> Coded | None:
    """Return the form of the pictures of a film that can be copied, None for other codecs."""
    codec = stream.codec_context.name
    return Coded(codec, stream.width, stream.height) if codec in _AS_SENT else None


class Copier:
    """Copies packets of a stream that has a `copied_form`."""

    def __init__(self, stream: VideoStream, at_ns: Callable[[int, Fraction], int]) -> None:
        """`at_ns` returns the session clock's time of so many ticks, each in seconds."""
        self._filter = BitStreamFilterContext(_AS_SENT[stream.codec_context.name], stream)
        self._tick = Fraction(stream.time_base.num, stream.time_base.den)
        self._at_ns = at_ns

    def take(self, packet: "Packet[VideoStream]") -> list[CodedPicture]:  # quoted: no generic when it runs
        """Return what is in a packet, of which nothing is left in it."""
        return [
            CodedPicture(
                bytes(one), self._at_ns(one.dts or 0 if one.pts is None else one.pts, self._tick), one.is_keyframe
            )
            for one in (self._filter.filter(packet) if packet.size else ())
        ]


_USUAL_RATE = Fraction(30)
_SLOWEST_RATE, _FASTEST_RATE = Fraction(1), Fraction(120)
_RATE_TOLERANCE = Fraction(1, 20)
_BLOCK_FRAMES = 1024
_MAX_CHANNELS = 2
_NOT_OURS = "a picture of another source"
_JITTER_NS = NANOSECONDS // 20
"""Sound whose timestamps are off by less is continuous: containers round them to milliseconds."""


class FileVideoSource(VideoSource):
    """The pictures of a file, scaled down to fit `max_width` x `max_height`.

    MJPEG stays compressed until `decode`; everything else is decoded as it is read, in the order of display. `copied`:
    H.264 and H.265 come as they are in the file, too (`Frame.copies`).
    """

    def __init__(
        self, path: Path, pace: Pace, *, max_width: int | None = None, max_height: int | None = None,
        copied: bool = False,
    ) -> None:  # fmt: skip
        self.name = path.name
        self._path = path
        self._pace = pace
        self._limits = max_width, max_height
        self._copied = copied
        self.coded: Coded | None = None
        """The form in which its pictures can be stored as they are; None while it is not open, and for other codecs."""
        self._file: MediaFile | None = None
        self._pictures: _Pictures | None = None
        self._delivery: _Delivery[_Payload] | None = None

    def open(self) -> VideoFormat:
        """Open the file; raises MediaError when it holds no pictures that can be decoded."""
        self._file = MediaFile(self._path)
        stream = self._file.video()
        quarters = _quarter_turns(self._path)
        width, height = _turned(_display_size(stream), quarters)
        limits = self._limits[0] or width, self._limits[1] or height
        rate = _nominal_rate(stream)
        self.coded = copied_form(stream) if self._copied else None
        if stream.codec_context.name == "mjpeg" and not quarters and (width, height) == (stream.width, stream.height):
            self._pictures = _JpegPictures(self._file, stream, limits)
        else:
            copier = Copier(stream, self._at_ns) if self.coded else None
            self._pictures = _DecodedPictures(self._file, stream, fit(width, height, *limits), quarters, copier)
        timed = _timed(self._pictures.payloads(), self._file, stream, round(NANOSECONDS / rate))
        self._delivery = _Delivery(self._pace, "video", timed)
        return VideoFormat(self._pictures.width, self._pictures.height, rate, self._pictures.matrix)

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next picture when its time has come; raises SourceEnded after the last."""
        if self._delivery is None:
            raise SourceEnded
        item = self._delivery.next(timeout_s)
        return None if item is None else Frame(item[0], *item[1])

    def decode(self, frame: Frame, within: Size | None = None) -> VideoFrame:
        """Return the picture, at most of size `within`, not to be written to; raises MediaError when it is damaged."""
        if self._pictures is None:
            raise MediaError(f"{self._path} is not open")
        return self._pictures.decode(frame.payload, within)

    def _at_ns(self, ticks: int, tick: Fraction) -> int:
        return self._pace.start_ns() + max(0, self._file.media_ns(ticks, tick) if self._file else 0)

    def close(self) -> None:
        """Close the file; no other track waits for this one any more."""
        self._pace.finish("video")
        self._delivery = None
        if self._file is not None:
            self._file.close()


class FileAudioSource(AudioSource):
    """The sound of a file at 48 kHz, mono or stereo as it is there (more channels become stereo), or as asked."""

    def __init__(self, path: Path, pace: Pace, *, channels: int | None = None) -> None:
        self.name = path.name
        self.channels = channels or _MAX_CHANNELS
        self._path = path
        self._pace = pace
        self._asked = channels
        self._file: MediaFile | None = None
        self._delivery: _Delivery[AudioBlock] | None = None

    def open(self) -> None:
        """Open the file; raises MediaError when it holds no sound that can be decoded."""
        self._file = MediaFile(self._path)
        stream = self._file.audio()
        self.channels = self._asked or min(stream.codec_context.channels, _MAX_CHANNELS)
        blocks = _Sound(self._file, stream, self.channels, self._pace).blocks()
        self._delivery = _Delivery(self._pace, "audio", blocks)

    def read(self, timeout_s: float) -> AudioBlock | None:
        """Return the next block when its last sample's time has come; raises SourceEnded after the last."""
        if self._delivery is None:
            raise SourceEnded
        item = self._delivery.next(timeout_s)
        return None if item is None else item[1]

    def close(self) -> None:
        """Close the file; no other track waits for this one any more."""
        self._pace.finish("audio")
        self._delivery = None
        if self._file is not None:
            self._file.close()


type _Payload = tuple[bytes | VideoFrame, Sequence[CodedPicture]]
"""A picture as `decode` takes it, and `Frame.copies`."""


class _Delivery[T]:
    """Hands out what a track holds, each item when the pace allows it."""

    def __init__(self, pace: Pace, track: str, items: Iterator[tuple[int, T]]) -> None:
        self._pace = pace
        self._track = track
        self._items = items
        self._read: deque[tuple[int, T]] = deque()
        self._failed: MediaError | None = None

    def next(self, timeout_s: float) -> tuple[int, T] | None:
        """Return the next item and its time on the session clock, or None when that has not come yet."""
        if not self._read:
            self._read_on()
        media_ns, item = self._read[0]
        if not self._pace.wait(self._track, media_ns, timeout_s):
            return None
        self._read.popleft()
        return self._pace.start_ns() + media_ns, item

    def _read_on(self) -> None:
        """Read as much as the pace finds worth having; raises SourceEnded, or MediaError, after the last item."""
        try:
            for media_ns, item in self._items:
                self._read.append((media_ns, item))
                if media_ns - self._read[0][0] >= self._pace.ahead_ns:
                    break
        except MediaError as error:
            self._failed = error  # what comes before is delivered first
        if not self._read:
            # The pace goes on holding the other tracks here: the session may end with this one.
            raise self._failed or SourceEnded
        self._pace.reach(self._track, self._read[-1][0])


class _Pictures(Protocol):
    """The pictures of a stream before and after decoding."""

    width: int
    height: int
    matrix: Matrix

    def payloads(self) -> Iterator[tuple[int | None, _Payload]]:
        """Yield each picture with its time in the stream's ticks."""
        ...

    def decode(self, payload: bytes | VideoFrame, within: Size | None) -> VideoFrame:
        """Turn what `payloads` yielded into a limited-range yuv420p picture."""
        ...


class _JpegPictures:
    """MJPEG, handed on as it is in the file."""

    matrix = Matrix.BT601

    def __init__(self, file: MediaFile, stream: VideoStream, limits: tuple[int, int]) -> None:
        self._file = file
        self._stream = stream
        self.width, self.height = fit(stream.width, stream.height, *limits)
        self._decoders = BySize(
            self.width, self.height, lambda *smaller: JpegDecoder(stream.width, stream.height, *smaller)
        )

    def payloads(self) -> Iterator[tuple[int | None, _Payload]]:
        """Yield the JPEGs."""
        for packet in self._file.packets(self._stream):
            if packet.size:
                yield packet.dts if packet.pts is None else packet.pts, (bytes(packet), ())

    def decode(self, payload: bytes | VideoFrame, within: Size | None) -> VideoFrame:
        """Decode a JPEG."""
        if not isinstance(payload, bytes):
            raise TypeError(_NOT_OURS)
        return self._decoders.get(within).decode(payload)


class _DecodedPictures:
    """Any other codec, decoded in order as it is read: most need every picture before the one that is wanted.

    They are turned by so many `quarters` of a circle, to the left, as the file says that they are to be shown.
    """

    def __init__(self, file: MediaFile, stream: VideoStream, size: Size, quarters: int, copier: Copier | None) -> None:
        self._copier = copier
        self._file = file
        self._stream = stream
        self.width, self.height = size
        context = stream.codec_context
        context.thread_type = "AUTO"
        self.matrix = matrix_of(context.colorspace, context.height)
        self._quarters = quarters
        self._converters = BySize(*size, lambda *shown: FrameConverter(*_turned(shown, quarters), self.matrix))

    def payloads(self) -> Iterator[tuple[int | None, _Payload]]:
        """Yield the decoded pictures; before one that follows damage, no bytes, for those that the decoder refused."""
        copies: list[CodedPicture] = []
        is_damaged = False
        for packet in self._file.packets(self._stream):
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.InvalidDataError:
                is_damaged = True
                continue
            copies += self._copier.take(packet) if self._copier else ()
            for frame in frames:
                if is_damaged:
                    yield frame.pts, (b"", ())
                is_damaged = frame.is_corrupt
                yield frame.pts, (frame, copies)
                copies = []
        self._file.is_cut_off |= is_damaged

    def decode(self, payload: bytes | VideoFrame, within: Size | None) -> VideoFrame:
        """Convert a decoded picture."""
        if payload == b"":
            raise MediaError("the file is damaged there")
        if isinstance(payload, bytes):
            raise TypeError(_NOT_OURS)
        picture = self._converters.get(within).convert(payload)
        return turned(picture, self._quarters, self.matrix) if self._quarters else picture


def _timed(
    payloads: Iterator[tuple[int | None, _Payload]], file: MediaFile, stream: VideoStream, step_ns: int
) -> Iterator[tuple[int, _Payload]]:
    """Give each payload its media time, never going back; one without a timestamp follows the last by `step_ns`.

    The first one comes again and again from the beginning on. No bytes stand for every picture up to their time.
    """
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
    """Return by how many quarters of a circle, to the left, the pictures of a file are to be turned.

    The first picture says so; a reader of its own looks for that, since the stream tells its size before.
    """
    file = MediaFile(path)
    try:
        stream = file.video()
        for packet in file.packets(stream):
            with contextlib.suppress(av.InvalidDataError):
                for frame in stream.codec_context.decode(packet):
                    return round(frame.rotation / 90) % 4
    except MediaError:
        pass  # its source tells of that
    finally:
        file.close()
    return 0


def _turned(size: Size, quarters: int) -> Size:
    return (size[1], size[0]) if quarters % 2 else size


def _display_size(stream: VideoStream) -> tuple[int, int]:
    """Return the size at which the pictures have square pixels, never fewer than they have."""
    aspect = float(stream.sample_aspect_ratio or 1)
    if aspect >= 1:
        return round(stream.width * aspect), stream.height
    return stream.width, round(stream.height / aspect)


def _nominal_rate(stream: VideoStream) -> Fraction:
    """Return what the stream says of its rate; the average of a short file is off by its last picture's duration."""
    average, guessed = (
        Fraction(rate.numerator, rate.denominator) if rate and _SLOWEST_RATE <= rate <= _FASTEST_RATE else None
        for rate in (stream.average_rate, stream.guessed_rate)
    )
    if average and guessed:
        return guessed if abs(average - guessed) < guessed * _RATE_TOLERANCE else average
    return average or guessed or _USUAL_RATE


class _Sound:
    """A stream of sound as blocks whose timestamps count samples, except where the file leaves a gap."""

    def __init__(self, file: MediaFile, stream: AudioStream, channels: int, pace: Pace) -> None:
        self._file = file
        self._stream = stream
        self._channels = channels
        self._pace = pace
        is_mono = channels == 1 or stream.codec_context.channels == 1
        self._resampler = av.AudioResampler("s16", "mono" if is_mono else "stereo", SAMPLE_RATE)
        self._anchor_ns: int | None = None
        self._count = 0

    def blocks(self) -> Iterator[tuple[int, AudioBlock]]:
        """Yield blocks with the media time of their end."""
        for media_ns, samples in self._resampled():
            jumps = self._follow(media_ns)
            for first in range(0, len(samples), _BLOCK_FRAMES):
                part = samples[first : first + _BLOCK_FRAMES]
                begin_ns = self._now_ns()
                self._count += len(part)
                yield self._now_ns(), AudioBlock(self._pace.start_ns() + begin_ns, part, jumps=jumps and first == 0)
        self._file.check_end(self._stream, self._now_ns())

    def _resampled(self) -> Iterator[tuple[int | None, Samples]]:
        for packet in self._file.packets(self._stream):
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.InvalidDataError:
                continue
            for frame in [*frames, *([] if packet.size else [None])]:
                for resampled in self._resampler.resample(frame):
                    yield self._samples(resampled)

    def _samples(self, frame: av.AudioFrame) -> tuple[int | None, Samples]:
        samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels).astype(np.int16, copy=False)
        if samples.shape[1] < self._channels:
            samples = np.repeat(samples, self._channels, axis=1)
        if frame.pts is None or frame.time_base is None:
            return None, samples
        return self._file.media_ns(frame.pts, Fraction(frame.time_base.num, frame.time_base.den)), samples

    def _follow(self, media_ns: int | None) -> bool:
        """Start to count at `media_ns` where the file jumps ahead to it; return whether sound is missing before."""
        if self._anchor_ns is None:
            self._anchor_ns = max(0, media_ns or 0)
            return False
        if media_ns is None or media_ns - self._now_ns() < _JITTER_NS:
            return False
        self._anchor_ns, self._count = media_ns, 0
        return True

    def _now_ns(self) -> int:
        return (self._anchor_ns or 0) + self._count * NANOSECONDS // SAMPLE_RATE
