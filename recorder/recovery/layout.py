"""Files of media as a crash leaves them: up to where each can be read, and opening that much.

A recording that is being written is a head (`ftyp`, `free`, `moov`) and fragments (`moof`, `mdat`). A clean close
appends a `moov` that describes all of it, and then makes the head one large `mdat`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from recorder.archive.media import NOT_DECODED, OPEN_SAFELY
from recorder.mp4.boxes import box_at

BUFFER_BYTES = 1 << 20
MP4, MATROSKA = "mp4", "matroska"
CONTAINERS = {".mp4": MP4, ".m4a": MP4, ".mkv": MATROSKA, ".mka": MATROSKA, ".webm": MATROSKA}
"""The libavformat muxer for each kind of file that a recorder makes."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of media, of which `whole_bytes` can be read; its time 0 lies at `offset_s` of the session's media time.

    One that `is_open` was never closed: an MP4 in fragments, or Matroska without a length.
    """

    path: Path
    bytes: int
    whole_bytes: int
    is_open: bool
    offset_s: float = 0.0


def look(path: Path, offset_s: float = 0.0) -> Piece:
    """Return in what state the file at `path` is; raises OSError."""
    size = path.stat().st_size
    kind = CONTAINERS.get(path.suffix)
    if kind == MP4:
        with path.open("rb", buffering=0) as file:
            whole = _fragments_end(file.fileno(), size)
        return Piece(path, size, whole or size, whole > 0, offset_s)
    return Piece(path, size, size, kind == MATROSKA and size > 0 and _lacks_length(path), offset_s)


def _fragments_end(descriptor: int, size: int) -> int:
    """Return where the last whole fragment of an MP4 ends; 0 where there is none."""
    position = whole = 0
    is_inside = False
    # After a power cut there is anything where nothing had come onto the disk yet: no type of a box.
    while (box := box_at(descriptor, position)) and box.end <= size and box.kind.isascii():
        if box.kind == b"mdat" and is_inside:
            whole = box.end
        is_inside = box.kind == b"moof" or (is_inside and box.kind != b"mdat")
        position = box.end
    return whole


def _lacks_length(path: Path) -> bool:
    try:
        with av.open(path, options=OPEN_SAFELY | NOT_DECODED) as container:
            return container.duration is None and any(packet.size > 0 for packet in container.demux())
    except (av.error.FFmpegError, ValueError):
        return False


@contextmanager
def opened(piece: Piece, more: Mapping[str, str] = {}) -> Iterator[InputContainer]:
    """Open what is whole of a file, with `more` options of FFmpeg's; raises av.error.FFmpegError."""
    name, options = os.fspath(piece.path), OPEN_SAFELY | dict(more)
    if piece.whole_bytes < piece.bytes:
        name = f"subfile,,start,0,end,{piece.whole_bytes},,:{name}"
        options["protocol_whitelist"] += ",subfile"
    with av.open(name, options=options, buffer_size=BUFFER_BYTES) as container:
        yield container
