"""The samples of one track, as columns of numbers, and the sample tables of an ordinary MP4 made of them.

A sample is a coded picture or an AAC frame; a run is what of one track lies in one piece in the file. ISO/IEC 14496-12,
8.6 and 8.7.
"""

import struct
from array import array
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recorder.mp4.boxes import Parts, box

FIRST_ROOM = 1024

MOST_REORDERED = 64
"""How many samples before the last one may be shown after it: more than any coder has."""

NON_SYNC = 0x10000
"""In the flags of a sample: decoding cannot begin at it. ISO/IEC 14496-12, 8.8.3.1."""

type Column = npt.NDArray[np.uint32] | int
"""A value of each sample of a run, or one that all of them have."""


@dataclass
class Samples:
    """What is known of a track's samples, in decoding order; times count the track's own time scale.

    13 bytes a sample and 16 a run, and room for more.
    """

    count: int = 0
    end: int = 0
    """Decoding time at which the last one ends."""
    begin: int = 0
    """Decoding time of the first."""
    chunk_offsets: array[int] = field(default_factory=lambda: array("Q"))
    """Where each run begins in the file."""
    chunk_counts: array[int] = field(default_factory=lambda: array("L"))
    """How many samples are in each run."""

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
        """Time from the decoding of each sample to that of the next."""
        return self._durations[: self.count]

    @property
    def shifts(self) -> npt.NDArray[np.int32]:
        """How long after its decoding each sample is shown."""
        return self._shifts[: self.count]

    @property
    def sync(self) -> npt.NDArray[np.bool_]:
        """Whether decoding can begin at each sample."""
        return self._sync[: self.count]

    def begin_run(self, time: int) -> None:
        """Say that the next sample is decoded at `time`, until which the one before lasts; raises ValueError."""
        if self.count == 0:
            self.begin = self.end = time
        elif time != self.end:
            last = int(self._durations[self.count - 1]) + time - self.end
            if not 0 <= last < 1 << 32:
                raise ValueError(f"a fragment of time {time} follows one that ends at {self.end}")
            self._durations[self.count - 1] = last
            self.end = time

    def add_run(self, offset: int, count: int, sizes: Column, durations: Column, shifts: Column, flags: Column) -> int:
        """Take in a run of `count` samples that lie at `offset` in the file; return where it ends there."""
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
        """Return what `go_back` needs to forget what is added from now on."""
        last = int(self._durations[self.count - 1]) if self.count else 0
        return self.count, len(self.chunk_counts), self.end, last

    def go_back(self, mark: tuple[int, int, int, int]) -> None:
        """Forget what was added since `mark` was taken."""
        self.count, chunks, self.end, last = mark
        if self.count:
            self._durations[self.count - 1] = last
        del self.chunk_offsets[chunks:], self.chunk_counts[chunks:]

    def reach_to_the_end(self) -> None:
        """Let the sample that is decoded last last as long as the one that is shown last.

        Players take it for the end of the track. An encoder that is ended sees to that; after a kill nobody has.
        """
        window = slice(max(0, self.count - MOST_REORDERED), self.count)
        durations = self.durations[window].astype(np.int64)
        shown = np.cumsum(durations) - durations + self.shifts[window]
        last, end = int(np.argmax(shown)), int(shown[-1] + durations[-1])
        if end <= shown[last]:
            self.lengthen(int(shown[last] + durations[last]) - end)

    def lengthen(self, time: int) -> None:
        """Let the sample that is decoded last last longer by `time`, if that is more than nothing."""
        self._durations[self.count - 1] += max(0, time)
        self.end += max(0, time)

    @property
    def shown_until(self) -> int:
        """When the last sample is shown no more, on the scale on which `begin` is 0."""
        return self.end - self.begin + int(self.shifts[-1])


VERSION_0 = b"\0\0\0\0"
VERSION_1 = b"\1\0\0\0"
AAC = b"mp4a"
LARGEST_32 = (1 << 32) - 1

type Numbers = npt.NDArray[np.uint32] | npt.NDArray[np.int32] | npt.NDArray[np.int64]


def sample_tables(samples: Samples, description: bytes) -> Parts:
    """Return the boxes of an `stbl` with `samples`; `description` is the content of its `stsd`."""
    return [
        *box(b"stsd", description),
        *_durations(samples),
        *_sync(samples),
        *_shifts(samples),
        *_chunks(samples),
        *_sizes(samples),
        *_offsets(samples),
        *(_run_in(samples) if description[12:16] == AAC else []),
    ]


def _words(values: Numbers) -> bytes:
    return values.astype(">u4").tobytes()


def _pairs(first: Numbers, second: Numbers) -> Parts:
    """Return a count and then, for each, one of `first` and one of `second`."""
    table = np.empty((len(first), 2), ">u4")
    table[:, 0], table[:, 1] = first, second
    return [struct.pack(">I", len(first)), table.tobytes()]


def _same(values: Numbers) -> tuple[npt.NDArray[np.int64], Numbers]:
    """Return how often each value follows itself, and the values."""
    starts = np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))
    return np.diff(starts, append=len(values)), values[starts]


def _durations(samples: Samples) -> Parts:
    return box(b"stts", VERSION_0, _pairs(*_same(samples.durations)))


def _sync(samples: Samples) -> Parts:
    """Return which samples decoding can begin at; nothing where that is all of them."""
    if samples.sync.all():
        return []
    numbers = np.flatnonzero(samples.sync) + 1
    return box(b"stss", VERSION_0, struct.pack(">I", len(numbers)), _words(numbers))


def _shifts(samples: Samples) -> Parts:
    """Return how long after its decoding each sample is shown; nothing where that is at once."""
    if not samples.shifts.any():
        return []
    version = VERSION_1 if samples.shifts.min() < 0 else VERSION_0
    return box(b"ctts", version, _pairs(*_same(samples.shifts)))


def _chunks(samples: Samples) -> Parts:
    """Return how many samples each run has, with the number of the first run that has so many."""
    times, counts = _same(np.array(samples.chunk_counts, np.int64))
    first = np.cumsum(times) - times + 1
    table = np.ones((len(first), 3), ">u4")  # each of sample description 1
    table[:, 0], table[:, 1] = first, counts
    return box(b"stsc", VERSION_0, struct.pack(">I", len(table)), table.tobytes())


def _sizes(samples: Samples) -> Parts:
    sizes = samples.sizes
    if (sizes == sizes[0]).all() and sizes[0]:
        return box(b"stsz", VERSION_0, struct.pack(">II", int(sizes[0]), len(sizes)))
    return box(b"stsz", VERSION_0, struct.pack(">II", 0, len(sizes)), _words(sizes))


def _offsets(samples: Samples) -> Parts:
    offsets = np.array(samples.chunk_offsets, np.int64)
    count = struct.pack(">I", len(offsets))
    if offsets.max() > LARGEST_32:
        return box(b"co64", VERSION_0, count, offsets.astype(">u8").tobytes())
    return box(b"stco", VERSION_0, count, _words(offsets))


def _run_in(samples: Samples) -> Parts:
    """Return the note that a decoder must begin one AAC frame early to give the right sound."""
    group = struct.pack(">4sIIh", b"roll", 2, 1, -1)
    return [
        *box(b"sgpd", VERSION_1, group),
        *box(b"sbgp", VERSION_0, struct.pack(">4sIII", b"roll", 1, samples.count, 1)),
    ]
