"""A recorder as a process: what it says first, whatever it is asked, and a log that cannot grow."""

import json
import os
import queue
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import LiputError, SessionError, UsageError
from config.events import Event
from recorder.control import process, spawn
from recorder.control.recorder import MainThreadInbox
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import LARGEST_LOG_BYTES, RecorderSpec
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running import runtime_directory
from recorder.running.client import ControlClient, read_result
from recorder.running.protocol import RecorderRefused, StopCommand, WatchCommand
from recorder.session.request import SessionRequest

ROOT = Path(__file__).parents[3]


def asked(tmp_path: Path, **more: object) -> SessionRequest:
    words = {"title": "x", "videos": ("synthetic",), "archive": tmp_path / "arsip", "reserve": 0}
    return SessionRequest(**(words | more))  # type: ignore[arg-type] # what the names say


@pytest.mark.parametrize("text", [b" ", b"rubbish", b'{"asked": 5}', b"x" * (2 << 20)])
def test_what_is_no_specification_is_refused_in_one_line(text: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "recorder.control.process"],
        input=text, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["type"] == "error"
    assert (done.returncode, done.stderr) == (2, b"")
    assert runtime_directory.known_recorders() == []


def test_what_cannot_be_planned_is_raised_with_its_exit_status(tmp_path: Path) -> None:
    spawned = SpawnedRecorder(RecorderSpec(asked=asked(tmp_path, profile="9000p"), folder=tmp_path))
    with pytest.raises(RecorderRefused, match="9000p") as refused:
        spawned.ready()
    assert refused.value.exit_status == UsageError.exit_status
    assert runtime_directory.known_recorders() == []


def home_with_recorder(tmp_path: Path, code: str) -> Path:
    """Return a place whose recorder does nothing but `code`."""
    control = tmp_path / "palsu" / "recorder" / "control"
    control.mkdir(parents=True)
    for folder in (control, control.parent):
        (folder / "__init__.py").touch()
    (control / "process.py").write_text(code)
    return tmp_path / "palsu"


def test_a_recorder_that_dies_before_it_says_anything_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.host.child.HOME", home_with_recorder(tmp_path, "raise RuntimeError('rusak')\n"))
    with pytest.raises(SessionError, match="did not start: RuntimeError: rusak"):
        SpawnedRecorder(RecorderSpec(asked=asked(tmp_path))).ready()


def test_one_that_is_to_end_before_it_can_hear_that_ends_in_order(tmp_path: Path) -> None:
    spawned = SpawnedRecorder(RecorderSpec(asked=asked(tmp_path), folder=tmp_path))
    spawned.terminate()
    folder = spawned.ready()
    assert spawned.wait(60.0)
    end = read_result(runtime_directory.ended_recorder_folder(folder.id))
    assert isinstance(end, SessionResult)
    assert (end.state, end.package) == (SessionState.IDLE, None)


def test_what_a_recorder_says_at_its_end_changes_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; sys.exit('\\x1b[31mrusak')\n"
    monkeypatch.setattr("devices.host.child.HOME", home_with_recorder(tmp_path, code))
    with pytest.raises(SessionError, match=r"did not start: \[31mrusak") as died:
        SpawnedRecorder(RecorderSpec(asked=asked(tmp_path))).ready()
    assert died.value.message.isprintable()


def test_a_recorder_that_is_never_ready_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.host.child.HOME", home_with_recorder(tmp_path, "import time; time.sleep(60)\n"))
    monkeypatch.setattr(spawn, "READY_S", 0.5)
    spawned = SpawnedRecorder(RecorderSpec(asked=asked(tmp_path)))
    with pytest.raises(SessionError, match="has not been ready within"):
        spawned.ready()
    assert spawned.wait(60.0)


def test_a_folder_that_has_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="No such file"):
        SpawnedRecorder(RecorderSpec(asked=asked(tmp_path), folder=tmp_path / "tidak-ada"))


def test_a_runtime_directory_that_is_not_ours_keeps_it_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    monkeypatch.setenv(runtime_directory.RUNTIME_VARIABLE, str(tmp_path / "run"))
    with pytest.raises(LiputError, match="no folder that only this user can write to"):
        SpawnedRecorder(RecorderSpec(asked=asked(tmp_path), folder=tmp_path)).ready()
    assert not (tmp_path / "arsip").exists()


def test_what_libraries_print_goes_to_a_log_that_does_not_grow(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom recorder.control.spec import rotate_log, redirect_output\n"
        "path = Path(sys.argv[1])\nredirect_output(path)\n"
        "for number in range(300):\n"
        "    print(f'line {number}', flush=True)\n    os.write(2, b'x' * 9999 + b'\\n')\n    rotate_log(path)\n"
    )
    path = tmp_path / "recorder.log"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["recorder.log", "recorder.old"]
    assert all(file.stat().st_size <= LARGEST_LOG_BYTES + 20_000 for file in files)
    assert "line 299" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_destination_whose_address_is_kept_nowhere_is_told(tmp_path: Path) -> None:
    spawned = SpawnedRecorder(
        RecorderSpec(asked=asked(tmp_path, profile="240p15"), folder=tmp_path, unsaved=("stdin",))
    )
    with ControlClient(spawned.ready()) as connection:
        connection.request(WatchCommand(every_s=0.1, events_from=0))
        told = connection.told_within(30.0)
        event = next(each for each in told if isinstance(each, Event))
        assert (event.kind, event.subject) == ("destination-forgotten", "stdin")
        status = next(each for each in told if isinstance(each, SessionStatus) and each.media_time_s > 0)
        assert "destination-forgotten: stdin" in status.troubles
        connection.request(StopCommand())
        result = next(each for each in connection.told_within(30.0) if isinstance(each, SessionResult))
    assert "destination-forgotten: stdin" in result.degraded
    assert spawned.wait(60.0)


def test_what_it_records_is_for_this_user_alone_whoever_starts_it(tmp_path: Path) -> None:
    """As a unit that an older Liput has installed is started, with the umask of the service manager."""
    before = os.umask(0o022)
    try:
        spawned = SpawnedRecorder(RecorderSpec(asked=asked(tmp_path, profile="240p15"), folder=tmp_path))
    finally:
        os.umask(before)
    with ControlClient(spawned.ready()) as connection:
        connection.request(WatchCommand(every_s=0.1, events_from=0))
        told = connection.told_within(30.0)
        next(each for each in told if isinstance(each, SessionStatus) and each.media_time_s > 0)
        made = [path for path in (tmp_path / "arsip").rglob("*") if path.stat().st_mode & 0o077]
        assert (made, any((tmp_path / "arsip").rglob("program.mp4"))) == ([], True)
        connection.request(StopCommand())
    assert spawned.wait(60.0)


def test_many_signals_are_one_wish_to_end_and_those_of_terminals_none() -> None:
    numbers = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    inbox: MainThreadInbox = queue.SimpleQueue()
    try:
        process.handle_signals(inbox)
        for _ in range(100):
            for number in numbers:
                signal.raise_signal(number)
        assert (inbox.qsize(), inbox.get_nowait()) == (1, "end")
        signal.raise_signal(signal.SIGTERM)
        assert inbox.get_nowait() == "end"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
