"""A copy that is killed at a random moment: nothing there looks like a package and is none; the next finishes it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.features.copies import package_copy, places
from recorder.package.metadata import Package, PackageState
from tests.proofs.archive_bench import LARGE, Bench, settings
from tests.support import archives, command, copies
from tests.support.copies import Place

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
    (here,) = archive.list()
    assert archive.verify(here) == [], "the package here is not whole"
    archives.validate_bag(here.folder)
    if place.folder is not None:
        archives.validate_bag(place.folder / copies.place_of(package))
        assert not list(place.folder.rglob(".*.part")), "something is left half sent"


def _counted(folder: Path, package: Package) -> int:
    shown = command.liput(folder, "archive", "copies", package.id, "--json", more=settings(folder))
    return int(json.loads(shown.stdout)["verified"])
