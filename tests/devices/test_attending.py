"""What runs beside a recording ends with it, and takes nothing with it."""

from pathlib import Path

import pytest

from config.schema import Settings
from devices.attendant import Attendant
from devices.attending import attending
from devices.clock import SystemClock
from devices.health.line import PC, Kind, Level
from devices.health.query import Wanted, read


@pytest.fixture
def _cannot_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_attendant: Attendant) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))
    monkeypatch.setattr(Attendant, "stop", stop)


@pytest.mark.usefixtures("_cannot_be_ended")
def test_an_attendant_that_cannot_be_ended_changes_nothing_of_what_came_of_the_work() -> None:
    with attending(Settings(), SystemClock()) as (log, _):
        folder = log.folder
    (line,) = read(folder, Wanted())
    assert (line.device, line.kind, line.level) == (PC, Kind.WATCH_FAILED, Level.WARN)
    assert line.reason == "the watch could not be ended: RuntimeError('a bug'); please report this"


@pytest.mark.usefixtures("_cannot_be_ended")
def test_nor_does_it_hide_why_the_work_failed() -> None:
    with pytest.raises(ZeroDivisionError), attending(Settings(), SystemClock()):
        divmod(1, 0)
