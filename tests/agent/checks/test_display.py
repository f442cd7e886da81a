"""Checks are shown as they go, kept when they are done, and the smallest profile that fits is advised."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.checks import history
from agent.checks.check import Check, CheckFinding, CheckProgress, CheckResult, CheckVerdict, Measured, make_result
from agent.checks.display import check_display, fitting_advice
from agent.checks.history import CheckRun, keep_run, kept_runs, newest_run, uplink_measurements
from agent.checks.kinds import uplink as uplink_check
from agent.checks.uplink_verdict import judge
from config.locale.lookup import LocalizedText
from config.settings.schema import Settings
from config.state import state_folder
from devices.uplink.model import LinkLatency, LinkRate, UplinkResult
from recorder.session.request import SessionRequest

NOW = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
CHECK = Check("uplink", LocalizedText("Kecepatan internet", "Uplink"), lambda _situation: [])
CODES = {
    "slow": CheckFinding(
        CheckVerdict.WARNING, LocalizedText("Lambat", "Slow"), LocalizedText("Pakai kabel", "Use a cable")
    ),
    "off": CheckFinding(CheckVerdict.FAILURE, LocalizedText("Mati", "Off"), LocalizedText("Nyalakan", "Switch it on")),
    "cancelled": CheckFinding(CheckVerdict.UNCHECKED, LocalizedText("Dibatalkan", "Cancelled")),
}
COST = CheckProgress(share=0.0, doing=LocalizedText("akan memakai 100 MB", "will use 100 MB"), notice=True)
GOES_ON = CheckProgress(share=0.5, doing=LocalizedText("mengirim", "sending"))


def test_in_a_pipe_it_is_a_line_before_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    with check_display("id", as_json=False) as show:
        show(CHECK, COST)
        show(CHECK, GOES_ON)
        show(CHECK, [make_result(CODES, "slow", "uplink")])
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "Kecepatan internet: akan memakai 100 MB", "!  Kecepatan internet: Lambat", "-> Pakai kabel",
    ]  # fmt: skip


def test_with_json_it_stands_beside_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    checked = CheckRun(at=NOW, results=[make_result(CODES, "slow", "uplink")])
    with check_display("en", as_json=True) as show:
        show(CHECK, COST)
        show(CHECK, GOES_ON)
        show(CHECK, checked.results)
        show.verdict(checked)
    said = capsys.readouterr()
    assert said.err == "Uplink: will use 100 MB\n"
    assert json.loads(said.out)["checks"][0]["reason"] == "Slow"


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["slow"], "READY; warnings: 1"),
        (["slow", "off", "off"], "NOT READY; to fix: 2"),
        ([], "READY"),
        (["off", "cancelled", "cancelled"], "CANCELLED: 2 not checked"),
    ],
)
def test_the_last_line_is_the_answer(capsys: pytest.CaptureFixture[str], codes: list[str], words: str) -> None:
    results = [make_result(CODES, code, f"x: {number}") for number, code in enumerate(codes)]
    with check_display("en", as_json=False) as show:
        show.verdict(CheckRun(at=NOW, results=results))
    assert capsys.readouterr().out.splitlines()[-1] == words


ASKED = SessionRequest(title="Wisuda Ke-40", videos=("podium",), streams=("youtube",), profile="1080p30")
TOO_SLOW = {"uplink": (CheckVerdict.FAILURE, "720p30")}
STAYS = "The profile 1080p30 fits; change nothing."


def fitted(
    found: Mapping[str, tuple[CheckVerdict, str | None]], plan: Path | None = None, asked: SessionRequest = ASKED
) -> list[str]:
    names = {"uplink": "fits", "encoder": "fitting_profile"}
    results = [_result(name, verdict, {names[name]: fits}) for name, (verdict, fits) in found.items()]
    results.append(_result("camera: podium", CheckVerdict.FAILURE, {}))
    return [words.english for words in fitting_advice(results, Settings(), asked, plan, streams=bool(asked.streams))]


def _result(name: str, verdict: CheckVerdict, measured: Measured) -> CheckResult:
    return CheckResult(name=name, verdict=verdict, code="x", measured=measured, reason=LocalizedText("ya", "yes"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('title = "x"\n\nprofile = "1080p30"\n', 'line 3, write: profile = "720p30"'),
        ('title = "x"\n', 'add: profile = "720p30"'),
    ],
)
def test_the_line_of_the_plan_is_named_and_the_plan_stays_as_it_is(tmp_path: Path, text: str, said: str) -> None:
    plan = tmp_path / "wisuda.toml"
    plan.write_text(text)
    assert fitted(TOO_SLOW, plan)[-1] == f"In the plan: {plan}, {said}"
    assert plan.read_text() == text


def test_the_smallest_that_the_network_and_the_pc_leave_room_for_counts() -> None:
    assert fitted({"uplink": (CheckVerdict.OK, "1080p60")}) == [STAYS]
    assert fitted({"uplink": (CheckVerdict.OK, "1080p60")}, asked=SessionRequest(title="")) == [
        STAYS.replace("1080p30", Settings().video.profile)
    ]
    found = fitted({"uplink": (CheckVerdict.WARNING, "720p30"), "encoder": (CheckVerdict.FAILURE, "480p15")})
    assert found[0] == "Fitting profile: 480p15"
    found = fitted({"uplink": (CheckVerdict.WARNING, "720p30"), "encoder": (CheckVerdict.OK, None)})
    assert found[0] == "Fitting profile: 720p30"
    assert fitted({"uplink": (CheckVerdict.FAILURE, None)}) == ["No profile fits."]
    assert "was not measured" in fitted({})[0]
    assert fitted({"uplink": (CheckVerdict.WARNING, "1080p60")}) == [STAYS], "the link is unsteady, and wide enough"


def test_the_command_has_all_that_was_asked() -> None:
    asked = SessionRequest(
        title="Wisuda Ke-40", layout="pip", isolate=True, conference=True, duration_s=5400.0, streams=("youtube",),
        archive=Path("/arsip besar"),
    )  # fmt: skip
    command = fitted(TOO_SLOW, asked=asked)[1]
    assert command == (
        "Command: liput record --title 'Wisuda Ke-40' --stream youtube --layout pip --isolate --conference --for 5400s"
        " --archive '/arsip besar' --profile 720p30"
    )


# Runs are kept, the newest last; measurements of the uplink are listed from them


def checked(title: str) -> CheckRun:
    result = make_result(CODES, "slow", "uplink", {"rate_bps": 2.5e6, "lossy": False, "server": None})
    return CheckRun(at=NOW, title=title, results=[result])


def test_what_was_found_is_read_again_as_it_was() -> None:
    keep_run(checked("Rapat"))
    keep_run(checked("Wisuda"))
    assert kept_runs() == [checked("Rapat"), checked("Wisuda")]
    assert state_folder().stat().st_mode & 0o077 == 0


def test_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_RUNS", 2)
    for title in ("Satu", "Dua", "Tiga"):
        keep_run(checked(title))
    assert [each.title for each in kept_runs()] == ["Dua", "Tiga"]


@pytest.mark.parametrize(
    ("later", "is_it"),
    [(timedelta(hours=6), True), (timedelta(hours=6, seconds=1), False), (timedelta(minutes=-1), False)],
)
def test_a_session_goes_by_the_newest_that_is_not_of_another_day(later: timedelta, *, is_it: bool) -> None:
    keep_run(checked("Rapat"))
    keep_run(checked("Wisuda"))
    assert newest_run(NOW + later) == (checked("Wisuda") if is_it else None)


def test_where_none_is_kept_a_session_goes_without() -> None:
    assert newest_run(NOW) is None
    state_folder().mkdir(parents=True)
    (state_folder() / "checks.json").write_text("not ours")
    assert newest_run(NOW) is None


def measured(day: int, *, up: float | None, loaded: float = 0.03) -> CheckRun:
    results: list[CheckResult] = []
    if up is not None:
        rate = LinkRate(up, up, up)
        uplink = UplinkResult(
            up=rate, down=rate, idle=LinkLatency(0.02, 0), loaded=LinkLatency(loaded, 0), moved_bytes=1, streams=3
        )
        results = list(judge(uplink, (5e6, 0), "720p30", "speed.test"))
    return CheckRun(at=NOW.replace(day=day), results=results)


def test_the_newest_is_first_and_checks_that_measured_nothing_are_left_out() -> None:
    listed = uplink_measurements([measured(1, up=20e6), measured(2, up=None), measured(3, up=4e6)])
    assert [(one.at.day, one.up_bps, one.verdict, one.code) for one in listed] == [
        (3, 4e6, "failure", "too-slow"),
        (1, 20e6, "ok", "ok"),
    ]
    newest = listed[0]
    assert (newest.idle_s, newest.loaded_s, newest.need_bps, newest.server) == (0.02, 0.03, 5e6, "speed.test")


def test_what_a_test_stream_found_is_in_it() -> None:
    figures = {"rate_bps": 5e6, "delivered_bps": 4.1e6, "backlog_s": 2.5, "rtt_s": 0.09, "live_s": 10.0}
    facts = {"rate": "5 Mbit/s", "delivered": "4.1 Mbit/s"}
    results = [
        make_result(uplink_check.CODES, "not-carried", "uplink: kampus", figures, **facts),
        make_result(uplink_check.CODES, "no-test", "uplink: youtube"),
    ]
    (one,) = uplink_measurements([CheckRun(at=NOW, results=results)])
    assert (one.server, one.up_bps, one.need_bps, one.loaded_s) == ("kampus", 4.1e6, 5e6, 0.09)
    assert (one.verdict, one.code, one.idle_s) == ("failure", "not-carried", None)
