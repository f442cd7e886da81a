"""Opens a replica on a disk: work folder, file and event log; and checks disks before a session."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import partial
from uuid import UUID, uuid4

import av
from av.stream import Stream

from config.errors import LiputError, StorageError, UsageError, as_liput_error
from config.settings.schema import RecordingSettings as RecordingSettings
from config.settings.schema import StorageSettings as StorageSettings
from devices.host.clock import NANOSECONDS, Clock
from devices.host.deadline import DeadlineTask
from devices.host.threads import start_thread
from recorder.archive.archive import Archive
from recorder.disk.archive_folder import MountMemory
from recorder.disk.errors import DISK_ANSWER_S, disk_stalled
from recorder.model.eventlog import EventLog
from recorder.model.packet import TrackId
from recorder.model.titles import copy_title
from recorder.package.metadata import SessionContext
from recorder.package.work_folder import WorkFolder
from recorder.recording.mp4_file import Mp4File
from recorder.recording.replica import Replica, ReplicaPlace

type Templates = Mapping[TrackId, Stream]
type TemplatesOf = Callable[[int], Templates]


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRequirements:
    """A session's demands on its disks, and the common facts of its work folders."""

    archives: Sequence[Archive]  # the folders to record to, in order of preference
    storage: StorageSettings
    recording: RecordingSettings
    bytes_per_s: float
    planned_s: float | None = None
    waits: bool = False  # whether packets wait for a slow disk: the session has no clock
    title: str
    started_at: datetime
    context: SessionContext | None = None
    uuid: UUID = field(default_factory=uuid4)
    offset_s: float = 0.0  # the media time at which this recorder begins, with part number `part`
    part: int = 1
    earlier: Sequence[WorkFolder] = ()  # the locked parts of a resumed session, sealed together with the new ones

    @property
    def keep_free(self) -> int:
        """The bytes that a running session leaves free on a disk."""
        return min(self.storage.keep_free, self.archives[0].reserve_bytes)


class StreamFormat:
    """The tracks of replicas; their pictures have one `form`, from media time `since` on."""

    def __init__(self, form: int, templates: Templates, since: Fraction | None = None) -> None:
        """Copy `templates`: a replica may be opened after the encoder is closed."""
        self.form = form
        self.since = since
        self._master = av.open(os.devnull, "w", format="null")
        self.templates = {
            track: self._master.add_stream_from_template(template, opaque=True) for track, template in templates.items()
        }
        for track, template in templates.items():
            copy_title(template, self.templates[track])


class ReplicaOpening:
    """The opening of one replica, on a thread of its own: the disk has DISK_ANSWER_S for it."""

    def __init__(self, archive: Archive, act: Callable[[], Replica], clock: Clock) -> None:
        """Begin it. Raises RuntimeError without a free thread."""
        self._clock = clock
        self._until_ns = clock.now_ns() + DISK_ANSWER_S * NANOSECONDS
        self._stalled = disk_stalled(archive.root, DISK_ANSWER_S)
        self.task = DeadlineTask(act, "storage-open", late=Replica.undo, clock=clock)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or its time is over."""
        return self.task.is_over or self._clock.now_ns() >= self._until_ns

    def get(self) -> Replica:
        """Return the replica within its time. Raises the error of opening, else that of a stalled disk."""
        return self.task.get(max(0.0, (self._until_ns - self._clock.now_ns()) / NANOSECONDS), self._stalled)


@dataclass(eq=False, kw_only=True)
class ReplicaOpener:
    """Opens the replicas of one session; thread-safe, and may hang on their disks."""

    task: StorageRequirements
    clock: Clock
    log: EventLog
    on_failure: Callable[[Replica, LiputError], None]  # gets each replica's fault, on any thread
    memory: MountMemory = field(default_factory=MountMemory)

    def begin(
        self, archive: Archive, copy: int, number: int, start: Fraction, stream_format: StreamFormat
    ) -> ReplicaOpening:
        """Begin to open part `number` as `open` does. Raises RuntimeError without a free thread."""
        return ReplicaOpening(archive, partial(self.open, archive, copy, number, start, stream_format), self.clock)

    def open(self, archive: Archive, copy: int, number: int, start: Fraction, stream_format: StreamFormat) -> Replica:
        """Open part `number` at media time `start`. Raises LiputError, and then leaves nothing behind."""
        task = self.task
        if task.storage.must_be_mounted:
            self.memory.refuse_missing(archive.root)
        work = archive.begin(
            task.title,
            task.started_at,
            task.context,
            uuid=task.uuid,
            part=number,
            offset_s=task.offset_s + float(start),
            copy=copy,
        )
        try:
            settings, waits, form = task.recording, task.waits, stream_format.form
            made = self.clock.now()
            file = Mp4File(work.program, stream_format.templates, settings.fragment_s, made=made, is_live=not waits)
            place = ReplicaPlace(archive, work, start, form, stream_format.since)
            replica = Replica(place, file, clock=self.clock, settings=settings, waits=waits, on_failure=self.on_failure)
            try:
                self.log.open(work.events)
            except Exception:
                replica.close()
                replica.wait()
                raise
        except Exception as error:  # nothing may be left behind
            with suppress(LiputError):
                archive.discard(work)
            raise (
                StorageError(str(error)) if isinstance(error, OSError) else as_liput_error(error, StorageError)
            ) from error
        # Nobody waits for this thread: another disk may hang.
        with suppress(RuntimeError):  # no free thread: at the next opening
            start_thread(self.memory.remember, archive.root, name="storage-remember")
        return replica


def check_archives(archives: Sequence[Archive], settings: StorageSettings, clock: Clock) -> None:
    """Raise the first fault if none of `archives` can take a session within DISK_ANSWER_S; creates nothing."""
    if settings.mirror and len(archives) < 2:
        raise UsageError("a mirror needs a second folder", hint="name one in the settings: [storage] paths")
    memory = MountMemory() if settings.must_be_mounted else None
    first: LiputError | None = None
    for archive in archives:
        try:
            asking = DeadlineTask(partial(_check, archive, memory), "storage-check", clock=clock)
            asking.get(DISK_ANSWER_S, disk_stalled(archive.root, DISK_ANSWER_S))
        except LiputError as error:
            first = first or error
        else:
            return
    if first:
        raise first


def _check(archive: Archive, memory: MountMemory | None) -> None:
    if memory:
        memory.refuse_missing(archive.root)
    archive.check()
