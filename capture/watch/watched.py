"""What every watched source does alike: its device is opened, refused, lost and closed, and the health log says so."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import msgspec

from capture.source import AudioSource, Relocatable, VideoSource
from capture.watch.guard import Guard
from capture.watch.patience import Patience
from capture.watch.refusal import clear_refusals, find_refusal
from config.errors import DeviceLost, LiputError
from devices.clock import Clock
from devices.health.faults import Fault
from devices.health.line import Kind, Level, Record
from devices.health.tracker import HealthTracker, OnChange
from devices.model import Device, DeviceKind, Health


class WatchedSource[Source: VideoSource | AudioSource, Opened, Watch](ABC):
    """A source around `source`, which belongs to `device`: what is the same for pictures and sound.

    Lines go to `record`, changes of health to `on_change`. Whatever goes wrong in watching, what the source gives or
    raises goes through as it is.
    """

    def __init__(
        self,
        source: Source,
        device: Device,
        *,
        patience_of: Callable[[Device], Patience],
        record: Record,
        clock: Clock,
        on_change: OnChange | None = None,
    ) -> None:
        """`patience_of` is asked again where the device is found again: at first something may have stood in for it."""
        self.name = source.name
        self.source = source
        self._device = device
        self._patience_of = patience_of
        self._patience = patience_of(device)
        self._clock = clock
        self._guard = Guard(device.id, device.name, record)
        told = self._guard.listener(on_change)
        self._tracker = HealthTracker(device.id, device.name, record=record, clock=clock, on_change=told)
        self._watch: Watch | None = None
        self._is_open = False
        self._closing = threading.Lock()
        self._refused: str | None = None

    @property
    def health(self) -> Health:
        """How the device is now."""
        return self._tracker.health

    def relocate(self, device: Device) -> None:
        """Open `device` the next time: the same one, with another node or in another port."""
        source: VideoSource | AudioSource = self.source
        if isinstance(source, Relocatable):
            source.relocate(device)
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
        self._patience = self._patience_of(self._device)

    def _open(self, opening: Callable[[], Opened]) -> Opened:
        """Open the source by `opening` and begin to watch it; raises what that raises, after it is in the log."""
        try:
            opened = opening()
        except LiputError as error:
            self._guard("opening", self._tell_refused, error)
            raise
        self._is_open = True
        self._guard("opening", self._tell_opened, opened)
        self._watch = self._guard("everything", self._new_watch, opened)
        return opened

    def _tell_refused(self, error: LiputError) -> None:
        if error.message != self._refused:  # whoever tries again every second is told of it once
            self._refused = error.message
            self._tracker.log(Kind.REFUSED, error.message, level=Level.WARN, hint=error.hint)
        find_refusal(self._tracker, error)

    def _tell_opened(self, opened: Opened) -> None:
        self._refused = None
        clear_refusals(self._tracker)
        self._tracker.log(Kind.OPENED, **self._facts(opened))

    def _read[Item](self, reading: Callable[[float], Item | None], timeout_s: float) -> Item | None:
        """Return what `reading` gives; raises what it raises, a loss after it is in the log."""
        try:
            return reading(timeout_s)
        except DeviceLost as error:
            if self._is_open:  # else it was closed meanwhile
                self._guard("loss", self._tracker.find, Fault.LOST, error.message)
            raise

    def close(self) -> None:
        """Stop watching and let go of the source; idempotent. Faults stay as they were seen last."""
        with self._closing:
            watch, self._watch = self._watch, None
            self._is_open = False
        try:
            self.source.close()
        finally:
            if watch is not None:
                self._guard("closing", self._tell_closed, watch)

    @abstractmethod
    def _facts(self, opened: Opened) -> dict[str, Any]:
        """Return what the health log says of an opening."""

    @abstractmethod
    def _new_watch(self, opened: Opened) -> Watch:
        """Return what watches the source from its opening to its closing."""

    @abstractmethod
    def _tell_closed(self, watch: Watch) -> None:
        """Say how it was all the time it was open."""
