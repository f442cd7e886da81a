"""Recordings onto drives that are plugged in, by the API."""

from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from agent.daemon.command_child import archive_options
from agent.web.api.archive import Text, package_of
from agent.web.api.checks import RunState, begin_run, run_state
from agent.web.http.endpoint import ApiCall, Endpoint
from config.errors import UsageError
from recorder.package.verification import require_sealed

DRIVES = ("/media/", "/run/media/")  # desktops mount there


class Drive(msgspec.Struct, frozen=True, kw_only=True):
    """A drive that the desktop has mounted, such as a USB stick."""

    path: str
    name: str
    free_bytes: int


def drives(_call: ApiCall) -> list[Drive]:
    """Return the mounted drives that people plugged in."""
    found = []
    for mounted in psutil.disk_partitions(all=True):
        if mounted.mountpoint.startswith(DRIVES) and "rw" in mounted.opts.split(","):
            with suppress(OSError):  # pulled meanwhile
                path = mounted.mountpoint
                found.append(Drive(path=path, name=Path(path).name, free_bytes=psutil.disk_usage(path).free))
    return found


def exported(call: ApiCall) -> RunState:
    """Return the result of the last export, and whether one runs."""
    return run_state("export-run", call.house.exports, call.house.exports.last)


def export(call: ApiCall, *, drive: Text, whole: bool = False, although_refused: bool = False) -> RunState:
    """Start an export onto a drive: the recording as MP4, or with `whole` the package as ZIP.

    `although_refused`: hand it over against the speakers' wish. WebSocket messages report its start and end.
    """
    if drive not in {one.path for one in drives(call)}:
        raise UsageError("no such drive is plugged in", hint="GET /api/v1/drives lists them", why="no-drive")
    found = require_sealed(package_of(call)[1])
    switches = [*([] if whole else ["--mp4"]), *(["--although-refused"] if although_refused else [])]
    words = [*switches, *archive_options(call.house.folder), found.id, drive]
    return begin_run(call, call.house.exports, words, exported)


ENDPOINTS = [
    Endpoint("GET", "/api/v1/drives", drives, "The drives that are plugged in", pool="disk"),
    Endpoint("GET", "/api/v1/exports", exported, "The last export, and whether one runs"),
    Endpoint(
        "POST", "/api/v1/archive/{id}/export", export, "Begin an export onto a drive; one runs at a time",
        status=202, pool="disk",
    ),
]  # fmt: skip
