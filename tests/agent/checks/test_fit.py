"""The profile that would fit is named with the command, and the line of the plan, that take it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.checks.fit import Fit, fit
from agent.checks.result import Measured, Result, Verdict
from config.locale.lookup import Words
from config.schema import Settings
from recorder.asked import Asked

ASKED = Asked(title="Wisuda Ke-40", videos=("podium",), streams=("youtube",), profile="1080p30")
TOO_SLOW = {"uplink": (Verdict.FAILURE, "720p30")}


def fitted(found: Mapping[str, tuple[Verdict, str | None]], plan: Path | None = None, asked: Asked = ASKED) -> Fit:
    names = {"uplink": "fits", "encoder": "fitting_profile"}
    results = [_result(name, verdict, {names[name]: fits}) for name, (verdict, fits) in found.items()]
    results.append(_result("camera: podium", Verdict.FAILURE, {}))
    return fit(results, Settings(), asked, plan, streams=bool(asked.streams))


def _result(name: str, verdict: Verdict, measured: Measured) -> Result:
    return Result(name=name, verdict=verdict, code="x", measured=measured, reason=Words("ya", "yes"))


def test_the_command_that_takes_it_can_be_copied() -> None:
    found = fitted(TOO_SLOW)
    assert found.profile == "720p30"
    assert [words.english for words in found.words] == [
        "The profile that fits: 720p30",
        "The command: liput record --title 'Wisuda Ke-40' --video podium --stream youtube --profile 720p30",
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
    assert fitted(TOO_SLOW, plan).words[-1].english == f"In the plan: {plan}, {said}"
    assert plan.read_text() == text


def test_a_profile_that_fits_stays() -> None:
    found = fitted({"uplink": (Verdict.OK, "1080p60")})
    assert (found.profile, found.words[0].english) == ("1080p30", "The profile 1080p30 fits; nothing has to change.")
    assert fitted({"uplink": (Verdict.OK, "1080p60")}, asked=Asked(title="")).profile == Settings().video.profile


def test_the_smallest_of_what_the_network_and_the_pc_leave_room_for_counts() -> None:
    found = fitted({"uplink": (Verdict.WARNING, "720p30"), "encoder": (Verdict.FAILURE, "480p15")})
    assert found.profile == "480p15"
    found = fitted({"uplink": (Verdict.WARNING, "720p30"), "encoder": (Verdict.OK, None)})
    assert found.profile == "720p30"


def test_where_nothing_fits_or_nothing_was_measured_that_is_said() -> None:
    assert fitted({"uplink": (Verdict.FAILURE, None)}).words[0].english == "No profile fits."
    found = fitted({})
    assert found.profile is None
    assert "was not measured" in found.words[0].english


def test_what_this_pc_can_do_says_nothing_of_an_uplink_that_was_not_measured() -> None:
    only_encoder = {"encoder": (Verdict.OK, None)}
    assert fitted(only_encoder).profile is None
    assert fitted(only_encoder, asked=Asked(title="", profile="720p30")).profile == "720p30"


def test_none_is_named_that_is_dearer_than_the_one_asked_for() -> None:
    found = fitted({"uplink": (Verdict.WARNING, "1080p60")})  # the link is unsteady, and wide enough
    assert (found.profile, len(found.words)) == ("1080p30", 1)


def test_the_command_has_all_that_was_asked() -> None:
    asked = Asked(
        title="", layout="pip", isolate=True, conference=True, duration_s=5400.0, archive=Path("/arsip besar"),
        streams=("youtube",),
    )  # fmt: skip
    command = fitted(TOO_SLOW, asked=asked).words[1].english
    assert command == (
        "The command: liput record --title TITLE --stream youtube --layout pip --isolate --conference --for 5400s"
        " --archive '/arsip besar' --profile 720p30"
    )
