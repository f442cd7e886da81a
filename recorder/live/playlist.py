"""An HLS media playlist (RFC 8216): what players ask for again and again while a stream is live.

The number of a segment is its media sequence number, in whatever attempt it was made: players count on that.
libavformat's own playlist begins to count anew where it goes on with one, and does not count discontinuities.
"""

import math
import re
from dataclasses import dataclass, field

_NUMBER = re.compile(r"live-(\d+)\.ts")
_OFFSET = re.compile(r"([+-]\d\d)(\d\d)$")


@dataclass(slots=True)
class Segment:
    """A file of `duration_s` seconds, `live-NUMBER.ts`; `began` is its first picture's date and time (ISO 8601)."""

    number: int
    duration_s: float
    began: str = ""
    is_discontinuity: bool = False

    @property
    def name(self) -> str:
        """The file's name."""
        return f"live-{self.number}.ts"


@dataclass(slots=True)
class Playlist:
    """The newest segments, oldest first, and what players must know of those that were there before."""

    segments: list[Segment] = field(default_factory=list)
    target_s: int = 2
    discontinuities: int = 0
    """How many there were before the first segment."""
    has_ended: bool = False

    @staticmethod
    def read(text: str) -> "Playlist":
        """Return what a playlist says; lines that are none of ours count for nothing."""
        found = Playlist()
        coming = Segment(0, 0.0)
        for line in text.splitlines():
            tag, _, value = line.partition(":")
            if tag == "#EXT-X-TARGETDURATION" and value.isdecimal():
                found.target_s = int(value)
            elif tag == "#EXT-X-DISCONTINUITY-SEQUENCE" and value.isdecimal():
                found.discontinuities = int(value)
            elif tag == "#EXT-X-DISCONTINUITY":
                coming.is_discontinuity = True
            elif tag == "#EXT-X-PROGRAM-DATE-TIME":
                coming.began = _OFFSET.sub(r"\1:\2", value)
            elif tag == "#EXTINF":
                coming.duration_s = float(value.rstrip(","))
            elif tag == "#EXT-X-ENDLIST":
                found.has_ended = True
            elif name := _NUMBER.fullmatch(line):
                coming.number = int(name[1])
                found.segments.append(coming)
                coming = Segment(0, 0.0)
        return found

    def add(self, segment: Segment) -> None:
        """Add a segment that is complete."""
        self.segments.append(segment)
        self.target_s = max(self.target_s, math.ceil(segment.duration_s - 0.5))

    def shorten(self, most: int) -> list[Segment]:
        """Take out what is beyond the newest `most` segments, and return it."""
        gone = self.segments[:-most]
        del self.segments[:-most]
        self.discontinuities += sum(segment.is_discontinuity for segment in gone)
        return gone

    def text(self) -> str:
        """Return the playlist as players read it."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:6", f"#EXT-X-TARGETDURATION:{self.target_s}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{self.segments[0].number if self.segments else 0}")
        if self.discontinuities:
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.discontinuities}")
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
        for segment in self.segments:
            if segment.is_discontinuity:
                lines.append("#EXT-X-DISCONTINUITY")
            lines.append(f"#EXTINF:{segment.duration_s:.6f},")
            if segment.began:
                lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{segment.began}")
            lines.append(segment.name)
        if self.has_ended:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"
