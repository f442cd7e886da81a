"""A process that repairs or prunes packages, and has itself killed at every step on the way to the disk.

Started as `python -m tests.support.killed_restorer ROOT PLACE COPIES repair|repair-fat|prune`: ROOT/asal is an archive
with a package at PLACE, COPIES a folder with a copy of it. In ROOT/0, ROOT/1, ... it leaves what a kill -9 before the
first, second, ... step leaves, and in the last one what is there when nothing interferes.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

from config.settings.serving import CopyTarget
from recorder.disk.durable import DurableFiles
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.pruning import prune
from recorder.features.copies.restoring import PackageRestorer
from recorder.package.verification import verify_package
from tests.support.archives import STARTED
from tests.support.killing import Killer, kill_before_each_step


class PoorDisk(DurableFiles):
    """A disk as FAT and some shares are: it cannot let two folders change their names."""

    def exchange(self, first: Path, second: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(second))


def repair(root: Path, place: str, copies: Path, disk: DurableFiles) -> None:
    """Repair the package at `place` as `liput archive repair` does."""
    restorer = PackageRestorer(root, disk, lambda: STARTED)
    restorer.settle()
    if problems := verify_package(root / place):
        restorer.restore(place, FolderTarget("nas", copies), problems)


def main() -> None:
    """Do it up to each step."""
    folder, place, copies, what = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]

    def work(step: int) -> None:
        root, killer = folder / str(step), Killer(step)
        subprocess.run(["cp", "-a", str(folder / "asal"), str(root)], check=True)
        killer.armed = True
        if what == "prune":
            target = FolderTarget("nas", copies)
            target.disk = None  # tests have one
            to = CopyTarget(url=f"file://{copies}")
            prune(root / place, place, [(target, to)], DurableFiles(killer), lambda: None)
        else:
            repair(root, place, copies, PoorDisk(killer) if what == "repair-fat" else DurableFiles(killer))

    kill_before_each_step(work)


if __name__ == "__main__":
    main()
