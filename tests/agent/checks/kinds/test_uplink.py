"""The uplink is measured against whom the settings say, and only where that disturbs nobody."""

import threading
import time
from pathlib import Path

import pytest

from agent.checks.check import CheckVerdict
from agent.checks.kinds import uplink
from agent.checks.kinds.uplink import look, streams_of
from agent.sessions.receiver import HOST, free_port
from devices.uplink.connecting import NetworkFault
from recorder.model.status import DestinationLine, SessionState
from tests.net.speed_server import How, serving
from tests.support.rtmp_server import NginxRtmp
from tests.support.situations import session
from tests.support.streamed import codes, looked, streamed

pytestmark = pytest.mark.server

YOUTUBE = '[destinations.youtube]\nurl = "rtmps://a.rtmps.youtube.com/live2"\n'


def measured_by(address: str, more: str = "", *, most: str = "2 MB", kind: str = "librespeed") -> str:
    return f'[check]\nuplink = "{kind}"\nserver = "{address}"\nmost_data = "{most}"\n{more}\n{YOUTUBE}'


def test_a_fast_network_is_enough_and_what_it_costs_is_told_before(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        situation = streamed(tmp_path, measured_by(server.address), 'youtube = "k"', conference=True)
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
    assert told[0].doing.english == f"will use up to 2.00 MB of data, 6 connections to {HOST}:{server.port}"
    assert told[-1].doing.english.startswith("receiving ")
    assert all("2.00 MB of data" in progress.doing.english for progress in told)


def test_a_network_that_is_too_slow_for_the_session_names_no_profile_where_none_fits(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        more = 'conference_up = "200 Mbit/s"\nstreams = 1'
        text = measured_by(server.address, more) + "".join(
            f'[destinations.d{number}]\nurl = "rtmps://h/live"\n' for number in range(60)
        )
        text = text.replace("[destinations", '[video]\nstream_bitrate = "200 Mbit/s"\n[destinations', 1)
        found, _ = looked(look, streamed(tmp_path, text, conference=True))
    assert found["uplink"].code == "too-slow-no-profile"
    assert found["uplink"].verdict is CheckVerdict.FAILURE


def test_nothing_is_measured_where_that_is_switched_off_or_there_is_nobody(tmp_path: Path) -> None:
    assert codes(look, streamed(tmp_path, '[check]\nuplink = "none"')) == {"uplink": "off"}
    assert codes(look, streamed(tmp_path, "")) == {"uplink": "no-server"}


def test_a_public_server_is_asked_only_where_somebody_agrees(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        settings = measured_by(server.address, "public = true")
        found, told = looked(look, streamed(tmp_path, settings))
        assert found["uplink"].code == "consent"
        assert "2.00 MB" in found["uplink"].reason.english
        assert told == []
        assert codes(look, streamed(tmp_path, settings, 'youtube = "k"', public=True))["uplink"] == "ok"


def test_a_session_that_streams_is_not_disturbed(tmp_path: Path) -> None:
    status = session(SessionState.LIVE, destinations=[DestinationLine(name="youtube", state="live")])
    settings = measured_by(f"http://{HOST}:{free_port()}")
    assert codes(look, streamed(tmp_path, settings, held={"Rapat": status})) == {"uplink": "in-use"}


@pytest.mark.parametrize(
    ("how", "code"), [(How.REDIRECTS, "portal"), (How.WRONG, "foreign"), (How.REFUSES, "server-error")]
)
def test_a_server_that_cannot_be_measured_with_is_a_warning_with_its_reason(
    tmp_path: Path, how: How, code: str
) -> None:
    with serving(tmp_path / "server", how) as server:
        found, _ = looked(look, streamed(tmp_path, measured_by(server.address)))
    assert (found["uplink"].code, found["uplink"].verdict) == (code, CheckVerdict.WARNING)
    assert found["uplink"].reason.english.startswith("Not measured: ")
    assert found["uplink"].reason.indonesian.startswith("Tidak terukur: ")


def test_every_trouble_has_its_words() -> None:
    assert {str(trouble) for trouble in NetworkFault} <= set(uplink.CODES)


def test_a_measurement_that_is_stopped_returns_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        situation = streamed(tmp_path, measured_by(server.address, most="100 GB"))
        threading.Timer(2.0, situation.stop.set).start()
        began = time.monotonic()
        assert codes(look, situation) == {}
        assert time.monotonic() - began < 12  # it would take 15 s


def ingest(server: NginxRtmp, *, test: bool = True) -> str:
    mark = "test = true" if test else ""
    return f"""
        [check]
        uplink = "ingest"
        [video]
        profile = "480p15"
        [destinations.kampus]
        url = "rtmp://{HOST}:{server.port}/live"
        {mark}
    """


def test_a_test_stream_to_the_destination_itself_has_the_real_bit_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "PUSH_S", 4.0)
    with NginxRtmp(tmp_path / "nginx") as server:
        found, told = looked(look, streamed(tmp_path, ingest(server), 'kampus = "good"'))
        (recording,) = server.recordings()
    result = found["uplink: kampus"]
    assert result.code == "carried", result
    assert 0.8 * 896_000 < recording.stat().st_size * 8 / 4.0 < 1.5 * 896_000
    assert 0.8 * 896_000 < float(str(result.measured["delivered_bps"])) < 1.5 * 896_000
    assert told[-1].share == 1.0
    assert "good" not in str(found)


def test_a_test_stream_that_is_not_taken_is_told(tmp_path: Path) -> None:
    with NginxRtmp(tmp_path / "nginx") as server:
        found, _ = looked(look, streamed(tmp_path, ingest(server), 'kampus = "bad"'))
    assert found["uplink: kampus"].code == "not-taken"
    assert "does not accept the stream" in found["uplink: kampus"].reason.english


def test_nothing_is_streamed_to_where_people_would_see_it(tmp_path: Path) -> None:
    with NginxRtmp(tmp_path / "nginx") as server:
        assert codes(look, streamed(tmp_path, ingest(server, test=False), 'kampus = "good"')) == {
            "uplink: kampus": "no-test"
        }
        assert server.recordings() == []


def test_folders_take_nothing_of_the_network(tmp_path: Path) -> None:
    settings = f'{YOUTUBE}[destinations.web]\nurl = "file://{tmp_path}"'
    assert streams_of(streamed(tmp_path, settings, 'youtube = "k"')) == 1
