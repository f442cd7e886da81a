"""The faults a synthetic source can be asked for: to hang, or to be unplugged, from a media time on."""

import threading

from capture.pacing import Pace
from config.errors import DeviceLost
from devices.host.clock import NANOSECONDS


class Faults:
    """Lets one track of a synthetic source go on at its pace, until the fault it has been given."""

    def __init__(
        self,
        name: str,
        track: str,
        pace: Pace,
        stop: threading.Event,
        stop_giving_after_s: float | None,
        lost_after_s: float | None,
    ) -> None:
        self._name = name
        self._track = track
        self._pace = pace
        self._stop = stop
        self._hangs_ns = None if stop_giving_after_s is None else round(stop_giving_after_s * NANOSECONDS)
        self._lost_ns = None if lost_after_s is None else round(lost_after_s * NANOSECONDS)
        self._is_lost = False

    def check_plugged_in(self) -> None:
        """Raise DeviceLost when the source has been lost."""
        if self._is_lost:
            raise DeviceLost(f"the {self._name} is gone", hint="it was told to go")

    def may_give(self, media_ns: int, timeout_s: float) -> bool:
        """Wait until what is complete at `media_ns` may be given; False when that takes longer, or when stopped.

        Raises DeviceLost from the media time of the loss on.
        """
        self.check_plugged_in()
        if self._stop.is_set():
            return False
        if self._hangs_ns is not None and media_ns >= self._hangs_ns:
            # The other tracks of a fast session must not wait for one that gives nothing any more.
            self._pace.finish(self._track)
            self._stop.wait(timeout_s)
            return False
        if not self._pace.wait(self._track, media_ns, timeout_s):
            return False
        if self._lost_ns is not None and media_ns >= self._lost_ns:
            self._is_lost = True
            self._pace.finish(self._track)
            self.check_plugged_in()
        return True
