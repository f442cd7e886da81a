"""The media file: an MP4 in fragments that plays after a kill at any moment, an ordinary one once closed.

PyAV muxes into an object of ours, which appends at once, one write for a fragment, always behind the rest.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Stream

from config.errors import LiputError, MediaError, StorageError
from config.files import open_regular
from recorder.disk.durable import Disk
from recorder.disk.errors import became_read_only, storage_error, told_apart, vanished
from recorder.disk.mounts import source_of
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket, TrackId
from recorder.model.titles import copy_title, set_made
from recorder.mp4.finish import finish
from recorder.mp4.fragments import FragmentReader

BUFFER_BYTES = 1 << 20
"""FFmpeg's buffer before a write: a fragment of a tenth of a second of any profile fits, and goes out whole."""


class RecordingFile:
    """A file for PyAV to append to, from one thread. After an OSError it takes no more: behind a hole nothing plays."""

    def __init__(self, path: Path) -> None:
        self.descriptor = open_regular(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._size = 0
        self._error: OSError | None = None
        self._folder = path.parent
        self.closed = False
        """Whether it was let go of; read by PyAV, whose container writes no end to it then when it is collected."""

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._size

    @property
    def is_whole(self) -> bool:
        """Whether it has taken everything."""
        return self._error is None

    def write(self, data: bytes) -> int:
        """Append `data`; nothing of it stays where the disk does not take all of it."""
        if self._error:
            raise self._error
        before, rest = self._size, memoryview(data)
        try:
            while rest:
                written = os.pwrite(self.descriptor, rest, self._size)
                self._size += written
                rest = rest[written:]
        except OSError as error:
            self._error, self._size = error, before
            with suppress(OSError):
                os.ftruncate(self.descriptor, before)
            raise
        return len(data)

    def begin(self) -> None:
        """See whether the disk takes anything, and bring the file's name onto it.

        The muxer writes nothing before the first fragment; a power cut must not take the whole file with it then.
        """
        os.pwrite(self.descriptor, b"\0", 0)
        os.ftruncate(self.descriptor, 0)
        Disk().sync(self._folder)

    def sync(self) -> None:
        """Bring the appended bytes onto the disk."""
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        """Let go of the file; nothing is written any more: its descriptor may become that of another one."""
        self.closed = True
        self._error = self._error or OSError(errno.EBADF, os.strerror(errno.EBADF))
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class OnDisk:
    """The content of the file after the last fdatasync: whole fragments in bytes, and up to where they play."""

    bytes: int = 0
    media_time_s: float = 0.0


def muxer_options(fragment_s: float, bit_rate: int = 0) -> dict[str, str]:
    """Return FFmpeg's options for fragments of so many seconds, or as many bytes as `bit_rate` gives in them."""
    options = {
        # delay_moov: the edit lists, which put the encoders' run-in before time 0, need a first fragment.
        # skip_trailer: no index of the fragments, which would grow in memory; recorder.mp4 makes one.
        "movflags": "delay_moov+skip_trailer",
        "frag_duration": str(round(fragment_s * 1_000_000)),
        # Every packet leaves the muxer's buffer at once, and a track that goes quiet cannot hold the other
        # back for long.
        "flush_packets": "1",
        "max_interleave_delta": "500000",
    }
    most_bytes = round(bit_rate / 8 * fragment_s)
    # min_frag_duration: not at a packet that is the first of its track in the fragment, whose time FFmpeg takes for
    # that of the one after it (FFmpeg 9.0).
    return options | {"frag_size": str(most_bytes), "min_frag_duration": "1"} if most_bytes else options


class Mp4File:
    """Muxes packets into a file; another thread syncs. Errors go through; `error_of` translates them."""

    def __init__(
        self, path: Path, templates: Mapping[TrackId, Stream], fragment_s: float, *, made: datetime, is_live: bool
    ) -> None:
        """Make the file, and see whether its disk takes anything; raises a StorageError."""
        self.path = path
        self.on_disk = OnDisk()
        self.free_bytes: int | None = None
        """The bytes free on its disk at the last look."""
        self.scanned = 0
        """Up to where `finish` has read the file again."""
        self._end_s = dict.fromkeys(templates, 0.0)  # of what was muxed, by track
        try:
            self._file = RecordingFile(path)
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            status = os.fstat(self._file.descriptor)
            self._identity, self._source = (status.st_dev, status.st_ino), source_of(status.st_dev)
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
        """The bytes that the disk was given, safe or not."""
        return self._file.size

    def mux(self, encoded: EncodedPacket) -> None:
        """Write a packet."""
        packet: av.Packet[Stream] = av.Packet(encoded.data)
        packet.stream = self._streams[encoded.track]
        packet.time_base = encoded.time_base
        packet.pts, packet.dts, packet.duration = encoded.pts, encoded.dts, encoded.duration
        packet.is_keyframe = encoded.is_keyframe
        self._container.mux(packet)
        self._end_s[encoded.track] = max(encoded.ends_s, self._end_s[encoded.track])

    def finish(self, marks: Sequence[Mark], title: str) -> None:
        """Make an ordinary MP4 of it, unless nothing came or its disk failed. Nothing is cut: all came in order."""
        self._container.close()
        if self._file.is_whole and any(self._end_s.values()):
            finish(
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
        """Sync the file, and the fragments up to now where it `looks`; return why that cannot be believed, if so."""
        # Looked at first, synced second: what is reported is on disk.
        if looks:
            self._reader.advance()
        self._file.sync()
        problem = self._problem()
        if problem is None:
            self.on_disk = OnDisk(self._reader.complete_bytes, float(self._reader.media_time_s))
        return problem

    def _problem(self) -> LiputError | None:
        """See how much is free; return why a sync that went well is not to be believed, if it is not."""
        disk = os.fstatvfs(self._file.descriptor)
        self.free_bytes = disk.f_bavail * disk.f_frsize
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return vanished(self.path)
        if (there.st_dev, there.st_ino) != self._identity:
            return vanished(self.path)
        # ext4 takes writes to an open file and says that it synced them while it is read-only, and does neither.
        return became_read_only(self.path) if disk.f_flag & os.ST_RDONLY else None

    def error_of(self, error: Exception) -> MediaError | StorageError:
        """Return the error that people are told where writing ended with `error`."""
        return error if isinstance(error, MediaError) else told_apart(error, self.path, self._identity[0], self._source)

    def close(self, *, is_whole: bool) -> None:
        """Let go of the file; one that `is_whole` is on its disk to the last byte. Raises OSError."""
        try:
            if is_whole:
                self.on_disk = OnDisk(os.fstat(self._file.descriptor).st_size, min(self._end_s.values()))
        finally:
            self._file.close()


def _bit_rate(templates: Mapping[TrackId, Stream]) -> int:
    """Return the bit rate of all these tracks together, in bit/s; 0 where an encoder does not say."""
    rates = [template.codec_context.bit_rate for template in templates.values()]
    return sum(rate for rate in rates if rate) if all(rates) else 0
