"""FLV in memory: the destination muxes it, its child demuxes it from standard input."""

import io
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

import av
import msgspec
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from recorder.live.kind import StreamRequest
from recorder.model.packet import EncodedPacket, Track, TrackId

_OPTIONS = {
    "flvflags": "no_duration_filesize",
    "flush_packets": "1",  # nothing waits in a buffer for more to come
    "max_interleave_delta": "1000000",  # microseconds: a track that falls silent holds the other up no longer than this
}


class _Buffer:
    """The muxer's output file."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


class FlvMuxer:
    """An FLV muxer for tracks in any order; time 0 is the keyframe `start`, and earlier packets are dropped."""

    def __init__(self, templates: Mapping[TrackId, Stream], start: EncodedPacket) -> None:
        self._buffer = _Buffer()
        self._start = start.dts * start.time_base
        self.start_s = start.dts_s
        self._shifts: dict[Fraction, int] = {}
        self._early: deque[EncodedPacket] = deque()
        self._has_begun = False
        self._muxer = _muxer(self._buffer, templates)
        self._streams = dict(zip(templates, self._muxer.streams, strict=True))

    @property
    def data(self) -> bytearray:
        """Muxed bytes; the caller deletes those it has sent."""
        return self._buffer.data

    def add(self, packet: EncodedPacket) -> None:
        """Mux one packet; audio waits for the first video packet, since the muxer fails on packets before its first."""
        if packet.track not in self._streams or packet.dts < self._shift(packet.time_base):
            return
        if self._has_begun or packet.track == Track.VIDEO:
            self._has_begun = True
            self._mux(packet)
            while self._early:
                self._mux(self._early.popleft())
        else:
            self._early.append(packet)

    def finish(self) -> None:
        """End the stream; its last bytes are then in `data`."""
        self._muxer.close()

    def _mux(self, packet: EncodedPacket) -> None:
        shift = self._shift(packet.time_base)
        out = av.Packet(packet.data)
        out.stream = self._streams[packet.track]
        out.time_base = packet.time_base
        out.pts, out.dts, out.duration = packet.pts - shift, packet.dts - shift, packet.duration
        out.is_keyframe = packet.is_keyframe
        self._muxer.mux(out)

    def _shift(self, time_base: Fraction) -> int:
        if time_base not in self._shifts:
            self._shifts[time_base] = round(self._start / time_base)
        return self._shifts[time_base]


def stream_request(templates: Mapping[TrackId, Stream]) -> StreamRequest:
    """Return the description of an FlvMuxer's stream for a child of this process; raises FFmpegError."""
    buffer = _Buffer()
    with _muxer(buffer, templates) as muxer:
        muxer.start_encoding()
        told = StreamRequest(os.getpid(), bytes(buffer.data), bit_rate=bit_rate(templates))
    for template in templates.values():
        if isinstance(template, VideoStream):
            codec = template.codec_context
            rate = str(codec.framerate) if codec.framerate else None
            told = msgspec.structs.replace(told, width=codec.width, height=codec.height, frame_rate=rate)
        elif isinstance(template, AudioStream):
            told = msgspec.structs.replace(told, sample_rate=template.codec_context.sample_rate)
    return told


def bit_rate(templates: Mapping[TrackId, Stream]) -> int:
    """Return the bits per second that the streams' encoders were asked for; 0 where unknown."""
    return sum(getattr(template.codec_context, "bit_rate", None) or 0 for template in templates.values())


def _muxer(buffer: _Buffer, templates: Mapping[TrackId, Stream]) -> OutputContainer:
    muxer = av.open(buffer, "w", format="flv", options=_OPTIONS)
    for template in templates.values():
        muxer.add_stream_from_template(template)
    return muxer


SENT_EVERY_S = 0.125
"""The interval of a child's reports. Until a report, a narrowed link costs viewers two seconds per second."""

SOURCE_OPTIONS = {"probesize": "32", "fpsprobesize": "0"}
"""Read no further than the first frame, of any size, even if the rest comes late."""

_STDIN = 0
_END = bytes.fromhex("17 02 000000 00000010")
"""The end of an FLV stream with H.264: libavformat's trailer, an end-of-sequence tag."""


def add_streams(sink: OutputContainer, request: StreamRequest) -> None:
    """Add the request's streams to `sink`, with facts that libavformat would guess. Raises FFmpegError."""
    with av.open(io.BytesIO(request.head), "r", format="flv", options=SOURCE_OPTIONS) as head:
        for stream in head.streams:
            copy = sink.add_stream_from_template(stream)
            if isinstance(copy, VideoStream):
                copy.codec_context.width, copy.codec_context.height = request.width, request.height
                if request.frame_rate:
                    copy.codec_context.framerate = Fraction(request.frame_rate)
            elif isinstance(copy, AudioStream) and request.sample_rate:
                copy.codec_context.sample_rate = request.sample_rate


def demuxed_packets(
    sink: OutputContainer, report: Callable[[float], object]
) -> "Iterator[tuple[av.Packet[Stream], float]]":
    """Yield each packet of the stream for `sink`, with its decoding time in seconds; raises FFmpegError.

    `report` gets the time of the last packet taken, every SENT_EVERY_S and at the end. This process exits where the
    input breaks off. The recorder was killed, gave the attempt up, or reconnects to a place that waits for that. The
    next attempt then continues the stream, unless it was ended here.
    """
    incoming = _Incoming()
    source = av.open(incoming, "r", format="flv", options=SOURCE_OPTIONS)  # once it has begun
    next_report, dts_s = 0.0, 0.0
    for packet in source.demux():
        if packet.dts is None or packet.time_base is None:
            continue
        dts_s = float(packet.dts * packet.time_base)
        packet.stream = sink.streams[packet.stream_index]
        yield packet, dts_s
        if time.monotonic() >= next_report:
            report(dts_s)
            next_report = time.monotonic() + SENT_EVERY_S
    if not incoming.has_ended:
        os._exit(0)
    report(dts_s)


class _Incoming:
    """Standard input as a file for libavformat."""

    def __init__(self) -> None:
        self._last = b""

    def read(self, size: int) -> bytes:
        """Return available bytes, at most `size`; empty at the end."""
        data = os.read(_STDIN, size)
        if data:
            self._last = (self._last + data[-len(_END) :])[-len(_END) :]
        return data

    @property
    def has_ended(self) -> bool:
        """Whether the input ended with a complete stream."""
        return self._last == _END
