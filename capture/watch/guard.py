"""Keeps a bug of a watch from hurting the recording: the part that fails is switched off, and that is told once."""

import contextlib
import threading
from collections.abc import Callable

from devices.health.line import Kind, Level, Record
from devices.health.tracker import HealthChange, OnChange

_LISTENER = "telling others of its health"


class Guard:
    """Runs the parts of the watch of a device; may be used from any thread. A fault stays as its part saw it last."""

    def __init__(self, device_id: str, name: str, record: Record) -> None:
        self._device_id = device_id
        self._name = name
        self._record = record
        self._lock = threading.Lock()
        self._failed: set[str] = set()

    def __call__[**P, T](self, part: str, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return what `action` returns; None where it raises, and from then on without asking it.

        `part` says for people what is not watched any more.
        """
        if part in self._failed:
            return None
        try:
            return action(*args, **kwargs)
        except Exception as error:  # of whatever kind: the frame in hand is worth more than what is said of it
            self._tell(part, error)
            return None

    def listener(self, on_change: OnChange | None) -> OnChange | None:
        """Return `on_change` as one that never raises; it goes on being told, whatever it did before."""
        if on_change is None:
            return None

        def told(change: HealthChange) -> None:
            try:
                on_change(change)
            except Exception as error:
                self._tell(_LISTENER, error)

        return told

    def _tell(self, part: str, error: Exception) -> None:
        with self._lock:
            is_known = part in self._failed
            self._failed.add(part)
        if is_known:
            return
        reason = f"a watch of {self._name} has failed and is switched off ({part}): {error!r}; please report this"
        with contextlib.suppress(Exception):
            self._record(
                self._device_id,
                Kind.WATCH_FAILED,
                reason,
                name=self._name,
                level=Level.WARN,
                part=part,
                error=repr(error),
            )
