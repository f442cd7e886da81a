"""A session's storage fed with packets, and whole sessions on disks that are full or fail."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from config.errors import LiputError
from config.events import Event
from config.settings.schema import RecordingSettings, StorageSettings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.encode.encoder import Encoder
from recorder.model.eventlog import EventLog
from recorder.model.packet import EncodedPacket, Track
from recorder.package.metadata import RecordingFacts
from recorder.recording.failover import Failover
from recorder.recording.replica_opener import StorageRequirements, StreamFormat
from tests.support import archives
from tests.support.media import feed, offset_of
from tests.support.packets import Reel
from tests.support.waiting import PATIENCE_S, wait_for

RATE = 30


def storage_task(roots: Sequence[Archive], **more: Any) -> StorageRequirements:
    """Return the demands of a session of which a test says what matters to it."""
    said: dict[str, Any] = {
        "storage": StorageSettings(), "recording": RecordingSettings(), "bytes_per_s": 60_000, "title": "Rapat Senat",
        "started_at": archives.STARTED, "context": archives.CONTEXT,
    }  # fmt: skip
    return StorageRequirements(archives=roots, **said | more)


class Disks:
    """Stands for the module `os` in recorder.recording.mp4_file: what is below `hung` takes nothing any more.

    Nothing is synced: how long the disk of this PC takes beside other tests would be told as a fault.
    """

    def __init__(self) -> None:
        self.hung: Path | None = None
        self.let_go = threading.Event()
        self.hangs = threading.Event()
        """Set once a call hangs."""
        self.takes_writes = True
        """Whether it hangs only where what was written is to be synced."""

    def pwrite(self, descriptor: int, data: bytes, position: int) -> int:
        if not self.takes_writes:
            self.fdatasync(descriptor)
        return os.pwrite(descriptor, data, position)

    def fdatasync(self, descriptor: int) -> None:
        if self.hung is not None and Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(self.hung):
            self.hangs.set()
            self.let_go.wait(60)

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


@dataclass
class Show:
    """A session's storage, fed with pictures and sound as fast as they are encoded."""

    roots: list[Path]
    clock: SystemClock
    storage: Failover
    encoders: list[Encoder]
    """Those of the picture, one after the other, each of another form; the first encodes all sound."""
    log: EventLog
    events: list[Event]
    failures: list[LiputError]
    form: int = 0
    fed: int = 0
    folders: list[Path] = field(default_factory=list)

    def feed(self, seconds: float, *, on_disk_s: float | None = None) -> None:
        """Feed, and wait until more than `on_disk_s` are on disk."""
        count = round(seconds * RATE)
        sound, picture = self.encoders[0], self.encoders[-1]
        feed(SimpleNamespace(encode_video=picture.encode_video, encode_audio=sound.encode_audio), self, self.fed, count)
        self.fed += count
        if on_disk_s is not None:
            wait_for(lambda: self.storage.on_disk.media_time_s > on_disk_s)

    def pull_out(self, number: int = 0) -> None:
        """Take a disk away; what is on it is found all the same once the session is closed."""
        self.roots[number].rename(self.roots[number].with_name("away"))

    def put(self, packet: EncodedPacket) -> None:
        form = len(self.encoders) - 1
        if form and packet.track == Track.VIDEO:
            packet = replace(packet, form=form)
            if form != self.form:  # as a session's outputs do
                self.form = form
                templates = {**self.encoders[0].templates, Track.VIDEO: self.encoders[form].templates[Track.VIDEO]}
                self.storage.change(StreamFormat(form, templates, packet.begins))
        self.storage.put(packet)

    def flush(self, track: Track) -> None:
        for packet in self.encoders[-1 if track == Track.VIDEO else 0].flush(track):
            self.put(packet)

    def feed_until(self, happened: Callable[[], object]) -> None:
        """Feed about as fast as time passes until something has happened."""
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < deadline
            self.feed(1 / 15)
            time.sleep(1 / 30)

    def close(self) -> None:
        for track in Track:
            self.flush(track)
        self.storage.close(title="Rapat")
        self.log.close()
        self.folders = [self._found(replica.work.path) for replica in self.storage.replicas]

    def _found(self, folder: Path) -> Path:
        root = next(root for root in self.roots if folder.is_relative_to(root))
        return folder if folder.is_dir() else root.with_name("away") / folder.relative_to(root)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def told(self, kind: str) -> Event:
        (event,) = [event for event in self.events if event.kind == kind]
        return event

    def seconds(self) -> float:
        return self.fed / RATE

    def files(self) -> list[tuple[Path, float]]:
        return [(folder / "data/media/program.mp4", offset_of(folder)) for folder in self.folders]


type Shows = Callable[..., Show]


def facts(show: Show) -> RecordingFacts:
    return RecordingFacts(ended_at=archives.STARTED, degraded=tuple(show.kinds))


def almost_full(root: Path, free: int) -> Callable[[int], object]:
    """Return an fstatvfs that says of what is below `root` that only `free` bytes are left."""
    ask = os.fstatvfs

    def fstatvfs(descriptor: int) -> object:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(root):
            return SimpleNamespace(f_bavail=free, f_frsize=1, f_flag=0)
        return ask(descriptor)

    return fstatvfs


@dataclass
class Session:
    """A session that records the reel, with what it told."""

    storage: Failover
    kinds: list[str]
    heard: list[float]
    """When each event was told, on the session clock."""
    works: list[Path] = field(default_factory=list)

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
    clock, stop = SystemClock(), threading.Event()
    kinds: list[str] = []
    heard: list[float] = []

    def hear(event: Event) -> None:
        kinds.append(event.kind)
        heard.append(time.monotonic())

    log = EventLog(clock, hear)
    task = storage_task(
        [Archive(root, clock, reserve_bytes=1) for root in roots],
        storage=StorageSettings(keep_free=0, low_s=0.0, critical_s=0.0, **settings),  # type: ignore[arg-type]
        bytes_per_s=40_000,
    )
    stream_format = StreamFormat(0, reel.encoder.templates)
    storage = Failover(task, stream_format, clock=clock, log=log, on_failure=lambda _: stop.set())
    session = Session(storage, kinds, heard)
    HELD.append(session)
    storage.begin()
    reel.play(storage.put, stop=stop, at=at)
    storage.close()
    log.close()
    session.works = [replica.work.path for replica in storage.replicas]
    return session
