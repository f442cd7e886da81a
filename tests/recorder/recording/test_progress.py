"""Whether a recording grows on its disk: told when it stops and when it goes on, from looks alone."""

from pathlib import Path

import pytest

from config.settings.reader import read_settings
from devices.host.clock import NANOSECONDS
from recorder.recording.failover import WATCH_S
from recorder.recording.replica import ProgressWatch, ReplicaState, patience_s


def at(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def test_what_grows_is_never_told() -> None:
    watch = ProgressWatch(0, 3.75)
    assert [watch.update(at(second), second, second + 1.0) for second in range(100)] == [None] * 100


def test_a_stop_is_told_once_within_five_seconds_and_its_end_too() -> None:
    watch = ProgressWatch(0, 3.75)
    told = {}
    for quarter in range(80):
        now = quarter / 4
        found = min(now, 5.0) if now < 15 else now
        change = watch.update(at(now), found, now + 0.5)
        if change:
            told[change] = now
    assert list(told) == [ReplicaState.STALLED, ReplicaState.WRITING]
    assert 8 < told[ReplicaState.STALLED] <= 10
    assert told[ReplicaState.WRITING] == 15
    assert not watch.is_stalled


@pytest.mark.parametrize("extreme", [0.1, 1.0])
def test_it_is_told_within_five_seconds_whatever_is_set(extreme: float) -> None:
    text = f"[recording]\nfragment_s = {extreme}\nsync_s = {extreme}\n"
    settings = read_settings(text, Path("liput.toml")).recording
    assert settings.fragment_s + settings.sync_s + 2 <= patience_s(settings) <= 5 - 2 * WATCH_S


def test_a_time_in_which_the_whole_process_stood_still_does_not_count() -> None:
    watch = ProgressWatch(0, 3.75)
    assert watch.update(at(1), 1.0, 2.0) is None
    watch.excuse(at(101), at(100))
    assert watch.update(at(101), 1.0, 2.0) is None
    assert watch.stalled_for_s(at(104)) == 3
    assert watch.update(at(105), 1.0, 2.0) is ReplicaState.STALLED
    watch.excuse(at(106), at(100))
    assert watch.stalled_for_s(at(106)) == 0


def test_where_nothing_waits_for_the_disk_nothing_is_stalled() -> None:
    watch = ProgressWatch(0, 3.75)
    assert watch.update(at(0), 2.0, 2.0) is None
    assert [watch.update(at(second), 2.0, 2.0) for second in range(60)] == [None] * 60
    assert watch.stalled_for_s(at(60)) <= 1
