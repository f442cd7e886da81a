"""The speakers' consent: asked where somebody sits, never for long, and never of a script."""

import json
from pathlib import Path

import pytest

from agent.sessions import options
from tests.support import command
from tests.support.room import Room
from tests.support.terminal import Terminal

SESSION = ("record", "--title", "Rapat", "--video", "synthetic", "--audio", "none", "--for", "1s")


def recording_of(package: Path) -> dict[str, dict[str, str]]:
    recording: dict[str, dict[str, str]] = json.loads((package / "metadata" / "recording.json").read_bytes())
    return recording


@pytest.mark.parametrize(
    ("answer", "state"), [("y", "given"), ("Iya", "given"), ("T", "refused"), ("tidak  setuju", "refused"),
                         ("", "not-asked"), ("mungkin", "not-asked")]
)  # fmt: skip
def test_who_sits_at_a_terminal_is_asked_and_the_session_begins_whatever_the_answer(
    room: Room, answer: str, state: str
) -> None:
    with Terminal(room.home, *SESSION, "--archive", room.archive) as terminal:
        terminal.until("Apakah para pembicara setuju direkam")
        terminal.press(f"{answer}\n")
        assert terminal.wait() == 0
        assert ("dicatat: belum ditanyakan" in terminal.text) == (answer == "mungkin")
    kept = recording_of(room.only_package())["consent"]
    assert (kept["state"], kept["noted_at"] is None) == (state, state == "not-asked")


def test_the_question_is_in_the_language_of_the_room(room: Room) -> None:
    room.configure('[general]\nlanguage = "en"\n')
    with Terminal(room.home, *SESSION, "--archive", room.archive) as terminal:
        terminal.until("Do the speakers agree to being recorded")
        terminal.press("n\n")
        assert terminal.wait() == 0
    assert recording_of(room.only_package())["consent"]["state"] == "refused"


PATIENT = "from agent.cli import main\nfrom agent.sessions import options\noptions.PATIENCE_S = 0.5\nmain.main()"


def test_a_session_does_not_wait_for_an_answer(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an answer is no key of the session either: the `q` that stands there does not end it."""
    monkeypatch.setattr("tests.support.terminal.LIPUT", (command.LIPUT[0], "-P", "-c", PATIENT))
    with Terminal(room.home, *SESSION, "--archive", room.archive) as terminal:
        terminal.until("Apakah")
        terminal.press("q")
        terminal.until("LIVE")
        assert terminal.wait() == 0
    package = room.only_package()
    assert recording_of(package)["consent"]["state"] == "not-asked"
    assert options.PATIENCE_S < 30


def test_a_script_is_never_asked(room: Room) -> None:
    done = command.liput(room.home, *SESSION, "--archive", room.archive)
    assert (done.returncode, done.stderr) == (0, "")
    assert recording_of(room.only_package())["consent"] == {"state": "not-asked", "note": "", "noted_at": None}


def test_nobody_is_asked_what_was_said(room: Room) -> None:
    words = ("--consent", "given", "--consent-note", "moderator")
    with Terminal(room.home, *SESSION, "--archive", room.archive, *words) as terminal:
        assert terminal.wait() == 0
        assert "Apakah" not in terminal.text
    kept = recording_of(room.only_package())["consent"]
    assert (kept["state"], kept["note"]) == ("given", "moderator")
    assert kept["noted_at"]


def with_a_destination(room: Room) -> Path:
    folder = room.home / "siaran"
    folder.mkdir()
    room.configure(f'[destinations.kampus]\nurl = "{folder.as_uri()}"\n')
    return folder


REFUSED = ("--consent", "refused", "--stream", "kampus")


@pytest.mark.parametrize(("answer", "is_streamed"), [("y", True), ("", False), ("t", False), ("mungkin", False)])
def test_whoever_streams_what_the_speakers_refuse_is_asked_and_it_is_recorded_whatever_the_answer(
    room: Room, answer: str, *, is_streamed: bool
) -> None:
    folder = with_a_destination(room)
    with Terminal(room.home, *SESSION, *REFUSED, "--archive", room.archive) as terminal:
        terminal.until("Tetap siarkan ke kampus")
        terminal.press(f"{answer}\n")
        assert terminal.wait() == 0
        assert ("tidak disiarkan ke kampus" in terminal.text) != is_streamed
    assert any(folder.iterdir()) == is_streamed
    assert room.only_package()


def test_the_answer_to_the_question_for_consent_counts_for_the_stream(room: Room) -> None:
    folder = with_a_destination(room)
    with Terminal(room.home, *SESSION, "--stream", "kampus", "--archive", room.archive) as terminal:
        terminal.until("Apakah")
        terminal.press("t\n")
        terminal.until("Tetap siarkan")
        terminal.press("\n")
        assert terminal.wait() == 0
    assert not any(folder.iterdir())


@pytest.mark.parametrize("more", [(), ("--json",), ("--although-refused",)])
def test_a_script_streams_what_the_speakers_refuse_only_where_it_says_so(room: Room, more: tuple[str, ...]) -> None:
    folder = with_a_destination(room)
    done = command.liput(room.home, *SESSION, *REFUSED, *more, "--archive", room.archive)
    assert done.returncode == 0, done.stderr
    assert any(folder.iterdir()) == (more == ("--although-refused",))
    assert ("tidak disiarkan ke kampus" in done.stderr) != any(folder.iterdir())
    assert room.only_package()


def test_a_destination_is_added_to_what_the_speakers_refuse_only_by_saying_so(room: Room) -> None:
    with_a_destination(room)
    armed = ("arm", *SESSION[1:-2], "--archive", room.archive, "--consent", "refused")
    assert command.liput(room.home, *armed).returncode == 0
    add = ("destination", "add", "kampus")
    done = command.liput(room.home, *add)
    assert (done.returncode, "do not agree" in done.stderr, "--although-refused" in done.stderr) == (2, True, True)
    assert command.liput(room.home, *add, "--although-refused").returncode == 0
    assert command.liput(room.home, "disarm").returncode == 0


def test_what_the_speakers_refuse_is_handed_over_only_where_somebody_says_so(room: Room) -> None:
    words = (*SESSION, "--archive", room.archive, "--consent", "refused")
    assert command.liput(room.home, *words).returncode == 0
    key = room.only_package().name
    export = ("archive", "export", key, room.home / "rapat.zip", "--archive", room.archive)
    for more in ((), ("--redact",), ("--mp4",), ("--json",)):
        done = command.liput(room.home, *export, *more)
        assert (done.returncode, "do not agree" in done.stderr) == (2, True)
    with Terminal(room.home, *export) as terminal:
        terminal.until("Hand it over all the same")
        terminal.press("\n")
        assert terminal.wait() == 1
    assert not (room.home / "rapat.zip").exists()
    with Terminal(room.home, *export) as terminal:
        terminal.until("Hand it over all the same")
        terminal.press("y\n")
        assert terminal.wait() == 0
    (room.home / "rapat.zip").unlink()
    assert command.liput(room.home, *export, "--although-refused").returncode == 0


def test_records_are_those_of_the_settings_but_for_what_a_session_says(room: Room) -> None:
    room.configure('[records]\nclassification = "HM.01"\nsecurity = "biasa"\nretention_active = "2 tahun"\n')
    words = ("--classification", "HM.02", "--disposition", "permanen")
    done = command.liput(room.home, *SESSION, "--archive", room.archive, *words)
    assert done.returncode == 0, done.stderr
    assert recording_of(room.only_package())["records"] == {
        "classification": "HM.02", "security": "biasa", "retention_active": "2 tahun", "retention_inactive": "",
        "disposition": "permanen",
    }  # fmt: skip


def test_an_armed_session_keeps_them_until_it_is_started(room: Room) -> None:
    armed = ("arm", *SESSION[1:-2], "--archive", room.archive)
    done = command.liput(room.home, *armed, "--consent", "given", "--security", "terbatas")
    assert done.returncode == 0, done.stderr
    assert command.liput(room.home, "start").returncode == 0
    assert command.liput(room.home, "stop").returncode == 0
    recording = recording_of(room.only_package())
    assert (recording["consent"]["state"], recording["records"]["security"]) == ("given", "terbatas")
