"""Rehearsals of a real sound server, and of a real PC that does not keep up, as they are judged."""

import signal
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from agent.checks.check import CheckResult
from agent.sessions.rehearsal_results import RATE_CODES, rehearsal_results
from config.settings.schema import Profile, Settings, VideoDefaults
from devices.host.clock import SystemClock
from recorder.features.rehearsal.rehearsal import rehearse
from recorder.session.request import SessionRequest
from tests.support.sound_server import PulseMicrophone, tones

MICROPHONE = "pulse:mic.monitor"
FAR_TOO_MUCH = Profile(width=3840, height=2160, fps=Fraction(60), video_bitrate=20_000_000)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del runtime
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))


def rehearsed(
    asked: SessionRequest, settings: Settings, seconds: float, meanwhile: Callable[[float], object] = lambda _at_s: None
) -> list[CheckResult]:
    """Rehearse, and return what is said; `meanwhile` is told how many seconds are recorded."""

    def stage(name: str, share: float) -> None:
        if name == "recording":
            meanwhile(share / 0.8 * seconds)

    found = rehearse(asked, settings, SystemClock(), threading.Event(), seconds=seconds, stage=stage)
    parts = rehearsal_results(found, settings.profile(asked.profile), asked_s=seconds, left_out=[])
    return [result for _, results in parts for result in results]


@pytest.mark.server
def test_a_microphone_that_gives_nothing_for_a_moment_is_not_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = SessionRequest(title="", videos=("synthetic",), audios=(MICROPHONE,), profile="240p15")
    with PulseMicrophone(tmp_path) as microphone:
        microphone.install(monkeypatch)

        def hang(at_s: float) -> None:
            microphone.send_signal(signal.SIGSTOP if 1.5 <= at_s < 2.5 else signal.SIGCONT)

        with microphone.speak(tones(440, 660, 30)):
            said = rehearsed(asked, Settings(), 5, hang)
    (source,) = (one for one in said if one.name.startswith("source: "))
    assert (source.verdict, source.code) == ("warning", "passed")
    assert 0.1 < float(str(source.measured["lasted_s"])) < 3
    assert [one.code for one in said if one.name == "sound"] == ["ok"]


@pytest.mark.server
def test_one_that_gives_nothing_any_more_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = SessionRequest(title="", videos=("synthetic",), audios=(MICROPHONE,), profile="240p15")
    with PulseMicrophone(tmp_path) as microphone:
        microphone.install(monkeypatch)

        def hang(at_s: float) -> None:
            if at_s >= 1.5:
                microphone.send_signal(signal.SIGSTOP)

        with microphone.speak(tones(440, 660, 30)):
            said = rehearsed(asked, Settings(), 4, hang)
        microphone.send_signal(signal.SIGCONT)
    codes = {(one.verdict, one.code) for one in said if one.name.startswith("source: ")}
    assert codes in ({("failure", "no-data")}, {("failure", "lost")}), "the server, or its microphone"


@pytest.mark.parametrize(("steps_down", "codes"), [(False, {"dropped"}), (True, {"dropped", "overloaded"})])
def test_a_practice_that_this_pc_is_too_slow_for_is_blamed_on_the_pc(steps_down: bool, codes: set[str]) -> None:
    settings = Settings(video=VideoDefaults(step_down=steps_down), profiles={"far-too-much": FAR_TOO_MUCH})
    asked = SessionRequest(title="", videos=("synthetic",), audios=("none",), profile="far-too-much")
    (rate,) = (one for one in rehearsed(asked, settings, 3) if one.name == "rate")
    assert rate.code in codes
    assert (rate.verdict, rate.advice) == ("warning", RATE_CODES["dropped"].advice)
