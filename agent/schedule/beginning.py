"""A plan's recorder, being started: on a thread, because devices and disks may take their time."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.asking import specify
from agent.checks.history import before_a_session
from agent.requests.lookup import with_request
from agent.schedule.plan import Plan
from config.errors import LiputError
from config.schema import Settings
from devices.host.deadline import DeadlineTask
from recorder.asked import Asked
from recorder.control.spawn import Spawned
from recorder.control.spec import Spec

ROOT = Path("/")

type Spawn = Callable[[Spec], Spawned]


def spec_of(
    plan: Plan, settings: Settings, config_file: Path | None, *, archive: Path | None, arm_only: bool
) -> tuple[Spec, str]:
    """Return the spec of a plan's recorder, and why it lacks the plan's request; "" where it has it.

    Nobody can be asked: a slate stands for a missing device, and a request that cannot be had costs no recording. Words
    of a plan never name files: people who may plan on the page may not read the daemon's folder.
    """
    asked = Asked(
        title=plan.title,
        videos=plan.videos,
        audios=plan.audios,
        streams=plan.streams,
        layout=plan.layout,
        profile=plan.profile,
        archive=archive,
        allow_missing=True,
        checked=before_a_session(settings.general.language),
    )
    why = ""
    try:
        asked = with_request(asked, plan.request, settings)
    except LiputError as error:
        why = error.message
    spec = specify(asked, config_file, arm_only=arm_only)
    return msgspec.structs.replace(spec, plan=plan.id, folder=ROOT), why


class Beginning:
    """One recorder that is being started; waits for it on a thread."""

    def __init__(self, plan: Plan, spawned: Spawned, *, records: bool) -> None:
        """Wait for `spawned`, which records at once, or is armed only."""
        self.plan = plan
        self.records = records
        self.spawned = spawned
        self._task = DeadlineTask(spawned.ready, "schedule-begin")

    @property
    def is_over(self) -> bool:
        """Whether it is known how it went."""
        return self._task.is_over

    def recorder(self) -> str:
        """Return the recorder that is ready. Raises LiputError."""
        try:
            return self._task.result().id
        except LiputError:
            raise
        except Exception as error:  # of any kind: it is told, and tried again
            raise LiputError(repr(error)) from error
