"""How fast a disk takes data that is synced."""

import os
import tempfile
import threading
import time
from pathlib import Path

from recorder.disk.errors import storage_error

PIECE_BYTES = 4_000_000
"""Synced one by one, as the fragments of a recording are."""
MOST_BYTES = 8 * PIECE_BYTES
PART_OF_FREE = 4
"""Of what is free on a small disk, a fourth is written at most."""


def write_bps(folder: Path, longest_s: float, stop: threading.Event) -> float | None:
    """Return the bits a second that a disk takes, each piece synced; None without room. Raises StorageErrors."""
    piece = memoryview(os.urandom(PIECE_BYTES))  # some file systems would not write zeros
    written, began = 0, time.monotonic()
    try:
        disk = os.statvfs(folder)
        most = min(MOST_BYTES, disk.f_bavail * disk.f_frsize // PART_OF_FREE)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            while written + PIECE_BYTES <= most and not stop.is_set() and time.monotonic() < began + longest_s:
                _write(file.fileno(), piece)
                os.fdatasync(file.fileno())
                written += PIECE_BYTES
            took_s = time.monotonic() - began
    except OSError as error:
        raise storage_error(error, folder) from None
    return written * 8 / took_s if written else None


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
