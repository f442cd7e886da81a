"""The sources that were chosen for a session, and its requirements."""

from dataclasses import dataclass, field
from fractions import Fraction

from capture.source import AudioSource, VideoSource
from capture.worker import Supervision
from config.errors import UsageError
from devices.model import Device


@dataclass(frozen=True, slots=True)
class SourceRequirements:
    """The profile's demands: at most so many pixels and frames a second; channels of sound."""

    width: int
    height: int
    rate: Fraction
    channels: int


@dataclass(frozen=True, slots=True)
class ChosenSource[Source]:
    """One source, its name for people, whether it ends by itself, and its device, if it has one.

    `word` means this very source when it is chosen again. One with a `supervision` may go and come back.
    """

    name: str
    source: Source
    word: str
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
