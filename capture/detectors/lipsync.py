"""How far sound and picture are apart, measured from flashes with their sounds, or from somebody who claps.

Most sights and sounds have no partner; those that have follow each other at the same distance each time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from capture.media.pictures import plane_views
from capture.source import SAMPLE_RATE, Samples

LONGEST_S = 0.4
"""What is further apart does not belong together."""
LEAST_TIMES = 3
"""So many must agree: of two that do, one may be there by chance."""
_AGREE_S = 0.04
"""How far two distances may differ and be the same: more than a picture's time at 30 in a second."""
_AGREEING = 0.8
"""The part of what is seen, or of what is heard where that is less, that must have its partner."""
_BY_CHANCE = 0.01
"""How likely it may be that they agree by chance: where somebody speaks, a sound begins everywhere."""

_CELLS = 64, 36
"""Into so many places a picture is divided, across and down."""
_BRIGHTER = 60
"""Levels by which a place becomes brighter from one picture to the next where it flashes."""
_NEAR = np.ones((5, 5), np.uint8)
"""Where a place so near became brighter one picture before or after, something bright has moved past."""
_MOST_A_SECOND = 2
"""What flashes more often is a screen or the numbers of a clock."""
_MOVES = 3.0
"""So many times as much as in the quietest quarter of the time changes from picture to picture right before a clap."""
_QUIET_PERCENTILE, _LEAST_CHANGE = 25, 0.1
_STOPS = 0.5
"""And no more than this part of it right after."""
_APART_S = 0.15
"""Two claps are further apart."""

_WINDOW = SAMPLE_RATE // 500
"""Samples whose level is taken together: 2 ms."""
_BEFORE = 8
"""Windows before a sound that it has to be louder than: a beep begins after a moment's silence, a clap in a room."""
_LOUDER = 10 ** (12 / 20)
_HEARD = 10 ** (-40 / 20)
_REST = 50
"""Windows after the beginning of a sound in which no other begins: its echo is none of its own."""


@dataclass(frozen=True, slots=True)
class Sync:
    """How much later sound is heard than seen, by `times` that agree; a `clap` is known to two pictures' time."""

    offset_s: float
    times: int
    kind: str


class Seeing:
    """Takes the pictures of one film in their order, and remembers when something could have made a sound."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._changes: list[float] = []
        self._flashes: dict[int, list[float]] = {}
        self._before: NDArray[np.int16] | None = None
        self._nothing = np.zeros(_CELLS[::-1], np.uint8)
        self._brighter = [self._nothing, self._nothing]
        """Which places became brighter with the last picture but one, and with the last."""

    def see(self, picture: av.VideoFrame, at_s: float) -> None:
        """Take a picture that is shown from `at_s` on."""
        small = cv2.resize(plane_views(picture)[0], _CELLS, interpolation=cv2.INTER_AREA).astype(np.int16)
        if self._before is not None:
            difference = small - self._before
            self._find_flashes((difference >= _BRIGHTER).astype(np.uint8))
            self._times.append(at_s)
            self._changes.append(float(np.abs(difference).mean()))
        self._before = small

    def _find_flashes(self, now: NDArray[np.uint8]) -> None:
        """Look at the picture before, once it is known what became brighter after it."""
        before, last = self._brighter
        self._brighter = [last, now]
        if last.any():
            beside = cv2.dilate(before | now, _NEAR)
            for place in np.flatnonzero(last & (1 - beside)):
                self._flashes.setdefault(int(place), []).append(self._times[-1])

    @property
    def lasting_s(self) -> float:
        """How long the pictures last that were taken."""
        return self._times[-1] - self._times[0] if self._times else 0.0

    def flashes(self) -> set[tuple[float, ...]]:
        """Return when places became bright, of those that did so several times and not all the time."""
        most = _MOST_A_SECOND * self.lasting_s
        return {tuple(times) for times in self._flashes.values() if LEAST_TIMES <= len(times) <= most}

    def stops(self) -> list[float]:
        """Return when a movement stopped at once: the time of the picture that shows its end, or one beside it."""
        changes = self._changes
        usual = max(_LEAST_CHANGE, float(np.percentile(changes, _QUIET_PERCENTILE))) if changes else 0.0
        stops: list[float] = []
        for number in range(1, len(changes) - 1):
            moved = max(changes[number - 1 : number + 1])
            is_stop = moved > _MOVES * usual and changes[number + 1] <= _STOPS * moved
            if is_stop and not (stops and self._times[number] - stops[-1] < _APART_S):
                stops.append(self._times[number])
        return stops


def onsets(samples: Samples) -> list[float]:
    """Return when sounds begin at once, in seconds from the first of `samples`, shape (n, channels)."""
    count = len(samples) // _WINDOW
    if not count:
        return []
    mono = samples[: count * _WINDOW].astype(np.float32).mean(axis=1) / 32_768
    levels = np.sqrt((mono.reshape(count, _WINDOW) ** 2).mean(axis=1))
    padded = np.concatenate((np.zeros(_BEFORE, np.float32), levels))
    before = np.lib.stride_tricks.sliding_window_view(padded, _BEFORE)[:count].max(axis=1)
    begun: list[float] = []
    last = -_REST
    for window in np.flatnonzero((levels > _HEARD) & (levels > _LOUDER * before)):
        if window - last >= _REST:
            begun.append(float(window * _WINDOW / SAMPLE_RATE))
        last = int(window)
    return begun


def distance(seen: Sequence[float], heard: Sequence[float], lasting_s: float) -> tuple[float, int] | None:
    """Return by how much later than `seen` nearly each is `heard`, and how often, in `lasting_s`; None where not."""
    if len(seen) < LEAST_TIMES or not heard:
        return None
    every = np.subtract.outer(np.asarray(heard), np.asarray(seen))
    near = every[np.abs(every) <= LONGEST_S]
    best: list[float] = []
    for candidate in sorted(near, key=abs):
        off = np.abs(every - candidate)
        agreeing = [
            float(every[row, column]) for column, row in enumerate(off.argmin(axis=0)) if off[row, column] <= _AGREE_S
        ]
        if len(agreeing) > len(best):
            best = agreeing
    if len(best) < max(LEAST_TIMES, _AGREEING * min(len(seen), len(heard))):
        return None
    # So many of what is seen have a sound there by chance, at one of the distances that were looked at.
    share = min(1.0, len(heard) * 2 * _AGREE_S / lasting_s)
    if share ** len(best) * math.comb(len(seen), len(best)) * LONGEST_S / _AGREE_S > _BY_CHANCE:
        return None
    return float(np.median(best)), len(best)


def measure(seeing: Seeing, heard: Sequence[float]) -> Sync | None:
    """Return how far sound and picture are apart, on one clock: the most frequent counts, flashes before claps."""
    lasting_s = seeing.lasting_s
    found = [agreed for times in seeing.flashes() if (agreed := distance(times, heard, lasting_s))]
    if found:
        most = max(times for _, times in found)
        return Sync(float(np.median([offset_s for offset_s, times in found if times == most])), most, "flash")
    clap = distance(seeing.stops(), heard, lasting_s)
    return None if clap is None else Sync(*clap, "clap")
