"""Restores a package, or its damaged files, from a copy; the damaged package is kept.

A package is built as `.NAME.restoring`, which a later attempt resumes, and verified as `.NAME.restored`. One exchange
(renameat2) gives it its name. On file systems without it, two renames do; `settle` finishes them after a kill.
"""

import stat
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from config.errors import PackageDamaged
from recorder.archive.package_draft import version_path
from recorder.disk.archive_folder import check_archive_folder
from recorder.disk.durable import PRIVATE_MODE, RENAME_UNSUPPORTED, DurableFiles
from recorder.disk.errors import storage_errors
from recorder.disk.package_locks import package_lock
from recorder.features.copies.package_copy import (
    MEDIA,
    PackageListing,
    list_local,
    list_whole_remote,
    media_digests,
    read_counted,
)
from recorder.features.copies.target import CopyReason, Target, blocks_of, copy_error
from recorder.package import bag, fixity
from recorder.package.fixity import ByteProgress, Progress, TransferThrottle
from recorder.package.metadata import Problem, ProblemKind
from recorder.package.verification import verify_package
from recorder.package.work_folder import REQUEST_FILE

BUILT, COMPLETE = ".restoring", ".restored"
DAMAGED = ".damaged"  # the archive's folder for damaged packages; Liput never uses or removes them

_OF_CONTENT = frozenset({ProblemKind.CHANGED, ProblemKind.MISSING, ProblemKind.UNREADABLE})


@dataclass(frozen=True)
class RestoredPackage:
    """A restored package; `of_copy`: it has the copy's version, for files listed here are lost."""

    copy: PackageListing
    fetched: tuple[str, ...]
    kept: Path | None
    of_copy: bool = False


@dataclass
class PackageRestorer:
    """Restores packages of the archive at `root`; `reserve_bytes` stay free, and `go_on` may raise CopyError."""

    root: Path
    disk: DurableFiles
    now: Callable[[], datetime]
    go_on: Callable[[], None] = lambda: None
    progress: Progress | None = None
    reserve_bytes: int = 0

    def restore(self, place: str, target: Target, problems: list[Problem]) -> RestoredPackage:
        """Build the package at `place` from its good files and its copy, and put it in place. Blocks.

        `problems` come from `verify`. Raises CopyError without a whole copy, PackageDamaged if the result is damaged,
        PackageBusy, and StorageError, also before the disk is full. Then nothing has changed.
        """
        folder = self.root / place
        with package_lock(folder, alone=True) if folder.is_dir() else nullcontext():
            return self._restore(folder, place, target, problems)

    def _restore(self, folder: Path, place: str, target: Target, problems: list[Problem]) -> RestoredPackage:
        copy = list_whole_remote(target, place, TransferThrottle(None, None, self.go_on))
        with storage_errors(folder):
            here = list_local(folder) if folder.is_dir() else None
            if here and here.uuid not in {"", copy.uuid}:
                raise copy_error(CopyReason.NAME_TAKEN, target.name, place)
            bad = {problem.file for problem in problems if problem.kind in _OF_CONTENT}
            wanted = _digests_to_build(here, copy, bad)
            is_listed = here and not _is_malformed(here) and not bad & {bag.MANIFEST_FILE, bag.TAG_MANIFEST_FILE}
            if here and is_listed and media_digests(here.digests) != media_digests(wanted):
                raise copy_error(CopyReason.NAME_TAKEN, target.name, place)  # another part of the session
            good = {path for path in wanted if here and _has_digest(folder, path, wanted[path], here, bad)}
            self._refuse_full(folder, copy, wanted.keys() - good)
            self._make(folder.parent)
            fetched = self._build(folder, place, target, copy, wanted, good)
            kept = self._put_in_place(folder)
        return RestoredPackage(copy, fetched, kept, here is not None and wanted[bag.TAG_MANIFEST_FILE] != here.version)

    def _refuse_full(self, folder: Path, copy: PackageListing, to_fetch: set[str]) -> None:
        """Raise StorageError if too little would stay free for the next session."""
        built = fixity.walk(version_path(folder, BUILT))[0] if version_path(folder, BUILT).is_dir() else {}
        missing = to_fetch.intersection(copy.paths).difference(built)
        check_archive_folder(self.root, self.reserve_bytes + sum(copy.files[path] for path in missing))

    def _build(
        self, folder: Path, place: str, target: Target, copy: PackageListing, wanted: Mapping[str, str], good: set[str]
    ) -> tuple[str, ...]:
        new = version_path(folder, BUILT)
        self._make(new)
        size = sum(copy.files.get(path, 0) for path in wanted.keys() - good)
        flow = TransferThrottle(ByteProgress(size, self.progress), None, self.go_on)
        fetched = []
        for path in sorted(wanted, key=lambda path: path == bag.TAG_MANIFEST_FILE):
            final = new / path
            self._make(final.parent)
            if _is_file_with(final, wanted[path]):
                continue
            final.unlink(missing_ok=True)
            if path in good:
                self._link(folder / path, final)
            else:
                mode = PRIVATE_MODE if REQUEST_FILE in wanted and not path.startswith(MEDIA) else 0o666
                blocks = read_counted(target, f"{place}/{path}", copy.files[path], flow)
                self.disk.write_blocks(final, blocks, mode=mode)
                fetched.append(path)
        for path in fixity.walk(new)[0].keys() - wanted.keys():
            (new / path).unlink()  # of a stopped attempt
        for inner in fixity.folders_below(new):
            self.disk.sync(inner)
        if wrong := verify_package(new, uncached=True):
            raise PackageDamaged(
                f"the restored {new.name} is not whole: {wrong[0].file} {wrong[0].problem}",
                hint="Try another copy (--from); nothing has been changed.",
            )
        self.disk.move_folder(new, version_path(folder, COMPLETE))
        return tuple(fetched)

    def _make(self, folder: Path) -> None:
        if folder != self.root and not folder.is_dir():
            self._make(folder.parent)
            self.disk.make_folder(folder)

    def _link(self, source: Path, final: Path) -> None:
        try:
            self.disk.link(source, final)
        except OSError:
            self.disk.write_blocks(final, blocks_of(source), mode=stat.S_IMODE(source.stat().st_mode))

    def _put_in_place(self, folder: Path) -> Path | None:
        """Put the complete package in place; return the damaged one's folder, None without one."""
        new = version_path(folder, COMPLETE)
        if not folder.exists():
            self.disk.move_folder(new, folder)
            return None
        try:
            self.disk.exchange(new, folder)
        except OSError as error:
            if error.errno not in RENAME_UNSUPPORTED:
                raise
            kept = self._keep_damaged(folder, folder.name)
            self.disk.move_folder(new, folder)
            return kept
        return self._keep_damaged(new, folder.name)

    def _keep_damaged(self, damaged: Path, name: str) -> Path:
        kept = self.root / DAMAGED / f"{name}.{self.now():%Y%m%dT%H%M%S}"
        number = count(2)
        while kept.exists():
            kept = kept.with_name(f"{name}.{self.now():%Y%m%dT%H%M%S}-{next(number)}")
        self._make(kept.parent)
        self.disk.move_folder(damaged, kept)
        return kept

    def settle(self) -> list[Path]:
        """Finish a restoration after a kill; return the kept or placed folders."""
        done = []
        for month in self.root.glob("[0-9][0-9][0-9][0-9]/[0-9][0-9]"):
            for left in sorted(month.glob(f".*{COMPLETE}")):
                folder = left.with_name(left.name.removeprefix(".").removesuffix(COMPLETE))
                if not folder.exists() or (verify_package(folder) and not verify_package(left)):
                    self._put_in_place(folder)
                    done.append(folder)
                else:
                    done.append(self._keep_damaged(left, folder.name))
        return done


def _digests_to_build(here: PackageListing | None, copy: PackageListing, bad: set[str]) -> dict[str, str]:
    """Return the digests to build: ours if the copy has all damaged files, else the copy's."""
    there = copy.digests
    if here and bag.TAG_MANIFEST_FILE in here.files and not _is_malformed(here):
        mine = here.digests
        if all(path not in bad or there.get(path) == digest for path, digest in mine.items()):
            return mine
    return there


def _has_digest(folder: Path, path: str, wanted: str, here: PackageListing, bad: set[str]) -> bool:
    """Return whether a file has the digest `wanted`: by `verify`'s result, or by reading it."""
    if here.digests.get(path) == wanted:
        return path not in bad
    return _is_file_with(folder / path, wanted)


def _is_file_with(file: Path, digest: str) -> bool:
    return file.is_file() and not file.is_symlink() and fixity.sha256(file, ByteProgress(0, None)) == digest


def _is_malformed(listing: PackageListing) -> bool:
    return any(problem.kind in {ProblemKind.MALFORMED, ProblemKind.UNSAFE} for problem in listing.problems)
