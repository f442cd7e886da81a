"""The sample tables of an ordinary MP4. ISO/IEC 14496-12, 8.6 and 8.7."""

import struct

import numpy as np
import numpy.typing as npt

from recorder.mp4.boxes import Parts, box
from recorder.mp4.samples import Samples

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
