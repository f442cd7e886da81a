"""Chapters for the slides of a recording, each with an image and its text, which tesseract reads."""

import csv
import functools
import io
import os
import subprocess
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from itertools import groupby, islice
from pathlib import Path

from config.events import Event
from config.files import json_number
from config.locale.lookup import text as words_of
from recorder.disk.durable import DurableFiles
from recorder.features.slides.detector import Slide, SlideDetector, slide_jpeg, slide_sample
from recorder.model.eventlog import recorder_runs
from recorder.model.names import one_line, shortened
from recorder.model.session_faults import AWAY_KINDS
from recorder.package.keyframes import Advance, keyframes, keyframes_at
from recorder.package.metadata import SLIDES_FOLDER, Chapter, MediaFile, SlideOptions, SlidesView
from recorder.package.work_folder import program_files

TESSERACT = "tesseract"
SLIDE_DEADLINE_S = 20.0  # deadline for one slide
_LONGEST_TEXT = 4000  # characters kept of a slide
_LONGEST_TITLE = 120
_SURE = 40.0  # least confidence of 100: below, words are mostly dirt
_LIMITS = ("prlimit", "--as=2000000000", "nice", "-n", "15")  # limits of the child, since a session may run beside it


@functools.cache
def installed_languages(program: str = TESSERACT) -> frozenset[str]:
    """Return the languages installed, by tesseract's codes; none without tesseract."""
    return frozenset(_output((program, "--list-langs"), 10.0).split())


def _output(words: Sequence[str], timeout_s: float) -> str:
    """Run tesseract and return its output, "" if it is missing, fails or takes longer."""
    variables = os.environ | {"OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(
            words, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_s, env=variables, check=False
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def read_slide(picture: Path, languages: Sequence[str], until_s: float, program: str = TESSERACT) -> tuple[str, str]:
    """Return title and text of the slide in an image file; both are "" on failure or after `until_s` (monotonic)."""
    known = [language for language in languages if language in installed_languages(program)]
    left_s = until_s - time.monotonic()
    if not known or left_s <= 0:
        return "", ""
    words = (*_LIMITS, program, str(picture), "stdout", "-l", "+".join(known), "--psm", "3", "tsv")
    return slide_text(_output(words, min(SLIDE_DEADLINE_S, max(0.1, left_s))))


def slide_text(table: str) -> tuple[str, str]:
    """Return the largest line of the upper half, and all lines, of tesseract's table of words."""
    lines: dict[tuple[int, ...], list[str]] = defaultdict(list)
    heights: dict[tuple[int, ...], int] = {}
    tops: dict[tuple[int, ...], int] = {}
    down = 1
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        try:
            word = one_line(row["text"] or "")
            line = tuple(int(row[name]) for name in ("block_num", "par_num", "line_num"))
            top, height, sure = int(row["top"]), int(row["height"]), float(row["conf"])
        except (KeyError, TypeError, ValueError):
            continue
        if row["level"] == "1":
            down = height
        elif row["level"] == "4":
            heights[line], tops[line] = height, top
        elif word and sure >= _SURE:
            lines[line].append(word)
    texts = {line: " ".join(words) for line, words in lines.items()}
    texts = {line: text for line, text in texts.items() if sum(letter.isalnum() for letter in text) > 1}
    above = [line for line in texts if tops.get(line, down) < down / 2 and len(texts[line]) > 2]
    title = max(above, key=lambda line: heights.get(line, 0), default=None)
    return "" if title is None else shortened(texts[title], _LONGEST_TITLE), "\n".join(texts.values())[:_LONGEST_TEXT]


STEP_S = 2.0  # the interval of looks; keyframes are as far apart, unless the profile differs
FOUND_SHARE = 0.7  # the share of progress when all slides are found; reading follows
MOST_SLIDES = 1000  # most slides of a session: faster changes are no talk with slides


def _spans(wishes: SlideOptions, events: Iterable[Event]) -> list[tuple[float, SlidesView | None]]:
    """Return the places of slides over media time, None for none, from the session's log."""
    spans: list[tuple[float, SlidesView | None]] = []
    for run in recorder_runs(events):
        view, is_away = wishes.views.get(wishes.layout), False
        spans.append((max(run.offset_s, spans[-1][0] if spans else 0.0), view))
        for place, event in enumerate((*run.armed, *run.recording)):
            kind, subject, detail = event.kind, event.subject, event.detail
            if kind == "layout-changed":
                view, at_s = wishes.views.get(subject), detail.get("media_s")
            elif subject in wishes.inputs and kind in AWAY_KINDS and "since_s" in detail:
                is_away, at_s = True, detail.get("since_s")  # a slate with text is no slide
            elif subject in wishes.inputs and kind == "source-returned":
                is_away, at_s = False, detail.get("at_s")
            else:
                continue
            # Before the recording only the last event counts, at its start.
            media_s = 0.0 if place < len(run.armed) else json_number(at_s) or 0.0
            spans.append((max(run.offset_s + media_s, spans[-1][0]), None if is_away else view))
    return spans


@dataclass(eq=False)
class SlideChapters:
    """Finds the slides in media below `root`, and stores their images in SLIDES_FOLDER."""

    root: Path
    wishes: SlideOptions
    language: str
    events: InitVar[Iterable[Event]]
    disk: DurableFiles
    advance: Advance
    _pictures: dict[int, str] = field(default_factory=dict)

    def __post_init__(self, events: Iterable[Event]) -> None:
        self._spans = _spans(self.wishes, events)

    def find(self, media: Sequence[MediaFile]) -> list[Chapter]:
        """Return a chapter for each slide; raises OSError if an image cannot be written."""
        slides = list(islice(self._slides(media), MOST_SLIDES))
        self._keep([slide for slide in slides if not slide.is_back])
        texts = self._texts()
        return [self._chapter(slide, *texts.get(slide.number, ("", ""))) for slide in slides]

    def _slides(self, media: Sequence[MediaFile]) -> Iterator[Slide]:
        """Yield each slide when it ends, from iso files with slides only, else from the program."""
        isolated = [file for file in media if Path(file.file).name.split(".")[0] in self.wishes.isolated[:1]]
        files = isolated or program_files(media)
        changes = SlideDetector(self.wishes.least_s)
        for index, file in enumerate(files):
            path = self.root / file.file
            for keyframe in keyframes(path, STEP_S, end_s=file.duration_s, rough=True):
                at_s = keyframe[0]
                self.advance((index + at_s / max(file.duration_s, 0.1)) / len(files) * FOUND_SHARE)
                where = SlidesView() if isolated else self._view(file.offset_s + at_s)
                seen = slide_sample(keyframe, path, file.offset_s, where) if where else None
                if seen is not None:
                    yield from changes.see(seen)
        yield from changes.end()

    def _view(self, at_s: float) -> SlidesView | None:
        place = bisect_right(self._spans, at_s, key=lambda span: span[0])
        return self._spans[max(0, place - 1)][1]

    def _keep(self, slides: Sequence[Slide]) -> None:
        """Write the images of slides; one that does not decode has none."""
        for file, of_file in groupby(slides, lambda slide: slide.place.file):
            shown = list(of_file)
            for slide, picture in zip(shown, keyframes_at(file, [slide.place.at_s for slide in shown]), strict=False):
                self.advance(FOUND_SHARE)  # hundreds on a slow disk: show that it advances
                if picture is not None:
                    name = f"{SLIDES_FOLDER}/{slide.number:03}.jpg"
                    self.disk.make_folder(self.root / SLIDES_FOLDER)
                    self.disk.write(self.root / name, slide_jpeg(picture, slide.place.area))
                    self._pictures[slide.number] = name
        self._sweep()

    def _sweep(self) -> None:
        """Remove images of an earlier attempt that found more slides."""
        folder = self.root / SLIDES_FOLDER
        for left in folder.glob("*.jpg") if folder.is_dir() else ():
            if left.relative_to(self.root).as_posix() not in self._pictures.values():
                self.disk.unlink(left)

    def _texts(self) -> dict[int, tuple[str, str]]:
        until_s, texts = time.monotonic() + self.wishes.text_s, {}
        for done, (place, name) in enumerate(self._pictures.items()):
            texts[place] = read_slide(self.root / name, self.wishes.languages, until_s)
            self.advance(FOUND_SHARE + (1 - FOUND_SHARE) * done / len(self._pictures))
        return texts

    def _chapter(self, slide: Slide, read: str, text: str) -> Chapter:
        title = read or words_of("slides", "slide", self.language, number=slide.number)
        return Chapter(
            start_s=round(slide.start_s, 3),
            title=words_of("slides", "again", self.language, title=title) if slide.is_back else title,
            source="slide",
            text=text,
            thumbnail=self._pictures.get(slide.number),
        )
