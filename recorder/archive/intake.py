"""Copying a file into a package: hashed while it is read, synced, and only a file, whole and standing still."""

import hashlib
import os
import stat
from pathlib import Path

from config.errors import ArchiveError
from config.files import open_regular
from recorder.archive import names
from recorder.archive.fixity import CHUNK_BYTES, Tally


def size_of(source: Path) -> int:
    """Return the bytes of a regular file; raises ArchiveError for whatever else is there, or nothing is."""
    shown = names.one_line(str(source))
    try:
        found = source.lstat()
    except OSError as error:
        raise ArchiveError(f"{shown} cannot be read: {error.strerror}", hint="Check its name.") from None
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a link" if stat.S_ISLNK(found.st_mode) else "no file"
        raise ArchiveError(f"{shown} is {what}; a package takes files only", hint="Name the file itself.")
    return found.st_size


def copy_file(source: Path, target: Path, tally: Tally) -> str:
    """Copy a file's content and its time of change to a new file, onto the disk; return the hex SHA-256 of it.

    Raises ArchiveError when `source` is no regular file or changes meanwhile, OSError when `target` is there already
    or is not taken.
    """
    reading = _open(source)
    try:
        before = os.fstat(reading)
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            digest = _pump(reading, writing, tally, before.st_size)
            os.utime(writing, ns=(before.st_atime_ns, before.st_mtime_ns))
            os.fsync(writing)
        finally:
            os.close(writing)
        after = os.fstat(reading)
    finally:
        os.close(reading)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ArchiveError(
            f"{names.one_line(str(source))} changes while it is read", hint="Wait until it is complete; then add it."
        )
    return digest


def _open(source: Path) -> int:
    try:
        return open_regular(source)
    except OSError as error:
        size_of(source)
        raise ArchiveError(f"{names.one_line(str(source))} cannot be read: {error.strerror}") from None


def _pump(reading: int, writing: int, tally: Tally, size: int) -> str:
    """Copy `size` bytes, or as many as there are: one that grows as fast as it is read would have no end."""
    digest = hashlib.sha256()
    while size and (chunk := os.read(reading, min(size, CHUNK_BYTES))):
        size -= len(chunk)
        digest.update(chunk)
        left = memoryview(chunk)
        while left:
            left = left[os.write(writing, left) :]
        tally.add(len(chunk))
    return digest.hexdigest()
