"""A recorder in reserve."""

import threading
import time

from config.errors import LiputError
from devices.host.background import pause_s
from devices.host.throttle import Tell
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec

LONGEST_PAUSE_S = 30.0  # between starts that fail


class StandbyRecorder:
    """Keeps one idle recorder in reserve, which halves the time of a start."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._spare: SpawnedRecorder | None = None
        self._failures = 0
        self._next_s = 0.0

    def keep(self) -> None:
        """Start a recorder if there is none; call it again and again. Failures make the pauses longer."""
        with self._lock:
            if self._spare is not None:
                if not self._spare.wait(0.0):
                    return
                self._spare = None
                self._fail()
            if time.monotonic() < self._next_s:
                return
            try:
                self._spare = SpawnedRecorder(None)
            except LiputError as error:
                self._tell(error.message)
                self._fail()
            else:
                for note in self._spare.notes:
                    self._tell(note)

    def _fail(self) -> None:
        self._failures += 1
        self._next_s = time.monotonic() + pause_s(self._failures, LONGEST_PAUSE_S)

    def take(self, spec: RecorderSpec) -> SpawnedRecorder:
        """Return a recorder for `spec`: the reserve, or a new one."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is None or spare.wait(0.0):
            return SpawnedRecorder(spec)
        spare.give(spec)
        self._failures = 0
        return spare

    def close(self) -> None:
        with self._lock:
            if self._spare is not None:
                self._spare.discard()
                self._spare = None
