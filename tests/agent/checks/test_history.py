"""What checks found is kept, the newest last, and the oldest go."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.checks import history
from agent.checks.history import CheckRun, keep_run, kept_runs, newest_run
from agent.checks.result import CheckFinding, CheckVerdict, make_result
from config.errors import StateError
from config.locale.lookup import LocalizedText

CODES = {
    "slow": CheckFinding(
        CheckVerdict.WARNING, LocalizedText("Lambat", "Slow"), LocalizedText("Ganti kabel", "Change the cable")
    )
}


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide where the checks of this PC are kept."""
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "checks.json"


def checked(title: str) -> CheckRun:
    result = make_result(CODES, "slow", "uplink", {"rate_bps": 2.5e6, "lossy": False, "server": None})
    return CheckRun(at=datetime(2026, 11, 26, 8, 0, tzinfo=UTC), title=title, results=[result])


def test_what_was_found_is_read_again_as_it_was(file: Path) -> None:
    keep_run(checked("Rapat"))
    keep_run(checked("Wisuda"))
    assert kept_runs() == [checked("Rapat"), checked("Wisuda")]
    assert file.parent.stat().st_mode & 0o077 == 0


def test_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_RUNS", 2)
    for title in ("Satu", "Dua", "Tiga"):
        keep_run(checked(title))
    assert [each.title for each in kept_runs()] == ["Dua", "Tiga"]


def test_a_file_that_is_none_of_ours_is_left_as_it_is(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("not ours")
    with pytest.raises(StateError, match="has unexpected content"):
        keep_run(checked("Rapat"))
    assert file.read_text() == "not ours"


NOW = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("later", "is_it"), [(timedelta(0), True), (timedelta(hours=6), True), (timedelta(hours=6, seconds=1), False)]
)
def test_a_session_goes_by_the_newest_that_is_not_of_another_day(later: timedelta, *, is_it: bool) -> None:
    keep_run(checked("Rapat"))
    keep_run(checked("Wisuda"))
    assert newest_run(NOW + later) == (checked("Wisuda") if is_it else None)


def test_where_none_is_kept_a_session_goes_without(file: Path) -> None:
    assert newest_run(NOW) is None
    file.parent.mkdir(exist_ok=True)
    file.write_text("not ours")
    assert newest_run(NOW) is None


def test_a_clock_that_was_set_back_makes_none_of_the_future_count() -> None:
    keep_run(checked("Rapat"))
    assert newest_run(NOW - timedelta(minutes=1)) is None
