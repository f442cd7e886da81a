"""Whether a package is still what it was when it was sealed, however it may have been damaged since.

A package may come from anywhere: no link in it is followed, no path of a manifest is opened that the walk through the
package has not found, and everything that is wrong is reported, not only the first thing.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from config.errors import MediaError
from config.files import read_file
from recorder.archive import bag, fixity, names
from recorder.archive.fixity import Progress, Tally
from recorder.archive.manifests import listed_in
from recorder.archive.model import (
    AudioTrack,
    MediaFile,
    Package,
    PackageState,
    Problem,
    ProblemKind,
    Recording,
    VideoTrack,
    decode_recording,
)
from recorder.archive.work import RECORDING_FILE

if TYPE_CHECKING:
    from recorder.archive.media import DecodedTrack

TOLERANCE_S = 0.1
"""How far a decoded track may be from the length that its description gives: a few coded frames of sound."""


REORDERED = 4
"""Pictures: as many as x264 moves one by, and one more."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a package; `elsewhere`: its media are not here, and were not looked at."""

    id: str
    ok: bool
    problems: Sequence[Problem]
    decoded: bool
    elsewhere: bool = False

    @classmethod
    def of(cls, package: Package, problems: Sequence[Problem], *, decoded: bool) -> "Verdict":
        """Return it of a package of an archive, in which `problems` were found."""
        elsewhere = package.state is PackageState.ELSEWHERE
        return cls(id=package.id, ok=not problems, problems=problems, decoded=decoded, elsewhere=elsewhere)


def verify(
    folder: Path,
    *,
    decode: bool = False,
    payload: bool = True,
    progress: Progress | None = None,
    uncached: bool = False,
) -> list[Problem]:
    """Return what is wrong with the package at `folder`; nothing when it is whole.

    Hashes every file; with `decode` also decodes every frame of every file of media and compares with the description.
    Without `payload` the files of `data/` are not read: only that they are there, no other is, and their sizes are
    right. `progress` gets bytes done and bytes in all. `uncached`: as of `fixity.sha256`.
    """
    return _Verification(folder, progress, payload=payload, uncached=uncached).run(decode=decode)


class _Verification:
    def __init__(self, folder: Path, progress: Progress | None, *, payload: bool, uncached: bool) -> None:
        self._folder = folder
        self._payload = payload
        self._progress = progress
        self._uncached = uncached
        self._problems: list[Problem] = []
        self._files: dict[str, int] = {}
        self._others: list[str] = []
        self._elsewhere: dict[str, int] = {}

    def run(self, *, decode: bool) -> list[Problem]:
        try:
            self._files, self._others = fixity.walk(self._folder)
        except OSError as error:
            self._add(".", f"cannot be read: {error.strerror}", ProblemKind.UNREADABLE)
            return self._problems
        for path in self._others:
            self._add(path, "is a link or a device; a package holds files only", ProblemKind.UNSAFE)
        self._elsewhere = self._kept_elsewhere()
        self._check_declaration()
        of_payload = self._listed(bag.MANIFEST_FILE)
        listed = (of_payload if self._payload else {}) | self._listed(bag.TAG_MANIFEST_FILE)
        recording = self._recording()
        media = list(recording.media) if recording and decode else []
        tally = self._tally(listed, media)
        self._check_digests(listed, tally)
        self._check_info(recording)
        if recording is not None:
            self._check_media_files(recording)
        for file in media:
            self._decode(file, tally)
        return self._problems

    def _add(self, file: str, problem: str, kind: ProblemKind) -> None:
        self._problems.append(Problem(names.storable(file), names.storable(problem), kind))

    def _read(self, name: str) -> bytes | None:
        """Return the content of a tag file, or None, with the problem noted, when there is none to read."""
        if name not in self._files:
            if name not in self._others:
                self._add(name, "is missing", ProblemKind.MISSING)
            return None
        try:
            return read_file(self._folder / name)
        except OSError as error:
            self._add(name, f"cannot be read: {error.strerror}", ProblemKind.UNREADABLE)
            return None

    def _kept_elsewhere(self) -> dict[str, int]:
        """Return what of the payload is not here, for fetch.txt says where it is, with its bytes."""
        if bag.FETCH_FILE not in self._files:
            return {}
        try:
            listed = bag.read_fetch(self._read(bag.FETCH_FILE) or b"")
        except bag.BagFormatError as error:
            self._add(bag.FETCH_FILE, f"is malformed: {error}", ProblemKind.MALFORMED)
            return {}
        return {path: size for path, size in listed.items() if path not in self._files}

    def _check_declaration(self) -> None:
        content = self._read(bag.DECLARATION_FILE)
        if content is not None and content != bag.DECLARATION.encode():
            self._add(bag.DECLARATION_FILE, "does not declare a BagIt 1.0 package in UTF-8", ProblemKind.MALFORMED)

    def _listed(self, manifest: str) -> dict[str, str]:
        """Return the digests of a manifest for files that are there; note those that are missing, extra or unsafe."""
        content = self._read(manifest)
        if content is None:
            return {}
        entries, problems = listed_in(manifest, content, {*self._files, *self._others, *self._elsewhere})
        self._problems += problems
        if any(problem.kind is ProblemKind.MALFORMED for problem in problems):
            return {}
        for path in self._files:
            known = path in entries or path in (bag.TAG_MANIFEST_FILE, bag.FETCH_FILE)
            if path.startswith(bag.PAYLOAD) == (manifest == bag.MANIFEST_FILE) and not known:
                self._add(path, f"is extra; {manifest} does not list it", ProblemKind.EXTRA)
        return {path: digest for path, digest in entries.items() if path in self._files}

    def _tally(self, listed: Mapping[str, str], media: list[MediaFile]) -> Tally:
        decoded = sum(self._files.get(file.file, 0) for file in media)
        return Tally(sum(self._files[path] for path in listed) + decoded, self._progress)

    def _check_digests(self, listed: Mapping[str, str], tally: Tally) -> None:
        for path, digest in listed.items():
            try:
                found = fixity.sha256(self._folder / path, tally, uncached=self._uncached)
            except OSError as error:
                self._add(path, f"cannot be read: {error.strerror}", ProblemKind.UNREADABLE)
                continue
            if found != digest:
                empty = ", and it is empty" if self._files[path] == 0 else ""
                self._add(path, f"is changed: its SHA-256 is not the one listed{empty}", ProblemKind.CHANGED)

    def _check_info(self, recording: Recording | None) -> None:
        content = self._read(bag.INFO_FILE)
        if content is None:
            return
        try:
            fields = bag.read_info(content)
        except bag.BagFormatError as error:
            self._add(bag.INFO_FILE, f"is malformed: {error}", ProblemKind.MALFORMED)
            return
        sizes = [size for path, size in (self._files | self._elsewhere).items() if path.startswith(bag.PAYLOAD)]
        oxum, found = fields.get("Payload-Oxum"), f"{sum(sizes)}.{len(sizes)}"
        if oxum != found:
            self._add(bag.INFO_FILE, f"says Payload-Oxum {oxum}, but it is {found}", ProblemKind.INCONSISTENT)
        if recording is not None and fields.get("External-Identifier") != recording.uuid:
            self._add(bag.INFO_FILE, f"does not bear the UUID of {RECORDING_FILE}", ProblemKind.INCONSISTENT)

    def _recording(self) -> Recording | None:
        content = self._read(RECORDING_FILE)
        if content is None:
            return None
        try:
            return decode_recording(content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._add(RECORDING_FILE, f"is malformed: {error}", ProblemKind.MALFORMED)
            return None

    def _check_media_files(self, recording: Recording) -> None:
        for file in recording.media:
            size = self._files.get(file.file, self._elsewhere.get(file.file))
            if size is None and not any(problem.file == file.file for problem in self._problems):
                self._add(file.file, f"is missing; {RECORDING_FILE} describes it", ProblemKind.MISSING)
            elif size is not None and size != file.bytes:
                sizes = f"has {size} bytes; {RECORDING_FILE} says {file.bytes}"
                self._add(file.file, sizes, ProblemKind.INCONSISTENT)

    def _decode(self, file: MediaFile, tally: Tally) -> None:
        if file.file not in self._files:
            return
        from recorder.archive.media import decode_all  # PyAV, which hashing has no use for

        try:
            decoded = decode_all(self._folder / file.file, tally.add)
        except MediaError as error:
            self._add(file.file, error.message, ProblemKind.UNDECODABLE)
            return
        for difference in _differences(file, decoded):
            self._add(file.file, difference, ProblemKind.INCONSISTENT)


def _reordered_s(track: VideoTrack | AudioTrack) -> float:
    """Return by how much the index may be wrong about the length: it counts in the order of decoding."""
    try:
        rate = Fraction(track.rate) if isinstance(track, VideoTrack) else Fraction(0)
        return float(REORDERED / rate) if rate > 0 else 0.0
    except (ValueError, ArithmeticError):  # the description of somebody else's package
        return 0.0


def _differences(file: MediaFile, decoded: "list[DecodedTrack]") -> list[str]:
    """Return how what was decoded differs from the description: number of pictures, length of each track."""
    found = {track.index: track for track in decoded}
    wrong = [f"has {len(decoded)} tracks, not {len(file.tracks)}"] if len(decoded) != len(file.tracks) else []
    for track in file.tracks:
        real = found.get(track.index)
        if real is None:
            wrong.append(f"has no track {track.index}")
        elif isinstance(track, VideoTrack) and real.frames != track.frames:
            wrong.append(f"decodes to {real.frames} pictures in track {track.index}, not {track.frames}")
        elif abs(real.duration_s - track.duration_s) > TOLERANCE_S + _reordered_s(track):
            wrong.append(f"decodes to {real.duration_s:.3f} s in track {track.index}, not {track.duration_s:.3f} s")
    return wrong
