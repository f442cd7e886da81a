"""The health log by the API: lines, a CSV table, a timeline of the devices."""

from collections import deque
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from starlette.responses import Response

from agent.health.text import matching_devices
from agent.terminal.exported_file import csv_text
from agent.web.api.archive import Text, time_parameter
from agent.web.http.endpoint import ApiCall, Endpoint
from config.errors import UsageError
from devices.health.log_line import HealthLine, LogLevel
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import log_folder
from devices.health.summary import DeviceTimeline, timelines

SINCE = timedelta(days=1)
MOST = 5000
_COLUMNS = ("at", "device", "name", "level", "kind", "reason", "detail")


class HealthQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filter by time, device (as in `liput health`) and level; the newest `limit` lines."""

    since: Text = ""
    until: Text = ""
    device: Text = ""
    level: LogLevel = LogLevel.INFO
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 500


class HealthDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="health-lines"):
    """Lines of the health log, oldest first; `more`: older ones match, too."""

    lines: list[HealthLine]
    more: bool


class HealthTimeline(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="health-timeline"):
    """State of the devices in equal steps from `since` to `until`."""

    since: datetime
    until: datetime
    devices: list[DeviceTimeline]


def lines(call: ApiCall, asked: HealthQuery) -> HealthDocument:
    """Return lines as `liput health --json`."""
    since, until, devices = _asked_for(call, asked.since, asked.until, asked.device)
    wanted = LogFilter(since=since, until=until, devices=devices, level=asked.level)
    kept = deque(read(log_folder(), wanted), maxlen=asked.limit + 1)
    return HealthDocument(lines=list(kept)[-asked.limit :], more=len(kept) > asked.limit)


def timeline(call: ApiCall, *, since: Text = "", until: Text = "", device: Text = "") -> HealthTimeline:
    """Return rates, losses and faults over a time, for all devices or one."""
    begin, end, devices = _asked_for(call, since, until, device)
    end = end or call.house.clock.now()
    if end <= begin:
        raise UsageError("that time has no length")
    wanted = LogFilter(since=begin, until=end, devices=devices)
    return HealthTimeline(since=begin, until=end, devices=timelines(read(log_folder(), wanted), begin, end))


def _asked_for(
    call: ApiCall, since_text: str, until_text: str, device: str
) -> tuple[datetime, datetime | None, frozenset[str] | None]:
    """Return since, until (None: now) and devices (None: all). Raises UsageError, DeviceNotFound."""
    now = call.house.clock.now()
    since = time_parameter(since_text, now) or now - SINCE
    until = time_parameter(until_text, now, end=True)
    if until is not None and until < since:
        raise UsageError("until is before since")
    if not device.strip():
        return since, until, None
    return since, until, matching_devices(device, log_folder(), LogFilter(since=since, until=until))


def table(call: ApiCall, asked: HealthQuery) -> Response:
    """Return the lines as CSV."""
    rows = (
        (
            line.at.isoformat(), line.device, line.name, line.level, line.kind, line.reason,
            msgspec.json.encode(line.detail).decode(),
        )
        for line in lines(call, asked).lines
    )  # fmt: skip
    headers = {"content-disposition": 'attachment; filename="health.csv"'}
    return Response(csv_text(_COLUMNS, rows), 200, headers, "text/csv")


ENDPOINTS = [
    Endpoint("GET", "/api/v1/health", lines, "The health log of devices and this PC", pool="disk"),
    Endpoint("GET", "/api/v1/health.csv", table, "The same as a table", pool="disk", media="text/csv"),
    Endpoint("GET", "/api/v1/health/timeline", timeline, "Summary of the devices' health", pool="disk"),
]
