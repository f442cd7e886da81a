"""Slides of recordings as they come: which become chapters, when, and which do not."""

import stat
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from config.events import Event
from recorder.disk.durable import DurableFiles
from recorder.features.slides.chapters import FOUND_SHARE, SlideChapters, installed_languages, read_slide, slide_text
from recorder.package.media import probe_media
from recorder.package.metadata import Chapter, FrameArea, SlideOptions, SlidesView
from tests.support.reports import event
from tests.support.slides import DECK, HEIGHT, WIDTH, Picture, deck, fade, moving, noisy, record, slide, still

pytestmark = pytest.mark.computing

WHOLE = SlideOptions(layout="single", views={"single": SlidesView()})
LATE_S = 4.0
"""A change is found at the keyframe after it."""


def chapters(
    folder: Path,
    pictures: Sequence[Picture],
    wishes: SlideOptions = WHOLE,
    events: Sequence[Event] = (),
    *,
    name: str = "program.mp4",
    crf: int = 23,
) -> list[Chapter]:
    path = folder / "data" / "media" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    record(path, pictures, crf=crf)
    told: list[float] = []
    found = SlideChapters(folder, wishes, "id", events=events, disk=DurableFiles(), advance=told.append)
    media = [probe_media(path, f"data/media/{name}")]
    result = found.find(media)
    assert told == sorted(told)
    assert all(0 <= done <= 1 for done in told)
    written = {chapter.thumbnail for chapter in result if chapter.thumbnail}
    assert told.count(FOUND_SHARE) >= len(written), "hundreds take minutes on a slow disk: each says that it gets on"
    return result


def starts(found: Sequence[Chapter]) -> list[float]:
    return [chapter.start_s for chapter in found]


def test_each_slide_is_a_chapter_with_its_picture(tmp_path: Path) -> None:
    found = chapters(tmp_path, [picture for number in (1, 2, 3) for picture in still(deck(number), 11)])
    assert starts(found) == [pytest.approx(0), pytest.approx(11, abs=LATE_S), pytest.approx(22, abs=LATE_S)]
    assert [chapter.title for chapter in found] == ["Salindia 1", "Salindia 2", "Salindia 3"]
    assert [chapter.thumbnail for chapter in found] == [f"data/slides/00{number}.jpg" for number in (1, 2, 3)]
    with Image.open(tmp_path / "data/slides/002.jpg") as picture:
        assert picture.size == (WIDTH, HEIGHT)
        reference = Image.fromarray(deck(2)).convert("L").resize((64, 36))
        seen = picture.convert("L").resize((64, 36))
        apart = [abs(a - b) for a, b in zip(seen.tobytes(), reference.tobytes(), strict=True)]
        assert max(apart) < 24, "its own picture, in its own brightness"


@pytest.mark.parametrize("crf", [18, 38])
def test_what_compression_and_a_grabber_leave_is_no_change(tmp_path: Path, crf: int) -> None:
    pictures = noisy([*still(deck(1), 12), *still(deck(3), 12)])
    assert len(chapters(tmp_path, pictures, crf=crf)) == 2


def test_a_film_on_a_slide_is_no_change(tmp_path: Path) -> None:
    pictures = [*still(deck(1), 8), *moving((200, 200, 1080, 640), still(deck(2), 24)), *still(deck(3), 10)]
    found = chapters(tmp_path, pictures)
    assert len(found) in (2, 3), "the slide that has the film may be one"
    assert starts(found)[-1] == pytest.approx(32, abs=LATE_S)


def test_a_film_over_all_is_no_change_and_the_slide_before_it_goes_on(tmp_path: Path) -> None:
    pictures = [*still(deck(1), 10), *moving((0, 0, WIDTH, HEIGHT), still(deck(1), 16)), *still(deck(1), 10)]
    assert starts(chapters(tmp_path, pictures)) == [0]


def test_a_speaker_in_a_corner_is_no_change(tmp_path: Path) -> None:
    pictures = moving((920, 490, 1240, 670), [*still(deck(1), 20), *still(deck(2), 14)])
    found = chapters(tmp_path, pictures)
    assert starts(found) == [0, pytest.approx(20, abs=LATE_S)]


def test_a_pointer_is_no_change(tmp_path: Path) -> None:
    pictures = []
    for number, picture in enumerate(still(deck(1), 24)):
        copy = picture.copy()
        x, y = 60 + number * 9, 300 + number // 10 * 20
        copy[y : y + 28, x : x + 18] = 0
        pictures.append(copy)
    assert starts(chapters(tmp_path, pictures)) == [0]


def test_points_that_come_one_by_one_are_one_slide_and_its_picture_has_them_all(tmp_path: Path) -> None:
    title, points = "Rencana Tindak Lanjut", ("Pelatihan petugas", "Pengadaan peralatan", "Evaluasi", "Penutup")
    built = [slide(title, points[:count]) for count in range(len(points) + 1)]
    pictures = [picture for image in built for picture in still(_array(image), 6)] + still(deck(2), 8)
    found = chapters(tmp_path, pictures)
    assert len(found) == 2
    with Image.open(tmp_path / "data/slides/001.jpg") as picture:
        below = picture.convert("L").crop((100, 480, 700, 530))  # where the last point stands
        assert min(below.tobytes()) < 90


def _array(image: Image.Image) -> Picture:
    import numpy as np

    return np.asarray(image)


def test_a_fade_is_one_change(tmp_path: Path) -> None:
    pictures = [*still(deck(1), 10), *fade(deck(1), deck(2), 4), *still(deck(2), 10)]
    assert len(chapters(tmp_path, pictures)) == 2


def test_what_is_leafed_through_is_no_chapter(tmp_path: Path) -> None:
    pictures = [*still(deck(1), 10), *still(deck(2), 1.2), *still(deck(3), 1.2), *still(deck(4), 12)]
    found = chapters(tmp_path, pictures)
    assert len(found) == 2
    assert all(after - before >= 5 for before, after in zip(starts(found), starts(found)[1:], strict=False))


def test_no_chapter_is_shorter_than_is_set(tmp_path: Path) -> None:
    pictures = [picture for number in (1, 2, 3, 4) for picture in still(deck(number), 9)]
    long = SlideOptions(layout="single", views={"single": SlidesView()}, least_s=20.0)
    assert starts(chapters(tmp_path, pictures, long)) == [0]


def test_a_slide_that_comes_back_is_known_again(tmp_path: Path) -> None:
    pictures = [picture for number in (1, 2, 1) for picture in still(deck(number), 10)]
    found = chapters(tmp_path, pictures)
    assert [chapter.title for chapter in found] == ["Salindia 1", "Salindia 2", "Salindia 1 (kembali)"]
    assert found[2].thumbnail == found[0].thumbnail
    assert len(list((tmp_path / "data/slides").iterdir())) == 2


def test_a_slide_is_known_again_beside_a_speaker_who_never_stands_still(tmp_path: Path) -> None:
    pictures = [picture for number in (1, 2, 1) for picture in still(deck(number), 12)]
    found = chapters(tmp_path, moving((920, 490, 1240, 670), pictures))
    assert [chapter.thumbnail for chapter in found] == [f"data/slides/00{number}.jpg" for number in (1, 2, 1)]


def test_two_titles_without_a_template_are_two_slides(tmp_path: Path) -> None:
    first, second = (_array(slide(title, template=False)) for title in ("Pembukaan", "Tanya jawab"))
    assert len(chapters(tmp_path, [*still(first, 10), *still(second, 10)])) == 2


@pytest.mark.parametrize("crf", [23, 38])
@pytest.mark.parametrize(
    ("titles", "points"),
    [
        (("Hasil Survei Tahun 2026", "Hasil Survei Tahun 2027", "Hasil Survei Tahun 2028"), ("Kepuasan naik",) * 3),
        (("Hasil Survei",) * 3, ("Sebanyak 412 responden", "Sebanyak 413 responden", "Sebanyak 473 responden")),
    ],
)
def test_slides_that_differ_in_one_digit_are_slides_of_their_own(
    tmp_path: Path, titles: Sequence[str], points: Sequence[str], crf: int
) -> None:
    shown = [_array(slide(title, (point,))) for title, point in zip(titles, points, strict=True)]
    found = chapters(tmp_path, noisy([picture for one in (*shown, shown[0]) for picture in still(one, 12)]), crf=crf)
    assert starts(found) == [0, *(pytest.approx(at_s, abs=LATE_S) for at_s in (12, 24, 36))]
    assert [chapter.title for chapter in found] == ["Salindia 1", "Salindia 2", "Salindia 3", "Salindia 1 (kembali)"]


def test_one_digit_that_is_leafed_through_is_no_chapter(tmp_path: Path) -> None:
    shown = [_array(slide(f"Bagian {number}")) for number in (1, 2, 3, 8)]
    pictures = [*still(shown[0], 10), *still(shown[1], 2), *still(shown[2], 2), *still(shown[3], 12)]
    assert starts(chapters(tmp_path, pictures)) == [0, pytest.approx(14, abs=LATE_S)]


def test_a_pointer_that_rests_here_and_there_is_no_change(tmp_path: Path) -> None:
    pictures = []
    for x, y in ((60, 300), (300, 100), (300, 230), (150, 225), (130, 90), (60, 300)):
        image = Image.fromarray(deck(1))
        arrow = [(x, y), (x, y + 20), (x + 5, y + 15), (x + 13, y + 14)]
        ImageDraw.Draw(image).polygon(arrow, fill="white", outline="black")
        pictures += still(_array(image), 10)
    assert starts(chapters(tmp_path, pictures)) == [0]


def test_a_clock_on_a_slide_is_no_change(tmp_path: Path) -> None:
    """It shows seconds; of one that shows minutes each is a slide, as nothing tells it from a page's number."""
    pictures = [_array(slide(f"Sisa waktu 04:{59 - second:02}")) for second in range(40) for _ in range(2)]
    assert starts(chapters(tmp_path, pictures)) == [0]


def test_black_is_no_slide(tmp_path: Path) -> None:
    black = deck(1) * 0
    found = chapters(tmp_path, [*still(black, 8), *still(deck(1), 10), *still(black, 8), *still(deck(1), 8)])
    assert starts(found) == [pytest.approx(8, abs=LATE_S)]


def beside(picture: Picture) -> Picture:
    """Return the program as it shows slides on the left, and something else beside them."""
    program = picture * 0
    small = Image.fromarray(picture).resize((948, 532))
    program[94 : 94 + 532, 0:948] = _array(small)
    return program


BESIDE = SlideOptions(
    inputs=("slides",),
    layout="speaker-slides",
    views={"speaker-slides": SlidesView(area=FrameArea(x=0, y=94 / 720, width=948 / 1280, height=532 / 720))},
)


def test_only_where_the_layout_shows_slides_is_looked(tmp_path: Path) -> None:
    pictures = moving((960, 200, 1280, 500), [beside(picture) for n in (1, 2) for picture in still(deck(n), 12)])
    found = chapters(tmp_path, pictures, BESIDE)
    assert starts(found) == [0, pytest.approx(12, abs=LATE_S)]
    with Image.open(tmp_path / "data/slides/001.jpg") as picture:
        assert picture.size == (948, 532), "the slide, not the program"


def test_while_the_layout_shows_no_slides_there_are_none(tmp_path: Path) -> None:
    pictures = [*still(beside(deck(1)), 12), *still(deck(4), 12), *still(beside(deck(1)), 12)]
    events = [
        event(1, "layout-changed", "single", media_s=12.0),
        event(2, "layout-changed", "speaker-slides", media_s=24.0),
    ]
    assert starts(chapters(tmp_path, pictures, BESIDE, events)) == [0]


def test_a_slate_in_the_place_of_slides_is_none(tmp_path: Path) -> None:
    slate = beside(_array(slide("Terputus - menunggu dipasang kembali", template=False)))
    pictures = [*still(beside(deck(1)), 12), *still(slate, 12), *still(beside(deck(1)), 12)]
    events = [
        event(1, "source-lost", "slides", hint=""),
        event(2, "source-missing", "slides", since_s=12.0, reason="lost"),
        event(3, "source-returned", "slides", at_s=24.0),
    ]
    assert starts(chapters(tmp_path, pictures, BESIDE, events)) == [0]


def test_what_was_told_before_the_recording_began_has_times_of_its_own(tmp_path: Path) -> None:
    """Armed, the slides were missing from 2 s to 22 s, and are there when the recording begins."""
    pictures = [picture for n in (1, 2) for picture in still(beside(deck(n)), 12)]
    events = [
        event(1, "source-missing", "slides", since_s=2.0, reason="lost"),
        event(2, "source-returned", "slides", at_s=22.0),
        event(3, "session-live", "Rapat"),
    ]
    assert starts(chapters(tmp_path, pictures, BESIDE, events)) == [0, pytest.approx(12, abs=LATE_S)]


def test_what_a_recorder_missed_that_was_killed_the_next_one_may_have(tmp_path: Path) -> None:
    pictures = [picture for n in (1, 2) for picture in still(beside(deck(n)), 12)]
    events = [
        event(1, "session-live", "Rapat"),
        event(2, "source-missing", "slides", since_s=8.0, reason="lost"),
        event(3, "layout-changed", "single", media_s=9.0),
        event(4, "session-resumed", "x", offset_s=11.0, missing_s=1.0),
        event(5, "session-live", "Rapat"),
    ]
    assert starts(chapters(tmp_path, pictures, BESIDE, events)) == [0, pytest.approx(12, abs=LATE_S)]


def test_a_file_that_holds_slides_only_is_looked_at_instead_of_the_program(tmp_path: Path) -> None:
    wishes = SlideOptions(isolated=("slides",), layout="single")
    pictures = [*still(deck(1), 10), *still(deck(2), 10)]
    assert len(chapters(tmp_path, pictures, wishes, name="slides.mkv")) == 2


def test_what_an_attempt_that_was_stopped_left_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "slides"
    folder.mkdir(parents=True)
    (folder / "001.jpg").write_bytes(b"half")
    (folder / "077.jpg").write_bytes(b"of an attempt that found more")
    chapters(tmp_path, still(deck(1), 8))
    assert [path.name for path in folder.iterdir()] == ["001.jpg"]
    with Image.open(folder / "001.jpg") as picture:
        picture.load()


def test_a_file_that_cannot_be_read_has_no_slides(tmp_path: Path) -> None:
    path = tmp_path / "program.mp4"
    path.write_bytes(b"not media" * 500)
    found = SlideChapters(tmp_path, WHOLE, "id", events=(), disk=DurableFiles(), advance=lambda _done: None)
    assert found.find([probe_media(path, "program.mp4")]) == []


# Slides that Pillow has drawn, read back by the real tesseract.

LANGUAGES = ("ind", "eng")
NOTHING = "", ""


def read(picture: Path, languages: Sequence[str] = LANGUAGES, seconds: float = 60, **more: str) -> tuple[str, str]:
    return read_slide(picture, languages, time.monotonic() + seconds, **more)


@pytest.mark.parametrize("number", range(len(DECK)))
def test_what_stands_on_a_slide_is_read(tmp_path: Path, number: int) -> None:
    title, points = DECK[number]
    slide(title, points).save(tmp_path / "001.jpg", quality=80)
    found, text = read(tmp_path / "001.jpg")
    assert found == title
    assert all(point in text for point in points)


def test_an_empty_slide_has_no_text(tmp_path: Path) -> None:
    slide("").save(tmp_path / "001.jpg")
    assert read(tmp_path / "001.jpg")[0] == ""


def test_languages_that_are_not_installed_are_left_out(tmp_path: Path) -> None:
    slide(*DECK[3]).save(tmp_path / "001.jpg")
    assert "eng" in installed_languages()
    assert read(tmp_path / "001.jpg", ("xyz", "eng"))[0] == DECK[3][0]
    assert read(tmp_path / "001.jpg", ("xyz",)) == NOTHING


def test_without_tesseract_or_time_nothing_is_read_and_nothing_fails(tmp_path: Path) -> None:
    slide(*DECK[0]).save(tmp_path / "001.jpg")
    assert read(tmp_path / "001.jpg", program="tesseract-that-is-not-there") == NOTHING
    assert read(tmp_path / "001.jpg", seconds=0) == NOTHING


def test_a_reader_that_hangs_is_ended(tmp_path: Path) -> None:
    program = _program(tmp_path, 'if [ "$1" = --list-langs ]; then echo eng; else exec sleep 60; fi')
    began = time.monotonic()
    assert read(tmp_path / "001.jpg", ("eng",), 0.5, program=str(program)) == NOTHING
    assert time.monotonic() - began < 50


def test_a_reader_that_fails_reads_nothing(tmp_path: Path) -> None:
    program = _program(tmp_path, 'if [ "$1" = --list-langs ]; then echo eng; else echo rubbish; exit 1; fi')
    assert read(tmp_path / "001.jpg", ("eng",), program=str(program)) == NOTHING


def test_a_table_that_is_none_has_no_text() -> None:
    assert slide_text("") == NOTHING
    assert slide_text("level\ttext\nx\ty\n5") == NOTHING


def _program(folder: Path, script: str) -> Path:
    path = folder / "tesseract"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
