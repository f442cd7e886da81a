"""The plan of a conference before its session: mostly, which inputs belong to the far side."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from capture.compose.layout import Layout
from capture.sound.virtual import source_name
from capture.sources.source_kind import ChosenSource, ChosenSources
from config.errors import UsageError
from config.settings.layouts import SINGLE, LayoutSettings
from config.settings.schema import ConferenceSettings
from recorder.program.scene import check_layout

_SCREEN, _MONITOR = "screen", ".monitor"  # the word for a screen, and the end of the id of a sound server's output


@dataclass(frozen=True, slots=True)
class ConferencePlan:
    """A conference beside a session: its settings and the names of the far side's inputs."""

    settings: ConferenceSettings
    far_pictures: frozenset[str] = frozenset()
    far_sounds: frozenset[str] = frozenset()


def plan_conference(
    settings: ConferenceSettings, layouts: Mapping[str, LayoutSettings], chosen: ChosenSources
) -> ConferencePlan:
    """Decide which chosen sources belong to the far side; adds notes for people to `chosen.notes`.

    Raises UsageError for an unknown layout, and for a source that is the conference's own output.
    """
    _refuse_own_output(settings, chosen)
    plan = ConferencePlan(
        settings,
        frozenset(one.name for one in chosen.pictures if _is_far(settings, one)),
        frozenset(one.name for one in chosen.sounds if _is_far(settings, one)),
    )
    chosen.notes += _notes(settings, chosen)
    if settings.layout:
        names = [one.name for one in chosen.pictures]
        near = [name for name in names if name not in plan.far_pictures]
        known_layouts = near_layouts(layouts, names, plan.far_pictures)
        if near or settings.layout not in layouts:
            check_layout(settings.layout, known_layouts if settings.layout in known_layouts else layouts, near)
    return plan


def near_layouts(
    layouts: Mapping[str, LayoutSettings], inputs: Sequence[str], far: Collection[str]
) -> dict[str, LayoutSettings]:
    """Return `layouts` for the inputs that are not `far`; `single` is always among them.

    The place of a far input goes to the next near one. A layout that names an unknown input is left out.
    """
    near = {SINGLE: LayoutSettings(kind=SINGLE)}
    for name, settings in layouts.items():
        try:
            named = Layout(name, settings).named(inputs)
        except UsageError:
            continue
        near[name] = msgspec.structs.replace(settings, show=tuple(one for one in named if one not in far))
    return near


def _is_far[Source](settings: ConferenceSettings, one: ChosenSource[Source]) -> bool:
    """Return whether an input belongs to the far side: named so, or possibly so and not named as near."""
    may_be = _is_screen(one) or any(word.endswith(_MONITOR) for word in _words(one))  # its window, or this PC's output
    return _is_named(settings.far_side, one) or (may_be and not _is_named(settings.near_side, one))


def _is_named[Source](names: Sequence[str], one: ChosenSource[Source]) -> bool:
    return not {name.lower() for name in names}.isdisjoint(_words(one))


def _notes(settings: ConferenceSettings, chosen: ChosenSources) -> Iterator[str]:
    """Yield notes for people: unknown names, and inputs held back by Liput's own decision."""
    inputs = (*chosen.pictures, *chosen.sounds)
    known = {word for one in inputs for word in _words(one)}
    for setting, names in (("far_side", settings.far_side), ("near_side", settings.near_side)):
        for name in names:
            if name.lower() not in known:
                yield f"Conference: {setting} names {name}, which is no input of this session"
    for one in inputs:
        if _is_far(settings, one) and not _is_named(settings.far_side, one):
            name = _SCREEN if _is_screen(one) else one.word
            hint = f'near_side = ["{name}"] in [conference] sends it'
            yield f"Conference: {one.name} is not sent there, since it may be the far side; {hint}"


def _is_screen[Source](one: ChosenSource[Source]) -> bool:
    return one.device is None and one.word.lower().startswith(_SCREEN)


def _words[Source](one: ChosenSource[Source]) -> Iterator[str]:
    """Yield all names of an input, in lower case."""
    yield one.name.lower()
    yield one.word.lower()
    if _is_screen(one):  # with or without a part of the screen
        yield _SCREEN
    if one.device:
        yield from (word.lower() for word in (one.device.id, one.device.role, one.device.name) if word)


def _refuse_own_output(settings: ConferenceSettings, chosen: ChosenSources) -> None:
    camera, sink = settings.camera.lower(), settings.microphone.lower()
    own = {f"pulse:{name}" for name in (source_name(sink), f"{sink}.monitor")}
    cameras: Sequence[str] = [one.name for one in chosen.pictures if camera and camera in set(_words(one))]
    sounds: Sequence[str] = [one.name for one in chosen.sounds if own & set(_words(one))]
    if name := next(iter([*cameras, *sounds]), None):
        raise UsageError(
            f"{name} is the conference's own output; as a source it would loop",
            hint="name another source with --video or --audio",
        )
