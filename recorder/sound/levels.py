"""Peak levels that people can read once a second."""

import math

from capture.source import Samples
from recorder.sound.resampler import Floats

FLOOR_DBFS = -90.0
FALL_DB = 0.5
"""How much the level falls with each AAC frame (about 23 dB a second) after a peak."""


class PeakMeter:
    """The peak level of each channel in dBFS, fed with an AAC frame at a time. Read from any thread."""

    def __init__(self, channels: int) -> None:
        self.levels_dbfs = [FLOOR_DBFS] * channels

    def feed(self, samples: Samples | Floats) -> None:
        """Take a frame, (n, channels)."""
        if not len(samples):
            return
        for channel, level in enumerate(self.levels_dbfs):
            column = samples[:, channel]
            peak = max(float(column.max()), -float(column.min()))
            peak_dbfs = 20 * math.log10(peak / 32768) if peak else FLOOR_DBFS
            self.levels_dbfs[channel] = max(peak_dbfs, level - FALL_DB, FLOOR_DBFS)
