"""`liput recover` as people and scripts use it."""

import json
import threading
from pathlib import Path

import msgspec
import pytest

from agent.commands.session.recover import recover_command, recover_session, seal_command
from config.errors import ArchiveError
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_unfinished
from recorder.running import runtime_directory
from tests.support import archives, command, leftovers
from tests.support.leftovers import Left, Material, live

RECOVER = "agent.commands.session.recover"


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return Material(3.0).write(tmp_path_factory.mktemp("left"))


@pytest.fixture
def killed(archive: Archive, left: Left, runtime: Path) -> Path:
    """Leave a session whose recorder was killed; return its folder."""
    runtime_directory.runtime_folder(make=True)
    return leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])


def test_it_seals_what_a_kill_left_and_says_what_is_missing(archive: Archive, left: Left, tmp_path: Path) -> None:
    leftovers.leave_killed(archive, left, written_s=3.5)
    done = command.liput(tmp_path, "recover", "--archive", archive.root)
    assert done.returncode == 3, done.stderr
    (package,) = archive.list()
    assert done.stdout == f"{package.path}\n"
    assert "Rapat Senat: 0:00:0" in done.stderr
    assert "missing: 0." in done.stderr
    again = command.liput(tmp_path, "recover", "--archive", archive.root)
    assert (again.returncode, again.stdout) == (0, "")
    assert "Nothing is unfinished" in again.stderr


def test_scripts_get_a_line_for_each_session(archive: Archive, left: Left, tmp_path: Path) -> None:
    ended = leftovers.event(3.1, "session-ended", "Rapat", media_time_s=3.0, frames=90)
    leftovers.leave(archive, {"program.mp4": left.closed}, events=[live(), ended])
    done = command.liput(tmp_path, "recover", "--json", "--archive", archive.root)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = command.lines(done.stdout)
    (package,) = archive.list()
    assert (line["type"], line["state"], line["package"]) == ("recovery", "sealed", package.path)
    assert (line["gaps"], line["degraded"], line["message"]) == ([], [], "nothing is missing")


def test_all_places_of_the_settings_are_looked_at(archive: Archive, left: Left, tmp_path: Path) -> None:
    second = archives.archive_at(tmp_path / "cadangan")
    leftovers.leave_killed(archive, left)
    leftovers.leave_killed(second, left, part=2, offset_s=5.0)
    paths = f'["{second.root}", "{tmp_path}/not there"]'
    (tmp_path / "liput.toml").write_text(f'[archive]\npath = "{archive.root}"\n[storage]\npaths = {paths}\n')
    done = command.liput(tmp_path, "recover", "--json", more={"LIPUT_CONFIG": str(tmp_path / "liput.toml")})
    assert done.returncode == 3, done.stderr
    (line,) = command.lines(done.stdout)
    assert (len(list(archive.list())), second.list()) == (1, [])
    gaps = line["gaps"]
    assert isinstance(gaps, list)
    assert gaps[0]["reason"].startswith("between part 1 and part 2")


def test_one_session_by_its_key_and_a_dry_run_changes_nothing(archive: Archive, left: Left, tmp_path: Path) -> None:
    folder = leftovers.leave_killed(archive, left)
    other = archive.begin("Lain", archives.STARTED)
    other.release()

    def recover(*words: str, status: int) -> str:
        done = command.liput(tmp_path, "recover", *words, "--archive", archive.root)
        assert (done.returncode, done.stdout == "") == (status, status == 1)
        return done.stdout if status != 1 else done.stderr

    assert "3f2a91c0" in recover("nonsense", status=1)
    assert "several" in recover("2026", status=1)
    assert recover("3f2a91c0", "--dry-run", status=0).startswith(f"{folder.name}: Rapat Senat, ")
    assert json.loads(recover("3f2a91c0", "--dry-run", "--json", status=0))["state"] == "unfinished"
    assert (folder / "begun.json").exists()
    recover("3f2a91c0", status=3)
    assert other.path.is_dir()


def test_what_is_recorded_is_left_alone_and_what_fails_is_status_1(archive: Archive, tmp_path: Path) -> None:
    work = archive.begin("Berjalan", archives.STARTED)
    done = command.liput(tmp_path, "recover", "--archive", archive.root)
    assert (done.returncode, done.stdout) == (0, "")
    assert "recording: " in done.stderr
    work.release()
    (archive.root / "2026" / "11" / work.name).mkdir(parents=True)
    work.program.write_bytes(b"not media" * 1000)
    done = command.liput(tmp_path, "recover", "--archive", archive.root)
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert "Move one of them away" in done.stderr


def test_what_a_daemon_is_about_to_go_on_with_is_left_to_it(
    archive: Archive, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{RECOVER}.is_serving", lambda: True)
    monkeypatch.setattr(f"{RECOVER}.sessions_to_resume", lambda: {killed.name})
    recovery = Recovery([archive], clock=SystemClock())
    (session,) = find_unfinished([archive])
    for dry_run in (False, True):
        assert recover_session(recovery, session, dry_run=dry_run).state is RecoveryState.RECORDING
    with pytest.raises(ArchiveError, match="taken up again by liput serve"):
        seal_command.main(["--all", "--archive", str(archive.root)], standalone_mode=False)
    assert recover_command.main(["--archive", str(archive.root)], standalone_mode=False) == 0
    (still,) = find_unfinished([archive])
    assert still.parts == session.parts


def test_a_lock_that_a_child_of_the_killed_recorder_still_has_is_waited_for(
    archive: Archive, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{RECOVER}.LETS_GO_S", 0.5)
    held = archive.reopen(killed)
    recovery = Recovery([archive], clock=SystemClock())
    (session,) = find_unfinished([archive])
    assert recover_session(recovery, session).state is RecoveryState.RECORDING, "it is not waited for for ever"
    threading.Timer(0.1, held.release).start()
    assert recover_session(recovery, session).state is RecoveryState.SEALED


def test_a_session_whose_recorder_is_killed_meanwhile_is_left_to_the_daemon(
    archive: Archive, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, resumed = archive.reopen(killed), set[str]()

    def end_of_its_recorder(_seconds: float) -> None:
        held.release()
        resumed.add(killed.name)

    monkeypatch.setattr(f"{RECOVER}.is_serving", lambda: True)
    monkeypatch.setattr(f"{RECOVER}.sessions_to_resume", lambda: resumed)
    monkeypatch.setattr(f"{RECOVER}.time.sleep", end_of_its_recorder)
    (session,) = find_unfinished([archive])
    outcome = recover_session(Recovery([archive], clock=SystemClock()), session)
    assert (outcome.state, "liput serve" in outcome.message) == (RecoveryState.RECORDING, True)


def test_what_is_recorded_is_not_waited_for(archive: Archive, killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = runtime_directory.new_recorder_info("Rapat Senat", archive.root, SystemClock().now())
    runtime_directory.make_recorder_folder(msgspec.structs.replace(info, work=str(killed)), b"{}")
    monkeypatch.setattr(f"{RECOVER}.time.sleep", lambda seconds: pytest.fail("it waits"))
    held = archive.reopen(killed)
    (session,) = find_unfinished([archive])
    assert recover_session(Recovery([archive], clock=SystemClock()), session).state is RecoveryState.RECORDING
    held.release()
