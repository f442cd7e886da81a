"""A plan's recorder, being started: on a thread, because devices and disks may take their time."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from agent.asking import specify
from agent.checks.document import document
from agent.checks.history import History
from agent.requests.lookup import with_request
from agent.schedule.plan import Plan
from config.errors import LiputError
from config.schema import Settings
from recorder.asked import Asked
from recorder.control.spawn import Spawned
from recorder.control.spec import Spec

ROOT = Path("/")

type Spawn = Callable[[Spec], Spawned]


def spec_of(
    plan: Plan, settings: Settings, config_file: Path | None, *, archive: Path | None, arm_only: bool
) -> tuple[Spec, str]:
    """Return what a plan's recorder is asked to be, and why it is not for the plan's request; "" where it is.

    Nobody is there to be asked: a slate stands for a device that is missing, and a request that cannot be had costs no
    recording. No word of a plan is a file's name without its folder: who may plan on the page may not read what lies
    where the daemon was started.
    """
    newest = History().newest(datetime.now(UTC))
    asked = Asked(
        title=plan.title,
        videos=plan.videos,
        audios=plan.audios,
        streams=plan.streams,
        layout=plan.layout,
        profile=plan.profile,
        archive=archive,
        allow_missing=True,
        checked=None if newest is None else document(newest, settings.general.language),
    )
    why = ""
    try:
        asked = with_request(asked, plan.request, settings)
    except LiputError as error:
        why = error.message
    spec = specify(asked, config_file, arm_only=arm_only)
    return msgspec.structs.replace(spec, plan=plan.id, folder=ROOT), why


class Beginning:
    """One recorder that is being started; `outcome` says how that went, once it is known."""

    def __init__(self, plan: Plan, recorder: Spawned, *, records: bool) -> None:
        self.plan = plan
        self.records = records
        """Whether it records at once."""
        self.recorder: str | None = None
        self.error: LiputError | None = None
        self._spawned = recorder
        self._thread = threading.Thread(target=self._wait, daemon=True, name="schedule-begin")

    def start(self) -> None:
        """Tell it what it shall be, and wait for it, on a thread."""
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it is known how it went."""
        return not self._thread.is_alive()

    @property
    def notes(self) -> list[str]:
        """What it has to say to people, once it is ready."""
        return self._spawned.notes

    def _wait(self) -> None:
        try:
            self.recorder = self._spawned.ready().id
        except LiputError as error:
            self.error = error
        except Exception as error:  # of whatever kind: it is told, and tried again
            self.error = LiputError(repr(error))
