"""What `liput devices --watch` hears besides the monitor: sound servers, and the health log of every process."""

import math
import queue
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Self

from capture.sound.inputs import inputs_of
from capture.sound.listing import SourceWatch, list_sound_inputs
from capture.sound.wire import Listing, ServerSource
from config.errors import LiputError, StateError
from devices.clock import Clock
from devices.health.follow import POLL_S, follow
from devices.health.line import HealthLine, Kind, Level
from devices.health.present import open_faults
from devices.health.query import Wanted
from devices.host import threads
from devices.host.background import BackgroundTask
from devices.model import Device, Health
from devices.monitor.changes import DeviceChange

_MOVES_FAULTS = {Kind.DEGRADED, Kind.RECOVERED, Kind.OPENED, Kind.CLOSED}
_LEFT_OUT = {Kind.PLUGGED, Kind.UNPLUGGED, Kind.MOVED, Kind.DEGRADED, Kind.RECOVERED, Kind.WATCH_STARTED}
"""What is shown without the log (by the monitor, or as a device's health), and that there is a watch."""
MOST_WAITING = 1000
"""Messages that may wait for a terminal that takes nothing; the lines of the log wait in their files then."""
_LOOK_AGAIN_S = 2.0
"""How often open faults are looked for anew: whoever found them may have died without a word."""


class Request(Enum):
    """What comes in besides news of devices."""

    END = auto()
    REDRAW = auto()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the sound servers offer now."""

    devices: Sequence[Device]


@dataclass(frozen=True, slots=True)
class Faults:
    """What those who use devices have found wrong with them, by the devices' ids."""

    health: Mapping[str, Health]


type Message = DeviceChange | HealthLine | Inputs | Faults | Request
type Inbox = queue.SimpleQueue[Message]
"""May be put into from a signal handler."""


class InputWatch:
    """Asks for the inputs of sound servers and of the ALSA configuration, at first and whenever they may be others.

    That is when it is told so, and when a sound server tells that its sources are others, starts or ends. On threads of
    its own.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._asked: Sequence[ServerSource] | None = None
        self._told: Sequence[ServerSource] | None = None
        self._sources = SourceWatch(self._hear)
        self._task = BackgroundTask("sound-servers", self._ask, pause=math.inf)

    def __enter__(self) -> Self:
        self._task.start()
        self._sources.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._sources.__exit__(*exc)
        self._task.stop()

    def look(self) -> None:
        """Ask again: something has changed."""
        self._task.wake()

    def _hear(self, sources: Sequence[ServerSource]) -> None:
        self._told = sources
        if self._asked is not None and self._asked != sources:
            self.look()

    def _ask(self) -> None:
        try:
            listing = list_sound_inputs()
        except LiputError:
            listing = Listing([])
        is_first, self._asked = self._asked is None, listing.sources
        if is_first and self._told is not None and self._told != self._asked:
            self.look()  # they changed while they were asked for
        self._inbox.put(Inputs(inputs_of(listing)))


class LogWatch:
    """Reads the health log in `folder` as it is written, by whatever process: its lines, and the faults that are open.

    Where the log cannot be read there is nothing to tell; what is plugged in can be seen all the same.
    """

    def __init__(self, folder: Path, clock: Clock, inbox: Inbox) -> None:
        self._folder = folder
        self._clock = clock
        self._inbox = inbox
        self._faults: Mapping[str, Health] = {}
        self._judging = BackgroundTask("log-faults", self._judge, pause=self._pause, clock=clock)
        self._stop = self._judging.stopped

    def __enter__(self) -> Self:
        threads.start(self._read, name="log-reader")
        self._judging.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._judging.stop()

    def _read(self) -> None:
        try:
            for line in follow(self._folder, Wanted(level=Level.INFO), clock=self._clock, stop=self._stop):
                if line.kind not in _LEFT_OUT:
                    self._wait_for_room()
                    self._inbox.put(line)
                if line.kind in _MOVES_FAULTS:
                    self._judging.wake()
        except StateError:
            return

    def _wait_for_room(self) -> None:
        while self._inbox.qsize() >= MOST_WAITING and not self._stop.is_set():
            self._clock.wait(self._stop, POLL_S)

    def _judge(self) -> bool:
        """Tell the open faults where they are others; return whether the log cannot be read."""
        try:
            faults = open_faults(self._folder, now=self._clock.now())
        except StateError:
            return True
        self._wait_for_room()
        if faults != self._faults:
            self._inbox.put(Faults(faults))
        self._faults = faults
        return False

    def _pause(self, _failures: int) -> float:
        return _LOOK_AGAIN_S if self._faults else math.inf
