"""What the kernel says of a process (proc_pid_stat(5))."""

import os
import pwd
from pathlib import Path

OURS = "liput"
"""The command of a process of ours."""
_STATE, _PARENT, _STARTED = 0, 1, 19


def parent_of(pid: int) -> int | None:
    """Return the parent of the process `pid`; None where there is no such process."""
    said = _stat(pid)
    return int(said[_PARENT]) if said else None


def process_started(pid: int) -> int | None:
    """Return when the process `pid` started, in clock ticks since boot; None where there is none that runs."""
    said = _stat(pid)
    return int(said[_STARTED]) if said and said[_STATE] not in {"Z", "X"} else None


def _stat(pid: int) -> list[str]:
    try:
        # Its command, in brackets, may hold anything: what counts are the words after the last bracket.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def account() -> str:
    """Return the name of the account that this process runs in, else its number; LOGNAME and USER anybody can set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
