"""Meters of the program's sound: peak levels, and loudness (EBU R128, ITU-R BS.1770) by FFmpeg's own filter."""

import math

import av
import av.filter
import numpy as np
from av.error import BlockingIOError as NothingYet

from capture.source import SAMPLE_RATE, Samples
from recorder.model.status import Loudness
from recorder.program.resampler import Floats

GATE_LUFS = -70.0
"""What is softer counts as silence; the filter says so for what it could not measure at all."""

STEP = SAMPLE_RATE // 10
"""Samples (0.1 s) for which the filter gives one reading; it is given no less at a time."""


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


class LoudnessMeter:
    """Fed with the program's samples; `reading` is replaced ten times a second, and may be read from any thread."""

    def __init__(self, channels: int) -> None:
        self.reading = Loudness()
        self._layout = "mono" if channels == 1 else "stereo"
        self._samples = 0
        self._waiting: list[Samples] = []
        self._waiting_samples = 0
        graph = self._graph = av.filter.Graph()
        self._source = graph.add(
            "abuffer",
            f"sample_rate={SAMPLE_RATE}:sample_fmt=s16:channel_layout={self._layout}:time_base=1/{SAMPLE_RATE}",
        )
        meter = graph.add("ebur128", "metadata=1:framelog=quiet")
        self._sink = graph.add("abuffersink")
        self._source.link_to(meter)
        meter.link_to(self._sink)
        graph.configure()

    def feed(self, samples: Samples) -> None:
        """Take (n, channels) samples."""
        self._waiting.append(samples)
        self._waiting_samples += len(samples)
        if self._waiting_samples >= STEP:
            self._push(np.concatenate(self._waiting))
            self._waiting, self._waiting_samples = [], 0

    def _push(self, samples: Samples) -> None:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=self._layout)
        frame.sample_rate, frame.pts = SAMPLE_RATE, self._samples
        self._samples += len(samples)
        self._source.push(frame)
        while True:
            try:
                measured = self._sink.pull()
            except NothingYet:
                return
            self._read(measured.metadata)

    def _read(self, measured: dict[str, str]) -> None:
        def lufs(letter: str) -> float | None:
            value = float(measured[f"lavfi.r128.{letter}"])
            return round(value, 1) if value > GATE_LUFS else None

        integrated = lufs("I")
        self.reading = Loudness(
            momentary_lufs=lufs("M"),
            short_term_lufs=lufs("S"),
            integrated_lufs=integrated,
            range_lu=round(float(measured["lavfi.r128.LRA"]), 1) if integrated is not None else None,
        )
