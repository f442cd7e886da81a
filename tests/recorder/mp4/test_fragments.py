"""What the record light says of a growing file, in files whose boxes are put together here by the standard.

test_recording.py compares it with what FFmpeg's muxer writes, and with what plays after a kill.
"""

import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from recorder.mp4 import boxes, fragments
from recorder.mp4.boxes import Box, read_box
from recorder.mp4.fragments import FragmentReader, playable_end_s

VIDEO, AUDIO = 1, 2


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full(kind: bytes, flags: int, *parts: bytes, version: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


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
def test_samples_that_say_nothing_last_as_long_as_their_track_says(file: Growing, header: int) -> None:
    made = traf(VIDEO, 5, run_of(3), run_of(2), header=header, default=40)
    assert file.grow(HEAD, ONE, *fragment(made)) == Fraction(205, 1000)


@pytest.mark.parametrize("header", [0, 1, 2, 3])
def test_samples_of_which_nothing_is_said_last_no_time(file: Growing, header: int) -> None:
    assert file.grow(HEAD, ONE, *fragment(traf(VIDEO, 5, run_of(3), header=header))) == Fraction(5, 1000)


@pytest.mark.parametrize("flags", [0, 1, 4, 5, 0x200, 0x400, 0x800, 0xE05])
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


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return where boxes of a file are looked at from now on."""
    looked: list[int] = []
    look = read_box

    def counting(descriptor: int, position: int) -> Box | None:
        looked.append(position)
        return look(descriptor, position)

    monkeypatch.setattr(boxes, "read_box", counting)
    return looked


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
    looked = counted(monkeypatch)
    assert playable_end_s(file.descriptor) == whole == 1000
    assert len(looked) < 100
    assert all(position < len(HEAD) + len(BOTH) or position > file.size - 10_000 for position in looked)


@pytest.mark.parametrize("cut", [1, 499, 508, 509, 600])
def test_what_was_cut_off_in_the_middle_is_left_out_of_it(
    file: Growing, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setattr(fragments, "TAIL_BYTES", 10_000)
    file.grow(HEAD, BOTH, *seconds(100))
    os.ftruncate(file.descriptor, file.size - cut)
    reader = FragmentReader(file.descriptor)
    reader.advance()
    assert playable_end_s(file.descriptor) == reader.media_time_s == 99


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
