"""What stands between this PC and a destination is told apart, and nothing is published to find out."""

import errno
import os
import socket
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from signal import SIGKILL

import pytest

from agent.sessions.receiver import HOST, free_port
from devices.uplink.connecting import Cancelled, Deadline, NetworkError, NetworkFault, resolve
from recorder.live.kind import DestinationError, DestinationFault, ReachResult
from recorder.live.reach import check_port, greet_rtmp, reach_server, reach_srt
from recorder.live.transports.hls_folder import reach_folder
from recorder.live.url import FolderUrl, RtmpUrl, SrtUrl
from tests.support.processes import be_powerless_root, confined
from tests.support.rtmp_server import NginxRtmp
from tests.support.servers import EXPIRED, VALID, Behaviour, RawServer, TlsFront, says
from tests.support.srt_peer import SrtPeer, free_udp_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

ANOTHER = 54321
"""A user who is not this one."""
HALF_A_HELLO = b"\3" + bytes(700)


def patience(step_s: float = 3.5) -> Deadline:
    return Deadline(time.monotonic() + 9.5, threading.Event(), step_s)


def rtmp(port: int, scheme: str = "rtmp", host: str = HOST) -> RtmpUrl:
    return RtmpUrl(scheme, host, port, "live", "good")


def why_not(url: RtmpUrl | SrtUrl, ca_file: Path | None = None, step_s: float = 3.5) -> tuple[NetworkFault, str]:
    """Return why a server cannot be reached."""
    step = patience(step_s)
    with pytest.raises(NetworkError) as caught:
        reach_srt(url, step) if isinstance(url, SrtUrl) else reach_server(url, ca_file, step, greet_rtmp)
    return caught.value.trouble, caught.value.detail


def test_a_server_that_says_hello_is_reached_and_takes_no_stream(server: NginxRtmp) -> None:
    assert reach_server(rtmp(server.port), None, patience(), greet_rtmp) == "ok"
    assert server.recordings() == []


def test_a_server_with_tls_is_reached_by_its_own_authorities_alone(server: NginxRtmp, tmp_path: Path) -> None:
    with TlsFront(tmp_path / "tls", server.port) as front:
        url = rtmp(front.port, "rtmps", "localhost")
        assert reach_server(url, front.certificate, patience(), greet_rtmp) == "ok"
        assert why_not(url) == (NetworkFault.INTERCEPTED, "localhost")
        assert why_not(url, Path("/nowhere.pem")) == (NetworkFault.INTERCEPTED, "ca_file")


@pytest.mark.parametrize(
    ("name", "dates", "trouble"),
    [("portal.test", VALID, NetworkFault.INTERCEPTED), ("localhost", EXPIRED, NetworkFault.CERTIFICATE_DATE)],
)
def test_a_certificate_of_another_host_or_time_is_told(
    server: NginxRtmp, tmp_path: Path, name: str, dates: Sequence[str], trouble: NetworkFault
) -> None:
    with TlsFront(tmp_path / "tls", server.port, name, dates) as front:
        assert why_not(rtmp(front.port, "rtmps", "localhost"), front.certificate)[0] == trouble


def test_nobody_who_listens_refuses() -> None:
    assert why_not(rtmp(free_port())) == (NetworkFault.REFUSED, "")
    assert why_not(SrtUrl(HOST, free_udp_port())) == (NetworkFault.REFUSED, "")


@pytest.mark.parametrize(
    ("scheme", "behave", "step_s", "trouble"),
    [
        ("rtmp", says(b""), 0.5, NetworkFault.SILENT),
        ("rtmp", says(HALF_A_HELLO), 2.0, NetworkFault.STALLS),
        ("rtmp", says(HALF_A_HELLO, then_waits=False), 3.5, NetworkFault.CLOSED),
        ("rtmp", says(b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.test/\r\n\r\n"), 3.5, NetworkFault.PORTAL),
        ("rtmp", says(b"SSH-2.0-OpenSSH\r\n"), 3.5, NetworkFault.FOREIGN),
        ("rtmps", says(b"\3" + bytes(3000)), 3.5, NetworkFault.NO_TLS),
    ],
)
def test_what_answers_in_another_way_is_told(
    scheme: str, behave: Behaviour, step_s: float, trouble: NetworkFault
) -> None:
    with RawServer(behave) as server:
        assert why_not(rtmp(server.port, scheme), step_s=step_s)[0] == trouble


def test_a_look_ends_when_nobody_waits_for_it_any_more() -> None:
    endless = Deadline(time.monotonic() + 3600, threading.Event(), 3600)
    with RawServer(says(b"")) as server:
        threading.Timer(0.2, endless.stop.set).start()
        with pytest.raises(Cancelled):
            reach_server(rtmp(server.port), None, endless, greet_rtmp)


def test_a_listener_of_srt_is_reached_and_goes_on_waiting(tmp_path: Path) -> None:
    peer = SrtPeer(tmp_path / "relay.ts", free_udp_port(), "listener", "passphrase=aulalantai2")
    peer.start()
    try:
        wait_for(lambda: f":{peer.port:04X} " in Path("/proc/net/udp").read_text())
        assert reach_srt(SrtUrl(HOST, peer.port), patience()) == "ok"
        assert reach_srt(SrtUrl(HOST, peer.port), patience()) == "ok", "still there"
        assert peer.is_running()
    finally:
        peer.stop(SIGKILL)


def test_what_answers_in_another_way_than_srt_or_not_at_all_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HOST, 0))
        url = SrtUrl(HOST, other.getsockname()[1])
        assert why_not(url, step_s=0.5) == (NetworkFault.TIMEOUT, "")
        other.settimeout(5)

        def echo() -> None:
            for _ in range(2):  # the look before, and this one
                data, sender = other.recvfrom(4096)
            other.sendto(data[:20], sender)

        thread = threading.Thread(target=echo)
        thread.start()
        assert why_not(url) == (NetworkFault.FOREIGN, "")
        thread.join()


def test_an_address_to_which_there_is_no_way_takes_no_time_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of IPv6 on a PC without that: none that needs an interface is reached where none is named."""
    here, nowhere = (socket.getaddrinfo(host, 9001, type=socket.SOCK_DGRAM)[0] for host in (HOST, "fe80::1"))
    for found, left in (([nowhere, here], [here]), ([here, nowhere], [here]), ([nowhere], [nowhere])):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, found=found, **__: found)
        assert resolve("relay.test", 9001, patience()) == left


def test_a_name_that_is_none_is_an_unknown_host() -> None:
    assert why_not(rtmp(1935, host="kampus..example"))[0] is NetworkFault.UNKNOWN_HOST


def test_where_nobody_may_wait_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def why(host: str, port: int = 9001) -> ReachResult:
        return check_port(SrtUrl(host, port, "listener"), patience())

    port = free_udp_port()
    assert (why("", port), why("192.0.2.7")) == ("ok-listens", "not-here")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::", port))
        assert why("", port) == "port-taken"
    with pytest.raises(NetworkError, check=lambda why: why.trouble in {NetworkFault.UNKNOWN_HOST, NetworkFault.NO_DNS}):
        why("hall.invalid")
    without_ipv6(monkeypatch)
    assert (why("", port), why("::1", port)) == ("ok-listens", "not-here")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", port))
        assert why("", port) == "port-taken"


def without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process on a kernel that has no IPv6."""

    class Ipv4Only(socket.socket):
        def __init__(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            super().__init__(family, kind)

    monkeypatch.setattr(socket, "socket", Ipv4Only)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network of its own, where nobody has let everybody wait there")
def test_a_port_that_is_not_for_everybody_is_told() -> None:
    def confine() -> None:
        os.unshare(os.CLONE_NEWNET)
        be_powerless_root()

    asked = (SrtUrl("", port, "listener") for port in (1023, 1024))  # the last for some, and the first for everybody
    found = confined(confine, lambda: [check_port(url, patience()) for url in asked])
    assert found == ["port-forbidden", "ok-listens"]


def test_a_folder_that_takes_nothing_is_told_by_its_reason(tmp_path: Path) -> None:
    reach_folder(FolderUrl(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DestinationError, check=lambda error: error.reason is DestinationFault.FOLDER_MISSING):
        reach_folder(FolderUrl(str(tmp_path / "nowhere")))
    (tmp_path / "closed").mkdir(mode=0o555)
    confine = be_powerless_root if os.geteuid() == 0 else lambda: None
    with pytest.raises(DestinationError, check=lambda error: error.reason is DestinationFault.NOT_WRITABLE):
        confined(confine, partial(reach_folder, FolderUrl(str(tmp_path / "closed"))))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("left", [".live.lock", "live.m3u8"])
def test_a_folder_with_what_another_user_has_left_and_nobody_else_may_touch_is_told(tmp_path: Path, left: str) -> None:
    (tmp_path / left).touch(mode=0o600 if left == ".live.lock" else 0o644)
    os.chown(tmp_path / left, ANOTHER, ANOTHER)
    os.chown(tmp_path, ANOTHER, -1)
    tmp_path.chmod(0o1777)

    look = partial(reach_folder, FolderUrl(str(tmp_path)))
    with pytest.raises(DestinationError, check=lambda error: error.reason is DestinationFault.NOT_WRITABLE):
        confined(be_powerless_root, look)
    assert (tmp_path / left).exists()
    os.chown(tmp_path, 0, -1)
    if left != ".live.lock":
        confined(be_powerless_root, look)  # whose folder it is may remove what is in it
