"""How fast sources without a clock of their own (files, synthetic) run: as time passes, or as fast as they can.

Media time 0 is the session's start. With FastPace a track only waits for the slowest other one; media times are those
of a session in real time.
"""

import threading

from devices.host.clock import NANOSECONDS, Clock


class RealPace:
    """Media time passes with the session clock. It is worth having `ahead_ns` of a track beforehand; see `reach`."""

    ahead_ns = 0

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        self._clock = clock
        self._stop = stop
        self._start_ns = clock.now_ns()

    def begin(self) -> None:
        """Make now media time 0; called once, before any track is read."""
        self._start_ns = self._clock.now_ns()

    def start_ns(self) -> int:
        """Return the session-clock time that is media time 0."""
        return self._start_ns

    def wait(self, track: str, media_ns: int, timeout_s: float) -> bool:  # noqa: ARG002 - one clock for all tracks
        """Wait until the clock has come to `media_ns`, at most `timeout_s`; return whether it has."""
        remaining = (self._start_ns + media_ns - self._clock.now_ns()) / NANOSECONDS
        if remaining <= 0:
            return True
        self._clock.wait(self._stop, min(remaining, timeout_s))
        return self._start_ns + media_ns <= self._clock.now_ns()

    def reach(self, track: str, media_ns: int) -> None:
        """Nothing to do: no track waits for another."""

    def finish(self, track: str) -> None:
        """Nothing to do: no track waits for another."""


class FastPace:
    """Tracks run as fast as they can, none ahead of the slowest; they take turns at pieces, not at every picture."""

    ahead_ns = NANOSECONDS // 4

    def __init__(self, tracks: tuple[str, ...]) -> None:
        self._at = dict.fromkeys(tracks, 0)
        self._changed = threading.Condition()

    def begin(self) -> None:
        """Nothing to do: media time starts at 0 by itself."""

    def start_ns(self) -> int:
        """Media time 0 is session-clock time 0."""
        return 0

    def wait(self, track: str, media_ns: int, timeout_s: float) -> bool:
        """Wait until every other track has come to `media_ns`, or is done; return whether all have."""
        with self._changed:
            self._has(track, media_ns)
            return self._changed.wait_for(lambda: self._may_go(track, media_ns), timeout_s)

    def reach(self, track: str, media_ns: int) -> None:
        """Let other tracks go as far as `media_ns`."""
        with self._changed:
            self._has(track, media_ns)

    def _has(self, track: str, media_ns: int) -> None:
        if media_ns > self._at.get(track, -1):
            self._at[track] = media_ns
            self._changed.notify_all()

    def _may_go(self, track: str, media_ns: int) -> bool:
        return all(at >= media_ns for other, at in self._at.items() if other != track)

    def finish(self, track: str) -> None:
        """Take `track` out of what others wait for."""
        with self._changed:
            self._at.pop(track, None)
            self._changed.notify_all()


type Pace = RealPace | FastPace
"""When a track may deliver a moment of media time."""
