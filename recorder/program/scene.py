"""The program's frames: inputs in a layout, slates for missing inputs, or a card."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av

from capture.compose.canvas import Overlay
from capture.compose.cards import draw_card, draw_logo, draw_slate, draw_title_line
from capture.compose.compositor import Compositor, PlacedPicture
from capture.compose.layout import Layout, Rect
from capture.cpu_stages import CpuStage
from capture.source import Size, VideoFormat
from capture.sources.worker import OutageKind, SourceOutage
from config.errors import UsageError
from config.locale.lookup import ProgramCard, picture_text
from config.settings.layouts import LayoutSettings, ProgramSettings, Shape
from config.settings.value_kinds import did_you_mean
from devices.model.device import DeviceKind
from recorder.program.timeline import RunContext
from recorder.program.video_input import VideoInput

type OfferPreview = Callable[[str, av.VideoFrame], object]
"""Takes a preview frame by its input's name, or PROGRAM; True if wanted."""

PROGRAM = "program"


def check_layout(name: str, layouts: Mapping[str, LayoutSettings], inputs: Sequence[str]) -> Layout | None:
    """Return the layout called `name`, None for a card. Raises UsageError if `inputs` cannot fill it."""
    if name in layouts:
        layout = Layout(name, layouts[name])
        layout.shown(inputs)
        return layout
    if name in set(ProgramCard):
        return None
    known = [*layouts, *ProgramCard]
    raise UsageError(
        f'there is no layout "{name}"{did_you_mean(name, known)}', hint=f"there are {', '.join(known)}", why="layout"
    )


@dataclass(frozen=True, slots=True)
class Appearance:
    """Layouts, overlays, title and language of a session's frames."""

    layouts: Mapping[str, LayoutSettings]
    program: ProgramSettings
    title: str
    language: str


class SceneView:
    """One way to show the inputs: a layout, or a card."""

    def __init__(self, name: str, layout: Layout | None, shown: frozenset[str], card: av.VideoFrame | None) -> None:
        self.name = name
        self.shown = shown
        self.card = card
        self._layout = layout
        self._places: tuple[tuple[object, ...], dict[str, Rect]] | None = None

    def places(self, size: Shape, inputs: Sequence[str], shapes: Mapping[str, Shape]) -> dict[str, Rect]:
        """Return the rectangle of each shown input; computed again only after a change of shapes."""
        if self._layout is None:
            return {}
        key = tuple(shapes.items())
        if self._places is None or self._places[0] != key:
            self._places = key, self._layout.places(*size, inputs, shapes)
        return self._places[1]


class SceneInput(Protocol):
    """An input of a stage, such as a VideoInput. The stage sets `within`, the size on screen."""

    name: str
    within: Size | None

    @property
    def picture(self) -> av.VideoFrame | None:
        """The current frame, None before the first."""

    @property
    def version(self) -> int:
        """Counts the changes of `picture`."""

    @property
    def outage(self) -> SourceOutage | None:
        """Why a slate stands for it; None while it gives frames."""


class SceneRenderer:
    """Draws layouts, slates, cards and overlays; for one thread."""

    def __init__(self, inputs: Sequence[SceneInput], form: VideoFormat, appearance: Appearance) -> None:
        self.form = form
        self._inputs = inputs
        self._names = [one.name for one in inputs]
        self._appearance = appearance
        self._overlays = tuple(self._make_overlays(appearance.program))
        self._slates: dict[str, tuple[tuple[OutageKind, Shape], av.VideoFrame]] = {}  # newest slate of each input
        self._compositor = Compositor(form.width, form.height, form.matrix)
        self.version = 0  # counts the changes of the drawn frame
        self._pieces: Sequence[PlacedPicture] = ()

    def _make_overlays(self, program: ProgramSettings) -> Sequence[Overlay]:
        width, height, matrix = self.form.width, self.form.height, self.form.matrix
        overlays = []
        if program.title_line:
            overlays.append(draw_title_line(width, height, text=self._appearance.title, matrix=matrix))
        if isinstance(program.logo, Path):
            corner, size = program.logo_corner, program.logo_size
            overlays.append(draw_logo(program.logo, width, height, corner=corner, size=size, matrix=matrix))
        return overlays

    def slate(self, name: str, kind: OutageKind, size: Shape) -> av.VideoFrame:
        """Return the input's slate of `size`; cached, since it may stay for hours."""
        kept = self._slates.get(name)
        if kept is None or kept[0] != (kind, size):
            reason = picture_text(kind, self._appearance.language)
            shown = picture_text(name, self._appearance.language) if name == DeviceKind.CAMERA else name
            picture = draw_slate(*size, name=shown, reason=reason, matrix=self.form.matrix)
            kept = self._slates[name] = (kind, size), picture
        return kept[1]

    def view(self, name: str) -> SceneView:
        """Return the layout or card called `name`; raises UsageError if the inputs cannot fill it."""
        form, look = self.form, self._appearance
        layout = check_layout(name, look.layouts, self._names)
        if layout is not None:
            return SceneView(name, layout, frozenset(layout.shown(self._names)), None)
        words = picture_text(ProgramCard(name), look.language)
        card = draw_card(form.width, form.height, title=words, line=look.title, matrix=form.matrix)
        return SceneView(name, None, frozenset(), card)

    def show(self, view: SceneView) -> av.VideoFrame | None:
        """Draw `view`; the frame is valid until the next call but one. None before any input gave a frame."""
        size = self.form.width, self.form.height
        if view.card is not None:
            self._count_change([PlacedPicture(Rect(0, 0, *size), view.card)])
            return view.card
        shapes = {
            one.name: (one.picture.width, one.picture.height)
            for one in self._inputs
            if one.picture is not None and one.outage is None
        }
        places = view.places(size, self._names, shapes)
        if not any(name in shapes for name in places) and not any(one.outage for one in self._inputs):
            return None  # no frame came yet, or none could be decoded
        by_name = dict(zip(self._names, self._inputs, strict=True))
        for name, rect in places.items():
            by_name[name].within = None if rect.size == size else rect.size
        pieces = [self._piece(by_name[name], rect) for name, rect in places.items()]
        self._count_change(pieces)
        return self._compositor.compose(pieces, self._overlays)

    def _count_change(self, pieces: Sequence[PlacedPicture]) -> None:
        """Count a change unless `pieces` are the same frames in the same places."""
        if pieces != self._pieces:
            self.version += 1
            self._pieces = pieces

    def _piece(self, one: SceneInput, rect: Rect) -> PlacedPicture:
        outage = one.outage  # read once: another thread sets a conference's
        if outage is not None:
            return PlacedPicture(rect, self.slate(one.name, outage.kind, rect.size))
        return PlacedPicture(rect, one.picture, one.version)


class Scene:
    """The inputs of a program and its view. For the video track's thread; `switch` is thread-safe."""

    def __init__(
        self, inputs: Sequence[VideoInput], stage: SceneRenderer, layout: str, *, run: RunContext, offer: OfferPreview
    ) -> None:
        self._inputs = inputs
        self._timeline = run.timeline
        self._offer = offer
        self._stage = stage
        self._show = run.timing(CpuStage.COMPOSE, self._stage.show)
        self._view = stage.view(layout)
        self._switching = threading.Lock()
        self._next: SceneView | None = None

    @property
    def rate(self) -> Fraction:
        """Frames of the program a second."""
        return self._stage.form.rate

    @property
    def layout(self) -> str:
        """The layout of the next frame."""
        return (self._next or self._view).name

    @property
    def shows_card(self) -> bool:
        return self.layout in set(ProgramCard)

    def switch(self, name: str) -> None:
        """Show the layout or card called `name` from the next frame on. Raises UsageError; thread-safe."""
        view = self._stage.view(name)
        with self._switching:
            self._next = view

    @property
    def driver(self) -> VideoInput:
        """The input that sets the program's times: the first shown one without an outage, else the first."""
        with self._switching:
            if self._next is not None:
                self._view, self._next = self._next, None
                for one in self._inputs:
                    one.within = None
        shown = [one for one in self._inputs if one.name in self._view.shown] or self._inputs
        return next((one for one in shown if one.outage is None), shown[0])

    @property
    def version(self) -> int:
        """Counts the changes of the frame that `picture` returns."""
        return self._stage.version

    def begin(self) -> None:
        """Start the patience with all inputs, and report the missing ones."""
        for one in self._inputs:
            one.start_patience()
        self.check_outages(0)

    def excuse(self, stood_ns: int) -> None:
        """Extend the patience with all inputs by `stood_ns`: nobody looked at them."""
        for one in self._inputs:
            one.excuse(stood_ns)

    def check_outages(self, at_ns: int, fresh: VideoInput | None = None) -> None:
        """Find missing inputs at `at_ns` of program time; the `fresh` one just gave a frame."""
        for one in self._inputs:
            if one is not fresh:
                one.check_outage(at_ns)

    def picture(self, at_ns: int, driver: VideoInput, *, is_fresh: bool = False) -> av.VideoFrame | None:
        """Return the frame at `at_ns` of program time, valid until the next call but one; None before any."""
        for one in self._inputs:
            if one is not driver:
                is_shown = one.is_tapped or one.name in self._view.shown
                one.take_newest(self._timeline.zero_ns + at_ns, at_ns, is_shown=is_shown)
        self.check_outages(at_ns, driver if is_fresh else None)
        picture = self._show(self._view)
        if picture is not None:
            self._offer(PROGRAM, picture)
        return picture
