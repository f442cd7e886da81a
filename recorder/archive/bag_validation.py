"""Whether a folder is a bag, and a whole one, as RFC 8493 and the versions of BagIt before it have it.

A bag may come from anywhere: no link in it is followed, no path of a manifest is opened that the walk through the
folder has not found, and everything that is wrong is reported, not only the first thing.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from config.files import read_file
from recorder.archive import bag, fixity, names
from recorder.archive.fixity import Progress, Tally
from recorder.archive.manifests import listed_in
from recorder.archive.model import Problem, ProblemKind


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
