"""Opening a replica of a session on some disk: the work folder, the file in it, the event log beside it."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from uuid import UUID, uuid4

import av
from av.stream import Stream

from config.errors import LiputError, StorageError, as_ours
from config.schema import Recording as RecordingSettings
from config.schema import Storage as StorageSettings
from devices.host import threads
from devices.host.clock import Clock
from recorder.archive.archive import Archive
from recorder.archive.model import SessionContext
from recorder.archive.work import WorkFolder
from recorder.eventlog import EventLog
from recorder.model.packet import TrackId
from recorder.model.titles import copy_title
from recorder.storing.file import Mp4File
from recorder.storing.mounts import MountMemory
from recorder.storing.replica import Place, Replica

type Templates = Mapping[TrackId, Stream]
type TemplatesOf = Callable[[int], Templates]
"""Returns the templates of packets of a form."""


@dataclass(frozen=True, slots=True)
class StorageTask:
    """The demands of a session on its disks."""

    archives: Sequence[Archive]
    """The folders to record to, in order."""
    storage: StorageSettings
    recording: RecordingSettings
    bytes_per_s: float
    """The expected rate of the recording."""
    planned_s: float | None = None
    """Its length, if that is known."""
    waits: bool = False
    """Whether a slow disk is waited for: the session has no clock."""

    @property
    def keep_free(self) -> int:
        """The bytes that a session which runs leaves on a disk."""
        return min(self.storage.keep_free, self.archives[0].reserve_bytes)


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The facts that all work folders of a session share, and the place in it where this recorder begins.

    That is at `offset_s` of its media time, with part number `part`. `earlier` are the parts of a session that is gone
    on with, locked: they are sealed with what comes now.
    """

    title: str
    started_at: datetime
    context: SessionContext | None = None
    uuid: UUID = field(default_factory=uuid4)
    offset_s: float = 0.0
    part: int = 1
    earlier: Sequence[WorkFolder] = ()


class StreamFormat:
    """The tracks of replicas; their pictures are of one `form`, from the media time `since` on."""

    def __init__(self, form: int, templates: Templates, since: Fraction | None = None) -> None:
        """Copy `templates`: a replica may still be opened when the encoder is closed."""
        self.form = form
        self.since = since
        self._master = av.open(os.devnull, "w", format="null")
        self.templates = {
            track: self._master.add_stream_from_template(template, opaque=True) for track, template in templates.items()
        }
        for track, template in templates.items():
            copy_title(template, self.templates[track])


class Opener:
    """Opens the replicas of one session, on any thread: it may hang on their disks."""

    def __init__(
        self,
        task: StorageTask,
        session: SessionFacts,
        *,
        clock: Clock,
        log: EventLog,
        on_failure: Callable[[Replica, LiputError], None],
    ) -> None:
        """`on_failure` is that of each replica."""
        self._task = task
        self._session = session
        self._clock = clock
        self._log = log
        self._on_failure = on_failure
        self._memory = MountMemory()

    def open(self, archive: Archive, copy: int, number: int, start: Fraction, stream_format: StreamFormat) -> Replica:
        """Open part `number`, from the media time `start` on; raises LiputErrors, and leaves nothing behind then."""
        session = self._session
        if self._task.storage.must_be_mounted:
            self._memory.refuse_missing(archive.root)
        work = archive.begin(
            session.title,
            session.started_at,
            session.context,
            uuid=session.uuid,
            part=number,
            offset_s=session.offset_s + float(start),
            copy=copy,
        )
        try:
            replica = self._replica(Place(archive, work, start, stream_format.form, stream_format.since), stream_format)
            try:
                self._log.open(work.events)
            except Exception:
                replica.close()
                replica.wait()
                raise
        except Exception as error:  # of whatever kind: nothing is left behind
            with suppress(LiputError):
                archive.discard(work)
            raise StorageError(str(error)) if isinstance(error, OSError) else as_ours(error, StorageError) from error
        self._remember(archive.root)
        return replica

    def _replica(self, place: Place, stream_format: StreamFormat) -> Replica:
        file = Mp4File(
            place.work.program,
            stream_format.templates,
            self._task.recording.fragment_s,
            made=self._clock.now(),
            is_live=not self._task.waits,
        )
        return Replica(
            place,
            file,
            clock=self._clock,
            settings=self._task.recording,
            waits=self._task.waits,
            on_failure=self._on_failure,
        )

    def _remember(self, root: Path) -> None:
        """Note where its disk is mounted, on a thread that nobody waits for: it may be another disk that hangs."""
        with suppress(RuntimeError):  # too many threads: it is noted the next time
            threads.start(self._memory.remember, root, name="storage-remember")


def undo(replica: Replica) -> None:
    """Undo the opening of a replica that nobody uses."""
    replica.close()
    replica.wait()
    with suppress(LiputError):
        replica.archive.discard(replica.work)
