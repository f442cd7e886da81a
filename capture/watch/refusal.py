"""What it means for a device's health that it could not be opened; the same for pictures and sound."""

from config.errors import DeviceAccessDenied, DeviceBusFull, DeviceBusy, DeviceLost, DeviceNotFound, LiputError
from devices.health.faults import Fault
from devices.health.tracker import HealthTracker

REFUSALS: dict[type[LiputError], Fault] = {
    DeviceLost: Fault.LOST,
    DeviceNotFound: Fault.LOST,
    DeviceBusy: Fault.BUSY,
    DeviceAccessDenied: Fault.DENIED,
    DeviceBusFull: Fault.BUS_FULL,
}


def find_refusal(tracker: HealthTracker, error: LiputError) -> None:
    """Find the fault that `error` of opening stands for; what an earlier refusal stood for is over."""
    fault = next((fault for kind, fault in REFUSALS.items() if isinstance(error, kind)), None)
    for other in dict.fromkeys(REFUSALS.values()):
        if other is not fault:
            tracker.clear(other)
    if fault:
        tracker.find(fault, error.message)


def clear_refusals(tracker: HealthTracker) -> None:
    """Say that it has been opened."""
    for fault in dict.fromkeys(REFUSALS.values()):
        tracker.clear(fault)
