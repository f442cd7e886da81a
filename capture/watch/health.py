"""The health of one device: opened, refused, lost, judged while it is open, and closed; the health log says so."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import av
import msgspec

from capture.source import Frame, Source, VideoFormat
from capture.timing import CpuStage, Timing, untimed
from capture.watch.guard import Guard
from capture.watch.patience import Patience
from config.errors import LiputError
from devices.health.faults import REFUSALS, Fault, refused
from devices.health.line import Kind, Level, Record, nowhere
from devices.health.tracker import HealthTracker, OnChange
from devices.host.clock import Clock
from devices.model import Device, DeviceKind, Health


class Detectors[Item](ABC):
    """Judge one source from its opening to its closing; `read`, `decoded` and `damaged` never raise."""

    @abstractmethod
    def read(self, item: Item | None) -> None:
        """Take the result of one read, None where nothing came in time; on the thread that reads."""

    @abstractmethod
    def tell_closed(self) -> None:
        """Write into the health log how it was all the time it was open."""

    def decoded(self, picture: av.VideoFrame, at_ns: int) -> None:  # noqa: B027 - sound has no pictures
        """Take a picture captured at `at_ns`; on the thread that decodes."""

    def damaged(self, frame: Frame, why: str) -> None:  # noqa: B027 - sound has no pictures
        """Take a frame that could not be decoded, because of `why`; on the thread that decodes."""


@dataclass(frozen=True, slots=True)
class HealthContext:
    """The clock of the judging, and its listeners: the health log's `record`, and `on_change` for changes."""

    clock: Clock
    record: Record = nowhere
    on_change: OnChange | None = None
    timing: Timing = untimed


class SourceHealth[Item, Opened: VideoFormat | None]:
    """Listens to a source at work (capture/worker.py), and judges it; no method raises.

    The worker's thread calls all methods except `decoded` and `damaged`, and has to call `read` at least every 0.1 s,
    whether anything comes or not.
    """

    def __init__(
        self,
        source: Source[Item, Opened],
        device: Device,
        detect: Callable[[HealthTracker, Device, Patience, Opened], Detectors[Item]],
        patience_of: Callable[[Device], Patience],
        context: HealthContext,
    ) -> None:
        """`detect` makes the detectors of one opening of `source`.

        `patience_of` is asked again where the device is found again: at first something may have stood in for it.
        """
        self.patience = patience_of(device)
        self.detectors: Detectors[Item] | None = None
        """Those of the opening that lasts; None while it is closed."""
        self.read = context.timing(CpuStage.WATCHES, self._read)
        self.decoded = context.timing(CpuStage.WATCHES, self._decoded)
        self._source = source
        self._device = device
        self._detect = detect
        self._patience_of = patience_of
        self._guard = Guard(device.id, device.name, context.record)
        told = self._guard.listener(context.on_change)
        self._tracker = HealthTracker(
            device.id, device.name, record=context.record, clock=context.clock, on_change=told
        )
        self._closing = threading.Lock()
        self._refused: str | None = None

    @property
    def now(self) -> Health:
        """How the device is now."""
        return self._tracker.health

    def relocate(self, device: Device) -> None:
        """Judge `device` from the next opening on: the same one, with another node or in another port."""
        self._guard("its patience", self._know_better, device)

    def _know_better(self, found: Device) -> None:
        """Take what is found for what it is: what stood in for it may have been thought of another kind.

        Whoever finds it again does not tell its role, and may not see the other half of its plug yet, nor what it
        offers, by which a capture card is told from a camera: what was known of these stays.
        """
        known = self._device
        is_card = DeviceKind.CAPTURE_CARD in {known.kind, found.kind}
        kind = DeviceKind.CAPTURE_CARD if is_card else found.kind
        role, pair = found.role or known.role, found.paired_with or known.paired_with
        self._device = msgspec.structs.replace(found, kind=kind, role=role, paired_with=pair)
        self.patience = self._patience_of(self._device)

    def refused(self, error: LiputError) -> None:
        """Take note that it could not be opened because of `error`."""
        self._guard("opening", self._tell_refused, error)

    def _tell_refused(self, error: LiputError) -> None:
        if error.message != self._refused:  # what is tried again every second is told once
            self._refused = error.message
            self._tracker.log(Kind.REFUSED, error.message, level=Level.WARN, hint=error.hint)
        fault = refused(error)
        self._clear_refusals(but=fault)
        if fault:
            self._tracker.find(fault, error.message)

    def _clear_refusals(self, but: Fault | None = None) -> None:
        for fault in dict.fromkeys(REFUSALS.values()):
            if fault is not but:
                self._tracker.clear(fault)

    def opened(self, form: Opened) -> None:
        """Begin to judge it."""
        self._guard("opening", self._tell_opened, form)
        self.detectors = self._guard("everything", self._detect, self._tracker, self._device, self.patience, form)

    def _tell_opened(self, form: Opened) -> None:
        self._refused = None
        self._clear_refusals()
        self._tracker.log(Kind.OPENED, **self._source.facts(form))

    def lost(self, error: LiputError) -> None:
        """Take note that it has gone."""
        self._guard("loss", self._tracker.find, Fault.LOST, error.message)

    def _read(self, item: Item | None) -> None:
        """Take the result of one read."""
        detectors = self.detectors
        if detectors is not None:
            detectors.read(item)

    def _decoded(self, picture: av.VideoFrame, at_ns: int) -> None:
        """Take a picture captured at `at_ns`."""
        detectors = self.detectors
        if detectors is not None:
            detectors.decoded(picture, at_ns)

    def damaged(self, frame: Frame, why: str) -> None:
        """Take a frame that could not be decoded, because of `why`."""
        detectors = self.detectors
        if detectors is not None:
            detectors.damaged(frame, why)

    def closed(self) -> None:
        """Judge no more; idempotent, from any thread. Faults stay as they were seen last."""
        with self._closing:
            detectors, self.detectors = self.detectors, None
        if detectors is not None:
            self._guard("closing", detectors.tell_closed)
