"""A line of the health log: what happened to a device, when, and how serious it is; it is written through `Record`."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

PC = "pc"
"""The `device` of lines about the computer itself."""


class Level(StrEnum):
    """How serious a line is, the least first. `debug` is what comes once a minute."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Its place in that order."""
        return list(Level).index(self)


class Kind(StrEnum):
    """What a line tells."""

    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    MOVED = "moved"
    RENAMED = "renamed"
    """It stayed where it is and has another id from now on: `detail.before` is the old one."""
    FLAPPING = "flapping"
    SWAPPED = "swapped"
    HUB_PLUGGED = "hub-plugged"
    HUB_UNPLUGGED = "hub-unplugged"
    OPENED = "opened"
    REFUSED = "refused"
    CLOSED = "closed"
    DEGRADED = "degraded"
    """A fault began: `detail.fault` (devices/health/faults.py), `detail.after_s` how long it took to be sure."""
    RECOVERED = "recovered"
    """A fault ended: `detail.fault`, `detail.lasted_s`."""
    SAMPLE = "sample"
    """Once a minute: how an open device, or the computer, is doing, in `detail`."""
    CONTROL_CHANGED = "control-changed"
    CONTROLS_APPLIED = "controls-applied"
    ROLE_ASSIGNED = "role-assigned"
    ROLE_UNASSIGNED = "role-unassigned"
    ROLE_REPLACED = "role-replaced"
    CHECKED = "checked"
    """What a check before a session found of one thing: `detail.check`, `detail.verdict`, `detail.code`."""
    ARCHIVE_READ = "archive-read"
    """A part of the archive was read again: `detail.packages`, `.bytes`, `.damaged`, `.left`, `.ended`."""
    PACKAGE_DAMAGED = "package-damaged"
    """A package of the archive is not what it was: `detail.package`, `detail.problems`, how many."""
    PACKAGE_REPAIRED = "package-repaired"
    """It was restored from a copy: `detail.package`, `detail.target`, `detail.files`."""
    PACKAGE_PRUNED = "package-pruned"
    """Its media were removed here, for there are copies: `detail.package`, `detail.bytes`."""
    COPIED = "copied"
    """A package has a copy that was read back: `detail.package`, `detail.target`, `detail.bytes`."""
    COPY_WAITS = "copy-waits"
    """A copy cannot be made now, and is tried again: `detail.target`, `.package` (null: all), `.why`."""
    KERNEL = "kernel"
    """The kernel said something about the device; its words are the reason."""
    WATCH_STARTED = "watch-started"
    WATCH_STOPPED = "watch-stopped"
    WATCH_FAILED = "watch-failed"
    """A part of a watch has failed, which is a bug, and is switched off: the device is used as before."""


class HealthLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="health"):
    """One line: `at` with offset; `device` is a device's id, a USB port (of a hub), or PC; `detail` JSON values."""

    at: datetime
    device: str
    name: str = ""
    level: Level = Level.INFO
    kind: str
    reason: str = ""
    detail: Mapping[str, object] = {}


class Record(Protocol):
    """Takes a line into the health log; callable from any thread, never blocks on a disk, never raises."""

    def __call__(
        self, device: str, kind: Kind, reason: str = "", *, name: str = "", level: Level = Level.INFO, **detail: object
    ) -> None:
        """Log that `kind` happened to `device` (called `name`) now; `reason` is a sentence, `detail` JSON values."""
        ...


def nowhere(
    device: str, kind: Kind, reason: str = "", *, name: str = "", level: Level = Level.INFO, **detail: object
) -> None:
    """Keep nothing: the Record of whoever has no log."""
