"""Several things looked at at the same time, by one check."""

import math
import threading
import time
from collections.abc import Callable, Mapping

from devices.host.deadline import DeadlineTask

_POLL_S = 0.02


def side_by_side[K, T](
    looks: Mapping[K, Callable[[], T]],
    stop: threading.Event,
    told: Callable[[int], None] = lambda _count: None,
    *,
    longest_s: float = math.inf,
) -> dict[K, T]:
    """Run each on a thread of its own; return what they return, by their keys and in their order.

    Once `stop` is set, or after `longest_s`, the rest is left to itself. `told` hears how many are done. An error is
    raised, unless it comes after `stop`.
    """
    deadline_s = time.monotonic() + longest_s
    tasks = {key: DeadlineTask(look, f"look-{number}") for number, (key, look) in enumerate(looks.items())}
    results: dict[K, T] = {}
    while len(results) < len(tasks) and time.monotonic() < deadline_s and not stop.wait(_POLL_S):
        for key, task in tasks.items():
            if task.is_over and key not in results and not stop.is_set():  # one that was stopped has found nothing
                results[key] = task.result()
                told(len(results))
    return {key: results[key] for key in tasks if key in results}
