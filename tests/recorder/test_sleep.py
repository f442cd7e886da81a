"""A PC that sleeps while it records: what is missing is told, and the recording is not taken for a whole one."""

from functools import partial
from pathlib import Path

import pytest

from devices.clock import NANOSECONDS
from devices.monitor.sleep import slept_ns
from recorder import session
from recorder.sleep import SleepWatch
from tests.recorder.test_session import Room
from tests.support.simulated import EventList

SECOND = NANOSECONDS


def test_each_sleep_is_told_once_and_only_while_it_records() -> None:
    events, slept = EventList(), [5 * SECOND]
    watch = SleepWatch(events, lambda: slept[0])
    watch.look(None)
    slept[0] += 60 * SECOND
    watch.look(None)
    watch.look(1.0)
    assert events == [], "nothing was recorded yet"
    slept[0] += SECOND - 1
    watch.look(2.0)
    assert events == [], "the clocks are not read at once"
    slept[0] += 3600 * SECOND
    for media_s in (3.0, 4.0):
        watch.look(media_s)
    assert events == [("pc-slept", "session")]


def test_what_the_kernel_says_of_sleep_is_read() -> None:
    assert slept_ns() >= -SECOND


def test_a_recording_with_a_sleep_in_it_is_no_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path, duration_s=2, live=True)

    def slept() -> int:
        return 3600 * SECOND if (room.session.status().elapsed_s > 0.5) else 0

    monkeypatch.setattr(session, "SleepWatch", partial(SleepWatch, slept=slept))
    result = room.run()
    assert result.degraded == ["pc-slept: session"]
    (told,) = [event for event in room.events if event.kind == "pc-slept"]
    assert told.message == "This PC was asleep for 3600 s; nothing was recorded meanwhile"
    assert 0.5 < float(str(told.detail["media_s"])) <= 2.0
