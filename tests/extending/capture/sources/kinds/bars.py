"""`bars`: the colour bars of a test chart."""

import av

from capture.media.pictures import SizeCache, plane_views, tag_frame
from capture.source import ColorMatrix, Frame, Size, VideoFormat, VideoSource
from capture.sources.source_kind import ChosenSource, SourceContext, SourceKind, nothing_follows
from config.errors import MediaError
from devices.host.clock import NANOSECONDS

TRACK, PAYLOAD = "video", b"bars"
COLOURS = ((180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212))
"""Grey, yellow, cyan, green, magenta, red at 75 %, as Y, U, V of BT.601."""


class Bars(VideoSource):
    """Shows them, as time passes."""

    name = "colour bars"

    def __init__(self, context: SourceContext) -> None:
        profile = context.profile
        self._format = VideoFormat(profile.width, profile.height, profile.fps, ColorMatrix.BT601)
        self._drawn = SizeCache((profile.width, profile.height), _draw)
        self._pace, self._stop = context.pace, context.stop
        self._number = 0

    def open(self) -> VideoFormat:
        """Return the format."""
        return self._format

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next picture when its time has come."""
        rate = self._format.rate
        media_ns = self._number * rate.denominator * NANOSECONDS // rate.numerator
        if self._stop.is_set() or not self._pace.wait(TRACK, media_ns, timeout_s):
            return None
        self._number += 1
        return Frame(self._pace.start_ns() + media_ns, PAYLOAD)

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Return the bars, at most of size `within`."""
        if frame.payload != PAYLOAD:
            raise MediaError("this is no picture of the colour bars")
        return self._drawn.get(within)

    def close(self) -> None:
        """End its track: no other one waits for it."""
        self._pace.finish(TRACK)


def _draw(size: Size) -> av.VideoFrame:
    picture = av.VideoFrame(*size, "yuv420p")
    for number, plane in enumerate(plane_views(picture)):
        for column in range(plane.shape[1]):
            plane[:, column] = COLOURS[column * len(COLOURS) // plane.shape[1]][number]
    return tag_frame(picture, ColorMatrix.BT601)


def picture(word: str, context: SourceContext) -> ChosenSource[VideoSource]:
    """Return the source that `word` means."""
    source = Bars(context)
    return ChosenSource(source.name, source, nothing_follows(word))


KIND = SourceKind(picture, name=nothing_follows)
