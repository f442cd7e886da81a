"""What is mounted, and where, as the kernel tells it: no disk, and no share that hangs, is asked."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system that is mounted: `device` is the `st_dev` of what is on it, `kind` as "ext4" or "nfs4"."""

    device: int
    point: Path
    kind: str
    source: str


def mounted() -> list[Mount]:
    """Return all mounts, in the order in which they were made (proc_pid_mountinfo(5)). Raises OSError."""
    found = []
    for line in MOUNTS.read_text(errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        number, point = before.split()[2:5:2]
        major, _, minor = number.partition(":")
        kind, source = after.split()[:2]
        found.append(Mount(os.makedev(int(major), int(minor)), Path(unescaped(point)), kind, unescaped(source)))
    return found


def unescaped(field: str) -> str:
    """Return a field of fstab(5) or mountinfo(5) as it is: blanks and the like are written in octal there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
