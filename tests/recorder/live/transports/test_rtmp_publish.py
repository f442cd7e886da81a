import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.error import ArgumentError

from capture.source import ColorMatrix
from devices.uplink.connecting import trusted_authorities
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VideoSettings
from recorder.live import flv
from recorder.live.flv import add_streams
from recorder.live.kind import AttemptOutcome, ChildReport, DestinationFault, LinkReport, StreamRequest, fault_sentence
from recorder.live.transports.rtmp_publish import LibavLog, TcpLink, _failure, _tune_socket, tcp_sockets
from recorder.live.url import REDACTED, RtmpUrl, parse_live_url
from tests.support.waiting import wait_for

KEY = "abcd-1234-efgh"


def url(scheme: str = "rtmp") -> RtmpUrl:
    parsed = parse_live_url(f"{scheme}://h.example/live/{KEY}")
    assert isinstance(parsed, RtmpUrl)
    return parsed


def request() -> StreamRequest:
    return StreamRequest(parent=1, head=b"", io_timeout_s=8.0)


def journal(*lines: str) -> tuple[LibavLog, list[ChildReport]]:
    """Return a journal that has read `lines`, and what it reported."""
    reports: list[ChildReport] = []
    read = LibavLog(reports.append, url().secrets)
    for line in lines:
        read.handle(logging.LogRecord("libav.rtmp", logging.DEBUG, "", 0, line, None, None))
    return read, reports


TCP = "Starting connection attempt to 192.0.2.7 port 1935"
UP = "Successfully connected to 192.0.2.7 port 1935"
HELLO = "Handshaking..."
APP = f"Proto = rtmp, path = /live/{KEY}, app = live, fname = {KEY}"
PUBLISH = f"Sending publish command for '{KEY}'"
IO_ERROR = OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(
    ("lines", "error", "reason"),
    [
        (["Failed to resolve hostname h.example: Name or service not known"], IO_ERROR, DestinationFault.UNKNOWN_HOST),
        ([TCP], ConnectionRefusedError(errno.ECONNREFUSED, ""), DestinationFault.REFUSED),
        ([TCP], OSError(errno.EHOSTUNREACH, ""), DestinationFault.UNREACHABLE),
        ([TCP], TimeoutError(errno.ETIMEDOUT, ""), DestinationFault.TIMEOUT),
        ([TCP, UP, HELLO], EOFError(), DestinationFault.CLOSED),
        ([TCP, UP, HELLO, APP], IO_ERROR, DestinationFault.REJECTED),
        ([TCP, UP, HELLO, APP, PUBLISH], IO_ERROR, DestinationFault.REJECTED),
        (
            [TCP, UP, HELLO, APP, PUBLISH, f"Server error: {KEY} is already published"],
            IO_ERROR,
            DestinationFault.ALREADY_PUBLISHING,
        ),
        ([TCP, UP, HELLO, APP, PUBLISH, f"Server error: no such stream {KEY}"], IO_ERROR, DestinationFault.REJECTED),
        ([], IO_ERROR, DestinationFault.FAILED),
        ([TCP, UP, HELLO, APP, PUBLISH], ArgumentError(errno.EINVAL, ""), DestinationFault.FAILED),
    ],
)
def test_the_reason_follows_from_how_far_it_came_and_holds_no_secret(
    lines: list[str], error: Exception, reason: DestinationFault
) -> None:
    read, reports = journal(*lines)
    failed = _failure(error, read, request(), url())
    assert failed.reason is reason
    assert KEY not in failed.detail + repr(reports)


def test_what_a_server_asks_before_a_login_is_no_reason_for_what_comes_later() -> None:
    read, _ = journal(TCP, UP, HELLO, APP, "Server error: code=403 need auth", TCP, UP, HELLO, APP, PUBLISH)
    read.enter("live")
    assert _failure(EOFError(), read, request(), url()).reason is DestinationFault.CLOSED


def test_what_a_server_says_of_a_stream_that_it_takes_all_the_same_is_no_reason_for_what_comes_later() -> None:
    """FFmpeg asks for releaseStream and more, to which servers may answer with an error that means nothing."""
    read, _ = journal(TCP, UP, HELLO, APP, "Server error: call to function releaseStream failed", PUBLISH)
    assert _failure(IO_ERROR, read, request(), url()).reason is DestinationFault.REJECTED
    read.enter("live")
    read.live_since -= 5.0
    assert _failure(BrokenPipeError(errno.EPIPE, ""), read, request(), url()) == AttemptOutcome(DestinationFault.CLOSED)
    read.handle(logging.LogRecord("libav.rtmp", logging.WARNING, "", 0, "Server error: key revoked", None, None))
    assert _failure(BrokenPipeError(errno.EPIPE, ""), read, request(), url()).reason is DestinationFault.REJECTED


def test_a_server_that_does_not_speak_tls() -> None:
    read, _ = journal(TCP, UP)
    assert _failure(IO_ERROR, read, request(), url("rtmps")).reason is DestinationFault.TLS


def test_a_live_stream_is_closed_or_stalls() -> None:
    read, reports = journal(TCP, UP, HELLO, APP, PUBLISH)
    read.enter("live")
    assert reports[-1] == "live"
    failed = _failure(BrokenPipeError(errno.EPIPE, ""), read, request(), url())
    assert failed.reason is DestinationFault.CLOSED
    assert failed.detail == "soon after it took the stream: its program fails, or the key is wrong"
    read.live_since -= 5.0
    assert _failure(BrokenPipeError(errno.EPIPE, ""), read, request(), url()) == AttemptOutcome(DestinationFault.CLOSED)
    read.blocking_since -= 7.9
    assert _failure(IO_ERROR, read, request(), url()).reason is DestinationFault.STALLED


@pytest.mark.parametrize(
    ("lines", "live", "step"),
    [([], False, "load"), ([TCP, UP, HELLO, APP, PUBLISH], False, "publish"), ([], True, "live")],
)
def test_what_is_this_pcs_own_fault_is_named_with_its_step(lines: list[str], live: bool, step: str) -> None:
    read, _ = journal(*lines)
    if live:
        read.enter("live")
    error = ArgumentError(errno.EINVAL, "Invalid argument")
    assert _failure(error, read, request(), url()) == AttemptOutcome(
        DestinationFault.FAILED, f"{step}: Invalid argument"
    )
    read.handle(logging.LogRecord("libav.flv", logging.ERROR, "", 0, f"no dimensions for live/{KEY}\n", None, None))
    assert _failure(error, read, request(), url()) == AttemptOutcome(
        DestinationFault.FAILED, f"{step}: no dimensions for {REDACTED}"
    )


def test_what_a_server_is_told_before_the_stream_begins_is_true_of_it(tmp_path: Path) -> None:
    video = VideoSettings(640, 360, Fraction(30_000, 1001), ColorMatrix.BT709, bit_rate=500_000, max_rate=500_000)
    encoder = Encoder(video, AudioSettings(channels=2, bit_rate=128_000))
    with av.open(str(tmp_path / "out.flv"), "w", format="flv") as sink:
        add_streams(sink, flv.stream_request(encoder.templates))
        sink.start_encoding()
        assert [stream.type for stream in sink.streams] == ["video", "audio"]
    encoder.close()
    told = (tmp_path / "out.flv").read_bytes()
    for name, value in {"width": 640, "height": 360, "framerate": 30_000 / 1001, "audiosamplerate": 48_000}.items():
        assert name.encode() + b"\0" + struct.pack(">d", value) in told, name


def test_each_step_is_reported_as_it_is_entered() -> None:
    _, reports = journal(TCP, UP, HELLO, "Type answer 3", APP, PUBLISH)
    assert reports == ["connect", "secure", "handshake", "application", "publish"]


def test_what_the_server_says_is_redacted() -> None:
    read, _ = journal(f"Server error: rtmp://h.example:1935/live/{KEY} is gone")
    assert read.server_said == f"{REDACTED} is gone"


def test_what_the_server_says_cannot_steer_a_terminal() -> None:
    read, _ = journal("Server error: \x1b[2Jgone\nlive\n")
    assert read.server_said == " [2Jgone live"


def test_every_reason_has_its_sentence() -> None:
    assert all("h.example:1935" in fault_sentence(reason, "h.example:1935") for reason in DestinationFault)


def test_own_authorities_replace_the_systems(tmp_path: Path) -> None:
    assert trusted_authorities(str(tmp_path / "own.crt")) == str(tmp_path / "own.crt")
    system = trusted_authorities(None)
    assert system is None or "BEGIN CERTIFICATE" in Path(system).read_text()


def test_lost_packets_are_not_taken_for_congestion_where_that_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client, socket.socket() as other:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        client.connect(server.getsockname())
        tuned = _tune_socket(32_768)
        assert tuned is not None
        tuned.detach()
        try:
            other.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
        except OSError:
            allowed = b"reno"
        else:
            allowed = b"bbr"
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == allowed


# The connection


def test_the_rate_is_what_came_since_the_last_look() -> None:
    now = [0.0]
    link = TcpLink(None, lambda: now[0])
    assert link.delivered_bps(1000) is None
    now[0] = 0.5
    assert link.delivered_bps(126_000) == 2_000_000
    now[0] = 0.51
    assert link.delivered_bps(127_000) == 2_000_000, "too short to tell"
    now[0] = 1.0
    assert link.delivered_bps(126_000) == 0


def test_a_tcp_connection_is_found_and_told_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        client = socket.create_connection(listener.getsockname())
        server = listener.accept()[0]
        found = tcp_sockets()
        numbers = {one.detach() for one in found}
        assert {client.fileno(), server.fileno()} <= numbers
        assert other.fileno() not in numbers
        link = TcpLink(client)
        client.sendall(bytes(50_000))
        wait_for(lambda: link.sent(1.0).unsent_bytes == 0)
        state = link.sent(1.0)
        assert state.rtt_ms is not None
        assert 0 < state.rtt_ms < 1000
        wait_for(lambda: link.sent(1.0).delivered_bps is not None)
        client.setblocking(False)
        _fill(client)
        assert link.sent(1.0).unsent_bytes > 100_000, "the other side reads nothing"
        client.close()
        server.close()
        assert link.sent(1.0) == TcpLink(None).sent(1.0) == LinkReport(1.0)


def _fill(connection: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            connection.send(bytes(100_000))


class Peer:
    """A connection on loopback whose other end reads when it is told to."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.near = socket.create_connection(server.getsockname())
            self.far, _ = server.accept()
        self.now_s = 0.0
        self.link = TcpLink(self.near, lambda: self.now_s)

    def send(self, *, is_read: bool, count: int = 8192) -> float:
        """Send some in the next second, and return for how long nothing has been read."""
        self.near.sendall(bytes(count))
        wait_for(lambda: self.link.sent(1.0).unsent_bytes == 0)
        if is_read:
            while count:
                count -= len(self.far.recv(count))
        self.now_s += 1
        return self.link.sent(1.0).unread_s

    def read_all(self) -> None:
        """Read what has come, as a server does that lives again."""
        self.far.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self.far.recv(1 << 20):
                pass
        self.far.setblocking(True)

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def test_a_server_that_reads_is_never_taken_for_one_that_hangs(peer: Peer) -> None:
    assert {peer.send(is_read=True) for _ in range(40)} == {0.0}


def test_a_server_that_hangs_is_seen_while_its_kernel_still_takes_everything(peer: Peer) -> None:
    for _ in range(20):
        peer.send(is_read=True)
    unread = [peer.send(is_read=False, count=4096) for _ in range(12)]
    assert unread[-1] > 0
    assert unread[-1] - unread[-2] == 1.0
    peer.read_all()
    for _ in range(10):
        peer.send(is_read=True)
    assert peer.send(is_read=True) == 0.0


def test_a_server_that_reads_slowly_is_not_taken_for_one_that_hangs() -> None:
    now = [0.0]
    link = TcpLink(None, lambda: now[0])
    room, held, acknowledged, worst = 2_000_000, 0, 0, 0.0
    for _ in range(600):  # 75 s: it is given 500 kB a second, as far as there is room, and reads 200 kB
        now[0] += 0.125
        given = min(62_500, room - held)
        acknowledged += given
        held = max(0, held + given - 25_000)
        worst = max(worst, link.unread_s(acknowledged, room - held))
    assert worst < 2
