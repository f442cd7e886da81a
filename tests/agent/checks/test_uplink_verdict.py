"""What was measured of an uplink, judged against what a session needs."""

import pytest

from agent.checks.check import CheckResult
from agent.checks.uplink_verdict import DOWN, LATENCY, NAME, fitting, judge, need_of
from config.settings.schema import CheckSettings, Settings, VideoDefaults
from devices.uplink.model import LinkLatency, LinkRate, UplinkResult

SETTINGS = Settings()
UP_BPS = 10e6


def uplink(
    p10: float = UP_BPS,
    *,
    down: float | None = None,
    idle: float | None = 0.02,
    loaded: float = 0.03,
    is_capped: bool = False,
) -> UplinkResult:
    return UplinkResult(
        up=LinkRate(UP_BPS, p10, UP_BPS),
        down=None if down is None else LinkRate(down, down, down),
        idle=None if idle is None else LinkLatency(idle, 0.001),
        loaded=None if idle is None else LinkLatency(loaded, 0.01),
        moved_bytes=12_000_000,
        streams=3,
        again_share=0.0123,
        is_capped=is_capped,
    )


def judged(one: UplinkResult, up: float, down: float = 0.0, fits: str | None = "720p30") -> dict[str, CheckResult]:
    return {result.name: result for result in judge(one, (up, down), fits, "speed.test")}


@pytest.mark.parametrize(
    ("need", "code", "verdict"),
    [
        (0.0, "no-need", "ok"),
        (7.0e6, "ok", "ok"),
        (7.1e6, "tight", "warning"),
        (8.5e6, "tight", "warning"),
        (8.6e6, "too-slow", "failure"),
        (20e6, "too-slow", "failure"),
    ],
)
def test_up_to_seventy_percent_is_well_and_from_eighty_five_on_too_much(need: float, code: str, verdict: str) -> None:
    result = judged(uplink(), need)[NAME]
    assert (result.code, result.verdict) == (code, verdict)


@pytest.mark.parametrize(("need", "code"), [(8e6, "tight-no-profile"), (9e6, "too-slow-no-profile")])
def test_where_no_profile_fits_none_is_advised(need: float, code: str) -> None:
    result = judged(uplink(), need, fits=None)[NAME]
    assert result.code == code
    assert "profile {" not in result.advice.english


def test_the_profile_that_fits_is_named() -> None:
    result = judged(uplink(), 9e6)[NAME]
    assert result.measured["fits"] == "720p30"
    assert "--profile 720p30" in result.advice.english
    assert "--profile 720p30" in result.advice.indonesian


def test_a_rate_that_falls_below_the_need_now_and_then_is_unsteady() -> None:
    assert judged(uplink(p10=4e6), 5e6)[NAME].code == "unsteady"
    assert judged(uplink(p10=6e6), 5e6)[NAME].code == "ok"


def test_a_measurement_that_the_data_ended_says_so() -> None:
    result = judged(uplink(is_capped=True), 5e6)[NAME]
    assert "12.0 MB" in result.reason.english
    assert "dihentikan setelah 12.0 MB" in result.reason.indonesian
    assert result.measured["is_capped"] is True
    assert "MB" not in judged(uplink(), 5e6)[NAME].reason.english


def test_a_queue_that_keeps_answers_waiting_is_told() -> None:
    assert judged(uplink(loaded=0.17), 5e6)[LATENCY].code == "ok-latency"
    result = judged(uplink(loaded=0.171), 5e6)[LATENCY]
    assert (result.code, result.verdict) == ("bufferbloat", "warning")
    assert "151 ms" in result.reason.english
    assert LATENCY not in judged(uplink(idle=None), 5e6), "nobody knows"


@pytest.mark.parametrize(
    ("down", "code"), [(10e6, "ok-down"), (4e6, "tight-down"), (3e6, "too-slow-down")]
)  # fmt: skip
def test_a_conference_needs_the_way_down_too(down: float, code: str) -> None:
    assert judged(uplink(down=down), 5e6, 3e6)[DOWN].code == code


def test_without_a_conference_nobody_minds_the_way_down() -> None:
    assert DOWN not in judged(uplink(down=1e6), 5e6)


def test_what_was_measured_is_in_bare_numbers_with_their_units() -> None:
    measured = judged(uplink(down=9e6), 5e6)[NAME].measured
    assert {name: measured[name] for name in ("up_bps", "need_bps", "used_percent", "resent_percent", "idle_s")} == {
        "up_bps": 10_000_000, "need_bps": 5_000_000, "used_percent": 50.0, "resent_percent": 1.23, "idle_s": 0.02,
    }  # fmt: skip


def test_a_session_needs_a_tenth_more_than_its_streams_and_the_conference() -> None:
    profile = SETTINGS.profiles["1080p30"]
    one = (4_500_000 + 128_000) * 1.1
    assert need_of(SETTINGS, profile, 1, conference=False) == (one, 0)
    assert need_of(SETTINGS, profile, 2, conference=True) == (2 * one + 3_800_000, 3_000_000)
    assert need_of(SETTINGS, profile, 0, conference=False) == (0, 0)


def test_a_live_side_with_a_rate_of_its_own_needs_that() -> None:
    settings = Settings(video=VideoDefaults(stream_bitrate=2_000_000), check=CheckSettings(conference_up=1_000_000))
    need = need_of(settings, settings.profiles["1080p30"], 1, conference=True)
    assert need[0] == pytest.approx(2_128_000 * 1.1 + 1_000_000)


def test_the_best_profile_that_leaves_the_link_room_fits() -> None:
    assert fitting(SETTINGS, 100e6, 1, conference=False) == "1080p60"
    assert fitting(SETTINGS, 4.5e6, 1, conference=False) == "720p30"
    assert fitting(SETTINGS, 4.5e6, 2, conference=False) == "480p15"
    assert fitting(SETTINGS, 4.5e6, 1, conference=True) is None
