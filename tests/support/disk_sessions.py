"""A session that records a reel onto disks that may fail, with what it told and what became of it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import LiputError
from config.events import Event
from config.settings.schema import RecordingSettings as RecordingSettings
from config.settings.schema import StorageSettings as StorageSettings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.eventlog import EventLog
from recorder.recording.failover import Failover
from recorder.recording.replica_opener import StorageRequirements, StreamFormat
from tests.support import archives
from tests.support.packets import Reel


@dataclass
class Session:
    """A session that records the reel, with what it told and what became of it."""

    storage: Failover
    log: EventLog
    events: list[Event]
    failures: list[LiputError]
    stop: threading.Event
    heard: list[float]
    """When each event was told, on the session clock."""
    works: list[Path] = field(default_factory=list)
    reached: float = 0.0

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def offsets(self) -> list[float]:
        return [float(replica.start) for replica in self.storage.replicas]


HELD: list[Session] = []
"""Sessions whose work folders may still be locked: a disk cannot be unmounted while they are."""


def release() -> None:
    """Let go of what sessions that were not sealed hold."""
    while HELD:
        for replica in HELD.pop().storage.replicas:
            replica.work.release()


def record(reel: Reel, roots: list[Path], at: dict[float, Callable[[], object]], **settings: object) -> Session:
    """Record the reel to the end, or until there is no disk left."""
    clock, events, failures, stop = SystemClock(), list[Event](), list[LiputError](), threading.Event()
    heard: list[float] = []

    def hear(event: Event) -> None:
        events.append(event)
        heard.append(time.monotonic())

    log = EventLog(clock, hear)

    def on_failure(error: LiputError) -> None:
        failures.append(error)
        stop.set()

    task = StorageRequirements(
        archives=[Archive(root, clock, reserve_bytes=1) for root in roots],
        storage=StorageSettings(keep_free=0, low_s=0.0, critical_s=0.0, **settings),  # type: ignore[arg-type]
        recording=RecordingSettings(),
        bytes_per_s=40_000,
        title="Rapat",
        started_at=archives.STARTED,
        context=archives.CONTEXT,
    )
    stream_format = StreamFormat(0, reel.encoder.templates)
    storage = Failover(task, stream_format, clock=clock, log=log, on_failure=on_failure)
    session = Session(storage, log, events, failures, stop, heard)
    HELD.append(session)
    storage.begin()
    session.reached = reel.play(storage.put, stop=stop, at=at)
    storage.close()
    log.close()
    session.works = [replica.work.path for replica in storage.replicas]
    return session
