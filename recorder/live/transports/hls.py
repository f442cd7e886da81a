"""The child's work for a folder: FLV from standard input, as HLS segments and their playlist.

A hung disk hangs this process alone. libavformat cuts the segments. This module opens and writes the files, since
libavformat does not report a disk's errors. It also writes the playlist.
"""

import contextlib
import fcntl
import math
import os
import re
import time
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import av
from av.error import FFmpegError

from config.files import NotRegular, create_file, open_beneath, read_file, replace_file, with_mode
from recorder.live.flv import add_streams, demuxed_packets
from recorder.live.kind import (
    AttemptOutcome,
    ChildReport,
    DestinationFault,
    LinkReport,
    SendReport,
    StreamRequest,
    folder_reason,
)
from recorder.live.transports.hls_folder import FILE_MODE, STREAM_FILES, open_lock
from recorder.live.url import FolderUrl

_NUMBER = re.compile(r"live-(\d+)\.ts")
_OFFSET = re.compile(r"([+-]\d\d)(\d\d)$")


@dataclass(slots=True)
class HlsSegment:
    """A file of `duration_s` seconds, `live-NUMBER.ts`; `began` is the date and time of its first frame (ISO 8601)."""

    number: int
    duration_s: float
    began: str = ""
    is_discontinuity: bool = False

    @property
    def name(self) -> str:
        return f"live-{self.number}.ts"


@dataclass(slots=True)
class HlsPlaylist:
    """The newest segments, oldest first, and the count of earlier discontinuities."""

    segments: list[HlsSegment] = field(default_factory=list)
    target_s: int = 2
    discontinuities: int = 0  # their number before the first segment
    has_ended: bool = False

    @staticmethod
    def read(text: str) -> "HlsPlaylist":
        """Parse a playlist; unknown lines are skipped."""
        found = HlsPlaylist()
        coming = HlsSegment(0, 0.0)
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
                coming = HlsSegment(0, 0.0)
        return found

    def add(self, segment: HlsSegment) -> None:
        self.segments.append(segment)
        self.target_s = max(self.target_s, math.ceil(segment.duration_s - 0.5))

    def shorten(self, most: int) -> list[HlsSegment]:
        """Remove and return all but the newest `most` segments."""
        gone = self.segments[:-most]
        del self.segments[:-most]
        self.discontinuities += sum(segment.is_discontinuity for segment in gone)
        return gone

    def text(self) -> str:
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


PLAYLIST = "live.m3u8"
LISTED = 6  # segments in the playlist; with keyframes every 2 s, as in the profiles, 12 s of them
KEPT = 3  # segments that stay for slow players after they leave the playlist
SEGMENT_S = 1.5
"""A segment ends at the first keyframe after this time. It is below the keyframes' 2 s, since they vary slightly."""
GOES_ON_S = 60.0  # a younger playlist without an end is of a broken-off stream, and is continued

_TO_US = "liput:playlist"
"""The address of the muxer's playlist: without a protocol, or libavformat would rename files by itself."""


def publish(request: StreamRequest, url: FolderUrl, report: SendReport) -> ChildReport:
    """Write until the input ends or the disk fails; return the last report."""
    report("folder")
    os.umask(0o777 & ~FILE_MODE)
    try:
        with open_beneath(Path(url.path)) as folder:
            # This process holds the lock until it ends.
            fcntl.flock(open_lock(folder), fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(request, HlsOutput(folder), report)
    except BlockingIOError:
        return AttemptOutcome(DestinationFault.ALREADY_PUBLISHING, "another session writes into this folder")
    except (FFmpegError, OSError) as error:
        return _failed(error)
    except (ValueError, LookupError) as error:
        return AttemptOutcome(DestinationFault.FAILED, type(error).__name__)
    return AttemptOutcome()


def _write(request: StreamRequest, output: "HlsOutput", report: SendReport) -> None:
    options = {
        "hls_time": str(SEGMENT_S),
        "hls_list_size": str(LISTED),
        "hls_segment_filename": "live-%d.ts",
        "start_number": str(output.first),
        "hls_flags": "independent_segments+program_date_time",
        # For players that ignore the playlist's mark.
        "hls_segment_options": "mpegts_flags=+initial_discontinuity",
    }
    sink = av.open(_TO_US, "w", format="hls", options=options, io_open=output.open)
    add_streams(sink, request)
    sink.start_encoding()
    report("live")
    for packet, _ in demuxed_packets(sink, lambda dts_s: report(LinkReport(dts_s))):
        sink.mux(packet)
    sink.close()


class HlsOutput:
    """The folder of one stream, with the remains of earlier ones. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        """Remove an earlier stream's files, unless it broke off just now: then this stream continues it."""
        self.folder = folder
        self._text = b""
        self._playlist = self._broken_off() or HlsPlaylist()
        listed = self._playlist.segments
        # New numbers: no cache has a segment of that name.
        self.first = listed[-1].number + 1 if listed else int(time.time())
        self._left = sorted(self._left_by_others({segment.number for segment in listed}))

    def open(self, url: str, _flags: int, _options: object) -> "FileIO | HlsOutput":
        """Open a segment for the muxer, or this object for its playlist."""
        if url == _TO_US:
            self._text = b""
            return self
        return open(create_file(self.folder / url, FILE_MODE), "wb", buffering=0)  # noqa: PTH123 - the muxer closes it

    def write(self, data: bytes) -> int:
        """Collect a piece of the muxer's playlist."""
        self._text += bytes(data)
        return len(data)

    def close(self) -> None:
        """Take over the muxer's complete playlist."""
        with contextlib.suppress(UnicodeDecodeError):
            self._take(self._text.decode())

    def _take(self, text: str) -> None:
        """Add the new segments of the muxer's playlist."""
        theirs = HlsPlaylist.read(text)
        newest = self._playlist.segments[-1].number if self._playlist.segments else 0
        for segment in theirs.segments:
            if segment.number > newest:
                goes_on = segment.number == self.first and bool(self._playlist.segments)
                self._playlist.add(HlsSegment(segment.number, segment.duration_s, segment.began, goes_on))
        self._playlist.has_ended = theirs.has_ended
        self._left += [segment.number for segment in self._playlist.shorten(LISTED)]
        replace_file(self.folder / PLAYLIST, self._playlist.text().encode(), with_mode(FILE_MODE), durable=False)
        while len(self._left) > KEPT:
            (self.folder / HlsSegment(self._left.pop(0), 0.0).name).unlink(missing_ok=True)

    def _broken_off(self) -> HlsPlaylist | None:
        playlist = self.folder / PLAYLIST
        try:
            if time.time() - playlist.stat().st_mtime < GOES_ON_S:
                found = HlsPlaylist.read(read_file(playlist, cut=True).decode(errors="replace"))
                return found if found.segments and not found.has_ended else None
        except (FileNotFoundError, NotRegular):
            pass
        return None

    def _left_by_others(self, listed: set[int]) -> list[int]:
        """Remove unlisted files of streams; return the numbers that a slow player may still load."""
        left = []
        for path in self.folder.iterdir():
            found = STREAM_FILES.fullmatch(path.name)
            number = int(found[1]) if found and found[1] else None
            if found is None or number in listed or (listed and path.name == PLAYLIST):
                continue
            if listed and number is not None and number < min(listed):
                left.append(number)
            else:
                path.unlink(missing_ok=True)
        return left


def _failed(error: FFmpegError | OSError) -> AttemptOutcome:
    number = error.errno or 0
    reason = folder_reason(number)
    if isinstance(error, NotRegular):
        return AttemptOutcome(reason, f"{Path(error.filename).name} is no regular file")
    is_clear = reason is not DestinationFault.DISK_FAILED
    return AttemptOutcome(reason, "" if is_clear else os.strerror(number) if number > 0 else str(error))
