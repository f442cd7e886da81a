"""What the commands that recover leave to a daemon."""

import threading
from pathlib import Path

import msgspec
import pytest

from agent.archives.recovery import recover_session
from agent.commands.archive.seal import seal_command
from agent.commands.session.recover import recover_command
from config.errors import ArchiveError
from devices.host.clock import SystemClock
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_unfinished
from recorder.running import runtime_directory
from tests.support import archives, leftovers
from tests.support.cut_short import Material
from tests.support.leftovers import live


@pytest.fixture
def _awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a session whose recorder was killed, with a daemon that is about to go on with it."""
    archive = archives.archive_at(tmp_path / "arsip")
    work = leftovers.leave(archive, {"program.mp4": Material(3.0).write(tmp_path).killed}, events=[live()])
    monkeypatch.setattr("agent.archives.recovery.is_serving", lambda: True)
    monkeypatch.setattr("agent.archives.recovery.sessions_to_resume", lambda now_s: {work.name})


@pytest.mark.usefixtures("_awaited")
def test_what_a_daemon_is_about_to_go_on_with_is_left_to_it(tmp_path: Path) -> None:
    archive = archives.archive_at(tmp_path / "arsip")
    recovery = Recovery([archive], clock=SystemClock())
    (session,) = find_unfinished([archive])
    for dry_run in (False, True):
        assert recover_session(recovery, session, dry_run=dry_run).state is RecoveryState.RECORDING
    with pytest.raises(ArchiveError, match="taken up again by liput serve"):
        seal_command.main(["--all", "--archive", str(archive.root)], standalone_mode=False)
    assert recover_command.main(["--archive", str(archive.root)], standalone_mode=False) == 0
    (still,) = find_unfinished([archive])
    assert still.parts == session.parts


@pytest.mark.usefixtures("runtime")
def test_a_lock_that_a_child_of_the_killed_recorder_still_has_is_waited_for(tmp_path: Path) -> None:
    runtime_directory.runtime_folder(make=True)
    archive = archives.archive_at(tmp_path / "arsip")
    folder = leftovers.leave(archive, {"program.mp4": Material(3.0).write(tmp_path).killed}, events=[live()])
    held = archive.reopen(folder)
    recovery = Recovery([archive], clock=SystemClock())
    (session,) = find_unfinished([archive])
    assert recover_session(recovery, session).state is RecoveryState.RECORDING, "it is not waited for for ever"
    threading.Timer(0.5, held.release).start()
    assert recover_session(recovery, session).state is RecoveryState.SEALED


@pytest.mark.usefixtures("runtime")
def test_a_session_whose_recorder_is_killed_meanwhile_is_left_to_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archives.archive_at(tmp_path / "arsip")
    work = leftovers.leave(archive, {"program.mp4": Material(3.0).write(tmp_path).killed}, events=[live()])
    held, killed = archive.reopen(work), set[str]()

    def end_of_its_recorder(_seconds: float) -> None:
        held.release()
        killed.add(work.name)

    monkeypatch.setattr("agent.archives.recovery.is_serving", lambda: True)
    monkeypatch.setattr("agent.archives.recovery.sessions_to_resume", lambda now_s: killed)
    monkeypatch.setattr("agent.archives.recovery.time.sleep", end_of_its_recorder)
    (session,) = find_unfinished([archive])
    outcome = recover_session(Recovery([archive], clock=SystemClock()), session)
    assert (outcome.state, "liput serve" in outcome.message) == (RecoveryState.RECORDING, True)
    (still,) = find_unfinished([archive])
    assert still.parts == session.parts


@pytest.mark.usefixtures("runtime")
def test_what_is_recorded_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archives.archive_at(tmp_path / "arsip")
    folder = leftovers.leave(archive, {"program.mp4": Material(3.0).write(tmp_path).killed}, events=[live()])
    info = runtime_directory.new_recorder_info("Rapat Senat", archive.root, SystemClock().now())
    runtime_directory.make_recorder_folder(msgspec.structs.replace(info, work=str(folder)), b"{}")
    monkeypatch.setattr("agent.archives.recovery.time.sleep", lambda seconds: pytest.fail("it waits"))
    held = archive.reopen(folder)
    (session,) = find_unfinished([archive])
    assert recover_session(Recovery([archive], clock=SystemClock()), session).state is RecoveryState.RECORDING
    held.release()
