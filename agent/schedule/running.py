"""The sessions of plans and of people: those that run, those that have ended, and commands to their recorders."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime

from agent.daemon.presence import SUCCESSOR_WAIT_S, is_taking_over
from agent.schedule.decide import PlanAct, RunningSession
from agent.schedule.plan import PlanMode
from config.errors import LiputError, SessionError
from config.settings.quantities import brief_duration
from devices.host.clock import boot_id
from recorder.control.spec import decode_spec
from recorder.model.status import SessionResult, SessionState
from recorder.running.client import RunningRecorder, read_result, running_recorders, send_command
from recorder.running.protocol import AnyRequest, RecorderFailure, RecorderRefused
from recorder.running.runtime_directory import RecorderFolder, ended_recorder_folder, killed_recorders, runtime_folder

TAKEOVER_S = 60.0  # limit for a takeover of a killed recorder: later than this, the session may be disarmed


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
    for folder in killed_recorders():
        if (info := folder.info()) and info.boot_id == boot_id():
            plan = plan_of(folder)
            if plan is not None or (info.work and time.time() - folder.last_beat_s < SUCCESSOR_WAIT_S):
                yield RunningSession(info.id, info.title, info.started_at, plan)


def plan_of(folder: RecorderFolder) -> str | None:
    """Return the id of a recorder's plan, or None."""
    with contextlib.suppress(OSError, LiputError):
        return decode_spec(folder.spec.read_bytes()).plan
    return None


def ask_recorder(recorder: str, request: AnyRequest) -> None:
    """Send a request to a recorder. Raises LiputError, OSError."""
    send_command(RecorderFolder(runtime_folder() / recorder), request)


def was_disarmed(recorder: str) -> bool:
    """Return whether a recorder has ended without a recording."""
    end = read_result(ended_recorder_folder(recorder))
    return isinstance(end, SessionResult) and end.state is SessionState.IDLE


def failure_reason(act: PlanAct, now: datetime) -> LiputError | None:
    """Return why a plan's session must begin again; None if it is over, or people ended it."""
    if not act.plan.holds or now >= act.plan.ends_at:
        return None
    end = read_result(ended_recorder_folder(act.recorder))
    if isinstance(end, RecorderFailure):
        return RecorderRefused(end)
    if isinstance(end, SessionResult) and end.broke_off and act.plan.mode is PlanMode.RECORD:
        lasted = brief_duration(end.duration_s)
        return SessionError(f"its recording broke off after {lasted} ({', '.join(end.degraded)})", why="broke-off")
    return None
