"""Begins, starts and stops sessions for the command line and the page; each call blocks until it is done, or raises."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.daemon.presence import (
    RESUME_WITHIN_S,
    SUCCESSOR_WAIT_S,
    is_serving,
    is_taking_over,
    recently_killed,
    successor,
    with_replaced,
)
from config.errors import LiputError, SessionError
from config.events import Event
from config.settings.schema import find_file
from config.settings.secrets import StreamTarget, read_url_file
from recorder.control.spec import RecorderSpec
from recorder.model.names import utf8_safe
from recorder.model.session_faults import SESSION_LIVE
from recorder.model.status import STATES_BEFORE, SessionResult, SessionState, SessionStatus
from recorder.running.client import ControlClient, RecorderLost, RunningRecorder, find_running, read_result
from recorder.running.protocol import (
    DisarmCommand,
    RecorderFailure,
    RecorderRefused,
    StartCommand,
    StopCommand,
    WatchCommand,
)
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo, alive_recorders, ended_recorder_folder
from recorder.session.request import SessionRequest

STDIN = "@-"


def make_spec(asked: SessionRequest, config_file: Path | None, *, arm_only: bool = False) -> RecorderSpec:
    """Return the spec; reads an address from our standard input if asked. Raises SecretError without an address."""
    streams = list(dict.fromkeys(asked.streams))
    targets = list(asked.targets)
    if STDIN in streams:
        streams.remove(STDIN)
        targets.append(StreamTarget("stdin", read_url_file("-")))
    return RecorderSpec(
        asked=msgspec.structs.replace(asked, streams=streams, targets=targets),
        settings=absolute(find_file(config_file)),
        folder=working_folder(),
        arm_only=arm_only,
    )


def working_folder() -> Path:
    """Return the base of relative paths; the root if our working folder was removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def absolute(path: Path | None) -> Path | None:
    return None if path is None else working_folder() / path.expanduser()


START_S = 120.0  # limit for a start: a session that is still arming opens its devices first
ARM_S = 120.0  # limit for arming: disks and devices have 10 to 20 s to answer, and a busy PC is slow
LOOK_S = 0.1
QUIET_S = 60.0
EXIT_S = 5.0  # limit for a recorder to exit after its result

NOTHING_RUNS = SessionResult(state=SessionState.IDLE, package=None, duration_s=0.0, frames=0, degraded=[])


class SessionLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session"):
    """A running session; `state` and `status` are null if its recorder does not answer."""

    id: str
    title: str
    state: SessionState | None
    archive: str
    work: str | None
    started_at: str
    pid: int
    folder: str
    status: SessionStatus | None
    practice: bool = False


def line_of(found: RunningRecorder) -> SessionLine:
    info = found.info
    return SessionLine(
        id=info.id,
        title=info.title,
        state=found.state,
        archive=info.archive,
        work=info.work,
        started_at=info.started_at.isoformat(),
        practice=info.practice,
        pid=info.pid,
        folder=utf8_safe(str(found.folder.path)),
        status=found.status,
    )


def until_armed(folder: RecorderFolder) -> None:
    """Wait until the devices are open and missing ones are reported; raises the error that prevented it."""
    with ControlClient(folder) as connection:
        connection.request(WatchCommand(every_s=LOOK_S, events_from=0))
        for told in connection.told_within(ARM_S):
            if isinstance(told, Event) and told.kind in {"session-armed", SESSION_LIVE}:
                return
            if isinstance(told, SessionResult):
                raise SessionError("it was disarmed before its devices were open", why="ended")
    raise SessionError(
        f"the devices are not open after {ARM_S:.0f} s", hint="liput devices lists them", why="not-ready"
    )


def start(found: RunningRecorder, pre_roll_s: float) -> None:
    """Start a session and wait until it records; raises the error that prevented it."""
    with ControlClient(found.folder) as connection:
        connection.request(WatchCommand(every_s=LOOK_S))
        connection.request(StartCommand(pre_roll_s=pre_roll_s))
        _until_it_records(connection)


def until_it_records(folder: RecorderFolder) -> None:
    """Wait until a new recorder records; raises the error that prevented it."""
    with ControlClient(folder) as connection:
        connection.request(WatchCommand(every_s=LOOK_S, events_from=0))
        _until_it_records(connection)


def until_taken_over(folder: RecorderFolder) -> None:
    """Wait until a takeover has finished or failed."""
    info = folder.info()
    if info is not None and is_taking_over(folder, info):
        with suppress(LiputError):
            until_it_records(folder)


def _until_it_records(connection: ControlClient) -> None:
    for told in connection.told_within(START_S):
        if isinstance(told, Event) and told.kind == "start-failed":
            hint, why, about = (str(told.detail.get(name, "")) for name in ("hint", "why", "about"))
            raise RecorderRefused(RecorderFailure(message=told.message, hint=hint, why=why, about=about))
        if isinstance(told, SessionStatus) and told.state not in {*STATES_BEFORE, SessionState.FAILED}:
            return  # of a failed one the failure with its reason follows
        if isinstance(told, SessionResult) or (isinstance(told, Event) and told.kind == SESSION_LIVE):
            return
    raise SessionError(
        f"the session has not begun to record within {START_S:.0f} s",
        hint="liput status says how it is; liput stop ends it",
        why="not-begun",
    )


def earlier_end(key: str | None) -> SessionResult | None:
    """Return the end of an already stopped session; without a key, NOTHING."""
    if key is None:
        return NOTHING_RUNS
    end = read_result(ended_recorder_folder(key))
    if isinstance(end, RecorderFailure):
        raise RecorderRefused(end)
    return end


def killed_error() -> SessionError:
    """Return the error for a killed recorder without a successor."""
    return SessionError(
        "the recorder was killed; its recording up to then is kept",
        hint="`liput recover` makes a package of it",
        why="killed",
    )


def successor_of(
    key: str | None, *, is_whole: bool = False, within_s: float = RESUME_WITHIN_S, patience_s: float = SUCCESSOR_WAIT_S
) -> RunningRecorder | None:
    """Return the successor of a recorder that was killed within `within_s`; waits for it up to `patience_s`.

    `key` is the killed one's id or its beginning (the whole id if `is_whole`); None matches any. Returns None without
    such a session or without a daemon. Raises SessionError if no successor comes, or it does not begin to record.
    """

    def is_meant(recorder_id: str) -> bool:
        return key is None or recorder_id == key or (not is_whole and recorder_id.startswith(key.lower() or "-"))

    missed: SessionError | None = None
    for folder, info in recently_killed(within_s):
        if is_meant(folder.id) and is_serving():
            try:
                return _successor(folder, info, patience_s)
            except SessionError as error:
                missed = error
    if missed is not None:
        raise missed
    # It may have taken over since the caller looked for a running session.
    came = (folder.id for folder, info in alive_recorders() if info.replaces and is_meant(info.replaces))
    return next(filter(None, map(find_running, came)), None)


def resumed_just_now(patience_s: float) -> RunningRecorder | None:
    """Return the session that goes on for one killed just now; None without one, or if it failed."""
    with suppress(LiputError):
        return successor_of(None, within_s=SUCCESSOR_WAIT_S, patience_s=patience_s)
    return None


def _successor(folder: RecorderFolder, info: RecorderInfo, patience_s: float = SUCCESSOR_WAIT_S) -> RunningRecorder:
    """Wait for the successor of a killed recorder and return it; raises SessionError without one."""
    killed = with_replaced(folder, info)
    if following := successor(*killed, patience_s=patience_s):
        its_info = following.info()
        if info.session is not None:
            with suppress(RecorderLost):  # it has ended since, or was killed too
                until_it_records(following)
        if found := find_running(following.id):
            return found
        if its_info and read_result(following):  # another client has ended it since
            return RunningRecorder(following, its_info, None)
    is_open = any(recorder.path.exists() for recorder in killed)  # no folder is left after the session was given up
    if not is_serving() or not is_open:
        raise killed_error()
    raise SessionError(
        f'the recorder of "{info.title}" was killed, and none has gone on with it within {patience_s:.0f} s',
        hint="it may still do so: liput status says how it is",
        why="killed",
    )


def stop(found: RunningRecorder, *, wait: bool) -> SessionResult | None:
    """End a session or its successor, by a signal if need be; return the result if waited for."""
    until_taken_over(found.folder)
    try:
        return _asked_to_stop(found, wait=wait)
    except RecorderLost:
        _signal(found)  # it is gone or hangs; a signal still works
    while wait and found.info.is_alive:
        time.sleep(LOOK_S)
    end = read_result(found.folder)
    if isinstance(end, RecorderFailure):
        raise RecorderRefused(end)
    if end is None and not found.info.is_alive:
        return stop(_successor(found.folder, found.info), wait=wait)
    return end


def _asked_to_stop(found: RunningRecorder, *, wait: bool) -> SessionResult | None:
    with ControlClient(found.folder) as connection:
        if wait:
            connection.request(WatchCommand(every_s=3600))
        connection.request(StopCommand())
        if not wait:
            return None
        while not isinstance(told := connection.told(QUIET_S), SessionResult):
            if isinstance(told, RecorderFailure):
                raise RecorderRefused(told)
    _until_gone(found)
    return told


def _until_gone(found: RunningRecorder) -> None:
    """Wait until a recorder with a result has exited: the next command does not meet it."""
    deadline_s = time.monotonic() + EXIT_S
    while found.folder.path.exists() and found.info.is_alive and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)


def _signal(found: RunningRecorder) -> None:
    try:
        if found.info.is_alive:
            os.kill(found.info.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError:
        _until_gone(found)  # it may be ending already
        if found.folder.path.exists() and found.info.is_alive:
            raise SessionError(
                f"{found} does not answer, and its recorder is another user's",
                hint=f"IT can end it: sudo kill {found.info.pid}",
            ) from None


def disarm(found: RunningRecorder) -> SessionResult:
    """Disarm a session; raises the refusal of one that records or is taking over."""
    until_taken_over(found.folder)
    with ControlClient(found.folder) as connection:
        connection.request(WatchCommand(every_s=3600))
        connection.request(DisarmCommand())
        for told in connection.told_within(START_S):
            if isinstance(told, SessionResult):
                break
        else:
            raise SessionError(f"{found} has not ended within {START_S:.0f} s", hint="liput status says how it is")
    _until_gone(found)
    return told
