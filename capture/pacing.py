"""The pace of sources without a clock of their own (files, synthetic): real time, or as fast as possible.

Media time 0 is the session's start. With FastPace a track waits for the slowest other track only; media times are the
same as in real time.
"""

import threading

from devices.host.clock import NANOSECONDS, Clock


class RealPace:
    """Media time passes with the session clock. A track reads `ahead_ns` in advance; see `reach`."""

    ahead_ns = 0

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        self._clock = clock
        self._stop = stop
        self._start_ns = clock.now_ns()

    def begin(self) -> None:
        """Make now media time 0; call once, before any track is read."""
        self._start_ns = self._clock.now_ns()

    def start_ns(self) -> int:
        """Return the session-clock time of media time 0."""
        return self._start_ns

    def wait(self, track: str, media_ns: int, timeout_s: float) -> bool:  # noqa: ARG002 - one clock for all tracks
        """Wait at most `timeout_s` until the clock reaches `media_ns`; return whether it has."""
        remaining = (self._start_ns + media_ns - self._clock.now_ns()) / NANOSECONDS
        if remaining <= 0:
            return True
        self._clock.wait(self._stop, min(remaining, timeout_s))
        return self._start_ns + media_ns <= self._clock.now_ns()

    def reach(self, track: str, media_ns: int) -> None:
        """Do nothing: no track waits for another."""

    def finish(self, track: str) -> None:
        """Do nothing: no track waits for another."""


class FastPace:
    """Tracks run as fast as possible, none ahead of the slowest; they take turns every `ahead_ns`, not every frame."""

    ahead_ns = NANOSECONDS // 4

    def __init__(self, tracks: tuple[str, ...]) -> None:
        self._at = dict.fromkeys(tracks, 0)
        self._changed = threading.Condition()

    def begin(self) -> None:
        """Do nothing: media time starts at 0 by itself."""

    def start_ns(self) -> int:
        """Return 0: media time and session clock are the same."""
        return 0

    def wait(self, track: str, media_ns: int, timeout_s: float) -> bool:
        """Wait until every other track has reached `media_ns` or finished; return whether all have."""
        with self._changed:
            self.reach(track, media_ns)
            return self._changed.wait_for(
                lambda: all(at >= media_ns for other, at in self._at.items() if other != track), timeout_s
            )

    def reach(self, track: str, media_ns: int) -> None:
        """Let other tracks go on up to `media_ns`."""
        with self._changed:
            if media_ns > self._at.get(track, -1):
                self._at[track] = media_ns
                self._changed.notify_all()

    def finish(self, track: str) -> None:
        """Remove `track`: no other track waits for it any more."""
        with self._changed:
            self._at.pop(track, None)
            self._changed.notify_all()


type Pace = RealPace | FastPace  # decides when a track may deliver a moment of media time
