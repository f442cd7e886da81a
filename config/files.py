"""Safe file access: follows no link, opens no pipe or device, bounds reads, replaces files atomically."""

import contextlib
import errno
import glob
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

PRIVATE = 0o600
_NEW = ".new"
MOST_BYTES = 64 << 20
"""The most bytes of a file that are read into memory: a manifest of 400,000 files, an event log of a month."""

type PrepareFile = Callable[[int], None]
"""Sets owner and mode of a new file by its descriptor, while it is empty and private."""


class NotRegular(OSError):
    """The path is a link, pipe, device or folder."""


def open_regular(path: Path | str, flags: int = os.O_RDONLY, mode: int = PRIVATE) -> int:
    """Return a descriptor of a regular file, without blocking on a pipe. Raises NotRegular and OSError."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.EISDIR}:
            raise _irregular(error.errno, path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(errno.EINVAL, path)
    return descriptor


def _irregular(number: int, path: Path | str) -> NotRegular:
    return NotRegular(number, "it is no regular file", str(path))


def is_regular(path: Path) -> bool:
    """Return whether a regular file, not a link, is at `path`. Raises OSError where that is unknown."""
    return stat.S_ISREG(_mode_of(path))


def is_folder(path: Path) -> bool:
    """Return whether a folder, not a link, is at `path`. Raises OSError where that is unknown."""
    return stat.S_ISDIR(_mode_of(path))


def _mode_of(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def read_file(path: Path, most: int = MOST_BYTES, *, cut: bool = False) -> bytes:
    """Return a regular file's content. Over `most` bytes it raises OSError, or is cut with `cut`. Raises NotRegular."""
    with open(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most and not cut:
            raise OSError(errno.EOVERFLOW, f"it has {size} bytes, and {most} are read at most", str(path))
        return file.read(min(size, most))


def with_mode(mode: int) -> PrepareFile:
    """Return a PrepareFile that sets `mode`, regardless of the umask."""
    return lambda descriptor: os.fchmod(descriptor, mode)


_PRIVATELY = with_mode(PRIVATE)


@contextlib.contextmanager
def open_beneath(folder: Path, below: str = "") -> Iterator[Path]:
    """Yield a path to `below` in `folder` by a descriptor, following no link below `folder`. Raises OSError."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(folder, flags)
    try:
        for name in filter(None, below.split("/")):
            above, descriptor = descriptor, os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(above)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def create_file(path: Path, mode: int = PRIVATE) -> int:
    """Return a descriptor of a new file at `path`, opened to read and write; an old file is removed. Raises OSError."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)  # O_EXCL follows no link


def replace_file(path: Path, content: bytes, prepare: PrepareFile = _PRIVATELY, *, durable: bool) -> None:
    """Replace `path` atomically by a file with `content`. Raises OSError; `path` is then unchanged.

    One writer per `path` only: temporary files of a killed writer are removed. With `durable` the new file is on disk
    when this returns, and a power cut leaves the old or the new file.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{_NEW}"):
        _remove(left)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_NEW}")
    try:
        write_file(aside, content, prepare, durable=durable)
        aside.replace(path)
    except BaseException:
        _remove(aside)
        raise
    if durable:
        sync_path(path.parent)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def write_file(path: Path, content: bytes, prepare: PrepareFile = _PRIVATELY, *, durable: bool) -> None:
    """Write a private file at `path`, synced if `durable`; its folder entry is not synced. Raises OSError."""
    descriptor = create_file(path)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - its mode is right from the first moment
        prepare(descriptor)
        file.write(content)
        file.flush()
        if durable:
            os.fsync(descriptor)


def sync_path(path: Path) -> None:
    """Sync the content of a file, or the entries of a folder, to disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_text(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def json_lines[T](content: bytes, kind: type[T]) -> Iterator[T]:
    """Yield each line decoded as `kind`; other lines, such as a torn last one, are skipped."""
    for line in content.splitlines():
        try:
            value = msgspec.json.decode(line, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        yield value


def read_json[T](path: Path, kind: type[T]) -> T | None:
    """Return the JSON file `path` decoded as `kind`; None if it is missing, unreadable or of another kind."""
    try:
        return msgspec.json.decode(read_file(path), type=kind)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def json_number(value: object) -> float | None:
    """Return a value read from JSON as a float; None if it is no number."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def file_stamp(path: Path | None) -> object:
    """Return a value that changes when `path` is written or replaced; None where there is no file."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (str(path), found.st_mtime_ns, found.st_size, found.st_ino)
