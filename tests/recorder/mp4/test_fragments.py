"""Fragments of files whose boxes are put together here by the standard: as they grow, and all samples of whole ones."""

import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from recorder.mp4 import boxes, fragments
from recorder.mp4.boxes import Box, BoxParts, FileHead, make_box, read_box, total_bytes
from recorder.mp4.fragments import LOOK_BYTES, FragmentReader, FragmentTable, playable_end_s, read_edits
from recorder.mp4.samples import NON_SYNC, TrackSamples

VIDEO, AUDIO = 1, 2


def box(kind: bytes, *parts: bytes) -> bytes:
    return b"".join(make_box(kind, *parts))


def full(kind: bytes, flags: int, *parts: bytes, version: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *(value % (1 << 32) for value in values))


def trak(number: int, scale: int, *, edits: bytes = b"", version: int = 0) -> bytes:
    """Return a track with its number and time scale; the dates before them have 32 or 64 bits."""
    dates = bytes(16 if version else 8)
    header = full(b"tkhd", 3, dates, words(number), bytes(68), version=version)
    media = box(b"mdia", full(b"mdhd", 0, dates, words(scale), bytes(8), version=version))
    return box(b"trak", header, box(b"edts", edits) if edits else b"", media)


def edit_list(*starts: int, version: int = 0) -> bytes:
    """Return which time of a track's media is shown when: -1 shows nothing for a while."""
    layout = ">Qqi" if version else ">Iii"
    packed = b"".join(struct.pack(layout, 500, start, 0x10000) for start in starts)
    return full(b"elst", 0, words(len(starts)), packed, version=version)


def moov(*traks: bytes) -> bytes:
    return box(b"moov", full(b"mvhd", 0, bytes(96)), *traks)


def traf(number: int, start: int, *runs: bytes, header: int = 0, default: int | None = None) -> bytes:
    """Return a track of a fragment that is decoded from `start` on; `header` says what else its head has."""
    extra = (bytes(8) if header & 1 else b"") + (bytes(4) if header & 2 else b"")
    if default is not None:
        header, extra = header | 8, extra + words(default)
    return box(b"traf", full(b"tfhd", header, words(number), extra), full(b"tfdt", 0, words(start)), *runs)


def run(*durations: int, flags: int = 0) -> bytes:
    """Return a run whose samples say how long they last, and with `flags` more, which is made up here."""
    before = (words(77) if flags & 1 else b"") + (words(78) if flags & 4 else b"")
    more = [1_000_000 + bit for bit in (0x200, 0x400, 0x800) if flags & bit]
    return full(b"trun", 0x100 | flags, words(len(durations)), before, *(words(one, *more) for one in durations))


def run_of(count: int) -> bytes:
    """Return a run whose samples last as long as the head of the track says."""
    return full(b"trun", 0, words(count))


def fragment(*trafs: bytes, media: bytes = b"media") -> tuple[bytes, bytes]:
    return box(b"moof", full(b"mfhd", 0, words(1)), *trafs), box(b"mdat", media)


class Growing:
    """A file that grows, and the reader that follows it."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        self.reader = FragmentReader(self.descriptor)
        self.size = 0

    def grow(self, *pieces: bytes) -> Fraction:
        """Add to the file; return up to where all of it can be played."""
        for piece in pieces:
            self.size += os.pwrite(self.descriptor, piece, self.size)
        self.reader.advance()
        return self.reader.media_time_s


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Growing]:
    growing = Growing(tmp_path / "program.mp4")
    yield growing
    os.close(growing.descriptor)


NOTHING = Fraction(0)
HEAD = box(b"ftyp", b"isom")
ONE = moov(trak(VIDEO, 1000))
BOTH = moov(trak(VIDEO, 90_000), trak(AUDIO, 48_000))


def test_a_fragment_counts_once_its_media_is_there_to_the_last_byte(file: Growing) -> None:
    moof, mdat = fragment(traf(VIDEO, 0, run(40, 40)))
    assert file.grow() == NOTHING
    assert (file.grow(HEAD, ONE), file.reader.complete_bytes) == (NOTHING, file.size)
    head = file.size
    assert (file.grow(moof[:-1]), file.reader.complete_bytes) == (NOTHING, head)
    assert (file.grow(moof[-1:]), file.reader.complete_bytes) == (NOTHING, file.size)
    assert (file.grow(mdat[:-1]), file.reader.complete_bytes) == (NOTHING, head + len(moof))
    assert (file.grow(mdat[-1:]), file.reader.complete_bytes) == (Fraction(80, 1000), file.size)
    assert file.grow() == Fraction(80, 1000)


def test_it_is_as_long_as_the_track_that_has_come_least_far(file: Growing) -> None:
    assert file.grow(HEAD, BOTH, *fragment(traf(VIDEO, 0, run(90_000)))) == 0, "there is no sound yet"
    assert file.grow(*fragment(traf(AUDIO, 0, run(24_000)))) == Fraction(1, 2)
    assert file.grow(*fragment(traf(VIDEO, 90_000, run(90_000)), traf(AUDIO, 24_000, run(72_000)))) == 2


@pytest.mark.parametrize("version", [0, 1])
def test_numbers_and_scales_are_read_behind_dates_of_either_width(file: Growing, version: int) -> None:
    head = moov(trak(7, 3, version=version), trak(9, 5, version=version))
    assert file.grow(HEAD, head, *fragment(traf(7, 0, run(1)), traf(9, 0, run(4)))) == Fraction(1, 3)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("starts", [(20,), (-1, 20), (20, 50)])
def test_the_encoders_run_in_is_not_shown(file: Growing, starts: tuple[int, ...], version: int) -> None:
    head = moov(trak(VIDEO, 1000, edits=edit_list(*starts, version=version)))
    assert file.grow(HEAD, head, *fragment(traf(VIDEO, 0, run(15)))) == 0
    assert file.grow(*fragment(traf(VIDEO, 15, run(100)))) == Fraction(95, 1000)


@pytest.mark.parametrize("starts", [(), (-1,), (-1, -1), (0, 20)])
def test_media_that_has_no_run_in_is_shown_from_its_beginning(file: Growing, starts: tuple[int, ...]) -> None:
    head = moov(trak(VIDEO, 1000, edits=edit_list(*starts)))
    assert file.grow(HEAD, head, *fragment(traf(VIDEO, 0, run(15)))) == Fraction(15, 1000)


@pytest.mark.parametrize("header", [0, 1, 2, 3])
@pytest.mark.parametrize(("default", "end"), [(40, 205), (None, 5)])
def test_samples_that_say_nothing_last_as_long_as_their_track_says(
    file: Growing, header: int, default: int | None, end: int
) -> None:
    made = traf(VIDEO, 5, run_of(3), run_of(2), header=header, default=default)
    assert file.grow(HEAD, ONE, *fragment(made)) == Fraction(end, 1000)


@pytest.mark.parametrize("flags", [0, 1, 4, 0x200, 0x400, 0x800, 0xE05])
def test_what_else_a_sample_says_is_no_time(file: Growing, flags: int) -> None:
    made = traf(VIDEO, 0, run(40, 50, 60, flags=flags), default=7)
    assert file.grow(HEAD, ONE, *fragment(made)) == Fraction(150, 1000)


def test_a_time_of_64_bits_is_read_whole(file: Growing) -> None:
    start = full(b"tfdt", 0, struct.pack(">Q", 5 << 32), version=1)
    made = box(b"traf", full(b"tfhd", 0, words(VIDEO)), start, run(40))
    assert file.grow(HEAD, ONE, *fragment(made)) == Fraction((5 << 32) + 40, 1000)


def test_the_index_of_a_closed_file_changes_nothing(file: Growing) -> None:
    before = file.grow(HEAD, BOTH, *fragment(traf(VIDEO, 0, run(90_000)), traf(AUDIO, 0, run(48_000))))
    index = moov(trak(VIDEO, 1), trak(AUDIO, 1), trak(3, 1))
    assert before == file.grow(index) == 1
    assert file.reader.complete_bytes == file.size


def test_other_boxes_between_are_passed_over(file: Growing) -> None:
    moof, mdat = fragment(traf(VIDEO, 0, run(40)))
    assert file.grow(HEAD, ONE, box(b"free", bytes(9)), moof, mdat, box(b"free"), box(b"mdat", b"x")) == Fraction(1, 25)


def seconds(count: int, *, first: int = 0, media: bytes = b"x" * 500) -> list[bytes]:
    """Return so many fragments of a second."""
    return [
        piece
        for number in range(first, first + count)
        for piece in fragment(
            traf(VIDEO, number * 90_000, run(90_000)), traf(AUDIO, number * 48_000, run(48_000)), media=media
        )
    ]


def test_of_a_long_file_only_the_end_is_looked_at(file: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "TAIL_BYTES", 10_000)
    whole = file.grow(HEAD, BOTH, *seconds(1000))
    looked: list[int] = []

    def counting(descriptor: int, position: int) -> Box | None:
        looked.append(position)
        return read_box(descriptor, position)

    monkeypatch.setattr(boxes, "read_box", counting)
    assert playable_end_s(file.descriptor) == whole == 1000
    assert len(looked) < 100
    assert all(position < len(HEAD) + len(BOTH) or position > file.size - 10_000 for position in looked)


@pytest.mark.parametrize("cut", [1, 508, 509])
def test_what_was_cut_off_in_the_middle_is_left_out_of_it(
    file: Growing, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setattr(fragments, "TAIL_BYTES", 10_000)
    file.grow(HEAD, BOTH, *seconds(100))
    os.ftruncate(file.descriptor, file.size - cut)
    reader = FragmentReader(file.descriptor)
    reader.advance()
    assert playable_end_s(file.descriptor) == reader.media_time_s == 99


def test_a_last_fragment_alone_is_enough(file: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "TAIL_BYTES", 400)
    assert file.grow(HEAD, ONE, *fragment(traf(VIDEO, 0, run(7000)), media=bytes(1000))) == 7
    last = fragment(traf(VIDEO, 7000, run(1000)))
    file.grow(*last)
    reader = FragmentReader(file.descriptor)
    reader.skip_to_tail()
    assert reader.complete_bytes == file.size - len(b"".join(last))
    os.ftruncate(file.descriptor, file.size - 1)
    reader = FragmentReader(file.descriptor)
    reader.skip_to_tail()
    assert reader.complete_bytes == len(HEAD) + len(ONE), "one without its media is none"


def test_a_track_may_begin_with_nothing_several_times() -> None:
    assert read_edits(edit_list(-1, -1, 77)[8:]) == (1000, 77)
    assert read_edits(edit_list(-1)[8:]) == (500, 0)


def test_media_that_looks_like_fragments_is_none(file: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "TAIL_BYTES", 30_000)
    false = b"".join([*fragment(traf(VIDEO, 1 << 30, run(90_000))), b"moof", words(8), b"moof", bytes(40)])
    assert file.grow(HEAD, BOTH, *seconds(50, media=false * 5)) == playable_end_s(file.descriptor) == 50


def test_where_a_track_ended_long_before_the_other_all_of_it_is_looked_at(
    file: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fragments, "TAIL_BYTES", 3_000)
    pictures = [piece for n in range(2, 50) for piece in fragment(traf(VIDEO, n * 90_000, run(90_000)))]
    assert file.grow(HEAD, BOTH, *seconds(2), *pictures) == playable_end_s(file.descriptor) == 2


@pytest.mark.parametrize("tail", [64, 1 << 20])
def test_a_file_without_fragments_plays_nothing(file: Growing, monkeypatch: pytest.MonkeyPatch, tail: int) -> None:
    monkeypatch.setattr(fragments, "TAIL_BYTES", tail)
    assert playable_end_s(file.descriptor) == 0
    file.grow(HEAD, BOTH)
    assert playable_end_s(file.descriptor) == 0
    file.grow(box(b"mdat", b"moof" * 100))
    assert playable_end_s(file.descriptor) == 0


START = b"the head "
MEDIA = bytes(100)
FLAGS = NON_SYNC + 7
DEFAULTS = make_box(
    b"mvex",
    make_box(b"mehd", b"----"),
    *(make_box(b"trex", struct.pack(">6I", 0, track, 1, 10, 20, FLAGS)) for track in (1, 2)),
)
"""Of tracks 1 and 2: 10 ticks, 20 bytes, no keyframe."""


def tfhd(flags: int = 0, *values: bytes, track: int = 1) -> BoxParts:
    return make_box(b"tfhd", words(flags, track), *values)


def tfdt(time: int) -> BoxParts:
    return make_box(b"tfdt", words(0, time))


def trun(flags: int, *values: int) -> BoxParts:
    """Return a run: flags, how many samples, and whatever follows."""
    return make_box(b"trun", words(flags, *values))


def sampled(
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
    path.write_bytes(START + content)
    head = FileHead(Box(b"moov", 0, 8, len(START)), b"".join(DEFAULTS))
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
    first, second = sampled((0, 2), time=100), sampled((0, 2), time=150)
    reached: list[int] = []
    found = scanned(path, first + second, reached)
    ends = [len(START) + len(first), len(START) + len(first + second)]
    assert (found.start, found.end, found.count, reached) == (len(START), ends[1], 2, ends)
    samples = found.tracks[1]
    assert (samples.begin, samples.end, list(samples.chunk_counts)) == (100, 170, [2, 2])
    assert list(samples.chunk_offsets) == [end - len(MEDIA) for end in ends]
    assert columns(samples) == [[10, 40, 10, 10], [20] * 4, [0] * 4, [0] * 4]


def test_a_file_without_fragments_has_none(path: Path) -> None:
    found = scanned(path, b"")
    assert (found.start, found.end, found.count, found.tracks) == (len(START), len(START), 0, {})


def test_what_a_run_does_not_say_its_fragment_says_and_else_the_head(path: Path) -> None:
    for header, durations, sizes, sync in (
        (tfhd(), 10, 20, 0),
        (tfhd(0x8, words(11)), 11, 20, 0),
        (tfhd(0x10, words(12)), 10, 12, 0),
        (tfhd(0x20, words(3)), 10, 20, 1),
        (tfhd(0x38, words(11, 12, 3)), 11, 12, 1),
        (tfhd(0x2A, words(99, 11, 3)), 11, 20, 1),
    ):
        made = one(path, sampled((0, 2), header=header))
        assert columns(made) == [[durations] * 2, [sizes] * 2, [0, 0], [sync] * 2], header


def test_offsets_may_count_from_a_place_that_the_fragment_names(path: Path) -> None:
    for before in (3, 0):
        header = tfhd(0x39, struct.pack(">Q", len(START) - before), words(11, 12, 3))
        made = one(path, sampled((0, 2), header=header, off=before))
        assert list(made.chunk_offsets) == [path.stat().st_size - len(MEDIA)]
        assert columns(made) == [[11, 11], [12, 12], [0, 0], [1, 1]]
        made = one(path, sampled((0, 2), header=tfhd(0x1, struct.pack(">Q", len(START) - before)), off=before))
        assert columns(made) == [[10, 10], [20, 20], [0, 0], [0, 0]]


def test_what_a_run_says_of_each_sample_is_taken(path: Path) -> None:
    made = one(path, sampled((0xF00, 2, 7, 30, 0, 5, 9, 40, NON_SYNC, -1)))
    assert columns(made) == [[7, 9], [30, 40], [5, -1], [1, 0]]
    made = one(path, sampled((0xA00, 2, 30, 5, 40, 6)))
    assert columns(made)[1:] == [[30, 40], [5, 6], [0, 0]]
    assert columns(one(path, sampled((0x4, 3, 0)))) == [[10] * 3, [20] * 3, [0] * 3, [1, 0, 0]], "flags of the first"
    assert columns(one(path, sampled((0x404, 3, 0, NON_SYNC, 0, NON_SYNC))))[3] == [1, 1, 0]
    assert columns(one(path, sampled((0x800, 2, 30, 0))))[0] == [10, 30], "the last one lasts until another ends"
    wide = make_box(b"tfdt", words(1 << 24), struct.pack(">Q", 5 << 32))
    assert one(path, sampled((0, 2), time=wide)).begin == 5 << 32, "a time of 64 bits"


def test_a_run_goes_on_behind_the_one_before_it(path: Path) -> None:
    made = one(path, sampled((0, 2), (0, 3)))
    start = path.stat().st_size - len(MEDIA)
    assert (list(made.chunk_offsets), list(made.chunk_counts), made.end) == ([start, start + 40], [2, 3], 50)


@pytest.mark.parametrize("length_of_moof", [LOOK_BYTES + n for n in (-16, -15, -8, -7, 0, 1, 5000)])
@pytest.mark.parametrize("wide", [False, True])
def test_a_fragment_is_read_however_long_its_beginning_is(path: Path, length_of_moof: int, wide: bool) -> None:
    media = [struct.pack(">I4sQ", 1, b"mdat", 16 + len(MEDIA)), MEDIA] if wide else make_box(b"mdat", MEDIA)
    bare = len(sampled((0, 2), media=media)) - total_bytes(media)
    filling = make_box(b"free", bytes(length_of_moof - bare - 8))
    content = sampled((0, 2), header=tfhd() + filling, media=media)
    assert len(content) == length_of_moof + total_bytes(media)
    found = scanned(path, content + sampled((0, 3), time=20))
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
        assert scanned(path, sampled((0, 2)) + sampled(*runs, time=20, off=off)).count == count, (runs, off)


def cut(content: bytes, at: bytes, by: bytes, skip: int = 0) -> bytes:
    """Return `content` with other bytes `skip` behind the beginning of `at`."""
    start = content.index(at) + skip
    return content[:start] + by + content[start + len(by) :]


def test_of_a_fragment_that_makes_no_sense_nothing_is_taken(path: Path) -> None:
    good, next_one = sampled((0, 2)), sampled((0, 2), (0, 3), time=50)
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
        sampled((0, 2), (0, 0), time=50),
        sampled((0x100, 2, 1), time=50),
        sampled((0, 2), time=5),
        sampled((0, 2), time=50, off=-5000),
        sampled((0, 2), time=50, header=tfhd(0x1, struct.pack(">Q", (1 << 64) - 1))),
        next_one[:-1],
        next_one[:moof_bytes],
        next_one[:100],
        next_one[:6],
        sampled((0, 2), (0, 0), header=tfhd(track=2)),
    ):
        found = scanned(path, good + bad)
        assert (found.count, found.end, set(found.tracks)) == (1, len(START) + len(good), {1}), bad
        samples = found.tracks[1]
        assert columns(samples) == [[10, 10], [20, 20], [0, 0], [0, 0]], bad
        assert (samples.end, list(samples.chunk_counts), len(samples.chunk_offsets)) == (20, [2], 1), bad
    assert scanned(path, good + next_one).count == 2
