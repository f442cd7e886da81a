"""When the next round over the archive is due: once after each passing of a time of the day, whatever came between."""

from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import msgspec

from config.state import state_folder
from devices.store import Store

FILE = "fixity-round.json"


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """Which passing of the time was done last, and of the one after it how many bytes are read already."""

    done: datetime | None = None
    read: int = 0


def night_store(path: Path | None = None) -> Store[Night]:
    """Return the file that keeps it; None: this PC's."""
    return Store(path or state_folder() / FILE, Night, Night())


def passed(at: str, now: datetime, zone: tzinfo) -> datetime:
    """Return when it was `at` (HH:MM in that zone) last; where a day has no such time, or two, one near it."""
    hours, minutes = map(int, at.split(":"))
    local = now.astimezone(zone)
    moment = local.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    if moment > local:
        moment = (local - timedelta(days=1)).replace(hour=hours, minute=minutes, second=0, microsecond=0)
    return moment
