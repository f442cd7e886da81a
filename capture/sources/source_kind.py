"""The contract of source kinds (one module each in capture/sources/kinds), and the sources chosen for a session."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING

from capture.pacing import Pace
from capture.source import AudioSource, VideoSource
from capture.sources.source_kind_names import source_name
from capture.sources.worker import DeviceSupervision
from config.errors import UsageError
from devices.host.clock import Clock
from devices.model.device import Device

if TYPE_CHECKING:
    from capture.detectors.detector_factory import DetectorFactory
    from capture.sources.locator import DeviceListing


@dataclass(frozen=True, slots=True)
class SourceRequirements:
    """The profile's demands: maximum size and rate, audio channels."""

    width: int
    height: int
    rate: Fraction
    channels: int


@dataclass(frozen=True, slots=True)
class ChosenSource[Source]:
    """A source with its name; `word` selects it again. With a `supervision` its device may go and come back."""

    name: str
    source: Source
    word: str = ""
    ends: bool = False
    device: Device | None = None
    supervision: DeviceSupervision | None = None


@dataclass(slots=True)
class ChosenSources:
    """The sources of a session with unique names, and notes for the operator."""

    pictures: list[ChosenSource[VideoSource]] = field(default_factory=list)
    sounds: list[ChosenSource[AudioSource]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    known: list[Device] = field(default_factory=list)  # its devices that were there at some time

    @property
    def devices(self) -> list[Device]:
        """Its devices, video first."""
        chosen = [picture.device for picture in self.pictures] + [sound.device for sound in self.sounds]
        return [device for device in chosen if device is not None]


def refuse_fast(device: Device, *, live: bool) -> None:
    """Raise UsageError for a device in a session that does not run in real time."""
    if not live:
        raise UsageError(
            f"{device.name} cannot run at full speed", hint="--pace fast is for files and synthetic sources"
        )


@dataclass(frozen=True, slots=True)
class SourceContext:
    """The session's demands on all sources, and its services for them.

    `pace` is for sources without a clock; `stop` ends the session. Without `live` it runs as fast as possible. With
    `allow_missing` it starts without a missing device. `isolate` prefers payloads that can be stored unchanged.
    `listing` lists devices, often, to find a lost one.
    """

    requirements: SourceRequirements
    pace: Pace
    clock: Clock
    stop: threading.Event
    live: bool
    watcher: "DetectorFactory"
    allow_missing: bool = False
    isolate: bool = False
    listing: "DeviceListing | None" = None


@dataclass(frozen=True, slots=True)
class SourceKind:
    """The value KIND of a module in capture/sources/kinds, for words that begin with the module's name.

    `picture` and `sound` make the sources of a word; None if the kind has none. They raise a DeviceError or a
    UsageError. The audio of a picture is recorded with it, unless another is named. `name` returns the name for people
    and opens nothing; `nothing_follows` suits most.
    """

    picture: Callable[[str, SourceContext], ChosenSource[VideoSource]] | None = None
    sound: Callable[[str, SourceContext], ChosenSource[AudioSource]] | None = None
    name: Callable[[str], str] = str


def nothing_follows(word: str) -> str:
    """Return `word` if it is a kind's name alone; raises UsageError if something follows."""
    name = source_name(word)
    if word != name:
        raise UsageError(f'nothing can follow "{name}"', hint=f'write "{name}" alone')
    return word


def source_kind(word: str | None) -> SourceKind | None:
    """Return the kind for `word`, None for a file or a device."""
    name = source_name(word) if word else None
    if name is None:
        return None
    kind = import_module(f"capture.sources.kinds.{name}").KIND
    if not isinstance(kind, SourceKind):
        raise TypeError(f"capture.sources.kinds.{name}.KIND is no SourceKind")
    return kind
