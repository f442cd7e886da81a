"""Whether there is a desktop, and what is opened there."""

from pathlib import Path

import pytest

from agent.cli.desktop import has_desktop, open_there


@pytest.mark.parametrize(
    ("screens", "there"),
    [({}, False), ({"DISPLAY": ""}, False), ({"DISPLAY": ":0"}, True), ({"WAYLAND_DISPLAY": "wayland-0"}, True)],
)
def test_a_desktop_is_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, screens: dict[str, str], *, there: bool
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in screens.items():
        monkeypatch.setenv(name, value)
    assert has_desktop() is there


def test_the_first_program_that_is_there_opens_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun: list[list[str]] = []
    monkeypatch.setattr("agent.cli.desktop.subprocess.Popen", lambda command, **_: begun.append(command))
    for name in ("second", "third"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not open_there("this", "first")
    assert begun == []
    assert open_there("this", "first", "second", "third")
    assert begun == [[str(tmp_path / "second"), "this"]]
