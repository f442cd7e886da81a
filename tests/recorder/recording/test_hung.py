"""A disk that takes nothing: told, left for another one, and nobody waits for it."""

import threading
import time
from pathlib import Path
from typing import Never

import pytest

from config.errors import StorageError
from devices.host.clock import NANOSECONDS
from recorder.recording.replica import ReplicaStallDetector, ReplicaState
from recorder.recording.replica_opener import ReplicaOpener
from tests.support.disks import left_alone
from tests.support.errors import because
from tests.support.media import is_continuous
from tests.support.storage import RATE, Disks, Show, Shows, facts
from tests.support.waiting import wait_for


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.recording.replica.STALLED_S", 0.5)
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 1.0)


def test_a_disk_that_takes_nothing_is_told_and_left(show: Shows, disks: Disks) -> None:
    before = set(threading.enumerate())
    session = show(2, stalled_s=2.0)
    session.feed(5, on_disk_s=3)
    disks.hung = session.roots[0]
    began = time.monotonic()
    session.feed_until(lambda: "recording-stalled" in session.kinds)
    assert time.monotonic() - began < 20
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


def test_a_disk_that_goes_on_is_told_too(show: Shows, disks: Disks) -> None:
    session = show(1)
    session.feed(3, on_disk_s=1)
    disks.hung = session.roots[0]
    session.feed_until(lambda: "recording-stalled" in session.kinds)
    standing = session.storage.on_disk
    session.feed(1)
    assert session.storage.on_disk == standing
    disks.let_go.set()
    session.feed_until(lambda: "recording-resumed" in session.kinds)
    session.close()
    assert session.kinds == ["recording-stalled", "recording-resumed"]
    is_continuous(session.files(), RATE, session.seconds())


def hang_with_an_unusable_spare(session: Show, disks: Disks) -> None:
    """Let the first disk hang until it would be left, for the last one, which is no folder."""
    session.roots[-1].rmdir()
    session.roots[-1].write_text("no folder")
    session.feed(3, on_disk_s=1)
    disks.hung = session.roots[0]
    session.feed_until(lambda: "storage-refused" in session.kinds)
    session.feed(1)


def test_a_disk_that_hangs_for_a_while_is_gone_on_with_where_the_spare_one_cannot_be_used(
    show: Shows, disks: Disks
) -> None:
    session = show(2, stalled_s=2.0)
    hang_with_an_unusable_spare(session, disks)
    disks.let_go.set()
    session.feed_until(lambda: "recording-resumed" in session.kinds)
    session.feed(2)
    session.close()
    assert session.failures == []
    assert session.kinds == ["recording-stalled", "storage-stalled", "storage-refused", "recording-resumed"]
    is_continuous(session.files(), RATE, session.seconds())


def test_half_a_mirror_that_hangs_for_a_while_is_gone_on_with_where_the_third_disk_cannot_be_used(
    show: Shows, disks: Disks
) -> None:
    session = show(3, stalled_s=2.0, mirror=True)
    hang_with_an_unusable_spare(session, disks)
    disks.let_go.set()
    session.feed_until(lambda: "recording-resumed" in session.kinds)
    session.feed(2)
    session.close()
    assert session.kinds == ["recording-stalled", "storage-stalled", "storage-refused", "recording-resumed"]
    for file in session.files():
        is_continuous([file], RATE, session.seconds())


def test_a_disk_that_is_lost_while_another_one_is_looked_for_ends_the_session_where_there_is_none(
    show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, opens, go_on = show(2, stalled_s=2.0), threading.Event(), threading.Event()

    def refuse(*_place: object) -> Never:
        opens.set()
        go_on.wait(30)
        raise StorageError("the second disk is read-only", why="unwritable")

    monkeypatch.setattr(ReplicaOpener, "open", refuse)
    session.feed(3, on_disk_s=1)
    disks.hung = session.roots[0]
    session.feed_until(opens.is_set)
    session.pull_out()
    disks.let_go.set()
    wait_for(lambda: session.storage.replicas[0].state is ReplicaState.FAILED)
    go_on.set()
    session.feed_until(lambda: session.failures)
    session.close()
    assert [error.why for error in session.failures] == ["vanished"]
    assert session.kinds == ["recording-stalled", "storage-stalled", "storage-refused", "storage-vanished"]


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
    session = show(1, waits=True, stalled_s=1.0)
    session.feed(3, on_disk_s=1)
    disks.hung = session.roots[0]
    disks.takes_writes = False
    time.sleep(2.0)  # its source gives nothing
    assert not session.failures
    session.feed(10)
    assert session.failures
    session.close()
    assert [error.why for error in session.failures] == ["stalled"]
    assert session.kinds == ["recording-stalled", "storage-stalled"]


def make_unusable(root: Path) -> None:
    root.rmdir()
    root.write_text("no folder")


def make_usable(root: Path) -> None:
    root.unlink()
    root.mkdir()


def go_on(session: Show, disks: Disks, times: int = 1) -> None:
    """Let the disk that hangs answer again, and see that it is told."""
    disks.let_go.set()
    session.feed_until(lambda: session.kinds.count("recording-resumed") == times)


def hang(session: Show, disks: Disks, root: Path) -> None:
    disks.let_go.clear()
    disks.hung = root
    session.feed(1)


def went_on(session: Show, *roots: Path) -> None:
    """See that the recording lies below `roots`, one part after the other, with nothing missing."""
    for root, folder in zip(roots, session.folders, strict=True):
        assert folder.is_relative_to(root) or folder.is_relative_to(root.with_name("away"))
    assert session.failures == []
    assert session.kinds.count("storage-refused") == 1
    is_continuous(session.files(), RATE, session.seconds())


def goes_over(session: Show) -> None:
    """See that the recording leaves the first disk for the last one, and goes on there."""
    session.feed_until(lambda: session.failures or "storage-switched" in session.kinds)
    session.feed(2)
    session.close()
    went_on(session, *session.roots)


def test_it_takes_the_recording_when_the_disk_that_went_on_is_lost(show: Shows, disks: Disks) -> None:
    session = show(2, stalled_s=2.0)
    hang_with_an_unusable_spare(session, disks)
    go_on(session, disks)
    make_usable(session.roots[1])
    session.feed(2)
    session.pull_out()
    goes_over(session)


def test_it_takes_the_recording_when_the_disk_that_went_on_hangs_again(show: Shows, disks: Disks) -> None:
    session = show(2, stalled_s=2.0)
    hang_with_an_unusable_spare(session, disks)
    go_on(session, disks)
    make_usable(session.roots[1])
    hang(session, disks, session.roots[0])
    session.feed_until(lambda: "storage-switched" in session.kinds)
    disks.let_go.set()
    session.close()
    went_on(session, *session.roots)


def test_it_is_tried_once_more_when_the_disk_that_hangs_is_lost(show: Shows, disks: Disks) -> None:
    session = show(2, stalled_s=2.0)
    hang_with_an_unusable_spare(session, disks)
    make_usable(session.roots[1])
    session.pull_out()
    disks.let_go.set()
    goes_over(session)


def test_it_takes_the_recording_when_the_disk_that_took_it_instead_hangs_too(show: Shows, disks: Disks) -> None:
    session = show(3, stalled_s=2.0)
    first, second, third = session.roots
    make_unusable(second)
    session.feed(3, on_disk_s=1)
    hang(session, disks, first)
    session.feed_until(lambda: "storage-switched" in session.kinds)
    disks.let_go.set()
    make_usable(second)
    session.feed(2)
    hang(session, disks, third)
    session.feed_until(lambda: session.kinds.count("storage-switched") == 2)
    disks.let_go.set()
    session.close()
    went_on(session, first, third, second)


def test_it_takes_the_place_of_the_other_half_of_a_mirror(show: Shows, disks: Disks) -> None:
    session = show(3, stalled_s=2.0, mirror=True)
    first, second, third = session.roots
    hang_with_an_unusable_spare(session, disks)
    go_on(session, disks)
    make_usable(third)
    session.pull_out(1)
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(2)
    session.close()
    assert (session.told("storage-switched").subject, session.told("storage-switched").detail["left"]) == (
        str(third),
        str(second),
    )
    whole, *_ = session.folders
    session.folders = [whole]
    went_on(session, first)


def test_it_is_tried_and_told_once_each_time_that_the_other_one_hangs(
    show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, update, looks = show(2, stalled_s=2.0), ReplicaStallDetector.update, list[int]()

    def look(watch: ReplicaStallDetector, now_ns: int, found_s: float, given_s: float) -> ReplicaState | None:
        looks.append(now_ns)
        return update(watch, now_ns, found_s, given_s)

    def is_looked_at_in_vain() -> None:
        before = session.kinds
        looks.clear()
        session.feed_until(lambda: len(looks) > 4)
        assert session.kinds == before

    monkeypatch.setattr(ReplicaStallDetector, "update", look)
    hang_with_an_unusable_spare(session, disks)
    is_looked_at_in_vain()
    go_on(session, disks)
    is_looked_at_in_vain()
    hang(session, disks, session.roots[0])
    session.feed_until(lambda: session.kinds.count("storage-refused") == 2)
    is_looked_at_in_vain()
    go_on(session, disks, 2)
    is_looked_at_in_vain()
    session.close()
    assert session.failures == []
    assert session.kinds == ["recording-stalled", "storage-stalled", "storage-refused", "recording-resumed"] * 2
    is_continuous(session.files(), RATE, session.seconds())
