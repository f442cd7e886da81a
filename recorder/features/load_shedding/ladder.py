"""When a PC that does not keep up is relieved, by which step, and when a step is taken back.

Down when many pictures have waited for a while and do not become fewer. Up when there has been room for long, and
longer each time that going up has not lasted. Pure: it knows no clock, and does nothing.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum

BEHIND_S = 0.3
"""So much is waiting when this PC does not keep up; a queue of a live source holds a second."""
HOLD_S = 0.3
"""How long it has to have been so much, and not become less..."""
URGENT_S = 0.5
URGENT_HOLD_S = 0.2
"""...and how long where it is more than URGENT_S, or becomes so soon."""
STEEP = 0.5
"""Seconds a second: what waits becomes more as fast as this where less than half of the work is done.

A step hardly ever saves more than half of it, so two are taken at once: each may cost a new encoder, which takes time.
"""
EMPTYING = 0.1
"""Seconds a second: where what waits becomes less as fast as this, it is worked off."""
SETTLES_S = 0.7
HURRIES_S = 0.25
"""How long a step has to take effect before the next one is taken; and where more than URGENT_S is waiting."""
CALM_S = 0.15
"""No more than this is waiting while there is room."""
PATIENCE_S = 30.0
MOST_PATIENCE_S = 600.0
SMOOTH_S = 3.0
"""Over how long it is averaged how busy the picture's thread is."""


class Step(StrEnum):
    """What a session does to need less of its PC, in the order in which it is done."""

    ENCODER = "encoder"
    """x264 looks for less."""
    VIEWERS = "viewers"
    """Previews come once a second; the live side's own encode gets every second picture."""
    RATE = "frame rate"
    """Every second picture of the program is left out."""
    DETAIL = "detail"
    """x264 looks for next to nothing."""


ROOM = {Step.ENCODER: 0.6, Step.VIEWERS: 0.75, Step.RATE: 0.45, Step.DETAIL: 0.6}
"""How busy the picture's thread may be when a step is taken back: without it, it is busier by what the step saves."""


type Move = tuple[Step, bool]
"""A step, and whether it is to be taken; else it is taken back."""


class Ladder:
    """Give it the load some ten times a second; times are seconds of any clock that never goes back."""

    def __init__(self, is_useful: Callable[[Step], bool] = lambda _: True) -> None:
        """`is_useful` says whether a step would change anything now; others are passed over."""
        self._is_useful = is_useful
        self._taken: list[Step] = []
        self._recent: deque[tuple[float, float]] = deque()  # (at, behind_s)
        self._began = (0.0, 0.0)  # from where it has become more, with the steps in force
        self._stepped_s = -math.inf
        self._busy = 1.0  # averaged
        self._at_s: float | None = None
        self._room_since_s: float | None = None
        self._raised_s: float | None = None
        self.patience_s = PATIENCE_S
        """How long there must have been room before a step is taken back."""

    @property
    def taken(self) -> Sequence[Step]:
        """The steps in force, in the order in which they were taken."""
        return self._taken

    def update(self, at_s: float, behind_s: float, busy: float) -> Sequence[Move]:
        """Take how much waits, and the busy part of the time; return the steps that change now."""
        self._note(at_s, behind_s, busy)
        slope = self._overload()
        if slope is not None:
            # The latest readings may be of a moment's rest: how fast it has become more all the while counts, too.
            slope = max(slope, _slope([self._began, self._recent[-1]]))
            return self._down(at_s, behind_s, 2 if slope > STEEP else 1)
        if not self._has_room(behind_s):
            self._room_since_s = None
        elif self._room_since_s is None:
            self._room_since_s = at_s
        elif at_s - self._room_since_s >= self.patience_s:
            return [self._up(at_s)]
        return []

    def settle(self, at_s: float) -> None:
        """Take note that a step only takes effect from `at_s` on."""
        self._stepped_s = at_s

    def undo(self, move: Move) -> None:
        """Take note that the last move could not be made."""
        step, is_down = move
        if is_down:
            self._taken.remove(step)
        else:
            self._taken.append(step)

    def _note(self, at_s: float, behind_s: float, busy: float) -> None:
        before_s, self._at_s = self._at_s, at_s
        passed_s = 0.0 if before_s is None else at_s - before_s
        self._busy += (busy - self._busy) * -math.expm1(-passed_s / SMOOTH_S)
        self._recent.append((at_s, behind_s))
        if before_s is None or behind_s <= CALM_S:
            self._began = self._recent[-1]
        while len(self._recent) > 1 and self._recent[1][0] <= at_s - HOLD_S:
            self._recent.popleft()

    def _overload(self) -> float | None:
        """Return how fast what waits becomes more; None unless too much has for a while and does not become less."""
        readings = self._latest(URGENT_HOLD_S)
        if readings and readings[-1][1] < URGENT_S and _slope(readings) <= STEEP:
            readings = self._latest(HOLD_S)
        if not readings or any(behind_s < BEHIND_S for _, behind_s in readings):
            return None
        slope = _slope(readings)
        return slope if slope > -EMPTYING else None

    def _latest(self, seconds: float) -> Sequence[tuple[float, float]]:
        """Return the readings of so long and the last one before; none where nobody had looked by then."""
        began_s = self._recent[-1][0] - seconds
        before = sum(at_s <= began_s for at_s, _ in self._recent)
        return list(self._recent)[before - 1 :] if before else []

    def _has_room(self, behind_s: float) -> bool:
        return bool(self._taken) and behind_s <= CALM_S and self._busy <= ROOM[self._taken[-1]]

    def _down(self, at_s: float, behind_s: float, most: int) -> Sequence[Move]:
        self._room_since_s = None
        if at_s - self._stepped_s < (HURRIES_S if behind_s >= URGENT_S else SETTLES_S):
            return []
        last = self._taken[-1] if self._taken else None
        order = list(Step)
        left = order[order.index(last) + 1 :] if last else order
        steps = [step for step in left if self._is_useful(step)][:most]
        if steps:
            self._taken += steps
            self._stepped_s, self._began = at_s, (at_s, behind_s)
            self._learn(at_s)
        return [(step, True) for step in steps]

    def _learn(self, at_s: float) -> None:
        """Have more patience if the step that was taken back last was missed soon, and less if it was not."""
        if self._raised_s is None:
            return
        lasted_s, self._raised_s = at_s - self._raised_s, None
        change = 2.0 if lasted_s < self.patience_s else 0.5
        self.patience_s = min(MOST_PATIENCE_S, max(PATIENCE_S, self.patience_s * change))

    def _up(self, at_s: float) -> Move:
        self._room_since_s, self._raised_s = None, at_s
        return (self._taken.pop(), False)


def _slope(readings: Sequence[tuple[float, float]]) -> float:
    """Return by how much what waits becomes more, seconds a second."""
    (began_s, before_s), (at_s, behind_s) = readings[0], readings[-1]
    return (behind_s - before_s) / (at_s - began_s)
