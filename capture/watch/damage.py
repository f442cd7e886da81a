"""The watch over damaged pictures: corrupt ones, cut-off ones, and those the driver gave up on."""

import threading
from collections import deque

from capture.watch.latch import Latch
from devices.clock import NANOSECONDS
from devices.health.faults import Fault
from devices.health.tracker import HealthTracker

WINDOW_S = 5.0
FEWEST = 3
SHARE = 0.015
"""From so many damaged pictures in WINDOW_S on, and this part of all, it is a fault: a single one is not."""
CLEAN_S = 3.0
"""So long without any and it is over."""
SETTLES_S = 1.0
"""What cameras send in their first second is counted, but no fault."""
_MOST = 2000
"""More pictures than any source has in WINDOW_S; one whose times stand still must not fill the memory."""

_WINDOW_NS = round(WINDOW_S * NANOSECONDS)
_JPEG_BEGINS, _JPEG_ENDS = b"\xff\xd8", b"\xff\xd9"
_TAIL = 64


def is_cut_off(payload: object) -> bool:
    """Return whether a damaged picture is a JPEG without its end."""
    return isinstance(payload, bytes) and payload.startswith(_JPEG_BEGINS) and _JPEG_ENDS not in payload[-_TAIL:]


class DamageWatch:
    """Counts whole and damaged pictures; told by the thread that reads and by the one that decodes.

    `corrupt`, `cut_off` and `given_up` (by the driver) count since the source was opened.
    """

    def __init__(self, tracker: HealthTracker) -> None:
        self.corrupt = 0
        self.cut_off = 0
        self.given_up = 0
        self._name = tracker.name
        self._lock = threading.Lock()
        self._first_ns: int | None = None
        self._whole: deque[int] = deque(maxlen=_MOST)
        self._damaged: deque[int] = deque(maxlen=_MOST)
        self._latch = Latch(tracker, Fault.DAMAGED, recovers_after_s=CLEAN_S)

    @property
    def count(self) -> int:
        """All damaged pictures since the source was opened."""
        return self.corrupt + self.cut_off + self.given_up

    def whole(self, at_ns: int) -> None:
        """Take note of a picture that could be decoded."""
        with self._lock:
            self._is_settled(at_ns)
            self._whole.append(at_ns)
            self._forget(at_ns)
            self._latch.good(at_ns)

    def damaged(self, payload: object, why: str, at_ns: int) -> None:
        """Take note of a picture that could not be decoded, because of `why`."""
        with self._lock:
            if is_cut_off(payload):
                self.cut_off += 1
            else:
                self.corrupt += 1
            self._judge(1, why, at_ns)

    def gave_up(self, count: int, at_ns: int) -> None:
        """Take note of pictures that the driver gave up on."""
        with self._lock:
            self.given_up += count
            self._judge(count, "its driver got them incomplete", at_ns)

    def _is_settled(self, at_ns: int) -> bool:
        if self._first_ns is None:
            self._first_ns = at_ns
        return at_ns - self._first_ns >= SETTLES_S * NANOSECONDS

    def _judge(self, count: int, why: str, at_ns: int) -> None:
        if not self._is_settled(at_ns):
            return
        self._damaged.extend([at_ns] * count)
        self._forget(at_ns)
        self._latch.unsure()
        damaged = len(self._damaged)
        looked_at = damaged + len(self._whole)
        if damaged >= FEWEST and damaged >= SHARE * looked_at:
            self._latch.bad(
                f"{damaged} of the last {looked_at} pictures of {self._name} are damaged ({why}): try another cable or"
                " port; long cables, hubs without power and loose plugs do this",
                began_ns=self._damaged[0],
                damaged=damaged,
                of=looked_at,
                corrupt=self.corrupt,
                cut_off=self.cut_off,
                given_up=self.given_up,
            )

    def _forget(self, at_ns: int) -> None:
        for times in (self._whole, self._damaged):
            while times and at_ns - times[0] > _WINDOW_NS:
                times.popleft()
