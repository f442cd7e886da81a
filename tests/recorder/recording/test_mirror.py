"""Two files at once: two packages of one session, and what the loss of a disk costs then."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from config.errors import StorageError
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.packet import EncodedPacket
from recorder.package.work_folder import WorkFolder
from recorder.recording.replica import Replica, ReplicaState
from tests.support import leftovers, media
from tests.support.leftovers import Material, live
from tests.support.media import is_continuous
from tests.support.storage import RATE, Shows, almost_full, facts
from tests.support.waiting import wait_for


def test_a_mirror_is_two_packages_of_one_session(show: Shows) -> None:
    session = show(2, mirror=True)
    session.feed(4)
    session.close()
    session.storage.seal(facts(session))
    packages = [package for root in session.roots for package in Archive(root, SystemClock()).list()]
    assert len(packages) == 2
    first, second = packages
    assert (second.id, second.session, second.copy) == (f"{first.id}.copy2", first.uuid, 2)
    assert (first.session, first.copy) == (None, 1)
    assert second.uuid != first.uuid, "each is a package of its own, for copies and for searching"
    programs = [package.folder / "data/media/program.mp4" for package in packages]
    assert [media.decoded(program, "v").frames for program in programs] == [session.fed, session.fed]
    assert session.events == []


def test_half_a_mirror_that_cannot_begin_is_told_and_the_other_is_recorded(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Archive.begin

    def refusing(archive: Archive, *given: Any, copy: int, **more: Any) -> WorkFolder:
        if copy == 2:
            raise StorageError("Not here", why="unwritable")
        return begin(archive, *given, copy=copy, **more)

    monkeypatch.setattr(Archive, "begin", refusing)
    session = show(2, mirror=True)
    session.feed(1)
    session.close()
    assert [(event.kind, event.subject) for event in session.events] == [("storage-refused", str(session.roots[1]))]
    assert [folder.parents[1] for folder in session.folders] == [session.roots[0]]
    assert not session.failures


def test_half_a_mirror_that_breaks_costs_only_that(show: Shows) -> None:
    session = show(2, mirror=True)
    session.feed(4)
    wait_for(lambda: session.storage.on_disk.media_time_s > 2)
    session.roots[0].rename(session.roots[0].with_name("away"))
    session.feed_until(lambda: "storage-vanished" in session.kinds)
    session.feed(2)
    session.close()
    assert session.kinds == ["storage-vanished"]
    assert not session.failures
    package = session.storage.seal(facts(session))[0]
    assert package.path.startswith(str(session.roots[1]))
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed


def test_half_a_mirror_that_is_left_in_order_is_given_nothing_more(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.replica.QUEUE_PACKETS", 50)
    session = show(2, mirror=True, waits=True, low_s=0.0, critical_s=0.0)
    session.feed(3)
    left = session.storage.replicas[0]
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    taking, put, close = threading.Event(), Replica.put, Replica.close

    def take_slowly(replica: Replica, packet: EncodedPacket) -> None:
        if replica is left:
            taking.set()
            time.sleep(0.1)
        put(replica, packet)

    def close_meanwhile(replica: Replica) -> None:
        taking.clear()
        taking.wait(0.5)
        close(replica)

    with monkeypatch.context() as held:
        held.setattr(Replica, "put", take_slowly)
        held.setattr(Replica, "close", close_meanwhile)
        session.feed_until(lambda: left.is_closing)
    wait_for(lambda: left.state is ReplicaState.CLOSED)
    feeder = threading.Thread(target=session.feed, args=(5,), daemon=True)
    feeder.start()
    feeder.join(60)
    assert not feeder.is_alive(), "it waits for a file that nobody writes any more"
    assert left.waiting == 0
    session.close()
    assert session.kinds == ["storage-full"]
    session.storage.seal(facts(session))
    (package,) = Archive(session.roots[1], SystemClock()).list()
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed


def test_a_third_disk_takes_the_place_of_a_half(show: Shows) -> None:
    session = show(3, mirror=True)
    session.feed(4)
    wait_for(lambda: session.storage.on_disk.media_time_s > 2)
    session.roots[1].rename(session.roots[1].with_name("away"))
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(1)
    session.close()
    whole, gone, third = session.folders
    assert third.is_relative_to(session.roots[2])
    assert media.decoded(whole / "data/media/program.mp4", "v").frames == session.fed
    gone = session.roots[1].with_name("away") / gone.relative_to(session.roots[1])
    session.folders = [gone, third]
    is_continuous(session.files(), RATE, session.seconds())


@pytest.mark.parametrize("count", [2, 3])
def test_a_half_that_is_gone_on_with_is_put_together_with_what_its_disk_has(
    show: Shows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The first disk was full after 2 s, and is still; the recorder was killed after 6 s."""
    check, clock = Archive.check, SystemClock()
    both = [Archive(tmp_path / name / "arsip", clock, reserve_bytes=1) for name in "ab"]
    works = []
    for copy, (archive, seconds) in enumerate(zip(both, (2.0, 6.0), strict=True), start=1):
        left = Material(seconds).write(tmp_path / f"left {copy}")
        works.append(archive.reopen(leftovers.leave(archive, {"program.mp4": left.closed}, copy=copy, events=[live()])))

    def refuse(archive: Archive) -> int:
        if archive.root == both[0].root:
            raise StorageError("no space is left", why="full")
        return check(archive)

    monkeypatch.setattr(Archive, "check", refuse)
    resumed = {"title": leftovers.TITLE, "uuid": leftovers.UUID_, "offset_s": 8.0, "part": 2, "earlier": works}
    session = show(count, task=resumed, mirror=True)
    session.feed(3)
    session.close()
    session.storage.seal(facts(session))
    found: dict[tuple[int, int], tuple[float, int]] = {}
    for root in session.roots[1:]:
        (package,) = Archive(root, clock).list()
        assert package.recording
        assert package.duration_s == pytest.approx(8 + session.seconds(), abs=0.1)
        found |= {(part.copy, part.part): (part.offset_s, round(part.duration_s)) for part in package.recording.parts}
        assert not list(root.glob(".incoming/*"))
    whole = {(2, 1): (0.0, 6), (2, 2): (8.0, 3)}
    if count == 2:
        assert found == whole
        assert session.kinds == ["storage-full", "part-left"]
        assert session.told("part-left").detail["folder"] == str(works[0].path)
        assert works[0].program.is_file()
        works[0].release()
    else:
        assert found == whole | {(1, 1): (0.0, 2), (1, 2): (8.0, 3)}, "the third disk takes the place of the first"
        assert session.kinds == ["storage-full"]
        assert not works[0].path.exists()
