"""The destinations of a session, changed while it runs: by people, with real children and a real server."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from agent.sessions.receiver import HOST, free_port
from config.errors import SessionError, UsageError
from config.settings.secrets import Secret, StreamTarget
from devices.host.clock import SystemClock
from recorder.live import attempt
from recorder.live.destination import LiveDestination
from recorder.live.destinations import MOST, Destinations
from recorder.live.kind import AttemptOutcome, ChildReport, DestinationFault
from recorder.model.status import DestinationLine
from tests.support.encoded import SmallEncoder
from tests.support.processes import children
from tests.support.rtmp_server import NginxRtmp
from tests.support.simulated import EventList
from tests.support.streams import Events, Pump, count, decode
from tests.support.waiting import wait_for

NOWHERE = f"rtmp://{HOST}:9/live/good"


def target(name: str, url: str = NOWHERE) -> StreamTarget:
    return StreamTarget(name, Secret(url))


def lines(destinations: Destinations) -> dict[str, DestinationLine]:
    return {line.name: line for line in destinations.lines()}


@contextmanager
def begun(encoder: SmallEncoder, events: Events, *targets: StreamTarget) -> Iterator[Destinations]:
    destinations = Destinations(targets, clock=SystemClock(), emit=events)
    destinations.begin(encoder.templates)
    with closing(destinations):
        yield destinations


def is_live(destinations: Destinations, name: str) -> bool:
    return lines(destinations)[name].state == "live"


def test_before_the_start_they_are_kept(encoder: SmallEncoder) -> None:
    events = EventList()
    destinations = Destinations([target("satu"), target("dua")], clock=SystemClock(), emit=events)
    destinations.add(target("tiga"))
    destinations.remove("dua")
    destinations.restart("satu")
    assert [(line.name, line.state) for line in destinations.lines()] == [("satu", "armed"), ("tiga", "armed")]
    assert destinations.names == destinations.all_names == ("satu", "tiga")
    assert children() == []
    destinations.begin(encoder.templates)
    assert {line.state for line in destinations.lines()} <= {"connecting", "waiting"}
    destinations.close()
    assert events[:3] == [
        ("destination-added", "tiga"), ("destination-removed", "dua"), ("destination-restarted", "satu"),
    ]  # fmt: skip
    assert {line.state for line in destinations.lines()} == {"stopped"}


def test_what_cannot_be_done_is_refused_and_changes_nothing(encoder: SmallEncoder, events: Events) -> None:
    with begun(encoder, events, target("kampus")) as destinations:
        refused: list[tuple[Callable[[], None], str]] = [
            (lambda: destinations.add(target("kampus")), "is a destination of this session already"),
            (lambda: destinations.add(target("lain", "ftp://h/a/k")), "address"),
            (lambda: destinations.remove("lain"), '"lain" is no destination of this session'),
            (lambda: destinations.restart("lain"), '"lain" is no destination of this session'),
            (lambda: destinations.restart("kampus", target("kampus", "nothing")), "address"),
        ]
        for act, what in refused:
            with pytest.raises(UsageError, match=what) as error:
                act()
            assert error.value.hint
            assert "\n" not in error.value.message
        assert destinations.names == ("kampus",)
    for act in (
        lambda: destinations.add(target("lain")),
        lambda: destinations.remove("kampus"),
        lambda: destinations.restart("kampus"),
    ):
        with pytest.raises(SessionError, match="the recording has ended"):
            act()
    assert {kind for _, kind, *_ in events.seen} <= {"destination-lost", "destination-stopped"}


@pytest.mark.server
def test_a_session_has_so_many_destinations_and_not_more(encoder: SmallEncoder) -> None:
    destinations = Destinations([target(str(number)) for number in range(MOST)], clock=SystemClock(), emit=EventList())
    with pytest.raises(UsageError, match=f"has had {MOST} destinations"):
        destinations.add(target("one more"))
    destinations.remove("0")  # it was never streamed to
    destinations.add(target("one more"))
    assert destinations.names == (*map(str, range(1, MOST)), "one more")
    destinations.close()


def test_one_is_added_and_one_is_removed(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with begun(encoder, events, target("satu", server.url("good1"))) as destinations, Pump(encoder, destinations):
        wait_for(lambda: is_live(destinations, "satu"))
        destinations.add(target("dua", server.url("good2")))
        wait_for(lambda: is_live(destinations, "dua"))
        wait_for(lambda: all(one.stat().st_size > 20_000 for one in server.recordings()))
        destinations.remove("satu")
        assert lines(destinations)["satu"].state == "removed"
        assert destinations.names == ("dua",)
        assert destinations.all_names == ("satu", "dua")
        assert is_live(destinations, "dua")
        destinations.add(target("satu", server.url("good1")))  # with the key that it had
        wait_for(lambda: is_live(destinations, "satu"))
        wait_for(lambda: len(children()) == 2)
        wait_for(lambda: [one.stat().st_size > 20_000 for one in server.recordings()] == [True] * 3)
    assert events.reasons() == []  # neither "somebody streams with this key" nor anything else
    for recording in server.recordings():
        decode(recording)
        assert count(recording)["video"] > 0
    assert [line.state for line in destinations.lines()] == ["stopped", "stopped"]


@pytest.mark.server
def test_a_restart_takes_another_address_at_once(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    with begun(encoder, events, target("satu", server.url("wrong"))) as destinations, Pump(encoder, destinations):
        wait_for(lambda: lines(destinations)["satu"].state == "waiting")  # for 10 s: only a person can mend it
        destinations.restart("satu", target("satu", server.url("good")))
        wait_for(lambda: is_live(destinations, "satu"))
        assert lines(destinations)["satu"].reason is None
        wait_for(lambda: server.recordings() and server.recordings()[0].stat().st_size > 20_000)
        destinations.restart("satu")  # which ends what is live, and connects again
        wait_for(lambda: len(events.of("destination-live")) == 2)
        assert lines(destinations)["satu"].reconnects == 1
    assert events.reasons() == ["rejected"]


def test_many_threads_add_and_remove_at_the_same_time(encoder: SmallEncoder, events: Events) -> None:
    names = {f"d{number}" for number in range(3)}
    with begun(encoder, events) as destinations, Pump(encoder, destinations):

        def churn(name: str) -> None:
            for _ in range(3):
                destinations.add(target(name))
                destinations.remove(name)
            destinations.add(target(name))

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(churn, names))
        assert set(destinations.names) == {one.name for one in destinations.streaming} == names
    counts = Counter(kind for _, kind, *_ in events.seen)
    told = counts["destination-added"], counts["destination-removed"], counts["destination-stopped"]
    assert told == (12, 9, 12)


@pytest.mark.server
def test_a_hung_child_delays_nobody(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    healthy = target("sehat", server.url("good1"))
    with begun(encoder, events, healthy) as destinations, Pump(encoder, destinations) as pump:
        wait_for(lambda: is_live(destinations, "sehat"))
        before = children()
        destinations.add(target("macet", server.url("good2")))
        wait_for(lambda: is_live(destinations, "macet"))
        [hung] = set(children()) - set(before)
        hung.suspend()
        destinations.remove("macet")
        assert hung.is_running(), "who asks need not wait for it"
        destinations.add(target("macet", server.url("good2")))  # which the server still takes for streamed to
        wait_for(lambda: not hung.is_running(), what="the end of the hung child")
        wait_for(lambda: is_live(destinations, "macet"))
        assert is_live(destinations, "sehat")
        assert pump.waited_for_nothing
    assert events.reasons() == []


def test_what_was_never_live_is_told_at_the_end(encoder: SmallEncoder, events: Events, server: NginxRtmp) -> None:
    with socket.create_server((HOST, 0)) as silent, socket.create_server((HOST, 0)) as gone:
        unanswered, removed = (f"rtmp://{HOST}:{one.getsockname()[1]}/live/good" for one in (silent, gone))
        targets = [
            target("kampus", server.url("good")),
            target("diam", unanswered),
            target("terlepas", removed),
            target("menunggu", f"srt://{HOST}:{free_port()}?mode=listener"),
        ]
        with begun(encoder, events, *targets) as destinations, Pump(encoder, destinations):
            wait_for(lambda: is_live(destinations, "kampus"))
            wait_for(lambda: lines(destinations)["menunggu"].state == "listening")
            destinations.remove("terlepas")
            assert events.of("destination-lost") == []
    lost = [(subject, detail["reason"]) for _, kind, subject, _, detail in events.seen if kind == "destination-lost"]
    assert lost == [("diam", "not-yet")]
    assert len(events.of("destination-stopped")) == len(targets)


def test_one_that_cannot_begin_costs_the_others_nothing(
    encoder: SmallEncoder, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = LiveDestination.start

    def refuse(destination: LiveDestination, after: LiveDestination | None = None) -> None:
        if destination.name == "kampus":
            raise RuntimeError("can't start new thread")
        start(destination, after)

    destinations = Destinations([target("kampus"), target("arsip")], clock=SystemClock(), emit=events)
    with monkeypatch.context() as patch:
        patch.setattr(LiveDestination, "start", refuse)
        destinations.begin(encoder.templates)
    now = lines(destinations)
    destinations.restart("kampus")
    wait_for(lambda: lines(destinations)["kampus"].state != "armed", what="an attempt")
    destinations.close()
    assert (now["kampus"].state, now["arsip"].state != "armed") == ("armed", True)
    assert [subject for _, kind, subject, _, _ in events.seen if kind == "sink-failed"] == ["kampus"]


class DyingChild:
    """Stands for a LiveChild: its network dies when it is told to."""

    is_deaf, status = False, 0

    def __init__(self) -> None:
        self.dies = threading.Event()

    def exchange(self, outbound: bytearray, timeout_s: float) -> list[ChildReport]:
        self.dies.wait(60)
        return [AttemptOutcome(DestinationFault.TIMEOUT)]

    def end(self, patience_s: float) -> None:
        pass


def test_one_that_is_removed_is_not_lost_any_more(
    encoder: SmallEncoder, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would end that trouble."""
    child = DyingChild()
    monkeypatch.setattr(attempt, "LiveChild", lambda _bytes: child)
    with begun(encoder, events, target("kampus")) as destinations:
        destinations.remove("kampus")
        child.dies.set()
    assert len(events.of("destination-stopped")) == 1
    assert events.of("destination-lost") == []
