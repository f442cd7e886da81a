"""The child's work for a folder: FLV from standard input, as an HLS playlist and its segments.

A disk may hang; it hangs this process then, and nobody else. Files are opened, written and closed here, for
libavformat's own hls muxer does not say what a disk has refused.
"""

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import av
from av.error import FFmpegError

from recorder.live.incoming import SENT_EVERY_S, add_streams, open_source
from recorder.live.protocol import Ended, Entered, Failed, Live, Report, Request, Sent
from recorder.live.reason import Reason
from recorder.live.url import FolderUrl

PLAYLIST = "live.m3u8"
SEGMENT = "live-%d.ts"
LISTED = 6
"""Segments in the playlist; at the profiles' keyframes every 2 s, 12 s of them."""
KEPT = 3
"""Segments that stay for slow players once they are no longer listed."""
SEGMENT_S = 1.5
"""A segment ends at the first keyframe after this: below the keyframes' 2 s, for those come a hair early or late."""
GOES_ON_S = 60.0
"""A playlist without an end that is younger than this is gone on with: it is a stream that broke off."""

_OURS = re.compile(r"live-\d+\.ts(\.tmp)?|live\.m3u8(\.tmp)?")
_LOCK = ".live.lock"
_END = "#EXT-X-ENDLIST"
_READABLE = 0o022  # umask: a web server is another user
_REASONS = {
    errno.ENOENT: Reason.FOLDER_MISSING,
    errno.ENOTDIR: Reason.FOLDER_MISSING,
    errno.EACCES: Reason.NOT_WRITABLE,
    errno.EPERM: Reason.NOT_WRITABLE,
    errno.EROFS: Reason.NOT_WRITABLE,
    errno.ENOSPC: Reason.DISK_FULL,
    errno.EDQUOT: Reason.DISK_FULL,
}


def publish(request: Request, url: FolderUrl, report: Callable[[Report], None]) -> Report:
    """Write until the input ends or the disk does; return the last report."""
    report(Entered("folder"))
    os.umask(_READABLE)
    folder = Path(url.path)
    try:
        # The lock is held as long as this process lives.
        lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clear(folder)
        _write(request, folder, report)
    except BlockingIOError:
        return Failed(Reason.ALREADY_PUBLISHING, "another session writes into this folder")
    except (FFmpegError, OSError) as error:
        return _failed(error)
    except (ValueError, LookupError) as error:
        return Failed(Reason.FAILED, type(error).__name__)
    return Ended()


def _clear(folder: Path) -> None:
    """Remove what an earlier stream left, unless it broke off just now: then this one goes on with it."""
    playlist = folder / PLAYLIST
    with contextlib.suppress(FileNotFoundError):
        is_young = time.time() - playlist.stat().st_mtime < GOES_ON_S
        if is_young and _END not in playlist.read_text(encoding="utf-8", errors="replace"):
            return
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _write(request: Request, folder: Path, report: Callable[[Report], None]) -> None:
    options = {
        "hls_time": str(SEGMENT_S),
        "hls_list_size": str(LISTED),
        "hls_delete_threshold": str(KEPT),
        "hls_segment_filename": str(folder / SEGMENT),
        # Numbers that no earlier stream had: nobody's cache has a segment of that name.
        "hls_start_number_source": "epoch",
        "hls_flags": "append_list+delete_segments+independent_segments+program_date_time+temp_file",
    }
    source = open_source()
    files = _Files()
    sink = av.open(str(folder / PLAYLIST), "w", format="hls", options=options, io_open=files.open)
    add_streams(source, sink, request)
    sink.start_encoding()
    report(Live())
    next_report, dts_s = 0.0, 0.0
    for packet in source.demux():
        if packet.dts is None or packet.time_base is None:
            continue
        dts_s = float(packet.dts * packet.time_base)
        packet.stream = sink.streams[packet.stream_index]
        sink.mux(packet)
        files.check()
        if time.monotonic() >= next_report:
            report(Sent(dts_s))
            next_report = time.monotonic() + SENT_EVERY_S
    sink.close()
    files.check()
    report(Sent(dts_s))


class _Files:
    """Opens what the muxer wants opened, and remembers what the disk said."""

    def __init__(self) -> None:
        self._error: OSError | None = None

    def open(self, url: str, _flags: int, _options: object) -> BinaryIO:
        """Open a file for writing."""
        try:
            return open(url, "wb")  # noqa: PTH123 - the muxer closes it
        except OSError as error:
            self._error = error
            raise

    def check(self) -> None:
        """Raise what went wrong."""
        if self._error is not None:
            raise self._error


def _failed(error: FFmpegError | OSError) -> Failed:
    number = error.errno or 0
    reason = _REASONS.get(number, Reason.DISK_FAILED)
    return Failed(reason, "" if number in _REASONS else os.strerror(number) if number > 0 else str(error))
