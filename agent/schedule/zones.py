"""Time zones by the names in calendars: IANA's, Indonesia's short ones, Outlook's."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from config.settings.office import zone_name

_NAMES: Mapping[str, Sequence[str]] = {
    "Asia/Jakarta": (
        "wib", "waktu indonesia barat", "western indonesia time", "western indonesian time", "se asia standard time",
        "se asia daylight time",
    ),
    "Asia/Makassar": (
        "wita", "waktu indonesia tengah", "central indonesia time", "central indonesian time",
        "singapore standard time", "malay peninsula standard time",
    ),
    "Asia/Jayapura": (
        "wit", "waktu indonesia timur", "eastern indonesia time", "eastern indonesian time", "tokyo standard time",
    ),
    "UTC": ("utc", "coordinated universal time"),
}  # fmt: skip
"""Indonesia's own, then those of Windows, which has three zones for Indonesia; none of them changes its clocks."""
_KNOWN = {name: zone for zone, names in _NAMES.items() for name in names}
_OFFSET = re.compile(r"\(?\s*(?:UTC|GMT)\s*([+-])(\d{1,2})(?::?(\d{2}))?\b.*", re.IGNORECASE | re.DOTALL)
_EAST = {7: "Asia/Jakarta", 8: "Asia/Makassar", 9: "Asia/Jayapura"}


def zone_named(name: str) -> tzinfo | None:
    """Return the zone called `name`, or None. Of "/vendor/Asia/Jakarta" the end counts."""
    plain = name.strip().strip('"').strip("/")
    if known := _KNOWN.get(plain.casefold()):
        return ZoneInfo(known)
    parts = plain.split("/")
    ends = ("/".join(parts[begin:]) for begin in range(len(parts)))
    return next(filter(None, map(_iana, ends)), None)


def _iana(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name and name.isascii() else None
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return None


def zone_by_offset(name: str) -> tzinfo | None:
    """Return the zone of a name with an offset, as "(UTC+07:00) Bangkok, Hanoi, Jakarta"; else None."""
    name = name.strip().strip('"')
    if name.startswith("(") and name.partition(")")[0].strip("( ").upper() in {"UTC", "GMT"}:
        return UTC
    match = _OFFSET.fullmatch(name)
    if not match:
        return None
    hours, minutes = int(match[2]), int(match[3] or 0)
    if hours > 14 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    if match[1] == "+" and not minutes and "jakarta" in name.casefold():
        return ZoneInfo(_EAST.get(hours, "Asia/Jakarta"))
    return timezone(offset if match[1] == "+" else -offset)


def zone_name_of(moment: datetime) -> str:
    """Return the name of a moment's zone: IANA's, else its own, else its offset."""
    zone = moment.tzinfo
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone_name(zone.key)
    return moment.tzname() or f"UTC{moment:%z}"
