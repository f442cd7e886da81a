"""The daemon's part `sessions`: resumes each session that lost its recorder, and recovers remains of a crash."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.daemon.parts import poll
from agent.daemon.presence import RESUME_WITHIN_S, sessions_to_resume
from config.errors import (
    ArchiveError,
    LiputError,
    PackageBusy,
    PackageNotFound,
    SessionError,
    UsageError,
    as_liput_error,
)
from devices.host.background import BackgroundTask, pause_s
from devices.host.clock import NANOSECONDS, Clock, boot_id
from devices.host.threads import start_thread
from devices.host.throttle import LogOnChange, Tell
from recorder.archive.archive import Archive
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec, decode_spec
from recorder.recovery.unfinished import UnfinishedSession, find_joinable, find_unfinished
from recorder.running.client import read_result
from recorder.running.protocol import RecorderFailure, RecorderRefused, encode
from recorder.running.runtime_directory import (
    RecorderFolder,
    RecorderInfo,
    alive_recorders,
    is_session_running,
    killed_recorders,
)

if TYPE_CHECKING:
    from recorder.recovery.recover import RecoveryOutcome

type TellOutcome = Callable[[RecoveryOutcome], None]

LONGEST_JOIN_PAUSE_S = 6 * 3600.0  # between attempts to join packages
RECOVER_S = 60.0  # between two looks for work folders on returned disks, and for parts to join


@dataclass(eq=False)
class SessionRecovery:
    """Recovers sessions in its archives, and gives each outcome to `recovered`."""

    archives: Sequence[Archive]
    clock: Clock
    tell: Tell
    recovered: TellOutcome
    _failures: Counter[str] = field(default_factory=Counter)  # of joins, by session
    _next_s: dict[str, float] = field(default_factory=dict)  # time of the next attempt to join, by session
    _seen: set[str] | None = None

    def __post_init__(self) -> None:
        self._log_once = LogOnChange(self.tell)

    def recover_round(self) -> None:
        """Recover work folders, and join parts; may take hours. Raises LiputError.

        The first round takes all work folders. Later rounds wait until no session runs, and take those seen in the
        round before: a recorder may not have locked a new one yet.
        """
        seen, self._seen = self._seen, self._seen or set()
        if seen is not None and is_session_running():
            return
        sessions = find_unfinished(self.archives)
        self._seen = {session.name for session in sessions}
        for session in sessions:
            if session.name not in _looked_after() and (seen is None or session.name in seen):
                self.recover(self.archives, session)
        self._join_all()
        self._log_once("", "archive")

    def tell_failed(self, error: Exception) -> None:
        """Log why a round has failed, once."""
        self._log_once(as_liput_error(error).message, "archive")

    def recover(self, archives: Sequence[Archive], session: UnfinishedSession) -> None:
        from recorder.recovery.recover import Recovery

        self._tell_outcome(Recovery(archives, clock=self.clock).recover(session))

    def _join_all(self) -> None:
        """Join parts that are packages of their own, if there is room. Stops when a session begins."""
        for session in find_joinable(self.archives):
            from recorder.recovery.recover import Recovery, RecoveryState

            if is_session_running():
                return
            if time.monotonic() < self._next_s.get(session.name, 0.0):
                continue
            outcome = Recovery(self.archives, clock=self.clock, progress=_refuse_beside_session).recover(session)
            if outcome.state is RecoveryState.FAILED:  # for instance a damaged part, which takes a full read to find
                self._failures[session.name] += 1
                pause = pause_s(self._failures[session.name], LONGEST_JOIN_PAUSE_S, first_s=RECOVER_S)
                self._next_s[session.name] = time.monotonic() + pause
            self._tell_outcome(outcome)

    def _tell_outcome(self, outcome: "RecoveryOutcome") -> None:
        if self._log_once.is_new(f"{outcome.state} {outcome.message}", outcome.id):
            self.recovered(outcome)


def _refuse_beside_session(*_far: object) -> None:
    """Raise SessionError if a session runs: it needs the disk."""
    if is_session_running():
        raise SessionError("a session runs", hint="The parts are joined when it has ended.")


def _looked_after() -> set[str | None]:
    with suppress(LiputError, OSError):
        return {*(info.session for _, info in alive_recorders()), *sessions_to_resume()}
    return set()


def load_recovery() -> None:
    """Load PyAV and numpy once a session runs, so that resuming it does not wait for them."""
    import recorder.recovery.recover
    import recorder.recovery.resume  # noqa: F401


LOOK_S = 0.25  # between two looks for killed recorders
LONGEST_PAUSE_S = 30.0  # between attempts to resume a session
KILLED = "its recorder was killed, and no other could go on with it"
SETTLED_S = 10.0  # a recorder that lived for so long was not killed by its input


@dataclass(eq=False)
class RecorderSupervisor:
    archives: Sequence[Archive]
    clock: Clock
    tell: Tell
    recovered: TellOutcome
    spawn: Callable[[RecorderSpec], SpawnedRecorder] = SpawnedRecorder
    when_idle: Callable[[], None] = lambda: None  # called at each look without a session to resume
    name: str = "sessions"
    _failures: Counter[str] = field(default_factory=Counter)  # to resume, by folder
    _next_s: dict[str, float] = field(default_factory=dict)  # time of the next attempt to resume, by folder
    _early_deaths: dict[str, int] = field(default_factory=dict)
    _resuming: set[str] = field(default_factory=set)
    _children: list[SpawnedRecorder] = field(default_factory=list)
    _is_prepared: bool = False

    def __post_init__(self) -> None:
        self._log_once = LogOnChange(self.tell)
        self._recovery = SessionRecovery(self.archives, self.clock, self.tell, self.recovered)

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        recovery = self._recovery
        recovering = BackgroundTask(
            "recover", recovery.recover_round, pause=RECOVER_S, failed=recovery.tell_failed, clock=self.clock
        )
        recovering.start()
        try:
            poll(self._resume_killed, LOOK_S, self.clock, stop, beat)
        finally:
            recovering.stop()

    def _resume_killed(self) -> None:
        self._children = [child for child in self._children if not child.wait(0.0)]
        left: list[RecorderFolder] = []
        try:
            left = self._killed_folders()
            self._log_once("")
        except (LiputError, OSError) as error:
            self._log_once(f"the runtime directory cannot be read: {error}")
        for folder in left:
            if folder.id not in self._next_s:
                self._next_s[folder.id] = self._first_attempt_s(folder)
            if folder.id not in self._resuming and time.monotonic() >= self._next_s[folder.id]:
                self._resuming.add(folder.id)
                undo = partial(self._resuming.discard, folder.id)
                start_thread(self._try_to_resume, folder, name="resume", otherwise=undo)
        if not self._resuming:
            self.when_idle()

    def _killed_folders(self) -> list[RecorderFolder]:
        """Return the folders to resume. One whose recorder died before it recorded yields to its predecessor."""
        killed = {folder.id: folder for folder in killed_recorders()}
        alive = list(alive_recorders())
        if alive and not self._is_prepared:
            self._is_prepared = True
            start_thread(load_recovery, name="prepare")
        taken = {info.replaces for _, info in alive}
        infos = {folder_id: folder.info() for folder_id, folder in killed.items()}
        vain = {folder_id for folder_id, info in infos.items() if info and info.replaces in killed}
        for folder_id in vain:
            killed[folder_id].remove()
        return [folder for folder_id, folder in killed.items() if folder_id not in vain | taken]

    def _first_attempt_s(self, folder: RecorderFolder) -> float:
        """Return the time to resume a session: at once, or later if its recorders die early again and again."""
        info = folder.info()
        if info is None:
            return 0.0
        session = info.session or info.title
        lived_s = folder.last_beat_s - info.started_at.timestamp()
        early = self._early_deaths.get(session, 0) + 1 if lived_s < SETTLED_S else 0
        self._early_deaths[session] = early
        return time.monotonic() + (pause_s(early - 1, LONGEST_PAUSE_S) if early > 1 else 0.0)

    def _try_to_resume(self, folder: RecorderFolder) -> None:
        """Resume one session; log a failure, and set the time of the next attempt."""
        try:
            self._resume(folder)
        except Exception as error:  # the other sessions need the daemon
            self._failures[folder.id] += 1
            self._next_s[folder.id] = time.monotonic() + pause_s(self._failures[folder.id], LONGEST_PAUSE_S)
            self.tell(f"the session of recorder {folder.id} cannot be taken up now: {error}")
        finally:
            self._resuming.discard(folder.id)

    def _resume(self, folder: RecorderFolder) -> None:
        from recorder.recovery.resume import lock_for_resume, session_had_ended

        info = folder.info()
        if info is None:
            return
        if time.time() - folder.last_beat_s > RESUME_WITHIN_S:
            failed = None if info.work and session_had_ended(Path(info.work)) else RecorderFailure(message=KILLED)
            self._give_up(folder, info, f'"{info.title}" was killed long ago', failed=failed)
            return
        spec = next_spec(folder, info, self._recorded_s(info))
        if spec is None:
            self._give_up(folder, info, f'"{info.title}" had been recorded as long as was asked for')
            return
        if spec.asked.resume is not None:
            try:
                lock_for_resume(self._archives_of(info), spec.asked.resume, self.clock).release()
            except (PackageBusy, PackageNotFound):
                raise  # its disk may return; recovery removes the folder
            except ArchiveError as error:  # it had ended
                self._give_up(folder, info, f'"{info.title}" is not gone on with: {error.message}')
                return
        recorder = self.spawn(spec)
        next_folder = recorder.ready()
        self._children.append(recorder)
        # The recorder removes the folder once it records or is armed.
        while folder.path.exists() and not recorder.wait(LOOK_S):
            pass
        if not folder.path.exists():
            self.tell(f'the recorder of "{info.title}" was killed; another one goes on')
            return
        end = read_result(next_folder)
        if end is None or isinstance(end, RecorderFailure):
            raise RecorderRefused(end) if end else SessionError("the recorder that would continue it was killed")
        self._give_up(folder, info, f'"{info.title}" was ended before another recorder could go on with it')

    def _recorded_s(self, info: RecorderInfo) -> float:
        """Return the recorded time, by the monotonic clock if the PC has not restarted."""
        if info.live_clock_ns is not None and info.boot_id == boot_id():
            return (self.clock.now_ns() - info.live_clock_ns) / NANOSECONDS
        return (self.clock.now() - info.live_at).total_seconds() if info.live_at else 0.0

    def _archives_of(self, info: RecorderInfo) -> list[Archive]:
        """Return the archives with parts of a session: its own, then ours."""
        mine = [archive for archive in self.archives if str(archive.root) != info.archive]
        return [Archive(Path(info.archive), self.clock), *mine]

    def _give_up(
        self, folder: RecorderFolder, info: RecorderInfo, why: str, failed: RecorderFailure | None = None
    ) -> None:
        """Recover a session instead of resuming it; `failed` is its result unless somebody has ended it."""
        if failed is None:
            folder.remove()
        else:
            folder.end(encode(failed))
        archives = self._archives_of(info)
        try:
            left = [session for session in find_unfinished(archives) if session.name == info.session]
        except LiputError as error:
            left, why = [], f"{why}: {error.message}"
        if failed and info.session and not left:
            why = f"{why}, and nothing of it is in {info.archive} now: `liput recover` makes a package of it when it is"
        self.tell(why)
        for session in left:
            self._recovery.recover(archives, session)


def next_spec(folder: RecorderFolder, info: RecorderInfo, passed_s: float) -> RecorderSpec | None:
    """Return the request for the next recorder; None if the planned time is over.

    Missing devices become slates, since nobody can be asked. An armed session is armed again. Raises UsageError,
    OSError.
    """
    try:
        spec = decode_spec(folder.spec.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{folder.path} has no specification of its session") from None
    asked = msgspec.structs.replace(spec.asked, allow_missing=True)
    spec = msgspec.structs.replace(spec, replaces=folder.id, asked=asked)
    if info.work is None:
        return spec
    asked = msgspec.structs.replace(asked, resume=Path(info.work))
    if asked.duration_s is not None:
        asked = msgspec.structs.replace(asked, duration_s=asked.duration_s - passed_s)
        if asked.duration_s is not None and asked.duration_s <= 1.0:
            return None
    return msgspec.structs.replace(spec, asked=asked, arm_only=False)
