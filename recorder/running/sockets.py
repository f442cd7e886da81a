"""Unix sockets by paths of any length: the kernel takes 108 bytes, a folder's own name may need more."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.running.operators import PRIVATE_FILE, SOCKET, share

BACKLOG = 16


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Provide another name of `path`, which goes through a descriptor of its folder."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path, backlog: int = BACKLOG, group: int | None = None) -> socket.socket:
    """Return a socket that listens at `path` and does not block. Raises OSError.

    It is of mode 0600, or 0660 for `group` (recorder.running.operators). At most `backlog` clients queue; it is short,
    so that whoever comes behind a crowd waits a moment only.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), PRIVATE_FILE)  # before it has a name: Linux gives the name this mode
        with _short(path) as name:
            listener.bind(name)
        if group is not None:
            share(path, group, SOCKET)
        listener.listen(backlog)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


def connect(path: Path, timeout_s: float) -> socket.socket:
    """Return a connection to the socket at `path`, with that timeout for each of its calls. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A crowd may be before us. Only a socket that blocks waits for its turn, and it has a timeout of its own.
        limit = divmod(max(1, round(timeout_s * 1e6)), 1_000_000)  # none at all would be for ever
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *limit))
        with _short(path) as name:
            connection.connect(name)
        connection.settimeout(timeout_s)
    except OSError:
        connection.close()
        raise
    return connection
