"""The kernel's table of mounts. It answers at once: no disk, and no share that hangs, is asked."""

import os
import re
from contextlib import suppress
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


def mount_points(fstab: Path) -> list[Path]:
    """Return the mount points of an fstab, `/` left out; a missing file has none."""
    try:
        lines = fstab.read_text(errors="replace").splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines if not line.lstrip().startswith("#")]
    points = [unescaped(columns[1]) for columns in fields if len(columns) > 1]
    return [Path(point) for point in points if point.startswith("/") and point != "/"]


def mounted_at() -> frozenset[Path]:
    """Return where something is mounted, nowhere where that is not known."""
    with suppress(OSError):
        return frozenset(mount.point for mount in mounted())
    return frozenset()


def is_gone(device: int, source: str | None) -> bool:
    """Return whether a disk of the former `source` has left or is unmounted. Asks the kernel only, never the disk."""
    if source is None:
        return False
    now = source_of(device)
    return now is None or (now.startswith("/dev/") and not Path(now).exists())


def source_of(device: int) -> str | None:
    """Return what the kernel calls the disk with the device number `device` (`st_dev`); None where it lists no such."""
    return {mount.device: mount.source for mount in mounted()}.get(device)


def file_system_of(device: int) -> str | None:
    """Return which kind of file system is on the disk with the device number `device`: "ext4", "vfat"."""
    return {mount.device: mount.kind for mount in mounted()}.get(device)


def whole_disk(device: int) -> int:
    """Return the number of the disk that the file system with the device number `device` is a partition of."""
    try:
        place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve(strict=True)
        if (place / "partition").exists():
            major, _, minor = (place.parent / "dev").read_text().partition(":")
            return os.makedev(int(major), int(minor))
    except (OSError, ValueError):
        pass  # of the network, of memory, or of a kind of its own
    return device
