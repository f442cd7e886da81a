"""Holds the samples of one track as columns of numbers, and writes the sample tables of an ordinary MP4.

A sample is a coded frame, or an AAC frame. A run is a stretch of one track's samples without other bytes between.
ISO/IEC 14496-12, 8.6 and 8.7.
"""

import struct
from array import array
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recorder.mp4.boxes import LARGEST_32, BoxParts, make_box

FIRST_ROOM = 1024

MOST_REORDERED = 64  # the most samples that are shown after the last decoded one; no encoder reorders more

NON_SYNC = 0x10000  # a flag of samples at which decoding cannot begin. ISO/IEC 14496-12, 8.8.3.1

type Column = npt.NDArray[np.uint32] | int  # a value for each sample of a run, or one for all


@dataclass
class TrackSamples:
    """A track's samples in decoding order and in its time scale; 13 bytes a sample, 16 a run."""

    count: int = 0
    end: int = 0  # the decoding end of the last sample
    begin: int = 0  # the decoding time of the first sample
    chunk_offsets: array[int] = field(default_factory=lambda: array("Q"))  # the file offset of each run
    chunk_counts: array[int] = field(default_factory=lambda: array("L"))  # the number of samples of each run

    def __post_init__(self) -> None:
        self._sizes = np.empty(FIRST_ROOM, np.uint32)
        self._durations = np.empty(FIRST_ROOM, np.uint32)
        self._shifts = np.empty(FIRST_ROOM, np.int32)
        self._sync = np.empty(FIRST_ROOM, np.bool_)

    @property
    def sizes(self) -> npt.NDArray[np.uint32]:
        """Bytes of each sample."""
        return self._sizes[: self.count]

    @property
    def durations(self) -> npt.NDArray[np.uint32]:
        """Decoding time between each sample and the next."""
        return self._durations[: self.count]

    @property
    def shifts(self) -> npt.NDArray[np.int32]:
        """Presentation time minus decoding time, of each sample."""
        return self._shifts[: self.count]

    @property
    def sync(self) -> npt.NDArray[np.bool_]:
        """Whether decoding can begin at each sample."""
        return self._sync[: self.count]

    def begin_run(self, time: int) -> None:
        """Set the decoding time of the next sample, and so the last one's duration. Raises ValueError."""
        if self.count == 0:
            self.begin = self.end = time
        elif time != self.end:
            last = int(self._durations[self.count - 1]) + time - self.end
            if not 0 <= last < 1 << 32:
                raise ValueError(f"a fragment of time {time} follows one that ends at {self.end}")
            self._durations[self.count - 1] = last
            self.end = time

    def add_run(self, offset: int, count: int, sizes: Column, durations: Column, shifts: Column, flags: Column) -> int:
        """Add a run of `count` samples at `offset` of the file; return its end there."""
        first, last = self.count, self.count + count
        while last > len(self._sizes):
            self._make_room()
        self._sizes[first:last] = sizes
        self._durations[first:last] = durations
        self._shifts[first:last] = shifts
        self._sync[first:last] = np.bitwise_and(flags, NON_SYNC) == 0
        self.count = last
        self.end += int(self._durations[first:last].sum(dtype=np.int64))
        self.chunk_offsets.append(offset)
        self.chunk_counts.append(count)
        return offset + int(self._sizes[first:last].sum(dtype=np.int64))

    def _make_room(self) -> None:
        room = len(self._sizes) * 3 // 2
        for column in ("_sizes", "_durations", "_shifts", "_sync"):
            old = getattr(self, column)
            new = np.empty(room, old.dtype)
            new[: self.count] = old[: self.count]
            setattr(self, column, new)

    def mark(self) -> tuple[int, int, int, int]:
        """Return the present state, for `restore`."""
        last = int(self._durations[self.count - 1]) if self.count else 0
        return self.count, len(self.chunk_counts), self.end, last

    def restore(self, mark: tuple[int, int, int, int]) -> None:
        """Forget the samples added since `mark`."""
        self.count, chunks, self.end, last = mark
        if self.count:
            self._durations[self.count - 1] = last
        del self.chunk_offsets[chunks:], self.chunk_counts[chunks:]

    def lengthen_to_shown_end(self) -> None:
        """Let the last decoded sample end with the last shown one, as players assume; a killed encoder did not."""
        window = slice(max(0, self.count - MOST_REORDERED), self.count)
        durations = self.durations[window].astype(np.int64)
        shown = np.cumsum(durations) - durations + self.shifts[window]
        last, end = int(np.argmax(shown)), int(shown[-1] + durations[-1])
        if end <= shown[last]:
            self.lengthen(int(shown[last] + durations[last]) - end)

    def lengthen(self, time: int) -> None:
        """Lengthen the last decoded sample by `time`, if positive."""
        self._durations[self.count - 1] += max(0, time)
        self.end += max(0, time)

    @property
    def shown_end(self) -> int:
        """The presentation end of the last sample; 0 is `begin`."""
        return self.end - self.begin + int(self.shifts[-1])


VERSION_0 = b"\0\0\0\0"
VERSION_1 = b"\1\0\0\0"
AAC = b"mp4a"

type Numbers = npt.NDArray[np.uint32] | npt.NDArray[np.int32] | npt.NDArray[np.int64]


def sample_tables(samples: TrackSamples, description: bytes) -> BoxParts:
    """Return the boxes of an `stbl`; `description` is the content of its `stsd`."""
    return [
        *make_box(b"stsd", description),
        *_durations(samples),
        *_sync(samples),
        *_shifts(samples),
        *_chunks(samples),
        *_sizes(samples),
        *_offsets(samples),
        *(_roll_group(samples) if description[12:16] == AAC else []),
    ]


def _words(values: Numbers) -> bytes:
    return values.astype(">u4").tobytes()


def _pairs(first: Numbers, second: Numbers) -> BoxParts:
    """Return the number of pairs, then the pairs."""
    table = np.empty((len(first), 2), ">u4")
    table[:, 0], table[:, 1] = first, second
    return [struct.pack(">I", len(first)), table.tobytes()]


def _same(values: Numbers) -> tuple[npt.NDArray[np.int64], Numbers]:
    """Return the lengths of stretches of one value, and the values."""
    starts = np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))
    return np.diff(starts, append=len(values)), values[starts]


def _durations(samples: TrackSamples) -> BoxParts:
    return make_box(b"stts", VERSION_0, _pairs(*_same(samples.durations)))


def _sync(samples: TrackSamples) -> BoxParts:
    if samples.sync.all():
        return []
    numbers = np.flatnonzero(samples.sync) + 1
    return make_box(b"stss", VERSION_0, struct.pack(">I", len(numbers)), _words(numbers))


def _shifts(samples: TrackSamples) -> BoxParts:
    if not samples.shifts.any():
        return []
    return make_box(b"ctts", VERSION_1 if samples.shifts.min() < 0 else VERSION_0, _pairs(*_same(samples.shifts)))


def _chunks(samples: TrackSamples) -> BoxParts:
    """Return samples per run, each with the number of the first such run."""
    times, counts = _same(np.array(samples.chunk_counts, np.int64))
    first = np.cumsum(times) - times + 1
    table = np.ones((len(first), 3), ">u4")  # each of sample description 1
    table[:, 0], table[:, 1] = first, counts
    return make_box(b"stsc", VERSION_0, struct.pack(">I", len(table)), table.tobytes())


def _sizes(samples: TrackSamples) -> BoxParts:
    sizes = samples.sizes
    if (sizes == sizes[0]).all() and sizes[0]:
        return make_box(b"stsz", VERSION_0, struct.pack(">II", int(sizes[0]), len(sizes)))
    return make_box(b"stsz", VERSION_0, struct.pack(">II", 0, len(sizes)), _words(sizes))


def _offsets(samples: TrackSamples) -> BoxParts:
    offsets = np.array(samples.chunk_offsets, np.int64)
    count = struct.pack(">I", len(offsets))
    if offsets.max() > LARGEST_32:
        return make_box(b"co64", VERSION_0, count, offsets.astype(">u8").tobytes())
    return make_box(b"stco", VERSION_0, count, _words(offsets))


def _roll_group(samples: TrackSamples) -> BoxParts:
    """Return the roll group: a decoder begins one AAC frame early for correct sound."""
    return [
        *make_box(b"sgpd", VERSION_1, struct.pack(">4sIIh", b"roll", 2, 1, -1)),
        *make_box(b"sbgp", VERSION_0, struct.pack(">4sIII", b"roll", 1, samples.count, 1)),
    ]
