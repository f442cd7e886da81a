"""A sound input that is watched whenever it is open: an AudioSource around another one."""

import os
from collections.abc import Callable
from typing import Any

from capture.sound.source import SoundSource
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource
from capture.timing import CpuStage, Timing, untimed
from capture.watch.audio import AudioWatch
from capture.watch.patience import Patience
from capture.watch.watched import WatchedSource
from devices.clock import NANOSECONDS, Clock
from devices.health.line import Kind, Level, Record
from devices.health.tracker import OnChange
from devices.model import Device

SAMPLE_EVERY_S = 60


class WatchedAudio(WatchedSource[AudioSource, None, AudioWatch]):
    """Implements AudioSource (capture/source.py): passes `source` on as it is, and judges what comes.

    Opening, refusal and closing, each fault's begin and end, and a sample once a minute go to `record`. All on the
    thread that reads; that has to ask at least twice a second, as capture/reader.py does.
    """

    def __init__(
        self,
        source: AudioSource,
        device: Device,
        *,
        patience_of: Callable[[Device], Patience],
        record: Record,
        clock: Clock,
        on_change: OnChange | None = None,
        mains_hz: int = 50,
        timing: Timing = untimed,
    ) -> None:
        super().__init__(source, device, patience_of=patience_of, record=record, clock=clock, on_change=on_change)
        self.channels = source.channels
        self._mains_hz = mains_hz
        self._opened_ns = self._sampled_ns = 0
        self._blocks = 0
        self._judge = timing(CpuStage.WATCHES, _judge)

    @property
    def silence_s(self) -> float:
        """How long it may be silent."""
        return self._patience.silence_s

    def open(self) -> None:
        """Open the source and begin to watch; raises what it raises, and logs that."""
        self._open(self._open_source)

    def _open_source(self) -> None:
        self.source.open()
        self.channels = self.source.channels

    def _facts(self, _opened: None) -> dict[str, Any]:
        """Return frames a second and channels of the hardware, and the process that reads it."""
        source = self.source
        if isinstance(source, SoundSource):
            return {"rate": source.rate, "channels": source.channels, "pid": source.pid, "scheduled": source.scheduled}
        return {"rate": SAMPLE_RATE, "channels": source.channels, "pid": os.getpid()}

    def _new_watch(self, _opened: None) -> AudioWatch:
        self._opened_ns = self._sampled_ns = self._clock.now_ns()
        self._blocks = 0
        return AudioWatch(
            self._tracker, self.channels, silence_s=self.silence_s, clock=self._clock, mains_hz=self._mains_hz
        )

    def read(self, timeout_s: float) -> AudioBlock | None:
        """Return the next block, or None; raises what the source raises."""
        block = self._read(self.source.read, timeout_s)
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
        self._tracker.log(Kind.SAMPLE, level=Level.DEBUG, **watch.sample.take())

    def _tell_closed(self, watch: AudioWatch) -> None:
        open_s = round((self._clock.now_ns() - self._opened_ns) / NANOSECONDS, 3)
        self._tracker.log(Kind.CLOSED, open_s=open_s, blocks=self._blocks, **watch.sample.totals())


def _judge(watch: AudioWatch, block: AudioBlock) -> None:
    watch.feed(block)
