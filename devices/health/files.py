"""The files of the health log: one a day, more where one is full or the time of day went back.

    2026-11-25.jsonl      the first of its day, by local time
    2026-11-25.2.jsonl    begun when that was full, or when the clock had been set back

Several processes may append to the same file at once. Within one, times never go back by more than SLACK, so that it
can be searched by bisection.
"""

import contextlib
import errno
import os
import re
import time
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec

from config.files import sync
from devices.health.line import HealthLine

SLACK = timedelta(seconds=2)
"""How far back the time of a line may be of the one before it in the same file: processes do not write in step."""

LONGEST_LINE = 32_768
"""Bytes of a line, its newline included."""

FILES_OF_A_FULL_LOG = 10
_SMALLEST_FILE = 65_536
_LINES_COMPARED = 50
_LOOKS = 20
_BETWEEN_LOOKS_S = 0.002
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.([1-9]\d{0,5}))?\.jsonl", re.ASCII)
_BEGINNING = b'{"type":"health","at":'
_decode = msgspec.json.Decoder(HealthLine).decode


def file_path(folder: Path, day: date, number: int) -> Path:
    """Return where the file of that day and number is."""
    return folder / (f"{day:%Y-%m-%d}.jsonl" if number == 1 else f"{day:%Y-%m-%d}.{number}.jsonl")


def day_and_number(name: str) -> tuple[date, int] | None:
    """Return the local day that a file of the log is of, and its number within that day, from 1; None of another."""
    match = _NAME.fullmatch(name)
    try:
        return (date.fromisoformat(match[1]), int(match[2] or 1)) if match else None
    except ValueError:  # 2026-02-31
        return None


def day_of(path: Path) -> date:
    """Return the local day of a file of the log."""
    return date.fromisoformat(path.name[:10])


def log_files(folder: Path) -> list[Path]:
    """Return the files of the log in `folder`, the oldest first; empty where there is no such folder."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a third of the time of iterdir, and `follow` asks often
    except FileNotFoundError:
        return []
    places = {name: place for name in names if (place := day_and_number(name))}
    return [folder / name for name in sorted(places, key=lambda name: places[name])]


def time_of(line: bytes) -> datetime | None:
    """Return when a line of the log was written, None where it is not a whole line."""
    try:
        at = _decode(whole_part(line)).at
    except (msgspec.DecodeError, ValueError):  # ValueError: not UTF-8
        return None
    return None if at.tzinfo is None else at


def whole_part(line: bytes) -> bytes:
    """Return `line` without what stands before it of a line that was never finished."""
    start = line.rfind(_BEGINNING)
    return line[start:] if start > 0 else line


class LogAppender:
    """Appends lines to the file of their day and keeps the log within its bounds; for one thread.

    `keep_days` and `max_size` (bytes) bound what is kept: the oldest files go first, never the one that is written.
    """

    def __init__(self, folder: Path, keep_days: int, max_size: int) -> None:
        self.folder = folder
        self._keep_days = keep_days
        self._max_size = max_size
        self._file_size = max(_SMALLEST_FILE, max_size // FILES_OF_A_FULL_LOG)
        self._fd = -1
        self._day = date.min
        self._number = 0
        self._end = -1  # where our last line ended; anything else: somebody wrote after it
        self._last_at: datetime | None = None
        self._torn = False

    def append(self, at: datetime, line: bytes) -> None:
        """Append one whole line, of the time `at`, with a single write. Raises OSError where it is not all written."""
        self._find_file(at.date())
        size = self._look()
        if size and (size + len(line) > self._file_size or (self._last_at and at < self._last_at - SLACK)):
            self._open(self._number + 1)
            size = self._look()
        data = b"\n" + line if self._torn else line
        self._end = -1
        if os.write(self._fd, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end = size + len(data)
        self._torn = False
        self._last_at = max(self._last_at or at, at)

    def sync(self) -> None:
        """Make what was appended safe from a power cut. Raises OSError."""
        if self._fd >= 0:
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _find_file(self, day: date) -> None:
        """Have the newest file of `day` open: another process may have begun one, or somebody deleted ours."""
        if self._fd >= 0 and day == self._day and os.fstat(self._fd).st_nlink:
            number = self._number
            while os.path.exists(file_path(self.folder, day, number + 1)):  # noqa: PTH110 - once a line, so the quick one
                number += 1
            if number == self._number:
                return
        else:
            self._day = day
            places = [day_and_number(path.name) or (date.min, 0) for path in log_files(self.folder)]
            number = max((number for of, number in places if of == day), default=1)
        self._open(number)

    def _open(self, number: int) -> None:
        if self._fd >= 0:
            self.sync()
        self.close()
        self._number = number
        path = file_path(self.folder, self._day, number)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not path.exists()
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = -1
        if is_new:
            sync(self.folder)
            self._prune()

    def _look(self) -> int:
        """Return the size of the file; where others have written, find out what its last line is."""
        size = os.fstat(self._fd).st_size
        if size == self._end:
            return size
        tail = self._tail(size)
        for _ in range(_LOOKS):  # a line that lacks its end may be one that is just being written
            if not tail or tail.endswith(b"\n"):
                break
            time.sleep(_BETWEEN_LOOKS_S)
            size = os.fstat(self._fd).st_size
            tail = self._tail(size)
        self._torn = bool(tail) and not tail.endswith(b"\n")
        times = map(time_of, tail.split(b"\n")[-_LINES_COMPARED:])
        self._last_at = max(filter(None, times), default=None)
        return size

    def _tail(self, size: int) -> bytes:
        """Return the end of the file: twice the longest line, so a whole one is in it whatever is torn after it."""
        return os.pread(self._fd, 2 * LONGEST_LINE, max(0, size - 2 * LONGEST_LINE))

    def _prune(self) -> None:
        """Delete the oldest files until the log is within its bounds, with room for the one that was begun."""
        ours = file_path(self.folder, self._day, self._number)
        old = [path for path in log_files(self.folder) if path != ours]
        left = self._max_size - self._file_size - sum(map(_size, old))
        expired = self._day - timedelta(days=self._keep_days)
        # Where everything else would go, the PC was off for months or its clock is wrong: not by age, then.
        by_age = any(expired < day_of(path) < self._day for path in old)
        for path in old:
            if left < 0 or (by_age and day_of(path) <= expired):
                left += _size(path)
                with contextlib.suppress(OSError):  # not ours, or another process was quicker
                    path.unlink()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process was quicker to delete it
        return 0
