"""Attempts, their deadlines and the waits between them, on a simulated clock."""

import fcntl
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from av.stream import Stream

from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import NANOSECONDS
from recorder.live import attempt
from recorder.live.attempt import (
    LEAST_BYTES,
    MOST_BYTES,
    RESOLVER,
    STALL_S,
    STEP_S,
    UNREAD_S,
    Attempt,
    LiveChild,
    StopRequest,
    buffer_bytes,
)
from recorder.live.destination import SHORT_LIFE_S, SOON_S, Backoff, LagDetector, LiveDestination
from recorder.live.kind import AttemptOutcome, ChildReport, DestinationFault, LinkReport
from recorder.live.queue import PacketQueue
from recorder.model.packet import EncodedPacket, Track, TrackId
from recorder.model.status import DestinationLine
from tests.support.encoded import RATE, SmallEncoder
from tests.support.simulated import BEGINNING, SimulatedClock
from tests.support.streams import Events
from tests.support.waiting import wait_for

TO = StreamTarget("hall", secret_url("rtmp://127.0.0.1/live/good"))
CHILD_S = 0.5
"""What a child process takes from its start to its first packet, on a PC that has other things to do."""


class ScriptedChild:
    """Stands for a LiveChild: says each report at its time, in seconds, and takes all bytes or none."""

    is_deaf = ended = False
    status = 0

    def __init__(self, clock: SimulatedClock, *script: tuple[float, ChildReport], takes_until_s: float = 1e3) -> None:
        self._clock, self._script, self._takes_until_s = clock, list(script), takes_until_s
        self._began_ns = clock.now_ns()
        self.taken = bytearray()

    def exchange(self, outbound: bytearray, timeout_s: float) -> list[ChildReport]:
        self._clock.advance_to(self._clock.now_ns() + round(timeout_s * NANOSECONDS))
        now_s = (self._clock.now_ns() - self._began_ns) / NANOSECONDS
        if now_s < self._takes_until_s:
            self.taken += outbound
            outbound.clear()
        due = [report for at_s, report in self._script if at_s <= now_s]
        self._script = self._script[len(due) :]
        return due

    def close_input(self) -> None:
        pass

    def end(self, patience_s: float) -> None:
        self.ended = True


type Packets = tuple[SmallEncoder, PacketQueue]


@pytest.fixture
def packets() -> Iterator[Packets]:
    encoder, queue = SmallEncoder(), PacketQueue()
    for packet in encoder.several(90):
        queue.put(packet)
    yield encoder, queue
    encoder.close()


def run(
    monkeypatch: pytest.MonkeyPatch, packets: Packets, *script: tuple[float, ChildReport], takes_until_s: float = 1000.0
) -> tuple[AttemptOutcome, float]:
    """Return how an attempt ended whose child said that, and how many seconds it took."""
    clock = SimulatedClock()
    child = ScriptedChild(clock, *script, takes_until_s=takes_until_s)
    monkeypatch.setattr(attempt, "LiveChild", lambda _bytes: child)
    encoder, queue = packets
    one = Attempt(TO, queue, encoder.templates, clock=clock, stop=StopRequest(), at_newest=True, on_turn=lambda: None)
    began_ns = clock.now_ns()
    outcome = one.run()
    assert child.ended
    return outcome, (clock.now_ns() - began_ns) / NANOSECONDS


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("connect", DestinationFault.TIMEOUT),
        ("resolve", DestinationFault.UNKNOWN_HOST),
        ("handshake", DestinationFault.TIMEOUT),
    ],
)
def test_each_step_of_connecting_has_three_seconds(
    monkeypatch: pytest.MonkeyPatch, packets: Packets, step: str, reason: DestinationFault
) -> None:
    outcome, took_s = run(monkeypatch, packets, (0.5, step))
    assert (outcome.reason, outcome.live_s) == (reason, 0.0)
    assert took_s == pytest.approx(0.5 + 3.0, abs=0.1)


def test_a_stalled_stream_loses_nothing(monkeypatch: pytest.MonkeyPatch, packets: Packets) -> None:
    outcome, took_s = run(
        monkeypatch, packets, (0.1, "connect"), (0.2, "live"), (1.0, LinkReport(0.5)), takes_until_s=0.02
    )
    assert outcome.reason is DestinationFault.STALLED
    assert took_s == pytest.approx(1.0 + STALL_S, abs=0.1)
    _, queue = packets
    left = [packet for packet in iter(queue.take, None) if packet.track is Track.VIDEO]
    assert [packet.dts_s for packet in left][:1] == pytest.approx([2.0 + 16 / 30]), "from what was not sent"


def test_a_server_that_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch, packets: Packets) -> None:
    reads_little = (1.0, LinkReport(0.5)), (2.0, LinkReport(1.5, unread_s=0.9))
    outcome, took_s = run(monkeypatch, packets, (0.1, "connect"), (0.2, "live"), *reads_little)
    assert (outcome.reason, outcome.detail) == (DestinationFault.STALLED, "the server reads no data")
    assert took_s == pytest.approx(2.0 + UNREAD_S - 0.9, abs=0.1)


def test_after_a_blackout_viewers_are_back_within_five_seconds_of_its_end() -> None:
    backoff, begins_s = Backoff(random.Random(7)), [0.0]
    for _ in range(40):
        took_s = CHILD_S + STEP_S
        begins_s.append(begins_s[-1] + took_s + backoff.after(AttemptOutcome(DestinationFault.TIMEOUT), took_s))
    kernel_asks_s = 0.0, 1.0, 3.0  # for a connection: Linux before 6.5, the slowest
    syns_s = [begin + CHILD_S + syn for begin in begins_s for syn in kernel_asks_s if syn < STEP_S]
    longest_s = max(after - before for before, after in pairwise(syns_s))
    assert longest_s + 7 * 0.15 < 4.2, "with seven round trips"
    assert all(after - before >= CHILD_S + SOON_S[0] for before, after in pairwise(begins_s))


def test_a_stream_begins_with_the_newest_frames(monkeypatch: pytest.MonkeyPatch, packets: Packets) -> None:
    clock, (encoder, queue) = SimulatedClock(), packets
    child = ScriptedChild(clock, (0.2, "connect"), (3.1, "live"), (3.2, LinkReport(0.0)), (3.3, AttemptOutcome()))
    monkeypatch.setattr(attempt, "LiveChild", lambda _bytes: child)
    begun: list[tuple[float, int, bytes]] = []
    began_ns = clock.now_ns()

    def turn() -> None:
        if one.has_begun and not begun:
            begun.append((encoder.frames / RATE, queue.dropped_frames, bytes(child.taken)))
        while encoder.frames / RATE < 3.0 + (clock.now_ns() - began_ns) / NANOSECONDS:
            for packet in encoder.next():
                queue.put(packet)

    one = Attempt(TO, queue, encoder.templates, clock=clock, stop=StopRequest(), at_newest=True, on_turn=turn)
    assert one.run().reason is None
    ((encoded_s, dropped, sent),) = begun
    assert encoded_s == pytest.approx(6.1, abs=0.1)
    assert dropped == 6 * RATE, "and what viewers miss is known when they are told of"
    assert sent.endswith(b"}]\n"), "nothing but the request went to the child before"


def test_a_stream_with_nothing_to_send_ends_at_once(monkeypatch: pytest.MonkeyPatch, packets: Packets) -> None:
    clock, stop, (encoder, queue) = SimulatedClock(), StopRequest(), packets
    queue.clear()  # after a drop, before the next keyframe
    child = ScriptedChild(clock, (0.2, "live"))
    monkeypatch.setattr(attempt, "LiveChild", lambda _bytes: child)

    def turn() -> None:
        if one.step == "live":
            stop.set(clock.now_ns() + 3 * NANOSECONDS)

    one = Attempt(TO, queue, encoder.templates, clock=clock, stop=stop, at_newest=True, on_turn=turn)
    outcome = one.run()
    assert outcome.reason is None
    assert outcome.live_s < 0.05
    assert not one.has_begun, "there was nothing to see"


def test_a_stream_that_is_wished_to_end_goes_on_no_more_whatever_was_wished_before() -> None:
    again, over = StopRequest(), StopRequest()
    again.set(1, goes_on=True)
    over.set(1)
    assert (again.goes_on, over.goes_on) == (True, False)
    for stop in (again, over):
        stop.set(2, goes_on=stop is over)
        assert (stop.goes_on, stop.deadline_ns) == (False, 1)


def test_a_look_up_is_repeated_within_the_time_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RES_OPTIONS", "rotate")
    child = LiveChild(4096)
    try:
        environment = wait_for(Path(f"/proc/{child.pid}/environ").read_bytes)  # which is empty while it is begun
        assert f"RES_OPTIONS=rotate {RESOLVER}".encode() in environment.split(b"\0")
        assert fcntl.fcntl(child.input, fcntl.F_GETPIPE_SZ) == 4096
    finally:
        child.end()
    assert int(RESOLVER.split(":")[1][0]) < STEP_S


# A destination: one attempt after the other


def test_a_server_that_hangs_up_is_told_once(monkeypatch: pytest.MonkeyPatch, packets: Packets) -> None:
    clock, events, began_s = SimulatedClock(), Events(), list[float]()

    def start(_bytes: int) -> ScriptedChild:
        began_s.append((clock.now() - BEGINNING).total_seconds())
        hangs_up = [(0.5, AttemptOutcome(DestinationFault.CLOSED))] if len(began_s) <= 3 else []
        return ScriptedChild(clock, (0.0, "connect"), (0.1, "live"), *hangs_up)

    monkeypatch.setattr(attempt, "LiveChild", start)
    encoder, queue = packets
    destination = LiveDestination(TO, encoder.templates, emit=events, clock=clock)
    for packet in iter(queue.take, None):
        destination.put(packet)
    destination.start()
    wait_for(lambda: len(events.of("destination-live")) == 2)
    status = destination.status()
    destination.stop()
    assert [kind for _, kind, *_ in events.seen[:3]] == ["destination-live", "destination-lost", "destination-live"]
    assert events.reasons() == ["closed"]
    assert len(began_s) == 4
    assert status.since
    assert (status.since - BEGINNING).total_seconds() >= began_s[-1] + SHORT_LIFE_S
    assert status.reconnects == 1


def test_it_is_slow_from_the_first_drop_until_it_has_been_close_for_a_while() -> None:
    lag = LagDetector()
    lag.begin(dropped=40)  # before it was live

    def look(at_s: float, dropped: int, delay_s: float) -> bool:
        return lag.update(round(at_s * NANOSECONDS), dropped, delay_s)

    assert look(0, 40, 5.9) is False
    assert look(1, 100, 6.0) is True
    assert look(2, 130, 2.0) is False
    assert [look(at_s, 130, 1.0) for at_s in (3, 11.9)] == [False] * 2
    assert look(12, 130, 1.0) is True
    assert (lag.is_slow, lag.slow_s, lag.frames) == (False, 11.0, 90)
    assert look(13, 130, 4.0) is False
    assert look(14, 131, 4.0) is True


@pytest.mark.parametrize(
    ("bps", "most"), [(300_000, 16_384), (2_500_000, 65_536), (30_000, LEAST_BYTES), (0, MOST_BYTES)]
)
def test_what_the_way_holds_is_half_a_second_at_most(bps: int, most: int) -> None:
    assert buffer_bytes(bps) == most


class ThrottledChild:
    """Stands for a LiveChild; `tick` is called with each turn, `bps` says what the link takes then."""

    is_deaf = closed = has_begun = False

    def __init__(
        self, clock: SimulatedClock, bps: Callable[[float], float], tick: Callable[[], None], until_s: float, held: int
    ) -> None:
        self._clock, self._bps, self._tick, self._until_s = clock, bps, tick, until_s
        self._held = held
        self._began_ns = clock.now_ns()
        self._inside, self._allowance = bytearray(), 0.0
        self._flv, self._at = bytearray(), 13  # its header is of so many bytes
        self.over = threading.Event()
        self.arrivals: list[tuple[float, float]] = []
        """(when, time in the stream), in seconds: of what has reached the network."""

    @property
    def now_s(self) -> float:
        return (self._clock.now_ns() - self._began_ns) / NANOSECONDS

    def exchange(self, outbound: bytearray, timeout_s: float) -> Sequence[ChildReport] | None:
        if self.now_s >= self._until_s:
            self.over.set()
            time.sleep(0.01)
            outbound.clear()
            return [AttemptOutcome()] if self.closed else []
        self._clock.advance_to(self._clock.now_ns() + round(timeout_s * NANOSECONDS))
        self._tick()
        begins: list[ChildReport] = []
        if not self.has_begun:
            del outbound[: outbound.index(b"\n") + 1]  # the request
            self.has_begun, begins = True, ["connect", "live"]
        room = max(0, self._held - len(self._inside))
        self._inside += outbound[:room]
        del outbound[:room]
        return [*begins, *self._send(timeout_s)]

    def _send(self, passed_s: float) -> list[ChildReport]:
        self._allowance = min(self._allowance + self._bps(self.now_s) / 8 * passed_s, float(len(self._inside)))
        data = bytes(self._inside[: int(self._allowance)])
        del self._inside[: len(data)]
        self._allowance -= len(data)
        times_s = self._times_s(data)
        self.arrivals += [(self.now_s, at_s) for at_s in times_s]
        return [LinkReport(times_s[-1])] if times_s else []

    def _times_s(self, data: bytes) -> list[float]:
        """Return the time of each FLV tag that is whole now."""
        self._flv += data
        found = []
        while len(tag := self._flv[self._at : self._at + 11]) == 11:
            size = 11 + int.from_bytes(tag[1:4]) + 4
            if len(self._flv) < self._at + size:
                break
            found.append(int.from_bytes(tag[7:8] + tag[4:7]) / 1000)
            self._at += size
        return found

    def close_input(self) -> None:
        self.closed = True

    def end(self, patience_s: float) -> None:
        pass


STREAM_BPS = 300_000


def picture(number: int) -> EncodedPacket:
    """Return a frame of as many bytes as the stream's, a keyframe every 2 s."""
    is_key, at = number % 60 == 0, number * 3000
    data = b"\0\0\0\1" + (b"\x65" if is_key else b"\x41") + bytes([0x55]) * (STREAM_BPS // 8 // RATE)
    return EncodedPacket(Track.VIDEO, data, at, at, 3000, Fraction(1, 90_000), is_key)


def test_viewers_of_a_slow_link_are_late_by_6_s_at_most(monkeypatch: pytest.MonkeyPatch, packets: Packets) -> None:
    clock, events, frames = SimulatedClock(), Events(), 0
    statuses: list[DestinationLine] = []

    def link_bps(at_s: float) -> float:
        return STREAM_BPS * (0.6 if 10 <= at_s < 50 else 4.0)

    def tick() -> None:
        nonlocal frames
        while frames < child.now_s * RATE:
            destination.put(picture(frames))
            frames += 1
        statuses.append(destination.status())

    child = ThrottledChild(clock, link_bps, tick, until_s=75, held=3 * buffer_bytes(STREAM_BPS))
    monkeypatch.setattr(attempt, "LiveChild", lambda _bytes: child)
    templates: dict[TrackId, Stream] = {Track.VIDEO: packets[0].templates[Track.VIDEO]}
    destination = LiveDestination(TO, templates, emit=events, clock=clock)
    destination.start()
    wait_for(child.over.is_set)
    destination.stop()
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


# The waits between attempts


def waits(*outcomes: AttemptOutcome) -> list[float]:
    backoff = Backoff(random.Random(7))
    return [backoff.after(outcome) for outcome in outcomes]


def failed(reason: DestinationFault, live_s: float = 0.0) -> AttemptOutcome:
    return AttemptOutcome(reason, live_s=live_s)


@pytest.mark.parametrize(
    ("reason", "first", "later"),
    [
        (DestinationFault.REFUSED, (0.75, 1.0), (1.5, 2.0)),
        (DestinationFault.TIMEOUT, (0.75, 1.0), (1.5, 2.0)),
        (DestinationFault.ALREADY_PUBLISHING, (1.8, 2.0), (1.8, 2.0)),
        (DestinationFault.REJECTED, (9.0, 11.0), (9.0, 11.0)),  # only a person can mend it
        (DestinationFault.CERTIFICATE, (9.0, 11.0), (9.0, 11.0)),
        (DestinationFault.CALLER_LEFT, (0.0, 0.0), (0.0, 0.0)),  # the next may call at once
    ],
)
def test_a_fault_has_its_wait(reason: DestinationFault, first: tuple[float, float], later: tuple[float, float]) -> None:
    found = waits(*[failed(reason)] * 200)
    assert first[0] <= found[0] <= first[1]
    assert all(later[0] <= wait <= later[1] for wait in found[3:])
    assert len(set(found)) > 100 or not any(later), "no jitter"


def test_an_attempt_that_found_no_way_has_waited_already() -> None:
    backoff = Backoff(random.Random(7))
    took_s = [3.3] * 20 + [1.0] * 20
    found = [backoff.after(failed(DestinationFault.TIMEOUT), took) for took in took_s]
    assert all(SOON_S[0] <= wait <= SOON_S[1] for wait in found[:20])
    assert all(0.5 <= wait <= 1.0 for wait in found[20:]), "2 s from start to start"
    assert len(set(found)) == len(found), "no jitter"


def test_who_turns_us_away_is_not_asked_the_sooner_for_having_taken_long() -> None:
    backoff = Backoff(random.Random(7))
    assert min(backoff.after(failed(DestinationFault.REFUSED), 3.0) for _ in range(20)) >= 0.75


@pytest.mark.parametrize("reason", [DestinationFault.CLOSED, DestinationFault.STALLED])
def test_a_stream_that_breaks_after_a_long_life_is_begun_anew_at_once(reason: DestinationFault) -> None:
    assert Backoff(random.Random(7)).after(failed(reason, live_s=60.0), 61.0) <= SOON_S[1]


def test_a_key_that_has_worked_is_given_some_more_chances() -> None:
    lived, refused = failed(DestinationFault.STALLED, live_s=60), failed(DestinationFault.REFUSED)
    found = waits(lived, *[refused] * 9, *[failed(DestinationFault.REJECTED)] * 4)
    assert [wait > 9 for wait in found] == [False] * 13 + [True]


def test_a_server_that_always_hangs_up_at_once_is_tried_slowly() -> None:
    found = waits(*[failed(DestinationFault.CLOSED, live_s=0.4)] * 5)
    assert [wait > 9 for wait in found] == [False] * 3 + [True] * 2
