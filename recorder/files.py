"""The files that a session records into, from its start to its end, and the outputs that its packets go through."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec

from config.errors import LiputError
from devices.host.clock import NANOSECONDS, Clock
from recorder.encoder import Encoder
from recorder.eventlog import EventLog
from recorder.live.destinations import Destinations
from recorder.outputs import Outputs
from recorder.plan import SessionPlan
from recorder.storing.failover import Failover
from recorder.storing.opening import StorageTask, StreamFormat


def storage_task(plan: SessionPlan, began_ns: int, clock: Clock, destinations: Sequence[str]) -> StorageTask:
    """Return what a recording asks of its disks that began at `began_ns` on the session clock, or goes on."""
    back_ns = clock.now_ns() - began_ns if plan.live else 0
    began = clock.now() - timedelta(seconds=back_ns / NANOSECONDS)
    task = StorageTask(
        archives=plan.archives,
        storage=plan.storage,
        recording=plan.recording,
        bytes_per_s=(plan.profile.video_bitrate + plan.profile.audio_bitrate) / 8,
        planned_s=plan.duration_s,
        waits=not plan.live,
        title=plan.title,
        started_at=began,
        context=msgspec.structs.replace(plan.context, destinations=destinations),
    )
    if (resume := plan.resume) is None:
        return task
    return replace(
        task,
        title=resume.title,
        started_at=resume.started_at,
        uuid=resume.uuid,
        offset_s=resume.offset_s(began_ns, began),
        part=resume.part,
        earlier=resume.works,
    )


class SessionFiles:
    """Owns the storage of one recording, and its outputs; used by the session's thread, figures from any."""

    def __init__(
        self,
        task: StorageTask,
        encoder: Encoder,
        form: int,
        *,
        clock: Clock,
        log: EventLog,
        live: Destinations,
        on_failure: Callable[[LiputError], None],
    ) -> None:
        """Make the work folder and start the writers; `live` destinations are not connected yet.

        The first pictures are of `form`. `on_failure` is told when no disk is left. Raises LiputErrors; then nothing is
        left behind.
        """
        self.offset_s = task.offset_s
        """Where in the session's media time that of this recorder begins."""
        stream_format = StreamFormat(form, encoder.templates_of(form))
        may_change = encoder.may_change_form
        self.storage = Failover(task, stream_format, may_change=may_change, clock=clock, log=log, on_failure=on_failure)
        self.work = self.storage.begin()
        """The first work folder."""
        self.outputs = Outputs(self.storage, form, encoder.templates_of, live=live)

    def discarded(self) -> bool:
        """Remove work folders without a picture in them, and return whether that was done: sound is kept."""
        try:
            self.storage.discard()
        except LiputError:
            return False
        return True
