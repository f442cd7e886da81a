"""Runs are kept, the newest last, and the oldest go; measurements of the uplink are listed from them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.checks import history
from agent.checks.check import CheckFinding, CheckResult, CheckVerdict, make_result
from agent.checks.history import CheckRun, keep_run, kept_runs, newest_run, rows, uplink_measurements
from agent.checks.kinds import uplink as uplink_check
from agent.checks.uplink_verdict import judge
from config.errors import StateError
from config.locale.lookup import LocalizedText
from devices.uplink.model import LinkLatency, LinkRate, UplinkResult

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


def measured(day: int, *, up: float | None, loaded: float = 0.03) -> CheckRun:
    results: list[CheckResult] = []
    if up is not None:
        rate = LinkRate(up, up, up)
        uplink = UplinkResult(
            up=rate, down=rate, idle=LinkLatency(0.02, 0), loaded=LinkLatency(loaded, 0), moved_bytes=1, streams=3
        )
        results = list(judge(uplink, (5e6, 0), "720p30", "speed.test"))
    return CheckRun(at=datetime(2026, 11, day, 8, 30, tzinfo=UTC), title="Wisuda", results=results)


def test_the_newest_is_first_and_checks_that_measured_nothing_are_left_out() -> None:
    listed = uplink_measurements([measured(1, up=20e6), measured(2, up=None), measured(3, up=4e6)])
    assert [(one.at.day, one.up_bps, one.verdict, one.code) for one in listed] == [
        (3, 4e6, "failure", "too-slow"),
        (1, 20e6, "ok", "ok"),
    ]
    assert (listed[0].idle_s, listed[0].loaded_s, listed[0].need_bps, listed[0].server) == (
        0.02,
        0.03,
        5e6,
        "speed.test",
    )


def test_what_a_test_stream_found_is_in_it() -> None:
    figures = {"rate_bps": 5e6, "delivered_bps": 4.1e6, "backlog_s": 2.5, "rtt_s": 0.09, "live_s": 10.0}
    facts = {"rate": "5 Mbit/s", "delivered": "4.1 Mbit/s"}
    results = [
        make_result(uplink_check.CODES, "not-carried", "uplink: kampus", figures, **facts),
        make_result(uplink_check.CODES, "no-test", "uplink: youtube"),
    ]
    (one,) = uplink_measurements(
        [CheckRun(at=datetime(2026, 11, 4, 8, 30, tzinfo=UTC), title="Rapat", results=results)]
    )
    assert (one.server, one.up_bps, one.need_bps, one.loaded_s) == ("kampus", 4.1e6, 5e6, 0.09)
    assert (one.verdict, one.code, one.idle_s) == ("failure", "not-carried", None)


def test_a_queue_that_keeps_answers_waiting_is_part_of_the_verdict() -> None:
    (one,) = uplink_measurements([measured(1, up=20e6, loaded=0.4)])
    assert one.verdict == "warning"


def test_the_table_is_in_the_language_of_the_room() -> None:
    listed = uplink_measurements([measured(1, up=20e6)])
    moment = listed[0].at.astimezone()
    assert rows(listed, "id") == [
        ("Waktu", "Unggah", "Unduh", "Jeda", "Saat penuh", "Butuh", "Hasil", "Sesi"),
        (f"{moment:%Y-%m-%d %H:%M}", "20.0 Mbit/s", "20.0 Mbit/s", "20 ms", "30 ms", "5.00 Mbit/s", "cukup", "Wisuda"),
    ]
    assert rows(listed, "en")[1][6] == "enough"
