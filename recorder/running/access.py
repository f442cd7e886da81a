"""Access to recorders: a group of operators (LIPUT_OPERATORS), and Unix sockets.

Members of the group find this user's recorders and command them. They may neither list nor write a recorder's folder;
its specification and its log stay private.

Socket paths may have any length: the kernel takes 108 bytes, so a socket is bound through a descriptor of its folder.
"""

import grp
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OPERATORS_VARIABLE = "LIPUT_OPERATORS"
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
SHARED_RUNTIME_FOLDER, SHARED_RECORDER_FOLDER = 0o750, 0o710
SHARED_FILE, SHARED_SOCKET = 0o640, 0o660


def operators_gid() -> int | None:
    """Return the gid of the group that may command our recorders, None without one. Raises OSError if unknown."""
    name = os.environ.get(OPERATORS_VARIABLE)
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise OSError(0, f"{OPERATORS_VARIABLE} names the group {name}, which does not exist") from None


def our_umask() -> int:
    """Return our umask: files are private, or readable by operators if our group is theirs."""
    try:
        group = operators_gid()
    except OSError:
        group = None  # `share` reports it
    return 0o077 if group is None or group != os.getegid() else 0o027


def grant_group(what: Path | int, group: int, mode: int) -> None:
    """Give a file (or open descriptor), socket or folder to `group` with `mode`. Raises OSError."""
    # A service's files have the group already, and chown is forbidden there.
    if os.stat(what).st_gid != group:  # noqa: PTH116 - a descriptor
        os.chown(what, -1, group)
    os.chmod(what, mode)  # noqa: PTH101 - a descriptor


BACKLOG = 16


@contextmanager
def _short(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen_at(path: Path, group: int | None = None) -> socket.socket:
    """Return a non-blocking socket that listens at `path`. Raises OSError.

    Its mode is 0600, or 0660 for `group`. At most BACKLOG clients queue: behind a crowd a client waits only a moment.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), PRIVATE_FILE)  # before bind, which gives the name this mode on Linux
        with _short(path) as name:
            listener.bind(name)
        if group is not None:
            grant_group(path, group, SHARED_SOCKET)
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


def connect_to(path: Path, timeout_s: float) -> socket.socket:
    """Connect to the socket at `path`; each call on it times out after `timeout_s`. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Behind a crowd only a blocking socket waits for its turn, and SO_SNDTIMEO bounds that wait.
        limit = divmod(max(1, round(timeout_s * 1e6)), 1_000_000)  # 0 would mean no limit
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *limit))
        with _short(path) as name:
            connection.connect(name)
        connection.settimeout(timeout_s)
    except OSError:
        connection.close()
        raise
    return connection
