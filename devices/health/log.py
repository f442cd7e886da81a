"""The health log: takes lines from any thread and keeps them on disk, one JSON object a line, one file a day.

Lines go into a bounded queue; a thread of its own appends them (devices/health/files.py), makes them safe with
fdatasync and hands them to journald. A kill costs the queue, and at most a torn last line. A disk that takes nothing
costs lines, which are counted; journald gets them all the same.
"""

import contextlib
import itertools
import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from config.settings.schema import Settings
from config.state import state_folder
from devices.health.files import LONGEST_LINE, LogAppender
from devices.health.line import PC, HealthLine, Kind, Level
from devices.host import threads
from devices.host.clock import Clock

SOCKET = Path("/run/systemd/journal/socket")
LONGEST_VALUE = 4_000
"""Bytes of a field; what is longer is cut off: it fits into one datagram, and journalctl prints it as JSON."""

_PRIORITIES = {Level.INFO: 6, Level.WARN: 4, Level.ERROR: 3}


class Journal:
    """Sends lines to the journald that listens at `path`; a line for debugging is not sent."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def send(self, line: HealthLine) -> bool:
        """Hand `line` to journald; return whether it took it. Never raises."""
        if line.level not in _PRIORITIES:
            return False
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            # By address each time: a journald that was restarted is found again.
            self._socket.sendto(datagram(line), str(self._path))
        except (OSError, ValueError):
            return False
        return True

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()


def datagram(line: HealthLine) -> bytes:
    """Return `line` as the fields of a journal entry."""
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


LEFT_OUT = "left-out"
"""The kind of the line that says how many could not be kept (`detail.lines`)."""

QUEUE_LINES = 10_000
SYNC_S = 1.0
RETRY_S = 2.0
_AT_ONCE = 1_000  # lines between two looks at whether something has to be synced
_URGENT = frozenset({Level.WARN, Level.ERROR})
_OF_A_PROCESS = frozenset({Kind.OPENED, Kind.DEGRADED, Kind.FLAPPING})  # they end with it: present.open_faults
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LONGEST_TEXT = 2_000  # characters of a reason whose line would be too long


def log_folder() -> Path:
    """Return the folder of this PC's health log, whether or not it exists."""
    return state_folder() / "health"


def open_health_log(settings: Settings, clock: Clock) -> "HealthLog":
    """Return this PC's health log, as the settings have it kept."""
    return HealthLog(clock=clock, keep_days=settings.health.keep_days, max_size=settings.health.max_size)


class HealthLog:
    """Keeps lines in `folder` (None: this PC's); implements devices.health.line.Record. A context manager.

    Lines are kept for `keep_days` days, at most `max_size` bytes of them. `clock` gives the time of day; the writer
    paces itself by the real one. `journal` is journald's socket, None for no journald.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        clock: Clock,
        keep_days: int = 90,
        max_size: int = 200_000_000,
        journal: Path | None = SOCKET,
    ) -> None:
        self.folder = log_folder() if folder is None else folder
        self._clock = clock
        self._appender = LogAppender(self.folder, keep_days, max_size)
        self._journal = None if journal is None else Journal(journal)
        self._queue: deque[tuple[HealthLine, bytes]] = deque()
        self._changed = threading.Condition()
        self._taken = 0
        self._told = 0  # of those taken, journald
        self._safe = 0
        self._left_out = 0
        self._wanted = 0
        self._closing = False
        self._thread = threads.start(self._run, name="health-log")

    def __call__(
        self, device: str, kind: Kind, reason: str = "", *, name: str = "", level: Level = Level.INFO, **detail: object
    ) -> None:
        """Log something; see devices.health.line.Record."""
        try:
            if kind in _OF_A_PROCESS:
                detail.setdefault("pid", os.getpid())
            line = HealthLine(
                at=self._clock.now(), device=device, name=name, level=level, kind=kind, reason=reason, detail=detail
            )
            entry = _encoded(line)
        except Exception:  # a device must not suffer from what is said about it
            entry = None
        with self._changed:
            if entry is None or self._closing or len(self._queue) >= QUEUE_LINES:
                self._left_out += 1
                return
            self._queue.append(entry)
            self._taken += 1
            self._changed.notify_all()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until every line taken so far is safe on disk; return whether it is."""
        with self._changed:
            wanted = self._taken
            self._wanted = wanted
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._safe >= wanted, timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what was taken, as far as the disk takes it within `timeout_s` seconds, and take nothing more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # What follows runs on the writer's thread.

    def _run(self) -> None:
        written = 0
        sync_at: float | None = None
        while True:
            with self._changed:
                timeout = None if sync_at is None else max(0.0, sync_at - time.monotonic())
                self._changed.wait_for(lambda: self._queue or self._closing or self._wanted > self._safe, timeout)
                closing = self._closing
            count, urgent, failed = self._write_some()
            written += count
            if count and sync_at is None:
                sync_at = time.monotonic() + SYNC_S
            hurry = urgent or closing or self._safe < self._wanted <= written
            if sync_at is not None and (hurry or time.monotonic() >= sync_at):
                if self._synced(written):
                    sync_at = None
                else:
                    failed = True
            if closing and (failed or not self._queue):
                break
            if failed:
                self._pause()
        self._appender.close()
        if self._journal:
            self._journal.close()

    def _write_some(self) -> tuple[int, bool, bool]:
        """Write lines; return how many, whether one of them must be safe at once, whether the disk took them not."""
        urgent = False
        count = 0
        for _ in range(min(self._tell_journal(), _AT_ONCE)):
            line, data = self._queue[0]
            if not self._appended(line, data):
                return count, urgent, True
            self._queue.popleft()
            count += 1
            urgent |= line.level in _URGENT
        if self._left_out and count:
            self._say_what_was_left_out()
        return count, urgent, False

    def _tell_journal(self) -> int:
        """Hand journald what has come since, whatever the disk makes of it; return how many lines may be written."""
        with self._changed:
            waiting = len(self._queue)
            news = list(itertools.islice(self._queue, waiting - (self._taken - self._told), None))
            self._told = self._taken
        if self._journal is not None:
            for line, _ in news:
                self._journal.send(line)
        return waiting

    def _appended(self, line: HealthLine, data: bytes) -> bool:
        try:
            self._appender.append(line.at, data)
        except OSError:
            return False
        return True

    def _synced(self, written: int) -> bool:
        try:
            self._appender.sync()
        except OSError:
            return False
        with self._changed:
            self._safe = written
            self._changed.notify_all()
        return True

    def _say_what_was_left_out(self) -> None:
        count = self._left_out
        reason = f"{count} lines of the health log could not be kept"
        line = HealthLine(
            at=self._clock.now(), device=PC, level=Level.WARN, kind=LEFT_OUT, reason=reason, detail={"lines": count}
        )
        if self._appended(*_encoded(line)):
            with self._changed:
                self._left_out -= count

    def _pause(self) -> None:
        """Wait before the disk is tried again."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, RETRY_S)


def _encoded(line: HealthLine) -> tuple[HealthLine, bytes]:
    """Return `line` with its bytes; what cannot be written as JSON is replaced, what is too long left out."""
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
    """Return a detail that is JSON: text without lone surrogates, numpy's numbers, anything else as its text."""
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
    number = getattr(value, "item", None)  # a number of numpy's
    return _plain(number()) if callable(number) else _text(str(value))


def _text(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)
