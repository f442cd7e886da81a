"""Starts the recorder of a plan."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.checks.history import recent_run
from agent.features import with_request
from agent.schedule.plan import Plan
from agent.sessions.control import make_spec
from config.errors import LiputError, as_liput_error
from config.settings.schema import Settings
from devices.host.deadline import DeadlineTask
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.session.request import SessionRequest

type SpawnRecorder = Callable[[RecorderSpec], SpawnedRecorder]


def spec_of(
    plan: Plan, settings: Settings, config_file: Path | None, *, archive: Path | None, arm_only: bool
) -> tuple[RecorderSpec, LiputError | None]:
    """Return the spec of a plan's recorder, and the problem with the plan's request, if any.

    Nobody can be asked: a slate stands for a missing device, and a session goes on without a missing request. A plan's
    words never name files, since people who plan on the page may not read the daemon's folder.
    """
    asked = SessionRequest(
        title=plan.title,
        videos=plan.videos,
        audios=plan.audios,
        streams=plan.streams,
        layout=plan.layout,
        profile=plan.profile,
        archive=archive,
        allow_missing=True,
        checked=recent_run(settings.general.language),
    )
    problem: LiputError | None = None
    try:
        asked = with_request(asked, plan.request, settings)
    except LiputError as error:
        problem = error
    spec = make_spec(asked, config_file, arm_only=arm_only)
    return msgspec.structs.replace(spec, plan=plan.id, folder=Path("/")), problem


@dataclass(eq=False)
class StartingRecorder:
    """A recorder that is starting; a thread waits for it."""

    plan: Plan
    spawned: SpawnedRecorder
    records: bool  # at once; else it is only armed

    def __post_init__(self) -> None:
        self._task = DeadlineTask(self.spawned.ready, "schedule-begin")

    @property
    def is_over(self) -> bool:
        return self._task.is_over

    def recorder(self) -> str:
        """Return the id of the ready recorder. Raises LiputError."""
        try:
            return self._task.result().id
        except Exception as error:  # of any kind: it is reported, and the beginning tried again
            raise as_liput_error(error) from None
