"""Measures the offset between audio and picture, from flashes with beeps or from claps.

Most visible and audible events have no partner; true pairs keep the same offset each time.
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

MAX_OFFSET_S = 0.4  # events further apart do not belong together
MIN_PAIRS = 3  # pairs that must agree: two may agree by chance
_TOLERANCE_S = 0.04  # offsets that differ by less are the same: more than a frame's time at 30 fps
_PAIRED_SHARE = 0.8  # share of the visible events (or of the audible ones, if fewer) that must have a partner
_MAX_CHANCE = 0.01  # probability of agreement by chance, at most: speech has onsets everywhere

_CELLS = 64, 36  # cells of a frame, across and down
_FLASH_LEVELS = 60  # levels by which a cell brightens between two frames in a flash
_NEAR = np.ones((5, 5), np.uint8)
"""A cell so near that brightened one frame before or after means a moving bright object."""
_MAX_FLASHES_PER_S = 2  # a cell that flashes more often is a screen or a clock
_MOTION_BEFORE = 3.0  # motion right before a clap, as a multiple of that in the quietest quarter of the time
_QUIET_PERCENTILE, _LEAST_CHANGE = 25, 0.1
_MOTION_AFTER = 0.5  # motion right after a clap, at most, as a share of that before
_MIN_CLAP_GAP_S = 0.15  # least time between two claps

_WINDOW = SAMPLE_RATE // 500  # samples of a level window: 2 ms
_QUIET_WINDOWS = 8  # windows that an onset must exceed: a beep follows a moment's silence, a clap the quiet of a room
_ONSET_FACTOR = 10 ** (12 / 20)
_ONSET_LEVEL = 10 ** (-40 / 20)
_ECHO_WINDOWS = 50  # windows after an onset without another: its echo is no onset


@dataclass(frozen=True, slots=True)
class AudioOffset:
    """Audio is `offset_s` later than the picture in `times` pairs that agree; a `clap` is exact to two frames."""

    offset_s: float
    times: int
    kind: str


class VisualEvents:
    """Takes the frames of one film in order, and finds visible events: flashes and sudden stops."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._changes: list[float] = []
        self._flashes: dict[int, list[float]] = {}
        self._before: NDArray[np.int16] | None = None
        self._nothing = np.zeros(_CELLS[::-1], np.uint8)
        self._brighter = [self._nothing, self._nothing]
        """Cells that brightened with the last frame but one, and with the last."""

    def see(self, picture: av.VideoFrame, at_s: float) -> None:
        """Take a frame shown from `at_s` on."""
        small = cv2.resize(plane_views(picture)[0], _CELLS, interpolation=cv2.INTER_AREA).astype(np.int16)
        if self._before is not None:
            difference = small - self._before
            self._find_flashes((difference >= _FLASH_LEVELS).astype(np.uint8))
            self._times.append(at_s)
            self._changes.append(float(np.abs(difference).mean()))
        self._before = small

    def _find_flashes(self, now: NDArray[np.uint8]) -> None:
        """Judge the previous frame, now that the next one is known."""
        before, last = self._brighter
        self._brighter = [last, now]
        if last.any():
            beside = cv2.dilate(before | now, _NEAR)
            for place in np.flatnonzero(last & (1 - beside)):
                self._flashes.setdefault(int(place), []).append(self._times[-1])

    @property
    def lasting_s(self) -> float:
        """Duration of the frames taken."""
        return self._times[-1] - self._times[0] if self._times else 0.0

    def flashes(self) -> set[tuple[float, ...]]:
        """Return the flash times of each cell that flashed several times, but not all the time."""
        most = _MAX_FLASHES_PER_S * self.lasting_s
        return {tuple(times) for times in self._flashes.values() if MIN_PAIRS <= len(times) <= most}

    def stops(self) -> list[float]:
        """Return when motion stopped suddenly, exact to one frame."""
        changes = self._changes
        usual = max(_LEAST_CHANGE, float(np.percentile(changes, _QUIET_PERCENTILE))) if changes else 0.0
        stops: list[float] = []
        for number in range(1, len(changes) - 1):
            moved = max(changes[number - 1 : number + 1])
            is_stop = moved > _MOTION_BEFORE * usual and changes[number + 1] <= _MOTION_AFTER * moved
            if is_stop and not (stops and self._times[number] - stops[-1] < _MIN_CLAP_GAP_S):
                stops.append(self._times[number])
        return stops


def onsets(samples: Samples) -> list[float]:
    """Return the sudden onsets in `samples`, shape (n, channels), in seconds from the first."""
    count = len(samples) // _WINDOW
    if not count:
        return []
    mono = samples[: count * _WINDOW].astype(np.float32).mean(axis=1) / 32_768
    levels = np.sqrt((mono.reshape(count, _WINDOW) ** 2).mean(axis=1))
    padded = np.concatenate((np.zeros(_QUIET_WINDOWS, np.float32), levels))
    before = np.lib.stride_tricks.sliding_window_view(padded, _QUIET_WINDOWS)[:count].max(axis=1)
    begun: list[float] = []
    last = -_ECHO_WINDOWS
    for window in np.flatnonzero((levels > _ONSET_LEVEL) & (levels > _ONSET_FACTOR * before)):
        if window - last >= _ECHO_WINDOWS:
            begun.append(float(window * _WINDOW / SAMPLE_RATE))
        last = int(window)
    return begun


def median_delay(seen: Sequence[float], heard: Sequence[float], lasting_s: float) -> tuple[float, int] | None:
    """Return the median delay of `heard` after `seen` and the number of pairs that agree; None if it may be chance."""
    if len(seen) < MIN_PAIRS or not heard:
        return None
    every = np.subtract.outer(np.asarray(heard), np.asarray(seen))
    near = every[np.abs(every) <= MAX_OFFSET_S]
    best: list[float] = []
    for candidate in sorted(near, key=abs):
        off = np.abs(every - candidate)
        agreeing = [
            float(every[row, column])
            for column, row in enumerate(off.argmin(axis=0))
            if off[row, column] <= _TOLERANCE_S
        ]
        if len(agreeing) > len(best):
            best = agreeing
    if len(best) < max(MIN_PAIRS, _PAIRED_SHARE * min(len(seen), len(heard))):
        return None
    # The share of visible events that have an onset at a given offset by chance.
    share = min(1.0, len(heard) * 2 * _TOLERANCE_S / lasting_s)
    if share ** len(best) * math.comb(len(seen), len(best)) * MAX_OFFSET_S / _TOLERANCE_S > _MAX_CHANCE:
        return None
    return float(np.median(best)), len(best)


def measure_offset(seeing: VisualEvents, heard: Sequence[float]) -> AudioOffset | None:
    """Return the offset of audio on one clock: the most frequent one, flashes before claps; None without agreement."""
    lasting_s = seeing.lasting_s
    found = [agreed for times in seeing.flashes() if (agreed := median_delay(times, heard, lasting_s))]
    if found:
        most = max(times for _, times in found)
        return AudioOffset(float(np.median([offset_s for offset_s, times in found if times == most])), most, "flash")
    clap = median_delay(seeing.stops(), heard, lasting_s)
    return None if clap is None else AudioOffset(*clap, "clap")
