"""What a shell completes after a press of Tab: ids, names of the settings, roles, sessions that run."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import archives, command
from tests.support.room import Room

SETTINGS = """
[destinations.youtube]
url = "rtmps://a.example/live2"
[copies.nas]
url = "file:///srv/nas"
[profiles.kecil]
width = 640
height = 360
fps = 15
video_bitrate = "1 Mbit/s"
"""

type Complete = Callable[..., list[str]]


@pytest.fixture
def complete(room: Room) -> Complete:
    room.configure(SETTINGS)

    def complete(*words: str) -> list[str]:
        asked = {
            "_LIPUT_COMPLETE": "bash_complete",
            "COMP_WORDS": "liput " + " ".join(words),
            "COMP_CWORD": str(len(words)),
        }
        done = command.started(room.home, more=asked)
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    return complete


def test_commands_and_options_are_completed(complete: Complete) -> None:
    assert complete("rec") == ["record", "recover"]
    assert complete("archive", "ver") == ["verify"]
    assert complete("record", "--tit") == ["--title"]


def test_packages_are_completed_by_their_names_and_their_digits(room: Room, complete: Complete, program: Path) -> None:
    room.settings.write_text(f'[archive]\npath = "{room.archive}"\n')
    package = archives.seal_one(archives.archive_at(room.archive), program)
    digits = package.uuid[:8]
    for words in (
        ("archive", "show"),
        ("archive", "verify"),
        ("archive", "fetch"),
        ("recover",),
        ("request", "link", "x"),
    ):
        assert complete(*words, package.id[:12]) == [package.id], words
        assert complete(*words, digits[:3]) == [digits], words


def test_names_of_the_settings_are_completed(complete: Complete) -> None:
    assert complete("record", "--stream", "you") == ["youtube"]
    assert complete("destination", "add", "you") == ["youtube"]
    assert complete("record", "--profile", "kec") == ["kecil"]
    assert complete("layout", "sp") == complete("record", "--layout", "sp") != []
    for words in (("archive", "verify", "--at"), ("archive", "fetch", "--from"), ("archive", "copy", "--to")):
        assert complete(*words, "") == ["nas"], words


def test_requests_plans_and_sessions_are_completed(room: Room, complete: Complete) -> None:
    assert (
        command.liput(room.home, "request", "new", "--event", "Wisuda", "--received", "kemarin 08:10").returncode == 0
    )
    (request,) = complete("request", "show", "")
    assert complete("record", "--request", request[:4]) == [request]
    add = ("schedule", "add", "--title", "Rapat", "--starts", "besok 09:00", "--for", "1h")
    assert command.liput(room.home, *add).returncode == 0
    name, digits = complete("schedule", "show", "")
    assert name.endswith(digits)
    arm = ("arm", "--title", "Rapat", "--video", "synthetic", "--audio", "none", "--archive", room.archive)
    assert command.liput(room.home, *arm).returncode == 0
    (session,) = complete("stop", "--session", "")
    assert command.liput(room.home, "disarm", "--session", session).returncode == 0


def test_what_cannot_be_read_completes_nothing(room: Room, complete: Complete) -> None:
    room.settings.write_text("nonsense")
    assert complete("record", "--stream", "you") == complete("archive", "show", "2") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_lines_that_docs_name_are_printed(room: Room, shell: str) -> None:
    done = command.started(room.home, more={"_LIPUT_COMPLETE": f"{shell}_source"})
    assert "_LIPUT_COMPLETE" in done.stdout
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=False).returncode == 0
