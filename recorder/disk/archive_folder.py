"""Checks whether the archive's folder can take a session. Asks the kernel about mounts, never a disk."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from config.errors import StateError, StorageError
from config.settings.quantities import brief_size
from config.state import StateFile, state_folder
from recorder.disk.errors import storage_error
from recorder.disk.mounts import fstab_mount_points, mount_points_now

FSTAB = Path("/etc/fstab")  # the disks that this PC should have

REMOVABLE_FOLDERS = ("/media", "/run/media", "/mnt")
"""Mount points of removable disks. A folder made right here would be on the system's disk."""
MARGIN_BYTES = 10_000_000  # bytes that stay free beside new files, for metadata and other programs
PROBE_BYTES = 4096  # written and removed again: some disks take names but no bytes


def check_archive_folder(root: Path, reserve_bytes: int, fstab: Path = FSTAB) -> int:
    """Return the bytes free for a session at `root`; leaves nothing behind.

    Raises StorageError if `root` cannot be written or made, its disk is gone, or fewer than `reserve_bytes` are free.
    """
    try:
        real = Path(os.path.realpath(root))  # a link does not tell its disk
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
            nearest_existing(root)  # refuses a dangling link
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
        raise _place_error(error, root) from None
    return free


def _place_error(error: OSError, root: Path) -> StorageError:
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
    """Return `path`, or the nearest folder above that exists. Raises OSError if it cannot be looked at."""
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
    """Refuse a folder on an unmounted disk of fstab; `real` is `root` without links."""
    points = mount_points_now()
    for mount_point in reversed(fstab_mount_points(fstab)):
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
    for media in map(Path, REMOVABLE_FOLDERS):
        if base == media or (base.parent == media and media.name == "media" and not os.path.ismount(base)):
            raise StorageError(
                f"The archive {root} is on a disk that is not mounted: {base} holds no such folder",
                hint="Plug the disk in and mount it, or make the folder yourself if it is meant to be here.",
                why="not-mounted",
            )


ROOT = "/"


def _key(root: Path) -> str:
    """Return the real folder as text: its name need not be UTF-8."""
    return os.fsencode(os.path.realpath(root)).decode(errors="backslashreplace")


class MountMemory:
    """Remembers the mount point of each folder that was recorded into."""

    def __init__(self) -> None:
        self._store = StateFile(state_folder() / "storage.json", dict[str, str], {})

    def check(self) -> None:
        """Raise StateError if the memory cannot be read: then no disk is missed."""
        self._store.read()

    def refuse_missing(self, root: Path) -> None:
        """Raise StorageError if the disk that `root` was last used on is not mounted."""
        mount_point = self._known(root)
        if not os.path.ismount(mount_point):
            raise StorageError(
                f"{root} was on the disk of {mount_point} when it was last used, and that is not mounted",
                hint=(
                    f"Plug the disk in, or mount it. To use {root} without it, remove it from "
                    f"{self._store.path}; [storage] must_be_mounted = false asks for no disk at all."
                ),
                why="not-mounted",
            )

    def remember(self, root: Path) -> None:
        """Note the mount point of `root`, unless the remembered one is missing now."""
        try:
            there = nearest_existing(Path(os.path.realpath(root)))
            found = str(next(path for path in (there, *there.parents) if os.path.ismount(path)))
            known = self._known(root)
            if known != found and os.path.ismount(known):  # no entry for the system's disk
                self._store.change(lambda others: {**others, _key(root): found})
        except (StateError, OSError, UnicodeError):
            return  # losing this memory must not fail a session

    def _known(self, root: Path) -> str:
        try:
            return self._store.read().get(_key(root), ROOT)
        except StateError:
            return ROOT
