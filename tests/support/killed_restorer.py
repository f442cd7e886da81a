"""Repairs or prunes a package that has a copy, for tests.support.killing."""

import subprocess
from pathlib import Path

from config.settings.serving import CopyTarget
from recorder.disk.durable import DurableFiles
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.pruning import prune
from recorder.features.copies.restoring import PackageRestorer
from recorder.package.verification import verify_package
from tests.support.archives import STARTED
from tests.support.killed_curator import DISKS
from tests.support.killing import Killer


def repair(root: Path, package: str, copies: Path, disk: DurableFiles) -> None:
    """Repair the package at a place of an archive as `liput archive repair` does."""
    restorer = PackageRestorer(root, disk, lambda: STARTED)
    restorer.settle()
    if problems := verify_package(root / package):
        restorer.restore(package, FolderTarget("nas", copies), problems)


def work(root: Path, killer: Killer, package: str, copies: str, how: str) -> None:
    """Repair, or `prune`, the package in a copy of the archive `asal` beside `root`."""
    subprocess.run(["cp", "-a", root.with_name("asal"), root], check=True)
    killer.armed = True
    if how == "prune":
        target = FolderTarget("nas", Path(copies))
        target.disk = None
        settings = CopyTarget(url=f"file://{copies}")
        prune(root / package, package, [(target, settings)], DurableFiles(killer), lambda: None)
    else:
        repair(root, package, Path(copies), DISKS[how](killer))
