"""Reads the whole fragments of an MP4: all samples (`FragmentTable`), or the end of a growing file (`FragmentReader`).

A fragment is a `moof` box (sizes and times of samples) and its `mdat` (their bytes). It counts once the file holds
both; from then on it plays after a kill. Media bytes are not read. ISO/IEC 14496-12, 8.8.4 to 8.8.12 and 8.4.2.
"""

import os
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from recorder.mp4.boxes import HEAD, Box, FileHead, child_boxes, find_box, parse_box, read_content, whole_boxes
from recorder.mp4.samples import Column, TrackSamples

LOOK_BYTES = 4096  # bytes read at the start of a fragment: mostly enough for its `moof` and the head of its `mdat`

DURATION, SIZE, FLAGS, SHIFT = 0x100, 0x200, 0x400, 0x800
DATA_OFFSET, FIRST_FLAGS = 0x1, 0x4
BASE_OFFSET, DESCRIPTION, DEFAULT_DURATION, DEFAULT_SIZE, DEFAULT_FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20

type Advance = Callable[[int], None]  # called with the position reached in the file


type Defaults = tuple[int, ...]  # default duration, size and flags of a track's samples (`trex`, then `tfhd`)


class FragmentTable:
    """The whole fragments behind `head`: `start` and `end` in the file, `count`, and samples by track."""

    def __init__(self, descriptor: int, head: FileHead, size: int, advance: Advance | None = None) -> None:
        """Read the fragments of a file of `size` bytes. Raises OSError."""
        self.start = self.end = head.moov.end
        self.count = 0
        self.tracks: dict[int, TrackSamples] = {}
        self._descriptor = descriptor
        self._size = size
        self._defaults: dict[int, Defaults] = {}
        for kind, trex in child_boxes(find_box(head.content, b"mvex")):
            if kind == b"trex":
                track, _, *values = struct.unpack_from(">5I", trex, 4)
                self._defaults[track] = tuple(values)
        while (end := self._fragment(self.end)) is not None:
            self.end = end
            self.count += 1
            if advance is not None:
                advance(end)
        for samples in self.tracks.values():
            samples.lengthen_to_shown_end()

    def _fragment(self, position: int) -> int | None:
        """Add the fragment at `position`; return its end, None without a whole fragment."""
        data = os.pread(self._descriptor, LOOK_BYTES, position)
        moof = parse_box(data, 0, position)
        if moof is None or moof.kind != b"moof" or moof.end > self._size:
            return None
        if len(data) < moof.end - position + 16:
            data = os.pread(self._descriptor, moof.end - position + 16, position)
        mdat = parse_box(data, moof.end - position, position)
        if mdat is None or mdat.kind != b"mdat" or mdat.end > self._size:
            return None
        marks = {track: samples.mark() for track, samples in self.tracks.items()}
        data = data[: moof.end - position]
        try:
            for box in _boxes_inside(data, moof.content - moof.start, len(data)):
                if box.kind == b"traf":
                    self._traf(data, box, moof.start, mdat)
        except (ValueError, OverflowError, struct.error):
            self.tracks = {track: samples for track, samples in self.tracks.items() if track in marks}
            for track, mark in marks.items():
                self.tracks[track].restore(mark)
            return None
        return mdat.end

    def _traf(self, data: bytes, traf: Box, moof_start: int, mdat: Box) -> None:
        samples: TrackSamples | None = None
        defaults: Defaults = ()
        base = offset = moof_start
        for box in _boxes_inside(data, traf.content, traf.end):
            if box.kind == b"tfhd":
                track, defaults, base = self._tfhd(data, box.content, moof_start)
                if track not in self.tracks:
                    self.tracks[track] = TrackSamples()
                samples = self.tracks[track]
            elif samples is None:
                raise ValueError("samples of no track")
            elif box.kind == b"tfdt":
                layout = ">Q" if data[box.content] else ">I"
                samples.begin_run(struct.unpack_from(layout, data, box.content + 4)[0])
            elif box.kind == b"trun":
                offset = _trun(data, box, samples, defaults, base, offset)
                if not mdat.content <= samples.chunk_offsets[-1] <= offset <= mdat.end:
                    raise ValueError("samples that lie outside of their fragment")

    def _tfhd(self, data: bytes, position: int, moof_start: int) -> tuple[int, Defaults, int]:
        """Return track, defaults of its samples, and the base of their offsets."""
        flags, track = struct.unpack_from(">II", data, position)
        position += 8
        base = moof_start
        if flags & BASE_OFFSET:
            base = struct.unpack_from(">Q", data, position)[0]
            position += 8
        if flags & DESCRIPTION:
            position += 4
        known = self._defaults.get(track)
        if known is None:
            raise ValueError(f"a fragment of a track {track} that the file does not have")
        defaults = list(known)
        for place, bit in enumerate((DEFAULT_DURATION, DEFAULT_SIZE, DEFAULT_FLAGS)):
            if flags & bit:
                defaults[place] = struct.unpack_from(">I", data, position)[0]
                position += 4
        return track, tuple(defaults), base


def _boxes_inside(data: bytes, position: int, end: int) -> list[Box]:
    """Return the boxes that fill `position` to `end`. Raises ValueError."""
    found = []
    while position < end:
        size, kind = HEAD.unpack_from(data, position)
        if size < HEAD.size or position + size > end:
            raise ValueError("a box that does not fit into another")
        found.append(Box(kind, position, position + HEAD.size, position + size))
        position += size
    return found


def _trun(data: bytes, trun: Box, samples: TrackSamples, defaults: Defaults, base: int, offset: int) -> int:
    """Add a run of samples; return its end in the file."""
    flags, count = struct.unpack_from(">II", data, trun.content)
    duration, size, usual_flags = defaults
    position = trun.content + 8
    if flags & DATA_OFFSET:
        offset = base + struct.unpack_from(">i", data, position)[0]
        position += 4
    first_flags = None
    if flags & FIRST_FLAGS:
        first_flags = struct.unpack_from(">I", data, position)[0]
        position += 4
    there = [bit for bit in (DURATION, SIZE, FLAGS, SHIFT) if flags & bit]
    if position + count * len(there) * 4 > trun.end or count == 0:
        raise ValueError("a run without its samples")
    table = np.frombuffer(data, ">u4", count * len(there), position).reshape(count, len(there))
    column: dict[int, Column] = {bit: table[:, index] for index, bit in enumerate(there)}
    all_flags = column.get(FLAGS, usual_flags)
    if first_flags is not None:
        all_flags = np.array(np.broadcast_to(all_flags, count), np.uint32)
        all_flags[0] = first_flags
    return samples.add_run(
        offset, count, column.get(SIZE, size), column.get(DURATION, duration), column.get(SHIFT, 0), all_flags
    )


TAIL_BYTES = 8 << 20  # the last fragments are searched here: a second of the largest frames


def playable_end_s(descriptor: int) -> Fraction:
    """Return the end of playback of a closed file, in seconds; reads only the last fragments if possible."""
    reader = FragmentReader(descriptor)
    reader.skip_to_tail()
    reader.advance()
    if not reader.media_time_s:
        reader = FragmentReader(descriptor)
        reader.advance()
    return reader.media_time_s


class FragmentReader:
    """Follows a growing fragmented MP4; not thread-safe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.complete_bytes = 0  # the end of the last box read; each one up to there is complete
        self._scales: dict[int, int] = {}
        self._shifts: dict[int, int] = {}
        self._ends: dict[int, Fraction] = {}
        self._pending: dict[int, Fraction] = {}

    @property
    def media_time_s(self) -> Fraction:
        """The time up to which every track plays, in seconds; 0 before the first fragment."""
        if not self._scales or len(self._ends) < len(self._scales):
            return Fraction(0)
        return min(self._ends.values())

    def advance(self) -> None:
        """Read the boxes that became complete since the last call."""
        for box in whole_boxes(self._descriptor, self.complete_bytes, os.fstat(self._descriptor).st_size):
            if box.kind == b"moov" and not self._scales:  # the index of a closed file repeats the first `moov`
                self._read_tracks(read_content(self._descriptor, box))
            elif box.kind == b"moof":
                self._pending = dict(self._fragment_ends(read_content(self._descriptor, box)))
            elif box.kind == b"mdat":
                self._ends |= self._pending
                self._pending = {}
            self.complete_bytes = box.end

    def skip_to_tail(self) -> None:
        """Skip to the last TAIL_BYTES behind the head, if fragments are found there."""
        size = os.fstat(self._descriptor).st_size
        for box in whole_boxes(self._descriptor, self.complete_bytes, size):
            self.complete_bytes = box.end
            if box.kind == b"moov":
                self._read_tracks(read_content(self._descriptor, box))
                break
        begin = max(self.complete_bytes, size - TAIL_BYTES)
        tail = os.pread(self._descriptor, size - begin, begin)
        at = tail.find(b"moof", 4)
        while at >= 0 and not self._are_fragments(begin + at - 4, size):
            at = tail.find(b"moof", at + 1)
        if at >= 0:
            self.complete_bytes = begin + at - 4

    def _are_fragments(self, position: int, size: int) -> bool:
        """Return whether only fragments follow `position`; media bytes may look like a `moof`."""
        kinds = [box.kind for box in whole_boxes(self._descriptor, position, size)]
        return len(kinds) > 1 and all(kind == (b"moof", b"mdat")[number % 2] for number, kind in enumerate(kinds))

    def _read_tracks(self, moov: bytes) -> None:
        for kind, trak in child_boxes(moov):
            if kind == b"trak":
                track = header_number(find_box(trak, b"tkhd"))
                self._scales[track] = header_number(find_box(trak, b"mdia", b"mdhd"))
                _, self._shifts[track] = read_edits(find_box(trak, b"edts", b"elst"))

    def _fragment_ends(self, moof: bytes) -> Iterator[tuple[int, Fraction]]:
        for kind, traf in child_boxes(moof):
            if kind == b"traf":
                track, default_duration = track_header(find_box(traf, b"tfhd"))
                tfdt = find_box(traf, b"tfdt")
                start = struct.unpack_from(">Q" if tfdt[0] else ">I", tfdt, 4)[0]
                duration = sum(
                    run_duration(run, default_duration) for kind, run in child_boxes(traf) if kind == b"trun"
                )
                end = start + duration - self._shifts.get(track, 0)
                yield track, Fraction(max(0, end), self._scales.get(track, 1))


def header_number(header: bytes) -> int:
    """Return the number behind the dates of a header: a track's number (`tkhd`), a time scale (`mvhd`, `mdhd`)."""
    return int(struct.unpack_from(">I", header, 20 if header[0] else 12)[0])


def read_edits(elst: bytes) -> tuple[int, int]:
    """Return the empty time before a track (movie's scale), and the media time shown first (track's scale).

    The media time is that behind the encoder's delay.
    """
    count = struct.unpack_from(">I", elst, 4)[0]
    layout = struct.Struct(">Qqi" if elst[0] else ">Iii")
    empty = 0
    for index in range(count):
        duration, start, _ = layout.unpack_from(elst, 8 + index * layout.size)
        if start >= 0:
            return empty, int(start)
        empty += duration
    return empty, 0


def track_header(tfhd: bytes) -> tuple[int, int]:
    """Return (track id, default sample duration) of a track fragment header."""
    flags, track = struct.unpack_from(">II", tfhd)
    position = 8 + (8 if flags & BASE_OFFSET else 0) + (4 if flags & DESCRIPTION else 0)
    default_duration = struct.unpack_from(">I", tfhd, position)[0] if flags & DEFAULT_DURATION else 0
    return track, default_duration


def run_duration(trun: bytes, default_duration: int) -> int:
    """Return the duration of a run's samples in all, in the track's time scale."""
    flags, count = struct.unpack_from(">II", trun)
    if not flags & DURATION:
        return int(count * default_duration)
    position = 8 + (4 if flags & DATA_OFFSET else 0) + (4 if flags & FIRST_FLAGS else 0)
    width = 4 * sum(bool(flags & bit) for bit in (DURATION, SIZE, FLAGS, SHIFT))
    return sum(struct.unpack_from(">I", trun, position + index * width)[0] for index in range(count))
