"""A media file that is open, as its tracks read it: errors translated, times counted, and whether it is whole."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from config.errors import MediaError
from config.quantities import clock_text
from devices.clock import NANOSECONDS, nanoseconds

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
