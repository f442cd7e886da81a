"""The states of a replica, one after the other."""

import threading
from pathlib import Path

import pytest

from config.errors import StorageError
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.recording.replica import Replica, ReplicaState
from tests.support.recorded import OneFile, encoder, feed
from tests.support.stored import Disks
from tests.support.waiting import wait_for


def looked_at(replica: Replica, later_s: float, given_s: float) -> ReplicaState | None:
    return replica.look(SystemClock().now_ns() + round(later_s * NANOSECONDS), given_s)


def test_a_replica_that_stalls_writes_again_and_is_closed(tmp_path: Path, disks: Disks) -> None:
    made, failures = encoder(), list[Exception]()
    replica = OneFile(tmp_path / "a.mp4", made.templates, on_failure=failures.append)
    states = [replica.state]
    feed(made, replica, 0, 60)
    wait_for(lambda: replica.on_disk.media_time_s > 1)
    assert looked_at(replica, 0, 2.0) is None
    disks.hung = tmp_path
    feed(made, replica, 60, 60)
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
