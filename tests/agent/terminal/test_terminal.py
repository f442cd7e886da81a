"""Where nothing can be drawn anew, lines follow each other: nobody looks at an empty terminal."""

import subprocess
import sys

import pytest

from agent.checks.display import check_display
from agent.devices.table import JsonDeviceView, TableDeviceView, device_view
from agent.terminal.reporters import LIVE_EVERY_S, PLAIN_EVERY_S, reporter
from agent.terminal.terminal import can_redraw


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
