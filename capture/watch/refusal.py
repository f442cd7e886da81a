"""What it means for a device's health that it could not be opened; the same for pictures and sound."""

from config.errors import LiputError
from devices.health.faults import REFUSALS, Fault, refused
from devices.health.tracker import HealthTracker


def find_refusal(tracker: HealthTracker, error: LiputError) -> None:
    """Find the fault that `error` of opening stands for; what an earlier refusal stood for is over."""
    fault = refused(error)
    clear_refusals(tracker, but=fault)
    if fault:
        tracker.find(fault, error.message)


def clear_refusals(tracker: HealthTracker, but: Fault | None = None) -> None:
    """Say that it has been opened, or that nothing `but` this keeps it from being."""
    for fault in dict.fromkeys(REFUSALS.values()):
        if fault is not but:
            tracker.clear(fault)
