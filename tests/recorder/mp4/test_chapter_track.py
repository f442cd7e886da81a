"""Chapters are there for players that read QuickTime's track of them, and for those that read Nero's list.

FFmpeg writes and reads both.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from recorder.model.marks import Mark
from recorder.mp4.boxes import child_boxes, find_box
from recorder.mp4.movie import MOST_NERO_BYTES
from tests.recorder.mp4.finishing import AT, MARKS, finished
from tests.support import media
from tests.support.muxed import TITLE, decoded, told

TITLES = [(0.0, TITLE), (0.5, "Sambutan 🎓"), (1.25, "Tanya jawab " * 30)]


def chapters(path: Path) -> list[tuple[float, str]]:
    """Return what ffprobe shows: where each chapter begins, and its title."""
    shown = json.loads(media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", path))["chapters"]
    return [(float(each["start_time"]), each["tags"]["title"]) for each in shown]


def traks(path: Path) -> Iterator[bytes]:
    moov = next(content for kind, content in child_boxes(path.read_bytes()) if kind == b"moov")
    yield from (content for kind, content in child_boxes(moov) if kind == b"trak")


@pytest.fixture
def marked(fragmented: Path, tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    path.write_bytes(fragmented.read_bytes())
    finished(path, MARKS)
    return path


@pytest.mark.parametrize(
    ("without", "titles"),
    [
        (b"", TITLES),
        (b"chpl", TITLES),
        (b"chap", [(at, title.encode()[:MOST_NERO_BYTES].decode()) for at, title in TITLES]),
    ],
)
def test_ffmpeg_shows_them_by_the_track_alone_and_by_the_list_alone(
    marked: Path, without: bytes, titles: list[tuple[float, str]]
) -> None:
    if without:
        marked.write_bytes(marked.read_bytes().replace(without, b"skip"))
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


def test_more_than_nero_can_list_are_all_in_the_track(fragmented: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(fragmented.read_bytes())
    many = tuple(Mark(at=AT + timedelta(seconds=n), media_s=n / 200, text=f"Slide {n}") for n in range(300))
    finished(path, many)
    assert [title for _, title in chapters(path)] == [mark.text for mark in many]
