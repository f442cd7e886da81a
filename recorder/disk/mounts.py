"""The kernel's table of mounts. It answers at once: it asks no disk, and no share that hangs."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: `device` is its `st_dev`, `kind` as "ext4" or "nfs4"."""

    device: int
    point: Path
    kind: str
    source: str


def all_mounts() -> list[Mount]:
    """Return all mounts in the order in which they were made (proc_pid_mountinfo(5)). Raises OSError."""
    found = []
    for line in MOUNTS.read_text(errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        number, point = before.split()[2:5:2]
        major, _, minor = number.partition(":")
        kind, source = after.split()[:2]
        found.append(Mount(os.makedev(int(major), int(minor)), Path(unescaped(point)), kind, unescaped(source)))
    return found


def unescaped(field: str) -> str:
    """Decode a field of fstab(5) or mountinfo(5), which have blanks in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def fstab_mount_points(fstab: Path) -> list[Path]:
    """Return the mount points of an fstab without `/`; a missing file has none."""
    try:
        lines = fstab.read_text(errors="replace").splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines if not line.lstrip().startswith("#")]
    points = [unescaped(columns[1]) for columns in fields if len(columns) > 1]
    return [Path(point) for point in points if point.startswith("/") and point != "/"]


def mount_points_now() -> frozenset[Path]:
    """Return all mount points; none if the table cannot be read."""
    with suppress(OSError):
        return frozenset(mount.point for mount in all_mounts())
    return frozenset()


def is_disk_gone(device: int, source: str | None) -> bool:
    """Return whether the disk with the former `source` was removed or unmounted. Asks the kernel only."""
    if source is None:
        return False
    now = mount_source(device)
    return now is None or (now.startswith("/dev/") and not Path(now).exists())


def mount_source(device: int) -> str | None:
    """Return the kernel's name for the disk `device` (`st_dev`); None if it is not mounted."""
    return {mount.device: mount.source for mount in all_mounts()}.get(device)


def file_system_kind(device: int) -> str | None:
    """Return the kind of file system on the disk `device` (`st_dev`): "ext4", "vfat"."""
    return {mount.device: mount.kind for mount in all_mounts()}.get(device)


def whole_disk(device: int) -> int:
    """Return the device number of the whole disk that `device` is a partition of."""
    try:
        place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve(strict=True)
        if (place / "partition").exists():
            major, _, minor = (place.parent / "dev").read_text().partition(":")
            return os.makedev(int(major), int(minor))
    except (OSError, ValueError):
        pass  # a network or memory file system
    return device
