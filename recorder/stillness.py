"""Which pictures of the program need not be encoded: those that show what the one before them shows.

While it stands still, STILL_RATE pictures a second are encoded; as soon as anything changes, that picture is, at its
own time, and so are a few after it. Each stays on the screen until the next, so nobody sees a difference.
"""

from fractions import Fraction

from devices.clock import NANOSECONDS

STILL_RATE = Fraction(5)
"""Pictures a second that are encoded of what stands still: what waits for the next one is lost in a kill."""
SETTLE = 2
"""Pictures encoded after a new one whatever they show: x264 hands that out at once, and mends what was coarse."""

_STILL_NS = round(NANOSECONDS / STILL_RATE)


class Stillness:
    """Chooses which pictures to encode; used by one thread."""

    def __init__(self) -> None:
        """Begin with nothing encoded."""
        self._version: int | None = None
        self._settling = 0
        self._encoded_ns = 0

    def wants(self, version: int, at_ns: int, interval_ns: int, *, is_due: bool) -> bool:
        """Return whether to encode the picture at `at_ns` of program time, `interval_ns` after the one before it.

        `version` is another one where it shows something new; with `is_due` it is encoded whatever it shows.
        """
        if version != self._version:
            self._version, self._settling = version, SETTLE
        elif self._settling:
            self._settling -= 1
        elif not is_due and at_ns + interval_ns // 2 < self._encoded_ns + _STILL_NS:  # the next would be too late
            return False
        self._encoded_ns = at_ns
        return True
