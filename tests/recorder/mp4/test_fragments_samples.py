import os
import struct
from pathlib import Path

import pytest

from recorder.mp4.boxes import Box, BoxParts, FileHead, make_box, total_bytes
from recorder.mp4.fragments import LOOK_BYTES, FragmentTable
from recorder.mp4.samples import NON_SYNC, TrackSamples

HEAD = b"the head "
MEDIA = bytes(100)
FLAGS = NON_SYNC + 7
DEFAULTS = make_box(
    b"mvex",
    make_box(b"mehd", b"----"),
    *(make_box(b"trex", struct.pack(">6I", 0, track, 1, 10, 20, FLAGS)) for track in (1, 2)),
)
"""Of tracks 1 and 2: 10 ticks, 20 bytes, no keyframe."""


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *(value % (1 << 32) for value in values))


def tfhd(flags: int = 0, *values: bytes, track: int = 1) -> BoxParts:
    return make_box(b"tfhd", words(flags, track), *values)


def tfdt(time: int) -> BoxParts:
    return make_box(b"tfdt", words(0, time))


def trun(flags: int, *values: int) -> BoxParts:
    """Return a run: flags, how many samples, and whatever follows."""
    return make_box(b"trun", words(flags, *values))


def fragment(
    *runs: tuple[int, ...],
    time: int | BoxParts = 0,
    header: BoxParts | None = None,
    media: BoxParts | None = None,
    off: int = 0,
) -> bytes:
    """Return a fragment whose first run begins `off` behind the beginning of its media.

    A run is its flags, how many samples, and what follows, without the offset of the first one.
    """
    media = media or make_box(b"mdat", MEDIA)
    head = total_bytes(media) - len(MEDIA)
    offset = 0
    for _ in range(2):  # the second time its length is known
        flags, count, *values = runs[0]
        first = trun(flags | 0x1, count, offset, *values)
        times = tfdt(time) if isinstance(time, int) else time
        traf = make_box(b"traf", header or tfhd(), times, first, *(trun(*run) for run in runs[1:]))
        moof = make_box(b"moof", make_box(b"mfhd", bytes(8)), traf)
        offset = total_bytes(moof) + head + off
    return b"".join(moof + media)


def scanned(path: Path, content: bytes, reached: list[int] | None = None) -> FragmentTable:
    path.write_bytes(HEAD + content)
    head = FileHead(Box(b"moov", 0, 8, len(HEAD)), b"".join(DEFAULTS))
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return FragmentTable(file.fileno(), head, size, reached.append if reached is not None else None)


def columns(samples: TrackSamples) -> list[list[int]]:
    """Return durations, sizes, shifts and which are keyframes."""
    return [[int(value) for value in one] for one in (samples.durations, samples.sizes, samples.shifts, samples.sync)]


def one(path: Path, content: bytes) -> TrackSamples:
    """Return the samples of a file with one fragment."""
    found = scanned(path, content)
    assert (found.count, set(found.tracks)) == (1, {1})
    return found.tracks[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.mp4"


def test_fragments_are_read_one_behind_the_other_up_to_the_end(path: Path) -> None:
    first, second = fragment((0, 2), time=100), fragment((0, 2), time=150)
    reached: list[int] = []
    found = scanned(path, first + second, reached)
    ends = [len(HEAD) + len(first), len(HEAD) + len(first + second)]
    assert (found.start, found.end, found.count, reached) == (len(HEAD), ends[1], 2, ends)
    samples = found.tracks[1]
    assert (samples.begin, samples.end, list(samples.chunk_counts)) == (100, 170, [2, 2])
    assert list(samples.chunk_offsets) == [end - len(MEDIA) for end in ends]
    assert columns(samples) == [[10, 40, 10, 10], [20] * 4, [0] * 4, [0] * 4]


def test_a_file_without_fragments_has_none(path: Path) -> None:
    found = scanned(path, b"")
    assert (found.start, found.end, found.count, found.tracks) == (len(HEAD), len(HEAD), 0, {})


def test_what_a_run_does_not_say_its_fragment_says_and_else_the_head(path: Path) -> None:
    for header, durations, sizes, sync in (
        (tfhd(), 10, 20, 0),
        (tfhd(0x8, words(11)), 11, 20, 0),
        (tfhd(0x10, words(12)), 10, 12, 0),
        (tfhd(0x20, words(3)), 10, 20, 1),
        (tfhd(0x38, words(11, 12, 3)), 11, 12, 1),
        (tfhd(0x2A, words(99, 11, 3)), 11, 20, 1),
    ):
        made = one(path, fragment((0, 2), header=header))
        assert columns(made) == [[durations] * 2, [sizes] * 2, [0, 0], [sync] * 2], header


def test_offsets_may_count_from_a_place_that_the_fragment_names(path: Path) -> None:
    for before in (3, 0):
        header = tfhd(0x39, struct.pack(">Q", len(HEAD) - before), words(11, 12, 3))
        made = one(path, fragment((0, 2), header=header, off=before))
        assert list(made.chunk_offsets) == [path.stat().st_size - len(MEDIA)]
        assert columns(made) == [[11, 11], [12, 12], [0, 0], [1, 1]]
        made = one(path, fragment((0, 2), header=tfhd(0x1, struct.pack(">Q", len(HEAD) - before)), off=before))
        assert columns(made) == [[10, 10], [20, 20], [0, 0], [0, 0]]


def test_what_a_run_says_of_each_sample_is_taken(path: Path) -> None:
    made = one(path, fragment((0xF00, 2, 7, 30, 0, 5, 9, 40, NON_SYNC, -1)))
    assert columns(made) == [[7, 9], [30, 40], [5, -1], [1, 0]]
    made = one(path, fragment((0xA00, 2, 30, 5, 40, 6)))
    assert columns(made)[1:] == [[30, 40], [5, 6], [0, 0]]


def test_the_first_sample_of_a_run_may_have_flags_of_its_own(path: Path) -> None:
    assert columns(one(path, fragment((0x4, 3, 0)))) == [[10] * 3, [20] * 3, [0] * 3, [1, 0, 0]]
    assert columns(one(path, fragment((0x404, 3, 0, NON_SYNC, 0, NON_SYNC))))[3] == [1, 1, 0]


def test_a_run_goes_on_behind_the_one_before_it(path: Path) -> None:
    made = one(path, fragment((0, 2), (0, 3)))
    start = path.stat().st_size - len(MEDIA)
    assert (list(made.chunk_offsets), list(made.chunk_counts), made.end) == ([start, start + 40], [2, 3], 50)


def test_a_time_of_64_bits_is_read_whole(path: Path) -> None:
    wide = make_box(b"tfdt", words(1 << 24), struct.pack(">Q", 5 << 32))
    assert one(path, fragment((0, 2), time=wide)).begin == 5 << 32


def test_the_last_sample_lasts_as_long_as_the_one_that_is_shown_last(path: Path) -> None:
    assert columns(one(path, fragment((0x800, 2, 30, 0))))[0] == [10, 30]


@pytest.mark.parametrize("length_of_moof", [LOOK_BYTES + n for n in (-17, -16, -15, -9, -8, -7, -1, 0, 1, 5000)])
@pytest.mark.parametrize("wide", [False, True])
def test_a_fragment_is_read_however_long_its_beginning_is(path: Path, length_of_moof: int, wide: bool) -> None:
    media = [struct.pack(">I4sQ", 1, b"mdat", 16 + len(MEDIA)), MEDIA] if wide else make_box(b"mdat", MEDIA)
    bare = len(fragment((0, 2), media=media)) - total_bytes(media)
    filling = make_box(b"free", bytes(length_of_moof - bare - 8))
    content = fragment((0, 2), header=tfhd() + filling, media=media)
    assert len(content) == length_of_moof + total_bytes(media)
    found = scanned(path, content + fragment((0, 3), time=20))
    assert (found.count, found.tracks[1].count) == (2, 5)


def test_samples_may_fill_their_media_and_lie_nowhere_else(path: Path) -> None:
    for runs, off, count in (
        (((0, 5),), 0, 2),
        (((0, 5),), -1, 1),
        (((0, 5),), 1, 1),
        (((0, 6),), 0, 1),
        (((0, 1),), -1, 1),
        (((0, 4), (0, 1)), 0, 2),
        (((0, 4), (0, 2)), 0, 1),
        (((0x200, 1, 0),), len(MEDIA), 2),
    ):
        assert scanned(path, fragment((0, 2)) + fragment(*runs, time=20, off=off)).count == count, (runs, off)


def cut(content: bytes, at: bytes, by: bytes, skip: int = 0) -> bytes:
    """Return `content` with other bytes `skip` behind the beginning of `at`."""
    start = content.index(at) + skip
    return content[:start] + by + content[start + len(by) :]


def test_of_a_fragment_that_makes_no_sense_nothing_is_taken(path: Path) -> None:
    good, next_one = fragment((0, 2)), fragment((0, 2), (0, 3), time=50)
    moof_bytes = struct.unpack_from(">I", next_one)[0]
    for bad in (
        cut(next_one, b"moof", b"moov"),
        cut(next_one, b"mdat", b"free"),
        cut(next_one, b"mdat", words(len(MEDIA) + 9), -4),  # reaches behind the end of the file
        cut(next_one, b"tfhd", words(3), 8),
        cut(next_one, b"tfdt", words(3), -4),
        cut(next_one, b"tfhd", b"free"),
        cut(next_one, b"traf", words(moof_bytes), -4),
        cut(next_one, b"traf", words(7), -4),
        cut(next_one, b"mfhd", words(0), -4),
        next_one[: moof_bytes - 4] + words(0xF00, 99) + next_one[moof_bytes + 4 :],
        fragment((0, 2), (0, 0), time=50),
        fragment((0x100, 2, 1), time=50),
        fragment((0, 2), time=5),
        fragment((0, 2), time=50, off=-5000),
        fragment((0, 2), time=50, header=tfhd(0x1, struct.pack(">Q", (1 << 64) - 1))),
        next_one[:-1],
        next_one[:moof_bytes],
        next_one[:100],
        next_one[:6],
        fragment((0, 2), (0, 0), header=tfhd(track=2)),
    ):
        found = scanned(path, good + bad)
        assert (found.count, found.end, set(found.tracks)) == (1, len(HEAD) + len(good), {1}), bad
        samples = found.tracks[1]
        assert columns(samples) == [[10, 10], [20, 20], [0, 0], [0, 0]], bad
        assert (samples.end, list(samples.chunk_counts), len(samples.chunk_offsets)) == (20, [2], 1), bad
    assert scanned(path, good + next_one).count == 2
