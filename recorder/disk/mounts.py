"""Which disk a folder is on, whether that disk is still there, and the one it was on when it was last used."""

import os
from pathlib import Path

from config.errors import StateError, StorageError
from config.state import Store, state_folder
from recorder.disk.place import mounted, nearest_existing

ROOT = "/"


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


def mount_point_of(folder: Path) -> Path:
    """Return where the file system is mounted that `folder` is on, or would be; links are followed."""
    there = nearest_existing(_real(folder))
    return next(path for path in (there, *there.parents) if os.path.ismount(path))


def _real(folder: Path) -> Path:
    return Path(os.path.realpath(folder))


def _key(root: Path) -> str:
    """Return the folder that `root` leads to as it is kept: names of folders need not be UTF-8."""
    return os.fsencode(_real(root)).decode(errors="backslashreplace")


class MountMemory:
    """Remembers, for each folder that was recorded into, where its disk was mounted."""

    def __init__(self) -> None:
        self._store = Store(state_folder() / "storage.json", dict[str, str], {})

    def check(self) -> None:
        """Raise StateError where the memory cannot be read: no disk is missed then."""
        self._store.read()

    def refuse_missing(self, root: Path) -> None:
        """Raise StorageError where the disk that `root` was on when it was last used is not mounted."""
        mount_point = self._known(root)
        if not os.path.ismount(mount_point):
            raise StorageError(
                f"{root} was on the disk of {mount_point} when it was last used, and that is not mounted",
                hint=(
                    f"Plug the disk in, or mount it. Where {root} is meant to be without it now, take it out of "
                    f"{self._store.path}; [storage] must_be_mounted = false asks for no disk at all."
                ),
                why="not-mounted",
            )

    def remember(self, root: Path) -> None:
        """Note where the disk of `root` is mounted now; not while the one that is remembered is not mounted."""
        try:
            known, found = self._known(root), str(mount_point_of(root))
            if known != found and os.path.ismount(known):  # what is on no disk of its own need not be known
                self._store.change(lambda others: {**others, _key(root): found})
        except (StateError, OSError, UnicodeError):
            return  # a session does not fail because of what it would have remembered

    def _known(self, root: Path) -> str:
        try:
            return self._store.read().get(_key(root), ROOT)
        except StateError:
            return ROOT
