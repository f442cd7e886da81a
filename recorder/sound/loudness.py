"""How loud the program is to people: EBU R128 (ITU-R BS.1770), measured from its beginning to its end.

FFmpeg's own filter does it, in this process, for about a thousandth of a core.
"""

import av
import av.filter
import numpy as np
from av.error import BlockingIOError as NothingYet

from capture.source import SAMPLE_RATE, Samples
from recorder.status import Loudness

GATE_LUFS = -70.0
"""What is softer counts as silence; the filter says so for what it could not measure at all."""

STEP = SAMPLE_RATE // 10
"""Samples (0.1 s) for which the filter gives one reading; it is given no less at a time."""


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
