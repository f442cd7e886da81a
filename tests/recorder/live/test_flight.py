"""What is on its way: how long it plays, what is known of how slowly it goes."""

from fractions import Fraction

import pytest

from recorder.live.queue import MEASURE_S, MOST_SLOWNESS, Flight
from recorder.model.packet import EncodedPacket, Track

RATE = 30


def frame(number: int) -> EncodedPacket:
    return EncodedPacket(Track.VIDEO, b"", number, number, 0, Fraction(1, RATE), True)


def flying(*numbers: int, gaps: tuple[int, ...] = ()) -> Flight:
    flight = Flight()
    for number in numbers:
        flight.add(frame(number), has_gap=number in gaps)
    return flight


def carry(flight: Flight, seconds: float, *, speed: float, since_s: float = 0.0, sent_s: float = 0.0) -> float:
    """Let it send at `speed` times what it plays; return up to where it has sent."""
    for turn in range(round(seconds * 10) + 1):
        flight.sent(sent_s + turn / 10 * speed, since_s + turn / 10)
    return sent_s + seconds * speed


def test_it_plays_from_its_first_packet_to_its_last_without_what_was_dropped_between() -> None:
    flight = flying(*range(31), *range(120, 136), gaps=(120,))
    assert flight.plays_s == pytest.approx(1.5)
    assert flight.begins_s == 120 / RATE, "what is before it is what nobody can drop"
    flight.sent(30 / RATE, 5.0)
    assert flight.plays_s == pytest.approx(0.5)
    assert [packet.dts for packet in flight.packets] == list(range(120, 136))


def test_a_gap_is_over_once_what_comes_after_it_was_sent() -> None:
    flight = flying(*range(10), *range(100, 131), gaps=(100,))
    flight.sent(105 / RATE, 5.0)
    assert flight.plays_s == pytest.approx(24 / RATE)
    assert flight.begins_s == 106 / RATE


def test_nothing_in_flight_plays_no_time_and_begins_nowhere() -> None:
    flight = Flight()
    assert (flight.plays_s, flight.begins_s, flight.lasts_s(0.0)) == (0.0, None, 0.0)
    flight.add(frame(500), has_gap=True)
    flight.add(frame(530), has_gap=False)
    assert flight.plays_s == 1.0, "what was dropped before the first is none of it"


@pytest.mark.parametrize(
    ("speed", "lasts"), [(1.0, 1.0), (2.0, 1.0), (0.5, 2.0), (0.4, 2.5), (0.1, 1.0 + MOST_SLOWNESS)]
)
def test_it_lasts_as_long_as_what_was_sent_before_has_taken(speed: float, lasts: float) -> None:
    flight = Flight()
    at_s = carry(flight, 6.0, speed=speed)
    first = int(at_s * RATE) + 1
    flight.add(frame(first), has_gap=False)
    flight.add(frame(first + RATE), has_gap=False)
    assert flight.lasts_s(6.0) == pytest.approx(lasts, rel=0.05)


def test_what_was_dropped_is_not_taken_for_sent() -> None:
    flight = flying(0, 30, 60)
    now_s = 4.0
    assert carry(flight, now_s, speed=0.5) == 2.0
    for number in (900, 1500):  # nearly half a minute is dropped, of what comes then a second is sent, and so on
        flight.add(frame(number), has_gap=True)
        flight.add(frame(number + RATE), has_gap=False)
        now_s += MEASURE_S + 0.1
        flight.sent(number / RATE, now_s)
    flight.add(frame(1560), has_gap=False)
    assert flight.plays_s == 1.0
    assert flight.lasts_s(now_s) == pytest.approx(MEASURE_S + 0.1)


@pytest.mark.parametrize(("speed", "lasts"), [(0.25, 4.0), (1.0, 1.0)])
def test_where_nothing_moves_any_more_it_is_not_taken_for_slow(speed: float, lasts: float) -> None:
    flight = Flight()
    first = round(carry(flight, 4.0, speed=speed) * RATE) + 1
    flight.add(frame(first), has_gap=False)
    flight.add(frame(first + RATE), has_gap=False)
    assert flight.lasts_s(4.5) == pytest.approx(lasts, rel=0.05)
    assert flight.lasts_s(5.5) == pytest.approx(1.0)


def test_one_that_is_slow_now_and_then_is_taken_for_slow_until_it_has_not_been_for_a_while() -> None:
    flight = Flight()
    at_s = carry(flight, 2.1, speed=0.4)
    at_s = carry(flight, 2.1, speed=1.0, since_s=2.1, sent_s=at_s)
    first = int(at_s * RATE) + 1
    flight.add(frame(first), has_gap=False)
    flight.add(frame(first + RATE), has_gap=False)
    assert flight.lasts_s(4.2) > 2.0
