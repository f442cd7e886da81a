"""What the sound servers offer, as they said last: to ask takes half a second and a process."""

import contextlib
import threading
from collections.abc import Callable, Sequence

from devices.clock import NANOSECONDS, Clock
from devices.host import threads
from devices.model import Device

FRESH_S = 5.0
"""For so long an answer is taken as it is."""
STALE_S = 60.0
"""After so long it is worth to wait for another one; between the two they are asked beside."""

type Ask = Callable[[], Sequence[Device]]


def _ask() -> Sequence[Device]:
    from capture.sound.inputs import server_inputs

    return server_inputs()


class KnownInputs:
    """For any thread. `on_change` is called, on another one, when an answer came that differs from the last."""

    def __init__(self, clock: Clock, on_change: Callable[[], None], ask: Ask = _ask) -> None:
        self._clock = clock
        self._on_change = on_change
        self._ask = ask
        self._asking = threading.Lock()
        self._known: Sequence[Device] = ()
        self._at_ns: int | None = None
        self._is_due = False

    def doubt(self) -> None:
        """Ask again the next time: something was plugged in or pulled out."""
        self._is_due = True

    def now(self) -> Sequence[Device]:
        """Return what they offer; waits for them where nobody has asked for a minute."""
        age_s = self._age_s()
        if age_s is None or age_s > STALE_S:
            with self._asking:
                if self._age_s() == age_s:
                    self._look()
        elif (self._is_due or age_s > FRESH_S) and self._asking.acquire(blocking=False):
            with contextlib.suppress(RuntimeError):  # the next who asks tries again
                threads.start(self._beside, name="sound-inputs", otherwise=self._asking.release)
        return self._known

    def _age_s(self) -> float | None:
        return None if self._at_ns is None else (self._clock.now_ns() - self._at_ns) / NANOSECONDS

    def _beside(self) -> None:
        try:
            before = self._known
            self._look()
        finally:
            self._asking.release()
        if self._known != before:
            self._on_change()

    def _look(self) -> None:
        self._is_due = False
        self._known = tuple(self._ask())
        self._at_ns = self._clock.now_ns()
