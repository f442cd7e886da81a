import contextlib
import re
import socket
import threading
import time
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self

import pytest

from agent.sessions.receiver import HOST, free_port
from config.errors import UsageError
from config.settings.secrets import Secret, StreamTarget, secret_url
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.live import attempt
from recorder.live.attempt import LEAST_BYTES, MOST_BYTES, buffer_bytes
from recorder.live.destination import SHORT_LIFE_S, Backoff, LagDetector, LiveDestination
from recorder.live.kind import AttemptOutcome
from recorder.model.packet import Track
from recorder.model.status import DestinationLine
from tests.support.encoded import RATE, SmallEncoder, late_pictures
from tests.support.links import ThrottledChild
from tests.support.processes import children
from tests.support.rtmp_server import NginxRtmp
from tests.support.servers import TlsFront
from tests.support.simulated import BEGINNING, SimulatedClock
from tests.support.streams import Events, Pump, agreed, count, decode, first_frame, is_live, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "STEP_S", 0.7)
    monkeypatch.setattr(attempt, "STALL_S", 1.5)


def test_everything_put_arrives_and_decodes(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with running(server.url("good"), encoder, events) as destination:
        for _ in range(150):
            for packet in encoder.next():
                destination.put(packet)
        for packet in encoder.flush():
            destination.put(packet)
        wait_for(lambda: is_live(destination))
        assert (destination.status().reason, destination.status().message) == (None, None)
    [recording] = server.recordings()
    decode(recording)
    assert count(recording)["video"] == 150
    assert count(recording)["audio"] >= 150 * 1600 // 1024
    assert first_frame(recording) == (0.0, True)
    assert destination.status().dropped == 0
    assert [event[1] for event in events.seen] == ["destination-live", "destination-stopped"]


def test_the_server_makes_hls_of_it_that_plays(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    playlist = server.playlist("good")
    with running(server.url("good"), encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: playlist.exists() and playlist.read_text().count("#EXTINF") >= 3)
    ended = playlist.with_name("ended.m3u8")  # the server itself never says so, and players would wait for more
    ended.write_text(playlist.read_text() + "#EXT-X-ENDLIST\n")
    decode(ended)
    assert count(ended)["video"] > 0
    assert count(ended)["audio"] > 0


def test_the_link_is_told_of(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with running(server.url("good"), encoder, events) as destination, Pump(encoder, destination):
        link = wait_for(lambda: (link := destination.link) and link.delivered_bps and link)
        assert link
        assert link.rtt_ms is not None
        assert 0 < link.rtt_ms < 1000
        assert link.delivered_bps
        assert 10_000 < link.delivered_bps < 50_000_000


def test_pictures_may_come_long_after_their_sound(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    packets = [packet for _ in range(120) for packet in encoder.next()] + encoder.flush()
    with running(server.url("good"), encoder, events) as destination:
        for packet in late_pictures((packet for packet in packets if packet.dts_s >= 1), lag_s=1.5):
            destination.put(packet)
        wait_for(lambda: is_live(destination))
    assert events.reasons() == []
    [recording] = server.recordings()
    decode(recording)
    assert count(recording) == {
        track.value: sum(packet.track is track and packet.dts_s >= 1 for packet in packets) for track in Track
    }


def test_what_cannot_be_packed_is_named_and_tried_again(
    server: NginxRtmp, encoder: SmallEncoder, events: Events
) -> None:
    first, second, third = (encoder.next()[0] for _ in range(3))
    with running(server.url("good"), encoder, events) as destination:
        for packet in (first, third, second):
            destination.put(packet)
        wait_for(lambda: destination.status().reason == "failed")
        assert "packing the video of 0.033 s: Invalid argument" in (destination.status().message or "")
        with Pump(encoder, destination):
            wait_for(lambda: is_live(destination))


@pytest.mark.parametrize(
    ("application", "key", "detail"),
    [("live", "wrong", "when the key was given"), ("other", "good", "when the application was named")],
)
def test_a_wrong_key_or_application_is_rejected(
    server: NginxRtmp, encoder: SmallEncoder, events: Events, application: str, key: str, detail: str
) -> None:
    with running(server.url(key, application), encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().state == "waiting")
        status = destination.status()
        assert (status.reason, status.dropped) == ("rejected", 0)
        assert status.message is not None
        assert f"{HOST}:{server.port} does not accept the stream" in status.message
        assert detail in status.message
    assert events.reasons() == ["rejected"]
    assert server.recordings() == []


def test_a_key_in_use_is_told_apart_from_a_wrong_one(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with running(server.url("good"), encoder, Events()) as first:
        with Pump(encoder, first):
            wait_for(lambda: is_live(first))
        with running(server.url("good"), encoder, events) as second, Pump(encoder, first, second):
            wait_for(lambda: agreed(second, events) == "already-publishing")
            assert is_live(first)


def test_a_refused_port_and_an_unknown_host(encoder: SmallEncoder, events: Events) -> None:
    for url, reason in (
        (f"rtmp://{HOST}:{free_port()}/live/good", "refused"),
        ("rtmp://hall.invalid/live/good", "unknown-host"),
        (f"rtmp://{HOST}:{_port_of_something_else()}/live/good", "closed"),
    ):
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            began = time.monotonic()
            wait_for(lambda: destination.status().state == "waiting", what=reason)
            assert destination.status().reason == reason
            assert time.monotonic() - began < 20
            wait_for(lambda: destination.status().state == "connecting", what="another try")
    assert events.reasons() == ["refused", "unknown-host", "closed"]


def _port_of_something_else() -> int:
    """Return the port of a server that hangs up on everybody."""
    listener = socket.create_server((HOST, 0))

    def hang_up() -> None:
        with listener:
            listener.settimeout(5)
            listener.accept()[0].close()

    threading.Thread(target=hang_up, daemon=True).start()
    return int(listener.getsockname()[1])


@pytest.mark.usefixtures("impatient")
def test_a_server_that_takes_connections_and_says_nothing(encoder: SmallEncoder, events: Events) -> None:
    with socket.create_server((HOST, 0)) as mute:
        url = f"rtmp://{HOST}:{mute.getsockname()[1]}/live/good"
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: destination.status().reason == "timeout")
            assert "says nothing" in (destination.status().message or "")


@pytest.mark.usefixtures("impatient")
def test_a_network_that_answers_nothing(encoder: SmallEncoder, events: Events) -> None:
    with socket.create_server((HOST, 0), backlog=0) as full:
        place = full.getsockname()
        crowd = [socket.socket() for _ in range(3)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(place)
        url = f"rtmp://{HOST}:{place[1]}/live/good"
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: destination.status().state == "waiting")
            assert destination.status().reason == "timeout"
            assert "says nothing" not in (destination.status().message or "")
        for one in crowd:
            one.close()


def test_certificates_are_checked(server: NginxRtmp, encoder: SmallEncoder, events: Events, tmp_path: Path) -> None:
    front = TlsFront(tmp_path / "front", server.port)
    impostor = TlsFront(tmp_path / "impostor", server.port, name="elsewhere.example")
    try:
        for url, ca_file, what in (
            (front.url("good"), None, "self-signed"),
            (front.url("good"), impostor.certificate, ""),
            (impostor.url("good"), impostor.certificate, "ostname mismatch"),
            (front.url("good"), tmp_path / "missing.crt", "cannot be read"),
        ):
            with running(url, encoder, events, ca_file=ca_file) as destination, Pump(encoder, destination):
                wait_for(lambda: agreed(destination, events) == "certificate")
                assert what in (destination.status().message or "")
        assert events.reasons() == ["certificate"] * 4
        assert server.recordings() == []
        trusting = running(front.url("good"), encoder, events, ca_file=front.certificate)
        with trusting as destination, Pump(encoder, destination):
            wait_for(lambda: server.recordings() and server.recordings()[0].stat().st_size > 20_000)
        decode(server.recordings()[0])
    finally:
        front.stop()
        impostor.stop()


def test_what_answers_and_speaks_no_tls(encoder: SmallEncoder, events: Events) -> None:
    with socket.create_server((HOST, 0)) as listener:
        web = threading.Thread(target=_be_a_web_server, args=(listener,))
        web.start()
        url = f"rtmps://{HOST}:{listener.getsockname()[1]}/live/good"
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: agreed(destination, events) == "tls")
        listener.shutdown(socket.SHUT_RDWR)
        web.join()


def _be_a_web_server(listener: socket.socket) -> None:
    """Say the same to whoever comes, until the listener is shut down."""
    with contextlib.suppress(OSError):
        while True:
            with listener.accept()[0] as client, contextlib.suppress(ConnectionError):
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_place_to_which_no_way_leads(encoder: SmallEncoder, events: Events) -> None:
    url = "rtmp://255.255.255.255/live/good"  # Linux connects nobody to that, whatever network there is
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: agreed(destination, events) == "unreachable")
        assert "Network is unreachable" in (destination.status().message or "")


@pytest.mark.usefixtures("impatient")
def test_a_server_without_tls(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    url = server.url("good").replace("rtmp://", "rtmps://")
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().reason in {"tls", "timeout"})
        assert "TLS" in (destination.status().message or "")


def test_streams_on_from_a_keyframe_when_a_killed_server_is_back(
    server: NginxRtmp, encoder: SmallEncoder, events: Events
) -> None:
    with running(server.url("good"), encoder, events) as destination, Pump(encoder, destination) as pump:
        wait_for(lambda: server.recordings() and server.recordings()[0].stat().st_size > 20_000)
        server.stop(SIGKILL)
        wait_for(lambda: destination.status().state != "live")
        assert destination.status().reason == "closed"
        wait_for(lambda: destination.status().reason == "refused")
        server.start()
        back = time.monotonic()
        wait_for(lambda: is_live(destination))
        assert time.monotonic() - back < 20
        wait_for(lambda: server.recordings()[-1].stat().st_size > 20_000)
        assert destination.status().reconnects == 1
        assert destination.status().dropped > 0
    first, second = server.recordings()
    assert first_frame(first) == first_frame(second) == (0.0, True)
    decode(second)
    assert events.reasons() == ["closed", "refused"]
    assert events.of("destination-live")[1]["dropped"] == destination.status().dropped
    assert pump.waited_for_nothing


def test_what_a_failed_attempt_took_goes_out_with_the_next(
    server: NginxRtmp, encoder: SmallEncoder, events: Events
) -> None:
    server.stop()
    with running(server.url("good"), encoder, events) as destination:
        for _ in range(20):
            for packet in encoder.next():
                destination.put(packet)
        wait_for(lambda: destination.status().reason == "refused")
        server.start()
        wait_for(lambda: is_live(destination))
    assert count(server.recordings()[0])["video"] == 20
    assert destination.status().dropped == 0


@pytest.mark.usefixtures("impatient")
def test_a_frozen_server_delays_nobody(server: NginxRtmp, events: Events) -> None:
    encoder = SmallEncoder(noise=True, bit_rate=40_000_000)
    with running(server.url("good"), encoder, events) as destination:
        with Pump(encoder, destination) as pump:
            wait_for(lambda: is_live(destination))
            server.freeze()
            wait_for(lambda: destination.status().reason == "stalled")
            assert destination.status().backlog_s < 7
            wait_for(lambda: destination.status().reason == "timeout")
            server.thaw()
            wait_for(lambda: is_live(destination))
            server.freeze()
        began = time.monotonic()
        destination.stop(2.0)
        assert time.monotonic() - began < 20
        assert pump.waited_for_nothing
    encoder.close()


def test_stop_takes_no_time_before_it_is_live_and_twice(encoder: SmallEncoder, events: Events) -> None:
    with running("rtmp://hall.invalid/live/good", encoder, events) as destination:
        began = time.monotonic()
        destination.stop()
        destination.stop()
        assert time.monotonic() - began < 4  # so long each might take to send what is left
    unborn = LiveDestination(
        StreamTarget("x", secret_url("rtmp://h/a/k")), encoder.templates, emit=events, clock=SystemClock()
    )
    unborn.stop()


def test_a_mistake_of_ours_costs_an_attempt_and_not_the_stream(
    server: NginxRtmp, encoder: SmallEncoder, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = Backoff.after

    def failing(backoff: Backoff, outcome: AttemptOutcome, took_s: float = 0.0) -> float:
        monkeypatch.setattr(Backoff, "after", after)
        raise OverflowError("a bug")

    monkeypatch.setattr(Backoff, "after", failing)
    server.stop()
    with running(server.url("good"), encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: events.reasons() == ["refused", "failed"])
        detail = str(events.of("destination-lost")[-1]["detail"])
        assert re.fullmatch(r"OverflowError at recorder/live/destination\.py:\d+", detail)
        server.start()
        wait_for(lambda: is_live(destination))


def test_a_child_that_is_killed_is_replaced(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with running(server.url("good"), encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: is_live(destination))
        [child] = children()
        child.kill()
        wait_for(lambda: len(events.of("destination-live")) == 2)
        assert events.reasons()[0] == "failed"


@pytest.mark.usefixtures("impatient")
def test_a_child_that_hangs_is_killed_and_replaced(server: NginxRtmp, events: Events) -> None:
    encoder = SmallEncoder(noise=True, bit_rate=4_000_000)
    with running(server.url("good"), encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: is_live(destination))
        [child] = children()
        child.suspend()
        wait_for(lambda: len(events.of("destination-live")) == 2)
        assert events.reasons()[0] == "stalled"
        assert not child.is_running()
        [child] = children()
        child.suspend()
        began = time.monotonic()
        destination.stop(2.0)
        assert time.monotonic() - began < 20
        wait_for(lambda: not child.is_running())
    encoder.close()


def test_a_malformed_address_is_refused_at_once(encoder: SmallEncoder, events: Events) -> None:
    with pytest.raises(UsageError):
        LiveDestination(
            StreamTarget("x", Secret("not an address")), encoder.templates, emit=events, clock=SystemClock()
        )


# A server that takes every stream and hangs up at once

TAKEN = 8000
"""Bytes of a client: the handshake, what it asks for, and some of its stream."""


class HangsUp:
    """Stands before an RTMP server: hangs up on each client that streams, as long as `hangs_up`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server((HOST, 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.port = int(self._listener.getsockname()[1])
        self.clients = 0
        self.hangs_up = True

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.clients += 1
                server = socket.create_connection((HOST, self._to))
                for one, other in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._pass_on, args=(one, other, one is client), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, one: socket.socket, other: socket.socket, from_client: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError), one:
            while data := one.recv(4096):
                other.sendall(data)
                passed += len(data)
                if from_client and passed > TAKEN and self.hangs_up:
                    break
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_one_that_hangs_up_at_once_is_told_once_and_is_live_again_when_that_lasts(
    server: NginxRtmp, encoder: SmallEncoder, events: Events
) -> None:
    with HangsUp(server.port) as front:
        url = server.url("good").replace(f":{server.port}", f":{front.port}")
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: front.clients >= 3)
            assert not is_live(destination)
            assert [len(events.of(kind)) for kind in ("destination-live", "destination-lost")] == [1, 1]
            assert events.reasons() == ["closed"]
            front.hangs_up = False
            wait_for(lambda: is_live(destination))
            told_s = [at_s for at_s, kind, *_ in events.seen if kind == "destination-live"]
            assert told_s[1] - told_s[0] > SHORT_LIFE_S
            assert destination.status().reconnects == 1


STREAM_BPS = 300_000


def test_it_is_slow_from_the_first_drop_until_it_has_been_close_for_a_while() -> None:
    lag = LagDetector()
    lag.begin(dropped=40)  # before it was live

    def look(at_s: float, dropped: int, delay_s: float) -> bool:
        return lag.update(round(at_s * NANOSECONDS), dropped, delay_s)

    assert look(0, 40, 5.9) is False
    assert look(1, 100, 6.0) is True
    assert look(2, 130, 2.0) is False
    assert [look(at_s, 130, 1.0) for at_s in (3, 7, 11.9)] == [False] * 3
    assert look(12, 130, 1.0) is True
    assert (lag.is_slow, lag.slow_s, lag.frames) == (False, 11.0, 90)
    assert look(13, 130, 4.0) is False
    assert look(14, 131, 4.0) is True


def test_between_two_drops_it_is_slow() -> None:
    lag = LagDetector()
    lag.begin(0)
    delays = [(t, 2.0 + t % 10 * 0.4) for t in range(100)]  # it falls behind by 0.4 s a second, and drops every 10 s
    changes = [lag.update(t * NANOSECONDS, 60 * (1 + t // 10), delay_s) for t, delay_s in delays]
    assert changes == [True] + [False] * 99


@pytest.mark.parametrize(
    ("bps", "most"), [(300_000, 16_384), (2_500_000, 65_536), (30_000, LEAST_BYTES), (0, MOST_BYTES)]
)
def test_what_the_way_holds_is_half_a_second_at_most(bps: int, most: int) -> None:
    assert buffer_bytes(bps) == most
    assert bps == 0 or most == LEAST_BYTES or most * 8 <= bps / 2


def test_viewers_of_a_slow_link_are_six_seconds_late_at_most_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, events = SimulatedClock(), Events()
    encoder = SmallEncoder(noise=True, bit_rate=STREAM_BPS, keyframe_every=60)
    statuses: list[DestinationLine] = []

    def link_bps(at_s: float) -> float:
        return STREAM_BPS * (0.6 if 10 <= at_s < 50 else 4.0)

    def tick() -> None:
        while encoder.frames < child.now_s * RATE:
            for packet in encoder.next():
                destination.put(packet)
        statuses.append(destination.status())

    child = ThrottledChild(clock, link_bps, tick, until_s=75, held=3 * buffer_bytes(STREAM_BPS))
    monkeypatch.setattr(attempt, "LiveChild", lambda _bytes: child)
    destination = LiveDestination(
        StreamTarget("jauh", secret_url("rtmp://127.0.0.1/live/good")), encoder.templates, emit=events, clock=clock
    )
    destination.start()
    wait_for(child.over.is_set)
    destination.stop()
    encoder.close()
    late_s = [when - at_s for when, at_s in child.arrivals]
    assert max(late_s) < 6.8
    assert max(status.backlog_s for status in statuses) < 6.5
    slow = [status for status in statuses if status.reason == "too-slow"]
    assert {status.state for status in slow} == {"live"}
    assert "too slow for this stream" in (slow[0].message or "")
    assert slow[0].since
    assert 10 < (slow[0].since - BEGINNING).total_seconds() < 30
    kinds = [kind for _, kind, *_ in events.seen if kind != "destination-dropped"]
    assert kinds == ["destination-live", "destination-slow", "destination-keeps-up", "destination-stopped"]
    dropped = sum(int(str(detail["frames"])) for detail in events.of("destination-dropped"))
    assert dropped == events.of("destination-keeps-up")[0]["frames"] == destination.status().dropped > 0
    assert late_s[-1] < 1.0
