"""The deadlines of one attempt, and what a blackout costs in all, on a simulated clock."""

import fcntl
import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import NANOSECONDS
from recorder.live import attempt
from recorder.live.attempt import RESOLVER, STALL_S, STEP_S, UNREAD_S, Attempt, LiveChild, StopRequest
from recorder.live.destination import SOON_S, Backoff
from recorder.live.kind import AttemptOutcome, ChildReport, DestinationFault, LinkReport
from recorder.live.queue import PacketQueue
from recorder.model.packet import Track
from tests.support.encoded import RATE, SmallEncoder
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

TO = StreamTarget("hall", secret_url("rtmp://127.0.0.1/live/good"))
CHILD_S = 0.5
"""What a child process takes from its start to its first packet, on a PC that has other things to do."""
SYNS_S = (0.0, 1.0, 3.0)
"""When the kernel asks for a connection: those before Linux 6.5, the slowest."""
ROUND_TRIPS = 7


class ScriptedChild:
    """Stands for a LiveChild: says each report at its time, in seconds, and takes all bytes or none."""

    def __init__(
        self, clock: SimulatedClock, script: Sequence[tuple[float, ChildReport]], takes_until_s: float
    ) -> None:
        self._clock, self._script = clock, list(script)
        self._began_ns = clock.now_ns()
        self._takes_until_s = takes_until_s
        self.is_deaf = False
        self.ended = False
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


@pytest.fixture
def packets() -> Iterator[tuple[SmallEncoder, PacketQueue]]:
    encoder, queue = SmallEncoder(), PacketQueue()
    for _ in range(90):
        for packet in encoder.next():
            queue.put(packet)
    yield encoder, queue
    encoder.close()


def run(
    monkeypatch: pytest.MonkeyPatch,
    packets: tuple[SmallEncoder, PacketQueue],
    *script: tuple[float, ChildReport],
    takes_until_s: float = 1000.0,
) -> tuple[AttemptOutcome, float]:
    """Return how an attempt ended whose child said that, and how many seconds it took."""
    clock = SimulatedClock()
    child = ScriptedChild(clock, script, takes_until_s)
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
    monkeypatch: pytest.MonkeyPatch, packets: tuple[SmallEncoder, PacketQueue], step: str, reason: DestinationFault
) -> None:
    outcome, took_s = run(monkeypatch, packets, (0.5, step))
    assert (outcome.reason, outcome.live_s) == (reason, 0.0)
    assert took_s == pytest.approx(0.5 + 3.0, abs=0.1)


def test_a_stream_that_does_not_move_is_given_up_and_nothing_of_it_is_lost(
    monkeypatch: pytest.MonkeyPatch, packets: tuple[SmallEncoder, PacketQueue]
) -> None:
    outcome, took_s = run(
        monkeypatch, packets, (0.1, "connect"), (0.2, "live"), (1.0, LinkReport(0.5)), takes_until_s=0.02
    )
    assert outcome.reason is DestinationFault.STALLED
    assert took_s == pytest.approx(1.0 + STALL_S, abs=0.1)
    _, queue = packets
    left = [packet for packet in iter(queue.take, None) if packet.track is Track.VIDEO]
    assert [packet.dts_s for packet in left][:1] == pytest.approx([2.0 + 16 / 30]), "from what was not sent"


def test_a_server_that_reads_nothing_is_given_up_though_its_child_is_held_up_and_tells_no_more(
    monkeypatch: pytest.MonkeyPatch, packets: tuple[SmallEncoder, PacketQueue]
) -> None:
    outcome, took_s = run(
        monkeypatch,
        packets,
        (0.1, "connect"),
        (0.2, "live"),
        (1.0, LinkReport(0.5)),
        (2.0, LinkReport(1.5, unread_s=0.9)),
    )
    assert (outcome.reason, outcome.detail) == (DestinationFault.STALLED, "the server reads no data")
    assert took_s == pytest.approx(2.0 + UNREAD_S - 0.9, abs=0.1)


def test_after_a_blackout_viewers_are_back_within_five_seconds_of_its_end() -> None:
    backoff, begins_s = Backoff(random.Random(7)), [0.0]
    for _ in range(40):
        took_s = CHILD_S + STEP_S
        begins_s.append(begins_s[-1] + took_s + backoff.after(AttemptOutcome(DestinationFault.TIMEOUT), took_s))
    syns_s = [begin + CHILD_S + syn for begin in begins_s for syn in SYNS_S if syn < STEP_S]
    longest_s = max(after - before for before, after in pairwise(syns_s))
    assert longest_s + ROUND_TRIPS * 0.15 < 4.2
    assert all(after - before >= CHILD_S + SOON_S[0] for before, after in pairwise(begins_s))


def test_a_stream_begins_with_what_is_newest_when_it_is_live_however_long_it_took_to_connect(
    monkeypatch: pytest.MonkeyPatch, packets: tuple[SmallEncoder, PacketQueue]
) -> None:
    clock, (encoder, queue) = SimulatedClock(), packets
    child = ScriptedChild(
        clock, [(0.2, "connect"), (3.1, "live"), (3.2, LinkReport(0.0)), (3.3, AttemptOutcome())], 1000.0
    )
    monkeypatch.setattr(attempt, "LiveChild", lambda _bytes: child)
    encoded_s: list[float] = []
    dropped: list[int] = []
    began_ns = clock.now_ns()

    def encode() -> None:
        while encoder.frames / RATE < 3.0 + (clock.now_ns() - began_ns) / NANOSECONDS:
            for packet in encoder.next():
                queue.put(packet)

    def turn() -> None:
        if one.has_begun and not encoded_s:
            begin()
        encode()

    def begin() -> None:
        encoded_s.append(encoder.frames / RATE)
        dropped.append(queue.dropped_frames)
        assert bytes(child.taken).endswith(b"}]\n"), "nothing but the request went to the child before"

    one = Attempt(TO, queue, encoder.templates, clock=clock, stop=StopRequest(), at_newest=True, on_turn=turn)
    assert one.run().reason is None
    assert encoded_s == [pytest.approx(6.1, abs=0.1)]
    assert dropped == [6 * RATE], "and what viewers miss is known when they are told of"


def test_what_is_live_and_has_nothing_to_send_yet_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, packets: tuple[SmallEncoder, PacketQueue]
) -> None:
    clock, stop, (encoder, queue) = SimulatedClock(), StopRequest(), packets
    queue.clear()  # after a drop, before the next keyframe
    child = ScriptedChild(clock, [(0.2, "live")], 1000.0)
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
