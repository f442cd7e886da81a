"""The contract of source kinds (one module each in capture/sources/kinds), and the sources chosen for a session.

A library that blocks is read by a ThreadedVideoSource. `supervised` chooses one that may go and come back.
"""

import threading
from abc import abstractmethod
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from capture.pacing import Pace
from capture.source import AudioSource, Frame, VideoFormat, VideoSource
from capture.sources.source_kind_names import source_name
from capture.sources.source_queue import SourceQueue
from capture.sources.worker import DeviceSupervision, FixedLocator
from config.errors import DeviceError, UsageError
from config.settings.schema import Profile
from devices.host import threads
from devices.host.clock import Clock
from devices.host.deadline import close_within, count_hung_closings
from devices.model.device import Device

if TYPE_CHECKING:
    from capture.detectors.detector_factory import DetectorFactory
    from capture.sources.locator import DeviceListing


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

    `profile` limits size, rate and channels. `pace` is for sources without a clock; `stop` ends the session. Without
    `live` it runs as fast as possible. With `allow_missing` it starts without a missing device. `isolate` prefers
    payloads that can be stored unchanged. `listing` lists devices, often, to find a lost one.
    """

    profile: Profile
    pace: Pace
    clock: Clock
    stop: threading.Event
    live: bool
    watcher: "DetectorFactory"
    allow_missing: bool = False
    isolate: bool = False
    listing: "DeviceListing | None" = None


def supervised(
    source: VideoSource, stand_in: Device, word: str, context: SourceContext, missing: DeviceError | None = None
) -> ChosenSource[VideoSource]:
    """Return a live `source` that reconnects; the kind of `stand_in` sets how long it may stand still.

    It is no device of the session: any number of sessions may record it. Raises UsageError at full speed.
    """
    refuse_fast(stand_in, live=context.live)
    health = context.watcher.video(source, stand_in)
    supervision = DeviceSupervision(FixedLocator(stand_in), health, context.allow_missing, missing)
    return ChosenSource(source.name, source, word, supervision=supervision)


_OPEN_S, _CLOSE_S = 5.0, 0.4
_MAX_QUEUED = 4  # frames are large (8 MB at 1080p), and the worker takes them at once


class ThreadedVideoSource(VideoSource):
    """A source for a library that blocks: a thread of its own opens, reads and closes it.

    `word` selects it; `hint` tells how to mend one that does not answer.
    """

    word: str
    hint = ""
    _reader: "_Reader | None" = None

    @abstractmethod
    def grab(self, opened: Callable[[VideoFormat], object]) -> Generator[Frame]:
        """Open it, call `opened`, and yield each frame; closed after any of them. Raises DeviceError."""

    def open(self) -> VideoFormat:
        """Wait for the format; raises a DeviceError, also while an earlier closing hangs: each keeps a thread."""
        if self.abandoned:
            raise self._silent()
        reader = self._reader = _Reader(self)
        reader.has_tried.wait(_OPEN_S)
        if reader.opened and not reader.error:
            return reader.opened
        self.close()
        raise reader.error or self._silent()

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, None after `timeout_s`; raises the DeviceError after the last."""
        reader = self._reader
        if reader is None:
            raise DeviceError(f"{self.name} is closed", why="lost")
        frame = reader.frames.get(timeout_s)
        if frame is None and reader.error:
            raise reader.error
        return frame

    def close(self) -> None:
        """Release it within half a second; a hung closing goes on on its own thread."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stopped.set()
            close_within(reader.thread.join, _CLOSE_S, self.word)

    @property
    def abandoned(self) -> int:
        """The number of its closings that still hang."""
        return count_hung_closings(self.word)

    def _silent(self) -> DeviceError:
        return DeviceError(f"{self.name} does not answer", hint=self.hint, why="lost")


class _Reader:
    """The thread of a ThreadedVideoSource; starts at once."""

    def __init__(self, source: ThreadedVideoSource) -> None:
        self._source = source
        self.frames: SourceQueue[Frame] = SourceQueue(_MAX_QUEUED)
        self.opened: VideoFormat | None = None
        self.error: DeviceError | None = None
        self.has_tried = threading.Event()
        self.stopped = threading.Event()  # ends the thread after its next frame
        self.thread = threads.start_thread(self._run, name=f"grab {source.word}")

    def _run(self) -> None:
        try:
            with closing(self._source.grab(self._note)) as frames:
                for frame in frames:
                    if self.stopped.is_set():
                        return
                    self.frames.put(frame)
        except DeviceError as error:
            self.error = error
        finally:
            self.has_tried.set()

    def _note(self, opened: VideoFormat) -> None:
        self.opened = opened
        self.has_tried.set()


@dataclass(frozen=True, slots=True)
class SourceKind:
    """The value KIND of a module in capture/sources/kinds, for words that begin with the module's name.

    `picture` and `sound` make the sources of a word; None if the kind has none. They raise a DeviceError,
    UsageError or SecretError. The audio of a picture is recorded with it, unless another is named. `name` returns the
    name for people and opens nothing; `nothing_follows` suits most.
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
