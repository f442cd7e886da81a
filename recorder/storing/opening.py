"""Opening a part of a session on some disk: the work folder, the file in it, the event log beside it."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from threading import Thread
from uuid import UUID, uuid4

import av
from av.stream import Stream

from config.errors import LiputError, StorageError, as_ours
from config.schema import Recording as RecordingSettings
from devices.clock import Clock
from recorder.archive.archive import Archive
from recorder.archive.model import SessionContext
from recorder.archive.work import WorkFolder
from recorder.eventlog import EventLog
from recorder.packet import TrackId
from recorder.storing.forecast import Forecast
from recorder.storing.mounts import MountMemory
from recorder.storing.part import Part
from recorder.titles import copy_title


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the work folders of a session have in common, and where in it this recorder begins.

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


class Opener:
    """Opens parts, all of the same form."""

    def __init__(
        self,
        session: SessionFacts,
        templates: Mapping[TrackId, Stream],
        *,
        clock: Clock,
        log: EventLog,
        settings: RecordingSettings,
        make_forecast: Callable[[], Forecast],
        on_failure: Callable[[Part, LiputError], None],
        waits: bool,
        memory: MountMemory | None,
        form: int = 0,
    ) -> None:
        """`templates`, of the picture's `form`, are copied: a part may still be opened when the encoder is closed."""
        self.form = form
        self._session = session
        self._master = av.open(os.devnull, "w", format="null")
        self._templates = {
            track: self._master.add_stream_from_template(template, opaque=True) for track, template in templates.items()
        }
        for track, template in templates.items():
            copy_title(template, self._templates[track])
        self._clock = clock
        self._log = log
        self._settings = settings
        self._make_forecast = make_forecast
        self._on_failure = on_failure
        self._waits = waits
        self._memory = memory

    def renewed(self, templates: Mapping[TrackId, Stream], form: int) -> "Opener":
        """Return one of the same session whose parts are of another form."""
        return Opener(
            self._session,
            templates,
            clock=self._clock,
            log=self._log,
            settings=self._settings,
            make_forecast=self._make_forecast,
            on_failure=self._on_failure,
            waits=self._waits,
            memory=self._memory,
            form=form,
        )

    def open(self, archive: Archive, copy: int, number: int, start: Fraction) -> Part:
        """Open part `number`, from the media time `start` on; raises LiputErrors, and leaves nothing behind then."""
        session = self._session
        if self._memory:
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
            part = Part(
                archive,
                work,
                self._templates,
                start,
                clock=self._clock,
                settings=self._settings,
                forecast=self._make_forecast(),
                on_failure=self._on_failure,
                waits=self._waits,
                form=self.form,
            )
            try:
                self._log.open(work.events)
            except Exception:
                part.recording.close()
                raise
        except Exception as error:  # of whatever kind: nothing is left behind
            with suppress(LiputError):
                archive.discard(work)
            raise StorageError(str(error)) if isinstance(error, OSError) else as_ours(error, StorageError) from error
        self._remember(archive.root)
        return part

    def _remember(self, root: Path) -> None:
        """Note where its disk is mounted, on a thread that nobody waits for: it may be another disk that hangs."""
        memory = self._memory or MountMemory()
        with suppress(RuntimeError):  # too many threads: it is noted the next time
            Thread(target=memory.remember, args=(root,), daemon=True, name="storage-remember").start()
