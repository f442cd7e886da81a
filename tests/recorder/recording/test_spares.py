"""What a spare disk is worth that could not be used at the moment when another one took nothing."""

from pathlib import Path

import pytest

from recorder.recording.replica import ReplicaStallDetector, ReplicaState
from tests.recorder.recording.test_hung import hang_with_an_unusable_spare
from tests.support.media import is_continuous
from tests.support.storage import RATE, Disks, Show, Shows
from tests.support.waiting import wait_for


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.recording.replica.STALLED_S", 0.5)
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 1.0)


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


def pull_out(root: Path) -> Path:
    return root.rename(root.with_name("away"))


def went_on(session: Show, *roots: Path) -> None:
    """See that the recording lies below `roots`, one part after the other, with nothing missing."""
    places = [next(place for place in (root, root.with_name("away")) if place.is_dir()) for root in roots]
    session.folders = [
        place / folder.relative_to(root) for place, root, folder in zip(places, roots, session.folders, strict=True)
    ]
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
    pull_out(session.roots[0])
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
    pull_out(session.roots[0])
    disks.let_go.set()
    goes_over(session)


def test_it_takes_the_recording_when_the_disk_that_took_it_instead_hangs_too(show: Shows, disks: Disks) -> None:
    session = show(3, stalled_s=2.0)
    first, second, third = session.roots
    make_unusable(second)
    session.feed(3)
    wait_for(lambda: session.storage.on_disk.media_time_s > 1)
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
    pull_out(second)
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
