"""The files that a session records into, from its start to its end, and the outputs that its packets go through."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from config.errors import LiputError
from devices.host.clock import NANOSECONDS, Clock
from recorder.encoder import Encoder
from recorder.eventlog import EventLog
from recorder.live.destinations import Destinations
from recorder.outputs import Outputs
from recorder.plan import SessionPlan
from recorder.storing.failover import Failover
from recorder.storing.opening import SessionFacts, StorageTask, StreamFormat

if TYPE_CHECKING:
    from recorder.recovery.resume import Resumption


@dataclass(frozen=True, slots=True)
class RecordingStart:
    """Where a recording begins: at `began_ns` on the session clock, with pictures of `form` from the encoder."""

    encoder: Encoder
    form: int
    began_ns: int


class SessionFiles:
    """Owns the storage of one recording, and its outputs; used by the session's thread, figures from any."""

    def __init__(
        self,
        plan: SessionPlan,
        start: RecordingStart,
        *,
        clock: Clock,
        log: EventLog,
        live: Destinations,
        on_failure: Callable[[LiputError], None],
    ) -> None:
        """Make the work folder and start the writers; `live` destinations are not connected yet.

        Pictures of another form than that of the `start` begin further files. `on_failure` is told when no disk is
        left. Raises LiputErrors; then nothing is left behind.
        """
        self._clock = clock
        self._emit = log
        self._live = live
        task = StorageTask(
            plan.archives,
            plan.storage,
            plan.recording,
            bytes_per_s=(plan.profile.video_bitrate + plan.profile.audio_bitrate) / 8,
            planned_s=plan.duration_s,
            waits=not plan.live,
        )
        facts = self._facts(plan, start.began_ns)
        self.offset_s = facts.offset_s
        """Where in the session's media time that of this recorder begins."""
        encoder, form = start.encoder, start.form
        templates = encoder.templates_of(form)
        self.storage = Failover(
            task,
            facts,
            StreamFormat(form, templates),
            encoder.templates_of if encoder.may_change_form else None,
            clock=clock,
            log=log,
            on_failure=on_failure,
        )
        self.work = self.storage.begin()
        """The first work folder."""
        if plan.resume is not None:
            self._tell_resumed(plan.resume)
        self.outputs = Outputs(self.storage, templates, live=live, form=form, templates_of=encoder.templates_of)

    def _facts(self, plan: SessionPlan, began_ns: int) -> SessionFacts:
        """Return the facts for the work folders: of a new session, or of one that goes on."""
        back_ns = self._clock.now_ns() - began_ns if plan.live else 0
        began = self._clock.now() - timedelta(seconds=back_ns / NANOSECONDS)
        context = msgspec.structs.replace(plan.context, destinations=self._live.names)
        resume = plan.resume
        if resume is None:
            return SessionFacts(plan.title, began, context)
        return SessionFacts(
            resume.title,
            resume.started_at,
            context,
            uuid=resume.uuid,
            offset_s=resume.offset_s(began_ns, began),
            part=resume.part,
            earlier=resume.works,
        )

    def _tell_resumed(self, resume: "Resumption") -> None:
        self._emit(
            "session-resumed",
            self.work.name,
            f"Its recorder was killed; the session goes on as part {resume.part}",
            part=resume.part,
            offset_s=round(self.offset_s, 3),
            missing_s=round(self.offset_s - resume.end_s, 3),
        )

    def discarded(self) -> bool:
        """Remove work folders without a picture in them, and return whether that was done: sound is kept."""
        try:
            self.storage.discard()
        except LiputError:
            return False
        return True
