"""A corrected package takes the place of the one that it corrects, at one stroke; and what a kill left is put right.

The corrected package is `.NAME.new` beside `NAME`. The two change their names (renameat2), so that `NAME` is one of
them at every moment, and the former is removed. Where the file system cannot do that, `NAME` becomes `.NAME.old` and
the new one `NAME`; between these two renames readers look for `.NAME.old` (catalog.py).

| left by a kill | what `settle` does |
|---|---|
| `NAME`, and `.NAME.new` that is half built, complete, or the former package | remove `.NAME.new`: `NAME` is whole |
| `.NAME.old`, and `.NAME.new` that is complete | rename `.NAME.old` to `NAME`, remove `.NAME.new` |
| `NAME`, and `.NAME.old` | remove `.NAME.old` |
"""

import contextlib
import os
from pathlib import Path

from config.errors import LiputError
from recorder.archive import bag, catalog, names
from recorder.archive.disk import NOT_HERE, Disk
from recorder.archive.locking import locked
from recorder.archive.verification import verify


def beside(folder: Path, end: str) -> Path:
    """Return the hidden name, with `end` behind it, of what becomes or was the package at `folder`."""
    return folder.with_name(f".{folder.name}{end}")


def take_place(new: Path, folder: Path, disk: Disk) -> None:
    """Let the package at `new` be the one at `folder`, and remove the former; whoever calls has `folder` locked.

    Raises OSError, and everything is as before. What of the former cannot be removed now is removed by `settle`.
    """
    with locked(new, alone=True):  # whoever opens the name from now on finds it taken until we are done
        former = _exchange(new, folder, disk)
        with contextlib.suppress(OSError):
            disk.remove_tree(former, bag.DECLARATION_FILE)


def _exchange(new: Path, folder: Path, disk: Disk) -> Path:
    """Return where the former package is now."""
    try:
        disk.exchange(new, folder)
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise
    else:
        return new
    old = beside(folder, names.OLD)
    try:
        disk.move_folder(folder, old)
        disk.move_folder(new, folder)
    except OSError:
        if not os.path.lexists(folder):
            with contextlib.suppress(OSError):  # `settle` tries it again
                disk.move_folder(old, folder)
        raise
    return old


def settle(folder: Path, disk: Disk) -> None:
    """Undo or finish the correction of the package at `folder` that a kill has stopped; see the table above.

    Raises PackageBusy while another process is at it, OSError when the disk does not take it.
    """
    old = beside(folder, names.OLD)
    if not os.path.lexists(folder) and old.is_dir():
        with locked(old, alone=True):
            disk.move_folder(old, folder)
    if any(beside(folder, end).is_dir() for end in (names.NEW, names.OLD)):
        with locked(folder, alone=True):
            clear(folder, disk)


def clear(folder: Path, disk: Disk) -> None:
    """Remove other versions of the package at `folder`, which is locked; none while that is not whole itself."""
    others = [other for end in (names.NEW, names.OLD) if (other := beside(folder, end)).is_dir()]
    if others and not verify(folder, payload=False):
        for other in others:
            disk.remove_tree(other, bag.DECLARATION_FILE)


def settle_all(root: Path, disk: Disk | None = None) -> None:
    """Settle every package of the archive at `root`; one that is being worked on, or cannot be changed, is left."""
    with contextlib.suppress(OSError):
        for month in catalog.months(root):
            stopped = {names.corrected(entry.name) for entry in month.iterdir() if entry.name.startswith(".")}
            for name in sorted(filter(None, stopped)):
                with contextlib.suppress(OSError, LiputError):
                    settle(month / name, disk or Disk())
