"""What an error of a device means for its health, and which fault counts of several."""

import pytest

from config import errors
from devices.health.faults import FAULTS, Fault, rank, refused


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errors.DeviceError("x", why="lost"), Fault.LOST),
        (errors.DeviceNotFound("x"), Fault.LOST),
        (errors.DeviceError("x", why="busy"), Fault.BUSY),
        (errors.DeviceError("x", why="denied"), Fault.DENIED),
        (errors.DeviceError("x", why="bus-full"), Fault.BUS_FULL),
        (errors.DeviceError("x", why="unsupported"), None),
        (errors.MediaError("x"), None),
    ],
)
def test_what_a_refusal_means(error: errors.LiputError, fault: Fault | None) -> None:
    assert refused(error) is fault


def test_the_worst_comes_first_and_what_nobody_knows_last() -> None:
    assert sorted([None, "of-tomorrow", *reversed(Fault)], key=rank)[: len(Fault)] == list(FAULTS)
