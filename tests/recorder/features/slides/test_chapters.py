"""Slides of recordings: which become chapters, when, and which do not."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from PIL import Image, ImageDraw

from config.events import Event
from recorder.disk.durable import DurableFiles
from recorder.features.slides.chapters import STEP_S, SlideChapters, installed_languages, read_slide, slide_text
from recorder.features.slides.detector import Slide, SlideDetector, slide_sample
from recorder.package.media import probe_media
from recorder.package.metadata import Chapter, FrameArea, SlideOptions, SlidesView
from tests.support.reports import event
from tests.support.slides import DECK, HEIGHT, WIDTH, Picture, deck, fade, moving, noisy, record, slide, still

pytestmark = pytest.mark.computing

WHOLE = SlideOptions(layout="single", views={"single": SlidesView()})
LATE_S = 4.0
"""A change is found at the keyframe after it."""
CORNER = (920, 490, 1240, 670)


def shown(*talk: tuple[Picture, float]) -> list[Picture]:
    """Return the keyframes of pictures that each stand for so many seconds."""
    return [picture for picture, seconds in talk for _ in range(round(seconds / STEP_S))]


def titled(title: str, *points: str, template: bool = True) -> Picture:
    return np.asarray(slide(title, points, template=template))


def slides_of(keyframes: Sequence[Picture]) -> list[Slide]:
    detector, found = SlideDetector(WHOLE.least_s), list[Slide]()
    for number, picture in enumerate(keyframes):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        if sample := slide_sample((number * STEP_S, frame), Path("program.mp4"), 0.0, SlidesView()):
            found += detector.see(sample)
    return found + detector.end()


def with_pointer(x: int, y: int) -> Picture:
    image = Image.fromarray(deck(1))
    arrow = [(x, y), (x, y + 20), (x + 5, y + 15), (x + 13, y + 14)]
    ImageDraw.Draw(image).polygon(arrow, fill="white", outline="black")
    return np.asarray(image)


POINTERS = ((60, 300), (300, 100), (300, 230), (150, 225), (130, 90), (60, 300))


@pytest.mark.parametrize(
    ("talk", "starts"),
    [
        pytest.param(lambda: noisy(shown((deck(1), 12), (deck(3), 12))), [0, 12], id="noise of a capture card"),
        pytest.param(
            lambda: [*shown((deck(1), 10)), *moving((0, 0, WIDTH, HEIGHT), shown((deck(1), 16))), deck(1), deck(1)],
            [0],
            id="a film over all",
        ),
        pytest.param(lambda: moving(CORNER, shown((deck(1), 20), (deck(2), 14))), [0, 20], id="a speaker in a corner"),
        pytest.param(lambda: shown(*((with_pointer(*at), 10) for at in POINTERS)), [0], id="a pointer"),
        pytest.param(
            lambda: shown(*((titled(f"Sisa waktu 04:{59 - second:02}"), STEP_S) for second in range(0, 40, 2))),
            [0],
            id="a clock with seconds",
        ),
        pytest.param(
            lambda: [*shown((deck(1), 10)), *fade(deck(1), deck(2), 1), *shown((deck(2), 10))], [0, 12], id="a fade"
        ),
        pytest.param(
            lambda: shown((deck(1), 10), (deck(2), 2), (deck(3), 2), (deck(4), 12)), [0, 14], id="leafed through"
        ),
        pytest.param(
            lambda: shown(*((titled(f"Bagian {number}"), s) for number, s in ((1, 10), (2, 2), (3, 2), (8, 12)))),
            [0, 14],
            id="one digit that is leafed through",
        ),
        pytest.param(
            lambda: shown((titled("Pembukaan", template=False), 10), (titled("Tanya jawab", template=False), 10)),
            [0, 10],
            id="titles without a template",
        ),
        pytest.param(lambda: shown((deck(1) * 0, 8), (deck(1), 10), (deck(1) * 0, 8), (deck(1), 8)), [8], id="black"),
    ],
)
def test_a_slide_begins_where_another_stands(talk: Callable[[], Sequence[Picture]], starts: list[float]) -> None:
    assert [found.start_s for found in slides_of(talk())] == pytest.approx(starts, abs=LATE_S)


def test_a_film_on_a_slide_is_no_change() -> None:
    film = moving((200, 200, 1080, 640), shown((deck(2), 24)))
    found = slides_of([*shown((deck(1), 8)), *film, *shown((deck(3), 10))])
    assert len(found) in (2, 3), "the slide that has the film may be one"
    assert found[-1].start_s == pytest.approx(32, abs=LATE_S)


def test_points_that_come_one_by_one_are_one_slide_and_its_picture_has_them_all() -> None:
    points = ("Pelatihan petugas", "Pengadaan peralatan", "Evaluasi", "Penutup")
    built = ((titled("Rencana", *points[:count]), 6.0) for count in range(5))
    first, _ = slides_of(shown(*built, (deck(2), 8)))
    assert 24 <= first.place.at_s < 30


@pytest.mark.parametrize(
    ("title", "point", "digits"),
    [
        ("Hasil Survei Tahun {}", "Kepuasan naik", (2026, 2027, 2028)),
        ("Hasil Survei", "Sebanyak {} responden", (412, 413, 473)),
    ],
)
def test_one_digit_makes_a_slide_of_its_own(title: str, point: str, digits: tuple[int, int, int]) -> None:
    talk = shown(*((titled(title.format(digit), point.format(digit)), 12) for digit in (*digits, digits[0])))
    found = slides_of(noisy(talk))
    assert [each.start_s for each in found] == pytest.approx([0, 12, 24, 36], abs=LATE_S)
    assert [(each.number, each.is_back) for each in found] == [(1, False), (2, False), (3, False), (1, True)]


def test_a_slide_is_known_again_beside_a_speaker_who_never_stands_still() -> None:
    found = slides_of(moving(CORNER, shown((deck(1), 12), (deck(2), 12), (deck(1), 12))))
    assert [each.number for each in found] == [1, 2, 1]


# Recordings


def chapters(
    folder: Path,
    pictures: Sequence[Picture],
    wishes: SlideOptions = WHOLE,
    events: Sequence[Event] = (),
    name: str = "program.mp4",
    crf: int = 23,
) -> list[Chapter]:
    path = folder / "data" / "media" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    record(path, pictures, crf=crf)
    told: list[float] = []
    found = SlideChapters(folder, wishes, "id", events=events, disk=DurableFiles(), advance=told.append)
    result = found.find([probe_media(path, f"data/media/{name}")])
    assert told == sorted(told)
    assert all(0 <= done <= 1 for done in told)
    return result


def starts(found: Sequence[Chapter]) -> list[float]:
    return [chapter.start_s for chapter in found]


def small(number: int, seconds: float) -> list[Picture]:
    return still(deck(number)[::4, ::4], seconds)


def test_each_slide_is_a_chapter_with_its_picture_and_one_that_comes_back_is_known_again(tmp_path: Path) -> None:
    left = tmp_path / "data/slides"
    left.mkdir(parents=True)
    (left / "001.jpg").write_bytes(b"half")
    (left / "077.jpg").write_bytes(b"of an attempt that found more")
    found = chapters(tmp_path, [picture for number in (1, 2, 1) for picture in small(number, 11)])
    assert starts(found) == pytest.approx([0, 11, 22], abs=LATE_S)
    assert [chapter.title for chapter in found] == ["Salindia 1", "Salindia 2", "Salindia 1 (kembali)"]
    assert [chapter.thumbnail for chapter in found] == [f"data/slides/00{number}.jpg" for number in (1, 2, 1)]
    assert {path.name for path in left.iterdir()} == {"001.jpg", "002.jpg"}
    with Image.open(left / "002.jpg") as picture:
        assert picture.size == (320, 180)
        reference = Image.fromarray(deck(2)[::4, ::4]).convert("L").resize((64, 36))
        seen = picture.convert("L").resize((64, 36))
        apart = [abs(a - b) for a, b in zip(seen.tobytes(), reference.tobytes(), strict=True)]
        assert max(apart) < 24, "its own picture, in its own brightness"


def test_what_compression_leaves_is_no_change_and_one_digit_is_one(tmp_path: Path) -> None:
    pictures = [still(titled("Hasil Survei", f"Sebanyak {count} responden"), 12) for count in (412, 413)]
    assert len(chapters(tmp_path, noisy(pictures[0] + pictures[1]), crf=38)) == 2


def test_no_chapter_is_shorter_than_is_set(tmp_path: Path) -> None:
    pictures = [picture for number in (1, 2, 3) for picture in small(number, 9)]
    assert starts(chapters(tmp_path, pictures, msgspec.structs.replace(WHOLE, least_s=20.0))) == [0]


BESIDE = SlideOptions(
    inputs=("slides",),
    layout="speaker-slides",
    views={"speaker-slides": SlidesView(area=FrameArea(x=0, y=94 / 720, width=948 / 1280, height=532 / 720))},
)


def beside(picture: Picture, seconds: float) -> list[Picture]:
    """Return the program as it shows slides on the left, and something else beside them."""
    program = picture * 0
    program[94 : 94 + 532, 0:948] = np.asarray(Image.fromarray(picture).resize((948, 532)))
    return still(program[::2, ::2], seconds)


def test_only_where_the_layout_shows_slides_is_looked(tmp_path: Path) -> None:
    pictures = moving((480, 100, 640, 250), [*beside(deck(1), 12), *beside(deck(2), 12)])
    assert starts(chapters(tmp_path, pictures, BESIDE)) == [0, pytest.approx(12, abs=LATE_S)]
    with Image.open(tmp_path / "data/slides/001.jpg") as picture:
        assert picture.size == (474, 266), "the slide, not the program"


@pytest.mark.parametrize(
    ("between", "events"),
    [
        pytest.param(
            lambda: still(deck(4)[::2, ::2], 12),
            [
                event(1, "layout-changed", "single", media_s=12.0),
                event(2, "layout-changed", "speaker-slides", media_s=24.0),
            ],
            id="another layout",
        ),
        pytest.param(
            lambda: beside(titled("Terputus - menunggu dipasang kembali", template=False), 12),
            [
                event(1, "source-lost", "slides", hint=""),
                event(2, "source-missing", "slides", since_s=12.0, reason="lost"),
                event(3, "source-returned", "slides", at_s=24.0),
            ],
            id="a slate",
        ),
    ],
)
def test_elsewhere_are_no_slides(tmp_path: Path, between: Callable[[], list[Picture]], events: Sequence[Event]) -> None:
    pictures = [*beside(deck(1), 12), *between(), *beside(deck(1), 12)]
    assert starts(chapters(tmp_path, pictures, BESIDE, events)) == [0]


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(
            [
                event(1, "source-missing", "slides", since_s=2.0, reason="lost"),
                event(2, "source-returned", "slides", at_s=22.0),
                event(3, "session-live", "Rapat"),
            ],
            id="while armed",
        ),
        pytest.param(
            [
                event(1, "session-live", "Rapat"),
                event(2, "source-missing", "slides", since_s=8.0, reason="lost"),
                event(3, "layout-changed", "single", media_s=9.0),
                event(4, "session-resumed", "x", offset_s=11.0, missing_s=1.0),
                event(5, "session-live", "Rapat"),
            ],
            id="before a kill",
        ),
    ],
)
def test_what_was_missing_before_counts_no_more_afterwards(tmp_path: Path, events: Sequence[Event]) -> None:
    pictures = [*beside(deck(1), 12), *beside(deck(2), 12)]
    assert starts(chapters(tmp_path, pictures, BESIDE, events)) == [0, pytest.approx(12, abs=LATE_S)]


def test_a_file_that_holds_slides_only_is_looked_at_instead_of_the_program(tmp_path: Path) -> None:
    wishes = SlideOptions(isolated=("slides",), layout="single")
    assert len(chapters(tmp_path, [*small(1, 10), *small(2, 10)], wishes, name="slides.mkv")) == 2


def test_a_file_that_cannot_be_read_has_no_slides(tmp_path: Path) -> None:
    path = tmp_path / "program.mp4"
    path.write_bytes(b"not media" * 500)
    found = SlideChapters(tmp_path, WHOLE, "id", events=(), disk=DurableFiles(), advance=lambda _done: None)
    assert found.find([probe_media(path, "program.mp4")]) == []


# Text, read by the real tesseract

NOTHING = "", ""


@pytest.fixture(autouse=True)
def _any_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    # It runs idle, and waits for all other programs.
    monkeypatch.setattr("recorder.features.slides.chapters.SLIDE_DEADLINE_S", 240.0)


def read(picture: Path, languages: Sequence[str] = ("ind", "eng"), seconds: float = 99, **more: str) -> tuple[str, str]:
    return read_slide(picture, languages, time.monotonic() + seconds, **more)


def test_what_stands_on_a_slide_is_read(tmp_path: Path) -> None:
    title, points = DECK[0]
    slide(title, points).save(tmp_path / "001.jpg", quality=80)
    found, text = read(tmp_path / "001.jpg")
    assert found == title
    assert all(point in text for point in points)
    slide("").save(tmp_path / "001.jpg")
    assert read(tmp_path / "001.jpg")[0] == "", "its foot is no title"


def test_languages_that_are_not_installed_are_left_out(tmp_path: Path) -> None:
    slide(*DECK[3]).save(tmp_path / "001.jpg")
    assert "eng" in installed_languages()
    assert read(tmp_path / "001.jpg", ("xyz", "eng"))[0] == DECK[3][0]
    assert read(tmp_path / "001.jpg", ("xyz",)) == NOTHING


def test_without_tesseract_or_time_nothing_is_read_and_nothing_fails(tmp_path: Path) -> None:
    slide(*DECK[0]).save(tmp_path / "001.jpg")
    assert read(tmp_path / "001.jpg", program="tesseract-that-is-not-there") == NOTHING
    assert read(tmp_path / "001.jpg", seconds=0) == NOTHING


@pytest.mark.parametrize(("ends", "seconds"), [("exec sleep 60", 0.5), ("echo rubbish; exit 1", 60)])
def test_a_reader_that_hangs_or_fails_reads_nothing(tmp_path: Path, ends: str, seconds: float) -> None:
    program = tmp_path / "tesseract"
    program.write_text(f'#!/bin/sh\nif [ "$1" = --list-langs ]; then echo eng; else {ends}; fi\n')
    program.chmod(0o700)
    began = time.monotonic()
    assert read(tmp_path / "001.jpg", ("eng",), seconds, program=str(program)) == NOTHING
    assert time.monotonic() - began < 50


def test_a_table_that_is_none_has_no_text() -> None:
    assert slide_text("") == slide_text("level\ttext\nx\ty\n5") == NOTHING
