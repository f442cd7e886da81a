"""The recorder in reserve: one at a time, replaced when it ends, gone with its daemon."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.daemon import standby
from agent.daemon.standby import StandbyRecorder
from agent.daemon.supervisor import LOOK_S
from recorder.archive.archive import Archive
from recorder.control.spec import RecorderSpec
from recorder.package.metadata import PackageState
from recorder.running.client import send_command
from recorder.running.protocol import StopCommand
from recorder.running.runtime_directory import RecorderFolder
from recorder.session.request import SessionRequest
from tests.support import recorders
from tests.support.processes import children
from tests.support.waiting import wait_for


def test_a_spare_recorder_waits_and_ends_with_its_daemon(archive: Archive, runtime: Path) -> None:
    told: list[str] = []
    spares = StandbyRecorder(told.append)
    spares.keep()
    (first,) = wait_for(spare_pids)
    spares.keep()
    assert spare_pids() == [first]
    asked = SessionRequest(title="Rapat", videos=("synthetic",), profile="240p15", archive=archive.root, reserve=1)
    recorder = spares.take(RecorderSpec(asked=asked, folder=archive.root))
    recorder.ready()
    info = recorders.recording(runtime)
    assert info.pid == first
    send_command(RecorderFolder(runtime / info.id), StopCommand())
    wait_for(lambda: not recorders.recorders(runtime))
    assert recorder.wait(60.0)
    spares.keep()
    assert len(wait_for(spare_pids)) == 1
    spares.close()
    assert spare_pids() == []
    assert told == []
    (package,) = archive.list()
    assert package.state is PackageState.SEALED


def test_a_spare_that_ends_at_once_is_replaced_ever_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead:
        notes = ("a note",)

        def __init__(self, spec: RecorderSpec | None) -> None:
            begun.append(now[0])

        def wait(self, timeout_s: float) -> bool:
            return True

    begun, now, told = list[float](), [0.0], list[str]()
    monkeypatch.setattr(standby, "SpawnedRecorder", Dead)
    monkeypatch.setattr(standby, "time", SimpleNamespace(monotonic=lambda: now[0]))
    spares = StandbyRecorder(told.append)
    for _ in range(4 * 120):
        spares.keep()
        now[0] += LOOK_S
    assert [later - before for before, later in itertools.pairwise(begun)][:5] == pytest.approx([1, 2, 4, 8, 16], abs=1)
    assert len(begun) < 10
    assert len(told) == len(begun)


def spare_pids() -> list[int]:
    """Return the recorders that are children of this process."""
    return [child.pid for child in children("recorder.control.process")]
