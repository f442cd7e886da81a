"""Corrects a package, or adds a file to it, for tests.support.killing; and disks that can do less."""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.archive.correction import add_files, edit_package
from recorder.disk.durable import BeforeStep, DurableFiles
from tests.support.archives import STARTED
from tests.support.killing import Killer

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


def work(place: Path, killer: Killer, archive: str, what: str, how: str) -> None:
    """Do it in a copy of `archive`; `how` says what the file system can do."""
    shutil.copytree(archive, place / "arsip", copy_function=shutil.copyfile)
    killer.armed = True
    curate(place / "arsip", what, DISKS[how](killer))
