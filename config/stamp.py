"""Whether a file has changed, without reading it."""

from pathlib import Path


def stamp(path: Path | None) -> object:
    """Return what differs once `path` was written, or another file stands there; None where there is none."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (str(path), found.st_mtime_ns, found.st_size, found.st_ino)
