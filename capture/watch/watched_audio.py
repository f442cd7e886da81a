"""A sound input that is watched whenever it is open: an AudioSource around another one."""

import os
from typing import Any

from capture.sound.source import SoundSource
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource, Relocatable
from capture.timing import CpuStage, Timing, untimed
from capture.watch.audio import AudioWatch
from capture.watch.guard import Guard
from capture.watch.patience import Patience
from capture.watch.refusal import clear_refusals, find_refusal
from config.errors import DeviceLost, LiputError
from devices.clock import NANOSECONDS, Clock
from devices.health.faults import Fault
from devices.health.line import Kind, Level, Record
from devices.health.tracker import HealthTracker, OnChange
from devices.model import Device, Health

SAMPLE_EVERY_S = 60


class WatchedAudio:
    """Implements AudioSource (capture/source.py): passes `source` on as it is, and judges what comes.

    Whatever goes wrong in watching, what the source gives or raises goes through.
    Opening, refusal and closing, each fault's begin and end, and a sample once a minute go to `record`. All on the
    thread that reads; that has to ask at least twice a second, as capture/reader.py does.
    """

    def __init__(
        self,
        source: AudioSource,
        device: Device,
        *,
        patience: Patience,
        record: Record,
        clock: Clock,
        on_change: OnChange | None = None,
        mains_hz: int = 50,
        timing: Timing = untimed,
    ) -> None:
        self.name = source.name
        self.channels = source.channels
        self.source = source
        self.silence_s = patience.silence_s
        self._mains_hz = mains_hz
        self._clock = clock
        self._guard = Guard(device.id, source.name, record)
        told = self._guard.listener(on_change)
        self._tracker = HealthTracker(device.id, source.name, record=record, clock=clock, on_change=told)
        self._is_open = False
        self._watch: AudioWatch | None = None
        self._opened_ns = self._sampled_ns = 0
        self._blocks = 0
        self._refused = ""
        self._judge = timing(CpuStage.WATCHES, _judge)

    @property
    def health(self) -> Health:
        """How the input is now."""
        return self._tracker.health

    def relocate(self, device: Device) -> None:
        """Open `device` the next time: the same one, with another node or in another port."""
        if isinstance(self.source, Relocatable):
            self.source.relocate(device)

    def open(self) -> None:
        """Open the source and begin to watch; raises what it raises, and logs that."""
        try:
            self.source.open()
        except LiputError as error:
            self._guard("opening", self._refuse, error)
            raise
        self.channels = self.source.channels
        self._is_open = True
        self._opened_ns = self._sampled_ns = self._clock.now_ns()
        self._blocks = 0
        self._watch = self._guard("everything", self._new_watch)
        self._guard("opening", self._tell_opened)

    def _new_watch(self) -> AudioWatch | None:
        return AudioWatch(
            self._tracker, self.channels, silence_s=self.silence_s, clock=self._clock, mains_hz=self._mains_hz
        )

    def _tell_opened(self) -> None:
        self._refused = ""
        clear_refusals(self._tracker)
        self._log(Kind.OPENED, **_facts(self.source))

    def _refuse(self, error: LiputError) -> None:
        """Log why it was not opened; once, however often that is tried."""
        if error.message != self._refused:
            self._log(Kind.REFUSED, error.message, level=Level.WARN, hint=error.hint)
        self._refused = error.message
        find_refusal(self._tracker, error)

    def read(self, timeout_s: float) -> AudioBlock | None:
        """Return the next block, or None; raises what the source raises."""
        try:
            block = self.source.read(timeout_s)
        except DeviceLost as error:
            if self._is_open:  # else it was closed meanwhile
                self._guard("loss", self._tracker.find, Fault.LOST, error.message)
            raise
        watch = self._watch
        if watch is not None:
            if block is None:
                watch.tick()
            else:
                self._blocks += 1
                self._judge(watch, block)
            if self._clock.now_ns() - self._sampled_ns >= SAMPLE_EVERY_S * NANOSECONDS:
                self._sampled_ns = self._clock.now_ns()
                watch.guard("samples", self._sample, watch)
        return block

    def _sample(self, watch: AudioWatch) -> None:
        self._log(Kind.SAMPLE, level=Level.DEBUG, **watch.sample.take())

    def close(self) -> None:
        """Close the source and log how it went; idempotent. Faults stay as they were seen last."""
        watch, self._watch = self._watch, None
        self._is_open = False
        try:
            self.source.close()
        finally:
            if watch is not None:
                self._guard("closing", self._tell_closed, watch)

    def _tell_closed(self, watch: AudioWatch) -> None:
        open_s = round((self._clock.now_ns() - self._opened_ns) / NANOSECONDS, 3)
        self._log(Kind.CLOSED, open_s=open_s, blocks=self._blocks, **watch.sample.totals())

    def _log(self, kind: Kind, reason: str = "", *, level: Level = Level.INFO, **detail: object) -> None:
        self._tracker.record(self._tracker.device_id, kind, reason, name=self.name, level=level, **detail)


def _facts(source: AudioSource) -> dict[str, Any]:
    """Return what was opened: frames a second and channels of the hardware, and the process that reads it."""
    if isinstance(source, SoundSource):
        return {"rate": source.rate, "channels": source.channels, "pid": source.pid, "scheduled": source.scheduled}
    return {"rate": SAMPLE_RATE, "channels": source.channels, "pid": os.getpid()}


def _judge(watch: AudioWatch, block: AudioBlock) -> None:
    watch.feed(block)
