"""In what state a crash has left a file of media, read from its boxes, and the part of it that is whole.

A recording that is being written is a head (`ftyp`, `free`, `moov`) and fragments (`moof`, `mdat`). A clean close
appends a `moov` that describes all of it, and then makes the head one large `mdat`. Between the two there may be a
power cut, after which the head is patched and the `moov` is not on the disk.
"""

import io
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum, auto
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from recorder.archive.media import NOT_DECODED, OPEN_SAFELY

BUFFER_BYTES = 1 << 20
HEAD_BYTES = 16
"""Of a box, with a 64-bit size."""
MP4, MATROSKA = "mp4", "matroska"
CONTAINERS = {".mp4": MP4, ".m4a": MP4, ".mkv": MATROSKA, ".mka": MATROSKA, ".webm": MATROSKA}
"""The libavformat muxer for each kind of file that a recorder makes."""


class Kind(StrEnum):
    """What a file of media is now."""

    EMPTY = auto()
    """No picture and no sound is in it."""
    FRAGMENTED = auto()
    """An MP4 that was never closed: it plays, up to its last whole fragment."""
    TORN = auto()
    """An MP4 whose head was patched and whose index is not there: nothing plays it."""
    OPEN = auto()
    """Matroska that was never closed: it plays, and has no length."""
    ORDINARY = auto()
    """Closed."""
    UNKNOWN = auto()
    """Nothing that a recorder of ours makes, or damaged beyond that."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A file's kind, its size, and where each whole fragment begins and ends, in bytes."""

    kind: Kind
    bytes: int
    fragments: tuple[tuple[int, int], ...] = ()

    @property
    def whole_bytes(self) -> int:
        """Up to where the file can be read: the end of the last whole fragment, else all of it."""
        return self.fragments[-1][1] if self.fragments else self.bytes


def look(path: Path) -> Layout:
    """Return in what state the file at `path` is; raises OSError."""
    size = path.stat().st_size
    if size == 0:
        return Layout(Kind.EMPTY, 0)
    if CONTAINERS.get(path.suffix) == MATROSKA:
        return Layout(_matroska(path), size)
    if CONTAINERS.get(path.suffix) != MP4:
        return Layout(Kind.UNKNOWN, size)
    with path.open("rb", buffering=0) as file:
        return _mp4(file.fileno(), size)


def _mp4(descriptor: int, size: int) -> Layout:
    fragments: list[tuple[int, int]] = []
    found: set[bytes] = set()
    began: int | None = None  # where the fragment begins whose `mdat` comes next
    for kind, start, end in _boxes(descriptor, size):
        if kind == b"moof":
            began = start
        elif kind == b"mdat" and began is not None:
            if end <= size:
                fragments.append((began, end))
            began = None
        elif kind != b"moov" or end <= size:
            found.add(kind)
    if fragments:
        return Layout(Kind.FRAGMENTED, size, tuple(fragments))
    if b"mdat" in found:
        return Layout(Kind.ORDINARY if b"moov" in found else Kind.TORN, size)
    return Layout(Kind.EMPTY if b"ftyp" in found else Kind.UNKNOWN, size)


def _boxes(descriptor: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each box at the top; the last may end behind the file."""
    position = 0
    while len(head := os.pread(descriptor, HEAD_BYTES, position)) >= 8:
        length, kind = struct.unpack_from(">I4s", head)
        if length == 1 and len(head) == HEAD_BYTES:
            length = struct.unpack_from(">Q", head, 8)[0]
        elif length == 0 and kind == b"mdat":
            length = size - position  # to the end of the file
        if length < 8 or not kind.isascii():
            return  # what a power cut leaves where nothing had come onto the disk yet
        yield kind, position, position + length
        position += length


def _matroska(path: Path) -> Kind:
    try:
        with av.open(path, options=OPEN_SAFELY | NOT_DECODED) as container:
            if container.duration is not None:
                return Kind.ORDINARY
            return Kind.OPEN if any(packet.size > 0 for packet in container.demux()) else Kind.EMPTY
    except (av.error.FFmpegError, ValueError):
        return Kind.UNKNOWN


class View(io.RawIOBase):
    """The first `end` bytes of a file."""

    def __init__(self, path: Path, end: int) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._end = end
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Read as a file does."""
        left = max(0, self._end - self._position)
        content = os.pread(self._file.fileno(), left if size < 0 else min(size, left), self._position)
        self._position += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as in a file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return where the next byte comes from."""
        return self._position

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@contextmanager
def opened(path: Path, layout: Layout, more: Mapping[str, str] = {}) -> Iterator[InputContainer]:
    """Open what is whole of a file, with `more` options of FFmpeg's; raises av.error.FFmpegError."""
    options = OPEN_SAFELY | dict(more)
    if layout.kind is not Kind.FRAGMENTED:
        with av.open(path, options=options, buffer_size=BUFFER_BYTES) as container:
            yield container
        return
    with (
        View(path, layout.whole_bytes) as view,
        av.open(view, mode="r", options=options, buffer_size=BUFFER_BYTES) as container,
    ):
        yield container
