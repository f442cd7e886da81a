"""What has to be read before it happens can be read wherever checks are shown."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.checks.check import Check, CheckFinding, CheckProgress, CheckResult, CheckVerdict, Measured, make_result
from agent.checks.display import check_display, fitting_advice
from agent.checks.history import CheckRun
from config.locale.lookup import LocalizedText
from config.settings.schema import Settings
from recorder.session.request import SessionRequest

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


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("id", ["Kecepatan internet: akan memakai 100 MB", "!  Kecepatan internet: Lambat", "-> Pakai kabel"]),
        ("en", ["Uplink: will use 100 MB", "!  Uplink: Slow", "-> Use a cable"]),
    ],
)
def test_in_a_pipe_it_is_a_line_before_the_result(
    capsys: pytest.CaptureFixture[str], language: str, lines: list[str]
) -> None:
    with check_display(language, as_json=False) as show:
        show(CHECK, COST)
        show(CHECK, GOES_ON)
        show(CHECK, [make_result(CODES, "slow", "uplink")])
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == lines


def test_with_json_it_stands_beside_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    checked = CheckRun(at=datetime(2026, 11, 26, tzinfo=UTC), results=[make_result(CODES, "slow", "uplink")])
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
        show.verdict(CheckRun(at=datetime(2026, 11, 26, tzinfo=UTC), results=results))
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


def test_the_command_that_takes_it_can_be_copied() -> None:
    assert fitted(TOO_SLOW) == [
        "Fitting profile: 720p30",
        "Command: liput record --title 'Wisuda Ke-40' --video podium --stream youtube --profile 720p30",
    ]


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


def test_a_profile_that_fits_stays() -> None:
    assert fitted({"uplink": (CheckVerdict.OK, "1080p60")}) == [STAYS]
    assert fitted({"uplink": (CheckVerdict.OK, "1080p60")}, asked=SessionRequest(title="")) == [
        STAYS.replace("1080p30", Settings().video.profile)
    ]


def test_the_smallest_of_what_the_network_and_the_pc_leave_room_for_counts() -> None:
    found = fitted({"uplink": (CheckVerdict.WARNING, "720p30"), "encoder": (CheckVerdict.FAILURE, "480p15")})
    assert found[0] == "Fitting profile: 480p15"
    found = fitted({"uplink": (CheckVerdict.WARNING, "720p30"), "encoder": (CheckVerdict.OK, None)})
    assert found[0] == "Fitting profile: 720p30"


def test_where_nothing_fits_or_nothing_was_measured_that_is_said() -> None:
    assert fitted({"uplink": (CheckVerdict.FAILURE, None)}) == ["No profile fits."]
    assert "was not measured" in fitted({})[0]


def test_what_this_pc_can_do_says_nothing_of_an_uplink_that_was_not_measured() -> None:
    only_encoder = {"encoder": (CheckVerdict.OK, None)}
    assert "was not measured" in fitted(only_encoder)[0]
    assert fitted(only_encoder, asked=SessionRequest(title="", profile="720p30")) == [
        STAYS.replace("1080p30", "720p30")
    ]


def test_none_is_named_that_is_dearer_than_the_one_asked_for() -> None:
    assert fitted({"uplink": (CheckVerdict.WARNING, "1080p60")}) == [STAYS], "the link is unsteady, and wide enough"


def test_the_command_has_all_that_was_asked() -> None:
    asked = SessionRequest(
        title="", layout="pip", isolate=True, conference=True, duration_s=5400.0, archive=Path("/arsip besar"),
        streams=("youtube",),
    )  # fmt: skip
    command = fitted(TOO_SLOW, asked=asked)[1]
    assert command == (
        "Command: liput record --title TITLE --stream youtube --layout pip --isolate --conference --for 5400s"
        " --archive '/arsip besar' --profile 720p30"
    )
