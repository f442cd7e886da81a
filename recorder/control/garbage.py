"""What Python's own collector leaves lying: cycles that hold a muxer, a decoder or a buffer of libav.

Such a cycle is a few small objects to the collector and hundreds of kilobytes to the system; one that has lived through
a few collections is looked at again only after a quarter as many objects as the process has were made, which is hours.
A destination or a device that fails and is tried again all day leaves thousands of them. What is free then goes back to
the system at once (recorder/heap.py).
"""

import gc

from devices.clock import NANOSECONDS, Clock
from recorder import heap

EVERY_S = 10.0


class Garbage:
    """Collects such cycles now and then, in a millisecond or two, and gives back what is free.

    What is there when this is made, the libraries above all, is never looked at again: by the collector itself neither,
    which else stops everything for tens of milliseconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        gc.collect()
        gc.freeze()
        self._collected_ns = clock.now_ns()

    def look(self) -> None:
        """Collect, and give back, if it is time to; for a thread that nothing waits for."""
        now_ns = self._clock.now_ns()
        if now_ns - self._collected_ns >= EVERY_S * NANOSECONDS:
            self._collected_ns = now_ns
            gc.collect()
            heap.give_back()
