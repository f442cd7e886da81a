"""What the watches find, as events of the session."""

from config.events import Emit
from devices.health.faults import FAULTS, Fault
from devices.health.tracker import HealthChange

_TOLD_BY_TRACKS = {Fault.LOST, Fault.NO_DATA}
"""The tracks notice these by themselves and say what stands in the place of what is missing."""


RECOVERED = "source-recovered"
WARNINGS = frozenset(f"source-{fault}" for fault, meaning in FAULTS.items() if not meaning.loses)
"""Kinds of faults by which the recording loses nothing."""


class FaultReporter:
    """Makes an event of each fault that begins or ends; those by which the recording loses degrade the session."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def __call__(self, change: HealthChange) -> None:
        """Tell of a change; see devices.health.tracker.OnChange."""
        if change.fault in _TOLD_BY_TRACKS:
            return
        kind, message = f"source-{change.fault}", change.reason
        if not change.begun:
            kind, message = RECOVERED, f"{change.name} is well again; it was: {change.reason}"
        self._emit(
            kind,
            change.name,
            message,
            device=change.device,
            fault=str(change.fault),
            state=str(change.health.state),
        )
