"""How much of this PC a session takes with one encode and with two (measured by recorder/live_encode/measuring.py)."""

import os

import msgspec

SPARE = 0.3
"""Of all cores: what must be left over with two encodes, for whatever else a PC does."""


class Headroom(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds for a second of media with one and two encodes; `real_sources` gave their own pictures."""

    one_encode: float
    two_encodes: float
    cores: int
    real_sources: int = 0

    @property
    def spare(self) -> float:
        """Which part of all cores is left with two encodes; below 0 there are too few."""
        return 1 - self.two_encodes / self.cores

    @property
    def spare_of_one(self) -> float:
        """The same with one encode."""
        return 1 - self.one_encode / self.cores

    @property
    def affords_two(self) -> bool:
        """Whether the live side may have an encode of its own."""
        return self.spare >= SPARE


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
