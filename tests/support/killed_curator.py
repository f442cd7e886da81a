"""A process that corrects a package, or adds a file to it, and has itself killed at every step on the way.

Started as `python -m tests.support.killed_curator ROOT ARCHIVE edit|add|settle exchange|renames|copies`: in ROOT/0,
ROOT/1, ... is a copy of ARCHIVE with what a kill -9 before the first, second, ... step leaves, and in the last one what
is there when nothing interferes. `renames` is a file system that cannot exchange two names, `copies` one that cannot
give a file a second name either. It forks for each: this process has one thread.
"""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.archive.correction import add_files, edit_package
from recorder.disk.durable import BeforeStep, DurableFiles
from tests.support.archives import STARTED
from tests.support.killing import Killer, kill_before_each_step

TITLE = "Rapat Senat Terbuka"
ADDED = b"foto dari ponsel"


class WithoutExchange(DurableFiles):
    """A file system that cannot exchange two names."""

    def exchange(self, first: Path, second: Path) -> None:
        self.begin("exchange", second)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(first))


class WithoutLinks(WithoutExchange):
    """A file system that cannot give a file a second name either."""

    def link(self, source: Path, target: Path) -> None:
        self.begin("link", target)
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source))


DISKS: Mapping[str, Callable[[BeforeStep], DurableFiles]] = {
    "exchange": DurableFiles,
    "renames": WithoutExchange,
    "copies": WithoutLinks,
}


def package_in(root: Path) -> Path:
    """Return the one package of an archive, be it as it should be."""
    (folder,) = (path for path in root.glob("*/*/*") if not path.name.startswith("."))
    return folder


def curate(root: Path, what: str, disk: DurableFiles) -> None:
    """Do to the one package of the archive at `root` what is asked for."""
    if what == "settle":
        Archive(root, SystemClock(), disk=disk).settle()
    elif what == "edit":
        edit_package(package_in(root), {"title": TITLE}, by="Siti", reason="salah ketik", now=STARTED, disk=disk)
    else:
        handed_in = root.parent / "IMG 0012.JPG"
        handed_in.write_bytes(ADDED)
        add_files(package_in(root), [handed_in], by="Siti", now=STARTED, disk=disk)


def work(root: Path, archive: Path, step: int, what: str, how: str) -> None:
    """Do it in a copy of `archive`, up to the step of the given number."""
    shutil.copytree(archive, root, copy_function=shutil.copyfile)
    killer = Killer(step, passed={"sync"})
    killer.armed = True
    curate(root, what, DISKS[how](killer))


def main() -> None:
    """Do it up to each step."""
    root, archive, what, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    kill_before_each_step(lambda step: work(root / str(step) / "arsip", archive, step, what, how))


if __name__ == "__main__":
    main()
