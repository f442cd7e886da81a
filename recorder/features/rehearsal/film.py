"""Watches a recording: all of it is decoded, and looked at and listened to on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Event

import av
import numpy as np

from capture.detectors import lipsync
from capture.detectors.audio_measures import Heard, Listening
from capture.detectors.glance import Glance, Seen
from capture.detectors.lipsync import Seeing, Sync
from capture.source import Samples
from devices.host.clock import NANOSECONDS
from recorder.package.media import Decoded, Span, decode_all

LOOK_EVERY_S = 0.09
"""What pictures show is judged ten times a second; all of them are decoded."""
SYNC_S = 120.0
"""How much of the beginning whether sound and picture agree is measured in: all of that is kept in memory."""
_FULL_SCALE = 32_767


@dataclass(frozen=True, slots=True)
class Film:
    """A recording: its pictures, how long they last, the longest time from one to the next; what is seen and heard.

    `sync` is None where nothing was seen with its sound.
    """

    pictures: int
    duration_s: float
    longest_gap_s: float
    bytes: int
    seen: Seen | None
    heard: Heard | None
    sync: Sync | None

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.pictures / self.duration_s if self.duration_s else 0.0

    @property
    def bit_rate(self) -> float:
        """Bits a second, of everything in the file."""
        return 8 * self.bytes / self.duration_s if self.duration_s else 0.0


def watch(path: Path, mains_hz: int, stop: Event) -> Film | None:
    """Decode every frame of the recording at `path` and return what it is, None where `stop` ended that.

    Raises MediaError where it is damaged.
    """
    viewer = _Viewer(mains_hz, stop)
    try:
        tracks = decode_all(path, on_frame=viewer.take)
    except _Stopped:
        return None
    return viewer.film(tracks, path.stat().st_size)


class _Stopped(Exception):
    """Nobody waits for what is watched any more."""


class _Viewer:
    """Takes the frames of a recording as they are decoded; of its tracks of sound the first, which is the mix."""

    def __init__(self, mains_hz: int, stop: Event) -> None:
        self._stop = stop
        self._glance = Glance()
        self._picture_track: int | None = None
        self._mains_hz = mains_hz
        self._seeing = Seeing()
        self._times: list[float] = []
        self._next_s = 0.0
        self._sound_track: int | None = None
        self._sound_from_s = 0.0
        self._listening: Listening | None = None
        self._sound: list[Samples] = []

    def take(self, track: int, frame: Decoded) -> None:
        """Look at a picture, or listen to a piece of sound; raises _Stopped."""
        if self._stop.is_set():
            raise _Stopped
        at_s = frame.time or 0.0
        if isinstance(frame, av.VideoFrame):
            if self._picture_track is None:
                self._picture_track = track
            self._look(frame, at_s)
        elif self._sound_track in (None, track):
            if self._sound_track is None:
                self._sound_track, self._sound_from_s = track, at_s
            self._listen(frame, at_s)

    def _look(self, picture: av.VideoFrame, at_s: float) -> None:
        self._times.append(at_s)
        if at_s < SYNC_S:
            self._seeing.see(picture, at_s)
        if at_s >= self._next_s:
            self._next_s = at_s + LOOK_EVERY_S
            self._glance.see(picture, round(at_s * NANOSECONDS))

    def _listen(self, frame: av.AudioFrame, at_s: float) -> None:
        planar = frame.to_ndarray()  # AAC is decoded to floats, a row for each channel
        samples = (planar.T * _FULL_SCALE).round().clip(-_FULL_SCALE - 1, _FULL_SCALE).astype(np.int16)
        if self._listening is None:
            self._listening = Listening(samples.shape[1], self._mains_hz)
        self._listening.hear(samples)
        if at_s < SYNC_S:
            self._sound.append(samples)

    def film(self, tracks: Mapping[int, Span], size: int) -> Film:
        """Return what the frames of a file of `size` bytes were."""
        pictures = None if self._picture_track is None else tracks.get(self._picture_track)
        return Film(
            pictures=pictures.frames if pictures else 0,
            duration_s=pictures.duration_s if pictures else 0.0,
            longest_gap_s=max((after - before for before, after in pairwise(sorted(self._times))), default=0.0),
            bytes=size,
            seen=self._glance.seen(),
            heard=self._listening.heard() if self._listening else None,
            sync=self._sync(),
        )

    def _sync(self) -> Sync | None:
        """Return how far sound and picture are apart, where something was seen with its sound."""
        if not self._sound:
            return None
        begun = lipsync.onsets(np.concatenate(self._sound))
        return lipsync.measure(self._seeing, [self._sound_from_s + at_s for at_s in begun])
