"""What changes an archive, killed at a random moment: the recording is never lost, and the same command finishes it."""

import json
from collections.abc import Mapping
from pathlib import Path

from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.features.copies.restoring import DAMAGED
from recorder.package.metadata import PackageState
from tests.proofs.archive_bench import LARGE, Bench, settings
from tests.support import archives, command, copies
from tests.support.copies import EXTRA

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
    (package,) = archive.list()
    assert archive.verify(package) == [], "the package is not whole"
    archives.validate_bag(package.folder)
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
    (found,) = archive.list()
    assert archive.verify(found) == [], "the package is not whole"
    (kept,) = (archive.root / DAMAGED).iterdir()
    assert (kept / EXTRA).read_bytes() == damaged, "the damaged one is not as it was"
    assert not list(found.folder.parent.glob(".*")), "something is left half built"
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
    (found,) = archive.list()
    assert found.title == "Rapat Terbuka"
    assert archive.verify(found) == [], "the corrected package is not whole"
    archives.validate_bag(found.folder)
    assert (found.folder / EXTRA).stat().st_ino == inode, "the media were touched"
    assert not list(found.folder.parent.glob(".*")), "something is left half built"
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
    (found,) = archive.list()
    assert archive.verify(found) == [], "the package is not whole"
    archives.validate_bag(found.folder)
    assert [path.name for path in (found.folder / "data/tambahan").iterdir()] == [handed_in.name], "once"
    assert not list(found.folder.parent.glob(".*")), "something is left half built"
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
