"""The sources that were chosen for a session, and kinds of them, a module of capture/sources/kinds each."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING

from capture.pacing import Pace
from capture.source import AudioSource, VideoSource
from capture.sources.kind_names import source_name
from capture.sources.worker import Supervision
from config.errors import UsageError
from devices.host.clock import Clock
from devices.model.device import Device

if TYPE_CHECKING:
    from capture.detectors.watcher import Watcher
    from capture.sources.locator import Listing


@dataclass(frozen=True, slots=True)
class SourceRequirements:
    """The profile's demands: at most so many pixels and frames a second; channels of sound."""

    width: int
    height: int
    rate: Fraction
    channels: int


@dataclass(frozen=True, slots=True)
class ChosenSource[Source]:
    """One source with its name; `word` chooses it again. One with a `supervision` may go and come back."""

    name: str
    source: Source
    word: str = ""
    ends: bool = False
    device: Device | None = None
    supervision: Supervision | None = None


@dataclass(slots=True)
class Chosen:
    """The sources of a session, each with a name of its own, and notes for the operator."""

    pictures: list[ChosenSource[VideoSource]] = field(default_factory=list)
    sounds: list[ChosenSource[AudioSource]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    known: list[Device] = field(default_factory=list)
    """Its devices, but for those that were never there."""

    @property
    def devices(self) -> list[Device]:
        """The devices among them, pictures first."""
        chosen = [picture.device for picture in self.pictures] + [sound.device for sound in self.sounds]
        return [device for device in chosen if device is not None]


def refuse_fast(device: Device, *, live: bool) -> None:
    """Raise UsageError for a device in a session that does not run as time passes."""
    if not live:
        raise UsageError(
            f"{device.name} cannot run as fast as it goes", hint="--pace fast is for files and synthetic sources"
        )


@dataclass(frozen=True, slots=True)
class SourceContext:
    """The session's demands on every source, and its services for them.

    `pace` is for sources without a clock; `stop` ends the session. Without `live` it runs as fast as it goes; with
    `allow_missing` it begins without a named device; `isolate` prefers pictures that can be stored as they come.
    `listing` is asked, often, where a lost device is.
    """

    requirements: SourceRequirements
    pace: Pace
    clock: Clock
    stop: threading.Event
    live: bool
    watcher: "Watcher"
    allow_missing: bool = False
    isolate: bool = False
    listing: "Listing | None" = None


@dataclass(frozen=True, slots=True)
class SourceKind:
    """KIND of a module of capture/sources/kinds: the sources that a word means by the module's name.

    `picture` and `sound` make them of the word, None where there are none; they raise a DeviceError or a UsageError. A
    picture comes with its sound, where nobody names another. `name` is for people and opens nothing; `nothing_follows`
    will do for most.
    """

    picture: Callable[[str, SourceContext], ChosenSource[VideoSource]] | None = None
    sound: Callable[[str, SourceContext], ChosenSource[AudioSource]] | None = None
    name: Callable[[str], str] = str


def nothing_follows(word: str) -> str:
    """Return a `word` that is the name of a kind and no more; raises UsageError where something follows it."""
    name = source_name(word)
    if word != name:
        raise UsageError(f'nothing can follow "{name}"', hint=f'"{name}" alone is what there is')
    return word


def source_kind(word: str | None) -> SourceKind | None:
    """Return the kind of source that `word` means by its name, None where it means a file or a device."""
    name = source_name(word) if word else None
    if name is None:
        return None
    kind = import_module(f"capture.sources.kinds.{name}").KIND
    if not isinstance(kind, SourceKind):
        raise TypeError(f"capture.sources.kinds.{name}.KIND is no SourceKind")
    return kind
