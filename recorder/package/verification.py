"""Verifies a package against its manifests and its description.

Packages may be hostile: no link is followed, and only paths found by walking the package are opened. All problems are
reported. Foreign bags follow RFC 8493 and earlier versions of BagIt.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from config.errors import ArchiveError, MediaError
from config.files import read_file
from recorder.model import names
from recorder.package import bag, fixity
from recorder.package.bag import check_manifest
from recorder.package.fixity import ByteProgress, Progress
from recorder.package.metadata import (
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
from recorder.package.work_folder import RECORDING_FILE

if TYPE_CHECKING:
    from recorder.package.media import TrackSpan


@dataclass
class _Validation:
    """One check of one folder; `problems` are the result. `uncached`: see `fixity.digests`."""

    folder: Path
    progress: Progress | None
    is_ours: bool
    payload: bool = True
    uncached: bool = False
    decode_media: bool = False
    problems: list[Problem] = field(default_factory=list)
    form: bag.BagDeclaration = bag.OUR_DECLARATION
    files: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    elsewhere: dict[str, int] = field(default_factory=dict)

    def run(self) -> list[Problem]:
        try:
            self.files, self.others = fixity.walk(self.folder)
        except OSError as error:
            self._add(".", f"cannot be read: {error.strerror}", ProblemKind.UNREADABLE)
            return self.problems
        for path in self.others:
            self._add(path, "is a link or a device; a package holds files only", ProblemKind.UNSAFE)
        self._check_declaration()
        self._check_fetch()
        if not self.is_ours and not (self.folder / "data").is_dir():
            self._add("data", "is missing", ProblemKind.MISSING)
        listed = self._listed()
        recording = self._parsed(RECORDING_FILE, decode_recording) if self.is_ours else None
        media = recording.media if recording and self.decode_media else ()
        tally = ByteProgress(sum(self.files[path] for path in listed if self._is_read(path)), self.progress)
        tally.expect(sum(self.files.get(file.file, 0) for file in media))
        self._check_digests(listed, tally)
        self._check_info(recording)
        if recording is not None:
            self._check_media_files(recording)
        for file in media:
            self._decode(file, tally)
        return self.problems

    def _add(self, file: str, problem: str, kind: ProblemKind) -> None:
        self.problems.append(Problem(names.utf8_safe(file), names.utf8_safe(problem), kind))

    def _read(self, name: str) -> bytes | None:
        """Return the content of a tag file; None, with a problem noted, if it cannot be read."""
        if name not in self.files:
            if name not in self.others:
                self._add(name, "is missing", ProblemKind.MISSING)
            return None
        try:
            return read_file(self.folder / name)
        except OSError as error:
            self._add(name, f"cannot be read: {error.strerror}", ProblemKind.UNREADABLE)
            return None

    def _parsed[T](self, name: str, parse: Callable[[bytes], T]) -> T | None:
        """Return the content of a tag file as `parse` reads it; None, with a problem noted, if that fails."""
        content = self._read(name)
        try:
            return None if content is None else parse(content)
        except NewerVersion as error:
            self._add(name, str(error), ProblemKind.UNREADABLE)
        except (bag.BagFormatError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._add(name, f"is malformed: {error}", ProblemKind.MALFORMED)
        return None

    def _check_declaration(self) -> None:
        content = self._read(bag.DECLARATION_FILE)
        if content is None:
            return
        try:
            form, wrong = bag.read_declaration(content), ""
        except bag.BagFormatError as error:
            form, wrong = bag.OUR_DECLARATION, f"declares no bag: {error}"
        if not self.is_ours:
            self.form = form
        elif wrong or form != bag.OUR_DECLARATION:
            wrong = "does not declare a BagIt 1.0 package in UTF-8"
        if wrong:
            self._add(bag.DECLARATION_FILE, wrong, ProblemKind.MALFORMED)

    def _check_fetch(self) -> None:
        if bag.FETCH_FILE not in self.files:
            return
        listed = self._parsed(bag.FETCH_FILE, lambda content: bag.read_fetch(content, self.form, self._refuse)) or {}
        self.elsewhere = {path: size for path, size in listed.items() if path not in self.files}
        for path in self.elsewhere if not self.is_ours else ():
            self._add(path, f"is not here; {bag.FETCH_FILE} says where it is", ProblemKind.MISSING)

    def _refuse(self, path: str, reason: str) -> None:
        if not self.is_ours:
            self._add(bag.FETCH_FILE, f"lists {path!r}, which is refused: {reason}", ProblemKind.UNSAFE)

    def _listed(self) -> dict[str, dict[str, str]]:
        for manifest in (bag.MANIFEST_FILE, bag.TAG_MANIFEST_FILE) if self.is_ours else ():
            if manifest not in self.files:
                self._read(manifest)
        listed: dict[str, dict[str, str]] = {}
        of_payload = dict[str, set[str]]()
        for name in filter(bag.MANIFEST_NAME.fullmatch, [*self.files, *self.others]):
            if (algorithm := bag.algorithm_of(name)) is None:
                self._add(name, "is of an algorithm that is not known here", ProblemKind.MALFORMED)
                continue
            if (entries := self._entries(name, algorithm)) is None:
                continue
            if not name.startswith("tag"):
                of_payload[name] = set(entries)
            for path, digest in entries.items():
                if path in self.files:
                    listed.setdefault(path, {})[algorithm] = digest
        self._check_complete(of_payload)
        return listed

    def _entries(self, manifest: str, algorithm: str) -> dict[str, str] | None:
        """Return a manifest's entries by the names of existing files; None if it cannot be read."""
        content = self._read(manifest)
        if content is None:
            return None
        spelled = {unicodedata.normalize("NFC", path): path for path in self.files}
        expected = {*self.files, *self.others, *self.elsewhere}  # missing ones are reported elsewhere
        entries, problems = check_manifest(
            manifest, content, expected, self.form, bag.digest_length(algorithm), None if self.is_ours else spelled
        )
        self.problems += [problem for problem in problems if problem not in self.problems]
        if any(problem.kind is ProblemKind.MALFORMED for problem in problems):
            return None
        for path in self.files if self.is_ours and manifest == bag.TAG_MANIFEST_FILE else ():
            is_left_out = path == bag.FETCH_FILE or path.startswith(("tagmanifest-", bag.PAYLOAD))
            if path not in entries and not is_left_out:
                self._add(path, f"is extra; {manifest} does not list it", ProblemKind.EXTRA)
        return entries

    def _check_complete(self, manifests: Mapping[str, set[str]]) -> None:
        if not manifests and not any(bag.is_payload_manifest(problem.file) for problem in self.problems):
            self._add(".", "has no manifest of its payload", ProblemKind.MISSING)
        in_each = self.form.version >= (1, 0)
        groups = manifests.items() if in_each else [(" and ".join(manifests), set().union(*manifests.values()))]
        for name, paths in groups if manifests else ():
            for path in self.files:
                if path.startswith(bag.PAYLOAD) and path not in paths:
                    self._add(path, f"is extra; {name} does not list it", ProblemKind.EXTRA)

    def _is_read(self, path: str) -> bool:
        return self.payload or not path.startswith(bag.PAYLOAD)

    def _check_digests(self, listed: Mapping[str, Mapping[str, str]], tally: ByteProgress) -> None:
        for path, wanted in listed.items():
            if not self._is_read(path):
                continue
            try:
                found = fixity.digests(self.folder / path, wanted, tally, uncached=self.uncached)
            except OSError as error:
                self._add(path, f"cannot be read: {error.strerror}", ProblemKind.UNREADABLE)
                continue
            for algorithm, digest in wanted.items():
                if found[algorithm] != digest:
                    empty = ", and it is empty" if self.files[path] == 0 else ""
                    name = algorithm.upper().replace("SHA", "SHA-").replace("-3_", "3-")
                    self._add(path, f"is changed: its {name} is not the one listed{empty}", ProblemKind.CHANGED)

    def _check_info(self, recording: Recording | None) -> None:
        if not self.is_ours and bag.INFO_FILE not in self.files:
            return
        fields = self._parsed(bag.INFO_FILE, lambda content: bag.read_info(content, self.form))
        if fields is None:
            return
        oxum = fields.get("Payload-Oxum")
        sizes = [size for path, size in (self.files | self.elsewhere).items() if path.startswith(bag.PAYLOAD)]
        found = f"{sum(sizes)}.{len(sizes)}"
        if oxum != found and (self.is_ours or oxum is not None):
            self._add(bag.INFO_FILE, f"says Payload-Oxum {oxum}, but it is {found}", ProblemKind.INCONSISTENT)
        if recording is not None and fields.get("External-Identifier") != recording.uuid:
            self._add(bag.INFO_FILE, f"does not bear the UUID of {RECORDING_FILE}", ProblemKind.INCONSISTENT)

    def _check_media_files(self, recording: Recording) -> None:
        for file in recording.media:
            size = self.files.get(file.file, self.elsewhere.get(file.file))
            if size is None and not any(problem.file == file.file for problem in self.problems):
                self._add(file.file, f"is missing; {RECORDING_FILE} describes it", ProblemKind.MISSING)
            elif size is not None and size != file.bytes:
                sizes = f"has {size} bytes; {RECORDING_FILE} says {file.bytes}"
                self._add(file.file, sizes, ProblemKind.INCONSISTENT)

    def _decode(self, file: MediaFile, tally: ByteProgress) -> None:
        if file.file not in self.files:
            return
        from recorder.package.media import decode_all  # PyAV takes long to load

        try:
            decoded = decode_all(self.folder / file.file, tally.add)
        except MediaError as error:
            self._add(file.file, error.message, ProblemKind.UNDECODABLE)
            return
        for difference in _differences(file, decoded):
            self._add(file.file, difference, ProblemKind.INCONSISTENT)


TOLERANCE_S = 0.1  # tolerance for the length of a decoded track: a few coded audio frames

REORDERED = 4  # frames: x264 reorders by one less


class VerificationResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one package. Media of an `elsewhere` one were not checked; without `ours` it is a foreign bag."""

    id: str
    ok: bool
    problems: Sequence[Problem]
    decoded: bool
    elsewhere: bool = False
    ours: bool = True

    @classmethod
    def of(cls, package: Package, problems: Sequence[Problem], *, decoded: bool) -> "VerificationResult":
        """Return the verdict on a package of the archive."""
        elsewhere = package.state is PackageState.ELSEWHERE
        return cls(id=package.id, ok=not problems, problems=problems, decoded=decoded, elsewhere=elsewhere)


def verify_package(
    folder: Path,
    *,
    decode: bool = False,
    payload: bool = True,
    progress: Progress | None = None,
    uncached: bool = False,
) -> list[Problem]:
    """Return all problems of the package at `folder`.

    `decode` also decodes all media and compares them with the description. Without `payload` only names and sizes of
    `data/` are checked. `progress` gets bytes done and in all. `uncached`: see `fixity.digests`.
    """
    return _Validation(folder, progress, is_ours=True, payload=payload, uncached=uncached, decode_media=decode).run()


def verify_any_bag(folder: Path, *, decode: bool = False, progress: Progress | None = None) -> VerificationResult:
    """Verify a package outside of an archive, or a foreign bag."""
    is_ours = (folder / RECORDING_FILE).is_file()
    problems = _Validation(folder, progress, is_ours=is_ours, decode_media=decode).run()
    name = names.utf8_safe(folder.resolve().name)
    return VerificationResult(id=name, ok=not problems, problems=problems, decoded=decode and is_ours, ours=is_ours)


def _reordered_s(track: VideoTrack | AudioTrack) -> float:
    """Return the possible error of an index about the length: it counts in decoding order."""
    try:
        rate = Fraction(track.rate) if isinstance(track, VideoTrack) else Fraction(0)
        return float(REORDERED / rate) if rate > 0 else 0.0
    except (ValueError, ArithmeticError):  # a foreign description
        return 0.0


def _differences(file: MediaFile, decoded: "dict[int, TrackSpan]") -> list[str]:
    wrong = [f"has {len(decoded)} tracks, not {len(file.tracks)}"] if len(decoded) != len(file.tracks) else []
    for track in file.tracks:
        real = decoded.get(track.index)
        if real is None:
            wrong.append(f"has no track {track.index}")
        elif isinstance(track, VideoTrack) and real.frames != track.frames:
            wrong.append(f"decodes to {real.frames} frames in track {track.index}, not {track.frames}")
        elif abs(real.duration_s - track.duration_s) > TOLERANCE_S + _reordered_s(track):
            wrong.append(f"decodes to {real.duration_s:.3f} s in track {track.index}, not {track.duration_s:.3f} s")
    return wrong


def require_sealed(package: Package) -> Package:
    """Return the package; raises ArchiveError for a recording that is not sealed."""
    if package.state is PackageState.UNFINISHED:
        raise ArchiveError(
            f"{package.id} is not sealed yet", hint=f"liput archive seal {package.id} makes a package of it."
        )
    return package


def is_pruned(folder: Path) -> bool:
    """Return whether the package lacks payload that its fetch.txt names."""
    try:
        return any(not (folder / path).exists() for path in bag.read_fetch(read_file(folder / bag.FETCH_FILE)))
    except (OSError, bag.BagFormatError):
        return False


def refuse_pruned(folder: Path) -> None:
    """Raise ArchiveError if media of the package were pruned."""
    if is_pruned(folder):
        raise ArchiveError(
            f"The media of {folder.name} are kept elsewhere",
            hint=f"liput archive fetch {folder.name} --from TARGET fetches them; liput archive copies lists places.",
        )


def uuid_in_bag_info(folder: Path) -> str:
    """Return the UUID in bag-info.txt, "" if it cannot be read."""
    try:
        return bag.read_info(read_file(folder / bag.INFO_FILE)).get("External-Identifier", "")
    except (OSError, bag.BagFormatError):
        return ""
