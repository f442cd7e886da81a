"""The archive by the API: searched, shown, played, verified. Nothing in it is changed here."""

import re
from datetime import datetime
from typing import Annotated

import msgspec
from starlette.responses import Response

from agent.archives.choice import find_in, search_all
from agent.terminal.moments import parse_moment
from agent.web.api.troubles import PackageShown, package_shown
from agent.web.http.endpoint import Call, Endpoint
from agent.web.http.files import FileAnswer, open_file
from config.errors import PackageNotFound, UsageError
from config.settings.quantities import NotAllowed
from recorder.archive.archive import Archive
from recorder.archive.index import Found
from recorder.package.manifest import Package
from recorder.package.verification import Verdict

_KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,199}")
FURTHEST = 10_000

type Text = Annotated[str, msgspec.Meta(max_length=300)]


class PackagesFound(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="packages"):
    """What was found, the best first, without words the newest; `more`: there is more behind it."""

    packages: list[Found]
    offset: int
    more: bool


def packages(
    call: Call, *, q: Text = "", room: Text = "", since: Text = "", until: Text = "",
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50,
    offset: Annotated[int, msgspec.Meta(ge=0, le=FURTHEST)] = 0,
) -> PackagesFound:  # fmt: skip
    """Search for words, a part of the room's name, days (`since`, `until`); unsealed packages are not found."""
    now, end = call.house.clock.now(), offset + limit
    found = search_all(
        call.house.archives(), q.split(), since=moment(since, now), until=moment(until, now, end=True), room=room,
        most=end + 1,
    )  # fmt: skip
    return PackagesFound(packages=found[offset:end], offset=offset, more=len(found) > end)


def moment(text: str, now: datetime, *, end: bool = False) -> datetime | None:
    """Return the moment that `text` of an address stands for, None for an empty one; raises UsageError."""
    if not text:
        return None
    try:
        return parse_moment(text, now, end=end)
    except NotAllowed as error:
        raise UsageError(f"a time {error}") from None


def package(call: Call) -> PackageShown:
    """Return one package, as `liput archive show --json`, with words for what its recording lacks."""
    return package_shown(_package(call)[1])


def _package(call: Call) -> tuple[Archive, Package]:
    key = call.path["id"]
    if not _KEY.fullmatch(key):
        raise PackageNotFound("no package is called so", hint="GET /api/v1/archive lists them")
    return find_in(call.house.archives(), key)


def file(call: Call, *, save: bool = False) -> Response:
    """Return a file of a package, or a range of it; with `save` the browser keeps it instead of showing it."""
    path = call.path["path"]
    opened = open_file(_package(call)[1], path)
    return FileAnswer(opened, path.rpartition("/")[2], call.request.headers.get("range"), call.house.disk, save=save)


def verify(call: Call, *, decode: bool = False) -> Verdict:
    """Read all of a package, and compare it with its manifests; with `decode` every frame is decoded as well."""
    archive, found = _package(call)
    return Verdict.of(found, archive.verify(found, decode=decode), decoded=decode)


_AT = "/api/v1/archive/{id}"
ENDPOINTS = [
    Endpoint("GET", "/api/v1/archive", packages, "Search the archive", pool="disk", errors=(409,)),
    Endpoint("GET", _AT, package, "One package", pool="disk", errors=(404, 409)),
    Endpoint(
        "GET", f"{_AT}/files/{{path:path}}", file,
        "A file of a package, as its manifest names it; with Range a part of it",
        pool="disk", media="application/octet-stream", errors=(404, 409, 416),
    ),
    Endpoint("POST", f"{_AT}/verify", verify, "Whether a package still is what it was", pool="disk", errors=(404, 409)),
]  # fmt: skip
