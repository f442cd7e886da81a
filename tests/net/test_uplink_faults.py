"""Whatever stands between this PC and a destination is told by its own reason, within ten seconds."""

from pathlib import Path

import pytest

from tests.net.looked import look
from tests.net.uplink_faults import FAULTS, room, settings

pytestmark = [pytest.mark.alone("it judges the speed of links", lane="links"), pytest.mark.server]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_by_its_own_reason_within_ten_seconds(tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    settings(tmp_path, fault)
    with room(tmp_path) as place:
        fault.make(place)
        found, took_s = look(place.lab, "internet", tmp_path)
    assert found["internet: campus"]["code"] == fault.told, found
    assert took_s < 10
