"""The uplink is measured against the settings' server, only where that disturbs nobody, and judged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.checks.check import CheckResult, CheckVerdict
from agent.checks.kinds import uplink
from agent.checks.kinds.uplink import look, streams_of
from agent.checks.uplink_verdict import DOWN, LATENCY, NAME, fitting, judge, need_of
from agent.sessions.receiver import HOST, free_port
from config.settings.schema import CheckSettings, Settings, VideoDefaults
from devices.uplink.model import LinkLatency, LinkRate, UplinkResult
from recorder.model.status import DestinationLine, SessionState
from tests.net.speed_server import SpeedServer, serving
from tests.support.rtmp_server import NginxRtmp
from tests.support.servers import RawServer, says
from tests.support.situations import session
from tests.support.streamed import codes, looked, streamed

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def speed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpeedServer]:
    with serving(tmp_path_factory.mktemp("speed")) as server:
        yield server


YOUTUBE = '[destinations.youtube]\nurl = "rtmps://a.rtmps.youtube.com/live2"\n'


def measured_by(address: str, more: str = "") -> str:
    return f'[check]\nuplink = "librespeed"\nserver = "{address}"\nmost_data = "2 MB"\n{more}\n{YOUTUBE}'


def test_a_fast_network_is_enough_and_what_it_costs_is_told_before(tmp_path: Path, speed: SpeedServer) -> None:
    situation = streamed(tmp_path, measured_by(speed.address), 'youtube = "k"', conference=True)
    found, told = looked(look, situation)
    assert {name: result.code for name, result in found.items()} == {
        "uplink": "ok",
        "uplink: latency": "ok-latency",
        "uplink: downlink": "ok-down",
    } or set(found) == {"uplink", "uplink: downlink"}, "so fast that nothing could be asked meanwhile"
    result = found["uplink"]
    assert result.measured["is_capped"] is True
    assert float(str(result.measured["moved_bytes"])) < 3_000_000
    assert result.measured["need_bps"] == round((4_500_000 + 128_000) * 1.1 + 3_800_000)
    assert told[0].notice, "it can be read before, wherever it is shown"
    assert told[0].doing.english == f"will use up to 2.0 MB of data, 6 connections to {HOST}:{speed.port}"
    assert told[-1].doing.english.startswith("receiving ")
    assert all("2.0 MB of data" in progress.doing.english for progress in told)


def test_nothing_is_measured_where_that_is_switched_off_or_would_disturb(tmp_path: Path) -> None:
    assert codes(look, streamed(tmp_path, '[check]\nuplink = "none"')) == {"uplink": "off"}
    assert codes(look, streamed(tmp_path, "")) == {"uplink": "no-server"}
    status = session(SessionState.LIVE, destinations=[DestinationLine(name="youtube", state="live")])
    settings = measured_by(f"http://{HOST}:{free_port()}")
    assert codes(look, streamed(tmp_path, settings, held={"Rapat": status})) == {"uplink": "in-use"}
    with RawServer(says(b"")) as server:
        shown = streamed(tmp_path, ingest(server.port, test=False), 'kampus = "good"')
        assert codes(look, shown) == {"uplink: kampus": "no-test"}
        assert server.asked == []


def test_a_public_server_is_asked_only_where_somebody_agrees(tmp_path: Path, speed: SpeedServer) -> None:
    settings = measured_by(speed.address, "public = true")
    found, told = looked(look, streamed(tmp_path, settings))
    assert found["uplink"].code == "consent"
    assert "2.0 MB" in found["uplink"].reason.english
    assert told == []
    assert codes(look, streamed(tmp_path, settings, 'youtube = "k"', public=True))["uplink"] == "ok"


def test_a_server_that_cannot_be_measured_with_is_a_warning_with_its_reason(tmp_path: Path) -> None:
    with RawServer(says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as server:
        found, _ = looked(look, streamed(tmp_path, measured_by(f"http://{HOST}:{server.port}")))
    assert (found["uplink"].code, found["uplink"].verdict) == ("foreign", CheckVerdict.WARNING)
    assert found["uplink"].reason.english.startswith("Not measured: ")


def ingest(port: int, *, test: bool = True) -> str:
    mark = "test = true" if test else ""
    return f"""
        [check]
        uplink = "ingest"
        [video]
        profile = "480p15"
        [destinations.kampus]
        url = "rtmp://{HOST}:{port}/live"
        {mark}
    """


def test_a_test_stream_to_the_destination_has_the_bit_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink, "PUSH_S", 4.0)
    with NginxRtmp(tmp_path / "nginx") as server:
        found, told = looked(look, streamed(tmp_path, ingest(server.port), 'kampus = "good"'))
        (recording,) = server.recordings()
    result = found["uplink: kampus"]
    assert result.code == "carried", result
    assert 0.8 * 896_000 < recording.stat().st_size * 8 / 4.0 < 1.5 * 896_000
    assert 0.8 * 896_000 < float(str(result.measured["delivered_bps"])) < 1.5 * 896_000
    assert told[-1].share == 1.0
    assert "good" not in str(found)


def test_a_test_stream_that_is_not_taken_is_told(tmp_path: Path) -> None:
    with NginxRtmp(tmp_path / "nginx") as server:
        found, _ = looked(look, streamed(tmp_path, ingest(server.port), 'kampus = "bad"'))
    assert found["uplink: kampus"].code == "not-taken"
    assert "does not accept the stream" in found["uplink: kampus"].for_it.english


def test_folders_take_nothing_of_the_network(tmp_path: Path) -> None:
    settings = f'{YOUTUBE}[destinations.web]\nurl = "file://{tmp_path}"'
    assert streams_of(streamed(tmp_path, settings, 'youtube = "k"')) == 1


# The verdict


SETTINGS = Settings()
UP_BPS = 10e6


def measured(
    p10: float = UP_BPS, *, down: float = UP_BPS, idle: bool = True, loaded: float = 0.03, is_capped: bool = False
) -> UplinkResult:
    latencies = (LinkLatency(0.02, 0.001), LinkLatency(loaded, 0.01)) if idle else (None, None)
    return UplinkResult(
        up=LinkRate(UP_BPS, p10, UP_BPS), down=LinkRate(down, down, down), idle=latencies[0], loaded=latencies[1],
        moved_bytes=12_000_000, streams=3, again_share=0.0123, is_capped=is_capped,
    )  # fmt: skip


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
    ],
)
def test_up_to_seventy_percent_is_well_and_from_eighty_five_on_too_much(need: float, code: str, verdict: str) -> None:
    result = judged(measured(), need)[NAME]
    assert (result.code, result.verdict) == (code, verdict)


def test_where_no_profile_fits_none_is_advised() -> None:
    assert "--profile 720p30" in judged(measured(), 8e6)[NAME].for_it.english
    result = judged(measured(), 8e6, fits=None)[NAME]
    assert result.code == "tight-no-profile"
    assert "profile {" not in result.advice.english


def test_a_rate_that_falls_now_and_then_is_unsteady_and_a_capped_one_says_so() -> None:
    assert judged(measured(p10=4e6), 5e6)[NAME].code == "unsteady"
    assert judged(measured(p10=6e6), 5e6)[NAME].code == "ok"
    result = judged(measured(is_capped=True), 5e6)[NAME]
    assert "12.0 MB" in result.reason.english
    assert result.measured["is_capped"] is True
    assert "MB" not in judged(measured(), 5e6)[NAME].reason.english


def test_a_queue_that_keeps_answers_waiting_is_told() -> None:
    assert judged(measured(loaded=0.17), 5e6)[LATENCY].code == "ok-latency"
    result = judged(measured(loaded=0.171), 5e6)[LATENCY]
    assert (result.code, result.verdict) == ("bufferbloat", "warning")
    assert "151 ms" in result.reason.english
    assert LATENCY not in judged(measured(idle=False), 5e6), "nobody knows"


@pytest.mark.parametrize(("down", "code"), [(10e6, "ok-down"), (4e6, "tight-down"), (3e6, "too-slow-down")])
def test_a_conference_needs_the_way_down_too(down: float, code: str) -> None:
    assert judged(measured(down=down), 5e6, 3e6)[DOWN].code == code
    assert DOWN not in judged(measured(down=down), 5e6), "without a conference"


def test_a_session_needs_a_tenth_more_than_its_streams_and_the_conference() -> None:
    profile = SETTINGS.profiles["1080p30"]
    one = (4_500_000 + 128_000) * 1.1
    assert need_of(SETTINGS, profile, 1, conference=False) == (one, 0)
    assert need_of(SETTINGS, profile, 2, conference=True) == (2 * one + 3_800_000, 3_000_000)
    assert need_of(SETTINGS, profile, 0, conference=False) == (0, 0)
    settings = Settings(video=VideoDefaults(stream_bitrate=2_000_000), check=CheckSettings(conference_up=1_000_000))
    need = need_of(settings, settings.profiles["1080p30"], 1, conference=True)
    assert need[0] == pytest.approx(2_128_000 * 1.1 + 1_000_000)


def test_the_best_profile_that_leaves_the_link_room_fits() -> None:
    assert fitting(SETTINGS, 100e6, 1, conference=False) == "1080p60"
    assert fitting(SETTINGS, 4.5e6, 1, conference=False) == "720p30"
    assert fitting(SETTINGS, 4.5e6, 2, conference=False) == "480p15"
    assert fitting(SETTINGS, 4.5e6, 1, conference=True) is None
