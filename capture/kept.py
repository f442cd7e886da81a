"""Sources that come back: a device that is lost is looked for, and opened again when it is there.

One attempt raises (capture/source.py); these are the supervisors that try again, whatever it raised: a library that
fails in a way that nobody thought of costs one attempt, not the source. They never raise DeviceLost, and whoever reads
them only finds that nothing comes meanwhile. All of it happens on the thread that reads: a device that takes five
seconds to say no holds up nobody else.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import av

from capture.source import (
    AudioBlock,
    AudioSource,
    Coded,
    Frame,
    Relocatable,
    Size,
    SourceEnded,
    VideoFormat,
    VideoSource,
    abandoned_closings,
    coded_form,
)
from config.errors import DeviceError, DeviceLost, LiputError, as_ours
from devices.clock import NANOSECONDS, Clock
from devices.health.faults import Fault, refused
from devices.model import Device

RETRY_S = 0.25
"""How often is looked whether a lost device is there again."""
REFUSED_RETRY_S = 1.0
"""The same after it was there and could not be opened."""
STUCK_S, MOST_STUCK_S = 10.0, 80.0
"""After so long without anything a device that is still there is closed and opened again: some need that.

It doubles with each time that did not help.
"""


class AbsenceKind(StrEnum):
    """In which way a source is not there."""

    MISSING = "missing"
    """It was not there when the session was armed."""
    LOST = "lost"
    """It was unplugged, or its driver gave it up."""
    SILENT = "silent"
    """It is plugged in and gives nothing."""
    BUSY = "busy"
    """Another program, or session, has it."""
    DENIED = "denied"
    """This user may not open it."""
    BUS_FULL = "bus-full"
    """Its USB bus has no room for its stream."""


_REFUSED: Mapping[Fault | None, AbsenceKind] = {
    Fault.BUSY: AbsenceKind.BUSY,
    Fault.DENIED: AbsenceKind.DENIED,
    Fault.BUS_FULL: AbsenceKind.BUS_FULL,
}


def _kind_of(error: LiputError, otherwise: AbsenceKind) -> AbsenceKind:
    """Return in which way a device that was refused with `error` is not there."""
    return _REFUSED.get(refused(error), otherwise)


@dataclass(frozen=True, slots=True)
class Absence:
    """In which way a source is not there, why (a sentence, and advice), and since when (session clock)."""

    kind: AbsenceKind
    reason: str
    hint: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Return:
    """The device a source came back as: in another `port` than before, or known as the same only by its make."""

    device: Device
    moved_from: str | None = None
    is_certain: bool = True


class Whereabouts(Protocol):
    """Knows where one device is (capture/whereabouts.py); asked by one thread."""

    def lost(self) -> None:
        """Take note that it is gone from where it was."""
        ...

    def find(self) -> Return | None:
        """Return where it is now, None while it is not plugged in; does not block for long."""
        ...

    def regained(self) -> None:
        """Take note that it has been opened where it was found last."""
        ...


type OnAbsence = Callable[[Absence], None]
type OnReturn = Callable[[Absence, Return], None]
type OnHung = Callable[[int], None]
"""Hears how many closings of a device have been left to the kernel, which has not let go of it."""


def _told(error: Exception, name: str) -> LiputError:
    """Return `error` as people are told of it."""
    return as_ours(error, DeviceLost, f"{name} failed")


def _nothing(*_: object) -> None:
    """Tell nobody."""


class _Keeper:
    """The state that both kinds of source share; used by the thread that reads, but for `close` and `absence`."""

    def __init__(self, source: VideoSource | AudioSource, whereabouts: Whereabouts, clock: Clock) -> None:
        self.absence: Absence | None = None
        self.on_absence: OnAbsence = _nothing
        self.on_return: OnReturn = _nothing
        self.on_hung: OnHung = _nothing
        self._source = source
        self._whereabouts = whereabouts
        self._clock = clock
        self._closed = threading.Event()
        self._next_ns = 0
        self._heard_ns = clock.now_ns()
        self._stuck_s = STUCK_S
        self.form: VideoFormat | None = None

    def lose(self, error: LiputError, kind: AbsenceKind = AbsenceKind.LOST) -> None:
        """Take note that the source is not there, and let go of it."""
        now_ns = self._clock.now_ns()
        self.absence = Absence(kind, error.message, error.hint, now_ns)
        self._next_ns = now_ns
        self._whereabouts.lost()
        if kind is AbsenceKind.LOST and not self._closed.is_set():
            self.on_absence(self.absence)
        self._let_go()
        if hung := abandoned_closings(self._source):
            self.on_hung(hung)

    def missed[Error: LiputError](self, error: Error) -> Error:
        """Take note that it was not there, or was refused, from the beginning; return `error`, which says why."""
        self.lose(error, _kind_of(error, AbsenceKind.MISSING))
        return error

    def _let_go(self) -> None:
        with contextlib.suppress(Exception):  # what it holds of the device would keep the next try from it
            self._source.close()

    def opened(self) -> None:
        """Take note that it has been opened, however long ago it was made: it has from now on to give something."""
        self._heard_ns = self._clock.now_ns()
        self.absence = None

    def heard(self) -> None:
        """Take note that something came."""
        self._heard_ns = self._clock.now_ns()
        self._stuck_s = STUCK_S

    def is_stuck(self) -> bool:
        """Return whether nothing has come for so long that opening it again is worth a try."""
        return self._clock.now_ns() - self._heard_ns >= self._stuck_s * NANOSECONDS

    def come_back(self, timeout_s: float) -> None:
        """Try once to open the source again, if it is time for that; else wait for it, at most `timeout_s`."""
        clock = self._clock
        wait_s = (self._next_ns - clock.now_ns()) / NANOSECONDS
        if wait_s > 0:
            clock.wait(self._closed, min(wait_s, timeout_s))
            return
        if self._closed.is_set():
            raise DeviceLost(f"{self._source.name} has been closed")
        try:
            found = self._whereabouts.find()
            self._next_ns = clock.now_ns() + round(RETRY_S * NANOSECONDS)
            if found is None or self._closed.is_set():
                return
            if isinstance(self._source, Relocatable):
                self._source.relocate(found.device)
            self.form = self._source.open()
        except Exception as error:
            self._refused(error)
        else:
            self._back(found)

    def _refused(self, raised: Exception) -> None:
        """Take note that it could not be opened. Its watch has told that, but for what nobody thought of."""
        self._let_go()
        absence, error = self.absence, _told(raised, self._source.name)
        if absence is not None:
            kind = _kind_of(error, absence.kind)
            self.absence = replace(absence, kind=kind, reason=error.message, hint=error.hint)
            if error is not raised and error.message != absence.reason:
                self.on_absence(self.absence)
        self._next_ns = self._clock.now_ns() + round(REFUSED_RETRY_S * NANOSECONDS)

    def _back(self, found: Return) -> None:
        if self._closed.is_set():
            self._let_go()
            return
        self._whereabouts.regained()
        absence, self.absence = self.absence, None
        self._heard_ns = self._clock.now_ns()
        if absence is not None:
            self.on_return(absence, found)

    def reopen(self) -> None:
        """Open a source anew that is there and gives nothing, once the kernel has let go of it."""
        if abandoned_closings(self._source):
            return  # it would say that it is busy
        self._heard_ns = self._clock.now_ns()
        self._stuck_s = min(2 * self._stuck_s, MOST_STUCK_S)
        self.lose(DeviceLost(f"{self._source.name} gives nothing", hint="it is opened again"), AbsenceKind.SILENT)

    @property
    def is_closed(self) -> bool:
        """Whether nobody wants it any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """Try no more, and let go of the source."""
        self._closed.set()
        self._source.close()


class _Kept[Source: VideoSource | AudioSource]:
    """What both kinds of kept source do in the same way."""

    def __init__(
        self,
        source: Source,
        whereabouts: Whereabouts,
        clock: Clock,
        *,
        missing: DeviceError | None = None,
        may_miss: bool = False,
    ) -> None:
        """`missing` is why its device is known not to be there: the first opening raises it.

        A session begins without one that `may_miss`, with a slate or silence in its place until it comes.
        """
        self.name = source.name
        self.source = source
        self.may_miss = may_miss
        self._missing = missing
        self._keeper = _Keeper(source, whereabouts, clock)

    def listen(self, on_absence: OnAbsence, on_return: OnReturn, on_hung: OnHung = _nothing) -> None:
        """Tell of losses, returns, and devices that hang, from now on; on the thread that reads."""
        keeper = self._keeper
        keeper.on_absence, keeper.on_return, keeper.on_hung = on_absence, on_return, on_hung

    def miss(self, why: DeviceError) -> None:
        """Take its device for one that is not there: the first opening raises `why`."""
        self._missing = why

    @property
    def absence(self) -> Absence | None:
        """Why it gives nothing, None while its device is there; from any thread."""
        return self._keeper.absence

    def close(self) -> None:
        """Let go of the device; idempotent."""
        self._keeper.close()

    def _open[Opened](self, opening: Callable[[], Opened]) -> Opened:
        """Open the source by `opening`, and note why where that cannot be done."""
        missing, self._missing = self._missing, None
        if missing is not None:
            raise self._keeper.missed(missing)
        try:
            opened = opening()
        except DeviceError as error:
            self._keeper.missed(error)
            raise
        except LiputError:
            raise
        except Exception as error:
            raise self._keeper.missed(_told(error, self.name)) from error
        self._keeper.opened()
        if self._keeper.is_closed:  # meanwhile, when there was nothing to be closed yet
            self.source.close()
        return opened

    def _read[Item](self, reading: Callable[[float], Item | None], timeout_s: float) -> Item | None:
        """Return what `reading` gives; where the device is not there, look for it and return None."""
        keeper = self._keeper
        if keeper.absence is not None:
            keeper.come_back(timeout_s)
            return None
        try:
            item = reading(timeout_s)
        except SourceEnded:
            raise
        except Exception as error:
            keeper.lose(_told(error, self.name))
            return None
        if item is not None:
            keeper.heard()
        return item


class KeptVideo(_Kept[VideoSource]):
    """A VideoSource (capture/source.py) around another one, whose `read` never raises DeviceLost."""

    def open(self) -> VideoFormat:
        """Open the source; raises what it raises, and can then be read all the same, or opened again."""
        form = self._keeper.form = self._open(self.source.open)
        return form

    @property
    def form(self) -> VideoFormat | None:
        """What its device gives since it was opened last; None before."""
        return self._keeper.form

    @property
    def coded(self) -> Coded | None:
        """In which form its payloads can be stored as they are."""
        return coded_form(self.source)

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None when none came in time or the device is not there."""
        frame = self._read(self.source.read, timeout_s)
        if frame is None and self.absence is None and self._keeper.is_stuck():
            self._keeper.reopen()
        return frame

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Return the picture, as the source decodes it, at most of size `within`; raises MediaError."""
        return self.source.decode(frame, within)


class KeptAudio(_Kept[AudioSource]):
    """An AudioSource (capture/source.py) around another one, whose `read` never raises DeviceLost."""

    def __init__(
        self,
        source: AudioSource,
        whereabouts: Whereabouts,
        clock: Clock,
        *,
        missing: DeviceError | None = None,
        may_miss: bool = False,
    ) -> None:
        """As those of pictures are made."""
        super().__init__(source, whereabouts, clock, missing=missing, may_miss=may_miss)
        self.channels = source.channels

    def open(self) -> None:
        """Open the source; raises what it raises, and can then be read all the same, or opened again."""
        self._open(self.source.open)
        self.channels = self.source.channels

    def read(self, timeout_s: float) -> AudioBlock | None:
        """Return the next block, or None when none came in time or the device is not there."""
        return self._read(self.source.read, timeout_s)
