"""Whether the archive's folder can take a session: it is there or can be made, on the disk it is meant to be on.

What is mounted, and where, the kernel tells: no disk, and no share that hangs, is asked.
"""

import errno
import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config.errors import (
    StorageError,
)
from config.settings.quantities import brief_size
from recorder.disk.errors import storage_error

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


FSTAB = Path("/etc/fstab")
"""Which disks this machine is meant to have."""

MEDIA_FOLDERS = ("/media", "/run/media", "/mnt")
"""Where disks that come and go are mounted; a folder made right here would stand on the system's own disk."""

MARGIN_BYTES = 10_000_000
"""What must stay free beside files that are written, for their description and what others write meanwhile."""

PROBE_BYTES = 4096
"""Written, and gone again, to see that a folder takes more than promises."""


def check_place(root: Path, reserve_bytes: int, fstab: Path = FSTAB) -> int:
    """Return the bytes free for a session at `root`; nothing is made or left behind.

    Raises StorageError when `root` cannot be written or made, its disk or share is gone, or less than
    `reserve_bytes` is free.
    """
    try:
        real = Path(os.path.realpath(root))  # a link does not tell which disk it leads to
        _refuse_missing_disk(root, real, fstab)
        base = nearest_existing(real)
        if not base.is_dir():
            raise StorageError(
                f"The archive cannot be at {root}: {base} is not a folder",
                hint="Name a folder with --archive.",
                why="unwritable",
            )
        if base != real:
            _refuse_media_folder(root, base)
            nearest_existing(root)  # a link into nothing, where no folder can be made
        free = shutil.disk_usage(base).free
        if free < reserve_bytes:
            raise StorageError(
                f"Only {brief_size(free)} are free for the archive {root}; {brief_size(reserve_bytes)} must stay free",
                hint="Free space on that disk, name another folder with --archive, or lower the settings' reserve.",
                why="full",
            )
        with tempfile.TemporaryFile(dir=base, buffering=0) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as error:
        raise _translated(error, root) from None
    return free


def _translated(error: OSError, root: Path) -> StorageError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError(f"The disk of the archive {root} is full", hint="Free space on it.", why="full")
    if (gone := storage_error(error, root)).why == "vanished":
        return gone
    return StorageError(
        f"The archive {root} cannot be written: {error.strerror or error}",
        hint="Give this user the right to write there, or name another folder with --archive.",
        why="read-only" if error.errno == errno.EROFS else "unwritable",
    )


def nearest_existing(path: Path) -> Path:
    """Return `path`, or the nearest folder above it that there is; raises OSError when that may not be looked at."""
    for candidate in (path, *path.parents):
        try:
            candidate.stat()
        except (FileNotFoundError, NotADirectoryError):
            if candidate.is_symlink():
                raise
            continue
        return candidate
    return Path("/")


def _refuse_missing_disk(root: Path, real: Path, fstab: Path) -> None:
    """Refuse a folder, in truth at `real`, on a disk that this machine is meant to have and that is not mounted.

    Of what is mounted only the kernel is asked: a share of another server may hang, and is no business of this folder.
    """
    points = _mounted_at()
    for mount_point in reversed(mount_points(fstab)):
        if mount_point in points:
            continue
        point = Path(os.path.realpath(mount_point))
        if (real == point or point in real.parents) and not os.path.ismount(point):
            raise StorageError(
                f"The archive {root} is on the disk of {mount_point}, and that is not mounted",
                hint=f"Plug the disk in, or run `mount {mount_point}`.",
                why="not-mounted",
            )


def _refuse_media_folder(root: Path, base: Path) -> None:
    """Refuse to make a folder where only mounted disks belong: right in /mnt, /media or a user's part of it."""
    for media in map(Path, MEDIA_FOLDERS):
        if base == media or (base.parent == media and media.name == "media" and not os.path.ismount(base)):
            raise StorageError(
                f"The archive {root} is on a disk that is not mounted: {base} holds no such folder",
                hint="Plug the disk in and mount it, or make the folder yourself if it is meant to be here.",
                why="not-mounted",
            )


def mount_points(fstab: Path) -> list[Path]:
    """Return the mount points of an fstab, `/` left out; a missing file has none."""
    try:
        lines = fstab.read_text(errors="replace").splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines if not line.lstrip().startswith("#")]
    points = [unescaped(columns[1]) for columns in fields if len(columns) > 1]
    return [Path(point) for point in points if point.startswith("/") and point != "/"]


def _mounted_at() -> frozenset[Path]:
    """Return where something is mounted, nowhere where that is not known."""
    with suppress(OSError):
        return frozenset(mount.point for mount in mounted())
    return frozenset()
