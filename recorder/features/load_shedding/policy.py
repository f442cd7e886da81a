"""Decides when a busy PC takes a step of load shedding, and when it takes one back. Pure: no clock, no effects.

A step follows when many frames have waited for a while and do not become fewer. It is taken back after a long time with
room; each step that had to return soon makes that time longer.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence

from recorder.model.status import SheddingStep

BEHIND_S = 0.3  # seconds of waiting frames on a PC that does not keep up; a live source's queue holds one second
HOLD_S = 0.3  # time for which BEHIND_S must last, without a fall
URGENT_S = 0.5
URGENT_HOLD_S = 0.2  # the same time for more than URGENT_S, or a steep growth
STEEP = 0.5
"""Seconds a second: a growth this steep means that less than half of the work is done.

A step hardly saves more than half, so two follow at once. A new encoder for each would take too long.
"""
EMPTYING = 0.1  # seconds a second: a backlog that shrinks this fast needs no step
SETTLES_S = 0.7
HURRIES_S = 0.25  # times for a step to take effect, and with more than URGENT_S waiting
CALM_S = 0.15  # most seconds of waiting frames while there is room
PATIENCE_S = 30.0
MOST_PATIENCE_S = 600.0
SMOOTH_S = 3.0  # averaging time of the video thread's busy share


ROOM = {SheddingStep.ENCODER: 0.6, SheddingStep.VIEWERS: 0.75, SheddingStep.RATE: 0.45, SheddingStep.DETAIL: 0.6}
"""Busy share of the video thread at which a step is taken back; lower for a step that saves more."""

type StepChange = tuple[SheddingStep, bool]  # a step, and whether it is taken, else taken back


class SheddingPolicy:
    """Takes the load about ten times a second; times are seconds of any monotonic clock."""

    def __init__(self, is_useful: Callable[[SheddingStep], bool] = lambda _: True) -> None:
        """`is_useful` says whether a step would change anything now; other steps are skipped."""
        self._is_useful = is_useful
        self._taken: list[SheddingStep] = []
        self._recent: deque[tuple[float, float]] = deque()
        self._began = (0.0, 0.0)  # start of the growth under the current steps
        self._stepped_s = -math.inf
        self._busy = 1.0
        self._at_s: float | None = None
        self._room_since_s: float | None = None
        self._raised_s: float | None = None
        self.patience_s = PATIENCE_S  # time with room before a step is taken back

    @property
    def taken(self) -> Sequence[SheddingStep]:
        return self._taken

    def update(self, at_s: float, behind_s: float, busy: float) -> Sequence[StepChange]:
        """Take the seconds of waiting frames and the busy share; return the changes to make now."""
        self._add_reading(at_s, behind_s, busy)
        slope = self._overload_growth()
        if slope is not None:
            # The latest readings may include a short rest: the growth since its start counts, too.
            slope = max(slope, _growth([self._began, self._recent[-1]]))
            return self._down(at_s, behind_s, 2 if slope > STEEP else 1)
        if not self._has_room(behind_s):
            self._room_since_s = None
        elif self._room_since_s is None:
            self._room_since_s = at_s
        elif at_s - self._room_since_s >= self.patience_s:
            self._room_since_s, self._raised_s = None, at_s
            return [(self._taken.pop(), False)]
        return []

    def settle(self, at_s: float) -> None:
        """Note that a step takes effect only from `at_s` on."""
        self._stepped_s = at_s

    def undo(self, move: StepChange) -> None:
        """Note that the last change failed."""
        step, is_down = move
        if is_down:
            self._taken.remove(step)
        else:
            self._taken.append(step)

    def _add_reading(self, at_s: float, behind_s: float, busy: float) -> None:
        before_s, self._at_s = self._at_s, at_s
        passed_s = 0.0 if before_s is None else at_s - before_s
        self._busy += (busy - self._busy) * -math.expm1(-passed_s / SMOOTH_S)
        self._recent.append((at_s, behind_s))
        if before_s is None or behind_s <= CALM_S:
            self._began = self._recent[-1]
        while len(self._recent) > 1 and self._recent[1][0] <= at_s - HOLD_S:
            self._recent.popleft()

    def _overload_growth(self) -> float | None:
        """Return the growth of the backlog, seconds a second; None unless it is too large and not shrinking."""
        readings = self._readings_of(URGENT_HOLD_S)
        if readings and readings[-1][1] < URGENT_S and _growth(readings) <= STEEP:
            readings = self._readings_of(HOLD_S)
        if not readings or any(behind_s < BEHIND_S for _, behind_s in readings):
            return None
        slope = _growth(readings)
        return slope if slope > -EMPTYING else None

    def _readings_of(self, seconds: float) -> Sequence[tuple[float, float]]:
        """Return the readings of that time and the one before; empty without an earlier one."""
        began_s = self._recent[-1][0] - seconds
        before = sum(at_s <= began_s for at_s, _ in self._recent)
        return list(self._recent)[before - 1 :] if before else []

    def _has_room(self, behind_s: float) -> bool:
        return bool(self._taken) and behind_s <= CALM_S and self._busy <= ROOM[self._taken[-1]]

    def _down(self, at_s: float, behind_s: float, most: int) -> Sequence[StepChange]:
        self._room_since_s = None
        if at_s - self._stepped_s < (HURRIES_S if behind_s >= URGENT_S else SETTLES_S):
            return []
        last = self._taken[-1] if self._taken else None
        order = list(SheddingStep)
        left = order[order.index(last) + 1 :] if last else order
        steps = [step for step in left if self._is_useful(step)][:most]
        if steps:
            self._taken += steps
            self._stepped_s, self._began = at_s, (at_s, behind_s)
            self._adapt_patience(at_s)
        return [(step, True) for step in steps]

    def _adapt_patience(self, at_s: float) -> None:
        """Double the patience if the last step taken back was needed again soon, else halve it."""
        if self._raised_s is None:
            return
        lasted_s, self._raised_s = at_s - self._raised_s, None
        change = 2.0 if lasted_s < self.patience_s else 0.5
        self.patience_s = min(MOST_PATIENCE_S, max(PATIENCE_S, self.patience_s * change))


def _growth(readings: Sequence[tuple[float, float]]) -> float:
    (began_s, before_s), (at_s, behind_s) = readings[0], readings[-1]
    return (behind_s - before_s) / (at_s - began_s)
