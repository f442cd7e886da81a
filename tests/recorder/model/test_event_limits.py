"""Events that come too often: the log has the first, one now and then and the last, and says what it left out."""

from datetime import UTC, datetime, timedelta

import pytest

from config.events import Event
from devices.host.clock import NANOSECONDS
from recorder.model.eventlog import (
    AT_ONCE,
    EVENTS_LEFT_OUT,
    EVERY_NS,
    MOST_KNOWN,
    PER_S,
    EventLimiter,
    LineBuffer,
    LossReporter,
)
from tests.support.simulated import SimulatedClock

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def event(kind: str, subject: str, at_s: float, number: int = 0) -> Event:
    return Event(NOON + timedelta(seconds=at_s), kind, subject, {"number": number}, "")


def number(one: Event) -> object:
    return one.detail["number"]


def flood(repeats: EventLimiter, count: int, *, from_s: float = 0.0, per_s: float = 100.0) -> list[Event]:
    """Return what is logged of so many of one kind."""
    times = [from_s + place / per_s for place in range(count)]
    events = [event("source-lost", "podium", at_s, place) for place, at_s in enumerate(times)]
    return [logged for one, at_s in zip(events, times, strict=True) for logged in repeats.take(one, at_s)]


def test_what_comes_now_and_then_is_logged_at_once_and_as_it_is() -> None:
    repeats = EventLimiter()
    count = int(4 * AT_ONCE)
    events = [event("frames-dropped", "podium", 5 * place, place) for place in range(count)]
    assert [repeats.take(one, 5.0 * place) for place, one in enumerate(events)] == [[one] for one in events]
    assert repeats.rest() == []


def test_of_a_flood_the_first_and_the_last_are_logged_and_the_number_of_those_between() -> None:
    repeats, count = EventLimiter(), 1000
    logged = flood(repeats, count, per_s=1e6)
    assert [number(one) for one in logged] == list(range(int(AT_ONCE)))
    told, last = repeats.rest()
    assert (told.kind, told.subject) == (EVENTS_LEFT_OUT, "podium")
    assert told.detail == {"what": "source-lost", "count": count - int(AT_ONCE) - 1}
    assert number(last) == count - 1
    assert repeats.rest() == []


def test_a_flood_that_lasts_is_thinned_to_a_few_lines_and_none_is_uncounted() -> None:
    repeats, seconds = EventLimiter(), 400
    logged = [*flood(repeats, seconds * 100), *repeats.rest()]
    assert len(logged) <= AT_ONCE + 3 * (seconds * PER_S + 1)
    left_out = sum(int(str(one.detail["count"])) for one in logged if one.kind == EVENTS_LEFT_OUT)
    assert left_out + sum(one.kind != EVENTS_LEFT_OUT for one in logged) == seconds * 100
    assert [one.at for one in logged] == sorted(one.at for one in logged)


def test_the_last_of_a_flood_is_logged_when_there_is_room_though_nothing_more_comes() -> None:
    repeats = EventLimiter()
    flood(repeats, int(AT_ONCE) + 10, per_s=1e6)
    assert repeats.due(1.0) == []
    told, last = repeats.due(1.0 + 1 / PER_S)
    assert (told.detail["count"], number(last)) == (9, AT_ONCE + 9)
    assert repeats.due(100.0) == []


def test_another_kind_of_the_same_subject_comes_behind_what_was_kept_back_of_it() -> None:
    repeats = EventLimiter()
    flood(repeats, int(AT_ONCE) + 1, per_s=1e6)
    returned = event("source-returned", "podium", 0.1)
    other = event("source-returned", "slides", 0.1)
    assert repeats.take(other, 0.1) == [other]
    kept_back, then = repeats.take(returned, 0.1)
    assert (kept_back.kind, number(kept_back), then) == ("source-lost", AT_ONCE, returned)


def test_more_subjects_than_can_be_told_apart_are_logged_and_the_oldest_is_forgotten() -> None:
    repeats = EventLimiter()
    flood(repeats, int(AT_ONCE) + 5, per_s=1e6)
    logged = [one for place in range(MOST_KNOWN) for one in repeats.take(event("mark", str(place), 1.0, place), 1.0)]
    assert [one.kind for one in logged] == ["mark"] * MOST_KNOWN + [EVENTS_LEFT_OUT, "source-lost"]
    assert repeats.rest() == []


def kept(count: int, *, head: int = 30, tail: int = 50) -> LineBuffer:
    """Return lines of ten bytes each, of which the first three and the last five are kept."""
    lines = LineBuffer(tail, head)
    for number in range(count):
        lines.add(b"%09d\n" % number)
    return lines


def read(lines: LineBuffer, number: int, end: int, most_bytes: int) -> tuple[list[int], int]:
    """Return the numbers of the lines from `number` on, read in batches, and how many are missing."""
    found, missing_in_all = [], 0
    while number < end:
        data, after, missing = lines.batch(number, end, most_bytes)
        assert after > number
        assert len(data) <= most_bytes + 9
        found += [int(line) for line in data.split()]
        missing_in_all += missing
        number = after
    return found, missing_in_all


@pytest.mark.parametrize("most_bytes", [1, 10, 25, 1000])
@pytest.mark.parametrize("count", [0, 2, 3, 8])
def test_all_lines_are_there_while_there_is_room(count: int, most_bytes: int) -> None:
    lines = kept(count)
    assert lines.end == count
    assert read(lines, 0, count, most_bytes) == (list(range(count)), 0)


@pytest.mark.parametrize("most_bytes", [1, 10, 25, 1000])
def test_of_too_many_the_first_and_the_last_are_there_and_it_is_known_how_many_are_not(most_bytes: int) -> None:
    lines = kept(20)
    assert read(lines, 0, 20, most_bytes) == ([0, 1, 2, 15, 16, 17, 18, 19], 12)
    assert read(lines, 3, 20, most_bytes) == ([15, 16, 17, 18, 19], 12)
    assert read(lines, 10, 20, most_bytes) == ([15, 16, 17, 18, 19], 5)
    assert read(lines, 17, 20, most_bytes) == ([17, 18, 19], 0)


def test_what_is_not_wanted_any_more_is_not_read() -> None:
    lines = kept(20)
    assert read(lines, 0, 2, 1000) == ([0, 1], 0)
    assert read(lines, 3, 10, 1000) == ([], 7)


class Told(list[tuple[str, object]]):
    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        assert (kind, subject) == ("frames-dropped", "podium")
        self.append((message, detail["count"]))


def test_every_loss_is_told_once_and_none_is_left_out() -> None:
    told, clock = Told(), SimulatedClock()
    reporter = LossReporter("frames-dropped", "podium", "{count} of {name}", emit=told, clock=clock)
    reporter.update(0)
    assert told == []
    reporter.update(2)
    assert told == [("2 of podium", 2)]
    reporter.update(5)
    clock.advance_to(clock.now_ns() + EVERY_NS + NANOSECONDS)
    reporter.update(7)
    assert told[1:] == [("5 of podium", 5)]
    reporter.update(8)
    assert len(told) == 2
    reporter.update(8, final=True)
    reporter.update(8, final=True)
    assert told[2:] == [("1 of podium", 1)]


def test_what_was_lost_before_the_beginning_is_not_told() -> None:
    told, clock = Told(), SimulatedClock()
    reporter = LossReporter("frames-dropped", "podium", "{count} of {name}", emit=told, clock=clock)
    reporter.begin(60)
    reporter.update(60, final=True)
    assert told == []
    reporter.update(61)
    assert told == [("1 of podium", 1)]


def test_news_is_told_after_more_than_five_seconds() -> None:
    told, clock = Told(), SimulatedClock()
    reporter = LossReporter("frames-dropped", "podium", "{count} of {name}", emit=told, clock=clock)
    began_ns = clock.now_ns()
    reporter.update(1)
    for count, seconds in ((2, 4.9), (3, 5.1), (5, 10.0), (6, 10.3)):
        clock.advance_to(began_ns + round(seconds * NANOSECONDS))
        reporter.update(count)
    assert [count for _, count in told] == [1, 2, 3]
