"""What the daemon says: for people, for programs, and as JSON where systemd gives it the journal; never a secret."""

import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.daemon.log import AT_ONCE, PER_S, SUPPRESSED, DaemonLog, log_form
from agent.terminal.redact import redactor
from config.settings.secrets import Secret
from devices.host.clock import NANOSECONDS
from tests.support import command
from tests.support.simulated import SimulatedClock

KEY = "kunci-siaran-rahasia"


class Written:
    """What was written to standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    return Written(capsys)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def log(written: Written, clock: SimulatedClock) -> Iterator[DaemonLog]:
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    made = DaemonLog("journal", clock)
    made.know(redactor([Secret(KEY)]))
    yield made
    logging.captureWarnings(capture=False)
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    threading.excepthook = hook


def lines(written: Written) -> list[dict[str, str]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_says_who_says_it_and_how_serious_it_is(log: DaemonLog, written: Written) -> None:
    log.say("ready")
    log.of("sessions")('the recorder of "Rapat" was killed')
    log.of("alarms", "warning")("two\nlines \udc80")
    assert lines(written) == [
        {"level": "info", "part": "daemon", "message": "ready"},
        {"level": "info", "part": "sessions", "message": 'the recorder of "Rapat" was killed'},
        {"level": "warning", "part": "alarms", "message": "two\nlines \N{REPLACEMENT CHARACTER}"},
    ]


@pytest.mark.parametrize(
    ("thread", "part"),
    [("part-web", "web"), ("part-alarms-mail", "alarms"), ("resume", "sessions"), ("MainThread", "daemon")],
)
def test_who_says_it_is_known_by_the_thread(log: DaemonLog, written: Written, thread: str, part: str) -> None:
    speaking = threading.Thread(target=log.of(level="error"), args=("it has broken",), name=thread)
    speaking.start()
    speaking.join()
    assert lines(written) == [{"level": "error", "part": part, "message": "it has broken"}]


def test_what_libraries_say_goes_the_same_way(log: DaemonLog, written: Written) -> None:
    log.take_over()
    library = logging.getLogger("a.library")
    library.debug("nothing")
    library.warning("port %d, passphrase=%s", 8642, KEY)
    library.warning("%d", "no number")
    try:
        int(f"wrong: {KEY}")
    except ValueError:
        library.exception("it failed")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    first, second, third, fourth = lines(written)
    assert first == {"level": "warning", "part": "a.library", "message": "port 8642, passphrase=(hidden)"}
    assert second["message"] == "%d"
    assert (third["level"], third["message"]) == ("error", "it failed")
    assert "ValueError: invalid literal for int() with base 10: 'wrong: (hidden)'" in third["traceback"]
    assert (fourth["part"], "old ways" in fourth["message"]) == ("py.warnings", True)
    assert KEY not in written.getvalue()


def test_what_comes_again_and_again_is_left_out_and_hides_nothing_else(
    log: DaemonLog, written: Written, clock: SimulatedClock
) -> None:
    log.take_over()
    library = logging.getLogger("asyncio")
    for number in range(1000):
        library.error("socket.accept() out of system resource: fd=%d", number)
        log.say("the disk is away")
    log.say("something else")
    said = lines(written)
    assert len(said) == 2 * AT_ONCE + 1
    assert [line["message"].endswith(SUPPRESSED) for line in said] == [False] * 38 + [True, True, False]
    clock.advance_to(clock.now_ns() + int(NANOSECONDS / PER_S))
    log.say("the disk is away")
    log.say("the disk is away")
    (again,) = lines(written)[len(said) :]
    assert again["message"] == f"the disk is away {SUPPRESSED}"


def test_what_breaks_a_thread_is_a_line(log: DaemonLog, written: Written) -> None:
    log.take_over()

    def breaks() -> None:
        raise OSError(f"no way to {KEY}")

    broken = threading.Thread(target=breaks, name="part-alarms-mail")
    broken.start()
    broken.join()
    (line,) = lines(written)
    assert (line["level"], line["part"]) == ("error", "alarms")
    assert line["message"] == "the thread part-alarms-mail has broken: OSError('no way to (hidden)')"
    assert "in breaks" in line["traceback"]
    assert KEY not in written.getvalue()


def test_people_and_programs_get_their_own_forms(capsys: pytest.CaptureFixture[str]) -> None:
    DaemonLog("people", SimulatedClock()).of("web")("password=rahasia123 is wrong")
    assert capsys.readouterr().err == "password=(hidden) is wrong\n"
    DaemonLog("programs", SimulatedClock()).of("web")("ready")
    assert json.loads(capsys.readouterr().out) == {"type": "note", "at": "2026-11-24T09:00:00Z", "text": "ready"}


def test_what_cannot_be_written_breaks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        DaemonLog("journal", SimulatedClock()).say("nobody hears this")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), gone.fileno())


def test_the_journal_is_known_by_what_systemd_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "other").open("w") as other:
        found = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr(sys, "stderr", journal)
        assert log_form(as_json=False) == "journal"
        assert log_form(as_json=True) == "programs"
        monkeypatch.setattr(sys, "stderr", other)
        assert log_form(as_json=False) == "people"
        monkeypatch.setattr(sys, "stderr", journal)
        monkeypatch.setenv("JOURNAL_STREAM", "nonsense")
        assert log_form(as_json=False) == "people"
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert log_form(as_json=False) == "people"


# The daemon itself


def serve(folder: Path, journal: int) -> "subprocess.Popen[bytes]":
    """Start the daemon with a journal as systemd gives it: a socket that is its standard output and error."""
    found = os.fstat(journal)
    variables = command.environment(folder, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
    return subprocess.Popen(
        [*command.LIPUT, "serve"], env=variables, cwd=folder, stdin=subprocess.DEVNULL,
        stdout=journal, stderr=journal,
    )  # fmt: skip


@pytest.fixture
def journal() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    with ours, theirs:
        yield ours, theirs


def test_the_daemon_under_systemd_says_json_from_its_first_to_its_last_line(
    tmp_path: Path, journal: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = journal
    with serve(tmp_path, theirs.fileno()) as daemon:
        theirs.close()
        received = b""
        while b"ready" not in received:
            received += ours.recv(4096)
        status, refused = serve_again(tmp_path)
        daemon.send_signal(signal.SIGTERM)
        while chunk := ours.recv(4096):
            received += chunk
        assert daemon.wait(30) == 0
    found = [json.loads(line) for line in received.splitlines()]
    assert {"level": "info", "part": "daemon", "message": "ready"} in found
    assert all(line.keys() >= {"level", "part", "message"} for line in found)
    assert status == 1
    (line,) = [json.loads(text) for text in refused.splitlines()]
    assert (line["level"], line["part"]) == ("error", "daemon")
    assert line["message"].startswith("liput serve runs already")


def serve_again(folder: Path) -> tuple[int, str]:
    """Run a second one, whose journal is a file; return its exit status, and what it said."""
    path = folder / "journal"
    with path.open("wb") as stream:
        found = os.fstat(stream.fileno())
        variables = command.environment(folder, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        done = subprocess.run(
            [*command.LIPUT, "serve"], env=variables, cwd=folder, stdout=stream, stderr=stream, timeout=60, check=False
        )
    return done.returncode, path.read_text()
