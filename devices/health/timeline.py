"""How each device did over a span of time, in equal steps, from the lines of its health log: what a plot shows."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from devices.health.line import PC, HealthLine, Kind

MOST_STEPS = 120
LEAST_STEP = timedelta(minutes=1)
"""Samples come once a minute."""

_FAULTS = frozenset({Kind.DEGRADED, Kind.FLAPPING, Kind.SWAPPED})
_LOSSES = ("missing", "damaged", "overflows")


class DeviceTimeline(msgspec.Struct, kw_only=True):
    """One device, a value for each step.

    `fps` is the lowest of the minutes' mean rates, None where nobody had it open; `lost` how many pictures were missing
    or damaged, of sound how often samples were lost; `faults` how many began.
    """

    device: str
    name: str
    fps: list[float | None]
    lost: list[int]
    faults: list[int]


def timelines(lines: Iterable[HealthLine], since: datetime, until: datetime) -> list[DeviceTimeline]:
    """Return those of which there is something to show, by name, the PC last; `lines` are all of the span."""
    count = steps_of(since, until)
    found: dict[str, DeviceTimeline] = {}
    for line in lines:
        if line.kind == Kind.SAMPLE or line.kind in _FAULTS:
            step = min(count - 1, int((line.at - since) / (until - since) * count))
            _take(found.setdefault(line.device, _empty(line.device, count)), line, step)
    shown = [one for one in found.values() if any(rate is not None for rate in one.fps) or any(one.lost + one.faults)]
    return sorted(shown, key=lambda one: (one.device == PC, one.name, one.device))


def steps_of(since: datetime, until: datetime) -> int:
    """Return into how many steps a span is divided."""
    return max(1, min(MOST_STEPS, (until - since) // LEAST_STEP))


def _empty(device: str, count: int) -> DeviceTimeline:
    return DeviceTimeline(device=device, name="", fps=[None] * count, lost=[0] * count, faults=[0] * count)


def _take(timeline: DeviceTimeline, line: HealthLine, step: int) -> None:
    timeline.name = line.name or timeline.name
    if line.kind in _FAULTS:
        timeline.faults[step] += 1
        return
    rate, before = line.detail.get("fps"), timeline.fps[step]
    if isinstance(rate, int | float):
        timeline.fps[step] = min(rate, rate if before is None else before)
    timeline.lost[step] += sum(count for name in _LOSSES if isinstance(count := line.detail.get(name), int))
