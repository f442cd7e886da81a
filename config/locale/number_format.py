"""Dates, times and numbers as people write them in Indonesian and in English."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from config.locale.lookup import WRITTEN, LocalizedText, text

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_ZONES = {7: "WIB", 8: "WITA", 9: "WIT"}
_UNITS = ("d", "h", "min", "s")
_WHOLE = 0.99995  # from this part of a unit on, the smaller unit would show 1,000.0


def day(value: date, language: str) -> str:
    """Return `24 November 2026`."""
    return f"{value.day} {text('calendar', _MONTHS[value.month - 1], language)} {value.year}"


def recording_title(moment: datetime, language: str) -> str:
    """Return `Rekaman 1 Desember 2026, 13.30`, the title of a recording without another."""
    return f"{text('beginning', 'recording', language)} {day(moment, language)}, {time_of_day(moment, language)}"


def weekday(value: date, language: str) -> str:
    """Return `Selasa, 24 November 2026`."""
    return f"{text('calendar', _DAYS[value.weekday()], language)}, {day(value, language)}"


def zone(moment: datetime) -> str:
    """Return Indonesia's name of the moment's UTC offset, or `UTC+05:30`."""
    offset = moment.utcoffset() or timedelta()
    hours = offset.total_seconds() / 3600
    if hours in _ZONES:
        return _ZONES[int(hours)]
    sign, minutes = "-" if hours < 0 else "+", round(abs(hours) * 60)
    return f"UTC{sign}{minutes // 60:02}:{minutes % 60:02}"


def time_of_day(moment: datetime, language: str, *, seconds: bool = False) -> str:
    """Return `09.10` or `09.10.05`, in English `09:10` or `09:10:05`."""
    written = f"{moment:%H:%M:%S}" if seconds else f"{moment:%H:%M}"
    return written.replace(":", ".") if language == "id" else written


def span(seconds: float, language: str) -> str:
    """Return seconds in their two largest units: `2 jam 10 menit`, `35 detik`, `0,4 detik`."""
    return _by_units(seconds, language, 0)


def office_span(seconds: float, language: str) -> str:
    """Return working time in hours and minutes: a working day has no fixed length."""
    if seconds < 60:
        return text("calendar", "under-a-minute", language)
    return _by_units(60 * round(seconds / 60), language, 1)


def _by_units(seconds: float, language: str, largest: int) -> str:
    units = [text("calendar", unit, language) for unit in _UNITS]
    if round(seconds, 1) < 10:
        tenths = round(seconds, 1)
        return f"{number(tenths, language, 0 if tenths == round(tenths) else 1)} {units[3]}"
    whole = round(seconds)
    hours = whole // 3600
    amounts = (0 if largest else hours // 24, hours if largest else hours % 24, whole // 60 % 60, whole % 60)
    first = next(place for place, amount in enumerate(amounts) if amount)
    shown = [f"{amounts[place]} {units[place]}" for place in range(first, min(first + 2, 4)) if amounts[place]]
    return " ".join(shown)


def number(value: float, language: str, digits: int = 0) -> str:
    """Return a number with separators: `108.000` and `-18,5`, in English `108,000` and `-18.5`."""
    written = f"{round(value, digits) + 0.0:,.{digits}f}"  # no "-0"
    return written.translate(str.maketrans(",.", ".,")) if language == "id" else written


def latency(seconds: float, language: str) -> str:
    """Return `<1 ms`, `43 ms` or `1,2 detik`."""
    milliseconds = round(seconds * 1000)
    if milliseconds >= 1000:
        return f"{number(seconds, language, 1)} {text('calendar', 's', language)}"
    return f"{milliseconds} ms" if milliseconds else "<1 ms"


def rate(bits_a_second: float, language: str) -> str:
    """Return a rate in megabits a second, below one in kilobits."""
    if bits_a_second < 1e6 * _WHOLE:
        return f"{number(bits_a_second / 1e3, language)} kbit/s"
    return f"{number(bits_a_second / 1e6, language, 1)} Mbit/s"


def size(count: float, language: str) -> str:
    """Return bytes in a fitting unit."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor * _WHOLE:
            return f"{number(count / factor, language, 1)} {unit}"
    return f"{number(count, language)} B"


def in_each(written: Callable[[float, str], str], value: float) -> LocalizedText:
    """Return a value in each language, as `size`, `rate`, `span` or `latency` has it."""
    return LocalizedText(*(written(value, language) for language in WRITTEN))
