"""Whether a package is still what it was when it was sealed, however it may have been damaged since.

A package may come from anywhere: no link in it is followed, no path of a manifest is opened that the walk through the
package has not found, and everything that is wrong is reported, not only the first thing.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from config.errors import MediaError
from recorder.archive import bag, names
from recorder.archive.bag_validation import BagValidation
from recorder.archive.fixity import Progress, Tally
from recorder.archive.model import (
    AudioTrack,
    MediaFile,
    NewerVersion,
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
    """What was found out about a package; `elsewhere`: its media are not here, and were not looked at.

    One that is not `ours` is a bag that somebody else has made.
    """

    id: str
    ok: bool
    problems: Sequence[Problem]
    decoded: bool
    elsewhere: bool = False
    ours: bool = True

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
    return _Verification(folder, progress, payload=payload, uncached=uncached, decode=decode).run()


def verify_anywhere(folder: Path, *, decode: bool = False, progress: Progress | None = None) -> Verdict:
    """Find out about a package that is in no archive, or about a bag of somebody else's."""
    is_ours = (folder / RECORDING_FILE).is_file()
    problems = verify(folder, decode=decode, progress=progress) if is_ours else BagValidation(folder, progress).run()
    name = names.storable(folder.resolve().name)
    return Verdict(id=name, ok=not problems, problems=problems, decoded=decode and is_ours, ours=is_ours)


class _Verification(BagValidation):
    """Our packages are bags with more in them: everything is listed, and `recording.json` describes the media."""

    may_spell = False

    def __init__(self, folder: Path, progress: Progress | None, *, payload: bool, uncached: bool, decode: bool) -> None:
        super().__init__(folder, progress, payload=payload, uncached=uncached)
        self._is_to_decode = decode

    def run(self) -> list[Problem]:
        """Return what is wrong with the package."""
        if not self._walk():
            return self.problems
        self._elsewhere = self._kept_elsewhere()
        self._check_declaration()
        listed = self._listed()
        recording = self._recording()
        media = list(recording.media) if recording and self._is_to_decode else []
        tally = self._tally(listed)
        tally.expect(sum(self._files.get(file.file, 0) for file in media))
        self._check_digests(listed, tally)
        self._check_info(recording)
        if recording is not None:
            self._check_media_files(recording)
        for file in media:
            self._decode(file, tally)
        return self.problems

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
        try:
            is_right = content is None or bag.read_declaration(content) == bag.FORM
        except bag.BagFormatError:
            is_right = False
        if not is_right:
            self._add(bag.DECLARATION_FILE, "does not declare a BagIt 1.0 package in UTF-8", ProblemKind.MALFORMED)

    def _listed(self) -> dict[str, dict[str, str]]:
        for manifest in (bag.MANIFEST_FILE, bag.TAG_MANIFEST_FILE):
            if manifest not in self._files:
                self._read(manifest)
        return super()._listed()

    def _entries(self, manifest: str, algorithm: str) -> dict[str, str] | None:
        """Return what a manifest lists; that of tag files lists all of them, but for what may change."""
        entries = super()._entries(manifest, algorithm)
        if manifest == bag.TAG_MANIFEST_FILE and entries is not None:
            for path in self._files:
                is_left_out = path == bag.FETCH_FILE or path.startswith(("tagmanifest-", bag.PAYLOAD))
                if path not in entries and not is_left_out:
                    self._add(path, f"is extra; {manifest} does not list it", ProblemKind.EXTRA)
        return entries

    def _check_info(self, recording: Recording | None) -> None:
        content = self._read(bag.INFO_FILE)
        fields = None if content is None else self._info(content)
        if fields is None:
            return
        self._check_oxum(fields.get("Payload-Oxum"))
        if recording is not None and fields.get("External-Identifier") != recording.uuid:
            self._add(bag.INFO_FILE, f"does not bear the UUID of {RECORDING_FILE}", ProblemKind.INCONSISTENT)

    def _recording(self) -> Recording | None:
        content = self._read(RECORDING_FILE)
        if content is None:
            return None
        try:
            return decode_recording(content)
        except NewerVersion as error:
            self._add(RECORDING_FILE, str(error), ProblemKind.UNREADABLE)
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._add(RECORDING_FILE, f"is malformed: {error}", ProblemKind.MALFORMED)
            return None

    def _check_media_files(self, recording: Recording) -> None:
        for file in recording.media:
            size = self._files.get(file.file, self._elsewhere.get(file.file))
            if size is None and not any(problem.file == file.file for problem in self.problems):
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
