"""Finds the slides of a recording while it is sealed. Slides of an interrupted attempt are used."""

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from config.errors import UsageError
from config.settings.layouts import LayoutSettings
from config.settings.schema import Settings
from recorder.archive.seal_step import PlannedProgram, Seal, SealStep
from recorder.model.eventlog import read_events, read_log
from recorder.package.metadata import (
    SLIDES_FOLDER,
    Chapter,
    FrameArea,
    Recording,
    SealOptions,
    SlideOptions,
    SlidesView,
    sorted_chapters,
)

if TYPE_CHECKING:
    from capture.compose.layout import Rect

_SHARE_END = 0.5  # of the progress of sealing
_ACROSS, _DOWN = 1920, 1080  # size for the areas of slides, in a slide's shape


class SlidesStep(SealStep):
    """Adds a chapter for each slide, with its image."""

    def plan(self, options: SealOptions, settings: Settings, program: PlannedProgram) -> SealOptions:
        """Return `options` with the inputs that show slides, and their place in each layout."""
        wanted = settings.slides
        names = {name.lower() for name in wanted.inputs}
        inputs = [name for name in program.pictures if name.lower() in names]
        if not wanted.chapters or not inputs:
            return options
        slides = SlideOptions(
            inputs=tuple(inputs),
            isolated=tuple(program.iso_files[name] for name in inputs if name in program.iso_files),
            layout=program.layout,
            views=_views(settings.layouts, program.pictures, inputs[0]),
            least_s=wanted.least_s,
            languages=wanted.languages if wanted.text else (),
            text_s=wanted.text_s,
        )
        return msgspec.structs.replace(options, slides=slides)

    def describe(self, seal: Seal, recording: Recording) -> Recording:
        """Return the description with a chapter for each slide beside its marks."""
        options = seal.options.slides
        if options is None:
            return recording
        pictures = {chapter.thumbnail for chapter in recording.chapters if chapter.source == "slide"}
        if pictures and all(picture and (seal.work.path / picture).is_file() for picture in pictures):
            return recording  # of an interrupted attempt
        slides = seal.attempt("chapters", lambda: _slides(seal, recording, options))
        if slides is None:
            shutil.rmtree(seal.work.path / SLIDES_FOLDER, ignore_errors=True)  # images without chapters
        marks = [chapter for chapter in recording.chapters if chapter.source != "slide"]
        return msgspec.structs.replace(recording, chapters=sorted_chapters([*marks, *(slides or ())]))


def _views(layouts: Mapping[str, LayoutSettings], pictures: Sequence[str], slides: str) -> dict[str, SlidesView]:
    from capture.compose.layout import Layout, letterbox

    found = {}
    for name, settings in layouts.items():
        try:
            places = Layout(name, settings).places(_ACROSS, _DOWN, pictures)
        except UsageError:  # it names an input that this session lacks
            continue
        if slides not in places:
            continue
        rects = list(places.values())
        shown = letterbox(_ACROSS, _DOWN, places[slides])
        above = (rect.common(shown) for rect in rects[list(places).index(slides) + 1 :])
        found[name] = SlidesView(area=_area(shown), covered=tuple(_area(rect) for rect in above if rect))
    return found


def _area(rect: "Rect") -> FrameArea:
    return FrameArea(x=rect.x / _ACROSS, y=rect.y / _DOWN, width=rect.width / _ACROSS, height=rect.height / _DOWN)


def _slides(seal: Seal, recording: Recording, options: SlideOptions) -> list[Chapter]:
    from recorder.features.slides.chapters import SlideChapters

    events, advance = read_events(read_log(seal.work.events)), seal.advance(recording, 0.0, _SHARE_END)
    found = SlideChapters(seal.work.path, options, seal.options.language, events, seal.disk, advance)
    return found.find(recording.media)


STEP = SlidesStep()
