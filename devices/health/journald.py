"""Lines of the health log for journald, in its native protocol, where there is one.

Never waits: what journald does not take at once it does not get. It is in the log's own files.
"""

import contextlib
import socket
from pathlib import Path

from devices.health.line import HealthLine, Level

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
