"""Building a corrected package beside the one it corrects: its media by a second name, its description anew.

Steps: link every file of `data/`, copy what is added, write what is different, keep what was different in
`metadata/history/NNNN/`, write the manifests, sync every folder, verify, take the place (replacing.py). Until the last
one nothing of the package itself is touched. docs/archive.md says what a kill at each leaves.
"""

import errno
import hashlib
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from config.errors import PackageDamaged, StorageError
from config.files import read_file
from config.quantities import brief_size
from recorder.archive import bag, catalog, fixity, names
from recorder.archive.disk import Disk
from recorder.archive.fixity import Tally
from recorder.archive.intake import copy_file
from recorder.archive.locking import locked
from recorder.archive.model import Problem
from recorder.archive.replacing import beside, clear, settle, take_place
from recorder.archive.verification import verify
from recorder.storage_errors import storage_error

HISTORY = "metadata/history/"
_KEPT = re.compile(rf"{HISTORY}(\d{{4,9}})/", re.ASCII)

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
"""What a file system says that gives a file no second name; or a kernel, of a file that is another user's."""


@contextmanager
def rebuilding(folder: Path, disk: Disk, tally: Tally) -> Iterator["Draft"]:
    """Give a corrected package to be filled; when the context is left, it takes the place of that at `folder`.

    Raises PackageDamaged when either is not whole, ArchiveError when its media are kept elsewhere, PackageBusy when
    another process reads or changes it, StorageError when the disk does not take it. After any error the package is as
    it was.
    """
    try:
        settle(folder, disk)
        with locked(folder, alone=True):
            clear(folder, disk)
            refuse_incomplete(folder)
            draft = Draft(folder, disk, tally)
            try:
                draft.begin()
                yield draft
                if draft.is_wanted:
                    draft.finish()
            except BaseException:
                draft.undo()
                raise
            if draft.is_wanted:
                take_place(draft.new, folder, disk)
            else:
                draft.undo()
    except OSError as error:
        raise storage_error(error, folder) from None


def refuse_incomplete(folder: Path) -> None:
    """Raise PackageDamaged when the package at `folder` is not whole, ArchiveError when its media are not here."""
    refuse_damaged(folder.name, verify(folder, payload=False))
    catalog.refuse_elsewhere(folder)


def refuse_damaged(name: str, problems: list[Problem]) -> None:
    """Raise PackageDamaged with the first of `problems`, if there are any."""
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise damaged(name, f"{names.one_line(first.file)} {names.one_line(first.problem)}{more}")


def damaged(name: str, what: str) -> PackageDamaged:
    """Return the error of a package of which is known what is wrong first."""
    return PackageDamaged(
        f"{name} is damaged: {what}", hint=f"liput archive verify {name} lists everything that is wrong with it."
    )


class Draft:
    """A corrected package while it is built at `new`. `payload` and `sizes` have digest and bytes of each payload file.

    Reads the package at `folder`; writes only below `new`.
    """

    def __init__(self, folder: Path, disk: Disk, tally: Tally) -> None:
        self.folder = folder
        self.new = beside(folder, names.NEW)
        self.is_wanted = True
        """Whether it takes the place of the package when it is done."""
        files = fixity.walk(folder)[0]
        self.sizes = {path: size for path, size in files.items() if path.startswith(bag.PAYLOAD)}
        self.payload = bag.read_manifest(read_file(folder / bag.MANIFEST_FILE))
        self._tags = bag.read_manifest(read_file(folder / bag.TAG_MANIFEST_FILE))
        self._former = {bag.TAG_MANIFEST_FILE: fixity.sha256(folder / bag.TAG_MANIFEST_FILE, Tally(0, None))}
        self._written: dict[str, bytes] = {}
        self._modes: dict[str, int] = {}
        self._added: list[str] = []
        self._copied: dict[str, str] = {}
        self._disk = disk
        self._tally = tally
        self._links = True

    @property
    def paths(self) -> set[str]:
        """Every file that it holds so far, but for the tag manifest."""
        return {*self.payload, *self._tags, *self._written}

    @property
    def written(self) -> Mapping[str, bytes]:
        """The tag files that will have another content, or are new."""
        return self._written

    def read(self, path: str) -> bytes:
        """Return a file of the package that is corrected; nothing where there is none."""
        return read_file(self.folder / path) if path in self._tags or path in self.payload else b""

    def begin(self) -> None:
        """Make it, with every file of the payload in it."""
        self._make_folder(self.new)
        for path, digest in self.payload.items():
            self._take_over(path, path, digest)

    def add(self, source: Path, path: str) -> str:
        """Copy a file from elsewhere to `path` in the payload; return its hex SHA-256."""
        target = self._place(path)
        self._disk.begin("copy", target)
        self.payload[path] = self._copied[path] = copy_file(source, target, self._tally)
        self.sizes[path] = target.stat().st_size
        self._added.append(path)
        return self.payload[path]

    def drop(self, path: str) -> None:
        """Take back what was added at `path`."""
        (self.new / path).unlink()
        del self.payload[path], self.sizes[path], self._copied[path]
        self._added.remove(path)

    def refuse_changed(self, path: str) -> None:
        """Raise PackageDamaged when a file of the payload is not what its checksum says any more."""
        if fixity.sha256(self.new / path, Tally(0, None)) != self.payload[path]:
            raise damaged(self.folder.name, f"{names.one_line(path)} is changed")

    def write(self, path: str, content: bytes, *, mode: int = 0o666) -> None:
        """Let a tag file have this content, and this mode: as far as the umask, or the one before, lets it."""
        self._written[path] = content
        self._modes[path] = mode

    def finish(self) -> None:
        """Write the tag files, sync everything, and verify it. Raises PackageDamaged when it is not whole."""
        if self._added:
            self.write(bag.MANIFEST_FILE, bag.manifest_text(self.payload))
        changed = {path: content for path, content in self._written.items() if content != self.read(path)}
        for path, digest in self._tags.items():
            if path not in changed:
                self._take_over(path, path, digest)
        self._tags |= self._keep_former(changed)
        for path, content in changed.items():
            self._disk.write(self._place(path), content, mode=self._modes[path])
            if (self.folder / path).exists():
                before = stat.S_IMODE((self.folder / path).stat().st_mode)
                (self.new / path).chmod(before & self._modes[path])
            self._tags[path] = hashlib.sha256(content).hexdigest()
        self._disk.write(self.new / bag.TAG_MANIFEST_FILE, bag.manifest_text(self._tags))
        for folder in fixity.folders(self.new):
            self._disk.sync(folder)
        self._prove()

    def undo(self) -> None:
        """Remove it: it has only second names of what the package has, and copies."""
        shutil.rmtree(self.new, ignore_errors=True)

    def _keep_former(self, changed: dict[str, bytes]) -> dict[str, str]:
        """Keep tag files as they were before they are `changed`; return their digests by their new paths."""
        numbers = [int(kept[1]) for path in self._tags if (kept := _KEPT.match(path))]
        history = f"{HISTORY}{max(numbers, default=0) + 1:04}/"
        former = self._former | {path: self._tags[path] for path in changed if path in self._tags}
        for path, digest in former.items():
            self._take_over(path, f"{history}{path}", digest)
        return {f"{history}{path}": digest for path, digest in former.items()}

    def _take_over(self, path: str, new_path: str, digest: str) -> None:
        """Give a file of the package its place in this one: by a second name, or where that cannot be, as a copy."""
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
            raise damaged(self.folder.name, f"{names.one_line(path)} is changed")
        shutil.copymode(source, target)
        self._copied[new_path] = digest

    def _expect_copies(self) -> None:
        """Go on with copies. Raises StorageError where there is no room for all of them."""
        size = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        free = shutil.disk_usage(self.folder).free
        if free < size:
            raise StorageError(
                f"{self.folder.name} has to be copied to be changed, which takes {brief_size(size)}; "
                f"{brief_size(free)} are free",
                hint="Free space on that disk: it gives files no second name (hard link).",
                why="full",
            )
        self._tally.expect(2 * size)
        self._links = False

    def _place(self, path: str) -> Path:
        """Return where a file goes, with the folders above it made."""
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

    def _prove(self) -> None:
        """Read back, from the disk, what was written: the former is removed after this.

        What has a second name is the same file, whole or not, and its checksum stays as it was; its size is looked at.
        """
        refuse_damaged(self.folder.name, verify(self.new, payload=False))
        for path, digest in self._copied.items():
            if fixity.sha256(self.new / path, self._tally, uncached=True) != digest:
                raise PackageDamaged(
                    f"{names.one_line(path)} does not read back as it was written; {self.folder.name} is as it was",
                    hint="Check the disk.",
                )
