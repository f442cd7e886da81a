"""The session's event log: every gap, drop, reconnect and restart with its time, kept with the recording.

Events come from any thread and are never made to wait for the disk: a thread for each file appends them, one JSON
object a line, and makes them safe with fdatasync. Each file gets every event, also those from before it was opened: the
log outlives the disk that it began on. For that they are kept in memory, some 300 bytes each.
"""

import os
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from config.events import Event
from devices.clock import Clock
from recorder.archive.names import storable

CLOSE_S = 5.0
"""How long a disk may take to the last events, before its file is left to itself."""

type Listener = Callable[[Event], None]


class EventLog:
    """Takes events from the first moment on; `open` gives them a file, `close` ends it. Implements Emit."""

    def __init__(self, clock: Clock, listener: Listener | None = None) -> None:
        self._clock = clock
        self._listener = listener
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._files: list[_File] = []

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        """Log an event; see config.events.Emit."""
        detail = {name: _storable_value(value) for name, value in detail.items()}
        event = Event(self._clock.now(), kind, storable(subject), detail, storable(message))
        line = _encoded(event)
        with self._lock:
            self._lines.append(line)
            for file in self._files:
                file.put(line)
        if self._listener:
            self._listener(event)

    def open(self, path: Path) -> None:
        """Write to `path` too from now on, starting with the events that have come already; raises OSErrors."""
        file = _File(path)
        with self._lock:
            for line in self._lines:
                file.put(line)
            self._files.append(file)

    def close(self) -> int:
        """Return when every event is on disk; later ones reach the listener only.

        Returns how many files were left to themselves because their disk does not answer.
        """
        with self._lock:
            files, self._files = self._files, []
        for file in files:
            file.put(None)
        return sum(not file.ended() for file in files)


class _File:
    """One file of the log, on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.put = self._queue.put
        self._thread = threading.Thread(target=self._write, name="event-log", daemon=True)
        self._thread.start()

    def ended(self) -> bool:
        """Wait for the end, at most CLOSE_S; return whether it has come."""
        self._thread.join(CLOSE_S)
        return not self._thread.is_alive()

    def _write(self) -> None:
        unwritten = b""
        try:
            while (line := self._queue.get()) is not None:
                unwritten += line
                try:
                    # A disk that is almost full takes a part; the rest goes before the next event.
                    unwritten = unwritten[os.write(self._descriptor, unwritten) :]
                    os.fdatasync(self._descriptor)
                except OSError:
                    # The recording's own writer meets the same disk and reports it; events go on to the listener.
                    continue
        finally:
            os.close(self._descriptor)


def _encoded(event: Event) -> bytes:
    """Return an event as a line; one whose detail is no JSON is kept without it."""
    try:
        return msgspec.json.encode(event) + b"\n"
    except (TypeError, ValueError, OverflowError):
        return msgspec.json.encode(msgspec.structs.replace(event, detail={})) + b"\n"


def _storable_value(value: object) -> object:
    """Return a JSON value in which every text can be written as UTF-8: names of files need not be."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {name: _storable_value(inner) for name, inner in value.items()}
    return [_storable_value(inner) for inner in value] if isinstance(value, list | tuple) else value
