"""A recorder as a process, a child or a unit: how it is asked for, what it says first, and a log that cannot grow."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from config.errors import SessionError, UsageError
from config.events import Event
from config.settings.secrets import Secret, StreamTarget
from config.state import STATE_VARIABLE as STATE
from devices.host.process import process_started
from recorder.control import launch, process
from recorder.control.recorder import MainThreadInbox
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import (
    LARGEST_LOG_BYTES,
    PASSED_VARIABLES,
    RecorderSpec,
    decode_spec,
    encode_spec,
    encode_spec_for_disk,
)
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running import runtime_directory
from recorder.running.client import ControlClient, read_result
from recorder.running.protocol import RecorderRefused, StopCommand, WatchCommand
from recorder.session.request import SessionRequest
from tests.support.sessions import faults
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[3]


# What it is asked to be comes through the pipe whole, and onto the disk without addresses

KEY = "kunci-9f27-rahasia"
ODD = Path(os.fsdecode(b"/srv/arsip-\xff"))
ASKED = SessionRequest(
    title="Rapat senat",
    videos=(str(ODD / "film.mkv"),),
    audios=("none",),
    duration_s=5400.0,
    streams=["youtube", "@/srv/alamat"],
    targets=[
        StreamTarget("stdin", Secret(f"rtmps://h/app/{KEY}")),
        StreamTarget("x", Secret("rtmp://h/a/b"), Path("/ca")),
    ],
    archive=ODD,
    reserve=5,
)
SPEC = RecorderSpec(asked=ASKED, settings=Path("/etc/liput.toml"), folder=ODD, arm_only=True)


def test_it_comes_through_the_pipe_as_it_is_and_an_address_hides_its_key() -> None:
    given = decode_spec(encode_spec(SPEC))
    assert given == SPEC
    target, _ = given.asked.targets
    assert target.url.redact(f"cannot open {KEY}") == "cannot open (hidden)"
    assert KEY not in repr(given)
    plain = RecorderSpec(asked=SessionRequest(title="x", streams=[], targets=[]))
    assert decode_spec(encode_spec(RecorderSpec(asked=SessionRequest(title="x")))) == plain


def test_what_is_saved_holds_no_address_and_says_by_what_keys_are_found_and_which_destinations_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in PASSED_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    found_by = {"DISPLAY": ":7", "CREDENTIALS_DIRECTORY": "/run/credentials/liput.service"}
    for name, value in (found_by | {"SECRET": KEY}).items():
        monkeypatch.setenv(name, value)
    saved = encode_spec_for_disk(SPEC)
    assert KEY.encode() not in saved
    assert b"rtmp" not in saved
    asked = msgspec.structs.replace(ASKED, targets=[])
    assert decode_spec(saved) == msgspec.structs.replace(
        SPEC, asked=asked, unsaved=("stdin", "x"), environment=found_by
    )
    assert decode_spec(encode_spec_for_disk(decode_spec(saved))) == decode_spec(saved)


@pytest.mark.parametrize(
    "text",
    [b"\xff", b"{}", b'{"asked": {"title": "x", "archive": 5}}', b"[" * 100_000,
     b'{"asked": {"title": "x", "targets": [{"name": "x", "url": ["' + KEY.encode() + b'"]}]}}'],
)  # fmt: skip
def test_anything_else_is_refused_in_a_line_that_repeats_none_of_it(text: bytes) -> None:
    with pytest.raises(UsageError, match="no specification") as refused:
        decode_spec(text)
    assert KEY not in refused.value.message
    assert "\n" not in refused.value.message


# A child


def spec_of(folder: Path, **more: object) -> RecorderSpec:
    words = {"title": "x", "videos": ("synthetic",), "archive": folder / "arsip", "reserve": 0, "profile": "240p15"}
    asked = SessionRequest(**(words | more))  # type: ignore[arg-type] # what the names say
    return RecorderSpec(asked=asked, folder=folder)


@pytest.mark.parametrize("text", [b"rubbish", b"x" * (2 << 20)])
def test_what_is_no_specification_is_refused_in_one_line(text: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", launch.MODULE],
        input=text, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["type"] == "error"
    assert (done.returncode, done.stderr) == (2, b"")
    assert runtime_directory.known_recorders() == []


def test_what_cannot_be_planned_is_raised_with_its_exit_status(tmp_path: Path) -> None:
    with pytest.raises(RecorderRefused, match="9000p") as refused:
        SpawnedRecorder(spec_of(tmp_path, profile="9000p")).ready()
    assert refused.value.exit_status == UsageError.exit_status
    assert runtime_directory.known_recorders() == []


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide the module of a recorder that does what is written into it."""
    control = tmp_path / "palsu" / "recorder" / "control"
    control.mkdir(parents=True)
    for folder in (control, control.parent):
        (folder / "__init__.py").touch()
    monkeypatch.setattr("devices.host.child.HOME", tmp_path / "palsu")
    return control / "process.py"


def test_one_that_dies_before_it_says_anything_is_told_with_its_last_words_which_change_no_terminal(
    tmp_path: Path, fake: Path
) -> None:
    fake.write_text("import sys; sys.exit('\\x1b[31mrusak')\n")
    with pytest.raises(SessionError, match=r"did not start: \[31mrusak") as died:
        SpawnedRecorder(spec_of(tmp_path)).ready()
    assert died.value.message.isprintable()


def test_one_that_is_never_ready_is_given_up(tmp_path: Path, fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.write_text("import time; time.sleep(60)\n")
    monkeypatch.setattr("recorder.control.spawn.READY_S", 0.5)
    spawned = SpawnedRecorder(spec_of(tmp_path))
    with pytest.raises(SessionError, match="has not been ready within"):
        spawned.ready()
    assert spawned.wait(60.0)


def test_a_folder_that_has_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="No such file"):
        SpawnedRecorder(spec_of(tmp_path / "tidak-ada"))


def test_one_that_is_to_end_before_it_can_hear_that_ends_in_order(tmp_path: Path) -> None:
    spawned = SpawnedRecorder(spec_of(tmp_path))
    spawned.terminate()
    folder = spawned.ready()
    assert spawned.wait(60.0)
    end = read_result(runtime_directory.ended_recorder_folder(folder.id))
    assert isinstance(end, SessionResult)
    assert (end.state, end.package) == (SessionState.IDLE, None)


def test_many_signals_are_one_wish_to_end_and_those_of_terminals_none() -> None:
    numbers = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    inbox: MainThreadInbox = queue.SimpleQueue()
    try:
        process.handle_signals(inbox)
        for number in numbers * 20:
            signal.raise_signal(number)
        assert (inbox.qsize(), inbox.get_nowait()) == (1, "end")
        signal.raise_signal(signal.SIGTERM)
        assert inbox.get_nowait() == "end"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


def test_what_it_records_is_for_this_user_alone_and_a_destination_whose_address_is_kept_nowhere_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without a manager that listens, and with the umask that a unit of an older Liput has."""
    monkeypatch.setenv(launch.RECORDERS_VARIABLE, str(tmp_path / "tiada.sock"))
    before = os.umask(0o022)
    try:
        spawned = SpawnedRecorder(msgspec.structs.replace(spec_of(tmp_path), unsaved=("stdin",)))
    finally:
        os.umask(before)
    folder = spawned.ready()
    (note,) = spawned.notes
    assert "is no unit of its own" in note
    with ControlClient(folder) as connection:
        connection.request(WatchCommand(every_s=0.1, events_from=0))
        told = connection.told_within(30.0)
        event = next(each for each in told if isinstance(each, Event))
        assert (event.kind, event.subject) == ("destination-forgotten", "stdin")
        status = next(each for each in told if isinstance(each, SessionStatus) and each.media_time_s > 0)
        assert "destination-forgotten: stdin" in status.troubles
        made = [path for path in (tmp_path / "arsip").rglob("*") if path.stat().st_mode & 0o077]
        assert (made, any((tmp_path / "arsip").rglob("program.mp4"))) == ([], True)
        connection.request(StopCommand())
        result = next(each for each in connection.told_within(30.0) if isinstance(each, SessionResult))
    assert "destination-forgotten: stdin" in result.degraded
    assert spawned.wait(60.0)


# A unit of a service manager

RECORDER = (sys.executable, "-P", "-m", launch.MODULE, launch.UNIT_ARGUMENT)


@pytest.fixture
def manage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Provide what starts systemd-socket-activate, which starts `words` for each connection; it returns its pid."""
    managers = []

    def manage(*words: str) -> int:
        address = tmp_path / "recorders.sock"
        variables = [f"--setenv={name}={os.environ[name]}" for name in (STATE, runtime_directory.RUNTIME_VARIABLE)]
        manager = subprocess.Popen(
            ["systemd-socket-activate", f"--listen={address}", "--accept", "--inetd", *variables,
             f"--setenv=PYTHONPATH={ROOT}", "--", *words],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        managers.append(manager)
        wait_for(address.exists)
        monkeypatch.setenv(launch.RECORDERS_VARIABLE, str(address))
        return manager.pid

    yield manage
    for manager in managers:
        manager.terminate()
        manager.wait()


def test_a_session_is_recorded_by_a_spare_that_is_not_ours_and_is_told_what_it_does_not_inherit(
    tmp_path: Path, manage: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = manage("setsid", *RECORDER)
    monkeypatch.setenv("PULSE_SERVER", "unix:/tiada")
    monkeypatch.setenv("SECRET", "tidak diteruskan")
    spawned = SpawnedRecorder(None)
    wait_for(lambda: spawned.pid)
    assert not spawned.wait(0.0)
    spawned.give(spec_of(tmp_path))
    folder = spawned.ready()
    assert spawned.notes == []
    info = folder.info()
    assert info
    assert spawned.pid == info.pid
    parent = Path(f"/proc/{info.pid}/stat").read_text().rpartition(")")[2].split()[1]
    assert int(parent) == manager
    saved = decode_spec(folder.spec.read_bytes()).environment
    assert saved
    assert saved["PULSE_SERVER"] == "unix:/tiada"
    assert "SECRET" not in saved
    with ControlClient(folder) as connection:
        connection.request(WatchCommand(every_s=0.1))
        told = connection.told_within(60.0)
        next(each for each in told if isinstance(each, SessionStatus) and each.media_time_s > 0)
        connection.request(StopCommand())
        result = next(each for each in told if isinstance(each, SessionResult))
    assert (result.state, faults(result)) == ("sealed", [])
    assert spawned.wait(30.0)


def test_a_spare_ends_when_it_is_let_go(manage: Callable[..., int]) -> None:
    manage(*RECORDER)
    spawned = SpawnedRecorder(None)
    pid = wait_for(lambda: spawned.pid)
    spawned.discard()
    assert process_started(pid) is None


@pytest.mark.parametrize("is_read", [True, False])
def test_a_spare_whose_client_is_gone_ends_without_a_word(*, is_read: bool) -> None:
    ours, its = socket.socketpair()
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        its,
        subprocess.Popen(RECORDER, stdin=its.fileno(), stdout=its.fileno(), stderr=subprocess.PIPE, env=env) as spare,
    ):
        ours.recv(100, 0 if is_read else socket.MSG_PEEK)  # what was not read makes the end of it a reset
        ours.close()
        _, errors = spare.communicate(timeout=60)
    assert (spare.returncode, errors) == (0, b"")


def test_a_unit_that_is_never_ready_is_killed(
    tmp_path: Path, manage: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    manage("/bin/sh", "-c", "echo $$; exec sleep 60")
    monkeypatch.setattr("recorder.control.spawn.READY_S", 0.5)
    spawned = SpawnedRecorder(spec_of(tmp_path))
    pid = wait_for(lambda: spawned.pid)
    with pytest.raises(SessionError, match="has not been ready within"):
        spawned.ready()
    assert spawned.wait(60.0)
    wait_for(lambda: process_started(pid) is None)
