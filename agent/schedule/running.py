"""The running sessions for the schedule: those of plans, and those that people began."""

import contextlib
import time
from collections.abc import Iterator

from agent.daemon.presence import SUCCESSOR_WAIT_S, is_taking_over
from agent.schedule.decide import RunningSession
from config.errors import LiputError
from devices.host.clock import boot_id
from recorder.control.spec import decode_spec
from recorder.model.status import SessionState
from recorder.running import runtime_directory
from recorder.running.client import RunningRecorder, running_recorders
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo

TAKEOVER_S = 60.0
"""Limit for a takeover of a killed recorder: later than this, the session may be disarmed."""


def running_sessions() -> list[RunningSession]:
    """Return running sessions, and killed ones that wait for a takeover. Raises LiputError."""
    found = running_recorders()
    alive = [
        RunningSession(one.info.id, one.info.title, one.info.started_at, plan_of(one.folder), _state(one))
        for one in found
    ]
    known = {run.plan for run in alive if run.plan}
    replaced = {one.info.replaces for one in found}
    killed = (run for run in _killed() if (run.plan not in known if run.plan else run.recorder not in replaced))
    return [*killed, *alive]


def _state(one: RunningRecorder) -> SessionState | None:
    """Return the state; None during a takeover, since such a session must not be disarmed."""
    is_coming = time.time() - one.info.started_at.timestamp() < TAKEOVER_S
    return None if is_coming and is_taking_over(one.folder, one.info) else one.state


def _killed() -> Iterator[RunningSession]:
    """Yield the sessions of killed recorders until a takeover, or until they are given up.

    A session that people began counts only for the usual time of a takeover: no plan waits for a disk that may not
    return.
    """
    for folder in runtime_directory.killed_recorders():
        if (info := folder.info()) and _is_of_this_boot(info):
            plan = plan_of(folder)
            if plan is not None or (info.work and time.time() - folder.last_beat_s < SUCCESSOR_WAIT_S):
                yield RunningSession(info.id, info.title, info.started_at, plan)


def _is_of_this_boot(info: RecorderInfo) -> bool:
    return info.boot_id == boot_id()


def plan_of(folder: RecorderFolder) -> str | None:
    """Return the id of a recorder's plan, or None."""
    with contextlib.suppress(OSError, LiputError):
        return decode_spec(folder.spec.read_bytes()).plan
    return None
