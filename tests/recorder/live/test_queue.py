from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice, pairwise, takewhile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.live.queue import LONGEST_S, MEASURE_S, MOST_SLOWNESS, InFlightPackets, PacketQueue
from recorder.model.packet import EncodedPacket, Track

VIDEO, AUDIO = Fraction(1, 90_000), Fraction(1, 48_000)


def frame(number: int, *, key: bool = False, rate: int = 30) -> EncodedPacket:
    at = number * 90_000 // rate
    return EncodedPacket(Track.VIDEO, number.to_bytes(4), at, at, 90_000 // rate, VIDEO, key)


def sound(seconds: float) -> EncodedPacket:
    at = round(seconds * 48_000)
    return EncodedPacket(Track.AUDIO, b"", at, at, 1024, AUDIO, True)


def filled(frames: Iterable[int], every: int) -> PacketQueue:
    """Return a queue with these frames; each of a number that `every` divides is a keyframe."""
    queue = PacketQueue()
    put(queue, frames, every)
    return queue


def put(queue: PacketQueue, frames: Iterable[int], every: int) -> None:
    for n in frames:
        queue.put(frame(n, key=n % every == 0))


def take_all(queue: PacketQueue) -> list[EncodedPacket]:
    return list(iter(queue.take, None))


def number(packet: EncodedPacket) -> int:
    return int.from_bytes(packet.data)


def numbers(queue: PacketQueue) -> list[int]:
    """Take all, and return the frames' numbers."""
    return [number(packet) for packet in take_all(queue)]


def test_nothing_before_the_first_keyframe_and_that_is_no_loss() -> None:
    queue = filled(range(2, 7), every=5)
    assert (numbers(queue), queue.dropped_frames) == ([5, 6], 0)


def test_sound_that_came_early_stays_with_its_keyframe() -> None:
    queue = PacketQueue()
    for packet in (sound(0.5), sound(1.0), sound(1.2), frame(30, key=True)):
        queue.put(packet)
    assert [packet.dts_s for packet in take_all(queue)] == [1.0, 1.2, 1.0]


def test_overflow_keeps_from_the_newest_keyframe() -> None:
    queue = filled(range(182), every=50)
    assert (numbers(queue), queue.dropped_frames) == ([*range(150, 182)], 150)


def test_overflow_without_a_newer_keyframe_waits_for_the_next() -> None:
    queue = filled(range(182), every=182)
    assert queue.take() is None
    queue.put(frame(182, key=True))
    assert (numbers(queue), queue.dropped_frames) == ([182], 182)


@pytest.mark.parametrize(("at_newest", "expected"), [(False, 0), (True, 60)])
def test_starts_at_the_oldest_or_newest_keyframe(at_newest: bool, expected: int) -> None:
    queue = filled(range(70), every=30)
    assert queue.start(at_newest=at_newest) == frame(expected, key=True)
    assert (numbers(queue)[0], queue.dropped_frames) == (expected, expected)


def test_a_queue_in_the_middle_of_a_group_starts_at_the_next_keyframe() -> None:
    queue = filled(range(10), every=11)
    assert queue.take() == frame(0, key=True)
    assert queue.start(at_newest=True) is queue.take() is None
    assert queue.dropped_frames == 9
    put(queue, (10, 11), every=11)
    assert queue.start(at_newest=True) == frame(11, key=True)


def test_what_did_not_arrive_comes_back_in_order() -> None:
    queue = filled(range(6), every=6)
    for _ in range(3):
        queue.take()
    queue.sent(0.0)  # the first has arrived
    queue.put_back()
    assert numbers(queue) == [1, 2, 3, 4, 5]


def test_what_is_in_flight_counts_against_the_delay_and_stays() -> None:
    queue = filled(range(150), every=50)
    taken = [queue.take() for _ in range(120)]
    assert (len(queue), queue.delay_s) == (30, 149 / 30)
    put(queue, range(150, 182), every=50)  # 6 s behind what is in flight, though little of that waits here
    assert (numbers(queue), queue.dropped_frames) == ([*range(150, 182)], 30)
    queue.put_back()
    assert queue.take() == frame(150, key=True), "what is too late by now"
    assert queue.dropped_frames == 30 + len(taken)


def test_on_a_slow_link_what_is_in_flight_counts_for_as_long_as_it_will_take() -> None:
    queue = PacketQueue()
    sent, taken_s = 0.0, 0.0
    for n in range(400):
        queue.put(frame(n, key=n % 60 == 0))
        while taken_s - sent < 1.0 and (packet := queue.take()):  # the way holds a second
            taken_s = packet.dts_s
        sent = n / 30 * 0.6
        queue.sent(sent)
        if queue.dropped_frames:
            break
    assert 6 - 0.7 - 0.1 < n / 30 - sent < 6 - 0.6, "which will be 6 s late by then"


def test_what_was_dropped_between_what_is_in_flight_does_not_count_as_on_its_way() -> None:
    queue = PacketQueue()
    taken: list[int] = []
    sent = 0.0
    for n in range(900):
        queue.put(frame(n, key=n % 60 == 0))
        while len(queue) and (len(taken) - sent) / 30 < 0.5 and (packet := queue.take()):  # the way holds half a second
            taken.append(number(packet))
        sent = min(sent + 0.45, len(taken))  # it carries less than half
        if sent >= 1:
            queue.sent(taken[int(sent) - 1] / 30 + 0.001)
    skips = [place for place, (before, after) in enumerate(pairwise(taken)) if after > before + 1]
    assert len(taken) > 900 * 0.45 * 0.95, "the link stands still while there is something to send"
    assert len(skips) >= 4
    shortest = min(after - before for before, after in pairwise([0, *skips]))
    assert shortest > 30, "who skips to a keyframe shows what follows it, and does not skip again at the next"


def test_while_nothing_moves_what_waits_is_the_newest_group_of_pictures() -> None:
    queue = filled(range(60), every=50)
    taken = [queue.take() for _ in range(60)]
    for n in range(60, 600):
        put(queue, [n], every=50)
        assert queue.delay_s <= LONGEST_S or len(queue) <= 50
    assert numbers(queue) == list(range(550, 600))
    queue.all_sent()
    assert queue.delay_s == 0.0
    assert queue.dropped_frames == 600 - 50 - len(taken)


steps = st.lists(
    st.tuples(st.sampled_from(["put", "take", "sent", "again", "again-newest"]), st.integers(1, 150)), max_size=40
)


def interleaved(rate: int, keyframe_every: int, delay: int) -> Iterator[EncodedPacket]:
    """Yield frames with sound `delay` frames ahead of them, as an encoder that looks ahead gives them."""
    n = 0
    while True:
        yield sound((n + delay) / rate)
        yield frame(n, key=n % keyframe_every == 0, rate=rate)
        n += 1


def acknowledge(queue: PacketQueue, in_flight: list[EncodedPacket], count: int) -> list[EncodedPacket]:
    """Say that the first `count` of what is in flight have arrived; return those and what is told with them."""
    up_to_s = max((packet.dts_s for packet in in_flight[:count]), default=-1.0)
    queue.sent(up_to_s)
    arrived = list(takewhile(lambda packet: packet.dts_s <= up_to_s, in_flight))
    del in_flight[: len(arrived)]
    return arrived


@given(steps, st.sampled_from([15, 30, 60]), st.integers(1, 500), st.integers(0, 20))
@example([("put", 1), ("put", 8), ("take", 1), ("put", 63)], 15, 1, 20)
def test_what_is_taken_can_be_decoded_and_every_frame_is_accounted_for(
    steps: list[tuple[str, int]], rate: int, keyframe_every: int, delay: int
) -> None:
    queue, source = PacketQueue(), interleaved(rate, keyframe_every, delay)
    put, arrived, in_flight = 0, list[EncodedPacket](), list[EncodedPacket]()
    previous: int | None = None
    for what, count in steps:
        if what == "put":
            for _ in range(2 * count):
                packet = next(source)
                put += packet.track is Track.VIDEO
                queue.put(packet)
                assert in_flight or queue.delay_s <= LONGEST_S
        elif what == "take":
            for taken in islice(iter(queue.take, None), count):
                in_flight.append(taken)
                if taken.track is Track.VIDEO:
                    assert taken.is_keyframe or previous == number(taken) - 1, "a picture whose reference was dropped"
                    previous = number(taken)
        elif what == "sent":
            arrived += acknowledge(queue, in_flight, count)
        else:
            in_flight.clear()
            queue.put_back()
            start = queue.start(at_newest=what == "again-newest")
            previous = None
            if start:
                assert start.is_keyframe
                assert queue.delay_s <= LONGEST_S
    frames = sum(packet.track is Track.VIDEO for packet in (*arrived, *in_flight))
    held = sum(packet.track is Track.VIDEO for packet in take_all(queue))
    assert frames + held + queue.dropped_frames == put


def test_what_nobody_is_there_for_is_given_up_and_is_no_loss() -> None:
    queue = PacketQueue()
    for n in range(70):
        queue.put(frame(n, key=n % 30 == 0))
        queue.keep_newest()
    assert queue.start(at_newest=True) is not None
    assert (numbers(queue), queue.dropped_frames) == ([*range(60, 70)], 0)


def test_what_is_left_of_a_stream_that_ended_without_a_keyframe_is_no_loss_either() -> None:
    queue = filled(range(20), every=30)
    take_all(queue)
    queue.sent(15 / 30)
    queue.put_back()
    for n in range(20, 40):
        queue.keep_newest()
        assert (queue.start(at_newest=True) is None) == (n <= 30), "somebody is there now, and waits for a keyframe"
        queue.put(frame(n, key=n == 30))
    assert (numbers(queue), queue.dropped_frames) == ([*range(30, 40)], 0)


def test_sound_without_pictures_does_not_pile_up() -> None:
    queue = PacketQueue()
    for n in range(40):
        queue.put(sound(n / 2))
    assert len(queue) == 13
    queue.put(frame(600, key=True))
    assert queue.take() == frame(600, key=True), "sound of before it is of no use"


def test_a_keyframe_that_waits_alone_behind_what_does_not_move_is_kept() -> None:
    queue = PacketQueue()
    for n in range(200):
        queue.put(frame(n, key=n == 0))
        queue.take()
    assert queue.take() is None
    queue.put(frame(200, key=True))
    assert queue.take() == frame(200, key=True)


def test_the_delay_counts_from_what_is_in_flight() -> None:
    queue = filled(range(60, 90), every=60)
    for _ in range(20):
        queue.take()
    queue.sent(69 / 30)
    assert queue.delay_s == pytest.approx((89 - 70) / 30)


# What is on its way: how long it plays, and how slowly it goes

RATE = 30


def flying(*frames: int, gaps: tuple[int, ...] = ()) -> InFlightPackets:
    flight = InFlightPackets()
    for n in frames:
        flight.add(frame(n), has_gap=n in gaps)
    return flight


def carry(flight: InFlightPackets, seconds: float, *, speed: float, since_s: float = 0.0, sent_s: float = 0.0) -> float:
    """Let it send at `speed` times what it plays; return up to where it has sent."""
    for turn in range(round(seconds * 10) + 1):
        flight.sent(sent_s + turn / 10 * speed, since_s + turn / 10)
    return sent_s + seconds * speed


def add_a_second(flight: InFlightPackets, sent_s: float) -> None:
    """Have it play a second more than it has sent."""
    first = round(sent_s * RATE) + 1
    flight.add(frame(first), has_gap=False)
    flight.add(frame(first + RATE), has_gap=False)


def test_it_plays_from_its_first_packet_to_its_last_without_what_was_dropped_between() -> None:
    flight = flying(*range(31), *range(120, 136), gaps=(120,))
    assert flight.plays_s == pytest.approx(1.5)
    assert flight.begins_s == 120 / RATE, "what is before it is what nobody can drop"
    flight.sent(30 / RATE, 5.0)
    assert flight.plays_s == pytest.approx(0.5)
    assert [number(packet) for packet in flight.packets] == list(range(120, 136))


def test_a_gap_is_over_once_what_comes_after_it_was_sent() -> None:
    flight = flying(*range(10), *range(100, 131), gaps=(100,))
    flight.sent(105 / RATE, 5.0)
    assert flight.plays_s == pytest.approx(24 / RATE)
    assert flight.begins_s == 106 / RATE


def test_nothing_in_flight_plays_no_time_and_begins_nowhere() -> None:
    flight = InFlightPackets()
    assert (flight.plays_s, flight.begins_s, flight.lasts_s(0.0)) == (0.0, None, 0.0)
    flight.add(frame(500), has_gap=True)
    flight.add(frame(530), has_gap=False)
    assert flight.plays_s == 1.0, "what was dropped before the first is none of it"


@pytest.mark.parametrize(
    ("speed", "lasts"), [(1.0, 1.0), (2.0, 1.0), (0.5, 2.0), (0.4, 2.5), (0.1, 1.0 + MOST_SLOWNESS)]
)
def test_it_lasts_as_long_as_what_was_sent_before_has_taken(speed: float, lasts: float) -> None:
    flight = InFlightPackets()
    add_a_second(flight, carry(flight, 6.0, speed=speed))
    assert flight.lasts_s(6.0) == pytest.approx(lasts, rel=0.05)


def test_what_was_dropped_is_not_taken_for_sent() -> None:
    flight = flying(0, 30, 60)
    now_s = 4.0
    assert carry(flight, now_s, speed=0.5) == 2.0
    for n in (900, 1500):  # nearly half a minute is dropped, of what comes then a second is sent, and so on
        flight.add(frame(n), has_gap=True)
        flight.add(frame(n + RATE), has_gap=False)
        now_s += MEASURE_S + 0.1
        flight.sent(n / RATE, now_s)
    flight.add(frame(1560), has_gap=False)
    assert flight.plays_s == 1.0
    assert flight.lasts_s(now_s) == pytest.approx(MEASURE_S + 0.1)


@pytest.mark.parametrize(("speed", "lasts"), [(0.25, 4.0), (1.0, 1.0)])
def test_where_nothing_moves_any_more_it_is_not_taken_for_slow(speed: float, lasts: float) -> None:
    flight = InFlightPackets()
    add_a_second(flight, carry(flight, 4.0, speed=speed))
    assert flight.lasts_s(4.5) == pytest.approx(lasts, rel=0.05)
    assert flight.lasts_s(5.5) == pytest.approx(1.0)


def test_one_that_is_slow_now_and_then_is_taken_for_slow_until_it_has_not_been_for_a_while() -> None:
    flight = InFlightPackets()
    at_s = carry(flight, 2.1, speed=0.4)
    add_a_second(flight, carry(flight, 2.1, speed=1.0, since_s=2.1, sent_s=at_s))
    assert flight.lasts_s(4.2) > 2.0
