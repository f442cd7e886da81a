"""The health log: one JSON object a line, one file a day.

    2026-11-25.jsonl      the first file of its day, in local time
    2026-11-25.2.jsonl    begun when that was full, or after the clock was set back

Lines enter a bounded queue. One thread appends them, calls fdatasync and sends them to journald. A kill costs the queue
and may tear the last line. While the disk hangs, lines above the bound are dropped and counted; journald still gets
them.

Several processes may append to one file. Times in it never go back by more than TIME_SLACK, so bisection works.
"""

import contextlib
import errno
import itertools
import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec

from config.files import sync_path
from config.settings.schema import HealthLogSettings, Settings
from config.state import state_folder
from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.host import threads
from devices.host.clock import Clock

TIME_SLACK = timedelta(seconds=2)  # the most that a time may lie before the one above it, from processes out of step

LONGEST_LINE = 32_768  # in bytes, newline included

FILES_OF_A_FULL_LOG = 10
_SMALLEST_FILE = 65_536
_LINES_COMPARED = 50
_TORN_LOOKS = 20
_TORN_WAIT_S = 0.002
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.([1-9]\d{0,5}))?\.jsonl", re.ASCII)
_BEGINNING = b'{"type":"health","at":'
_decode = msgspec.json.Decoder(HealthLine).decode


def file_path(folder: Path, day: date, number: int) -> Path:
    """Return the path of the file of `day` with this number, from 1."""
    return folder / (f"{day:%Y-%m-%d}.jsonl" if number == 1 else f"{day:%Y-%m-%d}.{number}.jsonl")


def day_and_number(name: str) -> tuple[date, int] | None:
    """Return a log file's local day and its number in that day, from 1; None for other names."""
    match = _NAME.fullmatch(name)
    try:
        return (date.fromisoformat(match[1]), int(match[2] or 1)) if match else None
    except ValueError:  # 2026-02-31
        return None


def day_of(path: Path) -> date:
    return date.fromisoformat(path.name[:10])


def log_files(folder: Path) -> list[Path]:
    """Return the log files in `folder`, the oldest first; empty if the folder does not exist."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a third of the time of iterdir, and `follow` asks often
    except FileNotFoundError:
        return []
    places = {name: place for name in names if (place := day_and_number(name))}
    return [folder / name for name in sorted(places, key=lambda name: places[name])]


def time_of(line: bytes) -> datetime | None:
    """Return the time in a line of the log; None if it is no whole line."""
    try:
        at = _decode(without_torn_line(line)).at
    except (msgspec.DecodeError, ValueError):  # ValueError: not UTF-8
        return None
    return None if at.tzinfo is None else at


def without_torn_line(line: bytes) -> bytes:
    """Return `line` without the torn line in front of it."""
    start = line.rfind(_BEGINNING)
    return line[start:] if start > 0 else line


class LogAppender:
    """Appends lines to the file of their day; prunes the log to `limits`. Not thread-safe."""

    def __init__(self, folder: Path, limits: HealthLogSettings) -> None:
        self.folder = folder
        self._limits = limits
        self._file_size = max(_SMALLEST_FILE, limits.max_size // FILES_OF_A_FULL_LOG)
        self._fd = -1
        self._day = date.min
        self._number = 0
        self._end = -1  # end of our last line; the file is longer if another process wrote
        self._last_at: datetime | None = None
        self._torn = False

    def append(self, at: datetime, line: bytes) -> None:
        """Append one whole line of the time `at` with a single write. Raises OSError if the write falls short."""
        self._open_newest(at.date())
        size = self._refresh_size()
        if size and (size + len(line) > self._file_size or (self._last_at and at < self._last_at - TIME_SLACK)):
            self._open(self._number + 1)
            size = self._refresh_size()
        data = b"\n" + line if self._torn else line
        self._end = -1
        if os.write(self._fd, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end = size + len(data)
        self._torn = False
        self._last_at = max(self._last_at or at, at)

    def sync(self) -> None:
        """Call fdatasync. Raises OSError."""
        if self._fd >= 0:
            os.fdatasync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open_newest(self, day: date) -> None:
        """Open the newest file of `day`: another process may have begun one, or somebody deleted ours."""
        if self._fd >= 0 and day == self._day and os.fstat(self._fd).st_nlink:
            number = self._number
            while os.path.exists(file_path(self.folder, day, number + 1)):  # noqa: PTH110 - runs once a line
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
            sync_path(self.folder)
            self._prune()

    def _refresh_size(self) -> int:
        """Return the file's size. If another process has written, read its last line."""
        size = os.fstat(self._fd).st_size
        if size == self._end:
            return size
        tail = self._tail(size)
        for _ in range(_TORN_LOOKS):  # another process may be writing the line that lacks its newline
            if not tail or tail.endswith(b"\n"):
                break
            time.sleep(_TORN_WAIT_S)
            size = os.fstat(self._fd).st_size
            tail = self._tail(size)
        self._torn = bool(tail) and not tail.endswith(b"\n")
        times = map(time_of, tail.split(b"\n")[-_LINES_COMPARED:])
        self._last_at = max(filter(None, times), default=None)
        return size

    def _tail(self, size: int) -> bytes:
        """Return the end of the file: twice LONGEST_LINE, so that it holds a whole line before a torn one."""
        return os.pread(self._fd, 2 * LONGEST_LINE, max(0, size - 2 * LONGEST_LINE))

    def _prune(self) -> None:
        """Delete the oldest files until the log is within its bounds, with room for the new file."""
        ours = file_path(self.folder, self._day, self._number)
        old = [path for path in log_files(self.folder) if path != ours]
        left = self._limits.max_size - self._file_size - sum(map(_size, old))
        expired = self._day - timedelta(days=self._limits.keep_days)
        # If all other files expire at once, the PC was off for months or its clock is wrong: ignore their age.
        by_age = any(expired < day_of(path) < self._day for path in old)
        for path in old:
            if left < 0 or (by_age and day_of(path) <= expired):
                left += _size(path)
                with contextlib.suppress(OSError):  # not ours, or another process was quicker
                    path.unlink()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process deleted it
        return 0


SOCKET = Path("/run/systemd/journal/socket")
LONGEST_VALUE = 4_000  # in bytes: so much fits into one datagram, and journalctl prints it as JSON

_PRIORITIES = {LogLevel.INFO: 6, LogLevel.WARN: 4, LogLevel.ERROR: 3}


class JournaldClient:
    """Sends lines to journald's socket at `path`, except debug lines."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def send(self, line: HealthLine) -> bool:
        """Send `line`; return whether journald took it. Never raises."""
        if line.level not in _PRIORITIES:
            return False
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            # Not connected, so that a restarted journald is found again.
            self._socket.sendto(datagram(line), str(self._path))
        except (OSError, ValueError):
            return False
        return True

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()


def datagram(line: HealthLine) -> bytes:
    """Return `line` as the fields of a journal entry, in journald's native protocol."""
    what = f"{line.kind}: {line.reason}" if line.reason else line.kind
    fields = {
        "MESSAGE": f"{line.name or line.device}: {what}",
        "PRIORITY": str(_PRIORITIES.get(line.level, 7)),
        "SYSLOG_IDENTIFIER": "liput",
        "LIPUT_DEVICE": line.device,
        "LIPUT_KIND": line.kind,
        "LIPUT_FAULT": str(line.detail.get("fault") or ""),
    }
    return b"".join(_field(name, value) for name, value in fields.items() if value)


def _field(name: str, value: str) -> bytes:
    data = value.encode(errors="replace")[:LONGEST_VALUE].decode(errors="ignore").encode()
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


DROPPED_LINES = "left-out"  # the kind of the line that counts dropped lines (`detail.lines`)

QUEUE_LINES = 10_000
SYNC_S = 1.0
RETRY_S = 2.0
_LINES_PER_TURN = 1_000  # lines between two looks at the sync deadline
_URGENT = frozenset({LogLevel.WARN, LogLevel.ERROR})
_WITH_PID = frozenset({LogKind.OPENED, LogKind.DEGRADED, LogKind.FLAPPING})  # they end with their process
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LONGEST_TEXT = 2_000  # characters of a text in a line that would be too long


def log_folder() -> Path:
    """Return the folder of this PC's health log; it may not exist."""
    return state_folder() / "health"


def open_health_log(settings: Settings, clock: Clock) -> "HealthLog":
    """Return this PC's health log, with the limits of the settings."""
    return HealthLog(clock=clock, limits=settings.health)


class HealthLog(contextlib.AbstractContextManager["HealthLog"]):
    """Writes lines to `folder` (None: this PC's). Implements devices.health.log_line.HealthLogger. A context manager.

    `clock` dates the lines; the writer itself runs on real time. `journal` is journald's socket, None for no journald.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        clock: Clock,
        limits: HealthLogSettings | None = None,
        journal: Path | None = SOCKET,
    ) -> None:
        self.folder = log_folder() if folder is None else folder
        self._clock = clock
        self._appender = LogAppender(self.folder, limits or HealthLogSettings())
        self._journal = None if journal is None else JournaldClient(journal)
        self._queue: deque[tuple[HealthLine, bytes]] = deque()
        self._changed = threading.Condition()
        self._taken = 0
        self._journaled = 0  # of those taken, sent to journald
        self._synced_count = 0
        self._dropped = 0
        self._flush_until = 0
        self._closing = False
        self._thread = threads.start_thread(self._run, name="health-log")

    def __call__(
        self,
        device: str,
        kind: LogKind,
        reason: str = "",
        *,
        name: str = "",
        level: LogLevel = LogLevel.INFO,
        **detail: object,
    ) -> None:
        """Log a line; see devices.health.log_line.HealthLogger."""
        try:
            if kind in _WITH_PID:
                detail.setdefault("pid", os.getpid())
            line = HealthLine(
                at=self._clock.now(), device=device, name=name, level=level, kind=kind, reason=reason, detail=detail
            )
            entry = _encoded(line)
        except Exception:  # logging must not hurt the caller
            entry = None
        with self._changed:
            if entry is None or self._closing or len(self._queue) >= QUEUE_LINES:
                self._dropped += 1
                return
            self._queue.append(entry)
            self._taken += 1
            self._changed.notify_all()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until all lines taken so far are on disk; return whether they are."""
        with self._changed:
            wanted = self._taken
            self._flush_until = wanted
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._synced_count >= wanted, timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Write the queued lines, for at most `timeout_s` seconds, and drop later ones."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def __exit__(self, *exc: object) -> None:
        self.close()

    # On the writer's thread

    def _run(self) -> None:
        written = 0
        sync_at: float | None = None
        while True:
            with self._changed:
                timeout = None if sync_at is None else max(0.0, sync_at - time.monotonic())
                self._changed.wait_for(
                    lambda: self._queue or self._closing or self._flush_until > self._synced_count, timeout
                )
                closing = self._closing
            count, urgent, failed = self._write_some()
            written += count
            if count and sync_at is None:
                sync_at = time.monotonic() + SYNC_S
            hurry = urgent or closing or self._synced_count < self._flush_until <= written
            if sync_at is not None and (hurry or time.monotonic() >= sync_at):
                if self._try_sync(written):
                    sync_at = None
                else:
                    failed = True
            if closing and (failed or not self._queue):
                break
            if failed:
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, RETRY_S)
        self._appender.close()
        if self._journal:
            self._journal.close()

    def _write_some(self) -> tuple[int, bool, bool]:
        """Write queued lines; return their count, whether one needs a sync at once, and whether the disk failed."""
        urgent = False
        count = 0
        for _ in range(min(self._send_to_journal(), _LINES_PER_TURN)):
            line, data = self._queue[0]
            if not self._try_append(line, data):
                return count, urgent, True
            self._queue.popleft()
            count += 1
            urgent |= line.level in _URGENT
        if self._dropped and count:
            self._report_dropped()
        return count, urgent, False

    def _send_to_journal(self) -> int:
        """Send new lines to journald, even while the disk fails. Return the number of queued lines."""
        with self._changed:
            waiting = len(self._queue)
            news = list(itertools.islice(self._queue, waiting - (self._taken - self._journaled), None))
            self._journaled = self._taken
        if self._journal is not None:
            for line, _ in news:
                self._journal.send(line)
        return waiting

    def _try_append(self, line: HealthLine, data: bytes) -> bool:
        try:
            self._appender.append(line.at, data)
        except OSError:
            return False
        return True

    def _try_sync(self, written: int) -> bool:
        try:
            self._appender.sync()
        except OSError:
            return False
        with self._changed:
            self._synced_count = written
            self._changed.notify_all()
        return True

    def _report_dropped(self) -> None:
        count, now = self._dropped, self._clock.now()
        reason, detail = f"{count} lines of the health log could not be kept", {"lines": count}
        line = HealthLine(at=now, device=PC, level=LogLevel.WARN, kind=DROPPED_LINES, reason=reason, detail=detail)
        if self._try_append(*_encoded(line)):
            with self._changed:
                self._dropped -= count


def _encoded(line: HealthLine) -> tuple[HealthLine, bytes]:
    """Return `line` with its bytes. Values that are not JSON are replaced; texts that are too long are cut."""
    try:
        data = msgspec.json.encode(line)
    except (TypeError, ValueError, OverflowError, RecursionError):
        line = msgspec.structs.replace(
            line, device=_text(line.device), name=_text(line.name), reason=_text(line.reason), detail=_safe_detail(line)
        )
        data = msgspec.json.encode(line)
    if len(data) >= LONGEST_LINE:
        line = msgspec.structs.replace(
            line,
            device=line.device[:_LONGEST_TEXT],
            name=line.name[:_LONGEST_TEXT],
            reason=line.reason[:_LONGEST_TEXT],
            detail={"left_out_bytes": len(data)},
        )
        data = msgspec.json.encode(line)
    return line, data + b"\n"


def _safe_detail(line: HealthLine) -> Mapping[str, object]:
    """Return a detail that encodes: no lone surrogates, numpy's numbers as numbers, other objects as text."""
    with contextlib.suppress(Exception):
        detail = _plain(line.detail)
        msgspec.json.encode(detail)
        if isinstance(detail, dict):
            return detail
    return {}


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(str(name)): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    number = getattr(value, "item", None)  # a numpy scalar
    return _plain(number()) if callable(number) else _text(str(value))


def _text(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)
