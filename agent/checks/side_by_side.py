"""Several things looked at at the same time, by one check."""

import math
import threading
import time
from collections.abc import Callable, Sequence

from devices.host.deadline import DeadlineTask

_POLL_S = 0.02


def side_by_side[T](
    looks: Sequence[Callable[[], T]],
    stop: threading.Event,
    told: Callable[[int], None] = lambda _count: None,
    *,
    longest_s: float = math.inf,
) -> list[T]:
    """Run each on a thread of its own; return what they return, in their order.

    Once `stop` is set, or after `longest_s`, that is what has come by then, and the rest is left to itself. `told`
    hears how many are done. What one raises is raised, unless it was stopped.
    """
    deadline_s = time.monotonic() + longest_s
    tasks = [DeadlineTask(look, f"look-{number}") for number, look in enumerate(looks)]
    results: dict[DeadlineTask[T], T] = {}
    while len(results) < len(tasks) and time.monotonic() < deadline_s and not stop.wait(_POLL_S):
        for task in tasks:
            if task.is_over and task not in results and not stop.is_set():  # one that was stopped has found nothing
                results[task] = task.result()
                told(len(results))
    return [results[task] for task in tasks if task in results]
