import re
import socket
import time
from pathlib import Path
from signal import SIGKILL

import pytest

from agent.sessions.receiver import HOST, free_port
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from recorder.live import attempt
from recorder.live.destination import Backoff, LiveDestination
from recorder.live.kind import AttemptOutcome
from tests.support.encoded import SmallEncoder
from tests.support.processes import children
from tests.support.rtmp_server import NginxRtmp
from tests.support.servers import TlsFront
from tests.support.streams import Events, Pump, agreed, count, decode, first_frame, is_live, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "STEP_S", 0.7)
    monkeypatch.setattr(attempt, "STALL_S", 1.5)


def test_everything_put_arrives_and_decodes(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with running(server.url("good"), encoder, events) as destination:
        for packet in (*encoder.several(150), *encoder.flush()):
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


def test_what_cannot_be_packed_is_named(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    first, second, third = (encoder.next()[0] for _ in range(3))
    with running(server.url("good"), encoder, events) as destination:
        for packet in (first, third, second):
            destination.put(packet)
        wait_for(lambda: destination.status().reason == "failed")
        assert "packing the video of 0.033 s: Invalid argument" in (destination.status().message or "")
        with Pump(encoder, destination):
            wait_for(lambda: is_live(destination))


def test_a_wrong_key_is_rejected(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with running(server.url("wrong"), encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().state == "waiting")
        status = destination.status()
        assert (status.reason, status.dropped) == ("rejected", 0)
        assert status.message is not None
        assert f"{HOST}:{server.port} does not accept the stream" in status.message
        assert "when the key was given" in status.message
    assert events.reasons() == ["rejected"]
    assert server.recordings() == []


def test_a_key_in_use_is_told_apart_from_a_wrong_one(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with running(server.url("good"), encoder, Events()) as first:
        with Pump(encoder, first):
            wait_for(lambda: is_live(first))
        with running(server.url("good"), encoder, events) as second, Pump(encoder, first, second):
            wait_for(lambda: agreed(second, events) == "already-publishing")
            assert is_live(first)


@pytest.mark.parametrize(
    ("host", "reason"),
    [(HOST, "refused"), ("hall.invalid", "unknown-host"), ("255.255.255.255", "unreachable")],
)
def test_a_server_that_cannot_be_reached_is_tried_again(
    encoder: SmallEncoder, events: Events, host: str, reason: str
) -> None:
    with running(f"rtmp://{host}:{free_port()}/live/good", encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: agreed(destination, events) == reason)
        if reason == "refused":
            wait_for(lambda: destination.status().state == "connecting", what="another try")
    assert events.reasons() == [reason]


@pytest.mark.usefixtures("impatient")
def test_a_server_that_takes_connections_and_says_nothing(encoder: SmallEncoder, events: Events) -> None:
    with socket.create_server((HOST, 0)) as mute:
        url = f"rtmp://{HOST}:{mute.getsockname()[1]}/live/good"
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: destination.status().reason == "timeout")
            assert "says nothing" in (destination.status().message or "")


def test_certificates_are_checked(server: NginxRtmp, encoder: SmallEncoder, events: Events, tmp_path: Path) -> None:
    with (
        TlsFront(tmp_path / "front", server.port) as front,
        TlsFront(tmp_path / "impostor", server.port, name="elsewhere.example") as impostor,
    ):
        for url, ca_file, what in (
            (front.url("good"), None, "self-signed"),
            (impostor.url("good"), impostor.certificate, "ostname mismatch"),
            (front.url("good"), tmp_path / "missing.crt", "cannot be read"),
        ):
            with running(url, encoder, events, ca_file=ca_file) as destination, Pump(encoder, destination):
                wait_for(lambda: agreed(destination, events) == "certificate")
                assert what in (destination.status().message or "")
    assert events.reasons() == ["certificate"] * 3
    assert server.recordings() == []


@pytest.mark.usefixtures("impatient")
def test_a_server_without_tls(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    url = server.url("good").replace("rtmp://", "rtmps://")
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().reason in {"tls", "timeout"})
        assert "TLS" in (destination.status().message or "")


def test_goes_on_when_a_killed_server_is_back(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with running(server.url("good"), encoder, events) as destination, Pump(encoder, destination) as pump:
        wait_for(lambda: server.recordings() and server.recordings()[0].stat().st_size > 20_000)
        server.stop(SIGKILL)
        wait_for(lambda: destination.status().state != "live")
        assert destination.status().reason == "closed"
        wait_for(lambda: destination.status().reason == "refused")
        server.start()
        wait_for(lambda: is_live(destination))
        wait_for(lambda: server.recordings()[-1].stat().st_size > 20_000)
        assert destination.status().reconnects == 1
        assert destination.status().dropped > 0
        wait_for(lambda: (link := destination.link) and link.delivered_bps)
        link = destination.link
        assert link is not None
        assert 10_000 < (link.delivered_bps or 0) < 50_000_000
        assert 0 < (link.rtt_ms or 0) < 1000
    first, second = server.recordings()
    assert first_frame(first) == first_frame(second) == (0.0, True)
    decode(second)
    assert events.reasons() == ["closed", "refused"]
    assert events.of("destination-live")[1]["dropped"] == destination.status().dropped
    assert pump.waited_for_nothing


def test_the_next_attempt_sends_what_one_has_kept(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    server.stop()
    with running(server.url("good"), encoder, events) as destination:
        for packet in encoder.several(20):
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
        destination.stop(300.0)  # so long it might take to send what is left
        destination.stop(300.0)
        assert time.monotonic() - began < 60
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
