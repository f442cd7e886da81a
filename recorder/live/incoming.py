"""The FLV stream that comes to a child's standard input, and what is known of it before it comes."""

import io
import os
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from recorder.live.protocol import Request

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
