"""Looking at a place where many PCs keep copies: which packages are there, and whether they are whole."""

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from config.errors import CopyError, PackageNotFound
from recorder.features.copies.copying import LARGEST_TAG_FILE, Listing, listed_there, problems_there
from recorder.features.copies.target import Target
from recorder.model import names
from recorder.package import bag
from recorder.package.fixity import Flow, Progress, Tally
from recorder.package.manifest import Package, PackageState, Problem, Recording, decode_recording
from recorder.package.work import RECORDING_FILE

_PLACE = re.compile(r"(?P<place>\d{4}/\d{2}/(?P<name>[^./][^/]*))/(?P<file>.+)", re.DOTALL)
_YEAR = re.compile(r"\d{4}")
_NO_TIME = datetime.fromtimestamp(0, UTC)


def places(target: Target) -> dict[str, Mapping[str, int]]:
    """Return the files of every package at a place, with their bytes, by the package's place; raises CopyError.

    Anybody may have put folders there: what is hidden is none, nor what has a name that changes a terminal.
    """
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for year in filter(_YEAR.fullmatch, target.folders("")):  # not into lost+found, which nobody may read
        files, _ = target.walk(year)
        for path, size in files.items():
            match = _PLACE.fullmatch(f"{year}/{path}")
            if match and match["name"].isprintable():
                found[match["place"]][match["file"]] = size
    return dict(sorted(found.items()))


def packages_at(target: Target) -> list[Package]:
    """Return every package at a place, the oldest first; one that is being copied is unfinished."""
    return [_package(target, place, files) for place, files in places(target).items()]


def _package(target: Target, place: str, files: Mapping[str, int]) -> Package:
    name = names.storable(place.rpartition("/")[2])
    recording = _recording(target, place, files)
    state = PackageState.SEALED if recording else PackageState.DAMAGED
    if bag.TAG_MANIFEST_FILE not in files:
        state = PackageState.UNFINISHED
    return Package(
        id=name,
        uuid=recording.uuid if recording else "",
        title=recording.title if recording else name,
        started_at=recording.started_at if recording else names.time_in(name) or _NO_TIME,
        duration_s=recording.duration_s if recording else 0.0,
        bytes=sum(files.values()), path=f"{target.name}:{place}", state=state, recording=recording or msgspec.UNSET,
    )  # fmt: skip


def _recording(target: Target, place: str, files: Mapping[str, int]) -> Recording | None:
    size = files.get(RECORDING_FILE, LARGEST_TAG_FILE)
    if size >= LARGEST_TAG_FILE:
        return None
    try:
        return decode_recording(b"".join(target.read(f"{place}/{RECORDING_FILE}", size)))
    except (msgspec.MsgspecError, UnicodeDecodeError, CopyError):
        return None


def found_in(packages: list[Package], words: str) -> list[Package]:
    """Return the packages in whose description all of `words` stand, as whole words or parts of them."""
    wanted = words.casefold().split()
    return [package for package in packages if all(word in _text(package) for word in wanted)]


def _text(package: Package) -> str:
    words = [package.id, package.title]
    if recording := package.recording:
        words += [recording.office, recording.room, recording.host, *(mark.text for mark in recording.marks)]
        words += [word for chapter in recording.chapters for word in (chapter.title, chapter.text)]
        words += map(str, msgspec.to_builtins(recording.request).values()) if recording.request else ()
    return " ".join(words).casefold()


def find_place(target: Target, key: str) -> str:
    """Return the place of the one package that `key` means, as in the archive; raises PackageNotFound, CopyError."""
    there, wanted = places(target), key.lower()
    fits = [place for place in there if place.rpartition("/")[2] in {key, wanted}]
    fits = fits or [place for place, files in there.items() if _is_meant(target, place, files, wanted)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise PackageNotFound(
            f"{names.one_line(key)!r} means {len(fits)} packages at {target.name}", hint="Write more of the name."
        )
    raise PackageNotFound(
        f"No package at {target.name} is called {names.one_line(key)!r}",
        hint=f"`liput archive list --at {target.name}` shows what there is.",
    )


def _is_meant(target: Target, place: str, files: Mapping[str, int], wanted: str) -> bool:
    """Return whether the name of a package, or its UUID, whose first 8 digits end the name, begins with `wanted`."""
    name = place.rpartition("/")[2]
    if not wanted or name.startswith(wanted):
        return bool(wanted)
    ours = names.NAME.fullmatch(name)
    if ours is None or not ours["suffix"].startswith(wanted[: len(ours["suffix"])]):
        return False
    recording = _recording(target, place, files) if len(wanted) > len(ours["suffix"]) else None
    return recording is None or recording.uuid.startswith(wanted)


def verify_at(
    target: Target, place: str, progress: Progress | None = None, listing: Listing | None = None
) -> list[Problem]:
    """Read a package at a place, which `listing` is of; return what is wrong with it. Raises CopyError."""
    listing = listing or listed_there(target, place)
    return problems_there(target, listing, place, Flow(Tally(listing.size, progress)))
