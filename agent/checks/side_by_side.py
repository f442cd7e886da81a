"""Several things looked at at the same time, by one check."""

import math
import queue
import threading
import time
from collections.abc import Callable, Sequence

_POLL_S = 0.1


def side_by_side[T](
    looks: Sequence[Callable[[], T]],
    stop: threading.Event,
    told: Callable[[int], None] = lambda _count: None,
    *,
    longest_s: float = math.inf,
) -> list[T]:
    """Run each on a daemon's thread of its own; return what they return, in their order.

    Once `stop` is set, or after `longest_s`, that is what has come by then, and the rest is left to itself. `told`
    hears how many are done. What one raises is raised, unless it was stopped.
    """
    deadline = time.monotonic() + longest_s
    done: queue.SimpleQueue[tuple[int, T | None, Exception | None]] = queue.SimpleQueue()

    def run(number: int, look: Callable[[], T]) -> None:
        try:
            done.put((number, look(), None))
        except Exception as error:  # raised again where it is waited for
            done.put((number, None, error))

    for number, look in enumerate(looks):
        threading.Thread(target=run, args=(number, look), name=f"look-{number}", daemon=True).start()
    results: dict[int, T] = {}
    while len(results) < len(looks) and not stop.is_set() and time.monotonic() < deadline:
        try:
            number, result, error = done.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if stop.is_set():
            break  # what ends because it is stopped has found nothing out
        if error:
            raise error
        if result is not None:
            results[number] = result
            told(len(results))
    return [results[number] for number in sorted(results)]
