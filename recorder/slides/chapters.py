"""The chapters of a recording: its slides, each with a picture and what stands on it, and what somebody marked."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from config.files import number
from config.locale.lookup import text as words_of
from recorder.archive.disk import Disk
from recorder.archive.model import Chapter, MediaFile
from recorder.archive.runs import Line, runs
from recorder.archive.wishes import SLIDES_FOLDER, SlidesView, SlideWishes
from recorder.archive.work import program_files
from recorder.slides.changes import Changes, Slide
from recorder.slides.keyframes import keyframes, pictures_at
from recorder.slides.reading import Reader, SlideText
from recorder.slides.sights import Place, sight, slide_jpeg
from recorder.troubles import AWAY_KINDS


class Spans:
    """The parts of a program in each of which slides are seen in one place, or nowhere."""

    def __init__(self, wishes: SlideWishes, lines: Iterable[Line]) -> None:
        """`lines` are those of the session's log."""
        self._wishes = wishes
        self._spans: list[tuple[float, SlidesView | None]] = []
        for run in runs(lines):
            self._view = wishes.views.get(wishes.layout)
            self._is_away = False
            self._offset_s = run.offset_s
            for line in run.armed:  # what holds when it begins to record; its times lie before that
                self._follow(line)
            self._begin(0.0)
            for line in run.recording:
                if (media_s := self._follow(line)) is not None:
                    self._begin(media_s)

    def view(self, at_s: float) -> SlidesView | None:
        """Return where slides are at `at_s` of media time; None where none are seen."""
        place = bisect_right(self._spans, at_s, key=lambda span: span[0])
        return self._spans[max(0, place - 1)][1]

    def _follow(self, line: Line) -> float | None:
        """Take note of a line; return since when slides are seen elsewhere, or nowhere, if it tells of that."""
        kind, subject, detail = str(line.get("kind")), str(line.get("subject")), line["detail"]
        if kind == "layout-changed":
            self._view = self._wishes.views.get(subject)
            return number(detail.get("media_s")) or 0.0
        if subject in self._wishes.inputs and kind in AWAY_KINDS and "since_s" in detail:
            self._is_away = True  # a slate with a sentence is no slide
            return number(detail.get("since_s")) or 0.0
        if subject in self._wishes.inputs and kind == "source-returned":
            self._is_away = False
            return number(detail.get("at_s")) or 0.0
        return None

    def _begin(self, media_s: float) -> None:
        last_s = self._spans[-1][0] if self._spans else 0.0
        self._spans.append((max(self._offset_s + media_s, last_s), None if self._is_away else self._view))


STEP_S = 2.0
"""How often is looked; keyframes are as far apart, unless the profile says otherwise."""
FOUND = 0.7
"""How much is done once all are found; then they are read."""
MOST = 1000
"""Slides of a session, at most: what changes more often is no talk with slides."""

type Advance = Callable[[float], None]
"""Called with how much of a piece of work is done, from 0 to 1."""
type View = Callable[[float], SlidesView | None]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A slide that was shown, without the copy of it: there may be a thousand."""

    start_s: float
    number: int
    place: Place
    is_back: bool


class SlideChapters:
    """Finds the slides of a session's media below `root`, and keeps their pictures in SLIDES_FOLDER."""

    def __init__(
        self,
        root: Path,
        wishes: SlideWishes,
        language: str,
        *,
        events: Iterable[Mapping[str, Any]],
        disk: Disk,
        advance: Advance,
    ) -> None:
        self._root = root
        self._wishes = wishes
        self._language = language
        self._spans = Spans(wishes, events)
        self._disk = disk
        self._advance = advance
        self._pictures: dict[int, str] = {}

    def find(self, media: Sequence[MediaFile]) -> list[Chapter]:
        """Return a chapter for each slide; raises OSError where the disk does not take its picture."""
        slides = [
            _Shown(slide.start_s, slide.number, slide.best.place, is_back=slide.is_back)
            for slide in islice(self._slides(media), MOST)
        ]
        self._keep([slide for slide in slides if not slide.is_back])
        texts = self._texts()
        return [self._chapter(slide, texts.get(slide.number, SlideText())) for slide in slides]

    def _slides(self, media: Sequence[MediaFile]) -> Iterator[Slide[Place]]:
        """Give each slide of the files that hold slides only, or else of the program, when it has ended."""
        files = self._isolated(media)
        view: View = _whole
        if not files:
            files = program_files(media)
            view = self._spans.view
        changes = Changes[Place](self._wishes.least_s)
        for index, file in enumerate(files):
            path = self._root / file.file
            for keyframe in keyframes(path, STEP_S, end_s=file.duration_s, rough=True):
                self._advance((index + keyframe.at_s / max(file.duration_s, 0.1)) / len(files) * FOUND)
                at_s = file.offset_s + keyframe.at_s
                where = view(at_s)
                seen = sight(keyframe, path, file.offset_s, where) if where else None
                if seen is not None:
                    yield from changes.see(seen)
        yield from changes.end()

    def _isolated(self, media: Sequence[MediaFile]) -> list[MediaFile]:
        stems = self._wishes.isolated[:1]
        return [file for file in media if Path(file.file).name.split(".")[0] in stems]

    def _keep(self, slides: Sequence[_Shown]) -> None:
        """Write the pictures of slides; one that does not decode any more has none."""
        for file, of_file in groupby(slides, lambda slide: slide.place.file):
            shown = list(of_file)
            pictures = pictures_at(file, [slide.place.at_s for slide in shown])
            for slide, picture in zip(shown, pictures, strict=False):
                self._advance(FOUND)  # hundreds, on a slow disk: it gets on
                if picture is not None:
                    self._write(slide.number, slide_jpeg(picture, slide.place.area))
        self._sweep()

    def _write(self, number: int, picture: bytes) -> None:
        name = f"{SLIDES_FOLDER}/{number:03}.jpg"
        self._disk.make_folder(self._root / SLIDES_FOLDER)
        self._disk.write(self._root / name, picture)
        self._pictures[number] = name

    def _sweep(self) -> None:
        """Remove the pictures of an earlier attempt that found more."""
        folder = self._root / SLIDES_FOLDER
        for left in folder.glob("*.jpg") if folder.is_dir() else ():
            if left.relative_to(self._root).as_posix() not in self._pictures.values():
                self._disk.unlink(left)

    def _texts(self) -> dict[int, SlideText]:
        reader = Reader(self._wishes.languages, self._wishes.text_s)
        texts = {}
        for done, (place, name) in enumerate(self._pictures.items()):
            texts[place] = reader.read(self._root / name)
            self._advance(FOUND + (1 - FOUND) * done / len(self._pictures))
        return texts

    def _chapter(self, slide: _Shown, text: SlideText) -> Chapter:
        title = text.title or words_of("slides", "slide", self._language, number=slide.number)
        return Chapter(
            start_s=round(slide.start_s, 3),
            title=words_of("slides", "again", self._language, title=title) if slide.is_back else title,
            source="slide",
            text=text.text,
            thumbnail=self._pictures.get(slide.number),
        )


def _whole(_at_s: float) -> SlidesView:
    return SlidesView()
