"""SRT against the peer that libsrt's own authors give: srt-live-transmit."""

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from types import SimpleNamespace
from typing import cast

import pytest

from agent.sessions.receiver import HOST
from recorder.live.kind import AttemptOutcome, DestinationError, DestinationFault, StreamRequest
from recorder.live.transports import libsrt, srt_publish
from recorder.live.transports.srt_publish import SILENT_S, publish
from recorder.live.url import SrtUrl
from tests.support.encoded import SmallEncoder
from tests.support.srt_peer import SrtPeer, free_udp_port
from tests.support.streams import Events, Pump, agreed, count, decode, is_live, running
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("a late packet is lost", lane="sound"), pytest.mark.server]

WORD = "a passphrase+"
IN_URL = "passphrase=a%20passphrase%2B"


@pytest.fixture
def port() -> int:
    return free_udp_port()


@dataclass
class Peers:
    """Peers of one test, ended with it."""

    folder: Path
    all: list[SrtPeer] = field(default_factory=list)

    def start(self, port: int, mode: str, parameters: str = "") -> SrtPeer:
        self.all.append(SrtPeer(self.folder / f"{len(self.all)}.ts", port, mode, parameters))
        self.all[-1].start()
        return self.all[-1]


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Peers]:
    peers = Peers(tmp_path)
    yield peers
    for peer in peers.all:
        peer.stop(SIGKILL)


def test_a_listener_gets_everything(port: int, peers: Peers, encoder: SmallEncoder, events: Events) -> None:
    peer = peers.start(port, "listener", f"passphrase={WORD}")
    with running(f"srt://{HOST}:{port}?latency=200&{IN_URL}", encoder, events) as destination:
        # No more than can go out, not faster than the pace allows, in the time that an end may take.
        for packet in (*encoder.several(60), *encoder.flush()):
            destination.put(packet)
        wait_for(lambda: is_live(destination))
    wait_for(lambda: not peer.is_running(), what="the end that the peer was told of")
    decode(peer.file)
    assert count(peer.file)["video"] == 60
    assert count(peer.file)["audio"] >= 60 * 1600 // 1024
    assert [event[1] for event in events.seen] == ["destination-live", "destination-stopped"]


@pytest.mark.parametrize(
    ("theirs", "ours", "detail"),
    [
        ("passphrase=another one", IN_URL, "wrong passphrase"),
        ("", IN_URL, "only one side has a passphrase"),
    ],
)
def test_a_wrong_passphrase_is_rejected(
    port: int, peers: Peers, encoder: SmallEncoder, events: Events, theirs: str, ours: str, detail: str
) -> None:
    peer = peers.start(port, "listener", theirs)
    with running(f"srt://{HOST}:{port}?{ours}", encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().state == "waiting")
        status = destination.status()
        assert (status.reason, status.message and detail in status.message) == ("rejected", True)
    assert peer.received == 0


def test_an_unknown_host_is_told(encoder: SmallEncoder, events: Events) -> None:
    with running("srt://hall.invalid:9000", encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().state == "waiting")
    assert events.reasons() == ["unknown-host"]


TWO_ADDRESSES = """
import socket
found = socket.getaddrinfo
def two(host, *more, **named):
    hosts = ("127.0.0.2", "127.0.0.1") if host == "relay.test" else (host,)
    return [answer for host in hosts for answer in found(host, *more, **named)]
socket.getaddrinfo = two
"""
"""What Python runs before anything else: a name with two addresses, in the order in which they are called."""


def test_where_one_address_is_silent_the_next_one_is_called(
    port: int, peers: Peers, encoder: SmallEncoder, events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(TWO_ADDRESSES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    peer = peers.start(port, "listener")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.2", port))
        with running(f"srt://relay.test:{port}", encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: is_live(destination) or events.reasons())
            assert events.reasons() == []
            wait_for(lambda: peer.received > 20_000)


def test_goes_on_when_a_killed_listener_is_back(port: int, peers: Peers, encoder: SmallEncoder, events: Events) -> None:
    first = peers.start(port, "listener")
    with running(f"srt://{HOST}:{port}?latency=200", encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: first.received > 20_000)
        wait_for(lambda: (link := destination.link) and link.delivered_bps)
        link = destination.link
        assert link is not None
        assert 10_000 < (link.delivered_bps or 0) < 50_000_000
        assert 0 < (link.rtt_ms or 0) < 1000
        first.stop(SIGKILL)
        wait_for(lambda: destination.status().state != "live")
        assert destination.status().reason == "stalled"
        wait_for(lambda: destination.status().reason == "refused")
        second = peers.start(port, "listener")
        wait_for(lambda: is_live(destination))
        wait_for(lambda: second.received > 20_000)
        assert destination.status().reconnects == 1
    wait_for(lambda: not second.is_running())
    decode(second.file)
    assert events.reasons() == ["stalled", "refused"]


def test_a_listener_may_hang_up(port: int, peers: Peers, encoder: SmallEncoder, events: Events) -> None:
    peer = peers.start(port, "listener")
    with running(f"srt://{HOST}:{port}", encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: is_live(destination))
        peer.stop()
        wait_for(lambda: not is_live(destination))
        assert events.reasons() == ["closed"]


class BrokenSocket:
    """Stands for a connection that libsrt has given up."""

    state = libsrt.BROKEN

    def statistics(self) -> libsrt.SrtStatistics:
        return libsrt.SrtStatistics()


@pytest.mark.parametrize(
    ("away_s", "reason"), [(SILENT_S - 1, DestinationFault.CLOSED), (SILENT_S + 1, DestinationFault.STALLED)]
)
def test_a_silent_peer_is_told_from_one_that_hung_up(
    monkeypatch: pytest.MonkeyPatch, away_s: float, reason: DestinationFault
) -> None:
    """A busy PC looks too late: libsrt has given the silent peer up as well."""
    connection, request = cast("libsrt.SrtSocket", BrokenSocket()), StreamRequest(os.getpid(), b"")
    stream = srt_publish._Stream(connection, request, SrtUrl(HOST, 9000), lambda _report: None)
    now_s = time.monotonic() + away_s
    monkeypatch.setattr(srt_publish, "time", SimpleNamespace(monotonic=lambda: now_s))
    with pytest.raises(DestinationError, check=lambda error: error.reason is reason):
        stream._look()


def test_callers_are_served_one_after_the_other(port: int, peers: Peers, encoder: SmallEncoder, events: Events) -> None:
    url = f"srt://:{port}?mode=listener&latency=200&{IN_URL}"
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().state == "listening")
        wait_for(lambda: encoder.frames > 105, what="longer than any deadline of connecting")
        assert destination.status().state == "listening"
        assert (destination.status().reason, destination.status().dropped) == (None, 0)
        stranger = peers.start(port, "caller", "passphrase=another one")
        wait_for(lambda: not stranger.is_running())
        first = peers.start(port, "caller", f"passphrase={WORD}")
        wait_for(lambda: first.received > 20_000)
        late = peers.start(port, "caller", f"passphrase={WORD}")
        wait_for(lambda: not late.is_running(), what="the second caller's end")
        assert (late.received, is_live(destination)) == (0, True)
        first.stop()
        wait_for(lambda: destination.status().state == "listening")
        second = peers.start(port, "caller", f"passphrase={WORD}")
        wait_for(lambda: second.received > 20_000)
    assert [detail["dropped"] for detail in events.of("destination-live")] == [0, 0], "nobody was there to miss them"
    wait_for(lambda: not second.is_running())
    decode(second.file)
    assert events.reasons() == ["caller-left"]


def test_a_callers_stream_id_reaches_whom_it_calls(port: int, encoder: SmallEncoder, events: Events) -> None:
    with running(f"srt://{HOST}:{port}?mode=listener&streamid=aula", encoder, Events()) as served:
        wait_for(lambda: served.status().state == "listening")
        for stream_id in ("", "&streamid=hall"):
            url = f"srt://{HOST}:{port}?latency=100{stream_id}"
            with running(url, encoder, events) as stranger, Pump(encoder, served, stranger):
                wait_for(lambda: agreed(stranger, events) == "rejected")
                assert "the stream id was not accepted" in (stranger.status().message or "")
        url = f"srt://{HOST}:{port}?latency=100&streamid=aula"
        with running(url, encoder, events) as known, Pump(encoder, served, known):
            wait_for(lambda: is_live(known) and is_live(served))


def test_a_listener_takes_one_stream_only(port: int, peers: Peers, encoder: SmallEncoder, events: Events) -> None:
    with running(f"srt://{HOST}:{port}?mode=listener", encoder, Events()) as served:
        with Pump(encoder, served):
            wait_for(lambda: served.status().state == "listening")
            guest = peers.start(port, "caller")
            wait_for(lambda: guest.received > 20_000)
        with running(f"srt://{HOST}:{port}", encoder, events) as second, Pump(encoder, served, second):
            wait_for(lambda: second.status().reason == "already-publishing")


def test_without_libsrt_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libsrt, "_NAMES", ("libsrt-of-nobody.so.1",))
    libsrt.library.cache_clear()
    ended = publish(StreamRequest(os.getpid(), b""), SrtUrl(HOST, 9000), lambda _report: None)
    assert isinstance(ended, AttemptOutcome)
    assert "libsrt1.5-gnutls" in ended.detail
    libsrt.library.cache_clear()
