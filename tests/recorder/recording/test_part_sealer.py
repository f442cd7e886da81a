"""What is told while a session is sealed, and how long that may take."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from config.errors import ArchiveError, LiputError, StorageError
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.package.media import holds_media
from recorder.package.metadata import Begun, Package, PackageState, RecordingFacts
from recorder.package.work_folder import WorkFolder
from recorder.recording.part_sealer import PartSealer
from recorder.recovery import unfinished
from recorder.recovery.packaging import SessionPackager
from recorder.recovery.recover import Recovery, RecoveryState
from tests.support import archives, leftovers, media
from tests.support.leftovers import Material, live
from tests.support.simulated import EventList, SimulatedClock
from tests.support.storage import Show, Shows, almost_full, facts


def test_how_far_sealing_is_is_told_ten_times_a_second_at_most() -> None:
    clock, told = SimulatedClock(), list[tuple[int, int]]()
    facts = RecordingFacts(ended_at=archives.STARTED)
    sealer = PartSealer(clock, EventList(), facts, lambda *far: told.append(far))
    for done in range(1, 1001):
        sealer.advance(done, 1000)
        clock.advance_to(clock.now_ns() + 1_000_000)
    assert told[0] == (1, 1000)
    assert told[-1] == (1000, 1000)
    assert len(told) == 11


def test_what_takes_long_to_look_at_a_file_is_waited_for(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    finish, session = SessionPackager.finish, show(1)

    def slowly(finisher: SessionPackager, works: Sequence[WorkFolder], given: RecordingFacts) -> Package:
        for _ in range(40):
            works[0].program.read_bytes()
            time.sleep(0.2)
        return finish(finisher, works, given)

    session.feed(2)
    session.close()
    monkeypatch.setattr(SessionPackager, "finish", slowly)
    monkeypatch.setattr("recorder.recording.part_sealer.SEAL_S", 5.0)
    assert session.storage.seal(facts(session))[0].folder.is_dir()
    assert session.events == []


def test_a_disk_that_hangs_when_it_is_looked_at_costs_the_other_half_of_a_mirror_nothing(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, goes_on = show(2, mirror=True), threading.Event()

    def hang(path: Path) -> bool:
        if path.is_relative_to(session.roots[0]):
            goes_on.wait(30)
        return holds_media(path)

    session.feed(2)
    session.close()
    monkeypatch.setattr("recorder.recording.replica.holds_media", hang)
    monkeypatch.setattr("recorder.disk.errors.DISK_ANSWER_S", 2.0)
    package = session.storage.seal(facts(session))[0]
    goes_on.set()
    assert package.folder.is_relative_to(session.roots[1])
    assert session.told("part-left").subject == str(session.roots[0])
    assert package.recording
    assert package.recording.degraded == (f"part-left: {session.roots[0]}",)
    assert (session.folders[0] / "data/media/program.mp4").exists()


def test_a_disk_that_hangs_when_nothing_was_recorded_is_left_with_its_work_folder(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, goes_on, discard = show(2, mirror=True), threading.Event(), Archive.discard

    def hang(archive: Archive, work: WorkFolder) -> None:
        if archive.root == session.roots[0]:
            goes_on.wait(30)
            return
        discard(archive, work)

    session.storage.close()
    session.log.close()
    monkeypatch.setattr(Archive, "discard", hang)
    monkeypatch.setattr("recorder.disk.errors.DISK_ANSWER_S", 2.0)
    session.storage.discard()
    goes_on.set()
    assert session.told("part-left").subject == str(session.roots[0])
    assert list(session.roots[0].iterdir())
    assert not list(session.roots[1].iterdir())


def test_what_a_killed_recorder_left_is_told_where_it_cannot_be_put_together_with_the_rest(
    show: Shows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Begun(uuid="", title="Rapat", started_at=archives.STARTED, host="", context=archives.CONTEXT)
    earlier = [WorkFolder(tmp_path / "lama/.incoming" / name, begun) for name in ("left", "joined")]
    left = earlier[0].path
    left.mkdir(parents=True)
    finish, session = SessionPackager.finish, show(1, task={"earlier": earlier})

    def alone(finisher: SessionPackager, works: Sequence[WorkFolder], given: RecordingFacts) -> Package:
        if len(works) > 1:
            raise ArchiveError("they do not fit")
        return finish(finisher, works, given)

    session.feed(2)
    session.close()
    monkeypatch.setattr(SessionPackager, "finish", alone)
    package = session.storage.seal(facts(session))[0]
    assert session.kinds == ["part-left"]
    assert session.events[0].detail["folder"] == str(left)
    assert "they do not fit" in session.events[0].message
    assert package.recording
    assert package.recording.degraded == (f"part-left: {tmp_path / 'lama'}",)


def leave_the_first_disk(session: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    session.feed(5, on_disk_s=3)
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(2)
    session.close()


def test_what_an_interrupted_recovery_had_half_put_together_is_removed_on_every_disk(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(2, low_s=0.0, critical_s=0.0)
    leave_the_first_disk(session, monkeypatch)
    name = session.folders[0].name
    for root in session.roots:
        for half_done in (f".{name}.joining", f".{name}.copy2.joining"):
            (root / ".incoming" / half_done / "data/media").mkdir(parents=True)
            (root / ".incoming" / half_done / "data/media/program.mp4").write_bytes(b"half of it")
    package = session.storage.seal(facts(session))[0]
    assert session.kinds == ["storage-full", "storage-switched"]
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed
    for root in session.roots:
        assert [path.name for path in root.glob(".incoming/*")] == [f".{name}.copy2.joining"], "another copy's"


@pytest.mark.parametrize(
    "error", [StorageError("no space is left", why="full"), OSError(28, "no space is left"), KeyError("a bug")]
)
def test_parts_that_were_put_together_but_not_sealed_are_told_as_what_they_have_become(
    show: Shows, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(_archive: Archive, work: WorkFolder, *_given: object) -> Package:
        assert work.name.endswith(".joined"), "there is nothing else left to seal"
        raise error

    session = show(2, low_s=0.0, critical_s=0.0)
    leave_the_first_disk(session, monkeypatch)
    monkeypatch.setattr(Archive, "seal", refuse)
    with pytest.raises(LiputError):
        session.storage.seal(facts(session))
    assert session.kinds == ["storage-full", "storage-switched", "part-left"]
    (joined,) = session.roots[1].glob(".incoming/*")
    told = session.told("part-left")
    assert (told.subject, told.detail["folder"]) == (str(session.roots[1]), str(joined))
    assert media.decoded(joined / "data/media/program.mp4", "v").frames == session.fed
    assert session.storage.joined
    assert session.storage.joined.path == joined


@pytest.mark.parametrize(("count", "copies"), [(1, 1), (2, 1), (1, 2)])
def test_what_killed_recorders_left_is_a_package_where_nothing_came_after_it(
    show: Shows, tmp_path: Path, count: int, copies: int
) -> None:
    """The next recorder was ended before a picture came."""
    clock, works = SystemClock(), list[WorkFolder]()
    roots = [Archive(tmp_path / name / "arsip", clock, reserve_bytes=1) for name in "ab"[:copies]]
    for copy, archive in enumerate(roots, start=1):
        for part in range(1, count + 1):
            left, offset_s = Material(2.0).write(tmp_path / f"left {copy} {part}"), 8.0 * (part - 1)
            folder = leftovers.leave(
                archive, {"program.mp4": left.killed}, copy=copy, part=part, offset_s=offset_s, events=[live(offset_s)]
            )
            works.append(archive.reopen(folder))
    resumed = {
        "title": leftovers.TITLE, "uuid": leftovers.UUID_, "offset_s": 8.0 * count, "part": count + 1, "earlier": works,
    }  # fmt: skip
    session = show(copies, task=resumed, mirror=copies > 1)
    session.close()
    package = session.storage.seal(facts(session))[0]
    assert session.events == []
    packages = [each for archive in roots for each in archive.list()]
    assert len(packages) == copies
    assert package in packages
    for archive, each in zip(roots, packages, strict=True):
        assert archive.verify(each, decode=True) == []
        assert each.duration_s == pytest.approx(8.0 * (count - 1) + 2.0, abs=0.5), "as much as was on the disk"
        assert not list(archive.root.glob(".incoming/*"))


def test_what_cannot_be_looked_at_is_not_taken_for_nothing(
    show: Shows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what was recorded before the kill would be sealed as all there is, and the rest be a package of its own."""
    archive = Archive(tmp_path / "a" / "arsip", SystemClock(), reserve_bytes=1)
    left = leftovers.leave(archive, {"program.mp4": Material(2.0).write(tmp_path).killed}, events=[live()])
    resumed = {
        "title": leftovers.TITLE, "uuid": leftovers.UUID_, "offset_s": 8.0, "part": 2,
        "earlier": [archive.reopen(left)],
    }  # fmt: skip
    session = show(1, task=resumed)
    session.feed(2)
    session.close()

    def refused(_path: Path) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("recorder.recording.replica.holds_media", refused)
    with pytest.raises(LiputError):
        session.storage.seal(facts(session))
    assert session.kinds == ["part-left", "part-left"]
    assert {each.state for each in archive.list()} == {PackageState.UNFINISHED}
    assert left.is_dir()


def test_parts_that_no_disk_has_room_to_join_are_packages_that_say_where_the_rest_is(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(2, low_s=0.0, critical_s=0.0)
    leave_the_first_disk(session, monkeypatch)
    usage = shutil.disk_usage(session.roots[0])
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    packages = session.storage.seal(facts(session))
    assert session.kinds == ["storage-full", "storage-switched", "parts-apart"]
    first, then = sorted(packages, key=lambda package: package.part)
    assert (first.folder.parents[2], then.folder.parents[2]) == tuple(session.roots)
    assert (then.id, then.session) == (f"{first.id}.2", first.uuid)
    assert first.recording
    assert then.recording
    for recording, other in ((first.recording, 2), (then.recording, 1)):
        held_s = recording.duration_s + sum(gap.duration_s for gap in recording.gaps)
        assert held_s == pytest.approx(session.seconds(), abs=0.2)
        assert {gap.part for gap in recording.gaps} <= {other}
        assert recording.degraded == ("storage-full", "storage-switched", f"parts-apart: {session.roots[1]}")
    (found,) = unfinished.find_joinable([Archive(root, SystemClock()) for root in session.roots])
    assert [part.folder for part in found.parts] == [first.folder, then.folder]


def test_a_part_that_cannot_be_looked_at_keeps_its_number_and_its_name(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the part after it would be called as the session is, and there would be no name left for this one."""
    session = show(2, low_s=0.0, critical_s=0.0)
    leave_the_first_disk(session, monkeypatch)

    def refused(path: Path) -> bool:
        if path.is_relative_to(session.roots[0]):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return holds_media(path)

    with monkeypatch.context() as broken:
        broken.setattr("recorder.recording.replica.holds_media", refused)
        (then,) = session.storage.seal(facts(session))
    assert (then.part, then.id) == (2, f"{session.folders[0].name}.2")
    archives = [Archive(root, SystemClock()) for root in session.roots]
    for replica in session.storage.replicas:
        replica.work.release()
    (left,) = unfinished.find_unfinished(archives)
    assert Recovery(archives, clock=SystemClock()).recover(left).state is RecoveryState.SEALED
    (first,) = archives[0].list()
    assert (first.part, first.id) == (1, session.folders[0].name)
