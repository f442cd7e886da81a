"""Kinds of sources that a word means by their name, a module of capture/sources each."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from capture.chosen import ChosenSource, SourceRequirements
from capture.pacing import Pace
from capture.source import AudioSource, VideoSource
from capture.source_names import source_name
from config.errors import UsageError
from devices.host.clock import Clock

if TYPE_CHECKING:
    from capture.locator import Listing
    from capture.watch.watcher import Watcher


@dataclass(frozen=True, slots=True)
class SourceContext:
    """The session's demands on every source, and its services for them.

    `pace` is for those without a clock of their own, `stop` is set when the session ends. Where it is not `live`, it
    runs as fast as it goes. With `allow_missing` it begins without what was named and is not there yet; with `isolate`
    pictures that can be stored as they come are preferred. `listing` is asked where a lost device is, often.
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
    """KIND of a module of capture/sources: the sources that a word means by the module's name.

    `picture` and `sound` make them of the word, None where there are none of that sort; they raise a DeviceError or a
    UsageError. A picture comes with its sound, where nobody names another. `name` tells what people call the source,
    without opening anything, and raises the same errors; `nothing_follows` will do for most.
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
    kind = import_module(f"capture.sources.{name}").KIND
    if not isinstance(kind, SourceKind):
        raise TypeError(f"capture.sources.{name}.KIND is no SourceKind")
    return kind
