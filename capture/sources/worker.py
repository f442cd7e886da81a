"""The worker of a source: one thread, one state, its listeners and queue; outages and the contract of locators.

A source's attempt raises (capture/source.py); the worker retries on its own thread, so that a device that takes five
seconds to refuse delays no other.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import av

from capture.source import AudioBlock, Frame, Size, Source, SourceEnded, VideoFormat, VideoSource
from capture.sources.source_queue import SourceQueue
from config.errors import DeviceError, LiputError, MediaError, as_liput_error
from devices.health.faults import Fault, fault_of_error
from devices.host import threads
from devices.host.clock import NANOSECONDS, Clock
from devices.model.device import Device

if TYPE_CHECKING:
    from capture.detectors.source_health import SourceHealth


class OutageKind(StrEnum):
    """Why a source gives nothing."""

    MISSING = "missing"  # its device was not there when the session was armed
    LOST = "lost"  # it was unplugged, or its driver failed
    SILENT = "silent"  # it is plugged in and gives nothing
    BUSY = "busy"  # another program, or session, uses it
    DENIED = "denied"  # this user may not open it
    BUS_FULL = "bus-full"  # its USB bus has no bandwidth left for its stream


_REFUSED: Mapping[Fault | None, OutageKind] = {
    Fault.BUSY: OutageKind.BUSY,
    Fault.DENIED: OutageKind.DENIED,
    Fault.BUS_FULL: OutageKind.BUS_FULL,
}


def outage_kind(error: LiputError, otherwise: OutageKind) -> OutageKind:
    """Return the kind of outage for an error of opening."""
    return _REFUSED.get(fault_of_error(error), otherwise)


@dataclass(frozen=True, slots=True)
class SourceOutage:
    """The kind of an outage, its reason (a sentence), advice, and its start on the session clock."""

    kind: OutageKind
    reason: str
    hint: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class LocatedDevice:
    """A device that came back: from the port `moved_from` if that changed, certainly the same or only by its model."""

    device: Device
    moved_from: str | None = None
    is_certain: bool = True


class DeviceLocator:
    """Finds one device again (capture/sources/locator.py); used by one thread. This base class finds none."""

    def lost(self) -> None:
        """Note the loss."""

    def find(self) -> LocatedDevice | None:
        """Return the device, None while it is away; does not block for long."""
        return None

    def reopened(self) -> None:
        """Note that the device found last was opened."""


class FixedLocator(DeviceLocator):
    """Locates a device that only its opening finds, such as a screen or an input of a sound server."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def find(self) -> LocatedDevice:
        return LocatedDevice(self._device)


POLL_S = 0.1  # timeout of one read, after which the worker looks whether to stop
TURN_S = 1.0
"""How long a source lets the previous one open first: on a bus with bandwidth for one, the first asked for gets it."""
RETRY_S = 0.25  # interval of looking for a lost device
REFUSED_RETRY_S = 1.0  # interval of retries while a device is there but fails to open
STUCK_S, MOST_STUCK_S = 10.0, 80.0
"""A present device without frames for so long is closed and opened again: some need that. Doubles with each failure."""


class SourceState(StrEnum):
    """State of a source; docs/architecture.md draws the transitions."""

    OPENING = "opening"
    RUNNING = "running"
    SILENT = "silent"  # its device is there and gives nothing: it is reopened
    LOST = "lost"  # its device is away, and is searched
    REFUSED = "refused"  # its device is there but fails to open; retried
    CLOSED = "closed"  # final: it came to its end, failed without supervision, or was closed


TRANSITIONS = {
    SourceState.OPENING: {SourceState.RUNNING, SourceState.LOST, SourceState.REFUSED, SourceState.CLOSED},
    SourceState.RUNNING: {SourceState.SILENT, SourceState.LOST, SourceState.CLOSED},
    SourceState.SILENT: {SourceState.RUNNING, SourceState.LOST, SourceState.REFUSED, SourceState.CLOSED},
    SourceState.LOST: {SourceState.RUNNING, SourceState.REFUSED, SourceState.CLOSED},
    SourceState.REFUSED: {SourceState.RUNNING, SourceState.LOST, SourceState.REFUSED, SourceState.CLOSED},
    SourceState.CLOSED: set[SourceState](),
}


@dataclass(slots=True, eq=False)
class DeviceSupervision:
    """Lets a worker find, reopen and judge its device; files and synthetic sources have none."""

    locator: DeviceLocator
    health: "SourceHealth[Any, Any] | None" = None
    may_miss: bool = False  # whether a session starts without the device, with a slate or silence in its place
    missing: DeviceError | None = None  # why the device is known to be away: the first opening raises it


class SourceEvents:
    """Receives the changes of one source on its thread; this base class does nothing."""

    def lost(self, outage: SourceOutage) -> None:
        """Note that the device is gone, or that opening it failed for an unforeseen reason."""

    def found(self, outage: SourceOutage, located: LocatedDevice) -> None:
        """Note that the device was opened again after `outage`."""

    def hung(self, closings: int) -> None:
        """Note that the kernel does not release the device: so many closings hang."""

    def failed(self, error: LiputError) -> None:
        """Note that the source gives nothing more, because of `error`."""


class SourceWorker[Item, Opened: VideoFormat | None]:
    """Reads one source into its queue; with a supervision it reopens its device after a loss.

    `open` and `read` are the steps of its thread. `form` is the format of the last opening, None before and for audio.
    """

    _reopens_silent = False

    def __init__(
        self,
        source: Source[Item, Opened],
        clock: Clock,
        *,
        queue: SourceQueue[Item] | None = None,
        supervision: DeviceSupervision | None = None,
        events: SourceEvents | None = None,
    ) -> None:
        self.name = source.name
        self.state = SourceState.OPENING
        self.outage: SourceOutage | None = None
        """Why it gives nothing, None while its device is there; readable from any thread."""
        self.form: Opened | None = None
        self.has_tried = threading.Event()  # set once it was opened or refused
        self.error: Exception | None = None  # the error of the first opening
        self.queue: SourceQueue[Item] = SourceQueue(1) if queue is None else queue
        self.supervision = supervision
        self.listeners: list[Callable[[Item], None]] = []
        """Each gets every item, on the worker's thread; must return at once, and not raise."""
        self.picture_listeners: list[Callable[[av.VideoFrame], object]] = []
        """Each borrows every decoded frame of a video worker, on the decoding thread; must return at once."""
        self._source = source
        self._clock = clock
        self._events = SourceEvents() if events is None else events
        self._health = supervision.health if supervision else None
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._next_ns = 0
        self._last_item_ns = clock.now_ns()
        self._stuck_s = STUCK_S
        self._thread: threading.Thread | None = None

    def _enter(self, state: SourceState, outage: SourceOutage | None = None) -> None:
        """Change state and outage; ignore one that TRANSITIONS lacks. Nothing else changes them."""
        with self._changing:
            if state in TRANSITIONS[self.state]:
                self.state, self.outage = state, outage

    @property
    def may_miss(self) -> bool:
        """Whether a session starts without it."""
        return self.supervision is not None and self.supervision.may_miss

    # Opening

    def open(self) -> Opened:
        """Open the source for the first time; raises its error. A supervised one can be read nevertheless."""
        try:
            self.form = form = self._first_form()
            self.error = None
            self._last_item_ns = self._clock.now_ns()
            self._enter(SourceState.RUNNING)
        except Exception as error:
            self.error = error
            raise
        finally:
            self.has_tried.set()
        if self._stopping.is_set():  # `close` came before there was anything to close
            self._release()
        return form

    def _first_form(self) -> Opened:
        supervision = self.supervision
        if supervision is None:
            return self._source.open()
        try:
            missing, supervision.missing = supervision.missing, None
            if missing is not None:
                raise missing  # noqa: TRY301 - handled like a failed opening
            return self._open()
        except Exception as error:
            told = self._translated(error)
            if isinstance(told, DeviceError):
                self._lose(told, outage_kind(told, OutageKind.MISSING))
            if told is error:
                raise
            raise told from error

    def _open(self) -> Opened:
        """Try once; log the outcome in the health log."""
        try:
            form = self._source.open()
        except LiputError as error:
            if self._health:
                self._health.refused(error)
            raise
        if self._health:
            self._health.opened(form)
        return form

    # Reading

    def read(self, timeout_s: float) -> Item | None:
        """Return the next item, or None; reconnect a lost device. Raises SourceEnded; unsupervised, any error."""
        if self.outage is not None:
            self._reconnect(timeout_s)
            return None
        try:
            item = self._source.read(timeout_s)
        except SourceEnded:
            raise
        except Exception as error:
            if self.supervision is None:
                raise
            self._lose(self._translated(error))
            return None
        if self._health:
            self._health.read(item)
        if item is not None:
            self._last_item_ns = self._clock.now_ns()
            self._stuck_s = STUCK_S
            for listener in self.listeners:
                listener(item)
        elif self._reopens_silent and self.supervision:
            self._reopen_if_stuck()
        return item

    def _reopen_if_stuck(self) -> None:
        """Close and open a device that gave no item for so long, unless a hung closing would keep it busy."""
        now_ns = self._clock.now_ns()
        if now_ns - self._last_item_ns < self._stuck_s * NANOSECONDS or self._source.abandoned:
            return
        self._last_item_ns = now_ns
        self._stuck_s = min(2 * self._stuck_s, MOST_STUCK_S)
        self._lose(DeviceError(f"{self.name} gives nothing", hint="it is opened again", why="lost"), OutageKind.SILENT)

    # Outages

    def _lose(self, error: LiputError, kind: OutageKind = OutageKind.LOST) -> None:
        """Note that the device is away, and release it."""
        now_ns = self._clock.now_ns()
        outage = SourceOutage(kind, error.message, error.hint, now_ns)
        self._enter(_STATES.get(kind, SourceState.REFUSED), outage)
        self._next_ns = now_ns
        if self.supervision:
            self.supervision.locator.lost()
        if kind is OutageKind.LOST and not self._stopping.is_set():
            if self._health:
                self._health.lost(error)
            self._events.lost(outage)
        self._release()
        if closings := self._source.abandoned:
            self._events.hung(closings)

    def _reconnect(self, timeout_s: float) -> None:
        """Try once to reopen the device if a retry is due; else wait for it, at most `timeout_s`."""
        clock, supervision = self._clock, self.supervision
        wait_s = (self._next_ns - clock.now_ns()) / NANOSECONDS
        if wait_s > 0:
            clock.wait(self._stopping, min(wait_s, timeout_s))
            return
        if self._stopping.is_set() or supervision is None:
            return
        try:
            located = supervision.locator.find()
            self._next_ns = clock.now_ns() + round(RETRY_S * NANOSECONDS)
            if located is None:
                self._enter(SourceState.LOST, self.outage)  # also from REFUSED
                return
            if self._stopping.is_set():
                return
            self._source.relocate(located.device)
            if self._health:
                self._health.relocate(located.device)
            self.form = self._open()
        except Exception as error:
            self._refuse(error)
        else:
            self._reconnected(supervision, located)

    def _refuse(self, raised: Exception) -> None:
        """Note a failed opening. The health log has it already, unless the error was unforeseen."""
        self._release()
        outage, error = self.outage, self._translated(raised)
        if outage is not None:
            changed = replace(outage, kind=outage_kind(error, outage.kind), reason=error.message, hint=error.hint)
            self._enter(SourceState.REFUSED, changed)
            if error is not raised and error.message != outage.reason:
                self._events.lost(changed)
        self._next_ns = self._clock.now_ns() + round(REFUSED_RETRY_S * NANOSECONDS)

    def _reconnected(self, supervision: DeviceSupervision, located: LocatedDevice) -> None:
        if self._stopping.is_set():
            self._release()
            return
        supervision.locator.reopened()
        outage = self.outage
        self._last_item_ns = self._clock.now_ns()
        self._enter(SourceState.RUNNING)
        if outage is not None:
            self._events.found(outage, located)

    def _translated(self, error: Exception) -> LiputError:
        return as_liput_error(error, DeviceError, f"{self.name} failed", "lost")

    def _release(self) -> None:
        with contextlib.suppress(Exception):  # an open device would block the next try
            self._source.close()
        if self._health:
            self._health.closed()

    # The thread

    def start(
        self,
        go: threading.Event | None = None,
        *,
        after: "SourceWorker[Any, Any] | None" = None,
        keeps_early: bool = False,
        then: Callable[[], object] | None = None,
    ) -> None:
        """Start the thread: open the source, call `then`, and queue items from `go` on.

        The source opens `after` another worker has, for TURN_S at most. Before `go` a device is read and its items are
        dropped, unless the worker `keeps_early`; other sources are not read.
        """

        def run() -> None:
            if not self.has_tried.is_set() and not self._opened_in_turn(after, then):
                return
            self._work(go, keeps_early=keeps_early)

        self._thread = threads.start_thread(run, name=f"read-{self.name}")

    def _opened_in_turn(self, after: "SourceWorker[Any, Any] | None", then: Callable[[], object] | None) -> bool:
        """Open; return whether there is anything to read. `error` has the reason."""
        if after is not None:
            after.has_tried.wait(TURN_S)
        try:
            self.open()
        except Exception:
            if self.outage is None:
                self._end()
                return False
        finally:
            if then is not None:
                then()
        return True

    def _work(self, go: threading.Event | None, *, keeps_early: bool) -> None:
        came_to_end = False
        try:
            if go is not None and not go.is_set():
                self._wait_for(go, keeps_early=keeps_early)
            while not self._stopping.is_set():
                item = self.read(POLL_S)
                if item is not None:
                    self.queue.put(item)
        except SourceEnded:
            came_to_end = True
        except Exception as error:  # any bug: the session must know that nothing more comes
            self._events.failed(self._translated(error))
        self._end(came_to_end=came_to_end)

    def _wait_for(self, go: threading.Event, *, keeps_early: bool) -> None:
        while not go.is_set() and not self._stopping.is_set():
            if self.supervision is None:
                go.wait(POLL_S)
                continue
            item = self.read(POLL_S)
            if item is not None and (keeps_early or go.is_set()):
                self.queue.put(item)

    def _end(self, *, came_to_end: bool = False) -> None:
        self._enter(SourceState.CLOSED, self.outage)
        self.queue.end(came_to_end=came_to_end)

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Stop reading and close the queue, even if the read hangs; return whether the thread ended in time."""
        self._stopping.set()
        self.queue.release()
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        self.queue.end()
        return thread is None or not thread.is_alive()

    def close(self) -> None:
        """Stop, and release the source; idempotent."""
        self.stop()
        self._enter(SourceState.CLOSED, self.outage)
        try:
            self._source.close()
        finally:
            if self._health:
                self._health.closed()


type AudioWorker = SourceWorker[AudioBlock, None]

_STATES = {
    OutageKind.MISSING: SourceState.LOST,
    OutageKind.LOST: SourceState.LOST,
    OutageKind.SILENT: SourceState.SILENT,
}  # all other kinds of outage are REFUSED


class VideoWorker(SourceWorker[Frame, VideoFormat]):
    """A worker of a video source; it decodes too, so that the detectors see each decoded frame."""

    _reopens_silent = True
    _source: VideoSource

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Decode a frame by its source, at most of size `within`; raises MediaError on damage."""
        health = self._health
        try:
            picture = self._source.decode(frame, within)
        except MediaError as error:
            if health:
                health.damaged(frame, error.message)
            raise
        if health:
            health.decoded(picture, frame.timestamp_ns)
        for listener in self.picture_listeners:
            listener(picture)
        return picture
