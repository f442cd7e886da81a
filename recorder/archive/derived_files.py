"""Makes derived files while a recording is sealed: chapters, overviews, the report.

None of them is needed: a failure is noted in `metadata/derived.json`, and sealing continues. Files of an interrupted
attempt are used, or made again.
"""

import shutil
from collections.abc import Callable, Iterable

import msgspec

from config.files import json_text
from devices.host import threads
from devices.host.priority import ensure_niceness
from recorder.disk.durable import TEMPORARY_FILES, DurableFiles
from recorder.model import names
from recorder.model.eventlog import read_event_lines
from recorder.model.marks import Mark
from recorder.package.fixity import Progress
from recorder.package.metadata import Chapter, Recording
from recorder.package.seal_options import SLIDES_FOLDER, DerivedRecord, SealOptions, SlideOptions
from recorder.package.work_folder import DERIVED_FILE, LEVELS_FILE, WorkFolder

CHAPTERS_SHARE = 0.5  # shares of the progress of sealing
OVERVIEW_SHARE = 0.6
_NICE = 10


def chapters_of_marks(marks: Iterable[Mark]) -> tuple[Chapter, ...]:
    """Return marks as chapters."""
    return sorted_chapters(Chapter(start_s=mark.media_s, title=mark.text, source="mark") for mark in marks)


def sorted_chapters(chapters: Iterable[Chapter]) -> tuple[Chapter, ...]:
    """Return chapters sorted by start."""
    return tuple(sorted(chapters, key=lambda chapter: chapter.start_s))


def progress_part(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """Return a Progress for a piece of work from `begin` to `end` (0 to 1) of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(round((begin + (end - begin) * done / max(1, total)) * total), total)


class DerivedFiles:
    """Makes the derived files that `wishes` ask for, in a work folder."""

    def __init__(self, work: WorkFolder, wishes: SealOptions, disk: DurableFiles, progress: Progress | None) -> None:
        self._work = work
        self._wishes = wishes
        self._disk = disk
        self._progress = progress
        self._problems: list[str] = []

    def with_chapters(self, recording: Recording) -> Recording:
        """Return the description with a chapter for each slide beside its marks."""
        wishes = self._wishes.slides
        if wishes is None or self._has_slides(recording):
            return recording
        slides = self._try("chapters", lambda: self._slides(recording, wishes))
        if slides is None:
            shutil.rmtree(self._work.path / SLIDES_FOLDER, ignore_errors=True)  # images without chapters
        marks = [chapter for chapter in recording.chapters if chapter.source != "slide"]
        return msgspec.structs.replace(recording, chapters=sorted_chapters([*marks, *(slides or ())]))

    def overview(self, recording: Recording) -> None:
        """Write the thumbnails sheet and the sound levels for the report."""
        if self._wishes.report is None:
            return
        self._try("thumbnails", lambda: self._sheet(recording))
        self._try("levels", lambda: self._levels(recording))

    def report(self, recording: Recording) -> None:
        """Write the report and `derived.json`. The payload manifest must exist, the tag manifest must not."""
        wishes = self._wishes.report
        if wishes is not None:
            from recorder.features.report.page import write_report

            name, language = names.session_in_name(self._work.name), self._wishes.language
            reason = self._try("report", lambda: write_report(self._work.path, name, wishes, language, self._disk))
            if reason:
                self._problems.append(f"report.pdf: {reason}")
        slides = [chapter for chapter in recording.chapters if chapter.source == "slide"]
        derived = DerivedRecord(
            slides=len(slides),
            slides_read=sum(bool(chapter.text) for chapter in slides),
            language=self._wishes.language,
            report=wishes,
            problems=tuple(map(names.one_line, self._problems)),
        )
        self._disk.write(self._work.path / DERIVED_FILE, json_text(derived))

    def _has_slides(self, recording: Recording) -> bool:
        slides = [chapter for chapter in recording.chapters if chapter.source == "slide"]
        pictures = {chapter.thumbnail for chapter in slides}
        return bool(slides) and all(picture and (self._work.path / picture).is_file() for picture in pictures)

    def _slides(self, recording: Recording, wishes: SlideOptions) -> list[Chapter]:
        from recorder.features.slides.chapters import SlideChapters

        found = SlideChapters(
            self._work.path,
            wishes,
            self._wishes.language,
            events=read_event_lines(self._work.events),
            disk=self._disk,
            advance=self._advance(recording, 0.0, CHAPTERS_SHARE),
        )
        return found.find(recording.media)

    def _sheet(self, recording: Recording) -> None:
        from recorder.features.report.thumbnails import SHEET_FILE, thumbnails_sheet

        advance = self._advance(recording, CHAPTERS_SHARE, CHAPTERS_SHARE + 0.05)
        sheet = thumbnails_sheet(self._work.path, recording.media, advance)
        if sheet is not None:
            self._disk.write(self._work.path / SHEET_FILE, sheet)

    def _levels(self, recording: Recording) -> None:
        from recorder.features.report.material import read_levels

        advance = self._advance(recording, CHAPTERS_SHARE + 0.05, OVERVIEW_SHARE)
        levels = read_levels(self._work.path, recording.media, advance)
        if levels is not None:
            self._disk.write(self._work.path / LEVELS_FILE, msgspec.json.encode(levels) + b"\n")

    def _advance(self, recording: Recording, begin: float, end: float) -> Callable[[float], None]:
        total = sum(media.bytes for media in recording.media)
        progress = progress_part(self._progress, begin, end)
        return lambda done: progress(round(min(1.0, done) * total), total) if progress else None

    def _try[Made](self, what: str, make: Callable[[], Made]) -> Made | None:
        """Run `make` on a thread of low priority; return None, with a problem noted, if it fails."""
        made: list[Made] = []

        def run() -> None:
            ensure_niceness(_NICE)
            try:
                made.append(make())
            except Exception as error:  # any failure: the recording must be sealed
                self._problems.append(f"{what}: {error!r}")

        threads.start_thread(run, name=f"derive-{what}").join()
        if made:
            return made[0]
        for half in self._work.path.rglob(TEMPORARY_FILES):
            half.unlink(missing_ok=True)
        return None
