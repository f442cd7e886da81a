"""Builds a corrected package beside the old one, and exchanges the two in one step.

The new package is `.NAME.new` until renameat2(2) exchanges both. On other file systems the old one is `.NAME.old`
between two renames, and readers find it there (archive.py). Nothing in the old package changes. docs/archive.md lists
the steps; `settle_correction` repairs the state after a kill.
"""

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import ArchiveError, PackageDamaged, StorageError
from config.files import open_regular, read_file
from config.settings.quantities import brief_size
from recorder.disk.durable import RENAME_UNSUPPORTED, DurableFiles
from recorder.disk.errors import storage_errors
from recorder.disk.package_locks import package_lock
from recorder.model import names
from recorder.package import bag, fixity
from recorder.package.fixity import ByteProgress, copy_hashed
from recorder.package.metadata import Problem
from recorder.package.verification import refuse_pruned, verify_package


def regular_size(source: Path) -> int:
    """Return the bytes of a regular file; raises ArchiveError for anything else."""
    shown = names.one_line(str(source))
    try:
        found = source.lstat()
    except OSError as error:
        raise ArchiveError(f"{shown} cannot be read: {error.strerror}", hint="Check its name.") from None
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a link" if stat.S_ISLNK(found.st_mode) else "no file"
        raise ArchiveError(f"{shown} is {what}; a package takes files only", hint="Name the file itself.")
    return found.st_size


def copy_file(source: Path, target: Path, tally: ByteProgress) -> str:
    """Copy content and mtime to a new synced file; return its SHA-256. Raises ArchiveError for a changing source."""
    with io.FileIO(_open(source)) as reading:
        before = os.fstat(reading.fileno())
        with target.open("xb") as writing:
            digest = copy_hashed(reading, writing, tally, before.st_size)
            writing.flush()
            os.utime(writing.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))
            os.fsync(writing.fileno())
        after = os.fstat(reading.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ArchiveError(
            f"{names.one_line(str(source))} changes while it is read", hint="Wait until it is complete; then add it."
        )
    return digest


def _open(source: Path) -> int:
    try:
        return open_regular(source)
    except OSError as error:
        regular_size(source)
        raise ArchiveError(f"{names.one_line(str(source))} cannot be read: {error.strerror}") from None


def version_path(folder: Path, end: str) -> Path:
    """Return the hidden path of another version of the package."""
    return folder.with_name(f".{folder.name}{end}")


def _exchange(new: Path, folder: Path, disk: DurableFiles) -> Path:
    """Exchange `new` for the package at `folder`; return the former one. Raises OSError and changes nothing."""
    try:
        disk.exchange(new, folder)
    except OSError as error:
        if error.errno not in RENAME_UNSUPPORTED:
            raise
    else:
        return new
    old = version_path(folder, names.OLD)
    try:
        disk.move_folder(folder, old)
        disk.move_folder(new, folder)
    except OSError:
        if not os.path.lexists(folder):
            with contextlib.suppress(OSError):  # `settle_correction` tries again
                disk.move_folder(old, folder)
        raise
    return old


def settle_correction(folder: Path, disk: DurableFiles) -> None:
    """Undo or finish an interrupted correction; raises PackageBusy, OSError."""
    old = version_path(folder, names.OLD)
    if not os.path.lexists(folder) and old.is_dir():
        with package_lock(old, alone=True):
            disk.move_folder(old, folder)
    if any(version_path(folder, end).is_dir() for end in (names.NEW, names.OLD)):
        with package_lock(folder, alone=True):
            remove_versions(folder, disk)


def remove_versions(folder: Path, disk: DurableFiles) -> None:
    """Remove other versions of the locked package at `folder`, if it is whole itself."""
    others = [other for end in (names.NEW, names.OLD) if (other := version_path(folder, end)).is_dir()]
    if others and not verify_package(folder, payload=False):
        for other in others:
            disk.remove_tree(other, bag.DECLARATION_FILE)


HISTORY = "metadata/history/"
_KEPT = re.compile(rf"{HISTORY}(\d{{4,9}})/", re.ASCII)

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
"""Errors of file systems without hard links, or of the kernel for files of other users."""


@contextmanager
def corrected_package(folder: Path, disk: DurableFiles, tally: ByteProgress) -> Iterator["PackageDraft"]:
    """Yield a draft of a corrected package, and put it in place after the body.

    On an error the package stays as it was: PackageDamaged, ArchiveError if media were pruned, PackageBusy,
    StorageError.
    """
    with storage_errors(folder):
        settle_correction(folder, disk)
        with package_lock(folder, alone=True):
            remove_versions(folder, disk)
            refuse_incomplete(folder)
            draft = PackageDraft(folder, disk, tally)
            with contextlib.ExitStack() as stack:
                stack.callback(draft.undo)
                draft.begin()
                yield draft
                if not draft.is_wanted:
                    return
                draft.finish()
                stack.pop_all()
            with package_lock(draft.new, alone=True):  # others find the name locked until we are done
                former = _exchange(draft.new, folder, disk)
                with contextlib.suppress(OSError):
                    disk.remove_tree(former, bag.DECLARATION_FILE)


def refuse_incomplete(folder: Path) -> None:
    """Raise PackageDamaged for damage outside of the payload's content, ArchiveError if media were pruned."""
    refuse_damaged(folder.name, verify_package(folder, payload=False))
    refuse_pruned(folder)


def refuse_damaged(name: str, problems: list[Problem]) -> None:
    """Raise PackageDamaged with the first of `problems`, if any."""
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise damaged_error(name, f"{names.one_line(first.file)} {names.one_line(first.problem)}{more}")


def damaged_error(name: str, what: str) -> PackageDamaged:
    return PackageDamaged(f"{name} is damaged: {what}", hint=f"liput archive verify {name} lists the faults.")


class PackageDraft:
    """A corrected package in the making at `new`; `payload` has digests and `sizes` bytes by path."""

    def __init__(self, folder: Path, disk: DurableFiles, tally: ByteProgress) -> None:
        self.folder = folder
        self.new = version_path(folder, names.NEW)
        self.is_wanted = True
        """Whether it replaces the package in the end."""
        self.sizes = {path: size for path, size in fixity.walk(folder)[0].items() if path.startswith(bag.PAYLOAD)}
        self.payload = bag.read_manifest(read_file(folder / bag.MANIFEST_FILE))
        self._tags = bag.read_manifest(read_file(folder / bag.TAG_MANIFEST_FILE))
        self._former = {bag.TAG_MANIFEST_FILE: fixity.sha256(folder / bag.TAG_MANIFEST_FILE, ByteProgress(0, None))}
        self.written: dict[str, bytes] = {}  # new or changed tag files
        self._modes: dict[str, int] = {}
        self._added: list[str] = []
        self._copied: dict[str, str] = {}
        self._disk = disk
        self._tally = tally
        self._links = True

    @property
    def paths(self) -> set[str]:
        """All files so far, without the tag manifest."""
        return {*self.payload, *self._tags, *self.written}

    def read(self, path: str) -> bytes:
        """Return a file of the old package; b"" if it is missing."""
        return read_file(self.folder / path) if path in self._tags or path in self.payload else b""

    def begin(self) -> None:
        """Make the folder with all payload files."""
        self._make_folder(self.new)
        for path, digest in self.payload.items():
            self._link_or_copy(path, path, digest)

    def add(self, source: Path, path: str) -> str:
        """Copy a file to `path` in the payload; return its hex SHA-256."""
        target = self._place(path)
        self._disk.begin("copy", target)
        self.payload[path] = self._copied[path] = copy_file(source, target, self._tally)
        self.sizes[path] = target.stat().st_size
        self._added.append(path)
        return self.payload[path]

    def drop(self, path: str) -> None:
        (self.new / path).unlink()
        del self.payload[path], self.sizes[path], self._copied[path]
        self._added.remove(path)

    def refuse_changed(self, path: str) -> None:
        """Raise PackageDamaged if a payload file differs from its checksum."""
        if fixity.sha256(self.new / path, ByteProgress(0, None)) != self.payload[path]:
            raise damaged_error(self.folder.name, f"{names.one_line(path)} is changed")

    def write(self, path: str, content: bytes, *, mode: int = 0o666) -> None:
        """Set the content of a tag file; the umask and the old file bound `mode`."""
        self.written[path] = content
        self._modes[path] = mode

    def finish(self) -> None:
        """Write the tag files, sync and verify all. Raises PackageDamaged."""
        if self._added:
            self.write(bag.MANIFEST_FILE, bag.manifest_text(self.payload))
        changed = {path: content for path, content in self.written.items() if content != self.read(path)}
        for path, digest in self._tags.items():
            if path not in changed:
                self._link_or_copy(path, path, digest)
        self._tags |= self._keep_old_tags(changed)
        for path, content in changed.items():
            self._disk.write(self._place(path), content, mode=self._modes[path])
            if (self.folder / path).exists():
                before = stat.S_IMODE((self.folder / path).stat().st_mode)
                (self.new / path).chmod(before & self._modes[path])
            self._tags[path] = hashlib.sha256(content).hexdigest()
        self._disk.write(self.new / bag.TAG_MANIFEST_FILE, bag.manifest_text(self._tags))
        for folder in fixity.folders_below(self.new):
            self._disk.sync(folder)
        self._read_back()

    def undo(self) -> None:
        """Remove the draft, which has only hard links and copies."""
        shutil.rmtree(self.new, ignore_errors=True)

    def _keep_old_tags(self, changed: dict[str, bytes]) -> dict[str, str]:
        """Keep the old versions of `changed` tag files; return their digests by new path."""
        numbers = [int(kept[1]) for path in self._tags if (kept := _KEPT.match(path))]
        history = f"{HISTORY}{max(numbers, default=0) + 1:04}/"
        former = self._former | {path: self._tags[path] for path in changed if path in self._tags}
        for path, digest in former.items():
            self._link_or_copy(path, f"{history}{path}", digest)
        return {f"{history}{path}": digest for path, digest in former.items()}

    def _link_or_copy(self, path: str, new_path: str, digest: str) -> None:
        """Link a file of the old package into this one, or copy it."""
        source, target = self.folder / path, self._place(new_path)
        if self._links:
            try:
                self._disk.link(source, target)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._expect_copies()
            else:
                return
        self._disk.begin("copy", target)
        if copy_file(source, target, self._tally) != digest:
            raise damaged_error(self.folder.name, f"{names.one_line(path)} is changed")
        shutil.copymode(source, target)
        self._copied[new_path] = digest

    def _expect_copies(self) -> None:
        size = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        free = shutil.disk_usage(self.folder).free
        if free < size:
            raise StorageError(
                f"{self.folder.name} needs a copy of {brief_size(size)} for the change; {brief_size(free)} are free",
                hint="Free space on that disk: it gives files no second name (hard link).",
                why="full",
            )
        self._tally.expect(2 * size)
        self._links = False

    def _place(self, path: str) -> Path:
        target = self.new / path
        for folder in reversed(target.relative_to(self.new).parents):
            if not (self.new / folder).is_dir():
                self._make_folder(self.new / folder)
        return target

    def _make_folder(self, folder: Path) -> None:
        self._disk.begin("mkdir", folder)
        folder.mkdir()
        like = self.folder / folder.relative_to(self.new)
        folder.chmod(stat.S_IMODE((like if like.is_dir() else self.folder).stat().st_mode))

    def _read_back(self) -> None:
        """Read copies back from the disk before the old package is removed; hard links are the same files."""
        refuse_damaged(self.folder.name, verify_package(self.new, payload=False))
        for path, digest in self._copied.items():
            if fixity.sha256(self.new / path, self._tally, uncached=True) != digest:
                raise PackageDamaged(
                    f"{names.one_line(path)} does not read back as it was written; {self.folder.name} is as it was",
                    hint="Check the disk.",
                )
