"""Losses are told at once, then now and then, and at the end in full."""

from devices.host.clock import NANOSECONDS
from recorder.model.eventlog import EVERY_NS, LossReporter
from tests.support.simulated import SimulatedClock


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
