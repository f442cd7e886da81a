"""`kill -9` at random moments of changes to an archive or a copy of it: it is always valid, and nothing is lost."""

import argparse
import json
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.features.copies import package_copy, places
from recorder.features.copies.restoring import DAMAGED
from recorder.package.metadata import Package, PackageState
from tests.support import archives, command, copies
from tests.support.copies import EXTRA, Place
from tests.support.s3 import Seaweed
from tests.support.sshd import Sshd

LARGE = 24_000_000
LONGEST_S = 1.0
"""A command is killed at a random moment within what an undisturbed one takes; before that is known, within this."""


@dataclass
class Bench:
    """Servers, a recording, and how long each command takes when nothing disturbs it."""

    sshd: Sshd
    seaweed: Seaweed
    program: Path
    chance: random.Random
    takes_s: dict[str, float] = field(default_factory=dict)

    def place(self, kind: str, folder: Path) -> Place:
        if kind == "folder":
            return copies.folder_place(folder / "tujuan")
        if kind == "sftp":
            return copies.sftp_place(self.sshd, folder.name)
        return copies.s3_place(self.seaweed, folder.name)

    def kill(self, act: str, folder: Path, *words: str) -> tuple[bool, float]:
        """Kill `liput WORDS` at a random moment; return whether it was finished before, and after how many seconds."""
        after_s = self.chance.uniform(0.0, self.takes_s.get(act, LONGEST_S))
        began = time.monotonic()
        with command.running(folder, *words, more=settings(folder)) as running:
            try:
                assert running.wait_for_exit(after_s) == 0, f"liput {' '.join(words)}"
            except subprocess.TimeoutExpired:
                running.signal(signal.SIGKILL)
                running.wait_for_exit()
                return False, after_s
        self.takes_s[act] = time.monotonic() - began
        return True, after_s

    def finish(self, act: str, folder: Path, *words: str) -> None:
        began = time.monotonic()
        done = command.liput(folder, *words, more=settings(folder))
        assert done.returncode == 0, done.stderr
        self.takes_s.setdefault(act, time.monotonic() - began)


@contextmanager
def bench(folder: Path, seed: int) -> Iterator[Bench]:
    program = archives.make_program(folder / "program.mp4")
    with Sshd(folder / "sshd") as sshd, Seaweed(folder / "seaweed") as seaweed:
        seaweed.make_bucket(copies.BUCKET)
        yield Bench(sshd, seaweed, program, random.Random(seed))


def settings(folder: Path) -> dict[str, str]:
    return {"LIPUT_CONFIG": str(folder / "liput.toml")}


SEAL = ("archive", "seal", "--all")


def seal(folder: Path, bench: Bench) -> Mapping[str, object]:
    """Kill the sealing of a recording that was left unfinished."""
    archive = _archive(folder)
    with archives.recorded(archive, bench.program, "Rapat") as work:
        (work.media / Path(EXTRA).name).write_bytes(bytes(LARGE))
    finished, after_s = bench.kill("seal", folder, *SEAL)
    (left,) = archive.list()
    if left.state is PackageState.UNFINISHED:
        assert not finished, "it was finished and is not sealed"
        assert (left.folder / "data/media/program.mp4").read_bytes() == bench.program.read_bytes(), "the recording"
    else:
        assert archive.verify(left) == [], "what is sealed is not whole"
    bench.finish("seal", folder, *SEAL)
    _the_whole(archive)
    return {"after_s": round(after_s, 3), "in_the_middle": not finished}


def repair(folder: Path, bench: Bench) -> Mapping[str, object]:
    """Kill the repair of a package that has a copy in a folder."""
    archive = _archive(folder)
    package = copies.large_package(archive, bench.program, LARGE)
    place = bench.place("folder", folder)
    copies.write_settings(folder, place, more=f'[archive]\npath = "{archive.root}"')
    copies.copy(package, place)
    copies.flip(package.folder / EXTRA, LARGE // 2)
    damaged = (package.folder / EXTRA).read_bytes()
    words = ("archive", "repair", package.id)
    finished, after_s = bench.kill("repair", folder, *words)
    bench.finish("repair", folder, *words)
    _the_whole(archive)
    (kept,) = (archive.root / DAMAGED).iterdir()
    assert (kept / EXTRA).read_bytes() == damaged, "the damaged one is not as it was"
    return {"after_s": round(after_s, 3), "in_the_middle": not finished}


def edit(folder: Path, bench: Bench) -> Mapping[str, object]:
    """Kill the correction of a package: it is what it was or what it should be, and its media are the same file."""
    archive = _archive(folder)
    package = copies.large_package(archive, bench.program, LARGE, "Rapat")
    inode = (package.folder / EXTRA).stat().st_ino
    words = ("archive", "edit", package.id, "--title", "Rapat Terbuka", "--by", "uji")
    finished, after_s = bench.kill("edit", folder, *words)
    (left,) = archive.list()
    assert left.title in ({"Rapat Terbuka"} if finished else {"Rapat", "Rapat Terbuka"}), left.title
    assert archive.verify(left) == [], "what is there is not whole"
    bench.finish("edit", folder, *words)
    found = _the_whole(archive)
    assert found.title == "Rapat Terbuka"
    assert (found.folder / EXTRA).stat().st_ino == inode, "the media were touched"
    return {"after_s": round(after_s, 3), "in_the_middle": not finished}


def add(folder: Path, bench: Bench) -> Mapping[str, object]:
    """Kill the adding of a file as large as the recording: it is in the package, whole and listed, or not at all."""
    archive = _archive(folder)
    package = copies.large_package(archive, bench.program, LARGE, "Rapat")
    handed_in = folder / "foto.bin"
    handed_in.write_bytes(bench.chance.randbytes(LARGE))
    words = ("archive", "add", package.id, str(handed_in))
    finished, after_s = bench.kill("add", folder, *words)
    (left,) = archive.list()
    assert archive.verify(left) == [], "what is there is not whole"
    bench.finish("add", folder, *words)
    found = _the_whole(archive)
    assert [path.name for path in (found.folder / "data/tambahan").iterdir()] == [handed_in.name], "once"
    return {"after_s": round(after_s, 3), "in_the_middle": not finished}


def reindex(folder: Path, bench: Bench) -> Mapping[str, object]:
    """Kill the making of the index: the next search finds everything."""
    archive = _archive(folder)
    made = {archives.seal_one(archive, bench.program, f"Rapat {word}").id for word in ("Satu", "Dua", "Tiga")}
    finished, after_s = bench.kill("reindex", folder, "archive", "reindex")
    found = command.liput(folder, "archive", "search", "rapat", "--json", more=settings(folder))
    assert {each["id"] for each in json.loads(found.stdout)} == made, found.stderr
    bench.finish("reindex", folder, "archive", "reindex")
    return {"after_s": round(after_s, 3), "in_the_middle": not finished}


def _archive(folder: Path) -> Archive:
    archive = Archive(folder / "arsip", SystemClock(), 1)
    copies.write_settings(folder, more=f'[archive]\npath = "{archive.root}"')
    return archive


def _the_whole(archive: Archive) -> Package:
    """Return the only package; fail unless it is whole, with nothing beside it."""
    (package,) = archive.list()
    assert archive.verify(package) == [], "the package is not whole"
    archives.validate_bag(package.folder)
    assert not list(package.folder.parent.glob(".*")), "something is left half built"
    return package


COPY = ("archive", "copy", "--all")


def act(kind: str) -> Callable[[Path, Bench], Mapping[str, object]]:
    """Return what kills a copy to a place of the kind."""

    def kill_one(folder: Path, bench: Bench) -> Mapping[str, object]:
        archive = Archive(folder / "arsip", SystemClock(), 1)
        package = copies.large_package(archive, bench.program, LARGE)
        place = bench.place(kind, folder)
        copies.write_settings(folder, place, more=f'[archive]\npath = "{archive.root}"')
        finished, after_s = bench.kill(f"copy to {kind}", folder, *COPY)
        _check_left(folder, place, package, finished=finished)
        bench.finish(f"copy to {kind}", folder, *COPY)
        _check_whole(folder, place, package, archive)
        return {"after_s": round(after_s, 3), "in_the_middle": not finished}

    return kill_one


def _check_left(folder: Path, place: Place, package: Package, *, finished: bool) -> None:
    """Assert that what a kill left there is a whole package or none, and that no copy is counted that is not whole."""
    problems = None
    with place.opened() as target:
        found = places.list_packages(target)
        if any(each.state is not PackageState.UNFINISHED for each in found):
            problems = package_copy.verify_remote(target, copies.place_of(package))
    assert not problems, f"what is there as a package is not whole: {problems}"
    counted = _counted(folder, package)
    assert counted <= (problems is not None), "a copy is counted that is not there"
    assert counted or not finished, "a copy that was finished is not counted"


def _check_whole(folder: Path, place: Place, package: Package, archive: Archive) -> None:
    with place.opened() as target:
        assert package_copy.verify_remote(target, copies.place_of(package)) == [], "the copy is not whole"
    assert _counted(folder, package) == 1, "the copy is not counted"
    _the_whole(archive)
    if place.folder is not None:
        archives.validate_bag(place.folder / copies.place_of(package))
        assert not list(place.folder.rglob(".*.part")), "something is left half sent"


def _counted(folder: Path, package: Package) -> int:
    shown = command.liput(folder, "archive", "copies", package.id, "--json", more=settings(folder))
    return int(json.loads(shown.stdout)["verified"])


type Act = Callable[[Path, Bench], Mapping[str, object]]
"""Given an empty folder; returns figures, `in_the_middle` among them: whether the kill came before the end."""
ACTS: dict[str, Act] = {
    "copying to a folder": act("folder"),
    "sealing": seal,
    "editing": edit,
    "copying by SFTP": act("sftp"),
    "repairing": repair,
    "reindexing": reindex,
    "adding": add,
    "copying to S3": act("s3"),
}


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Kill `--count` times; the promise is 100."""
    return run(arguments.count, arguments.seed)


def run(count: int, seed: int) -> Mapping[str, object]:
    runs: list[Mapping[str, object]] = []
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="liput-archive-") as folder, bench(Path(folder), seed) as here:
        for number in range(count):
            name = list(ACTS)[number % len(ACTS)]
            own = Path(folder) / str(number)
            own.mkdir()
            try:
                figures = ACTS[name](own, here)
            except AssertionError as error:
                wrong.append(f"{number + 1}/{count} {name}: {error}")
                print(wrong[-1], flush=True)
                continue
            runs.append({"act": name, **figures})
            print(f"{number + 1}/{count} {name}: {figures}", flush=True)
    return {
        "kills": dict(sorted(Counter(str(each["act"]) for each in runs).items())),
        "in_the_middle": sum(bool(each["in_the_middle"]) for each in runs),
        "wrong": wrong,
        "holds": not wrong and len(runs) == count,
        "runs": runs,
    }
