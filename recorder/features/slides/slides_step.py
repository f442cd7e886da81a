"""Finds the slides of a recording while it is sealed. Slides of an interrupted attempt are used."""

import shutil

import msgspec

from recorder.archive.seal_step import Seal, SealStep
from recorder.model.eventlog import read_event_lines
from recorder.package.metadata import SLIDES_FOLDER, Chapter, Recording, SlideOptions, sorted_chapters
from recorder.package.work_folder import WorkFolder

_SHARE_END = 0.5  # of the progress of sealing


class SlidesStep(SealStep):
    """Adds a chapter for each slide, with its image."""

    def describe(self, seal: Seal, recording: Recording) -> Recording:
        """Return the description with a chapter for each slide beside its marks."""
        options = seal.options.slides
        if options is None or _has_slides(seal.work, recording):
            return recording
        slides = seal.attempt("chapters", lambda: _slides(seal, recording, options))
        if slides is None:
            shutil.rmtree(seal.work.path / SLIDES_FOLDER, ignore_errors=True)  # images without chapters
        marks = [chapter for chapter in recording.chapters if chapter.source != "slide"]
        return msgspec.structs.replace(recording, chapters=sorted_chapters([*marks, *(slides or ())]))


def _has_slides(work: WorkFolder, recording: Recording) -> bool:
    slides = [chapter for chapter in recording.chapters if chapter.source == "slide"]
    pictures = {chapter.thumbnail for chapter in slides}
    return bool(slides) and all(picture and (work.path / picture).is_file() for picture in pictures)


def _slides(seal: Seal, recording: Recording, options: SlideOptions) -> list[Chapter]:
    from recorder.features.slides.chapters import SlideChapters

    events, advance = read_event_lines(seal.work.events), seal.advance(recording, 0.0, _SHARE_END)
    found = SlideChapters(seal.work.path, options, seal.options.language, events, seal.disk, advance)
    return found.find(recording.media)


STEP = SlidesStep()
