from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from config.errors import LiputError
from config.events import Event
from config.settings.schema import RecordingSettings, StorageSettings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.eventlog import EventLog
from recorder.recording.failover import Failover
from recorder.recording.replica_opener import StreamFormat
from tests.support.media import encoder
from tests.support.storage import Disks, Show, Shows, storage_task


@pytest.fixture
def show(tmp_path: Path) -> Iterator[Shows]:
    made: list[Show] = []

    def begin(count: int, *, changes_form: bool = False, task: Mapping[str, Any] = {}, **settings: object) -> Show:
        clock, encoders = SystemClock(), [encoder()]
        roots = [tmp_path / name / "arsip" for name in "abc"[:count]]
        for root in roots:
            root.mkdir(parents=True, exist_ok=True)
        events: list[Event] = []
        failures: list[LiputError] = []
        log = EventLog(clock, events.append)
        demands = storage_task(
            [Archive(root, clock, reserve_bytes=1) for root in roots],
            storage=StorageSettings(**settings),  # type: ignore[arg-type] # whatever a test sets
            recording=RecordingSettings(sync_s=0.1),
            **task,
        )
        form = StreamFormat(0, encoders[0].templates)
        storage = Failover(demands, form, may_change=changes_form, clock=clock, log=log, on_failure=failures.append)
        made.append(Show(roots, clock, storage, encoders, log, events, failures))
        storage.begin()
        return made[-1]

    yield begin
    for each in made:
        for used in each.encoders:
            with suppress(ValueError):
                used.close()


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disks]:
    disks = Disks()
    monkeypatch.setattr("recorder.recording.mp4_file.os", disks)
    yield disks
    disks.let_go.set()
