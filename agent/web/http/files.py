"""A file of a package, handed to a browser: whole, or a range. The browser runs nothing of it.

A path is looked up in the package's manifests: one that is not listed is not there. No link is followed.
"""

import asyncio
import os
import re
from functools import partial
from pathlib import Path
from typing import IO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agent.web.http.answers import NOT_FOUND, Refused
from agent.web.http.worker_pool import WorkerPool
from config.errors import ArchiveError
from config.files import open_regular, read_file
from recorder.archive import catalog
from recorder.package import bag
from recorder.package.manifest import Package

PIECE = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
TYPES = {
    ".mp4": "video/mp4", ".mkv": "video/x-matroska", ".jpg": "image/jpeg", ".png": "image/png",
    ".pdf": "application/pdf",
    ".html": "text/html; charset=utf-8", ".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8",
    ".json": "application/json", ".jsonl": "text/plain; charset=utf-8", ".xml": "text/xml; charset=utf-8",
    ".csv": "text/csv; charset=utf-8", ".vtt": "text/vtt; charset=utf-8", ".m4a": "audio/mp4",
}  # fmt: skip
"""By the end of a name; a file of any other kind is only ever saved."""
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; frame-ancestors 'self'"
)
POLICIES = {".pdf": f"object-src 'self'; {_POLICY}"}
"""Browsers show no PDF in a sandbox; they show it in one of their own."""
POLICY = f"sandbox; {_POLICY}"


def listed(folder: Path) -> frozenset[str]:
    """Return the paths of all files of a package that its manifests name, and of these. Raises ArchiveError."""
    manifests = (bag.MANIFEST_FILE, bag.TAG_MANIFEST_FILE)
    try:
        names = [path for manifest in manifests for path in bag.read_manifest(read_file(folder / manifest))]
    except (OSError, bag.BagFormatError) as error:
        raise ArchiveError(f"{folder.name} cannot be read: {error}", hint="liput archive verify says more") from None
    return frozenset(path for path in (*names, bag.TAG_MANIFEST_FILE) if bag.unsafe_path(path) is None)


def open_file(package: Package, path: str) -> IO[bytes]:
    """Return the file of a package that is listed as `path`, open. Raises Refused where there is none, ArchiveError."""
    folder = catalog.sealed(package).folder
    known = {name: name for name in listed(folder)}
    nothing = Refused(NOT_FOUND, "the package has no such file", hint="its description names those it has")
    if path not in known or not catalog.is_inside(folder, folder / known[path]):
        raise nothing
    try:
        return os.fdopen(open_regular(folder / known[path]), "rb")
    except OSError:
        raise nothing from None


class FileAnswer(Response):
    """A file, or a range of it; read on threads of `pool`, no further than the client takes it."""

    def __init__(self, file: IO[bytes], name: str, asked: str | None, pool: WorkerPool, *, save: bool = False) -> None:
        """`asked` is the Range header; what is no single range is answered with the whole, as the standard has it."""
        self._file, self._pool = file, pool
        size = os.fstat(file.fileno()).st_size
        self._start, self._end, status = _range(asked, size)
        end = Path(name).suffix.lower()
        kind = TYPES.get(end)
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        headers = {
            "accept-ranges": "bytes", "content-length": str(self._end - self._start),
            "cache-control": "private, no-cache", "x-frame-options": "SAMEORIGIN",
            "content-security-policy": POLICIES.get(end, POLICY),
            "content-disposition": f'{"inline" if kind and not save else "attachment"}; filename="{plain}"',
        }  # fmt: skip
        if status == 206:
            headers["content-range"] = f"bytes {self._start}-{self._end - 1}/{size}"
        elif status == 416:
            headers["content-range"] = f"bytes */{size}"
        super().__init__(None, status, headers, kind or "application/octet-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless the client goes before its end."""
        gone = asyncio.get_running_loop().create_task(_gone(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            at = self._start if scope["method"] != "HEAD" else self._end
            while at < self._end and not gone.done():
                piece = await self._pool.run(partial(self._read, at))
                if not piece:
                    raise OSError("the file has become shorter")
                at += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self._file.close()

    def _read(self, at: int) -> bytes:
        return os.pread(self._file.fileno(), min(PIECE, self._end - at), at)


async def _gone(receive: Receive) -> None:
    """Wait until the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _range(asked: str | None, size: int) -> tuple[int, int, int]:
    """Return the first byte, the one behind the last, and the status."""
    match = _RANGE.fullmatch(asked.replace(" ", "")) if asked else None
    if match is None or match.groups() == ("", ""):
        return 0, size, 200
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
    if start >= end:
        return 0, 0, 416
    return start, end, 206
