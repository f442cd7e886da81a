"""The child's work for a folder: FLV from standard input, as HLS segments and their playlist.

A disk may hang; it hangs this process then, and nobody else. libavformat cuts the segments. Files are opened and
written here, for it does not say what a disk has refused; so is the playlist (recorder.live.kinds.hls).
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

from config.files import NotRegular, held, make_file, of_mode, read_file, replace_file
from recorder.live.flv import SENT_EVERY_S, add_streams, packets
from recorder.live.kind import Outcome, Report, Request, Sent, Tell
from recorder.live.kinds.hls_folder import OURS, READABLE, open_lock
from recorder.live.reason import Reason, folder_reason
from recorder.live.url import FolderUrl

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


PLAYLIST = "live.m3u8"
LISTED = 6
"""Segments in the playlist; at the profiles' keyframes every 2 s, 12 s of them."""
KEPT = 3
"""Segments that stay for slow players once they are no longer listed."""
SEGMENT_S = 1.5
"""A segment ends at the first keyframe after this: below the keyframes' 2 s, for those come a hair early or late."""
GOES_ON_S = 60.0
"""A playlist without an end that is younger than this is gone on with: it is a stream that broke off."""

_TO_US = "liput:playlist"
"""The address of the muxer's playlist: of no protocol, or it would rename files by itself."""


def publish(request: Request, url: FolderUrl, report: Tell) -> Report:
    """Write until the input ends or the disk does; return the last report."""
    report("folder")
    os.umask(0o777 & ~READABLE)
    try:
        with held(Path(url.path)) as folder:
            # The lock is held as long as this process lives.
            fcntl.flock(open_lock(folder), fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(request, Output(folder), report)
    except BlockingIOError:
        return Outcome(Reason.ALREADY_PUBLISHING, "another session writes into this folder")
    except (FFmpegError, OSError) as error:
        return _failed(error)
    except (ValueError, LookupError) as error:
        return Outcome(Reason.FAILED, type(error).__name__)
    return Outcome()


def _write(request: Request, output: "Output", report: Tell) -> None:
    options = {
        "hls_time": str(SEGMENT_S),
        "hls_list_size": str(LISTED),
        "hls_segment_filename": "live-%d.ts",
        "start_number": str(output.first),
        "hls_flags": "independent_segments+program_date_time",
        # So that a player that does not look at the playlist's mark sees it in the stream.
        "hls_segment_options": "mpegts_flags=+initial_discontinuity",
    }
    sink = av.open(_TO_US, "w", format="hls", options=options, io_open=output.open)
    add_streams(sink, request)
    sink.start_encoding()
    report("live")
    next_report, dts_s = 0.0, 0.0
    for packet, dts_s in packets(sink):
        sink.mux(packet)
        if time.monotonic() >= next_report:
            report(Sent(dts_s))
            next_report = time.monotonic() + SENT_EVERY_S
    sink.close()
    report(Sent(dts_s))


class Output:
    """A folder: what an earlier stream left in it, what the muxer writes into it now. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        """Remove what an earlier stream left, unless that broke off just now: then this one goes on with it."""
        self.folder = folder
        self._text = b""
        self._playlist = self._broken_off() or Playlist()
        listed = self._playlist.segments
        # Numbers that no earlier stream had: nobody's cache has a segment of that name.
        self.first = listed[-1].number + 1 if listed else int(time.time())
        self._left = sorted(self._left_by_others({segment.number for segment in listed}))

    def open(self, url: str, _flags: int, _options: object) -> "FileIO | Output":
        """Open what the muxer wants to write: a segment, or the playlist, which is only read here."""
        if url == _TO_US:
            self._text = b""
            return self
        return open(make_file(self.folder / url, READABLE), "wb", buffering=0)  # noqa: PTH123 - the muxer closes it

    def write(self, data: bytes) -> int:
        """Take a piece of the muxer's playlist."""
        self._text += bytes(data)
        return len(data)

    def close(self) -> None:
        """Take over the muxer's playlist, which is whole."""
        with contextlib.suppress(UnicodeDecodeError):
            self._take(self._text.decode())

    def _take(self, text: str) -> None:
        """Take over the segments of the muxer's playlist that are new."""
        theirs = Playlist.read(text)
        newest = self._playlist.segments[-1].number if self._playlist.segments else 0
        for segment in theirs.segments:
            if segment.number > newest:
                goes_on = segment.number == self.first and bool(self._playlist.segments)
                self._playlist.add(Segment(segment.number, segment.duration_s, segment.began, goes_on))
        self._playlist.has_ended = theirs.has_ended
        self._left += [segment.number for segment in self._playlist.shorten(LISTED)]
        replace_file(self.folder / PLAYLIST, self._playlist.text().encode(), of_mode(READABLE), durable=False)
        while len(self._left) > KEPT:
            self._file(self._left.pop(0)).unlink(missing_ok=True)

    def _broken_off(self) -> Playlist | None:
        playlist = self.folder / PLAYLIST
        try:
            if time.time() - playlist.stat().st_mtime < GOES_ON_S:
                found = Playlist.read(read_file(playlist, cut=True).decode(errors="replace"))
                return found if found.segments and not found.has_ended else None
        except (FileNotFoundError, NotRegular):
            pass
        return None

    def _left_by_others(self, listed: set[int]) -> list[int]:
        """Remove what is ours and not listed; return the numbers of what a player may still want."""
        left = []
        for path in self.folder.iterdir():
            found = OURS.fullmatch(path.name)
            number = int(found[1]) if found and found[1] else None
            if found is None or number in listed or (listed and path.name == PLAYLIST):
                continue
            if listed and number is not None and number < min(listed):
                left.append(number)
            else:
                path.unlink(missing_ok=True)
        return left

    def _file(self, number: int) -> Path:
        return self.folder / Segment(number, 0.0).name


def _failed(error: FFmpegError | OSError) -> Outcome:
    number = error.errno or 0
    reason = folder_reason(number)
    if isinstance(error, NotRegular):
        return Outcome(reason, f"{Path(error.filename).name} is no regular file")
    is_clear = reason is not Reason.DISK_FAILED
    return Outcome(reason, "" if is_clear else os.strerror(number) if number > 0 else str(error))
