"""Quantities as people write them: "2 GB", "30000/1001". `parse_...` reads `format_...`, or raises NotAllowed."""

import re
from decimal import Decimal, localcontext
from fractions import Fraction

_DURATION_UNITS_MS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|h|m|s)\s*", re.ASCII | re.IGNORECASE)

_SIZE_UNITS = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SIZES = {unit.lower(): factor for unit, factor in _SIZE_UNITS.items()}
_RATE_UNITS = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}
_RATES = {
    **{unit.lower(): factor for unit, factor in _RATE_UNITS.items()},
    **{unit.lower().replace("bit/s", "bps"): factor for unit, factor in _RATE_UNITS.items()},
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "": 1,
}
_NUMBER_AND_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z/]*)", re.ASCII | re.IGNORECASE)

DURATION_ALLOWED = 'a length of time such as "90s", "2m" or "1h30m"'
SIZE_ALLOWED = 'a size such as "2 GB" or "500 MiB", or a number of bytes'
RATE_ALLOWED = 'a bit rate such as "4500k" or "4.5 Mbit/s", or a number of bits per second'
FRAME_RATE_ALLOWED = 'frames per second: an integer, or a fraction such as "30000/1001"'


class NotAllowed(ValueError):
    """Text is no value of its kind; the message continues the setting's name: "must be ..."."""


def parse_duration(text: str) -> float:
    """Return the seconds of "1h30m", "2.5m" or "250ms": whole milliseconds above 0, units largest first, each once."""
    text = text.strip()
    total, smallest, position = Decimal(0), max(_DURATION_UNITS_MS.values()) + 1, 0
    while position < len(text):
        part = _DURATION.match(text, position)
        factor = _DURATION_UNITS_MS[part[2].lower()] if part else 0
        if part is None or factor >= smallest:
            raise NotAllowed(f"must be {DURATION_ALLOWED}")
        total += Decimal(part[1]) * factor
        smallest, position = factor, part.end()
    if total <= 0 or total != int(total):
        raise NotAllowed(f"must be {DURATION_ALLOWED}, of at least a millisecond")
    return int(total) / 1000


def format_duration(seconds: float) -> str:
    """Return `seconds`, to the millisecond, as in "1h30m", "1m30s" or "250ms"."""
    left = round(seconds * 1000)
    parts = []
    for unit, factor in _DURATION_UNITS_MS.items():
        amount, left = divmod(left, factor)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def brief_duration(seconds: float) -> str:
    """Return `seconds` to the minute, or the second below two minutes: "3h12m", "95s". Does not read back exactly."""
    if seconds < 120:
        return f"{seconds:.0f}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m"


def clock_text(seconds: float) -> str:
    """Return `seconds` as a clock shows them, fractions cut off: 3723.4 as "1:02:03"."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def parse_size(value: str | int) -> int:
    """Return the bytes of "2 GB" (10^9 each), "500 MiB" (2^20 each) or a plain number."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value)
    return _parse(value, _SIZES, SIZE_ALLOWED)


def format_size(size: int) -> str:
    """Return `size` bytes exactly, in the unit that takes the fewest digits: "2 GB", "500 MiB"."""
    return _format(size, _SIZE_UNITS)


def brief_size(size: int) -> str:
    """Return `size` bytes to about three digits, for a status line: "8.12 MB". Does not read back exactly."""
    return _brief(size, {unit: factor for unit, factor in _SIZE_UNITS.items() if "i" not in unit})


def parse_rate(value: str | int) -> int:
    """Return the bits per second of "4500k", "4.5 Mbit/s", "128 kbps" or a plain number."""
    return _parse(value, _RATES, RATE_ALLOWED)


def format_rate(rate: int) -> str:
    """Return `rate` bits per second exactly: "4.5 Mbit/s", "128 kbit/s"."""
    return _format(rate, _RATE_UNITS)


def brief_rate(rate: float) -> str:
    """Return `rate` bits per second to about three digits: "4.51 Mbit/s". Does not read back exactly."""
    return _brief(rate, _RATE_UNITS)


def parse_frame_rate(value: str | int) -> Fraction:
    """Return the frames per second of 30, "25" or "30000/1001"."""
    match = re.fullmatch(r"\s*(\d+)(?:\s*/\s*(\d+))?\s*", str(value), re.ASCII)
    if match is None or int(match[1]) == 0 or (match[2] is not None and int(match[2]) == 0):
        raise NotAllowed(f"must be {FRAME_RATE_ALLOWED}")
    return Fraction(int(match[1]), int(match[2] or 1))


def _parse(value: str | int, units: dict[str, int], allowed: str) -> int:
    if isinstance(value, int):
        amount = Decimal(value)
    else:
        match = _NUMBER_AND_UNIT.fullmatch(value.strip())
        factor = units.get(match[2].lower()) if match else None
        if match is None or factor is None:
            raise NotAllowed(f"must be {allowed}")
        amount = Decimal(match[1]) * factor
    if amount < 0 or amount != int(amount):
        raise NotAllowed(f"must be {allowed}")
    return int(amount)


def _format(value: int, units: dict[str, int]) -> str:
    """Return `value` exactly, in the unit with the fewest digits; the larger unit wins a tie."""
    with localcontext(prec=99):  # a factor of 2**40 gives 40 decimals
        numbers = {
            unit: f"{(Decimal(value) / factor).normalize():f}"
            for unit, factor in units.items()
            if value >= factor or factor == 1
        }
    unit = min(numbers, key=lambda unit: (len(numbers[unit].replace(".", "")), -units[unit]))
    return f"{numbers[unit]} {unit}"


def _brief(value: float, units: dict[str, int]) -> str:
    unit, factor = max(((u, f) for u, f in units.items() if value >= f or f == 1), key=lambda pair: pair[1])
    number = value / factor
    if factor == 1:
        return f"{number:.0f} {unit}"
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"
