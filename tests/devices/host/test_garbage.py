"""Cycles that have grown old are collected, and what was there before is left alone."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from devices.host import heap
from devices.host.clock import NANOSECONDS
from devices.host.heap import EVERY_S, garbage_collector
from tests.support.simulated import SimulatedClock


class Muxer:
    """Refers to itself, as those of PyAV do by their streams."""

    def __init__(self) -> None:
        self.container = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.disable()  # only what is tested collects
    yield
    gc.unfreeze()
    gc.enable()


def an_old_one_without_owner() -> weakref.ref[Muxer]:
    """Return a muxer that lived through so many collections that it is looked at no more, and then lost its owner."""
    muxer = Muxer()
    gc.collect(0)
    gc.collect(1)
    return weakref.ref(muxer)


def passes(clock: SimulatedClock, seconds: float) -> None:
    clock.advance_to(clock.now_ns() + round(seconds * NANOSECONDS))


def test_what_failed_attempts_leave_is_collected_though_it_is_old() -> None:
    clock = SimulatedClock()
    collect = garbage_collector(clock)
    left = an_old_one_without_owner()
    gc.collect(1)
    assert left() is not None
    passes(clock, EVERY_S - 0.1)
    collect()
    assert left() is not None
    passes(clock, 0.2)
    collect()
    assert left() is None


def test_it_is_done_again_and_again() -> None:
    clock = SimulatedClock()
    collect = garbage_collector(clock)
    for _ in range(3):
        left = an_old_one_without_owner()
        passes(clock, EVERY_S)
        collect()
        assert left() is None


def test_what_is_free_after_that_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimulatedClock()
    given_back: list[bool] = []
    collect = garbage_collector(clock)
    left = an_old_one_without_owner()
    monkeypatch.setattr(heap, "trim_heap", lambda: given_back.append(left() is None))
    for _ in range(round(3.5 * EVERY_S)):
        passes(clock, 1)
        collect()
    assert given_back == [True] * 3


def test_what_was_there_before_is_not_looked_at() -> None:
    before = Muxer()
    garbage_of = weakref.ref(before)
    garbage_collector(SimulatedClock())
    assert gc.get_freeze_count() > 0
    assert not any(found is before for found in gc.get_objects())
    before.container = None  # type: ignore[assignment]
    del before
    assert garbage_of() is None
