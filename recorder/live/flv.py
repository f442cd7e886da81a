"""FLV in memory: the destination muxes it, its child demuxes it from standard input."""

import io
import os
from collections import deque
from collections.abc import Iterator, Mapping
from fractions import Fraction

import av
import msgspec
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from recorder.live.kind import Request
from recorder.model.packet import EncodedPacket, Track, TrackId

_OPTIONS = {
    "flvflags": "no_duration_filesize",
    "flush_packets": "1",  # nothing waits in a buffer for more to come
    "max_interleave_delta": "1000000",  # microseconds: a track that falls silent holds the other up no longer than this
}


class _Buffer:
    """The file that the muxer writes to."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


class FlvFeed:
    """An FLV muxer whose time 0 is the decoding time of `start`, a video keyframe.

    What was encoded for earlier than that is left out. Tracks may come in any order to each other.
    """

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
        """The bytes that were muxed and not taken yet; whoever sends some of them deletes those."""
        return self._buffer.data

    def add(self, packet: EncodedPacket) -> None:
        """Mux one packet; sound waits for the first picture.

        Encoders hand pictures out later than sound, on a busy PC by more than the muxer waits for them. It would
        begin with sound then, and to this muxer whatever is earlier than what it began with is an error.
        """
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
        """End the stream; its last bytes are in `data` then."""
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


def request(templates: Mapping[TrackId, Stream]) -> Request:
    """Return what is told of an FlvFeed's stream before it begins, to a child of this process; raises FFmpegError."""
    buffer = _Buffer()
    with _muxer(buffer, templates) as muxer:
        muxer.start_encoding()
        told = Request(os.getpid(), bytes(buffer.data), bit_rate=bit_rate(templates))
    for template in templates.values():
        if isinstance(template, VideoStream):
            codec = template.codec_context
            rate = str(codec.framerate) if codec.framerate else None
            told = msgspec.structs.replace(told, width=codec.width, height=codec.height, frame_rate=rate)
        elif isinstance(template, AudioStream):
            told = msgspec.structs.replace(told, sample_rate=template.codec_context.sample_rate)
    return told


def bit_rate(templates: Mapping[TrackId, Stream]) -> int:
    """Return the bits per second of all tracks, 0 where they do not say."""
    return sum(getattr(template.codec_context, "bit_rate", None) or 0 for template in templates.values())


def _muxer(buffer: _Buffer, templates: Mapping[TrackId, Stream]) -> OutputContainer:
    muxer = av.open(buffer, "w", format="flv", options=_OPTIONS)
    for template in templates.values():
        muxer.add_stream_from_template(template)
    return muxer


SENT_EVERY_S = 0.125
"""How often a child says how far it is. A link that has become narrow costs viewers two seconds for each second in
which nobody knows."""

SOURCE_OPTIONS = {"probesize": "32", "fpsprobesize": "0"}
"""Read no further than the first picture, whatever its size and whenever the rest comes."""

_STDIN = 0
_END = bytes.fromhex("17 02 000000 00000010")
"""The last bytes of an FLV stream with H.264: libavformat's trailer, a tag that says that the sequence has ended."""


def add_streams(sink: OutputContainer, request: Request) -> None:
    """Announce the stream to `sink`; raises FFmpegError.

    libavformat would take units of time for a frame rate and 44,100 for every sound, and wait for a picture to know its
    size; all that would be told to the server.
    """
    with av.open(io.BytesIO(request.head), "r", format="flv", options=SOURCE_OPTIONS) as head:
        for stream in head.streams:
            copy = sink.add_stream_from_template(stream)
            if isinstance(copy, VideoStream):
                copy.codec_context.width, copy.codec_context.height = request.width, request.height
                if request.frame_rate:
                    copy.codec_context.framerate = Fraction(request.frame_rate)
            elif isinstance(copy, AudioStream) and request.sample_rate:
                copy.codec_context.sample_rate = request.sample_rate


def packets(sink: OutputContainer) -> "Iterator[tuple[av.Packet[Stream], float]]":
    """Yield each packet of the stream as `sink` takes it, with its decoding time in seconds; raises FFmpegError.

    Where the input breaks off, this process ends without another word. The recorder was killed, or has given this
    attempt up: the kernel is about to kill us, or it is; or it connects anew, to what waits for that. Who comes next
    goes on with the stream, unless we end it.
    """
    incoming = _Incoming()
    source = av.open(incoming, "r", format="flv", options=SOURCE_OPTIONS)  # once it has begun
    for packet in source.demux():
        if packet.dts is None or packet.time_base is None:
            continue
        dts_s = float(packet.dts * packet.time_base)
        packet.stream = sink.streams[packet.stream_index]
        yield packet, dts_s
    if not incoming.has_ended:
        os._exit(0)


class _Incoming:
    """Standard input, as libavformat reads it."""

    def __init__(self) -> None:
        self._last = b""

    def read(self, size: int) -> bytes:
        """Return what there is, at most `size` bytes; empty at the end."""
        data = os.read(_STDIN, size)
        if data:
            self._last = (self._last + data[-len(_END) :])[-len(_END) :]
        return data

    @property
    def has_ended(self) -> bool:
        """Whether what was read ends as a whole stream does."""
        return self._last == _END
