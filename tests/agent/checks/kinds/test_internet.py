"""Each destination of a session is reached, or it is told why not."""

import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.checks.check import CheckVerdict
from agent.checks.kinds import internet, uplink
from agent.checks.kinds.internet import look, network_result
from agent.sessions.receiver import HOST, free_port
from devices.uplink.connecting import NetworkError, NetworkFault
from recorder.live.transports import libsrt
from recorder.model.status import DestinationLine, SessionState
from tests.support.rtmp_server import NginxRtmp
from tests.support.servers import RawServer, TlsFront, says
from tests.support.situations import session
from tests.support.srt_peer import free_udp_port
from tests.support.streamed import codes, looked, streamed

pytestmark = pytest.mark.server


def test_destinations_of_every_kind_are_reached(tmp_path: Path) -> None:
    with NginxRtmp(tmp_path / "nginx") as server:
        tls = TlsFront(tmp_path / "tls", server.port)
        try:
            settings = f"""
                [destinations.plain]
                url = "rtmp://{HOST}:{server.port}/live"
                [destinations.secure]
                url = "rtmps://localhost:{tls.port}/live"
                ca_file = "{tls.certificate}"
                [destinations.web]
                url = "file://{tmp_path}"
                [destinations.caller]
                url = "srt://:{free_udp_port()}"
                mode = "listener"
            """
            found, told = looked(look, streamed(tmp_path, settings, 'plain = "good"\nsecure = "good"'))
        finally:
            tls.stop()
    assert {name: result.code for name, result in found.items()} == {
        "internet: plain": "ok",
        "internet: secure": "ok",
        "internet: web": "ok-folder",
        "internet: caller": "ok-listens",
    }
    assert all(result.verdict is CheckVerdict.OK for result in found.values())
    assert [progress.share for progress in told] == [0.25, 0.5, 0.75, 1.0]
    assert "good" not in str(found)


def test_only_the_destinations_of_the_session_count_and_each_needs_its_key(tmp_path: Path) -> None:
    settings = f'[destinations.one]\nurl = "file://{tmp_path}"\n[destinations.two]\nurl = "file:///nowhere"'
    assert codes(look, streamed(tmp_path, settings, streams=("one",))) == {"internet: one": "ok-folder"}
    assert codes(look, streamed(tmp_path, settings, streams=("nowhere",))) == {"internet: nowhere": "not-set-up"}
    assert codes(look, streamed(tmp_path, "")) == {"internet": "none"}
    settings = f'[destinations.kampus]\nurl = "rtmp://{HOST}:{free_port()}/live"'
    found, _ = looked(look, streamed(tmp_path, settings))
    result = found["internet: kampus"]
    assert result.code == "not-set-up"
    assert "keys.toml" in result.advice.english


def test_a_listener_that_cannot_listen_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = """
        [destinations.other]
        url = "srt://192.0.2.7:9001"
        mode = "listener"
        [destinations.relay]
        url = "srt://192.0.2.7:9000"
    """
    assert codes(look, streamed(tmp_path, settings, streams=("other",))) == {"internet: other": "not-here"}
    monkeypatch.setattr(libsrt, "_NAMES", ("libsrt-of-nobody.so.1",))
    found, _ = looked(look, streamed(tmp_path, settings))
    assert {name: result.code for name, result in found.items()} == {
        "internet: other": "no-libsrt",
        "internet: relay": "no-libsrt",
    }
    assert "libsrt1.5-gnutls" in found["internet: relay"].advice.english


def test_folders_and_ports_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::", 0))
        settings = f"""
            [destinations.web]
            url = "file:///nowhere/hls"
            [destinations.caller]
            url = "srt://:{other.getsockname()[1]}"
            mode = "listener"
        """
        assert codes(look, streamed(tmp_path, settings)) == {
            "internet: web": "folder-missing",
            "internet: caller": "port-taken",
        }


def test_what_answers_as_a_portal_does_is_told_before_the_ten_seconds_are_over(tmp_path: Path) -> None:
    redirect = says(b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.test/\r\n\r\n")
    with RawServer(redirect) as portal, RawServer(says(b"\3")) as stalls:
        settings = f"""
            [destinations.portal]
            url = "rtmp://{HOST}:{portal.port}/live"
            [destinations.stalls]
            url = "rtmp://{HOST}:{stalls.port}/live"
            [destinations.nobody]
            url = "rtmp://{HOST}:{free_port()}/live"
        """
        began = time.monotonic()
        situation = streamed(tmp_path, settings, 'portal = "good"\nstalls = "good"\nnobody = "good"')
        assert codes(look, situation) == {
            "internet: portal": "portal",
            "internet: stalls": "stalls",
            "internet: nobody": "refused",
        }
        assert time.monotonic() - began < 10


def test_a_session_that_runs_is_asked_and_its_destinations_are_left_alone(tmp_path: Path) -> None:
    with RawServer(says(b"")) as server:
        settings = "".join(
            f'[destinations.{name}]\nurl = "rtmp://{HOST}:{server.port}/live"\n' for name in ("live", "lost")
        )
        lines = [
            DestinationLine(name="live", state="live", since=datetime.now(UTC)),
            DestinationLine(name="lost", state="waiting", reason="refused", message="nobody listens there"),
        ]
        held = {"Rapat": session(SessionState.LIVE, destinations=lines)}
        found, _ = looked(look, streamed(tmp_path, settings, 'live = "good"\nlost = "good"', held=held))
        assert {name: result.code for name, result in found.items()} == {
            "internet: live": "held",
            "internet: lost": "held-trouble",
        }
        assert "nobody listens there" in found["internet: lost"].reason.english
        assert server.asked == []


def test_where_this_pc_has_no_network_no_server_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internet, "missing_network", lambda: NetworkFault.NO_CABLE)
    for trouble in (NetworkFault.NO_DNS, NetworkFault.UNKNOWN_HOST, NetworkFault.NO_ROUTE, NetworkFault.TIMEOUT):
        assert network_result(internet.CODES, "x", "host", NetworkError(trouble)).code == NetworkFault.NO_CABLE
    assert network_result(internet.CODES, "x", "host", NetworkError(NetworkFault.REFUSED)).code == NetworkFault.REFUSED


@pytest.mark.parametrize("trouble", list(NetworkFault))
def test_every_trouble_has_its_words(trouble: NetworkFault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internet, "missing_network", lambda: None)
    result = network_result(internet.CODES, "x", "ingest.test:1935", NetworkError(trouble, "said so"))
    assert result.code == trouble
    assert trouble in uplink.CODES
    assert "{" not in "".join((*result.reason, *result.advice))
