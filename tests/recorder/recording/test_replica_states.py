"""The states of a replica, one after the other."""

import threading
from pathlib import Path

import pytest

from config.errors import StorageError
from config.settings.schema import read_settings
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.recording.failover import WATCH_S
from recorder.recording.replica import Replica, ReplicaStallDetector, ReplicaState, stall_after_s
from tests.support.media import OneFile, encoder, feed
from tests.support.storage import Disks
from tests.support.waiting import wait_for


def looked_at(replica: Replica, later_s: float, given_s: float) -> ReplicaState | None:
    return replica.look(SystemClock().now_ns() + round(later_s * NANOSECONDS), given_s)


def test_a_replica_that_stalls_writes_again_and_is_closed(tmp_path: Path, disks: Disks) -> None:
    made, failures = encoder(), list[Exception]()
    replica = OneFile(tmp_path / "a.mp4", made.templates, on_failure=failures.append)
    states = [replica.state]
    feed(made, replica, 0, 60)
    wait_for(lambda: replica.on_disk.media_time_s > 1)
    disks.hung = tmp_path
    feed(made, replica, 60, 60)
    wait_for(disks.hangs.is_set)
    assert looked_at(replica, 0, 2.0) is None
    looks = [looked_at(replica, 30, 4.0)]
    states.append(replica.state)
    assert replica.takes, "it may still go on"
    disks.let_go.set()
    wait_for(lambda: replica.on_disk.media_time_s > 3)
    looks.append(looked_at(replica, 31, 4.0))
    states.append(replica.state)
    replica.close()
    states.append(replica.state)
    made.close()
    assert looks == [ReplicaState.STALLED, ReplicaState.WRITING]
    assert states == [ReplicaState.WRITING, ReplicaState.STALLED, ReplicaState.WRITING, ReplicaState.CLOSED]
    assert replica.answers
    assert not failures


def test_a_replica_that_failed_takes_nothing_more_and_is_closed(tmp_path: Path) -> None:
    made, failures = encoder(), list[Exception]()
    replica = OneFile(tmp_path / "a.mp4", made.templates, on_failure=failures.append)
    looks = [looked_at(replica, 30, 4.0)]
    feed(made, replica, 0, 60)
    wait_for(lambda: replica.on_disk.media_time_s > 1)
    for _ in range(2):
        replica.fail(StorageError("it is gone"))
    looks.append(looked_at(replica, 60, 4.0))
    feed(made, replica, 60, 30)
    assert looks == [ReplicaState.STALLED, ReplicaState.WRITING]
    assert (replica.state, replica.takes) == (ReplicaState.FAILED, False)
    replica.close()
    made.close()
    assert replica.state is ReplicaState.CLOSED
    assert len(failures) == 1, "it is told once"


def test_a_replica_whose_disk_does_not_answer_stays_closing(
    tmp_path: Path, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 0.3)
    made, failures, before = encoder(), list[Exception](), set(threading.enumerate())
    replica = OneFile(tmp_path / "a.mp4", made.templates, on_failure=failures.append)
    disks.hung = tmp_path
    feed(made, replica, 0, 30)
    replica.close()
    assert (replica.state, replica.answers, len(failures)) == (ReplicaState.CLOSING, False, 1)
    disks.let_go.set()
    wait_for(lambda: set(threading.enumerate()) <= before)
    assert replica.state is ReplicaState.CLOSING, "nobody waits for it any more"
    made.close()


def at(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def test_what_grows_is_never_told() -> None:
    watch = ReplicaStallDetector(0, 3.75)
    assert [watch.update(at(second), second, second + 1.0) for second in range(100)] == [None] * 100


def test_a_stop_is_told_once_within_five_seconds_and_its_end_too() -> None:
    watch = ReplicaStallDetector(0, 3.75)
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
    assert settings.fragment_s + settings.sync_s + 2 <= stall_after_s(settings) <= 5 - 2 * WATCH_S


def test_a_time_in_which_the_whole_process_stood_still_does_not_count() -> None:
    watch = ReplicaStallDetector(0, 3.75)
    assert watch.update(at(1), 1.0, 2.0) is None
    watch.excuse(at(101), at(100))
    assert watch.update(at(101), 1.0, 2.0) is None
    assert watch.stalled_for_s(at(104)) == 3
    assert watch.update(at(105), 1.0, 2.0) is ReplicaState.STALLED
    watch.excuse(at(106), at(100))
    assert watch.stalled_for_s(at(106)) == 0


def test_where_nothing_waits_for_the_disk_nothing_is_stalled() -> None:
    watch = ReplicaStallDetector(0, 3.75)
    assert watch.update(at(0), 2.0, 2.0) is None
    assert [watch.update(at(second), 2.0, 2.0) for second in range(60)] == [None] * 60
    assert watch.stalled_for_s(at(60)) <= 1
