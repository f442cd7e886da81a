"""What the watches find, as events of the session."""

from collections.abc import Mapping

from config.events import Emit
from devices.health.faults import FAULTS, OF_ITS_PLACE, Fault
from devices.health.tracker import HealthChange

TOLD_BY_TRACKS: Mapping[str, str] = {Fault.LOST: "source-lost", Fault.NO_DATA: "source-silent"}
"""Faults that the tracks notice by themselves, and the kinds of their events: they say what stands in its place."""


def kind_of(fault: str) -> str:
    """Return the kind of event by which a session tells that a fault has begun."""
    return TOLD_BY_TRACKS.get(fault, f"source-{fault}")


RECOVERED = "source-recovered"
WARNINGS = frozenset(
    kind_of(fault) for fault, meaning in FAULTS.items() if not meaning.loses and fault not in OF_ITS_PLACE
)
"""Kinds of faults by which the recording loses nothing; those of its place no watch finds, so no session tells them."""


class FaultReporter:
    """Makes an event of each fault that begins or ends; those by which the recording loses degrade the session."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def __call__(self, change: HealthChange) -> None:
        """Tell of a change; see devices.health.tracker.OnChange."""
        if change.fault in TOLD_BY_TRACKS:
            return
        kind, message = kind_of(change.fault), change.reason
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
