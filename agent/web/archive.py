"""The archive by the API: searched, shown, played, verified. Nothing in it is changed here."""

import re
from datetime import datetime
from typing import Annotated

import msgspec
from starlette.responses import Response

from agent.archives import find_in, search_all
from agent.moments import parse_moment
from agent.web.endpoint import Call, Endpoint
from agent.web.files import FileAnswer, open_file
from agent.web.house import House
from agent.web.troubles import PackageShown, package_shown
from agent.web.worker_pool import WorkerPool
from config.errors import PackageNotFound, UsageError
from config.quantities import NotAllowed
from recorder.archive.archive import Archive
from recorder.archive.model import Package
from recorder.archive.search import Found
from recorder.archive.verification import Verdict

_KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,199}")
FURTHEST = 10_000

type Text = Annotated[str, msgspec.Meta(max_length=300)]


class ArchiveQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is searched for: words, a part of the room's name, days (`since`, `until`), and which of those found."""

    q: Text = ""
    room: Text = ""
    since: Text = ""
    until: Text = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    offset: Annotated[int, msgspec.Meta(ge=0, le=FURTHEST)] = 0


class FileQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `save` the browser keeps the file instead of showing it."""

    save: bool = False


class VerifyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether every frame of every file of media is decoded as well."""

    decode: bool = False


class PackagesFound(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="packages"):
    """What was found, the best first, without words the newest; `more`: there is more behind it."""

    packages: list[Found]
    offset: int
    more: bool


def packages(call: Call) -> PackagesFound:
    """Search the archive; what is not sealed yet is not in it."""
    asked: ArchiveQuery = call.query
    now = call.house.clock.now()
    since, until = moment(asked.since, now), moment(asked.until, now, end=True)
    most = asked.offset + asked.limit + 1
    found = search_all(call.house.archives(), asked.q.split(), since=since, until=until, room=asked.room, most=most)
    end = asked.offset + asked.limit
    return PackagesFound(packages=found[asked.offset : end], offset=asked.offset, more=len(found) > end)


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


def file(call: Call) -> Response:
    """Return a file of a package, or a range of it."""
    opened = open_file(_package(call)[1], call.path["path"])
    return FileAnswer(opened, call.request.headers.get("range"), call.house.disk, save=call.query.save)


def verify(call: Call) -> Verdict:
    """Read all of a package, and compare it with its manifests; as `liput archive verify --json`."""
    archive, found = _package(call)
    return Verdict.of(found, archive.verify(found, decode=call.body.decode), decoded=call.body.decode)


def _disk(house: House) -> WorkerPool:
    return house.disk


_AT = "/api/v1/archive/{id}"
ENDPOINTS = [
    Endpoint(
        method="GET", path="/api/v1/archive", does=packages, query=ArchiveQuery, answers=PackagesFound, pool=_disk,
        summary="Search the archive", errors=(409,),
    ),
    Endpoint(
        method="GET", path=_AT, does=package, answers=PackageShown, pool=_disk, summary="One package", errors=(404, 409)
    ),
    Endpoint(
        method="GET", path=f"{_AT}/files/{{path:path}}", does=file, query=FileQuery, answers=None, pool=_disk,
        media="application/octet-stream", errors=(404, 409, 416),
        summary="A file of a package, as its manifest names it; with Range a part of it",
    ),
    Endpoint(
        method="POST", path=f"{_AT}/verify", does=verify, body=VerifyBody, answers=Verdict, pool=_disk,
        summary="Whether a package still is what it was", errors=(404, 409),
    ),
]  # fmt: skip
