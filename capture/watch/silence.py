"""The watch over sound that has no sound in it, and how much of it is still a pause."""

from capture.watch.loudness import PIECE_S, Piece
from devices.clock import NANOSECONDS
from devices.health.faults import Fault
from devices.health.tracker import HealthTracker

SILENT_DBFS, HEARD_DBFS = -60.0, -55.0
"""Below the one it is silent; above the other it is silent no more."""
NOTHING_DBFS = -80.0
QUIET = 4
"""A microphone that lives gives more than NOTHING_DBFS even in a quiet room. While it does, it may be silent for so
many times the patience: people pause, and a minute's silence, which lasts a little longer, is part of many a ceremony.
"""


class SilenceWatch:
    """Judges every half second of one input; used by the thread that reads."""

    def __init__(self, tracker: HealthTracker, silence_s: float) -> None:
        self._tracker = tracker
        self._silence_s = silence_s
        self._quiet = _Since(SILENT_DBFS)
        self._lifeless = _Since(NOTHING_DBFS)
        self._nothing_s = 0.0

    def judge(self, piece: Piece, level_dbfs: float, end_ns: int) -> None:
        """Take the piece that ended at `end_ns`, whose loudest channel is that loud."""
        if level_dbfs > HEARD_DBFS:
            self._tracker.clear(Fault.SILENCE)
        for below in (self._quiet, self._lifeless):
            below.hear(level_dbfs, end_ns)
        self._nothing_s = self._nothing_s + PIECE_S if piece.is_nothing else 0.0
        if self._lifeless.seconds >= self._silence_s:
            # A piece in which it fell silent is something.
            is_nothing = self._nothing_s > self._lifeless.seconds - 2 * PIECE_S
            self._find(self._lifeless, self._silence_s, is_nothing=is_nothing)
        elif self._quiet.seconds >= QUIET * self._silence_s:
            self._find(self._quiet, QUIET * self._silence_s, is_nothing=False)

    def _find(self, below: "_Since", for_s: float, *, is_nothing: bool) -> None:
        what = f"silent for {for_s:g} s, below {below.dbfs:g} dBFS: too far away, turned down or switched off"
        reason = f"{self._tracker.name} has been {what}"
        if is_nothing:
            reason = f"{self._tracker.name} has given exactly nothing for {for_s:g} s: muted or not plugged in"
        self._tracker.find(Fault.SILENCE, reason, began_ns=below.since_ns, exactly_nothing=is_nothing)


class _Since:
    """For how long nothing has been above `dbfs`, and since when."""

    def __init__(self, dbfs: float) -> None:
        self.dbfs = dbfs
        self.seconds = 0.0
        self.since_ns: int | None = None

    def hear(self, level_dbfs: float, end_ns: int) -> None:
        if level_dbfs > self.dbfs:
            self.seconds, self.since_ns = 0.0, end_ns
            return
        if self.since_ns is None:
            self.since_ns = end_ns - NANOSECONDS // 2
        self.seconds += PIECE_S
