"""Standard output: lines where nothing can be redrawn, and no text from outside that commands a terminal."""

import json
import re
import subprocess
import sys

import pytest

from agent.checks.display import check_display
from agent.devices.table import JsonDeviceView, TableDeviceView, device_view
from agent.terminal.reporters import LIVE_EVERY_S, PLAIN_EVERY_S, reporter
from agent.terminal.terminal import can_redraw
from tests.support import command
from tests.support.room import Room
from tests.support.terminal import Terminal


@pytest.mark.parametrize(
    ("is_terminal", "kind", "can"),
    [(True, "xterm-256color", True), (True, "dumb", False), (True, "unknown", False), (False, "xterm", False)],
)
def test_a_terminal_that_cannot_redraw_gets_lines(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, kind: str, can: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    monkeypatch.setenv("TERM", kind)
    assert can_redraw() is can
    assert reporter(as_json=False).every_s == (LIVE_EVERY_S if can else PLAIN_EVERY_S)
    assert bool(check_display("en", as_json=False).bars) is can
    assert type(device_view(as_json=False)) is (TableDeviceView if can else JsonDeviceView)


ASKED = """
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    job = os.fork()
    if job == 0:
        if sys.argv[1] == "background":
            os.setpgid(0, 0)
        from agent.terminal.terminal import own_terminal, can_ask
        os._exit(2 * (own_terminal() is not None) + can_ask())
    os._exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize(("where", "found"), [("foreground", 3), ("background", 0)])
def test_in_the_background_of_a_shell_nobody_is_asked(where: str, found: int) -> None:
    """To read there would stop the whole command, and `liput record ... &` would wait for ever."""
    assert subprocess.run([sys.executable, "-c", ASKED, where], check=False).returncode == found


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
