"""Where nothing can be drawn anew, lines follow each other: nobody looks at an empty terminal."""

import pytest

from agent.checks.shown import LiveShown, shown
from agent.devices.showers import JsonShower, TableShower, shower
from agent.reporters import LiveReporter, PlainReporter, reporter
from agent.terminal import can_redraw


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
    assert reporter(as_json=False).every_s == (LiveReporter if can else PlainReporter).every_s
    assert isinstance(shown("en", as_json=False), LiveShown) is can
    assert type(shower(as_json=False)) is (TableShower if can else JsonShower)
