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

VARIABLE = "LIPUT_OPERATORS"
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
LISTED_FOLDER, REACHED_FOLDER = 0o750, 0o710
READ_FILE, SOCKET = 0o640, 0o660


def operators() -> int | None:
    """Return the group that may talk to our recorders; None where it is this user alone.

    Raises OSError where the system has no group of that name: to share less than was asked for would be found out late.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise OSError(0, f"{VARIABLE} names the group {name}, which there is not") from None


def umask() -> int:
    """Return the umask of our processes: their files are for this user, and for operators where its group is theirs."""
    try:
        group = operators()
    except OSError:
        group = None  # which is said where something is shared with them
    return 0o077 if group is None or group != os.getegid() else 0o027


def share(what: Path | int, group: int, mode: int) -> None:
    """Let `group` have what `mode` says of a file (also an open one), a socket or a folder. Raises OSError."""
    # In a service it is so from the beginning, and chown is forbidden there.
    if os.stat(what).st_gid != group:  # noqa: PTH116 - a descriptor
        os.chown(what, -1, group)
    os.chmod(what, mode)  # noqa: PTH101 - a descriptor


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

    It is of mode 0600, or 0660 for `group` (recorder.running.access). At most `backlog` clients queue; it is short,
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
