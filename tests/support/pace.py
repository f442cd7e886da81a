"""How slow this machine is just now, for limits on CPU seconds: they are of the machine on which they were set."""

import hashlib
import json
import time

REFERENCE_S = 0.1
"""CPU seconds that `_work` takes there."""
_ROUNDS = 3


def slowness() -> float:
    """Return how many times as long as there the same work takes here, at least 1; it takes a moment.

    Ask at the time of the measurement: what else a shared machine does slows this down too.
    """
    return max(1.0, min(_cpu_s() for _ in range(_ROUNDS)) / REFERENCE_S)


def _cpu_s() -> float:
    began = time.process_time()
    _work()
    return time.process_time() - began


def _work() -> None:
    for number in range(10_000):
        text = json.dumps({"number": number, "words": [str(word) for word in range(50)]})
        hashlib.sha256(json.dumps(json.loads(text)).encode() * 4).hexdigest()
