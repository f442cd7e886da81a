"""Makes, reads and checks one copy of a package.

Media come first, manifests last: at any stop, a folder that looks like a package is a whole one. Each file is sent,
read back from the place and hashed. A good file is not sent again, so a stopped copy goes on. The remains of a kill at
each step are in docs/copies.md.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from config.files import read_file
from recorder.features.copies.target import CopyReason, Target, copy_error, refuse_links
from recorder.model.names import utf8_safe
from recorder.package import bag, fixity
from recorder.package.bag import check_manifest
from recorder.package.fixity import ByteProgress, Progress, TransferThrottle
from recorder.package.metadata import Problem, ProblemKind, Recording, decode_recording
from recorder.package.work_folder import RECORDING_FILE

LARGEST_TAG_FILE = 16 << 20  # the largest manifest that is read: 100,000 files

MEDIA = "data/media/"


def media_digests(digests: Mapping[str, str]) -> frozenset[str]:
    """Return the SHA-256 of a package's media files; a correction keeps all of them."""
    return frozenset(digest for path, digest in digests.items() if path.startswith(MEDIA))


type ReadFile = Callable[[str, int], bytes]
"""Returns the content of a file of known size. Raises OSError or CopyError."""


class PackageListing:
    """The entries of a package's manifests, compared with its `files`; reads no media.

    `paths` are the listed and present files, in order. `digests` has the SHA-256 of all listed files; `version` is that
    of the last manifest, which covers all others.
    """

    def __init__(self, files: dict[str, int], others: list[str], read: ReadFile) -> None:
        self.files = files
        self._read = read
        self.problems = [
            Problem(utf8_safe(path), "is a link or a device; a package holds files only", ProblemKind.UNSAFE)
            for path in others
        ]
        self.version = hashlib.sha256(self._tag_file(bag.TAG_MANIFEST_FILE)).hexdigest()
        self.digests = self._entries(bag.MANIFEST_FILE) | self._entries(bag.TAG_MANIFEST_FILE)
        self.digests[bag.TAG_MANIFEST_FILE] = self.version
        self._check_further_manifests()
        for path in sorted(files.keys() - self.digests.keys() - {bag.FETCH_FILE}):
            self._add(path, "is extra; no manifest lists it", ProblemKind.EXTRA)
        self.uuid = self._uuid()
        self.paths = sorted(self.digests.keys() & files.keys(), key=_order)
        self.size = sum(files[path] for path in self.paths)

    def recording(self) -> Recording:
        """Return its description. Raises msgspec.MsgspecError or UnicodeDecodeError."""
        size = min(self.files.get(RECORDING_FILE, 0), LARGEST_TAG_FILE)
        return decode_recording(self._read(RECORDING_FILE, size) if size else b"")

    def _add(self, file: str, problem: str, kind: ProblemKind) -> None:
        self.problems.append(Problem(utf8_safe(file), utf8_safe(problem), kind))

    def _tag_file(self, name: str) -> bytes:
        """Return a tag file's content; b"" and a problem if it is missing or too large."""
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
        """Return a manifest's digests; its faults become problems."""
        digits = bag.digest_length(bag.algorithm_of(manifest) or "sha256")
        entries, problems = check_manifest(manifest, self._tag_file(manifest), self.files, digits=digits)
        self.problems += problems
        return entries

    def _check_further_manifests(self) -> None:
        """Add problems for payload files missing in a manifest of another algorithm."""
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


def may_replace(here: PackageListing, folder: Path, there: PackageListing) -> bool:
    """Return whether the package at `folder` has all media of the listed one, or is joined of it: it may replace it."""
    if media_digests(there.digests) <= media_digests(here.digests):
        return True
    try:
        mine, other = decode_recording(read_file(folder / RECORDING_FILE)), there.recording()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return False
    is_of_session = (mine.of_session, mine.copy) == (other.of_session, other.copy)
    return is_of_session and other.part_numbers < mine.part_numbers


def list_local(folder: Path) -> PackageListing:
    """List the package at `folder`. Raises OSError."""
    files, others = fixity.walk(folder)
    return PackageListing(files, others, lambda name, _size: read_file(folder / name))


def list_whole_local(folder: Path) -> PackageListing:
    """List the package at `folder`. Raises CopyError if it has problems."""
    try:
        listing = list_local(folder)
    except OSError as error:
        raise copy_error(CopyReason.DAMAGED_HERE, folder.name, error.strerror or "") from None
    if listing.problems:
        first = listing.problems[0]
        raise copy_error(CopyReason.DAMAGED_HERE, folder.name, f"{first.file} {first.problem}")
    return listing


def list_remote(target: Target, place: str) -> PackageListing:
    """List the package at `place` of a target. Raises CopyError, NOT_THERE without files."""
    files, others = target.walk(place)
    if not files and not others:
        raise copy_error(CopyReason.NOT_THERE, target.name, place)
    return _listing_at(target, place, files, others)


def _listing_at(target: Target, place: str, files: dict[str, int], others: list[str]) -> PackageListing:
    return PackageListing(files, others, lambda name, size: b"".join(target.read(f"{place}/{name}", size)))


def local_version(folder: Path) -> str | None:
    """Return the version (`Listing.version`) of the package at `folder`, None without a manifest."""
    try:
        return hashlib.sha256(read_file(folder / bag.TAG_MANIFEST_FILE)).hexdigest()
    except OSError:
        return None


def copy_package(
    target: Target,
    folder: Path,
    place: str,
    last_version: str | None = None,
    offered: Collection[str] = (),
    *,
    flow: TransferThrottle | None = None,
    offer: Callable[[str], None] = lambda _: None,
) -> tuple[PackageListing, int]:
    """Copy the package at `folder`, or repair its copy; return its listing and the bytes sent.

    `last_version` is the last whole copy's version, None for none. `offered` are versions of stopped attempts since
    then; `offer` gets the version before it is sent. Raises CopyError.
    """
    flow = flow or TransferThrottle()
    contents = list_whole_local(folder)
    flow.tally.expect(2 * contents.size)
    work = _folder_for(target, contents, folder, place, {last_version, *offered}, last_version)
    offer(contents.version)
    there, others = target.walk(work)
    if others:
        raise copy_error(CopyReason.CHANGED_THERE, target.name, f"{work} holds a link")
    sent = 0
    for path in contents.paths:
        size = contents.files[path]
        if there.get(path) == size and is_remote_intact(target, work, path, contents, flow):
            flow.tally.add(size)  # not sent again
        else:
            sent += _send(target, folder, work, path, contents, flow)
    _remove_rest(target, contents, work)
    target.finish(work, place)
    refuse_links(target, place)
    return contents, sent


def _folder_for(
    target: Target,
    contents: PackageListing,
    folder: Path,
    place: str,
    ours: Collection[str | None],
    last_version: str | None,
) -> str:
    """Return the folder to write into: the copy's own if it may be repaired, else a new one."""
    files, others = target.walk(place)
    if bag.TAG_MANIFEST_FILE not in files:
        work = target.begin(place, contents.uuid)
        if not files or work == place:
            return work  # where nothing can be renamed, these are the remains of a stopped attempt
    listing = _listing_at(target, place, files, others)
    if listing.version == contents.version:
        return place
    if listing.uuid not in {"", contents.uuid}:
        raise copy_error(CopyReason.NAME_TAKEN, target.name, place)
    if listing.version in ours:
        if not may_replace(contents, folder, listing):
            raise copy_error(CopyReason.NAME_TAKEN, target.name, place)
        return place  # corrected here since
    if last_version == contents.version and remote_problems(target, listing, place):
        return place  # damaged there since
    raise copy_error(CopyReason.CHANGED_THERE, target.name, place)


def _send(target: Target, folder: Path, work: str, path: str, contents: PackageListing, flow: TransferThrottle) -> int:
    """Send a file and read it back, a resumed one again if it is wrong; return the bytes sent. Raises CopyError."""
    resumed = target.write(f"{work}/{path}", folder / path, flow)
    if is_remote_intact(target, work, path, contents, flow):
        return contents.files[path] - resumed
    if resumed:
        target.write(f"{work}/{path}", folder / path, flow, from_start=True)
        if is_remote_intact(target, work, path, contents, flow):
            return contents.files[path]
    try:
        here = fixity.sha256(folder / path, ByteProgress(0, None))
    except OSError:
        here = ""
    reason = CopyReason.DAMAGED_ON_THE_WAY if here == contents.digests[path] else CopyReason.DAMAGED_HERE
    raise copy_error(reason, target.name, path)


def _remove_rest(target: Target, contents: PackageListing, work: str) -> None:
    files, _ = target.walk(work)
    for path in files.keys() - contents.digests.keys():
        target.remove(f"{work}/{path}")
    for path in contents.paths:
        if files.get(path) != contents.files[path]:
            raise copy_error(CopyReason.DAMAGED_ON_THE_WAY, target.name, path)


def is_remote_intact(target: Target, place: str, path: str, listing: PackageListing, flow: TransferThrottle) -> bool:
    """Return whether the file `path` of the package at `place` has the listed digest."""
    digest = hashlib.sha256()
    for block in read_counted(target, f"{place}/{path}", listing.files[path], flow):
        digest.update(block)
    return digest.hexdigest() == listing.digests[path]


def read_counted(target: Target, path: str, bytes_: int, flow: TransferThrottle) -> Iterator[bytes]:
    """Yield a file as `Target.read` does, counted by `flow`."""
    for block in target.read(path, bytes_):
        flow.read(len(block))
        yield block


def remote_problems(
    target: Target, listing: PackageListing, place: str, flow: TransferThrottle | None = None
) -> list[Problem]:
    """Read the listed package at a place; return its problems."""
    flow = flow or TransferThrottle()
    changed = [path for path in listing.paths if not is_remote_intact(target, place, path, listing, flow)]
    said = "is changed: its SHA-256 is not the one listed"
    return [*listing.problems, *(Problem(path, said, ProblemKind.CHANGED) for path in changed)]


def list_whole_remote(target: Target, place: str, flow: TransferThrottle | None = None) -> PackageListing:
    """Read a whole package at a place and return its listing. Raises CopyError if it is damaged."""
    listing = list_remote(target, place)
    if wrong := remote_problems(target, listing, place, flow):
        raise copy_error(CopyReason.DAMAGED_THERE, target.name, wrong[0].file)
    return listing


def verify_remote(
    target: Target, place: str, progress: Progress | None = None, listing: PackageListing | None = None
) -> list[Problem]:
    """Read a package at a place and return its problems. Raises CopyError."""
    listing = listing or list_remote(target, place)
    return remote_problems(target, listing, place, TransferThrottle(ByteProgress(listing.size, progress)))
