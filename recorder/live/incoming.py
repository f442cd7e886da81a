"""The FLV stream that comes to a child's standard input, and what is known of it before it comes."""

import io
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from recorder.live.protocol import Announcement

SENT_EVERY_S = 0.125
"""How often a child says how far it is. A link that has become narrow costs viewers two seconds for each second in
which nobody knows."""

SOURCE_OPTIONS = {"probesize": "32", "fpsprobesize": "0"}
"""Read no further than the first picture, whatever its size and whenever the rest comes."""


def add_streams(sink: OutputContainer, announced: Announcement) -> None:
    """Announce the stream to `sink`; raises FFmpegError.

    libavformat would take units of time for a frame rate and 44,100 for every sound, and wait for a picture to know its
    size; all that would be told to the server.
    """
    with av.open(io.BytesIO(announced.head), "r", format="flv", options=SOURCE_OPTIONS) as head:
        for stream in head.streams:
            copy = sink.add_stream_from_template(stream)
            if isinstance(copy, VideoStream):
                copy.codec_context.width, copy.codec_context.height = announced.width, announced.height
                if announced.frame_rate:
                    copy.codec_context.framerate = Fraction(announced.frame_rate)
            elif isinstance(copy, AudioStream) and announced.sample_rate:
                copy.codec_context.sample_rate = announced.sample_rate


def packets(sink: OutputContainer) -> "Iterator[tuple[av.Packet[Stream], float]]":
    """Yield each packet of the stream as `sink` takes it, with its decoding time in seconds; raises FFmpegError."""
    source = av.open("pipe:0", format="flv", options=SOURCE_OPTIONS)  # once it has begun
    for packet in source.demux():
        if packet.dts is None or packet.time_base is None:
            continue
        dts_s = float(packet.dts * packet.time_base)
        packet.stream = sink.streams[packet.stream_index]
        yield packet, dts_s
