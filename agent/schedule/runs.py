"""The sessions of this PC as the schedule sees them: which runs for which plan, and which people have begun."""

import contextlib
from collections.abc import Iterator

from agent.schedule.decide import Run
from config.errors import LiputError
from devices.clock import boot_id
from recorder.control import directory
from recorder.control.directory import RecorderFolder, RecorderInfo
from recorder.control.find import running
from recorder.control.spec import decode_spec


def runs() -> list[Run]:
    """Return the sessions that run, and those whose recorder was killed and is being replaced. Raises LiputError."""
    alive = [Run(one.info.id, one.info.title, one.info.started_at, plan_of(one.folder), one.state) for one in running()]
    known = {run.plan for run in alive if run.plan}
    return [*(run for run in _killed() if run.plan not in known), *alive]


def _killed() -> Iterator[Run]:
    """Yield the sessions of killed recorders: as long as their folder is there they are gone on with, or given up."""
    for folder in directory.killed():
        if info := folder.info():
            plan = plan_of(folder)
            if plan is not None and _is_of_this_boot(info):
                yield Run(info.id, info.title, info.started_at, plan)


def _is_of_this_boot(info: RecorderInfo) -> bool:
    return info.boot_id == boot_id()


def plan_of(folder: RecorderFolder) -> str | None:
    """Return the id of the plan that a recorder was begun for, None where there is none."""
    with contextlib.suppress(OSError, LiputError):
        return decode_spec(folder.spec.read_bytes()).plan
    return None
