"""A process that repairs packages, and has itself killed at every step on the way to the disk.

Started as `python -m tests.support.killed_restorer ROOT PLACE COPIES`: ROOT/asal is an archive with a damaged package
at PLACE, COPIES a folder with a copy of it. In ROOT/0, ROOT/1, ... it leaves what a kill -9 before the first, second,
... step of a repair leaves, and in the last one what is there when nothing interferes. It forks for each: this process
has one thread.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

from recorder.disk.durable import DurableFiles
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.restoring import PackageRestorer
from recorder.package.verification import verify_package
from tests.support.archives import STARTED
from tests.support.killing import Killer, kill_before_each_step

NO_EXCHANGE = "LIPUT_TEST_NO_EXCHANGE"
"""Set where the file system shall be one that cannot let two folders change their names."""


class PoorDisk(DurableFiles):
    """A disk as FAT and some shares are."""

    def exchange(self, first: Path, second: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(second))


def repair(root: Path, place: str, copies: Path, step: int) -> None:
    """Repair the package at `place` as `liput archive repair` does; the kill comes before the given step."""
    killer = Killer(step)
    killer.armed = True
    disk = PoorDisk(killer) if os.environ.get(NO_EXCHANGE) else DurableFiles(killer)
    restorer = PackageRestorer(root, disk, lambda: STARTED)
    restorer.settle()
    if problems := verify_package(root / place):
        restorer.restore(place, FolderTarget("nas", copies), problems)


def main() -> None:
    """Do it up to each step."""
    folder, place, copies = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])

    def work(step: int) -> None:
        root = folder / str(step)
        subprocess.run(["cp", "-a", str(folder / "asal"), str(root)], check=True)
        repair(root, place, copies, step)

    kill_before_each_step(work)


if __name__ == "__main__":
    main()
