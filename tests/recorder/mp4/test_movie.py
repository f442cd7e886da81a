"""The index of an ordinary MP4, and its chapters as QuickTime and Nero players read them."""

import json
import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from recorder.model.marks import Mark
from recorder.mp4.boxes import LARGEST_32, BoxParts, child_boxes, find_box, make_box
from recorder.mp4.movie import LARGEST_31, MOST_NERO_BYTES, ChapterStarts, MovieIndex, track_of
from recorder.mp4.samples import TrackSamples
from tests.support import media
from tests.support.media import chapters
from tests.support.muxed import AT, MARKS, TITLE, decoded, finished, told

SCALE = 1000


def samples(*durations: int, begin: int = 0, last_shift: int = 0) -> TrackSamples:
    made = TrackSamples()
    made.begin_run(begin)
    shifts = np.array([0] * (len(durations) - 1) + [last_shift], np.int32).view(np.uint32)
    made.add_run(5000, len(durations), 10, np.array(durations, np.uint32), shifts, 0)
    return made


def timed(kind: bytes, before: bytes, after: bytes = b"", *, wide: bool = False) -> BoxParts:
    """Return a header: dates 7 and 8, `before` the duration, which is 9, and `after` it."""
    layout = (b"\1", ">QQ", ">Q") if wide else (b"\0", ">II", ">I")
    return make_box(kind, layout[0] + b"\0\0\7", struct.pack(layout[1], 7, 8), before, struct.pack(layout[2], 9), after)


def scale(value: int) -> bytes:
    return struct.pack(">I", value)


def trak(*edits: tuple[int, int], number: int = 1, wide: bool = False, ticks: int = SCALE) -> BoxParts:
    """Return a track as the head of a fragmented file has it; `edits` are durations and times of the media."""
    layout = ">Qqi" if wide else ">Iii"
    listed = b"".join(struct.pack(layout, *edit, 0x10000) for edit in edits)
    stbl = make_box(b"stbl", make_box(b"stsd", b"description"), make_box(b"stts", b"old"), make_box(b"mine", b"kept"))
    minf = make_box(b"minf", make_box(b"vmhd", b"video"), stbl)
    return make_box(
        b"trak",
        timed(b"tkhd", struct.pack(">II", number, 0), b"size", wide=wide),
        make_box(b"edts", make_box(b"elst", bytes([wide, 0, 0, 0]), struct.pack(">I", len(edits)), listed))
        if edits
        else [],
        make_box(b"mdia", timed(b"mdhd", scale(ticks), b"und", wide=wide), make_box(b"hdlr", b"vide"), minf),
    )


def moov(*parts: BoxParts, wide: bool = False, ticks: int = SCALE) -> bytes:
    """Return the content of a fragmented file's `moov`."""
    return b"".join(timed(b"mvhd", scale(ticks), b"rest", wide=wide) + [part for piece in parts for part in piece])


def index(movie: MovieIndex, chapters: ChapterStarts = ()) -> bytes:
    return find_box(b"".join(movie.index(chapters, 0)), b"moov")


def edits_of(trak: bytes) -> list[tuple[int, ...]]:
    elst = find_box(trak, b"edts", b"elst")
    layout = struct.Struct(">Qqi" if elst[0] else ">Iii")
    assert len(elst) == 8 + struct.unpack_from(">I", elst, 4)[0] * layout.size
    return list(layout.iter_unpack(elst[8:]))


def test_a_head_without_a_time_scale_is_an_error() -> None:
    for content in (moov(trak(), ticks=0), moov(trak(ticks=0)), b"".join(trak())):
        with pytest.raises(ValueError, match="its head has no time scale"):
            MovieIndex(content, {1: samples(10)})


@pytest.mark.parametrize("wide", [False, True])
def test_durations_are_those_of_the_samples_and_the_rest_is_taken_over(wide: bool) -> None:
    movie = MovieIndex(moov(trak(wide=wide, ticks=90_000), wide=wide), {1: samples(3000, 3000, 3001)})
    made = index(movie)
    assert movie.end_s == 0.101, "rounded up"
    head = bytes([0, 0, 0, 7]) + struct.pack(">II", 7, 8)
    assert find_box(made, b"mvhd") == head + struct.pack(">II", SCALE, 101) + b"rest"
    assert find_box(made, b"trak", b"tkhd") == head + struct.pack(">III", 1, 0, 101) + b"size"
    assert find_box(made, b"trak", b"mdia", b"mdhd") == head + struct.pack(">II", 90_000, 9001) + b"und"
    assert track_of(find_box(made, b"trak")) == 1
    assert [kind for kind, _ in child_boxes(find_box(made, b"trak", b"mdia"))] == [b"mdhd", b"hdlr", b"minf"]
    minf = find_box(made, b"trak", b"mdia", b"minf")
    assert [kind for kind, _ in child_boxes(minf)] == [b"vmhd", b"stbl"]
    assert find_box(minf, b"vmhd") == b"video"
    stbl = find_box(minf, b"stbl")
    assert [kind for kind, _ in child_boxes(stbl)] == [b"stsd", b"stts", b"stsc", b"stsz", b"stco", b"mine"]
    assert find_box(stbl, b"stts") != b"old"
    assert (find_box(stbl, b"stsd"), find_box(stbl, b"mine")) == (b"description", b"kept")


def test_what_31_bits_do_not_hold_takes_64() -> None:
    for duration, version in ((LARGEST_31, 0), (LARGEST_31 + 1, 1)):
        made = index(MovieIndex(moov(trak()), {1: samples(duration)}))
        layout = ">QQIQ" if version else ">IIII"
        for header in (find_box(made, b"mvhd"), find_box(made, b"trak", b"mdia", b"mdhd")):
            assert header[:4] == bytes([version, 0, 0, 7])
            assert struct.unpack_from(layout, header, 4) == (7, 8, SCALE, duration)
        assert find_box(made, b"trak", b"edts", b"elst")[0] == version
        assert edits_of(find_box(made, b"trak")) == [(duration, 0, 0x10000)]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("edits", "begin", "made"),
    [
        ([], 0, [(100, 0)]),
        ([(0, 0)], 0, [(100, 0)]),
        ([(0, 30)], 0, [(70, 30)]),
        ([(40, -1), (0, 30)], 0, [(40, -1), (70, 30)]),
        ([(40, -1), (50, 0)], 0, [(40, -1), (100, 0)]),
        ([(40, -1), (50, -1)], 0, [(90, -1), (100, 0)]),
        ([(40, -1)], 25, [(65, -1), (100, 0)]),
        ([(0, 30)], 20, [(90, 10)]),
        ([(0, 30)], 30, [(100, 0)]),
        ([], 25, [(25, -1), (100, 0)]),
    ],
)
def test_what_is_shown_and_when_follows_from_the_head_and_from_the_first_sample(
    edits: list[tuple[int, int]], begin: int, made: list[tuple[int, int]], wide: bool
) -> None:
    movie = MovieIndex(moov(trak(*edits, wide=wide)), {1: samples(60, 40, begin=begin)})
    assert edits_of(find_box(index(movie), b"trak")) == [(*edit, 0x10000) for edit in made]
    assert movie.end_s == sum(duration for duration, _ in made) / SCALE


def test_what_is_missing_at_the_beginning_counts_in_the_scale_of_the_movie() -> None:
    movie = MovieIndex(moov(trak(ticks=90_000)), {1: samples(900, begin=91)})
    assert edits_of(find_box(index(movie), b"trak")) == [(2, -1, 0x10000), (10, 0, 0x10000)]


def test_the_sum_of_the_durations_is_no_less_than_what_is_shown() -> None:
    for last_shift, start, last, begin in (
        (5, 0, 45, 0),
        (5, 0, 45, 5),
        (30, 10, 60, 0),
        (5, 20, 40, 0),
        (5, 5, 40, 0),
    ):
        track = samples(60, 40, begin=begin, last_shift=last_shift)
        made = index(MovieIndex(moov(trak((0, start + begin))), {1: track}))
        assert list(track.durations) == [60, last]
        assert struct.unpack_from(">I", find_box(made, b"trak", b"mdia", b"mdhd"), 16) == (60 + last,)


def test_it_ends_with_its_last_track_and_one_without_samples_is_not_shown() -> None:
    content = moov(*(trak((0, 0), number=number) for number in (1, 2, 3)))
    movie = MovieIndex(content, {1: samples(50), 2: samples(80), 3: TrackSamples(), 4: samples(900)})
    made = index(movie)
    assert movie.end_s == 0.08
    assert struct.unpack_from(">I", find_box(made, b"mvhd"), 16) == (80,)
    tracks = [content for kind, content in child_boxes(made) if kind == b"trak"]
    assert [track_of(one) for one in tracks] == [1, 2, 3]
    assert [kind for kind, _ in child_boxes(tracks[2])] == [b"tkhd", b"mdia"]
    assert find_box(tracks[2], b"mdia", b"minf", b"stbl", b"stts") == b"old"
    assert MovieIndex(content, {}).end_s == 0.0


def test_what_is_only_for_fragments_goes_and_what_users_said_stays_beside_the_chapters() -> None:
    content = moov(
        trak(), make_box(b"mvex", b"-"), make_box(b"udta", make_box(b"name", b"title")), make_box(b"else", b"kept")
    )
    movie = MovieIndex(content, {1: samples(50)})
    assert [kind for kind, _ in child_boxes(index(movie))] == [b"mvhd", b"trak", b"else", b"udta"]
    assert list(child_boxes(find_box(index(movie), b"udta"))) == [(b"name", b"title")]
    told = index(movie, [(0, "Sambutan"), (1500, "Penutup")])
    assert find_box(told, b"udta", b"name") == b"title"
    entries = struct.pack(">QB", 0, 8) + b"Sambutan" + struct.pack(">QB", 15_000_000, 7) + b"Penutup"
    assert find_box(told, b"udta", b"chpl") == b"\1\0\0\0" + bytes(4) + b"\2" + entries
    assert b"udta" not in dict(child_boxes(index(MovieIndex(moov(trak()), {1: samples(50)}))))


@pytest.mark.parametrize(("dates", "kept"), [((7, 8), (7, 8)), ((LARGEST_32, LARGEST_32 + 1), (LARGEST_32, 0))])
def test_the_chapters_are_the_next_track_with_the_dates_of_the_movie(
    dates: tuple[int, int], kept: tuple[int, int]
) -> None:
    head = b"\1\0\0\7" + struct.pack(">QQIQI", *dates, SCALE, 9, 77)
    content = b"".join([*make_box(b"mvhd", head), *trak(number=4)])
    told = index(MovieIndex(content, {4: samples(50)}), [(0, "Sambutan")])
    assert struct.unpack(">I", find_box(told, b"mvhd")[-4:]) == (6,), "the next one after it"
    *_, (_, added) = (entry for entry in child_boxes(told) if entry[0] == b"trak")
    assert struct.unpack_from(">3I", find_box(added, b"tkhd"), 4) == (*kept, 5)


def test_of_many_chapters_255_are_there_and_a_long_title_is_cut_between_two_letters() -> None:
    movie = MovieIndex(moov(trak()), {1: samples(50)})
    told = find_box(index(movie, [(0, "é" * 200)] + [(n, "") for n in range(1, 300)]), b"udta", b"chpl")
    assert told[8] == 255
    assert told[17] == 254
    assert told[18 : 18 + 254].decode() == "é" * 127
    assert len(told) == 9 + 254 + 255 * 9


TITLES = [(0.0, TITLE), (0.5, "Sambutan 🎓"), (1.25, "Tanya jawab " * 30)]


def traks(path: Path) -> Iterator[bytes]:
    moov = next(content for kind, content in child_boxes(path.read_bytes()) if kind == b"moov")
    yield from (content for kind, content in child_boxes(moov) if kind == b"trak")


@pytest.fixture
def marked(path: Path) -> Path:
    finished(path, MARKS)
    return path


def test_ffmpeg_shows_them_by_the_track_alone_and_by_the_list_alone(marked: Path) -> None:
    content = marked.read_bytes()
    cut = [(at, title.encode()[:MOST_NERO_BYTES].decode()) for at, title in TITLES]
    for without, titles in ((b"none", TITLES), (b"chpl", TITLES), (b"chap", cut)):
        marked.write_bytes(content.replace(without, b"skip"))
        assert chapters(marked) == titles


def test_they_end_with_the_recording_and_cost_neither_picture_nor_sound(marked: Path, fragmented: Path) -> None:
    media.decodes_cleanly(marked)
    plain = marked.with_name("plain.mp4")
    plain.write_bytes(fragmented.read_bytes())
    finished(plain)
    assert (told(marked), decoded(marked)) == (told(plain), decoded(plain))
    assert chapters(plain) == []
    shown = json.loads(media.run("ffprobe", "-v", "error", "-show_chapters", "-show_format", "-of", "json", marked))
    assert float(shown["chapters"][-1]["end_time"]) == pytest.approx(float(shown["format"]["duration"]), abs=0.002)


def test_the_track_is_the_one_that_ffmpeg_writes(marked: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.mp4"
    media.run("ffmpeg", "-v", "error", "-i", marked, "-map", "0:v", "-map", "0:a", "-c", "copy", theirs)
    assert chapters(theirs) == chapters(marked)
    (*media_tracks, our_texts), (*_, their_texts) = traks(marked), traks(theirs)
    for path in ((b"mdia", b"hdlr"), (b"mdia", b"minf", b"gmhd"), (b"mdia", b"minf", b"dinf")):
        assert find_box(our_texts, *path) == find_box(their_texts, *path), path
    table = b"mdia", b"minf", b"stbl"
    for name in (b"stts", b"stsz"):
        assert find_box(our_texts, *table, name) == find_box(their_texts, *table, name), name
    ours, other = (find_box(texts, *table, b"stsd")[12:] for texts in (our_texts, their_texts))
    assert other.startswith(ours), "FFmpeg adds a bit rate"
    ours, other = (find_box(texts, b"tkhd") for texts in (our_texts, their_texts))
    assert (len(ours), ours[:4], ours[24:]) == (len(other), other[:4], other[24:])
    assert {find_box(trak, b"tref", b"chap") for trak in media_tracks} == {ours[12:16]}, "every track refers to it"


def test_more_than_nero_can_list_are_all_in_the_track(path: Path) -> None:
    many = tuple(Mark(at=AT + timedelta(seconds=n), media_s=n / 200, text=f"Slide {n}") for n in range(300))
    finished(path, many)
    assert [title for _, title in chapters(path)] == [mark.text for mark in many]
