import contextlib
import errno
import io
import logging
import socket
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.error import ArgumentError

from capture.source import ColorMatrix
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VideoSettings
from recorder.live import flv
from recorder.live.flv import FlvMuxer, add_streams
from recorder.live.kind import AttemptOutcome, ChildReport, DestinationFault, LinkReport, StreamRequest, fault_sentence
from recorder.live.transports.rtmp_publish import LibavLog, TcpLink, _failure, tcp_sockets
from recorder.live.url import REDACTED, RtmpUrl
from recorder.model.packet import EncodedPacket, Track
from tests.support.encoded import SmallEncoder, late_pictures
from tests.support.waiting import wait_for

KEY = "abcd-1234-efgh"
URL = RtmpUrl("rtmp", "h.example", 1935, "live", KEY)


def failure(error: Exception, read: LibavLog) -> AttemptOutcome:
    return _failure(error, read, StreamRequest(parent=1, head=b"", io_timeout_s=8.0), URL)


def journal(*lines: str) -> tuple[LibavLog, list[ChildReport]]:
    """Return a journal that has read `lines`, and what it reported."""
    reports: list[ChildReport] = []
    read = LibavLog(reports.append, URL.secrets)
    for line in lines:
        read.handle(logging.LogRecord("libav.rtmp", logging.DEBUG, "", 0, line, None, None))
    return read, reports


TCP = "Starting connection attempt to 192.0.2.7 port 1935"
UP = "Successfully connected to 192.0.2.7 port 1935"
HELLO = "Handshaking..."
APP = f"Proto = rtmp, path = /live/{KEY}, app = live, fname = {KEY}"
PUBLISH = TCP, UP, HELLO, APP, f"Sending publish command for '{KEY}'"
IO_ERROR = OSError(errno.EIO, "Input/output error")
BROKEN_PIPE = BrokenPipeError(errno.EPIPE, "")


@pytest.mark.parametrize(
    ("lines", "error", "reason"),
    [
        (["Failed to resolve hostname h.example: Name or service not known"], IO_ERROR, DestinationFault.UNKNOWN_HOST),
        ([TCP], ConnectionRefusedError(errno.ECONNREFUSED, ""), DestinationFault.REFUSED),
        ([TCP], TimeoutError(errno.ETIMEDOUT, ""), DestinationFault.TIMEOUT),
        ([TCP, UP, HELLO], EOFError(), DestinationFault.CLOSED),
        ([TCP, UP, HELLO, APP], IO_ERROR, DestinationFault.REJECTED),
        ([*PUBLISH, f"Server error: {KEY} is already published"], IO_ERROR, DestinationFault.ALREADY_PUBLISHING),
        ([*PUBLISH, f"Server error: no such stream {KEY}"], IO_ERROR, DestinationFault.REJECTED),
        (PUBLISH, ArgumentError(errno.EINVAL, ""), DestinationFault.FAILED),
    ],
)
def test_the_reason_is_how_far_it_came(lines: Sequence[str], error: Exception, reason: DestinationFault) -> None:
    read, reports = journal(*lines)
    failed = failure(error, read)
    assert failed.reason is reason
    assert KEY not in failed.detail + repr(reports)


def test_what_a_server_asks_before_a_login_is_no_reason_for_what_comes_later() -> None:
    read, _ = journal(TCP, UP, HELLO, APP, "Server error: code=403 need auth", *PUBLISH)
    read.enter("live")
    assert failure(EOFError(), read).reason is DestinationFault.CLOSED


def test_what_a_server_says_of_a_stream_that_it_takes_all_the_same_is_no_reason_for_what_comes_later() -> None:
    """FFmpeg asks for releaseStream and more, to which servers may answer with an error that means nothing."""
    read, _ = journal(*PUBLISH[:4], "Server error: call to function releaseStream failed", PUBLISH[4])
    assert failure(IO_ERROR, read).reason is DestinationFault.REJECTED
    read.enter("live")
    read.live_since -= 5.0
    assert failure(BROKEN_PIPE, read) == AttemptOutcome(DestinationFault.CLOSED)
    read.handle(logging.LogRecord("libav.rtmp", logging.WARNING, "", 0, "Server error: key revoked", None, None))
    assert failure(BROKEN_PIPE, read).reason is DestinationFault.REJECTED


def test_a_live_stream_is_closed_or_stalls() -> None:
    read, reports = journal(*PUBLISH)
    read.enter("live")
    assert reports[-1] == "live"
    failed = failure(BROKEN_PIPE, read)
    assert failed.reason is DestinationFault.CLOSED
    assert failed.detail == "soon after it took the stream: its program fails, or the key is wrong"
    read.live_since -= 5.0
    assert failure(BROKEN_PIPE, read) == AttemptOutcome(DestinationFault.CLOSED)
    read.blocking_since -= 7.9
    assert failure(IO_ERROR, read).reason is DestinationFault.STALLED


@pytest.mark.parametrize(("lines", "step"), [([], "load"), (PUBLISH, "publish")])
def test_what_is_this_pcs_own_fault_is_named_with_its_step(lines: Sequence[str], step: str) -> None:
    read, _ = journal(*lines)
    error = ArgumentError(errno.EINVAL, "Invalid argument")
    assert failure(error, read) == AttemptOutcome(DestinationFault.FAILED, f"{step}: Invalid argument")
    read.handle(logging.LogRecord("libav.flv", logging.ERROR, "", 0, f"no dimensions for live/{KEY}\n", None, None))
    said = f"{step}: no dimensions for {REDACTED}"
    assert failure(error, read) == AttemptOutcome(DestinationFault.FAILED, said)


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
    _, reports = journal(*PUBLISH[:3], "Type answer 3", *PUBLISH[3:])
    assert reports == ["connect", "secure", "handshake", "application", "publish"]


def test_what_the_server_says_is_redacted_and_cannot_steer_a_terminal() -> None:
    read, _ = journal(f"Server error: \x1b[2Jrtmp://h.example:1935/live/{KEY} is gone\nlive\n")
    assert read.server_said == f" [2J{REDACTED} is gone live"


def test_every_reason_has_its_sentence() -> None:
    assert all("h.example:1935" in fault_sentence(reason, "h.example:1935") for reason in DestinationFault)


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
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(bytes(100_000))
        assert link.sent(1.0).unsent_bytes > 100_000, "the other side reads nothing"
        client.close()
        server.close()
        assert link.sent(1.0) == TcpLink(None).sent(1.0) == LinkReport(1.0)


def test_a_server_that_hangs_is_seen_while_its_kernel_still_takes_everything() -> None:
    now = [0.0]
    link, acknowledged, window = TcpLink(None, lambda: now[0]), 0, 2_000_000

    def send(count: int, read: int) -> float:
        """Send so much in the next second, of which so much is read; return for how long nothing has been."""
        nonlocal acknowledged, window
        now[0], acknowledged, window = now[0] + 1, acknowledged + count, window + read - count
        return link.unread_s(acknowledged, window)

    assert {send(8192, 8192) for _ in range(40)} == {0.0}
    unread = [send(4096, 0) for _ in range(12)]
    assert unread[-1] > 5
    assert unread[-1] - unread[-2] == 1.0
    send(8192, 12 * 4096 + 8192)
    assert [send(8192, 8192) for _ in range(10)][-1] == 0.0


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


# FLV


def packets_of(flv: bytes) -> dict[str, list[tuple[float, bool]]]:
    found: dict[str, list[tuple[float, bool]]] = {"video": [], "audio": []}
    with av.open(io.BytesIO(flv), "r", format="flv") as container:
        for packet in container.demux():
            if packet.dts is not None:
                found[packet.stream.type].append((float(packet.dts * packet.time_base), packet.is_keyframe))
    return found


@pytest.mark.parametrize("start", [0, 60])
def test_time_begins_at_the_keyframe_it_starts_at(encoder: SmallEncoder, start: int) -> None:
    packets = encoder.several(90)
    keyframe = next(p for p in packets if p.track is Track.VIDEO and p.is_keyframe and p.dts >= start * 3000)
    feed = FlvMuxer(encoder.templates, keyframe)
    for packet in packets:
        if packet.dts_s >= keyframe.dts_s - 1:  # what is earlier than the keyframe is left out
            feed.add(packet)
    feed.finish()
    found = packets_of(bytes(feed.data))
    assert found["video"][0] == (0.0, True)
    assert len(found["video"]) == 90 - start
    assert [round(dts * 30) for dts, _ in found["video"]] == list(range(90 - start))
    assert 0 <= found["audio"][0][0] < 0.022
    assert feed.start_s == start / 30


def test_every_packet_comes_out_before_the_next_goes_in(encoder: SmallEncoder) -> None:
    packets = encoder.several(30)
    feed = FlvMuxer(encoder.templates, packets[0])
    for packet in packets:
        feed.add(packet)
    assert len(feed.data) > sum(len(packet.data) for packet in packets) * 0.9
    feed.finish()


@pytest.mark.parametrize("lag_s", [1.1, 3.0])
def test_pictures_may_come_long_after_their_sound(encoder: SmallEncoder, lag_s: float) -> None:
    packets = encoder.several(150)
    keyframe = next(p for p in packets if p.track is Track.VIDEO and p.dts_s == 1)
    # No sound begins just when the keyframe does, so the first sound is later than the first picture.
    assert all(p.dts_s != keyframe.dts_s for p in packets if p.track is Track.AUDIO)
    feed = FlvMuxer(encoder.templates, keyframe)
    for packet in late_pictures(packets, lag_s):
        feed.add(packet)
    feed.finish()
    found = packets_of(bytes(feed.data))
    assert [round(dts * 30) for dts, _ in found["video"]] == list(range(120))
    assert len(found["audio"]) == sum(p.track is Track.AUDIO and p.dts_s > 1 for p in packets)


def test_times_of_other_units_stay_in_step(encoder: SmallEncoder) -> None:
    keyframe, *_ = encoder.next()
    late = EncodedPacket(Track.VIDEO, keyframe.data, 1001, 1001, 1, Fraction(1, 30), is_keyframe=True)
    feed = FlvMuxer(encoder.templates, late)
    sound = next(packet for packet in encoder.several(5) if packet.track is Track.AUDIO)
    feed.add(late)
    at = round(1001 / 30 * 48_000) + 24_000
    feed.add(EncodedPacket(Track.AUDIO, sound.data, at, at, 1024, sound.time_base, is_keyframe=True))
    feed.finish()
    assert packets_of(bytes(feed.data))["audio"][0][0] == pytest.approx(0.5, abs=0.001)
