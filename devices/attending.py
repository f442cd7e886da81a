"""What runs beside a session or a table of devices: the health log, and an attendant that keeps it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from config.schema import Settings
from devices.clock import Clock
from devices.health.line import PC, Kind, Level
from devices.health.log import HealthLog

if TYPE_CHECKING:
    from devices.attendant import Attendant, OpenMonitor
    from devices.monitor.changes import DeviceChange


@contextmanager
def attending(
    settings: Settings,
    clock: Clock,
    *,
    archive: Path | None = None,
    on_change: "Callable[[DeviceChange], None] | None" = None,
    follows_use: bool = False,
    monitor: "OpenMonitor | None" = None,
) -> "Iterator[tuple[HealthLog, Attendant]]":
    """Provide this PC's health log and an attendant, which is not started; both are ended at the end.

    However that ending goes, it does not replace what came of the work beside which they ran. `archive` is the folder
    whose disk must not fill up, None that of the settings. With `follows_use`, `on_change` hears too of who uses what.
    `monitor` opens another watch than that of this PC's ports.
    """
    with (
        keeping(settings, clock) as log,
        attended(
            log, settings, clock, archive=archive, on_change=on_change, follows_use=follows_use, monitor=monitor
        ) as attendant,
    ):
        yield log, attendant


def keeping(settings: Settings, clock: Clock) -> HealthLog:
    """Return this PC's health log, as the settings have it kept: a context manager, which ends it."""
    kept = settings.health
    return HealthLog(clock=clock, keep_days=kept.keep_days, max_size=kept.max_size)


@contextmanager
def attended(
    log: HealthLog,
    settings: Settings,
    clock: Clock,
    *,
    archive: Path | None = None,
    on_change: "Callable[[DeviceChange], None] | None" = None,
    follows_use: bool = False,
    monitor: "OpenMonitor | None" = None,
) -> "Iterator[Attendant]":
    """Provide an attendant that writes to `log`, not started, and end it at the end; all as `attending` has it."""
    # What looks at ports, controls and the PC itself takes a tenth of a second to load, and a session without a device
    # has none of it.
    from devices.attendant import Attendant
    from devices.computer import Folder

    attendant = Attendant(
        record=log,
        clock=clock,
        power_line=settings.devices.power_line_frequency,
        folders=[Folder(archive or settings.archive.path, settings.archive.reserve), Folder(log.folder)],
        folder=log.folder,
        on_change=on_change,
        follows_use=follows_use,
        monitor=monitor,
    )
    try:
        yield attendant
    finally:
        try:
            attendant.stop()
        except Exception as error:  # of whatever kind: a recording that has been sealed has not failed
            log(
                PC,
                Kind.WATCH_FAILED,
                f"the watch could not be ended: {error!r}; please report this",
                level=Level.WARN,
            )
