"""What a watch made of a lecture; and how long it takes until a fault is found, when it begins at random moments."""

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from devices.health.faults import Fault
from devices.health.log_line import LogKind

FIRST_S, LAST_S = 8.0, 14.0
"""A fault begins at a random moment between these."""
MISSED_S = 24.0
"""Stands for one that was not found, and what its bar is on top of that."""


@dataclass(frozen=True)
class Attended:
    """What was found wrong with a source, and what was watched of it."""

    alarms: list[str]
    facts: dict[str, object]


type Watch = Callable[[float], list[tuple[float, str, str]]]
"""Watches a source that has a fault from the given moment on; returns the lines as (seconds, kind, fault)."""


def detect(watch: Watch, fault: Fault, promise_s: float, count: int, moments: random.Random) -> dict[str, object]:
    """Inject a fault `count` times and return how long it took to be found, and whether that holds."""
    times, others = [], set[str]()
    for _ in range(count):
        at_s = moments.uniform(FIRST_S, LAST_S)
        found = {fault: found_s for found_s, kind, fault in watch(at_s) if kind == LogKind.DEGRADED}
        times.append(found.pop(fault, at_s + promise_s + MISSED_S) - at_s)
        others |= set(found)
    worst = max(times)
    return {
        "median_s": round(statistics.median(times), 3),
        "worst_s": round(worst, 3),
        "promise_s": promise_s,
        "count": count,
        "others_found": sorted(others),
        "holds": 0 <= worst <= promise_s and min(times) > -1 and not others,
    }
