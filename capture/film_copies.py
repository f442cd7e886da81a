"""The coded pictures of a film, as a camera would send them: for a copy beside what they decode to."""

from collections.abc import Callable
from fractions import Fraction

from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.stream import VideoStream

from capture.source import Coded, CodedPicture

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
