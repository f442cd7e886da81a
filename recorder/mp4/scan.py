"""Reading all fragments of a fragmented MP4: which samples are where, without reading the media itself.

A fragment is a `moof` (which samples) and its `mdat` (their bytes); it counts when both are in the file whole and say
the same. ISO/IEC 14496-12, 8.8.
"""

import os
import struct
from collections.abc import Callable

import numpy as np

from recorder.mp4.boxes import HEAD, Box, box_in, boxes, find
from recorder.mp4.head import Head
from recorder.mp4.samples import Column, Samples

LOOK_BYTES = 4096
"""How much is read at the beginning of a fragment: its `moof` and the head of its `mdat`, most of the time."""

DURATION, SIZE, FLAGS, SHIFT = 0x100, 0x200, 0x400, 0x800
DATA_OFFSET, FIRST_FLAGS = 0x1, 0x4
BASE_OFFSET, DESCRIPTION, DEFAULT_DURATION, DEFAULT_SIZE, DEFAULT_FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20

type Advance = Callable[[int], None]
"""Called with the position in the file that was reached."""


type Defaults = tuple[int, ...]
"""Duration, size and flags of a track's samples where nothing else is said (`trex`, then `tfhd`)."""


class Fragments:
    """What the whole fragments behind `head` say: where they `start` and `end`, their `count`, the samples by track."""

    def __init__(self, descriptor: int, head: Head, size: int, advance: Advance | None = None) -> None:
        """Read them, in a file of `size` bytes; raises OSError."""
        self.start = self.end = head.moov.end
        self.count = 0
        self.tracks: dict[int, Samples] = {}
        self._descriptor = descriptor
        self._size = size
        self._defaults: dict[int, Defaults] = {}
        for kind, trex in boxes(find(head.content, b"mvex")):
            if kind == b"trex":
                track, _, *values = struct.unpack_from(">5I", trex, 4)
                self._defaults[track] = tuple(values)
        while (end := self._fragment(self.end)) is not None:
            self.end = end
            self.count += 1
            if advance is not None:
                advance(end)
        for samples in self.tracks.values():
            samples.reach_to_the_end()

    def _fragment(self, position: int) -> int | None:
        """Take in the fragment at `position`; return where it ends, None where no whole one is."""
        data = os.pread(self._descriptor, LOOK_BYTES, position)
        moof = box_in(data, 0, position)
        if moof is None or moof.kind != b"moof" or moof.end > self._size:
            return None
        if len(data) < moof.end - position + 16:
            data = os.pread(self._descriptor, moof.end - position + 16, position)
        mdat = box_in(data, moof.end - position, position)
        if mdat is None or mdat.kind != b"mdat" or mdat.end > self._size:
            return None
        marks = {track: samples.mark() for track, samples in self.tracks.items()}
        data = data[: moof.end - position]
        try:
            for box in _inside(data, moof.content - moof.start, len(data)):
                if box.kind == b"traf":
                    self._traf(data, box, moof.start, mdat)
        except (ValueError, OverflowError, struct.error):
            self.tracks = {track: samples for track, samples in self.tracks.items() if track in marks}
            for track, mark in marks.items():
                self.tracks[track].go_back(mark)
            return None
        return mdat.end

    def _traf(self, data: bytes, traf: Box, moof_start: int, mdat: Box) -> None:
        samples: Samples | None = None
        defaults: Defaults = ()
        base = offset = moof_start
        for box in _inside(data, traf.content, traf.end):
            if box.kind == b"tfhd":
                track, defaults, base = self._tfhd(data, box.content, moof_start)
                if track not in self.tracks:
                    self.tracks[track] = Samples()
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
        """Return track, what its samples have by default, and where their offsets count from."""
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


def _inside(data: bytes, position: int, end: int) -> list[Box]:
    """Return the boxes from `position` to `end`, which they must fill."""
    found = []
    while position < end:
        size, kind = HEAD.unpack_from(data, position)
        if size < HEAD.size or position + size > end:
            raise ValueError("a box that does not fit into another")
        found.append(Box(kind, position, position + HEAD.size, position + size))
        position += size
    return found


def _trun(data: bytes, trun: Box, samples: Samples, defaults: Defaults, base: int, offset: int) -> int:
    """Take in a run of samples; return where it ends in the file."""
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
        offset,
        count,
        column.get(SIZE, size),
        column.get(DURATION, duration),
        column.get(SHIFT, 0),
        all_flags,
    )
