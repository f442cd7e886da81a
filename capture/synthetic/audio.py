"""Synthetic sound: speech that says nothing, and a beep with every flash of the synthetic picture."""

import threading

from capture.pacing import Pace
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource
from capture.synthetic.speech import LOOP_SAMPLES, speech
from devices.host.clock import NANOSECONDS

TRACK = "audio"
"""What the pace calls this track."""

BLOCK_SAMPLES = 1024


class SyntheticAudio(AudioSource):
    """Sound that needs no microphone: blocks without a gap; with `beeps`, each second begins with 0.1 s of 1 kHz."""

    name = "synthetic sound"

    def __init__(
        self,
        pace: Pace,
        stop: threading.Event,
        channels: int = 2,
        *,
        beeps: bool = True,
    ) -> None:
        if channels not in (1, 2):
            raise ValueError(f"1 or 2 channels, not {channels}")
        self.channels = channels
        self._pace = pace
        self._stop = stop
        self._speech = speech(beeps=beeps)
        self._number = 0

    def open(self) -> None:
        """Make the first of the sound."""
        self._speech.until(BLOCK_SAMPLES)

    def read(self, timeout_s: float) -> AudioBlock | None:
        """Return the next block when its time has come, None when it has not within `timeout_s` or when stopped."""
        start = self._number * BLOCK_SAMPLES
        media_ns = (start + BLOCK_SAMPLES) * NANOSECONDS // SAMPLE_RATE
        if self._stop.is_set() or not self._pace.wait(TRACK, media_ns, timeout_s):
            return None
        place = start % LOOP_SAMPLES
        samples = self._speech.until(place + BLOCK_SAMPLES)[place : place + BLOCK_SAMPLES, : self.channels]
        self._number += 1
        return AudioBlock(self._pace.start_ns() + start * NANOSECONDS // SAMPLE_RATE, samples)

    def close(self) -> None:
        """End the track."""
        self._pace.finish(TRACK)
