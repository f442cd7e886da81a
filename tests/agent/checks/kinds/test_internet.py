"""Each destination of a session is reached, or it is told why not."""

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.checks.check import CheckResult, CheckVerdict
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


def destinations(**urls: str) -> str:
    """Return settings with these; more of the last one may follow."""
    return "".join(f'[destinations.{name}]\nurl = "{url}"\n' for name, url in urls.items())


def by_name(found: Mapping[str, CheckResult]) -> dict[str, str]:
    return {name.removeprefix("internet: "): result.code for name, result in found.items()}


def test_destinations_of_every_kind_are_reached(tmp_path: Path) -> None:
    with NginxRtmp(tmp_path / "nginx") as server:
        tls = TlsFront(tmp_path / "tls", server.port)
        try:
            settings = destinations(
                plain=f"rtmp://{HOST}:{server.port}/live", web=f"file://{tmp_path}",
                secure=f"rtmps://localhost:{tls.port}/live",
            )  # fmt: skip
            settings += f'ca_file = "{tls.certificate}"\n' + destinations(caller=f"srt://:{free_udp_port()}")
            found, told = looked(
                look, streamed(tmp_path, settings + 'mode = "listener"', 'plain = "good"\nsecure = "good"')
            )
        finally:
            tls.stop()
    assert by_name(found) == {"plain": "ok", "secure": "ok", "web": "ok-folder", "caller": "ok-listens"}
    assert all(result.verdict is CheckVerdict.OK for result in found.values())
    assert [progress.share for progress in told] == [0.25, 0.5, 0.75, 1.0]
    assert "good" not in str(found)


def test_only_the_destinations_of_the_session_count_and_each_needs_its_key(tmp_path: Path) -> None:
    settings = destinations(one=f"file://{tmp_path}", two="file:///nowhere")
    assert codes(look, streamed(tmp_path, settings, streams=("one",))) == {"internet: one": "ok-folder"}
    assert codes(look, streamed(tmp_path, settings, streams=("nowhere",))) == {"internet: nowhere": "not-set-up"}
    assert codes(look, streamed(tmp_path, "")) == {"internet": "none"}
    found, _ = looked(look, streamed(tmp_path, destinations(kampus=f"rtmp://{HOST}:{free_port()}/live")))
    assert by_name(found) == {"kampus": "not-set-up"}
    assert "keys.toml" in found["internet: kampus"].for_it.english
    assert "kampus" in found["internet: kampus"].advice.indonesian


def test_a_listener_that_cannot_listen_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = destinations(relay="srt://192.0.2.7:9000", other="srt://192.0.2.7:9001") + 'mode = "listener"'
    assert codes(look, streamed(tmp_path, settings, streams=("other",))) == {"internet: other": "not-here"}
    monkeypatch.setattr(libsrt, "_NAMES", ("libsrt-of-nobody.so.1",))
    found, _ = looked(look, streamed(tmp_path, settings))
    assert by_name(found) == {"other": "no-libsrt", "relay": "no-libsrt"}
    assert "libsrt1.5-gnutls" in found["internet: relay"].advice.english


def test_folders_and_ports_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::", 0))
        settings = destinations(web="file:///nowhere/hls", caller=f"srt://:{other.getsockname()[1]}")
        found, _ = looked(look, streamed(tmp_path, settings + 'mode = "listener"'))
    assert by_name(found) == {"web": "folder-missing", "caller": "port-taken"}


def test_what_answers_as_a_portal_does_or_no_more_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internet, "LONGEST_S", 3.0)
    redirect = says(b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.test/\r\n\r\n")
    with RawServer(redirect) as portal, RawServer(says(b"\3")) as stalls:
        ports = {"portal": portal.port, "stalls": stalls.port, "nobody": free_port()}
        settings = destinations(**{name: f"rtmp://{HOST}:{port}/live" for name, port in ports.items()})
        found, _ = looked(look, streamed(tmp_path, settings, "".join(f'{name} = "good"\n' for name in ports)))
    assert by_name(found) == {"portal": "portal", "stalls": "stalls", "nobody": "refused"}


def test_a_session_that_runs_is_asked_and_its_destinations_are_left_alone(tmp_path: Path) -> None:
    with RawServer(says(b"")) as server:
        settings = destinations(**dict.fromkeys(("live", "lost"), f"rtmp://{HOST}:{server.port}/live"))
        lines = [
            DestinationLine(name="live", state="live", since=datetime.now(UTC)),
            DestinationLine(name="lost", state="waiting", reason="refused", message="nobody listens there"),
        ]
        held = {"Rapat": session(SessionState.LIVE, destinations=lines)}
        found, _ = looked(look, streamed(tmp_path, settings, 'live = "good"\nlost = "good"', held=held))
        assert by_name(found) == {"live": "held", "lost": "held-trouble"}
        assert "nobody listens there" in found["internet: lost"].for_it.english
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
