"""The fragments of an MP4 that are whole in its file: read from the file, while another thread writes it.

A fragment is a `moof` box and its `mdat`; it counts once both are in the file whole, for then it plays after a kill.
Box layouts: ISO/IEC 14496-12, 8.8.4 to 8.8.12 and 8.4.2.
"""

import os
import struct
from collections.abc import Iterator
from fractions import Fraction

from recorder.mp4.boxes import box_at, boxes, content_of, find

DURATION_PRESENT, SIZE_PRESENT, FLAGS_PRESENT, OFFSET_PRESENT = 0x100, 0x200, 0x400, 0x800
DATA_OFFSET_PRESENT, FIRST_FLAGS_PRESENT = 0x1, 0x4
BASE_OFFSET, DESCRIPTION, DEFAULT_DURATION = 0x1, 0x2, 0x8


TAIL_BYTES = 8 << 20
"""Where the last fragments are looked for: a second of the largest pictures, and many times what a fragment has."""


def plays_s(descriptor: int) -> Fraction:
    """Return up to where a file that nobody writes any more can be played, in seconds, by its last fragments alone.

    A day of it has a million, which take a minute to look at; all of them are, only where its end is no help.
    """
    reader = FragmentReader(descriptor)
    reader.skip_to_the_end()
    reader.advance()
    if not reader.media_time_s:
        reader = FragmentReader(descriptor)
        reader.advance()
    return reader.media_time_s


class FragmentReader:
    """Follows a growing fragmented MP4; `advance` looks at what has been appended since the last call."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._scales: dict[int, int] = {}
        self._shifts: dict[int, int] = {}
        self._ends: dict[int, Fraction] = {}
        self._pending: dict[int, Fraction] = {}

    @property
    def complete_bytes(self) -> int:
        """How many bytes of the file belong to boxes that are there whole."""
        return self._position

    @property
    def media_time_s(self) -> Fraction:
        """Up to where every track can be played, in seconds; 0 before the first fragment."""
        if not self._scales or len(self._ends) < len(self._scales):
            return Fraction(0)
        return min(self._ends.values())

    def advance(self) -> None:
        """Take in the boxes that have become complete since the last call."""
        size = os.fstat(self._descriptor).st_size
        while (box := box_at(self._descriptor, self._position)) is not None and box.end <= size:
            if box.kind == b"moov" and not self._scales:  # the index of the closed file says nothing new
                self._read_tracks(content_of(self._descriptor, box))
            elif box.kind == b"moof":
                self._pending = dict(self._fragment_ends(content_of(self._descriptor, box)))
            elif box.kind == b"mdat":
                self._ends |= self._pending
                self._pending = {}
            self._position = box.end

    def skip_to_the_end(self) -> None:
        """Leave out all that is between the head of the file and its last TAIL_BYTES, if fragments are found there."""
        size = os.fstat(self._descriptor).st_size
        while not self._scales and (box := box_at(self._descriptor, self._position)) is not None and box.end <= size:
            if box.kind == b"moov":
                self._read_tracks(content_of(self._descriptor, box))
            self._position = box.end
        begin = max(self._position, size - TAIL_BYTES)
        tail = os.pread(self._descriptor, size - begin, begin)
        at = tail.find(b"moof", 4)
        while at >= 0 and not self._are_fragments(begin + at - 4, size):
            at = tail.find(b"moof", at + 1)
        if at >= 0:
            self._position = begin + at - 4

    def _are_fragments(self, position: int, size: int) -> bool:
        """Return whether there are fragments from `position` on, and nothing else: it may be in a picture."""
        kinds = []
        while (box := box_at(self._descriptor, position)) is not None and box.end <= size:
            kinds.append(box.kind)
            position = box.end
        return len(kinds) > 1 and all(kind == (b"moof", b"mdat")[number % 2] for number, kind in enumerate(kinds))

    def _read_tracks(self, moov: bytes) -> None:
        for kind, trak in boxes(moov):
            if kind == b"trak":
                header, media_header = find(trak, b"tkhd"), find(trak, b"mdia", b"mdhd")
                track = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
                self._scales[track] = struct.unpack_from(">I", media_header, 20 if media_header[0] else 12)[0]
                self._shifts[track] = edit_start(find(trak, b"edts", b"elst"))

    def _fragment_ends(self, moof: bytes) -> Iterator[tuple[int, Fraction]]:
        for kind, traf in boxes(moof):
            if kind == b"traf":
                track, default_duration = track_header(find(traf, b"tfhd"))
                start = decode_time(find(traf, b"tfdt"))
                duration = sum(run_duration(run, default_duration) for kind, run in boxes(traf) if kind == b"trun")
                end = start + duration - self._shifts.get(track, 0)
                yield track, Fraction(max(0, end), self._scales.get(track, 1))


def edit_start(elst: bytes) -> int:
    """Return the time of the media, in its own time scale, that is shown first (the encoder's run-in ends there)."""
    count = struct.unpack_from(">I", elst, 4)[0]
    size, position, layout = (20, 16, ">q") if elst[0] else (12, 12, ">i")
    starts = (struct.unpack_from(layout, elst, position + index * size)[0] for index in range(count))
    return int(next((start for start in starts if start >= 0), 0))


def track_header(tfhd: bytes) -> tuple[int, int]:
    """Return (track id, default sample duration) of a track fragment header."""
    flags, track = struct.unpack_from(">II", tfhd)
    position = 8 + (8 if flags & BASE_OFFSET else 0) + (4 if flags & DESCRIPTION else 0)
    default_duration = struct.unpack_from(">I", tfhd, position)[0] if flags & DEFAULT_DURATION else 0
    return track, default_duration


def decode_time(tfdt: bytes) -> int:
    """Return when a track fragment starts, in the track's time scale."""
    return int(struct.unpack_from(">Q" if tfdt[0] else ">I", tfdt, 4)[0])


def run_duration(trun: bytes, default_duration: int) -> int:
    """Return how long the samples of a track run last together, in the track's time scale."""
    flags, count = struct.unpack_from(">II", trun)
    if not flags & DURATION_PRESENT:
        return int(count * default_duration)
    position = 8 + (4 if flags & DATA_OFFSET_PRESENT else 0) + (4 if flags & FIRST_FLAGS_PRESENT else 0)
    width = 4 * sum(bool(flags & bit) for bit in (DURATION_PRESENT, SIZE_PRESENT, FLAGS_PRESENT, OFFSET_PRESENT))
    return sum(struct.unpack_from(">I", trun, position + index * width)[0] for index in range(count))
