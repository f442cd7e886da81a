"""How a bug in a command ends."""

import json
import re

import pytest

from agent.cli import group


def test_a_bug_ends_a_command_with_its_place_and_without_a_traceback_or_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise ValueError("no way with passphrase=rahasia123")

    monkeypatch.setattr(group.liput, "main", broken)
    for function in ("end_silently", "_make_output_printable"):
        monkeypatch.setattr(group, function, lambda: None)
    monkeypatch.setattr("sys.argv", ["liput", "status", "--json"])
    with pytest.raises(SystemExit) as ended:
        group.run()
    printed = capsys.readouterr()
    message = json.loads(printed.out)["message"]
    assert re.fullmatch(r"ValueError\('no way with passphrase=\(hidden\)'\) at agent/cli/group\.py:\d+", message)
    assert printed.err.splitlines() == [f"liput: {message}", "       please report this"]
    assert ended.value.code == 1
