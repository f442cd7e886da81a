"""What is decided of a conference before its session begins: mostly, what comes from the far side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from capture.choice import Chosen, ChosenSource
from capture.sound.virtual import source_name
from config.conference import Conference
from config.errors import UsageError
from config.program import LayoutSettings
from recorder.conference.layout import near_layouts
from recorder.scene import check_layout

_SCREEN = "screen"
_MAY_BE_FAR = (_SCREEN, ".monitor")
"""Parts of the names of inputs that often show, or play, what the far side does."""


@dataclass(frozen=True, slots=True)
class ConferencePlan:
    """A conference beside a session: its settings, and the names of the inputs that come from the far side."""

    settings: Conference
    far_pictures: frozenset[str] = frozenset()
    far_sounds: frozenset[str] = frozenset()


def plan_conference(settings: Conference, layouts: Mapping[str, LayoutSettings], chosen: Chosen) -> ConferencePlan:
    """Decide which of the chosen sources come from the far side; adds to `chosen.notes` what people should know.

    Raises UsageError for a layout that there is not, and for a source that is the conference's own output.
    """
    _refuse_own_output(settings, chosen)
    words = {word.lower() for word in settings.far_side}
    plan = ConferencePlan(
        settings,
        frozenset(one.name for one in chosen.pictures if words & set(_words(one))),
        frozenset(one.name for one in chosen.sounds if words & set(_words(one))),
    )
    known = {word for one in (*chosen.pictures, *chosen.sounds) for word in _words(one)}
    chosen.notes += [
        f"Conference: far_side names {word}, which is no input of this session"
        for word in settings.far_side
        if word.lower() not in known
    ]
    if not words:
        chosen.notes += [
            f"Conference: {one.name} goes there too; if it is what the far side shows or says, name it in far_side"
            for one in (*chosen.pictures, *chosen.sounds)
            if any(part in word for part in _MAY_BE_FAR for word in _words(one))
        ]
    if settings.layout:
        names = [one.name for one in chosen.pictures]
        near = [name for name in names if name not in plan.far_pictures]
        known_layouts = near_layouts(layouts, names, plan.far_pictures)
        if near or settings.layout not in layouts:
            check_layout(settings.layout, known_layouts if settings.layout in known_layouts else layouts, near)
    return plan


def _words[Source](one: ChosenSource[Source]) -> Iterator[str]:
    """Give all that an input may be called by, in small letters."""
    yield one.name.lower()
    yield one.word.lower()
    if one.word.lower().startswith(_SCREEN):  # whatever part of which it is
        yield _SCREEN
    if one.device:
        yield from (word.lower() for word in (one.device.id, one.device.role, one.device.name) if word)


def _refuse_own_output(settings: Conference, chosen: Chosen) -> None:
    camera, sink = settings.camera.lower(), settings.microphone.lower()
    own = {f"pulse:{name}" for name in (source_name(sink), f"{sink}.monitor")}
    cameras: Sequence[str] = [one.name for one in chosen.pictures if camera and camera in set(_words(one))]
    sounds: Sequence[str] = [one.name for one in chosen.sounds if own & set(_words(one))]
    if name := next(iter([*cameras, *sounds]), None):
        raise UsageError(
            f"{name} is where the conference goes to: it would be sent what it sends",
            hint="name another source with --video or --audio",
        )
