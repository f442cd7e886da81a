"""What comes from outside never commands a terminal: names of devices and files, titles, answers of servers."""

import json
import re
import sys

import pytest

from tests.support import command
from tests.support.room import Room
from tests.support.terminal import Terminal

BELL = "\x1b]0;taken over\x07"
EVIL = f"{BELL}\x1b[2J\x1b[8mCam\x9b2J\rera\x08"
PLUGGED = f"""
import msgspec
from agent.devices import listing
from tests.support.hall import CAMERA
evil = msgspec.structs.replace(CAMERA, name={EVIL!r}, node=None, modes=())
listing.list_devices = lambda: [evil]
listing.server_inputs = list
from agent.cli import main
main.main()
"""
OURS = re.compile(r"\x1b\[(\?25[lh]|\?1049[lh]|[0-9;]*[mAKHJ])")
"""Colours and cursor movements of our own; of those of EVIL none may be left."""
COMMANDS = [
    ("devices",),
    ("devices", "show", "Cam"),
    ("archive", "show", EVIL),
    ("record", "--title", "Rapat", "--consent", "given", "--video", f"/tmp/{EVIL}.mp4"),
    ("check", "--quick", "--video", "Cam"),
    (EVIL,),
]


def escapes_of(text: str) -> list[str]:
    """Return what of EVIL is in a text."""
    known = (BELL, "\x1b]", "\x07", "\x1b[8m", "\x08", "\x9b", "\x1b[2J")
    return [each for each in known if each in text]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0] if words[0].isascii() else "mistyped")
def test_no_escape_of_a_device_or_a_name_reaches_a_terminal(
    room: Room, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("tests.support.terminal.LIPUT", (sys.executable, "-P", "-c", PLUGGED))
    with Terminal(room.home, *words) as terminal:
        terminal.wait()
        assert "taken over" in terminal.raw or "Cam" in terminal.raw, "it was shown"
        assert escapes_of(terminal.raw) == []
        assert "\x1b" not in OURS.sub("", terminal.raw)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0] if words[0].isascii() else "mistyped")
def test_no_escape_reaches_a_file_that_is_read_later(room: Room, words: tuple[str, ...]) -> None:
    done = command.run_python(room.home, PLUGGED, *words)
    shown = done.stdout + done.stderr
    assert "taken over" in shown or "Cam" in shown, "it was shown"
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_json_is_as_it_was(room: Room) -> None:
    done = command.run_python(room.home, PLUGGED, "devices", "--json")
    (device,) = json.loads(done.stdout)
    assert device["name"] == EVIL


def test_json_on_a_terminal_has_none_and_says_the_same(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.terminal.LIPUT", (sys.executable, "-P", "-c", PLUGGED))
    with Terminal(room.home, "devices", "--json") as terminal:
        assert terminal.wait() == 0
        assert escapes_of(terminal.raw) == []
        (device,) = json.loads(terminal.raw)
    assert device["name"] == EVIL


def test_the_table_that_is_drawn_anew_has_none(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    code = PLUGGED.replace(
        "from agent.cli import main\nmain.main()",
        """
from datetime import UTC, datetime
from agent.devices.board import DeviceBoard
from agent.devices.table import TableDeviceView
from agent.cli import group
group._make_output_printable()
board = DeviceBoard(dict)
board.devices = (evil,)
with TableDeviceView() as shower:
    shower.begin(datetime.now(UTC), board)
    print(evil.name)
""",
    )
    monkeypatch.setattr("tests.support.terminal.LIPUT", (sys.executable, "-P", "-c", code))
    with Terminal(room.home) as terminal:
        assert terminal.wait() == 0, terminal.raw
        assert "Cam" in terminal.raw
        assert "\x1b" not in OURS.sub("", terminal.raw)
        assert "\x07" not in terminal.raw
