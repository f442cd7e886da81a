"""Whether the processor runs slower than it could: too hot, or kept below its speed by somebody.

The kernel counts, on Intel's processors, how often each core was slowed down because of its heat; and of every
processor it says how fast it may run now.
"""

from pathlib import Path

SYS = Path("/sys")


def throttle_count(sys: Path = SYS) -> int | None:
    """Return how often heat has slowed a core or the whole since the PC started; None where nobody counts."""
    counts = [_number(path) for path in _cores(sys, "thermal_throttle/*_throttle_count")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def speed_limit(sys: Path = SYS) -> float | None:
    """Return which part of its full speed the slowest core may reach now, 0 to 1; None where nobody says."""
    parts = []
    for folder in _cores(sys, "cpufreq"):
        most, may = _number(folder / "cpuinfo_max_freq"), _number(folder / "scaling_max_freq")
        if most and may is not None:
            parts.append(min(1.0, may / most))
    return min(parts, default=None)


def _cores(sys: Path, pattern: str) -> list[Path]:
    return list((sys / "devices/system/cpu").glob(f"cpu[0-9]*/{pattern}"))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
