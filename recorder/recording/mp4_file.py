"""The recorded MP4: fragments that play after a kill at any moment, an ordinary MP4 once closed.

PyAV muxes into `AppendOnlyFile`, which appends each fragment with one write.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Stream

from config.errors import LiputError, MediaError, StorageError
from config.files import open_regular
from recorder.disk.durable import DurableFiles
from recorder.disk.errors import disk_read_only, disk_vanished, storage_error, storage_errors, write_error
from recorder.disk.mounts import mount_source
from recorder.model.marks import Mark
from recorder.model.packet import DiskProgress, EncodedPacket, TrackId
from recorder.model.titles import copy_title, set_made
from recorder.mp4.finalize import finalize
from recorder.mp4.fragments import FragmentReader

BUFFER_BYTES = 1 << 20  # FFmpeg's write buffer: it holds a fragment of 0.1 s of any profile


class AppendOnlyFile:
    """A file that PyAV appends to, on one thread. After an OSError it takes no more: nothing plays behind a hole."""

    def __init__(self, path: Path) -> None:
        self.descriptor = open_regular(path, os.O_RDWR | os.O_CREAT, 0o666)
        self.size = 0
        """The bytes written."""
        self.error: OSError | None = None
        """The first failed write."""
        self._folder = path.parent
        self.closed = False
        """Whether it is closed. PyAV reads this: a container collected later then writes no trailer."""

    def write(self, data: bytes) -> int:
        """Append `data` whole or not at all. Raises OSError."""
        if self.error:
            raise self.error
        before, rest = self.size, memoryview(data)
        try:
            while rest:
                written = os.pwrite(self.descriptor, rest, self.size)
                self.size += written
                rest = rest[written:]
        except OSError as error:
            self.error, self.size = error, before
            with suppress(OSError):
                os.ftruncate(self.descriptor, before)
            raise
        return len(data)

    def begin(self) -> None:
        """Write to the disk once, and sync the file's name, long before the first fragment. Raises OSError."""
        os.pwrite(self.descriptor, b"\0", 0)
        os.ftruncate(self.descriptor, 0)
        DurableFiles().sync(self._folder)

    def sync(self) -> None:
        """Sync the appended bytes. Raises OSError."""
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        """Close the file; later writes fail, for the descriptor may be reused."""
        self.closed = True
        self.error = self.error or OSError(errno.EBADF, os.strerror(errno.EBADF))
        os.close(self.descriptor)


def muxer_options(fragment_s: float, bit_rate: int = 0) -> dict[str, str]:
    """Return FFmpeg's options for fragments of `fragment_s`, or of the bytes of `bit_rate` in that time."""
    options = {
        # delay_moov: edit lists need a first fragment; they put the encoders' delay before time 0. skip_trailer:
        # recorder.mp4 writes the index, which would grow in memory.
        "movflags": "delay_moov+skip_trailer",
        "frag_duration": str(round(fragment_s * 1_000_000)),
        # Each packet leaves the muxer at once, and a quiet track cannot hold up the other.
        "flush_packets": "1",
        "max_interleave_delta": "500000",
    }
    most_bytes = round(bit_rate / 8 * fragment_s)
    # min_frag_duration: FFmpeg 9.0 gives the first packet of a track in a fragment the time of the next one, if a
    # fragment is cut at it.
    return options | {"frag_size": str(most_bytes), "min_frag_duration": "1"} if most_bytes else options


class Mp4File:
    """Muxes packets into a file on one thread; another one syncs. Raises library errors; see `error_of`."""

    def __init__(
        self, path: Path, templates: Mapping[TrackId, Stream], fragment_s: float, *, made: datetime, is_live: bool
    ) -> None:
        """Make the file, and test its disk. Raises StorageError."""
        self.path = path
        self.on_disk = DiskProgress()
        self.free_bytes: int | None = None
        """The free bytes of its disk at the last sync."""
        self.scanned = 0
        """The read position of `finish`."""
        self._end_s = dict.fromkeys(templates, 0.0)  # of muxed packets, by track
        with storage_errors(path):
            self._file = AppendOnlyFile(path)
        try:
            status = os.fstat(self._file.descriptor)
            self._identity, self._source = (status.st_dev, status.st_ino), mount_source(status.st_dev)
            self._container = av.open(
                self._file,
                "w",
                format="mp4",
                buffer_size=BUFFER_BYTES,
                options=muxer_options(fragment_s, _bit_rate(templates) if is_live else 0),
            )
            self._streams = {
                track: self._container.add_stream_from_template(template, opaque=True)
                for track, template in templates.items()
            }
            for track, stream in self._streams.items():
                copy_title(templates[track], stream)
            set_made(self._container, made)
            self._container.start_encoding()
            self._file.begin()
        except (FFmpegError, OSError) as error:
            self._file.close()
            raise storage_error(error, path) from error
        self._reader = FragmentReader(self._file.descriptor)

    @property
    def written_bytes(self) -> int:
        """The bytes written, synced or not."""
        return self._file.size

    def mux(self, encoded: EncodedPacket) -> None:
        """Write a packet. Raises FFmpegError, OSError."""
        packet: av.Packet[Stream] = av.Packet(encoded.data)
        packet.stream = self._streams[encoded.track]
        packet.time_base = encoded.time_base
        packet.pts, packet.dts, packet.duration = encoded.pts, encoded.dts, encoded.duration
        packet.is_keyframe = encoded.is_keyframe
        self._container.mux(packet)
        self._end_s[encoded.track] = max(encoded.ends_s, self._end_s[encoded.track])

    def finish(self, marks: Sequence[Mark], title: str) -> None:
        """Make an ordinary MP4, unless it is empty or its disk failed; cuts nothing off."""
        self._container.close()
        if self._file.error is None and any(self._end_s.values()):
            finalize(
                self._file.descriptor,
                self.path,
                marks=marks,
                title=title,
                sync=lambda _: self._file.sync(),
                most_cut=0,
                advance=self._scanned_to,
            )

    def _scanned_to(self, position: int) -> None:
        self.scanned = position

    def sync(self, *, looks: bool) -> LiputError | None:
        """Sync, and count new fragments if it `looks`; return the reason not to trust the sync, None if sound."""
        # Count first, sync second: counted fragments are on disk.
        if looks:
            self._reader.advance()
        self._file.sync()
        problem = self._problem()
        if problem is None:
            self.on_disk = DiskProgress(self._reader.complete_bytes, float(self._reader.media_time_s))
        return problem

    def _problem(self) -> LiputError | None:
        """Read the free space; return the reason not to trust a sync, None if sound."""
        disk = os.fstatvfs(self._file.descriptor)
        self.free_bytes = disk.f_bavail * disk.f_frsize
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return disk_vanished(self.path)
        if (there.st_dev, there.st_ino) != self._identity:
            return disk_vanished(self.path)
        # A read-only ext4 accepts writes and syncs of open files, and does neither.
        return disk_read_only(self.path) if disk.f_flag & os.ST_RDONLY else None

    def error_of(self, error: Exception) -> MediaError | StorageError:
        """Return the error for people after writing ended with `error`."""
        return (
            error if isinstance(error, MediaError) else write_error(error, self.path, self._identity[0], self._source)
        )

    def close(self, *, is_whole: bool) -> None:
        """Close the file; one that `is_whole` counts to the last byte. Raises OSError."""
        try:
            if is_whole:
                self.on_disk = DiskProgress(os.fstat(self._file.descriptor).st_size, min(self._end_s.values()))
        finally:
            self._file.close()


def _bit_rate(templates: Mapping[TrackId, Stream]) -> int:
    """Return the bit rate of all tracks in bit/s, 0 if an encoder does not tell."""
    rates = [template.codec_context.bit_rate for template in templates.values()]
    return sum(rate for rate in rates if rate) if all(rates) else 0
