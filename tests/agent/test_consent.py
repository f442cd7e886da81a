"""The speakers' consent: asked where somebody sits, never for long, and never of a script."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from agent.sessions import options
from tests.support import command
from tests.support.room import Room
from tests.support.terminal import Terminal

SESSION = ("record", "--title", "Rapat", "--video", "synthetic", "--audio", "none", "--for", "500ms")


def recording_of(room: Room) -> dict[str, Any]:
    (package,) = room.packages()
    recording: dict[str, Any] = json.loads((package / "metadata" / "recording.json").read_bytes())
    return recording


@pytest.fixture
def streamed(room: Room) -> Path:
    """Return the folder of a destination."""
    folder = room.home / "siaran"
    folder.mkdir()
    room.configure(f'[destinations.kampus]\nurl = "{folder.as_uri()}"\n')
    return folder


@pytest.mark.parametrize(
    ("line", "state"),
    [("y", "given"), (" Tidak  setuju", "refused"), ("", "not-asked"), ("mungkin", "not-asked"), (None, "not-asked")],
)
def test_an_answer_is_a_state_and_what_is_none_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str | None, state: str
) -> None:
    monkeypatch.setattr(options, "can_ask", lambda: True)
    monkeypatch.setattr("select.select", lambda *_: ([line] if line is not None else [], [], []))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{line}\n"))
    monkeypatch.setattr("termios.tcflush", lambda *_: None)
    consent = options.ask_consent(None, "", language="en", may_ask=True)
    assert (consent.state, consent.noted_at is None) == (state, state == "not-asked")
    said = capsys.readouterr().err
    assert "Do the speakers agree to being recorded" in said
    assert ("noted: not asked" in said) == (line == "mungkin")
    assert options.ask_consent(None, "", language="en", may_ask=False).state == "not-asked"


def test_who_sits_at_a_terminal_is_asked_and_again_for_the_stream(room: Room, streamed: Path) -> None:
    with Terminal(room.home, *SESSION, "--stream", "kampus", "--archive", room.archive) as terminal:
        terminal.until("Apakah para pembicara setuju direkam")
        terminal.press("T\n")
        terminal.until("Tetap siarkan ke kampus")
        terminal.press("\n")
        assert terminal.wait() == 0
        assert "tidak disiarkan ke kampus" in terminal.text
    assert recording_of(room)["consent"]["state"] == "refused"
    assert not any(streamed.iterdir())


def test_a_session_does_not_wait_for_an_answer(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an answer is no key of the session either: the `q` that stands there does not end it."""
    code = "from agent.cli import main\nfrom agent.sessions import options\noptions.PATIENCE_S = 0.5\nmain.main()"
    monkeypatch.setattr("tests.support.terminal.LIPUT", (command.LIPUT[0], "-P", "-c", code))
    with Terminal(room.home, *SESSION, "--archive", room.archive) as terminal:
        terminal.until("Apakah")
        terminal.press("q")
        terminal.until("LIVE")
        assert terminal.wait() == 0
    assert recording_of(room)["duration_s"] >= 0.5


@pytest.mark.parametrize("although", [False, True])
def test_a_script_is_not_asked_and_streams_what_the_speakers_refuse_only_where_it_says_so(
    room: Room, streamed: Path, although: bool
) -> None:
    words = ("--consent", "refused", "--consent-note", "moderator", "--stream", "kampus", "--for", "3s")
    done = command.liput(room.home, *SESSION, *words, *["--although-refused"] * although, "--archive", room.archive)
    assert done.returncode == 0, done.stderr
    assert any(streamed.iterdir()) == although
    assert ("tidak disiarkan ke kampus" in done.stderr) != although
    kept = recording_of(room)["consent"]
    assert (kept["state"], kept["note"]) == ("refused", "moderator")
    export = ("archive", "export", room.packages()[0].name, room.home / "rapat.zip", "--archive", room.archive)
    for more in ((), ("--redact",), ("--mp4",), ("--json",)):
        done = command.liput(room.home, *export, *more)
        assert (done.returncode, "do not agree" in done.stderr) == (2, True)
    with Terminal(room.home, *export) as terminal:
        terminal.until("Hand it over all the same")
        terminal.press("y\n" if although else "\n")
        assert terminal.wait() == (0 if although else 1)
    assert (room.home / "rapat.zip").exists() == although
    (room.home / "rapat.zip").unlink(missing_ok=True)
    assert command.liput(room.home, *export, "--although-refused").returncode == 0


def test_an_armed_session_keeps_it_with_the_records_of_the_settings_but_for_what_it_says(
    room: Room, streamed: Path
) -> None:
    records = '[records]\nclassification = "HM.01"\nsecurity = "biasa"\nretention_active = "2 tahun"\n'
    room.settings.write_text(room.settings.read_text() + records)
    words = ("--consent", "refused", "--classification", "HM.02", "--disposition", "permanen")
    armed = command.liput(room.home, "arm", *SESSION[1:-2], "--archive", room.archive, *words)
    assert armed.returncode == 0, armed.stderr
    add = ("destination", "add", "kampus")
    done = command.liput(room.home, *add)
    assert (done.returncode, "do not agree" in done.stderr, "--although-refused" in done.stderr) == (2, True, True)
    assert command.liput(room.home, *add, "--although-refused").returncode == 0
    for asked in (("destination", "remove", "kampus"), ("start",), ("stop",)):
        done = command.liput(room.home, *asked)
        assert done.returncode == 0, done.stderr
    recording = recording_of(room)
    assert recording["consent"]["state"] == "refused"
    assert recording["records"] == {
        "classification": "HM.02", "security": "biasa", "retention_active": "2 tahun", "retention_inactive": "",
        "disposition": "permanen",
    }  # fmt: skip
