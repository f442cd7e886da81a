"""What happened to the devices and to this PC, by the API: lines of the health log, as JSON or as a table."""

from collections import deque
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from starlette.responses import Response

from agent.csv_text import csv_text
from agent.health.meant import devices_meant
from agent.web.answers import NOT_STORED
from agent.web.archive import moment
from agent.web.endpoint import Call, Endpoint
from agent.web.house import House
from agent.web.worker_pool import WorkerPool
from config.errors import UsageError
from devices.health.line import HealthLine, Level
from devices.health.log import log_folder
from devices.health.query import Wanted, read
from devices.health.timeline import DeviceTimeline, timelines

SINCE = timedelta(days=1)
MOST = 5000
_COLUMNS = ("at", "device", "name", "level", "kind", "reason", "detail")

type Text = Annotated[str, msgspec.Meta(max_length=300)]


class HealthQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines: of a time, of a device (as `liput health` has it), at least so serious; the newest `limit`."""

    since: Text = ""
    until: Text = ""
    device: Text = ""
    level: Level = Level.INFO
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 500


class HealthDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="health-lines"):
    """Lines of the health log, the oldest first; `more`: there are older ones of that time."""

    lines: list[HealthLine]
    more: bool


class TimelineQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which time, and of which device: all else."""

    since: Text = ""
    until: Text = ""
    device: Text = ""


class HealthTimeline(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="health-timeline"):
    """How the devices did, in equal steps from `since` to `until`."""

    since: datetime
    until: datetime
    devices: list[DeviceTimeline]


def lines(call: Call) -> HealthDocument:
    """Return what happened, as `liput health --json`."""
    asked: HealthQuery = call.query
    since, until, devices = _asked_for(call)
    wanted = Wanted(since=since, until=until, devices=devices, level=asked.level)
    kept = deque(read(log_folder(), wanted), maxlen=asked.limit + 1)
    return HealthDocument(lines=list(kept)[-asked.limit :], more=len(kept) > asked.limit)


def timeline(call: Call) -> HealthTimeline:
    """Return rates, losses and faults over that time, for plots."""
    since, until, devices = _asked_for(call)
    until = until or call.house.clock.now()
    if until <= since:
        raise UsageError("that time has no length")
    wanted = Wanted(since=since, until=until, devices=devices)
    return HealthTimeline(since=since, until=until, devices=timelines(read(log_folder(), wanted), since, until))


def _asked_for(call: Call) -> tuple[datetime, datetime | None, frozenset[str] | None]:
    """Return since and until when, and of which devices; None: up to now, of all. Raises UsageError, DeviceNotFound."""
    now = call.house.clock.now()
    since = moment(call.query.since, now) or now - SINCE
    until = moment(call.query.until, now, end=True)
    if until is not None and until < since:
        raise UsageError("until is before since")
    if not call.query.device.strip():
        return since, until, None
    return since, until, devices_meant(call.query.device, log_folder(), Wanted(since=since, until=until))


def table(call: Call) -> Response:
    """Return the same for a spreadsheet."""
    rows = (
        (line.at.isoformat(), line.device, line.name, line.level, line.kind, line.reason, _json(line.detail))
        for line in lines(call).lines
    )
    headers = {**NOT_STORED, "content-disposition": 'attachment; filename="health.csv"'}
    return Response(csv_text(_COLUMNS, rows), 200, headers, "text/csv")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _disk(house: House) -> WorkerPool:
    return house.disk


ENDPOINTS = [
    Endpoint(
        method="GET", path="/api/v1/health", does=lines, query=HealthQuery, answers=HealthDocument, pool=_disk,
        summary="What happened to the devices and to this PC", errors=(404, 409),
    ),
    Endpoint(
        method="GET", path="/api/v1/health.csv", does=table, query=HealthQuery, answers=None, media="text/csv",
        pool=_disk, summary="The same as a table", errors=(404, 409),
    ),
    Endpoint(
        method="GET", path="/api/v1/health/timeline", does=timeline, query=TimelineQuery, answers=HealthTimeline,
        pool=_disk, summary="How the devices did over time", errors=(404, 409),
    ),
]  # fmt: skip
