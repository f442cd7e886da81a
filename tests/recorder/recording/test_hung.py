"""A disk that takes nothing: told, left for another one, and nobody waits for it."""

import threading
import time

import pytest

from config.errors import StorageError
from devices.host.clock import NANOSECONDS
from recorder.recording.replica import ReplicaStallDetector, ReplicaState
from tests.support.disks import left_alone
from tests.support.errors import because
from tests.support.media import is_continuous
from tests.support.storage import RATE, Disks, Shows, facts
from tests.support.waiting import wait_for

pytestmark = pytest.mark.alone("sessions in real time", lane="sessions")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.recording.replica.STALLED_S", 0.5)
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 2.0)


def test_a_disk_that_takes_nothing_is_told_and_left(show: Shows, disks: Disks) -> None:
    before = set(threading.enumerate())
    session = show(2, stalled_s=2.0)
    session.feed(5, on_disk_s=3)
    disks.hung = session.roots[0]
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(2)
    session.close()
    assert session.kinds[:4] == ["recording-stalled", "storage-stalled", "recording-resumed", "storage-switched"]
    assert left_alone(session.storage) == 1
    package = session.storage.seal(facts(session))[0]
    assert package.path.startswith(str(session.roots[1]))
    assert "part-left" in session.kinds
    disks.let_go.set()
    second = package.folder / "data/media/program.mp4"
    offset_s = float(session.storage.replicas[-1].start)
    wait_for(lambda: set(threading.enumerate()) <= before)
    is_continuous([(session.folders[0] / "data/media/program.mp4", 0.0), (second, offset_s)], RATE, session.seconds())


@pytest.mark.parametrize("mirror", [False, True])
def test_a_disk_that_goes_on_is_told_too_and_half_a_mirror_costs_the_other_nothing(
    show: Shows, disks: Disks, mirror: bool
) -> None:
    session = show(1 + mirror, mirror=mirror)
    session.feed(3, on_disk_s=1)
    disks.hung = session.roots[0]
    session.feed_until(lambda: "recording-stalled" in session.kinds)
    stood = session.storage.on_disk
    session.feed(1, on_disk_s=stood.media_time_s if mirror else None)
    assert mirror or session.storage.on_disk == stood
    disks.let_go.set()
    session.feed_until(lambda: "recording-resumed" in session.kinds)
    session.close()
    assert session.kinds == ["recording-stalled", "recording-resumed"]
    assert len(session.files()) == 1 + mirror
    for file in session.files():
        is_continuous([file], RATE, session.seconds())


def test_that_the_whole_process_stood_still_is_not_held_against_its_disk(
    show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it was stopped, or the virtual machine was: the guard may look before anybody has synced again."""
    monkeypatch.setattr("recorder.recording.replica.STALLED_S", 3.0)
    session, looks, update = show(2, stalled_s=5.0), list[int](), ReplicaStallDetector.update

    def look(watch: ReplicaStallDetector, now_ns: int, found_s: float, given_s: float) -> ReplicaState | None:
        looks.append(now_ns)
        return update(watch, now_ns, found_s, given_s)

    session.feed(3, on_disk_s=1)
    disks.hung = session.roots[0]
    session.feed(1)
    monkeypatch.setattr(ReplicaStallDetector, "update", look)
    wait_for(lambda: len(looks) > 2)  # what came to the disk before it hung is known
    clock = session.clock
    before_ns, now_ns = clock.now_ns(), clock.now_ns
    monkeypatch.setattr(clock, "now_ns", lambda: now_ns() + 30 * NANOSECONDS)
    wait_for(lambda: sum(at_ns > before_ns + 30 * NANOSECONDS for at_ns in looks) > 2)
    disks.let_go.set()
    session.feed(1)
    session.close()
    assert session.kinds == []
    is_continuous(session.files(), RATE, session.seconds())


def test_only_a_disk_that_never_answers_leaves_a_session_that_says_so_and_ends(
    show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 0.5)
    session = show(1)
    session.feed(3, on_disk_s=1)
    disks.hung = session.roots[0]
    session.feed(1)
    session.close()
    assert [error.why for error in session.failures] == ["stalled"]
    with pytest.raises(StorageError, check=because("stalled")):
        session.storage.seal(facts(session))
    assert left_alone(session.storage) == 1


def test_a_session_that_waits_for_its_disk_ends_where_that_takes_nothing_any_more(
    show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 0.5)
    monkeypatch.setattr("recorder.recording.replica.QUEUE_PACKETS", 100)
    monkeypatch.setattr("recorder.recording.failover.WATCH_S", 0.05)
    session = show(1, task={"waits": True}, stalled_s=1.0)
    session.feed(3, on_disk_s=1)
    disks.hung = session.roots[0]
    disks.takes_writes = False
    time.sleep(1.5)  # longer than a disk may stall: its source gives nothing
    assert not session.failures
    session.feed(10)
    assert session.failures
    session.close()
    assert [error.why for error in session.failures] == ["stalled"]
    assert session.kinds == ["recording-stalled", "storage-stalled"]


def test_a_spare_disk_that_can_be_used_again_takes_the_recording_when_the_one_that_went_on_is_lost(
    show: Shows, disks: Disks
) -> None:
    session = show(2, stalled_s=2.0)
    session.roots[1].rmdir()
    session.roots[1].write_text("no folder")
    session.feed(3, on_disk_s=1)
    disks.hung = session.roots[0]
    session.feed_until(lambda: "storage-refused" in session.kinds)
    session.feed(1)
    disks.let_go.set()
    session.feed_until(lambda: "recording-resumed" in session.kinds)
    session.roots[1].unlink()
    session.roots[1].mkdir()
    session.feed(2)
    session.pull_out()
    session.feed_until(lambda: session.failures or "storage-switched" in session.kinds)
    session.feed(2)
    session.close()
    assert [folder.parents[2].name for folder in session.folders] == ["a", "b"]
    assert session.failures == []
    assert session.kinds.count("storage-refused") == 1
    is_continuous(session.files(), RATE, session.seconds())
