"""The review of a recording: all of it decoded, and judged by the detectors."""

import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from capture.detectors import lipsync
from capture.detectors.audio_measures import SoundCheck, SoundCheckResult
from capture.detectors.lipsync import AudioOffset, VisualEvents
from capture.detectors.picture_measures import PictureCheck, PictureCheckResult
from capture.source import Samples
from devices.host.clock import NANOSECONDS
from recorder.package.media import Decoded, TrackSpan, decode_all

LOOK_EVERY_S = 0.09  # detectors judge ten frames a second; all are decoded
SYNC_S = 120.0  # lip sync is measured in this first part, which stays in memory
_FULL_SCALE = 32_767


@dataclass(frozen=True, slots=True)
class ReviewedRecording:
    """A decoded recording and the detectors' findings; `sync` is None without an event in both video and audio."""

    pictures: int
    duration_s: float
    longest_gap_s: float
    bytes: int
    seen: PictureCheckResult | None
    heard: SoundCheckResult | None
    sync: AudioOffset | None

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.pictures / self.duration_s if self.duration_s else 0.0

    @property
    def bit_rate(self) -> float:
        """Bits a second of the whole file."""
        return 8 * self.bytes / self.duration_s if self.duration_s else 0.0


def review_recording(path: Path, mains_hz: int, stop: threading.Event) -> ReviewedRecording | None:
    """Decode and judge the recording at `path`; None if `stop` was set. Raises MediaError for a damaged file."""
    viewer = _Viewer(mains_hz, stop)
    try:
        tracks = decode_all(path, on_frame=viewer.take)
    except CancelledError:
        return None
    return viewer.film(tracks, path.stat().st_size)


class _Viewer:
    """Takes decoded frames; of several audio tracks the first, the mix."""

    def __init__(self, mains_hz: int, stop: threading.Event) -> None:
        self._stop = stop
        self._glance = PictureCheck()
        self._picture_track: int | None = None
        self._mains_hz = mains_hz
        self._seeing = VisualEvents()
        self._times: list[float] = []
        self._next_s = 0.0
        self._sound_track: int | None = None
        self._sound_from_s = 0.0
        self._listening: SoundCheck | None = None
        self._sound: list[Samples] = []

    def take(self, track: int, frame: Decoded) -> None:
        """Judge a frame; raises CancelledError."""
        if self._stop.is_set():
            raise CancelledError
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
        planar = frame.to_ndarray()  # AAC decodes to floats, a row per channel
        samples = (planar.T * _FULL_SCALE).round().clip(-_FULL_SCALE - 1, _FULL_SCALE).astype(np.int16)
        if self._listening is None:
            self._listening = SoundCheck(samples.shape[1], self._mains_hz)
        self._listening.hear(samples)
        if at_s < SYNC_S:
            self._sound.append(samples)

    def film(self, tracks: Mapping[int, TrackSpan], size: int) -> ReviewedRecording:
        """Return the findings for a file of `size` bytes."""
        pictures = None if self._picture_track is None else tracks.get(self._picture_track)
        return ReviewedRecording(
            pictures=pictures.frames if pictures else 0,
            duration_s=pictures.duration_s if pictures else 0.0,
            longest_gap_s=max((after - before for before, after in pairwise(sorted(self._times))), default=0.0),
            bytes=size,
            seen=self._glance.seen(),
            heard=self._listening.heard() if self._listening else None,
            sync=self._sync(),
        )

    def _sync(self) -> AudioOffset | None:
        if not self._sound:
            return None
        begun = lipsync.onsets(np.concatenate(self._sound))
        return lipsync.measure_offset(self._seeing, [self._sound_from_s + at_s for at_s in begun])
