"""Whether a recording grows on its disk while there is something to write."""

from enum import Enum, auto

from config.schema import Recording as RecordingSettings
from devices.host.clock import NANOSECONDS

STALLED_S = 3.0
"""How long nothing may come to the disk, beyond a fragment and the sync after it, until people hear of it."""

TOLD_S = 4.5
"""How long it is at most, whatever the settings are."""


def patience_s(settings: RecordingSettings) -> float:
    """Return how long nothing may come to the disk, in seconds, until that is worth telling."""
    return min(STALLED_S + settings.fragment_s + settings.sync_s, TOLD_S)


class ReplicaState(Enum):
    """The states of a replica (recorder/storing/replica.py)."""

    OPENING = auto()
    WRITING = auto()
    STALLED = auto()
    FAILED = auto()
    CLOSING = auto()
    CLOSED = auto()


class ProgressWatch:
    """Compares the media time on disk with the media time given; asks no disk, so that it cannot hang."""

    def __init__(self, now_ns: int, patience_s: float) -> None:
        """`patience_s` is how long nothing may come to the disk: longer than a fragment, and a sync after it, take."""
        self._patience_ns = round(patience_s * NANOSECONDS)
        self._found_s = 0.0
        self._grown_ns = now_ns
        self._stalled_ns: int | None = None

    def update(self, now_ns: int, found_s: float, given_s: float) -> ReplicaState | None:
        """Take a look: up to which media time it was found on disk, and up to which it was given, in seconds."""
        if found_s > self._found_s:
            self._found_s, self._grown_ns = found_s, now_ns
            if self._stalled_ns is not None:
                self._stalled_ns = None
                return ReplicaState.WRITING
        elif given_s <= found_s:
            self._grown_ns = now_ns  # nothing waits
        elif self._stalled_ns is None and now_ns >= self._grown_ns + self._patience_ns:
            self._stalled_ns = now_ns
            return ReplicaState.STALLED
        return None

    def stood_still(self, now_ns: int, for_ns: int) -> None:
        """Leave out of account that this whole process, its disk's threads too, has stood still for so long."""
        self._grown_ns = min(now_ns, self._grown_ns + for_ns)

    @property
    def is_stalled(self) -> bool:
        """Whether it was told, and is not over."""
        return self._stalled_ns is not None

    def standing_s(self, now_ns: int) -> float:
        """Return for how long nothing has come to the disk that waits for it."""
        return (now_ns - self._grown_ns) / NANOSECONDS
