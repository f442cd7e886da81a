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


type Capture = pytest.CaptureFixture[str]


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def log(capsys: Capture, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonLog]:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    made = DaemonLog("journal", clock)
    made.know(redactor([Secret(KEY)]))
    yield made
    logging.captureWarnings(capture=False)


def lines(capsys: Capture) -> list[dict[str, str]]:
    """Return what was written to standard error since it was asked for last; a secret is not among it."""
    written = capsys.readouterr().err
    assert KEY not in written
    return [json.loads(line) for line in written.splitlines()]


def test_a_line_says_who_says_it_and_how_serious_it_is(log: DaemonLog, capsys: Capture) -> None:
    log.say("ready")
    log.of("sessions")('the recorder of "Rapat" was killed')
    log.of("alarms", "warning")("two\nlines \udc80")
    assert lines(capsys) == [
        {"level": "info", "part": "daemon", "message": "ready"},
        {"level": "info", "part": "sessions", "message": 'the recorder of "Rapat" was killed'},
        {"level": "warning", "part": "alarms", "message": "two\nlines \N{REPLACEMENT CHARACTER}"},
    ]


def test_what_libraries_say_goes_the_same_way(log: DaemonLog, capsys: Capture) -> None:
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
    first, second, third, fourth = lines(capsys)
    assert first == {"level": "warning", "part": "a.library", "message": "port 8642, passphrase=(hidden)"}
    assert second["message"] == "%d"
    assert (third["level"], third["message"]) == ("error", "it failed")
    assert "ValueError: invalid literal for int() with base 10: 'wrong: (hidden)'" in third["traceback"]
    assert (fourth["part"], "old ways" in fourth["message"]) == ("py.warnings", True)


def test_what_comes_again_and_again_is_left_out_and_hides_nothing_else(
    log: DaemonLog, capsys: Capture, clock: SimulatedClock
) -> None:
    log.take_over()
    library = logging.getLogger("asyncio")
    for number in range(1000):
        library.error("socket.accept() out of system resource: fd=%d", number)
        log.say("the disk is away")
    log.say("something else")
    said = lines(capsys)
    assert len(said) == 2 * AT_ONCE + 1
    assert [line["message"].endswith(SUPPRESSED) for line in said] == [False] * 38 + [True, True, False]
    clock.advance_to(clock.now_ns() + int(NANOSECONDS / PER_S))
    log.say("the disk is away")
    log.say("the disk is away")
    (again,) = lines(capsys)
    assert again["message"] == f"the disk is away {SUPPRESSED}"


def test_what_breaks_a_thread_is_a_line(log: DaemonLog, capsys: Capture) -> None:
    log.take_over()

    def breaks() -> None:
        raise OSError(f"no way to {KEY}")

    broken = threading.Thread(target=breaks, name="part-alarms-mail")
    broken.start()
    broken.join()
    (line,) = lines(capsys)
    assert (line["level"], line["part"]) == ("error", "alarms")
    assert line["message"] == "the thread part-alarms-mail has broken: OSError('no way to (hidden)')"
    assert "in breaks" in line["traceback"]


def test_people_and_programs_get_their_own_forms(capsys: Capture) -> None:
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


def test_the_daemon_under_systemd_says_json_from_its_first_to_its_last_line(tmp_path: Path) -> None:
    """Systemd gives it a socket that is its standard output and error."""
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    with ours, theirs:
        found = os.fstat(theirs.fileno())
        variables = command.environment(tmp_path, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        words, journal = [*command.LIPUT, "serve"], theirs.fileno()
        with subprocess.Popen(words, env=variables, cwd=tmp_path, stdout=journal, stderr=journal) as daemon:
            theirs.close()
            received = b""
            while b"ready" not in received:
                received += ours.recv(4096)
            daemon.send_signal(signal.SIGTERM)
            while chunk := ours.recv(4096):
                received += chunk
            assert daemon.wait(30) == 0
    said = [json.loads(line) for line in received.splitlines()]
    assert {"level": "info", "part": "daemon", "message": "ready"} in said
    assert all(line.keys() >= {"level", "part", "message"} for line in said)
