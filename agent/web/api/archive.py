"""The archive by the API: search, show, play, verify. Files must be in a manifest; links are not followed."""

import asyncio
import os
import re
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Annotated

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agent.archives.selection import find_package, search_archives
from agent.terminal.moments import parse_moment
from agent.web.api.state import PackageShown, package_shown
from agent.web.http.context import WorkerPool
from agent.web.http.endpoint import ApiCall, Endpoint
from agent.web.http.responses import NOT_FOUND, HttpRefusal
from config.errors import ArchiveError, PackageNotFound, UsageError
from config.files import open_regular, read_file
from config.settings.quantities import NotAllowed
from recorder.archive.archive import Archive, is_package_file
from recorder.archive.correction import EDITABLE_FIELDS, MarkTexts, edit_package
from recorder.package.bag import MANIFEST_FILE, TAG_MANIFEST_FILE, BagFormatError, path_refusal, read_manifest
from recorder.package.metadata import Package
from recorder.package.verification import VerificationResult, require_sealed
from recorder.package.work_folder import PROGRAM

PIECE = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
TYPES = {
    ".mp4": "video/mp4", ".mkv": "video/x-matroska", ".jpg": "image/jpeg", ".png": "image/png",
    ".pdf": "application/pdf",
    ".html": "text/html; charset=utf-8", ".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8",
    ".json": "application/json", ".jsonl": "text/plain; charset=utf-8", ".xml": "text/xml; charset=utf-8",
    ".csv": "text/csv; charset=utf-8", ".vtt": "text/vtt; charset=utf-8", ".m4a": "audio/mp4",
}  # fmt: skip
"""By suffix; other files can only be saved."""
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; frame-ancestors 'self'"
)
POLICIES = {".pdf": f"object-src 'self'; {_POLICY}"}  # browsers have a sandbox of their own for PDF
POLICY = f"sandbox; {_POLICY}"


def open_file(package: Package, path: str) -> IO[bytes]:
    """Return a manifest or a file in one, open. Raises HttpRefusal if there is none, ArchiveError."""
    folder = require_sealed(package).folder
    try:
        manifests = [read_manifest(read_file(folder / name)) for name in (MANIFEST_FILE, TAG_MANIFEST_FILE)]
    except (OSError, BagFormatError) as error:
        raise ArchiveError(f"{folder.name} cannot be read: {error}", hint="liput archive verify says more") from None
    is_listed = path == TAG_MANIFEST_FILE or any(path in manifest for manifest in manifests)
    nothing = HttpRefusal(NOT_FOUND, "the package has no such file", hint="its description lists its files")
    if not is_listed or path_refusal(path) is not None or not is_package_file(folder, folder / path):
        raise nothing
    try:
        return os.fdopen(open_regular(folder / path), "rb")
    except OSError:
        raise nothing from None


class PackageFileResponse(Response):
    """A file or a range of it, read on threads of `pool` as fast as the client takes it."""

    def __init__(self, file: IO[bytes], name: str, asked: str | None, pool: WorkerPool, *, save: bool = False) -> None:
        """Answer with the whole file unless `asked`, a Range header, is one range."""
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
        """Send it until the client disconnects."""
        gone = asyncio.get_running_loop().create_task(disconnected(receive))
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


async def disconnected(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _range(asked: str | None, size: int) -> tuple[int, int, int]:
    """Return first byte, byte behind the last, and status."""
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


_KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,199}")
FURTHEST = 10_000

type Text = Annotated[str, msgspec.Meta(max_length=300)]


class PackagesFound(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="packages"):
    """Packages, best first, or newest first without words; `more`: further ones follow."""

    packages: list[Package]
    offset: int
    more: bool


def packages(
    call: ApiCall, *, q: Text = "", room: Text = "", since: Text = "", until: Text = "",
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50,
    offset: Annotated[int, msgspec.Meta(ge=0, le=FURTHEST)] = 0,
) -> PackagesFound:  # fmt: skip
    """Search for words, part of a room's name, and days (`since`, `until`). Unsealed packages are not found."""
    now, end = call.house.clock.now(), offset + limit
    found = search_archives(
        call.house.archives(), q.split(), since=time_parameter(since, now), until=time_parameter(until, now, end=True),
        room=room, most=end + 1,
    )  # fmt: skip
    return PackagesFound(packages=found[offset:end], offset=offset, more=len(found) > end)


def time_parameter(text: str, now: datetime, *, end: bool = False) -> datetime | None:
    """Return the time in `text` of an address; None for "". Raises UsageError."""
    if not text:
        return None
    try:
        return parse_moment(text, now, end=end)
    except NotAllowed as error:
        raise UsageError(f"a time {error}") from None


def package(call: ApiCall) -> PackageShown:
    """Return a package as `liput archive show --json`, with sentences for gaps of its recording."""
    return package_shown(package_of(call)[1])


def package_of(call: ApiCall) -> tuple[Archive, Package]:
    key = call.path["id"]
    if not _KEY.fullmatch(key):
        raise PackageNotFound("there is no such package", hint="GET /api/v1/archive lists them")
    return find_package(call.house.archives(), key)


def file(call: ApiCall, *, save: bool = False) -> Response:
    """Return a file of a package, or a range of it; with `save` the browser saves it."""
    path = call.path["path"]
    found = package_of(call)[1]
    opened, name = open_file(found, path), path.rpartition("/")[2]
    saved = f"{found.id}-{name}".replace(f"-{PROGRAM}", Path(PROGRAM).suffix) if save else name
    return PackageFileResponse(opened, saved, call.request.headers.get("range"), call.house.disk, save=save)


class PackageEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Corrections: `fields` are named as in `liput archive edit --json`, `marks` (media time, text) replace all.

    The package keeps `reason` and `by`.
    """

    fields: dict[str, Annotated[str, msgspec.Meta(max_length=2000)]] = {}
    marks: MarkTexts | None = None
    reason: Text = ""
    by: Text | None = None


def edit(call: ApiCall, asked: PackageEdit) -> PackageShown:
    """Correct a package's description as `liput archive edit`; its media stay as they are."""
    if unknown := asked.fields.keys() - set(EDITABLE_FIELDS):
        raise UsageError(f"{', '.join(unknown)} cannot be corrected", hint=f"these can: {', '.join(EDITABLE_FIELDS)}")
    found = require_sealed(package_of(call)[1])
    now = call.house.clock.now()
    edit_package(found.folder, asked.fields, marks=asked.marks, by=asked.by, reason=asked.reason, now=now)
    return package(call)


def verify(call: ApiCall, *, decode: bool = False) -> VerificationResult:
    """Read a package and compare it with its manifests; with `decode` decode each frame, too."""
    archive, found = package_of(call)
    return VerificationResult.of(found, archive.verify(found, decode=decode), decoded=decode)


_AT = "/api/v1/archive/{id}"
ENDPOINTS = [
    Endpoint("GET", "/api/v1/archive", packages, "Search the archive", pool="disk", errors=(409,)),
    Endpoint("GET", _AT, package, "One package", pool="disk"),
    Endpoint("PATCH", _AT, edit, "Correct a package's description", pool="disk"),
    Endpoint(
        "GET", f"{_AT}/files/{{path:path}}", file,
        "A file of a package, as its manifest names it; with Range a part of it",
        pool="disk", media="application/octet-stream", errors=(404, 409, 416),
    ),
    Endpoint("POST", f"{_AT}/verify", verify, "Verification of a package", pool="disk"),
]  # fmt: skip
