"""What a package consists of, here or at another place: its files in the order in which a copy is made of them.

Media come first, manifests last: whatever stops a copy, what looks like a package is one.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from config.files import read_file
from recorder.archive import bag, fixity
from recorder.archive.manifests import listed_in
from recorder.archive.model import Problem, ProblemKind, Recording, decode_recording
from recorder.archive.names import storable
from recorder.archive.work import RECORDING_FILE
from recorder.copies.reasons import CopyReason, copy_error
from recorder.copies.target import Target

LARGEST_TAG_FILE = 16 << 20
"""Bytes of a manifest that are read into memory, at most: 100,000 files."""

MEDIA = "data/media/"


@dataclass(frozen=True)
class Item:
    """One file of a package: its path in it, its bytes, its SHA-256."""

    path: str
    bytes: int
    digest: str


def media_of(digests: Mapping[str, str]) -> frozenset[str]:
    """Return the SHA-256 of each file of media among those of a package: a correction changes none of them."""
    return frozenset(digest for path, digest in digests.items() if path.startswith(MEDIA))


type ReadFile = Callable[[str, int], bytes]
"""Returns the content of a file of known size; raises OSError or CopyError."""


class Listing:
    """What the manifests of a package list, compared with the `files` that are there; opens no media.

    `items` are the listed files that are there, in order. `digests` has the SHA-256 of all that is listed, also of what
    is not there; `version` is that of the last file, and so stands for all of them.
    """

    def __init__(self, files: dict[str, int], others: list[str], read: ReadFile) -> None:
        self.files = files
        self._read = read
        self.problems = [
            Problem(storable(path), "is a link or a device; a package holds files only", ProblemKind.UNSAFE)
            for path in others
        ]
        tags = self._tag_file(bag.TAG_MANIFEST_FILE)
        self.version = hashlib.sha256(tags).hexdigest()
        self.digests = self._entries(bag.MANIFEST_FILE) | self._entries(bag.TAG_MANIFEST_FILE)
        self.digests[bag.TAG_MANIFEST_FILE] = self.version
        self._check_further_manifests()
        for path in sorted(files.keys() - self.digests.keys() - {bag.FETCH_FILE}):
            self._add(path, "is extra; no manifest lists it", ProblemKind.EXTRA)
        self.uuid = self._uuid()
        there = sorted(self.digests.keys() & files.keys(), key=_order)
        self.items = tuple(Item(path, files[path], self.digests[path]) for path in there)

    @property
    def size(self) -> int:
        """The bytes of all that is listed and there."""
        return sum(item.bytes for item in self.items)

    def recording(self) -> Recording:
        """Return the description that is there; raises msgspec.MsgspecError or UnicodeDecodeError."""
        size = min(self.files.get(RECORDING_FILE, 0), LARGEST_TAG_FILE)
        return decode_recording(self._read(RECORDING_FILE, size) if size else b"")

    def _add(self, file: str, problem: str, kind: ProblemKind) -> None:
        self.problems.append(Problem(storable(file), storable(problem), kind))

    def _tag_file(self, name: str) -> bytes:
        """Return the content of a tag file, nothing where that cannot be had, which is a problem noted once."""
        size = self.files.get(name)
        if size is None:
            if not any(problem.file == name for problem in self.problems):
                self._add(name, "is missing", ProblemKind.MISSING)
            return b""
        if size > LARGEST_TAG_FILE:
            self._add(name, "is too large to be a manifest", ProblemKind.MALFORMED)
            return b""
        return self._read(name, size)

    def _entries(self, manifest: str) -> dict[str, str]:
        """Return the digests that a manifest lists, also of what is missing; what is wrong with it is noted."""
        digits = bag.digits_of(bag.algorithm_of(manifest) or "sha256")
        entries, problems = listed_in(manifest, self._tag_file(manifest), self.files, digits=digits)
        self.problems += problems
        return entries

    def _check_further_manifests(self) -> None:
        """Note what of the payload a manifest of another algorithm does not list."""
        for manifest in filter(bag.is_payload_manifest, self.files):
            if manifest != bag.MANIFEST_FILE and bag.algorithm_of(manifest):
                entries = self._entries(manifest)
                for path in (path for path in self.files if path.startswith(bag.PAYLOAD) and path not in entries):
                    self._add(path, f"is extra; {manifest} does not list it", ProblemKind.EXTRA)

    def _uuid(self) -> str:
        try:
            return bag.read_info(self._tag_file(bag.INFO_FILE)).get("External-Identifier", "")
        except bag.BagFormatError as error:
            self._add(bag.INFO_FILE, f"is malformed: {error}", ProblemKind.MALFORMED)
            return ""


def _order(path: str) -> tuple[int, str]:
    last = (bag.MANIFEST_FILE, bag.TAG_MANIFEST_FILE)
    if path in last:
        return 3 + last.index(path), path
    return (0 if path.startswith(MEDIA) else 1 if path.startswith(bag.PAYLOAD) else 2), path


def holds_all_of(here: Listing, folder: Path, there: Listing) -> bool:
    """Return whether the package at `folder` may take the place of the one that `there` lists: nothing of it is lost.

    That is so where its media are here, or where it is a part of the session that is joined here to others.
    """
    if media_of(there.digests) <= media_of(here.digests):
        return True
    try:
        mine, other = decode_recording(read_file(folder / RECORDING_FILE)), there.recording()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return False
    is_of_session = (mine.of_session, mine.copy) == (other.of_session, other.copy)
    return is_of_session and other.part_numbers < mine.part_numbers


def listed_here(folder: Path) -> Listing:
    """Return what the package at `folder` lists; raises OSError."""
    files, others = fixity.walk(folder)
    return Listing(files, others, lambda name, _size: read_file(folder / name))


def contents_here(folder: Path) -> Listing:
    """Return what the package at `folder` consists of; raises CopyError where its files are not those it lists."""
    try:
        listing = listed_here(folder)
    except OSError as error:
        raise copy_error(CopyReason.DAMAGED_HERE, folder.name, error.strerror or "") from None
    if listing.problems:
        first = listing.problems[0]
        raise copy_error(CopyReason.DAMAGED_HERE, folder.name, f"{first.file} {first.problem}")
    return listing


def listed_there(target: Target, place: str) -> Listing:
    """Return what the package at `place` of a target lists; raises CopyError, NOT_THERE where there is nothing."""
    files, others = target.walk(place)
    if not files and not others:
        raise copy_error(CopyReason.NOT_THERE, target.name, place)
    return Listing(files, others, lambda name, size: b"".join(target.read(f"{place}/{name}", size)))


def version_here(folder: Path) -> str | None:
    """Return the SHA-256 that stands for the package at `folder` as it is now; None where it has no manifest."""
    try:
        return hashlib.sha256(read_file(folder / bag.TAG_MANIFEST_FILE)).hexdigest()
    except OSError:
        return None
