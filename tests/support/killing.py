"""Work on archives and requests that is killed with -9 before its every step to the disk.

Each kill comes to a fork of a process with one thread.
"""

import errno
import importlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from config.settings.serving import CopyTarget
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.archive.correction import add_files, edit_package
from recorder.disk.durable import BeforeStep, DurableFiles
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.pruning import prune
from recorder.features.copies.restoring import PackageRestorer
from recorder.features.dossier.store import Dossier, with_change
from recorder.package.request import Request
from recorder.package.verification import verify_package
from recorder.recovery.recover import Recovery
from recorder.recovery.unfinished import find_joinable, find_unfinished
from tests.support import archives, dossiers
from tests.support.archives import STARTED
from tests.support.simulated import SimulatedClock

LOADED = ("recorder.archive.sealing", "recorder.features.report.page")
"""What is loaded when it is needed first: here once, and not again by each fork, in six times what its work takes."""
ENVIRONMENT = {"PYTHONWARNINGS": "error", "OPENBLAS_NUM_THREADS": "1"}  # numpy would start a thread: no fork then


class Killer:
    """Ends this process before a step, once armed. A kill before a sync leaves what one before the next step does."""

    def __init__(self, step: int) -> None:
        self.armed = False
        self._left = step

    def __call__(self, step: str, _path: Path) -> None:
        if self.armed and step != "sync":
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1


def kill_at_every_step(work: Callable[..., None], root: Path, *words: object) -> list[Path]:
    """Kill `work`, a function of this module, before each step; return ROOT/0, ROOT/1, ... as each kill left them.

    In the last one is what is there when nothing interferes.
    """
    command = [sys.executable, "-m", __name__, work.__name__, str(root), *map(str, words)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], env=os.environ | ENVIRONMENT)
    return sorted((path for path in root.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def seal(root: Path, killer: Killer, program: str, until: str) -> None:
    """Begin and seal a session, which is recorded for a `request`; `until` says which part the kill interrupts."""
    archive = archives.archive_at(root, DurableFiles(killer))
    killer.armed = until == "begin"
    context = archives.CONTEXT
    if until == "request":
        desk = root.parent / f"{root.name}.meja"
        context = dossiers.context_of(dossiers.made(root / "permohonan", desk))
        shutil.rmtree(desk)
    with archives.recorded(archive, Path(program), context=context) as folder:
        killer.armed = until != "begin"
        if killer.armed:
            archive.seal(folder, archives.FACTS)


def recover_all(place: Path, killer: Killer, template: str) -> None:
    """Recover and join everything in a copy of the archives below `template`."""
    shutil.copytree(template, place)
    killer.armed = True
    disk = DurableFiles(killer)
    all_archives = [archives.archive_at(root, disk) for root in sorted(place.iterdir())]
    recovery = Recovery(all_archives, clock=SimulatedClock(), disk=disk)
    for find in (find_unfinished, find_joinable):
        for session in find(all_archives):
            recovery.recover(session)


def keep_request(root: Path, killer: Killer, until: str) -> None:
    """Make a dossier in `root`, and attach a sheet to it; `until` says which part the kill interrupts."""
    killer.armed = until == "make"
    dossier = Dossier(root / "permohonan" / dossiers.ID, DurableFiles(killer))
    now = dossiers.RECEIVED + timedelta(minutes=5)
    dossier.make(dossiers.request(), [dossiers.paper(root / "meja")], now)
    killer.armed = until == "change"
    sheet = dossiers.paper(root / "meja", "lembar.jpg", dossiers.picture())

    def change(request: Request) -> Request:
        letters = (*request.letters, *dossier.keep([sheet], "disposition", request.letters, now))
        return with_change(request, now, "attached", letters=letters)

    if until == "change":
        dossier.change(change)


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


def change_package(root: Path, what: str, disk: DurableFiles) -> None:
    """Do to the one package of the archive at `root` what is asked for."""
    if what == "settle":
        Archive(root, SystemClock(), disk=disk).settle()
    elif what == "edit":
        edit_package(package_in(root), {"title": TITLE}, by="Siti", reason="salah ketik", now=STARTED, disk=disk)
    else:
        handed_in = root.parent / "IMG 0012.JPG"
        handed_in.write_bytes(ADDED)
        add_files(package_in(root), [handed_in], by="Siti", now=STARTED, disk=disk)


def correct(place: Path, killer: Killer, archive: str, what: str, how: str) -> None:
    """Change the package in a copy of `archive`; `how` says what the file system can do."""
    shutil.copytree(archive, place / "arsip", copy_function=shutil.copyfile)
    killer.armed = True
    change_package(place / "arsip", what, DISKS[how](killer))


def repair(root: Path, package: str, copies: Path, disk: DurableFiles) -> None:
    """Repair the package at a place of an archive as `liput archive repair` does."""
    restorer = PackageRestorer(root, disk, lambda: STARTED)
    restorer.settle()
    if problems := verify_package(root / package):
        restorer.restore(package, FolderTarget("nas", copies), problems)


def repair_or_prune(root: Path, killer: Killer, package: str, copies: str, how: str) -> None:
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


def main() -> None:
    """Fork a process for each step, until one comes to its end; nothing waits for the disk, as a kill takes nothing."""
    name, root, *words = sys.argv[1:]
    work = globals()[name]
    for module in LOADED:
        importlib.import_module(module)
    setattr(os, "fsync", lambda _descriptor: None)  # noqa: B010 - not for the types: it is what the module has
    for step in itertools.count():
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work(Path(root) / str(step), Killer(step), *words)
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(pid, 0)
        if os.WIFEXITED(ended):
            sys.exit(os.WEXITSTATUS(ended))


if __name__ == "__main__":
    main()
