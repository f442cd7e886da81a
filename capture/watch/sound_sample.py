"""What the health log keeps of an input that is open: once a minute, and when it is closed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE
from capture.watch.loudness import PIECE, Piece, to_dbfs
from devices.clock import NANOSECONDS

_FLOOR_PERCENTILE = 10


class _Sums:
    def __init__(self, channels: int) -> None:
        self.overflows = 0
        self.lost_ns = 0
        self.peaks = np.zeros(channels)
        self.clipped = np.zeros(channels, np.int64)

    def detail(self) -> dict[str, Any]:
        return {
            "overflows": self.overflows,
            "lost_s": round(self.lost_ns / NANOSECONDS, 3),
            "clipped_samples": self.clipped.tolist(),
            "peak_dbfs": _rounded(self.peaks),
        }


class SoundSample:
    """Sums up half seconds: since the last `take`, and since the beginning."""

    def __init__(self, channels: int) -> None:
        self.hum_dbfs: float | None = None
        self._channels = channels
        self._all = _Sums(channels)
        self._lately = _Sums(channels)
        self._levels: list[NDArray[np.float32]] = []

    @property
    def pieces(self) -> int:
        """How many half seconds have come since the last `take`."""
        return len(self._levels)

    def lose(self, lost_ns: int) -> None:
        """Count that samples were lost between two blocks, `lost_ns` of them by the stamps of the blocks."""
        for sums in (self._all, self._lately):
            sums.overflows += 1
            sums.lost_ns += lost_ns

    def add(self, piece: Piece) -> None:
        """Take the next half second."""
        self._levels.append(piece.levels)
        for sums in (self._all, self._lately):
            np.maximum(sums.peaks, piece.peaks, out=sums.peaks)
            sums.clipped += piece.clipped

    def take(self) -> dict[str, Any]:
        """Return the sum since the last one as JSON values, and begin anew; levels in dBFS for each channel.

        The noise floor is what nine of ten parts of 50 ms exceed; `overflows` is how often samples were lost.
        """
        detail = self._lately.detail() | {"seconds": len(self._levels) * PIECE / SAMPLE_RATE}
        if self._levels:
            levels = np.concatenate(self._levels, axis=1)
            detail["rms_dbfs"] = _rounded(np.sqrt(np.mean(levels.astype(np.float64) ** 2, axis=1)))
            detail["noise_floor_dbfs"] = _rounded(np.percentile(levels, _FLOOR_PERCENTILE, axis=1))
        if self.hum_dbfs is not None:
            detail["hum_dbfs"] = round(self.hum_dbfs, 1)
        self._lately, self._levels = _Sums(self._channels), []
        return detail

    def totals(self) -> dict[str, Any]:
        """Return the sum since the beginning."""
        return self._all.detail()


def _rounded(levels: NDArray[Any]) -> list[float]:
    return [round(to_dbfs(float(level)), 1) for level in levels]
