"""How long a disk will last while one file grows on it, and how fast it takes synced data."""

import os
import tempfile
import threading
import time
from collections import deque
from enum import IntEnum
from pathlib import Path

from config.settings.schema import StorageSettings
from devices.host.clock import NANOSECONDS
from recorder.disk.errors import storage_errors

WINDOW_NS = 60 * NANOSECONDS  # the span over which the rate is measured
SOON_NS = 10 * NANOSECONDS  # until then the rate is the profile's: the first seconds of a recording are no measure
INDEX_BYTES_PER_S = 3000  # index bytes for a second of recording, at most: 60 frames and 47 audio frames
CLOSING_BYTES = 4_000_000
"""The package's metadata, and the seconds between the decision to leave a disk and the last write."""
AGAIN = 1.2  # a warning is repeated only after the time left was this many times its limit


class DiskLevel(IntEnum):
    """How urgent the space is."""

    ENOUGH = 0
    LOW = 1
    CRITICAL = 2
    OVER = 3


class DiskForecast:
    """The forecast of one disk while one file grows on it."""

    def __init__(self, settings: StorageSettings, keep_free: int, bytes_per_s: float) -> None:
        """`keep_free` bytes stay free beside those for closing; `bytes_per_s` is the expected rate."""
        self._settings = settings
        self._keep_free = keep_free
        self._expected = bytes_per_s
        self._looks: deque[tuple[int, int, int]] = deque()  # time, bytes free, bytes written
        self.left_s: float | None = None
        self.level = DiskLevel.ENOUGH

    def update(self, now_ns: int, free: int, written: int, media_s: float, planned_s: float | None) -> DiskLevel | None:
        """Take a look at the disk; return the level if it rose, or if an alarm is over, else None."""
        self._looks.append((now_ns, free, written))
        while self._looks[0][0] < now_ns - WINDOW_NS:
            self._looks.popleft()
        room = free - self._keep_free - CLOSING_BYTES - round(media_s * INDEX_BYTES_PER_S)
        self.left_s = max(0.0, room / self._rate())
        level = self._level(room, planned_s, 1.0)
        if level > self.level:
            self.level = level
            return level
        before, self.level = self.level, max(level, min(self.level, self._level(room, planned_s, AGAIN)))
        return self.level if self.level < DiskLevel.CRITICAL <= before else None

    def _rate(self) -> float:
        (began_ns, had_free, had_written), (at_ns, free, written) = self._looks[0], self._looks[-1]
        if at_ns - began_ns < SOON_NS:
            return self._expected
        seconds = (at_ns - began_ns) / NANOSECONDS
        return max(1.0, (written - had_written) / seconds, (had_free - free) / seconds)

    def _level(self, room: int, planned_s: float | None, factor: float) -> DiskLevel:
        left_s = self.left_s or 0.0
        if room <= 0:
            return DiskLevel.OVER
        if planned_s is not None and left_s >= planned_s * factor:
            return DiskLevel.ENOUGH
        if left_s < self._settings.critical_s * factor:
            return DiskLevel.CRITICAL
        if planned_s is not None or left_s < self._settings.low_s * factor:
            return DiskLevel.LOW
        return DiskLevel.ENOUGH


PIECE_BYTES = 4_000_000  # the size of one synced write, like fragments of a recording
MOST_BYTES = 8 * PIECE_BYTES
PART_OF_FREE = 4  # at most a fourth of a small disk's free space is written


def measure_write_bps(folder: Path, longest_s: float, stop: threading.Event) -> float | None:
    """Return bits a second of synced writes; None without room. Raises StorageError."""
    piece = os.urandom(PIECE_BYTES)  # some file systems skip zeros
    written, began = 0, time.monotonic()
    with storage_errors(folder):
        disk = os.statvfs(folder)
        most = min(MOST_BYTES, disk.f_bavail * disk.f_frsize // PART_OF_FREE)
        with tempfile.TemporaryFile(dir=folder) as file:
            while written + PIECE_BYTES <= most and not stop.is_set() and time.monotonic() < began + longest_s:
                file.write(piece)
                file.flush()
                os.fdatasync(file.fileno())
                written += PIECE_BYTES
            took_s = time.monotonic() - began
    return written * 8 / took_s if written else None
