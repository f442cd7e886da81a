"""The group, named by LIPUT_OPERATORS, whose members find this user's recorders and command them.

They may neither list nor write in a recorder's folder; its specification and what its libraries print stay private.
"""

import grp
import os
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
