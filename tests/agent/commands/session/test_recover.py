"""`liput recover` as people and scripts use it."""

import json
import os
import threading
from pathlib import Path
from uuid import uuid4

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


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return Material(3.0).write(tmp_path_factory.mktemp("left"))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "arsip")


def settings(home: Path, *roots: Path) -> Path:
    """Write settings whose archive is the first root, and whose further paths are the others."""
    file = home / "liput.toml"
    paths = ", ".join(f'"{root}"' for root in roots[1:])
    file.write_text(f'[archive]\npath = "{roots[0]}"\n[storage]\npaths = [{paths}]\n')
    return file


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
    assert command.liput(tmp_path, "recover", "--json", "--archive", archive.root).stdout == ""


def test_what_was_lost_while_it_was_recorded_is_said_and_status_3(archive: Archive, left: Left, tmp_path: Path) -> None:
    lost = leftovers.event(1.0, "source-lost", "podium")
    ended = leftovers.event(3.1, "session-ended", "Rapat", media_time_s=3.0, frames=90)
    leftovers.leave(archive, {"program.mp4": left.closed}, events=[live(), lost, ended])
    done = command.liput(tmp_path, "recover", "--archive", archive.root)
    assert done.returncode == 3
    assert "while it was recorded: source-lost: podium" in done.stderr
    assert "nothing is missing" not in done.stderr


def test_all_places_of_the_settings_are_looked_at(archive: Archive, left: Left, tmp_path: Path) -> None:
    second = archives.archive_at(tmp_path / "cadangan")
    leftovers.leave_killed(archive, left)
    leftovers.leave_killed(second, left, part=2, offset_s=5.0)
    where = {"LIPUT_CONFIG": str(settings(tmp_path, archive.root, second.root, tmp_path / "not there"))}
    done = command.liput(tmp_path, "recover", "--json", more=where)
    assert done.returncode == 3, done.stderr
    (line,) = command.lines(done.stdout)
    assert len(list(archive.list())) == 1
    assert second.list() == []
    gaps = line["gaps"]
    assert isinstance(gaps, list)
    assert gaps[0]["reason"].startswith("between part 1 and part 2")


def test_a_dry_run_changes_nothing(archive: Archive, left: Left, tmp_path: Path) -> None:
    folder = leftovers.leave_killed(archive, left)
    done = command.liput(tmp_path, "recover", "--dry-run", "--archive", archive.root)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{folder.name}: Rapat Senat, ")
    assert (folder / "begun.json").exists()
    done = command.liput(tmp_path, "recover", "--dry-run", "--json", "--archive", archive.root)
    assert json.loads(done.stdout)["state"] == "unfinished"


def test_one_session_by_its_key_and_no_other(archive: Archive, left: Left, tmp_path: Path) -> None:
    leftovers.leave_killed(archive, left)
    other = archive.begin("Lain", archives.STARTED)
    other.release()
    done = command.liput(tmp_path, "recover", "nonsense", "--archive", archive.root)
    assert (done.returncode, done.stdout) == (1, "")
    assert "3f2a91c0" in done.stderr
    done = command.liput(tmp_path, "recover", "2026", "--archive", archive.root)
    assert (done.returncode, done.stdout) == (1, "")
    assert "several" in done.stderr
    assert command.liput(tmp_path, "recover", "3f2a91c0", "--archive", archive.root).returncode == 3
    assert other.path.is_dir()


def test_where_it_is_not_known_what_is_missing_that_is_said(archive: Archive, left: Left, tmp_path: Path) -> None:
    """As after the PC's clock was set: the last write seems to have been years later."""
    leftovers.leave_killed(archive, left, written_s=9e8)
    done = command.liput(tmp_path, "recover", "--archive", archive.root)
    assert done.returncode == 3
    assert "the last second may be missing" in done.stderr


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


@pytest.mark.parametrize(
    "words", [("recover", "--json"), ("archive", "list", "--json"), ("archive", "verify", "--all")]
)
def test_a_pipe_among_what_was_left_hangs_no_command(
    archive: Archive, left: Left, tmp_path: Path, words: tuple[str, ...]
) -> None:
    other = leftovers.leave_killed(archive, left, title="Wisuda", uuid=uuid4())
    pipe = leftovers.leave_killed(archive, left) / "begun.json"
    pipe.unlink()
    os.mkfifo(pipe)
    done = command.liput(tmp_path, *words, "--archive", archive.root, timeout=20)
    assert done.stderr == "" or words[1] == "verify"
    if words[0] == "recover":
        assert [line["state"] for line in command.lines(done.stdout)] == ["sealed", "sealed"]
    elif words[1] == "list":
        assert {other.name, pipe.parent.name} <= {one["id"] for one in json.loads(done.stdout)}


@pytest.fixture
def _awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a session whose recorder was killed, with a daemon that is about to go on with it."""
    archive = archives.archive_at(tmp_path / "arsip")
    work = leftovers.leave(archive, {"program.mp4": Material(3.0).write(tmp_path).killed}, events=[live()])
    monkeypatch.setattr("agent.commands.session.recover.is_serving", lambda: True)
    monkeypatch.setattr("agent.commands.session.recover.sessions_to_resume", lambda: {work.name})


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

    monkeypatch.setattr("agent.commands.session.recover.is_serving", lambda: True)
    monkeypatch.setattr("agent.commands.session.recover.sessions_to_resume", lambda: killed)
    monkeypatch.setattr("agent.commands.session.recover.time.sleep", end_of_its_recorder)
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
    monkeypatch.setattr("agent.commands.session.recover.time.sleep", lambda seconds: pytest.fail("it waits"))
    held = archive.reopen(folder)
    (session,) = find_unfinished([archive])
    assert recover_session(Recovery([archive], clock=SystemClock()), session).state is RecoveryState.RECORDING
    held.release()
