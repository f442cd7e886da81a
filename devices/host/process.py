"""Facts about processes (proc_pid_stat(5)), and the account of this one."""

import os
import pwd
from contextlib import suppress
from pathlib import Path

LIPUT_COMMAND = "liput"
PREVIEW_COMMAND = "liput-preview"  # a recorder that gives its devices to whoever wants them
_STATE, _PARENT, _STARTED = 0, 1, 19


def parent_of(pid: int) -> int | None:
    """Return the parent of the process `pid`; None where it does not exist."""
    said = _stat(pid)
    return int(said[_PARENT]) if said else None


def process_started(pid: int) -> int | None:
    """Return the start of the process `pid` in clock ticks since boot; None unless it runs."""
    said = _stat(pid)
    return int(said[_STARTED]) if said and said[_STATE] not in {"Z", "X"} else None


def _stat(pid: int) -> list[str]:
    try:
        # The command in brackets may contain anything, so only the words after the last bracket count.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def take_command(command: str) -> None:
    """Let `fuser` and the like show this process as `command`, where the system allows it."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(command)


def command_of(pid: int) -> str:
    """Return the name of the process `pid`, at most 15 bytes of it; "?" where it does not exist."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() or "?"
    except OSError:
        return "?"


def account_name() -> str:
    """Return the name of this process's account, else its number. LOGNAME and USER are not trusted."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
