"""The FLV stream that comes to a child's standard input, read as far as it takes to know what is in it."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from recorder.live.protocol import Request

SENT_EVERY_S = 0.125
"""How often a child says how far it is. A link that has become narrow costs viewers two seconds for each second in
which nobody knows."""

SOURCE_OPTIONS = {"probesize": "32", "fpsprobesize": "0"}
"""Read no further than the first picture, whatever its size and whenever the rest comes."""


def open_source() -> InputContainer:
    """Return the stream on standard input; raises FFmpegError."""
    return av.open("pipe:0", format="flv", options=SOURCE_OPTIONS)


def add_streams(source: InputContainer, sink: OutputContainer, request: Request) -> None:
    """Announce to `sink` what is in `source`, with the rates of the request.

    What was read of `source` gives the picture's size, but units of time for a frame rate, and 44,100 for every
    sound; either would be told to the server.
    """
    for stream in source.streams:
        copy = sink.add_stream_from_template(stream)
        if isinstance(copy, VideoStream) and request.frame_rate:
            copy.codec_context.framerate = Fraction(request.frame_rate)
        elif isinstance(copy, AudioStream) and request.sample_rate:
            copy.codec_context.sample_rate = request.sample_rate


def packets(source: InputContainer, sink: OutputContainer) -> "Iterator[tuple[av.Packet[Stream], float]]":
    """Yield each packet of `source` as `sink` takes it, with its decoding time in seconds; raises FFmpegError."""
    for packet in source.demux():
        if packet.dts is None or packet.time_base is None:
            continue
        dts_s = float(packet.dts * packet.time_base)
        packet.stream = sink.streams[packet.stream_index]
        yield packet, dts_s
