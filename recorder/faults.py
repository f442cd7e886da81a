"""What the watches find, as events of the session."""

from config.events import Emit
from devices.health.faults import FAULTS, Fault
from devices.health.tracker import HealthChange

_TOLD_BY_TRACKS = {Fault.LOST, Fault.NO_DATA}
"""The tracks notice these by themselves and say what stands in the place of what is missing."""


class FaultReporter:
    """Makes an event of each fault that begins or ends; those by which the recording loses degrade the session."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def __call__(self, change: HealthChange) -> None:
        """Tell of a change; see devices.health.tracker.OnChange."""
        if change.fault in _TOLD_BY_TRACKS:
            return
        if not change.begun:
            kind, message = "source-recovered", f"{change.name} is well again; it was: {change.reason}"
        elif FAULTS[change.fault].loses:
            kind, message = "source-fault", change.reason
        else:
            kind, message = "source-warning", change.reason
        self._emit(
            kind,
            change.name,
            message,
            device=change.device,
            fault=str(change.fault),
            state=str(change.health.state),
        )
