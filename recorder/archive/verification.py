"""Whether a package is still what it was when it was sealed, however it may have been damaged since.

A package may come from anywhere: no link in it is followed, no path of a manifest is opened that the walk through the
package has not found, and everything that is wrong is reported, not only the first thing. Other bags are judged by RFC
8493 and the versions of BagIt before it.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
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
    from recorder.archive.media import Span


class BagValidation:
    """Looks at one folder, once; `problems` are what was found."""

    may_spell = True
    """Whether a path in a manifest may be spelled in another way than its file's."""

    def __init__(
        self, folder: Path, progress: Progress | None, *, payload: bool = True, uncached: bool = False
    ) -> None:
        """Without `payload` the files of `data/` are not read. `uncached`: as of `fixity.digests`."""
        self.problems: list[Problem] = []
        self._folder = folder
        self._payload = payload
        self._progress = progress
        self._uncached = uncached
        self._form = bag.FORM
        self._files: dict[str, int] = {}
        self._others: list[str] = []
        self._elsewhere: dict[str, int] = {}

    def run(self) -> list[Problem]:
        """Return what is wrong with the bag; nothing when it is whole."""
        if not self._walk():
            return self.problems
        self._check_declaration()
        self._check_fetch()
        if not any(path.startswith(bag.PAYLOAD) for path in self._files) and not (self._folder / "data").is_dir():
            self._add("data", "is missing", ProblemKind.MISSING)
        listed = self._listed()
        self._check_digests(listed, self._tally(listed))
        if bag.INFO_FILE in self._files and (content := self._read(bag.INFO_FILE)) is not None:
            fields = self._info(content) or {}
            if "Payload-Oxum" in fields:
                self._check_oxum(fields["Payload-Oxum"])
        return self.problems

    def _walk(self) -> bool:
        try:
            self._files, self._others = fixity.walk(self._folder)
        except OSError as error:
            self._add(".", f"cannot be read: {error.strerror}", ProblemKind.UNREADABLE)
            return False
        for path in self._others:
            self._add(path, "is a link or a device; a package holds files only", ProblemKind.UNSAFE)
        return True

    def _add(self, file: str, problem: str, kind: ProblemKind) -> None:
        self.problems.append(Problem(names.storable(file), names.storable(problem), kind))

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

    def _check_declaration(self) -> None:
        content = self._read(bag.DECLARATION_FILE)
        if content is None:
            return
        try:
            self._form = bag.read_declaration(content)
        except bag.BagFormatError as error:
            self._add(bag.DECLARATION_FILE, f"declares no bag: {error}", ProblemKind.MALFORMED)

    def _check_fetch(self) -> None:
        if bag.FETCH_FILE not in self._files:
            return
        try:
            listed = bag.read_fetch(self._read(bag.FETCH_FILE) or b"", self._form, refused=self._refuse)
        except bag.BagFormatError as error:
            self._add(bag.FETCH_FILE, f"is malformed: {error}", ProblemKind.MALFORMED)
            return
        self._elsewhere = {path: size for path, size in listed.items() if path not in self._files}
        for path in self._elsewhere:
            self._add(path, f"is not here; {bag.FETCH_FILE} says where it is", ProblemKind.MISSING)

    def _refuse(self, path: str, reason: str) -> None:
        self._add(bag.FETCH_FILE, f"lists {path!r}, which is refused: {reason}", ProblemKind.UNSAFE)

    def _manifests(self) -> dict[str, str]:
        """Return the algorithm of each manifest that is there; one of an unknown algorithm is a problem."""
        found = {}
        for name in filter(bag.MANIFEST.fullmatch, [*self._files, *self._others]):
            if (algorithm := bag.algorithm_of(name)) is not None:
                found[name] = algorithm
            else:
                self._add(name, "is of an algorithm that is not known here", ProblemKind.MALFORMED)
        return found

    def _listed(self) -> dict[str, dict[str, str]]:
        """Return the digests of files that are there, by algorithm; note what is missing, extra or unsafe."""
        listed: dict[str, dict[str, str]] = {}
        of_payload = dict[str, set[str]]()
        for name, algorithm in self._manifests().items():
            entries = self._entries(name, algorithm)
            if entries is None:
                continue
            if not name.startswith("tag"):
                of_payload[name] = set(entries)
            for path, digest in entries.items():
                if path in self._files:
                    listed.setdefault(path, {})[algorithm] = digest
        self._check_complete(of_payload)
        return listed

    def _entries(self, manifest: str, algorithm: str) -> dict[str, str] | None:
        """Return what a manifest lists, by the names that the files have here; None where it cannot be read."""
        content = self._read(manifest)
        if content is None:
            return None
        spelled = {unicodedata.normalize("NFC", path): path for path in self._files} if self.may_spell else None
        entries, problems = listed_in(
            manifest, content, self._expected(), self._form, bag.digits_of(algorithm), spelled
        )
        self.problems += [problem for problem in problems if problem not in self.problems]
        return None if any(problem.kind is ProblemKind.MALFORMED for problem in problems) else entries

    def _expected(self) -> set[str]:
        """Return the paths that need not be missed, or were already."""
        return {*self._files, *self._others, *self._elsewhere}

    def _check_complete(self, manifests: Mapping[str, set[str]]) -> None:
        """Note what of the payload is in no manifest, or, from version 1.0 on, not in each of them."""
        if not manifests and not any(bag.is_payload_manifest(problem.file) for problem in self.problems):
            self._add(".", "has no manifest of its payload", ProblemKind.MISSING)
        in_each = self._form.version >= (1, 0)
        groups = manifests.items() if in_each else [(" and ".join(manifests), set().union(*manifests.values()))]
        for name, paths in groups if manifests else ():
            for path in self._files:
                if path.startswith(bag.PAYLOAD) and path not in paths:
                    self._add(path, f"is extra; {name} does not list it", ProblemKind.EXTRA)

    def _tally(self, listed: Iterable[str]) -> Tally:
        return Tally(sum(self._files[path] for path in listed if self._is_read(path)), self._progress)

    def _is_read(self, path: str) -> bool:
        return self._payload or not path.startswith(bag.PAYLOAD)

    def _check_digests(self, listed: Mapping[str, Mapping[str, str]], tally: Tally) -> None:
        for path, wanted in listed.items():
            if not self._is_read(path):
                continue
            try:
                found = fixity.digests(self._folder / path, wanted, tally, uncached=self._uncached)
            except OSError as error:
                self._add(path, f"cannot be read: {error.strerror}", ProblemKind.UNREADABLE)
                continue
            for algorithm, digest in wanted.items():
                if found[algorithm] != digest:
                    empty = ", and it is empty" if self._files[path] == 0 else ""
                    name = algorithm.upper().replace("SHA", "SHA-").replace("-3_", "3-")
                    self._add(path, f"is changed: its {name} is not the one listed{empty}", ProblemKind.CHANGED)

    def _info(self, content: bytes) -> dict[str, str] | None:
        """Return the fields of bag-info.txt; None where they cannot be read."""
        try:
            return bag.read_info(content, self._form)
        except bag.BagFormatError as error:
            self._add(bag.INFO_FILE, f"is malformed: {error}", ProblemKind.MALFORMED)
            return None

    def _check_oxum(self, oxum: str | None) -> None:
        sizes = [size for path, size in (self._files | self._elsewhere).items() if path.startswith(bag.PAYLOAD)]
        if oxum != (found := f"{sum(sizes)}.{len(sizes)}"):
            self._add(bag.INFO_FILE, f"says Payload-Oxum {oxum}, but it is {found}", ProblemKind.INCONSISTENT)


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


def _differences(file: MediaFile, decoded: "dict[int, Span]") -> list[str]:
    """Return how what was decoded differs from the description: number of pictures, length of each track."""
    wrong = [f"has {len(decoded)} tracks, not {len(file.tracks)}"] if len(decoded) != len(file.tracks) else []
    for track in file.tracks:
        real = decoded.get(track.index)
        if real is None:
            wrong.append(f"has no track {track.index}")
        elif isinstance(track, VideoTrack) and real.frames != track.frames:
            wrong.append(f"decodes to {real.frames} pictures in track {track.index}, not {track.frames}")
        elif abs(real.duration_s - track.duration_s) > TOLERANCE_S + _reordered_s(track):
            wrong.append(f"decodes to {real.duration_s:.3f} s in track {track.index}, not {track.duration_s:.3f} s")
    return wrong
