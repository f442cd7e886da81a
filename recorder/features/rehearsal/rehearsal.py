"""A rehearsal: a session that records into a scratch folder, and a review of its recording."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from capture.detectors.audio_detectors import mains_hz
from config.errors import LiputError, SessionError, StorageError
from config.events import Event
from config.settings.schema import ArchiveSettings, Settings, StorageSettings
from config.state import state_folder
from devices.host import threads
from devices.host.clock import NANOSECONDS, Clock
from recorder.features.rehearsal.review import ReviewedRecording, review_recording
from recorder.model.status import STATES_BEFORE, STATES_RECORDING, DestinationLine, SessionResult, SessionStatus
from recorder.package.work_folder import PROGRAM
from recorder.running.runtime_directory import DeviceClaims, SessionClaim, without_preview
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import Session

_PREFIX = "rehearsal-"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder and remove it at the end. Raises StorageError.

    It lies in the state folder: on a real disk, outside all archives. Folders of killed rehearsals are removed first;
    locks, which the kernel frees, tell them apart.
    """
    home = state_folder() / "rehearsals"
    try:
        home.mkdir(parents=True, exist_ok=True)
        remove_leftovers(home)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(
            f"{home} cannot be written: {error.strerror}", hint="LIPUT_STATE names another folder", why="unwritable"
        ) from None
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_leftovers(home: Path) -> None:
    """Remove the folders of killed rehearsals."""
    for folder in home.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


TITLE = "Rehearsal"
RESERVE = 100_000_000  # bytes that must stay free
ASK_S = 0.25
LONGER_S = 60.0  # extra time for slow sources and disks
LET_GO_S = 20.0  # limit for the session to stop; then it is abandoned


@dataclass(slots=True)
class RehearsalResult:
    """Result of a rehearsal: the session's end, its last status, and the review."""

    result: SessionResult | None = None
    status: SessionStatus | None = None
    film: ReviewedRecording | None = None
    problem: LiputError | None = None  # why there is no review
    events: list[Event] = field(default_factory=list)
    destinations: dict[str, DestinationLine] = field(default_factory=dict)  # the best line of each destination
    devices: Mapping[str, str] = field(default_factory=dict)  # kind of each device by its source's name


type ReportStage = Callable[[str, float], None]
"""Takes the current stage (`opening`, `recording`, `watching`) and the progress, 0 to 1."""


def rehearse(
    asked: SessionRequest,
    settings: Settings,
    clock: Clock,
    stop: threading.Event,
    *,
    seconds: float,
    stage: ReportStage,
) -> RehearsalResult:
    """Run a session for `seconds` as `asked`, and review its recording; removes all of it.

    `stop` ends it early, without a review. Raises LiputErrors that keep it from starting: a device in use, unknown
    words, a folder without write access.
    """
    with scratch_folder() as folder:
        bare = msgspec.structs.replace(
            settings,
            archive=ArchiveSettings(path=folder, reserve=RESERVE),
            storage=StorageSettings(must_be_mounted=False),
        )
        wanted = msgspec.structs.replace(
            asked,
            title=asked.title or TITLE,
            archive=folder,
            reserve=RESERVE,
            duration_s=seconds,
            resume=None,
            request=None,
        )
        stage("opening", 0.0)
        plan = plan_session(wanted, bare, clock).plan
        devices = plan.context.devices
        found = RehearsalResult(devices={device.role or device.name: str(device.kind) for device in devices})
        # It is thrown away: no slides, no report.
        plan = replace(plan, context=msgspec.structs.replace(plan.context, wishes=None))
        session = Session(plan, clock=clock, listener=found.events.append)
        pid = os.getpid()
        claims = DeviceClaims(SessionClaim(id=f"rehearsal-{pid}", title=TITLE, pid=pid))
        claims.take([(device.id, device.name) for device in devices])
        try:
            with without_preview():
                _record(session, found, clock, stop, seconds=seconds, stage=stage)
        finally:
            claims.release()
        if not stop.is_set():
            _review(found, mains_hz(settings.devices.power_line_frequency), stop, stage)
        return found


def _record(
    session: Session, found: RehearsalResult, clock: Clock, stop: threading.Event, *, seconds: float, stage: ReportStage
) -> None:
    over = threading.Event()

    def run() -> None:
        try:
            found.result = session.run()
        except LiputError as error:
            found.problem = error
        finally:
            over.set()

    session.start()
    thread = threads.start_thread(run, name="rehearsal")
    until_ns = clock.now_ns() + round((seconds + LONGER_S) * NANOSECONDS)
    while not over.is_set() and not stop.is_set() and clock.now_ns() < until_ns:
        _note_status(found, session.status(), seconds, stage)
        clock.wait(over, ASK_S)
    if not over.is_set():
        session.stop()
    thread.join(LET_GO_S)
    if not over.is_set() and found.problem is None:
        found.problem = SessionError("the rehearsal did not end", hint="liput check names the hanging source")


def _note_status(found: RehearsalResult, status: SessionStatus, seconds: float, stage: ReportStage) -> None:
    if status.state in STATES_BEFORE:
        stage("opening", 0.0)
        return
    stage("recording", min(1.0, status.elapsed_s / seconds) * 0.8)
    if status.state in STATES_RECORDING:
        found.status = status
        for line in status.destinations:
            found.destinations[line.name] = _better_line(found.destinations.get(line.name), line)


def _review(found: RehearsalResult, hz: int, stop: threading.Event, stage: ReportStage) -> None:
    if found.result is None or found.result.package is None:
        return
    stage("watching", 0.85)
    try:
        found.film = review_recording(Path(found.result.package) / "data" / "media" / PROGRAM, hz, stop)
    except LiputError as error:
        found.problem = error
    except OSError as error:
        found.problem = LiputError(f"the recording cannot be read: {error.strerror}")


def _better_line(before: DestinationLine | None, now: DestinationLine) -> DestinationLine:
    """Return the better line of a destination: live before not live."""
    if before is not None and before.state == "live" and now.state != "live":
        return msgspec.structs.replace(before, reconnects=max(before.reconnects, now.reconnects))
    return now
