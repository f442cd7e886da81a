"""A PC that has run for weeks is told of."""

from pathlib import Path

import pytest

from agent.checks.check import all_checks
from tests.support.situations import codes, situation


@pytest.mark.parametrize(("days", "code"), [(1, "ok"), (13.9, "ok"), (14, "long")])
def test_two_weeks_are_long(days: float, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (check,) = [check for check in all_checks() if check.name == "uptime"]
    (tmp_path / "uptime").write_text(f"{days * 86_400:.2f} 0.00\n")
    monkeypatch.setattr("agent.checks.kinds.uptime.UPTIME", tmp_path / "uptime")
    assert codes(list(check.look(situation()))) == [("uptime", code)]
