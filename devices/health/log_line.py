"""A line of the health log, and `HealthLogger`, the function type that writes one."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

PC = "pc"  # `HealthLine.device` of lines about the computer itself


class LogLevel(StrEnum):
    """How serious a line is, the least first. `debug` is for samples, one a minute."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Its place in that order, from 0."""
        return list(LogLevel).index(self)


class LogKind(StrEnum):
    """The kind of event in a line."""

    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    MOVED = "moved"
    RENAMED = "renamed"  # the device stayed in its port and has a new id: `detail.before` is the old one
    FLAPPING = "flapping"
    SWAPPED = "swapped"
    HUB_PLUGGED = "hub-plugged"
    HUB_UNPLUGGED = "hub-unplugged"
    OPENED = "opened"
    REFUSED = "refused"
    CLOSED = "closed"
    DEGRADED = "degraded"  # a fault began: `detail.fault`; detecting it took `detail.after_s` seconds
    RECOVERED = "recovered"  # a fault ended: `detail.fault`, `detail.lasted_s`
    SAMPLE = "sample"  # once a minute, the figures of an open device or of the computer, in `detail`
    CONTROL_CHANGED = "control-changed"
    CONTROLS_APPLIED = "controls-applied"
    ROLE_ASSIGNED = "role-assigned"
    ROLE_UNASSIGNED = "role-unassigned"
    ROLE_REPLACED = "role-replaced"
    CHECKED = "checked"  # the result of one check before a session: `detail.check`, `detail.verdict`, `detail.code`
    ARCHIVE_READ = "archive-read"  # a part was read again: `detail.packages`, `.bytes`, `.damaged`, `.left`, `.ended`
    PACKAGE_DAMAGED = "package-damaged"  # a package has changed: `detail.package`; `detail.problems` is their count
    PACKAGE_REPAIRED = "package-repaired"  # restored from a copy: `detail.package`, `detail.target`, `detail.files`
    PACKAGE_PRUNED = "package-pruned"  # its media were removed here: `detail.package`, `detail.bytes`
    COPIED = "copied"  # a copy of a package was made and read back: `detail.package`, `detail.target`, `detail.bytes`
    COPY_WAITS = "copy-waits"  # a copy fails now and is tried again: `detail.target`, `.package` (null: all), `.why`
    KERNEL = "kernel"  # a kernel message about the device; its text is the reason
    WATCH_STARTED = "watch-started"
    WATCH_STOPPED = "watch-stopped"
    WATCH_FAILED = "watch-failed"  # part of a watch failed, which is a bug, and is off from now on


class HealthLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="health"):
    """One line. `device` is a device's id, the USB port of a hub, or PC; `detail` has JSON values."""

    at: datetime
    device: str
    name: str = ""
    level: LogLevel = LogLevel.INFO
    kind: str
    reason: str = ""
    detail: Mapping[str, object] = {}


class HealthLogger(Protocol):
    """Writes a line to the health log. Thread-safe; never blocks on a disk, never raises."""

    def __call__(
        self,
        device: str,
        kind: LogKind,
        reason: str = "",
        *,
        name: str = "",
        level: LogLevel = LogLevel.INFO,
        **detail: object,
    ) -> None:
        """Log that `kind` happened now to `device`, called `name`. `reason` is a sentence, `detail` JSON values."""
        ...


def discard_line(
    device: str, kind: LogKind, reason: str = "", *, name: str = "", level: LogLevel = LogLevel.INFO, **detail: object
) -> None:
    """Drop the line: a HealthLogger for callers without a log."""
