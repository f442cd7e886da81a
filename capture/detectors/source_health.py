"""The health of one device: patience, hysteresis of faults, guarded detectors, entries in the health log."""

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import av
import msgspec
from msgspec.structs import asdict

from capture.cpu_stages import CpuStage, CpuTimer, untimed
from capture.source import Frame, Source, VideoFormat
from config.errors import LiputError, as_liput_error
from config.settings.schema import BUILT_IN_PATIENCE, Settings
from config.settings.schema import PatienceSettings as Setting
from devices.health.faults import OPEN_ERROR_FAULTS, Fault, HealthChange, HealthTracker, OnChange, fault_of_error
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind, Health

SILENT_S, SILENT_FRAMES = 0.7, 5
"""A video source gives nothing when no frame has come for SILENT_S or so many intervals, the longer."""
READER_STALLED_S = 0.5
"""The reader reads five times as often; after a longer pause the PC stood still, and the device is not to blame."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until a frozen or black picture, or silence, is a fault."""

    frozen_s: float
    black_s: float
    silence_s: float


def patience_for(settings: Settings, kind: DeviceKind, role: str | None = None) -> Patience:
    """Return the patience with a device: of its role if set by a person, else of its kind, else built in."""
    usual = asdict(BUILT_IN_PATIENCE.get(role or "") or Setting())
    of_role = asdict(settings.patience.get(role or "") or Setting())
    found = asdict(BUILT_IN_PATIENCE[kind])
    for seconds in (asdict(settings.patience.get(kind) or Setting()), dict(of_role.items() - usual.items())):
        found |= {name: value for name, value in seconds.items() if value is not None}
    return Patience(**found)


RECOVERS_AFTER_S = 1.0  # a fault is over after so long without trouble
RECURS_WITHIN_S = 30.0  # a fault that begins again so soon after its end was never over
BACKOFF_FROM, MAX_BACKOFF = 3, 32
"""From the third beginning in a row on, the recovery time doubles each time, up to the factor MAX_BACKOFF."""


class FaultHysteresis:
    """Hysteresis of one fault for one detector; used by one thread.

    It takes over a fault that the tracker already has. A fault that comes and goes for hours becomes a lasting one.
    """

    def __init__(
        self,
        tracker: HealthTracker,
        fault: Fault,
        *,
        recovers_after_s: float = RECOVERS_AFTER_S,
        takes_over: bool = True,
    ) -> None:
        self._tracker = tracker
        self._fault = fault
        self._recovers_after_ns = round(recovers_after_s * NANOSECONDS)
        self._good_since_ns: int | None = None
        self._ended_ns: int | None = None
        self._in_a_row = 0
        self.is_on = takes_over and tracker.has(fault)

    def bad(self, reason: str, *, began_ns: int, **detail: object) -> None:
        """Begin the fault, unless it is on; `began_ns` is its start."""
        self._good_since_ns = None
        if not self.is_on or not self._tracker.has(self._fault):  # another detector may have ended it
            self.is_on = True
            is_again = self._ended_ns is not None and began_ns - self._ended_ns < RECURS_WITHIN_S * NANOSECONDS
            self._in_a_row = self._in_a_row + 1 if is_again else 1
            self._tracker.find(self._fault, reason, began_ns=began_ns, **detail)

    def unsure(self) -> None:
        """Neither begin nor end: restart the recovery time."""
        self._good_since_ns = None

    def good(self, now_ns: int) -> None:
        """Note that nothing is wrong at `now_ns`; end the fault after the recovery time."""
        if not self.is_on:
            return
        if self._good_since_ns is None:
            self._good_since_ns = now_ns
        times = min(2 ** max(0, self._in_a_row - BACKOFF_FROM + 1), MAX_BACKOFF)
        if now_ns - self._good_since_ns >= self._recovers_after_ns * times:
            self._ended_ns = now_ns
            self.end()

    def end(self) -> None:
        """End the fault at once."""
        self._good_since_ns = None
        if self.is_on:
            self.is_on = False
            self._tracker.clear(self._fault)


class DetectorGuard:
    """Runs the detectors of a device; thread-safe. Faults stay as a failed detector saw them last."""

    def __init__(self, tracker: HealthTracker) -> None:
        self._tracker = tracker
        self._lock = threading.Lock()
        self._failed: set[str] = set()

    def __call__[**P, T](self, part: str, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return the result of `action`. An exception is logged and switches `part` off: later calls return None."""
        if part in self._failed:
            return None
        try:
            return action(*args, **kwargs)
        except Exception as error:  # any bug: the frame matters more than its verdict
            self._tell(part, error)
            return None

    def listener(self, on_change: OnChange | None) -> OnChange | None:
        """Return a wrapper of `on_change` that never raises and stays switched on."""
        if on_change is None:
            return None

        def told(change: HealthChange) -> None:
            try:
                on_change(change)
            except Exception as error:
                self._tell("telling others of its health", error)

        return told

    def _tell(self, part: str, error: Exception) -> None:
        with self._lock:
            is_known = part in self._failed
            self._failed.add(part)
        if is_known:
            return
        why = as_liput_error(error).message
        reason = f"a watch of {self._tracker.name} has failed and is switched off ({part}): {why}; please report this"
        with contextlib.suppress(Exception):
            self._tracker.log(LogKind.WATCH_FAILED, reason, level=LogLevel.WARN, part=part, error=repr(error))


class Detectors[Item](ABC):
    """Judge one source from its opening to its closing; `read`, `decoded` and `damaged` never raise."""

    @abstractmethod
    def read(self, item: Item | None) -> None:
        """Take the result of one read, None after a timeout; called on the reading thread."""

    @abstractmethod
    def log_closed(self) -> None:
        """Log the totals of the opening."""

    def decoded(self, picture: av.VideoFrame, at_ns: int) -> None:  # noqa: B027 - sound has no pictures
        """Take a decoded frame captured at `at_ns`; called on the decoding thread."""

    def damaged(self, frame: Frame, why: str) -> None:  # noqa: B027 - sound has no pictures
        """Take a frame that failed to decode, with the reason; called on the decoding thread."""


def _ignore(*_given: object) -> None:  # while the device is closed
    pass


class SourceHealth[Item, Opened: VideoFormat | None]:
    """Listens to a source's worker and judges the source; never raises. `read` is called every 0.1 s at least."""

    def __init__(
        self,
        source: Source[Item, Opened],
        device: Device,
        detect: Callable[[HealthTracker, Device, Patience, Opened], Detectors[Item]],
        patience_of: Callable[[Device], Patience],
        tracker: HealthTracker,
        timing: CpuTimer = untimed,
    ) -> None:
        """`detect` makes the detectors of one opening; `patience_of` is called again after each relocation."""
        self.patience = patience_of(device)
        self.detectors: Detectors[Item] | None = None  # those of the current opening; None while it is closed
        self.read: Callable[[Item | None], object] = _ignore  # takes the result of one read, None after a timeout
        self.decoded: Callable[[av.VideoFrame, int], object] = _ignore
        """Takes a decoded frame and its capture time, on the decoding thread."""
        self.damaged: Callable[[Frame, str], object] = _ignore  # takes a frame that failed to decode, and the reason
        self._timing = timing
        self._source = source
        self._device = device
        self._detect = detect
        self._patience_of = patience_of
        self._tracker = tracker
        self._guard = DetectorGuard(tracker)
        tracker.on_change = self._guard.listener(tracker.on_change)
        self._closing = threading.Lock()
        self._refused: str | None = None

    @property
    def now(self) -> Health:
        return self._tracker.health

    def relocate(self, device: Device) -> None:
        """Use `device` from the next opening on: the same device, at another node or port."""
        self._guard("its patience", self._update_device, device)

    def _update_device(self, found: Device) -> None:
        """Take the kind of a found device, but keep role, pairing and the kind `capture-card`.

        A fresh listing has no role. It may lack the other half of the plug, or the modes that tell a capture card.
        """
        known = self._device
        is_card = DeviceKind.CAPTURE_CARD in {known.kind, found.kind}
        kind = DeviceKind.CAPTURE_CARD if is_card else found.kind
        role, pair = found.role or known.role, found.paired_with or known.paired_with
        self._device = msgspec.structs.replace(found, kind=kind, role=role, paired_with=pair)
        self.patience = self._patience_of(self._device)

    def refused(self, error: LiputError) -> None:
        self._guard("opening", self._log_refused, error)

    def _log_refused(self, error: LiputError) -> None:
        if error.message != self._refused:  # retried every second, logged once
            self._refused = error.message
            self._tracker.log(LogKind.REFUSED, error.message, level=LogLevel.WARN, hint=error.hint)
        fault = fault_of_error(error)
        self._clear_refusals(but=fault)
        if fault:
            self._tracker.find(fault, error.message)

    def _clear_refusals(self, but: Fault | None = None) -> None:
        for fault in dict.fromkeys(OPEN_ERROR_FAULTS.values()):
            if fault is not but:
                self._tracker.clear(fault)

    def opened(self, form: Opened) -> None:
        """Log the opening, and make its detectors."""
        self._guard("opening", self._log_opened, form)
        detectors = self._guard("everything", self._detect, self._tracker, self._device, self.patience, form)
        if detectors is not None:
            self.detectors = detectors
            self.read = self._timing(CpuStage.WATCHES, detectors.read)
            self.decoded = self._timing(CpuStage.WATCHES, detectors.decoded)
            self.damaged = detectors.damaged

    def _log_opened(self, form: Opened) -> None:
        self._refused = None
        self._clear_refusals()
        self._tracker.log(LogKind.OPENED, **self._source.facts(form))

    def lost(self, error: LiputError) -> None:
        self._guard("loss", self._tracker.find, Fault.LOST, error.message)

    def closed(self) -> None:
        """Stop judging; idempotent and thread-safe. Faults stay as they were."""
        with self._closing:
            detectors, self.detectors = self.detectors, None
            self.read = self.decoded = self.damaged = _ignore
        if detectors is not None:
            self._guard("closing", detectors.log_closed)
