"""A package as one ZIP file: written as it is read, read back and compared before it gets its name.

Media are stored as they are: they are compressed already. ZIP64, so that no size is too large. What only its owner may
read in the package, such as letters, only its owner may read when it is unpacked, and the ZIP file itself.
"""

import hashlib
import stat
import time
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from config.errors import ArchiveError
from recorder.archive import bag
from recorder.archive.contents import Content
from recorder.archive.disk import PRIVATE
from recorder.archive.fixity import CHUNK_BYTES, Progress, Tally
from recorder.archive.handing import publishing

_FIRST = (1980, 1, 1, 0, 0, 0)
"""ZIP knows no time before."""


def write_zip(
    contents: Sequence[Content], root: str, target: Path, progress: Progress | None = None, *, mode: int = 0o666
) -> None:
    """Write `contents` into a new ZIP file at `target`, below a folder called `root`; `mode` is that of the file.

    Raises PackageDamaged when a file is not what its checksum says, ArchiveError when something is at `target` or what
    was written does not read back, StorageError when the disk does not take it. Nothing is at `target` then.
    """
    total = sum(one.size for one in contents)
    tally = Tally(2 * total, progress)
    mode = mode & PRIVATE if any(one.is_private for one in contents) else mode
    with publishing(target, total, mode=mode) as part:
        with zipfile.ZipFile(part, "w", allowZip64=True) as archive:
            for one in contents:
                _put(archive, one, root, tally)
        _read_back(part, target, contents, root, tally)


def _put(archive: zipfile.ZipFile, content: Content, root: str, tally: Tally) -> None:
    entry = zipfile.ZipInfo(f"{root}/{content.path}", _time_of(content))
    entry.compress_type = zipfile.ZIP_STORED if content.path.startswith(bag.PAYLOAD) else zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | (PRIVATE if content.is_private else 0o644)) << 16
    entry.file_size = content.size
    with content.open() as source, archive.open(entry, "w", force_zip64=True) as target:
        digest = _pump(source, target, tally)
    if digest != content.digest:
        raise content.changed()


def _time_of(content: Content) -> tuple[int, int, int, int, int, int]:
    if isinstance(content.source, bytes):
        return _FIRST
    local = time.localtime(content.source.stat().st_mtime)
    return max(_FIRST, (local.tm_year, local.tm_mon, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec))


def _pump(source: IO[bytes], target: IO[bytes] | None, tally: Tally) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        if target is not None:
            target.write(chunk)
        tally.add(len(chunk))
    return digest.hexdigest()


def _read_back(path: Path, target: Path, contents: Sequence[Content], root: str, tally: Tally) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            if sorted(archive.namelist()) != sorted(f"{root}/{one.path}" for one in contents):
                raise ArchiveError(f"{target} does not hold what was written", hint="Check the disk.")
            for one in contents:
                with archive.open(f"{root}/{one.path}") as file:
                    if _pump(file, None, tally) != one.digest:
                        raise ArchiveError(f"{one.path} does not read back as it was written", hint="Check the disk.")
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveError(f"{target} does not read back: {error}", hint="Check the disk.") from None
