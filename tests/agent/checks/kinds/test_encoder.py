"""Whether this PC can encode the profile: measured for real, judged by what is left over, and never left running."""

import threading
from dataclasses import replace

import msgspec
import pytest

from agent.checks.check import CheckContext, CheckProgress, CheckVerdict
from agent.checks.kinds import encoder
from config.settings.schema import BUILT_IN_PROFILES, Settings, VideoDefaults
from recorder.live_encode.headroom import Headroom, HeadroomQuery, remember, remembered
from recorder.model.status import SessionState
from recorder.session.request import SessionRequest
from tests.support.processes import children
from tests.support.shown import situation
from tests.support.situations import session

PROFILE = BUILT_IN_PROFILES["1080p30"]
SYNTHETIC = SessionRequest(title="", videos=("synthetic",), profile="240p15")


def taking(one: float, two: float, *, streams: tuple[str, ...] = (), encode: str = "auto") -> tuple[str, object]:
    """Return what is said of a PC of four cores of which so many are taken, and the profile that would fit."""
    settings = Settings(video=VideoDefaults(stream_encode=encode))
    now = situation(asked=SessionRequest(title="", streams=streams))
    now = CheckContext(
        asked=now.asked, settings=settings, profile=PROFILE, clock=now.clock, stop=now.stop, devices=list,
        streams=streams,
    )  # fmt: skip
    result = encoder.judge(now, Headroom(one_encode=one, two_encodes=two, cores=4))
    assert "{" not in "".join((*result.reason, *result.advice))
    return result.code, result.measured["fitting_profile"]


@pytest.mark.parametrize(
    ("one", "code", "fitting"),
    [
        (2.8, "ok", None),
        (2.9, "tight", "1080p25"),
        (3.5, "tight", "720p30"),
        (3.7, "too-slow", "720p30"),
        (9.0, "too-slow", "480p15"),
        (400.0, "nothing-fits", None),
    ],
)
def test_thirty_per_cent_are_to_spare_and_the_profile_that_would_fit_is_named(
    one: float, code: str, fitting: str | None
) -> None:
    assert taking(one, 2 * one) == (code, fitting)


def test_a_second_encode_counts_where_the_session_has_one() -> None:
    assert taking(2.0, 3.9, streams=("youtube",), encode="separate")[0] == "too-slow"
    assert taking(2.0, 3.9, encode="separate")[0] == "ok", "nothing is streamed"
    assert taking(2.0, 3.9, streams=("youtube",))[0] == "ok", "auto takes one where two are too many"
    assert taking(2.0, 3.9, streams=("youtube",), encode="shared")[0] == "ok"


def test_a_profile_with_a_dearer_preset_is_not_named() -> None:
    slow = msgspec.structs.replace(BUILT_IN_PROFILES["720p30"], preset="slow")
    light = BUILT_IN_PROFILES["240p15"]
    assert encoder.lighter_profile({"slow": slow, "light": light}, PROFILE, 1.0) == "light"
    assert encoder.lighter_profile({"slow": slow}, PROFILE, 1.0) is None


def test_it_is_measured_for_real_with_the_sources_of_the_session() -> None:
    told: list[CheckProgress] = []
    # Of a smaller picture a second encode takes hardly more than the figure differs from run to run.
    asked = SessionRequest(title="", videos=("synthetic",), profile="480p15")
    (result,) = encoder.measure(replace(situation(asked=asked), on_progress=told.append))
    assert result.verdict is not CheckVerdict.UNCHECKED
    assert 0 < float(str(result.measured["one_encode_cores"])) < float(str(result.measured["two_encodes_cores"]))
    assert result.measured["real_sources"] == 1
    assert told
    assert all(0 <= progress.share < 1 for progress in told)
    assert children("recorder.live_encode.measure_child") == []


def test_without_sources_that_can_be_opened_a_synthetic_camera_stands_for_them_and_the_figure_is_kept() -> None:
    now = situation(asked=SessionRequest(title="", videos=("nowhere",), profile="240p15"))
    (result,) = encoder.measure(now)
    assert result.measured["real_sources"] == 0
    known = remembered(HeadroomQuery(now.profile, now.settings.video.stream_range(now.profile)[1]))
    assert known is not None
    assert known.one_encode == result.measured["one_encode_cores"]


def test_stopped_its_process_is_gone() -> None:
    now = situation(asked=SYNTHETIC)
    began = threading.Event()

    def stops(_progress: CheckProgress) -> None:
        if children("recorder.live_encode.measure_child"):
            began.set()
            now.stop.set()

    (result,) = encoder.measure(replace(now, on_progress=stops))
    assert began.is_set()
    assert result.code == "cancelled"
    assert children("recorder.live_encode.measure_child") == []


def test_what_is_not_done_in_time_is_told_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "LONGEST_S", 0.2)
    (result,) = encoder.measure(situation(asked=SYNTHETIC))
    assert (result.code, result.verdict) == ("not-done", CheckVerdict.FAILURE)
    assert children("recorder.live_encode.measure_child") == []


def test_beside_a_session_nothing_is_measured() -> None:
    live = session(SessionState.LIVE)
    (result,) = encoder.measure(situation(held={"Wisuda": live}))
    assert (result.code, result.verdict) == ("in-session", CheckVerdict.UNCHECKED)
    assert "Wisuda" in result.reason.indonesian


def test_a_quick_check_goes_by_what_was_measured_before() -> None:
    now = situation(quick=True)
    (unknown,) = encoder.measure(now)
    assert (unknown.code, unknown.verdict) == ("not-known", CheckVerdict.UNCHECKED)
    asked = HeadroomQuery(now.profile, now.settings.video.stream_range(now.profile)[1])
    remember(asked, Headroom(one_encode=0.1, two_encodes=0.2, cores=2))
    (known,) = encoder.measure(now)
    assert (known.code, known.measured["spare_percent"]) == ("ok", 95.0)


def test_what_cannot_be_measured_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "LONGEST_S", 60.0)  # a busy PC takes long to begin
    now = situation(asked=SYNTHETIC)
    broken = msgspec.structs.replace(now.profile, preset="no such preset")
    now = CheckContext(
        asked=now.asked, settings=now.settings, profile=broken, clock=now.clock, stop=now.stop, devices=list
    )  # fmt: skip
    (result,) = encoder.measure(now)
    assert (result.code, result.verdict) == ("not-measured", CheckVerdict.FAILURE)
